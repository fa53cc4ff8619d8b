"""Client packages as they are on PyPI, unchanged, against contracts that are data alone; their signatures by other hands."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fal_client import Completed, FalClientHTTPError, InProgress, Queued
from fal_client import SyncClient as FalClient
from PIL import Image
from replicate.client import Client as ReplicateClient
from replicate.exceptions import ModelError, ReplicateError
from standardwebhooks import Webhook, WebhookVerificationError

from fauxvider import Server
from fauxvider.embedded import WorldHandle
from fauxvider.errors import UsageError
from fauxvider.receiver import Receiver
from fauxvider.server.build import load_contracts
from pytest_fauxvider.doors import httpx_door
from pytest_fauxvider.sleeping import virtual_sleep

SCHNELL = "black-forest-labs/flux-schnell"
PROMPT = {"prompt": "a lighthouse at dusk"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(providers=["replicate", "fal"]) as running:
        yield running


@pytest.fixture
def world(server: Server) -> Iterator[WorldHandle]:
    """A world of this very moment (who verifies looks at the clock on the wall), at the providers' own hosts."""
    with (
        server.world(clock="manual", now=datetime.now(UTC).isoformat()) as made,
        httpx_door(made),
        virtual_sleep(made),
    ):
        yield made


@pytest.fixture
def client(world: WorldHandle) -> ReplicateClient:
    return ReplicateClient(api_token="r8_token")


def opened(data: bytes) -> Any:
    return Image.open(BytesIO(data))


# --- predictions


def test_a_run_waits_and_gives_its_picture(client: ReplicateClient, world: WorldHandle) -> None:
    output = client.run(SCHNELL, input={**PROMPT, "num_outputs": 2})
    pictures = [opened(file.read()) for file in output]
    assert [(one.format, one.size) for one in pictures] == [("WEBP", (1024, 1024))] * 2
    assert [one["word"] for one in world.journal()["entries"] if one["kind"] == "ended"] == ["succeeded"]
    assert str(world.ledger()["providers"]["replicate"]["total"]) == "0.006"


def test_a_run_that_fails_is_the_clients_own_error(server: Server) -> None:
    """By a socket, at the address that the client is given; held calls jump to their end."""
    rules = [{"on": "job", "do": {"fail": "nsfw"}}]
    scenario = {"scenario": 1, "name": "refused", "rules": rules}
    with server.world(clock="stepping:1ms", scenario=scenario) as world:
        client = ReplicateClient(api_token="t", base_url=world.base_url("replicate"))
        with client._client, pytest.raises(ModelError, match="NSFW"):
            client.run(SCHNELL, input=PROMPT)


def test_a_prediction_is_created_polled_listed_and_cancelled(client: ReplicateClient, world: WorldHandle) -> None:
    made = client.predictions.create(version=SCHNELL, input=PROMPT)
    assert (made.status, made.output, made.model) == ("starting", None, SCHNELL)
    made.wait()
    assert (made.status, len(made.output)) == ("succeeded", 1)
    second = client.models.predictions.create(model=SCHNELL, input=PROMPT)
    assert client.predictions.cancel(second.id).status == "canceled"
    assert [one.id for one in client.predictions.list().results] == [second.id, made.id]
    assert client.accounts.current().type == "organization"


def test_what_the_api_refuses_is_the_clients_own_error(client: ReplicateClient) -> None:
    with pytest.raises(ReplicateError) as refused:
        client.predictions.create(version=SCHNELL, input={"num_outputs": 9})
    assert refused.value.status == 422
    assert refused.value.detail is not None
    assert refused.value.detail.count("\n") == 2


# --- Standard Webhooks


def test_webhooks_are_verified_by_the_package_of_the_standard(client: ReplicateClient, world: WorldHandle) -> None:
    with Receiver() as hook:
        events = ["start", "output", "completed"]
        made = client.predictions.create(
            version=SCHNELL, input=PROMPT, webhook=f"{hook.url}/", webhook_events_filter=events
        )
        world.advance("5s")
        came = hook.wait(3)
    secret = client.webhooks.default.secret().key
    bodies = [Webhook(secret).verify(one.body, dict(one.headers)) for one in came]
    assert [one["status"] for one in bodies] == ["processing", "processing", "succeeded"]
    assert {one["id"] for one in bodies} == {made.id}
    assert bodies[-1]["output"] == client.predictions.get(made.id).output
    assert len({one.header("webhook-id") for one in came}) == 3
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(came[0].body + b" ", dict(came[0].headers))


def test_a_retry_keeps_its_id_and_is_signed_anew(client: ReplicateClient, world: WorldHandle) -> None:
    with Receiver([503, 200]) as hook:
        client.predictions.create(
            version=SCHNELL, input=PROMPT, webhook=f"{hook.url}/", webhook_events_filter=["completed"]
        )
        world.advance("10s")
        first, second = hook.wait(2)
    secret = client.webhooks.default.secret().key
    assert first.header("webhook-id") == second.header("webhook-id")
    assert int(second.header("webhook-timestamp") or 0) - int(first.header("webhook-timestamp") or 0) in (2, 3)
    assert Webhook(secret).verify(first.body, dict(first.headers)) == Webhook(secret).verify(
        second.body, dict(second.headers)
    )


# --- a queue


def test_a_request_goes_through_the_queue(world: WorldHandle) -> None:
    seen: list[type] = []
    result = FalClient(key="id:secret").subscribe(
        "fal-ai/flux/schnell", PROMPT, with_logs=True, on_queue_update=lambda update: seen.append(type(update))
    )
    assert list(dict.fromkeys(seen)) == [Queued, InProgress, Completed]
    (picture,) = result["images"]
    assert opened(httpx.get(picture["url"]).content).size == (picture["width"], picture["height"]) == (1024, 768)
    assert str(world.ledger()["providers"]["fal"]["total"]) == "0.003"


def test_the_synchronous_host_answers_with_the_result(world: WorldHandle) -> None:
    result = FalClient(key="id:secret").run("fal-ai/flux/dev", {**PROMPT, "num_images": 2})
    assert len(result["images"]) == 2
    assert str(world.ledger()["providers"]["fal"]["total"]) == "0.05"


def test_a_failure_is_completed_and_its_result_is_the_error(world: WorldHandle) -> None:
    handle = FalClient(key="id:secret").submit("fal-ai/flux/schnell", {"num_images": 9, **PROMPT})
    world.advance("5s")
    status = handle.status()
    assert isinstance(status, Completed)
    assert status.error == "Invalid status code: 422"
    with pytest.raises(FalClientHTTPError) as failed:
        handle.get()
    assert failed.value.status_code == 422
    assert "num_images" in str(failed.value.message)


def test_a_request_that_does_not_start_in_time_is_not_tried_again(world: WorldHandle) -> None:
    handle = FalClient(key="id:secret").submit("fal-ai/flux/schnell", PROMPT, start_timeout=1.001)
    assert handle.get()["images"]
    handle = FalClient(key="id:secret").submit("fal-ai/flux/schnell", PROMPT, headers={"X-Fal-Request-Timeout": "0.1"})
    with pytest.raises(FalClientHTTPError) as late:
        handle.get()
    assert (late.value.status_code, late.value.error_type) == (504, "startup_timeout")


def test_a_request_is_cancelled_while_it_waits(world: WorldHandle) -> None:
    handle = FalClient(key="id:secret").submit("fal-ai/flux/schnell", PROMPT)
    handle.cancel()
    with pytest.raises(FalClientHTTPError) as gone:
        handle.get()
    assert gone.value.error_type == "client_cancelled"
    assert str(world.ledger()["providers"]["fal"]["total"]) == "0"


# --- Ed25519, by the verifier that the documentation describes


def _verified(came: Any, keys: list[dict[str, str]]) -> bool:
    names = ("request-id", "user-id", "timestamp")
    lines = [came.header(f"x-fal-webhook-{name}") for name in names]
    message = "\n".join([*lines, hashlib.sha256(came.body).hexdigest()]).encode()
    signature = bytes.fromhex(came.header("x-fal-webhook-signature"))
    for key in keys:
        public = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def test_webhooks_are_verified_by_the_published_key(world: WorldHandle) -> None:
    with Receiver([500, 200]) as hook:
        FalClient(key="id:secret").submit("fal-ai/flux/schnell", PROMPT, webhook_url=f"{hook.url}/hook")
        world.advance("10s")
        came = hook.wait(2)
    keys = httpx.get("https://rest.fal.ai/.well-known/jwks.json").json()["keys"]
    assert [_verified(one, keys) for one in came] == [True, True]
    assert came[0].header("x-fal-webhook-signature") != came[1].header("x-fal-webhook-signature")
    other = bytearray(base64.urlsafe_b64decode(keys[0]["x"] + "="))
    other[0] ^= 1
    stranger = {**keys[0], "x": base64.urlsafe_b64encode(bytes(other)).decode().rstrip("=")}
    with pytest.raises((AssertionError, ValueError)):
        assert _verified(came[0], [stranger])


# --- without the library


def test_without_its_library_a_contract_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(UsageError) as refused:
        load_contracts(["fal"])
    assert str(refused.value) == (
        "fal cannot be served: Ed25519 signatures need the library cryptography: pip install 'fauxvider[ed25519]'"
    )
    assert "fal" not in load_contracts()
    assert "replicate" in load_contracts()
    assert [one.message.partition(":")[0] for one in caplog.records] == ["fal is left out"] * 2
