"""Journals that break, or just keep, the rules about looking for the end: what it is, the tale, now in seconds."""

from __future__ import annotations

from support.tales import DAY, HOUR, MINUTE, Cases, Tale, called, called_back, crowd, done, ended, submitted, told

__all__ = ["BROKEN", "KEPT"]

BROKEN: Cases = {
    "polled-finished-job": [
        ("a success", ended().polls([5, 6, 7, 8], "succeeded"), 9),
        ("a failure", submitted().end(4, "failed").polls([5, 6, 7, 8], "failed"), 9),
        ("in drops, soon over", ended().polls([5, 6, 7, 8], "succeeded", fault="drip 250ms"), 9),
        (
            "after an answer that already showed the end",
            Tale().submit(state="succeeded", word="COMPLETED").end(0).polls([1, 2, 3], "succeeded"),
            9,
        ),
    ],
    "polled-denied-job": [
        ("a job that is gone", done().all_denied([300, 310, 320, 330, 340]), 400),
        ("a job that never was", Tale().all_denied([1, 2, 3, 4, 5]), 400),
        ("an empty answer with 200", done().all_denied([300, 310, 320, 330, 340], status=200, cause=""), 400),
        ("the client says so", submitted().note(9, "believes", "404"), 10),
        ("410, and no cause", done().all_denied([300, 310, 320, 330, 340], status=410, cause=""), 400),
    ],
    "hammered": [
        ("every 50 ms", submitted().polls([at / 20 for at in range(12)]), 4),
        ("a busy loop while the clock stands", submitted().polls([1] * 101), 4),
    ],
    "no-backoff": [
        ("once a second", Tale().throttled([0, 1, 2, 3]), 10),
        ("by another status", Tale().repeated("rate", 403, [0, 1, 2, 3]), 10),
        ("without a cause", Tale().repeated("", 429, [0, 1, 2, 3]), 10),
        ("it was told for how long", Tale().throttled([0, 1, 2, 3], retry_after=5), 10),
    ],
    "ignored-retry-after": [
        ("half a minute early", Tale().refused(0, "rate", 429, retry_after=60).submit(30), 40),
        (
            "a poll",
            submitted().denied(1, status=429, cause="rate", retry_after=5).poll(4),
            9,
        ),
    ],
    "gave-up-early": [
        ("two looks and no more", submitted().polls([1, 2]).end(404), 2 * HOUR),
        ("no look at all", ended(), 2 * HOUR),
        ("the client says so", called_back().poll(1).note(300, "gave_up").end(404), 500),
        ("an hour ago", submitted().polls([1, 2]).end(404), 404 + HOUR),
        ("nothing was ever shown", Tale().submit(state="", word="").end(4), 2 * HOUR),
    ],
    "waited-for-ever": [
        ("in the queue, for two days", submitted().polls(range(0, 2 * DAY, 900), "queued"), 3 * DAY),
        ("running, for three hours", submitted().polls(range(0, 3 * HOUR, 600)), 3 * HOUR),
        ("in a word that nobody knows", submitted().polls(range(0, 2 * DAY, 900), word="PAUSED"), 3 * DAY),
        ("four times", submitted().polls([DAY + HOUR + at for at in range(0, 2400, 600)], "queued"), 2 * DAY),
        (
            "a refused retry gives no further day",
            submitted().ask(DAY, "retry", status=409, cause="job_state").polls(range(DAY, 2 * DAY, 900), "queued"),
            2 * DAY,
        ),
    ],
    "stopped-at-unknown-word": [
        ("and was not seen again", submitted().poll(1, word="WARMING_UP").end(4), 2 * HOUR),
        ("an hour ago", submitted().poll(1, word="WARMING_UP").end(4), 1 + HOUR),
    ],
    "went-back": [
        ("polled again like a running one", told().polls([6, 7, 8, 9]), 10),
        ("after a signed callback", called().attempt(4).polls([6, 7, 8, 9]), 10),
        ("the client says so", done().note(9, "believes", "IN_PROGRESS"), 10),
        ("at once", done().note(5, "believes", "IN_PROGRESS"), 10),
        ("with the end in between", told().poll(6).poll(7, "succeeded").polls([8, 9]), 10),
    ],
}

KEPT: Cases = {
    "polled-finished-job": [
        ("two more looks", ended().polls([5, 6, 7], "succeeded"), 9),
        ("once a day, for a fresh link", ended().polls([DAY * n for n in range(1, 6)], "succeeded"), 6 * DAY),
        ("with downloads between", ended().polls([5, 6], "succeeded").file(6).polls([7, 8], "succeeded").file(9), 10),
        ("the answers were lost", ended().polls([5, 6, 7, 8], "succeeded", fault="lose reset"), 9),
        ("in drops for longer than many wait", ended().polls([5, 50, 95, 140], "succeeded", fault="drip 40s"), 200),
        ("a word that nobody knows", ended().polls([5, 6, 7, 8], "succeeded", word="DONE"), 9),
        (
            "it was run again",
            submitted()
            .end(4, "failed")
            .polls([5, 6], "failed")
            .ask(7, "retry", state="queued", word="IN_QUEUE")
            .end(8, "failed")
            .polls([9, 10], "failed"),
            12,
        ),
        ("with an older state between", ended().polls([5, 6, 7], "succeeded").poll(8).polls([9, 10], "succeeded"), 11),
        ("in drops for ten seconds each", ended().polls([5, 50, 95, 140], "succeeded", fault="drip 10s"), 200),
        (
            "cancelled on and on, which is no poll",
            ended().asks("cancel", [5, 6, 7, 8], state="succeeded", word="COMPLETED"),
            9,
        ),
        ("once an hour", ended().polls(range(HOUR, 6 * HOUR, HOUR), "succeeded"), 6 * HOUR),
    ],
    "polled-denied-job": [
        (
            "the answer that named it came late",
            Tale().submit(fault="slow", ended=HOUR).all_denied([HOUR + 1, HOUR + 9, HOUR + 20, HOUR + 35, HOUR + 50]),
            2 * HOUR,
        ),
        ("four times", submitted().all_denied([100, 101, 102, 103]), 400),
        ("right after the submit", submitted().all_denied([0.1, 0.5, 1, 2, 4, 8, 16]).poll(32), 400),
        (
            "with a look that succeeded between",
            submitted().all_denied([100, 101, 102]).poll(103).all_denied([104, 105]),
            400,
        ),
        ("it believes a word", submitted().note(9, "believes", "IN_QUEUE"), 10),
        ("it goes on", submitted().polls(range(100, 600, 100)), 700),
        ("it says something else", submitted().note(9, "failed", "404"), 10),
    ],
    "hammered": [
        ("ten in a second", submitted().polls([at / 10 for at in range(10)]), 4),
        ("once a second", submitted().polls(range(60)), 60),
        ("a test that looks while the clock stands", submitted().polls([1] * 60), 4),
        ("eleven jobs, one look each", crowd(), 4),
        ("ten a second, for long", submitted().polls([at / 10 for at in range(40)]), 9),
    ],
    "no-backoff": [
        ("three times", Tale().throttled([0, 1, 2]), 10),
        ("twice as long each time", Tale().throttled([0, 1, 3, 7, 15]), 20),
        ("as long as it was told", Tale().throttled([0, 5, 10, 15], retry_after=5), 20),
        ("with a long pause", Tale().throttled([0, 30, 60, 90]), 100),
        ("one got through", Tale().throttled([0, 1]).submit(2, "J9").throttled([3, 4]), 10),
        ("nobody knew", Tale().throttled([0, 1, 2, 3], fault="lose reset"), 10),
        ("all is well", submitted().polls(range(10)), 10),
        ("every ten seconds", Tale().throttled([0, 10, 20, 30]), 40),
        ("twice as long in the end", Tale().throttled([0, 1, 2, 4]), 10),
    ],
    "ignored-retry-after": [
        ("on time", Tale().refused(0, "rate", 429, retry_after=60).submit(60), 70),
        ("something else meanwhile", submitted().refused(1, "rate", 429, retry_after=60).poll(2), 70),
        ("no such header", Tale().refused(0, "rate", 429).submit(1), 70),
        ("of another refusal", Tale().repeated("unavailable", 503, [0, 1], retry_after=60), 70),
    ],
    "gave-up-early": [
        ("its last answer came after the end", submitted().poll(1, fault="slow", ended=500).end(404), 2 * HOUR),
        ("it looked on", submitted().polls(range(1, 400, 30)).end(404).poll(405, "succeeded").file(406), 2 * HOUR),
        ("it looked again hours later", submitted().poll(1).end(4).poll(HOUR, "succeeded").file(HOUR), 3 * HOUR),
        ("there is time yet", submitted().poll(1).end(4), MINUTE),
        ("past all documented time", submitted().polls(range(1, 700, 30)).end(5000), 4 * HOUR),
        ("a callback came", called().attempt(4), 2 * HOUR),
        ("its name was lost with the answer", Tale().submit(fault="lose reset").end(4), 2 * HOUR),
        ("it read the list", submitted().poll(1).end(4).request(60, "list", "/v2/runs"), 2 * HOUR),
        (
            "it cancelled",
            submitted().ask(2, "cancel", state="cancelled", word="CANCELLED").end(2, "cancelled"),
            2 * HOUR,
        ),
        ("it gave up a job that never ends", submitted().poll(1).note(300, "gave_up"), 2 * HOUR),
        (
            "another one was ordered in its place",
            submitted()
            .poll(2, status=502, state="", word="")
            .end(4)
            .submit(9, "J2")
            .end(12, job="J2")
            .poll(13, "succeeded", "J2")
            .file(13, "J2"),
            2 * HOUR,
        ),
        ("a word that nobody knows is another matter", submitted().poll(1, word="WARMING_UP").end(4), 2 * HOUR),
        ("its key is refused", submitted().denied(1, status=401, cause="auth_unknown").end(4), 2 * HOUR),
        ("it waits for a callback", called_back().poll(1).end(4), 2 * HOUR),
        (
            "it waits for a callback, and says so",
            called_back().poll(1).note(2, "believes", "IN_PROGRESS").end(4),
            2 * HOUR,
        ),
    ],
    "waited-for-ever": [
        ("it ended after all", submitted().polls(range(0, 3 * HOUR, 600)).end(3 * HOUR), 4 * HOUR),
        ("the queue may take a day", submitted().polls(range(0, DAY, 900), "queued"), 2 * DAY),
        ("once a day", submitted().polls(range(0, 9 * DAY, DAY)), 9 * DAY),
        (
            "it started late",
            submitted().polls(range(0, DAY, 900), "queued").polls([DAY + n for n in range(9)]),
            2 * DAY,
        ),
        ("three times", submitted().polls([DAY + HOUR + at for at in range(0, 1800, 600)], "queued"), 2 * DAY),
        ("it is denied, which is another matter", submitted().all_denied(range(2 * DAY, 3 * DAY, 900)), 4 * DAY),
        (
            "it was run again",
            submitted().ask(DAY, "retry", state="queued", word="IN_QUEUE").polls(range(DAY, 2 * DAY, 900), "queued"),
            2 * DAY,
        ),
        ("once an hour", submitted().polls(range(0, 3 * DAY, HOUR), "queued"), 4 * DAY),
    ],
    "stopped-at-unknown-word": [
        (
            "it looked again",
            submitted().poll(1, word="WARMING_UP").poll(3).end(4).poll(5, "succeeded").file(5),
            2 * HOUR,
        ),
        ("a callback told the rest", called_back().poll(1, word="WARMING_UP").end(4).attempt(4).file(5), 2 * HOUR),
        ("until the documented time had passed", submitted().polls(range(1, 700, 30), word="WARMING_UP"), 4 * HOUR),
        ("a moment ago", submitted().poll(1, word="WARMING_UP").end(4), 5),
        ("a known word", submitted().poll(1).end(4), 2 * HOUR),
        ("a callback told the end", called_back().poll(1, word="WARMING_UP").end(4).attempt(4), 2 * HOUR),
        ("it read the list", submitted().poll(1, word="WARMING_UP").end(4).request(60, "list", "/v2/runs"), 2 * HOUR),
        ("at the end of the documented time", submitted().poll(600, word="WARMING_UP"), 4 * HOUR),
    ],
    "went-back": [
        ("it let the older state pass", told().poll(6).file(7), 10),
        (
            "it was run again",
            submitted()
            .end(4, "failed")
            .poll(5, "failed")
            .ask(6, "retry", state="queued", word="IN_QUEUE")
            .polls([7, 8, 9, 10]),
            11,
        ),
        ("a callback that nobody signed", called().attempt(4, signature="none").polls([5, 6, 7, 8]), 10),
        ("it believes the end", done().note(9, "believes", "COMPLETED"), 10),
        ("three older ones", told().polls([6, 7, 8]), 10),
        ("the callback was not taken", called().attempt(4, 503).polls([6, 7, 8, 9]), 10),
        ("a callback before the end", called_back().attempt(2, event="run.progress").polls([3, 4, 5, 6]), 10),
        ("it says something else", done().note(9, "failed", "IN_PROGRESS"), 10),
        (
            "it believed so before the end",
            submitted().note(2, "believes", "IN_PROGRESS").end(4).poll(5, "succeeded").file(5),
            10,
        ),
        ("it believes a word that nobody knows", done().note(9, "believes", "ODD"), 10),
        ("the end, again and again", ended().polls([5, 6, 7, 8, 9], "succeeded"), 10),
    ],
}
