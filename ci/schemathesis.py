"""Runs Schemathesis against the emulator in another process: every provider, all phases, all checks, one seed.

    python ci/schemathesis.py FAUXVIDER SCHEMATHESIS [PROVIDER...]

The two programs may live in environments of their own. What is excluded, and why, is written by
`fauxvider openapi --schemathesis` from the contracts; here is no list of exceptions. Each provider gets a
world of its own with one known key, enough money, no rate limits, and a clock that moves with each request.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

KEY = "known-to-the-world"
# Calls per operation in the phase that draws them; the fewer, the more operations there are.
BUDGET, LEAST, MOST = 600, 4, 20
PATIENCE_S = 1100  # less than what .ci/run gives it, so that this says which provider hangs


def main(fauxvider: str, schemathesis: str, providers: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        served = Path(folder) / "served.json"
        with served.open("w") as out:
            command = [fauxvider, "serve", "--port", "0", "--control-port", "0", "--json"]
            server = subprocess.Popen(command, stdout=out)
        try:
            place = _waited(served, server)
            names = providers or sorted(place["providers"])
            with ThreadPoolExecutor(max_workers=2) as pool:
                runs = [pool.submit(_run, fauxvider, schemathesis, Path(folder), place, name) for name in names]
                codes = [run.result() for run in runs]
        finally:
            server.terminate()
            server.wait(60)
    return max(codes)


def _waited(served: Path, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    for _ in range(1200):
        if (text := served.read_text()).endswith("\n"):
            return json.loads(text)
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit("the emulator did not start")


def _run(fauxvider: str, schemathesis: str, folder: Path, place: dict[str, Any], name: str) -> int:
    base = _world(place, name)
    settings, document = folder / f"{name}.toml", folder / f"{name}.json"
    export = [fauxvider, "openapi", name, "--base-url", base, "--schemathesis", str(settings), "--out", str(document)]
    subprocess.run(export, check=True)
    count = sum(len(item) for item in json.loads(document.read_text())["paths"].values())
    root, _, _ = base.rpartition("/")
    command = [
        schemathesis, "--config-file", str(settings), "run", f"{root}/openapi/{name}.json",
        "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--generation-deterministic",
        "--continue-on-failure", "--max-examples", str(max(LEAST, min(MOST, BUDGET // count))), "--no-color",
        "--request-timeout", "60",
    ]  # fmt: skip
    began = time.monotonic()
    environment = {**os.environ, "FAUXVIDER_KEY": KEY}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    shown = done.stdout[done.stdout.find("= SUMMARY =") :] if not done.returncode else done.stdout + done.stderr
    excluded = [line for line in settings.read_text().splitlines() if line.startswith("# ")][1:]
    told = "\n".join(["excluded, as the contract says:", *dict.fromkeys(excluded)])
    print(f"\n--- {name}: exit {done.returncode}, {time.monotonic() - began:.0f} s\n{told}\n{shown}", flush=True)
    return done.returncode


def _world(place: dict[str, Any], name: str) -> str:
    """Make the provider's world; give its base URL there."""
    control = place["control"]
    options = {
        "name": f"fuzz-{name}", "seed": 1, "clock": "stepping:200ms", "limits": "off", "keys": [{"key": KEY}],
        "balances": {name: "1000000000000"},
    }  # fmt: skip
    request = urllib.request.Request(
        f"{control['url']}/worlds",
        data=json.dumps(options).encode(),
        headers={"Authorization": f"Bearer {control['token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["providers"][name]["base_url"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
