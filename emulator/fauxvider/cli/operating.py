"""The options of `fauxvider serve` for who runs it for others (docs/operations.md)."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from fauxvider.errors import UsageError
from fauxvider.server.logs import LEVELS, Logs, logging_to
from fauxvider.server.watched import have_watched
from fauxvider.service.emulator import Emulator
from fauxvider.service.watching import Watch

if TYPE_CHECKING:
    from fauxvider.server.metrics import Metrics

__all__ = ["OPERATING_OPTIONS", "OperatingOptions", "raise_file_limit"]

_FILES = 8192  # connections come in bursts before those that make room are gone

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

    @classmethod
    def taken(cls, given: dict[str, Any]) -> OperatingOptions:
        """Take what is ours out of a command's options. Raises UsageError."""
        options = cls(**{name: given.pop(name) for name in ("grace", "log", "log_level", "metrics")})
        if not math.isfinite(options.grace):
            raise UsageError("--grace takes a number of seconds, from 0 to 3600")
        if options.metrics:
            from fauxvider.server.metrics import check_metrics

            check_metrics()
        return options

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


def raise_file_limit() -> None:
    """Let this process have as many open files as it is allowed to, within reason; nothing where there is no limit."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
