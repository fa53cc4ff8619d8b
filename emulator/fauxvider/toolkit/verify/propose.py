"""From what was seen to a contract that says so: `verify --propose`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from fauxvider.clock import RealClock
from fauxvider.contract.lint import findings
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import Map, pointer_parts, pointer_text
from fauxvider.errors import ContractError, UsageError
from fauxvider.toolkit.places import rule_at
from fauxvider.toolkit.verify.case import Result
from fauxvider.toolkit.verify.edits import Editor, flow
from fauxvider.toolkit.verify.proposals import order, other_reading, pace, signing
from fauxvider.toolkit.verify.wants import Mismatch
from fauxvider.values import parse_money, span_text

__all__ = ["Proposal", "propose"]


@dataclass(slots=True)
class Proposal:
    """`text`: the contract as proposed; `changes` what was changed, `left` what no change is known for."""

    text: str = ""
    changes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def propose(
    file: ContractFile, readings: Mapping[str, str], results: Sequence[Result], *, date: str | None = None
) -> Proposal:
    """Change a contract so that what was seen holds; every changed rule says `observed`, and when.

    Raises UsageError for a date that is none, and when the contract is not a file that can be read again.
    """
    day = _day(date)
    text = _text(file)
    editor, made = Editor(file, readings, text), Proposal()
    source = f"verify-{day}"
    editor.witness = f"observed {source} @{day}"
    changed: set[str] = set()
    pending: list[Mismatch] = []
    renamed = dict(_renamed(results))
    for rule, name in renamed.items():
        if editor.rename(rule, name):
            changed |= {rule, pointer_text(pointer_parts(rule)[:-1])}
            made.changes.append(f"{rule}: is called {name}")
            _witness(editor, file, readings, rule, f"observed {source} @{day} - was called {pointer_parts(rule)[-1]}")
    for one in _once(results):
        if one.kind in ("missing", "extra") and one.rule in changed:
            continue
        told = _change(editor, one, results)
        if told is None:
            pending.append(one)
            continue
        changed.add(one.rule)
        made.changes.append(f"{one.rule}: {told}")
        _witness(editor, file, readings, one.rule, f"observed {source} @{day} - {told}")
    made.left = [
        f"{one.rule} ({one.place}: {one.wanted} was wanted, {one.got} came)"
        for one in pending
        if not any(one.rule == rule or one.rule.startswith(f"{rule}/") for rule in changed)
    ]
    if made.changes:
        editor.source(source, "fauxvider verify", day)
    made.text = editor.text
    _check(made, file.file)
    return made


def _renamed(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Walk the fields that go by another name: one is missing and one is new, in the same object of one answer."""
    for result in results:
        for one in result.mismatches:
            holder = pointer_text(pointer_parts(one.rule)[:-1])
            beside = [other for other in result.mismatches if other.rule == holder and other.kind == "extra"]
            gone = [other for other in result.mismatches if other.kind == "missing" and other.place != one.place]
            rivals = [other for other in gone if pointer_text(pointer_parts(other.rule)[:-1]) == holder]
            if (
                one.kind == "missing"
                and one.place.startswith("/")
                and len({other.place for other in beside}) == 1
                and not rivals
            ):
                yield one.rule, pointer_parts(beside[0].place)[-1]


def _day(given: str | None) -> str:
    if given is None:
        return datetime.fromtimestamp(RealClock().now() / 1000, UTC).date().isoformat()
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise UsageError(f"--date {given}: write YYYY-MM-DD") from None


def _text(file: ContractFile) -> str:
    try:
        return Path(file.file).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{file.file} cannot be read again: {problem}") from None


def _once(results: Sequence[Result]) -> Iterator[Mismatch]:
    """Walk what did not fit, each rule once: the first that was seen of it."""
    seen: set[tuple[str, str, bool]] = set()
    for result in results:
        for one in result.mismatches:
            # What was measured is told beside what did not fit: it is another statement about the rule.
            is_measured = isinstance(one.observed, dict | list)
            is_apart = is_measured or one.kind in ("extra", "missing")
            key = (one.rule, one.place if is_apart else one.kind, one.observed is None)
            if key not in seen:
                seen.add(key)
                yield one


def _check(made: Proposal, name: str) -> None:
    try:
        wrong = [str(one) for one in findings(ContractFile(made.text, file=name)) if one.severity == "error"]
    except ContractError as problem:
        wrong = [str(problem)]
    if wrong:
        made.left.append(f"the contract as proposed does not pass check yet: {wrong[0]}")


def _witness(editor: Editor, file: ContractFile, readings: Mapping[str, str], rule: str, said: str) -> None:
    """Add the evidence to the rule that answers for what was changed."""
    holder = rule_at(file, readings, rule).said_at
    if not holder:
        return
    old = editor.at(f"{holder}/evidence")
    editor.put(f"{holder}/evidence", [*(old if isinstance(old, list) else [old]), said])


# --- one change: a function for each kind of rule, the first that knows one


def _change(editor: Editor, one: Mismatch, results: Sequence[Result]) -> str | None:
    if one.rule.startswith("/models/") and one.rule.endswith("/cost"):
        return _price(editor, one.rule, results)
    if one.rule == "/callbacks/retry/on":
        return _retried(editor, results)
    return next((told for make in _KINDS if (told := make(editor, one)) is not None), None)


def _word(editor: Editor, one: Mismatch) -> str | None:
    """A state is called otherwise: its name, and wherever it is named."""
    parts = pointer_parts(one.rule)
    if parts[:2] != ("lifecycle", "states") or len(parts) != 3 or not isinstance(one.observed, str):
        return None
    old, new = parts[2], one.observed
    states = editor.at("/lifecycle/states")
    if new in editor.unresolved.get("lifecycle", {}).get("states", {}):
        return None  # the contract knows it: it is the word of another reading
    if not isinstance(states, Map) or old not in states or new in states or not editor.rename(one.rule, new):
        return None
    for end, word in (editor.at("/lifecycle/ends") or {}).items():
        if word == old:
            editor.put(f"/lifecycle/ends/{end}", new)
    for number, phase in enumerate(editor.at("/lifecycle/phases") or []):
        if phase.get("state") == old:
            editor.put(f"/lifecycle/phases/{number}/state", new)
    for name, model in editor.tree["models"].items():
        if old in model.get("timing", {}):
            editor.rename(pointer_text(("models", name, "timing", old)), new)
    return f"was called {old}, is called {new}"


def _price(editor: Editor, rule: str, results: Sequence[Result]) -> str | None:
    """A price is another: the simplest rule that gives every price that was seen."""
    cost = editor.at(rule)
    seen = list(_prices(rule, results))
    if not isinstance(cost, Map) or not seen or cost["kind"] not in _LINEAR or "first" in cost:
        return None
    factors = {_scaled(parse_money(cost["price"]), wanted, got) for wanted, got in seen}
    if factors == {None}:
        return None
    if len(factors) == 1 and (price := factors.pop()) is not None:
        # A factor with a long tail is no price: it is the other kind of megapixel.
        if cost["kind"] == "per_megapixel" and len(price.as_tuple().digits) > _MOST_DIGITS:
            unit = _OTHER_UNIT[cost["pixels_per_megapixel"]]
            return f"a megapixel has {unit} pixels" if editor.put(f"{rule}/pixels_per_megapixel", unit) else None
        told = f"the price was {cost['price']}, is {flow_money(price)}"
        return told if editor.put(f"{rule}/price", flow_money(price)) else None
    if len({got for _, got in seen}) == 1 and "$" not in str(cost["price"]):
        price = seen[0][1]
        made = {
            key: value for key, value in cost.items() if key not in ("pixels_per_megapixel", "megapixels", "evidence")
        }
        flat = {**made, "kind": "per_image", "price": flow_money(price), "evidence": cost.get("evidence")}
        return f"costs {flow_money(price)} a picture, whatever its size" if editor.put(rule, flat) else None
    return None


_LINEAR = ("per_image", "per_request", "per_megapixel", "per_second")
_OTHER_UNIT = {1_000_000: 1_048_576, 1_048_576: 1_000_000}
_MOST_DIGITS = 6


def _prices(rule: str, results: Sequence[Result]) -> Iterator[tuple[Decimal, Decimal]]:
    """Walk the prices that were wanted, and those that were seen instead."""
    for result in results:
        for one in result.mismatches:
            if one.rule == rule and one.kind == "value":
                try:
                    wanted, got = parse_money(one.wanted.strip('"')), parse_money(one.observed)
                except (UsageError, ValueError):
                    continue
                if wanted:
                    yield wanted, got


def _retried(editor: Editor, results: Sequence[Result]) -> str | None:
    """Which answers to a callback are tried again: those that were seen to be, and what was not tried stays."""
    old, again = editor.at("/callbacks/retry/on"), dict[str, bool]()
    for result in results:
        word = result.case.name.removeprefix("a callback that is answered with ")
        if result.case.rule != "/callbacks/retry/on" or result.outcome == "not checked" or word.startswith("2"):
            continue
        seen = next((one.observed for one in result.mismatches if one.rule == "/callbacks/retry/on"), None)
        is_usual = _is_tried(old, word)
        again["network" if word == "reset" else f"{word[0]}xx"] = seen > 1 if isinstance(seen, int) else is_usual
    if not again or not isinstance(old, list):
        return None
    made = [name for name, is_tried in again.items() if is_tried]
    made += ["timeout"] if "any" in old or "timeout" in old else []
    return f"was {flow(old)}, is {flow(made)}" if made and editor.put("/callbacks/retry/on", made) else None


def _is_tried(on: Any, word: str) -> bool:
    return "any" in on or word in on or ("network" if word == "reset" else f"{word[0]}xx") in on


def _scaled(price: Decimal, wanted: Decimal, seen: Decimal) -> Decimal | None:
    exact = Fraction(price) * Fraction(seen) / Fraction(wanted)
    made = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("1e-12"))
    return made.normalize() if abs(Fraction(made) - exact) < Fraction(1, 10**9) else None


def flow_money(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _life(editor: Editor, one: Mismatch) -> str | None:
    """A span that was measured in ms or, in a signed address, in seconds."""
    name = pointer_parts(one.rule)[-1]
    if name not in ("lives", "keeps", "window"):
        return None
    text = str(one.observed) if not isinstance(one.observed, bool) and str(one.observed).isdecimal() else ""
    if not text:
        return None
    ms = int(text) * (1000 if one.place.startswith("query ") else 1)
    if not editor.put(one.rule, span_text(ms)):
        return None
    return f"was {one.wanted}, is {span_text(ms)}"


def _delays(editor: Editor, one: Mismatch) -> str | None:
    if one.rule != "/callbacks/retry/delays" or not isinstance(one.observed, list):
        return None
    spans = [span_text(ms) for ms in one.observed]
    old = editor.at(one.rule)
    return f"were {flow(old)}, are {flow(spans)}" if spans and editor.put(one.rule, spans) else None


def _field(editor: Editor, one: Mismatch) -> str | None:
    """A field that is gone, or one that is new."""
    name = pointer_parts(one.place)[-1] if one.place.startswith("/") and one.place != "/" else ""
    if one.kind == "missing" and (name or one.place.startswith("header ")):
        return "is not there any more" if editor.drop_key(one.rule) else None
    if one.kind == "extra" and name:
        return f"shows {name}, too" if editor.put_key(_below(one.rule, name), _literal(one.observed)) else None
    return None


def _below(rule: str, name: str) -> str:
    return rule + pointer_text((name,))


def _count(editor: Editor, one: Mismatch) -> str | None:
    parts = pointer_parts(one.rule)
    if parts[0] != "limits" or parts[-1] != "count" or type(one.observed) is not int:
        return None
    old = editor.at(one.rule)
    return f"was {old}, is {one.observed}" if editor.put(one.rule, one.observed) else None


def _scalar(editor: Editor, one: Mismatch) -> str | None:
    """Another value where the contract has a plain one."""
    old, new = editor.at(one.rule), one.observed
    if new is None and one.got != "null":
        return None  # something else than a value was seen
    if isinstance(old, Map | list) or isinstance(new, dict | list) or one.kind not in ("value", "type"):
        return None
    if old is None and pointer_parts(one.rule)[-1] not in ("content_type", "status"):
        return None
    if isinstance(old, str) and "{" in old.replace("{{", ""):
        return None  # a template: which part of it is another cannot be told
    if isinstance(old, int) and not isinstance(old, bool) and type(new) is not int:
        return None
    if not editor.put_key(one.rule, _literal(new)):
        return None
    return f"was {flow(old)}, is {flow(new)}"


def _literal(value: Any) -> Any:
    """Write a value as a template that shows it."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


_KINDS: tuple[Callable[[Editor, Mismatch], str | None], ...] = (
    signing,
    pace,
    order,
    other_reading,
    _word,
    _life,
    _delays,
    _count,
    _field,
    _scalar,
)
