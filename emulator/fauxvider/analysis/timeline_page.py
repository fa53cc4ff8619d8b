"""A world's journal as one page: the verdict, a picture on virtual time, the bill, the deliveries, every event.

It stands alone: no script, nothing from the network, and a policy that would let neither in. Whatever comes from
requests is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fauxvider.analysis.entries import Entry, moment_of, ordered, text_in
from fauxvider.analysis.ledger import LedgerReport, explain_ledger
from fauxvider.analysis.timeline_axis import axis_of, leading_units
from fauxvider.analysis.timeline_lanes import Lane, Picture, Shape, picture_of
from fauxvider.analysis.timeline_style import POLICY, STYLE
from fauxvider.analysis.timeline_svg import LEFT, RIGHT, axis_svg, key_svg, lane_svg, text_of
from fauxvider.analysis.timeline_tables import deliveries_table, events_table, ledger_table
from fauxvider.analysis.timeline_verdict import verdict_part
from fauxvider.analysis.verdict import Verdict
from fauxvider.contract.formats import FORMATS
from fauxvider.contract.model import Contract
from fauxvider.values import decimal_text

__all__ = ["MAX_LANES", "timeline_page"]

MAX_LANES = 200
_MANY = 40  # from here on lanes are drawn small
_MAX_ALARMS = 12


def timeline_page(
    entries: Iterable[Entry],
    *,
    title: str,
    contracts: Mapping[str, Contract] | None = None,
    verdict: Verdict | None = None,
) -> str:
    """Give the page. `contracts` (by provider) add what the rules of charges say, and the meaning of state words.

    `verdict`: what is wrong with the client, told before all else.

    Raises UsageError for an amount that is no exact decimal.
    """
    found, known = ordered(entries), contracts or {}
    report = explain_ledger(found, known)
    picture = picture_of(found, known)
    began = moment_of(found[0]) if found else 0
    parts = [
        f"<h1>{text_of(title)}</h1>{_lead(found)}{_facts(found, report, picture)}{_alarms(report)}",
        "" if verdict is None else f"<h2>The verdict</h2>{verdict_part(verdict)}",
        f"<h2>What happened when</h2>{_keys(picture)}{_panel(picture, report)}",
        f"<h2>The bill</h2>{ledger_table(report)}",
        f"<h2>Callbacks</h2>{deliveries_table(found, began)}",
        f"<h2>Events <small>{len(found)} in the journal</small></h2>{events_table(found, began)}",
        "<footer>Moments are virtual time since the first event. Made by fauxvider from the world's journal.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text_of(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


# --- the head


def _lead(entries: Sequence[Entry]) -> str:
    if not entries:
        return '<p class="soft">The journal is empty.</p>'
    first, last = moment_of(entries[0]), moment_of(entries[-1])
    try:
        when = str(FORMATS["iso_s_z"](first)).replace("T", " ").replace("Z", " UTC")
    except (ValueError, ArithmeticError):
        when = f"{first} ms"
    return f'<p class="soft">{leading_units(last - first)} of virtual time, from {when}</p>'


def _facts(entries: Sequence[Entry], report: LedgerReport, picture: Picture) -> str:
    kinds = Counter(text_in(entry, "kind") for entry in entries)
    deliveries = {
        (text_in(entry, "job"), text_in(entry, "delivery")) for entry in entries if entry.get("kind") == "attempt"
    }
    ends = Counter(end.tone for lane in picture.lanes for end in lane.ends[-1:])
    cards = [
        (str(len(picture.lanes)), _count(len(picture.lanes), "job")),
        *((str(count), state.replace("_", " ")) for state, count in sorted(ends.items())),
        (str(kinds["request"]), _count(kinds["request"], "request")),
        *([(f"{kinds['attempt']} / {len(deliveries)}", "callback attempts / deliveries")] if deliveries else []),
        *((decimal_text(total), text_of(unit, 16)) for unit, total in report.totals.items()),
        *([(str(kinds["fault"]), _count(kinds["fault"], "scenario fault"))] if kinds["fault"] else []),
    ]
    return f'<ul class="facts">{"".join(f"<li><b>{number}</b><span>{what}</span></li>" for number, what in cards)}</ul>'


def _count(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _alarms(report: LedgerReport) -> str:
    """Say first what a reader must not miss."""
    doubles = [
        ("", "Charged more than once.", one.sentence)
        if one.reason != "same body"
        else (" mild", "The same body again.", one.sentence)
        for one in report.doubled
    ]
    alarms = [*doubles, *(("", "Another cost was shown.", one.sentence) for one in report.differences)]
    more = [(" mild", "And more.", f"{len(alarms) - _MAX_ALARMS} further ones are in the tables.")]
    alarms = alarms if len(alarms) <= _MAX_ALARMS else alarms[:_MAX_ALARMS] + more
    if report.dropped:
        alarms.append((" mild", "Incomplete.", f"{report.dropped} entries were dropped by a cap on the journal."))
    return "".join(f'<p class="alarm{tone}"><b>{head}</b>{text_of(text, 2000)}</p>' for tone, head, text in alarms)


# --- the picture


def _panel(picture: Picture, report: LedgerReport) -> str:
    axis = axis_of(picture.moments, left=LEFT, right=RIGHT)
    shown = picture.lanes[:MAX_LANES]
    again = {
        (charge.provider, charge.job)
        for one in report.doubled
        for charge in one.charges[1:]
        if one.reason != "same body"
    }
    paid: dict[tuple[str, str], list[str]] = {}
    for charge in report.charges:
        paid.setdefault((charge.provider, charge.job), []).append(f"{decimal_text(charge.amount)} {charge.unit}")
    is_small, is_crowd = len(shown) > _MANY, len({lane.provider for lane in picture.lanes if lane.provider}) > 1
    rows = [_row("axis", "virtual time", axis_svg(axis))]
    if picture.rest is not None:
        rows.append(
            _row("rest", "<b>no job</b><span>all the rest</span>", lane_svg(picture.rest, axis, is_small=is_small))
        )
    for lane in shown:
        key = (lane.provider, lane.job)
        name = _name(lane, paid.get(key, []), is_again=key in again, is_crowd=is_crowd)
        rows.append(_row("small" if is_small else "", name, lane_svg(lane, axis, is_small=is_small)))
    left = len(picture.lanes) - len(shown)
    more = f'<p class="soft">{left} more jobs are not drawn.</p>' if left > 0 else ""
    return f'<div class="panel">{"".join(rows)}</div>{more}'


def _row(kind: str, name: str, drawing: str) -> str:
    return f'<div class="lane {kind}"><div class="who">{name}</div>{drawing}</div>'


def _name(lane: Lane, paid: Sequence[str], *, is_again: bool, is_crowd: bool) -> str:
    about = [
        text_of(lane.provider, 40) if is_crowd else "",
        text_of(lane.model, 80),
        f"request {lane.request}" if lane.request is not None else "",
    ]
    end = lane.ends[-1] if lane.ends else None
    word = text_of(end.word, 40) if end else "not ended"
    tone = end.tone if end else "unseen"
    money = f" &middot; {text_of(' + '.join(paid), 60)}" if paid else ""
    again = '<span class="again">charged again</span>' if is_again else ""
    return (
        f'<b class="mono" title="{text_of(lane.job)}">{text_of(lane.job, 23)}</b>'
        f"<span>{' &middot; '.join(text for text in about if text)}</span>"
        f'<span class="end"><i class="dot {tone}"></i>{word}{money}</span>{again}'
    )


# --- the key

_BARS = (("queued", "queued"), ("turning", "between two polls"), ("running", "running"), ("unseen", "nobody looked"))
_MARKS: Sequence[tuple[Shape, str, str, bool]] = (
    ("submit", "plain", "submit", False),
    ("poll", "running", "poll, by what it showed", False),
    ("poll", "bad", "refused", False),
    ("act", "plain", "other request", False),
    ("file", "good", "download", False),
    ("file", "bad", "refused download", False),
    ("attempt", "good", "callback taken", False),
    ("attempt", "bad", "callback failed", False),
    ("coin", "plain", "charge", False),
    ("note", "plain", "note", False),
    ("submit", "lost", "answer lost", False),
    ("act", "plain", "a scenario's fault", True),
)


def _keys(picture: Picture) -> str:
    """Explain the signs that this picture has."""
    lanes = [*picture.lanes, *([picture.rest] if picture.rest else [])]
    tones = {part.tone for lane in lanes for part in lane.stretches}
    marks = [mark for lane in lanes for mark in lane.marks]
    signs: set[tuple[Shape, str]] = {(mark.shape, mark.tone) for mark in marks}
    bars = "".join(f'<li><i class="swatch {tone}"></i>{word}</li>' for tone, word in _BARS if tone in tones)
    rows = [
        f"<li>{key_svg(shape, tone, has_fault=has_fault)}{word}</li>"
        for shape, tone, word, has_fault in _MARKS
        if (any(mark.has_fault for mark in marks) if has_fault else _is_used(shape, tone, signs))
    ]
    return f'<ul class="keys">{bars}{"".join(rows)}</ul>'


def _is_used(shape: Shape, tone: str, signs: set[tuple[Shape, str]]) -> bool:
    if shape in ("submit", "poll") and tone not in ("bad", "lost"):
        return any(one == shape and other not in ("bad", "lost") for one, other in signs)
    if tone == "lost":
        return any(other == tone for _, other in signs)
    return (shape, tone) in signs
