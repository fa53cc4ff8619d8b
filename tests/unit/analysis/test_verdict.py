"""Each rule of the verdict on made-up journals: what breaks it, and the nearest thing that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.acme import changed_acme
from support.tales import DAY, HOUR, MINUTE, Tale

from fauxvider.analysis.verdict import RULES, Finding, judge, verdict_text
from fauxvider.clock import EPOCH
from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
# Links that live from the moment of the answer that showed them, as presigned ones do.
ISSUED = replace(ACME, urls={**ACME.urls, "output": replace(ACME.urls["output"], origin_moment="issue", lives=DAY * 1000)})

Told = Callable[[], Tale]


def findings(tale: Tale, now: float, contract: Contract = ACME) -> tuple[Finding, ...]:
    return judge(tale.entries, {"acme": contract}, now=EPOCH + round(now * 1000)).findings


def rules(tale: Tale, now: float, contract: Contract = ACME) -> set[str]:
    return {finding.rule for finding in findings(tale, now, contract)}


# --- tables: (what it is, tale, now in seconds). A rule's first broken case is its simplest.

BROKEN: dict[str, list[tuple[str, Told, float]]] = {
    "retried-without-key": [
        ("the answer was lost, the POST was sent again", lambda: Tale().submit(fault="lose reset").submit(1, "J2").end(4).end(5, job="J2"), 10),
        ("a gateway's page came instead", lambda: Tale().submit(fault="lose", status=522).submit(1, "J2"), 10),
        ("the client did not wait for the held call", lambda: Tale().submit(ended=70).submit(60, "J2"), 80),
        ("the held call was never answered", lambda: Tale().submit(answered=False).submit(60, "J2"), 80),
        ("only the second had a key", lambda: Tale().submit(fault="garble json").submit(1, "J2", intent="i1"), 10),
    ],
    "retried-with-new-key": [
        ("a key per try", lambda: Tale().submit(intent="i1", fault="lose reset").submit(1, "J2", intent="i2"), 10),
    ],
    "reused-key": [("one key, two bodies", lambda: Tale().done().refused(6, "conflict", 409, fingerprint="f2"), 10)],
    "cancelled-too-late": [
        ("after the end", lambda: Tale().submit().end(4).ask(9, "cancel", state="succeeded", word="COMPLETED"), 10),
    ],
    "paid-never-fetched": [
        ("a poll told it", lambda: Tale().submit().end(4).poll(5, "succeeded"), 2 * HOUR),
        ("a callback told it", lambda: Tale().submit(address="http://h/").end(4).attempt(4), 2 * HOUR),
    ],
    "came-after-retention": [
        ("the record lives a minute", lambda: Tale().submit(operation="runsync").end(4).denied(4 + MINUTE + 1), 2 * MINUTE),
    ],
    "polled-finished-job": [
        ("a success", lambda: Tale().submit().end(4).polls([5, 6, 7, 8], "succeeded"), 9),
        ("a failure", lambda: Tale().submit().end(4, "failed").polls([5, 6, 7, 8], "failed"), 9),
        ("after an answer that already showed the end", lambda: Tale().submit(state="succeeded", word="COMPLETED").end(0).polls([1, 2, 3], "succeeded"), 9),
    ],
    "polled-denied-job": [
        ("a job that is gone", lambda: Tale().submit().end(4).polls([5], "succeeded").file(5), 400),
        ("a job that never was", lambda: Tale(), 400),
        ("an empty answer with 200", lambda: Tale(), 400),
        ("the client says so", lambda: Tale().submit().note(9, "believes", "404"), 10),
    ],
    "hammered": [
        ("every 50 ms", lambda: Tale().submit().polls([at / 20 for at in range(12)]), 4),
        ("a busy loop while the clock stands", lambda: Tale().submit().polls([1] * 101), 4),
    ],
    "no-backoff": [
        ("once a second", lambda: _throttled(Tale(), [0, 1, 2, 3]), 10),
    ],
    "ignored-retry-after": [
        ("half a minute early", lambda: Tale().refused(0, "rate", 429, retry_after=60).submit(30), 40),
        ("a poll", lambda: Tale().submit().poll(1, "running", status=429, cause="rate", state="", word="", retry_after=5).poll(4), 9),
    ],
    "gave-up-early": [
        ("two looks and no more", lambda: Tale().submit().polls([1, 2]).end(404), 2 * HOUR),
        ("no look at all", lambda: Tale().submit().end(4), 2 * HOUR),
        ("the client says so", lambda: Tale().submit(address="http://h/").poll(1).note(300, "gave_up").end(404), 500),
    ],
    "stopped-at-unknown-word": [
        ("and was not seen again", lambda: Tale().submit().poll(1, word="WARMING_UP").end(4), 2 * HOUR),
    ],
    "went-back": [
        ("polled again like a running one", lambda: Tale().submit().end(4).poll(5, "succeeded").polls([6, 7, 8, 9]), 10),
        ("after a signed callback", lambda: Tale().submit(address="http://h/").end(4).attempt(4).polls([6, 7, 8, 9]), 10),
        ("the client says so", lambda: Tale().done().note(9, "believes", "IN_PROGRESS"), 10),
    ],
    "retried-refusal": [
        ("a wrong field", lambda: _repeated(Tale(), "param_range", 422, [0, 1, 2]), 9),
        ("a wrong key on polls", lambda: Tale().submit().denied(1, status=401, cause="auth_unknown").denied(2, status=401, cause="auth_unknown").denied(3, status=401, cause="auth_unknown"), 9),
    ],
    "forbidden-request": [
        ("a width that is not divisible", lambda: Tale().refused(0, "param_range", 422), 1),
        ("a path that is none", lambda: Tale().request(0, "unknown", "/v3/runs", status=404, cause="path_unknown"), 1),
        ("taken, and failed for it", lambda: Tale().submit().end(1, "failed", failure="no_input").poll(2, "failed"), 3),
    ],
    "took-failure-for-success": [
        ("processed", lambda: Tale().submit().end(4, "failed").poll(5, "failed").note(6, "processed"), 10),
        ("believed", lambda: Tale().submit().end(4, "timed_out").poll(5, "timed_out").note(6, "believes", "COMPLETED"), 10),
        ("a download was tried", lambda: Tale().submit().end(4, "failed").poll(5, "failed").file(6, status=404, cause="url_unknown"), 10),
    ],
    "lost-callback-not-reconciled": [
        ("the receiver was down", lambda: _ladder(Tale().submit(address="http://h/").end(4), 503, 503, 503), 2 * HOUR),
        ("the provider lost it and thinks that it came", lambda: Tale().submit(address="http://h/").end(4).attempt(4, "lost", fault="lose"), 2 * HOUR),
        ("none is made of such an end", lambda: Tale().submit(address="http://h/").end(4, "cancelled"), 2 * HOUR),
    ],
    "slow-acknowledgement": [
        ("and accepted the second time", lambda: Tale().submit(address="http://h/").end(4).attempt(4, "timeout").attempt(15, number=2), 20),
    ],
    "processed-twice": [
        ("once per copy", lambda: Tale().submit(address="http://h/").end(4).attempt(4).attempt(4).note(5, "processed").note(5, "processed"), 9),
    ],
    "accepted-bad-signature": [
        ("signed by somebody else", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="wrong"), 9),
        ("signed for older bytes", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="stale"), 9),
        ("the signature is missing", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="none", fault="sign missing"), 9),
        ("the bytes were changed", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="wrong", fault="tamper body"), 9),
    ],
    "refused-good-signature": [
        (f"{status}", lambda status=status: Tale().submit(address="http://h/").end(4).attempt(4, status), 9) for status in (400, 401, 403)
    ],
    "refused-old-secret": [
        ("journalled as old", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="old"), 9),
        ("by the scenario", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="wrong", fault="sign rotated"), 9),
    ],
    "redirected-callback": [("to https", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 301), 9)],
    "refused-unknown-job": [
        ("it came before the answer", lambda: Tale().submit(address="http://h/", ended=5).end(4).attempt(4, 404), 9),
        ("gone", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 410), 9),
    ],
    "redelivery-storm": [
        ("four within the hour", lambda: _asks(Tale().submit(address="http://h/").end(4), "redeliver", [10, 20, 30, 40]), 50),
    ],
    "used-expired-url": [
        ("eight days later", lambda: Tale().submit().end(4).poll(5, "succeeded").dead_file(8 * DAY), 8 * DAY + 9),
        ("dead before its time, and tried again", lambda: Tale().submit().end(4).poll(5, "succeeded").dead_file(9).dead_file(19), 20),
    ],
    "never-downloaded": [
        ("eight days later", lambda: Tale().submit().end(4).poll(5, "succeeded"), 8 * DAY),
        ("the download came too late", lambda: Tale().submit().end(4).poll(5, "succeeded").dead_file(8 * DAY), 8 * DAY),
    ],
    "download-not-retried": [
        ("the link was not ready", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=404, cause="url_unknown"), HOUR),
        ("a 502", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=502), HOUR),
        ("the connection was cut", lambda: Tale().submit().fault(0, "reset").end(4).poll(5, "succeeded").file(5), HOUR),
        ("three times in three seconds", lambda: _files(Tale().submit().end(4).poll(5, "succeeded"), [5, 6, 7]), HOUR),
    ],
    "saved-nothing": [
        ("a link in place of a picture", lambda: Tale().submit().end(4).poll(5, "succeeded").note(6, "saved"), 10),
        ("an empty link", lambda: Tale().submit().fault(0, "empty_url").end(4).poll(5, "succeeded").note(6, "saved"), 10),
        ("an error page", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=404, cause="url_unknown").note(6, "saved"), 10),
    ],
    "kept-damaged-picture": [
        ("half of it", lambda: Tale().submit().fault(0, "short").end(4).poll(5, "succeeded").file(5).note(6, "saved"), 10),
    ],
    "leaked-key-to-file-host": [("with a download", lambda: Tale().submit().end(4).file(5, leaks="key"), 10)],
    "leaked-key-to-callback": [("in the address", lambda: Tale().submit(address="http://h/", leaks="key").poll(1), 10)],
}  # fmt: skip

KEPT: dict[str, list[tuple[str, Told, float]]] = {
    "retried-without-key": [
        ("the same picture was wanted twice", lambda: Tale().submit().submit(1, "J2"), 10),
        ("another request", lambda: Tale().submit(fault="lose reset").submit(1, "J2", fingerprint="f2"), 10),
        ("the first was refused", lambda: Tale().refused(0, "unavailable", 503).submit(1, "J2"), 10),
        ("it costs nothing", lambda: Tale().submit(fault="lose reset", price="0").submit(1, "J2", price="0"), 10),
        ("two held calls at once", lambda: Tale().submit(ended=70).submit(1, "J2", ended=71), 80),
        ("two days later", lambda: Tale().submit(fault="lose reset").submit(2 * DAY, "J2"), 2 * DAY),
    ],
    "retried-with-new-key": [
        ("replayed under the same key", lambda: _replayed(Tale().submit(intent="i1", fault="lose reset")), 10),
        ("two intents", lambda: Tale().submit(intent="i1").submit(1, "J2", intent="i2"), 10),
    ],
    "reused-key": [("a conflict of another kind", lambda: Tale().done().ask(6, "retry", status=409, cause="job_state"), 10)],
    "cancelled-too-late": [
        ("before the end", lambda: Tale().submit().ask(2, "cancel", state="cancelled", word="CANCELLED").end(2, "cancelled"), 10),
        ("and fetched", lambda: Tale().submit().end(4).ask(5, "cancel", state="succeeded", word="COMPLETED").file(6), 10),
        ("a failed one", lambda: Tale().submit().end(4, "failed").ask(5, "cancel", state="failed", word="FAILED"), 10),
    ],
    "paid-never-fetched": [
        ("fetched", lambda: Tale().done(), 2 * HOUR),
        ("there is time yet", lambda: Tale().submit().end(4).poll(5, "succeeded"), HOUR / 2),
        ("nothing was charged", lambda: Tale().submit().end(4, billed=False).poll(5, "succeeded"), 2 * HOUR),
        ("tried, and failed", lambda: Tale().submit().end(4).poll(5, "succeeded").file(6, status=502), 2 * HOUR),
    ],
    "came-after-retention": [
        ("within the minute", lambda: Tale().submit(operation="runsync").end(4).poll(4 + MINUTE - 1, "succeeded"), 2 * MINUTE),
        ("the record went early", lambda: Tale().submit(operation="runsync").end(4).denied(9), 2 * MINUTE),
        ("it had been told before", lambda: Tale().submit(operation="runsync", state="succeeded", word="COMPLETED", ended=4).end(4).denied(100), 200),
    ],
    "polled-finished-job": [
        ("two more looks", lambda: Tale().submit().end(4).polls([5, 6, 7], "succeeded"), 9),
        ("once a day, for a fresh link", lambda: Tale().submit().end(4).polls([DAY * n for n in range(1, 6)], "succeeded"), 6 * DAY),
        ("with downloads between", lambda: Tale().submit().end(4).polls([5, 6], "succeeded").file(6).polls([7, 8], "succeeded").file(9), 10),
        ("the answers were lost", lambda: Tale().submit().end(4).polls([5, 6, 7, 8], "succeeded", fault="lose reset"), 9),
        ("a word that nobody knows", lambda: Tale().submit().end(4).polls([5, 6, 7, 8], "succeeded", word="DONE"), 9),
        ("it was run again", lambda: Tale().submit().end(4, "failed").polls([5, 6], "failed").ask(7, "retry", state="queued", word="IN_QUEUE").end(8, "failed").polls([9, 10], "failed"), 12),
    ],
    "polled-denied-job": [
        ("four times", lambda: _denied(Tale().submit(), [100, 101, 102, 103]), 400),
        ("right after the submit", lambda: _denied(Tale().submit(), [0.1, 0.5, 1, 2, 4, 8, 16]).poll(32), 400),
        ("with a look that succeeded between", lambda: _denied(_denied(Tale().submit(), [100, 101, 102]).poll(103), [104, 105]), 400),
        ("it believes a word", lambda: Tale().submit().note(9, "believes", "IN_QUEUE"), 10),
    ],
    "hammered": [
        ("ten in a second", lambda: Tale().submit().polls([at / 10 for at in range(10)]), 4),
        ("once a second", lambda: Tale().submit().polls(range(60)), 60),
        ("a test that looks while the clock stands", lambda: Tale().submit().polls([1] * 60), 4),
        ("eleven jobs, one look each", lambda: _crowd(), 4),
    ],
    "no-backoff": [
        ("three times", lambda: _throttled(Tale(), [0, 1, 2]), 10),
        ("twice as long each time", lambda: _throttled(Tale(), [0, 1, 3, 7, 15]), 20),
        ("as long as it was told", lambda: _throttled(Tale(), [0, 5, 10, 15], retry_after=5), 20),
        ("with a long pause", lambda: _throttled(Tale(), [0, 30, 60, 90]), 100),
        ("one got through", lambda: _throttled(_throttled(Tale(), [0, 1]).submit(2, "J9"), [3, 4]), 10),
    ],
    "ignored-retry-after": [
        ("on time", lambda: Tale().refused(0, "rate", 429, retry_after=60).submit(60), 70),
        ("something else meanwhile", lambda: Tale().submit().refused(1, "rate", 429, retry_after=60).poll(2), 70),
        ("no such header", lambda: Tale().refused(0, "rate", 429).submit(1), 70),
    ],
    "gave-up-early": [
        ("it looked on", lambda: Tale().submit().polls(range(1, 400, 30)).end(404).poll(405, "succeeded").file(406), 2 * HOUR),
        ("it looked again hours later", lambda: Tale().submit().poll(1).end(4).poll(HOUR, "succeeded").file(HOUR), 3 * HOUR),
        ("there is time yet", lambda: Tale().submit().poll(1).end(4), MINUTE),
        ("past all documented time", lambda: Tale().submit().polls(range(1, 700, 30)).end(5000), 4 * HOUR),
        ("a callback came", lambda: Tale().submit(address="http://h/").end(4).attempt(4), 2 * HOUR),
        ("its name was lost with the answer", lambda: Tale().submit(fault="lose reset").end(4), 2 * HOUR),
        ("it read the list", lambda: Tale().submit().poll(1).end(4).request(60, "list", "/v2/runs"), 2 * HOUR),
        ("it cancelled", lambda: Tale().submit().ask(2, "cancel", state="cancelled", word="CANCELLED").end(2, "cancelled"), 2 * HOUR),
        ("it gave up a job that never ends", lambda: Tale().submit().poll(1).note(300, "gave_up"), 2 * HOUR),
    ],
    "stopped-at-unknown-word": [
        ("it looked again", lambda: Tale().submit().poll(1, word="WARMING_UP").poll(3).end(4).poll(5, "succeeded").file(5), 2 * HOUR),
        ("a callback told the rest", lambda: Tale().submit(address="http://h/").poll(1, word="WARMING_UP").end(4).attempt(4).file(5), 2 * HOUR),
        ("until the documented time had passed", lambda: Tale().submit().polls(range(1, 700, 30), word="WARMING_UP"), 4 * HOUR),
        ("a moment ago", lambda: Tale().submit().poll(1, word="WARMING_UP").end(4), 5),
    ],
    "went-back": [
        ("it let the older state pass", lambda: Tale().submit().end(4).poll(5, "succeeded").poll(6).file(7), 10),
        ("it was run again", lambda: Tale().submit().end(4, "failed").poll(5, "failed").ask(6, "retry", state="queued", word="IN_QUEUE").polls([7, 8, 9, 10]), 11),
        ("a callback that nobody signed", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="none").polls([5, 6, 7, 8]), 10),
        ("it believes the end", lambda: Tale().done().note(9, "believes", "COMPLETED"), 10),
    ],
    "retried-refusal": [
        ("twice", lambda: _repeated(Tale(), "param_range", 422, [0, 1]), 9),
        ("changed each time", lambda: Tale().refused(0, "param_range", 422).refused(1, "param_range", 422, fingerprint="f2").refused(2, "param_range", 422, fingerprint="f3"), 9),
        ("the server's own trouble", lambda: _repeated(Tale(), "unavailable", 503, [0, 1, 2, 3]), 9),
        ("bodies that cannot be told apart", lambda: _repeated(Tale(), "param_range", 422, [0, 1, 2], fingerprint=""), 9),
    ],
    "forbidden-request": [
        ("refused by a scenario", lambda: Tale().refused(0, "param_range", 422, fault="refuse param_range"), 1),
        ("no money", lambda: Tale().refused(0, "funds", 402), 1),
        ("it failed by itself", lambda: Tale().submit().end(4, "failed", failure="handler_error").poll(5, "failed"), 9),
    ],
    "took-failure-for-success": [
        ("it says that it failed", lambda: Tale().submit().end(4, "failed").poll(5, "failed").note(6, "failed"), 10),
        ("a success", lambda: Tale().done().note(6, "processed").note(6, "saved"), 10),
        ("it succeeded the second time", lambda: Tale().submit().end(4, "failed").poll(5, "failed").ask(6, "retry", state="queued", word="IN_QUEUE").end(9).poll(9, "succeeded").file(9).note(10, "processed"), 12),
    ],
    "lost-callback-not-reconciled": [
        ("it looked for itself", lambda: _ladder(Tale().submit(address="http://h/").end(4), 503, 503, 503).poll(HOUR, "succeeded").file(HOUR), 4 * HOUR),
        ("it read the list", lambda: _ladder(Tale().submit(address="http://h/").end(4), 503, 503, 503).request(HOUR, "list", "/v2/runs"), 4 * HOUR),
        ("the last try was taken", lambda: _ladder(Tale().submit(address="http://h/").end(4), 503, 503, 200), 4 * HOUR),
        ("there is time yet", lambda: _ladder(Tale().submit(address="http://h/").end(4), 503, 503, 503), HOUR / 2),
        ("it had seen the end already", lambda: _ladder(Tale().submit(address="http://h/").end(4).poll(4, "succeeded").file(4), 503), 4 * HOUR),
        ("the receiver had it all the same", lambda: Tale().submit(address="http://h/").end(4).attempt(4, "network", fault="reset_after").note(5, "processed"), 4 * HOUR),
    ],
    "slow-acknowledgement": [
        ("nobody was there", lambda: Tale().submit(address="http://h/").end(4).attempt(4, "network").attempt(5, number=2), 9),
        ("the last try", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 503).attempt(5, "timeout", number=2), 20),
        ("the body came in drops", lambda: Tale().submit(address="http://h/").end(4).attempt(4, "timeout", fault="drip").attempt(15, number=2), 20),
    ],
    "processed-twice": [
        ("two copies, one claim", lambda: Tale().submit(address="http://h/").end(4).attempt(4).attempt(4).note(5, "processed"), 9),
        ("it was run again", lambda: Tale().submit().end(4).note(5, "processed").end(9).note(10, "processed"), 12),
        ("two jobs", lambda: Tale().done().note(6, "processed").submit(7, "J2").end(8, job="J2").note(9, "processed", job="J2"), 12),
    ],
    "accepted-bad-signature": [
        ("refused", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="wrong"), 9),
        ("good", lambda: Tale().submit(address="http://h/").end(4).attempt(4), 9),
        ("there is no secret", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="none", fault="tamper body"), 9),
        ("nothing was sent", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="wrong", fault="answer"), 9),
        ("by the secret before", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="wrong", fault="sign rotated"), 9),
    ],
    "refused-good-signature": [
        ("a wrong one", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="wrong"), 9),
        ("a proxy answered", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, fault="answer"), 9),
        ("its own trouble", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 503), 9),
        ("an unsigned one", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="none"), 9),
    ],
    "refused-old-secret": [
        ("accepted", lambda: Tale().submit(address="http://h/").end(4).attempt(4, signature="old"), 9),
        ("a stranger's", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 401, signature="wrong", fault="sign wrong"), 9),
    ],
    "redirected-callback": [
        ("a proxy did", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 301, fault="answer"), 9),
        ("204", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 204), 9),
    ],
    "refused-unknown-job": [
        ("a limit", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 429), 9),
        ("its own trouble", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 500), 9),
        ("a proxy did", lambda: Tale().submit(address="http://h/").end(4).attempt(4, 404, fault="answer"), 9),
    ],
    "redelivery-storm": [
        ("three", lambda: _asks(Tale().submit(address="http://h/").end(4), "redeliver", [10, 20, 30]), 50),
        ("one a day", lambda: _asks(Tale().submit(address="http://h/").end(4), "redeliver", [DAY, 2 * DAY, 3 * DAY, 4 * DAY]), 5 * DAY),
        ("refused ones", lambda: _asks(Tale().submit(address="http://h/"), "redeliver", [1, 2, 3, 4], status=409), 5),
    ],
    "used-expired-url": [
        ("the record was read again", lambda: Tale().submit().end(4).poll(5, "succeeded").poll(8 * DAY, "succeeded").dead_file(8 * DAY), 8 * DAY),
        ("dead before its time", lambda: Tale().submit().end(4).poll(5, "succeeded").dead_file(9).poll(9, "succeeded").dead_file(10), 20),
        ("alive", lambda: Tale().done().file(6 * DAY), 8 * DAY),
    ],
    "never-downloaded": [
        ("on the last day", lambda: Tale().submit().end(4).poll(5, "succeeded").file(7 * DAY), 8 * DAY),
        ("there is time yet", lambda: Tale().submit().end(4).poll(5, "succeeded"), 6 * DAY),
        ("it failed", lambda: Tale().submit().end(4, "failed").poll(5, "failed"), 8 * DAY),
        ("it never knew", lambda: Tale().submit(fault="lose reset").end(4), 8 * DAY),
        ("there was no link", lambda: Tale().submit().fault(0, "empty_url").end(4).poll(5, "succeeded"), 8 * DAY),
    ],
    "download-not-retried": [
        ("tried again", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=404, cause="url_unknown").file(9), HOUR),
        ("for two minutes", lambda: _files(Tale().submit().end(4).poll(5, "succeeded"), [5, 9, 17, 33, 65, 129]), HOUR),
        ("asked the record again", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=502).poll(9, "succeeded"), HOUR),
        ("there is time yet", lambda: Tale().submit().end(4).poll(5, "succeeded").file(5, status=502), MINUTE),
        ("an expired link is another matter", lambda: Tale().submit().end(4).poll(5, "succeeded").dead_file(9), HOUR),
    ],
    "saved-nothing": [
        ("fetched first", lambda: Tale().done().note(6, "saved"), 10),
        ("of a failed job", lambda: Tale().submit().end(4, "failed").poll(5, "failed").note(6, "saved"), 10),
    ],
    "kept-damaged-picture": [
        ("a whole one", lambda: Tale().done().note(6, "saved"), 10),
        ("thrown away", lambda: Tale().submit().fault(0, "short").end(4).poll(5, "succeeded").file(5).note(6, "failed"), 10),
    ],
    "leaked-key-to-file-host": [("without", lambda: Tale().done(), 10)],
    "leaked-key-to-callback": [("a token", lambda: Tale().submit(address="http://h/").poll(1), 10)],
}  # fmt: skip


def _throttled(tale: Tale, moments: list[float], **facts: int) -> Tale:
    return _repeated(tale, "rate", 429, moments, **facts)


def _repeated(tale: Tale, cause: str, status: int, moments: list[float], **facts: object) -> Tale:
    for at in moments:
        tale.refused(at, cause, status, **facts)  # type: ignore[arg-type]
    return tale


def _denied(tale: Tale, moments: list[float]) -> Tale:
    for at in moments:
        tale.denied(at)
    return tale


def _ladder(tale: Tale, *outcomes: int | str) -> Tale:
    for number, outcome in enumerate(outcomes, 1):
        tale.attempt(3 + number, outcome, number=number)
    return tale


def _asks(tale: Tale, does: str, moments: list[float], **facts: int) -> Tale:
    for at in moments:
        tale.ask(at, does, **facts)
    return tale


def _files(tale: Tale, moments: list[float]) -> Tale:
    for at in moments:
        tale.file(at, status=404, cause="url_unknown")
    return tale


def _replayed(tale: Tale) -> Tale:
    return tale.request(
        1, "submit", "/v2/acme-dev/run", method="POST", job="J1", operation="run", intent="i1", fingerprint="f1",
        state="queued", word="IN_QUEUE",
    )  # fmt: skip


def _crowd() -> Tale:
    tale = Tale()
    for number in range(11):
        tale.submit(0, f"J{number}", fingerprint=f"f{number}").poll(number / 20, job=f"J{number}")
    return tale


# Cases that are easier told in a loop.
BROKEN["polled-denied-job"][0] = ("a job that is gone", lambda: _denied(Tale().done(), [300, 310, 320, 330, 340]), 400)
BROKEN["polled-denied-job"][1] = ("a job that never was", lambda: _denied(Tale(), [1, 2, 3, 4, 5]), 400)
BROKEN["polled-denied-job"][2] = ("an empty answer with 200", lambda: _empty(Tale().done(), 5), 400)


def _empty(tale: Tale, count: int) -> Tale:
    for number in range(count):
        tale.denied(300 + number, status=200, cause="")
    return tale


def _cases(table: dict[str, list[tuple[str, Told, float]]]) -> list[object]:
    return [
        pytest.param(rule, tale, now, id=f"{rule}: {what}") for rule, cases in table.items() for what, tale, now in cases
    ]


@pytest.mark.parametrize(("rule", "tale", "now"), _cases(BROKEN))
def test_broken(rule: str, tale: Told, now: float) -> None:
    found = [finding for finding in findings(tale(), now) if finding.rule == rule]
    assert found, rules(tale(), now)
    known = RULES[rule]
    for finding in found:
        moments = [at for at, _ in finding.evidence]
        assert moments == sorted(moments)
        assert all(EPOCH <= at <= EPOCH + now * 1000 for at in moments)
        assert all(sentence for _, sentence in finding.evidence)
        assert (finding.harm, finding.fix, finding.severity) == (known.harm, known.fix, known.severity)


@pytest.mark.parametrize(("rule", "tale", "now"), _cases(KEPT))
def test_kept(rule: str, tale: Told, now: float) -> None:
    assert rule not in rules(tale(), now)


def test_every_rule_is_broken_and_kept_and_has_a_source() -> None:
    assert set(BROKEN) == set(KEPT) == set(RULES)
    assert len(RULES) >= 20
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.source.startswith(("users.md", "runpod.md", "runflow.md", "onemin.md")), name
        assert all(text and text == text.strip() for text in (rule.about, rule.harm, rule.fix)), name


@pytest.mark.parametrize(
    "tale",
    [
        lambda: Tale(),
        lambda: Tale().done(),
        lambda: Tale().done().note(5, "processed").note(5, "saved"),
        lambda: Tale().submit(address="http://h/").end(4).attempt(4).note(4, "processed").poll(5, "succeeded").file(5),
        lambda: Tale().submit().end(4, "failed").poll(5, "failed").note(5, "failed"),
    ],
)
def test_a_good_client_breaks_nothing(tale: Told) -> None:
    assert findings(tale(), 9 * DAY) == ()


def test_links_that_live_from_their_issue() -> None:
    """Each answer that shows the job again signs a link that lives a day more."""
    read = Tale().submit().end(4).poll(5, "succeeded").poll(3 * DAY, "succeeded")
    assert "never-downloaded" not in rules(read, 3.5 * DAY, ISSUED)
    assert "never-downloaded" in rules(read, 4.5 * DAY, ISSUED)
    assert "used-expired-url" in rules(read.dead_file(4.5 * DAY), 5 * DAY, ISSUED)


def test_a_refused_file_finds_its_job_by_an_earlier_download() -> None:
    tale = Tale().done().file(8 * DAY, job="", status=403, cause="url_expired")
    (found,) = [one for one in findings(tale, 9 * DAY) if one.rule == "used-expired-url"]
    assert found.job == "J1"


def test_what_is_ignored_and_what_is_not_known() -> None:
    tale = Tale().submit().end(4).poll(5, "succeeded").note(6, "saved")
    assert judge(tale.entries, {"acme": ACME}, now=EPOCH + 9_000, ignore={"saved-nothing"}).is_clean
    with pytest.raises(UsageError, match="there is no rule 'saved-nothin'"):
        judge(tale.entries, {"acme": ACME}, now=EPOCH, ignore={"saved-nothin"})


def test_entries_of_unknown_providers_are_passed_over() -> None:
    tale = Tale("other").submit().end(4).polls([5, 6, 7, 8], "succeeded")
    assert findings(tale, 8 * DAY) == ()


def test_text_tells_harms_first_and_escapes_what_came_from_outside() -> None:
    tale = Tale().refused(0, "param_range", 422).submit(1).end(4).polls([5, 6, 7, 8], "succeeded")
    tale.request(9, "unknown", "/\x1b[2J", status=404, cause="path_unknown").add(10, "dropped", what="journal", count=7)
    verdict = judge(tale.entries, {"acme": ACME}, now=EPOCH + 20_000)
    text = verdict_text(verdict)
    assert text.startswith("The client's faults: 1 harm, 2 risks.\n")
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert text.index("harm  polled-finished-job  job J1") < text.index("risk  forbidden-request")
    assert "+5.000s  GET /v2/acme-dev/status/J1 answered 200, shows COMPLETED" in text
    assert "7 entries were dropped by a cap" in text
    assert max(map(len, text.splitlines())) <= 120
    assert verdict_text(judge([], {}, now=0)) == "The client did nothing wrong.\n"


def test_long_evidence_is_cut_in_the_middle() -> None:
    tale = Tale().submit().end(4).polls(range(5, 1005), "succeeded")
    (found,) = [one for one in findings(tale, 1100) if one.rule == "polled-finished-job"]
    assert len(found.evidence) <= 6


FACTS = st.fixed_dictionaries(
    {"at": st.integers(EPOCH, EPOCH + 10**9), "kind": st.sampled_from(["request", "accepted", "ended", "charged", "attempt", "fault", "note", "dropped", "else"])},
    optional={
        "provider": st.sampled_from(["acme", "acme", "other"]),
        "does": st.sampled_from(["submit", "read", "stream", "cancel", "retry", "file", "list", "redeliver", "unknown", ""]),
        "job": st.sampled_from(["J1", "J2", ""]),
        "target": st.sampled_from(["J1", "J2"]),
        "name": st.sampled_from(["empty_url", "short", "reset"]),
        "path": st.sampled_from(["/v2/acme-dev/status/J1", "/v2/x", "/0123456789abcdef/output.jpg"]),
        "method": st.sampled_from(["GET", "POST"]),
        "status": st.sampled_from([200, 201, 401, 403, 404, 409, 422, 429, 500, 522, None, "200"]),
        "cause": st.sampled_from(["", "rate", "job_unknown", "url_expired", "url_unknown", "param_range", "conflict"]),
        "number": st.integers(0, 6),
        "state": st.sampled_from(["", "queued", "succeeded", "failed", "COMPLETED", "odd"]),
        "word": st.sampled_from(["", "IN_QUEUE", "COMPLETED", "FAILED", "ODD"]),
        "ended": st.integers(EPOCH, EPOCH + 10**9),
        "retry_after": st.integers(0, 99),
        "intent": st.sampled_from(["", "i1", "i2"]),
        "fingerprint": st.sampled_from(["", "f1"]),
        "price": st.sampled_from(["0", "0.02"]),
        "address": st.sampled_from(["", "http://h/"]),
        "operation": st.sampled_from(["run", "runsync", "gone", ""]),
        "outcome": st.sampled_from(["http", "network", "timeout", "blocked", "lost"]),
        "delivery": st.sampled_from(["D1", "D2"]),
        "signature": st.sampled_from(["none", "good", "wrong", "stale", "old"]),
        "fault": st.sampled_from(["", "lose reset", "slow, garble json", "tamper body", "answer", "sign missing"]),
        "leaks": st.sampled_from(["", "key"]),
        "said": st.sampled_from(["processed", "saved", "failed", "gave_up", "believes"]),
        "text": st.sampled_from(["", "404", "COMPLETED", "IN_QUEUE"]),
        "count": st.integers(0, 5),
    },
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(FACTS, max_size=40))
def test_any_journal_gets_a_verdict(entries: list[dict[str, object]]) -> None:
    verdict = judge(entries, {"acme": ACME}, now=EPOCH + 2 * 10**9)
    assert verdict == judge(entries, {"acme": ACME}, now=EPOCH + 2 * 10**9)
    assert all(finding.evidence and finding.rule in RULES for finding in verdict.findings)
    assert verdict_text(verdict).endswith("\n")
