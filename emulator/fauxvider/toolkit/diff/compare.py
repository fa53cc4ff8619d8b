"""Two contracts, rule by rule: what changed, where it stands in both files, and whether it breaks clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import pointer_text
from fauxvider.toolkit.diff.answers import answer_findings
from fauxvider.toolkit.diff.finding import SEVERITIES, Finding
from fauxvider.toolkit.diff.judges import judge_for
from fauxvider.toolkit.diff.payloads import Loss, losses
from fauxvider.toolkit.diff.prices import judge_prices
from fauxvider.toolkit.openapi.material import Material

__all__ = ["Side", "differences", "side_of"]

# Who says so is no rule; texts that only explain are none either.
_SILENT = frozenset({"evidence", "description", "about", "says"})
_APART = frozenset({"sources", "readings", "parts", "unserved", "contract", "title"})


class Side(Material):
    """One of the two contracts."""

    def line(self, pointer: str) -> int:
        """Give the line of what stands at a pointer; 0 where nothing does."""
        path = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        return int(self.pointer(*path)["x-fauxvider-line"]) if self.at(*path) is not None else 0


def differences(old: Side, new: Side) -> list[Finding]:
    """List the differences, those that break clients first, then in the order of the rules' pointers."""
    found = [*_readings(old, new), *_walk(old, new, (), old.tree, new.tree), *answer_findings(old, new)]
    order = {severity: number for number, severity in enumerate(SEVERITIES)}
    return sorted(_unique(found), key=lambda one: (order[one.severity], one.pointer))


def _unique(found: Iterable[Finding]) -> list[Finding]:
    known = {(one.severity, one.pointer, one.about, str(one.witness)): one for one in found}
    return list(known.values())


# --- the tree


def _walk(old: Side, new: Side, path: tuple[str, ...], before: Any, after: Any) -> Iterator[Finding]:
    if _told(before) == _told(after):
        return
    pointer = pointer_text(path)
    if path and path[0] in _APART:
        return
    if special := _special(path):
        yield from special(old, new, path, before, after)
        return
    judge = judge_for(pointer)
    verdict = judge(before, after) if judge is not None and path else None
    if verdict is not None:
        yield _finding(old, new, pointer, verdict, before, after)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            if key not in _SILENT:
                yield from _walk(old, new, (*path, key), before.get(key), after.get(key))
    elif before is None and isinstance(after, Mapping):
        yield from _walk(old, new, path, {}, after)
    elif after is None and isinstance(before, Mapping):
        yield from _walk(old, new, path, before, {})
    else:
        yield _finding(old, new, pointer, ("unknown", "changed"), before, after)


def _finding(  # noqa: PLR0917 - what one row of the report is made of
    old: Side, new: Side, pointer: str, verdict: Any, before: Any, after: Any, **more: Any
) -> Finding:
    lines: dict[str, Any] = {"old_line": old.line(pointer), "new_line": new.line(pointer)}
    severity, about = verdict
    return Finding(severity, pointer, about, _told(before), _told(after), **lines, **more)


def _told(node: Any) -> Any:
    """Take a tree without who says so."""
    if isinstance(node, Mapping):
        return {key: _told(value) for key, value in node.items() if key not in _SILENT or isinstance(value, Mapping)}
    return [_told(one) for one in node] if isinstance(node, list) else node


def _special(path: tuple[str, ...]) -> Any:
    if len(path) == 3 and path[0] == "models" and path[2] == "input":
        return _inputs
    if len(path) == 3 and path[0] == "operations" and path[2] == "schema":
        return _inputs
    if len(path) == 3 and path[0] == "models" and path[2] == "cost":
        return _costs
    return None


# --- payloads and prices


def _inputs(old: Side, new: Side, path: tuple[str, ...], before: Any, after: Any) -> Iterator[Finding]:
    from fauxvider.contract.schemas import plain_schema

    first, second = plain_schema(before or {}), plain_schema(after or {})
    for loss in losses(first, second):
        yield _lost(old, new, path, loss, before, after, is_lost=True)
    for loss in losses(second, first):
        yield _lost(old, new, path, loss, before, after, is_lost=False)
    yield from _defaults(old, new, path, before, after)


def _lost(  # noqa: PLR0917 - one loss on its way into the report
    old: Side, new: Side, path: tuple[str, ...], loss: Loss, before: Any, after: Any, *, is_lost: bool
) -> Finding:
    if loss.verdict == "unknown":
        said = "payloads may be refused that were taken" if is_lost else "payloads may be taken that were refused"
        return _finding(old, new, pointer_text(path), ("unknown", said), before, after)
    place: list[str | int] = [*path, *map(str, loss.schema_path)]
    while place and old.at(*place) is None and new.at(*place) is None:
        place.pop()
    pointer = pointer_text(place)
    verb = "no longer taken" if is_lost else "now taken"
    severity = "breaking" if is_lost else "compatible"
    return _finding(
        old, new, pointer, (severity, f"{verb} ({loss.keyword})"), old.at(*place), new.at(*place),
        witness=loss.value, has_witness=True,
    )  # fmt: skip


def _defaults(old: Side, new: Side, path: tuple[str, ...], before: Any, after: Any) -> Iterator[Finding]:
    was, now = (_properties(before), _properties(after))
    for name in dict.fromkeys([*was, *now]):
        first, second = was.get(name, {}).get("default"), now.get(name, {}).get("default")
        if first != second and name in was and name in now:
            pointer = pointer_text((*path, "properties", name, "default"))
            yield _finding(old, new, pointer, ("unknown", "another default"), first, second)


def _properties(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return {name: one for name, one in found.items() if isinstance(one, Mapping)}


def _costs(old: Side, new: Side, path: tuple[str, ...], before: Any, after: Any) -> Iterator[Finding]:
    verdict = judge_prices(old.contract.models[path[1]], new.contract.models[path[1]], new.contract.account.unit)
    yield _finding(old, new, pointer_text(path), verdict, before, after)


# --- readings


def _readings(old: Side, new: Side) -> Iterator[Finding]:
    before, after = old.contract.readings, new.contract.readings
    for name in dict.fromkeys([*before, *after]):
        pointer = pointer_text(("readings", name))
        if name not in after:
            yield _finding(old, new, pointer, ("breaking", "a reading can no longer be chosen"), "there", None)
        elif name not in before:
            yield _finding(old, new, pointer, ("compatible", "a further reading can be chosen"), None, "there")
        else:
            yield from _cases(old, new, pointer, before[name], after[name])


def _cases(old: Side, new: Side, pointer: str, before: Any, after: Any) -> Iterator[Finding]:
    for case in dict.fromkeys([*before.cases, *after.cases]):
        if case not in after.cases:
            verdict = ("breaking", "a case can no longer be chosen")
            yield _finding(old, new, f"{pointer}/cases/{case}", verdict, "there", None)
        elif case not in before.cases:
            verdict = ("compatible", "a further case can be chosen")
            yield _finding(old, new, f"{pointer}/cases/{case}", verdict, None, "there")
    if before.default != after.default:
        verdict = ("unknown", "another default; what it changes is told rule by rule")
        yield _finding(old, new, f"{pointer}/default", verdict, before.default, after.default)


def side_of(file: ContractFile, readings: Mapping[str, str]) -> Side:
    """Take a contract under a choice of readings. Raises UsageError for a reading that it does not have."""
    return Side(file, file.choice(readings), hides_echo=True)
