"""Callbacks in bulk, and among hostile receivers; one command.

    python benchmarks/callbacks.py [--count 10000] [--good 200] [--each 20] [--rounds 6] [--json FILE] [--gate]

1. So many callbacks fall due in one virtual instant: all must reach a local receiver, in order, none lost.
2. Good deliveries on a real clock: alone, among as many more to 14 well-behaved receivers, and among as many to 14
   hostile ones (tests/support/hostile.py), both in a process of their own. That more is sent costs time whoever gets
   it; that the others are hostile may not double what a good delivery takes (p99, the best round of each).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fauxvider.embedded import Server, WorldHandle
from fauxvider.ports import Sender, SendOutcome
from fauxvider.receiver import Receiver
from fauxvider.server.app import ProviderApp
from support.hostile import HOSTILE, read_request, receiver, silent_listener

PATH = "/v1/models/black-forest-labs/flux-2-klein-4b/edit/runs"
# Every job ends in the same moment, whatever its length would have been, and its end is told.
RULES = [{"on": "job", "do": {"stuck": "queued"}}, {"on": "job", "do": {"cancel": "SPAN"}}]
BOUND = 2.0
PAUSE_S = 0.01


def scenario(span: str) -> dict[str, Any]:
    rules = json.loads(json.dumps(RULES).replace("SPAN", span))
    return {"scenario": 1, "name": "all at once", "provider": "runflow", "rules": rules}


def submit(server: Server, world: WorldHandle, hooks: list[str]) -> list[str]:
    """Submit a job for each callback address, in process; give their ids."""
    app, path = ProviderApp(server.emulator), f"/w/{world.name}/runflow{PATH}"

    async def one(hook: str) -> str:
        body = json.dumps({"input": {"prompt": "a fox"}, "callback_url": hook}).encode()
        headers = [(b"host", b"x"), (b"authorization", b"Bearer k"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
        }  # fmt: skip
        out: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            out.append(message)

        await app(scope, receive, send)
        return str(json.loads(out[1]["body"])["id"])

    async def every() -> list[str]:
        return [await one(hook) for hook in hooks]

    return server.call(every())


def bulk(count: int) -> dict[str, float]:
    """Let `count` callbacks fall due at once on a virtual clock; raises SystemExit when one is lost or out of order."""
    with Server(providers=["runflow"]) as server, Receiver() as hook:
        world = server.world(clock="manual", seed=1, scenario=scenario("1h"), limits="off", record=False)
        began = time.perf_counter()
        jobs = submit(server, world, [f"{hook.url}/hook"] * count)
        submitted = time.perf_counter()
        world.advance("1h")
        took = time.perf_counter() - submitted
        came = [json.loads(one.body)["run_id"] for one in hook.received]
        if came != jobs:
            raise SystemExit(
                f"{len(jobs)} jobs, {len(came)} callbacks; in order: {came == sorted(came, key=jobs.index)}"
            )
    return {"count": count, "submit_s": submitted - began, "deliver_s": took, "per_s": count / took}


# --- hostile receivers


async def well_behaved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def serve_hostile() -> None:
    """Serve every hostile receiver until standard input ends; print their ports."""
    # In life they burn another machine's processor: here they get what the sender leaves of this one's.
    os.nice(19)
    async with contextlib.AsyncExitStack() as stack:
        hostile, friendly = [], []
        for handler, *_ in HOSTILE.values():
            made = silent_listener() if handler is None else receiver(handler)
            hostile.append(await stack.enter_async_context(made))
            friendly.append(await stack.enter_async_context(receiver(well_behaved)))
        print(json.dumps({"hostile": hostile, "friendly": friendly}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def other_ports() -> Iterator[dict[str, list[int]]]:
    with subprocess.Popen(
        [sys.executable, __file__, "--serve-hostile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


class Timed:
    """A sender that notes how long each request to one address takes, from the wish to the outcome."""

    def __init__(self, sender: Sender, address: str) -> None:
        self._sender = sender
        self._address = address
        self.times: list[float] = []

    async def send(self, method: str, url: str, *rest: Any, timeout_s: float) -> SendOutcome:
        began = time.perf_counter()
        outcome = await self._sender.send(method, url, *rest, timeout_s=timeout_s)
        if url == self._address:
            if outcome.kind != "http":
                raise SystemExit(f"a good delivery came to {outcome}")
            self.times.append((time.perf_counter() - began) * 1000)
        return outcome


def good_times(good: int, others: list[str]) -> list[float]:
    """Deliver to a good receiver every few ms, with other addresses strewn in; give the ms of the good ones."""
    with Server(providers=["runflow"]) as server, Receiver() as hook:
        address = f"{hook.url}/hook"
        timed = server.emulator.settings.sender = Timed(server.emulator.settings.sender, address)
        world = server.world(clock="real", seed=1, scenario=scenario("50ms"), limits="off", record=False)
        each = len(others) // good + 1 if others else 0
        for number in range(good):
            some = others[number * each : (number + 1) * each]
            submit(server, world, [*some, address])
            time.sleep(PAUSE_S)
        hook.wait(good, timeout_s=60)
        world.drop()
        return timed.times


def among_hostile(good: int, each: int, rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {"alone": [], "friendly": [], "hostile": []}
    with other_ports() as ports:
        urls = {kind: [f"http://127.0.0.1:{port}/hook" for port in ports.get(kind, [])] * each for kind in found}
        for _ in range(rounds):
            for kind, taken in found.items():
                taken.append(p99(good_times(good, urls[kind])))
    best = {f"{kind}_p99_ms": min(taken) for kind, taken in found.items()}
    return {
        **best,
        "ratio": best["hostile_p99_ms"] / best["friendly_p99_ms"],
        "others": len(urls["hostile"]),
        "good": good,
    }


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def print_rows(bulk: dict[str, float], hostile: dict[str, float]) -> None:
    """Print the rows for the table of docs/benchmarks.md."""
    count, kinds = f"{bulk['count']:,.0f}", len(HOSTILE)
    print("\n| figure | goal | measured |\n|---|---|---|")
    print(f"| {count} callbacks due in one instant | in order, none lost | both, in {bulk['deliver_s']:.1f} s |")
    times = {kind: f"{hostile[f'{kind}_p99_ms']:.1f} ms" for kind in ("hostile", "friendly", "alone")}
    print(
        f"| good deliveries among {kinds} hostile receivers (p99), of those among as many friendly ones "
        f"| at most {BOUND:g}x | {hostile['ratio']:.2f}x "
        f"({times['hostile']}; {times['friendly']}; alone {times['alone']}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--each", type=int, default=20, help="deliveries to each hostile receiver")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gate", action="store_true", help="exit 1 when the bound is passed")
    parser.add_argument("--serve-hostile", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve_hostile:
        asyncio.run(serve_hostile())
        return
    found = {"bulk": bulk(given.count), "hostile": among_hostile(given.good, given.each, given.rounds)}
    row = found["bulk"]
    rate = f"{row['deliver_s']:.2f} s, {row['per_s']:,.0f} a second"
    print(f"bulk     {row['count']:,} callbacks due in one instant: {rate}, in order, none lost")
    row = found["hostile"]
    print(f"hostile  p99 of {row['good']} good deliveries beside {row['others']} others to {len(HOSTILE)} receivers:")
    shown = ", ".join(f"{kind} {row[f'{kind}_p99_ms']:.1f} ms" for kind in ("alone", "friendly", "hostile"))
    print(f"         {shown}; hostile of friendly {row['ratio']:.2f} (at most {BOUND:g})")
    print_rows(found["bulk"], found["hostile"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(1 if given.gate and found["hostile"]["ratio"] > BOUND else 0)


if __name__ == "__main__":
    main()
