"""Playing a documented case (docs/fixtures.md), step by step, on whatever stage: over HTTP, or in this process."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from fauxvider.contract.strict import pointer_parts
from fauxvider.engine.outputs import sniff
from fauxvider.engine.plan import at_pointer
from fauxvider.messages import first_header
from fauxvider.toolkit.verify.documented import body_of, differences
from fauxvider.toolkit.verify.wants import decoded
from fauxvider.values import parse_span

__all__ = ["Hook", "Message", "Player", "Reply", "Stage"]

_VARIABLE = re.compile(r"\$\{([\w.-]+)\}")


class Reply(Protocol):
    """An answer; its header names are in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...


class Message(Protocol):
    """A callback that came."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...


class Hook(Protocol):
    """A callback receiver: where it answers, and what it has got."""

    @property
    def url(self) -> str: ...
    @property
    def received(self) -> Sequence[Message]: ...


class Clock(Protocol):
    """The world of a case."""

    def now(self) -> int: ...
    def advance(self, ms: int) -> None: ...
    def force(self, job: str, failure: str = "") -> None: ...
    def attempts(self, *, began: bool = False) -> list[int]: ...
    def ledger(self, provider: str) -> Mapping[str, Any]: ...


class Stage(Protocol):
    """Where a case is played: one world of one provider; `send` and `hold` may raise NotAskedError."""

    @property
    def provider(self) -> str: ...
    @property
    def world(self) -> Clock: ...

    def base(self, origin: str) -> str: ...  # "" is the API
    def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply: ...
    def hold(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Callable[[], Reply]: ...
    def receiver(self, answers: Sequence[Any]) -> Hook: ...


class Player:
    """What a case has learnt so far, and what its steps do."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world
        self._names: dict[str, str] = {}
        self._receivers: dict[str, Hook] = {}
        self._held: dict[str, Callable[[], Reply]] = {}
        self._began = self._world.now()

    def play(self, step: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Do one step; give what came otherwise than expected: where, what was wanted, what came."""
        kind = next(key for key in step if key in _STEPS)
        yield from _STEPS[kind](self, self.fill(step[kind]), step)

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
        url = given["url"] if "url" in given else self._stage.base(given.get("origin") or "") + given["path"]
        if given.get("query"):
            url += ("&" if "?" in url else "?") + urlencode(given["query"])
        if given.get("concurrent"):
            self._held[str(step.get("as", "answer"))] = self._stage.hold(given["method"], url, headers, body)
            return
        for _ in range(int(given.get("repeat", 1)) - 1):
            self._stage.send(given["method"], url, headers, body)
        yield from self._take(self._stage.send(given["method"], url, headers, body), step)

    def answer(self, name: str, step: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Take the answer of a call that was held."""
        yield from self._take(self._held.pop(name)(), step)

    def _take(self, answer: Reply, step: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        yield from self._judge(answer, self.fill(step.get("expect", {})))
        tree, _ = decoded(answer.body)
        for name, pointer in step.get("save", {}).items():
            value = at_pointer(tree, pointer_parts(pointer))
            self._names[name] = value if isinstance(value, str) else str(value)

    def _judge(self, answer: Reply, expect: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
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
            if (got := first_header(answer.headers, name)) is not None:
                yield f"header {name}", "no such header", got
        if "image" in expect:
            seen = dict(zip(("format", "width", "height"), sniff(answer.body) or (None, 0, 0), strict=True))
            yield from differences(expect["image"], seen, "image")

    def advance(self, by: Any, _step: Any) -> Iterator[tuple[str, str, str]]:
        self._world.advance(parse_span(by))
        yield from ()

    def force(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        self._world.force(given["job"], given.get("failure") or "")
        yield from ()

    def balance(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        seen = str(self._world.ledger(self._stage.provider).get("balance", "0"))
        if Decimal(seen) != Decimal(str(given["equals"])):
            yield "balance", str(given["equals"]), seen

    def ledger(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        ledger = self._world.ledger(self._stage.provider)
        if "count" in given and len(ledger.get("charges", [])) != given["count"]:
            yield "charges", str(given["count"]), str(len(ledger.get("charges", [])))
        if "total" in given and Decimal(ledger.get("total", "0")) != Decimal(str(given["total"])):
            yield "total", str(given["total"]), str(ledger.get("total", "0"))

    def receiver(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        made = self._receivers[given["name"]] = self._stage.receiver(given.get("answers", [200]))
        self._names[given["name"]] = made.url
        yield from ()

    def received(self, given: Mapping[str, Any], _step: Any) -> Iterator[tuple[str, str, str]]:
        hits = list(self._receivers[given["name"]].received)
        if "count" in given and len(hits) != given["count"]:
            yield "callbacks", str(given["count"]), str(len(hits))
        if "at" in given:
            moments = self._world.attempts(began=True)
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


def _last(given: Mapping[str, Any], last: Message) -> Iterator[tuple[str, str, str]]:
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


_STEPS: dict[str, Callable[[Player, Any, Any], Iterator[tuple[str, str, str]]]] = {
    "request": Player.request,
    "answer": Player.answer,
    "advance": Player.advance,
    "force": Player.force,
    "balance": Player.balance,
    "ledger": Player.ledger,
    "receiver": Player.receiver,
    "received": Player.received,
    "sigv4": Player.sigv4,
}
