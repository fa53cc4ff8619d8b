"""Finding the intents that were charged more than once, and telling how that came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fauxvider.analysis.entries import Entry, is_lost, moment_of, shown, since_text, text_in, whole_in
from fauxvider.analysis.payments import Asked, Charge, Doubled, Group, Reason, total_of
from fauxvider.values import decimal_text

__all__ = ["find_doubles", "group_by"]

Tag: TypeAlias = tuple[str, ...]

_TIMES = {2: "twice", 3: "three times"}
_SHOWN = 8  # requests that a sentence names


def group_by(by: Literal["intent", "body"], charges: Iterable[Charge]) -> tuple[Group, ...]:
    """Group charges; those without an idempotency key (or body) are in no group."""
    groups: dict[Tag, list[Charge]] = {}
    for charge in charges:
        tag = _intent(charge) if by == "intent" else _body(charge)
        if tag:
            groups.setdefault(tag, []).append(charge)
    return tuple(Group(by, tag[1], tag[-1], tuple(found), total_of(found)) for tag, found in groups.items())


def _intent(charge: Charge) -> Tag:
    return ("intent", charge.provider, charge.intent) if charge.intent else ()


def _body(charge: Charge) -> Tag:
    # The model may stand in the path, and two accounts may well ask for the same picture.
    return ("body", charge.provider, charge.model, charge.key, charge.fingerprint) if charge.fingerprint else ()


def find_doubles(charges: Sequence[Charge], entries: Sequence[Entry], began: int) -> tuple[Doubled, ...]:
    """Give the sets of charges for one intent: by idempotency key or job, then by body.

    A body that was sent again because its answer did not come makes a set of its own; what is left of a body,
    each request with an answer, makes another one. No charge is an extra one in two of them.
    """
    submits = _submits(charges, entries)
    units = [_Unit.of(group, submits) for group in _connected(charges)]
    found = [_doubled(unit.charges, unit.asked, _sure(unit), began) for unit in units if len(unit.charges) > 1]
    bodies: dict[Tag, list[_Unit]] = {}
    for unit in sorted(units, key=lambda one: (one.began, one.first)):
        if tag := _body(unit.charges[0]):
            bodies.setdefault(tag, []).append(unit)
    for same in bodies.values():
        chains = list(_chains(same))
        for chain in chains:
            if len(chain) > 1:
                asked = [one for unit in chain for one in unit.asked]
                found.append(_doubled([unit.charges[0] for unit in chain], asked, "answer lost", began))
        if len(chains) > 1:
            answered = [one for chain in chains for one in chain[-1].asked[-1:]]
            found.append(_doubled([chain[0].charges[0] for chain in chains], answered, "same body", began))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Charges that surely belong together, and the requests that led to them."""

    charges: list[Charge]
    asked: list[Asked]

    @classmethod
    def of(cls, charges: list[Charge], submits: Mapping[tuple[str, str], Sequence[Asked]]) -> _Unit:
        jobs = dict.fromkeys((charge.provider, charge.job) for charge in charges)
        asked = [one for job in jobs for one in submits.get(job, ())]
        return cls(sorted(charges, key=lambda one: one.at), sorted(asked, key=lambda one: (one.at, one.number or 0)))

    @property
    def first(self) -> int:
        """The number of the first request: at one moment of virtual time there may be several."""
        return (self.asked[0].number or 0) if self.asked else 0

    @property
    def began(self) -> int:
        return self.asked[0].at if self.asked else self.charges[0].at


def _submits(charges: Sequence[Charge], entries: Sequence[Entry]) -> dict[tuple[str, str], list[Asked]]:
    jobs = {(charge.provider, charge.job) for charge in charges}
    found: dict[tuple[str, str], list[Asked]] = {}
    for entry in entries:
        job = (text_in(entry, "provider"), text_in(entry, "job"))
        if job in jobs and entry.get("kind") == "request" and text_in(entry, "does") == "submit":
            found.setdefault(job, []).append(_asked(entry))
    return found


def _asked(entry: Entry) -> Asked:
    fault, status, lost = text_in(entry, "fault"), whole_in(entry, "status"), is_lost(entry)
    fate = "answer lost" if lost else f"HTTP {status}" if status is not None else "no answer"
    return Asked(
        number=whole_in(entry, "number"),
        at=moment_of(entry),
        ended=max(moment_of(entry), whole_in(entry, "ended") or 0),
        job=text_in(entry, "job"),
        fate=f"{fate}: {shown(fault)}" if fault else fate,
        is_lost=lost or status is None or status >= 500,
    )


def _connected(charges: Sequence[Charge]) -> Iterable[list[Charge]]:
    """Put charges with the same idempotency key, or for the same job, together."""
    above = list(range(len(charges)))  # a forest: each charge points towards the first one of its group

    def root(number: int) -> int:
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    first: dict[Tag, int] = {}
    for number, charge in enumerate(charges):
        for tag in (("job", charge.provider, charge.job), _intent(charge)):
            if tag:
                one, other = sorted((root(first.setdefault(tag, number)), root(number)))
                above[other] = one
    groups: dict[int, list[Charge]] = {}
    for number, charge in enumerate(charges):
        groups.setdefault(root(number), []).append(charge)
    return groups.values()


def _sure(unit: _Unit) -> Reason:
    return "same job" if len({charge.job for charge in unit.charges}) == 1 else "same key"


def _chains(units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
    """Split the units of a body: one goes on with the last one if that had no good answer yet when it was sent."""
    chain: list[_Unit] = []
    for unit in units:
        last = chain[-1].asked[-1:] if chain else []
        if not any(one.is_lost or one.at < unit.began < one.ended for one in last):
            if chain:
                yield chain
            chain = []
        chain.append(unit)
    if chain:
        yield chain


# --- in words


def _doubled(charges: Sequence[Charge], asked: Sequence[Asked], reason: Reason, began: int) -> Doubled:
    moments = [one.at for one in asked] or [charge.at for charge in charges]
    first, *others = charges
    extra, apart = total_of(others), max(moments) - min(moments)
    times = _TIMES.get(len(charges), f"{len(charges)} times")
    money = f"{decimal_text(extra)} {shown(first.unit)} too much"
    unless = f"unless each of them was meant, {money}" if reason == "same body" else money
    sentence = f"{_how(charges, reason, times)}.{_requests_text(asked, began, apart)} {unless[0].upper()}{unless[1:]}."
    return Doubled(first.provider, reason, tuple(charges), tuple(asked), apart, extra, first.unit, sentence)


def _how(charges: Sequence[Charge], reason: Reason, times: str) -> str:
    if reason == "same job":
        return f"One job was charged {times}"
    if reason == "same key":
        return f"One intent was charged {times}: its requests had the same idempotency key"
    keys = {charge.intent for charge in charges}
    key = "without an idempotency key" if keys == {""} else "under another idempotency key"
    if reason == "answer lost":
        return f"One intent was charged {times}: without an answer, the client sent the same body again {key}"
    return f"The same body was sent and charged {times}, {key}, each time with an answer"


def _requests_text(asked: Sequence[Asked], began: int, apart: int) -> str:
    if not asked:
        return ""
    texts = [
        f"request {'?' if one.number is None else one.number} ({since_text(one.at - began)}, {one.fate})"
        for one in asked[:_SHOWN]
    ]
    if len(asked) > _SHOWN:
        texts.append(f"{len(asked) - _SHOWN} more")
    said = ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else texts[0]
    return f" R{said[1:]}{f', {since_text(apart)[1:]} apart' if len(asked) > 1 else ''}."
