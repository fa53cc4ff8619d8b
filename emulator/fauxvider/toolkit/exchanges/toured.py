"""Exchanges made from a contract alone: what `verify` would ask of a server is asked of the emulator here, and kept.

So a contract without documented cases has them too, and of one that has them no refusal and no state is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, cast

from fauxvider.contract.model import Model, Operation
from fauxvider.toolkit.exchanges.case import ContractCase
from fauxvider.toolkit.exchanges.naming import Namer
from fauxvider.toolkit.exchanges.stage import Ground, LocalStage
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.outcomes import anywhere_causes, cause_at, causes_of
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_assets import asset_cases
from fauxvider.toolkit.verify.cases_files import file_cases
from fauxvider.toolkit.verify.cases_jobs import job_cases
from fauxvider.toolkit.verify.cases_more import more_cases
from fauxvider.toolkit.verify.cases_requests import request_cases
from fauxvider.toolkit.verify.cases_secrets import secret_cases
from fauxvider.toolkit.verify.client import Answer, Client
from fauxvider.toolkit.verify.control import World
from fauxvider.toolkit.verify.jobs import begin, job_call, phases_of, submissions
from fauxvider.toolkit.verify.names import face_rule
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Session

__all__ = ["file_exchanges", "refused_exchanges", "state_exchanges", "toured_exchanges"]

_KEY = "key-of-a-client"
_HOLE = re.compile(r"\{([^}]*)\}")
_FILLED = {"file.token": "0" * 24, "file.number": "1", "file.ext": "png"}
_URL_CAUSES = ("url_expired", "url_forged", "url_unsigned", "url_unknown", "url_method")
_WORLD = {"clock": "stepping:1ms", "limits": "off"}
_OPEN = ("receiver", "limits")  # needs of cases that want sockets, or thousands of requests


def toured_exchanges(ground: Ground) -> Iterator[ContractCase]:
    """Ask what the contract gives reason to ask, each case in a world of its own."""
    plan = Session(ground.file, ground.choice, Client(), base_url="", key=_KEY)
    every = (request_cases, job_cases, file_cases, secret_cases, more_cases, asset_cases)
    for number, case in enumerate(chain.from_iterable(make(plan) for make in every), 1):
        if not set(case.needs) & set(_OPEN):
            yield from _asked(ground, case, number)


def _asked(ground: Ground, case: Case, number: int) -> Iterator[ContractCase]:
    stage = ground.stage(**{**_WORLD, **case.world})
    with suppress(NotAskedError):
        case.ask(_session(ground, stage))
    namer = Namer(ground, f"made-{number}", case.name)
    for kept in stage.done(every=True):
        yield namer.named(kept)


def _session(ground: Ground, stage: LocalStage) -> Session:
    world = cast("World", stage)
    return Session(ground.file, ground.choice, _Local(stage), base_url=stage.base(""), key=_KEY, world=world)


class _Local(Client):
    """The client of `verify`, whose requests do not leave this process."""

    def __init__(self, stage: LocalStage) -> None:
        super().__init__()
        self._stage = stage

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> Answer:
        del timeout_s
        self._stage.step += 1
        return self._stage.send(method, url, dict(headers or {}), body)


# --- what no request provokes: a scenario brings it about


def refused_exchanges(ground: Ground, seen: Container[str]) -> Iterator[ContractCase]:
    """Show every refusal that has not been `seen` (its name in `errors`)."""
    material = Material(ground.file, ground.choice)
    shown: set[str] = set()
    for operation in material.contract.operations.values():
        models = material.models_for(operation)
        for cause in [*causes_of(material, operation, models), *anywhere_causes(material)]:
            plain = cause.partition("@")[0]
            name = cause_at(material, plain)
            if name not in seen and name not in shown:
                shown.add(name)
                yield from _refused(ground, operation, next(iter(models), None), plain)


def _refused(ground: Ground, operation: Operation, model: Model | None, cause: str) -> Iterator[ContractCase]:
    stage = _scripted(ground, {"on": "request", "do": {"refuse": cause}})
    session = _session(ground, stage)
    with suppress(NotAskedError):
        call = session.samples.call(operation, model)
        for name in _HOLE.findall(operation.path):
            call.params.setdefault(name.rstrip("+"), "unknown")
        session.send(call)
    namer = Namer(ground, "refused", f"{operation.name} is refused: {cause}")
    yield from (namer.named(kept) for kept in stage.done())


def file_exchanges(ground: Ground, seen: Collection[str]) -> Iterator[ContractCase]:
    """Show every refusal of a download that has not been `seen`, by every rule of addresses."""
    errors = ground.file.resolved(ground.choice)["errors"]
    for url in ground.file.resolve(ground.choice).urls.values():
        path = _HOLE.sub(lambda hole: _FILLED.get(hole[1], "none"), url.path)
        for cause in _URL_CAUSES:
            if face_rule(url.errors.get(cause, cause), errors) not in {"", *seen}:
                stage = _scripted(ground, {"on": "request", "do": {"refuse": cause}})
                stage.send("GET", stage.base(url.origin) + path, {}, b"")
                namer = Namer(ground, f"refused-{url.name}", f"a download is refused: {cause}")
                yield from (namer.named(kept) for kept in stage.done())


def state_exchanges(ground: Ground, seen: Container[str]) -> Iterator[ContractCase]:
    """Show every state whose word has not been `seen` in an answer."""
    contract = ground.file.resolve(ground.choice)
    for word, state in contract.states.items():
        usual = next((one.state for one in contract.phases if one.state.canonical == state.canonical), None)
        rules: list[dict[str, Any]] = [{"stuck": usual.word}] if usual else []
        usual = usual or contract.ends.get(state.canonical)
        # Ends without success are failures of their own, and have been told.
        if word not in seen and usual and (rules or state.canonical == "succeeded"):
            yield from _in_state(ground, word, [*rules, {"words": {usual.word: word}}])


def _in_state(ground: Ground, word: str, does: Iterable[Mapping[str, Any]]) -> Iterator[ContractCase]:
    stage = _scripted(ground, *({"on": "job", "do": one} for one in does))
    session = _session(ground, stage)
    with suppress(NotAskedError):
        _, run, watch = begin(session, *_first(session))
        watch.to(phases_of(session, run)[-1].high + 5)
        if watch.reader is not None:
            session.send(job_call(session, watch.reader, run))
    namer = Namer(ground, "state", f"a job that is {word}")
    yield from (one for kept in stage.done(every=True) if (one := namer.named(kept)).word == word)


def _first(session: Session) -> tuple[str, str]:
    for operation, models in submissions(session):
        if models and (operation.waits is None or operation.waits.unless):
            return operation.name, models[0]
    raise NotAskedError("no submission is answered at once")


def _scripted(ground: Ground, *rules: Mapping[str, Any]) -> LocalStage:
    scenario = {"scenario": 1, "name": "shown", "provider": ground.file.provider, "rules": list(rules)}
    return ground.stage(**_WORLD, scenario=scenario)
