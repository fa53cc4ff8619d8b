"""The verdict on the timeline page: what the client did wrong, with moments, harm and fix."""

from __future__ import annotations

from fauxvider.analysis.entries import since_text
from fauxvider.analysis.timeline_svg import text_of
from fauxvider.analysis.verdict import RULES, Finding, Verdict, by_rule, headline

__all__ = ["verdict_part"]


def verdict_part(verdict: Verdict) -> str:
    """Tell the findings as the text does: of each rule some in full, of the others the jobs."""
    parts = [f'<p class="{"good-word" if verdict.is_clean else "lead"}">{headline(verdict)}</p>']
    for told, further in by_rule(verdict):
        parts += [_finding(finding, verdict.began) for finding in told]
        if further:
            parts.append(f'<p class="soft">{text_of(further, 1000)}</p>')
    return "".join(parts)


def _finding(finding: Finding, began: int) -> str:
    job = f' <span class="mono soft">{text_of(finding.job, 60)}</span>' if finding.job else ""
    rows = "".join(
        f'<tr><td class="at">{since_text(at - began)}</td><td class="say">{text_of(sentence, 300)}</td></tr>'
        for at, sentence in finding.evidence
    )
    about = text_of(RULES[finding.rule].about)
    return (
        f'<section class="alarm{" mild" if finding.severity == "risk" else ""}">'
        f'<p><b>{finding.severity}</b><b class="mono">{finding.rule}</b>{job}<br>{about}</p>'
        f"<table><tbody>{rows}</tbody></table>"
        f"<p><b>Harm</b>{text_of(finding.harm)}</p><p><b>Fix</b>{text_of(finding.fix)}</p></section>"
    )
