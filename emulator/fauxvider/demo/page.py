"""The tour's report as one HTML page that needs no network."""

from __future__ import annotations

from html import escape

from fauxvider.demo.gallery import Gallery
from fauxvider.demo.tour import Stop, Tour
from fauxvider.values import span_text

__all__ = ["SHEET", "report_page"]

SHEET = "sheet.png"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
body { color: #1c2430; background: #fbfaf7; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
p.lead { color: #56606e; margin: 0 0 2rem; }
section { display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; padding: 1.5rem 0; }
section { border-top: 1px solid #ddd8cc; }
section img { width: 100%; border-radius: 6px; display: block; background: #eee; }
figcaption, .note { color: #56606e; font-size: .85rem; } figure { margin: 0; }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .35rem .8rem; margin: 0; }
dt { color: #56606e; } dd { margin: 0; }
code { font: .88em ui-monospace, monospace; } .good { color: #19703a; } .bad { color: #b3261e; }
svg { width: 100%; height: auto; margin-top: .8rem; } svg text { font: 11px system-ui, sans-serif; fill: #56606e; }
section.wide { display: block; } table { border-collapse: collapse; font-size: .85rem; margin-top: 1rem; }
td { padding: .2rem 1rem .2rem 0; vertical-align: top; }
@media (max-width: 44rem) { section { grid-template-columns: 1fr; } }
"""


def report_page(tour: Tour) -> str:
    """Give the page; the pictures stand beside it in the same folder."""
    parts = "".join(_section(stop) for stop in tour.stops) + _gallery(tour.gallery)
    balances = ", ".join(f"{name} {amount}" for name, amount in tour.balances.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>fauxvider demo</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>fauxvider demo</h1>"
        f'<p class="lead">Five documented models, {span_text(tour.virtual_ms)} of virtual time. '
        f"Left on the accounts: {escape(balances)}.</p>{parts}</body></html>\n"
    )


def _section(stop: Stop) -> str:
    rows = [
        ("request", f"the document's own, {escape(stop.document)}"),
        ("statuses", " &rarr; ".join(f"<code>{escape(word)}</code> {_after(at)}" for at, word in stop.statuses)),
        ("cost", _cost(stop)),
        ("charged", escape(stop.charged)),
    ]
    if stop.attempts:
        rows.append(("callback", escape(stop.signed)))
    if stop.url_life:
        life = ", ".join(
            f"at {escape(when)} <b class={_tone(code < 300)}>HTTP {code}</b>" for when, code in stop.url_life
        )
        rows.append(("URL", life))
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return (
        f'<section><figure><img src="{escape(stop.picture)}" alt="picture made for {escape(stop.title)}">'
        f"<figcaption>{escape(stop.picture_note)}</figcaption></figure><div><h2>{escape(stop.title)}</h2>"
        f"<dl>{listed}</dl>{_ladder(stop)}</div></section>"
    )


def _gallery(gallery: Gallery | None) -> str:
    """Show what real pipelines made, and how long each took."""
    if gallery is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(tile.title)}</td><td>{escape('; '.join(tile.lines))}</td><td>{escape(tile.away)}</td></tr>"
        for row in gallery.rows
        for tile in row.tiles
        if tile.lines
    )
    return (
        f'<section class="wide"><h2>Really rendered: {escape(gallery.machine)}</h2>'
        f'<p class="note">Times are measured, not planned: the wait for the worker, and the model\'s own run.</p>'
        f'<a href="{SHEET}"><img src="{SHEET}" alt="five models, an edit at rising strengths, seeds and prompts"></a>'
        f"<table>{rows}</table></section>"
    )


def _after(ms: int) -> str:
    return f'<span class="note">+{span_text(ms)}</span>'


def _tone(is_good: bool) -> str:
    return '"good"' if is_good else '"bad"'


def _cost(stop: Stop) -> str:
    if stop.cost_agrees is None:
        return escape(stop.cost_says)
    verdict = "as documented" if stop.cost_agrees else "not as documented"
    shown = escape(stop.cost_shown)
    return f"{shown} <b class={_tone(stop.cost_agrees)}>{verdict}</b>: {escape(stop.cost_says)}"


def _ladder(stop: Stop) -> str:
    """Draw the delivery's attempts on virtual time."""
    if not stop.attempts:
        return ""
    last = max(attempt.after for attempt in stop.attempts) or 1
    marks = []
    for number, attempt in enumerate(stop.attempts, 1):
        x = 40 + 460 * attempt.after / last
        color = "#19703a" if attempt.outcome.startswith("HTTP 2") else "#b3261e"
        anchor = "start" if x < 100 else "end" if x > 440 else "middle"
        marks.append(
            f'<circle cx="{x:.0f}" cy="34" r="7" fill="{color}"/>'
            f'<text x="{x:.0f}" y="16" text-anchor="{anchor}">{number}: {escape(attempt.outcome)}</text>'
            f'<text x="{x:.0f}" y="58" text-anchor="{anchor}">+{span_text(attempt.after)}</text>'
        )
    line = '<line x1="20" y1="34" x2="520" y2="34" stroke="#b9b3a4" stroke-width="2"/>'
    return f'<svg viewBox="0 0 540 64" role="img" aria-label="callback attempts">{line}{"".join(marks)}</svg>'
