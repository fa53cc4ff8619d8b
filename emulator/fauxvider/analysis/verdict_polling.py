"""Rules about looking for the end: too often, too long, too short, and not believing what was told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import Asked, JobStory, Shown
from fauxvider.analysis.verdict_rule import DAY, HOUR, MINUTE, SECOND, Case, Rule, asked_text, case, tried_text

__all__ = ["POLLING"]

_FURTHER = 3  # polls of a finished job that are too many
_DENIALS = 5
_PER_SECOND = 10
_AT_ONCE = 100  # at one instant of a clock that stands still, where the client's own pauses do not show
_UNPACED = 4
_SPACED = 10 * SECOND


def _polled_on(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        run: list[Asked] = []
        for asked in sorted([*job.asks, *job.files], key=lambda one: one.at):
            if asked.does in ("file", "retry") or asked.shows == "open":
                run = []
            elif not asked.is_seen:
                continue
            elif asked.is_poll and asked.shows in ("over", "succeeded"):
                # Looking again much later is no loop: links are signed anew, pages are opened again.
                run = [*run, asked] if run and asked.at - run[-1].ended < HOUR else [asked]
            elif asked.shows in ("over", "succeeded"):
                run = [asked]
            if len(run) > _FURTHER:
                yield case(job.id, *[(one.at, asked_text(one)) for one in run])
                break


def _polled_denied(history: History) -> Iterator[Case]:
    paths: dict[tuple[str, str], list[Asked]] = {}
    for asked in history.requests:
        if asked.is_poll:
            paths.setdefault((asked.provider, asked.path), []).append(asked)
    stories = {asked.number: job for job in history.jobs.values() for asked in job.asks}
    for polls in paths.values():
        job = next((stories[asked.number] for asked in polls if asked.number in stories), None)
        # Right after the submit a look-up may be ahead of the provider's own records; an answer may come late.
        since = max(job.accepted, job.named_at or 0) + max(MINUTE, job.contract.visible_after) if job else 0
        for denied, run in groupby(polls, key=lambda asked: asked.denies):
            late = [asked for asked in run if asked.at >= since]
            if denied and len(late) >= _DENIALS:
                yield case(job.id if job else "", *[(one.at, asked_text(one)) for one in late])
                break
    for note in history.notes:
        if note.said == "believes" and note.text.strip().isdigit():
            yield case(note.job, (note.at, f"the client believes that the job's status is {note.text.strip()}"))


def _hammered(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        polls, first = job.polls, 0
        for at, asked in enumerate(polls):
            while asked.at - polls[first].at >= SECOND:
                first += 1
            many = _PER_SECOND if asked.at > polls[first].at else _AT_ONCE
            if at - first >= many:
                yield case(job.id, *[(one.at, asked_text(one)) for one in polls[first : at + 1]])
                break


def _throttled(asked: Asked) -> bool:
    return asked.is_seen and (asked.cause == "rate" or asked.status == 429)


def _no_backoff(history: History) -> Iterator[Case]:
    for asks in history.repeated():
        for refused, run in groupby(asks, key=_throttled):
            refusals = list(run)
            if not refused or len(refusals) < _UNPACED:
                continue
            gaps = [after.at - before.ended for before, after in pairwise(refusals)]
            obeys = all(
                one.retry_after is not None and gap >= one.retry_after for one, gap in zip(refusals, gaps, strict=False)
            )
            if not obeys and max(gaps) < _SPACED and gaps[-1] < 2 * max(gaps[0], 1):
                yield case("", *[(one.at, asked_text(one)) for one in refusals])


def _ignored_retry_after(history: History) -> Iterator[Case]:
    for asks in history.repeated():
        for refused, again in pairwise(asks):
            if _throttled(refused) and refused.retry_after and again.at < refused.ended + refused.retry_after:
                wait = f"Retry-After: {refused.retry_after // SECOND}"
                yield case(again.job, (refused.at, f"{asked_text(refused)}, {wait}"), (again.at, asked_text(again)))
                break


def _silent_since(history: History, job: JobStory, moment: int) -> bool:
    """Whether the client has asked for nothing that could tell it of the job since then."""
    if any(one.at >= moment for one in (*job.asks, *job.files)):
        return False
    return not any(one.at >= moment for one in history.of(job.provider, "list", "deliveries"))


def _gave_up(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        end = job.end
        if end is None or job.told_end(perhaps=True) is not None or not job.is_known or history.replaced_by(job):
            continue
        note = next((one for one in job.notes if one.said == "gave_up"), None)
        last = note.at if note is not None else max((one.ended for one in job.asks), default=job.accepted)
        shown = [one.shows for one in job.asks if one.shows]
        if last >= min(end.at, job.patience) or (shown and shown[-1] == "unknown"):
            continue
        if job.asks and job.asks[-1].cause.startswith(("auth_", "scope_")):
            continue  # a key that is refused cannot look
        waits = note is None and (bool(job.address) or history.now - end.at < HOUR)
        if not waits and _silent_since(history, job, end.at):
            stop = "the client says that it gave up" if note is not None else f"its last look{_last_text(job)}"
            yield case(job.id, (job.accepted, "accepted"), (last, stop), (end.at, f"ended as {end.word}"))


def _last_text(job: JobStory) -> str:
    return f": {asked_text(job.asks[-1])}" if job.asks and job.asks[-1].does != "submit" else " was its submit"


def _due(job: JobStory, since: int) -> tuple[int, str]:
    """Give the moment by which the provider says that a job is over, or further on, and what it says."""
    limits = {one.covers: one.default for one in job.contract.deadlines if one.default}
    running = next((one.ended for one in job.polls if one.is_seen and one.state == "running" and one.at >= since), None)
    if running is not None and "running" in limits:
        return running + limits["running"], "by the contract it cannot run any longer"
    whole = limits.get("all") or limits.get("queued")
    if whole is not None:
        return since + whole, "by the contract it cannot wait any longer"
    return since + DAY, "a day has passed (the contract has no limit)"


def _waited(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        if job.end is not None:
            continue  # it was worth the wait
        again = [one.ended for one in job.asks if one.does == "retry" and one.is_ok]
        due, says = _due(job, max([job.accepted, *again]))
        run: list[Asked] = []
        for asked in job.polls:
            if asked.at < due + HOUR or asked.shows not in ("open", "unknown"):
                continue
            run = [*run, asked] if run and asked.at - run[-1].ended < HOUR else [asked]
            if len(run) > _FURTHER:
                polls = [(one.at, asked_text(one)) for one in run]
                yield case(job.id, (job.accepted, "accepted"), (due, says), *polls)
                break


def _unknown_word(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        looks = [one for one in job.asks if one.is_seen and one.shows]
        if not looks or looks[-1].shows != "unknown" or job.told_end(perhaps=True) is not None:
            continue
        last = looks[-1]
        is_early = last.at < job.patience and history.now - last.ended >= HOUR
        if is_early and _silent_since(history, job, last.at + 1):
            yield case(job.id, (last.at, asked_text(last)), (history.now, "the client has not looked again"))


class _Turn(NamedTuple):
    """What the client was told for certain, or did. `again`: the job is run again; `other`: no poll."""

    at: int
    sentence: str
    shows: Shown
    kind: Literal["poll", "again", "other"]


def _turns(job: JobStory) -> list[_Turn]:
    found = [_Turn(one.at, "", "", "other") for one in job.files]
    for asked in job.asks:
        kind: Literal["poll", "again", "other"] = (
            "poll" if asked.is_poll else "again" if asked.does == "retry" else "other"
        )
        if asked.is_poll or (asked.is_ok and asked.shows):
            found.append(_Turn(asked.ended, asked_text(asked), asked.shows if asked.is_seen else "", kind))
    found += [
        _Turn(tried.at, tried_text(tried), "over", "other")
        for tried in job.tries
        if tried.is_taken and tried.signature == "good" and job.end_before(tried.at) is not None
    ]
    return sorted(found, key=lambda turn: turn.at)


def _went_back(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        over: tuple[int, str] | None = None
        back: list[tuple[int, str]] = []
        for turn in _turns(job):
            if turn.kind == "again":
                over, back = None, []
            elif turn.shows in ("over", "succeeded") and not back:
                over = (turn.at, turn.sentence)
            elif turn.kind == "other":
                back = []  # who fetches the file believes in the end
            elif over is not None and (back or turn.shows == "open"):
                back.append((turn.at, turn.sentence))
            if over is not None and len(back) > _FURTHER:
                yield case(job.id, over, *back)
                break
        told = job.told_end()
        for note in job.notes:
            known = job.contract.states.get(note.text)
            if note.said == "believes" and told is not None and note.at >= told and known and not known.is_terminal:
                yield case(job.id, (told, "the client was told of the end"), (note.at, f"it believes {note.text}"))


POLLING: tuple[Rule, ...] = (
    Rule(
        name="polled-finished-job",
        severity="harm",
        about="a job was polled on and on after its end had been shown",
        harm="the loop never ends: it eats the quota, and what should come next never does",
        fix="leave the loop at every terminal word of the contract: failed, cancelled and timed out are ends too",
        source="incidents.md C8: AIProxySwift PR #27 (failed never stops)",
        find=_polled_on,
    ),
    Rule(
        name="polled-denied-job",
        severity="harm",
        about="a job that the provider says it does not know was polled on and on",
        harm="the record is gone and does not come back; a number in an error body is no job status",
        fix="look at the HTTP status before the body; after a short grace for a fresh job, take 404 as the end",
        source="incidents.md C8: n8n-nodes-comfyui#16 (a vanished job polled 1,800 times)",
        find=_polled_denied,
    ),
    Rule(
        name="hammered",
        severity="risk",
        about="a job was polled more than ten times within one second",
        harm="it runs into the limit, for every other job of the same key too",
        fix="poll once a second at most and slow down as the job takes longer, or take a callback",
        source="incidents.md C8 (poll loop from hell), row 56: postmanlabs/httpbin#413",
        find=_hammered,
    ),
    Rule(
        name="no-backoff",
        severity="risk",
        about="a throttled request was sent again and again at an even pace",
        harm="it keeps the quota used up, so that nothing gets through",
        fix="wait as long as Retry-After says, else twice as long each time, with a cap and some jitter",
        source="incidents.md row 56: dotnet/dev-proxy#350, postmanlabs/httpbin#413 (real 429s)",
        find=_no_backoff,
    ),
    Rule(
        name="ignored-retry-after",
        severity="risk",
        about="a throttled request was sent again before the time that Retry-After gave",
        harm="it is refused again, and some providers lengthen the ban",
        fix="read Retry-After (seconds or a date) and wait at least that long",
        source="incidents.md row 56: mimickerhq/mimicker PR #38 (Retry-After)",
        find=_ignored_retry_after,
    ),
    Rule(
        name="gave-up-early",
        severity="harm",
        about="the client stopped looking while the provider was still within its documented time",
        harm="the job ends, is billed, and nobody takes the result",
        fix="wait as long as the contract lets a run take; when giving up sooner, cancel, and look once more later",
        source="incidents.md C8: moeru-ai/airi#2084 (a five-minute cap; the job succeeds at 6:44)",
        find=_gave_up,
    ),
    Rule(
        name="waited-for-ever",
        severity="harm",
        about="a job that is stuck was polled on and on, an hour and more past the provider's own limit",
        harm="whoever waits is told nothing, and the worker that polls is lost for other jobs",
        fix="keep a deadline of your own, a little beyond the contract's; then cancel, say so, and sweep once a day",
        source="incidents.md C8: BitMind-AI/bitmind-subnet PR #312 (a deadline that never fires); C3 (stuck for ever)",
        find=_waited,
    ),
    Rule(
        name="stopped-at-unknown-word",
        severity="harm",
        about="the last thing shown was a status word that the contract does not have, and the client fell silent",
        harm="a word added by the provider ends in a job that hangs for ever, or in one that is taken for failed",
        fix="treat an unknown word as `still going on`, note it, and keep to the deadline",
        source="incidents.md C8: BitMind-AI/bitmind-subnet PR #312; C11 (a documented word that never comes)",
        find=_unknown_word,
    ),
    Rule(
        name="went-back",
        severity="harm",
        about="after its end had been shown, an older state was believed again",
        harm="a finished job hangs, or is delivered twice: states arrive out of order",
        fix="the first terminal state is final; never overwrite it with an open one",
        source="incidents.md C5: google/go-github#2706, paypal/mirakl-hyperwallet-connector#35; C8 (status regresses)",
        find=_went_back,
    ),
)
