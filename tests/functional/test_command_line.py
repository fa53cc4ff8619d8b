"""The command line as a whole: what cannot be written, and whose fault an error is."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

import fauxvider.cli
from fauxvider.errors import UsageError

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"


def run(monkeypatch: pytest.MonkeyPatch, *given: str) -> int | str | None:
    """Run the command line; give its exit code."""
    monkeypatch.setattr(sys, "argv", ["fauxvider", *given])
    with pytest.raises(SystemExit) as ended:
        fauxvider.cli.main()
    return ended.value.code


@pytest.mark.parametrize(
    "given",
    [
        ("serve", "--token-file", "{file}/token", "--port", "0", "--control-port", "0"),
        ("serve", "--token-from", "{file}/token", "--port", "0", "--control-port", "0"),
        ("demo", "--out", "{file}/demo"),
        ("fixtures", "runpod", "--out", "{file}/cases"),
        ("openapi", "runpod", "--out", "{file}/out.json"),
        ("schema", "contract", "--out", "{file}/schema.json"),
    ],
    ids=lambda given: " ".join(given[:2]),
)
def test_a_place_that_cannot_be_used_is_one_line(
    given: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert run(monkeypatch, *(part.format(file=file) for part in given)) == 2
    told = capsys.readouterr().err
    assert str(file) in told
    assert told.startswith("fauxvider: ")
    assert told.count("\n") == 1


def test_a_fault_of_our_own_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise KeyError("nothing there")

    monkeypatch.setattr(fauxvider.cli, "_root", broken)
    assert run(monkeypatch) == 70
    told = capsys.readouterr().err
    assert "a fault of fauxvider's own: KeyError: 'nothing there'" in told
    assert "Traceback" in told


def test_the_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    from fauxvider.cli.files import written

    path = tmp_path / "token"
    path.write_text("an older one, which all may read")
    path.chmod(0o644)
    written(path, "new\n", mode=0o600)
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="cannot be written"):
        written(path / "below", "x")


def test_a_contract_without_words_for_a_refusal_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ACME.read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "mute.yaml"
    path.write_text("".join(line for line in lines if not line.startswith("  rate: {status: 429")), encoding="utf-8")
    assert run(monkeypatch, "serve", "--contract", str(path), "--port", "0", "--control-port", "0") == 2
    told = capsys.readouterr().err
    assert "mute.yaml:177:13: /operations/run/limits: there is a limit, but `errors` has no face for 'rate'" in told


def test_cases_can_be_listed_before_there_is_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", "runpod", "--list") == 0
    assert "run without a key  /errors/auth_missing" in capsys.readouterr().out
    assert run(monkeypatch, "verify", "runpod") == 2
