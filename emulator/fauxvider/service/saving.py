"""A recorded world as a capsule: one small JSON file without secrets, from which its run can be repeated."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from fauxvider.engine.facts import ApiKey
from fauxvider.errors import UsageError
from fauxvider.gate import dump_json
from fauxvider.scenario.model import Scenario
from fauxvider.service.acceptance import body_print
from fauxvider.service.emulator import Emulator
from fauxvider.service.recorder import MAX_BYTES, MAX_REQUESTS, Recorder, Step
from fauxvider.service.redaction import Redactor
from fauxvider.service.settings import DEFAULT_WORLD
from fauxvider.service.wire import Request
from fauxvider.service.world import World
from fauxvider.values import decimal_text

__all__ = ["capsule_bytes", "journal_lines", "journal_trail", "local_path", "version"]

_SHORT = 8  # what is shorter stands in other texts by chance


def version() -> str:
    try:
        return metadata.version("fauxvider")
    except metadata.PackageNotFoundError:
        return "unknown"


def capsule_bytes(emulator: Emulator, name: str) -> bytes:
    """Write a world's run down. Raises UsageError, in one line, when that cannot be done faithfully."""
    world = emulator.world(name)
    recorder = _recorder(world)
    redactor = Redactor(world.options.keys)
    keys = [_key(redactor, key) for key in world.options.keys]
    for step in recorder.steps:  # every key is known before the first body is looked at
        if step.request is not None:
            redactor.headers(world.provider(step.provider).contract, step.request)
    steps = [_step(world, redactor, step, number) for number, step in enumerate(recorder.steps)]
    used = sorted({step.provider for step in recorder.steps if step.provider})
    journal = journal_lines(world.journal.entries())
    head = {
        "capsule": 1,
        "fauxvider": version(),
        "world": {**_options(world, used), "keys": keys, **_place(emulator)},
        "contracts": {provider: emulator.contracts[provider].digest for provider in used},
        "prints": {stand_in: world.print_of(secret) for stand_in, secret in redactor.stand_ins},
    }
    tail = {"journal_sha256": hashlib.sha256(journal).hexdigest(), "journal_trail": journal_trail(journal)}
    text = _laid_out(head, steps, tail)
    if any(_stands_in(key, text) for key in redactor.long_keys):
        raise UsageError(f"the world {name!r} is not saved: an API key stands in an address or a note of its run")
    return text.encode()


def _recorder(world: World) -> Recorder:
    if not isinstance(world.tape, Recorder):
        why = "make it with record: true" if not world.options.record else "what really runs is not repeated"
        raise UsageError(f"the world {world.name!r} is not recorded: {why}")
    if world.tape.dropped:
        raise UsageError(
            f"the world {world.name!r} is not saved: {world.tape.dropped} steps of its run were dropped "
            f"(a capsule holds {MAX_REQUESTS} requests and {MAX_BYTES // 1_000_000} MB of their bodies)"
        )
    return world.tape


# --- the world


def _options(world: World, used: Sequence[str]) -> dict[str, Any]:
    options, limits = world.options, world.options.limits
    return {
        "name": world.name,
        "seed": options.seed,
        "clock": world.clock.spec,
        "now": world.began,
        "readings": {provider: dict(choice) for provider, choice in options.readings.items() if provider in used},
        "balances": {one: decimal_text(amount) for one, amount in options.balances.items() if one in used},
        "limits": "off" if limits is None else "on" if limits == 1 else {"factor": decimal_text(limits)},
        "scenario": _scenario(options.scenario),
    }


def _place(emulator: Emulator) -> dict[str, Any]:
    return {"base_url": emulator.settings.base_url, "metadata": emulator.settings.metadata}


def _scenario(scenario: Scenario) -> Mapping[str, Any] | None:
    if not scenario.rules:
        return None
    if not scenario.source:
        raise UsageError(f"the scenario {scenario.name!r} was not read, so it cannot be saved")
    # What it wants of its world stands in the world's own options, keys as stand-ins.
    return {key: value for key, value in scenario.source.items() if key != "world"}


def _key(redactor: Redactor, key: ApiKey) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": redactor.key(key.key), "state": key.state}
    if key.scopes is not None:
        shown["scopes"] = sorted(key.scopes)
    return {**shown, "name": key.name} if key.name else shown


# --- the steps


def _step(world: World, redactor: Redactor, step: Step, number: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"do": step.does, "at": step.at}
    if step.mark and (step.held or step.does in ("go", "sent")):
        shown["mark"] = step.mark
    if step.request is not None:
        shown |= _request(world, redactor, step.provider, step.request, number)
    shown |= {name: value for name, value in step.facts.items() if value not in ("", None)}
    if step.held:
        shown["held"] = True
        shown |= {"turns": step.turns} if step.turns else {}
    elif step.ended not in (None, step.at):
        shown["ended"] = step.ended
    return shown


def _request(world: World, redactor: Redactor, name: str, request: Request, number: int) -> dict[str, Any]:
    contract = world.provider(name).contract
    body, taken = redactor.body(contract, request.body)
    shown: dict[str, Any] = {"provider": name, "method": request.method, "path": request.path}
    if request.origin != contract.api.name:
        shown["origin"] = request.origin
    if request.site != "local":
        shown["site"] = request.site
    if request.raw_path.decode("latin-1") != local_path(world.name, name, request, contract.api.name):
        shown["raw_path"] = request.raw_path.decode("latin-1")
    if request.query:
        shown["query"] = request.query.decode("latin-1")
    if headers := redactor.headers(contract, request):
        shown["headers"] = headers
    if body:
        shown |= _body(body)
    if request.over_size:
        shown["over_size"] = True
    if body != request.body:
        shown["fingerprint"] = body_print(request.body)
    _check(shown, [*taken, redactor.intent(contract, request)], number)
    return shown


def local_path(world: str, provider: str, request: Request, api: str) -> str:
    """Give the whole path of a request here, as it is sent when nothing in it needs an escape."""
    place = f"/{provider}" if world == DEFAULT_WORLD else f"/w/{world}/{provider}"
    return f"{place}{request.path}" if request.origin == api else f"{place}/~{request.origin}{request.path}"


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _check(shown: Mapping[str, Any], taken: Iterable[str], number: int) -> None:
    text = json.dumps(shown, ensure_ascii=False)
    if any(_stands_in(secret, text) for secret in taken):
        raise UsageError(f"step {number} is not saved: what was taken out of an address stands elsewhere in it too")


def _stands_in(secret: str, text: str) -> bool:
    return len(secret) >= _SHORT and (secret in text or json.dumps(secret)[1:-1] in text)


# --- the journal


def journal_lines(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Write a journal as JSON Lines, the same bytes everywhere."""
    lines = [json.dumps(entry, sort_keys=True, separators=(",", ":")) for entry in entries]
    return "".join(f"{line}\n" for line in lines).encode()


def journal_trail(journal: bytes) -> str:
    """Give four hex digits of each line's digest: enough to find the first one that differs."""
    return "".join(hashlib.sha256(line).hexdigest()[:4] for line in journal.splitlines())


def _laid_out(head: Mapping[str, Any], steps: Iterable[Mapping[str, Any]], tail: Mapping[str, Any]) -> str:
    """Write one step a line, so that two capsules can be compared by eye."""
    parts = [f" {_json(name)}: {_json(value)}" for name, value in head.items()]
    parts.append(' "steps": [\n' + ",\n".join(f"  {_json(step)}" for step in steps) + "\n ]")
    parts += [f" {_json(name)}: {_json(value)}" for name, value in tail.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(tree: Any) -> str:
    return dump_json(tree).decode()
