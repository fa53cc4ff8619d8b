"""Every interleaving up to a bound: not "none was found", but "none exists".

    explored = explore(MyMachine, polls=3, deliveries=2, crashes=1)
    explored.check()  # raises with the shortest run that breaks the client, told in words
    print(explored)   # ... or says how many runs there are within the bound, and that all of them went well

Runs go by length, so the first one that breaks the client is a shortest one. Each is played from its beginning in a
world of its own and is let come to rest, so that what is left undone is judged, too. It is deterministic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fauxvider import UsageError
from pytest_fauxvider.failing import play_lines, story_of
from pytest_fauxvider.knobs import Step, run_now
from pytest_fauxvider.line import FATES, Fate
from pytest_fauxvider.machine import ProviderMachine
from pytest_fauxvider.stage import CALLBACK_FATES, Stage

__all__ = ["Bound", "Explored", "explore"]

Run: TypeAlias = tuple[Step, ...]
Progress: TypeAlias = Callable[[str], None]
_EVERY = 50  # runs between two signs of life


@dataclass(frozen=True, slots=True)
class Bound:
    """How often each thing may happen in one run.

    `moves` are those of time; `faults` what becomes of a request (lost, late, ...), or of callbacks.
    """

    orders: int = 1
    polls: int = 3
    deliveries: int = 2
    crashes: int = 1
    faults: int = 1
    moves: int = 2
    failures: int = 1

    def __str__(self) -> str:
        names = ("orders", "polls", "deliveries", "crashes", "faults", "moves", "failures")
        parts = [(getattr(self, name), name) for name in names]
        return ", ".join(f"{count} {name if count != 1 else _singular(name)}" for count, name in parts if count)


def _singular(name: str) -> str:
    return {"deliveries": "delivery"}.get(name, name[:-2] if name == "crashes" else name[:-1])


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of it. `runs` were played, the longest of `longest` steps; `skipped` led to where others had been."""

    machine: str
    bound: Bound
    runs: int
    longest: int
    skipped: int = 0
    is_complete: bool = True
    error: Exception | None = None
    steps: Run = ()
    story: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        return self.error is None

    def check(self) -> None:
        """Raise AssertionError if a run breaks the client, or if not all of them could be played."""
        if self.error is not None or not self.is_complete:
            raise AssertionError(str(self)) from self.error

    def __str__(self) -> str:
        if self.error is not None:
            said = str(self.error) or type(self.error).__name__
            head = f"{self.machine}: {said}\nThe shortest run within the bound that breaks it (of {self.runs} played):"
            again = play_lines(self.steps, head=f"{self.machine}.play")
            return "\n".join([head, "", *self.story, "", *again])
        if not self.is_complete:
            return (
                f"{self.machine}: nothing was found in {self.runs:,} runs of up to {self.longest} steps, and there are "
                f"more within the bound ({self.bound}): raise `most`, or lower the bound"
            )
        skipped = f" ({self.skipped:,} of them lead to where others had been)" if self.skipped else ""
        return (
            f"{self.machine}: within the bound ({self.bound}) no run breaks it. "
            f"All {self.runs:,} interleavings{skipped}, of up to {self.longest} steps, were played."
        )


def explore(
    machine: type[ProviderMachine],
    *,
    trouble: str = "",
    spans: tuple[str, ...] = ("next",),
    most: int = 200_000,
    progress: Progress | None = None,
    **bound: int,
) -> Explored:
    """Play every interleaving of what may happen, up to a bound (see `Bound` for its names).

    `trouble` is one of docs/machine.md, `spans` are how far time moves. A machine that has a method `fingerprint()`,
    which gives all of the client's state as something hashable, is spared what leads to where another run has been.
    `progress` gets a line now and then (on a terminal it shows by itself). Raises UsageError.
    """
    limits = _bound(bound)
    said = progress or _shown_on_terminal()
    first = (Step("world", {"trouble": trouble}),) if trouble else ()
    search = _Search(machine, limits, spans, most, said)
    return search.by_length(first)


def _bound(given: Mapping[str, int]) -> Bound:
    known = Bound.__dataclass_fields__
    for name, count in given.items():
        if name not in known:
            raise UsageError(f"there is no bound on {name!r} (there are: {', '.join(known)})")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise UsageError(f"{name}={count!r} is not a whole number from 0 on")
    return Bound(**given)


def _shown_on_terminal() -> Progress:
    def show(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    return show


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a run led: what can come next, the state it is in (None: unknown), and what broke."""

    next: tuple[Step, ...] = ()
    key: Hashable | None = None
    error: Exception | None = None
    story: tuple[str, ...] = ()


class _Search:
    def __init__(
        self, machine: type[ProviderMachine], bound: Bound, spans: tuple[str, ...], most: int, progress: Progress
    ) -> None:
        self._machine = machine
        self._bound = bound
        self._spans = spans
        self._most = most
        self._progress = progress
        self._been: set[Hashable] = set()
        self._runs = self._skipped = self._longest = 0

    def by_length(self, first: Run) -> Explored:
        level: list[Run] = [first]
        while level:
            longer: list[Run] = []
            for number, run in enumerate(level):
                if self._runs >= self._most:
                    return self._explored(is_complete=False)
                if self._runs % _EVERY == 0:
                    self._progress(f"{len(run)} steps: run {number + 1:,} of {len(level):,}, {self._runs:,} in all")
                seen = self._play(run)
                if seen.error is not None:
                    self._progress("")
                    return self._explored(error=seen.error, steps=run, story=seen.story)
                if seen.key is not None and seen.key in self._been:
                    self._skipped += 1
                    continue
                self._been.add(seen.key)
                longer += [(*run, step) for step in seen.next]
            level = longer
        self._progress("")
        return self._explored()

    def _explored(self, **more: Any) -> Explored:
        return Explored(self._machine.__name__, self._bound, self._runs, self._longest, self._skipped, **more)

    def _play(self, run: Run) -> _Seen:
        self._runs += 1
        self._longest = max(self._longest, len(run))
        machine = self._machine()
        stage = machine.stage
        try:
            for step in run:
                stage.step(step.name, **step.args)
            following, key = tuple(self._following(stage, run)), _key(machine, run)
            stage.rest()
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what is looked for
            return _Seen(error=error, story=tuple(story_of(stage)))
        finally:
            stage.close()
        return _Seen(following, key)

    # --- what may come next

    def _following(self, stage: Stage, run: Run) -> Iterator[Step]:
        bound, has = self._bound, stage.has
        count = _counts(run)
        fates = list(self._fates(stage, count))
        if len(stage.orders) < bound.orders:
            yield from (Step("submit", _args(fate)) for fate in fates)
        if not stage.orders:
            return
        if has("poll") and count["poll"] < bound.polls:
            for job in range(len(stage.handles())):
                yield from (Step("poll", _args(fate, job=job)) for fate in fates)
        if stage.mail and count["message"] < bound.deliveries:
            yield from (Step("message", {"which": which} if which else {}) for which in range(len(stage.mail)))
        if stage.takes_callbacks and count["fault"] < bound.faults:
            yield from (
                Step("post", {"fate": fate})
                for fate in CALLBACK_FATES
                if fate in self._machine.fates and fate not in ("taken", stage.is_posting)
            )
        if has("restart") and count["crash"] < bound.crashes:
            yield Step("restart", {})
        if count["time"] < bound.moves:
            yield from (Step("time", {"span": span}) for span in self._spans)
        if stage.open_jobs and count["end"] < bound.failures:
            yield Step("end", {"failure": stage.failure(1)})

    def _fates(self, stage: Stage, count: Mapping[str, int]) -> Iterator[str]:
        for name in FATES:
            fate = Fate(name)
            if name not in self._machine.fates or (name == "overtaken" and not stage.mail):
                continue
            if fate.needs_restart and not (stage.has("restart") and count["crash"] < self._bound.crashes):
                continue
            if name == "arrives" or fate.needs_restart or count["fault"] < self._bound.faults:
                yield name


def _args(fate: str, *, job: int = 0) -> dict[str, Any]:
    return {**({"job": job} if job else {}), **({"fate": fate} if fate != "arrives" else {})}


def _counts(run: Run) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(("poll", "message", "time", "end", "fault", "crash"), 0)
    for step in run:
        fate = Fate(str(step.args.get("fate", "arrives"))) if step.name not in ("post", "world") else None
        if step.name in counts:
            counts[step.name] += 1
        counts["crash"] += step.name == "restart" or (fate is not None and fate.needs_restart)
        counts["fault"] += step.name == "post" or (
            fate is not None and fate.name != "arrives" and not fate.needs_restart
        )
    return counts


def _key(machine: ProviderMachine, run: Run) -> Hashable | None:
    """Give all that the rest of a run depends on; None if the client does not tell its own part of it."""
    tell = getattr(machine, "fingerprint", None)
    if not callable(tell):
        return None
    stage = machine.stage
    provider = stage.provider
    records = [run_now(provider.store.record(job)) for job in stage.model.jobs]
    facts = tuple((one.job.id, one.events, one.deliveries, one.charged) for one in records)
    told = tuple((job.id, job.is_told, job.is_cancelled, job.looks) for job in stage.model.jobs.values())
    counts = tuple(sorted(_counts(run).items()))
    words = tuple(sorted(stage.model.ended_words.items()))
    return (stage.now(), stage.is_posting, tuple(stage.mail), facts, told, words, counts, tell())
