"""Accidents of a real run as a client meets them over HTTP: the provider's own failure, and the next job works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.documented import DOCUMENTED, Client, Endpoint, at
from support.real import Site, opened
from support.receiver import Receiver

EDIT, FLUX, EDITOR = DOCUMENTED["flux-1-dev-edit"], DOCUMENTED["flux-dev"], DOCUMENTED["flux-2-dev-editor"]

ACCIDENTS: dict[str, dict[str, Any]] = {
    "oom": {"runflow": "PROVIDER_ERROR", "runpod": "CUDA error: out of memory", "onemin": "Prediction failed"},
    "nan": {"runflow": "PROVIDER_ERROR", "runpod": "could not finish", "onemin": "Prediction failed"},
    "black": {"runflow": "PROVIDER_ERROR", "runpod": "could not finish", "onemin": "NSFW"},
    "crash": {"runflow": "PROVIDER_ERROR", "runpod": "job timed out after 1 retries", "onemin": "Prediction failed"},
}


@pytest.mark.parametrize("endpoint", [EDIT, FLUX, EDITOR], ids=lambda endpoint: endpoint.provider)
@pytest.mark.parametrize("accident", ["oom", "nan", "black"])
def test_an_accident_is_the_providers_own_failure(
    site: Site, client: Client, endpoint: Endpoint, accident: Any
) -> None:
    _fails(site, client, endpoint, accident)


@pytest.mark.parametrize("endpoint", [EDIT, FLUX, EDITOR], ids=lambda endpoint: endpoint.provider)
def test_a_killed_worker_fails_its_job_alone(site: Site, client: Client, endpoint: Endpoint) -> None:
    spawned = site.renderer.spawned
    _fails(site, client, endpoint, "crash")
    assert site.renderer.spawned == spawned + 1


def _fails(site: Site, client: Client, endpoint: Endpoint, accident: Any) -> None:
    with Receiver() as receiver:
        site.renderer.orders.append(accident)
        outside = {endpoint.callback: receiver.url} if endpoint.callback else {}
        run = client.submit(endpoint, outside=outside, **{endpoint.steps: 8, **endpoint.small})
        next_one = client.submit(FLUX, num_inference_steps=4, **FLUX.small)
        client.follow(endpoint, run)
        assert run.status == endpoint.ends[1]
        assert ACCIDENTS[accident][endpoint.provider] in str(at(run.last, endpoint.error))
        if endpoint.callback:
            (hit,) = receiver.wait(1)
            assert json.loads(hit.body).get("status") == endpoint.ends[1]
    made = client.made(run)
    assert made["failed"] == {"crash": "killed"}.get(accident, accident)
    charges = site.world.ledger()["providers"][endpoint.provider]["charges"]
    assert run.id not in {charge["job"] for charge in charges}
    assert client.follow(FLUX, next_one).status == "COMPLETED"
    assert opened(client.picture(FLUX, next_one)).tobytes() == site.resting_pixels


def test_the_providers_deadline_ends_a_run_that_hangs(site: Site, client: Client) -> None:
    before = site.resting_pixels
    site.renderer.orders.append("hang")
    run = client.submit(FLUX, outside={"policy": {"executionTimeout": 5000}}, **FLUX.small)
    client.follow(FLUX, run)
    assert (run.status, run.last["error"]) == ("FAILED", "executionTimeout exceeded")
    assert run.last["executionTime"] == 5000
    assert site.resting_pixels == before
