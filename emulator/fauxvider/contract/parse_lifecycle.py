"""Sections 5 to 9 of a contract: origins, ids, auth, account and lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from fauxvider.contract.model import (
    Account,
    Auth,
    AuthHeader,
    Canonical,
    Deadline,
    Failure,
    IdKind,
    LiveFailure,
    Origin,
    Phase,
    Span,
    State,
)
from fauxvider.contract.nodes import Node

__all__ = [
    "Lifecycle", "account_of", "auth_of", "ids_of", "lifecycle_of", "origins_of", "span_law",
]  # fmt: skip

_UNITS = {"ms": 1, "s": 1000}
_ENDS = ("succeeded", "failed", "cancelled", "timed_out", "moderated", "expired")
# An end that has no word of its own is shown as another one.
_SHOWN_AS = {"timed_out": "failed", "moderated": "failed", "expired": "failed", "cancelled": ""}


@dataclass(frozen=True, slots=True)
class Lifecycle:
    states: Mapping[str, State]
    phases: tuple[Phase, ...]
    ends: Mapping[str, State]
    failures: Mapping[str, Failure]
    default_failure: str
    live: Mapping[LiveFailure, str]
    deadlines: tuple[Deadline, ...]
    visible_after: int
    removal: int | None


def origins_of(root: Node) -> dict[str, Origin]:
    found: dict[str, Origin] = {}
    for node in root.at("origins").entries():
        url = node.text("url")
        found[node.name] = Origin(node.name, url, urlsplit(url).netloc)
    return found


def ids_of(root: Node) -> dict[str, IdKind]:
    return {
        node.name: IdKind(node.name, node.text("scope"), node.at("pattern").tokens())
        for node in root.at("ids").entries()
    }


def auth_of(root: Node) -> Auth:
    accept = root.at("auth").at("accept")
    return Auth(tuple(AuthHeader(node.text("header").lower(), node.text("scheme")) for node in accept.elements()))


def account_of(root: Node) -> Account:
    node = root.at("account")
    return Account(
        unit=node.text("unit"),
        balance=node.decimal("balance"),
        funds=cast("Any", node.text("funds", "off")),
        charge=frozenset(node.names_list("charge", ("succeeded",))),
    )


def lifecycle_of(root: Node) -> Lifecycle:
    node = root.at("lifecycle")
    states = {one.name: _state(one) for one in node.at("states").entries()}
    failures = {one.name: _failure(one, states) for one in node.at("failures").entries()}
    fallback = next((name for name, failure in failures.items() if failure.end == "failed"), "")
    default = node.chosen("default_failure", failures, "failure", fallback)
    return Lifecycle(
        states=states,
        phases=tuple(_phase(one, states) for one in node.at("phases").elements()),
        ends=_ends(node.at("ends"), states),
        failures=failures,
        default_failure=default,
        live=_live(node.at("live"), failures, default),
        deadlines=tuple(_deadline(one, failures) for one in node.at("deadlines").entries()),
        visible_after=node.span("visible_after"),
        removal=node.at("removal").span_or_none("after"),
    )


def span_law(node: Node) -> Span:
    """Read a span, or a law that gives one."""
    if not isinstance(node.value, Mapping):
        return Span("fixed", low=node.as_span())
    spread = int(Decimal(str(node.at("spread").value or 0)) * 1_000_000)
    if node.has("uniform"):
        low, high = (one.as_span() for one in node.at("uniform").elements())
        if low > high:
            raise node.at("uniform").wrong("the first span is longer than the second")
        return Span("uniform", low=low, high=high)
    if node.has("around"):
        middle = node.span("around")
        return Span("around", low=middle, high=middle, spread=spread)
    if not node.has("work"):
        raise node.wrong("a span law is missing", allowed=("a span", "uniform", "around", "work"))
    return _work_law(node.at("work"), spread)


def _work_law(work: Node, spread: int) -> Span:
    base, step = (_powers(work.at(name)) for name in ("base", "per_step"))
    by_size = work.flag("megapixels")
    first_base, first_step = base[0] // 1000, step[0] // 1000
    if by_size and len(step) > 1:
        raise work.at("megapixels").wrong("a list says already what a megapixel takes")
    is_plain = len(base) == len(step) == 1 and not any(micros % 1000 for micros in (*base, *step))
    return Span(
        "work",
        spread=spread,
        base=first_base,
        per_step=first_step,
        steps=work.template_at("steps"),
        strength=work.template_at("strength"),
        megapixels=by_size,
        base_law=() if is_plain else base,
        step_law=() if is_plain else (0, *step) if by_size else step,
    )


def _powers(node: Node) -> tuple[int, ...]:
    """Read a span, or a list of them (for any picture, a megapixel, a square megapixel), in microseconds."""
    return tuple(one.as_micros() for one in node.elements()) or (0,)


def _live(node: Node, failures: Mapping[str, Failure], default: str) -> dict[LiveFailure, str]:
    """Read which failure shows each way in which a real run can end; what is not said is the default one."""
    found: dict[LiveFailure, str] = {}
    for kind in get_args(LiveFailure):
        found[kind] = node.chosen(kind, failures, "failure", default)
        if node.has(kind) and failures[found[kind]].end == "succeeded":
            raise node.at(kind).wrong(f"{found[kind]!r} is a success, but there is no picture then")
    return found


def _state(node: Node) -> State:
    return State(node.name, cast("Canonical", node.text("is")), node.text("shown"))


def _phase(node: Node, states: Mapping[str, State]) -> Phase:
    state = states[node.chosen("state", states, "state")]
    if state.is_terminal:
        words = [word for word, other in states.items() if not other.is_terminal]
        raise node.at("state").wrong(f"{state.word!r} is an end, not a phase", allowed=words)
    return Phase(state, span_law(node.at("lasts")))


def _ends(node: Node, states: Mapping[str, State]) -> dict[str, State]:
    ends = {one.name: states[node.chosen(one.name, states, "state")] for one in node.entries()}
    for end in _ENDS:
        if end not in ends:
            own = [state for state in states.values() if state.canonical == end]
            if len(own) == 1:
                ends[end] = own[0]
    for end, other in _SHOWN_AS.items():
        if end not in ends and other in ends:
            ends[end] = ends[other]
    for end in ("succeeded", "failed"):
        if end not in ends:
            raise node.wrong(f"the word for {end!r} is missing")
    return ends


def _failure(node: Node, states: Mapping[str, State]) -> Failure:
    word = node.chosen("word", states, "state", "")
    return Failure(
        name=node.name,
        end=cast("Canonical", node.text("end")),
        after=cast("Any", node.text("after", "running")),
        values=node.templates("values"),
        state=states[word] if word else None,
    )


def _deadline(node: Node, failures: Mapping[str, Failure]) -> Deadline:
    if node.has("failure") == node.has("then"):
        raise node.wrong("exactly one of the keys 'failure' and 'then' belongs here")
    return Deadline(
        name=node.name,
        pointer=node.steps("field"),
        header=node.text("header").lower(),
        unit=_UNITS[node.text("unit", "ms")],
        default=node.span_or_none("default"),
        covers=cast("Any", node.text("covers")),
        failure=node.chosen("failure", failures, "failure"),
    )
