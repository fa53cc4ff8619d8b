"""What an audit found, as text or JSON: broken answers, forbidden requests, the verdict, the bill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fauxvider.analysis.ledger import Doubled, LedgerReport, explain_ledger
from fauxvider.analysis.near_miss import NearMiss
from fauxvider.analysis.verdict import Finding, Verdict, judge
from fauxvider.toolkit.audit.auditor import Audit, Forbidden, Violation
from fauxvider.toolkit.audit.recorded import Recording
from fauxvider.toolkit.places import Rule, rule_at
from fauxvider.toolkit.verify.report import Redactor
from fauxvider.values import decimal_text

__all__ = ["AuditReport"]

# Rules about callbacks and notes find nothing in a recording of requests; those about time need moments.
_TIMED = frozenset(
    [
        "hammered",
        "no-backoff",
        "ignored-retry-after",
        "gave-up-early",
        "waited-for-ever",
        "polled-denied-job",
        "stopped-at-unknown-word",
        "never-downloaded",
        "paid-never-fetched",
        "came-after-retention",
        "used-expired-url",
        "download-not-retried",
    ]
)
_OWN = frozenset({"forbidden-request"})  # told in the contract's own terms instead


class AuditReport:
    """One recording, judged."""

    def __init__(self, recording: Recording, made: Audit, readings: Mapping[str, Mapping[str, str]]) -> None:
        self._made = made
        self._readings = readings
        self._recording = recording
        self._redact = Redactor(*made.secrets)
        contracts = {name: file.resolve(readings.get(name)) for name, file in made.used.items()}
        ignore = _OWN if recording.is_timed else _OWN | _TIMED
        self.verdict: Verdict = judge(made.entries, contracts, ignore=ignore, now=made.now)
        self.ledger: LedgerReport = explain_ledger(made.entries, contracts)

    @property
    def is_clean(self) -> bool:
        return not (self._made.violations or self._made.forbidden or self.verdict.findings or self.ledger.doubled)

    def text(self) -> str:
        lines = [*self._violation_lines(), *self._forbidden_lines(), *self._verdict_lines(), *self._money_lines()]
        return "\n".join([*lines, *self._notes(), self.summary])

    @property
    def summary(self) -> str:
        made, total = self._made, len(self._recording.exchanges)
        matched = sum(1 for one in made.entries if one["kind"] == "request")
        whose = ", ".join(made.used) or "no provider that is known"
        parts = [
            f"{self._recording.name} ({self._recording.form}): {matched} of {total} exchanges belong to {whose}",
            f"{len(made.violations)} answers break the contract",
            f"{len(made.forbidden)} requests are forbidden by it",
            f"{len(self.verdict.findings)} faults of the client",
            f"{len(self.ledger.doubled)} intents paid twice",
        ]
        return "; ".join(parts)

    def _violation_lines(self) -> list[str]:
        lines = []
        for one in self._made.violations:
            rule = self._rule(one)
            lines.append(
                f"VIOLATION  entry {one.number}, {one.mismatch.place}: "
                f"{self._redact(one.mismatch.wanted)} was wanted, {self._redact(one.mismatch.got)} came"
            )
            lines.append(f"  rule {rule.text}")
        return lines

    def _rule(self, one: Violation) -> Rule:
        return rule_at(self._made.used[one.provider], self._readings.get(one.provider, {}), one.mismatch.rule)

    def _forbidden_lines(self) -> list[str]:
        return [
            f"FORBIDDEN  entry {one.number} (answered {one.status or 'not at all'}): {self._redact(miss.text)}"
            for one in self._made.forbidden
            for miss in one.misses
        ]

    def _verdict_lines(self) -> list[str]:
        lines = []
        for finding in self.verdict.findings:
            lines.append(f"{finding.severity.upper():9}  {finding.rule}{f', job {finding.job}' if finding.job else ''}")
            lines += [f"  {self._redact(sentence)}" for _, sentence in finding.evidence]
            lines += [f"  harm: {finding.harm}", f"  fix:  {finding.fix}"]
        return lines

    def _money_lines(self) -> list[str]:
        lines = [f"PAID TWICE {self._redact(one.sentence)}" for one in self.ledger.doubled]
        return [*lines, *(f"bill: {decimal_text(total)} {unit}" for unit, total in self.ledger.totals.items() if total)]

    def _notes(self) -> list[str]:
        lines = []
        if not self._recording.is_timed and self._recording.exchanges:
            lines.append("note: the entries do not say when they happened, so rules about time were not judged")
        if self._made.strangers:
            hosts = ", ".join(
                f"{self._redact(host)} ({count})" for host, count in sorted(self._made.strangers.items())[:10]
            )
            lines.append(f"note: passed over, as no contract has these hosts: {hosts}")
        return lines

    def tree(self) -> dict[str, Any]:
        made = self._made
        return {
            "audit": 1,
            "file": self._recording.name,
            "form": self._recording.form,
            "timed": self._recording.is_timed,
            "providers": list(made.used),
            "exchanges": {"all": len(self._recording.exchanges), "passed_over": sum(made.strangers.values())},
            "clean": self.is_clean,
            "violations": [self._violation(one) for one in made.violations],
            "forbidden": [self._forbidden(one, miss) for one in made.forbidden for miss in one.misses],
            "verdict": [self._finding(one) for one in self.verdict.findings],
            "paid_twice": [self._doubled(one) for one in self.ledger.doubled],
            "bill": {unit: decimal_text(total) for unit, total in self.ledger.totals.items()},
        }

    def _violation(self, one: Violation) -> dict[str, Any]:
        rule = self._rule(one)
        return {
            "entry": one.number,
            "provider": one.provider,
            "rule": one.mismatch.rule,
            "line": rule.line,
            "evidence": list(rule.evidence),
            "at": one.mismatch.place,
            "wanted": self._redact(one.mismatch.wanted),
            "got": self._redact(one.mismatch.got),
        }

    def _forbidden(self, one: Forbidden, miss: NearMiss) -> dict[str, Any]:
        text = self._redact(miss.text)
        return {"entry": one.number, "provider": one.provider, "status": one.status, "rule": miss.rule, "text": text}

    def _finding(self, one: Finding) -> dict[str, Any]:
        evidence = [{"at": at, "what": self._redact(what)} for at, what in one.evidence]
        told = {"rule": one.rule, "severity": one.severity, "job": one.job or None, "harm": one.harm, "fix": one.fix}
        return {**told, "evidence": evidence}

    def _doubled(self, one: Doubled) -> dict[str, Any]:
        extra, text = decimal_text(one.extra), self._redact(one.sentence)
        return {"provider": one.provider, "extra": extra, "unit": one.unit, "text": text}

    def json(self) -> str:
        return json.dumps(self.tree(), indent=2, ensure_ascii=False)
