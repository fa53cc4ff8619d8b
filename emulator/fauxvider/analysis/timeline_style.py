"""The style sheet of the timeline page, and the policy that lets it in and nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

__all__ = ["POLICY", "STYLE"]

STYLE = """
:root {
  --ink: #1c2430; --soft: #5d6777; --line: #e4e0d6; --paper: #fbfaf7; --card: #ffffff;
  --queued: #dcc58a; --running: #6f9fd8; --unseen: #c9d2dd; --good: #23834a; --bad: #c0342b; --warn: #d9822b;
  --grey: #8b93a0; --violet: #7d5ba6; --brown: #a0764a; --fault: #e8590c; --gold: #d4a017;
}
* { box-sizing: border-box; }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem; color: var(--ink); background: var(--paper);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; }
h2 small { font-weight: 400; color: var(--soft); font-size: .85rem; margin-left: .5rem; }
p { margin: 0 0 .6rem; } .soft, .none { color: var(--soft); }
code, .mono { font: .87em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 1.2rem 0 1rem; padding: 0; }
.facts li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .5rem .85rem; }
.facts b { display: block; font-size: 1.2rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: .8rem; }
.alarm { background: #fdf1ef; border-left: 4px solid var(--bad); border-radius: 4px; padding: .6rem .9rem;
  margin: 0 0 .6rem; overflow-wrap: anywhere; }
.alarm.mild { background: #fdf6ea; border-color: var(--warn); }
.alarm b { margin-right: .35rem; }
.alarm p:last-child { margin: 0; } .alarm table { background: none; border: 0; margin: 0 0 .5rem; }
.alarm td { border: 0; padding: .1rem .6rem; } section.alarm { break-inside: avoid; }
.good-word { color: var(--good); } .lead { font-weight: 600; }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0 0 .7rem; padding: 0; list-style: none;
  color: var(--soft); font-size: .8rem; }
.keys li { display: flex; align-items: center; gap: .3rem; }
.key { width: 17px; height: 17px; } .swatch { width: 22px; height: 9px; border-radius: 2px; display: inline-block; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: clip; }
.lane { display: grid; grid-template-columns: 15rem minmax(0, 1fr); border-top: 1px solid var(--line);
  break-inside: avoid; overflow: hidden; }
.lane:first-child { border-top: 0; }
.lane svg { width: 100%; height: auto; display: block; align-self: center; overflow: visible; }
.axis { position: sticky; top: 0; background: var(--card); z-index: 1; border-radius: 10px 10px 0 0; }
.axis .who { color: var(--soft); font-size: .78rem; justify-content: end; }
.who { display: flex; flex-direction: column; justify-content: center; padding: .45rem .5rem .45rem .85rem;
  border-right: 1px solid var(--line); min-width: 0; background: var(--card);
  position: relative; font-size: .78rem; line-height: 1.4; }
.who b { font-weight: 600; } .who span { color: var(--soft); }
.who b, .who span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.who .again { color: var(--bad); font-weight: 600; }
.small .who { padding-top: .15rem; padding-bottom: .15rem; }
.small .who span { display: none; } .small .who span.end { display: block; }
.dot { display: inline-block; width: .62em; height: .62em; border-radius: 2px; margin-right: .35em; }
svg text { font: 10.5px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--soft); }
svg text.when { text-anchor: middle; } svg text.skip { text-anchor: middle; font-style: italic; }
svg text.said { text-anchor: middle; font-size: 9.5px; } svg text.said.good { fill: var(--good); }
svg text.said.bad, svg text.said.lost { fill: var(--bad); }
.tick { stroke: #b9b3a4; } .grid { stroke: #efece5; fill: none; } .ladder { stroke: #c5bfb2; stroke-width: 1.5; }
.gap { fill: var(--paper); stroke: #cfc9bb; stroke-width: .8; }
.held { stroke: #8b93a0; stroke-width: 1.5; stroke-dasharray: 2 2; }
.ring { fill: none; stroke: var(--fault); stroke-width: 1.8; }
.from { stop-color: var(--queued); } .to { stop-color: var(--running); }
.queued { fill: var(--queued); background: var(--queued); }
.running { fill: var(--running); background: var(--running); }
.unseen { fill: var(--unseen); background: var(--unseen); }
.turning { fill: url(#turn); background: linear-gradient(90deg, var(--queued), var(--running)); }
.open { opacity: .55; }
.succeeded, .good { fill: var(--good); background: var(--good); }
.failed, .bad { fill: var(--bad); background: var(--bad); }
.timed_out { fill: var(--warn); background: var(--warn); } .cancelled { fill: var(--grey); background: var(--grey); }
.moderated { fill: var(--violet); background: var(--violet); }
.expired { fill: var(--brown); background: var(--brown); }
.odd, .plain { fill: #6b7280; background: #6b7280; }
.lost { fill: #fff; stroke: var(--bad); stroke-width: 1.6; } text.lost { stroke: none; }
.wedge { stroke: #fff; stroke-width: .8; } .wedge.lost { stroke: var(--bad); stroke-width: 1.6; }
.wedge.plain, .wedge.queued, .wedge.running, .wedge.succeeded { fill: var(--ink); }
.diamond { stroke: #fff; stroke-width: 1; } .diamond.lost { stroke: var(--bad); stroke-width: 1.6; }
.coin { fill: var(--gold); stroke: #fff; } .inner { fill: none; stroke: #fff; stroke-width: 1.2; }
.flag { fill: var(--violet); }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: .84rem;
  border: 1px solid var(--line); }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .78rem;
  border-bottom: 1px solid var(--line); }
th, td { padding: .32rem .6rem; vertical-align: top; } td { border-top: 1px solid #f1eee7; }
.mono, code, .say, .long { overflow-wrap: anywhere; } td.word { white-space: nowrap; } td.long { min-width: 8rem; }
td.rule { min-width: 9rem; } td.to { min-width: 12rem; }
td.at, td.num, th.num, th.at { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.at { color: var(--soft); } td.kind { white-space: nowrap; color: var(--soft); }
tr.wrong { background: #fdf5f3; } tr.wrong td.kind { color: var(--bad); }
tr.fault td.kind { color: var(--fault); font-weight: 600; }
td .bad-word { color: var(--bad); }
tr { break-inside: avoid; } thead { display: table-header-group; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .8rem; }
@media print { html { font-size: 12.5px; } body { padding: 0; max-width: none; font-size: 12px; background: #fff; }
  .axis { position: static; } h2 { break-after: avoid; } }
@page { size: landscape; margin: 12mm; }
"""

# No script, no picture, no font, no frame, nothing from anywhere: this style sheet alone.
POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
