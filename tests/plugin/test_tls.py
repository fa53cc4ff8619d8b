"""HTTPS at the providers' own host names, for processes in any language."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fauxvider import LocalServer, Server, UsageError
from fauxvider.cli import main
from fauxvider.errors import PortTakenError
from fauxvider.server.tls_front import TlsFront
from pytest_fauxvider.doors.https import HttpsFront, https_front
from support.acme import ACME

HOST = "api.acme.test"
BODY = '{"input": {"prompt": "a lighthouse"}}'
PYTHON = f"""
import json
import sys
import urllib.request
API, BODY = "https://{HOST}/v2/acme-dev/run", b'{BODY}'
HEADERS = {{"Authorization": "Bearer key", "Content-Type": "application/json"}}
if sys.argv[1] == "urllib":
    with urllib.request.urlopen(urllib.request.Request(API, BODY, HEADERS), timeout=60) as answer:
        print(answer.status, answer.read().decode())
else:
    library = __import__(sys.argv[1])
    answer = library.post(API, json=json.loads(BODY), headers=HEADERS, timeout=60)
    print(answer.status_code, answer.text)
    try:
        library.get("https://other.example/", timeout=60)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
"""
# What a version of node without a proxy of its own does, in the words of its documentation.
NODE = f"""
const http = require("node:http"), https = require("node:https"), {{ URL }} = require("node:url");
const proxy = new URL(process.env.HTTPS_PROXY), body = '{BODY}';
const user = Buffer.from(`${{proxy.username}}:${{proxy.password}}`).toString("base64");
http.request({{ host: proxy.hostname, port: proxy.port, method: "CONNECT", path: "{HOST}:443",
               headers: {{ "Proxy-Authorization": `Basic ${{user}}` }} }})
  .on("connect", (_, socket) => {{
    const headers = {{ authorization: "Bearer key", "content-type": "application/json", "content-length": body.length }};
    https.request("https://{HOST}/v2/acme-dev/run", {{ method: "POST", socket, agent: false, headers }}, (answer) => {{
      let text = "";
      answer.on("data", (piece) => (text += piece)).on("end", () => {{
        console.log(answer.statusCode, text); socket.destroy(); }});
    }}).end(body);
  }}).end();
"""
CLIENTS = {
    name: [sys.executable, "-W", "error", "-c", PYTHON, name] for name in ("httpx", "httpx2", "requests", "urllib")
}
if shutil.which("curl"):
    CLIENTS["curl"] = ["curl", "-sS", "-w", "%{stderr}%{http_code}", f"https://{HOST}/v2/acme-dev/run", "-d", BODY,
                       "-H", "Authorization: Bearer key", "-H", "Content-Type: application/json"]  # fmt: skip
if shutil.which("node"):
    CLIENTS["node"] = ["node", "-e", NODE]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(contracts=[ACME]) as made:
        yield made


@pytest.fixture
def front(server: Server) -> Iterator[HttpsFront]:
    with server.world(clock="manual", name="mine") as world, https_front(world) as made:
        yield made


def start(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.run(command, env={**clean, **env}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_in_a_process_of_its_own(name: str, server: Server, front: HttpsFront) -> None:
    done = start(CLIENTS[name], dict(front.env))
    assert done.returncode == 0, done.stderr
    assert '"status":"IN_QUEUE"' in done.stdout
    assert "201" in done.stdout + done.stderr
    (job,) = server.call(server.emulator.jobs("mine"))  # the proxy's user name chose the world
    assert job["operation"] == "run"
    assert server.default.jobs() == []
    if name in ("httpx", "httpx2", "requests"):
        assert "ProxyError" in done.stderr
        assert "fauxvider: other.example is none of the providers' hosts: api.acme.test, image.acme.test" in done.stderr


def asked(front: HttpsFront, head: str) -> str:
    port = int(front.proxy.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 60) as sock, sock.makefile("rb") as answer:
        try:
            sock.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            return answer.read().decode()
        except (ConnectionResetError, BrokenPipeError):  # as an end looks that comes before all has been read
            return ""


def test_what_the_proxy_refuses(front: HttpsFront) -> None:
    refused = "HTTP/1.1 403 fauxvider: "
    assert asked(front, "CONNECT other.example:443 HTTP/1.1").startswith(f"{refused}other.example is none of")
    assert asked(front, f"CONNECT {HOST}:80 HTTP/1.1").startswith(
        f"{refused}{HOST} is served by HTTPS on port 443 alone"
    )
    assert asked(front, f"GET http://{HOST}/x HTTP/1.1\nHost: {HOST}").startswith(f"{refused}{HOST} is served by HTTPS")
    assert asked(front, "GET / HTTP/1.1").startswith(f"{refused}/ is none of")
    assert asked(front, "nonsense").startswith(refused)
    assert asked(front, "X" * 70_000) == ""


def tunnel(front: HttpsFront, user: str = "") -> ssl.SSLSocket:
    port = int(front.proxy.rpartition(":")[2])
    sock = socket.create_connection(("127.0.0.1", port), 60)
    sock.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\n{user}\r\n".encode())
    assert sock.recv(200) == b"HTTP/1.1 200 Connection established\r\n\r\n"
    context = ssl.create_default_context(cafile=str(front.ca_file))
    return context.wrap_socket(sock, server_hostname=HOST)


READ = f"GET /v2/acme-dev/status/any HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer k\r\n\r\n".encode()


@pytest.mark.parametrize("fault", ["reset", "close"])
def test_a_cut_connection_comes_through(server: Server, fault: str) -> None:
    rules = [{"on": "request", "when": {"does": "read"}, "do": {"lose": fault}}]
    scenario = {"scenario": 1, "name": "cut", "rules": rules}
    user = "Proxy-Authorization: Basic Y3V0Og==\r\n"  # cut:
    with (
        server.world(name="cut", scenario=scenario) as world,
        https_front(world) as front,
        tunnel(front, user) as sock,
    ):
        sock.sendall(READ)
        if fault == "close":
            assert sock.recv(1000) == b""
        else:  # below TLS: Python's own tells of a reset as of any other end
            with socket.socket(fileno=os.dup(sock.fileno())) as raw, pytest.raises(ConnectionResetError):  # noqa: PT012
                raw.settimeout(60)
                while raw.recv(1000):
                    pass


def test_without_a_user_the_default_world_answers(server: Server, front: HttpsFront) -> None:
    for user in ("", "Proxy-Authorization: Basic !!!\r\n", "Proxy-Authorization: Bearer x\r\n"):
        with tunnel(front, user) as sock:
            sock.sendall(READ)
            assert sock.recv(100).startswith(b"HTTP/1.1 404")
    assert len(server.default.journal()["entries"]) == 3


def test_nobody_else_s_host_has_a_certificate(front: HttpsFront) -> None:
    port = int(front.proxy.rpartition(":")[2])
    sock = socket.create_connection(("127.0.0.1", port), 60)
    sock.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n".encode())
    sock.recv(200)
    context = ssl.create_default_context(cafile=str(front.ca_file))
    with sock, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(sock, server_hostname="other.example")


def test_the_certificate_goes_with_the_front(server: Server) -> None:
    with server.world() as world:
        with https_front(world) as front:
            assert front.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
            assert "KEY" not in front.ca_file.read_text()
            assert front.env["SSL_CERT_FILE"] == str(front.ca_file)
        assert not front.ca_file.parent.exists()


def test_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        LocalServer(contracts=[ACME]) as local,
        pytest.raises(UsageError, match="in a thread of its own"),
        https_front(local.default),
    ):
        pass
    with Server(contracts=[ACME]) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports in ({"port": port}, {"proxy_port": port}):
            with pytest.raises(PortTakenError, match=f"port {port} on 127.0.0.1 is taken"):
                TlsFront(server.app, [HOST], **ports)
    monkeypatch.setitem(sys.modules, "trustme", None)
    with Server(contracts=[ACME]) as server, pytest.raises(UsageError, match=r"pip install 'fauxvider\[tls\]'"):
        TlsFront(server.app, [HOST])


def test_the_fixture(suite: Any) -> None:
    result = suite.run(
        text=f"""
import os
import subprocess


@acme
def test_it(fauxvider, fauxvider_https):
    env = {{**os.environ, **fauxvider_https.env}}
    done = subprocess.run({CLIENTS["urllib"]!r}, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(fauxvider.jobs()) == 1
"""
    )
    result.assert_outcomes(passed=1)


# --- the command --------------------------------------------------------------------------------------

SERVE = [sys.executable, "-m", "fauxvider", "serve", "--contract", str(ACME), "--port", "0", "--control-port", "0", "--tls",
         "--proxy-port", "0"]  # fmt: skip


def test_serve_prints_what_to_paste(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SERVE, "--tls-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("Ctrl-C"):
            break
    exports = [line for line in lines if line.startswith("export ")]
    assert "https    api.acme.test, image.acme.test" in lines
    env = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert {
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    } <= set(env)
    assert env["SSL_CERT_FILE"] == str(tmp_path.resolve() / "ca.pem")
    done = start(["sh", "-c", "\n".join([*exports, f'exec {sys.executable} -c "$CODE" requests'])], {"CODE": PYTHON})
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    process.stdout.close()
    assert done.stdout.startswith("201 "), done.stderr
    assert (tmp_path / "ca.pem").exists()


def test_serve_prints_json() -> None:
    process = subprocess.Popen([*SERVE, "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    tls = json.loads(process.stdout.readline())["tls"]
    assert tls["hosts"] == [HOST, "image.acme.test"]
    assert tls["env"]["HTTPS_PROXY"] == tls["proxy"]
    done = start(CLIENTS["urllib"], tls["env"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()
    assert done.stdout.startswith("201 "), done.stderr
    assert not Path(tls["ca"]).exists()


def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fauxvider", "serve", "--tls-dir", "here"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "add --tls" in capsys.readouterr().err
