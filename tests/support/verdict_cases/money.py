"""Journals that break, or just keep, the rules about money: what it is, the tale, now in seconds."""

from __future__ import annotations

from typing import Any

from support.tales import DAY, HOUR, MINUTE, Cases, Tale, called, done, ended, submitted, told

__all__ = ["BROKEN", "KEPT"]


def _again(look: Tale, **facts: Any) -> Tale:
    """A look at J1 in trouble, and the same request again."""
    return look.submit(9, "J2", **facts).end(12, job="J2").poll(13, "succeeded", "J2").file(13, "J2")


def _bought(budget: str, *costs: str, said: str = "budget", shown: bool = True) -> Tale:
    """Pictures bought one after the other, each answer telling the cost of the one that is done."""
    tale = Tale().note(0, said, budget, job="")
    for at, cost in enumerate(costs):
        job = f"J{at}"
        tale.submit(at, job, fingerprint=f"f{at}", price=cost).end(at + 0.1, job=job, billed=False)
        tale.add(at + 0.1, "charged", provider="acme", job=job, amount=cost, unit="USD", rule="/models/dev/cost")
        tale.poll(at + 0.2, "succeeded", job, shown_cost=cost if shown else "").file(at + 0.2, job)
    return tale


BROKEN: Cases = {
    "retried-without-key": [
        (
            "the answer was lost, the POST was sent again",
            Tale().submit(fault="lose reset").submit(1, "J2").end(4).end(5, job="J2"),
            10,
        ),
        ("a gateway's page came instead", Tale().submit(fault="lose", status=522).submit(1, "J2"), 10),
        ("the client did not wait for the held call", Tale().submit(ended=70).submit(60, "J2"), 80),
        ("five seconds are enough to lose patience", Tale().submit(ended=70).submit(5, "J2"), 80),
        ("the server's own trouble, without a scenario", Tale().submit(status=500).submit(1, "J2"), 10),
        ("the held call was never answered", Tale().submit(answered=False).submit(60, "J2"), 80),
        ("only the second had a key", Tale().submit(fault="garble json").submit(1, "J2", intent="i1"), 10),
        ("only the first had a key", Tale().submit(fault="garble json", intent="i1").submit(1, "J2"), 10),
    ],
    "retried-with-new-key": [
        ("a key per try", Tale().submit(intent="i1", fault="lose reset").submit(1, "J2", intent="i2"), 10),
    ],
    "ordered-again": [
        ("a 502", _again(submitted().poll(2, status=502, state="", word="").end(4)), 2 * HOUR),
        ("throttled", _again(submitted().poll(2, status=429, state="", word="").end(4)), 2 * HOUR),
        ("in drops", _again(ended().poll(8, "succeeded", fault="drip 2s")), 2 * HOUR),
        ("lost, after the end", _again(ended().poll(8, "succeeded", fault="lose hang")), 2 * HOUR),
        ("a 500", _again(submitted().poll(2, status=500, state="", word="").end(4)), 2 * HOUR),
    ],
    "passed-own-budget": [
        ("the price went up", _bought("0.07 USD", "0.02", "0.03", "0.03"), 9),
        (
            "two are under way",
            _bought("0.07 USD", "0.02")
            .submit(2, "J8", fingerprint="f8")
            .submit(2, "J9", fingerprint="f9")
            .submit(3, "J7", fingerprint="f7")
            .end(4, job="J7")
            .end(4, job="J8")
            .end(4, job="J9"),
            9,
        ),
        (
            "one was under way, and its end was told later",
            _bought("0.05 USD", "0.02")
            .submit(2, "J8", fingerprint="f8")
            .submit(3, "J9", fingerprint="f9")
            .end(4, job="J8")
            .end(4, job="J9")
            .poll(5, "succeeded", "J8"),
            9,
        ),
        (
            "it took another one",
            _bought("9 USD", "0.02")
            .note(1, "budget", "0.01 USD", job="")
            .submit(2, "J8")
            .end(3, job="J8")
            .poll(4, "succeeded", "J8", shown_cost="0.02")
            .submit(5, "J9")
            .end(6, job="J9"),
            9,
        ),
        (
            "told at the moment of the order",
            Tale()
            .note(0, "budget", "0.03 USD", job="")
            .submit()
            .end(1)
            .poll(1, "succeeded", shown_cost="0.02")
            .file(1)
            .submit(1, "J2", fingerprint="f2")
            .end(2, job="J2"),
            9,
        ),
        (
            "what failed in between showed no price",
            _bought("0.05 USD", "0.02", "0.02")
            .submit(2, "J8", fingerprint="f8")
            .end(3, "failed", job="J8")
            .poll(3, "failed", "J8", shown_cost="0")
            .submit(4, "J9", fingerprint="f9")
            .end(5, job="J9"),
            9,
        ),
    ],
    "reused-key": [("one key, two bodies", done().refused(6, "conflict", 409, fingerprint="f2"), 10)],
    "cancelled-too-late": [
        ("after the end", ended().ask(9, "cancel", state="succeeded", word="COMPLETED"), 10),
        ("at the very moment", ended().ask(4, "cancel", state="succeeded", word="COMPLETED"), 10),
    ],
    "paid-never-fetched": [
        ("a poll told it", told(), 2 * HOUR),
        ("a callback told it", called().attempt(4), 2 * HOUR),
        ("an hour later", told(), HOUR + 4),
    ],
    "came-after-retention": [
        ("the record lives a minute", Tale().submit(operation="runsync").end(4).denied(4 + MINUTE + 1), 2 * MINUTE),
        ("it had looked before the end", Tale().submit(operation="runsync").poll(2).end(4).denied(100), 200),
    ],
}

KEPT: Cases = {
    "retried-without-key": [
        ("the same picture was wanted twice", submitted().submit(1, "J2"), 10),
        ("another request", Tale().submit(fault="lose reset").submit(1, "J2", fingerprint="f2"), 10),
        ("the first was refused", Tale().refused(0, "unavailable", 503).submit(1, "J2"), 10),
        ("it costs nothing", Tale().submit(fault="lose reset", price="0").submit(1, "J2", price="0"), 10),
        ("the first was just answered", Tale().submit(ended=60).submit(60, "J2"), 80),
        ("once more, much later", submitted().submit(60, "J2"), 80),
        (
            "nobody knows the bodies",
            Tale().submit(fault="lose reset", fingerprint="").submit(1, "J2", fingerprint=""),
            10,
        ),
        ("a moment less", Tale().submit(ended=70).submit(4.999, "J2"), 80),
        ("two held calls at once", Tale().submit(ended=70).submit(1, "J2", ended=71), 80),
        ("two days later", Tale().submit(fault="lose reset").submit(2 * DAY, "J2"), 2 * DAY),
    ],
    "retried-with-new-key": [
        ("replayed under the same key", Tale().submit(intent="i1", fault="lose reset").replayed(), 10),
        ("two intents", Tale().submit(intent="i1").submit(1, "J2", intent="i2"), 10),
        ("only the second had a key", Tale().submit(fault="lose reset").submit(1, "J2", intent="i2"), 10),
        ("only the first had a key", Tale().submit(fault="lose reset", intent="i1").submit(1, "J2"), 10),
        (
            "the same key, and the provider made two",
            Tale().submit(fault="lose reset", intent="i1").submit(1, "J2", intent="i1"),
            10,
        ),
    ],
    "ordered-again": [
        (
            "the first was looked at again",
            _again(submitted().poll(2, status=502, state="", word="").end(4)).poll(20),
            30,
        ),
        ("and fetched", _again(ended().poll(8, "succeeded", fault="drip 2s")).file(20), 30),
        ("the look went well", _again(ended().poll(8, "succeeded")), 30),
        ("it had failed", _again(submitted().end(4, "failed").poll(8, "failed", fault="drip 2s")), 30),
        ("another picture", _again(ended().poll(8, fault="drip 2s"), fingerprint="f2"), 30),
        ("the record is gone", _again(ended().denied(8)), 30),
        ("the key is refused", _again(ended().poll(8, status=401, state="", word="")), 30),
        (
            "before the look",
            submitted().submit(1, "J2").end(4).poll(8, "succeeded", fault="drip 2s").end(4, job="J2"),
            30,
        ),
        ("the other one failed", ended().poll(8, fault="drip 2s").submit(9, "J2").end(12, "failed", job="J2"), 30),
        (
            "two days later",
            ended().poll(8, fault="drip 2s").submit(2 * DAY + 9, "J2").end(2 * DAY + 12, job="J2"),
            3 * DAY,
        ),
        ("the last that was asked is no look", _again(submitted().ask(2, "cancel", status=502).end(4)), 30),
        ("the record is gone, and said so slowly", _again(ended().denied(8, fault="drip 2s")), 30),
        ("nothing was ordered", submitted().poll(0, fault="drip 2s").end(4), 30),
        ("of another model", _again(ended().poll(8, fault="drip 2s"), model="fast"), 30),
    ],
    "passed-own-budget": [
        ("to the last cent", _bought("0.08 USD", "0.02", "0.03", "0.03"), 9),
        ("the price went up with the last one", _bought("0.07 USD", "0.02", "0.02", "0.04"), 9),
        ("it went down in between", _bought("0.07 USD", "0.03", "0.02", "0.03"), 9),
        ("no cost was ever shown", _bought("0.07 USD", "0.02", "0.03", "0.03", shown=False), 9),
        ("in another unit", _bought("0.07 credits", "0.02", "0.03", "0.03"), 9),
        ("nobody can read it", _bought("seven", "0.02", "0.03", "0.03"), 9),
        ("it is no budget", _bought("0.07 USD", "0.02", "0.03", "0.03", said="believes"), 9),
        (
            "more was allowed in time",
            _bought("0.03 USD", "0.02").note(1, "budget", "9 USD", job="").submit(2, "J8").end(3, job="J8"),
            9,
        ),
        ("it failed and cost nothing", _bought("0.03 USD", "0.02").submit(2, "J8").end(3, "failed", job="J8"), 9),
        (
            "what was ordered before it",
            Tale()
            .submit()
            .end(4)
            .poll(5, "succeeded", shown_cost="0.02")
            .file(5)
            .note(6, "budget", "0.03 USD", job="")
            .submit(7, "J2")
            .end(8, job="J2"),
            9,
        ),
        (
            "the cost came with an answer that was lost",
            Tale()
            .note(0, "budget", "0.03 USD", job="")
            .submit()
            .end(1)
            .poll(2, "succeeded", shown_cost="0.02", fault="lose reset")
            .submit(3, "J2", fingerprint="f2")
            .end(4, job="J2"),
            9,
        ),
        (
            "the cost was shown afterwards",
            Tale()
            .note(0, "budget", "0.03 USD", job="")
            .submit()
            .end(1)
            .submit(3, "J2", fingerprint="f2")
            .poll(4, "succeeded", shown_cost="0.02")
            .end(5, job="J2"),
            9,
        ),
        (
            "another model has another price",
            _bought("0.03 USD", "0.02").submit(2, "J9", fingerprint="f9", model="fast").end(3, job="J9"),
            9,
        ),
        ("it got by: the last one was cheaper", _bought("0.08 USD", "0.02", "0.04", "0.02"), 9),
        (
            "one had failed, and the last one was dearer",
            _bought("0.05 USD", "0.02")
            .submit(2, "J8", fingerprint="f8")
            .end(3, "failed", job="J8")
            .poll(3, "failed", "J8")
            .submit(4, "J9", fingerprint="f9")
            .end(5, job="J9", billed=False)
            .add(5, "charged", provider="acme", job="J9", amount="0.04", unit="USD"),
            9,
        ),
        (
            "the cost was shown before the end",
            _bought("0.05 USD")
            .submit()
            .poll(1, shown_cost="0.02")
            .submit(2, "J2", fingerprint="f2")
            .end(3)
            .end(3, job="J2", billed=False)
            .add(3, "charged", provider="acme", job="J2", amount="0.04", unit="USD"),
            9,
        ),
    ],
    "reused-key": [
        ("a conflict of another kind", done().ask(6, "retry", status=409, cause="job_state"), 10),
        ("a conflict of a cancel", done().ask(6, "cancel", status=409, cause="conflict"), 10),
        ("a scenario says so", done().refused(6, "conflict", 409, fingerprint="f2", fault="refuse conflict"), 10),
    ],
    "cancelled-too-late": [
        ("before the end", submitted().ask(2, "cancel", state="cancelled", word="CANCELLED").end(2, "cancelled"), 10),
        (
            "and a download was tried",
            ended().ask(5, "cancel", state="succeeded", word="COMPLETED").file(6, status=502),
            10,
        ),
        ("and fetched", ended().ask(5, "cancel", state="succeeded", word="COMPLETED").file(6), 10),
        ("a failed one", submitted().end(4, "failed").ask(5, "cancel", state="failed", word="FAILED"), 10),
        (
            "it was cancelled already, and cost something",
            submitted().end(4, "cancelled", billed=True).ask(5, "cancel", state="cancelled", word="CANCELLED"),
            10,
        ),
        ("it cost nothing", submitted().end(4, billed=False).ask(5, "cancel", state="succeeded", word="COMPLETED"), 10),
        (
            "there was no link",
            submitted().fault(0, "empty_url").end(4).ask(5, "cancel", state="succeeded", word="COMPLETED"),
            10,
        ),
        ("it asked something else", ended().ask(9, "deliveries"), 10),
        ("the cancel was refused", ended().ask(9, "cancel", status=409, cause="job_state"), 10),
        ("in time, and without effect", submitted().ask(2, "cancel", state="running", word="IN_PROGRESS").end(4), 10),
    ],
    "paid-never-fetched": [
        ("fetched", done(), 2 * HOUR),
        ("there is time yet", told(), HOUR / 2),
        ("nothing was charged", submitted().end(4, billed=False).poll(5, "succeeded"), 2 * HOUR),
        ("tried, and failed", told().file(6, status=502), 2 * HOUR),
        (
            "it was cancelled, and cost something",
            submitted().end(4, "cancelled", billed=True).poll(5, "cancelled"),
            2 * HOUR,
        ),
        ("there was no link", submitted().fault(0, "empty_url").end(4).poll(5, "succeeded"), 2 * HOUR),
        ("another one was ordered in its place", _again(ended().poll(8, "succeeded", fault="drip 2s")), 2 * HOUR),
        ("the link is dead by now", told(), 8 * DAY),
        ("it was cancelled afterwards", told().ask(6, "cancel", state="succeeded", word="COMPLETED"), 2 * HOUR),
        ("only a tampered callback told it", called().attempt(4, fault="tamper body"), 2 * HOUR),
        ("the answer came very late", ended().poll(5, "succeeded", fault="slow", ended=55), 2 * HOUR),
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
        ("it failed", Tale().submit(operation="runsync").end(4, "failed").denied(100), 200),
        (
            "it was cancelled, and cost something",
            Tale().submit(operation="runsync").end(4, "cancelled", billed=True).denied(100),
            200,
        ),
        ("it cost nothing", Tale().submit(operation="runsync").end(4, billed=False).denied(100), 200),
        ("nobody knew its name", Tale().submit(operation="runsync", fault="lose reset").end(4).denied(100), 200),
        ("records of this kind are kept", submitted().end(4).denied(2 * DAY), 3 * DAY),
        ("nobody looked", Tale().submit(operation="runsync").end(4), 200),
        (
            "the look was in vain for another reason",
            Tale().submit(operation="runsync").end(4).poll(100, status=502, state="", word=""),
            200,
        ),
        ("in the last moment", Tale().submit(operation="runsync").end(4).denied(4 + MINUTE), 200),
    ],
}
