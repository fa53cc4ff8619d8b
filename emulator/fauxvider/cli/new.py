"""`fauxvider new` and `fauxvider schema`: a contract to begin with, and what an editor knows of its language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from fauxvider.cli.files import written
from fauxvider.clock import RealClock
from fauxvider.errors import UsageError
from fauxvider.toolkit.starter import SCHEMA_FILE, starter_contract
from fauxvider.toolkit.starter.editor import SCHEMAS, editor_schema_text, published_schema_text

__all__ = ["new", "schema"]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@click.command(epilog="Exit codes: 0 written; 2 wrong input or usage.")
@click.argument("provider")
@click.option(
    "--from-openapi",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Take over what this OpenAPI 3 document says.",
)
@click.option(
    "--out", metavar="FILE", help="Write there instead of to PROVIDER.yaml; '-' prints it. A file is not overwritten."
)
def new(provider: str, *, source: Path | None, out: str | None) -> None:
    """Write a contract to begin with, which passes `check` and serves at once.

    PROVIDER is its name (and URL prefix). What nobody has said is marked `assumed`, with a comment. Beside it goes the
    JSON Schema of the language, which the file's first line names: editors with a YAML language server then
    complete and check it.
    """
    if not _NAME.fullmatch(provider):
        raise UsageError(f"{provider}: a provider is named by small letters, digits and '-', and begins with a letter")
    text = starter_contract(provider, source=source, date=_today())
    if out == "-":
        click.echo(text, nl=False)
        return
    path = Path(out or f"{provider}.yaml")
    _made(path, text)
    beside = path.with_name(SCHEMA_FILE)
    if not beside.exists():
        written(beside, editor_schema_text("contract"))
    click.echo(f"{path} is written; beside it {SCHEMA_FILE}, which editors read")
    click.echo(f"next: fauxvider check {path}; fauxvider serve --contract {path}")


def _today() -> str:
    return datetime.fromtimestamp(RealClock().now() / 1000, UTC).date().isoformat()


def _made(path: Path, text: str) -> None:
    """Write a new file; one that is there stays as it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already: name another with --out") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


@click.command()
@click.argument("what", type=click.Choice(list(SCHEMAS)))
@click.option("--editor", is_flag=True, help="As editors need it: of a file with $use and $reading in it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of to the terminal.")
def schema(what: str, *, editor: bool, out: Path | None) -> None:
    """Print the JSON Schema of contracts, of scenarios, or of documented cases.

    For an editor, write it beside the file (--editor --out contract-1.schema.json), and name it in the file's first
    line: `# yaml-language-server: $schema=contract-1.schema.json`.
    """
    text = editor_schema_text(what) if editor else published_schema_text(what)
    if out is None:
        click.echo(text, nl=False)
    else:
        written(out, text)
