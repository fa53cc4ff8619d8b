"""Reading scenarios from strict YAML, JSON or Python values, and writing them down again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast, get_args

from fauxvider.contract.model import Contract
from fauxvider.contract.strict import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Items,
    Map,
    file_bytes,
    load_text,
    pointer_text,
    scalar_of,
)
from fauxvider.errors import ContractError, Place, UsageError
from fauxvider.scenario.conditions import read_when
from fauxvider.scenario.faults import read_fault
from fauxvider.scenario.model import Rule, Scenario, Stage
from fauxvider.scenario.parts import Part, plain

__all__ = ["read_scenario", "scenario_text"]

_REQUIRED = ("scenario", "name", "rules")
_OPTIONAL = ("about", "source", "provider", "world")
_WORLD = ("name", "seed", "clock", "now", "step", "readings", "keys", "balances", "limits")
_STAGES: tuple[Stage, ...] = get_args(Stage)
_MAX_NAME = 200
_MANY = 10**9
_NO_MARK = (0, 0, 0, 0)


def read_scenario(
    source: str | Path | Mapping[str, Any], *, contracts: Mapping[str, Contract] | None = None
) -> Scenario:
    """Read a file, a text or a mapping.

    A str with a line break, or one that begins with ``{``, is YAML or JSON text; any other is the name of a
    file. With `contracts` (by provider) every name must be one of theirs. Raises one ContractError.
    """
    tree, file = _loaded(source)
    root = Part(tree, (), tree, file, contracts)
    if not isinstance(tree, Map):
        raise root.wrong("a scenario is a mapping")
    root.mapping(_REQUIRED, _OPTIONAL)
    if root.value["scenario"] != 1 or isinstance(root.value["scenario"], bool):
        raise root.at("scenario").is_not("1", allowed=("1",))
    name = root.at("name").text()
    if len(name) > _MAX_NAME or not name.isprintable():
        raise root.at("name").is_not("a name", allowed=(f"one line of up to {_MAX_NAME} characters",))
    provider = root.at("provider").name("provider") if "provider" in root.value else None
    parts = root.of(provider)
    return Scenario(
        name=name,
        rules=tuple(_rule(part, number, provider) for number, part in enumerate(parts.at("rules").elements(), 1)),
        about=_note(root, "about"),
        origin=_note(root, "source"),
        provider=provider,
        world=_world(parts.at("world")) if "world" in root.value else {},
        source=plain(tree),
    )


def scenario_text(scenario: Scenario) -> str:
    """Write a scenario as YAML that reads as the same scenario.

    Raises UsageError if it has rules and was never read.
    """
    source = scenario.source
    if not source:
        if scenario.rules:
            raise UsageError(f"the scenario {scenario.name!r} was not read, so it cannot be written")
        source = {"scenario": 1, "name": scenario.name, "rules": []}
    return "\n".join(_block(source, "")) + "\n"


# --- reading


def _rule(part: Part, number: int, provider: str | None) -> Rule:
    part.mapping(("on", "do"), ("when", "times", "note"))
    on = cast("Stage", part.at("on").word(*_STAGES))
    times = part.at("times").whole(1, _MANY) if "times" in part.value else None
    part, when = _narrowed(part, provider)
    return Rule(
        number=number,
        on=on,
        when=read_when(when, on),
        do=read_fault(part.at("do"), on),
        times=times,
        note=_note(part, "note"),
    )


def _narrowed(part: Part, provider: str | None) -> tuple[Part, Part]:
    """Give a rule and its `when`, both with the contracts of the provider that the rule names."""
    if "when" not in part.value:
        return part, replace(part, value=Map(), path=(*part.path, "when"))
    when = part.at("when")
    when.entries()
    if "provider" not in when.value:
        return part, when
    named = when.at("provider")
    if provider is not None and named.text() != provider:
        raise named.wrong(f"the scenario is for {provider!r} alone", allowed=(provider,))
    own = named.name("provider")
    return part.of(own), when.of(own)


def _note(part: Part, key: str) -> str:
    return part.at(key).text(empty=True) if key in part.value else ""


def _world(part: Part) -> dict[str, Any]:
    """Check what a scenario can know of a world's options; the service reads them."""
    part.mapping((), _WORLD)
    if "seed" in part.value:
        part.at("seed").whole(0, 2**63 - 1)
    if "readings" in part.value:
        _world_readings(part.at("readings"))
    return {key: plain(value) for key, value in part.value.items()}


def _world_readings(part: Part) -> None:
    """Accept {reading: case} and {provider: {reading: case}}, mixed."""
    for key, entry in part.entries():
        if isinstance(entry.value, Map):
            own = entry.of(part.key_name(key, "provider"))
            for name, _ in own.entries():
                own.case(name)
        else:
            part.case(key)


# --- where it comes from


def _loaded(source: str | Path | Mapping[str, Any]) -> tuple[Any, str]:
    if isinstance(source, Mapping):
        return _Copier().copy(source, ()), "scenario"
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{")):
        file = "<text>.json" if source.lstrip().startswith("{") else "<text>"
        return load_text(source, file=file), file
    return load_text(file_bytes(Path(source)), file=str(source)), str(source)


class _Copier:
    """Copies a Python value into the tree that a file gives, under the same caps; nothing in it has a line."""

    def __init__(self) -> None:
        self._nodes = 0
        self._left = MAX_BYTES

    def copy(self, value: Any, path: tuple[str | int, ...]) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _wrong(f"more than {MAX_NODES} nodes", path)
        if isinstance(value, Mapping | list | tuple):
            if len(path) >= MAX_DEPTH:
                raise _wrong(f"more than {MAX_DEPTH} levels", path)
            return self._map(value, path) if isinstance(value, Mapping) else self._items(value, path)
        return self._scalar(value, path)

    def _scalar(self, value: Any, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, str):
            self._left -= len(value)
            if self._left < 0:
                raise _wrong(f"more than {MAX_BYTES} characters", path)
        return _scalar(value, path)

    def _map(self, value: Mapping[Any, Any], path: tuple[str | int, ...]) -> Map:
        made = Map()
        for key, child in value.items():
            if not isinstance(key, str):
                raise _wrong(f"the key {key!r} is not text", path)
            made.put(self._scalar(key, path), self.copy(child, (*path, key)), _NO_MARK)
        return made

    def _items(self, value: list[Any] | tuple[Any, ...], path: tuple[str | int, ...]) -> Items:
        made = Items()
        for index, child in enumerate(value):
            made.put(self.copy(child, (*path, index)), _NO_MARK)
        return made


def _scalar(value: Any, path: tuple[str | int, ...]) -> Any:
    """Give what a file would hold: text that is UTF-8, numbers that are exact and not too long."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            raise _wrong("the text is not UTF-8", path)
        return str.__str__(value)  # of a subclass too, an enumeration's member say
    if isinstance(value, float) and math.isfinite(value):
        value = Decimal(float.__repr__(value))
    if isinstance(value, Decimal) and not value.is_finite():
        raise _wrong(f"{value} is not a number", path)
    if not isinstance(value, int | Decimal):
        raise _wrong(f"a {type(value).__name__} has no place in a scenario", path)
    try:
        return scalar_of(str(value))
    except ValueError:
        raise _wrong("the number is out of range", path) from None


def _wrong(problem: str, path: tuple[str | int, ...]) -> ContractError:
    return ContractError(problem, place=Place("scenario", 0, 0, pointer_text(path)))


# --- writing

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_WIDTH = 100
_MAX_KEY = 100  # a longer one needs YAML's other form of a key


def _block(value: Any, pad: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            name = _flow(key)
            head = f"{pad}{name}:" if len(name) <= _MAX_KEY else f"{pad}? {name}\n{pad}:"
            yield from _under(head, child, pad)
        return
    for child in value:
        yield from _under(f"{pad}-", child, pad)


def _under(head: str, child: Any, pad: str) -> Iterator[str]:
    """Write a value on the line of its key while that is short, else below it."""
    line = _flow(child)
    is_tree = isinstance(child, dict | list) and len(child) > 0
    if not is_tree or len(line) <= _WIDTH - len(head) - 1:
        yield f"{head} {line}"
        return
    below = _block(child, pad + "  ")
    if head.endswith("-"):
        yield f"{head} {next(below).removeprefix(pad + '  ')}"
    else:
        yield head
    yield from below


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _quoted(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04X}", json.dumps(text, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    try:
        return _PLAIN.fullmatch(text) is not None and scalar_of(text) == text
    except ValueError:
        return False
