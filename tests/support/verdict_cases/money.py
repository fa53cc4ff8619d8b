"""Journals that break, or just keep, the rules about money: what it is, the tale, now in seconds."""

from __future__ import annotations

from support.tales import DAY, HOUR, MINUTE, Cases, Tale, called, done, ended, submitted, told

__all__ = ["BROKEN", "KEPT"]

BROKEN: Cases = {
    "retried-without-key": [
        (
            "the answer was lost, the POST was sent again",
            Tale().submit(fault="lose reset").submit(1, "J2").end(4).end(5, job="J2"),
            10,
        ),
        ("a gateway's page came instead", Tale().submit(fault="lose", status=522).submit(1, "J2"), 10),
        ("the client did not wait for the held call", Tale().submit(ended=70).submit(60, "J2"), 80),
        ("the held call was never answered", Tale().submit(answered=False).submit(60, "J2"), 80),
        ("only the second had a key", Tale().submit(fault="garble json").submit(1, "J2", intent="i1"), 10),
    ],
    "retried-with-new-key": [
        ("a key per try", Tale().submit(intent="i1", fault="lose reset").submit(1, "J2", intent="i2"), 10),
    ],
    "reused-key": [("one key, two bodies", done().refused(6, "conflict", 409, fingerprint="f2"), 10)],
    "cancelled-too-late": [
        ("after the end", ended().ask(9, "cancel", state="succeeded", word="COMPLETED"), 10),
    ],
    "paid-never-fetched": [
        ("a poll told it", told(), 2 * HOUR),
        ("a callback told it", called().attempt(4), 2 * HOUR),
    ],
    "came-after-retention": [
        ("the record lives a minute", Tale().submit(operation="runsync").end(4).denied(4 + MINUTE + 1), 2 * MINUTE),
    ],
}

KEPT: Cases = {
    "retried-without-key": [
        ("the same picture was wanted twice", submitted().submit(1, "J2"), 10),
        ("another request", Tale().submit(fault="lose reset").submit(1, "J2", fingerprint="f2"), 10),
        ("the first was refused", Tale().refused(0, "unavailable", 503).submit(1, "J2"), 10),
        ("it costs nothing", Tale().submit(fault="lose reset", price="0").submit(1, "J2", price="0"), 10),
        ("two held calls at once", Tale().submit(ended=70).submit(1, "J2", ended=71), 80),
        ("two days later", Tale().submit(fault="lose reset").submit(2 * DAY, "J2"), 2 * DAY),
    ],
    "retried-with-new-key": [
        ("replayed under the same key", Tale().submit(intent="i1", fault="lose reset").replayed(), 10),
        ("two intents", Tale().submit(intent="i1").submit(1, "J2", intent="i2"), 10),
    ],
    "reused-key": [("a conflict of another kind", done().ask(6, "retry", status=409, cause="job_state"), 10)],
    "cancelled-too-late": [
        ("before the end", submitted().ask(2, "cancel", state="cancelled", word="CANCELLED").end(2, "cancelled"), 10),
        (
            "and a download was tried",
            ended().ask(5, "cancel", state="succeeded", word="COMPLETED").file(6, status=502),
            10,
        ),
        ("and fetched", ended().ask(5, "cancel", state="succeeded", word="COMPLETED").file(6), 10),
        ("a failed one", submitted().end(4, "failed").ask(5, "cancel", state="failed", word="FAILED"), 10),
    ],
    "paid-never-fetched": [
        ("fetched", done(), 2 * HOUR),
        ("there is time yet", told(), HOUR / 2),
        ("nothing was charged", submitted().end(4, billed=False).poll(5, "succeeded"), 2 * HOUR),
        ("tried, and failed", told().file(6, status=502), 2 * HOUR),
    ],
    "came-after-retention": [
        (
            "another answer was held back all the while",
            Tale().submit(operation="runsync").end(4).poll(2, job="J2", fault="slow", ended=99).denied(100),
            200,
        ),
        ("within the minute", Tale().submit(operation="runsync").end(4).poll(4 + MINUTE - 1, "succeeded"), 2 * MINUTE),
        ("the record went early", Tale().submit(operation="runsync").end(4).denied(9), 2 * MINUTE),
        (
            "it had been told before",
            Tale().submit(operation="runsync", state="succeeded", word="COMPLETED", ended=4).end(4).denied(100),
            200,
        ),
    ],
}
