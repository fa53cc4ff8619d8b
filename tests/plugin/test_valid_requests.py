"""assert_valid_request and assert_valid_response: for clients that are tested with other mocks."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests
import respx
import yarl
from aiohttp.payload import BytesPayload, StringPayload
from hypothesis import given, settings

from fauxvider import LocalServer
from fauxvider.errors import UsageError
from pytest_fauxvider import assert_valid_request, assert_valid_response
from pytest_fauxvider.strategies import invalid_submissions, submissions

ACME = str(Path(__file__).parents[1] / "data" / "acme.yaml")
URL = "https://api.runpod.ai/v2/black-forest-labs-flux-1-dev/run"
KEY = {"Authorization": "Bearer my-key"}
JSON = {**KEY, "Content-Type": "application/json"}


def body(**given: Any) -> bytes:
    return json.dumps({"input": {"prompt": "a lighthouse", **given}}).encode()


def refusal(*request: Any, **given: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_valid_request("runpod", *request, **given)
    return str(caught.value)


# --- whosever request it is


class _Call:
    """A call as respx, responses and others keep it: with its request."""

    def __init__(self, request: object) -> None:
        self.request = request


class _Aio:
    """A call as aioresponses keeps it."""

    def __init__(self, **given: object) -> None:
        self.args, self.kwargs = (), given


class _Werkzeug:
    """A request as pytest-httpserver hands it to a handler."""

    method, url, headers = "POST", URL, JSON

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get_data(self) -> bytes:
        return self._data


class _AioClient:
    """A request of aiohttp's client, as its traces and middlewares see it."""

    method, url, headers = "POST", yarl.URL(URL), JSON

    def __init__(self, payload: object) -> None:
        self.body = payload


def _shapes(data: bytes) -> list[tuple[Any, ...]]:
    sent = {"headers": JSON, "content": data}
    request = requests.Request("POST", URL, headers=JSON, data=data)
    return [
        (httpx.Request("POST", URL, **sent),),
        (httpx.Request("POST", URL, headers=JSON, content=iter([data])),),
        (httpx2.Request("POST", URL, **sent),),
        (request,),
        (request.prepare(),),
        (requests.Request("POST", URL, headers=JSON, data=data.decode()).prepare(),),
        (urllib.request.Request(URL, data, JSON, method="POST"),),
        (_Call(request.prepare()),),
        (_Werkzeug(data),),
        (_AioClient(BytesPayload(data)),),
        (_AioClient(StringPayload(data.decode())),),
        ((("POST", yarl.URL(URL)), _Aio(headers=JSON, json=json.loads(data))),),
        ((("POST", yarl.URL(URL)), _Aio(headers=JSON, data=data)),),
        (("POST", URL, JSON, data),),
        (("post", URL, list(JSON.items()), json.loads(data)),),
    ]


@pytest.mark.parametrize("number", range(len(_shapes(b"{}"))))
def test_each_librarys_request_is_read(number: int) -> None:
    judged = assert_valid_request("runpod", *_shapes(body(width=1024))[number])
    assert (judged.operation, judged.kind, judged.model) == ("run", "submit", "flux-dev")
    assert "/input/width 1000 is not divisible by 64" in refusal(*_shapes(body(width=1000))[number])


def test_a_mocks_calls(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(URL).respond(json={"id": "x"})
    httpx.post(URL, headers=KEY, json={"input": {"prompt": "a lighthouse"}})
    for call in (route.calls.last, route.calls.last.request, respx_mock.calls[0]):
        assert assert_valid_request("runpod", call).operation == "run"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (object(), "object is no request"),
        (("POST",), "a tuple of 1"),
        ("POST", "POST and what"),
        (("POST", URL, {}, object()), "object cannot be read again"),
    ],
)
def test_what_is_no_request(request_: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        assert_valid_request("runpod", request_)


# --- where it goes


@pytest.mark.parametrize(
    ("url", "more"),
    [
        (URL, {}),
        ("/v2/black-forest-labs-flux-1-dev/run", {}),
        ("http://127.0.0.1:8900/runpod/v2/black-forest-labs-flux-1-dev/run", {}),
        ("http://127.0.0.1:8900/w/mine/runpod/v2/black-forest-labs-flux-1-dev/run", {}),
        ("http://mock.local:8080/v2/black-forest-labs-flux-1-dev/run", {}),
        ("http://mock.local/gpu/v2/black-forest-labs-flux-1-dev/run", {"base_url": "http://mock.local/gpu"}),
    ],
)
def test_the_operation_is_found(url: str, more: Any) -> None:
    assert assert_valid_request("runpod", "POST", url, headers=JSON, body=body(), **more).model == "flux-dev"


def test_what_depends_on_the_past_is_not_held_against_it() -> None:
    read = assert_valid_request("runpod", "GET", URL.replace("/run", "/status/some-job"), headers=KEY)
    assert read.operation == "status"
    with LocalServer(providers=["runpod"], deliver=lambda _: 200) as server, server.world(clock="manual") as world:
        base = f"{world.base_url('runpod')}/v2/black-forest-labs-flux-1-dev"
        job = server.request("POST", f"{base}/run", headers=JSON, body=body(), world=world.name).json()
        world.advance("1m")
        done = server.request("GET", f"{base}/status/{job['id']}", headers=KEY, world=world.name).json()
    picture = done["output"]["image_url"]
    assert assert_valid_request("runpod", "GET", picture).kind == "file"


# --- what is wrong with it


@pytest.mark.parametrize(
    ("method", "url", "data", "said"),
    [
        ("POST", URL, body(width=1000), "nearest 960, 1024"),
        ("POST", URL, body(width=1000), "rule /models/flux-dev/input/properties/width"),
        ("POST", URL, body(width=1000), "(runpod.yaml:"),
        ("POST", URL, b'{"input": {"promt": "x"}}', "/input/prompt is missing (string)"),
        ("POST", URL, b"{", "is not JSON"),
        ("PUT", URL, body(), "does not take this method"),
        ("POST", URL.replace("/run", "/runn"), body(), "no such path; nearest POST /v2/{slug}/run"),
        ("POST", URL.replace("flux-1-dev", "flux-1-deb"), body(), "nearest black-forest-labs-flux-1-dev"),
    ],
)
def test_it_is_told_in_the_emulators_words(method: str, url: str, data: bytes, said: str) -> None:
    text = refusal(method, url, headers=JSON, body=data)
    assert said in text
    assert text.startswith(f"runpod would not take this request\n  {method} {url}")


def test_what_only_the_emulator_knows() -> None:
    text = refusal("POST", URL, body=body())
    assert "is answered 401" in text
    assert "rule /errors/auth_missing (runpod.yaml:" in text
    huge = b'{"input": {"prompt": "x", "more": "' + b"x" * 11_000_000 + b'"}}'
    assert "/errors/body_too_large" in refusal("POST", URL, headers=JSON, body=huge)


def test_no_key_is_shown() -> None:
    text = refusal("POST", f"{URL}?key=sk-secret", headers={"Authorization": "Bearer sk-secret"}, body=b"{")
    assert "sk-secret" not in text


def test_readings_decide(tmp_path: Path) -> None:
    given = {"headers": JSON, "json": {"input": {"prompt": "x"}}}
    assert assert_valid_request(ACME, "POST", "/v2/acme-dev/run", **given).model == "dev"
    with pytest.raises(UsageError, match="nothing"):
        assert_valid_request(ACME, "POST", "/v2/acme-dev/run", readings={"nothing": "x"}, **given)
    with pytest.raises(UsageError, match="no provider"):
        assert_valid_request("nobody", "POST", URL)


@settings(max_examples=25, deadline=None)
@given(sent=submissions("runpod"))
def test_what_is_valid_is_taken(sent: Any) -> None:
    judged = assert_valid_request("runpod", sent.method, sent.path, headers=sent.headers, json=sent.json)
    assert (judged.kind, judged.model) == ("submit", sent.model)


@settings(max_examples=25, deadline=None)
@given(sent=invalid_submissions("runpod"))
def test_what_is_not_is_refused(sent: Any) -> None:
    refusal(sent.method, sent.path, headers=sent.headers, json=sent.json)


# --- answers

QUEUED = {"id": "2939a510-3916-484a-9600-98b507f9c929-u1", "status": "IN_QUEUE"}


def answer(tree: Any, status: int = 200, url: str = URL, method: str = "POST", **more: Any) -> httpx.Response:
    sent = httpx.Request(method, url, headers=JSON, content=body() if method == "POST" else b"")
    return httpx.Response(status, json=tree, request=sent, **more)


def test_answers_that_the_provider_could_give() -> None:
    assert_valid_response("runpod", answer(QUEUED))
    read = URL.replace("/run", f"/status/{QUEUED['id']}")
    assert_valid_response("runpod", answer(QUEUED), answer(QUEUED, url=read, method="GET"))
    assert_valid_response(
        "runpod", answer({"detail": "job not found", "status": 404, "title": "Not Found"}, 404, read, "GET")
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer({**QUEUED, "status": "QUEUED"}), "/lifecycle/states/IN_QUEUE"),
        (answer({"id": QUEUED["id"]}), "/operations/run/answers/ok"),
        (answer({**QUEUED, "id": "job-1"}), "/ids/"),
        (answer(QUEUED, 201), "status"),
        (answer({"error": "no"}, 418), "418"),
    ],
)
def test_answers_that_it_could_not(given: httpx.Response, said: str) -> None:
    with pytest.raises(AssertionError, match="runpod does not answer like this") as caught:
        assert_valid_response("runpod", given)
    assert said in str(caught.value)
    assert "runpod.yaml:" in str(caught.value)


def test_what_cannot_be_judged_is_said() -> None:
    read = URL.replace("/run", f"/status/{QUEUED['id']}")
    with pytest.raises(ValueError, match="submission is not among"):
        assert_valid_response("runpod", answer(QUEUED, url=read, method="GET"))
    with pytest.raises(ValueError, match="none of its hosts"):
        assert_valid_response("runpod", answer(QUEUED, url="http://mock.local/v2/x/run"))
    with pytest.raises(TypeError, match="no answer"):
        assert_valid_response("runpod", _Call(httpx.Request("GET", URL)))
