"""Rules about callbacks: taking them, refusing them, and living without the lost ones."""

from __future__ import annotations

from collections.abc import Iterator

from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import JobStory, Tried
from fauxvider.analysis.verdict_rule import HOUR, Case, Rule, asked_text, case, tried_text

__all__ = ["CALLBACKS"]

_REFUSALS = frozenset({400, 401, 403})
_PASSING = frozenset({408, 425, 429})
_STORM = 4
_HANDLED = frozenset({"processed", "saved", "failed"})
_SPOILED = frozenset({"tamper", "reserialise"})


def _lost(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        end = job.end
        if not job.address or end is None or job.told_end(perhaps=True) is not None or not job.is_known:
            continue
        last = max([end.at, *(tried.at for tried in job.tries)])
        # The receiver may have had what the provider thinks is lost.
        is_handled = any(note.at >= end.at and note.said in _HANDLED for note in job.notes)
        if is_handled or history.now - last < HOUR or _reconciled(history, job, end.at):
            continue
        missed = [(tried.at, tried_text(tried)) for tried in job.tries] or [(end.at, "no callback is made of this end")]
        yield case(job.id, (end.at, f"ended as {end.word}"), *missed, (history.now, "the client has not looked since"))


def _reconciled(history: History, job: JobStory, since: int) -> bool:
    """Whether the client has looked after the end, or swept the queue itself."""
    if any(one.at >= since for one in (*job.asks, *job.files)):
        return True
    if any(one.at >= since for one in history.of(job.provider, "list")):
        return True
    return any(one.at == since for one in history.of(job.provider, "purge"))


def _deliveries(job: JobStory) -> Iterator[list[Tried]]:
    found: dict[str, list[Tried]] = {}
    for tried in job.tries:
        found.setdefault(tried.delivery, []).append(tried)
    return iter(found.values())


def _slow_answer(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        for tries in _deliveries(job):
            late = [one for one in tries if one.outcome == "timeout" and not one.faults]
            if late and tries[-1].number > late[0].number:
                yield case(job.id, *[(one.at, tried_text(one)) for one in tries])


def _processed_twice(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        notes = [note for note in job.notes if note.said == "processed"]
        if len(notes) > max(1, len(job.ends)):
            tries = [(tried.at, tried_text(tried)) for tried in job.tries]
            yield case(job.id, *tries, *[(note.at, "the client processed it") for note in notes])


def _is_bad(tried: Tried) -> bool:
    is_unsigned = tried.signature in ("", "none")
    is_spoiled = bool(tried.faults & _SPOILED) and not is_unsigned
    # By the secret before the current one it is good for whoever still holds both.
    is_forged = tried.signature in ("wrong", "stale") and "sign rotated" not in tried.faults
    return is_forged or is_spoiled or "sign missing" in tried.faults


def _accepted_bad(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        if job.contract.callbacks is None or job.contract.callbacks.signature is None:
            continue
        bad = [one for one in job.tries if one.is_taken and _is_bad(one)]
        if bad:
            yield case(job.id, *[(one.at, tried_text(one)) for one in bad])


def _refused(history: History, signature: str) -> Iterator[Case]:
    for job in history.jobs.values():
        for one in job.tries:
            is_refused = one.is_answered and one.status in _REFUSALS and one.signature == signature
            if is_refused and not one.faults & _SPOILED:
                final = "" if one.is_retried else "; the provider does not try again"
                yield case(job.id, (one.at, tried_text(one) + final))
                break


def _refused_good(history: History) -> Iterator[Case]:
    yield from _refused(history, "good")


def _refused_old(history: History) -> Iterator[Case]:
    yield from _refused(history, "old")


def _redirected(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        moved = [one for one in job.tries if one.is_answered and 300 <= one.status < 400]
        if moved:
            yield case(job.id, *[(one.at, tried_text(one)) for one in moved])


def _refused_unknown(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        for one in job.tries:
            is_refusal = one.is_answered and 400 <= one.status < 500 and one.status not in _REFUSALS | _PASSING
            if not is_refusal or one.is_retried:
                continue
            evidence = [(one.at, tried_text(one) + "; the provider does not try again")]
            if job.submit is not None and job.submit.ended > one.at:
                evidence.append((job.submit.ended, "the POST that made the job was answered only now"))
            yield case(job.id, *evidence)
            break


def _storm(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        asks = [one for one in job.asks if one.does == "redeliver" and one.is_ok]
        for first, last in zip(asks, asks[_STORM - 1 :], strict=False):
            if last.at - first.at < HOUR:
                yield case(job.id, *[(one.at, "redelivery asked for") for one in asks])
                break


def _late_events(job: JobStory) -> Iterator[tuple[Tried, int]]:
    """Give the callbacks that tell of an earlier end than the last, and came when the client knew of the last one."""
    end = job.end
    if end is None:
        return
    told = [at for at, shows in job.told() if at >= end.at and (shows == "succeeded") == (end.state == "succeeded")]
    for tried in job.tries:
        other = job.end_told_by(tried)
        is_old = other is not None and other.state != end.state
        if told and is_old and tried.is_taken and not tried.is_tampered and tried.at > told[0]:
            yield tried, told[0]


def _old_event(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        for tried, told in _late_events(job):
            found = _believed(job, tried.at)
            if found is not None:
                known = (told, "the client was told of the last end")
                yield case(job.id, known, (tried.at, tried_text(tried) + ", about an earlier end"), found)
                break


def _believed(job: JobStory, since: int) -> tuple[int, str] | None:
    """Give what shows that the client believes an end that is not the last."""
    end, states = job.end, job.contract.states
    for note in (one for one in job.notes if one.at >= since):
        known = states.get(note.text)
        if note.said == "believes" and known is not None and end is not None and known.canonical != end.state:
            return note.at, f"it believes {note.text}"
    if end is None or end.state != "succeeded":
        return None
    return next(((one.at, asked_text(one)) for one in job.asks if one.does == "retry" and one.at >= since), None)


CALLBACKS: tuple[Rule, ...] = (
    Rule(
        name="lost-callback-not-reconciled",
        severity="harm",
        about="the callback did not arrive, and the client never looked for itself",
        harm="the job is finished and billed, and stays `processing` for ever on the client's side",
        fix="a callback is a hint: sweep jobs that are older than their usual time, and read their records",
        source="incidents.md C3: PHASE-STELLAR/Phase#29, product-os/jellyfish#3840, replicate-javascript#321",
        find=_lost,
    ),
    Rule(
        name="slow-acknowledgement",
        severity="risk",
        about="a callback was not answered in time, so it was sent again",
        harm="the first one may have been worked off all the same: a duplicate that the receiver made itself",
        fix="write the callback down, answer 200 at once, and do the work afterwards",
        source="incidents.md C4: bettersg/checkMate#152, huggingface/dataset-viewer#2651",
        find=_slow_answer,
    ),
    Rule(
        name="processed-twice",
        severity="harm",
        about="one job was processed more than once",
        harm="delivered twice, credited twice: callbacks come at least once, and polls cross them",
        fix="claim the job's id in one atomic step before working on it, whatever brought the news",
        source="incidents.md C4: wasp-lang/open-saas#688, sendgrid/docs#2933 (up to 46 copies)",
        find=_processed_twice,
    ),
    Rule(
        name="accepted-bad-signature",
        severity="harm",
        about="a callback was accepted although its signature does not fit its bytes",
        harm="anybody who finds the address can finish jobs",
        fix="compute the signature over the raw bytes, compare in constant time, and refuse what does not match",
        source="incidents.md C2 (verification over re-parsed JSON), 2.1 rows 19, 22: replicate-javascript#195",
        find=_accepted_bad,
    ),
    Rule(
        name="refused-good-signature",
        severity="harm",
        about="a correctly signed callback was refused",
        harm="the provider may not try again after a 4xx: the event is lost",
        fix="verify all of the bytes, as they came, before any parser touches them; the key is the whole secret",
        source="incidents.md C2: gabrielkoerich/orch#134, ctrlplanedev/ctrlplane PR #852, octokit/webhooks.js#76",
        find=_refused_good,
    ),
    Rule(
        name="refused-old-secret",
        severity="harm",
        about="a callback that was signed by the secret before the current one was refused",
        harm="on rotation day everything in flight is lost",
        fix="accept a list of secrets, and drop the old one only when the retry ladder is over",
        source="incidents.md C9: octokit/webhooks.js#770, liwala/ay-framework#407",
        find=_refused_old,
    ),
    Rule(
        name="redirected-callback",
        severity="harm",
        about="a callback was answered with a redirect",
        harm="redirects are not followed: the event is lost without a word",
        fix="register the final address (scheme, host, trailing slash), and answer 2xx there",
        source="incidents.md C2: replicate/replicate-javascript#195 (a 301 loses the delivery)",
        find=_redirected,
    ),
    Rule(
        name="refused-unknown-job",
        severity="harm",
        about="a callback for a job that the receiver did not know yet was refused for good",
        harm="the callback outran the POST's answer: the event is lost",
        fix="accept callbacks for unknown ids, keep them, and match them when the answer comes",
        source="incidents.md C6: hardbyte/awa PR #17, Wavix/Mokkify PR #30 (15 ms), jhuckaby/Cronicle#156",
        find=_refused_unknown,
    ),
    Rule(
        name="believed-old-event",
        severity="harm",
        about="a callback about an earlier end came late, and was believed over the end that the client knew",
        harm="a finished job is shown as failed, or is run and billed once more",
        fix="order by what the events say, not by when they come: read the record before an end is overwritten",
        source="incidents.md C5: google/go-github#2706, paypal/mirakl-hyperwallet-connector#35",
        find=_old_event,
    ),
    Rule(
        name="redelivery-storm",
        severity="risk",
        about="the redelivery of one job's callback was asked for again and again",
        harm="each one is a further copy of the event for a receiver that is down or drowning already",
        fix="read the record instead; ask for a redelivery once, after the receiver has been mended",
        source="incidents.md C4: sendgrid/docs#2933 (copies for 29 h), C3",
        find=_storm,
    ),
)
