"""How much a change of one kind of rule hurts a client: a table of places and what is said of a change there.

A judge sees what stood there and what stands there now (None: nothing) and gives a severity with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from fauxvider.errors import UsageError
from fauxvider.toolkit.diff.finding import Severity
from fauxvider.values import parse_size, parse_span

__all__ = ["Judge", "Verdict", "judge_for"]

Verdict: TypeAlias = tuple[Severity, str]
Judge: TypeAlias = Callable[[Any, Any], Verdict | None]  # None: look at what is inside


def judge_for(pointer: str) -> Judge | None:
    """Give the judge of what stands at a pointer; None where each member is looked at by itself."""
    return next((judge for pattern, judge in _TABLE if pattern.fullmatch(pointer)), None)


def always(severity: Severity, text: str) -> Judge:
    return lambda _old, _new: (severity, text)


def entry(added: Verdict, removed: Verdict) -> Judge:
    """Judge a table's entry: added, removed, or to be looked into."""
    return lambda old, new: added if old is None else removed if new is None else None


def shrinks(what: str, read: Callable[[object], int], *, endless: bool = False) -> Judge:
    """Less of it breaks clients, more does not. `endless`: nothing there means without end."""

    def judge(old: Any, new: Any) -> Verdict:
        try:
            before, after = _amount(old, read, endless=endless), _amount(new, read, endless=endless)
        except (UsageError, ValueError, TypeError):
            return "unknown", f"{what} changed"
        word = "shorter or smaller" if after < before else "longer or larger"
        return ("breaking" if after < before else "compatible"), f"{what} became {word}"

    return judge


def grows(what: str, read: Callable[[object], int]) -> Judge:
    """More of it breaks clients."""

    shrinking = shrinks(what, read)

    def judge(old: Any, new: Any) -> Verdict:
        severity, text = shrinking(new, old) or ("unknown", f"{what} changed")
        flipped = "longer or larger" if "shorter" in text else "shorter or smaller"
        return severity, f"{what} became {flipped}" if severity != "unknown" else text

    return judge


def _amount(value: Any, read: Callable[[object], int], *, endless: bool) -> float:
    if value is None:
        return float("inf") if endless else 0
    return read(value)


def loses(what: str, *, gain: Severity = "compatible", loss: Severity = "breaking") -> Judge:
    """Judge a set of words: what is gone, what has come."""

    def judge(old: Any, new: Any) -> Verdict:
        before, after = _words(old), _words(new)
        if gone := [word for word in before if word not in after]:
            return loss, f"{what}: no longer {', '.join(gone)}"
        if come := [word for word in after if word not in before]:
            return gain, f"{what}: {', '.join(come)} too"
        return "unknown", f"{what}: another order"

    return judge


def _words(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _whole(value: object) -> int:
    return int(str(value))


def _funds(old: Any, new: Any) -> Verdict:
    order = ["off", "positive", "covers"]
    is_stricter = order.index(str(new)) > order.index(str(old)) if {str(old), str(new)} <= set(order) else True
    return ("breaking" if is_stricter else "compatible"), "what the balance must be before a run"


def _charge(old: Any, new: Any) -> Verdict:
    come = [word for word in _words(new) if word not in _words(old)]
    return ("breaking", f"now charged: {', '.join(come)}") if come else ("compatible", "fewer ends are charged")


def _auth(old: Any, new: Any) -> Verdict:
    gone = [one for one in old or () if one not in (new or ())]
    if gone:
        return "breaking", "a way of sending the key is no longer taken"
    return "compatible", "a further way of sending the key is taken"


def _retry_delays(old: Any, new: Any) -> Verdict:
    before, after = _words(old), _words(new)
    if len(after) < len(before):
        return "breaking", f"a callback is tried {len(after) + 1} times, no longer {len(before) + 1}"
    if len(after) > len(before):
        return "unknown", f"a callback is tried {len(after) + 1} times, and not {len(before) + 1}"
    return "unknown", "other pauses between the attempts of a callback"


def _request(old: Any, new: Any) -> Verdict | None:
    if old is None or new is None:
        return None
    (methods, _, path), (others, _, other) = str(old).partition(" "), str(new).partition(" ")
    if _unnamed(path) != _unnamed(other):
        return "breaking", "another path"
    gone = [one for one in methods.split("|") if one not in others.split("|")]
    return (
        ("breaking", f"no longer by {', '.join(gone)}") if gone else ("compatible", "further methods, or other names")
    )


def _unnamed(path: str) -> str:
    return re.sub(r"\{[^}+]*(\+?)\}", r"{\1}", path)


def _limit(old: Any, new: Any) -> Verdict | None:
    if old is None:
        return "breaking", "a limit that was not there"
    if new is None:
        return "compatible", "a limit is gone"
    return None


def _deadline(old: Any, new: Any) -> Verdict | None:
    if old is None:
        return "breaking", "a deadline that was not there"
    return ("compatible", "a deadline is gone") if new is None else None


def _waits(old: Any, new: Any) -> Verdict | None:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and set(old) == set(new):
        return None
    return "breaking", "another way of waiting for the end"


def _timing(_old: Any, _new: Any) -> Verdict:
    return "unknown", "another pace"


def _outside(_old: Any, new: Any) -> Verdict:
    if str(new) == "refuse":
        return "breaking", "a hold outside the bounds is refused"
    return "compatible", "a hold outside the bounds is moved to the nearest one"


def _phases(old: Any, new: Any) -> Verdict:
    before, after = ([one.get("state") for one in phases or ()] for phases in (old, new))
    if come := [word for word in after if word not in before]:
        return "breaking", f"on its way a job is {', '.join(come)}, which it was not"
    if before != after:
        return "compatible", f"a job goes by {', '.join(after)}"
    return _timing(old, new)


def _switched(_old: Any, new: Any) -> Verdict:
    return ("breaking", "a model is switched off") if new == "inactive" else ("compatible", "a model is switched on")


def _error_status(old: Any, new: Any) -> Verdict:
    return "breaking", f"answered {new}, no longer {old}"


def money(value: Any) -> Decimal:
    return Decimal(str(value))


_TEMPLATE = always("unknown", "another template; the shapes of the answers tell what it comes to")
_SPANNED: dict[str, Judge] = {
    r"/urls/[^/]+/(lives|keeps)": shrinks("how long a file can be had", parse_span, endless=True),
    r"/operations/[^/]+/keeps": shrinks("how long a record is kept", parse_span, endless=True),
    r"/operations/[^/]+/waits/(max|default)": shrinks("how long a call is held", parse_span),
    r"/operations/[^/]+/waits/min": grows("the shortest hold", parse_span),
    r"/operations/[^/]+/waits/outside": _outside,
    r"/lifecycle/visible_after": grows("how long a new job is unknown", parse_span),
    r"/lifecycle/deadlines/[^/]+/default": shrinks("a deadline", parse_span, endless=True),
    r"/callbacks/timeout": shrinks("how long a receiver may take", parse_span),
    r"/callbacks/delay": always("unknown", "callbacks come at another time"),
    r"/idempotency/window": shrinks("how long a key is remembered", parse_span),
    r"/operations/[^/]+/(max_body|max_part)": shrinks("how large a body may be", parse_size),
    r"/assets/max_size": shrinks("how large an upload may be", parse_size),
    r"/limits/[^/]+/count": shrinks("a limit", _whole),
    r"/limits/[^/]+/window": grows("the window of a limit", parse_span),
}
_PLACES: dict[str, Judge] = {
    **_SPANNED,
    r"/(contract|provider|title)": always("compatible", "another name"),
    r"/origins/[^/]+": entry(("compatible", "a further host"), ("breaking", "a host is gone")),
    r"/origins/[^/]+/url": always("breaking", "another address"),
    r"/ids/[^/]+": entry(("compatible", "a further kind of value"), ("unknown", "a kind of value is gone")),
    r"/ids/[^/]+/pattern": always("unknown", "values of another form"),
    r"/ids/[^/]+/scope": always("unknown", "values that belong to something else"),
    r"/auth/accept": _auth,
    r"/account/unit": always("breaking", "another unit of money"),
    r"/account/funds": _funds,
    r"/account/charge": _charge,
    r"/account/balance": always("compatible", "another balance to begin with"),
    r"/lifecycle/states/[^/]+": entry(
        ("breaking", "a status word that clients do not know"), ("compatible", "a status word is gone")
    ),
    r"/lifecycle/states/[^/]+/is": always("breaking", "a status word means something else"),
    r"/lifecycle/ends/[^/]+": always("breaking", "an end is shown by another word"),
    r"/lifecycle/phases": _phases,
    r"/lifecycle/failures/[^/]+": entry(("unknown", "a further failure"), ("compatible", "a failure is gone")),
    r"/lifecycle/(failures/[^/]+/.*|default_failure)": always("unknown", "a failure looks otherwise"),
    r"/lifecycle/live.*": always("compatible", "only real runs show it"),
    r"/lifecycle/deadlines/[^/]+": _deadline,
    r"/lifecycle/deadlines/[^/]+/(covers|failure|then|field)": always("unknown", "a deadline works otherwise"),
    r"/errors/[^/]+": entry(("unknown", "a further refusal"), ("unknown", "a refusal is no longer told apart")),
    r"/errors/[^/]+/status": _error_status,
    r"/errors/[^/]+/headers/[^/]+": entry(("compatible", "a further header"), ("breaking", "a header is gone")),
    r"/errors/[^/]+/(values|envelope)(/.*)?": _TEMPLATE,
    r"/(views|envelopes|issues)(/.*)?": _TEMPLATE,
    r"/checks": always("unknown", "refusals in another order"),
    r"/models/[^/]+": entry(("compatible", "a further model"), ("breaking", "a model is gone")),
    r"/models/[^/]+/key": always("breaking", "a model is asked for by another name"),
    r"/models/[^/]+/status": _switched,
    r"/models/[^/]+/facts.*": always("compatible", "what is told about a model"),
    r"/models/[^/]+/output/(size|format|count|ext|quality)(/.*)?": always("breaking", "other pictures"),
    r"/models/[^/]+/output/result.*": _TEMPLATE,
    r"/models/[^/]+/(timing|picture).*": _timing,
    r"/operations/[^/]+": entry(("compatible", "a further operation"), ("breaking", "an operation is gone")),
    r"/operations/[^/]+/request": _request,
    r"/operations/[^/]+/(scope|owner)": always("breaking", "another permission is needed"),
    r"/operations/[^/]+/limits": loses("limits that count it", gain="breaking", loss="compatible"),
    r"/operations/[^/]+/from": loses("states in which it works"),
    r"/operations/[^/]+/waits": _waits,
    r"/operations/[^/]+/answers/[^/]+/status": always("breaking", "answered with another status"),
    r"/operations/[^/]+/answers/[^/]+/headers/[^/]+": entry(
        ("compatible", "a further header"), ("breaking", "a header is gone")
    ),
    r"/operations/[^/]+/answers/.*/(body|text)(/.*)?": _TEMPLATE,
    r"/operations/[^/]+/(becomes|page|where|on_invalid|on_empty|input|body|model|job|id).*": always(
        "breaking", "the operation works otherwise"
    ),
    r"/operations/[^/]+/checks": always("unknown", "refusals in another order"),
    r"/callbacks": entry(("compatible", "callbacks"), ("breaking", "no callbacks any more")),
    r"/callbacks/address": always("breaking", "the address stands elsewhere in the request"),
    r"/callbacks/events/[^/]+": entry(
        ("unknown", "a callback for a further end"), ("breaking", "no callback for an end")
    ),
    r"/callbacks/body.*": _TEMPLATE,
    r"/callbacks/headers/[^/]+": entry(("compatible", "a further header"), ("breaking", "a header is gone")),
    r"/callbacks/signature": entry(("compatible", "callbacks are signed"), ("breaking", "callbacks are not signed")),
    r"/callbacks/signature/.*": always("breaking", "callbacks are signed otherwise"),
    r"/callbacks/accept": loses("answers that count as received"),
    r"/callbacks/retry/delays": _retry_delays,
    r"/callbacks/retry/on": loses("outcomes that are tried again", gain="unknown"),
    r"/callbacks/retry/from": always("unknown", "pauses count from another moment"),
    r"/callbacks/(resend|words).*": always("unknown", "repeated callbacks look otherwise"),
    r"/urls/[^/]+": entry(("compatible", "a further kind of file"), ("breaking", "a kind of file is gone")),
    r"/urls/[^/]+/from": always("unknown", "the life of a URL counts from another moment"),
    r"/urls/[^/]+/.*": always("unknown", "URLs of another form"),
    r"/limits/[^/]+": _limit,
    r"/limits/[^/]+/headers/[^/]+": entry(("compatible", "a further header"), ("breaking", "a header is gone")),
    r"/limits/[^/]+/(kind|per).*": always("unknown", "a limit counts otherwise"),
    r"/assets": entry(("compatible", "uploads"), ("breaking", "no uploads any more")),
    r"/assets/key": always("unknown", "storage keys of another form"),
    r"/assets/media_types": loses("types that can be uploaded"),
    r"/idempotency": entry(("compatible", "keys are honoured"), ("breaking", "keys are no longer honoured")),
    r"/idempotency/(header|per).*": always("breaking", "keys are read otherwise"),
    r"/secrets": entry(("compatible", "signing secrets"), ("breaking", "no signing secrets any more")),
}
_TABLE: tuple[tuple[re.Pattern[str], Judge], ...] = tuple((re.compile(one), judge) for one, judge in _PLACES.items())
