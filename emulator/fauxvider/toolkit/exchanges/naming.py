"""Names and rules for exchanges: a readable id, the rule that answers for it, who says so."""

from __future__ import annotations

import re
from pathlib import Path

from fauxvider.toolkit.exchanges.case import ContractCase
from fauxvider.toolkit.exchanges.stage import Ground, Kept
from fauxvider.toolkit.places import rule_at
from fauxvider.toolkit.verify.names import face_rule

__all__ = ["Namer"]

_OTHER = re.compile(r"[^A-Za-z0-9_.:-]+")


class Namer:
    """Names what one case exchanged, under one choice of readings."""

    def __init__(self, ground: Ground, name: str, title: str, source: str = "") -> None:
        file, choice = ground.file, ground.choice
        self._file = file
        self._choice = choice
        self._tree = file.resolved(choice)
        self._name, self._title, self._source = name, title, source
        self._apart = {key: case for key, case in choice.items() if file.default_choice.get(key) != case}

    def named(self, kept: Kept) -> ContractCase:
        entry = kept.entry
        kind = str(entry.get("does", "unknown"))
        operation = str(entry.get("operation", "")) or kind
        word, cause = str(entry.get("word", "")), str(entry.get("cause", ""))
        rule = self._rule(kind, operation, cause, str(entry.get("state", "")))
        found = rule_at(self._file, self._choice, rule)
        return ContractCase(
            id=_OTHER.sub("-", "-".join(filter(None, (operation, _status(kept), word or cause, self._where(kept))))),
            provider=self._file.provider,
            title=self._title,
            source=self._source,
            operation=operation,
            kind=kind,
            model=str(entry.get("model", "")),
            request=kept.sent,
            status=kept.status,
            headers=kept.headers,
            body=kept.body,
            state=str(entry.get("state", "")),
            word=word,
            cause=cause,
            rule=rule,
            file=Path(found.file).name,
            line=found.line,
            evidence=found.evidence,
            readings=self._apart or None,
        )

    def _where(self, kept: Kept) -> str:
        return f"{self._name}:{kept.step}" if kept.step else self._name

    def _rule(self, kind: str, operation: str, cause: str, state: str) -> str:
        if cause and (name := face_rule(cause, self._tree["errors"])):
            return f"/errors/{name}"
        if kind == "callback":
            return "/callbacks"
        if kind == "file":
            return "/urls"
        answers = self._tree["operations"].get(operation, {}).get("answers", {})
        name = next((one for one in (state, "ok") if one in answers), "")
        return f"/operations/{operation}/answers/{name}" if name else f"/operations/{operation}"


def _status(kept: Kept) -> str:
    return str(kept.status) if kept.status else ""
