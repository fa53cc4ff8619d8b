"""The options of `fauxvider serve` for who runs it for others (docs/operations.md)."""

from __future__ import annotations

import math
import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from fauxvider.errors import UsageError
from fauxvider.server.logs import LEVELS, Logs, logging_to
from fauxvider.server.watched import have_watched
from fauxvider.service.emulator import Emulator
from fauxvider.service.watching import Watch

if TYPE_CHECKING:
    from fauxvider.server.metrics import Metrics

__all__ = ["OPERATING_OPTIONS", "OperatingOptions", "connections_allowed"]

TOKEN_VARIABLE = "FAUXVIDER_CONTROL_TOKEN"  # noqa: S105 - a name
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{24,}")
_NAME = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_FILES = 8192
_CONNECTIONS = 512, 2048

OPERATING_OPTIONS = (
    click.option(
        "--grace",
        default=5.0,
        type=click.FloatRange(0, 3600),
        show_default=True,
        metavar="SECONDS",
        help="After SIGTERM or Ctrl-C, give what is under way that long; a second signal ends at once.",
    ),
    click.option(
        "--log",
        default="off",
        type=click.Choice(["json", "text", "off"]),
        show_default=True,
        help="Write a line for each request, callback and event to standard error; secrets are left out.",
    ),
    click.option(
        "--log-level", default="info", type=click.Choice(LEVELS), show_default=True, help="The least that --log writes."
    ),
    click.option(
        "--token-from",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Take the control token from there instead of drawing one; or from the environment, {TOKEN_VARIABLE}.",
    ),
    click.option(
        "--control-host",
        default="127.0.0.1",
        show_default=True,
        help="Where the control plane listens; beyond loopback only with --expose.",
    ),
    click.option(
        "--control-name",
        "control_names",
        multiple=True,
        metavar="HOST[:PORT]",
        help="A further Host that the control plane answers to, such as that of a proxy before it.",
    ),
    click.option(
        "--metrics", is_flag=True, help="Serve /metrics for Prometheus on the control port (docs/operations.md)."
    ),
)


@dataclass(frozen=True, slots=True)
class OperatingOptions:
    """The options of this module by their names."""

    grace: float
    log: Literal["json", "text", "off"]
    log_level: str
    metrics: bool
    token_from: Path | None
    control_host: str
    control_names: frozenset[str]

    @classmethod
    def taken(cls, given: dict[str, Any]) -> OperatingOptions:
        """Take what is ours out of a command's options. Raises UsageError."""
        taken = {
            name: given.pop(name) for name in ("grace", "log", "log_level", "metrics", "token_from", "control_host")
        }
        names = frozenset(name.lower() for name in given.pop("control_names"))
        if wrong := [name for name in names if not _NAME.fullmatch(name)]:
            raise UsageError(f"--control-name {wrong[0]}: write HOST or HOST:PORT, as it stands in the Host header")
        options = cls(**taken, control_names=names)
        if not math.isfinite(options.grace):
            raise UsageError("--grace takes a number of seconds, from 0 to 3600")
        if options.metrics:
            from fauxvider.server.metrics import check_metrics

            check_metrics()
        return options

    @property
    def has_token(self) -> bool:
        """Whether the control token was set from outside."""
        return self.token_from is not None or TOKEN_VARIABLE in os.environ

    def token(self) -> str:
        """Give the control token that was set from outside, "" without one. Raises UsageError."""
        if self.token_from is not None:
            try:
                place, token = f"--token-from {self.token_from}", self.token_from.read_text(encoding="ascii").strip()
            except OSError as error:
                raise UsageError(f"--token-from {self.token_from}: cannot be read: {error.strerror}") from None
            except UnicodeError:
                place, token = f"--token-from {self.token_from}", ""  # no characters of a token
        elif TOKEN_VARIABLE in os.environ:
            place, token = TOKEN_VARIABLE, os.environ[TOKEN_VARIABLE].strip()
        else:
            return ""
        if not _TOKEN.fullmatch(token):
            raise UsageError(f"{place}: a control token has at least 24 characters, letters, digits and -._~+/=")
        return token

    def watch(self, emulator: Emulator) -> Metrics | None:
        """Have an emulator's worlds watched as asked for; give the metrics, if there are some."""
        metrics: Metrics | None = None
        if self.metrics:
            from fauxvider.server.metrics import Metrics

            metrics = Metrics(emulator)
        watches: list[Watch | None] = [None if self.log == "off" else Logs(), metrics]
        have_watched(emulator, [watch for watch in watches if watch is not None])
        return metrics

    def shared(self) -> AbstractContextManager[None]:
        """Have the processes that are started in a block count together, if they count."""
        if not self.metrics:
            return nullcontext()
        from fauxvider.server.metrics import shared_metrics

        return shared_metrics()

    def logging(self) -> AbstractContextManager[None]:
        """Have lines written, if they are wanted, for the length of a block."""
        return nullcontext() if self.log == "off" else logging_to(self.log, self.log_level)


def connections_allowed() -> int:
    """Let this process have more open files, if it may; give how many connections are bearable then.

    Connections come in bursts, before those that make room for them are gone: each may take four files.
    """
    try:
        import resource
    except ImportError:
        return _CONNECTIONS[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    least, most = _CONNECTIONS
    return most if soft == resource.RLIM_INFINITY else max(least, min(most, soft // 4))
