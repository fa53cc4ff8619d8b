"""The command line: `fauxvider serve`, `demo`, `check`, `explain`. Commands load what they need when they run."""

from __future__ import annotations

import importlib
import sys

import click

from fauxvider.errors import FauxviderError

__all__ = ["main"]

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
    "explain": ("fauxvider.cli.check", "Show a provider's rules with their evidence."),
    "openapi": ("fauxvider.cli.openapi", "Write a contract as an OpenAPI 3.1 document."),
    "diff": ("fauxvider.cli.diff", "Tell two contracts apart; exit 1 when clients break."),
    "fixtures": ("fauxvider.cli.fixtures", "Write a provider's documented cases as JSON files."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine; 2 wrong input or usage; 3 a port is taken; 70 a fault of fauxvider itself.",
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
