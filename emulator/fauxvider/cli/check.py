"""`fauxvider check` and `fauxvider explain`: what a contract says, and whether it may say so."""

from __future__ import annotations

from collections.abc import Sequence

import click

from fauxvider.contract.explain import explain as explained
from fauxvider.contract.lint import Finding, findings
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import ContractError, Place, UsageError

__all__ = ["check", "explain"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@click.pass_context
def check(context: click.Context, files: Sequence[str], *, strict: bool) -> None:
    """Check contract files, under every case of every reading.

    FILE is a path, or the name of a bundled provider. Prints one line for each problem,
    `file:line:column: /pointer: problem (allowed: ...)`, and exits with 2 if there is an error.
    """
    clean = [_is_clean(name, strict=strict) for name in files]  # every file, not up to the first bad one
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
