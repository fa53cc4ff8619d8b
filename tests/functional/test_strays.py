"""Requests that no documented case sends: odd methods, paths of a store, sorting a list that is empty, huge integers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fauxvider import Server
from support.inprocess import InProcess

KEY = {"authorization": "Bearer k"}


@pytest.fixture(scope="module")
def host() -> Iterator[InProcess]:
    with InProcess(providers=["runflow", "runpod"]) as one:
        yield one


def test_a_store_speaks_for_itself_whatever_the_path(host: InProcess) -> None:
    world = host.world()
    for provider, origin in (("runflow", "storage"), ("runpod", "images")):
        answer = host.request("GET", f"{host.base(world, provider, origin)}/no/such/thing/at/all")
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/xml"
        assert "<Error>" in answer.text
        api = host.request("GET", f"{host.base(world, provider)}/no/such/thing/at/all")
        assert api.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("sort", "status"), [("created_at:desc", 200), ("created_at:sideways", 422), ("a:b:c", 422)])
def test_an_order_is_read_even_if_there_is_nothing_to_sort(host: InProcess, sort: str, status: int) -> None:
    world = host.world()
    answer = host.request("GET", f"{host.base(world, 'runflow')}/v1/runs", headers=KEY, query={"sort_by": sort})
    assert answer.status == status


def test_a_large_integer_is_taken_and_echoed_exactly(host: InProcess) -> None:
    world = host.world()
    url = f"{host.base(world, 'runflow')}/v1/models/black-forest-labs/flux-1-dev/edit/runs"
    body = {"input": {"prompt": "x", "image_b64": "https://a.example/a.png", "odd": 10**25, "seed": 2**70}}
    answer = host.request("POST", url, headers=KEY, json_body=body)
    assert answer.status == 201
    assert json.loads(answer.body)["input"] == body["input"]
    host.advance(world, "1m")
    done = host.request("GET", f"{host.base(world, 'runflow')}/v1/runs/{answer.json()['id']}", headers=KEY)
    assert json.loads(done.body)["input"]["odd"] == 10**25


@pytest.mark.parametrize("method", ["QUERY", "TRACE"])
def test_a_method_that_the_path_has_not_is_refused_with_those_that_it_has(method: str) -> None:
    with Server(providers=["runflow"]) as server:
        parts = urlsplit(server.base_url("runflow"))
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request(method, f"{parts.path}/v1/callback-secrets", headers=KEY)
        answer = connection.getresponse()
        assert answer.status == 405
        assert set(str(answer.getheader("allow")).split(", ")) == {"GET", "POST"}
        connection.close()
