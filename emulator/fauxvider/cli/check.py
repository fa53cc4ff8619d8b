"""`fauxvider check` and `fauxvider explain`: what a contract or a scenario says, and whether it may say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from fauxvider.contract.explain import explain as explained
from fauxvider.contract.lint import Finding, findings
from fauxvider.contract.model import Contract
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.contract.strict import Map, file_bytes, load_text
from fauxvider.errors import ContractError, Place, UsageError
from fauxvider.scenario.library import scenario_place
from fauxvider.scenario.model import Scenario
from fauxvider.scenario.parse import read_scenario
from fauxvider_contracts import provider_names

__all__ = ["check", "explain"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@click.pass_context
def check(context: click.Context, files: Sequence[str], *, strict: bool) -> None:
    """Check contract files, under every case of every reading, and scenario files.

    FILE is a path, or the name of a bundled provider or scenario. The names in a scenario are looked up in the
    bundled contracts and in those among FILES. Prints one line for each problem,
    `file:line:column: /pointer: problem (allowed: ...)`, and exits with 2 if there is an error.
    """
    scenarios = [name for name in files if _is_scenario(name)]
    contracts = [name for name in files if name not in scenarios]
    clean = [  # every file, not up to the first bad one
        _is_clean_scenario(name, contracts) if name in scenarios else _is_clean(name, strict=strict) for name in files
    ]
    if not all(clean):
        context.exit(2)


@click.command()
@click.argument("provider")
@click.argument("pointer", required=False)
def explain(provider: str, pointer: str | None) -> None:
    """Tell what a contract says and who says so.

    PROVIDER is the name of a bundled provider or a path. Without POINTER (a JSON pointer such as
    /models/flux-dev/cost) it is an overview.
    """
    try:
        click.echo(explained(open_contract(provider), pointer))
    except (ContractError, UsageError) as error:
        raise _Refused(str(error)) from None


class _Refused(click.ClickException):
    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(self.message, err=True)


def _is_clean(name: str, *, strict: bool) -> bool:
    try:
        file = open_contract(name)
        found = findings(file)
    except ContractError as error:
        click.echo(Finding("error", error.place or Place(name), error.problem, error.allowed))
        return False
    except UsageError as error:
        click.echo(f"{name}: {error}")
        return False
    for one in found:
        click.echo(one)
    if any(one.severity == "error" for one in found):
        return False
    click.echo(f"{name}: {_summary(file, len(found))}")
    return not (strict and found)


def _is_scenario(name: str) -> bool:
    """Tell whether a file is meant as a scenario; what cannot be read is told where it is checked."""
    if name in provider_names():
        return False
    try:
        tree = load_text(file_bytes(scenario_place(name)), file=name)
    except (ContractError, UsageError):
        return False
    return isinstance(tree, Map) and "scenario" in tree and "contract" not in tree


def _is_clean_scenario(name: str, files: Iterable[str]) -> bool:
    try:
        # First by itself: which readings its world has decides which names there are.
        place = scenario_place(name)
        scenario = read_scenario(place)
        scenario = read_scenario(place, contracts=_contracts(files, scenario.world.get("readings", {})))
    except ContractError as error:
        click.echo(Finding("error", error.place or Place(name), error.problem, error.allowed))
        return False
    click.echo(f"{name}: {_scenario_summary(scenario)}")
    return True


def _contracts(files: Iterable[str], readings: Mapping[str, Any]) -> dict[str, Contract]:
    """Read the bundled contracts, and over them those that are checked beside the scenario, if they can be read."""
    contracts = {}
    for name in (*provider_names(), *files):
        try:
            file = open_contract(name)
            own = readings.get(file.provider)
            picked = {**readings, **own} if isinstance(own, Mapping) else readings
            known = {key: case for key, case in picked.items() if _has_case(file, key, case)}
            contracts[file.provider] = file.resolve(known)
        except (ContractError, UsageError):
            continue  # told where that file is checked itself
    return contracts


def _has_case(file: ContractFile, reading: str, case: object) -> bool:
    return isinstance(case, str) and reading in file.readings and case in file.readings[reading].cases


def _scenario_summary(scenario: Scenario) -> str:
    count = len(scenario.rules)
    whom = f" for {scenario.provider}" if scenario.provider else ""
    return f"ok: scenario {scenario.name!r}{whom}, {count} rule{'' if count == 1 else 's'}"


def _summary(file: ContractFile, warnings: int) -> str:
    contract = file.resolve()
    counts = {
        "model": len(contract.models),
        "operation": len(contract.operations),
        "reading": len(contract.readings),
        "warning": warnings,
    }
    return f"ok: {contract.provider}, " + ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in counts.items())


if __name__ == "__main__":
    check.main(prog_name="python -m fauxvider.cli.check")
