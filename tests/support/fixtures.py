"""Runs the conformance fixtures (docs/fixtures.md) against the emulator in this process."""

from __future__ import annotations

import base64
import hmac
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fauxvider.values import parse_span
from support.inprocess import Answer, InProcess
from support.receiver import Receiver

ROOT = Path(__file__).parents[2] / "fixtures"
_VARIABLE = re.compile(r"\$\{([\w.-]+)\}")


def fixture_files() -> list[Path]:
    return sorted(
        path for path in ROOT.glob("*/*.json") if json.loads(path.read_text(encoding="utf-8")).get("steps") is not None
    )


class Mismatch(AssertionError):
    """What was expected and what came, with the JSON pointer."""


def check(expected: Any, actual: Any, at: str = "") -> None:
    """Match JSON as docs/fixtures.md says."""
    if isinstance(expected, dict):
        special = next((key for key in expected if key.startswith("$")), None)
        if special is not None:
            _check_special(special, expected[special], actual, at)
            return
        if not isinstance(actual, dict):
            raise Mismatch(f"{at or '/'}: expected an object, got {actual!r}")
        for key, value in expected.items():
            if isinstance(value, dict) and "$absent" in value:
                if key in actual:
                    raise Mismatch(f"{at}/{key}: expected to be absent, got {actual[key]!r}")
                continue
            if key not in actual:
                raise Mismatch(f"{at}/{key}: missing; there are {list(actual)}")
            check(value, actual[key], f"{at}/{key}")
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            raise Mismatch(f"{at or '/'}: expected {len(expected)} items, got {actual!r}")
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            check(one, other, f"{at}/{index}")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        raise Mismatch(f"{at or '/'}: expected {expected!r}, got {actual!r}")


_TYPES: dict[str, Any] = {
    "string": str, "number": (int, Decimal), "integer": int, "object": dict, "array": list, "boolean": bool,
    "null": type(None),
}  # fmt: skip


def _check_special(kind: str, value: Any, actual: Any, at: str) -> None:
    ok = {
        "$any": lambda: True,
        "$matches": lambda: isinstance(actual, str) and re.search(value, actual) is not None,
        "$type": lambda: isinstance(actual, _TYPES[value]) and (value == "boolean" or not isinstance(actual, bool)),
        "$keys": lambda: isinstance(actual, dict) and list(actual) == value,
        "$length": lambda: len(actual) == value,
    }
    if kind == "$not":
        try:
            check(value, actual, at)
        except Mismatch:
            return
        raise Mismatch(f"{at}: must not be {actual!r}")
    if kind == "$all":
        for one in value:
            check(one, actual, at)
    elif kind == "$json":
        check(value, _parse(actual), at)
    elif kind not in ok:
        raise Mismatch(f"{at}: unknown matcher {kind}")
    elif not ok[kind]():
        raise Mismatch(f"{at or '/'}: {kind} {value!r} does not fit {actual!r}")


def _parse(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


class Case:
    """One fixture at work."""

    def __init__(self, path: Path, emulator: InProcess) -> None:
        self.case = _parse(path.read_bytes())
        self.provider = path.parent.name
        self.host = emulator
        world = dict(self.case.get("world", {}))
        world.setdefault("clock", "manual")
        if "seed" in world:
            world["seed"] = int(world["seed"])
        self.world = emulator.world(**world)
        self.names: dict[str, str] = {}
        self.receivers: dict[str, Receiver] = {}
        self.moments: dict[str, list[int]] = {}
        self.pending: dict[str, Any] = {}
        self.began = self.world.clock.now()

    def run(self) -> None:
        try:
            for number, step in enumerate(self.case["steps"], 1):
                try:
                    self.step(step)
                except Mismatch as problem:
                    raise Mismatch(f"step {number} ({next(iter(step))}): {problem}") from None
        finally:
            for receiver in self.receivers.values():
                receiver.close()

    def fill(self, tree: Any) -> Any:
        if isinstance(tree, str):
            return _VARIABLE.sub(lambda found: self.names[found[1]], tree)
        if isinstance(tree, dict):
            return {self.fill(key): self.fill(value) for key, value in tree.items()}
        return [self.fill(item) for item in tree] if isinstance(tree, list) else tree

    def step(self, step: dict[str, Any]) -> None:
        kind = next(
            key for key in step if key in ("request", "advance", "force", "balance", "ledger", "receiver", "received",
                                           "sigv4", "answer")
        )  # fmt: skip
        getattr(self, f"do_{kind}")(self.fill(step[kind]), step)

    def do_request(self, request: Any, step: dict[str, Any]) -> None:
        given: dict[str, Any] = {"headers": request.get("headers"), "query": request.get("query")}
        self._body(request, given)
        if "url" in request:
            url = request["url"]
        else:
            url = self.host.base(self.world, self.provider, request.get("origin")) + request["path"]
        if request.get("concurrent"):
            self.pending[str(step.get("as", "answer"))] = self.host.start(request["method"], url, **given)
            return
        answer = None
        for _ in range(int(request.get("repeat", 1))):
            answer = self.host.request(request["method"], url, **given)
        assert answer is not None
        self._expect(answer, step)

    def do_answer(self, name: str, step: dict[str, Any]) -> None:
        self._expect(self.host.finish(self.pending.pop(name)), step)

    def _body(self, request: Any, given: dict[str, Any]) -> None:
        headers = {key.lower(): value for key, value in (request.get("headers") or {}).items()}
        if "json" in request:
            given["body"] = json.dumps(request["json"], default=float, ensure_ascii=False).encode()
            headers.setdefault("content-type", "application/json")
        elif "text" in request:
            given["body"] = request["text"].encode()
        elif "bytes_base64" in request:
            given["body"] = base64.b64decode(request["bytes_base64"])
        elif "fill" in request:
            fill = request["fill"]
            prefix, suffix = fill.get("prefix", "").encode(), fill.get("suffix", "").encode()
            middle = fill["byte"].encode() * (int(fill["total"]) - len(prefix) - len(suffix))
            given["body"] = prefix + middle + suffix
        elif "multipart" in request:
            given["body"] = _multipart(request["multipart"])
            headers.setdefault("content-type", "multipart/form-data; boundary=frontier")
        given["headers"] = headers

    def _expect(self, answer: Answer, step: dict[str, Any]) -> None:
        expect = self.fill(step.get("expect", {}))
        status = expect.get("status")
        statuses = status if isinstance(status, list) else [status]
        if status is not None and answer.status not in statuses:
            raise Mismatch(f"expected HTTP {status}, got {answer.status}: {answer.text[:400]}")
        if "json" in expect:
            check(expect["json"], _parse(answer.body))
        if "json_exact" in expect and _parse(answer.body) != expect["json_exact"]:
            raise Mismatch(f"expected exactly {expect['json_exact']}, got {answer.text}")
        if "text" in expect:
            check(expect["text"], answer.text)
        check(expect.get("headers", {}), answer.headers, "headers")
        for name in expect.get("absent_headers", []):
            if name.lower() in answer.headers:
                raise Mismatch(f"the header {name} is there")
        if "image" in expect:
            _check_image(expect["image"], answer.body)
        for name, pointer in step.get("save", {}).items():
            self.names[name] = _at(_parse(answer.body), pointer)

    def do_advance(self, by: Any, _step: Any) -> None:
        self.host.run(self.world.advance(parse_span(by)))

    def do_force(self, given: Any, _step: Any) -> None:
        failure = given.get("failure") or ""
        self.host.run(self.host.emulator.force(self.world.name, given["job"], failure=failure))

    def do_balance(self, given: Any, _step: Any) -> None:
        ledger = self.host.run(self.host.emulator.ledger(self.world.name))
        actual = ledger["providers"][self.provider]["balance"]
        if Decimal(actual) != Decimal(str(given["equals"])):
            raise Mismatch(f"the balance is {actual}, expected {given['equals']}")

    def do_ledger(self, given: Any, _step: Any) -> None:
        ledger = self.host.run(self.host.emulator.ledger(self.world.name))["providers"].get(self.provider, {})
        charges = ledger.get("charges", [])
        if "count" in given and len(charges) != given["count"]:
            raise Mismatch(f"{len(charges)} charges, expected {given['count']}")
        if "total" in given and Decimal(ledger.get("total", "0")) != Decimal(str(given["total"])):
            raise Mismatch(f"charged {ledger.get('total')} in all, expected {given['total']}")

    def do_receiver(self, given: Any, _step: Any) -> None:
        receiver = Receiver(given.get("answers", [200]))
        self.receivers[given["name"]] = receiver
        self.names[given["name"]] = receiver.url

    def do_received(self, given: Any, _step: Any) -> None:
        receiver = self.receivers[given["name"]]
        hits = receiver.received
        if "count" in given and len(hits) != given["count"]:
            raise Mismatch(f"{len(hits)} callbacks came, expected {given['count']}")
        if "at" in given:
            moments = self._attempt_moments(receiver.url)
            start = moments[0] if given.get("since", "first") == "first" and moments else self.began
            spans = [moment - start for moment in moments]
            if spans != [parse_span(span) for span in given["at"]]:
                raise Mismatch(f"attempts came after {spans} ms, expected {given['at']}")
        if given.get("same_bytes") and len({hit.body for hit in hits}) > 1:
            raise Mismatch("the bytes differ between attempts")
        if not hits:
            return
        last = hits[-1]
        if "json" in given:
            check(given["json"], _parse(last.body))
        if "text" in given:
            check(given["text"], last.body.decode())
        if "hmac" in given:
            check_hmac(given["hmac"], last.body, last.headers)
        if "keys" in given:
            check({"$keys": given["keys"]}, _parse(last.body))
        names = {key.lower(): value for key, value in last.headers}
        check(given.get("headers", {}), names, "headers")
        for name in given.get("absent_headers", []):
            if name.lower() in names:
                raise Mismatch(f"the header {name} is there")

    def _attempt_moments(self, url: str) -> list[int]:
        found = self.host.run(self.host.emulator.deliveries(self.world.name))
        return sorted(made["at"] for one in found if one["address"] == url for made in one["attempts"])

    def do_sigv4(self, given: Any, _step: Any) -> None:
        query = parse_qs(urlsplit(given["url"]).query)
        check(str(given["expires"]), query["X-Amz-Expires"][0], "X-Amz-Expires")
        for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders"):
            if name not in query:
                raise Mismatch(f"the URL has no {name}")


def check_hmac(rule: Any, body: bytes, headers: list[tuple[str, str]]) -> None:
    digest = hmac.new(rule["secret"].encode(), body, rule.get("algorithm", "sha256").removeprefix("hmac_")).digest()
    wanted = digest.hex() if rule.get("encoding", "hex") == "hex" else base64.b64encode(digest).decode()
    found = next((value for name, value in headers if name.lower() == rule["header"].lower()), None)
    if found != wanted:
        raise Mismatch(f"the signature is {found}, expected {wanted}")


def _at(tree: Any, pointer: str) -> Any:
    for name in pointer.split("/")[1:]:
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree


def _multipart(parts: Any) -> bytes:
    out = b""
    for part in parts:
        disposition = f'form-data; name="{part["name"]}"'
        if "filename" in part:
            disposition += f'; filename="{part["filename"]}"'
        data = base64.b64decode(part.get("bytes_base64", ""))
        head = f"--frontier\r\nContent-Disposition: {disposition}\r\n"
        if "media_type" in part:
            head += f"Content-Type: {part['media_type']}\r\n"
        out += head.encode() + b"\r\n" + data + b"\r\n"
    return out + b"--frontier--\r\n"


def _check_image(expected: Any, data: bytes) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        seen = {"format": (image.format or "").lower(), "width": image.width, "height": image.height}
    check(expected, seen, "image")
