"""`fauxvider openapi`: a contract as an OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fauxvider.cli.files import written
from fauxvider.contract.parse import open_contract
from fauxvider.errors import UsageError
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
    document = openapi_document(file, chosen_readings(given["readings"]), base_url=base_url)
    if not given["no_examples"]:
        add_examples(document, file)
    if given["settings"] is not None:
        written(given["settings"], schemathesis_settings(document))
    text = _yaml(document) if given["as_yaml"] else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
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


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
