"""What can go wrong at a provider, fault by fault: which a contract lets happen, and with what arguments.

*Legal* is what the provider may do and still be as its contract says: documented refusals, failures and ends,
a network that loses things, callbacks late, twice or in another order. All else (undocumented words, states
that go back, files that are not what was asked for, forged callbacks) is *near-legal*: seen in the wild, but
a client that stumbles over it has an excuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from fauxvider.contract.model import Contract
from fauxvider.scenario.model import Stage
from fauxvider.values import span_text

__all__ = ["Kind", "kinds_of", "spans_of"]

Values: TypeAlias = st.SearchStrategy[Any]

# Causes that are no fault of the request: any request may meet them.
_OUTSIDE: Final = (
    "unavailable", "internal", "upstream", "origin_timeout", "rate", "funds", "auth_unknown", "auth_deleted",
    "auth_inactive", "scope_missing",
)  # fmt: skip
_SPANS: Final = ("1ms", "1s", "5s", "10s", "30s", "1m", "2m", "15m", "1h", "1d", "8d")
_DRIPS: Final = ("1ms", "20ms")  # of real time
_BODIES: Final[tuple[Any, ...]] = ({}, [], None, {"error": None}, {"status": "UNHEARD_OF"})
_TRUE: Final = st.just(value=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault of a contract: its stage and name, the strategy of its `do`, and whether it is legal there."""

    stage: Stage
    name: str
    do: Values = field(repr=False)
    legal: bool


def kinds_of(contract: Contract) -> list[Kind]:
    """Give every fault that a scenario for this contract can have."""
    found = [Kind(stage, name, do, legal) for stage, faults in _STAGES.items() for name, do, legal in faults(contract)]
    return [kind for kind in found if not kind.do.is_empty]


def spans_of(contract: Contract) -> Values:
    """Give spans that matter: round ones, and those that the contract itself names, to the millisecond."""
    named = [deadline.default for deadline in contract.deadlines]
    named += [url.lives for url in contract.urls.values()]
    named += [operation.keeps for operation in contract.operations.values()]
    if contract.callbacks is not None:
        named += [contract.callbacks.timeout, *contract.callbacks.retry.delays]
    own = sorted({span + step for span in named if span for step in (-1, 0, 1)})
    return st.sampled_from([*_SPANS, *(text for text in map(span_text, own) if text not in _SPANS)])


_Fault: TypeAlias = tuple[str, Values, bool]


def _one(name: str, value: Values) -> Values:
    return st.fixed_dictionaries({name: value})


def _names(names: Any) -> Values:
    listed = list(names)
    return st.sampled_from(listed) if listed else st.nothing()


def _requests(contract: Contract) -> Iterator[_Fault]:
    own = [name for name, face in contract.errors.items() if "@" not in name and face.cause == name]
    outside = [name for name in _OUTSIDE if name in own]
    refusals: list[dict[str, str]] = [{"refuse": name} for name in outside]
    refusals += [
        {"refuse": name, "retry_after": span}
        for name in outside
        if name in ("rate", "unavailable")
        for span in ("1s", "30s")
    ]
    yield "refuse", _names(refusals), True
    yield "refuse", _one("refuse", _names(own)), False
    yield "slow", _one("slow", spans_of(contract)), True
    yield "lose", _one("lose", st.sampled_from(("reset", "truncate", "hang", "close"))), True
    yield "half_close", _one("half_close", _TRUE), True
    yield "drip", _one("drip", st.sampled_from(_DRIPS)), True
    page = {"status": st.sampled_from((502, 503, 504, 520)), "text": st.just("<html>bad gateway</html>")}
    strange = {"status": st.sampled_from((200, 202, 500)), "body": st.sampled_from(_BODIES)}
    gateway = st.fixed_dictionaries(page)
    yield "lose", _one("lose", st.just("html_522") | gateway), False
    yield "answer", _one("answer", gateway | st.fixed_dictionaries(strange)), False
    yield "garble", _one("garble", st.sampled_from(("json", "encoding", "length"))), False
    yield "garbage", _one("garbage", _TRUE), False


def _jobs(contract: Contract) -> Iterator[_Fault]:
    spans, words = spans_of(contract), list(contract.states)
    phases = [phase.state.word for phase in contract.phases]
    ends = {failure.end for failure in contract.failures.values()}
    lost = st.fixed_dictionaries({"after": spans, "ends": st.sampled_from(["succeeded", *contract.failures])})
    yield "slow", _one("slow", st.sampled_from((2, 10, 100)) | spans), True
    yield "fail", _one("fail", _names(contract.failures)), True
    yield "cancel", _one("cancel", spans), "cancelled" in contract.ends
    yield "moderate", _one("moderate", _TRUE), "moderated" in ends
    yield "time_out", _one("time_out", spans), "timed_out" in ends or any(one.failure for one in contract.deadlines)
    yield "lose_worker", _one("lose_worker", lost), True
    yield "stuck", _one("stuck", _names(phases)), False
    yield "words", _one("words", st.dictionaries(_names(words), _strange(contract), min_size=1, max_size=2)), False
    extra = {"word": _strange(contract), "after": _names(phases), "lasts": spans}
    yield "extra", _one("extra", st.fixed_dictionaries(extra)), False
    yield "hidden", _one("hidden", spans), contract.visible_after > 0
    yield "gone", _one("gone", spans), False
    flicker = {"word": _names(phases), "after": spans, "lasts": spans}
    yield "flicker", _one("flicker", st.fixed_dictionaries(flicker)), False


def _strange(contract: Contract) -> Values:
    """Give words for a state that the contract does not know."""
    words = ("UNHEARD_OF", "PENDING", "done", "")
    return _names(word for word in (*words, *map(str.lower, contract.states)) if word and word not in contract.states)


def _outputs(contract: Contract) -> Iterator[_Fault]:
    spans, shares = spans_of(contract), st.sampled_from((0, 0.5, 0.9))
    yield "truncate", _one("truncate", shares), True
    yield "reset", _one("reset", _TRUE), True
    yield "late", _one("late", spans), False
    yield "dies", _one("dies", spans), False
    yield "content_type", _one("content_type", st.sampled_from(("application/octet-stream", "text/html"))), False
    yield "short", _one("short", shares), False
    yield "resize", _one("resize", st.lists(st.sampled_from((1, 512, 1024)), min_size=2, max_size=2)), False
    for name in ("corrupt", "empty_url", "black", "no_range"):
        yield name, _one(name, _TRUE), False


def _deliveries(contract: Contract) -> Iterator[_Fault]:
    if contract.callbacks is None:
        return
    spans, few = spans_of(contract), st.integers(1, 3)
    yield "lose", _one("lose", _TRUE), True
    yield "duplicate", _one("duplicate", few), True
    yield "delay", _one("delay", spans), True
    yield "early", _one("early", _TRUE), True
    yield "hold", _one("hold", few), True
    yield "replay", _one("replay", spans), True


def _attempts(contract: Contract) -> Iterator[_Fault]:
    if contract.callbacks is None:
        return
    yield "lose", _one("lose", _TRUE), True
    yield "answer", _one("answer", st.sampled_from((301, 404, 410, 429, 500, 502, 503))), True
    yield "reset_after", _one("reset_after", _TRUE), True
    yield "drip", _one("drip", st.sampled_from(_DRIPS)), True
    if contract.callbacks.signature is not None:
        yield "sign", _one("sign", st.just("rotated")), contract.secrets is not None
        yield "sign", _one("sign", st.sampled_from(("wrong", "stale", "missing"))), False
    yield "tamper", _one("tamper", st.just("body")), False
    yield "reserialise", _one("reserialise", _TRUE), False


def _account(contract: Contract) -> Iterator[_Fault]:
    yield "balance", _one("balance", st.sampled_from(("0", "0.001", "-1"))), contract.account.funds != "off"
    quota = {"limit": _names(contract.limits), "count": st.integers(0, 3)}
    yield "quota", _one("quota", st.fixed_dictionaries(quota)), True
    readings = [st.fixed_dictionaries({name: _names(reading.cases)}) for name, reading in contract.readings.items()]
    yield "reading", _one("reading", st.one_of(*readings)), True


_STAGES: Final[Mapping[Stage, Callable[[Contract], Iterator[_Fault]]]] = {
    "request": _requests,
    "job": _jobs,
    "output": _outputs,
    "delivery": _deliveries,
    "attempt": _attempts,
    "account": _account,
}
