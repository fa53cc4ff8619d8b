"""The tables of the timeline page: the bill, the deliveries, and every event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from fauxvider.analysis.entries import Entry, moment_of, since_text, text_in, whole_in
from fauxvider.analysis.ledger import Charge, LedgerReport
from fauxvider.analysis.payments import Reason
from fauxvider.analysis.story import Told, outcome_text, tell
from fauxvider.analysis.timeline_svg import text_of
from fauxvider.values import decimal_text

__all__ = ["MAX_EVENTS", "deliveries_table", "events_table", "ledger_table"]

MAX_EVENTS = 5_000
_MAX_ROWS = 2_000


def _table(heads: Sequence[tuple[str, str]], rows: Iterable[str]) -> str:
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _left_out(total: int, most: int, what: str) -> str:
    return f'<p class="soft">{total - most} more {what} are not shown.</p>' if total > most else ""


def _id_cell(name: str) -> str:
    return f'<td class="mono word" title="{text_of(name)}">{text_of(name, 23)}</td>'


# --- money


def ledger_table(report: LedgerReport) -> str:
    """Lay out the charges; a job that was charged again, or whose answer showed another cost, is marked."""
    if not report.charges:
        return '<p class="none">Nothing was charged.</p>'
    again: dict[int, Reason] = {id(charge): one.reason for one in report.doubled for charge in one.charges[1:]}
    rows = [_charge_row(report, charge, again.get(id(charge))) for charge in report.charges[:_MAX_ROWS]]
    rows += [
        f'<tr><td class="at"></td><td colspan="3">Total</td><td class="num"><b>{decimal_text(total)}</b></td>'
        f'<td class="word">{text_of(unit, 16)}</td><td colspan="2"></td></tr>'
        for unit, total in report.totals.items()
        if any(charge.unit == unit for charge in report.charges)
    ]
    heads = [("moment", "at"), ("job", ""), ("model", ""), ("request", "num"), ("amount", "num"), ("unit", ""),
             ("answer showed", "num"), ("rule", "")]  # fmt: skip
    return _table(heads, rows) + _left_out(len(report.charges), _MAX_ROWS, "charges")


def _charge_row(report: LedgerReport, charge: Charge, reason: Reason | None) -> str:
    says = f' <span class="soft">{text_of(charge.says)}</span>' if charge.says else ""
    request = "" if charge.request is None else str(charge.request)
    again = ""
    if reason is not None:
        again = '<span class="soft">same body</span> ' if reason == "same body" else '<b class="bad-word">again</b> '
    return (
        f'<tr><td class="at">{since_text(charge.at - report.began)}</td>{_id_cell(charge.job)}'
        f'<td class="long">{text_of(charge.model, 80)}</td><td class="num">{request}</td>'
        f'<td class="num">{again}{decimal_text(charge.amount)}</td><td class="word">{text_of(charge.unit, 16)}</td>'
        f"{_shown_cell(charge.shown, charge.amount)}"
        f'<td class="rule"><code>{text_of(charge.rule)}</code>{says}</td></tr>'
    )


def _shown_cell(cost: Decimal | None, amount: Decimal) -> str:
    if cost is None:
        return '<td class="num"></td>'
    word = "good-word" if cost == amount else "bad-word"
    return f'<td class="num"><span class="{word}">{decimal_text(cost)}</span></td>'


# --- deliveries


def deliveries_table(entries: Sequence[Entry], began: int) -> str:
    """Lay out the callbacks: one row a delivery, with all its attempts."""
    deliveries: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        if entry.get("kind") == "attempt":
            name = tuple(text_in(entry, fact) for fact in ("provider", "job", "delivery"))
            deliveries.setdefault(name, []).append(entry)
    if not deliveries:
        return '<p class="none">No callback was attempted.</p>'
    rows = [_delivery_row(attempts, began) for attempts in list(deliveries.values())[:_MAX_ROWS]]
    heads = [("first", "at"), ("delivery", ""), ("job", ""), ("to", ""), ("attempts", ""), ("result", "")]
    return _table(heads, rows) + _left_out(len(deliveries), _MAX_ROWS, "deliveries")


def _delivery_row(attempts: Sequence[Entry], began: int) -> str:
    first = attempts[0]
    is_done = any(_is_good(one) for one in attempts)
    more = len(attempts) - _SHOWN_ATTEMPTS
    lines = [_attempt_line(one, moment_of(first)) for one in attempts[:_SHOWN_ATTEMPTS]]
    lines += [f"{more} more"] if more > 0 else []
    word = '<span class="good-word">delivered</span>' if is_done else '<span class="bad-word">not delivered</span>'
    delivery, job = text_in(first, "delivery"), text_in(first, "job")
    return (
        f'<tr><td class="at">{since_text(moment_of(first) - began)}</td>'
        f'<td class="word"><span class="mono" title="{text_of(delivery)}">{text_of(delivery, 23)}</span><br>'
        f'<span class="soft">{text_of(text_in(first, "event"), 30)}</span></td>'
        f'{_id_cell(job)}<td class="long to">{text_of(text_in(first, "address"), 120)}</td>'
        f'<td class="long">{"<br>".join(lines)}</td><td class="word">{word}</td></tr>'
    )


_SHOWN_ATTEMPTS = 12


def _attempt_line(attempt: Entry, first: int) -> str:
    tone = "good-word" if _is_good(attempt) else "bad-word"
    signature, fault, copies = text_in(attempt, "signature"), text_in(attempt, "fault"), whole_in(attempt, "copies")
    is_odd = signature not in ("", "good", "none")
    signed = f', signature <span class="bad-word">{text_of(signature)}</span>' if is_odd else ""
    many = f" ({copies + 1} at once)" if copies else ""
    done = f', <b class="bad-word">{text_of(fault)}</b>{many}' if fault else many
    return (
        f'<span class="soft">{since_text(moment_of(attempt) - first)}</span> '
        f'<span class="{tone}">{text_of(outcome_text(attempt), 120)}</span>{signed}{done}'
    )


def _is_good(attempt: Entry) -> bool:
    status = attempt.get("status")
    return text_in(attempt, "outcome") == "http" and isinstance(status, int) and 200 <= status < 300


# --- events


def events_table(entries: Sequence[Entry], began: int) -> str:
    """Lay out everything that happened; equal events in a row are one."""
    lines = tell(entries)
    if not lines:
        return '<p class="none">Nothing happened.</p>'
    is_crowd = len({line.provider for line in lines if line.provider}) > 1
    heads = [("moment", "at"), *([("provider", "")] if is_crowd else []), ("who", ""), ("what", "")]
    rows = [_event_row(line, began, is_crowd) for line in lines[:MAX_EVENTS]]
    return _table(heads, rows) + _left_out(len(lines), MAX_EVENTS, "events")


def _event_row(line: Told, began: int, is_crowd: bool) -> str:
    tone = " ".join(name for name, holds in (("wrong", line.is_bad), ("fault", line.has_fault)) if holds)
    again = ""
    if line.times > 1:
        again = f' <span class="soft">{line.times} times, until {since_text(line.until - began)}</span>'
    provider = f"<td>{text_of(line.provider, 40)}</td>" if is_crowd else ""
    return (
        f'<tr class="{tone}"><td class="at">{since_text(line.at - began)}</td>{provider}'
        f'<td class="kind">{line.who}</td><td class="say">{text_of(line.text, 600)}{again}</td></tr>'
    )
