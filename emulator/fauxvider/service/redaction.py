"""What must not leave a world: API keys, idempotency keys, userinfo and query of addresses; and what stands in.

A stand-in behaves as the secret did: equal secrets have equal ones, an address keeps its length and shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import unquote

from fauxvider.contract.model import Contract
from fauxvider.engine.facts import ApiKey
from fauxvider.engine.plan import at_pointer
from fauxvider.gate import JsonRefusedError, parse_json
from fauxvider.service.wire import Request, header_of

__all__ = ["Redactor", "shown_address"]

_KEPT = frozenset({"content-type", "content-encoding", "range"})
_LONG = 8  # a shorter key is found in every second word
_ADDRESS = re.compile(
    r"(?P<head>(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?)(?:(?P<user>[^/?#]*)@)?(?P<place>[^?#]*)"
    r"(?P<query>\?[^#]*)?(?P<mark>#.*)?",
    re.DOTALL,
)
_WHOLE_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S+")
_ADDRESS_INSIDE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?:\\?/){2}[^\s\"'<>]+")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def shown_address(address: str, keys: Mapping[str, str] = _NOTHING) -> tuple[str, list[str]]:
    """Give an address of the same length without userinfo, query and fragment, and what was taken out.

    Where one of `keys` (long ones, with their stand-ins) stood in those, its stand-in does.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return address, []
    parts = {name: found[name] or "" for name in ("user", "query", "mark")}
    user = _masked(parts["user"], ":", keys) + "@" if found["user"] is not None else ""
    query, mark = (part[:1] + _masked(part[1:], "&=", keys) for part in (parts["query"], parts["mark"]))
    taken = [part for part in (parts["user"], parts["query"][1:], parts["mark"][1:]) if part]
    return f"{found['head']}{user}{found['place']}{query}{mark}", taken


def _masked(part: str, kept: str, keys: Mapping[str, str]) -> str:
    name = next((name for key, name in keys.items() if key in part or key in unquote(part)), "")
    if name and len(part) > len(name):
        return f"{name}{kept[0]}{'x' * (len(part) - len(name) - 1)}"
    return re.sub(f"[^{kept}]", "x", part)


class Redactor:
    """Gives stand-ins, and remembers what they stand for."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys: dict[str, str] = {}
        self._intents: dict[str, str] = {}
        self._asked: dict[int, frozenset[str]] = {}  # by the contract: headers that change what comes of a request
        for one in keys:
            self.key(one.key)

    @property
    def stand_ins(self) -> Iterator[tuple[str, str]]:
        """Give (stand-in, secret), keys first."""
        for known in (self._keys, self._intents):
            yield from ((name, secret) for secret, name in known.items())

    @property
    def long_keys(self) -> list[str]:
        """The API keys that can be told from other text."""
        return sorted((key for key in self._keys if len(key) >= _LONG), key=len, reverse=True)

    def key(self, secret: str) -> str:
        return self._keys.setdefault(secret, f"key-{len(self._keys) + 1}")

    def intent(self, contract: Contract, request: Request) -> str:
        """Give the idempotency key of a request, "" without one."""
        rules = contract.idempotency
        return (header_of(request, rules.header.lower().encode("latin-1")) or "") if rules else ""

    def headers(self, contract: Contract, request: Request) -> dict[str, str]:
        """Give the headers that an answer depends on, the first of each name."""
        accepted: dict[str, list[str]] = {}
        for one in contract.auth.accept:
            accepted.setdefault(one.header, []).append(one.scheme)
        intent = contract.idempotency.header.lower() if contract.idempotency else ""
        asked = self._asked.get(id(contract)) or self._asked.setdefault(id(contract), _asked_in_headers(contract))
        found: dict[str, str] = {}
        for raw, data in request.headers:
            name, value = raw.decode("latin-1"), data.decode("latin-1")
            if name in found:
                continue
            if name in accepted:
                found[name] = self._credentials(value, accepted[name])
            elif name == intent:
                found[name] = self._intents.setdefault(value, f"intent-{len(self._intents) + 1}") if value else ""
            elif name in asked:
                found[name] = value
        return found

    def _credentials(self, value: str, schemes: Iterable[str]) -> str:
        """Keep what is no secret of a header's value, as `checks.key_of` reads it."""
        head, blank, secret = value.partition(" ")
        for scheme in schemes:
            if not scheme:
                break
            if head.lower() == scheme.lower():
                return f"{head}{blank}{self.key(secret.strip()) if secret.strip() else ''}"
        return self.key(value.strip()) if value.strip() else ""

    def body(self, contract: Contract, body: bytes) -> tuple[bytes, list[str]]:
        """Give a body without secrets, and what was taken out of it; all else stays as it was, byte for byte.

        Every text that is an address as a whole loses its secrets, whatever its key: a client may have
        written the callback's address under a wrong one.
        """
        taken: list[str] = []
        try:
            tree = parse_json(body)
        except JsonRefusedError:
            is_json = False
            if _is_text(body):
                body = _ADDRESS_INSIDE.sub(lambda found: self._raw(found[0], taken), body)
        else:
            is_json = True
            callbacks = contract.callbacks
            address = at_pointer(tree, callbacks.address) if callbacks is not None else None
            body = _TOKEN.sub(lambda found: self._text(found[0], address, taken), body)
        for key in self.long_keys:
            if key.encode() in body:
                body = body.replace(key.encode(), self._keys[key].encode())
                taken.append(key)
            if is_json and (escaped := json.dumps(key)[1:-1].encode()) in body:
                body = body.replace(escaped, self._keys[key].encode())
        return body, taken

    def _text(self, token: bytes, address: object, taken: list[str]) -> bytes:
        if b"://" not in token and b":\\/" not in token and b"\\u" not in token and not isinstance(address, str):
            return token
        text = json.loads(token)
        if text != address and not _WHOLE_ADDRESS.fullmatch(text):
            return token
        shown, parts = shown_address(text, {key: self._keys[key] for key in self.long_keys})
        taken += parts
        return json.dumps(shown, ensure_ascii=False).encode() if parts else token

    def _raw(self, data: bytes, taken: list[str]) -> bytes:
        shown, parts = shown_address(data.decode("latin-1").replace("\\/", "/"))
        taken += parts
        return shown.encode("latin-1") if parts else data


def _asked_in_headers(contract: Contract) -> frozenset[str]:
    waits = [one.waits.header for one in contract.operations.values() if one.waits is not None]
    return frozenset({*_KEPT, *waits, *(one.header for one in contract.deadlines)} - {""})


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
