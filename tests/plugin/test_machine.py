"""What a user of `ProviderMachine` meets: the story of a failure, its files, playing it again, and wrong use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from corpus.buggy import ForgetsOnDeploy, KeepsLinks, KeyPerTry, UnknownWordRaises
from corpus.careful import AsyncHybrid, Careful, Durable, DurableHybrid, RunflowWebhook, RunpodPolling
from fauxvider import UsageError
from fauxvider.capsule import read_capsule, replay
from pytest_fauxvider.explore import explore
from pytest_fauxvider.invariants import (
    INVARIANTS,
    BilledTwiceError,
    KeptPastLifeError,
    RefusedError,
    ResultLostError,
    ViolationError,
)
from pytest_fauxvider.line import FATES
from pytest_fauxvider.machine import ProviderMachine
from pytest_fauxvider.stage import CALLBACK_FATES
from pytest_fauxvider.troubles import TROUBLES
from support.acme import ACME

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "find_a_bug"
RACE = (("post", {"fate": "held"}), ("submit", {}), ("time", {}))


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAUXVIDER_OUT", str(tmp_path / "out"))


def _failure(machine: type[ProviderMachine], kind: type[BaseException]) -> str:
    """Let Hypothesis find a failure; give what it prints."""
    quick = settings(machine.TestCase.settings, max_examples=300, database=None)  # type: ignore[attr-defined]
    with pytest.raises(kind) as caught:
        run_state_machine_as_test(machine, settings=quick)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


# --- a failure


def test_a_failure_is_told_and_can_be_played_again(tmp_path: Path) -> None:
    said = _failure(KeyPerTry, BilledTwiceError)
    assert "nothing is billed twice for one intent: order 1 cost 0.005 USD for" in said
    assert "order 1 is submitted: the provider does it, and the answer is lost" in said
    assert 'KeyPerTry.play(\n    ("submit", {"fate": "lost' in said
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "keypertry_billed_twice.capsule.json",
        "test_keypertry_billed_twice.py",
    ]
    replayed = replay(read_capsule(out / "keypertry_billed_twice.capsule.json"))
    assert replayed.first_difference == ""
    assert sum(entry["kind"] == "charged" for entry in replayed.entries) == 2
    notes = [entry["text"] for entry in replayed.entries if entry["kind"] == "note"]
    assert notes == ["this answer does not reach the client: the provider does it, and the answer is lost"]


def test_ten_lines_find_a_bug_and_the_run_can_be_had_again(tmp_path: Path) -> None:
    for file in EXAMPLE.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = _pytest(tmp_path / "test_naive_client.py", tmp_path)
    assert found.returncode == 1, found.stdout
    assert "nothing is billed twice for one intent" in found.stdout
    assert "The same run as a test, for `pytest`: .fauxvider/test_naive_billed_twice.py" in found.stdout
    (test,) = (tmp_path / ".fauxvider").glob("test_*.py")
    again = _pytest(test, tmp_path)
    assert again.returncode == 1
    assert "BilledTwiceError: nothing is billed twice for one intent" in again.stdout
    # Once the client is mended, the same run goes well.
    client = tmp_path / "naive_client.py"
    text = client.read_text(encoding="utf-8")
    assert "continue  # the network" in text
    client.write_text(text.replace("continue  # the network", "raise  # the network"), encoding="utf-8")
    assert _pytest(test, tmp_path).returncode == 0


def test_the_example_is_as_short_as_it_says() -> None:
    lines = (EXAMPLE / "test_naive_client.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("from")]) <= 11


def _pytest(file: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(file)]
    own = {name: value for name, value in os.environ.items() if name not in ("FAUXVIDER_OUT", "PYTEST_ADDOPTS")}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False, env=own)


def test_what_the_client_raises_is_a_failure_of_its_own() -> None:
    said = _failure(UnknownWordRaises, KeyError)
    assert "UnknownWordRaises: the client raised KeyError: '" in said
    assert "it is a world with a trouble: " in said
    assert 'UnknownWordRaises.play(\n    ("world", {"trouble": "' in said


# --- playing


def test_a_careful_client_comes_through() -> None:
    machine = RunpodPolling.play(("submit", {"fate": "late"}), ("time", {}), ("poll", {"fate": "lost"}))
    assert [len(value) > 100 for _, value in machine.results()] == [True]


def test_a_client_dies_where_it_is_told_to_and_takes_up_its_work() -> None:
    class Sturdy(Durable):
        provider = "runflow"

    machine = Sturdy.play(("submit", {"fate": "dies after"}), ("restart", {}))
    assert [name for name, _ in machine.results()] == ["intent-1"]


def test_what_a_client_takes_up_after_its_death_it_is_given_time_for() -> None:
    machine = DurableHybrid.play(("submit", {"fate": "dies before"}), ("end", {}))
    assert [name for name, _ in machine.results()] == ["intent-1"]
    assert len(machine.stage.mail) == 1  # the callback that was due that very moment


def test_a_client_that_forgets_is_told_apart() -> None:
    with pytest.raises(ResultLostError, match="order 1 was never handed on"):
        ForgetsOnDeploy.play(("submit", {}), ("restart", {}))


def test_coroutines_are_run_and_their_callbacks_come_in_between() -> None:
    machine = AsyncHybrid.play(*RACE, ("poll", {"fate": "overtaken"}))
    assert len(list(machine.results())) == 1
    assert "meanwhile its callback comes" in [text for _, _, text in machine.stage.told]


def test_callbacks_come_late_twice_and_reordered() -> None:
    machine = RunflowWebhook.play(
        ("post", {"fate": "held"}),
        ("submit", {}),
        ("submit", {}),
        ("time", {"span": "1m"}),
        ("message", {"which": 0}),
        ("message", {"which": 1}),
        ("message", {"which": 0}),
    )
    assert sorted(name for name, _ in machine.results()) == ["intent-1", "intent-2"]


def test_a_link_is_judged_when_it_is_dead() -> None:
    with pytest.raises(KeptPastLifeError, match="of order 1 the client has a link, and it is dead"):
        KeepsLinks.play(("submit", {}))


def test_an_invariant_can_be_left_out() -> None:
    class Library(KeepsLinks):
        unchecked = frozenset({"kept"})

    Library.play(("submit", {}))


def test_what_is_asked_for_wrongly_is_the_clients_fault() -> None:
    class Wrong(Careful):
        provider = "onemin"

        def body_of(self, row: Any) -> dict[str, Any]:
            return {"prompt": row.prompt}

    with pytest.raises(RefusedError, match="the provider refused order 1: 4"):
        Wrong.play(("submit", {}))
    Wrong.play(("submit", {"fate": "busy"}), ("world", {"trouble": "slow"}))


def test_a_provider_of_ones_own() -> None:
    class Own(ProviderMachine):
        provider = "acme"
        contracts = (str(ACME),)

        def begin(self) -> None:
            self.pictures: list[tuple[str, str]] = []

        def submit(self, intent: Any) -> str:
            body = {"input": {"prompt": intent.prompt}}
            return str(self.http.post("/v1/models/flux/runs", json=body).json()["id"])

    machine = Own.play(("submit", {"fate": "refused"}))
    assert machine.http.base_url.endswith("/acme")


# --- speaking


def test_the_key_goes_to_the_api_and_nowhere_else() -> None:
    machine = RunpodPolling.play(("submit", {}))
    requests = [entry for entry in machine.stage.entries() if entry["kind"] == "request"]
    assert [entry for entry in requests if "leaks" in entry] == []
    assert any(entry["does"] == "file" for entry in requests)


def test_a_coroutine_that_blocks_is_told_so() -> None:
    class Blocks(Careful):
        async def poll(self, job: str) -> None:  # type: ignore[override]
            self.http.get(f"/v2/black-forest-labs-flux-1-dev/status/{job}")

    with pytest.raises(UsageError, match=r"has to await self\.http\.arequest"):
        Blocks.play(("submit", {}), ("poll", {}))


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_other_libraries_clients(library: str) -> None:
    class Web(ProviderMachine):
        provider = "runpod"

        def begin(self) -> None:
            self.web = self.http.async_client(library)
            self.plain = self.http.client(library)
            self.seen: list[tuple[str, bytes]] = []

        async def submit(self, intent: Any) -> str:
            body = {"input": {"prompt": intent.prompt}}
            answer = await self.web.post("/v2/black-forest-labs-flux-1-dev/run", json=body)
            return str(answer.json()["id"])

        def poll(self, job: str) -> None:
            answer = self.plain.get(f"/v2/black-forest-labs-flux-1-dev/status/{job}").json()
            if answer["status"] == "COMPLETED" and not self.seen:
                self.seen.append((job, self.plain.get(answer["output"]["image_url"]).content))

        def results(self) -> list[tuple[str, bytes]]:
            return self.seen

    machine = Web.play(("submit", {}), ("poll", {"fate": "lost"}), ("poll", {"fate": "refused"}))
    told = [text for _, _, text in machine.stage.told]
    assert "the client raises ReadError: connection reset by peer" in told
    assert "the client raises ConnectError: connection refused" in told
    assert len(machine.seen) == 1


def test_a_client_may_have_words_of_its_own() -> None:
    class Rewords(Careful):
        def body_of(self, row: Any) -> dict[str, Any]:
            return {"input": {"prompt": "a hare", "width": 256, "height": 256}}

    machine = Rewords.play(("submit", {}), ("submit", {"fate": "late"}))
    assert [name for name, _ in machine.results()] == ["intent-1", "intent-2"]


def test_a_scenario_of_ones_own_stands_beside_a_trouble() -> None:
    class Own(Careful):
        world: ClassVar[dict[str, Any]] = {
            "scenario": {"scenario": 1, "name": "own", "rules": [{"on": "output", "do": {"late": "5s"}}]}
        }

    machine = Own.play(("world", {"trouble": "slow"}), ("submit", {}))
    took_effect = [entry["name"] for entry in machine.stage.entries() if entry["kind"] == "fault"]
    assert sorted(took_effect) == ["late", "slow"]


def test_the_page_shows_what_is_so() -> None:
    page = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
    assert (EXAMPLE / "test_naive_client.py").read_text(encoding="utf-8") in page
    assert str(explore(RunpodPolling)) in page
    for names in (FATES, CALLBACK_FATES, TROUBLES, INVARIANTS):
        assert [name for name in names if f"`{name}`" not in page and name != "arrives"] == []


# --- wrong use


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({}, "Wrong.provider is to name a provider"),
        ({"provider": "nobody"}, "no bundled provider 'nobody' .there are: "),
        ({"provider": "runpod", "model": "sd-1"}, "runpod has no model 'sd-1' .it has: "),
        ({"provider": "runpod", "unchecked": frozenset({"slow"})}, "no invariant 'slow' .there are: lost, "),
        ({"provider": "runpod", "poll_every": "soon"}, "soon"),
        ({"provider": "runpod", "world": {"clock": "real"}}, "a machine moves time itself: its clock is manual, not r"),
        ({"provider": "runpod", "world": {"weather": "wet"}}, "a world has no option 'weather'"),
    ],
)
def test_wrong_attributes_are_named(attributes: dict[str, Any], problem: str) -> None:
    made = type("Wrong", (ProviderMachine,), attributes)
    with pytest.raises(Exception, match=problem) as caught:
        made()
    assert isinstance(caught.value, ValueError)
    assert RunpodPolling.play().stage.world.name == "machine-1"  # no world is left behind


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (("fly", {}), "there is no step 'fly' .there are: cancel, end, "),
        (("submit", {"fate": "eaten"}), "a request has no fate 'eaten' .there are: arrives, "),
        (("post", {"fate": "eaten"}), "callbacks have no fate 'eaten' .there are: taken, "),
        (("world", {"trouble": "rain"}), "no trouble 'rain' .there are: slow, "),
        (("time", {"span": "a while"}), "a while"),
        ("submit", "a step is a pair of a name and its arguments, not 'submit'"),
    ],
)
def test_wrong_steps_are_named(step: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        RunpodPolling.play(step)


@pytest.mark.parametrize(
    ("results", "problem"),
    [(["nobody"], "results.. names 'nobody': no handle"), ([{"a": 1}], "results.. names {'a': 1}")],
)
def test_results_that_name_nothing_are_told(results: list[Any], problem: str) -> None:
    class Odd(Careful):
        def results(self) -> list[Any]:
            return results

    with pytest.raises(UsageError, match=problem):
        Odd.play(("submit", {}))


def test_a_status_that_is_no_word_is_told() -> None:
    class Odd(Careful):
        def status(self, job: str) -> str:
            return "ok"

    with pytest.raises(
        UsageError, match=r"status\(\) gives one of open, succeeded, failed, gave up, or None; not 'ok'"
    ):
        Odd.play(("submit", {}))


def test_troubles_are_in_the_words_of_the_readings() -> None:
    class Other(Careful):
        readings: ClassVar[dict[str, str]] = {"running.name": "running"}

    machine = Other.play(("world", {"trouble": "new word"}), ("submit", {}), ("time", {"span": "1s"}), ("poll", {}))
    words = {entry.get("word") for entry in machine.stage.entries() if entry["kind"] == "request"}
    assert words <= {"IN_QUEUE", "RUNNING", "RUNNING_SOON", "COMPLETED", None}
    assert "RUNNING_SOON" in words


def test_what_is_missing_is_not_held_against_it() -> None:
    class Forgets(ProviderMachine):
        provider = "runpod"

        def submit(self, intent: Any) -> str:
            body = {"input": {"prompt": intent.prompt}}
            return str(self.http.post("/v2/black-forest-labs-flux-1-dev/run", json=body).json()["id"])

    Forgets.play(("submit", {}), ("time", {}), ("submit", {}))


def test_a_machine_without_a_submit_says_so() -> None:
    class Empty(ProviderMachine):
        provider = "runpod"

    with pytest.raises(NotImplementedError, match="Empty has no submit"):
        Empty.play(("submit", {}))


def test_violations_are_assertions() -> None:
    assert issubclass(ViolationError, AssertionError)
