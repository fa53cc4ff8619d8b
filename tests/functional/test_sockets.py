"""The whole thing over real sockets: the embedded server, its callbacks, and the command line."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import respx
from PIL import Image

from fauxvider import Server, UsageError
from fauxvider.cli import main
from fauxvider.errors import PortTakenError, UnknownWorldError
from support.patience import PATIENCE_S
from support.receiver import Receiver

KEY = {"Authorization": "Bearer k"}
RUNFLOW = "/v1/models/black-forest-labs/flux-1-dev/edit/runs"
INPUT = {"prompt": "a red fox", "image_b64": "https://images.example.test/fox.png"}
POLLS = 20_000  # far more than a job on a fast clock needs; nothing here waits for the wall's clock


def ask(method: str, url: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    """Give (status, headers, body) as the standard library's client sees them."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **KEY, **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def poll(url: str) -> Any:
    for _ in range(POLLS):
        tree = json.loads(ask("GET", url)[2])
        if tree["status_code"] not in ("queued", "dispatching", "running"):
            return tree
    raise AssertionError("the run does not end")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


# --- the embedded server ------------------------------------------------------------------------------


def test_a_client_of_the_standard_library(server: Server) -> None:
    with server.world(clock="scaled:1000") as world:
        base = world.base_url("runflow")
        assert base.startswith(server.url)
        status, headers, body = ask("POST", base + RUNFLOW, {"input": INPUT})
        assert (status, headers["content-type"]) == (201, "application/json")
        run = poll(f"{base}/v1/runs/{json.loads(body)['id']}")
        assert run["status_code"] == "succeeded"
        status, headers, picture = ask("GET", run["output"]["outputs"][0]["url"])
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(picture)) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (1024, 1024))
        assert world.ledger()["providers"]["runflow"]["total"] == "0.025"
        assert ask("GET", f"{base}/v1/nothing")[0] == 404


def test_callbacks_reach_a_receiver_on_a_fast_clock(server: Server) -> None:
    with Receiver([503, "reset", 200]) as receiver, server.world(clock="scaled:1000") as world:
        base = world.base_url("runflow")
        _, _, body = ask("POST", base + RUNFLOW, {"input": INPUT, "callback_url": f"{receiver.url}?secret=s#x"})
        hits = receiver.wait(3, timeout_s=60)
        assert len({hit.body for hit in hits}) == 1  # the same bytes each time
        for hit in hits:
            assert (hit.method, hit.path) == ("POST", "/hook?secret=s")
            assert hit.header("content-type") == "application/json"
            assert json.loads(hit.body)["run_id"] == json.loads(body)["id"]
        for _ in range(POLLS):
            (delivery,) = world.deliveries()
            if delivery["state"] != "pending":
                break
        assert delivery["state"] == "delivered"
        tried = delivery["attempts"]
        assert [made["status"] for made in tried] == [503, None, 200]
        gaps = [later["at"] - made["at"] - made["took_ms"] for made, later in itertools.pairwise(tried)]
        assert gaps[0] >= 1000  # never early
        assert gaps[1] >= 2000
        assert "secret=s" not in json.dumps(world.journal())


def test_a_manual_clock_over_sockets(server: Server) -> None:
    with Receiver() as receiver, server.world(clock="manual") as world:
        base = world.base_url("runflow")
        _, _, body = ask("POST", base + RUNFLOW, {"input": INPUT, "callback_url": receiver.url})
        url = f"{base}/v1/runs/{json.loads(body)['id']}"
        assert json.loads(ask("GET", url)[2])["status_code"] == "queued"
        assert receiver.received == []
        happened = world.advance("7d 1s")
        assert len(receiver.received) == 1  # advance has settled everything
        assert [one["kind"] for one in happened] == ["ended", "charged", "attempt"]
        assert json.loads(ask("GET", url)[2])["status_code"] == "succeeded"


def test_a_held_call_and_an_advance_from_another_thread(server: Server) -> None:
    with server.world(clock="manual") as world:
        url = f"{world.base_url('runpod')}/v2/black-forest-labs-flux-1-dev/runsync"
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(ask("POST", url, {"input": {"prompt": "a"}})))
        thread.start()
        for _ in range(POLLS):
            if world.jobs():
                break
        assert got == []
        world.advance("10s")
        thread.join(60)
        assert got[0][0] == 200
        assert json.loads(got[0][2])["status"] == "COMPLETED"


def test_a_receiver_that_asks_back_while_time_moves(server: Server) -> None:
    """A real receiver, a real client inside it, one advance around both: nobody waits for anybody."""
    with server.world(clock="manual") as world, socket.create_server(("127.0.0.1", 0)) as listener:
        base = world.base_url("runflow")
        asked: list[Any] = []

        def receive() -> None:
            peer, _ = listener.accept()
            with peer:
                data = b""
                while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 20:
                    data += peer.recv(65_536)
                run = json.loads(data.partition(b"\r\n\r\n")[2])["run_id"]
                asked.append(ask("GET", f"{base}/v1/runs/{run}"))
                asked.append(ask("POST", base + RUNFLOW, {"input": INPUT}))
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=receive)
        thread.start()
        ask("POST", base + RUNFLOW, {"input": INPUT, "callback_url": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
        world.advance("1m")
        thread.join(60)
        assert [one[0] for one in asked] == [200, 201]
        assert json.loads(asked[0][2])["status_code"] == "succeeded"
        assert [job["state"] for job in world.jobs()] == ["succeeded", "succeeded"]
        (delivery,) = world.deliveries()
        assert delivery["state"] == "delivered"


@respx.mock(assert_all_called=False)
def test_respx_in_the_process_does_not_catch_the_sender(respx_mock: respx.MockRouter, server: Server) -> None:
    mocked = respx_mock.route().mock(return_value=httpx.Response(418))
    with Receiver() as receiver, server.world(clock="manual") as world:
        assert httpx.get(receiver.url).status_code == 418  # the user's own calls are caught
        ask("POST", world.base_url("runflow") + RUNFLOW, {"input": INPUT, "callback_url": receiver.url})
        world.advance("1m")
        assert len(receiver.received) == 1
        (delivery,) = world.deliveries()
        assert delivery["state"] == "delivered"
    assert mocked.call_count == 1


def test_a_callback_does_not_leave_the_machine(server: Server) -> None:
    with server.world(clock="manual") as world:
        ask("POST", world.base_url("runflow") + RUNFLOW, {"input": INPUT, "callback_url": "http://192.0.2.1/hook"})
        world.advance("1m")
        (delivery,) = world.deliveries()
        assert (delivery["state"], delivery["failure"], delivery["attempt_count"]) == ("failed", "blocked", 0)


def test_worlds_beside_each_other(server: Server) -> None:
    with server.world() as one, server.world(name="named") as other:
        assert other.name == "named"
        assert len(one.name) >= 32
        assert one.base_url("runpod") != other.base_url("runpod")
        assert f"/w/{one.name}/" in one.base_url("runpod")
        for name in ("a/b", "ü", "", "x" * 65):
            with pytest.raises(UsageError, match="name"):
                server.world(name=name)
    with pytest.raises(UnknownWorldError):
        one.jobs()
    assert server.base_url("runpod") == f"{server.url}/runpod"


def test_a_large_body_in_chunks_and_the_next_request_on_the_same_connection(server: Server) -> None:
    client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    path = "/runpod/v2/black-forest-labs-flux-1-dev/run"
    try:
        chunks = (b"x" * 100_000 for _ in range(110))
        client.request(
            "POST", path, body=chunks, headers={**KEY, "Content-Type": "application/json"}, encode_chunked=True
        )
        answer = client.getresponse()
        assert answer.status == 400
        assert "exceeded max body size" in json.loads(answer.read())["detail"]
        client.request(
            "POST", path, body=b'{"input": {"prompt": "a"}}', headers={**KEY, "Content-Type": "application/json"}
        )
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (200, "IN_QUEUE")
    finally:
        client.close()


def test_a_stopped_server_leaves_nothing_behind() -> None:
    before = sorted(thread.name for thread in threading.enumerate())
    for _ in range(3):
        with Server(providers=["runpod"]) as server, server.world(clock="manual") as world:
            ask("GET", f"{world.base_url('runpod')}/v2/x/status/y")
            host, port = server.url.removeprefix("http://").split(":")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=60)
    assert sorted(thread.name for thread in threading.enumerate()) == before


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(PortTakenError, match=str(taken.getsockname()[1])),
    ):
        Server(providers=["runpod"], port=taken.getsockname()[1])


# --- the command line ---------------------------------------------------------------------------------


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fauxvider", "serve", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Send a signal; give what the process still said before it ended, as it does with calls held that never end."""
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE_S)


def test_serving_from_the_command_line() -> None:
    with command("--json", "--port", "0", "--control-port", "0", "--clock", "manual") as process:
        assert process.stdout is not None
        places = json.loads(process.stdout.readline())
        assert set(places) >= {"providers", "control"}
        assert set(places["providers"]) == {"runflow", "runpod", "onemin", "replicate", "fal"}
        assert set(places["control"]) == {"url", "token"}
        for name, place in places["providers"].items():
            assert place["base_url"].startswith("http://127.0.0.1:")
            assert place["base_url"].endswith(f"/{name}")
        base, control = places["providers"]["runpod"]["base_url"], places["control"]
        slug = f"{base}/v2/black-forest-labs-flux-1-dev"
        status, _, body = ask("POST", f"{slug}/run", {"input": {"prompt": "a"}})
        assert status == 200
        job = json.loads(body)["id"]
        token = {"Authorization": f"Bearer {control['token']}"}
        assert ask("GET", f"{control['url']}/worlds")[0] == 401
        status, _, body = ask("POST", f"{control['url']}/worlds/default/clock/advance", {"by": "1m"}, **token)
        assert (status, json.loads(body)["happened"][0]["kind"]) == (200, "ended")
        assert json.loads(ask("GET", f"{slug}/status/{job}")[2])["status"] == "COMPLETED"
        assert ask("GET", f"{control['url']}/worlds", **token, Host="evil.test")[0] == 403
        assert ask("GET", f"{control['url']}/worlds", **token, Origin="http://evil.test")[0] == 403
        held = socket.create_connection(("127.0.0.1", int(base.split(":")[2].partition("/")[0])))
        body = b'{"input": {"prompt": "a"}}'
        path = slug.partition("127.0.0.1")[2].partition("/")[2]
        held.sendall(
            b"POST /%s/runsync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), len(body), body)
        )
        for _ in range(POLLS):  # the call is held: time stands still
            if len(json.loads(ask("GET", f"{control['url']}/worlds/default/jobs", **token)[2])["jobs"]) == 2:
                break
        out, err = stopped(process, signal.SIGINT)
        held.close()
        assert process.returncode == 0
        assert (out, err) == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_text_for_people(number: int) -> None:
    with command("--port", "0", "--control-port", "0", "--provider", "runpod") as process:
        assert process.stdout is not None
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        text = "".join(lines)
        assert "http://127.0.0.1:" in text
        assert "runpod" in text
        assert "runflow" not in text
        _, err = stopped(process, number)
        assert process.returncode == 0
        assert "Traceback" not in err


@pytest.mark.parametrize("option", ["--port", "--control-port"])
def test_a_port_that_is_taken_is_one_clear_line(option: str) -> None:
    other = "--control-port" if option == "--port" else "--port"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with command("--json", option, port, other, "0", "--provider", "runpod") as process:
            out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert out == ""
    assert err.count("\n") == 1
    assert port in err
    assert "taken" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--provider", "nobody"], ["nobody", "runflow"]),
        (["--clock", "sundial"], ["sundial", "manual"]),
        (["--host", "0.0.0.0"], ["--expose"]),
        (["--reading", "nothing=x"], ["nothing"]),
        (["--reading", "x"], ["NAME=CASE"]),
        (["--port", "70000"], ["65535"]),
    ],
)
def test_wrong_options_are_one_clear_line(
    arguments: list[str], told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fauxvider", "serve", "--json", "--port", "0", "--control-port", "0", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    for text in told:
        assert text in err
