"""`verify --limits` on windows that end in the middle of a burst: what is kept passes, what is not does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fauxvider.contract.parse import ContractFile
from fauxvider.toolkit.verify.case import Result
from fauxvider.toolkit.verify.client import Client
from fauxvider.toolkit.verify.control import Control, World
from fauxvider.toolkit.verify.run import Settings, plan, verify
from fauxvider.toolkit.verify.session import Session
from support.acme import ACME, ACME_TEXT
from support.verifying import control_of, served, verified

RULE = "run: {kind: sliding, window: 10s, count: 1000, per: [key, model, operation], "
COUNT, WINDOW = 20, 60_000
# Where in a window the first request comes: a burst of 21 takes half a second each, so that some have its end in them.
PLACES = range(0, WINDOW, 2_500)


def contract(folder: Path, kind: str, count: int, *, window: str = "60s") -> Path:
    assert ACME_TEXT.count(RULE) == 1
    path = folder / f"{kind}-{count}-{window}" / ACME.name
    path.parent.mkdir(exist_ok=True)
    path.write_text(ACME_TEXT.replace(RULE, f"run: {{kind: {kind}, window: {window}, count: {count}, per: [key], "))
    return path


class Time:
    """The time of a server, which moves by what is asked of it, and by waiting."""

    def __init__(self, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(control, "default", "")
        monkeypatch.setattr(Session, "now", lambda _session: self.world.now())
        monkeypatch.setattr(Session, "pause", lambda _session, span: self.world.advance(span))

    def go_to(self, place: int) -> None:
        """Go so far into a window that a first request after the rest comes `place` ms after a window's beginning."""
        rest = WINDOW + 200
        self.world.advance((place - rest - self.world.now()) % WINDOW)


def asked(url: str, file: ContractFile, client: Client) -> Result:
    settings = Settings(base_url=f"{url}/acme", only=("/limits/run",), limits=True, client=client)
    (result,) = verify(file, settings, plan(file, settings))
    return result


@pytest.mark.parametrize(
    ("kept", "told"),
    [(COUNT, ""), (15, "15 are"), (30, "30 are"), (45, "45 are"), (100_000, "many more are")],
)
def test_the_end_of_a_window_within_the_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, told: str
) -> None:
    file = ContractFile.read(contract(tmp_path, "fixed", COUNT))
    spent = []
    with served(contract(tmp_path, "fixed", kept), clock="stepping:500ms") as urls:
        time = Time(control_of(urls), monkeypatch)
        for place in PLACES:
            time.go_to(place)
            client = Client(timeout_s=60)
            result = asked(urls.provider, file, client)
            assert (result.outcome, [one.got for one in result.mismatches]) == (
                ("failed", [told]) if told else ("passed", [])
            ), place
            spent.append(client.sent)
    if kept == COUNT:
        # Where the window does not end within the burst one more than the count is all; else the next window is waited for.
        assert min(spent) == COUNT + 1
        assert 1 < sum(one > COUNT + 1 for one in spent) < len(spent)
    assert max(spent) <= 2 * (3 * COUNT + 50) + 24


@pytest.mark.parametrize("kind", ["fixed", "sliding"])
@pytest.mark.parametrize("kept", [COUNT, 100_000])
def test_a_server_that_is_slower_than_the_limit_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, kept: int
) -> None:
    file = ContractFile.read(contract(tmp_path, kind, COUNT))
    with served(contract(tmp_path, kind, kept), clock="stepping:5s") as urls:
        Time(control_of(urls), monkeypatch)
        result = asked(urls.provider, file, Client(timeout_s=60))
    assert result.outcome == "not checked"
    assert "requests take longer than the limit's window of 1m" in result.reason


def test_a_window_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose window is longer than the contract's, and ends within the burst."""
    file = ContractFile.read(contract(tmp_path, "fixed", COUNT))
    with served(contract(tmp_path, "fixed", COUNT, window="10m"), clock="stepping:500ms") as urls:
        time = Time(control_of(urls), monkeypatch)
        time.world.advance((-WINDOW - 5_000 - time.world.now()) % 600_000)
        result = asked(urls.provider, file, Client(timeout_s=60))
    (missed,) = result.mismatches
    assert (missed.rule, missed.got) == ("/limits/run/window", "still refused")


@pytest.mark.parametrize(("kept", "told"), [(COUNT, []), (30, ["30 are"]), (100_000, ["many more are"])])
@pytest.mark.parametrize("place", [0, 55_000])
def test_with_a_control_plane_time_moves_too(tmp_path: Path, kept: int, told: list[str], place: int) -> None:
    file = ContractFile.read(contract(tmp_path, "fixed", COUNT))
    with served(contract(tmp_path, "fixed", kept)) as urls:
        made: Any = Control.world

        def at_place(control: Control, provider: str, **options: Any) -> World:
            return made(control, provider, **{**options, "clock": "stepping:500ms", "now": WINDOW * 1000 + place})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Control, "world", at_place)
            (result,) = verified(urls, file, "/limits/run", limits=True)
    assert [one.got for one in result.mismatches] == told
