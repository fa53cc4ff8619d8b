"""What verify found, as text, JSON, JUnit XML or one HTML page. No secret and no query of a callback leaves here."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from fauxvider.contract.parse import ContractFile
from fauxvider.toolkit.places import Rule, rule_at
from fauxvider.toolkit.verify.case import Result
from fauxvider.toolkit.verify.wants import Mismatch
from fauxvider.values import decimal_text

__all__ = ["FORMATS", "Redactor", "Report"]

_QUERY = re.compile(r"(https?://[^\s\"'<>?]*)\?[^\s\"'<>]*")
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]{6,}|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{6,}")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Redactor:
    """Takes what is nobody's business out of a text: keys, signing secrets, the query of any address."""

    def __init__(self, *secrets: str) -> None:
        # Longest first, so that a secret that holds another one goes as a whole.
        self._secrets = sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return _UNPRINTABLE.sub("\ufffd", _SECRET.sub("[redacted]", _QUERY.sub(r"\1?[redacted]", text)))


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed clause: the rule that does not hold, and what was seen instead."""

    rule: Rule
    place: str
    wanted: str
    got: str


class Report:
    """The results of one run. `target` is shown without userinfo and query."""

    def __init__(
        self,
        file: ContractFile,
        readings: Mapping[str, str],
        target: str,
        results: Sequence[Result],
        *,
        redact: Redactor,
        spent: Decimal = Decimal(0),
    ) -> None:
        self.contract = file.resolve(readings)
        self.results = results
        self.spent = spent
        self._file = file
        self._readings = readings
        self._redact = redact
        parts = urlsplit(target)
        self.target = redact(
            f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
        )
        self._rules: dict[str, Rule] = {}

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.outcome for one in self.results)

    @property
    def is_good(self) -> bool:
        return not self.counts["failed"]

    @property
    def rules_held(self) -> int:
        failed = {one.rule for result in self.results for one in result.mismatches}
        return len(set().union(*(one.held for one in self.results)) - failed)

    def failures(self, result: Result) -> list[Failure]:
        return [self._failure(one) for one in result.mismatches]

    def _failure(self, one: Mismatch) -> Failure:
        if one.rule not in self._rules:
            self._rules[one.rule] = rule_at(self._file, self._readings, one.rule)
        return Failure(self._rules[one.rule], self._redact(one.place), self._redact(one.wanted), self._redact(one.got))

    def _reason(self, result: Result) -> str:
        return self._redact(result.reason)

    # --- forms

    def text(self) -> str:
        """Give the failures and what was not checked, then one line that sums up."""
        lines: list[str] = []
        for result in self.results:
            if result.outcome == "failed":
                lines.append(f"FAILED  {result.case.name}")
                for one in self.failures(result):
                    lines += [f"  {one.place}: {one.wanted} was wanted, {one.got} came", f"    rule {one.rule.text}"]
        reasons = Counter(self._reason(one) for one in self.results if one.outcome == "not checked")
        lines += [f"not checked  {count} x {reason}" for reason, count in reasons.most_common()]
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        counts, unit = self.counts, self.contract.account.unit
        return (
            f"{self.contract.provider} at {self.target}: {counts['passed']} passed, {counts['failed']} failed, "
            f"{counts['not checked']} not checked; {self.rules_held} rules held; "
            f"at most {decimal_text(self.spent)} {unit} spent"
        )

    def tree(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "verify": 1,
            "provider": self.contract.provider,
            "contract": {"file": self._file.file, "sha256": self.contract.digest, "readings": dict(self._readings)},
            "target": self.target,
            "counts": {"passed": counts["passed"], "failed": counts["failed"], "not_checked": counts["not checked"]},
            "rules_held": self.rules_held,
            "spent_at_most": {"amount": decimal_text(self.spent), "unit": self.contract.account.unit},
            "cases": [self._case(one) for one in self.results],
        }

    def _case(self, result: Result) -> dict[str, Any]:
        made: dict[str, Any] = {
            "name": result.case.name,
            "rule": result.case.rule,
            "outcome": result.outcome.replace(" ", "_"),
        }
        if result.reason:
            made["reason"] = self._reason(result)
        if result.mismatches:
            made["failures"] = [
                {
                    "rule": one.rule.pointer,
                    "line": one.rule.line,
                    "evidence": list(one.rule.evidence),
                    "documents": list(one.rule.documents),
                    "at": one.place,
                    "wanted": one.wanted,
                    "got": one.got,
                }
                for one in self.failures(result)
            ]
        return made

    def json(self) -> str:
        return json.dumps(self.tree(), indent=2, ensure_ascii=False)

    def junit(self) -> str:
        """Give JUnit XML: a test case for each case, `skipped` for what was not checked."""
        counts = self.counts
        suite = quoteattr(f"fauxvider verify {self.contract.provider}")
        head = f'<testsuites><testsuite name={suite} tests="{len(self.results)}" failures="{counts["failed"]}" '
        head += f'errors="0" skipped="{counts["not checked"]}">'
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', head]
        for result in self.results:
            head = (
                f"<testcase classname={quoteattr(result.case.rule)} name={quoteattr(self._redact(result.case.name))} "
            )
            head += f'time="{result.took_ms / 1000:.3f}">'
            lines.append(head + self._junit_inside(result) + "</testcase>")
        return "\n".join([*lines, "</testsuite></testsuites>", ""])

    def _junit_inside(self, result: Result) -> str:
        if result.outcome == "not checked":
            return f"<skipped message={quoteattr(self._reason(result))}/>"
        parts = []
        for one in self.failures(result):
            message = f"{one.place}: {one.wanted} was wanted, {one.got} came"
            parts.append(f"<failure message={quoteattr(message)}>{escape(one.rule.text)}</failure>")
        return "".join(parts)

    def html(self) -> str:
        rows = "\n".join(self._row(one) for one in sorted(self.results, key=lambda one: _ORDER.index(one.outcome)))
        title = f"fauxvider verify: {self.contract.provider}"
        return _PAGE.format(title=html.escape(title), summary=html.escape(self.summary), rows=rows)

    def _row(self, result: Result) -> str:
        told = html.escape(self._reason(result))
        for one in self.failures(result):
            message = html.escape(f"{one.place}: {one.wanted} was wanted, {one.got} came")
            told += f"<p>{message}<br><small>{html.escape(one.rule.text)}</small></p>"
        name = html.escape(self._redact(result.case.name))
        return (
            f'<tr class="{result.outcome.replace(" ", "-")}"><td>{result.outcome}</td><td>{name}<br>'
            f"<small>{html.escape(result.case.rule)}</small></td><td>{told}</td></tr>"
        )


_ORDER = ("failed", "not checked", "passed")
FORMATS = ("text", "json", "junit", "html")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:75em}}table{{border-collapse:collapse;width:100%}}
td{{border-top:1px solid #ccc;padding:.4em .6em;vertical-align:top}}td:first-child{{white-space:nowrap}}
.failed td:first-child{{color:#b00020;font-weight:bold}}.passed td:first-child{{color:#1b6e3c}}
.not-checked td:first-child{{color:#666}}small{{color:#555}}p{{margin:.2em 0}}</style></head>
<body><h1>{title}</h1><p>{summary}</p><table>
{rows}
</table></body></html>
"""
