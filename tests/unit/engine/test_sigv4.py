"""Our presigned URLs against botocore's, each made by one side and judged by the other."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.engine.signing import Verdict, amz_date, amz_moment, host_header, presign, verify
from fauxvider.errors import UsageError

NOW = 1_795_166_130_250  # 2026-11-20T09:15:30.250Z
ISSUED = NOW // 1000 * 1000
WEEK = 604_800
SDK = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "x-amz-checksum-mode": "ENABLED", "x-id": "GetObject"}
HOST = "s3.us-east-1.amazonaws.com"
PATH = "/asset.example/images/2026_a b/ü.png"
GIVEN: dict[str, Any] = {"secret_key": "s3cret/+key", "region": "us-east-1", "service": "s3"}


def query(**changes: Any) -> str:
    arguments = {"method": "GET", "host": HOST, "path": PATH, "access_key": "AKIAEXAMPLE", "moment_ms": NOW}
    return presign(**{**arguments, **GIVEN, "expires_s": WEEK, "extra": SDK, **changes})


def judged(text: str, **changes: Any) -> Verdict:
    arguments = {"method": "GET", "host": HOST, "path": PATH, "now_ms": NOW, "access_key": "AKIAEXAMPLE"}
    return verify(query=text, **{**arguments, **GIVEN, **changes})


def test_parameters_come_in_the_documented_order() -> None:
    pairs = parse_qsl(query(), keep_blank_values=True, strict_parsing=True)
    assert [name for name, _ in pairs] == [
        "X-Amz-Algorithm",
        "X-Amz-Content-Sha256",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "x-amz-checksum-mode",
        "x-id",
    ]
    values = dict(pairs)
    assert values["X-Amz-Credential"] == "AKIAEXAMPLE/20261120/us-east-1/s3/aws4_request"
    assert values["X-Amz-Date"] == "20261120T091530Z"
    assert values["X-Amz-Expires"] == "604800"
    assert re.fullmatch("[0-9a-f]{64}", values["X-Amz-Signature"])
    assert "X-Amz-Credential=AKIAEXAMPLE%2F20261120%2Fus-east-1%2Fs3%2Faws4_request&" in query()


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (ISSUED, "ok"),
        (ISSUED + WEEK * 1000 - 1000, "ok"),
        (ISSUED + WEEK * 1000, "ok"),
        (ISSUED + WEEK * 1000 + 1, "expired"),
        (ISSUED + WEEK * 1000 + 1000, "expired"),
        (ISSUED - 5000, "ok"),
    ],
)
def test_the_end_of_life_is_exact(now: int, wanted: Verdict) -> None:
    assert judged(query(), now_ms=now) == wanted


def test_a_life_is_at_most_seven_days() -> None:
    assert query(expires_s=10**9) == query()
    assert judged(query(expires_s=0), now_ms=ISSUED + 1001) == "expired"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"method": "HEAD"},
        {"host": "evil.test"},
        {"host": f"{HOST}:443"},
        {"path": PATH + "x"},
        {"path": PATH.replace("images", "Images")},
        {"path": "/" + PATH},
        {"secret_key": "other"},
        {"region": "eu-west-1"},
        {"service": "sts"},
        {"access_key": "AKIAOTHER"},
    ],
    ids=lambda changes: f"{next(iter(changes))}={next(iter(changes.values()))}",
)
def test_a_url_is_good_for_what_it_was_signed_for_alone(changes: dict[str, Any]) -> None:
    assert judged(query()) == "ok"
    assert judged(query(), **changes) == "forged"


def test_parameters_may_be_reordered_and_encoded_otherwise() -> None:
    parts = query().split("&")
    assert judged("&".join(reversed(parts))) == "ok"
    assert judged(query().replace("%2F", "/")) == "ok"
    assert judged(query().replace("%2F", "%2f")) == "ok"
    assert judged("&".join([*parts, ""])) == "ok"
    assert judged(query(), path=quote(PATH)) == "ok"
    assert judged(query(), path=quote(PATH, safe="")) == "ok"


def test_parameters_may_be_neither_doubled_nor_added_nor_removed() -> None:
    parts = query().split("&")
    for part in parts:
        name = part.partition("=")[0]
        assert judged("&".join([*parts, part])) == "forged"
        assert judged("&".join([*parts, f"{name}=x"])) == "forged"
        assert judged("&".join([f"{name}=x", *parts])) == "forged"
        rest = "&".join(other for other in parts if other != part)
        assert judged(rest) == ("unsigned" if name == "X-Amz-Signature" else "forged")
        assert judged(f"{rest}&{name}=") == "forged"
    assert judged("&".join([*parts, "a=b"])) == "forged"
    assert judged("") == "unsigned"
    assert judged("a=b&c") == "unsigned"


def test_every_single_edit_of_a_signed_part_is_refused() -> None:
    text, accepted = query(), []
    for at, old in enumerate(text):
        for new in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.~%&=/+":
            changed = text[:at] + new + text[at + 1 :]
            if new != old and parse_qsl(changed) != parse_qsl(text) and judged(changed) not in ("forged", "unsigned"):
                accepted.append(changed)
    assert accepted == []


def test_every_single_edit_of_the_path_is_refused() -> None:
    text, path = query(), quote(PATH)
    for at, old in enumerate(path):
        for new in "0123456789abcdefABCDEF-_.~%/":
            changed = path[:at] + new + path[at + 1 :]
            if new != old and unquote(changed) != unquote(path):
                assert judged(text, path=changed) == "forged"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Date", "20260231T000000Z"),
        ("X-Amz-Date", "20261120T250000Z"),
        ("X-Amz-Date", "20261120"),
        ("X-Amz-Date", "\u0662\u0660261120T091530Z"),
        ("X-Amz-Expires", "0"),
        ("X-Amz-Expires", "604801"),
        ("X-Amz-Expires", "-1"),
        ("X-Amz-Expires", "1e3"),
        ("X-Amz-Expires", "9" * 5000),
        ("X-Amz-SignedHeaders", "host;x-evil"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
        ("X-Amz-Credential", "AKIAEXAMPLE"),
        ("X-Amz-Signature", "\u00e9"),
        ("X-Amz-Signature", ""),
    ],
)
def test_odd_values_are_forged(name: str, value: str) -> None:
    changed = re.sub(rf"({name}=)[^&]*", rf"\g<1>{quote(value)}", query())
    assert judged(changed) == "forged"


@given(st.text(), st.text(), st.text())
def test_any_request_is_judged(text: str, host: str, path: str) -> None:
    assert judged(text, host=host, path=path) in ("unsigned", "forged")
    assert judged(f"X-Amz-Signature={text}", host=host, path=path) == "forged"
    assert judged(f"{query()}&{text}x", host=host, path=path) == "forged"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://127.0.0.1:8000/a", "127.0.0.1:8000"),
        ("http://LocalHost:80/a", "localhost"),
        ("https://a.test:443", "a.test"),
        ("https://a.test:80", "a.test:80"),
        ("http://[::1]:9/x", "[::1]:9"),
        ("http://[::1]/x", "[::1]"),
    ],
)
def test_host_header(url: str, wanted: str) -> None:
    assert host_header(url) == wanted


@given(st.integers(0, 253_402_300_799))
def test_dates_agree_with_the_standard_library(second: int) -> None:
    wanted = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    text = amz_date(second * 1000 + 999)
    assert text == f"{wanted.year:04d}{wanted:%m%dT%H%M%SZ}"
    assert amz_moment(text) == second * 1000


@pytest.mark.parametrize("moment", [-1, 253_402_300_800_000, 10**30])
def test_moments_outside_the_calendar(moment: int) -> None:
    with pytest.raises(UsageError):
        amz_date(moment)


# --- botocore

SEGMENT = st.text(alphabet="abcXYZ019-_.~ +()'!*,;:@&=$üé日", min_size=1, max_size=8).filter(
    lambda s: s not in (".", "..")
)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + quote("/".join(parts), safe="/~"))
HOSTS = st.sampled_from(["127.0.0.1:8123", "localhost:9", "s3.us-east-1.amazonaws.com", "a.test:8443"])
EXTRA = st.dictionaries(
    st.text(alphabet="abcXYZ-", min_size=1, max_size=6), st.text(alphabet="abc019-_.~ +/&=%ü", max_size=8), max_size=3
)
CASES = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT"]),
        "host": HOSTS,
        "path": PATHS,
        "access_key": st.from_regex("AKIA[A-Z0-9]{16}", fullmatch=True),
        "secret_key": st.text(alphabet="abcXYZ019/+", min_size=1, max_size=40),
        "region": st.sampled_from(["us-east-1", "eu-west-3"]),
        "service": st.just("s3"),
        "moment_ms": st.integers(10**9, 4 * 10**9).map(lambda second: second * 1000),
        "expires_s": st.integers(1, WEEK),
    }
)


def botocore_query(case: dict[str, Any], extra: dict[str, str]) -> str:
    signer = botocore.auth.S3SigV4QueryAuth(
        Credentials(case["access_key"], case["secret_key"]), case["service"], case["region"], expires=case["expires_s"]
    )
    own = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in extra.items())
    request = AWSRequest(case["method"], f"https://{case['host']}{case['path']}" + (f"?{own}" if own else ""))
    moment = dt.datetime.fromtimestamp(case["moment_ms"] / 1000, dt.UTC).replace(tzinfo=None)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_: moment):
        signer.add_auth(request)
    return str(urlsplit(request.url).query)


@settings(max_examples=300, deadline=None)
@given(CASES, EXTRA)
def test_we_accept_what_botocore_signs(case: dict[str, Any], extra: dict[str, str]) -> None:
    text = botocore_query(case, extra)
    known = {name: case[name] for name in ("method", "host", "path", "access_key", "secret_key", "region", "service")}
    ends = case["moment_ms"] + case["expires_s"] * 1000
    assert verify(query=text, now_ms=ends, **known) == "ok"
    assert verify(query=text, now_ms=ends + 1, **known) == "expired"
    known["method"] = "GET" if case["method"] == "PUT" else "PUT"
    assert verify(query=text, now_ms=ends, **known) == "forged"


@settings(max_examples=300, deadline=None)
@given(CASES, EXTRA)
def test_botocore_signs_what_we_sign(case: dict[str, Any], extra: dict[str, str]) -> None:
    ours = dict(parse_qsl(presign(extra=extra, **case), keep_blank_values=True, strict_parsing=True))
    theirs = dict(parse_qsl(botocore_query(case, extra), keep_blank_values=True, strict_parsing=True))
    assert ours == theirs


def test_a_url_that_has_been_good_is_judged_no_softer_for_it() -> None:
    text = query()
    for _ in range(2):
        assert judged(text) == "ok"
        assert judged(text, now_ms=ISSUED + WEEK * 1000) == "ok"
        assert judged(text, now_ms=ISSUED + WEEK * 1000 + 1) == "expired"
        for change in ({"method": "PUT"}, {"host": "elsewhere"}, {"path": PATH + "x"}, {"secret_key": "other"}):
            assert judged(text, **change) == "forged"
        assert judged(text[:-1] + ("0" if text[-1] != "0" else "1")) == "forged"
        assert judged(text + "&x-id=GetObject") == "forged"
