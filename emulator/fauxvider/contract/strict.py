"""Strict YAML: JSON's types only, exact decimals, and the line and column of every value.

What YAML 1.1 would turn into something else (`16:9`, `no`, `012`, dates) stays the text that it
looks like. Aliases, anchors, tags, directives, duplicate keys and a second document are refused,
and so is anything over 1 MB, 64 levels or 50,000 nodes. The parser hands over one event at a
time and the caps are counted on the way, so that hostile input is dropped early.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from fauxvider.errors import ContractError, Place

__all__ = [
    "Items", "Map", "file_bytes", "load_text", "place_of", "pointer_parts", "pointer_text", "scalar_of",
]  # fmt: skip

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 50_000
_MAX_NUMBER_TEXT = 60
_MAX_EXPONENT = 30

# Line and column (1-based) of a key, then of its value; an item of a list has its own place twice.
Mark: TypeAlias = tuple[int, int, int, int]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Refused with the unprintable: U+0085, U+2028 and U+2029, line breaks in YAML 1.1 and text in JSON.
_UNPRINTABLE = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "null": None, "true": True, "false": False}
# JSON writes these in ways that YAML reads as line breaks, or refuses.
_JSON_PAIR = re.compile(r"(\\\\)|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_JSON_RAW = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class Map(dict[str, Any]):
    """A mapping that knows where it stands (`at`) and where each key and value stand (`marks`)."""

    __slots__ = ("at", "marks")

    def __init__(self, at: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.at = at
        self.marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark) -> None:
        self[key] = value
        self.marks[key] = mark


class Items(list[Any]):
    """A list that knows where it stands (`at`) and where each item stands (`marks`)."""

    __slots__ = ("at", "marks")

    def __init__(self, at: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.at = at
        self.marks: list[Mark] = []

    def put(self, value: Any, mark: Mark) -> None:
        self.append(value)
        self.marks.append(mark)


def file_bytes(path: Path) -> bytes:
    """Read a file, no further than `load_text` would go. Raises ContractError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        problem = f"the file cannot be read: {getattr(error, 'strerror', '') or error}"
        raise ContractError(problem, place=Place(str(path))) from None


def load_text(text: str | bytes, *, file: str) -> Any:
    """Read one document: Map, Items, str, int, Decimal, bool or None.

    Raises one ContractError with the file, line, column and pointer of the first thing wrong.
    """
    source = _decoded(text, file)
    if file.endswith(".json"):
        source = _as_yaml(source)
    if found := _UNPRINTABLE.search(source):
        place = _place_at(source, found.start(), file)
        raise ContractError(f"the character U+{ord(found[0]):04X} must be written as an escape", place=place)
    builder = _Builder(file)
    try:
        for event in yaml.parse(source, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        raise _explained(error, builder) from None
    return builder.root


def scalar_of(text: str) -> Any:
    """Give the JSON value that a plain (unquoted) scalar stands for.

    Raises ValueError for a number that is too long or too large.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789" or not _DECIMAL.fullmatch(text):
        return text
    if len(text) > _MAX_NUMBER_TEXT:
        raise ValueError("the number is too long: quote it if it is text")
    if _INTEGER.fullmatch(text):
        return int(text)
    number = Decimal(text)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"the number {text} is out of range: quote it if it is text")
    return number


def pointer_text(parts: tuple[str | int, ...] | list[str | int]) -> str:
    """Write a JSON pointer: ``("a/b", 0)`` is ``/a~1b/0``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def pointer_parts(pointer: str) -> tuple[str, ...]:
    """Read a JSON pointer: ``/a~1b/0`` is ``("a/b", "0")``."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def place_of(tree: Any, pointer: str, *, file: str, of_key: bool = False) -> Place:
    """Find where a pointer stands; the part that does not exist gives its nearest holder's place."""
    line, column = tree.at if isinstance(tree, Map | Items) else (1, 1)
    node = tree
    for part in pointer_parts(pointer):
        mark: Mark | None = None
        if isinstance(node, Map):
            mark = node.marks.get(part)
            node = node.get(part)
        elif isinstance(node, Items) and part.isdecimal() and int(part) < len(node):
            mark = node.marks[int(part)]
            node = node[int(part)]
        if mark is None:
            break
        line, column = mark[:2] if of_key else mark[2:]
    return Place(file, line, column, pointer)


class _Builder:
    """Makes the tree from parser events, with a stack of its own instead of recursion."""

    def __init__(self, file: str) -> None:
        self.root: Any = None
        self._file = file
        self._stack: list[Map | Items] = []
        self._keys: list[tuple[str, int, int] | None] = []  # beside the stack: a key that waits for its value
        self._nodes = 0
        self._documents = 0
        self._take: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start_map,
            yaml.SequenceStartEvent: self._start_items,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
            yaml.StreamEndEvent: self._end_of_stream,
        }

    def take(self, event: Any) -> None:
        if handler := self._take.get(event.__class__):
            handler(event)

    def wrong(self, problem: str, mark: Any, *, allowed: str = "", key: str | None = None) -> ContractError:
        parts: list[str | int] = []
        for depth, (holder, waiting) in enumerate(zip(self._stack, self._keys, strict=True), 1):
            if waiting is not None:
                parts.append(waiting[0])
            elif isinstance(holder, Items):  # the item at hand is in the list only if it is open itself
                parts.append(len(holder) - (depth < len(self._stack)))
        if key is not None:
            parts.append(key)
        place = Place(self._file, mark.line + 1, mark.column + 1, pointer_text(parts))
        return ContractError(problem, place=place, allowed=allowed)

    def _scalar(self, event: Any) -> None:
        self._count(event)
        holder = self._stack[-1] if self._stack else None
        if isinstance(holder, Map) and self._keys[-1] is None:
            self._key(holder, event)
            return
        value = event.value
        if event.implicit[0]:
            try:
                value = scalar_of(value)
            except ValueError as error:
                raise self.wrong(str(error), event.start_mark) from None
        self._put(value, event.start_mark)

    def _key(self, holder: Map, event: Any) -> None:
        # A key is its text, whatever it looks like: `404:` and `true:` are keys of JSON objects.
        mark, key = event.start_mark, event.value
        if key in holder.marks:
            first = holder.marks[key][0]
            raise self.wrong(f"the key {key!r} stands twice (first on line {first})", mark, key=key)
        self._keys[-1] = (key, mark.line + 1, mark.column + 1)

    def _start_map(self, event: Any) -> None:
        self._open(Map((event.start_mark.line + 1, event.start_mark.column + 1)), event)

    def _start_items(self, event: Any) -> None:
        self._open(Items((event.start_mark.line + 1, event.start_mark.column + 1)), event)

    def _open(self, container: Map | Items, event: Any) -> None:
        self._count(event)
        if self._stack and isinstance(self._stack[-1], Map) and self._keys[-1] is None:
            raise self.wrong("a key must be text", event.start_mark)
        if len(self._stack) >= MAX_DEPTH:
            raise self.wrong(f"more than {MAX_DEPTH} levels", event.start_mark)
        self._put(container, event.start_mark)
        self._stack.append(container)
        self._keys.append(None)

    def _end(self, _event: Any) -> None:
        self._stack.pop()
        self._keys.pop()
        if self._keys:
            self._keys[-1] = None

    def _alias(self, event: Any) -> None:
        raise self.wrong(f"aliases are not allowed (*{event.anchor}): use `parts` and `$use`", event.start_mark)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self.wrong("only one document is allowed", event.start_mark)
        if event.version or event.tags:
            raise self.wrong("directives are not allowed", event.start_mark)

    def _end_of_stream(self, event: Any) -> None:
        if not self._documents:
            raise self.wrong("the file is empty", event.start_mark)

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if event.anchor is not None:
            raise self.wrong(f"anchors are not allowed (&{event.anchor}): use `parts` and `$use`", event.start_mark)
        if event.tag is not None:
            raise self.wrong(f"tags are not allowed ({event.tag})", event.start_mark)
        if self._nodes > MAX_NODES:
            raise self.wrong(f"more than {MAX_NODES} nodes", event.start_mark)

    def _put(self, value: Any, mark: Any) -> None:
        line, column = mark.line + 1, mark.column + 1
        if not self._stack:
            self.root = value
            return
        holder = self._stack[-1]
        if isinstance(holder, Items):
            holder.put(value, (line, column, line, column))
            return
        waiting = self._keys[-1]
        if waiting is not None:
            holder.put(waiting[0], value, (waiting[1], waiting[2], line, column))
            if not isinstance(value, Map | Items):
                self._keys[-1] = None


def _decoded(text: str | bytes, file: str) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise ContractError(f"more than {MAX_BYTES} bytes", place=Place(file, 1, 1))
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            readable = error.object[: error.start].decode("utf-8")
            raise ContractError("the text is not UTF-8", place=_place_at(readable, len(readable), file)) from None
    return text.removeprefix("\ufeff")


def _as_yaml(text: str) -> str:
    """Rewrite the few JSON spellings that YAML reads differently; lines stay, columns nearly."""

    def joined(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        code = 0x10000 + ((int(found[2], 16) - 0xD800) << 10) + (int(found[3], 16) - 0xDC00)
        return f"\\U{code:08X}"

    text = text.replace("\t", " ")  # only ever between tokens, where the Python parser refuses it
    return _JSON_RAW.sub(lambda found: f"\\u{ord(found[0]):04X}", _JSON_PAIR.sub(joined, text))


def _place_at(text: str, index: int, file: str) -> Place:
    return Place(file, text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1)


def _explained(error: yaml.YAMLError, builder: _Builder) -> ContractError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if context := getattr(error, "context", None):
        problem = f"{problem} ({context})"
    return builder.wrong(f"this is not YAML: {problem}", mark or yaml.Mark("", 0, 0, 0, "", 0))
