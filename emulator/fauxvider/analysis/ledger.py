"""The bill of a world, explained: what was charged for what, what was charged twice for one intent, what disagrees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from fauxvider.analysis.doubles import find_doubles, group_by
from fauxvider.analysis.entries import Entry, moment_of, money_in, ordered, shown, since_text, text_in, whole_in
from fauxvider.analysis.payments import EXACT, Charge, Doubled, Group, total_of
from fauxvider.contract.model import Contract
from fauxvider.contract.strict import pointer_parts
from fauxvider.errors import UsageError
from fauxvider.values import decimal_text, parse_money

__all__ = ["Charge", "Difference", "Doubled", "Group", "LedgerReport", "check_budget", "explain_ledger", "ledger_text"]

Contracts: TypeAlias = Mapping[str, Contract]


@dataclass(frozen=True, slots=True)
class Difference:
    """A job whose answers showed another cost than the account was charged."""

    provider: str
    job: str
    charged: Decimal
    shown: Decimal
    unit: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """`totals` by unit; `units` are those of every account that is known; `dropped` entries are missing."""

    began: int
    charges: tuple[Charge, ...]
    intents: tuple[Group, ...]
    bodies: tuple[Group, ...]
    doubled: tuple[Doubled, ...]
    differences: tuple[Difference, ...]
    totals: Mapping[str, Decimal]
    units: frozenset[str]
    dropped: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.doubled or self.differences)


def explain_ledger(entries: Iterable[Entry], contracts: Contracts | None = None) -> LedgerReport:
    """Explain the charges of a world. `contracts` (by provider) tell what their rules say.

    Raises UsageError for an amount that is no exact decimal.
    """
    found, known = ordered(entries), contracts or {}
    charges = _charges(found, known)
    units = {charge.unit for charge in charges} | {contract.account.unit for contract in known.values()}
    began = moment_of(found[0]) if found else 0
    return LedgerReport(
        began=began,
        charges=charges,
        intents=group_by("intent", charges),
        bodies=group_by("body", charges),
        doubled=find_doubles(charges, found, began),
        differences=tuple(_differences(charges, found, known)),
        totals={unit: total_of(charge for charge in charges if charge.unit == unit) for unit in sorted(units)},
        units=frozenset(units),
        dropped=sum(whole_in(entry, "count") or 0 for entry in found if entry.get("kind") == "dropped"),
    )


def _charges(entries: Sequence[Entry], contracts: Contracts) -> tuple[Charge, ...]:
    accepted = {
        (text_in(one, "provider"), text_in(one, "job")): one for one in entries if one.get("kind") == "accepted"
    }
    shown_costs = _shown_costs(entries)
    charges = []
    for entry in entries:
        if entry.get("kind") != "charged":
            continue
        job = (text_in(entry, "provider"), text_in(entry, "job"))
        origin = accepted.get(job, {})
        rule = text_in(entry, "rule")
        charges.append(
            Charge(
                at=moment_of(entry),
                provider=job[0],
                job=job[1],
                model=text_in(origin, "model"),
                amount=money_in(entry, "amount") or Decimal(0),
                unit=text_in(entry, "unit"),
                rule=rule,
                says=_rule_text(contracts.get(job[0]), rule),
                request=whole_in(origin, "number"),
                key=text_in(origin, "key"),
                intent=text_in(origin, "intent"),
                fingerprint=text_in(origin, "fingerprint"),
                shown=shown_costs.get(job),
            )
        )
    return tuple(charges)


def _shown_costs(entries: Sequence[Entry]) -> dict[tuple[str, str], Decimal]:
    """Give the cost that the answers showed last, by job."""
    costs = {}
    for entry in entries:
        if entry.get("kind") == "request" and (cost := money_in(entry, "shown_cost")) is not None:
            costs[text_in(entry, "provider"), text_in(entry, "job")] = cost
    return costs


def _rule_text(contract: Contract | None, rule: str) -> str:
    """Say what a rule asks: `per megapixel 0.02 USD`."""
    match pointer_parts(rule) if contract else ():
        case ("models", name, "cost") if contract and name in contract.models:
            cost = contract.models[name].cost
            price = f" {decimal_text(cost.price)} {contract.account.unit}" if cost.price else ""
            return f"{cost.kind.replace('_', ' ')}{price}"
    return ""


def _differences(charges: Sequence[Charge], entries: Sequence[Entry], contracts: Contracts) -> Iterable[Difference]:
    paid: dict[tuple[str, str], list[Charge]] = {}
    for charge in charges:
        paid.setdefault((charge.provider, charge.job), []).append(charge)
    is_whole = not any(entry.get("kind") == "dropped" for entry in entries)
    for (provider, job), cost in _shown_costs(entries).items():
        lines = paid.get((provider, job), [])
        charged = total_of(lines)
        # The line of a job without a charge may be among the entries that were dropped.
        if charged == cost or not (lines or is_whole):
            continue
        unit = lines[0].unit if lines else contracts[provider].account.unit if provider in contracts else ""
        more = EXACT.subtract(charged, cost)
        sentence = (
            f"Job {shown(job)} was charged {_money(charged, unit)}, but the provider's answer showed "
            f"{_money(cost, unit)}: {_money(abs(more), unit)} too {'much' if more > 0 else 'little'}."
        )
        yield Difference(provider, job, charged, cost, unit, sentence)


def _money(amount: Decimal, unit: str) -> str:
    return f"{decimal_text(amount)} {shown(unit)}".rstrip()


# --- budget


def check_budget(report: LedgerReport, budget: Mapping[str, object]) -> list[str]:
    """Say which limits (unit -> amount, as text or Decimal) the charges pass, and with which charge.

    Raises UsageError for an amount that is not exact, and for a unit that no account has.
    """
    problems = []
    for unit, given in budget.items():
        limit = parse_money(given)
        if report.units and unit not in report.units:
            raise UsageError(f"no account is kept in {unit!r} (there are: {', '.join(sorted(report.units))})")
        total = report.totals.get(unit, Decimal(0))
        if total > limit:
            over = EXACT.subtract(total, limit)
            problems.append(
                f"{_money(total, unit)} was charged, {_money(over, unit)} over the budget of "
                f"{_money(limit, unit)}; {_crossing(report, unit, limit)}"
            )
    return problems


def _crossing(report: LedgerReport, unit: str, limit: Decimal) -> str:
    spent = Decimal(0)
    lines = [charge for charge in report.charges if charge.unit == unit]
    for number, charge in enumerate(lines, 1):
        spent = EXACT.add(spent, charge.amount)
        if spent > limit:
            when = since_text(charge.at - report.began)
            return f"charge {number} of {len(lines)} passed it, for job {shown(charge.job)} at {when}"
    return f"{len(lines)} charges make it up"


# --- text

_COLUMNS = (
    ("at", ">"), ("job", "<"), ("model", "<"), ("request", ">"), ("amount", "."), ("unit", "<"), ("shown", "."),
    ("rule", "<"),
)  # fmt: skip


def ledger_text(report: LedgerReport) -> str:
    """Lay the report out for a terminal: the charges in columns, the totals, and what is wrong with them."""
    rows = [_row(report, charge) for charge in report.charges]
    parts = [_table(rows)] if rows else ["Nothing was charged."]
    totals = [f"Total: {_money(total, unit)}" for unit, total in report.totals.items() if rows]
    parts.append("\n".join(totals))
    heads = {one.reason: "Same body" if one.reason == "same body" else "Charged twice" for one in report.doubled}
    parts.append("\n".join(f"{heads[one.reason]}: {one.sentence}" for one in report.doubled))
    parts.append("\n".join(f"Differs: {one.sentence}" for one in report.differences))
    if report.dropped:
        parts.append(f"Incomplete: {report.dropped} journal entries were dropped, charges may be among them.")
    return "\n\n".join(part for part in parts if part)


def _row(report: LedgerReport, charge: Charge) -> list[str]:
    rule = f"{charge.rule} ({charge.says})" if charge.says else charge.rule
    return [
        since_text(charge.at - report.began),
        shown(charge.job),
        shown(charge.model),
        "" if charge.request is None else str(charge.request),
        decimal_text(charge.amount),
        shown(charge.unit),
        "" if charge.shown is None else decimal_text(charge.shown),
        shown(rule),
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    columns = [[head, *cells] for (head, _), cells in zip(_COLUMNS, zip(*rows, strict=True), strict=True)]
    padded = [_pad(cells, align) for cells, (_, align) in zip(columns, _COLUMNS, strict=True) if any(cells[1:])]
    return "\n".join("  ".join(row).rstrip() for row in zip(*padded, strict=True))


def _pad(cells: Sequence[str], align: str) -> list[str]:
    """Bring a column to one width; amounts stand with their points below each other."""
    head, *rest = cells
    if align == ".":
        tail = max(len(cell.partition(".")[2]) + ("." in cell) for cell in rest)
        rest = [cell + " " * (tail - len(cell.partition(".")[2]) - ("." in cell)) for cell in rest]
        align = ">"
    width = max(map(len, [head, *rest]))
    return [cell.ljust(width) if align == "<" else cell.rjust(width) for cell in [head, *rest]]
