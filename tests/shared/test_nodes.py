"""Two nodes on one store: each answers for every world, and no world has two truths."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import pytest

from fauxvider import Receiver, Server, WorldHandle
from fauxvider.errors import StoreError, UnknownWorldError, UsageError
from fauxvider.server.shared import Node
from fauxvider.server.shared_control import SharedControl
from fauxvider.service.world import World
from fauxvider.stores.redis import RedisFile
from fauxvider.stores.redis_reading import read_facts
from support.valkey import Valkey

FLUX = "/v2/black-forest-labs-flux-1-dev"
KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}
PATIENCE_S = 60


def ask(url: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {**KEY, **headers}), timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


def status_of(url: str, body: Any = None, **headers: str) -> int:
    try:
        ask(url, body, **headers)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def until(fact: Callable[[], Any]) -> Any:
    """Look until something is so; the wait is somebody else's work, of unknown length."""
    pause = Event()
    for _ in range(round(PATIENCE_S / 0.02)):
        if found := fact():
            return found
        pause.wait(0.02)
    raise AssertionError(f"still not so: {fact}")


@contextmanager
def node(valkey: Valkey, **options: Any) -> Iterator[Server]:
    with Server(providers=["runpod", "runflow"], store=valkey.url, **options) as server:
        yield server


def at(server: Server, world: WorldHandle, provider: str = "runpod") -> str:
    """Give the address of another one's world at a node."""
    return f"{server.url}/w/{world.name}/{provider}"


def submit(base: str, **extra: Any) -> str:
    return str(ask(f"{base}{FLUX}/run", {"input": {"prompt": "a lighthouse"}, **extra})["id"])


def node_of(server: Server) -> Node:
    assert server._node is not None
    return server._node


def test_a_job_of_one_node_is_known_at_the_other(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two, one.world(clock="manual", record=False) as world:
        job = submit(at(two, world))
        assert ask(f"{at(one, world)}{FLUX}/status/{job}")["status"] == "IN_QUEUE"
        world.advance("1m")
        done = ask(f"{at(two, world)}{FLUX}/status/{job}")
        assert done == ask(f"{at(one, world)}{FLUX}/status/{job}")
        place = done["output"]["image_url"].removeprefix(one.url)
        with urllib.request.urlopen(two.url + place) as here, urllib.request.urlopen(one.url + place) as there:
            assert here.read() == there.read()


def test_a_body_of_any_bytes_and_its_refusal_pass(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two, one.world(clock="manual", record=False) as world:
        for body in (b"\xff\x00{", b'{"input": {"prompt": "x", "prompt": "y"}}', b"", b"[" * 5000):
            answers = []
            for server in (one, two):
                request = urllib.request.Request(f"{at(server, world)}{FLUX}/run", body, KEY)
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request)
                answers.append((refused.value.code, refused.value.read()))
            assert answers[0] == answers[1]


def test_a_world_of_another_node_is_unknown_in_neither_and_one_of_none_in_both(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two, one.world(record=False) as world:
        assert status_of(f"{at(two, world)}{FLUX}/status/none") == 404
        for server in (one, two):
            request = urllib.request.Request(f"{server.url}/w/nowhere/runpod{FLUX}/status/x", headers=KEY)
            with pytest.raises(urllib.error.HTTPError) as stray:
                urllib.request.urlopen(request)
            assert b"there is no world 'nowhere'" in stray.value.read()


def test_an_idempotency_key_holds_across_nodes(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two, one.world(clock="manual", record=False) as world:
        model = "/v1/models/flux-1-dev/edit"
        body = {"prompt": "x", "image_url": "data:image/png;base64,AA=="}
        found = []
        for server in (one, two, one):
            request = urllib.request.Request(
                f"{at(server, world, 'runflow')}{model}/runs",
                json.dumps(body).encode(),
                {**KEY, "Idempotency-Key": "once"},
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    found.append(answer.read())
            except urllib.error.HTTPError as error:
                found.append(error.read())
        assert len(set(found)) == 1 or found[1] == found[2]
        assert len(world.jobs()) <= 1


def test_a_limit_counts_what_comes_through_every_node(valkey: Valkey) -> None:
    with (
        node(valkey) as one,
        node(valkey) as two,
        one.world(clock="manual", limits={"factor": "0.01"}, record=False) as world,
    ):
        codes = [status_of(f"{at(server, world)}{FLUX}/run", {"input": {"prompt": "x"}}) for server in (one, two) * 20]
        alone = one.world(clock="manual", limits={"factor": "0.01"}, record=False)
        expected = [status_of(f"{at(one, alone)}{FLUX}/run", {"input": {"prompt": "x"}}) for _ in range(40)]
        assert codes == expected
        assert 429 in codes


def test_a_fault_on_the_wire_reaches_the_client_of_either_node(valkey: Valkey) -> None:
    rules = [{"on": "request", "when": {"does": "submit"}, "do": {"lose": "reset"}}]
    scenario = {"scenario": 1, "name": "lost", "rules": rules}
    with node(valkey) as one, node(valkey) as two, one.world(clock="manual", scenario=scenario, record=False) as world:
        for server in (one, two):
            with pytest.raises((ConnectionResetError, urllib.error.URLError)) as cut:
                ask(f"{at(server, world)}{FLUX}/run", {"input": {"prompt": "x"}})
            assert not isinstance(cut.value, urllib.error.HTTPError)
        assert len(world.jobs()) == 2


def test_a_name_that_another_node_has_cannot_be_made_in_process(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two, one.world(name="mine", record=False):
        with pytest.raises(UsageError, match="another process has a world 'mine'"):
            two.world(name="mine")
        with pytest.raises(UsageError, match="another process has the world 'mine'"):
            two.find("mine")
        with pytest.raises(UnknownWorldError):
            two.find("other")


def test_who_ends_leaves_its_worlds_to_the_others_at_once(valkey: Valkey) -> None:
    with node(valkey) as two:
        with node(valkey) as one:
            world = one.world(name="mine", clock="manual", record=False)
            job = submit(at(one, world))
            world.advance("3s")
            now = world.now()
        taken = two.find("mine")
        assert taken.now() == now
        taken.advance("1m")
        assert ask(f"{at(two, taken)}{FLUX}/status/{job}")["status"] == "COMPLETED"
        assert len(taken.ledger()["providers"]["runpod"]["charges"]) == 1


def test_a_limit_is_not_forgotten_when_a_world_moves(valkey: Valkey) -> None:
    def codes(base: str, count: int) -> list[int]:
        return [status_of(f"{base}{FLUX}/run", {"input": {"prompt": "x"}}) for _ in range(count)]

    options: dict[str, Any] = {"clock": "manual", "limits": {"factor": "0.01"}, "record": False}
    with node(valkey) as two:
        with node(valkey) as one:
            alone = one.world(**options)
            expected = codes(at(one, alone), 30)
            before = codes(at(one, one.world(name="mine", **options)), 9)
        assert before + codes(at(two, two.find("mine")), 21) == expected
        assert 429 in expected


def test_callbacks_of_a_node_that_is_gone_are_sent_by_another(valkey: Valkey) -> None:
    with Receiver() as receiver, node(valkey) as two:
        with node(valkey) as one:
            world = one.world(name="mine", clock="scaled:2", record=False)  # two seconds, in which this node has to end
            submit(at(one, world), webhook=receiver.url + "/hook")
        receiver.wait(1, timeout_s=PATIENCE_S)  # nobody asks for the world: what is due is looked after all the same
        assert until(lambda: two.emulator.find_world("mine")) is not None
        assert len(receiver.received) == 1


def test_an_owner_whose_lease_ran_out_writes_nothing_more(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two:
        world = one.world(name="mine", clock="manual", record=False)
        submit(at(one, world))
        file = node_of(one).sharing.file
        valkey.client.delete(f"fauxvider:node:{file.node}")  # as if it had slept through its lease

        async def beats_no_more() -> None:
            await node_of(one).sharing.stop()

        one.call(beats_no_more())
        job = submit(at(two, world))  # the other one takes over
        one.emulator.world("mine").requests += 1

        async def late() -> None:
            await one.emulator.world("mine").keep({"late": True})

        with pytest.raises(StoreError, match="another node's by now"):
            one.call(late())
        found = submit(at(one, world))  # and the old owner passes on
        assert [shown["id"] for shown in two.find("mine").jobs()][:2] == [found, job]
        assert one.emulator.find_world("mine") is None


def test_a_world_that_is_another_nodes_by_now_is_not_said_to_be_dropped(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two:
        submit(at(one, one.world(name="mine", clock="manual", record=False)))

        async def sleep_through_the_lease() -> None:
            await node_of(one).sharing.stop()

        one.call(sleep_through_the_lease())
        valkey.client.delete(f"fauxvider:node:{node_of(one).sharing.file.node}")
        taken = two.find("mine")
        with pytest.raises(StoreError, match="another node's by now"):
            one.call(one.emulator.dropped("mine"))
        assert len(taken.jobs()) == 1
        two.call(two.emulator.dropped("mine"))
        assert not valkey.client.keys("fauxvider:*:mine")


def test_a_fault_while_worlds_are_looked_after_does_not_end_the_lease(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    async def unserved(now: int) -> list[str]:
        looks.append(now)
        raise ValueError("a fault")

    with node(valkey) as one:
        file = node_of(one).sharing.file
        monkeypatch.setattr(file, "unserved", unserved)
        assert until(lambda: len(looks) > 2)
        assert valkey.client.exists(f"fauxvider:node:{file.node}")


def test_a_node_that_is_started_again_at_an_address_is_another_one(valkey: Valkey) -> None:
    """As on a machine that lost its power: the old connection stands, and nobody answers there."""
    with node(valkey) as one, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        job = submit(at(one, one.world(name="mine", clock="manual", record=False)))

        def own(name: str, millis: int) -> None:
            valkey.client.set(f"fauxvider:node:{name}", address, px=millis)
            valkey.client.hset("fauxvider:world:mine", mapping={"owner": name, "fence": f"of {name}"})

        async def forget() -> None:
            one.emulator.forget_world("mine")

        one.call(forget())
        own("old", 60_000)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(ask, f"{one.url}/w/mine/runpod{FLUX}/status/{job}")
            with silent.accept()[0]:
                own("new", 60_000)
                with silent.accept()[0]:
                    valkey.client.delete("fauxvider:node:new")
                    assert answer.result(timeout=PATIENCE_S)["status"] == "IN_QUEUE"


def test_a_world_that_its_owner_cannot_read_is_503_at_every_node(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two:
        submit(at(one, one.world(name="mine", clock="manual", record=False)))

        async def forget() -> None:
            one.emulator.forget_world("mine")

        one.call(forget())
        valkey.client.hset("fauxvider:facts:mine", "runpod/job/1", b"{")
        for server in (one, two):
            with pytest.raises(urllib.error.HTTPError) as refused:
                submit(f"{server.url}/w/mine/runpod")
            assert refused.value.code == 503
            assert b"the world 'mine' of the store is damaged" in refused.value.read()


def test_a_fault_of_the_owner_is_told_by_who_asked_it(valkey: Valkey) -> None:
    async def faulty(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a fault")

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with node(valkey) as one, node(valkey) as two, one.world(name="mine", record=False):
        SharedControl(faulty, node_of(one))
        asking = SharedControl(faulty, node_of(two))
        for path in ("/worlds/mine", "*"):
            scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
            if path == "*":
                with pytest.raises(ValueError, match="a fault"):  # not one of ours
                    two.call(asking(scope, receive, send))
            else:
                two.call(asking(scope, receive, send))
    assert sent[0]["status"] == 500
    assert b"its log says why" in sent[1]["body"]


def test_what_is_known_of_worlds_goes_with_them(valkey: Valkey) -> None:
    with node(valkey) as one, node(valkey) as two:
        for _ in range(3):
            world = one.world(clock="manual", record=False)
            for _ in range(2):
                submit(at(two, world))
            one.call(one.emulator.dropped(world.name))
            again = one.world(name=world.name, clock="manual", record=False)
            again = one.world(name=world.name, clock="manual", record=False)
            submit(at(two, again))
            one.call(one.emulator.dropped(again.name))
        file = one.emulator.file
        assert isinstance(file, RedisFile)
        assert list(file._places) == ["default"]


class Twice:
    """A connection that comes upon everything twice in a scan, which a server may while it moves a hash."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def hmget(self, *asked: str) -> Any:
        return self._client.hmget(*asked)

    def hscan_iter(self, key: str, count: int) -> Iterator[Any]:
        for field, value in self._client.hscan_iter(key, count=count):
            yield from ((field, value), (field, value))


def test_what_a_scan_comes_upon_twice_is_there_once(valkey: Valkey) -> None:
    with Receiver() as receiver, node(valkey) as one:
        world = one.world(name="mine", clock="manual", record=False)
        submit(at(one, world), webhook=receiver.url + "/hook")
        world.advance("1m")
        keys = [f"fauxvider:{kind}:mine" for kind in ("world", "facts", "journal")]
        once, twice = (read_facts(client, "mine", keys) for client in (valkey.client, Twice(valkey.client)))
    assert once == twice
    assert len(once[1]["runpod"].charges) == len(once[1]["runpod"].records[0].deliveries) == 1


def test_a_store_that_goes_away_acknowledges_nothing_and_is_found_again(valkey: Valkey, tmp_path: Any) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with Valkey(folder, "--appendonly", "yes", "--appendfsync", "always") as kept, node(kept) as one:
        world = one.world(name="mine", clock="manual", record=False)
        job = submit(at(one, world))
        kept.kill()
        assert status_of(f"{at(one, world)}{FLUX}/run", {"input": {"prompt": "x"}}) == 503
        kept.start()
        assert ask(f"{at(one, world)}{FLUX}/status/{job}")["status"] == "IN_QUEUE"
        submit(at(one, world))
        assert len(one.find("mine").jobs()) == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        (("--cluster-enabled", "yes"), "a cluster's node"),
        (("--replicaof", "127.0.0.1 1"), "a replica"),
        (("--requirepass", "secret"), "[Aa]uthentication required"),
    ],
)
def test_a_server_that_is_not_fit_is_refused_in_one_line(tmp_path: Any, options: tuple[str, ...], problem: str) -> None:
    folder = tmp_path / "unfit"
    folder.mkdir()
    with Unfit(folder, *options) as server, pytest.raises(StoreError, match=problem) as refused:
        Server(store=server.url)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"unix://{folder}/server.sock: ")


class Unfit(Valkey):
    """A server that may not answer."""

    def start(self) -> None:
        with suppress(AssertionError):
            super().start()


def test_durable_needs_a_server_that_writes_at_once(valkey: Valkey, tmp_path: Any) -> None:
    with pytest.raises(StoreError, match="appendonly yes and appendfsync always"):
        Server(store=valkey.url, durable=True)
    folder = tmp_path / "kept"
    folder.mkdir()
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with Valkey(folder, *always) as kept, Server(store=kept.url, durable=True) as server:
        assert server.default.jobs() == []


def test_a_newer_format_is_refused_and_left_alone(valkey: Valkey) -> None:
    valkey.client.set("fauxvider:format", "99")
    keys = valkey.client.keys("*")
    with pytest.raises(StoreError, match="used by a newer fauxvider"):
        Server(store=valkey.url)
    assert valkey.client.keys("*") == keys


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"^redis://127.0.0.1:1/0: ") as refused:
        Server(store="redis://user:hunter2@127.0.0.1:1/0")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hun/ter2@host/0",
        "redis://user:hun#ter2@host/0",
        "redis://:hun?ter2@127.0.0.1:1/0",
        "rediz://user:hunter2@host/0",
    ],
)
def test_a_password_that_is_written_wrong_is_not_shown(url: str) -> None:
    with pytest.raises((UsageError, StoreError)) as refused:
        Server(store=url)
    assert not any(part in str(refused.value) for part in ("hun", "ter2", "user:"))


def test_who_is_no_node_is_sent_away(valkey: Valkey) -> None:
    with node(valkey) as one:
        host, _, port = node_of(one).hops.address.rpartition(":")
        wrong = json.dumps({"secret": "none", "node": "x"}).encode()
        for greeting in (
            len(wrong).to_bytes(4) + bytes(4) + wrong,
            (4097).to_bytes(4) + bytes(4),
            b"GET / HTTP/1.1\r\n",
        ):
            with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as peer:
                peer.sendall(greeting)
                assert peer.recv(1) == b""


@pytest.mark.parametrize(
    "url", ["redis://host:x/0", "redis://host/0?lease=soon", "redis://host/0?lease=0", "redis://h/0?nonsense=1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises((UsageError, StoreError)) as refused:
        Server(store=url)
    assert "\n" not in str(refused.value)


def test_who_asks_at_any_moment_of_a_move_gets_an_answer(valkey: Valkey) -> None:
    with node(valkey) as one:
        one.world(name="mine", clock="manual", record=False)
        sharing = Node(one.emulator, node_of(one).sharing.file, lets_go=True).sharing

        async def move() -> list[Any]:
            sharing.begin("mine", "another")
            sharing.end("mine")
            for _ in range(20):
                sharing.begin("mine", "another")
                sharing.end("mine")
            going, asked = asyncio.create_task(sharing.let_go("mine")), []
            while not going.done():
                asked.append(asyncio.create_task(sharing.find("mine")))
                await asyncio.sleep(0)
            return list(await asyncio.gather(*asked))

        for _ in range(10):
            assert all(isinstance(found, World) and not found.closed for found in one.call(move())[-1:])
        assert len(one.find("mine").jobs()) == 0
