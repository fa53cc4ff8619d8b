"""What the picture shows: a lane for each job, with its states and all that was done about it. No drawing yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fauxvider.analysis.entries import Entry, is_lost, moment_of, since_text, text_in, whole_in
from fauxvider.analysis.story import told
from fauxvider.contract.model import Contract

__all__ = ["End", "Lane", "Mark", "Picture", "Shape", "Stretch", "picture_of"]

Shape: TypeAlias = Literal["submit", "poll", "file", "act", "attempt", "coin", "note", "fault"]
Contracts: TypeAlias = Mapping[str, Contract]

STATES = ("queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
_READS = frozenset({"read", "stream", "submit"})
_SHAPES: Mapping[str, Shape] = {"submit": "submit", "read": "poll", "stream": "poll", "file": "file"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a job's bar. `tone`: `queued`, `running`, `turning` (from one to the other), `unseen`."""

    began: int
    ended: int
    tone: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened.

    `tone`: a canonical state, `odd`, `good`, `bad`, `lost` or `plain`; `since`: where a held call began; `group`: the
    delivery of an attempt.
    """

    at: int
    shape: Shape
    tone: str
    title: str
    label: str = ""
    has_fault: bool = False
    since: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class End:
    at: int
    tone: str
    word: str


@dataclass(slots=True)
class Lane:
    """One job; the lane of an empty `job` has what belongs to none."""

    provider: str
    job: str
    began: int
    model: str = ""
    request: int | None = None
    is_known: bool = False  # its acceptance is in the journal
    stretches: list[Stretch] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Picture:
    """`moments`: every one that is drawn, for the axis."""

    lanes: tuple[Lane, ...]
    rest: Lane | None
    moments: tuple[int, ...]


def picture_of(entries: Sequence[Entry], contracts: Contracts) -> Picture:
    """Sort ordered entries into lanes."""
    lanes: dict[tuple[str, str], Lane] = {}
    rest = Lane("", "", 0)
    began = moment_of(entries[0]) if entries else 0
    owners = _file_owners(entries)
    providers = {text_in(entry, "job"): text_in(entry, "provider") for entry in entries if text_in(entry, "provider")}
    own: dict[tuple[str, str], list[Entry]] = {}
    jobs = {(text_in(one, "provider"), text_in(one, "job")) for one in entries if one.get("kind") == "accepted"}
    for entry in entries:
        job = _job_of(entry, owners, jobs)
        provider = text_in(entry, "provider") or providers.get(job, "")  # a note names the job alone
        lane = rest
        if job:
            lane = lanes.setdefault((provider, job), Lane(provider, job, moment_of(entry)))
            own.setdefault((provider, job), []).append(entry)
        if entry.get("kind") == "accepted":
            lane.is_known, lane.began = True, moment_of(entry)
            lane.model, lane.request = text_in(entry, "model"), whole_in(entry, "number")
        elif (mark := _mark(entry, began, contracts)) is not None:
            lane.marks.append(mark)
    moments = sorted({moment for entry in entries for moment in _moments(entry)}) or [0]
    for key, lane in lanes.items():
        _add_states(lane, own[key], contracts.get(key[0]), moments[-1])
    _place_faults(entries, lanes, rest, began)
    found = sorted(lanes.values(), key=lambda lane: lane.began)
    return Picture(tuple(found), rest if rest.marks else None, tuple(moments))


def _moments(entry: Entry) -> Iterator[int]:
    yield moment_of(entry)
    if (ended := whole_in(entry, "ended")) is not None:
        yield max(ended, moment_of(entry))


def _file_owners(entries: Iterable[Entry]) -> dict[tuple[str, str], str]:
    """Tell whose file a path is: a refused download names no job, an earlier one of the same path may have."""
    return {
        (text_in(entry, "provider"), text_in(entry, "path")): text_in(entry, "job")
        for entry in entries
        if text_in(entry, "does") == "file" and text_in(entry, "job")
    }


def _job_of(entry: Entry, owners: Mapping[tuple[str, str], str], jobs: Set[tuple[str, str]]) -> str:
    """Tell whose job an entry is about; a request that was refused may name it in its path alone."""
    if job := text_in(entry, "job"):
        return job
    provider, path = text_in(entry, "provider"), text_in(entry, "path")
    if text_in(entry, "does") == "file" and (owner := owners.get((provider, path))):
        return owner
    return next((part for part in path.split("/") if (provider, part) in jobs), "")


# --- marks


def _mark(entry: Entry, began: int, contracts: Contracts) -> Mark | None:
    kind, at = entry.get("kind"), moment_of(entry)
    if kind == "request":
        return _request_mark(entry, began, contracts.get(text_in(entry, "provider")))
    if kind == "attempt":
        return _attempt_mark(entry, began)
    if kind == "charged":
        return Mark(at, "coin", "plain", _title(entry, began))
    if kind == "note":
        return Mark(at, "note", "plain", _title(entry, began))
    return None


def _request_mark(entry: Entry, began: int, contract: Contract | None) -> Mark:
    at, status, does = moment_of(entry), whole_in(entry, "status"), text_in(entry, "does")
    ended = max(whole_in(entry, "ended") or at, at)
    shape = _SHAPES.get(does, "act")
    if is_lost(entry):
        tone = "lost"
    elif status is None or status >= 400 or text_in(entry, "cause"):
        tone = "bad"
    else:
        tone = (_state(entry, contract) if shape in ("poll", "submit") else "") or (
            "good" if shape == "file" else "plain"
        )
    has_fault = bool(text_in(entry, "fault"))
    return Mark(ended, shape, tone, _title(entry, began), "", has_fault, at if ended > at else None)


def _attempt_mark(entry: Entry, began: int) -> Mark:
    status, outcome = whole_in(entry, "status"), text_in(entry, "outcome")
    is_good = outcome == "http" and status is not None and 200 <= status < 300
    tone = "good" if is_good else "lost" if outcome == "lost" else "bad"
    label = str(status) if outcome == "http" and status is not None else _LABELS.get(outcome, "?")
    has_fault = bool(text_in(entry, "fault"))
    group = text_in(entry, "delivery")
    return Mark(moment_of(entry), "attempt", tone, _title(entry, began), label, has_fault, None, group)


_LABELS = {"network": "error", "timeout": "timeout", "blocked": "blocked", "lost": "lost"}


def _title(entry: Entry, began: int) -> str:
    return f"{since_text(moment_of(entry) - began)} {told(entry).text}"


def _state(entry: Entry, contract: Contract | None) -> str:
    """Give the canonical state that an answer showed, "" without one."""
    state, word = text_in(entry, "state"), text_in(entry, "word")
    if not state and contract is not None and word in contract.states:
        state = contract.states[word].canonical
    return state if state in STATES else "odd" if state or word else ""


def _place_faults(entries: Sequence[Entry], lanes: Mapping[tuple[str, str], Lane], rest: Lane, began: int) -> None:
    """Show the effects of a scenario's rules that no request or attempt shows already."""
    shown = {mark.since or mark.at for lane in (*lanes.values(), rest) for mark in lane.marks if mark.has_fault}
    jobs = {text_in(entry, "delivery"): text_in(entry, "job") for entry in entries if entry.get("kind") == "attempt"}
    for entry in entries:
        if entry.get("kind") == "fault" and moment_of(entry) not in shown:
            target = text_in(entry, "target")
            lane = lanes.get((text_in(entry, "provider"), jobs.get(target, target)), rest)
            lane.marks.append(Mark(moment_of(entry), "fault", "bad", _title(entry, began), has_fault=True))


# --- states


def _add_states(lane: Lane, entries: Sequence[Entry], contract: Contract | None, horizon: int) -> None:
    """Lay a job's bar: what is known of its states from its acceptance, from its end and from what polls saw."""
    ended = [entry for entry in entries if entry.get("kind") == "ended"]
    lane.ends = [End(moment_of(one), _end_tone(one), text_in(one, "word") or text_in(one, "state")) for one in ended]
    again = [
        moment_of(one) for one in entries if text_in(one, "does") == "retry" and (whole_in(one, "status") or 500) < 400
    ]
    seen = [
        (max(whole_in(one, "ended") or 0, moment_of(one)), _state(one, contract))
        for one in entries
        if text_in(one, "does") in _READS
    ]
    starts = [lane.began, *again]
    for start, following in zip(starts, [*again, None], strict=True):
        end = next(
            (one for one in ended if moment_of(one) >= start and (following is None or moment_of(one) <= following)),
            None,
        )
        until = moment_of(end) if end is not None else following if following is not None else horizon
        started = whole_in(end, "started") if end is not None else None
        within = [(at, state) for at, state in seen if start <= at <= until]
        lane.stretches += _stretches(start, until, started, within, is_open=end is None)


def _end_tone(entry: Entry) -> str:
    state = text_in(entry, "state")
    return state if state in STATES else "odd"


def _stretches(
    began: int, ended: int, started: int | None, seen: Sequence[tuple[int, str]], *, is_open: bool
) -> Iterator[Stretch]:
    running = min((at for at, state in seen if state == "running"), default=None)
    queued = max((at for at, state in seen if state == "queued" and (running is None or at <= running)), default=began)
    if started is not None and began <= started <= ended:
        queued = running = started
    if queued > began:
        yield Stretch(began, queued, "queued")
    if running is None:
        if ended > queued or queued == began:
            yield Stretch(queued, ended, "unseen", is_open)
        return
    if running > queued:
        yield Stretch(queued, running, "turning")
    yield Stretch(running, ended, "running", is_open)
