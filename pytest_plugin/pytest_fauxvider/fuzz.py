"""`fauxvider fuzz`: looks for a provider behaviour that breaks a client in any language, run as a process.

Found by the entry point `fauxvider.commands`, so that the emulator knows nothing of it. Imports what it needs when
it runs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fauxvider.errors import UsageError

__all__ = ["fuzz"]

_OPTIONS = (
    click.option("--provider", required=True, metavar="NAME", help="The provider that the client speaks to."),
    click.option(
        "--contract", type=click.Path(path_type=Path), metavar="FILE", help="Its contract, if it is not bundled."
    ),
    click.option("--max-examples", default=100, show_default=True, type=click.IntRange(1), help="Runs at most."),
    click.option("--seed", default=0, show_default=True, help="The same seed draws the same examples."),
    click.option(
        "--out", default=Path("fauxvider-fuzz"), show_default=True, type=click.Path(path_type=Path), metavar="DIR",
        help="Where scenario, capsule and test of what was found go.",
    ),
    click.option("--scenario", metavar="NAME|FILE", help="Run this one (bundled, or a file), and draw none."),
    click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds for a run."),
    click.option("--clock", default="stepping:1s", show_default=True, help="The worlds' clock."),
    click.option(
        "--ok-exit", "ok_exits", multiple=True, type=int, metavar="CODE",
        help="An exit code with which all is well, beside 0 (say, of a job that failed and was reported).",
    ),
    click.option("--ignore", multiple=True, metavar="RULE", help="A rule of the verdict that does not matter here."),
    click.option("--risks", is_flag=True, help="Fail on risks, too, and not on harms alone."),
    click.option("--near-legal", is_flag=True, help="Draw what goes a little beyond the contract."),
)  # fmt: skip


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(context_settings={"ignore_unknown_options": True})
@_with_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def fuzz(context: click.Context, /, *, command: tuple[str, ...], **given: Any) -> None:
    """Look for a provider behaviour that breaks COMMAND; exit 1 when there is one.

    COMMAND is run in one world after the other in which things go wrong, until one of them breaks it.

    COMMAND finds in its environment FAUXVIDER_BASE_URL (instead of the provider's own), FAUXVIDER_KEY,
    FAUXVIDER_CALLBACK_URL and FAUXVIDER_CALLBACK_PORT (callbacks that are sent to the URL come to that port of this
    machine, if the client listens there). It is to do what it does, and to exit with 0. Its exit code and the verdict
    on what it did decide.

    Exits with 0 when nothing was found, with 1 when something was (the shortest scenario and its capsule are
    written), with 2 for wrong input.
    """
    try:
        from pytest_fauxvider.fuzzing import Fuzzing, Wanted
    except ImportError as missing:
        raise UsageError(f"fuzz needs Hypothesis: pip install 'fauxvider[hypothesis]' ({missing})") from missing
    if shutil.which(command[0]) is None:
        raise UsageError(f"there is no command {command[0]!r} to run")
    wanted = Wanted(command=command, **{**given, "ok_exits": frozenset({0, *given["ok_exits"]})})
    with Fuzzing(wanted, _progress) as fuzzing:
        found = fuzzing.run()
    _progress("")
    for line in fuzzing.report(found):
        click.echo(line)
    context.exit(1 if found is not None else 0)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
