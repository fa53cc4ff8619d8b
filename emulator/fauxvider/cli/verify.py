"""`fauxvider verify`: ask a server whether it keeps a contract."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from fauxvider.cli.files import written
from fauxvider.cli.rendering import with_options
from fauxvider.clock import monotonic_ms
from fauxvider.contract.parse import ContractFile, open_contract
from fauxvider.errors import UsageError
from fauxvider.toolkit.verify.case import Case, Result
from fauxvider.toolkit.verify.client import Client
from fauxvider.toolkit.verify.control import Control
from fauxvider.toolkit.verify.propose import propose
from fauxvider.toolkit.verify.report import FORMATS, Redactor, Report
from fauxvider.toolkit.verify.run import Settings, estimate, plan
from fauxvider.toolkit.verify.run import verify as run_cases
from fauxvider.toolkit.verify.session import Purse
from fauxvider.values import decimal_text, parse_money, parse_span

__all__ = ["verify"]

_MADE_UP_KEY = "key-of-verify"
_BUDGET = "0.05"
_QUIET_MS = 10_000  # off a terminal: how long nothing is said at least

_OPTIONS = (
    click.option("--base-url", metavar="URL", default="", help="Where the provider's API answers."),
    click.option("--key-env", metavar="NAME", help="The environment variable that holds the API key."),
    click.option(
        "--budget",
        metavar="AMOUNT",
        help=f"Spend no more than this, in the contract's unit (default {_BUDGET}; no bound with --control).",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="PATTERN",
        help="Ask these cases alone: patterns of their names or rules, such as '/callbacks*'.",
    ),
    click.option("--reading", "readings", multiple=True, metavar="NAME=CASE", help="Hold it against this reading."),
    click.option(
        "--control",
        metavar="URL",
        help="The control plane of the fauxvider behind it: worlds of one's own, clocks that move.",
    ),
    click.option(
        "--control-token-env",
        metavar="NAME",
        default="FAUXVIDER_CONTROL_TOKEN",
        show_default=True,
        help="The environment variable that holds the control token.",
    ),
    click.option(
        "--receiver-host",
        metavar="HOST",
        help="Receive callbacks at this address of this machine (default: 127.0.0.1 for a server on this machine).",
    ),
    click.option(
        "--receiver-port",
        type=click.IntRange(0, 65535),
        default=0,
        help="The port of that receiver; 0 takes a free one.",
    ),
    click.option(
        "--limits", is_flag=True, help="Try the rate limits too: as many requests as they allow, and one more."
    ),
    click.option(
        "--patience",
        default="2m",
        show_default=True,
        metavar="SPAN",
        help="Wait so long for a job that runs in real time.",
    ),
    click.option("--timeout", default="30s", show_default=True, metavar="SPAN", help="Give each exchange so long."),
    click.option(
        "--report",
        "form",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="The form of the report.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the report there (default: print it).",
    ),
    click.option(
        "--propose",
        "patched",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the contract there, changed so that what was seen holds.",
    ),
    click.option("--date", metavar="YYYY-MM-DD", help="The date of what was seen (default: today)."),
    click.option("--list", "is_list", is_flag=True, help="List the cases and what they cost; ask nothing."),
    click.option("--yes", is_flag=True, help="Do not ask before money is spent."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The options of the command, by their names."""

    base_url: str
    key_env: str | None
    budget: str | None
    only: tuple[str, ...]
    readings: tuple[str, ...]
    control: str | None
    control_token_env: str
    receiver_host: str | None
    receiver_port: int
    limits: bool
    patience: str
    timeout: str
    form: str
    out: Path | None
    patched: Path | None
    date: str | None
    is_list: bool
    yes: bool


@click.command(
    epilog="Exit codes: 0 all passed; 1 something failed; 2 wrong usage; 4 nothing answers; 70 a fault of fauxvider."
)
@click.argument("provider")
@with_options(_OPTIONS)
def verify(provider: str, **given: Any) -> None:
    """Ask any server whether it keeps the contract of PROVIDER (a bundled name, or a contract file).

    The server may be the provider itself, an emulator or another mock: it is asked over HTTP and nothing else.
    What cannot be asked of it is listed as not checked, with the reason.
    """
    options = VerifyOptions(**given)
    file = open_contract(provider)
    key = _secret(options.key_env, "the API key") if options.key_env else _MADE_UP_KEY
    settings = _settings(file, options, key)
    cases = plan(file, settings)
    cost = estimate(cases, settings)
    if options.is_list:
        _list(cases, cost, file, settings)
        return
    _agree(cost, file, settings, options)
    progress = _Progress(len(cases), is_terminal=sys.stderr.isatty())
    results = run_cases(file, replace(settings, heard=progress.heard), cases, told=progress.told)
    token = os.environ.get(options.control_token_env, "") if options.control else ""
    report = Report(
        file,
        settings.readings,
        options.base_url or options.control or "",
        results,
        redact=Redactor(key if options.key_env else "", token),
        spent=settings.purse.spent,
    )
    _write(report, options)
    if options.patched is not None:
        _propose(file, settings, results, options)
    sys.exit(0 if report.is_good else 1)


def _secret(name: str, what: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise UsageError(f"the environment variable {name} holds nothing: put {what} there")
    return value


def _settings(file: ContractFile, options: VerifyOptions, key: str) -> Settings:
    if not options.base_url and not options.control and not options.is_list:
        raise UsageError("say which server: --base-url URL, or --control URL of a fauxvider")
    client = Client(timeout_s=max(parse_span(options.timeout), 1) / 1000)
    control = None
    if options.control:
        control = Control(client, options.control, _secret(options.control_token_env, "the control token"))
    return Settings(
        base_url=options.base_url,
        key=key,
        readings=_readings(file, options.readings),
        only=options.only,
        purse=Purse(_budget(options)),
        control=control,
        limits=options.limits,
        receiver_host=_receiver_host(options),
        receiver_port=options.receiver_port,
        patience_ms=parse_span(options.patience),
        client=client,
    )


def _readings(file: ContractFile, given: Sequence[str]) -> dict[str, str]:
    chosen = {}
    for text in given:
        name, equals, case = text.partition("=")
        if not equals:
            raise UsageError(f"--reading {text}: write NAME=CASE")
        chosen[name] = case
    file.choice(chosen)
    return chosen


def _budget(options: VerifyOptions) -> Decimal | None:
    if options.budget is None:
        return None if options.control else Decimal(_BUDGET)
    return parse_money(options.budget)


def _receiver_host(options: VerifyOptions) -> str:
    if options.receiver_host is not None:
        return options.receiver_host
    host = urlsplit(options.control or options.base_url).hostname or ""
    return "127.0.0.1" if host in ("127.0.0.1", "localhost", "::1") else ""


def _list(cases: Sequence[Case], cost: Decimal, file: ContractFile, settings: Settings) -> None:
    unit = file.resolve(settings.readings).account.unit
    for case in cases:
        price = f"{decimal_text(case.price)} {unit}" if case.price else "free"
        click.echo(f"{price:>16}  {case.name}  {case.rule}")
    click.echo(f"{len(cases)} cases; those that can be asked cost at most {decimal_text(cost)} {unit}")


def _agree(cost: Decimal, file: ContractFile, settings: Settings, options: VerifyOptions) -> None:
    """Say what it may cost, and ask whether it may, where somebody is there to answer."""
    unit, budget = file.resolve(settings.readings).account.unit, settings.purse.budget
    if settings.control is not None or not cost:
        return
    over = budget is not None and cost > budget
    bound = f"; it stops short of {decimal_text(budget)} {unit} (--budget)" if over and budget is not None else ""
    click.echo(f"All cases together cost at most {decimal_text(cost)} {unit}{bound}.", err=True)
    if not options.yes and options.key_env and sys.stdin.isatty():
        click.confirm("Go on?", abort=True, err=True)


class _Progress:
    """What is told while cases are asked: on a terminal every case, elsewhere a line now and then."""

    def __init__(self, total: int, *, is_terminal: bool) -> None:
        self._total = total
        self._is_terminal = is_terminal
        self._number = self._failed = 0
        self._doing = ""
        self._began = self._told = monotonic_ms()

    def heard(self, what: str) -> None:
        """Take what is asked, or what is waited for."""
        if what.startswith("asks: "):
            self._doing, what = what.removeprefix("asks: "), ""
        waits = f", waiting {what}" if what else ""
        if self._is_terminal and waits:
            click.echo(f"\r\033[K{self._head} {self._doing[:50]}{waits}", nl=False, err=True)
        elif not self._is_terminal and monotonic_ms() - self._told >= _QUIET_MS:
            self._told = monotonic_ms()
            passed = (self._told - self._began) // 1000
            click.echo(f"{self._head} after {passed} s, {self._failed} failed: {self._doing}{waits}", err=True)

    @property
    def _head(self) -> str:
        return f"[{self._number}/{self._total}]"

    def told(self, number: int, result: Result) -> None:
        """Take a result."""
        self._number = number
        self._failed += result.outcome == "failed"
        if self._is_terminal:
            mark = {"passed": "ok", "failed": "FAILED", "not checked": "-"}[result.outcome]
            name = result.case.name[:80]
            click.echo(f"\r\033[K{self._head} {mark} {name}", nl=number == self._total, err=True)


def _write(report: Report, options: VerifyOptions) -> None:
    text = getattr(report, options.form)()
    if options.out is None:
        click.echo(text)
        return
    written(options.out, text)
    click.echo(report.summary)


def _propose(file: ContractFile, settings: Settings, results: Sequence[Result], options: VerifyOptions) -> None:
    found = propose(file, settings.readings, results, date=options.date)
    if options.patched is not None:
        written(options.patched, found.text)
    click.echo(f"{len(found.changes)} changes are proposed in {options.patched}")
    for change in found.changes:
        click.echo(f"  {change}")
    for left in found.left:
        click.echo(f"  no proposal: {left}")
