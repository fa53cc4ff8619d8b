"""Finding the intents that were charged more than once, and telling how that came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """Give the sets of charges that hang together by idempotency key, body or job; no charge is in two of them."""
    found = [group for group in _connected(charges) if len(group) > 1]
    jobs = {(charge.provider, charge.job) for group in found for charge in group}
    requests: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        job = (text_in(entry, "provider"), text_in(entry, "job"))
        if job in jobs and entry.get("kind") == "request" and text_in(entry, "does") in ("submit", "retry"):
            requests.setdefault(job, []).append(entry)
    return tuple(_doubled(group, requests, began) for group in found)


def _connected(charges: Sequence[Charge]) -> Iterable[list[Charge]]:
    above = list(range(len(charges)))  # a forest: each charge points towards the first one of its group

    def root(number: int) -> int:
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    first: dict[Tag, int] = {}
    for number, charge in enumerate(charges):
        for tag in (("job", charge.provider, charge.job), _intent(charge), _body(charge)):
            if tag:
                one, other = sorted((root(first.setdefault(tag, number)), root(number)))
                above[other] = one
    groups: dict[int, list[Charge]] = {}
    for number, charge in enumerate(charges):
        groups.setdefault(root(number), []).append(charge)
    return groups.values()


def _doubled(charges: list[Charge], requests: dict[tuple[str, str], list[Entry]], began: int) -> Doubled:
    charges.sort(key=lambda charge: charge.at)
    jobs = dict.fromkeys((charge.provider, charge.job) for charge in charges)
    asked = [_asked(entry) for job in jobs for entry in requests.get(job, ())]
    asked.sort(key=lambda one: (one.at, one.number or 0))
    moments = [one.at for one in asked] or [charge.at for charge in charges]
    first, *others = charges
    reason = _reason(charges, asked)
    extra, apart = total_of(others), max(moments) - min(moments)
    sentence = (
        f"One intent was charged {_TIMES.get(len(charges), f'{len(charges)} times')}: {_how(charges, reason)}."
        f"{_requests_text(asked, began, apart)} {decimal_text(extra)} {shown(first.unit)} too much."
    )
    return Doubled(first.provider, reason, tuple(charges), tuple(asked), apart, extra, first.unit, sentence)


def _asked(entry: Entry) -> Asked:
    fault, status, lost = text_in(entry, "fault"), whole_in(entry, "status"), is_lost(entry)
    fate = "answer lost" if lost else f"HTTP {status}" if status is not None else "no answer"
    return Asked(
        number=whole_in(entry, "number"),
        at=moment_of(entry),
        job=text_in(entry, "job"),
        fate=f"{fate}: {shown(fault)}" if fault else fate,
        is_lost=lost,
    )


def _reason(charges: Sequence[Charge], asked: Sequence[Asked]) -> Reason:
    if len({charge.job for charge in charges}) == 1:
        return "same job"
    keys = [charge.intent for charge in charges if charge.intent]
    if len(set(keys)) < len(keys):
        return "same key"
    return "answer lost" if any(one.is_lost for one in asked[:-1]) else "same body"


def _how(charges: Sequence[Charge], reason: Reason) -> str:
    if reason == "same job":
        return "the charges are for the same job"
    if reason == "same key":
        return "its requests had the same idempotency key"
    keys = {charge.intent for charge in charges}
    if keys == {""}:
        return "the same body was sent again without an idempotency key"
    return "the same body was sent again under another idempotency key"


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
