"""`fauxvider audit`: judge recorded traffic by the contracts of its providers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import UsageError
from fauxvider.toolkit.audit.auditor import audit as audited
from fauxvider.toolkit.audit.recorded import read_recording
from fauxvider.toolkit.audit.report import AuditReport
from fauxvider_contracts import provider_names

__all__ = ["audit"]


@click.command(
    epilog="Exit codes: 0 nothing found; 1 something found; 2 the file or the usage is wrong; 70 a fault of fauxvider."
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME|FILE",
    help="Judge by this provider's contract (default: all bundled ones, by their hosts).",
)
@click.option(
    "--base-url",
    "bases",
    multiple=True,
    metavar="NAME=URL",
    help="Requests to this address belong to that provider, too.",
)
@click.option(
    "--reading", "readings", multiple=True, metavar="PROVIDER:NAME=CASE", help="Hold it against this reading."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(
    file: Path, providers: Sequence[str], bases: Sequence[str], readings: Sequence[str], *, as_json: bool
) -> None:
    """Judge the traffic that a HAR file or a vcrpy cassette holds.

    Tells of answers that the provider's contract does not allow, of requests that it forbids, of what the client did
    wrong (by the rules of the verdict), and of what was paid twice. No key, and no query of an address, is printed.
    """
    recording = read_recording(file)
    files = _files(providers)
    places = dict(_pairs(text, "--base-url", files) for text in bases)
    chosen = _readings(readings, files)
    report = AuditReport(recording, audited(recording, files, bases=places, readings=chosen), chosen)
    click.echo(report.json() if as_json else report.text())
    sys.exit(0 if report.is_clean else 1)


def _files(named: Sequence[str]) -> dict[str, ContractFile]:
    found = [open_contract(name) for name in (named or provider_names())]
    return {file.provider: file for file in found}


def _pairs(text: str, option: str, files: dict[str, ContractFile]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise UsageError(f"{option} {text}: write NAME=VALUE")
    if name not in files:
        raise UsageError(f"{option} {text}: there is no provider {name!r} (there are: {', '.join(files)})")
    return name, value


def _readings(given: Sequence[str], files: dict[str, ContractFile]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        provider, colon, rest = text.partition(":")
        name, equals, case = rest.partition("=")
        if not colon or not equals or provider not in files:
            raise UsageError(f"--reading {text}: write PROVIDER:NAME=CASE (providers: {', '.join(files)})")
        found.setdefault(provider, {})[name] = case
        files[provider].choice({name: case})
    return found
