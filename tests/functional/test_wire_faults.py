"""The faults that happen on the wire, over real sockets, under both HTTP parsers and both event loops."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from fauxvider.embedded import Server, WorldHandle
from fauxvider.server import drip, spoil
from fauxvider.server.runner import RunSettings
from support.patience import PATIENCE_S, until
from support.raw import RawClient
from support.receiver import Receiver
from support.stage import SITES, picture

SITE = SITES["runpod"]
SUBMIT = {"does": "submit", "nth": 1}
READ = {"does": "read", "nth": 1}
MakeWorld = Callable[..., WorldHandle]


@pytest.fixture(
    scope="module",
    params=[("httptools", "uvloop"), ("h11", "uvloop"), ("httptools", "asyncio"), ("h11", "asyncio")],
    ids="-".join,
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    parser, loop = request.param
    with Server(providers=["runpod"], settings=RunSettings(parser=parser, loop=loop)) as made:
        yield made


@pytest.fixture
def world(server: Server) -> Iterator[MakeWorld]:
    made: list[WorldHandle] = []

    def make(on: str, do: dict[str, Any], **when: Any) -> WorldHandle:
        rule = {"on": on, "do": do} | ({"when": when} if when else {})
        scenario = {"scenario": 1, "name": "on the wire", "provider": "runpod", "rules": [rule]}
        made.append(server.world(clock="manual", seed=1, scenario=scenario))
        return made[-1]

    yield make
    for one in made:
        assert one.scenario()["never"] == []
        one.drop()


def head(world: WorldHandle, method: str, url: str, body: bytes = b"") -> bytes:
    """Write a request as it goes over the wire."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Authorization: Bearer rp_key"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def submission(world: WorldHandle, hook: str = "") -> bytes:
    tree = dict(SITE.body) | ({"webhook": hook} if hook else {})
    return head(world, "POST", world.base_url("runpod") + SITE.submits, json.dumps(tree).encode())


def reading(world: WorldHandle, job: str) -> bytes:
    return head(world, "GET", world.base_url("runpod") + SITE.reads.format(job=job))


def ask(server: Server, data: bytes) -> Any:
    """Send a request on a connection of its own; give the parsed body."""
    with RawClient(server.url) as client:
        client.send(data)
        answer = client.answer()
        assert answer is not None
        return json.loads(answer.body)


def submitted(server: Server, world: WorldHandle, hook: str = "") -> str:
    return str(ask(server, submission(world, hook))["id"])


def cut(server: Server, data: bytes) -> tuple[bytes, bytes]:
    """Send a request; give head and body up to the reset that must come."""
    with RawClient(server.url) as client:
        client.send(data)
        with pytest.raises(ConnectionResetError):
            client.rest()
        first, _, rest = client._held.partition(b"\r\n\r\n")
        return first, rest


def length_in(text: bytes) -> int:
    return int(text.lower().partition(b"content-length: ")[2].split()[0])


def read_plainly(world: WorldHandle, job: str) -> bytes:
    """Ask with the standard library's client."""
    parts = urlsplit(world.base_url("runpod"))
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)) as link:
        link.request("GET", parts.path + SITE.reads.format(job=job), headers={"Authorization": "Bearer rp_key"})
        with link.getresponse() as answer:
            return answer.read()


# --- requests


def test_the_connection_is_reset_and_the_job_is_there(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "reset"}, **SUBMIT)
    assert cut(server, submission(acted)) == (b"", b"")
    assert len(acted.jobs()) == 1


def test_half_of_the_answer_comes_and_then_a_reset(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "truncate"}, **SUBMIT)
    first, rest = cut(server, submission(acted))
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert len(rest) == length_in(first) // 2
    assert len(acted.jobs()) == 1


def test_the_connection_is_closed_without_an_answer(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "close"}, **SUBMIT)
    with RawClient(server.url) as client:
        client.send(submission(acted))
        assert client.rest() == b""
    assert len(acted.jobs()) == 1


def test_no_answer_comes_until_the_client_gives_up(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "hang"}, **SUBMIT)
    with RawClient(server.url) as client:
        client.send(submission(acted))
        until(acted.jobs)
        client.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.rest()
    (job,) = acted.jobs()
    assert ask(server, reading(acted, job["id"]))["status"] == "IN_QUEUE"


def test_a_gateways_page_comes_in_place_of_the_answer(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "html_522"}, **SUBMIT)
    with RawClient(server.url) as client:
        client.send(submission(acted))
        answer = client.answer()
        assert answer is not None
        assert (answer.status, answer.header("content-type")) == (522, "text/html")
        # The connection is none the worse for it.
        client.send(reading(acted, acted.jobs()[0]["id"]))
        assert client.answer() is not None


@pytest.mark.parametrize(("how", "problem"), [("json", json.JSONDecodeError), ("encoding", UnicodeDecodeError)])
def test_the_body_cannot_be_read(server: Server, world: MakeWorld, how: str, problem: type[Exception]) -> None:
    acted = world("request", {"garble": how}, **READ)
    job = submitted(server, acted)
    with RawClient(server.url) as client:
        client.send(reading(acted, job))
        answer = client.answer()
        assert answer is not None
        with pytest.raises(problem):
            json.loads(answer.body.decode())
        client.send(reading(acted, job))
        good = client.answer()
        assert good is not None
        assert json.loads(good.body)["id"] == job


def test_the_body_is_shorter_than_its_length_says(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"garble": "length"}, **READ)
    job = submitted(server, acted)
    with pytest.raises(http.client.IncompleteRead):
        read_plainly(acted, job)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long what drips pauses, in seconds; it does not really."""
    found: list[float] = []

    class Loop:
        async def sleep(self, seconds: float) -> None:
            found.append(seconds)
            await asyncio.sleep(0)

    monkeypatch.setattr(spoil, "asyncio", Loop())
    monkeypatch.setattr(drip, "asyncio", Loop())
    return found


def test_the_body_drips(server: Server, world: MakeWorld, naps: list[float]) -> None:
    acted = world("request", {"drip": "80ms"}, **READ)
    job = submitted(server, acted)
    with RawClient(server.url) as client:
        client.send(reading(acted, job))
        answer = client.answer()
    assert answer is not None
    assert json.loads(answer.body)["id"] == job
    assert naps == [0.01] * 8


def test_garbage_comes_back(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"garbage": True}, **READ)
    job = submitted(server, acted)
    with pytest.raises(http.client.BadStatusLine):
        read_plainly(acted, job)


def test_the_server_closes_its_side_after_the_head(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"half_close": True}, **READ)
    job = submitted(server, acted)
    with RawClient(server.url) as client:
        client.send(reading(acted, job))
        got = client.rest()
        first, _, rest = got.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert length_in(first) > 0
        assert rest == b""
        client.send(b"still taken")


def test_an_answer_that_is_slow_comes_when_the_clock_says(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"slow": "90s"}, **SUBMIT)
    with RawClient(server.url) as client:
        client.send(submission(acted))
        until(acted.jobs)  # it has been read; only its answer waits
        client.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.answer()
        client.sock.settimeout(PATIENCE_S)
        acted.advance("90s")
        answer = client.answer()
    assert answer is not None
    assert answer.status == 200


def test_others_on_the_server_notice_nothing(server: Server, world: MakeWorld) -> None:
    acted = world("request", {"lose": "reset"}, **SUBMIT)
    with RawClient(server.url) as other, server.world(clock="manual") as calm:
        other.send(submission(calm))
        assert other.answer() is not None
        cut(server, submission(acted))
        other.send(submission(calm))
        assert other.answer() is not None


# --- pictures


def finished(server: Server, world: WorldHandle) -> str:
    """Give the URL of a finished job's picture."""
    job = submitted(server, world)
    world.advance("1m")
    return str(ask(server, reading(world, job))["output"]["image_url"])


def test_a_share_of_the_picture_comes_and_then_a_reset(server: Server, world: MakeWorld) -> None:
    acted = world("output", {"truncate": 0.25})
    url = finished(server, acted)
    for _ in range(2):
        first, rest = cut(server, head(acted, "GET", url))
        assert len(rest) == int(length_in(first) * 0.25)
        with pytest.raises(OSError, match=r"truncated|not recognised|cannot identify"):
            picture(rest)


def test_the_head_of_a_truncated_picture_tells_its_whole_length(server: Server, world: MakeWorld) -> None:
    acted = world("output", {"truncate": 0.25})
    first, rest = cut(server, head(acted, "HEAD", finished(server, acted)))
    assert rest == b""
    assert length_in(first) > 1000


def test_the_connection_dies_when_the_picture_is_asked_for(server: Server, world: MakeWorld) -> None:
    acted = world("output", {"reset": True})
    assert cut(server, head(acted, "GET", finished(server, acted))) == (b"", b"")


# --- callbacks


def test_a_callback_drips(server: Server, world: MakeWorld, naps: list[float]) -> None:
    acted = world("attempt", {"drip": "80ms"}, attempt=1)
    with Receiver() as receiver:
        job = submitted(server, acted, receiver.url)
        acted.advance("1m")
        (hit,) = receiver.wait(1)
    assert json.loads(hit.body)["id"] == job
    assert naps == [0.01] * 8


def test_the_receiver_has_it_all_and_the_provider_sees_a_reset(server: Server, world: MakeWorld) -> None:
    acted = world("attempt", {"reset_after": True}, attempt=1)
    with Receiver() as receiver:
        submitted(server, acted, receiver.url)
        acted.advance("1m")
        first, second = receiver.wait(2)
    assert first.body == second.body
    tries = [entry for entry in acted.journal()["entries"] if entry["kind"] == "attempt"]
    assert [entry["outcome"] for entry in tries] == ["network", "http"]


def test_a_callback_is_there_before_the_answer(server: Server, world: MakeWorld) -> None:
    acted = world("delivery", {"early": True})
    with Receiver() as receiver, RawClient(server.url) as client:
        client.send(submission(acted, receiver.url))
        answer = client.answer()
        assert answer is not None
        (hit,) = receiver.received  # it is there already: nothing is waited for
        assert json.loads(hit.body)["id"] == json.loads(answer.body)["id"]
        assert json.loads(answer.body)["status"] == "IN_QUEUE"
