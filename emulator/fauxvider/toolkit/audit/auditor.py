"""From recorded exchanges to a journal, and to what contracts have to say of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fauxvider.analysis.near_miss import NearMiss, near_miss
from fauxvider.contract.model import Operation
from fauxvider.contract.parse import ContractFile
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.routing import Match, Router
from fauxvider.engine.urls import FileRoutes
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.toolkit.audit.answers import Answers, Shown
from fauxvider.toolkit.audit.placing import Placed, Places
from fauxvider.toolkit.audit.recorded import Exchange, Recording
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call
from fauxvider.toolkit.verify.wants import Mismatch

__all__ = ["Audit", "Forbidden", "Violation", "audit"]

_URL_CAUSES = ("url_expired", "url_forged", "url_unsigned", "url_unknown", "url_method")


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A request that the contract forbids, whatever became of it."""

    number: int
    provider: str
    misses: tuple[NearMiss, ...]
    status: int


@dataclass(frozen=True, slots=True)
class Violation:
    """An answer that the contract does not allow."""

    number: int
    provider: str
    mismatch: Mismatch


@dataclass(slots=True)
class Audit:
    """`entries` are a journal's (docs/journal.md), made from what was recorded."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    forbidden: list[Forbidden] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    used: dict[str, ContractFile] = field(default_factory=dict)
    strangers: dict[str, int] = field(default_factory=dict)  # hosts that belong to no contract
    secrets: set[str] = field(default_factory=set)
    now: int = 0


def audit(
    recording: Recording,
    files: Mapping[str, ContractFile],
    *,
    bases: Mapping[str, str],
    readings: Mapping[str, Mapping[str, str]],
) -> Audit:
    """Match exchanges to providers, write the journal, and hold every answer against its contract."""
    made, places = Audit(), Places(files, bases)
    providers: dict[str, _Provider] = {}
    for exchange in recording.exchanges:
        made.now = max(made.now, exchange.ended)
        placed = places.find(exchange.url)
        if placed is None:
            host = urlsplit(exchange.url).hostname or "?"
            made.strangers[host] = made.strangers.get(host, 0) + 1
            continue
        if placed.provider not in providers:
            file = made.used[placed.provider] = files[placed.provider]
            providers[placed.provider] = _Provider(
                file, readings.get(placed.provider, {}), made, is_timed=recording.is_timed
            )
        providers[placed.provider].take(exchange, placed)
    return made


class _Provider:
    """What is known of one provider's traffic so far."""

    def __init__(self, file: ContractFile, readings: Mapping[str, str], made: Audit, *, is_timed: bool) -> None:
        self._file = file
        self._readings = file.choice(readings)
        self._made = made
        self._is_timed = is_timed
        self._contract = file.resolve(readings)
        self._answers = Answers(file, readings)
        self._routers = {
            origin: Router(one for one in self._contract.operations.values() if one.origin == origin)
            for origin in self._contract.origins
        }
        self._files = FileRoutes(self._contract)
        self._salt = secrets.token_bytes(16)
        self._runs: dict[str, Run] = {}
        self._ended: dict[str, int] = {}
        self._addresses: dict[str, str] = {}  # path of a file -> job

    def take(self, exchange: Exchange, placed: Placed) -> None:
        self._learn_secrets(exchange)
        match = self._routers[placed.origin].match(exchange.method, placed.path)
        entry: dict[str, Any] = {
            "at": exchange.at,
            "kind": "request",
            "provider": self._contract.provider,
            "method": exchange.method,
            "path": placed.path,
            "status": exchange.status,
            "number": exchange.number,
            "key": self._key(exchange),
        }
        if exchange.ended != exchange.at:
            entry["ended"] = exchange.ended
        if (match is None or not match.operations) and self._files.serves(placed.origin):
            self._file_request(exchange, placed, entry)
        elif match is None or not match.operations:
            entry |= {"does": "unknown", "cause": "method_unknown" if match else "path_unknown"}
            self._forbid(exchange, placed)
            self._add(entry)
        else:
            self._operation(exchange, placed, entry, match)

    def _add(self, entry: dict[str, Any]) -> None:
        self._made.entries.append({key: value for key, value in entry.items() if value not in ("", None)})

    # --- who asked

    def _learn_secrets(self, exchange: Exchange) -> None:
        made = self._made.secrets
        for accepted in self._contract.auth.accept:
            value = exchange.header(accepted.header.lower())
            if value:
                made.add(value)
                made.add(value.rpartition(" ")[2])
        for name, value in parse_qsl(urlsplit(exchange.url).query):
            if "signature" in name.lower() or "token" in name.lower() or "key" in name.lower():
                made.add(value)

    def _key(self, exchange: Exchange) -> str:
        value = next(
            (found for one in self._contract.auth.accept if (found := exchange.header(one.header.lower()))), ""
        )
        return self._print(value.rpartition(" ")[2].encode()) if value else ""

    def _print(self, data: bytes) -> str:
        return blake2b(data, key=self._salt, digest_size=8).hexdigest() if data else ""

    # --- what was asked

    def _forbid(self, exchange: Exchange, placed: Placed) -> None:
        found = near_miss(
            self._file,
            self._readings,
            method=exchange.method,
            path=placed.path,
            body=exchange.body,
            origin=placed.origin,
        )
        if found:
            self._made.forbidden.append(
                Forbidden(exchange.number, self._contract.provider, tuple(found), exchange.status)
            )

    def _operation(self, exchange: Exchange, placed: Placed, entry: dict[str, Any], match: Match) -> None:
        body = _body(exchange.body)
        operation = _fitting(match.operations, body)
        call = Call(
            operation,
            exchange.method,
            params=dict(match.params),
            query=dict(parse_qsl(placed.query)),
            headers=dict(exchange.headers),
            body=body,
        )
        call.model = self._answers.model_of(call)
        call.given = at_pointer(body, operation.input) if operation.input else body
        entry |= {"operation": operation.name, "does": operation.kind}
        if operation.body == "json":
            entry["fingerprint"] = self._print(exchange.body)
            self._forbid(exchange, placed)
        rules = self._contract.idempotency
        if rules is not None and operation.kind == "submit":
            entry["intent"] = self._print((exchange.header(rules.header.lower()) or "").encode())
        run = self._run(call, operation)
        shown = self._answers.read(exchange, call, run)
        self._keep(exchange, call, run, shown, entry)

    def _run(self, call: Call, operation: Operation) -> Run | None:
        if operation.kind == "submit":
            return self._answers.run_of(call)
        return next((self._runs[value] for value in call.params.values() if value in self._runs), None)

    def _keep(self, exchange: Exchange, call: Call, run: Run | None, shown: Shown, entry: dict[str, Any]) -> None:
        entry |= {
            "cause": shown.cause,
            "job": shown.job or (run.id if run else ""),
            "word": shown.word,
            "state": shown.state,
            "retry_after": _whole(exchange.answer_header("retry-after")),
        }
        self._made.violations += [Violation(exchange.number, self._contract.provider, one) for one in shown.mismatches]
        self._add(entry)
        if run is None or not entry["job"]:
            return
        if call.operation.kind == "submit" and entry["job"] not in self._runs and not shown.cause:
            run.id = str(entry["job"])
            self._runs[run.id] = run
            self._accepted(exchange, call, run, entry)
        for name, address in shown.captured.items():
            if name.startswith("output.") and isinstance(address, str):
                self._addresses[urlsplit(address).path] = run.id
        if shown.is_over and run.id not in self._ended:
            self._over(exchange, run, shown)

    def _accepted(self, exchange: Exchange, call: Call, run: Run, entry: dict[str, Any]) -> None:
        callbacks = self._contract.callbacks
        address = at_pointer(call.body, callbacks.address) if callbacks else None
        self._add(
            {
                "at": exchange.at,
                "kind": "accepted",
                "provider": self._contract.provider,
                "job": run.id,
                "operation": call.operation.name,
                "model": run.model.name,
                "price": _money(run.price),
                "intent": entry.get("intent", ""),
                "fingerprint": entry.get("fingerprint", ""),
                "key": entry.get("key", ""),
                "address": address.partition("?")[0] if isinstance(address, str) else "",
                "number": exchange.number,
            }
        )

    def _over(self, exchange: Exchange, run: Run, shown: Shown) -> None:
        # When it ended nobody saw: by this answer at the latest.
        self._ended[run.id] = exchange.ended
        base = {"at": exchange.ended, "provider": self._contract.provider, "job": run.id}
        self._add({**base, "kind": "ended", "state": shown.state, "word": shown.word})
        if shown.state in self._contract.account.charge:
            rule = f"/models/{run.model.name}/cost"
            self._add(
                {
                    **base,
                    "kind": "charged",
                    "amount": _money(run.price),
                    "unit": self._contract.account.unit,
                    "rule": rule,
                }
            )

    # --- files

    def _file_request(self, exchange: Exchange, placed: Placed, entry: dict[str, Any]) -> None:
        full = urlsplit(exchange.url).path
        job = self._addresses.get(full, "")
        entry |= {"does": "file", "job": job, "leaks": "key" if entry["key"] else ""}
        if exchange.status >= 400:
            entry["cause"] = self._file_cause(exchange, placed, job)
            if not entry["cause"]:
                wanted = Mismatch("/urls", "status", "an answer that the contract has for files", str(exchange.status))
                self._made.violations.append(Violation(exchange.number, self._contract.provider, wanted))
        elif self._is_timed and job and exchange.status == 200 and (death := self._death(placed, job, exchange)):
            url, over = death
            said = Mismatch(
                f"/urls/{url}/lives", "status", "a refusal, as the address is dead", f"200, {over // 1000} s later"
            )
            self._made.violations.append(Violation(exchange.number, self._contract.provider, said))
        self._add(entry)

    def _file_cause(self, exchange: Exchange, placed: Placed, job: str) -> str:
        fitting = [cause for cause in _URL_CAUSES if self._answers.is_refusal(exchange, cause)]
        if self._is_timed and job and "url_expired" in fitting:
            return (
                "url_expired"
                if self._death(placed, job, exchange)
                else next((cause for cause in fitting if cause == "url_unknown"), fitting[0])
            )
        return fitting[0] if fitting else ""

    def _death(self, placed: Placed, job: str, exchange: Exchange) -> tuple[str, int] | None:
        """Give the URL rule by which an address is dead by now, and for how many ms it has been."""
        since = self._ended.get(job)
        for url, _ in self._files.find(placed.origin, placed.path):
            if url.lives is not None and url.origin_moment == "end" and since is not None:
                over = exchange.at - since - url.lives
                return (url.name, over) if over > 0 else None
        return None


def _body(data: bytes) -> Any:
    try:
        return parse_json(data) if data.strip() else {}
    except JsonRefusedError:
        return None


def _fitting(operations: Iterable[Operation], body: Any) -> Operation:
    found = list(operations)
    for operation in found:
        if all(str(at_pointer(body, pointer)) in values for pointer, values in operation.when):
            return operation
    return found[-1]


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else None


def _money(amount: Decimal | None) -> str:
    return format(amount.normalize(), "f") if amount is not None else "0"
