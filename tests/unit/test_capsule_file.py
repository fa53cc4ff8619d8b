"""Capsule files: what is wrong is one line with its place; what is read is what was written."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fauxvider.capsule import CapsuleError, read_capsule, replay, reproduce_text
from fauxvider.capsule.reading import MAX_FILE

REQUEST = {"do": "request", "at": 0, "provider": "runpod", "path": "/x"}
GOOD: dict[str, Any] = {
    "capsule": 1,
    "fauxvider": "0.1.0",
    "world": {
        "name": "w",
        "seed": 7,
        "clock": "manual",
        "now": 1_767_225_600_000,
        "readings": {},
        "balances": {},
        "limits": "on",
        "scenario": None,
        "keys": [],
        "base_url": "http://127.0.0.1:8900",
        "metadata": True,
    },
    "contracts": {"runpod": "0" * 64},
    "prints": {"key-1": "0123456789abcdef"},
    "steps": [
        {**REQUEST, "method": "GET", "headers": {"range": "bytes=0-"}},
        {**REQUEST, "method": "PUT", "base64": "AP8=", "mark": "r2", "held": True},
        {"do": "advance", "at": 5, "span": 1000},
        {"do": "go", "at": 1005, "mark": "r2"},
        {"do": "note", "at": 1005, "said": "saved", "text": "x"},
    ],
    "journal_sha256": "0" * 64,
    "journal_trail": "00ff",
}  # fmt: skip


def _bytes(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _with(path: tuple[Any, ...], value: Any) -> bytes:
    tree = copy.deepcopy(GOOD)
    node: Any = tree
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return _bytes(tree)


def _without(*path: Any) -> bytes:
    tree = copy.deepcopy(GOOD)
    node: Any = tree
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    return _bytes(tree)


def test_what_is_read() -> None:
    capsule = read_capsule(_bytes(GOOD))
    get, put, advance, go, note = capsule.steps
    assert get.request is not None
    assert put.request is not None
    assert get.request.headers == [(b"range", b"bytes=0-")]
    assert (put.request.body, put.held, put.mark) == (b"\x00\xff", True, "r2")
    assert (advance.facts, go.mark, note.facts) == ({"span": 1000}, "r2", {"said": "saved", "text": "x"})


def test_a_packed_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "run.capsule.json.gz"
    path.write_bytes(gzip.compress(_bytes(GOOD)))
    assert read_capsule(path).world == GOOD["world"]


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        pytest.param(b"", "", "not JSON", id="empty"),
        pytest.param(b"\xff", "", "not JSON", id="no text"),
        pytest.param(b'{"capsule": 1, "capsule": 1}', "", "twice", id="a key twice"),
        pytest.param(b"[]", "", "not a capsule", id="a list"),
        pytest.param(_with(("capsule",), 2), "", "not a capsule", id="another version"),
        pytest.param(_with(("capsule",), True), "", "not a capsule", id="true is no version"),
        pytest.param(_with(("more",), 1), "", "'more' is not known", id="one key more"),
        pytest.param(_without("prints"), "", "'prints' is missing", id="one key less"),
        pytest.param(_with(("world",), []), "/world", "not a mapping", id="world"),
        pytest.param(_without("world", "seed"), "/world", "'seed' is missing", id="no seed"),
        pytest.param(_with(("world", "now"), -1), "/world/now", "not a whole number", id="now"),
        pytest.param(_with(("contracts", "runpod"), "x"), "/contracts/runpod", "not a SHA-256", id="contract digest"),
        pytest.param(_with(("prints", "key-1"), "sk-live"), "/prints/key-1", "not a fingerprint", id="print"),
        pytest.param(_with(("steps",), {}), "/steps", "not a list", id="steps"),
        pytest.param(_with(("steps", 0), 3), "/steps/0", "not a mapping", id="step"),
        pytest.param(_with(("steps", 0, "do"), "dance"), "/steps/0/do", "'dance' is not one of", id="do"),
        pytest.param(_with(("steps", 0, "do"), ["go"]), "/steps/0/do", "is not one of", id="do is a list"),
        pytest.param(_without("steps", 0, "do"), "/steps/0", "is not one of", id="no do"),
        pytest.param(_with(("steps", 0, "at"), 1.5), "/steps/0/at", "not a whole number", id="at"),
        pytest.param(_without("steps", 0, "path"), "/steps/0", "'path' is missing", id="no path"),
        pytest.param(_with(("steps", 0, "span"), 1), "/steps/0", "'span' is not known", id="foreign key"),
        pytest.param(_with(("steps", 0, "provider"), "moon"), "/steps/0/provider", "not among", id="provider"),
        pytest.param(_with(("steps", 0, "method"), "GET /"), "/steps/0/method", "not a method", id="method"),
        pytest.param(_with(("steps", 0, "query"), "\u20ac"), "/steps/0/query", "no request line", id="query"),
        pytest.param(_with(("steps", 0, "headers"), {"A B": ""}), "/steps/0/headers/A B", "name of a", id="header"),
        pytest.param(_with(("steps", 0, "site"), "moon"), "/steps/0/site", "not one of local, real", id="site"),
        pytest.param(_with(("steps", 1, "base64"), "!"), "/steps/1/base64", "not base64", id="base64"),
        pytest.param(_with(("steps", 1, "text"), "x"), "/steps/1", "text or base64", id="two bodies"),
        pytest.param(_without("steps", 1, "mark"), "/steps/1", "has a mark", id="held without a mark"),
        pytest.param(_with(("steps", 1, "turns"), 10**6), "/steps/1/turns", "so many turns", id="turns"),
        pytest.param(_with(("steps", 2, "span"), True), "/steps/2/span", "not a whole number", id="span"),
        pytest.param(_with(("journal_sha256",), "a"), "/journal_sha256", "not a SHA-256", id="journal"),
        pytest.param(_with(("journal_trail",), "abc"), "/journal_trail", "four hex digits", id="trail"),
        pytest.param(gzip.compress(_bytes(GOOD))[:-9], "", "cut off", id="cut gzip"),
        pytest.param(b"\x1f\x8bxxxxxxxxxxxxxxxx", "", "not gzip", id="no gzip"),
        pytest.param(gzip.compress(b" " * (MAX_FILE + 1)), "", "more than", id="a gzip bomb"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_with_its_place(data: bytes, place: str, problem: str) -> None:
    with pytest.raises(CapsuleError) as caught:
        read_capsule(data)
    assert problem in caught.value.problem
    assert caught.value.place is not None
    assert caught.value.place.pointer == place
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CapsuleError, match="cannot be read"):
        read_capsule(tmp_path / "none.json")


def test_another_contract_is_refused_by_both_digests() -> None:
    with pytest.raises(CapsuleError, match=r"/contracts/runpod: .*sha256 [0-9a-f]{64}, not 0{64} .*--any-contract"):
        replay(read_capsule(_bytes(GOOD)))


def test_a_contract_that_is_not_here_is_named() -> None:
    with pytest.raises(CapsuleError, match=r"/contracts/nowhere: .*not bundled.*--contract"):
        replay(read_capsule(_with(("contracts", "nowhere"), "0" * 64)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clock", "sundial"),
        ("seed", "x"),
        ("keys", [3]),
        ("limits", "sometimes"),
        ("scenario", {"scenario": 1}),
        ("name", "a b"),
        ("balances", {"nowhere": "1"}),
    ],
)
def test_a_world_that_cannot_be_made_is_told_with_its_place(name: str, value: Any) -> None:
    capsule = read_capsule(_with(("world", name), value))
    with pytest.raises(CapsuleError, match="/world: "):
        replay(capsule, any_contract=True)


def test_steps_that_do_not_fit_are_told_and_not_waited_for() -> None:
    tree = copy.deepcopy(GOOD)
    tree["steps"] = [
        {"do": "go", "at": 0, "mark": "r9"},
        {"do": "sent", "at": 0, "mark": "attempt runpod/x", "kind": "timeout", "digest": "aa"},
        {"do": "force", "at": 0, "job": "nobody"},
    ]
    result = replay(read_capsule(_bytes(tree)), any_contract=True)
    assert not result.matches
    assert "step 1: r9 does not go on" in result.first_difference


def test_reproduced_code_compiles_whatever_the_texts_are() -> None:
    nasty = '"""\\\n\x1b\u2028 \' {x} \ud7ff' + "a" * 300
    tree = copy.deepcopy(GOOD)
    tree["steps"][0] |= {"text": json.dumps({"prompt": nasty, "n": [1.5, None, True, {}]})}
    tree["steps"][4]["text"] = nasty
    tree["world"]["scenario"] = {"scenario": 1, "name": nasty[:100], "rules": []}
    capsule = read_capsule(_bytes(tree))
    text = reproduce_text(capsule)
    compile(text, "test_x.py", "exec")
    assert max(map(len, text.splitlines())) <= 120
