"""The command line. Commands load what they need when they run."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from fauxvider.errors import FauxviderError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["main"]

_OWN_FAULT = FauxviderError.exit_code

# name -> (module, short help): a command that is not called costs no import.
_COMMANDS = {
    "serve": ("fauxvider.cli.serve", "Serve the providers until interrupted."),
    "receive": ("fauxvider.cli.receive", "Receive callbacks: show them, answer by script, pass them on."),
    "demo": ("fauxvider.cli.demo", "Show the whole thing at work, with pictures and a report."),
    "calibrate": ("fauxvider.cli.calibrate", "Measure this machine's real renderer; fit a contract's timing to it."),
    "replay": ("fauxvider.cli.replay", "Repeat the run of a capsule; exit 1 when its journal differs."),
    "reproduce": ("fauxvider.cli.replay", "Write the run of a capsule as a pytest file."),
    "check": ("fauxvider.cli.check", "Check contract files; exit 2 when one is wrong."),
    "verify": ("fauxvider.cli.verify", "Ask any server whether it keeps a contract; exit 1 when it does not."),
    "audit": ("fauxvider.cli.audit", "Judge recorded traffic (HAR, cassettes) by the contracts; exit 1 for a finding."),
    "explain": ("fauxvider.cli.check", "Show a provider's rules with their evidence."),
    "openapi": ("fauxvider.cli.openapi", "Write a contract as an OpenAPI 3.1 document."),
    "diff": ("fauxvider.cli.diff", "Tell two contracts apart; exit 1 when clients break."),
    "new": ("fauxvider.cli.new", "Write a contract to begin with, from nothing or from OpenAPI."),
    "schema": ("fauxvider.cli.new", "Print the JSON Schema of contracts, scenarios or cases."),
    "fixtures": ("fauxvider.cli.fixtures", "Write a provider's documented cases as JSON files."),
}


def _further() -> Mapping[str, EntryPoint]:
    """Give the commands that other packages bring: entry points of the group `fauxvider.commands`."""
    from importlib.metadata import entry_points

    return {one.name: one for one in entry_points(group="fauxvider.commands") if one.name not in _COMMANDS}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*_COMMANDS, *_further()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name in _COMMANDS:
            command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        elif further := _further().get(cmd_name):
            command = further.load()
        else:
            return None
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            own = [(name, text) for name, (_, text) in _COMMANDS.items()]
            further = [(name, point.load().get_short_help_str(80)) for name, point in _further().items()]
            formatter.write_dl([*own, *further])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine; 1 something was found; 2 wrong input or usage; 3 a port is taken; "
    "4 a store cannot be used, or the server that `verify` asks does not answer; 70 a fault of fauxvider itself.",
)
@click.version_option(package_name="fauxvider", message="%(prog)s %(version)s")
def _root() -> None:
    """A stand-in for image generation providers: statuses, bills, expiring URLs, callback retries."""


def main() -> None:
    """Run the command line; errors are one line, and their exit code says whose fault it is."""
    try:
        _root(standalone_mode=True)
    except FauxviderError as error:
        click.echo(f"fauxvider: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever gets here is a fault of ours, and its exit code says so
        traceback.print_exc()
        click.echo(f"fauxvider: this is a fault of fauxvider's own: {type(error).__name__}: {error}", err=True)
        sys.exit(_OWN_FAULT)
