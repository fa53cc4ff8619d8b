"""`fauxvider fixtures`: a provider's documented cases as JSON files, for conformance tests in any language."""

from __future__ import annotations

from pathlib import Path

import click

from fauxvider.cli.files import made_folder, written
from fauxvider.errors import UsageError
from fauxvider_contracts import case_names, case_text, provider_names, schema_text

__all__ = ["fixtures"]


@click.command()
@click.argument("provider")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write the files there; else list."
)
def fixtures(provider: str, *, out: Path | None) -> None:
    """Write a provider's documented cases as JSON files, with the JSON Schema of their format.

    Without --out their names are listed. The format is told in docs/fixtures.md; each case names its source.
    """
    names = case_names(provider)
    if not names:
        known = ", ".join(name for name in provider_names() if case_names(name)) or "none"
        raise UsageError(f"there are no documented cases of {provider!r} (there are of: {known})")
    if out is None:
        click.echo("\n".join(names))
        return
    made_folder(out)
    for name in names:
        written(out / f"{name}.json", case_text(provider, name))
    written(out / "case-1.schema.json", schema_text("case-1"))
    click.echo(f"{len(names)} cases of {provider} are in {out}, and the schema of their format")
