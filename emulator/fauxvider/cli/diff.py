"""`fauxvider diff`: what changed between two contracts, and whether clients break."""

from __future__ import annotations

import click

from fauxvider.cli.openapi import chosen_readings
from fauxvider.contract.parse import open_contract
from fauxvider.toolkit.diff.compare import Side, differences, side_of
from fauxvider.toolkit.diff.report import json_report, text_report

__all__ = ["diff"]


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--reading", "readings", multiple=True, metavar="NAME=CASE", help="Choose a documented reading, on both sides."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--fail-on",
    type=click.Choice(["breaking", "any", "none"]),
    default="breaking",
    show_default=True,
    help="Exit with 1 when there is such a difference.",
)
@click.pass_context
def diff(context: click.Context, old: str, new: str, *, readings: tuple[str, ...], as_json: bool, fail_on: str) -> None:
    """Tell what changed from OLD to NEW, and whether it breaks clients.

    OLD and NEW are bundled providers or contract files, each with readings if wanted:
    acme@job.id=bare,retention=day. Differences are `breaking` for clients, `compatible`, or `unknown`. Of
    payloads that are no longer taken, or taken now, an example is shown: one side's schema takes it and the
    other's does not.

    \b
    Exit codes: 0, nothing that --fail-on asks for; 1, something; 2, wrong input.
    """
    chosen = chosen_readings(readings)
    found = differences(_side(old, chosen), _side(new, chosen))
    click.echo((json_report if as_json else text_report)((old, new), found))
    is_bad = bool(found) if fail_on == "any" else any(one.severity == "breaking" for one in found)
    if is_bad and fail_on != "none":
        context.exit(1)


def _side(text: str, chosen: dict[str, str]) -> Side:
    name, _, own = text.partition("@")
    file = open_contract(name)
    both = {key: case for key, case in chosen.items() if key in file.readings} if own or chosen else {}
    return side_of(file, {**both, **chosen, **chosen_readings(tuple(filter(None, own.split(","))))})
