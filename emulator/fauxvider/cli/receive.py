"""`fauxvider receive`: a callback receiver on the terminal."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import click

from fauxvider.clock import RealClock
from fauxvider.errors import FauxviderError, UsageError
from fauxvider.gate import parse_json
from fauxvider.receiver import Answered, AnswerLike, Received, Receiver

__all__ = ["receive"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EXCERPT = 60
_PATH = 30
_MARKS = {"good": "ok", "bad": "BAD", "missing": "BAD (none)"}

_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Listen here; beyond loopback with --expose."),
    click.option("--port", default=8902, show_default=True, help="The port; 0 takes a free one."),
    click.option(
        "--answer",
        "answers",
        multiple=True,
        metavar="ANSWER",
        help="Answer so, in turn; the last one repeats. A status, reset, close, hang, garbage, pass, redirect:URL, "
        "down:SPAN, after:SPAN, drip:SPAN, or a JSON object. By default 200, or pass with --forward.",
    ),
    click.option("--forward", metavar="URL", help="Pass the callbacks on to this URL of your machine."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON lines."),
    click.option("--verify-secret-env", "secret_env", metavar="NAME", help="Variable that holds the signing secret."),
    click.option("--signature-header", metavar="NAME", help="Header that holds the HMAC-SHA256 of the body."),
    click.option(
        "--encoding", default="hex", type=click.Choice(["hex", "base64"]), show_default=True, help="Of the signature."
    ),
    click.option("--expose", is_flag=True, help="Allow a --host beyond loopback."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveOptions:
    """The options of the command, by their names."""

    host: str
    port: int
    answers: tuple[str, ...]
    forward: str | None
    as_json: bool
    secret_env: str | None
    signature_header: str | None
    encoding: Literal["hex", "base64"]
    expose: bool


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@_with_options
def receive(**given: Any) -> None:
    """Receive callbacks until interrupted: show each, answer by script, or pass it on.

    \b
      fauxvider receive --answer 503 --answer reset --answer 200
      fauxvider receive --forward http://127.0.0.1:8000/webhooks
    """
    options = ReceiveOptions(**given)
    if options.host not in _LOOPBACK and not options.expose:
        raise UsageError(f"--host {options.host} is reachable from other machines: add --expose if that is wanted")
    screen = _Screen(_seal(options), as_json=options.as_json)
    receiver = Receiver(
        [_answer(text) for text in options.answers] or None,
        forward=options.forward,
        clock=RealClock().now,
        host=options.host,
        port=options.port,
        keep=0,
        on_answer=screen.show,
    )
    with _interruptible(), suppress(KeyboardInterrupt), asyncio.Runner() as runner:
        runner.run(_serve(receiver, screen, options))
    screen.sum_up(receiver)


async def _serve(receiver: Receiver, screen: _Screen, options: ReceiveOptions) -> None:
    async with receiver:
        screen.announce(receiver.url, options)
        await screen.is_closed.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C. A shell has what a script starts by `&` ignore that one: here it ends it, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    terminate = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, terminate)
        signal.signal(signal.SIGINT, interrupt)


def _answer(text: str) -> AnswerLike:
    if text.isascii() and text.isdigit():
        return int(text)
    if text.startswith("{"):
        try:
            read = parse_json(text.encode())
        except (FauxviderError, UnicodeEncodeError) as error:
            raise UsageError(f"--answer {text}: {error}") from None
        if isinstance(read, dict):
            return read
    return text


@dataclass(frozen=True, slots=True)
class _Seal:
    """How callbacks are signed. The secret is in no text that this object gives."""

    secret: bytes = field(repr=False)
    header: str
    encoding: Literal["hex", "base64"]

    def judge(self, received: Received) -> Literal["good", "bad", "missing"]:
        given = received.header(self.header)
        if given is None:
            return "missing"
        digest = hmac.new(self.secret, received.body, hashlib.sha256).digest()
        right = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        return "good" if hmac.compare_digest(given.encode(), right.encode()) else "bad"


def _seal(options: ReceiveOptions) -> _Seal | None:
    if options.secret_env is None and options.signature_header is None:
        return None
    if options.secret_env is None or options.signature_header is None:
        raise UsageError("a signature is checked with --verify-secret-env and --signature-header together")
    secret = os.environ.get(options.secret_env)
    if not secret:
        raise UsageError(f"--verify-secret-env {options.secret_env}: this variable is not set, or empty")
    return _Seal(os.fsencode(secret), options.signature_header, options.encoding)


class _Screen:
    """Prints what comes in. What a sender has written is escaped, and a secret that it holds is masked."""

    def __init__(self, seal: _Seal | None, *, as_json: bool) -> None:
        self.is_closed = asyncio.Event()  # nobody reads what is printed
        self._seal = seal
        self._as_json = as_json
        self._answers: Counter[str] = Counter()
        self._signatures: Counter[str] = Counter()

    def announce(self, url: str, options: ReceiveOptions) -> None:
        if self._as_json:
            self._print(json.dumps({"url": url}))
            return
        self._print(f"fauxvider receives callbacks at {url}")
        if options.answers:
            self._print(f"answers  {', '.join(options.answers)}")
        if options.forward:
            self._print(f"passes to  {options.forward}")
        if options.host not in _LOOPBACK:
            self._print("warning  the port is open to other machines and asks for no secret")
        self._print("Ctrl-C stops.\n")
        signature = f"{'signature':<11}" if self._seal else ""
        self._print(f"{'time':<13}{'method':<8}{'path':<{_PATH + 1}}{'answer':<8}{'size':>8}  {signature}body")

    def show(self, answered: Answered) -> None:
        """Print one callback."""
        answer = answered.note if answered.status is None else str(answered.status)
        self._answers[answer] += 1
        verdict = None if self._seal is None else self._seal.judge(answered.received)
        if verdict is not None:
            self._signatures[verdict] += 1
        if self._as_json:
            self._print(self._line_of_json(answered, verdict))
            return
        self._print(self._line(answered.received, answer, verdict))
        if answered.status is not None and answered.note:
            self._print(f"{'':<13}{_plain(answered.note)}")

    def sum_up(self, receiver: Receiver) -> None:
        """Print what has come in all."""
        bad = self._signatures.total() - self._signatures["good"]
        if self._as_json:
            summary: dict[str, Any] = {"callbacks": receiver.count, "answers": dict(self._answers)}
            summary |= {"refused": dict(receiver.refused)}
            if self._seal is not None:
                summary |= {"bad_signatures": bad}
            self._print(json.dumps({"summary": summary}))
            return
        parts = [f"{receiver.count} callback{'' if receiver.count == 1 else 's'}"]
        parts += [f"{answer} x{count}" for answer, count in self._answers.items()]
        parts += [f"refused ({why}) x{count}" for why, count in receiver.refused.items()]
        if self._seal is not None:
            parts.append(f"{bad} bad signature{'' if bad == 1 else 's'}")
        self._print(f"\nstopped: {', '.join(parts)}")

    def _line(self, received: Received, answer: str, verdict: str | None) -> str:
        path = _plain(self._masked(received.path))
        path = path if len(path) <= _PATH else f"{path[: _PATH - 3]}..."
        body = self._masked(received.body[: 4 * _EXCERPT + self._reach].decode("utf-8", "replace"))
        signature = f"{_MARKS[verdict]:<11}" if verdict else ""
        return (
            f"{_time(received.at or 0):<13}{_plain(received.method):<7} {path:<{_PATH}} {answer:<7} "
            f"{_size(len(received.body)):>8}  {signature}{_plain(body[:_EXCERPT])}"
        ).rstrip()

    def _line_of_json(self, answered: Answered, verdict: str | None) -> str:
        received = answered.received
        body = received.body if self._seal is None else received.body.replace(self._seal.secret, b"***")
        line: dict[str, Any] = {
            "number": received.number,
            "at": received.at,
            "method": received.method,
            "path": self._masked(received.path),
            "headers": [[name, self._masked(value)] for name, value in received.headers],
            "status": answered.status,
            "note": answered.note,
            "size": len(received.body),
            "body": base64.b64encode(body).decode(),
            "text": _text(body),
        }
        if verdict is not None:
            line["signature"] = verdict
        return json.dumps(line)

    @property
    def _reach(self) -> int:
        return 0 if self._seal is None else len(self._seal.secret)

    def _masked(self, text: str) -> str:
        if self._seal is None:
            return text
        # Headers and paths are latin-1, the body's excerpt is UTF-8: the secret may stand there in either.
        for encoding in ("utf-8", "latin-1"):
            text = text.replace(self._seal.secret.decode(encoding, "replace"), "***")
        return text

    def _print(self, line: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        try:
            click.echo(line.encode(encoding, "backslashreplace").decode(encoding))
        except OSError:
            self.is_closed.set()


def _plain(text: str) -> str:
    """Escape whatever could move a cursor, change a colour or turn the direction of writing."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _size(size: int) -> str:
    return f"{size} B" if size < 10_000 else f"{size / 1000:.0f} kB"


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, tz=UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
