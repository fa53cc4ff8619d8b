"""Logs of a server: one line for each request, attempt and event, as JSON or aligned text, on standard error.

Secrets are left out: of an address its user, query and fragment, of a path the keys in it; bodies and headers
are not logged at all. Of an error, what was raised and where, not its text.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from fauxvider.server.watched import ms_since, took_ms
from fauxvider.service.journal import holds_key
from fauxvider.service.redaction import shown_address
from fauxvider.service.wire import key_of

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider
    from fauxvider.service.wire import Reply, Request
    from fauxvider.service.world import World

__all__ = ["LEVELS", "Logs", "logging_to"]

Style: TypeAlias = Literal["json", "text"]

LEVEL_NUMBERS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LEVELS = tuple(LEVEL_NUMBERS)
_LOGGERS = ("fauxvider", "uvicorn.error", "asyncio")
_LOG = logging.getLogger("fauxvider.serve")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+")
_ODD = re.compile(r"[^\x20-\x7e\xa1-\u2027\u202f-\ud7ff\uf900-\ufdff]")
# Of a journal entry: what a line shows, and at which level. Requests have a line of their own.
_QUIET = frozenset({"request", "note", "charged", "fault"})
_ENTRY = ("provider", "job", "delivery", "number", "outcome", "status", "address", "error", "state", "failure", "fault")
_EVENTS = {"world made": logging.DEBUG, "world brought back": logging.DEBUG, "world dropped": logging.DEBUG}
_FIRST = ("world", "provider", "operation", "method", "status", "ms")


class Logs:
    """A watch that writes what it hears of."""

    def request(self, provider: Provider, request: Request, reply: Reply, *, does: str, began: float) -> None:
        level = logging.WARNING if reply.status >= 500 else logging.INFO
        if not _LOG.isEnabledFor(level):
            return
        facts: dict[str, Any] = {
            "world": provider.world.name,
            "provider": provider.name,
            "operation": reply.operation or does,
            "method": request.method,
            "status": reply.status,
            "ms": ms_since(began),
            "path": _shown_path(provider, request),
        }
        facts |= {name: value for name, value in (("job", reply.job), ("cause", reply.cause)) if value}
        if reply.wire is not None:
            facts["fault"] = "on the wire"
        _LOG.log(level, "request", extra={"facts": facts})

    def entry(self, world: World, number: int, entry: Mapping[str, Any]) -> None:
        del number
        kind = entry["kind"]
        if kind == "request":
            return
        level = logging.DEBUG if kind in _QUIET else logging.INFO
        facts = {"world": world.name, **{name: entry[name] for name in _ENTRY if name in entry}}
        if kind == "attempt":
            if not 200 <= int(entry.get("status", 0)) < 300:
                level = logging.WARNING
            facts["ms"] = took_ms.get()
            facts = {name: value for name, value in facts.items() if value is not None}
        _LOG.log(level, kind, extra={"facts": facts})

    def event(self, name: str, **facts: Any) -> None:
        level = _EVENTS.get(name, logging.INFO)
        _LOG.log(level, name, extra={"facts": facts})


def _shown_path(provider: Provider, request: Request) -> str:
    """Give a request's path without the keys that may stand in it."""
    path = request.path
    for key in (key_of(provider.contract.auth, request)[0], *provider.world.keys):
        if key and holds_key(path, key):
            return path.replace(key, "***") if key in path else "***"
    return path


@contextmanager
def logging_to(style: Style, level: str, stream: Any = None) -> Iterator[None]:
    """Have everything that the server and its HTTP library log written as lines, for the length of a block."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_JsonLines() if style == "json" else _TextLines())
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        # The library tells of its own start and end at the level of information; ours says more.
        logger.setLevel(level.upper() if logger.name == "fauxvider" else max(logging.WARNING, LEVEL_NUMBERS[level]))
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (old, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old)
            logger.propagate = propagate


def _facts(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Give the event and facts of a record; one of another's making is a message."""
    facts = getattr(record, "facts", None)
    if facts is not None:
        return record.msg, facts
    found: dict[str, Any] = {"logger": record.name, "text": _shown(record.getMessage())}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        frames = traceback.extract_tb(error.__traceback__)
        found["error"] = type(error).__qualname__
        found["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    return "message", found


def _shown(text: str) -> str:
    return _URL.sub(lambda found: shown_address(found[0])[0], text)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event, facts = _facts(record)
        shown = {name: _shown(value) if isinstance(value, str) else value for name, value in facts.items()}
        line = {"time": _moment(record, "%Y-%m-%dT%H:%M:%S", "Z"), "level": record.levelname.lower(), "event": event}
        return orjson.dumps({**line, "pid": record.process, **shown}, default=str).decode()


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event, facts = _facts(record)
        world, provider, operation, method, status, ms = (facts.get(name, "") for name in _FIRST)
        columns = (
            f"{_moment(record, '%H:%M:%S', '')} {record.levelname.lower():<7} {event:<9} {world:<12.12} {provider:<9} "
            f"{operation:<18} {method:<6} {status:>3} {'' if ms == '' else format(ms, '.1f'):>8}"
        )
        rest = [f"{name}={value}" for name, value in facts.items() if name not in _FIRST and value != ""]
        return _ODD.sub(_escaped, _shown(" ".join([columns, *rest]).rstrip()))


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _moment(record: logging.LogRecord, form: str, end: str) -> str:
    return f"{time.strftime(form, time.gmtime(record.created))}.{int(record.msecs):03}{end}"
