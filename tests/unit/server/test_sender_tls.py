from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fauxvider.server.egress import EgressPolicy
from fauxvider.server.sender import Sender, SendOutcome
from support.hostile import GOOD, receiver
from support.patience import PATIENCE_S

Run = Callable[[Coroutine[Any, Any, Any]], Any]
TLS = Path(__file__).parents[2] / "data" / "tls"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def runner(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(main)

    return runner


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(run: Run, host: str) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    trusting = ssl.create_default_context(cafile=str(TLS / "cert.pem"))

    async def resolver(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> tuple[SendOutcome, SendOutcome]:
        async with receiver(GOOD, ssl=serving) as port:
            url = f"https://{host}:{port}/"
            sender = Sender(EgressPolicy(), ssl_context=trusting, resolver=resolver)
            wary = Sender(EgressPolicy(), resolver=resolver)
            trusted = await sender.send("POST", url, [], b"{}", timeout_s=PATIENCE_S)
            return trusted, await wary.send("POST", url, [], b"{}", timeout_s=PATIENCE_S)

    trusted, untrusted = run(main())
    assert trusted == SendOutcome("http", 200, b"ok")
    assert untrusted.kind == "network"
    assert "self-signed" in untrusted.error


def test_a_certificate_of_another_name_is_refused(run: Run) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    trusting = ssl.create_default_context(cafile=str(TLS / "cert.pem"))

    async def resolver(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> SendOutcome:
        async with receiver(GOOD, ssl=serving) as port:
            sender = Sender(EgressPolicy(), ssl_context=trusting, resolver=resolver)
            return await sender.send("POST", f"https://other.localhost:{port}/", [], b"", timeout_s=PATIENCE_S)

    outcome = run(main())
    assert outcome.kind == "network"
    assert "other.localhost" in outcome.error
