"""What a contract says and who says so, as text of at most 100 columns."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fauxvider.contract.evidence import LEVELS, evidence_text, evidences
from fauxvider.contract.model import Contract, Evidence, Source
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.resolve import children, readings_at
from fauxvider.contract.rules import evidence_nodes, rules
from fauxvider.contract.strict import Map, place_of, pointer_parts, pointer_text, scalar_of
from fauxvider.errors import UsageError
from fauxvider.values import decimal_text

__all__ = ["Rule", "explain", "rule_rows"]

WIDTH = 100
_NARROWEST = 12
# What a text without quotes is made of; see _is_plain.
_PLAIN = re.compile(r"[A-Za-z0-9_./$~+][^\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\"'{}\[\],&*!|>%@`]*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a contract: where it stands, and what it rests on (the strongest level first)."""

    pointer: str
    line: int
    level: str
    evidence: tuple[Evidence, ...]

    @property
    def is_assumed(self) -> bool:
        """Whether any part of it rests on an assumption."""
        return any(one.level == "assumed" for one in self.evidence)


def rule_rows(file: ContractFile, readings: Mapping[str, str] | None = None) -> list[Rule]:
    """List the rules under a choice of readings, in the order of the language's sections."""
    tree, rows = file.resolved(readings), []
    for path, node in rules(tree):
        said = _said(node.get("evidence") if isinstance(node, Mapping) else None)
        level = min((one.level for one in said), key=LEVELS.index, default="")
        pointer = pointer_text(path)
        rows.append(Rule(pointer, place_of(tree, pointer, file=file.file, of_key=True).line, level, said))
    return rows


def explain(file: ContractFile, pointer: str | None = None) -> str:
    """Tell what stands at a JSON pointer, with its evidence and readings; without one, an overview.

    Raises UsageError if nothing stands there under any case.
    """
    blocks = _rule_blocks(file, pointer) if pointer and pointer != "/" else _overview_blocks(file)
    return "\n\n".join(block for block in blocks if block)


# --- the overview


def _overview_blocks(file: ContractFile) -> Iterator[str]:
    contract, rows = file.resolve(), rule_rows(file)
    yield f"{contract.provider}: {contract.title}\n{file.file}\nsha256 {contract.digest}"
    counts = Counter(row.level for row in rows)
    levels = [[level, str(counts[level])] for level in (*LEVELS, "") if counts[level]]
    yield _table(
        "Rules by their strongest evidence", ["level", "rules"], [[row[0] or "none", row[1]] for row in levels]
    )
    yield _table("Sources", ["name", "title", "document", "lines", "retrieved"], _source_rows(contract))
    operations = [[one.name, one.kind, f"{'|'.join(one.methods)} {one.path}"] for one in contract.operations.values()]
    yield _table("Operations", ["name", "kind", "request"], operations)
    yield _table("Models", ["name", "key", "status", "cost"], list(_model_rows(contract)))
    yield _readings_block(file, list(file.readings))
    assumed = [
        [row.pointer, str(row.line), "; ".join(one.note for one in row.evidence if one.level == "assumed")]
        for row in rows
        if row.is_assumed
    ]
    yield _table("Assumed", ["rule", "line", "because"], assumed)
    unserved = [[one["what"], one["why"], _short(_said(one.get("evidence")))] for one in contract.unserved]
    yield _table("Known, but not served", ["what", "why", "evidence"], unserved)


def _source_rows(contract: Contract) -> list[list[str]]:
    return [
        [name, one.title, one.document, str(one.lines or ""), one.retrieved] for name, one in contract.sources.items()
    ]


def _model_rows(contract: Contract) -> Iterator[list[str]]:
    for model in contract.models.values():
        cost = model.cost
        price = f" {decimal_text(cost.price)} {contract.account.unit}" if cost.price else ""
        yield [model.name, " ".join(model.key), "active" if model.active else "inactive", f"{cost.kind}{price}"]


def _readings_block(file: ContractFile, names: Sequence[str]) -> str:
    rows = []
    for name in names:
        reading = file.readings[name]
        for case in sorted(reading.cases, key=lambda one: one != reading.default):
            said, is_default = reading.cases[case], case == reading.default
            mark = "*" if is_default else " "
            rows.append([name if is_default else "", f"{mark} {case}", said.says, _short(said.evidence)])
    return _table("Readings (* is the default)", ["reading", "case", "says", "evidence"], rows)


# --- one rule


def _rule_blocks(file: ContractFile, pointer: str) -> Iterator[str]:
    pointer = pointer if pointer.startswith("/") else f"/{pointer}"
    choice = _choice_with(file, pointer)
    tree = file.resolved(choice)
    place = place_of(tree, pointer, file=file.file, of_key=True)
    others = {name: case for name, case in choice.items() if case != file.readings[name].default}
    note = "".join(f"\nonly with the reading {name}: {case}" for name, case in others.items())
    yield f"{pointer}\n{file.file}:{place.line}{note}"
    yield textwrap.indent(_yaml_text(_at(tree, pointer)), "  ")
    yield _evidence_block(tree, pointer, file.resolve(choice).sources)
    names = readings_at(file.tree, pointer, choice)
    yield _readings_block(file, names)
    yield from _other_cases(file, pointer, choice, names)


def _choice_with(file: ContractFile, pointer: str) -> dict[str, str]:
    """The default choice, or the first other one under which something stands there."""
    for choice in file.choices():
        if _at(file.resolved(choice), pointer) is not None:
            return choice
    tree = file.resolved()
    parts = pointer_parts(pointer)
    above = [pointer_text(parts[:end]) for end in range(len(parts))]
    known = [one for one in above if _at(tree, one) is not None][-1]
    here = ", ".join(str(key) for key, _ in children(_at(tree, known))) or "nothing"
    raise UsageError(f"{file.provider} has nothing at {pointer}; below {known or '/'} there is: {here}")


def _other_cases(file: ContractFile, pointer: str, choice: Mapping[str, str], names: Sequence[str]) -> Iterator[str]:
    """Show what stands there under the other cases, if it is the rule itself that differs."""
    here = _yaml_text(_at(file.resolved(choice), pointer))
    for name in names:
        for case in file.readings[name].cases:
            if case != choice[name]:
                other = _at(file.resolved({**choice, name: case}), pointer)
                text = _yaml_text(other) if other is not None else "(nothing)"
                if text != here and len(text.splitlines()) <= 12:
                    yield f"With {name}: {case}\n{textwrap.indent(text, '  ')}"


def _evidence_block(tree: Map, pointer: str, sources: Mapping[str, Source]) -> str:
    node, parts = _at(tree, pointer), pointer_parts(pointer)
    found = [(pointer_text(path[:-1]) or ".", value) for path, value in evidence_nodes(node)]
    found.sort(key=lambda one: one[0] != ".")
    if not found:  # the rule that holds it answers for it
        for end in range(len(parts) - 1, 0, -1):
            above = _at(tree, pointer_text(parts[:end]))
            if isinstance(above, Mapping) and isinstance(above.get("evidence"), str | list):
                found = [(pointer_text(parts[:end]), above["evidence"])]
                break
    rows = [
        [where if first else "", one.level, one.source, _lines(one), _cited(one, sources)]
        for where, value in found
        for first, one in zip([True, *[False] * 99], _said(value), strict=False)
    ]
    return _table("Evidence", ["rule", "level", "source", "lines", "what"], rows)


def _lines(one: Evidence) -> str:
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in one.lines)


def _cited(one: Evidence, sources: Mapping[str, Source]) -> str:
    source = sources.get(one.source, Source(""))
    date = one.date or source.retrieved
    parts = [source.title, source.document, date and f"({date})", one.note and f"- {one.note}"]
    return " ".join(part for part in parts if part)


# --- text


def _yaml_text(node: Any, room: int = WIDTH - 2) -> str:
    """Write a tree the way a contract would: in one line where it fits, else key by key."""
    node = _without_evidence(node)
    line = _flow(node)
    if len(line) <= room:
        return line
    if not isinstance(node, Mapping | list):
        return "\n".join(textwrap.wrap(line, room, break_on_hyphens=False, break_long_words=False))
    heads = [f"{_scalar(key)}:" for key in node] if isinstance(node, Mapping) else ["-"] * len(node)
    values = node.values() if isinstance(node, Mapping) else node
    return "\n".join(_entry(head, value, room) for head, value in zip(heads, values, strict=True))


def _entry(head: str, value: Any, room: int) -> str:
    line = f"{head} {_flow(value)}"
    if len(line) <= room:
        return line
    if head == "-":
        return textwrap.indent(_yaml_text(value, room - 2), "  ").replace("  ", "- ", 1)
    return f"{head}\n{textwrap.indent(_yaml_text(value, room - 2), '  ')}"


def _flow(node: Any) -> str:
    if isinstance(node, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(_flow, node)) + "]"
    return _scalar(node)


def _scalar(value: Any) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether a reader of contracts takes the text, without quotes, for what it is."""
    if not _PLAIN.fullmatch(text) or ": " in text or " #" in text or text.endswith((":", " ")):
        return False
    try:
        return isinstance(scalar_of(text), str)
    except ValueError:
        return False


def _without_evidence(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: _without_evidence(value)
            for key, value in node.items()
            if key != "evidence" or not isinstance(value, str | list)
        }
    return [_without_evidence(value) for value in node] if isinstance(node, list) else node


def _at(tree: Any, pointer: str) -> Any:
    for part in pointer_parts(pointer):
        if isinstance(tree, list):
            tree = tree[int(part)] if part.isdecimal() and int(part) < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _said(value: Any) -> tuple[Evidence, ...]:
    try:
        return evidences(value)
    except ValueError:
        return ()


def _short(said: Sequence[Evidence]) -> str:
    return "; ".join(evidence_text(one) for one in said)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns that line up; long cells go on below. "" without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    while sum(widths) + 2 * len(widths) > WIDTH and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = [title]
    for row in [heads, *rows]:
        cells = [
            textwrap.wrap(cell, width, break_on_hyphens=False, drop_whitespace=not cell.startswith(" ")) or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, cells))):
            texts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = [text.ljust(width) for text, width in zip(texts, widths, strict=True)]
            lines.append(("  " + "  ".join(padded)).rstrip())
    return "\n".join(lines)
