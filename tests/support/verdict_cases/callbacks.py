"""Journals that break, or just keep, the rules about callbacks: what it is, the tale, now in seconds."""

from __future__ import annotations

from typing import Any

from support.tales import DAY, HOUR, Cases, Tale, called, called_back, done, ended

__all__ = ["BROKEN", "KEPT"]


def _late_failure(outcome: int = 200, *, at: float = 20, event: str = "run.failed", **facts: Any) -> Tale:
    """A job that failed, was run again and succeeded, which the client saw; the failure's callback comes late."""
    tale = called_back().end(4, "failed").poll(5, "failed").ask(6, "retry", state="queued", word="IN_QUEUE").end(8)
    return tale.poll(10, "succeeded").file(10).attempt(at, outcome, event=event, **facts)


BROKEN: Cases = {
    "lost-callback-not-reconciled": [
        ("the receiver was down", called().ladder(503, 503, 503), 2 * HOUR),
        ("the provider lost it and thinks that it came", called().attempt(4, "lost", fault="lose"), 2 * HOUR),
        ("and says that it has given up", called().ladder(503).note(9, "gave_up"), 2 * HOUR),
        ("none is made of such an end", called_back().end(4, "cancelled"), 2 * HOUR),
        ("what it says of the time before is no news", called_back().note(2, "failed").end(4).ladder(503), 2 * HOUR),
        ("an hour ago", called(), 4 + HOUR),
        ("it asked something else", called().ladder(503).request(HOUR, "models", "/v2/models"), 4 * HOUR),
        (
            "the answer was lost, and it found the job all the same",
            Tale().submit(address="http://h/", fault="lose reset").poll(1).end(4).ladder(503),
            2 * HOUR,
        ),
    ],
    "slow-acknowledgement": [
        ("and accepted the second time", called().attempt(4, "timeout").attempt(15, number=2), 20),
    ],
    "processed-twice": [
        ("once per copy", called().attempt(4).attempt(4).note(5, "processed").note(5, "processed"), 9),
    ],
    "accepted-bad-signature": [
        ("signed by somebody else", called().attempt(4, signature="wrong"), 9),
        ("signed for older bytes", called().attempt(4, signature="stale"), 9),
        ("the signature is missing", called().attempt(4, signature="none", fault="sign missing"), 9),
        ("the bytes were changed", called().attempt(4, signature="wrong", fault="tamper body"), 9),
        ("written anew on the way", called().attempt(4, fault="reserialise"), 9),
    ],
    "refused-good-signature": [
        ("400", called().attempt(4, 400), 9),
        ("401", called().attempt(4, 401), 9),
        ("403", called().attempt(4, 403), 9),
    ],
    "refused-old-secret": [
        ("its signature is old", called().attempt(4, 401, signature="old"), 9),
    ],
    "redirected-callback": [("to https", called().attempt(4, 301), 9)],
    "refused-unknown-job": [
        ("it came before the answer", Tale().submit(address="http://h/", ended=5).end(4).attempt(4, 404), 9),
        ("gone", called().attempt(4, 410), 9),
    ],
    "believed-old-event": [
        ("and says so", _late_failure().note(21, "believes", "FAILED"), 30),
        ("and has it run again", _late_failure().ask(21, "retry", status=409, cause="job_state"), 30),
    ],
    "redelivery-storm": [
        ("four within the hour", called().asks("redeliver", [10, 20, 30, 40]), 50),
    ],
}

KEPT: Cases = {
    "lost-callback-not-reconciled": [
        (
            "nothing but a tampered callback told of the job",
            Tale().submit(address="http://h/", fault="lose reset").end(4).attempt(4, fault="tamper body"),
            4 * HOUR,
        ),
        ("it looked for itself", called().ladder(503, 503, 503).poll(HOUR, "succeeded").file(HOUR), 4 * HOUR),
        ("it read the list", called().ladder(503, 503, 503).request(HOUR, "list", "/v2/runs"), 4 * HOUR),
        ("the last try was taken", called().ladder(503, 503, 200), 4 * HOUR),
        ("there is time yet", called().ladder(503, 503, 503), HOUR / 2),
        ("it had seen the end already", called().poll(4, "succeeded").file(4).ladder(503), 4 * HOUR),
        (
            "the receiver had it all the same",
            called().attempt(4, "network", fault="reset_after").note(5, "processed"),
            4 * HOUR,
        ),
        ("no callback was asked for", ended(), 2 * HOUR),
        ("it looked in that moment", called().poll(4).ladder(503), 4 * HOUR),
        ("it read the list in that moment", called().request(4, "list", "/v2/runs").ladder(503), 4 * HOUR),
        (
            "it swept the queue itself",
            called_back().request(4, "purge", "/v2/acme-dev/purge-queue", method="POST").end(4, "cancelled"),
            4 * HOUR,
        ),
    ],
    "slow-acknowledgement": [
        ("nobody was there", called().attempt(4, "network").attempt(5, number=2), 9),
        ("the last try", called().attempt(4, 503).attempt(5, "timeout", number=2), 20),
        ("the body came in drops", called().attempt(4, "timeout", fault="drip").attempt(15, number=2), 20),
    ],
    "processed-twice": [
        ("two copies, one claim", called().attempt(4).attempt(4).note(5, "processed"), 9),
        ("it was run again", ended().note(5, "processed").end(9).note(10, "processed"), 12),
        ("two jobs", done().note(6, "processed").submit(7, "J2").end(8, job="J2").note(9, "processed", job="J2"), 12),
    ],
    "accepted-bad-signature": [
        ("refused", called().attempt(4, 401, signature="wrong"), 9),
        ("good", called().attempt(4), 9),
        ("there is no secret", called().attempt(4, signature="none", fault="tamper body"), 9),
        ("nothing was sent", called().attempt(4, signature="wrong", fault="answer"), 9),
        ("by the secret before", called().attempt(4, signature="wrong", fault="sign rotated"), 9),
    ],
    "refused-good-signature": [
        ("a wrong one", called().attempt(4, 401, signature="wrong"), 9),
        ("a proxy answered", called().attempt(4, 401, fault="answer"), 9),
        ("its own trouble", called().attempt(4, 503), 9),
        ("an unsigned one", called().attempt(4, 401, signature="none"), 9),
        ("written anew on the way", called().attempt(4, 401, fault="reserialise"), 9),
    ],
    "refused-old-secret": [
        ("accepted", called().attempt(4, signature="old"), 9),
        ("a stranger's", called().attempt(4, 401, signature="wrong", fault="sign wrong"), 9),
    ],
    "redirected-callback": [
        ("a proxy did", called().attempt(4, 301, fault="answer"), 9),
        ("204", called().attempt(4, 204), 9),
    ],
    "refused-unknown-job": [
        ("a limit", called().attempt(4, 429), 9),
        ("its own trouble", called().attempt(4, 500), 9),
        ("a proxy did", called().attempt(4, 404, fault="answer"), 9),
    ],
    "believed-old-event": [
        ("it came before the news", _late_failure(at=9).note(9, "believes", "FAILED"), 30),
        ("and is passed over", _late_failure().note(21, "believes", "COMPLETED"), 30),
        ("tampered with on the way", _late_failure(fault="tamper body").note(21, "believes", "FAILED"), 30),
        ("refused", _late_failure(400).note(21, "believes", "FAILED"), 30),
        ("about the last end", _late_failure(event="run.completed").note(21, "believes", "FAILED"), 30),
        ("it believed so before", _late_failure().note(11, "believes", "FAILED"), 30),
        ("it says something else", _late_failure().note(21, "processed", "FAILED"), 30),
        ("a word that nobody knows", _late_failure().note(21, "believes", "BROKEN"), 30),
        ("it reads the record", _late_failure().poll(21, "succeeded"), 30),
    ],
    "redelivery-storm": [
        ("three", called().asks("redeliver", [10, 20, 30]), 50),
        ("one a day", called().asks("redeliver", [DAY, 2 * DAY, 3 * DAY, 4 * DAY]), 5 * DAY),
        ("refused ones", called_back().asks("redeliver", [1, 2, 3, 4], status=409), 5),
        ("four in an hour", called().asks("redeliver", [10, 20, 30, 10 + HOUR]), 2 * HOUR),
    ],
}
