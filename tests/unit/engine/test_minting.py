from __future__ import annotations

import re
import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.model import IdKind
from fauxvider.engine.minting import TOKENS, Mint
from fauxvider.errors import ContractError

NOW = 1_774_605_602_001
Token = str | tuple[str, str]


def kind(*tokens: Token, name: str = "run") -> IdKind:
    return IdKind(name, "job", tokens)


SYNC = kind("sync-", ("uuid4", ""), "-", ("pick", "u1|u2|e1"), name="sync")

SHAPES: list[tuple[tuple[Token, ...], str]] = [
    ((("uuid4", ""),), r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ((("uuid7", ""),), r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ((("alnum", "14"),), r"[a-z0-9]{14}"),
    ((("alnum", "1"),), r"[a-z0-9]"),
    (("whsec_", ("alnum", "33")), r"whsec_[a-z0-9]{33}"),
    ((("upper", "20"),), r"[A-Z0-9]{20}"),
    ((("hex", "7"),), r"[0-9a-f]{7}"),
    ((("hex", "64"),), r"[0-9a-f]{64}"),
    ((("digits", "9"),), r"[0-9]{9}"),
    ((("digits", "400"),), r"[0-9]{400}"),
    ((("pick", "us|eu"),), r"us|eu"),
    ((("pick", "one"),), r"one"),
    (("a", ("digits", "2"), "-", ("hex", "2"), "z"), r"a[0-9]{2}-[0-9a-f]{2}z"),
    (("fixed",), r"fixed"),
    ((), r""),
]


@pytest.mark.parametrize(("tokens", "pattern"), SHAPES, ids=range(len(SHAPES)))
def test_tokens(tokens: tuple[Token, ...], pattern: str) -> None:
    mint = Mint(1)
    values = {mint.value(kind(*tokens), number, moment=NOW) for number in range(200)}
    assert all(re.fullmatch(pattern, value) for value in values)
    assert mint.pattern("run", tokens, 7, moment=NOW) in values


def test_the_tokens_of_the_language() -> None:
    assert set(TOKENS) == {"uuid4", "uuid7", "alnum", "upper", "hex", "digits", "base64", "pick"}


@pytest.mark.parametrize(
    "tokens", [(("nope", ""),), (("hex", ""),), (("hex", "0"),), (("hex", "x"),), (("hex", "9999"),)]
)
def test_wrong_tokens(tokens: tuple[Token, ...]) -> None:
    with pytest.raises(ContractError):
        Mint(1).value(kind(*tokens), moment=NOW)


@given(st.integers(0, 2**64), st.integers(0, 2**47))
def test_uuids_are_valid(number: int, moment: int) -> None:
    mint = Mint(3)
    four = uuid.UUID(mint.value(kind(("uuid4", "")), number, moment=moment))
    seven = uuid.UUID(mint.value(kind(("uuid7", "")), number, moment=moment))
    assert (four.version, four.variant) == (4, uuid.RFC_4122)
    assert (seven.version, seven.variant) == (7, uuid.RFC_4122)
    assert seven.int >> 80 == moment


def test_equal_arguments_give_equal_values_and_nothing_else_does() -> None:
    one = [Mint(1).value(SYNC, number, moment=NOW) for number in range(300)]
    assert one == [Mint(1).value(SYNC, number, moment=NOW + 1) for number in range(300)]
    others = [Mint(2).value(SYNC, number, moment=NOW) for number in range(300)]
    renamed = [Mint(1).value(IdKind("other", "job", SYNC.tokens), number, moment=NOW) for number in range(300)]
    branch = [Mint(1).branch("acme").value(SYNC, number, moment=NOW) for number in range(300)]
    assert len({*one, *others, *renamed, *branch}) == 1200
    assert branch == [Mint(1).branch("acme").value(SYNC, number, moment=NOW) for number in range(300)]


def test_values_stay_the_same_from_release_to_release() -> None:
    mint = Mint(1)
    assert mint.value(SYNC, 1, moment=NOW) == "sync-29714bc5-27e5-4db6-8a23-b0babe1e33b6-e1"
    assert mint.integer("x", 1, low=1, high=1000) == 918
    assert mint.token(1) == "3140d2b6cc2d26b5ec2f2d9a5274694c"


def test_parts_do_not_run_into_each_other() -> None:
    mint = Mint(1)
    same = kind(("hex", "32"))
    parts: list[tuple[str | int, ...]] = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc",),
        ("a", "b", "c"),
        ("a", "", "bc"),
        (),
        ("",),
    ]
    assert len({mint.value(same, *part, moment=NOW) for part in parts}) == len(parts)


@given(st.lists(st.text() | st.integers()))
def test_any_parts_will_do(parts: list[str | int]) -> None:
    assert Mint(1).value(kind(("hex", "8")), *parts, moment=NOW)


def test_seeds_of_any_size() -> None:
    assert len({Mint(seed).token(1) for seed in (0, 1, -1, 2**64, -(2**200))}) == 5


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**70))
def test_integers_stay_within_their_bounds(low: int, width: int) -> None:
    assert low <= Mint(1).integer("x", low=low, high=low + width) <= low + width


def test_integers_are_even() -> None:
    mint = Mint(1)
    counts = Counter(mint.integer("die", number, low=1, high=6) for number in range(12_000))
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert all(1800 < count < 2200 for count in counts.values())


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, 2**192)])
def test_impossible_bounds(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="no number lies between"):
        Mint(1).integer("x", low=low, high=high)


def test_numbers() -> None:
    first = Mint(1).numbers("plan", 7, 0, count=50)
    assert first == Mint(1).numbers("plan", 7, 0, count=50)
    assert len({*first[:50], *Mint(1).numbers("plan", 7, 1, count=50)[:50]}) == 100
    assert [*first[:3]] == [*Mint(1).numbers("plan", 7, 0, count=3)[:3]]
    assert all(0 <= number < 2**64 for number in first)


def test_text() -> None:
    assert re.fullmatch(r"[a-z0-9]{40}", Mint(1).text("key", 40))
    assert Mint(1).text("key", 40) != Mint(1).text("other", 40)


@given(st.integers(0, 2**48 - 1))
def test_a_reference_leads_back_to_its_serial_number(serial: int) -> None:
    mint = Mint(5)
    token = mint.token(serial)
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert mint.serial(token) == serial
    assert Mint(6).serial(token) is None
    assert mint.branch("acme").serial(token) is None


def test_references_of_neighbours_share_nothing() -> None:
    mint = Mint(1)
    tokens = [mint.token(serial) for serial in range(2000)]
    for at in range(0, 32, 4):
        assert len({token[at : at + 4] for token in tokens}) > 1900
    with pytest.raises(OverflowError):
        mint.token(2**48)


def test_every_single_edit_of_a_reference_is_refused() -> None:
    mint = Mint(1)
    token = mint.token(77)
    for at in range(32):
        for other in "0123456789abcdefABCDEFg-/ ":
            if other != token[at]:
                assert mint.serial(token[:at] + other + token[at + 1 :]) is None
    for text in (
        "",
        token[:-1],
        token + "0",
        token.upper(),
        f" {token}",
        token[:16] + " " + token[16:],
        "é" * 32,
        "\ud800",
    ):
        assert mint.serial(text) is None


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert Mint(1).serial(text) is None
