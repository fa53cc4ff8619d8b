"""Who may have a worker process, and who must give it up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fauxvider.renderers.diffusers.places import Places


class Folder:
    """Something that holds a worker; it notes when it gives it up."""

    def __init__(self, name: str, story: list[str]) -> None:
        self.name, self.story = name, story
        self.ended = asyncio.Event()
        self.ended.set()

    def dismiss(self) -> asyncio.Task[None]:
        self.story.append(f"{self.name} goes")
        return asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.ended.wait()
        self.story.append(f"{self.name} gone")


class Street:
    """Folders and their places, for a test."""

    def __init__(self, limit: int, names: str = "abc") -> None:
        self.story: list[str] = []
        self.places = Places(limit)
        self.folders = {name: Folder(name, self.story) for name in names}
        self._since = 0.0

    def ask(self, name: str, since: float | None = None) -> asyncio.Task[None]:
        self._since += 1
        folder = self.folders[name]

        async def take() -> None:
            await self.places.take(folder, since if since is not None else self._since)
            self.story.append(f"{name} works")

        return asyncio.create_task(take())

    async def leave(self, name: str) -> None:
        self.places.leave(self.folders[name])
        await self.rest()

    async def rest(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_with_a_place_each_nobody_waits_or_goes() -> None:
    async def test() -> None:
        street = Street(3)
        for name in "abc":
            await street.ask(name)
        await street.leave("b")
        await street.ask("b")
        assert street.story == ["a works", "b works", "c works", "b works"]

    run(test())


def test_the_longest_idle_goes_and_has_ended_before_the_place_is_used() -> None:
    async def test() -> None:
        street = Street(2)
        for name in "ab":
            await street.ask(name)
        await street.leave("b")
        await street.leave("a")
        street.folders["b"].ended.clear()
        asked = street.ask("c")
        await street.rest()
        assert street.story[2:] == ["b goes"]
        street.folders["b"].ended.set()
        await asked
        assert street.story[2:] == ["b goes", "b gone", "c works"]

    run(test())


def test_a_busy_worker_is_waited_for_and_jobs_go_by_their_age() -> None:
    async def test() -> None:
        street = Street(1)
        await street.ask("a", 1)
        late, early = street.ask("b", 5), street.ask("c", 3)
        await street.rest()
        assert street.story == ["a works"]
        await street.leave("a")
        again = street.ask("a", 4)  # older than b's job: it goes first, though b waits longer for a place
        await street.rest()
        assert street.story == ["a works", "a goes", "a gone", "c works"]
        for name in "cab":
            await street.leave(name)
        await asyncio.gather(late, early, again)
        assert [line for line in street.story if "works" in line] == ["a works", "c works", "a works", "b works"]

    run(test())


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def test() -> None:
        street = Street(1)
        await street.ask("a")
        waiting, behind = street.ask("b"), street.ask("c")
        await street.rest()
        waiting.cancel()
        await street.leave("a")
        await behind
        assert street.story == ["a works", "a goes", "a gone", "c works"]

    run(test())


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_never_more_workers_than_places_and_everybody_gets_one(limit: int, moves: list[tuple[str, bool]]) -> None:
    async def test() -> None:
        street = Street(limit)
        asked: dict[str, asyncio.Task[None]] = {}
        for name, leaves in moves:
            if name not in asked:
                asked[name] = street.ask(name)
            elif leaves and asked[name].done():
                await street.leave(name)
                del asked[name]
            await street.rest()
        while any(not task.done() for task in asked.values()):
            for name in [name for name, task in asked.items() if task.done()]:
                del asked[name]
                await street.leave(name)
        alive: set[str] = set()
        for line in street.story:
            name, what = line.split()
            (alive.add if what == "works" else alive.discard)(name)
            assert len(alive) <= limit

    run(test())
