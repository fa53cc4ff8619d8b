"""The report on contract coverage as one HTML page: no script, nothing from the network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape

from pytest_fauxvider.coverage.model import WHAT, Item, Part, Tally

__all__ = ["coverage_page"]

_STYLE = """
:root { --ink: #1c2430; --soft: #5d6777; --line: #e4e0d6; --paper: #fbfaf7; --card: #ffffff; --good: #23834a;
  --faint: #e3f0e7; --bad: #c0342b; --rose: #fdf1ef; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b5; --line: #323a45; --paper: #161a20;
  --card: #1d232b; --good: #5cc385; --faint: #1c3326; --bad: #f08a80; --rose: #3a2322; } }
* { box-sizing: border-box; }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem; color: var(--ink); background: var(--paper);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .2rem; }
h2 small { font-weight: 400; color: var(--soft); font-size: .85rem; margin-left: .5rem; }
p { margin: 0 0 .8rem; } .soft { color: var(--soft); }
.key { display: inline-block; padding: 0 .4rem; border-radius: 4px; border: 1px solid; font-size: .8rem; }
.part { display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: .2rem 1.2rem; background: var(--card);
  border: 1px solid var(--line); border-top-width: 0; padding: .8rem 1rem; break-inside: avoid; }
.part:first-of-type { border-top-width: 1px; border-radius: 10px 10px 0 0; }
.part:last-of-type { border-radius: 0 0 10px 10px; }
.part b { font-size: 1rem; } .part b + span { color: var(--soft); font-size: .8rem; display: block; }
.figure { font-variant-numeric: tabular-nums; font-size: .85rem; margin: .35rem 0 0; }
meter { width: 100%; height: .55rem; display: block; }
meter::-webkit-meter-bar { background: var(--line); border: 0; border-radius: 3px; height: .55rem; }
meter::-webkit-meter-optimum-value { background: var(--good); border-radius: 3px; }
meter::-moz-meter-bar { background: var(--good); border-radius: 3px; }
ul { display: flex; flex-wrap: wrap; gap: .3rem; list-style: none; margin: 0; padding: 0; align-content: start; }
li { font: .8rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; padding: .05rem .4rem;
  border-radius: 4px; border: 1px solid; overflow-wrap: anywhere; }
.yes { background: var(--faint); border-color: transparent; color: var(--ink); }
.yes i { font-style: normal; color: var(--good); margin-left: .35em; font-size: .72rem; }
.no { background: var(--rose); border-color: var(--bad); color: var(--bad); }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .8rem; }
@media (max-width: 40rem) { .part { grid-template-columns: 1fr; } }
"""
_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


def coverage_page(tally: Tally, *, omit: tuple[str, ...] = (), version: str = "") -> str:
    """Give the page."""
    whole = tally.whole(omit=omit)
    lead = (
        f"{len(whole.faced)} of {len(whole.items)} things that a client of these providers can meet. "
        'Each was <span class="key yes">faced</span> so many times, or <span class="key no">never</span>; '
        "hold the pointer over one to read what it is."
    )
    body = "".join([
        f"<h1>{whole.percent:.0f} % of the contracts was faced</h1>",
        f'<p class="soft">{lead}</p>',
        *(_provider(tally, name, omit) for name in sorted(tally.providers)),
        *([f'<p class="soft">Left out: {escape(", ".join(omit))}</p>'] if omit else []),
        f"<footer>Made by fauxvider {escape(version)} from the journals of the tests' worlds.</footer>",
    ])  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Contract coverage</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _provider(tally: Tally, name: str, omit: tuple[str, ...]) -> str:
    parts = tally.parts(name, omit=omit)
    items = [item for part in parts for item in part.items]
    faced = sum(bool(item.times) for item in items)
    digests = ", ".join(digest[:12] for digest in tally.providers[name].digests)
    head = f"<h2>{escape(name)} <small>{faced} of {len(items)}, contract {escape(digests)}</small></h2>"
    return head + f"<section>{''.join(map(_part, parts))}</section>"


def _part(part: Part) -> str:
    return (
        f'<div class="part"><div><b>{part.what}</b><span>{escape(WHAT[part.what])}</span>'
        f'<p class="figure">{len(part.faced)} of {len(part.items)}, {part.percent:.0f} %</p>'
        f'<meter min="0" max="100" value="{part.percent:.1f}"></meter></div><ul>{"".join(_chips(part))}</ul></div>'
    )


def _chips(part: Part) -> Iterator[str]:
    """Give what was never faced first: that is what the page is read for."""
    yield from map(_chip, (*part.never, *part.faced))


def _chip(item: Item) -> str:
    times = f"<i>{item.times}</i>" if item.times else ""
    return f'<li class="{"yes" if item.times else "no"}" title="{escape(item.about)}">{escape(item.name)}{times}</li>'
