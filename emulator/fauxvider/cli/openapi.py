"""`fauxvider openapi`: a contract as an OpenAPI document."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from fauxvider.cli.files import written
from fauxvider.contract.parse import open_contract
from fauxvider.errors import UsageError
from fauxvider.toolkit.arazzo import arazzo_document
from fauxvider.toolkit.openapi.document import openapi_document
from fauxvider.toolkit.openapi.examples import add_examples
from fauxvider.toolkit.openapi.schemathesis import schemathesis_settings

__all__ = ["chosen_readings", "openapi"]


@click.command()
@click.argument("provider")
@click.option("--reading", "readings", multiple=True, metavar="NAME=CASE", help="Choose a documented reading.")
@click.option("--base-url", default="", metavar="URL", help="Where an emulator serves it; else the provider's own.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of to the terminal.")
@click.option("--yaml", "as_yaml", is_flag=True, help="Write YAML instead of JSON.")
@click.option("--no-examples", is_flag=True, help="Leave the examples out.")
@click.option(
    "--schemathesis",
    "settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write Schemathesis' settings too: the provider's documented deviations, with their reasons.",
)
@click.option(
    "--arazzo",
    "workflows",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write Arazzo workflows too (YAML if FILE ends so): submit, poll to the end, fetch. Needs --out.",
)
def openapi(**given: Any) -> None:
    """Write a provider's contract as an OpenAPI 3.1 document.

    PROVIDER is the name of a bundled provider or a contract file. Paths are unrolled per model; every
    documented refusal, the callbacks and their signature are in it, and `x-fauxvider-` members that lead
    back to the contract's lines.
    """
    file = open_contract(given["provider"])
    base_url = given["base_url"].rstrip("/")
    if base_url and not base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {given['base_url']}: write http://HOST[:PORT]/PATH or https://...")
    if given["workflows"] is not None and given["out"] is None:
        raise UsageError("--arazzo names the OpenAPI document: write that to a file, too, with --out FILE")
    document = openapi_document(file, chosen_readings(given["readings"]), base_url=base_url)
    if not given["no_examples"]:
        add_examples(document, file)
    if given["settings"] is not None:
        written(given["settings"], schemathesis_settings(document))
    if given["workflows"] is not None:
        source = os.path.relpath(given["out"], given["workflows"].parent)
        made = arazzo_document(document, file, source=Path(source).as_posix())
        written(given["workflows"], _text(made, as_yaml=given["workflows"].suffix in (".yaml", ".yml")))
    text = _text(document, as_yaml=given["as_yaml"])
    if given["out"] is None:
        click.echo(text, nl=False)
    else:
        written(given["out"], text)


def chosen_readings(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=CASE` options. Raises UsageError for another form."""
    chosen = {}
    for text in texts:
        name, equals, case = text.partition("=")
        if not equals:
            raise UsageError(f"--reading {text}: write NAME=CASE")
        chosen[name] = case
    return chosen


def _text(document: dict[str, Any], *, as_yaml: bool) -> str:
    if not as_yaml:
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
