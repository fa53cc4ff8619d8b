"""What a recorded answer shows: the state of a job, a refusal for a cause, or something that no contract allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Model, State
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.templates import text_of
from fauxvider.toolkit.audit.recorded import Exchange
from fauxvider.toolkit.verify.client import Answer, Client
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import ANY, Anything, Like, Match, Mismatch, Repeated

__all__ = ["Answers", "Shown"]

_JOB_KINDS = frozenset({"submit", "read", "cancel", "retry"})
_OUTCOMES = {"cancel": ("ok", "done", "already"), "retry": ("ok", "refused"), "read": ("",), "submit": ("", "replayed")}
# Kinds whose answers hang on more than a recording shows (other jobs, other secrets): only their refusals are judged.
_OPEN_KINDS = frozenset({"list", "deliveries", "redeliver", "counts", "purge", "stream", "models", "view"})


@dataclass(slots=True)
class Shown:
    """`word` and `state`: of the job; `cause`: why it was refused; `mismatches`: what the contract does not allow."""

    word: str = ""
    state: str = ""
    cause: str = ""
    job: str = ""
    is_over: bool = False
    captured: dict[str, Any] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)


class Answers:
    """Reads the answers of one provider."""

    def __init__(self, file: ContractFile, readings: Mapping[str, str]) -> None:
        # A session that never sends: what it knows of answers is wanted, not its client.
        self._session = Session(file, readings, Client(), base_url="http://recorded.invalid", key="")
        self._contract = self._session.contract
        self._models = {key: model for model in self._contract.models.values() for key in (model.key, *model.also)}

    def model_of(self, call: Call) -> Model | None:
        names: dict[str, Any] = {
            "path": call.params,
            "body": call.body,
            "input": call.given,
            "query": call.query,
            "header": {},
        }
        key = tuple(text_of(part(names)) for part in call.operation.model)
        return self._models.get(key) if key else None

    def run_of(self, call: Call) -> Run | None:
        if call.model is None:
            return None
        try:
            return self._session.run_of(call)
        except NotAskedError:
            return Run(call.operation, call.model, call.body, call.given, call.param(), price=Decimal(0))

    def read(self, exchange: Exchange, call: Call, run: Run | None) -> Shown:
        """Say what an answer shows of its request."""
        if not exchange.status:
            return Shown(job=run.id if run else "")
        answer = _answer(exchange)
        kind = call.operation.kind
        if kind in _JOB_KINDS and run is not None and exchange.status < 400:
            return self._job(answer, call, run)
        missing = self._outcome(answer, call, "missing")
        if missing is not None and not missing.mismatches:
            return Shown(cause="job_unknown" if kind in ("read", "stream", "cancel", "retry") else "")
        if exchange.status >= 400:
            return self._refusal(answer, call)
        if kind in _OPEN_KINDS or kind in _JOB_KINDS:
            return Shown()
        return self._plain(answer, call)

    def is_refusal(self, exchange: Exchange, cause: str) -> bool:
        """Whether a file's answer is the refusal for a cause."""
        url = next((one for one in self._contract.urls.values()), None)
        name = url.errors.get(cause, cause) if url else cause
        first = next(iter(self._contract.operations.values()))
        try:
            wanted = self._session.error(name, self._session.scope(Call(first, exchange.method)))
        except NotAskedError:
            return False
        return not self._session.compare(_answer(exchange), wanted).mismatches

    def _outcome(self, answer: Answer, call: Call, outcome: str) -> Match | None:
        if outcome not in self._session.tree["operations"][call.operation.name]["answers"]:
            return None
        return self._session.compare(answer, self._session.answer(call.operation, outcome, self._open_scope(call)))

    def _job(self, answer: Answer, call: Call, run: Run) -> Shown:
        """Find the state, and for an end without success the failure, that fit best."""
        best: tuple[State, Match] | None = None
        answers = self._session.tree["operations"][call.operation.name]["answers"]
        outcomes = [one for one in _OUTCOMES[call.operation.kind] if not one or one in answers]
        for failure in ("", *self._contract.failures):
            run.failure = failure
            states = self._states(failure)
            for outcome in outcomes:
                found = self._session.job_view(answer, call, run, states, outcome)
                if best is None or len(found[1].mismatches) < len(best[1].mismatches):
                    best = found
                if not found[1].mismatches:
                    return self._shown(found, run)
        run.failure = ""
        if best is None:
            return Shown(job=run.id)
        return self._shown(best, run)

    def _states(self, failure: str) -> list[State]:
        if not failure:
            return list(self._contract.states.values())
        shape = self._contract.failures[failure]
        return [shape.state or self._contract.ends[shape.end]]

    def _shown(self, found: tuple[State, Match], run: Run) -> Shown:
        state, match = found
        word = state.word
        for one in match.mismatches:
            if one.rule == f"/lifecycle/states/{state.word}" and isinstance(one.observed, str):
                word = one.observed  # a word that the contract does not have
        job = run.id or str(match.captured.get("job.id", ""))
        return Shown(
            word,
            state.canonical if word == state.word else "",
            "",
            job,
            state.is_terminal and word == state.word,
            dict(match.captured),
            list(match.mismatches),
        )

    def _refusal(self, answer: Answer, call: Call) -> Shown:
        """Find the cause whose face the answer has; without one, say which of that status comes nearest."""
        nearest: Match | None = None
        for cause in self._contract.errors:
            if cause.startswith("url_") or "@" in cause:
                continue
            found = self._session.compare(answer, self._session.error(cause, self._open_scope(call)))
            if not found.mismatches:
                return Shown(cause=cause)
            is_of_status = not any(one.place == "status" for one in found.mismatches)
            if is_of_status and (nearest is None or len(found.mismatches) < len(nearest.mismatches)):
                nearest = found
        if nearest is not None:
            return Shown(cause="bad_request" if answer.status < 500 else "internal", mismatches=nearest.mismatches)
        said = Mismatch(
            "/errors", "status", "a status that the contract has an error for", str(answer.status), answer.status
        )
        return Shown(cause="unavailable" if answer.status >= 500 else "bad_request", mismatches=[said])

    def _plain(self, answer: Answer, call: Call) -> Shown:
        found = self._session.compare(answer, self._session.answer(call.operation, "ok", self._open_scope(call)))
        return Shown(captured=dict(found.captured), mismatches=list(found.mismatches))

    def _open_scope(self, call: Call) -> dict[str, Any]:
        """Give the names of a request, and for what only the server knows: anything."""
        issue = dict.fromkeys(
            ("path", "pointer", "field", "keyword", "limit", "low", "high", "value", "loc", "type"), ANY
        )
        issue["text"] = Like("text")  # type: ignore[assignment]
        whole = Like("integer")
        return {
            **self._session.scope(call),
            "issue": issue,
            "issues": Repeated(Anything()),
            "retry_after": whole,
            "size": whole,
            "limit": {"count": whole, "remaining": whole, "reset": whole},
            "cost": Like("number"),
            "scope": Like("text"),
            "asset": Anything(),
            "secret": Anything(),
            "secrets": Repeated(Anything()),
            "job": Anything(),
            "counts": Anything(),
        }


def _answer(exchange: Exchange) -> Answer:
    return Answer(exchange.status, exchange.answer_headers, exchange.answer)
