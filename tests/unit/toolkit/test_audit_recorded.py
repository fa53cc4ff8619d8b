"""Reading recordings: HAR and cassettes, and every way in which a file can be none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.toolkit.audit.placing import Places
from fauxvider.toolkit.audit.recorded import RecordingError, read_recording
from support.verifying import open_contract

HAR_ENTRY = {
    "startedDateTime": "2026-11-20T09:15:30.250Z",
    "time": 12.7,
    "request": {
        "method": "post",
        "url": "https://api.runpod.ai/v2/x/run",
        "headers": [{"name": "Authorization", "value": "Bearer k"}],
        "postData": {"mimeType": "application/json", "text": '{"input": {}}'},
    },
    "response": {"status": 200, "headers": [], "content": {"text": "eyJpZCI6IDF9", "encoding": "base64"}},
}

CASSETTE = """
interactions:
- request:
    body: '{"input": {"prompt": "x"}}'
    headers:
      Authorization: &keys
      - Bearer k
      X-Again: *keys
    method: POST
    uri: https://api.runpod.ai/v2/x/run
  response:
    body:
      string: !!binary |
        eyJpZCI6IDF9
    headers:
      Date:
      - Fri, 20 Nov 2026 09:15:30 GMT
    status:
      code: 200
      message: OK
version: 1
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "recording"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def har(*entries: Any) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def test_a_har_file(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path, har(HAR_ENTRY)))
    (one,) = found.exchanges
    assert (found.form, found.is_timed) == ("HAR", True)
    assert (one.method, one.status, one.answer) == ("POST", 200, b'{"id": 1}')
    assert (one.at, one.ended) == (1_795_166_130_250, 1_795_166_130_262)
    assert one.header("authorization") == "Bearer k"


def test_a_cassette_in_yaml_and_in_json(tmp_path: Path) -> None:
    (one,) = read_recording(written(tmp_path, CASSETTE)).exchanges
    assert (one.method, one.status, one.answer) == ("POST", 200, b'{"id": 1}')
    assert one.at == 1_795_166_130_000
    tree = {
        "version": 1,
        "interactions": [
            {
                "request": {"method": "GET", "uri": "https://x.test/", "body": None, "headers": {}},
                "response": {"status": {"code": 204, "message": ""}, "headers": {}, "body": {"string": ""}},
            }
        ],
    }
    found = read_recording(written(tmp_path, json.dumps(tree)))
    assert (found.exchanges[0].status, found.is_timed) == (204, False)


def test_entries_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    later = {**HAR_ENTRY, "startedDateTime": "2026-11-20T09:15:31Z"}
    found = read_recording(written(tmp_path, har(later, HAR_ENTRY)))
    assert [one.number for one in found.exchanges] == [2, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "neither a HAR"),
        (b"{", ":1:2: this is not JSON"),
        (b"\xff\xfe", ":1: the text is not UTF-8"),
        (b"a: [", "this is not YAML"),
        (b"- !!python/object/apply:os.system [true]", "this is not YAML"),
        (b"[1, 2]", "neither a HAR"),
        (b'{"log": {"entries": 5}}', "no list of entries"),
        (b'{"log": {"entries": [5]}}', "entry 1: it has no request"),
        (har(HAR_ENTRY, {**HAR_ENTRY, "request": {"method": "GET"}}), "entry 2: its request has no url"),
        (har({**HAR_ENTRY, "startedDateTime": "noon"}), "entry 1: startedDateTime 'noon' is no moment"),
        (b"interactions: 3", "no list of entries"),
        (b"interactions:\n- {request: {}, response: {}}", "entry 1: its request has no method"),
        (b"{" * 100_000, "this is not JSON"),
    ],
)
def test_what_is_no_recording_is_told_in_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read_recording(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "nothing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["request", "response", "method", "url", "uri", "headers", "status", "code", "content", "text", "body", "string",
         "startedDateTime", "time", "postData", "encoding", "name", "value"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(entry=JSON, in_har=st.booleans())
def test_any_entry_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, entry: Any, in_har: bool) -> None:
    tree = {"log": {"entries": [entry]}} if in_har else {"interactions": [entry]}
    path = written(tmp_path_factory.mktemp("any"), json.dumps(tree))
    try:
        count, said = len(read_recording(path).exchanges), ""
    except RecordingError as error:
        count, said = 0, str(error)
    assert count == 1 or "entry 1" in said or "not JSON" in said


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://api.runpod.ai/v2/x/run?wait=1", ("runpod", "api", "/v2/x/run")),
        ("https://image.runpod.ai/a/b.png", ("runpod", "images", "/a/b.png")),
        ("http://127.0.0.1:8900/runpod/v2/x/run", ("runpod", "api", "/v2/x/run")),
        ("http://127.0.0.1:8900/w/mine/runpod/~images/a.png", ("runpod", "images", "/a.png")),
        ("https://proxy.test:444/base/v2/x", ("runpod", "api", "/v2/x")),
        ("https://example.com/other", None),
        ("https://api.runpod.ai:99999/", None),
        ("not an address", None),
    ],
)
def test_whose_an_address_is(url: str, wanted: tuple[str, str, str] | None) -> None:
    places = Places({"runpod": open_contract("runpod")}, {"runpod": "https://proxy.test:444/base"})
    found = places.find(url)
    assert (found and (found.provider, found.origin, found.path)) == wanted
