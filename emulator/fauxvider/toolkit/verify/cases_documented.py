"""The provider's documented cases, asked over HTTP: each in a world of its own, step by step (docs/fixtures.md)."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fauxvider.contract.strict import pointer_parts
from fauxvider.engine.outputs import sniff
from fauxvider.engine.plan import at_pointer
from fauxvider.engine.routing import Router
from fauxvider.errors import UsageError
from fauxvider.receiver import Received, Receiver
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.client import Answer
from fauxvider.toolkit.verify.documented import body_of, differences
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import decoded
from fauxvider.values import parse_span
from fauxvider_contracts import case_names, case_text

__all__ = ["documented_cases"]

_VARIABLE = re.compile(r"\$\{([\w.-]+)\}")
_WORLD = ("clock", "now", "seed", "keys", "balances", "limits")


def documented_cases(session: Session) -> Iterator[Case]:
    """Give the documented cases that hold under the readings at hand."""
    provider, file = session.contract.provider, session.file
    for name in case_names(provider):
        tree, problem = decoded(case_text(provider, name).encode())
        if problem or not isinstance(tree, dict) or not isinstance(tree.get("steps"), list):
            continue
        world = tree.get("world", {})
        given = world.get("readings", {})
        readings = given[provider] if isinstance(given.get(provider), Mapping) else given
        if {**file.default_choice, **readings} != dict(session.contract.choice):
            continue
        options = {"clock": "manual", **{key: world[key] for key in _WORLD if key in world}}
        if "seed" in options:
            options["seed"] = int(options["seed"])
        title = f"documented: {tree.get('name', name)} ({tree.get('source', name)})"
        ask = partial(_play, steps=tree["steps"])
        yield Case(title, _rule(session, tree["steps"]), ask, ("control", "receiver"), world=options)


def _rule(session: Session, steps: list[Any]) -> str:
    """Name the operation that a case is about: that of its first request."""
    request: Any = next((step["request"] for step in steps if "request" in step), {})
    router = Router(session.contract.operations.values())
    found = router.match(str(request.get("method", "GET")), str(request.get("path", "")).partition("?")[0])
    return f"/operations/{found.operations[0].name}" if found and found.operations else "/operations"


def _play(session: Session, steps: list[Any]) -> None:
    if any(isinstance(step.get("request"), dict) and step["request"].get("concurrent") for step in steps):
        raise NotAskedError("a call is held in it while time is moved")
    if any("hang" in step.get("receiver", {}).get("answers", []) for step in steps):
        raise NotAskedError("a receiver that hangs costs its whole patience in real time")
    rule = _rule(session, steps)
    with ExitStack() as stack:
        player = _Player(session, stack)
        for number, step in enumerate(steps, 1):
            kind = next(key for key in step if key in _STEPS)
            for where, wanted, got in _STEPS[kind](player, player.fill(step[kind]), step):
                session.fail(rule, f"step {number} ({kind}) {where}", wanted, got)
            if session.found:
                return  # what follows rests on it


class _Player:
    """What a case has learnt so far, and what its steps do."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        if session.world is None:
            raise NotAskedError("it needs a world of its own (--control)")
        self.session = session
        self.world = session.world
        self._stack = stack
        self._names: dict[str, str] = {}
        self._receivers: dict[str, Receiver] = {}
        self._began = self.world.now()

    def fill(self, tree: Any) -> Any:
        if isinstance(tree, str):
            return _VARIABLE.sub(lambda found: self._names.get(found[1], ""), tree)
        if isinstance(tree, Mapping):
            return {self.fill(key): self.fill(value) for key, value in tree.items()}
        return [self.fill(item) for item in tree] if isinstance(tree, list) else tree

    def request(self, given: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        headers = {key.lower(): str(value) for key, value in (given.get("headers") or {}).items()}
        body, media_type = body_of(given)
        if media_type:
            headers.setdefault("content-type", media_type)
        origin = given.get("origin")
        is_api = not origin or origin == self.session.contract.api.name
        base = self.session.base_url + ("" if is_api else f"/~{origin}")
        url = given["url"] if "url" in given else base + given["path"]
        if given.get("query"):
            url += ("&" if "?" in url else "?") + urlencode(given["query"])
        answer = Answer()
        for _ in range(int(given.get("repeat", 1))):
            answer = self._sent(given["method"], url, headers, body)
        yield from self._judge(answer, self.fill(step.get("expect", {})))
        tree, _ = decoded(answer.body)
        for name, pointer in step.get("save", {}).items():
            value = at_pointer(tree, pointer_parts(pointer))
            self._names[name] = value if isinstance(value, str) else str(value)

    def _sent(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            return self.session.client.send(method, url, headers=headers, body=body)
        except UsageError as problem:
            raise NotAskedError(f"this client does not send what HTTP forbids: {problem}") from None

    def _judge(self, answer: Answer, expect: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        status = expect.get("status")
        if status is not None and answer.status not in (status if isinstance(status, list) else [status]):
            yield "status", str(status), f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}"
            return
        for name in ("json", "json_exact"):
            if name in expect:
                tree, problem = decoded(answer.body)
                yield from ([("/", "JSON", problem)] if problem else differences(expect[name], tree))
        if "text" in expect:
            yield from differences(expect["text"], answer.body.decode("utf-8", "replace"))
        yield from differences(expect.get("headers", {}), dict(answer.headers), "headers")
        for name in expect.get("absent_headers", []):
            if (got := answer.header(name)) is not None:
                yield f"header {name}", "no such header", got
        if "image" in expect:
            seen = dict(zip(("format", "width", "height"), sniff(answer.body) or (None, 0, 0), strict=True))
            yield from differences(expect["image"], seen, "image")

    def advance(self, by: Any, _step: Any) -> Iterator[tuple[str, str, str]]:
        self.world.advance(parse_span(by))
        yield from ()

    def force(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        self.world.force(given["job"], given.get("failure") or "")
        yield from ()

    def balance(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        seen = str(self.world.ledger(self.session.contract.provider).get("balance", "0"))
        if Decimal(seen) != Decimal(str(given["equals"])):
            yield "balance", str(given["equals"]), seen

    def ledger(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        ledger = self.world.ledger(self.session.contract.provider)
        if "count" in given and len(ledger.get("charges", [])) != given["count"]:
            yield "charges", str(given["count"]), str(len(ledger.get("charges", [])))
        if "total" in given and Decimal(ledger.get("total", "0")) != Decimal(str(given["total"])):
            yield "total", str(given["total"]), str(ledger.get("total", "0"))

    def receiver(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        host, port = self.session.receiver_at
        made = self._stack.enter_context(Receiver(given.get("answers", [200]), host=host, port=port))
        self._receivers[given["name"]] = made
        self._names[given["name"]] = made.url
        yield from ()

    def received(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        hits = list(self._receivers[given["name"]].received)
        if "count" in given and len(hits) != given["count"]:
            yield "callbacks", str(given["count"]), str(len(hits))
        if "at" in given:
            moments = self.world.attempts(began=True)
            start = moments[0] if given.get("since", "first") == "first" and moments else self._began
            spans = [moment - start for moment in moments]
            if spans != [parse_span(span) for span in given["at"]]:
                yield "moments", ", ".join(given["at"]), ", ".join(f"{span}ms" for span in spans)
        if given.get("same_bytes") and len({hit.body for hit in hits}) > 1:
            yield "bytes", "the same each time", "different ones"
        if hits:
            yield from _last(given, hits[-1])

    def sigv4(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        query = parse_qs(urlsplit(given["url"]).query)
        if query.get("X-Amz-Expires", [""])[0] != str(given["expires"]):
            yield "X-Amz-Expires", str(given["expires"]), query.get("X-Amz-Expires", ["none"])[0]
        for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders"):
            if name not in query:
                yield name, "this parameter", "none"


def _last(given: Mapping[str, Any], last: Received) -> Iterator[tuple[str, str, str]]:
    """Look at the last callback that came."""
    names = {key.lower(): value for key, value in last.headers}
    tree, _ = decoded(last.body)
    if "json" in given:
        yield from differences(given["json"], tree)
    if "keys" in given:
        yield from differences({"$keys": given["keys"]}, tree)
    if "text" in given:
        yield from differences(given["text"], last.body.decode("utf-8", "replace"))
    if "hmac" in given:
        yield from _hmac(given["hmac"], last.body, names)
    yield from differences(given.get("headers", {}), names, "headers")
    for name in given.get("absent_headers", []):
        if name.lower() in names:
            yield f"header {name}", "no such header", names[name.lower()]


def _hmac(rule: Mapping[str, Any], body: bytes, headers: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    algorithm = rule.get("algorithm", "sha256").removeprefix("hmac_")
    digest = hmac.new(rule["secret"].encode(), body, algorithm).digest()
    wanted = digest.hex() if rule.get("encoding", "hex") == "hex" else b64encode(digest).decode()
    if headers.get(rule["header"].lower()) != wanted:
        yield f"header {rule['header']}", "the signature of the bytes", headers.get(rule["header"].lower(), "none")


_STEPS: dict[str, Callable[[_Player, Any, Any], Iterator[tuple[str, str, str]]]] = {
    "request": _Player.request,
    "advance": _Player.advance,
    "force": _Player.force,
    "balance": _Player.balance,
    "ledger": _Player.ledger,
    "receiver": _Player.receiver,
    "received": _Player.received,
    "sigv4": _Player.sigv4,
}
