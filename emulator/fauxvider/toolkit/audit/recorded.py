"""Reading recorded traffic: HAR files, and the cassettes of vcrpy (YAML or JSON).

A recording is untrusted: sizes and counts are capped, nothing in it is executed, and what is wrong with it is one
error that names the file and the entry.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import yaml

from fauxvider.errors import FauxviderError
from fauxvider.messages import first_header

__all__ = ["Exchange", "Recording", "RecordingError", "read_recording"]

MAX_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 100_000
_MAX_BODY = 32 * 1024 * 1024
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RecordingError(FauxviderError, ValueError):
    """A file that is no recording: whose it is must mend it. Exit code 2."""

    fault = "the recording's author"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `at` and `ended` in ms since the epoch; header names are in lower case."""

    number: int  # in the file, from 1
    at: int
    ended: int
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int  # 0: no answer came
    answer_headers: tuple[tuple[str, str], ...]
    answer: bytes

    def header(self, name: str) -> str | None:
        return first_header(self.headers, name)

    def answer_header(self, name: str) -> str | None:
        return first_header(self.answer_headers, name)


@dataclass(frozen=True, slots=True)
class Recording:
    """`is_timed`: whether the entries say when they happened; without that only their order is known."""

    name: str
    form: str
    exchanges: tuple[Exchange, ...]
    is_timed: bool


def read_recording(path: Path) -> Recording:
    """Read a file. Raises RecordingError: it cannot be read, is too large, or is no recording."""
    tree = _tree(path)
    if isinstance(tree, Mapping) and isinstance(tree.get("log"), Mapping):
        return _recording(path, "HAR", tree["log"].get("entries"), _of_har)
    if isinstance(tree, Mapping) and "interactions" in tree:
        return _recording(path, "cassette", tree["interactions"], _of_cassette)
    raise RecordingError(f"{path}: neither a HAR file (log.entries) nor a vcrpy cassette (interactions)")


def _tree(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordingError(f"{path}: more than {MAX_BYTES} bytes")
        data = path.read_bytes()
    except OSError as problem:
        raise RecordingError(f"{path}: {problem.strerror or 'cannot be read'}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise RecordingError(f"{path}:{line}: the text is not UTF-8") from None
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as problem:
            raise RecordingError(f"{path}:{problem.lineno}:{problem.colno}: this is not JSON: {problem.msg}") from None
        except (ValueError, RecursionError) as problem:
            raise RecordingError(f"{path}: this is not JSON: {problem}") from None
    return _yaml(path, text)


def _yaml(path: Path, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(problem, "problem", None) or "it cannot be read"
        raise RecordingError(f"{path}{where}: this is not YAML: {said}") from None
    except (ValueError, RecursionError, OverflowError) as problem:
        raise RecordingError(f"{path}: this is not YAML: {problem}"[:300]) from None


def _recording(path: Path, form: str, entries: Any, read: Any) -> Recording:
    if not isinstance(entries, list):
        raise RecordingError(f"{path}: the {form} has no list of entries")
    if len(entries) > MAX_ENTRIES:
        raise RecordingError(f"{path}: more than {MAX_ENTRIES} entries")
    made: list[tuple[int | None, Exchange]] = []
    for number, entry in enumerate(entries, 1):
        try:
            made.append(read(entry, number))
        except (_WrongEntryError, ValueError, TypeError, OverflowError) as problem:
            raise RecordingError(f"{path}: entry {number}: {_said(problem)}") from None
    is_timed = bool(made) and all(at is not None for at, _ in made)
    found = [one for _, one in made]
    if is_timed:
        found.sort(key=lambda one: (one.at, one.number))
    return Recording(str(path), form, tuple(found), is_timed)


def _said(problem: Exception) -> str:
    return (
        str(problem)[:200] if isinstance(problem, _WrongEntryError) else f"it cannot be read ({type(problem).__name__})"
    )


class _WrongEntryError(Exception):
    """What is wrong with one entry."""


def _part(entry: Any, name: str) -> Mapping[str, Any]:
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, Mapping):
        raise _WrongEntryError(f"it has no {name}")
    return value


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str) or not value:
        raise _WrongEntryError(f"its request has no {name}")
    return value


# --- HAR


def _of_har(entry: Any, number: int) -> tuple[int | None, Exchange]:
    request, response = _part(entry, "request"), _part(entry, "response")
    at = _moment(entry.get("startedDateTime"))
    took = entry.get("time")
    span = int(took) if isinstance(took, int | float) and 0 <= took < 10**9 else 0
    began = at if at is not None else number * 1000
    status = response.get("status")
    return at, Exchange(
        number=number,
        at=began,
        ended=began + span,
        method=_text(request, "method").upper(),
        url=_text(request, "url"),
        headers=tuple(_har_headers(request)),
        body=_har_body(request),
        status=status if type(status) is int and 100 <= status < 600 else 0,
        answer_headers=tuple(_har_headers(response)),
        answer=_har_content(response),
    )


def _moment(text: Any) -> int | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _WrongEntryError(f"startedDateTime {text[:40]!r} is no moment") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _har_headers(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in part.get("headers") or []:
        if isinstance(one, Mapping) and isinstance(one.get("name"), str) and isinstance(one.get("value"), str):
            yield one["name"].lower(), one["value"]


def _har_body(request: Mapping[str, Any]) -> bytes:
    data = request.get("postData")
    text = data.get("text") if isinstance(data, Mapping) else None
    return _capped(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else b""


def _har_content(response: Mapping[str, Any]) -> bytes:
    content = response.get("content")
    text = content.get("text") if isinstance(content, Mapping) else None
    if not isinstance(text, str):
        return b""
    if isinstance(content, Mapping) and content.get("encoding") == "base64":
        try:
            return _capped(b64decode(text, validate=False))
        except ValueError:
            raise _WrongEntryError("its content is not base64") from None
    return _capped(text.encode("utf-8", "surrogatepass"))


# --- vcrpy


def _of_cassette(entry: Any, number: int) -> tuple[int | None, Exchange]:
    request, response = _part(entry, "request"), _part(entry, "response")
    status = response.get("status")
    code = status.get("code") if isinstance(status, Mapping) else status
    headers = tuple(_listed_headers(response))
    at = _date(first_header(headers, "date"))
    began = at if at is not None else number * 1000
    body = response.get("body")
    return at, Exchange(
        number=number,
        at=began,
        ended=began,
        method=_text(request, "method").upper(),
        url=_text(request, "uri"),
        headers=tuple(_listed_headers(request)),
        body=_bytes(request.get("body")),
        status=code if type(code) is int and 100 <= code < 600 else 0,
        answer_headers=headers,
        answer=_bytes(body.get("string") if isinstance(body, Mapping) else body),
    )


def _listed_headers(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    headers = part.get("headers")
    for name, value in (headers if isinstance(headers, Mapping) else {}).items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            if isinstance(name, str) and isinstance(one, str | bytes):
                yield name.lower(), one if isinstance(one, str) else one.decode("latin-1")


def _date(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp() * 1000) if text else None
    except (ValueError, TypeError, OverflowError):
        return None


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return _capped(value) if isinstance(value, bytes) else b""


def _capped(data: bytes) -> bytes:
    if len(data) > _MAX_BODY:
        raise _WrongEntryError(f"a body of more than {_MAX_BODY} bytes")
    return data
