"""Minted values: every id, token and random number of a world, derived from its seed.

A value is a function of the seed, a name and the parts that its scope names, so that the same
requests give the same bytes on every node and after every restart.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Final, TypeAlias

from fauxvider.contract.model import IdKind
from fauxvider.errors import ContractError

__all__ = ["TOKENS", "Mint", "Tokens"]

Tokens: TypeAlias = tuple[str | tuple[str, str], ...]
# (digest, offset of this token's bytes, moment) -> text
_Maker: TypeAlias = Callable[[bytes, int, int], str]
# A plan: how many random bytes are needed, and for every token its offset and maker.
_Plan: TypeAlias = tuple[int, tuple[tuple[int, str | _Maker], ...]]

_DIGEST: Final = 32
_MAC: Final = 10
_SERIAL: Final = 6
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_FOUR: Final = Struct(">4Q")
_MOMENTS: Final = (1 << 48) - 1
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_HUNDRED = [f"{number:02d}" for number in range(100)]


def _uuid4(_argument: str) -> tuple[int, _Maker]:
    def make(digest: bytes, at: int, _moment: int) -> str:
        text = digest[at : at + 16].hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"

    return 16, make


def _uuid7(_argument: str) -> tuple[int, _Maker]:
    def make(digest: bytes, at: int, moment: int) -> str:
        text = digest[at : at + 10].hex()
        time = f"{max(0, moment) & _MOMENTS:012x}"
        return f"{time[:8]}-{time[8:]}-7{text[:3]}-{_VARIANTS[text[3]]}{text[4:7]}-{text[8:]}"

    return 10, make


def _pairs(table: list[str]) -> Callable[[str], tuple[int, _Maker]]:
    """Make a token that spends two bytes on every two characters; no pair is 3 % likelier than another."""
    size = len(table)

    def token(argument: str) -> tuple[int, _Maker]:
        length = _count(argument)
        used = length + (length & 1)

        def make(digest: bytes, at: int, _moment: int) -> str:
            pairs = [table[(digest[i] << 8 | digest[i + 1]) % size] for i in range(at, at + used, 2)]
            return "".join(pairs)[:length]

        return used, make

    return token


def _hex(argument: str) -> tuple[int, _Maker]:
    length = _count(argument)
    used = (length + 1) // 2
    return used, lambda digest, at, _moment: digest[at : at + used].hex()[:length]


def _base64(argument: str) -> tuple[int, _Maker]:
    used = _count(argument)
    return used, lambda digest, at, _moment: b64encode(digest[at : at + used]).decode()


def _pick(argument: str) -> tuple[int, _Maker]:
    choices = argument.split("|")
    return 4, lambda digest, at, _moment: choices[int.from_bytes(digest[at : at + 4]) % len(choices)]


def _count(argument: str) -> int:
    if not (argument.isascii() and argument.isdigit() and 1 <= int(argument[:6]) <= 4096):
        raise ContractError(f"a token's length is 1 to 4096, not {argument!r}")
    return int(argument)


# token -> (its argument) -> (random bytes needed, maker)
TOKENS: dict[str, Callable[[str], tuple[int, _Maker]]] = {
    "uuid4": _uuid4,
    "uuid7": _uuid7,
    "alnum": _pairs([a + b for a in _LOWER for b in _LOWER]),
    "upper": _pairs([(a + b).upper() for a in _LOWER for b in _LOWER]),
    "hex": _hex,
    "digits": _pairs(_HUNDRED),
    "base64": _base64,
    "pick": _pick,
}


class Mint:
    """The derived randomness of one world. Pure: equal seeds and arguments give equal values."""

    __slots__ = ("_base", "_named", "_pad", "_plans", "_seal")

    def __init__(self, seed: int) -> None:
        self._key(blake2b(str(seed).encode(), digest_size=32, person=b"fauxvider mint").digest())

    def branch(self, name: str) -> Mint:
        """Give a mint of its own for a part of the world (a provider), with values unlike this one's."""
        branch = Mint.__new__(Mint)
        branch._key(self._bytes("branch", (name,), _DIGEST))
        return branch

    def _key(self, key: bytes) -> None:
        self._base = blake2b(key=key, digest_size=_DIGEST, person=b"values")
        self._seal = blake2b(key=key, digest_size=_MAC, person=b"seal")
        self._pad = blake2b(key=key, digest_size=_SERIAL, person=b"pad")
        # By identity, since hashing a kind would cost more than minting; the kind is kept, so the
        # number stays its own.
        self._plans: dict[int, tuple[IdKind, _Plan]] = {}
        self._named: dict[str, blake2b] = {}  # that have taken in a name already

    def value(self, kind: IdKind, *parts: str | int, moment: int) -> str:
        """Mint the value of a kind for what its scope names (an API key, a job's number, ...).

        `moment` (ms) goes into uuid7 alone. Raises ContractError for an unknown token.
        """
        known = self._plans.get(id(kind))
        if known is None:
            known = self._plans[id(kind)] = (kind, _plan(kind.tokens))
        return self._fill(known[1], kind.name, parts, moment)

    def pattern(self, name: str, tokens: Tokens, *parts: str | int, moment: int) -> str:
        """Mint from the tokens of a pattern that is no id of its own, such as a secret's value."""
        return self._fill(_plan(tokens), name, parts, moment)

    def text(self, name: str, length: int) -> str:
        """Give a fixed text of a-z0-9 (a key that nobody sees, for example)."""
        return self._fill(_plan((("alnum", str(length)),)), name, (), 0)

    def numbers(self, name: str, *parts: str | int, count: int) -> Sequence[int]:
        """Draw whole numbers from 0 to 2^64 - 1: `count` of them, or up to three more."""
        drawn: tuple[int, ...] = _FOUR.unpack(self._bytes(name, (*parts, 0), _DIGEST))
        while len(drawn) < count:
            drawn += _FOUR.unpack(self._bytes(name, (*parts, len(drawn) // 4), _DIGEST))
        return drawn

    def integer(self, name: str, *parts: str | int, low: int, high: int) -> int:
        """Draw a whole number, low <= number <= high. Its bias is under 2^-64 of the span's share."""
        span = high - low + 1
        if not 0 < span < 1 << 192:
            raise ValueError(f"no number lies between {low} and {high}")
        return low + int.from_bytes(self._bytes(name, parts, _DIGEST)) % span

    def token(self, serial: int) -> str:
        """Give the unguessable reference (32 characters of 0-9a-f) of a serial number below 2^48."""
        plain = serial.to_bytes(_SERIAL)
        seal = _digest(self._seal, plain)
        return (seal + _xor(plain, _digest(self._pad, seal))).hex()

    def serial(self, token: str) -> int | None:
        """Give the serial number of a reference that this world made, None for any other text."""
        try:
            raw = bytes.fromhex(token)
        except ValueError:
            return None
        if len(raw) != _MAC + _SERIAL or raw.hex() != token:
            return None
        seal = raw[:_MAC]
        plain = _xor(raw[_MAC:], _digest(self._pad, seal))
        return int.from_bytes(plain) if hmac.compare_digest(seal, _digest(self._seal, plain)) else None

    def _fill(self, plan: _Plan, name: str, parts: tuple[str | int, ...], moment: int) -> str:
        needed, makers = plan
        digest = self._bytes(name, parts, needed)
        return "".join([maker if isinstance(maker, str) else maker(digest, at, moment) for at, maker in makers])

    def _bytes(self, name: str, parts: tuple[str | int, ...], needed: int) -> bytes:
        # Lengths keep ("a", "bc") and ("ab", "c") apart.
        named = self._named.get(name)
        if named is None:
            named = self._named[name] = self._base.copy()
            named.update(f"{len(name)}:{name}".encode("utf-8", "surrogatepass"))
        hasher = named.copy()
        text = ""
        for part in parts:
            shown = str(part)
            text += f"{len(shown)}:{shown}"
        hasher.update(text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass"))
        digest = hasher.digest()
        while len(digest) < needed:
            hasher.update(b"+")
            digest += hasher.digest()
        return digest


def _digest(base: blake2b, data: bytes) -> bytes:
    hasher = base.copy()
    hasher.update(data)
    return hasher.digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


def _plan(tokens: Tokens) -> _Plan:
    at, makers = 0, list[tuple[int, str | _Maker]]()
    for token in tokens:
        if isinstance(token, str):
            makers.append((0, token))
            continue
        name, argument = token
        if name not in TOKENS:
            raise ContractError(f"there is no token {name!r}", allowed=" ".join(TOKENS))
        used, maker = TOKENS[name](argument)
        makers.append((at, maker))
        at += used
    return at, tuple(makers)
