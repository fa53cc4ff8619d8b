"""Journal entries as docs/journal.md has them: a world with everything in it, and any legal ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unicodedata import category

from hypothesis import strategies as st

__all__ = [
    "START",
    "Entries",
    "charged",
    "entry",
    "everything",
    "is_tame",
    "legal_entries",
    "lost_answer",
    "poll",
    "submit",
]

START = 1_774_605_600_000  # 2026-03-27 10:00:00 UTC

Entries = list[dict[str, Any]]


def entry(at: int, kind: str, **facts: Any) -> dict[str, Any]:
    """Make one entry, `at` ms after the start; empty facts are left out."""
    kept = {name: value for name, value in facts.items() if value not in ("", None)}
    return {"at": START + at, "kind": kind, **kept}


def submit(at: int, number: int, job: str, **facts: Any) -> Entries:
    """A job is accepted: both entries, in the journal's order."""
    body = {"fingerprint": facts.pop("fingerprint", "f1"), "intent": facts.pop("intent", ""), "key": "k1"}
    about = {"provider": facts.pop("provider", "acme"), "job": job, "operation": "run", "number": number, **body}
    model, address = facts.pop("model", "dev"), facts.pop("address", "http://client.test/hook")
    path = facts.pop("path", "/v2/acme-dev/run")
    asked = {"does": "submit", "method": "POST", "path": path, "status": 201, "state": "queued", "word": "IN_QUEUE"}
    return [
        entry(at, "accepted", **about, model=model, price="0.02", address=address),
        entry(at, "request", **about, **{**asked, **facts}),
    ]


def charged(at: int, job: str, amount: str = "0.02", **facts: Any) -> dict[str, Any]:
    said = {"provider": "acme", "unit": "USD", "rule": "/models/dev/cost", **facts}
    return entry(at, "charged", job=job, amount=amount, **said)


def poll(at: int, number: int, job: str, state: str, word: str, **facts: Any) -> dict[str, Any]:
    said = {"provider": "acme", "does": "read", "operation": "status", "method": "GET", "status": 200, "key": "k1"}
    path = f"/v2/acme-dev/status/{job}"
    return entry(
        at, "request", **{**said, "path": path, "job": job, "number": number, "state": state, "word": word, **facts}
    )


def lost_answer() -> Entries:
    """The answer to a paid POST is lost, and the client sends it again."""
    return [
        entry(0, "fault", provider="acme", rule=1, name="lose", target="run"),
        *submit(0, 1, "J1", fault="lose reset"),
        entry(4_000, "ended", provider="acme", job="J1", state="succeeded", word="COMPLETED"),
        charged(4_000, "J1"),
        *submit(12_003, 2, "J2"),
        poll(13_000, 3, "J2", "running", "IN_PROGRESS"),
        entry(16_003, "ended", provider="acme", job="J2", state="succeeded", word="COMPLETED"),
        charged(16_003, "J2"),
        entry(
            16_003, "attempt", provider="acme", job="J2", delivery="D1", number=1, event="run.completed",
            address="http://client.test/hook", outcome="network", error="connection reset", due=START + 16_003,
            signature="good", digest="ab12",
        ),
        entry(
            17_003, "attempt", provider="acme", job="J2", delivery="D1", number=2, event="run.completed",
            address="http://client.test/hook", outcome="http", status=200, due=START + 16_003, signature="good",
            digest="ab12",
        ),
        poll(18_000, 4, "J2", "succeeded", "COMPLETED", shown_cost="0.02"),
    ]  # fmt: skip


def everything(put: Callable[[str], str] = lambda text: text) -> Entries:
    """A world with every kind of entry; whatever a client or a provider may name goes through `put`."""
    job, other = put("job-1"), put("job-2")
    acme = {"provider": put("acme")}
    says = {"model": put("dev"), "address": put("http://client.test/hook"), "path": put("/v2/acme-dev/run")}
    end = {"state": "failed", "word": put("FAILED"), "failure": put("handler_error")}
    call = {"event": put("run.completed"), "address": put("http://client.test/hook"), "delivery": put("D1"), **acme}

    def ask(at: int, does: str, path: str, status: int, **facts: Any) -> dict[str, Any]:
        return entry(at, "request", does=does, method=put("GET"), path=put(path), status=status, **{**acme, **facts})

    return [
        *submit(0, 1, job, **acme, **says),
        poll(500, 2, job, "queued", put("IN_QUEUE"), **acme),
        poll(900, 3, job, "running", put("IN_PROGRESS"), **acme),
        *(poll(1_000 + 99 * turn, 4 + turn, job, "running", put("IN_PROGRESS"), **acme) for turn in range(5)),
        *submit(1_500, 10, other, ended=START + 3_000, **acme, **says),
        ask(2_000, "cancel", "/cancel", 200, job=other, number=11),
        entry(2_100, "ended", job=other, state="cancelled", word=put("CANCELLED"), **acme),
        entry(2_500, "ended", job=job, **end, **acme),
        ask(2_600, "retry", "/retry", 200, job=job, number=12),
        entry(4_000, "ended", job=job, state="succeeded", word=put("COMPLETED"), **acme),
        charged(4_000, job, unit=put("USD"), rule=put("/models/dev/cost"), **acme),
        entry(4_000, "attempt", job=job, number=1, outcome="timeout", ended=START + 14_000, signature="wrong", **call),
        entry(14_500, "attempt", job=job, number=2, outcome="network", error=put("reset"), signature="good", **call),
        entry(15_500, "attempt", job=job, number=3, outcome="lost", fault="lose", signature="good", **call),
        entry(16_500, "attempt", job=job, number=4, outcome="http", status=200, signature="good", copies=2, **call),
        entry(17_000, "fault", rule=1, name=put("stuck"), target=put("nowhere"), **acme),
        ask(18_000, "read", "/v2/runs", 429, cause="rate", retry_after=3),
        ask(19_000, "unknown", "/teapot", 404, cause="path_unknown"),
        ask(20_000, "file", "/o.png", 200, job=job, leaks="key"),
        entry(21_000, "note", job=job, said="believes", text=put("it is done"), state=put("running")),
        ask(700_000_000, "file", "/o.png", 403, cause="url_expired"),
        entry(700_000_100, "dropped", what=put("entries"), count=7),
    ]


# --- any legal entries

_ODD = ["", "a", "b", "J1", "J2", "lose reset, slow", "\x1b[31m", "<b>", "\ud800", "\u202e", "x" * 400]
_TEXTS = st.one_of(st.sampled_from(_ODD), st.text(max_size=8))
_MONEY = st.one_of(
    st.sampled_from(["0", "0.02", "-1", "1E+3", "0.000000000000000000000000000001"]),
    st.decimals(min_value=-(10**6), max_value=10**6, places=4).map(str),
)
_MOMENTS = st.one_of(
    st.integers(START, START + 30_000),
    st.integers(0, 10**14),
    st.sampled_from([START, START + 604_800_000, START + 604_800_001]),
)
_STATES = st.sampled_from(
    ["queued", "running", "succeeded", "failed", "cancelled", "timed_out", "moderated", "expired", "", "strange"]
)
_WHOLES = st.integers(0, 700)
_FACTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "request": {
        **dict.fromkeys(("provider", "operation", "method", "path", "job", "cause", "key", "word", "intent"), _TEXTS),
        **dict.fromkeys(("fingerprint", "leaks", "fault"), _TEXTS),
        **dict.fromkeys(("status", "number", "retry_after", "slow"), _WHOLES),
        "does": st.sampled_from(["submit", "read", "stream", "cancel", "retry", "file", "unknown", "list"]),
        "state": _STATES,
        "ended": _MOMENTS,
        "shown_cost": _MONEY,
    },
    "accepted": {
        **dict.fromkeys(("provider", "job", "operation", "model", "intent", "fingerprint", "address", "key"), _TEXTS),
        "price": _MONEY,
        "number": _WHOLES,
    },
    "ended": {**dict.fromkeys(("provider", "job", "word", "failure"), _TEXTS), "state": _STATES},
    "charged": {**dict.fromkeys(("provider", "job", "unit", "rule"), _TEXTS), "amount": _MONEY},
    "attempt": {
        **dict.fromkeys(("provider", "job", "delivery", "event", "address", "error", "fault", "digest"), _TEXTS),
        **dict.fromkeys(("number", "status", "copies"), _WHOLES),
        **dict.fromkeys(("ended", "due"), _MOMENTS),
        "outcome": st.sampled_from(["http", "network", "timeout", "blocked", "lost"]),
        "signature": st.sampled_from(["none", "good", "wrong", "stale", "old"]),
    },
    "fault": {**dict.fromkeys(("provider", "name", "target"), _TEXTS), "rule": _WHOLES},
    "note": {
        **dict.fromkeys(("job", "text"), _TEXTS),
        "said": st.sampled_from(["processed", "saved", "failed", "gave_up", "believes"]),
        "more": st.one_of(_TEXTS, _WHOLES, st.booleans(), st.none()),
    },
    "dropped": {"what": _TEXTS, "count": _WHOLES},
}  # fmt: skip


@st.composite
def _one(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(_FACTS)))
    facts = draw(st.fixed_dictionaries({}, optional=_FACTS[kind]))
    return {"at": draw(_MOMENTS), "kind": kind, **{name: one for name, one in facts.items() if one not in ("", None)}}


def is_tame(text: str) -> bool:
    """Whether a terminal shows a text as it is: nothing that controls, turns or hides."""
    return not any(category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


def legal_entries(*, max_size: int = 25) -> st.SearchStrategy[Entries]:
    """Any list of entries that docs/journal.md allows, in any order."""
    return st.lists(_one(), max_size=max_size)
