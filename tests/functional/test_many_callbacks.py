"""Many callbacks at once, and good receivers among bad ones; benchmarks/callbacks.py has the full sizes."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from fauxvider.embedded import Server, WorldHandle
from fauxvider.ports import SendOutcome
from fauxvider.receiver import Receiver
from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender
from support.hostile import HOSTILE, OK, answering, receiver, silent_listener
from support.patience import PATIENCE_S, until
from support.raw import RawClient

MANY = 1000


def at_once(span: str) -> dict[str, Any]:
    """Let every job end in the same moment, and tell of it."""
    rules = [{"on": "job", "do": {"stuck": "queued"}}, {"on": "job", "do": {"cancel": span}}]
    return {"scenario": 1, "name": "all at once", "provider": "runflow", "rules": rules}


def submit(server: Server, world: WorldHandle, hooks: list[str]) -> list[str]:
    path = world.base_url("runflow").removeprefix(server.url) + "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"
    jobs = []
    with RawClient(server.url) as client:
        for hook in hooks:
            body = json.dumps({"input": {"prompt": "a fox"}, "callback_url": hook}).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
            client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = client.answer()
            assert answer is not None
            jobs.append(json.loads(answer.body)["id"])
    return jobs


def test_a_thousand_callbacks_of_one_instant_come_in_order_and_none_is_lost() -> None:
    with Server(providers=["runflow"]) as server, Receiver() as hook:
        world = server.world(clock="manual", seed=1, scenario=at_once("1h"), limits="off")
        jobs = submit(server, world, [f"{hook.url}/hook"] * MANY)
        world.advance("1h")
        assert [json.loads(one.body)["run_id"] for one in hook.received] == jobs
        moments = {entry["at"] for entry in world.journal()["entries"] if entry["kind"] == "attempt"}
        assert len(moments) == 1


def test_good_receivers_do_not_wait_for_hostile_ones() -> None:
    async def ports(stack: AsyncExitStack) -> list[int]:
        made = [silent_listener() if handler is None else receiver(handler) for handler, *_ in HOSTILE.values()]
        return [await stack.enter_async_context(one) for one in made]

    with Server(providers=["runflow"]) as server, Receiver() as hook:
        stack = AsyncExitStack()
        hostile = [f"http://127.0.0.1:{port}/hook" for port in server.call(ports(stack))]
        try:
            world = server.world(clock="scaled:0.02", seed=1, scenario=at_once("10ms"), limits="off")
            jobs = submit(server, world, [url for _ in range(10) for url in (*hostile, f"{hook.url}/hook")])
            until(lambda: outcomes(world).count("http") >= 10 and hook.count == 10)
            assert {json.loads(one.body)["run_id"] for one in hook.received} <= set(jobs)
            # The hostile ones hold their attempts for ten seconds of so slow a clock; the good ones have not waited.
            assert "timeout" not in outcomes(world)
            world.drop()
        finally:
            server.call(stack.aclose())


def outcomes(world: WorldHandle) -> list[str]:
    return [entry["outcome"] for entry in world.journal()["entries"] if entry["kind"] == "attempt"]


def answered(*chunks: bytes) -> SendOutcome:
    async def ask() -> SendOutcome:
        async with receiver(answering(*chunks)) as port:
            return await Sender(EgressPolicy()).send(
                "POST", f"http://127.0.0.1:{port}/", [], b"{}", timeout_s=PATIENCE_S
            )

    return asyncio.run(ask())


def test_some_interim_answers_are_read_over_and_a_flood_is_cut_off() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    assert answered(interim * 16, OK).status == 200
    flooded = answered(interim * 17, OK)
    assert (flooded.kind, flooded.error) == ("network", "more than 16 interim answers")
