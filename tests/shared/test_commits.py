"""What a node knows of a commit that was refused: nothing was kept for certain, or perhaps it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from fauxvider.errors import StoreError
from fauxvider.stores.redis import RedisFile, RedisWorld
from support.valkey import Valkey


@pytest.fixture
def nodes(valkey: Valkey) -> Iterator[tuple[RedisFile, RedisFile]]:
    one, two = RedisFile(valkey.url, node="one"), RedisFile(valkey.url, node="two")
    yield one, two
    one.close()
    two.close()


async def owned(node: RedisFile) -> RedisWorld:
    """Make a world of a node."""
    await node.join("127.0.0.1:1")
    claim = await node.claim("w", make=True)
    assert claim is not None
    assert isinstance(claim.place, RedisWorld)
    claim.place.keep({"seed": 1}, {"now": 1})
    await claim.place.flush()
    return claim.place


def taken_over(valkey: Valkey, other: RedisFile) -> None:
    """Have the world's owner lose its lease, and another node claim the world."""
    valkey.client.delete("fauxvider:node:one")
    claim = asyncio.run(other.claim("w"))
    assert claim is not None
    assert claim.place is not None


def refused(place: RedisWorld) -> None:
    async def late() -> None:
        place.note_state({"now": 2})
        with pytest.raises(StoreError, match="another node's by now"):
            await place.flush()

    asyncio.run(late())


def test_what_is_refused_at_once_kept_nothing(valkey: Valkey, nodes: tuple[RedisFile, RedisFile]) -> None:
    place = asyncio.run(owned(nodes[0]))
    taken_over(valkey, nodes[1])
    refused(place)
    assert place.is_refused
    assert valkey.client.hget("fauxvider:world:w", "state") == b'{"now":1}'


def test_what_was_taken_and_is_refused_when_it_is_said_again_may_have_been_kept(
    valkey: Valkey, nodes: tuple[RedisFile, RedisFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost on the way: whoever asked must not have it done again elsewhere."""
    one, two = nodes
    place = asyncio.run(owned(one))
    said = one._said

    def cut(parts: Any) -> list[Any]:
        monkeypatch.setattr(one, "_said", said)
        assert said(parts) == [1]
        taken_over(valkey, two)
        raise redis.exceptions.ConnectionError("cut")

    monkeypatch.setattr(one, "_said", cut)
    refused(place)
    assert not place.is_refused
    assert valkey.client.hget("fauxvider:world:w", "state") == b'{"now":2}'


def test_what_is_said_again_after_a_cut_and_taken_is_kept(
    nodes: tuple[RedisFile, RedisFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = nodes
    place = asyncio.run(owned(one))
    said = one._said

    def cut(parts: Any) -> list[Any]:
        monkeypatch.setattr(one, "_said", said)
        raise redis.exceptions.ConnectionError("cut")

    async def keep() -> None:
        monkeypatch.setattr(one, "_said", cut)
        place.note_state({"now": 3})
        await place.flush()

    asyncio.run(keep())
    assert not place.lost


def test_what_is_too_long_for_one_call_is_kept_whole_or_not_at_all(
    valkey: Valkey, nodes: tuple[RedisFile, RedisFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fauxvider.stores.redis_writing._LONGEST", 40)
    monkeypatch.setattr("fauxvider.stores.redis_writing._WIDE", 5)
    place = asyncio.run(owned(nodes[0]))

    async def keep(first: int) -> None:
        for number in range(first, first + 100):
            place.add_entry(number, (number, "note", ("number",), (number,)))
        await place.flush()

    asyncio.run(keep(1))
    assert valkey.client.hlen("fauxvider:journal:w") == 100
    taken_over(valkey, nodes[1])
    with pytest.raises(StoreError, match="another node's by now"):
        asyncio.run(keep(101))
    assert valkey.client.hlen("fauxvider:journal:w") == 100
