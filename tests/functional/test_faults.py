"""Every fault of docs/scenarios.md, as its client, its receiver or its user would notice it. Without sockets."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from PIL import UnidentifiedImageError

from fauxvider.scenario.faults import FAULTS
from support.stage import Hit, Stage, picture, stage

Make = Callable[..., Stage]
Check = Callable[[Stage], None]


@dataclass(frozen=True)
class Row:
    on: str
    do: Any
    provider: str
    when: Any
    world: Any
    check: Check

    @property
    def rule(self) -> dict[str, Any]:
        rule = {"on": self.on, "do": self.do}
        return rule if self.when is None else rule | {"when": self.when}

    def __str__(self) -> str:
        name, value = next(iter(self.do.items()))
        what = f"{name} {value}" if isinstance(value, str | int) and value is not True else name
        where = "" if self.provider == "runpod" else f" of {self.provider}"
        return f"{self.on} {what}{where}: {self.check.__name__.replace('_', ' ')}"


ROWS: list[Row] = []


def row(on: str, *dos: Any, provider: str = "runpod", when: Any = None, **world: Any) -> Callable[[Check], Check]:
    """Put a check into the table, once for each fault."""

    def put(check: Check) -> Check:
        ROWS.extend(Row(on, do, provider, when, world, check) for do in dos)
        return check

    return put


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    with stage() as maker:
        yield maker


@pytest.mark.parametrize("one", ROWS, ids=str)
def test_fault(one: Row, make: Make) -> None:
    acted = make(one.provider, one.rule, **one.world)
    one.check(acted)
    report = acted.report()
    assert report["never"] == []
    assert [entry["name"] for entry in acted.entries("fault")].count(report["rules"][0]["do"]) >= 1


def test_every_fault_is_in_the_table() -> None:
    documented = {(on, fault) for on, faults in FAULTS.items() for fault in faults}
    assert {(one.on, name) for one in ROWS for name in one.do if name in FAULTS[one.on]} == documented


# --- requests

SUBMITS = {"does": "submit", "nth": 1}


@row("request", {"refuse": "rate", "retry_after": "7s"}, when=SUBMITS)
def refused_without_a_job_and_told_when_to_come_back(acted: Stage) -> None:
    refused = acted.submit()
    assert refused.status == 429
    assert refused.headers["retry-after"] == "7"
    assert acted.entries("accepted") == []
    assert acted.entries("request")[0]["retry_after"] == 7
    assert acted.entries("request")[0]["cause"] == "rate"
    assert acted.submit().status == 200


@row("request", {"refuse": "funds"}, when=SUBMITS, provider="onemin")
def refused_with_the_providers_own_words(acted: Stage) -> None:
    refused = acted.submit()
    assert refused.status == 406
    assert refused.json()["errorCode"] == "INSUFFICIENT_CREDITS"
    assert acted.entries("accepted") == []


@row("request", {"answer": {"status": 503, "text": "<h1>busy</h1>", "headers": {"retry-after": 3}}}, when=SUBMITS)
def answered_by_somebody_else_and_nothing_is_done(acted: Stage) -> None:
    answer = acted.submit()
    assert (answer.status, answer.text, answer.headers["retry-after"]) == (503, "<h1>busy</h1>", "3")
    assert answer.headers["content-type"].startswith("text/html")
    assert acted.entries("accepted") == []
    assert acted.entries("request")[0]["retry_after"] == 3


@row("request", {"answer": {"status": 404, "body": {"detail": "no", "status": 404}}}, {"refuse": "unavailable"},
     when={"does": "file"})  # fmt: skip
def a_file_host_answers_something_else(acted: Stage) -> None:
    answer = acted.ask("GET", acted.url(acted.done()))
    assert answer.status in (404, 503)
    assert not answer.headers["content-type"].startswith("image/")


@row("request", {"refuse": "unavailable"}, {"answer": {"status": 503}}, when={"does": "unknown", "nth": 1})
def a_path_of_nobody_meets_a_fault_too(acted: Stage) -> None:
    assert acted.ask("GET", "/v3/nowhere").status == 503
    assert acted.ask("GET", "/v3/nowhere").status == 404
    assert [one["does"] for one in acted.entries("request")] == ["unknown", "unknown"]
    assert acted.entries("request")[0]["fault"]


@row("request", {"lose": "reset"}, when={"does": "unknown"})
def a_path_of_nobody_is_cut_off(acted: Stage) -> None:
    with pytest.raises(ConnectionResetError):
        acted.ask("GET", "/v3/nowhere")
    with pytest.raises(ConnectionResetError):
        acted.ask("PATCH", acted.site.submits)
    assert acted.submit().status == 200


@row("request", {"slow": "30s"}, when=SUBMITS)
def the_answer_comes_late(acted: Stage) -> None:
    held = acted.begin("POST", acted.site.submits, json_body=acted.body())
    acted.advance("29s")
    assert not held.done()
    acted.advance("1s")
    assert acted.host.finish(held).status == 200
    accepted, request = acted.entries("accepted")[0], acted.entries("request")[0]
    assert request["ended"] - accepted["at"] == 30_000


@row("request", {"lose": "reset"}, {"lose": "truncate"}, {"lose": "close"}, when=SUBMITS)
def the_answer_is_lost_and_the_job_is_billed(acted: Stage) -> None:
    with pytest.raises(ConnectionResetError):
        acted.submit()
    acted.advance("1m")
    assert len(acted.charges()) == 1
    assert len(acted.hook.hits) == 1


@row("request", {"lose": "hang"}, when=SUBMITS)
def no_answer_ever_comes_and_the_job_is_billed(acted: Stage) -> None:
    held = acted.begin("POST", acted.site.submits, json_body=acted.body())
    acted.advance("1d")
    assert not held.done()
    held.cancel()
    assert len(acted.charges()) == 1


@row("request", {"lose": "html_522"}, {"lose": {"status": 502, "text": "Bad Gateway"}}, when=SUBMITS, provider="onemin")
def a_gateway_answers_and_the_job_is_billed(acted: Stage) -> None:
    answer = acted.submit()
    assert answer.status in (502, 522)
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    acted.advance("1m")
    assert len(acted.charges()) == 1


@row("request", {"garble": "json"}, when=SUBMITS, provider="runflow")
def the_json_is_cut(acted: Stage) -> None:
    answer = acted.submit()
    assert answer.status == 201
    assert len(answer.body) == int(answer.headers["content-length"])
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@row("request", {"garble": "encoding"}, when={"does": "read"}, provider="runflow")
def the_body_is_not_utf8(acted: Stage) -> None:
    with pytest.raises(UnicodeDecodeError):
        acted.read(acted.job()).body.decode()


@row("request", {"garble": "length"}, {"garbage": True}, {"half_close": True}, when={"does": "read"})
def the_connection_breaks_in_the_answer(acted: Stage) -> None:
    job = acted.job()
    with pytest.raises(ConnectionResetError):
        acted.read(job)
    assert acted.entries("accepted")[0]["job"] == job


@row("request", {"drip": "8ms"}, when={"does": "read"})
def the_body_drips_and_is_whole(acted: Stage) -> None:
    assert acted.word(acted.job()) == "IN_QUEUE"


# --- jobs


@row("job", {"stuck": "IN_QUEUE"})
def never_leaves_the_queue(acted: Stage) -> None:
    job = acted.done(after="30d")
    assert acted.word(job) == "IN_QUEUE"
    assert acted.charges() == []
    assert acted.hook.hits == []


def _took(acted: Stage) -> int:
    job = acted.done(after="1h")
    return next(one["at"] for one in acted.entries("ended") if one["job"] == job) - acted.entries("accepted")[0]["at"]


@row("job", {"slow": 10}, {"slow": "5m"}, provider="runflow")
def takes_longer(acted: Stage) -> None:
    with stage() as undisturbed:
        usual = _took(undisturbed("runflow", seed=1))
    wanted = usual + 300_000 if acted.world.options.scenario.rules[0].do.value == 300_000 else usual * 10
    assert abs(_took(acted) - wanted) <= 10


@row("job", {"fail": "handler_error"})
def fails_unbilled_and_says_so(acted: Stage) -> None:
    record = acted.read(acted.done()).json()
    assert record["status"] == "FAILED"
    assert record["error"]
    assert acted.charges() == []
    assert acted.hook.hits[0].json()["status"] == "FAILED"


@row("job", {"cancel": "100ms"})
def is_cancelled_by_the_provider(acted: Stage) -> None:
    assert acted.word(acted.done()) == "CANCELLED"
    assert acted.charges() == []


@row("job", {"cancel": "100ms"}, provider="onemin")
def is_cancelled_by_a_provider_without_a_word_for_it(acted: Stage) -> None:
    assert acted.word(acted.done()) == "FAILURE"


@row("job", {"moderate": True}, provider="runflow")
def is_moderated(acted: Stage) -> None:
    assert acted.word(acted.done()) == "failed"
    assert acted.charges() == []


@row("job", {"time_out": "100ms"})
def times_out(acted: Stage) -> None:
    assert acted.word(acted.done()) == "TIMED_OUT"
    assert acted.entries("ended")[0]["at"] - acted.entries("accepted")[0]["at"] == 100


@row("job", {"lose_worker": {"after": "20s", "ends": "succeeded"}})
def goes_back_to_the_queue_and_succeeds(acted: Stage) -> None:
    job, words = acted.job(), []
    for _ in range(2400):
        words.append(acted.word(job))
        acted.advance("10ms")
    turns = [word for number, word in enumerate(words) if number == 0 or words[number - 1] != word]
    assert turns == ["IN_QUEUE", "IN_PROGRESS", "IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert len(acted.charges()) == 1


@row("job", {"lose_worker": {"after": "1s", "ends": "worker_lost"}})
def goes_back_to_the_queue_and_fails(acted: Stage) -> None:
    record = acted.read(acted.done()).json()
    assert (record["status"], record["error"]) == ("FAILED", "job timed out after 1 retries")


@row("job", {"words": {"COMPLETED": "DONE", "IN_QUEUE": "WAITING"}})
def shows_words_that_nobody_documented(acted: Stage) -> None:
    job = acted.job()
    assert acted.word(job) == "WAITING"
    acted.advance("1m")
    assert acted.word(job) == "DONE"
    assert len(acted.charges()) == 1


@row("job", {"extra": {"word": "WARMING_UP", "after": "IN_QUEUE", "lasts": "5s"}})
def passes_through_one_more_state(acted: Stage) -> None:
    job = acted.job()
    acted.advance("1s")
    assert acted.word(job) == "WARMING_UP"
    acted.advance("10s")
    assert acted.word(job) == "COMPLETED"


@row("job", {"hidden": "5s"}, provider="runflow")
def is_denied_for_a_while(acted: Stage) -> None:
    job = acted.job()
    acted.advance("4999ms")
    assert acted.read(job).status == 404
    acted.advance("1ms")
    assert acted.read(job).status == 200


@row("job", {"gone": "5s"}, provider="runflow")
def its_record_goes_early(acted: Stage) -> None:
    job = acted.job()
    ended = _ends_at(acted, job)
    acted.advance(f"{ended + 4_999 - acted.now}ms")
    assert acted.word(job) == "succeeded"
    acted.advance("1ms")
    assert acted.read(job).status == 404


def _ends_at(acted: Stage, job: str) -> int:
    found = acted.host.run(acted.host.emulator.job(acted.world.name, job))
    return found["ends"]


@row("job", {"flicker": {"word": "running", "after": "2s", "lasts": "3s"}}, provider="runflow")
def shows_an_older_state_after_its_end(acted: Stage) -> None:
    job = acted.job()
    acted.advance(f"{_ends_at(acted, job) - acted.now}ms")
    assert acted.word(job) == "succeeded"
    acted.advance("2s")
    record = acted.read(job).json()
    assert record["status_code"] == "running"
    assert not acted.site.url(record)
    acted.advance("3s")
    assert acted.word(job) == "succeeded"
    assert len(acted.charges()) == len(acted.hook.hits) == 1


# --- pictures


def _file(acted: Stage, job: str, **headers: str) -> Any:
    return acted.ask("GET", acted.url(job), **headers)


@row("output", {"late": "30s"}, provider="runflow")
def the_url_is_ready_late(acted: Stage) -> None:
    job = acted.job()
    acted.advance(f"{_ends_at(acted, job) - acted.now}ms")
    assert _file(acted, job).status == 404
    acted.advance("30s")
    assert _file(acted, job).status == 200


@row("output", {"dies": "1h"}, provider="onemin")
def the_url_dies_early(acted: Stage) -> None:
    job = acted.done()
    assert _file(acted, job).status == 200
    acted.advance("1h")
    dead = _file(acted, job)
    assert dead.status == 403
    assert b"AccessDenied" in dead.body


@row("output", {"content_type": "text/plain"})
def the_content_type_is_wrong(acted: Stage) -> None:
    answer = _file(acted, acted.done())
    assert answer.headers["content-type"] == "text/plain"
    assert picture(answer.body).size == (256, 256)


@row("output", {"truncate": 0.5}, {"reset": True})
def the_connection_dies_in_the_picture(acted: Stage) -> None:
    job = acted.done()
    with pytest.raises(ConnectionResetError):
        _file(acted, job)


@row("output", {"short": 0.5})
def half_of_the_picture_comes_with_a_length_that_agrees(acted: Stage) -> None:
    answer = _file(acted, acted.done())
    assert int(answer.headers["content-length"]) == len(answer.body)
    with pytest.raises(OSError, match="truncated"):
        picture(answer.body)


@row("output", {"resize": [64, 48]}, provider="runflow")
def the_picture_has_another_size(acted: Stage) -> None:
    job = acted.done()
    assert picture(_file(acted, job).body).size == (64, 48)
    shown = acted.read(job).json()["output"]["outputs"][0]
    assert (shown["width"], shown["height"]) == (1024, 1024)


@row("output", {"corrupt": True})
@row("output", {"corrupt": True}, provider="onemin")
def the_picture_does_not_open(acted: Stage) -> None:
    data = _file(acted, acted.done()).body
    with pytest.raises((OSError, SyntaxError, UnidentifiedImageError)):
        picture(data)
    assert data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff"))


@row("output", {"empty_url": True}, provider="onemin")
def succeeds_with_an_empty_url(acted: Stage) -> None:
    record = acted.read(acted.done()).json()["aiRecord"]
    assert (record["status"], record["temporaryUrl"]) == ("SUCCESS", "")
    assert len(acted.charges()) == 1


@row("output", {"black": True})
def the_picture_is_black(acted: Stage) -> None:
    assert picture(_file(acted, acted.done()).body).convert("L").getextrema() == (0, 0)


@row("output", {"no_range": True})
def ranges_are_ignored(acted: Stage) -> None:
    job = acted.done()
    whole, part = _file(acted, job), _file(acted, job, range="bytes=0-9")
    assert (part.status, part.body) == (200, whole.body)


# --- deliveries


def _bodies(acted: Stage) -> list[bytes]:
    return [hit.body for hit in acted.hook.hits]


@row("delivery", {"lose": True}, provider="runflow")
def the_callback_never_comes_and_the_provider_believes_it_did(acted: Stage) -> None:
    job = acted.done(after="1h")
    assert acted.hook.hits == []
    delivery = acted.ask("GET", f"/v1/runs/{job}/callback").json()
    assert "succeeded" in json.dumps(delivery)
    assert [one["outcome"] for one in acted.entries("attempt")] == ["lost"]


@row("delivery", {"duplicate": 2}, provider="runflow")
def the_callback_comes_three_times_at_once(acted: Stage) -> None:
    acted.done()
    assert len(acted.hook.hits) == 3
    assert len({(hit.at, hit.body) for hit in acted.hook.hits}) == 1
    assert acted.entries("attempt")[0]["copies"] == 2


@row("delivery", {"delay": "8d"})
def the_callback_comes_after_the_url_has_died(acted: Stage) -> None:
    acted.done(after="7d")
    assert acted.hook.hits == []
    acted.advance("2d")
    (hit,) = acted.hook.hits
    assert acted.ask("GET", hit.json()["output"]["image_url"]).status == 404


@row("delivery", {"early": True}, provider="runflow")
def the_callback_overtakes_the_answer(acted: Stage) -> None:
    answers: list[str] = []
    seen_before: list[int] = []
    acted.hook.on_hit = lambda _hit: seen_before.append(len(answers))
    answer = acted.submit()
    answers.append(answer.text)
    assert seen_before == [0]
    assert acted.hook.hits[0].json()["run_id"] == answer.json()["id"]
    assert answer.json()["status_code"] == "queued"
    acted.advance("1h")
    assert len(acted.hook.hits) == 1


@row("delivery", {"hold": 2}, when={"nth": 1})
def the_first_callback_comes_third(acted: Stage) -> None:
    jobs = [acted.done() for _ in range(3)]
    acted.advance("1m")
    came = [hit.json()["id"] for hit in acted.hook.hits]
    assert came == [jobs[1], jobs[2], jobs[0]]


def test_a_held_callback_waits_for_one_that_is_late_itself(make: Make) -> None:
    acted = make(
        "runpod",
        {"on": "delivery", "when": {"nth": 1}, "do": {"hold": 1}},
        {"on": "delivery", "when": {"nth": 2}, "do": {"delay": "10m"}},
    )
    jobs = [acted.done() for _ in range(2)]
    acted.advance("5m")
    assert acted.hook.hits == []
    acted.advance("10m")
    assert [hit.json()["id"] for hit in acted.hook.hits] == [jobs[1], jobs[0]]
    assert acted.hook.hits[0].at == acted.hook.hits[1].at


def test_two_held_callbacks_wait_for_the_same_third_and_not_for_each_other(make: Make) -> None:
    acted = make("runpod", {"on": "delivery", "when": {"nth": "1-2"}, "do": {"hold": 1}})
    jobs = [acted.done() for _ in range(3)]
    assert [hit.json()["id"] for hit in acted.hook.hits] == [jobs[2], jobs[0], jobs[1]]


def test_retries_and_copies_of_one_callback_overtake_once(make: Make) -> None:
    acted = make(
        "runflow",
        {"on": "delivery", "when": {"nth": 1}, "do": {"hold": 2}},
        {"on": "delivery", "when": {"nth": 2}, "do": {"replay": "1s"}},
        {"on": "attempt", "when": {"nth": 1}, "do": {"answer": 503}},
    )
    jobs = [acted.done() for _ in range(2)]
    assert [hit.json()["run_id"] for hit in acted.hook.hits] == [jobs[1]] * 2
    jobs.append(acted.done())
    assert [hit.json()["run_id"] for hit in acted.hook.hits] == [jobs[1], jobs[1], jobs[2], jobs[0]]


@row("delivery", {"replay": "1h"}, provider="runflow")
def an_old_event_comes_again_as_it_was(acted: Stage) -> None:
    acted.secret()
    acted.done(after="30m")
    assert len(acted.hook.hits) == 1
    acted.advance("1h")
    first, again = acted.hook.hits
    assert (first.body, first.headers) == (again.body, again.headers)
    assert again.at - first.at == 3_600_000


# --- attempts


def _signed(hit: Hit, secret: str) -> bool:
    wanted = hmac.new(secret.encode(), hit.body, hashlib.sha256).hexdigest()
    return hit.headers.get("runflow-signature") == wanted


@row("attempt", {"tamper": "body"}, provider="runflow", when={"attempt": 1})
def one_byte_differs_from_what_was_signed(acted: Stage) -> None:
    secret = acted.secret()
    acted.hook.answers = (500, 200)
    acted.done()
    bad, good = acted.hook.hits
    assert (_signed(bad, secret), _signed(good, secret)) == (False, True)
    assert sum(one != other for one, other in zip(bad.body, good.body, strict=True)) == 1
    assert [one["signature"] for one in acted.entries("attempt")] == ["wrong", "good"]


@row("attempt", {"sign": "wrong"}, {"sign": "stale"}, {"sign": "missing"}, provider="runflow")
def the_signature_does_not_fit(acted: Stage) -> None:
    secret = acted.secret()
    acted.done()
    (hit,) = acted.hook.hits
    assert not _signed(hit, secret)
    how = acted.world.options.scenario.rules[0].do.value
    assert ("runflow-signature" in hit.headers) == (how != "missing")
    assert acted.entries("attempt")[0]["signature"] == {"missing": "none"}.get(how, how)


@row("attempt", {"sign": "rotated"}, provider="runflow")
def the_secret_before_the_current_one_signs(acted: Stage) -> None:
    old, new = acted.secret(), acted.secret(current=True)
    acted.done()
    (hit,) = acted.hook.hits
    assert (_signed(hit, old), _signed(hit, new)) == (True, False)


@row("attempt", {"reserialise": True}, provider="runflow")
def the_same_json_comes_with_other_spacing(acted: Stage) -> None:
    secret = acted.secret()
    acted.done()
    (hit,) = acted.hook.hits
    assert not _signed(hit, secret)
    compact = json.dumps(hit.json(), separators=(",", ":"), ensure_ascii=False).encode()
    assert compact != hit.body
    assert hit.headers["runflow-signature"] == hmac.new(secret.encode(), compact, hashlib.sha256).hexdigest()


@row("attempt", {"drip": "3s"})
def the_callback_drips(acted: Stage) -> None:
    asked: list[float] = []
    settings = acted.host.emulator.settings
    usual = settings.dripping

    def dripping(seconds: float) -> Any:
        asked.append(seconds)
        return acted.hook

    settings.dripping = dripping
    acted.done()
    settings.dripping = usual
    assert asked == [3.0]
    assert len(acted.hook.hits) == 1


@row("attempt", {"lose": True}, when={"attempt": 1}, provider="runflow")
def one_attempt_is_lost_and_the_next_comes(acted: Stage) -> None:
    acted.done()
    (hit,) = acted.hook.hits
    ended = acted.entries("ended")[0]["at"]
    assert hit.at - ended == 1_000
    assert [one["outcome"] for one in acted.entries("attempt")] == ["lost", "http"]


@row("attempt", {"answer": 301}, provider="runflow")
def a_redirect_in_between_loses_the_callback(acted: Stage) -> None:
    acted.done(after="1h")
    assert acted.hook.hits == []
    assert [one["status"] for one in acted.entries("attempt")] == [301]


@row("attempt", {"reset_after": True}, when={"attempt": 1}, provider="runflow")
def the_receiver_gets_it_all_and_the_provider_tries_again(acted: Stage) -> None:
    acted.done()
    assert len(acted.hook.hits) == 2
    assert len(set(_bodies(acted))) == 1
    assert [one["outcome"] for one in acted.entries("attempt")] == ["network", "http"]


# --- the account


@row("account", {"balance": "0"}, when={"nth": 2}, provider="runflow")
def the_money_runs_out_in_between(acted: Stage) -> None:
    first = acted.job()
    assert acted.submit().status == 402
    acted.advance("1m")
    assert acted.word(first) == "succeeded"
    assert len(acted.charges()) == 1


@row("account", {"balance": 30_000}, when={"nth": 1}, provider="onemin")
def the_money_is_enough_for_one(acted: Stage) -> None:
    acted.done()
    assert acted.submit().status == 406


@row("account", {"quota": {"limit": "run", "count": 2}}, when={"since": "1m"})
def the_quota_shrinks(acted: Stage) -> None:
    assert [acted.submit().status for _ in range(3)] == [200, 200, 200]
    acted.advance("1m")
    assert [acted.submit().status for _ in range(3)] == [200, 200, 429]


@row("account", {"quota": {"limit": "run", "count": 1}}, when={"nth": 1}, limits="off")
def a_quota_appears_where_there_was_none(acted: Stage) -> None:
    job = acted.job()
    assert acted.submit().status == 429
    assert acted.word(job) == "IN_QUEUE"


@row("account", {"reading": {"megapixel": "binary"}}, when={"nth": 2})
def the_price_follows_another_reading_from_then_on(acted: Stage) -> None:
    for _ in range(3):
        acted.done()
    assert [Decimal(one["amount"]) for one in acted.charges()] == [
        Decimal("0.00131072"), Decimal("0.00125"), Decimal("0.00125")
    ]  # fmt: skip


# --- when


def _statuses(acted: Stage, count: int) -> list[int]:
    return [acted.submit().status for _ in range(count)]


@pytest.mark.parametrize(
    ("nth", "refused"),
    [(3, [3]), ([1, 3], [1, 3]), ("2-4", [2, 3, 4]), ("4-", [4, 5, 6]), ({"every": 2}, [2, 4, 6])],
    ids=str,
)
def test_the_nth_submit_is_refused(nth: Any, refused: list[int], make: Make) -> None:
    acted = make("runpod", {"on": "request", "when": {"does": "submit", "nth": nth}, "do": {"refuse": "unavailable"}})
    assert [number for number, status in enumerate(_statuses(acted, 6), 1) if status == 503] == refused


def test_a_rule_takes_effect_so_many_times_at_most(make: Make) -> None:
    acted = make("runpod", {"on": "request", "when": {"does": "submit"}, "do": {"refuse": "unavailable"}, "times": 2})
    assert _statuses(acted, 4) == [503, 503, 200, 200]


def test_only_looks_at_the_second_job_are_refused(make: Make) -> None:
    acted = make("runpod", {"on": "request", "when": {"does": "read", "job": 2}, "do": {"refuse": "unavailable"}})
    one, two, three = acted.job(), acted.job(), acted.job()
    assert [acted.read(job).status for job in (one, two, three, two)] == [200, 503, 200, 503]


@pytest.mark.parametrize(
    "predicate",
    [{"equals": "a red fox"}, {"matches": "fox$"}, {"present": True}, "a red fox"],
    ids=str,
)
def test_a_prompt_decides(predicate: Any, make: Make) -> None:
    acted = make("runpod", {"on": "job", "when": {"input": {"/input/prompt": predicate}}, "do": {"fail": "exception"}})
    assert acted.word(acted.done()) == "FAILED"
    other = acted.body()
    other["input"]["prompt"] = "a blue cat"
    job = acted.ask("POST", acted.site.submits, json_body=other).json()["id"]
    acted.advance("1m")
    assert acted.word(job) == ("FAILED" if predicate == {"present": True} else "COMPLETED")


def test_a_size_decides(make: Make) -> None:
    when = {"model": "flux-dev", "input": {"/input/width": {"above": 100, "below": 300}}}
    acted = make("runpod", {"on": "output", "when": when, "do": {"black": True}})
    assert picture(_file(acted, acted.done()).body).convert("L").getextrema() == (0, 0)


def test_a_span_of_the_worlds_time_decides(make: Make) -> None:
    when = {"does": "submit", "since": "1m", "until": "2m"}
    acted = make("runpod", {"on": "request", "when": when, "do": {"refuse": "unavailable"}})
    found = []
    for _ in range(5):
        found.append(acted.submit().status)
        acted.advance("30s")
    assert found == [200, 200, 503, 503, 200]


def test_the_event_decides(make: Make) -> None:
    acted = make(
        "runflow",
        {"on": "job", "when": {"job": 2}, "do": {"fail": "provider_error"}},
        {"on": "delivery", "when": {"event": "run.failed"}, "do": {"lose": True}},
    )
    acted.done()
    acted.done()
    assert [hit.json()["event"] for hit in acted.hook.hits] == ["run.completed"]


def test_of_two_answers_the_first_wins(make: Make) -> None:
    acted = make(
        "runpod",
        {"on": "request", "when": {"does": "submit"}, "do": {"lose": "html_522"}},
        {"on": "request", "when": {"does": "submit"}, "do": {"lose": "reset"}},
        {"on": "request", "when": {"does": "read"}, "do": {"drip": "1ms"}},
        {"on": "request", "when": {"does": "read"}, "do": {"garbage": True}},
    )
    assert acted.submit().status == 522
    job = acted.entries("accepted")[0]["job"]
    assert acted.read(job).status == 200
    assert acted.report()["never"] == [2, 4]
    assert [one.get("fault") for one in acted.entries("request")] == ["lose", "drip 1ms"]


@pytest.mark.parametrize("cut", [{"truncate": 0.5}, {"reset": True}], ids=str)
def test_a_picture_that_is_cut_does_not_come_whole_in_drops(make: Make, cut: Any) -> None:
    slowly = {"on": "request", "when": {"does": "file"}, "do": {"drip": "1ms"}}
    acted = make("runpod", {"on": "output", "do": cut}, slowly)
    job = acted.done()
    with pytest.raises(ConnectionResetError):
        _file(acted, job)


def test_of_two_outcomes_of_an_attempt_the_first_wins(make: Make) -> None:
    acted = make("runflow", {"on": "attempt", "do": {"answer": 204}}, {"on": "attempt", "do": {"lose": True}})
    acted.done()
    assert [(one["outcome"], one["status"]) for one in acted.entries("attempt")] == [("http", 204)]


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "job", "do": {"fail": "handler_error"}},
        {"on": "job", "do": {"stuck": "IN_QUEUE"}},
        {"on": "job", "do": {"flicker": {"word": "IN_QUEUE", "after": "1s", "lasts": "1s"}}},
        {"on": "job", "do": {"extra": {"word": "X", "after": "IN_QUEUE", "lasts": "1s"}}},
        {"on": "job", "do": {"lose_worker": {"after": "1s", "ends": "worker_lost"}}},
        {"on": "account", "do": {"reading": {"megapixel": "binary"}}},
        {"on": "account", "do": {"quota": {"limit": "run", "count": 0}}},
    ],
    ids=lambda rule: next(iter(rule["do"])),
)
def test_a_rule_in_another_providers_words_leaves_this_one_alone(rule: Any, make: Make) -> None:
    acted = make("runflow", scenario={"scenario": 1, "name": "of runpod", "rules": [rule]})
    assert acted.word(acted.done()) == "succeeded"
    assert len(acted.charges()) == 1
    assert acted.report()["never"] == [1]


def test_a_rule_that_never_took_effect_is_reported(make: Make) -> None:
    acted = make("runpod", {"on": "job", "when": {"model": "kontext"}, "do": {"moderate": True}})
    acted.done()
    assert acted.report()["never"] == [1]
