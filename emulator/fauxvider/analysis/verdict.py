"""The verdict: what the client did wrong in a world, with evidence, harm and fix. Pure, over the journal alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal

from fauxvider.analysis.entries import shown, since_text
from fauxvider.analysis.history import History
from fauxvider.analysis.verdict_answers import ANSWERS
from fauxvider.analysis.verdict_callbacks import CALLBACKS
from fauxvider.analysis.verdict_files import FILES
from fauxvider.analysis.verdict_money import MONEY
from fauxvider.analysis.verdict_polling import POLLING
from fauxvider.analysis.verdict_rule import Evidence, Rule
from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError

__all__ = ["RULES", "Finding", "Verdict", "by_rule", "headline", "judge", "verdict_text"]

RULES: dict[str, Rule] = {rule.name: rule for rule in (*MONEY, *POLLING, *ANSWERS, *CALLBACKS, *FILES)}

_WIDTH = 118
_IN_FULL = 2  # cases of one rule; of the others only the jobs are named
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of a rule. `job` is "" where the case is about none; moments in ms since the epoch."""

    rule: str
    job: str
    evidence: Evidence
    harm: str
    fix: str
    severity: Literal["harm", "risk"] = "harm"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`dropped` entries were pushed out of the journal: of what they told nothing is said."""

    findings: tuple[Finding, ...] = ()
    began: int = 0
    dropped: int = 0

    @property
    def is_clean(self) -> bool:
        return not self.findings

    @property
    def rules(self) -> frozenset[str]:
        """The names of the rules that were broken."""
        return frozenset(finding.rule for finding in self.findings)


def judge(
    entries: Iterable[Mapping[str, Any]],
    contracts: Mapping[str, Contract],
    *,
    ignore: Iterable[str] = frozenset(),
    now: int,
) -> Verdict:
    """Grade the client by the entries of a journal (docs/journal.md); harms come first.

    `contracts` by provider, under the readings of the world; `now` is the world's moment: what has not been done by
    then counts as not done. Raises UsageError for a rule in `ignore` that does not exist.
    """
    passed_over = frozenset(ignore)
    for name in sorted(passed_over - RULES.keys()):
        raise UsageError(f"there is no rule {name!r} (there are: {', '.join(RULES)})")
    history = History(entries, contracts, now=now)
    found = [
        Finding(rule.name, case.job, case.evidence, rule.harm, rule.fix, rule.severity)
        for rule in RULES.values()
        if rule.name not in passed_over
        for case in rule.find(history)
    ]
    ranked = sorted(found, key=lambda finding: (finding.severity, finding.evidence[0][0]))
    return Verdict(tuple(ranked), history.began, history.dropped)


def verdict_text(verdict: Verdict) -> str:
    """Write a verdict for a terminal: moments since the journal's first entry, control characters escaped.

    Of each rule the first two cases are told in full; `findings` has them all.
    """
    lines = [headline(verdict)]
    for told, further in by_rule(verdict):
        for finding in told:
            lines += ["", *_finding_lines(finding, verdict.began)]
        if further:
            lines += ["", *_wrapped(f"{told[0].severity}  {told[0].rule}  ", further)]
    if verdict.dropped:
        lines += ["", f"{verdict.dropped} entries were dropped by a cap; what they told is not judged."]
    return "\n".join(lines) + "\n"


def headline(verdict: Verdict) -> str:
    """Say how many harms and risks there are."""
    if verdict.is_clean:
        return "The client did nothing wrong."
    count = {kind: sum(one.severity == kind for one in verdict.findings) for kind in ("harm", "risk")}
    told = [f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in count.items() if number]
    return f"The client's faults: {', '.join(told)}."


def by_rule(verdict: Verdict) -> Iterator[tuple[list[Finding], str]]:
    """Give the findings of each rule: those that are told in full, and what names the others ("" without any)."""
    for rule in dict.fromkeys(finding.rule for finding in verdict.findings):
        cases = [finding for finding in verdict.findings if finding.rule == rule]
        yield cases[:_IN_FULL], _further(cases[_IN_FULL:])


def _further(cases: list[Finding]) -> str:
    """Name the jobs of the cases that are not told in full."""
    if not cases:
        return ""
    jobs = [shown(case.job, 60) for case in cases if case.job]
    named = f": {', '.join(jobs[:_NAMED])}" if jobs else ""
    named += f" and {len(jobs) - _NAMED} others" if len(jobs) > _NAMED else ""
    return f"{len(cases)} more of these{named}"


def _finding_lines(finding: Finding, began: int) -> list[str]:
    job = f"  job {shown(finding.job, 60)}" if finding.job else ""
    moments = [since_text(at - began) for at, _ in finding.evidence]
    width = max(map(len, moments))
    lines = [f"{finding.severity}  {finding.rule}{job}", f"      {RULES[finding.rule].about}"]
    for moment, (_, sentence) in zip(moments, finding.evidence, strict=True):
        lines += _wrapped(f"        {moment:>{width}}  ", shown(sentence, 240))
    return [*lines, *_wrapped("      harm  ", finding.harm), *_wrapped("      fix   ", finding.fix)]


def _wrapped(head: str, text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
