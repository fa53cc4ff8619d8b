"""Rules about what the provider's answers were taken for: refusals, failures, other people's secrets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from fauxvider.analysis.entries import shown
from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import Asked
from fauxvider.analysis.verdict_rule import Case, Rule, asked_text, case

__all__ = ["ANSWERS"]


def _is_final_refusal(asked: Asked) -> bool:
    """Whether the same request will be refused again, whenever it comes."""
    is_passing = asked.status in (408, 423, 425, 429) or asked.cause in ("rate", "job_unknown", "asset_pending")
    return asked.is_seen and 400 <= asked.status < 500 and not is_passing and not asked.denies and asked.does != "file"


def _retried_refusal(history: History) -> Iterator[Case]:
    for asks in history.repeated():
        for final, run in groupby(
            asks, key=lambda asked: (asked.status, asked.cause) if _is_final_refusal(asked) else None
        ):
            refusals = list(run)
            if final is not None and len(refusals) >= 3:
                yield case("", *[(one.at, asked_text(one)) for one in refusals])
                break


_FORBIDDEN = frozenset(
    {"body_malformed", "body_too_large", "media_type", "bad_request", "model_unknown", "type_unknown", "path_unknown",
     "method_unknown", "asset_unknown"}
)  # fmt: skip


def _forbidden(history: History) -> Iterator[Case]:
    found: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for asked in history.requests:
        is_bad = asked.cause in _FORBIDDEN or asked.cause.startswith("param_")
        if is_bad and not asked.faults & {"refuse", "answer"}:
            key = (asked.provider, asked.operation or asked.path, asked.cause)
            found.setdefault(key, []).append((asked.at, asked_text(asked)))
    for evidence in found.values():
        yield case("", *evidence)
    for job in history.jobs.values():
        operation = job.contract.operations.get(job.operation)
        # Some operations take what they forbid, and let the job fail for it.
        failures = {operation.on_invalid, operation.on_empty} - {""} if operation else set()
        end = next((one for one in job.ends if one.failure in failures), None)
        if end is not None and "fail" not in job.faults:
            yield case(job.id, (job.accepted, "accepted"), (end.at, f"ended as {end.word}: {shown(end.failure)}"))


def _failure_for_success(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        words = {"succeeded", *(word for word, state in job.contract.states.items() if state.canonical == "succeeded")}
        for note in job.notes:
            end = job.end_before(note.at)
            takes = note.said in ("processed", "saved") or (note.said == "believes" and note.text in words)
            if takes and end is not None and end.state != "succeeded":
                said = f"{note.said} {note.text}".strip()
                yield case(job.id, (end.at, f"ended as {end.word}"), (note.at, f"the client says: {shown(said)}"))
                break
        else:
            end = job.end
            asked = next((one for one in job.files if end and one.at >= end.at), None)
            if end is not None and asked is not None and end.state != "succeeded":
                yield case(job.id, (end.at, f"ended as {end.word}"), (asked.at, asked_text(asked)))


ANSWERS: tuple[Rule, ...] = (
    Rule(
        name="retried-refusal",
        severity="risk",
        about="a request that was refused for what it is was sent again unchanged, three times or more",
        harm="it is refused for ever; a wrong key or a wrong field looks like a slow job for minutes",
        fix="retry only 408, 425, 429, 5xx and broken connections; end the loop at every other 4xx",
        source="incidents.md C8: mutonby/openshorts#39 (a 401 retried for ten minutes)",
        find=_retried_refusal,
    ),
    Rule(
        name="forbidden-request",
        severity="risk",
        about="the client sent what the contract forbids",
        harm="it is refused here and there; where the provider takes it first, it fails after the wait",
        fix="check against the contract before sending; the near miss names the field and the nearest legal value",
        source="incidents.md C11 (documentation, SDK, dev server and cloud disagree)",
        find=_forbidden,
    ),
    Rule(
        name="took-failure-for-success",
        severity="harm",
        about="a job that did not succeed was handled as if it had",
        harm="the user is given nothing, or an error text, as the picture that was paid for",
        fix="branch on the terminal word: only the contract's success words carry an output",
        source="incidents.md C12: CopilotKit/aimock#170; dossiers: FAILED swallowed, `output` alone returned",
        find=_failure_for_success,
    ),
)
