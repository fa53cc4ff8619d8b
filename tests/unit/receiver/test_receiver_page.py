"""docs/receiver.md says what is so: its commands parse, its answers are answers, its Python runs."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from fauxvider import Server
from fauxvider.cli.receive import receive
from fauxvider.receiver.script import read_answer

PAGE = (Path(__file__).parents[3] / "docs" / "receiver.md").read_text(encoding="utf-8")
COMMANDS = [line.partition("  #")[0] for line in PAGE.splitlines() if line.startswith("fauxvider receive")]
ANSWERS = [
    (found, cell)
    for cell in (line.split("|")[1] for line in PAGE.split("## Answers\n\n")[1].splitlines() if line.startswith("| `"))
    for found in re.findall(r"`(.+?)`", cell)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str) -> None:
    arguments = shlex.split(line.partition(" >")[0])[2:]
    assert receive.make_context("receive", arguments).params["host"] == "127.0.0.1"


@pytest.mark.parametrize(("text", "cell"), ANSWERS, ids=[text for text, _ in ANSWERS])
def test_an_answer_is_one(text: str, cell: str) -> None:
    item = json.loads(text.replace("{...}", "{}").replace("...", "null").replace("URL", "http://127.0.0.1/"))
    assert read_answer(item, has_backend=True)


def test_the_python_runs() -> None:
    code = PAGE.split("```python\n")[1].split("```")[0]
    with Server(providers=["runflow"]) as server, server.world(clock="manual") as world:
        base = world.base_url("runflow")

        def post(path: str, body: Any) -> None:
            headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
            request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
            urllib.request.urlopen(request, timeout=60).close()

        def start_job(callback: str) -> None:
            post("/v1/callback-secrets", {"label": "s"})
            path = "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"
            post(path, {"input": {"prompt": "a fox"}, "callback_url": callback})

        exec(compile(code, "docs/receiver.md", "exec"), {"world": world, "start_job": start_job})
