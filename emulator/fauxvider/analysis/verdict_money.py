"""Rules about money: what was paid twice, and what was paid for and never had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import reduce
from itertools import pairwise

from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import JobStory, Note
from fauxvider.analysis.payments import EXACT, Money, read_budget
from fauxvider.analysis.verdict_rule import DAY, HOUR, SECOND, Case, Rule, asked_text, case
from fauxvider.errors import UsageError

__all__ = ["MONEY"]

_IMPATIENT = 5 * SECOND  # a twin that comes later than this, while the first is still held, is a retry


def _retries(history: History) -> Iterator[tuple[JobStory, JobStory]]:
    """Give pairs of equal billed jobs, of which the second was asked for because the first's answer did not come."""
    twins: dict[tuple[str, str, str, str], list[JobStory]] = {}
    for job in history.jobs.values():
        if job.fingerprint and job.price:
            twins.setdefault((job.provider, job.operation, job.key, job.fingerprint), []).append(job)
    for jobs in twins.values():
        for first, second in pairwise(jobs):
            if second.accepted - first.accepted <= DAY and _went_unanswered(first, second):
                yield first, second


def _went_unanswered(first: JobStory, second: JobStory) -> bool:
    submit = first.submit
    is_late = second.accepted - first.accepted >= _IMPATIENT
    if submit is None:
        return is_late
    is_held = submit.ended > second.accepted
    return submit.is_lost or submit.status >= 500 or (is_held and is_late)


def _retried(first: JobStory, second: JobStory, how: str) -> Case:
    answer = asked_text(first.submit) if first.submit is not None else "its answer never came"
    bills = [(at, f"charged {amount} for {job.id}") for job in (first, second) for at, amount in job.charged]
    return case(
        second.id,
        (first.accepted, f"accepted as {first.id}: {answer}"),
        (second.accepted, f"the same request again {how}: accepted as {second.id}"),
        *bills,
    )


def _without_key(history: History) -> Iterator[Case]:
    for first, second in _retries(history):
        if not (first.intent and second.intent):
            yield _retried(first, second, "without an idempotency key")


def _with_new_key(history: History) -> Iterator[Case]:
    for first, second in _retries(history):
        if first.intent and second.intent and first.intent != second.intent:
            yield _retried(first, second, "under a new idempotency key")


def _ordered_again(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        other = history.replaced_by(job)
        if other is not None:
            look = job.asks[-1]
            bills = [(at, f"charged {money} for {one.id}") for one in (job, other) for at, money in one.charged]
            yield case(
                other.id,
                (job.accepted, f"accepted as {job.id}"),
                (look.at, f"{asked_text(look)}; it was not asked for again"),
                (other.accepted, f"the same request again: accepted as {other.id}"),
                *bills,
            )


def _key_reused(history: History) -> Iterator[Case]:
    for asked in history.requests:
        if asked.cause == "conflict" and asked.does == "submit" and not asked.faults:
            yield case("", (asked.at, asked_text(asked)))


def _cancelled_too_late(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        end = job.end
        if end is None or end.state != "succeeded" or not job.charged:
            continue
        late = [one for one in job.asks if one.does == "cancel" and one.is_ok and one.at >= end.at]
        if late and not history.may_have_tried(job, history.now) and "empty_url" not in job.faults:
            bill = [(at, f"charged {amount}") for at, amount in job.charged]
            yield case(job.id, *bill, *[(one.at, asked_text(one)) for one in late])


def _never_fetched(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        end, told, death = job.end, job.told_end(), job.url_death()
        is_paid = job.succeeds and bool(job.charged) and job.output is not None
        if not is_paid or end is None or told is None or "empty_url" in job.faults:
            continue
        if history.may_have_tried(job, history.now) or history.replaced_by(job):
            continue
        is_dead = death is not None and history.now > death
        if history.now - end.at >= HOUR and not is_dead and not any(one.does == "cancel" for one in job.asks):
            bill = [(at, f"charged {amount}") for at, amount in job.charged]
            yield case(job.id, *bill, (told, "the client was told of the success"), (history.now, "no download so far"))


def _after_retention(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        operation, end = job.contract.operations.get(job.operation), job.end
        is_lost = end is not None and job.succeeds and bool(job.charged) and job.is_named
        if not is_lost or end is None or operation is None or operation.keeps is None:
            continue
        polls, gone = [one for one in job.polls if one.at >= end.at], end.at + operation.keeps
        if not polls or not polls[0].denies or polls[0].at <= gone or history.is_held_at(job.provider, gone):
            continue
        if job.told_end(perhaps=True) is None:
            bill = [(at, f"charged {amount}") for at, amount in job.charged]
            yield case(job.id, (end.at, f"ended as {end.word}"), *bill, (polls[0].at, asked_text(polls[0])))


def _budgets(history: History) -> Iterator[tuple[Note, Money, list[JobStory]]]:
    """Give the budgets that the client named, each with the jobs that it made until it named another one."""
    named: dict[str, list[tuple[Note, Money]]] = {}
    for note in history.notes:
        if note.said == "budget":
            with suppress(UsageError):  # a journal may come from anywhere
                budget = read_budget(note.text)
                named.setdefault(budget.unit, []).append((note, budget))
    for unit, notes in named.items():
        jobs = [job for job in history.jobs.values() if job.contract.account.unit == unit]
        ends = [*(note.at for note, _ in notes[1:]), history.now + 1]
        for (note, budget), until in zip(notes, ends, strict=True):
            yield note, budget, [job for job in jobs if note.at <= job.accepted < until]


def _past_budget(history: History) -> Iterator[Case]:
    for note, budget, jobs in _budgets(history):
        for number, job in enumerate(jobs):
            told = _told_costs(jobs[:number], job)
            total = _sum(money.amount for one in jobs[: number + 1] for _, money in one.charged)
            if told is None or total <= budget.amount or EXACT.add(*told) <= budget.amount:
                continue
            spent, price = (Money(amount, budget.unit) for amount in told)
            bills = [(at, f"charged {money} for {one.id}") for one in jobs[: number + 1] for at, money in one.charged]
            ordered = f"accepted as {job.id}: {spent} was spent or under way, and the last answer showed {price}"
            yield case(job.id, (note.at, f"the client's budget is {budget}"), (job.accepted, ordered), *bills)
            break


def _told_costs(jobs: Sequence[JobStory], job: JobStory) -> tuple[Decimal, Decimal] | None:
    """Give what the answers before `job` told: what is spent or under way, and its model's last cost; None: nothing."""
    shown: dict[str, tuple[int, Decimal]] = {}
    for one in jobs:
        for asked in one.asks:
            if asked.cost is not None and asked.is_seen and asked.ended <= job.accepted:
                shown[one.id] = (asked.ended, asked.cost)
    prices = [shown[one.id] for one in jobs if one.model == job.model and one.id in shown and shown[one.id][1]]
    if not prices:
        return None
    _, _, price = max((at, place, cost) for place, (at, cost) in enumerate(prices))
    under_way = [one for one in jobs if one.id not in shown and not _is_over(one, job.accepted)]
    return _sum([*(cost for _, cost in shown.values()), *(price for _ in under_way)]), price


def _is_over(job: JobStory, moment: int) -> bool:
    told = job.told_end(perhaps=True)
    return told is not None and told <= moment


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, amounts, Decimal(0))


MONEY: tuple[Rule, ...] = (
    Rule(
        name="retried-without-key",
        severity="harm",
        about="a billed request was sent again without an idempotency key, although the first had been accepted",
        harm="every accepted request is billed: one intent, several charges",
        fix="send one idempotency key per intent and the same one with each retry; where the provider has none, "
        "look for the job (list, callback) and never send again by yourself",
        source="incidents.md C1: Comfy-Org/ComfyUI PR #16204, Augustas11/macprovider#762",
        find=_without_key,
    ),
    Rule(
        name="retried-with-new-key",
        severity="harm",
        about="a billed request was sent again under a new idempotency key, although the first had been accepted",
        harm="a new key is a new intent: it is billed again",
        fix="make the key when the intent is made, keep it with the intent, and send the same one with each retry",
        source="incidents.md C1: square/square-mcp-server#31",
        find=_with_new_key,
    ),
    Rule(
        name="ordered-again",
        severity="harm",
        about="a look at a job had no good answer, so the same picture was ordered again and the job was left",
        harm="a look that fails says nothing of the job: it goes on, and one intent is charged twice",
        fix="keep the job's id and look again, with pauses; order again when the record itself says that it failed",
        source="incidents.md C1: Comfy-Org/ComfyUI #15897; C8 (poll loops that end too soon); row 57",
        find=_ordered_again,
    ),
    Rule(
        name="reused-key",
        severity="risk",
        about="one idempotency key was sent with different requests",
        harm="the second request is refused, or is answered with the first one's job",
        fix="derive the key from the intent, not from the process or the user",
        source="incidents.md C1: replicate/cog#905 (idempotent create)",
        find=_key_reused,
    ),
    Rule(
        name="cancelled-too-late",
        severity="risk",
        about="a finished and charged job was cancelled, and its result was left",
        harm="the provider answers the cancel politely and refunds nothing: it is paid and thrown away",
        fix="read the state that the cancel's answer shows; if the job succeeded, fetch what was paid for",
        source="incidents.md C10 (the bill does not match); dossiers: a cancel after the end answers 200, unchanged",
        find=_cancelled_too_late,
    ),
    Rule(
        name="paid-never-fetched",
        severity="risk",
        about="the client was told that a job had succeeded and has not fetched its result",
        harm="it was charged for a picture that nobody has",
        fix="download on success, before anything else; what was promised to a user is not done until it is stored",
        source="incidents.md C1 (four charges, no image), C12 (green tests, dead feature)",
        find=_never_fetched,
    ),
    Rule(
        name="came-after-retention",
        severity="harm",
        about="the client first looked for the end when the provider had already dropped the record",
        harm="the result was charged and can no longer be had",
        fix="poll within the record's documented life (the contract's `keeps`), or take a callback",
        source="incidents.md C8 (result record expired, 404 mid-poll), C7 (three lifetimes in one product)",
        find=_after_retention,
    ),
    Rule(
        name="passed-own-budget",
        severity="harm",
        about="the client ordered on although the costs that it had been shown left no room in its own budget",
        harm="more is charged than was allowed: prices change, and what a page says of them need not hold",
        fix="take prices from the answers, not from memory: add up what was shown, what is under way and the next one",
        source="incidents.md C10: nodetool-ai/nodetool PR #5449, CopilotKit/aimock#269",
        find=_past_budget,
    ),
)
