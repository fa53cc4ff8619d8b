"""A server that others reach through a proxy: the control plane's address, names and token are set from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fauxvider.cli import main
from support.process import serving_process

TOKEN = "a-token-of-more-than-24-characters"


def test_a_control_plane_behind_a_proxy(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n", encoding="ascii")
    with serving_process(
        "--expose", "--host", "0.0.0.0", "--control-host", "0.0.0.0", "--control-name", "CI.example:8901",
        "--token-from", str(path), "--base-url", "http://ci.example:8900",
    ) as server:  # fmt: skip
        assert "token" not in server.places["control"]  # it is known where it came from
        assert server.base("runpod") == "http://ci.example:8900/runpod"
        for host, status in (
            ("ci.example:8901", 200),
            ("CI.EXAMPLE:8901", 200),
            ("ci.example", 403),
            ("evil.test", 403),
        ):
            assert server.ask("/worlds", Host=host, Authorization=f"Bearer {TOKEN}")[0] == status
        assert server.ask(f"{server.control}/worlds", Host="ci.example:8901")[0] == 401


def test_a_token_from_the_environment() -> None:
    with serving_process(env={"FAUXVIDER_CONTROL_TOKEN": TOKEN}) as server:
        assert "token" not in server.places["control"]
        assert server.ask("/worlds", Authorization=f"Bearer {TOKEN}") == (200, {"worlds": ["default"]})


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (["--control-host", "0.0.0.0"], {}, "--expose"),
        (["--control-name", "http://ci.example"], {}, "HOST:PORT"),
        (["--control-name", "a b"], {}, "HOST:PORT"),
        (["--token-from", "/no/such/file"], {}, "/no/such/file"),
        ([], {"FAUXVIDER_CONTROL_TOKEN": "short"}, "24 characters"),
        ([], {"FAUXVIDER_CONTROL_TOKEN": "x" * 24 + "\x1b[31m"}, "24 characters"),
    ],
)
def test_wrong_settings_are_one_clear_line(
    arguments: list[str],
    env: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["fauxvider", "serve", "--port", "0", "--control-port", "0", *arguments])
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert "\x1b" not in err
