"""`fauxvider replay` and `fauxvider reproduce`: a recorded run once more, and as a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fauxvider.analysis.story import story_lines
from fauxvider.analysis.verdict import verdict_text
from fauxvider.capsule import read_capsule, reproduce_text
from fauxvider.capsule import replay as replayed
from fauxvider.cli.files import written
from fauxvider.service.saving import version

__all__ = ["replay", "reproduce"]

_contracts: Callable[[Any], Any] = click.option(
    "--contract",
    "contracts",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The contract of a provider that is not bundled.",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--journal", type=click.Path(path_type=Path), metavar="OUT", help="Write the journal, as JSON Lines.")
@click.option("--verdict", is_flag=True, help="Say what the client did wrong, too.")
@click.option(
    "--timeline",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the timeline, with the verdict, as an HTML page.",
)
@click.option("--any-contract", is_flag=True, help="Play it with contracts that have changed since.")
@_contracts
@click.pass_context
def replay(
    context: click.Context,
    file: Path,
    *,
    journal: Path | None,
    verdict: bool,
    timeline: Path | None,
    any_contract: bool,
    contracts: tuple[Path, ...],
) -> None:
    """Repeat the run of a capsule, in process and without a socket, and tell what happened.

    Exits with 0 when the journal is the recorded one, byte for byte, with 1 when it differs, with 2 when the
    capsule is wrong.
    """
    capsule = read_capsule(file)
    result = replayed(capsule, contracts=contracts, any_contract=any_contract)
    if journal is not None:
        written(journal, result.journal)
    if timeline is not None:
        written(timeline, result.report.page().encode())
    for line in story_lines(result.entries):
        click.echo(line)
    if verdict:
        click.echo(f"\n{verdict_text(result.report.verdict())}")
    if result.matches:
        click.echo(f"identical: {len(result.entries)} journal entries, sha256 {result.sha256}")
        return
    click.echo(f"different: {result.first_difference}")
    if capsule.version != version():
        click.echo(f"(recorded by fauxvider {capsule.version}, replayed by {version()})")
    context.exit(1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="TEST", help="The file to write.")
@_contracts
def reproduce(file: Path, *, out: Path, contracts: tuple[Path, ...]) -> None:
    """Write the run of a capsule as a pytest file that can be read, run and changed."""
    written(out, reproduce_text(read_capsule(file), contracts=[path.resolve() for path in contracts]).encode())
    click.echo(f"wrote {out}: run it with pytest {out}")
