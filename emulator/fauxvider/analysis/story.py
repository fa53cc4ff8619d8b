"""What happened in a world, in words: one line an event, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fauxvider.analysis.entries import Entry, is_lost, moment_of, ordered, shown, since_text, text_in, whole_in

__all__ = ["Told", "answer_text", "outcome_text", "story_lines", "tell", "told"]

_FEW = 3  # this many equal lines in a row are told one by one
_ID = 23  # of an id, both ends tell it from its neighbours


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened, or `times` equal ones in a row, the last of them at `until`."""

    at: int
    who: str
    text: str
    provider: str
    kind: str
    is_bad: bool
    has_fault: bool
    times: int = 1
    until: int = 0


def story_lines(entries: Iterable[Entry]) -> list[str]:
    """Tell a world's journal: moments since its start, who did it, what it was. Equal lines in a row become one."""
    lines = tell(entries)
    if not lines:
        return []
    began = lines[0].at
    is_crowd = len({one.provider for one in lines if one.provider}) > 1
    columns = [
        _padded([since_text(one.at - began) for one in lines], str.rjust),
        *([_padded([shown(one.provider, 24) for one in lines], str.ljust)] if is_crowd else []),
        _padded([one.who for one in lines], str.ljust),
        [_repeated(one, began) for one in lines],
    ]
    return ["  ".join(row) for row in zip(*columns, strict=True)]


def _padded(cells: Sequence[str], to: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [to(cell, width) for cell in cells]


def tell(entries: Iterable[Entry]) -> list[Told]:
    """Put every entry into words, in order; more than three equal ones in a row are told once."""
    out: list[Told] = []
    for run in _runs([told(entry) for entry in ordered(entries)]):
        if len(run) > _FEW:
            first = run[0]
            out.append(
                Told(
                    first.at, first.who, first.text, first.provider, first.kind, first.is_bad, first.has_fault,
                    len(run), run[-1].at,
                )
            )  # fmt: skip
        else:
            out.extend(run)
    return out


def _runs(lines: Sequence[Told]) -> Iterator[list[Told]]:
    run: list[Told] = []
    for line in lines:
        if run and (line.who, line.text, line.provider) != (run[0].who, run[0].text, run[0].provider):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _repeated(one: Told, began: int) -> str:
    return f"{one.text} (x{one.times}, until {since_text(one.until - began)})" if one.times > 1 else one.text


def told(entry: Entry) -> Told:
    """Put one entry into words."""
    kind = text_in(entry, "kind")
    who, say, is_bad = _KINDS.get(kind, ("journal", _other, _never))
    return Told(
        at=moment_of(entry),
        who=who,
        text=say(entry),
        provider=text_in(entry, "provider"),
        kind=kind,
        is_bad=is_bad(entry),
        has_fault=kind == "fault" or bool(text_in(entry, "fault")),
    )


# --- the kinds


def _request(entry: Entry) -> str:
    about = [
        "" if text_in(entry, "job") in text_in(entry, "path") else _short_job(entry),
        f"asked for {_fact(entry, 'range')}" if text_in(entry, "range") else "",
        f"refused: {_fact(entry, 'cause')}" if text_in(entry, "cause") else "",
        f"asked to wait {_fact(entry, 'retry_after')} s" if "retry_after" in entry else "",
        f"showed a cost of {_fact(entry, 'shown_cost')}" if "shown_cost" in entry else "",
        f"fault: {_fact(entry, 'fault')}" if text_in(entry, "fault") else "",
        f"sent the API {_fact(entry, 'leaks')} to a file host" if text_in(entry, "leaks") else "",
    ]
    return f"{_fact(entry, 'method')} {_fact(entry, 'path')} -> {answer_text(entry)}{_in_brackets(about)}"


def answer_text(entry: Entry) -> str:
    """Say what a client got for a request: `201 IN_QUEUE`, `answer lost`, `200 COMPLETED after 4.012s`."""
    status, ended = whole_in(entry, "status"), whole_in(entry, "ended")
    words = ["no answer" if status is None else str(status), _fact(entry, "word")]
    if is_lost(entry):
        words = ["answer lost"]
    if ended is not None and ended > moment_of(entry):
        words.append(f"after {since_text(ended - moment_of(entry))[1:]}")
    return " ".join(word for word in words if word)


def _accepted(entry: Entry) -> str:
    about = [
        f"model {_fact(entry, 'model')}" if text_in(entry, "model") else "",
        f"price {_fact(entry, 'price')}" if "price" in entry else "",
        f"callbacks to {_fact(entry, 'address')}" if text_in(entry, "address") else "",
    ]
    return f"accepted {_named(entry, 'job')}{_in_brackets(about)}"


def _ended(entry: Entry) -> str:
    state, word = _fact(entry, "state"), _fact(entry, "word")
    about = [state if state != word else "", _named(entry, "failure")]
    return f"{_named(entry, 'job')} ended: {word or state}{_in_brackets(about if word else about[1:])}"


def _charged(entry: Entry) -> str:
    rule = f" by {_fact(entry, 'rule')}" if text_in(entry, "rule") else ""
    return f"charged {_fact(entry, 'amount')} {_fact(entry, 'unit')} for {_named(entry, 'job')}{rule}"


def _attempt(entry: Entry) -> str:
    number = _fact(entry, "number")
    signature = text_in(entry, "signature")
    about = [
        f"attempt {number} of {_short_job(entry)}",
        _fact(entry, "event"),
        f"delivery {shown(text_in(entry, 'delivery'), _ID)}" if text_in(entry, "delivery") else "",
        f"signature {shown(signature)}" if signature not in ("", "good", "none") else "",
        f"{_fact(entry, 'copies')} more copies at once" if entry.get("copies") else "",
        f"fault: {_fact(entry, 'fault')}" if text_in(entry, "fault") else "",
    ]
    return f"POST callback #{number} -> {outcome_text(entry)}{_in_brackets(about)}"


def outcome_text(entry: Entry) -> str:
    """Say how a callback attempt went: `HTTP 500`, `timeout after 10.000s`, or the error in words."""
    outcome, error = text_in(entry, "outcome"), _fact(entry, "error")
    ended = whole_in(entry, "ended")
    took = f" after {since_text(ended - moment_of(entry))[1:]}" if ended and ended > moment_of(entry) else ""
    if outcome == "http":
        return f"HTTP {_fact(entry, 'status') or '?'}{took}"
    if outcome == "lost":
        return f"lost: {error}" if error else "lost on the way"
    if outcome == "timeout":
        return f"timeout{took}"
    return (f"{outcome}: {error}" if outcome == "blocked" and error else error or f"{shown(outcome)} error") + took


def _fault(entry: Entry) -> str:
    target = f" on {_fact(entry, 'target')}" if text_in(entry, "target") else ""
    return f"rule {_fact(entry, 'rule')} took effect: {_fact(entry, 'name')}{target}"


def _note(entry: Entry) -> str:
    words = [_fact(entry, "said"), _fact(entry, "text")]
    more = [
        f"{shown(name)} {_fact(entry, name)}"
        for name in entry
        if name not in ("at", "kind", "provider", "job", "said", "text")
    ]
    return ": ".join(word for word in words if word) + _in_brackets([_short_job(entry), *more])


def _dropped(entry: Entry) -> str:
    return f"{_fact(entry, 'count')} {_fact(entry, 'what')} dropped by a cap: what follows is incomplete"


def _other(entry: Entry) -> str:
    return ", ".join(f"{shown(name)} {_fact(entry, name)}" for name in entry if name != "at")


def _fact(entry: Entry, name: str) -> str:
    return shown(text_in(entry, name))


def _short_job(entry: Entry) -> str:
    job = text_in(entry, "job")
    return f"job {shown(job, _ID)}" if job else ""


def _named(entry: Entry, name: str) -> str:
    return f"{name} {_fact(entry, name)}" if text_in(entry, name) else ""


def _in_brackets(texts: Iterable[str]) -> str:
    said = ", ".join(text for text in texts if text)
    return f" ({said})" if said else ""


# --- what went wrong


def _never(_entry: Entry) -> bool:
    return False


def _always(_entry: Entry) -> bool:
    return True


def _is_refused(entry: Entry) -> bool:
    status = whole_in(entry, "status")
    return status is None or status >= 400 or bool(text_in(entry, "cause") or text_in(entry, "leaks")) or is_lost(entry)


def _is_failed_attempt(entry: Entry) -> bool:
    status = whole_in(entry, "status")
    return text_in(entry, "outcome") != "http" or status is None or not 200 <= status < 300


def _is_failed_end(entry: Entry) -> bool:
    return text_in(entry, "state") not in ("succeeded", "cancelled")


_KINDS: Mapping[str, tuple[str, Callable[[Entry], str], Callable[[Entry], bool]]] = {
    "request": ("client", _request, _is_refused),
    "accepted": ("provider", _accepted, _never),
    "ended": ("provider", _ended, _is_failed_end),
    "charged": ("money", _charged, _never),
    "attempt": ("callback", _attempt, _is_failed_attempt),
    "fault": ("scenario", _fault, _always),
    "note": ("note", _note, _never),
    "dropped": ("journal", _dropped, _always),
}
