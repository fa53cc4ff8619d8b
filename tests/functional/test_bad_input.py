"""What clients send by mistake or malice: the provider's own 4xx, nothing stored, nothing charged.

Operations, fields and routes come from the contracts, so that a new provider is tested as soon as it is there.
"""

from __future__ import annotations

import json
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from fauxvider.service.outputs import asset_scope
from support.inprocess import Answer, InProcess
from support.operations import PNG, Case, Site, cases, fields_of, replaced, texts_in
from support.receiver import Receiver

CASES = cases()
SUBMITS = cases(every_model=True)
WITH_JSON = [case for case in CASES if case.schema is not None]
WITH_BODY = [case for case in CASES if case.operation.body != "none"]
KNOWN = {case.provider: case.provider for case in CASES}


@pytest.fixture(scope="module")
def host() -> Iterator[InProcess]:
    with InProcess() as made:
        yield made


@pytest.fixture(scope="module")
def sites(host: InProcess) -> dict[str, Site]:
    made = {provider: Site(host, provider) for provider in KNOWN}
    for site in made.values():
        site.furnish()
    return made


@pytest.fixture
def site_of(sites: dict[str, Site]) -> Any:
    """Give a case's site, and look after the test that nothing was stored, changed or charged in any."""
    before = {name: site.state() for name, site in sites.items()}
    yield lambda case: sites[case.provider]
    assert {name: site.state() for name, site in sites.items()} == before


def raw(site: Site, case: Case, body: bytes, **headers: str) -> Answer:
    return site.call(case, body=body, headers={"content-type": "application/json", **headers})


# --- bodies that are no JSON --------------------------------------------------------------------------

DEEP = b'{"a":' * 100 + b"1" + b"}" * 100
MALFORMED = {
    "nothing but blanks": b" \n\t",
    "half": b'{"input": {"prompt": "a',
    "trailing comma": b'{"input": {},}',
    "single quotes": b"{'input': {}}",
    "comment": b'{"input": {}} // x',
    "two values": b"{} {}",
    "a list": b"[]",
    "a text": b'"input"',
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "NaN": b'{"input": NaN}',
    "Infinity": b'{"input": Infinity}',
    "-Infinity": b'{"input": -Infinity}',
    "duplicate keys": b'{"input": {}, "input": {}}',
    "duplicate keys inside": b'{"input": {"prompt": "a", "prompt": "b"}}',
    "duplicate keys, escaped": b'{"input": {"a": 1, "\\u0061": 2}}',
    "depth 100": DEEP,
    "depth 100 of lists": b'{"input": ' + b"[" * 100 + b"]" * 100 + b"}",
    "depth 100,000": b"[" * 100_000,
    "1e400": b'{"input": 1e400}',
    "-1e400": b'{"input": -1e400}',
    "1e1000000": b'{"input": 1e1000000}',
    "1e-1000000": b'{"input": 1e-1000000}',
    "10**400": b'{"input": 1' + b"0" * 400 + b"}",
    "10**5000": b'{"input": 1' + b"0" * 5000 + b"}",
    "a lone surrogate": b'{"input": "\\ud800"}',
    "a lone surrogate as a key": b'{"\\udfff": 1}',
    "not UTF-8": b'{"input": "\xff\xfe"}',
    "UTF-16": '{"input": {}}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a null byte": b'{"input": {}}\0',
    "XML": b"<input/>",
    "a form": b"input=1",
    "YAML": b"input: {}",
    "a pickle": b"\x80\x04\x95\x05",
}


NO_OBJECTS = [
    pytest.param(case, body, id=f"{case}-{name}")
    for case in WITH_JSON
    for name, body in MALFORMED.items()
    if body.strip() or not case.operation.body_optional
]


@pytest.mark.parametrize(("case", "body"), NO_OBJECTS)
def test_bodies_that_are_no_json_object(case: Case, body: bytes, site_of: Any) -> None:
    site = site_of(case)
    cause = site.refusal(raw(site, case, body))
    assert not cause.startswith(("auth", "path", "method", "job", "url"))


@pytest.mark.parametrize("case", WITH_JSON, ids=str)
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "x-unknown", "identity, gzip"])
def test_compressed_bodies_are_not_unpacked(case: Case, coding: str, site_of: Any) -> None:
    site = site_of(case)
    body = json.dumps(case.valid()).encode()
    site.refusal(raw(site, case, body, **{"content-encoding": coding}))


FORMS = {
    "no boundary": (b"--b\r\n\r\n--b--", "multipart/form-data"),
    "an empty boundary": (b"----\r\n", "multipart/form-data; boundary="),
    "a long boundary": (b"--b\r\n", f"multipart/form-data; boundary={'b' * 10_000}"),
    "another kind": (b"{}", "application/json"),
    "no kind": (b"x", ""),
    "no end": (
        b'--b\r\nContent-Disposition: form-data; name="asset"; filename="a"\r\n\r\nabc',
        "multipart/form-data; boundary=b",
    ),
    "no parts": (b"--b--\r\n", "multipart/form-data; boundary=b"),
    "nothing": (b"", "multipart/form-data; boundary=b"),
    "no name": (b"--b\r\n\r\nabc\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "another name": (
        b'--b\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nabc\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "no file": (
        b'--b\r\nContent-Disposition: form-data; name="asset"\r\n\r\nabc\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "a hundred parts": (
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 100 + b"--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    "a preamble of line ends": (b"\r\n" * 100_000 + b"--b--\r\n", "multipart/form-data; boundary=b"),
    "many part headers": (b"--b\r\n" + b"a: b\r\n" * 20_000 + b"\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
}


@pytest.mark.parametrize("case", [case for case in CASES if case.operation.body == "multipart"], ids=str)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_that_cannot_be_read(case: Case, form: tuple[bytes, str], site_of: Any) -> None:
    site = site_of(case)
    site.refusal(site.call(case, body=form[0], headers={"content-type": form[1]} if form[1] else {}))


# --- fields of the wrong type -------------------------------------------------------------------------

WRONG: list[Any] = [
    None, True, False, 0, -1, 1, 7, 1.5, -0.5, 10**6, 2**31, 2**53 + 1, 2**63 - 1, 1e18, 1e308, -1e308, "", " ", "x",
    "1", "null", "true", "NaN", "1e400", "٣", "²", "x" * 3000, "\0", "é", [], [[]], [None], ["x"], [1, 2], {}, {"x": 1},
    {"$ref": "#"},
]  # fmt: skip
FIELDS = [(case, at) for case in SUBMITS if case.schema for at, _ in fields_of(case.schema)]


def _bad_fields(case: Case) -> Iterator[tuple[tuple[str, ...], dict[str, Any], bool]]:
    """Give (field, body, whether the schema takes it): each documented field with each odd value."""
    assert case.schema is not None
    checker, valid = case.checker(), case.valid()
    for at, inner in fields_of(case.schema):
        if "const" in inner:
            continue  # chooses the operation or the model: another test
        for value in WRONG:
            body = replaced(valid, at, value)
            yield at, body, checker.is_valid(body)


@pytest.mark.parametrize("case", [case for case in SUBMITS if case.schema], ids=str)
def test_wrong_types_in_every_documented_field(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider)
    if case.operation.kind != "submit":
        site.furnish()
    jobs, refused, accepted = site.count_jobs(), 0, 0
    for at, body, is_right in _bad_fields(case):
        answer = site.call(case, json_body=body)
        assert answer.status < 500, (at, body, answer.text)
        # A held call may show a job's failure with the status of a refusal.
        is_job = case.operation.kind == "submit" and site.count_jobs() > jobs + accepted
        accepted += is_job
        if is_right:
            continue  # odd, but allowed: it must only not break
        outside = case.operation.input and at[: len(case.operation.input)] != case.operation.input
        if is_job and (case.fails_later or (case.operation.on_empty and not body.get(case.operation.input[0]))):
            assert not outside or at == case.operation.input, (at, body)
            continue  # accepted, and it will have failed below
        assert answer.status >= 400, (at, body, answer.text[:200])
        site.refusal(answer)
        refused += 1
    assert refused or case.fails_later or case.operation.kind != "submit"
    site.host.run(site.world.advance(40 * 86_400_000))  # a run of absurdly many steps takes a month at most
    paid = {charge["job"] for account in site.money()["providers"].values() for charge in account["charges"]}
    for job in site.jobs():
        assert job["state"] not in ("queued", "running")
        assert (job["state"] == "succeeded") or job["id"] not in paid
    assert len(site.jobs()) == jobs + accepted  # what was refused is nowhere


@pytest.mark.parametrize("case", [case for case in SUBMITS if case.operation.kind == "submit"], ids=str)
@pytest.mark.parametrize(
    "bomb",
    [
        "1e400",
        "-1e400",
        "1e1000000",
        "1e-1000000",
        "1" + "0" * 400,
        "-1" + "0" * 400,
        "NaN",
        "Infinity",
        "0x10",
        "01",
        "1_0",
    ],
)
def test_numeric_bombs_in_every_field(case: Case, bomb: str, site_of: Any) -> None:
    site = site_of(case)
    assert case.schema is not None
    for at, inner in fields_of(case.schema):
        if "const" in inner:
            continue
        body = json.dumps(replaced(case.valid(), at, "BOMB")).replace('"BOMB"', bomb)
        site.refusal(raw(site, case, body.encode()))


@pytest.mark.parametrize("case", [case for case in CASES if case.operation.kind == "submit" and case.schema], ids=str)
def test_models_that_are_named_in_the_body_and_do_not_exist(case: Case, site_of: Any) -> None:
    site = site_of(case)
    assert case.schema is not None
    chosen = [at for at, inner in fields_of(case.schema) if "const" in inner]
    for at in chosen:
        for value in WRONG:
            site.refusal(site.call(case, json_body=replaced(case.valid(), at, value)))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.operation.kind in ("list", "read", "stream", "submit")], ids=str
)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "-1",
        "1e400",
        "1" + "0" * 400,
        "NaN",
        "²",
        "٣",
        "x",
        "null",
        "true",
        "{{7*7}}",
        "' OR 1=1 --",
        "\0",
        "%",
        "%zz",
        "\ud7ff" * 50,
    ],
)
def test_odd_values_in_every_query_parameter(case: Case, value: str, host: InProcess) -> None:
    site, operation = Site(host, case.provider), case.operation
    site.furnish()
    waits, page = operation.waits, operation.page
    names = {"ttl", "wait", "limit", *([waits.query] if waits else [])}
    names |= {page.limit, page.cursor, page.sort, page.filter} if page else set()
    for name in sorted(names - {""}):
        given = {"json_body": case.valid()} if case.schema else {}
        answer = site.call(case, query={name: value}, **given)
        assert answer.status < 500
        if answer.status >= 400:
            site.refusal(answer)


@pytest.mark.parametrize("case", [case for case in CASES if case.operation.page], ids=str)
def test_every_field_of_a_list_can_be_sorted_and_filtered_by(case: Case, host: InProcess) -> None:
    site, page = Site(host, case.provider), case.operation.page
    assert page is not None
    site.furnish()
    submit = next(one for one in site.cases if one.operation.kind == "submit")
    takes_metadata = submit.schema is not None and "metadata" in submit.schema["properties"]
    for number in range(3):
        more = {"metadata": {"n": number} if number else None} if takes_metadata else {}
        assert site.call(submit, json_body={**submit.valid(), **more}).is_good
    rows = next(value for value in site.call(case).json().values() if isinstance(value, list))
    assert len(rows) == 4
    for name in rows[0]:
        for order in ("asc", "desc") if page.sort else ():
            answer = site.call(case, query={page.sort: f"{name}:{order}"})
            assert answer.status == 200, (name, answer.text)
            assert len(next(value for value in answer.json().values() if isinstance(value, list))) == 4
        for value in ("NaN", "sNaN", "null", "1", "x") if page.filter else ():
            assert site.call(case, query={page.filter: f"{name}>{value} OR {name}:{value}"}).status == 200


# --- sizes --------------------------------------------------------------------------------------------

LARGE = (10_485_760, 20_971_520)


OVER = [
    pytest.param(case, size, id=f"{case}-{size}")
    for case in CASES
    for size in LARGE
    if case.method in ("POST", "PUT", "PATCH") and case.operation.max_body <= size
]


@pytest.mark.parametrize(("case", "size"), OVER)
def test_bodies_over_the_limit(case: Case, size: int, site_of: Any) -> None:
    site = site_of(case)
    valid = json.dumps(case.valid())
    body = (valid[:-1] + (", " if len(valid) > 2 else "") + '"pad": "').encode()
    body += b"x" * (size + 1 - len(body) - 2) + b'"}'
    assert len(body) == size + 1
    answer = raw(site, case, body)
    assert site.refusal(answer) == "body_too_large"
    assert len(answer.body) < 2000


@pytest.mark.parametrize("case", WITH_JSON, ids=str)
def test_a_body_of_exactly_the_limit_is_read(case: Case, site_of: Any) -> None:
    site, limit = site_of(case), case.operation.max_body
    answer = raw(site, case, b"x" * limit)
    assert site.refusal(answer) != "body_too_large"


# --- headers ------------------------------------------------------------------------------------------

CANARY = "c4n4ry.evil.test"
HOSTILE = {
    "host": CANARY,
    "x-forwarded-host": CANARY,
    "x-forwarded-proto": f"https://{CANARY}",
    "x-forwarded-for": CANARY,
    "x-forwarded-port": CANARY,
    "x-forwarded-prefix": f"/{CANARY}",
    "x-forwarded-server": CANARY,
    "x-host": CANARY,
    "x-original-url": f"/{CANARY}",
    "x-original-host": CANARY,
    "x-rewrite-url": f"/{CANARY}",
    "x-real-ip": CANARY,
    "forwarded": f"for={CANARY};host={CANARY};proto=https",
    "via": f"1.1 {CANARY}",
    "referer": f"http://{CANARY}/",
    "origin": f"http://{CANARY}",
    "user-agent": CANARY,
    "cookie": f"session={CANARY}",
    "x-http-method-override": "DELETE",
}


@pytest.mark.parametrize("provider", KNOWN)
def test_hostile_headers_reach_nothing(provider: str, host: InProcess) -> None:
    with Receiver() as receiver:
        site = Site(host, provider)
        site.furnish()
        texts = []
        for case in site.cases:
            given: dict[str, Any] = {"json_body": case.valid()} if case.schema is not None else {}
            if case.operation.kind == "submit":
                given = site.addressed(case.valid(), receiver.url)
            answer = site.call(case, headers=HOSTILE, **given)
            assert answer.status < 500
            texts += [answer.text, str(answer.headers)]
            for url in _urls(answer):
                texts.append(str(site.host.request("GET", url, headers=HOSTILE).headers))
        site.host.run(site.world.advance(60_000))
        texts += [str(hit.raw) for hit in receiver.received]
        texts += [str(site.journal()), str(site.jobs()), str(site.state())]
        assert bool(receiver.received) == bool(site.contract.callbacks)
    for text in texts:
        assert CANARY not in text


@pytest.mark.parametrize("provider", KNOWN)
@pytest.mark.parametrize(
    "name", ["evil.test", "127.0.0.1.evil.test", "", "[::1", "a b", "\x7f", "x" * 5000, "localhost:99999"]
)
def test_any_host_is_answered_alike(provider: str, name: str, sites: dict[str, Site]) -> None:
    site = sites[provider]
    kinds = ("models", "view", "read")
    case = min(
        (case for case in site.cases if case.operation.kind in kinds), key=lambda one: kinds.index(one.operation.kind)
    )
    plain, hostile = site.call(case), site.call(case, headers={"host": name})
    assert (hostile.status, hostile.body) == (plain.status, plain.body)


AUTH = ["", " ", "Bearer", "Bearer ", "Basic Og==", "bearer", "Bearer\tk", "Digest x", "\x7f", "null"]


@pytest.mark.parametrize("case", [case for case in CASES if "auth" in case.operation.checks], ids=str)
def test_keys_that_are_none(case: Case, site_of: Any) -> None:
    site = site_of(case)
    accepted = case.operation and site.contract.auth.accept
    is_bare = any(not one.scheme for one in accepted)
    body: dict[str, Any] = {"json_body": case.valid()} if case.schema is not None else {}
    for value in AUTH:
        if is_bare and value.strip().lower() not in ("", "bearer"):
            continue  # a bare value is a key, whatever it looks like
        for name in {one.header for one in accepted}:
            if is_bare and value.strip().lower() == "bearer" and len(accepted) == 1:
                continue
            answer = site.host.request(case.method, site.base + site.path(case), headers={name: value}, **body)
            assert site.refusal(answer).startswith("auth"), (name, value)
    answer = site.host.request(case.method, site.base + site.path(case), **body)
    assert site.refusal(answer) == "auth_missing"


# --- paths and methods --------------------------------------------------------------------------------

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "X" * 50)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_methods_that_a_route_does_not_have(case: Case, site_of: Any) -> None:
    site = site_of(case)
    known = {
        method
        for one in CASES
        for method in one.operation.methods
        if one.provider == case.provider
        and one.operation.origin == case.operation.origin
        and _fits(one.operation.path, site.path(case).removeprefix(f"/~{one.operation.origin}"))
    }
    for method in set(METHODS) - known:
        answer = site.call(case, method=method)
        cause = site.refusal(answer)
        assert cause in ("method_unknown", "path_unknown")
        if answer.status == 405:
            assert set(answer.headers["allow"].split(", ")) == known


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"\{\w+\+\}", ".+", template)
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) is not None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_paths_beside_the_route(case: Case, site_of: Any) -> None:
    site = site_of(case)
    path = site.path(case)
    for other in (
        f"{path}/nothing/here/zzz",
        f"/x{path}",
        f"{path}x/y/z",
        f"/{path[1:].upper()}/q/r",
        f"{path};x=1/y/z",
        "/admin",
    ):
        if any(_fits(one.operation.path, other) for one in CASES if one.provider == case.provider):
            continue
        site.refusal(site.call(case, path=other))


@pytest.mark.parametrize("provider", KNOWN)
def test_other_paths_of_a_provider(provider: str, sites: dict[str, Site]) -> None:
    site = sites[provider]
    for path in (
        "",
        "/",
        "//",
        "/~",
        "/~nowhere",
        "/~nowhere/x",
        "/~images/../v2",
        "/" + "a/" * 500,
        "/%80",
        "/%00",
        "/%ff%fe",
        "/.",
    ):
        answer = site.call(site.cases[0], path=path)
        # A storage service that is asked for nothing it has answers in its own words.
        known = ("path_unknown", "method_unknown", "url_unknown")
        # Where a model's name may have any number of segments, it is the name that is unknown.
        is_name = any("+}" in case.operation.path for case in site.cases)
        assert site.refusal(answer) in (*known, *(("model_unknown",) if is_name else ())), path


def test_paths_of_no_provider(host: InProcess) -> None:
    for path in (
        "/nobody/v1",
        "/w/nowhere/runpod/v2",
        "/w/",
        "/w",
        "/worlds",
        "/w/default",
        "/../etc/passwd",
        "/%2e%2e/",
    ):
        answer = host.request("GET", f"http://x{path}")
        assert answer.status == 404
        assert set(answer.json()) == {"error", "providers"}
    assert host.request("GET", "http://x/").status == 200


# --- files that nobody may read -----------------------------------------------------------------------

DOTS = ["..", "%2e%2e", "%2E%2E", "..%00", "....", "..;", "%252e%252e", "%c0%ae%c0%ae", "\uff0e\uff0e", "..%5c", "\\.."]
SLASHES = ["/", "%2f", "%2F", "%252f", "\\", "%5c", "//", "%c0%af", "/./", "%00/"]


def _traversals(canary: Path) -> list[str]:
    """Give ways to write the canary's path, and others that have worked somewhere."""
    ways = [f"{dots}{slash}" * 8 + str(canary).lstrip("/").replace("/", slash) for dots in DOTS for slash in SLASHES]
    return [
        *ways,
        str(canary),
        f"file://{canary}",
        f"/{canary}",
        quote(str(canary), safe=""),
        f"{canary}%00.png",
        f"{canary}\0.png",
        f"x/../../../../../..{canary}",
        f"images/{canary}",
        f"{canary}?x",
        f"{canary}#x",
        "/etc/passwd",
        "../../etc/passwd",
        "C:\\Windows\\win.ini",
        "\\\\host\\share\\x",
        "//host/share",
        "CON",
        "NUL.png",
        "/dev/zero",
        "/proc/self/environ",
        "/proc/self/cwd/pyproject.toml",
        "~root",
        "$HOME",
        "`id`",
        "php://filter/resource=/etc/passwd",
        "data:;base64,",
        "jar:file:x",
    ]


_opened: list[str] = []
_watching: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _watching and isinstance(args[0], str | bytes):
        _opened.append(args[0] if isinstance(args[0], str) else args[0].decode("utf-8", "replace"))


@pytest.fixture(scope="module")
def watched() -> Iterator[list[str]]:
    """Every file that is opened while the tests of this module ask for it; an audit hook, once set, stays."""
    sys.addaudithook(_hook)
    _watching.append(True)
    yield _opened
    _watching.clear()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c4n4ry") / "secret.txt"
    path.write_text("S3CRET-C0NTENT", encoding="ascii")
    return path


def _is_kept(opened: list[str]) -> bool:
    return not any("c4n4ry" in name or name.startswith(("/etc/passwd", "/proc/", "/dev/zero")) for name in opened)


@pytest.mark.parametrize("case", [case for case in CASES if "{" in case.operation.path], ids=str)
def test_traversal_in_every_path_parameter(case: Case, site_of: Any, canary: Path, watched: list[str]) -> None:
    site = site_of(case)
    watched.clear()
    body = json.dumps(case.valid()).encode() if case.schema is not None else b""
    for name in site.params(case):
        for payload in _traversals(canary):
            answer = site.call(case, path=site.path(case, **{name: payload}), body=body)
            assert b"S3CRET" not in answer.body
            missing = case.operation.answers.get("missing")  # what this operation says of an unknown id
            if missing is None or answer.status != missing.status:
                site.refusal(answer)
    assert _is_kept(watched)


@pytest.mark.parametrize("case", [case for case in CASES if case.schema], ids=str)
def test_traversal_in_every_field_with_a_text(case: Case, host: InProcess, canary: Path, watched: list[str]) -> None:
    site = Site(host, case.provider)
    site.furnish()
    watched.clear()
    assert case.schema is not None
    for at, inner in fields_of(case.schema):
        if "string" not in str(inner.get("type")) or "const" in inner or "enum" in inner:
            continue
        for payload in _traversals(canary):
            answer = site.call(case, json_body=replaced(case.valid(), at, payload))
            assert answer.status < 500, (at, payload)
            assert b"S3CRET" not in answer.body
        for url in _urls(answer):
            assert b"S3CRET" not in host.request("GET", url).body
    assert _is_kept(watched)


@pytest.mark.parametrize("case", [case for case in CASES if case.operation.kind == "asset_upload"], ids=str)
def test_traversal_in_the_name_of_an_upload(case: Case, host: InProcess, canary: Path, watched: list[str]) -> None:
    site = Site(host, case.provider)
    watched.clear()
    for payload in _traversals(canary):
        answer = site.upload(case, name=payload.replace('"', "").replace("\\", "/").encode().decode("latin-1"))
        assert answer.status < 500
        for key, one in site.store._assets.items():
            assert ".." not in one.key.split("/")
            assert not one.key.startswith("/")
            assert key
    assert _is_kept(watched)


@pytest.mark.parametrize("provider", KNOWN)
def test_traversal_on_the_hosts_of_files(
    provider: str, sites: dict[str, Site], canary: Path, watched: list[str]
) -> None:
    site = sites[provider]
    watched.clear()
    rules = list(site.contract.urls.values())
    for rule in rules:
        base = site.host.base(site.world, provider, rule.origin)
        for payload in _traversals(canary):
            for path in (payload, payload.join(re.split(r"\{[a-z.]+\}", rule.path)).lstrip("/")):
                answer = site.host.request("GET", f"{base}/{path}", headers=site.auth())
                assert b"S3CRET" not in answer.body
                site.refusal(answer)
    assert _is_kept(watched)


# --- templates ----------------------------------------------------------------------------------------

TEMPLATE = (
    "CNRY {{7*7}} ${7*7} #{7*7} <%= 7*7 %> {%7*7%} {7*7} "
    "{job.id} {{job.id}} {now} {mint.worker} {account.balance|plain} $ref $.x %s %(x)s \\u0041 YRNC"
)
OBJECTS: list[Any] = [
    {"$ref": "file:///etc/passwd"}, {"$view": "job"}, {"$view": "run"}, {"$case": "job.state", "$of": {}, "$else": 49},
    {"$each": "outputs", "$item": 1}, {"$json": {"a": 1}}, {"$first": [1]}, {"$merge": [{"a": 1}]}, {"$use": "nothing"},
    {"$reading": "idempotency"}, {"{job.id}": "{now}"}, {"__proto__": {"x": 1}}, {"constructor": {"prototype": 1}},
]  # fmt: skip


def _urls(answer: Answer) -> list[str]:
    if "json" not in answer.headers.get("content-type", ""):
        return []
    return [text for text in texts_in(answer.json()) if text.startswith("http://127.0.0.1")]


def _unevaluated(text: str) -> None:
    """Look at every text of an answer: where the canary shows, it shows as it was sent."""
    for found in texts_in(json.loads(text)):
        for part in re.findall("CNRY.*?(?:YRNC|$)", found, re.DOTALL):
            assert part == TEMPLATE or json.loads(f'"{part}"') == TEMPLATE, part


@pytest.mark.parametrize("case", [case for case in CASES if case.schema and case.operation.kind == "submit"], ids=str)
def test_templates_in_every_text_are_only_text(case: Case, host: InProcess) -> None:
    assert case.schema is not None
    echoed = 0
    with Receiver() as receiver:
        site = Site(host, case.provider)
        address = site.contract.callbacks.address if site.contract.callbacks else ()
        texts = [at for at, inner in fields_of(case.schema) if "string" in str(inner.get("type")) and at != address]
        free = [
            at
            for at, inner in fields_of(case.schema)
            if "object" in str(inner.get("type")) and at != case.operation.input
        ]
        tried = [(at, TEMPLATE) for at in texts] + [(at, {"a": TEMPLATE, TEMPLATE: OBJECTS}) for at in free]
        for at, value in tried:
            answer = site.call(case, **site.addressed(replaced(case.valid(), at, value), receiver.url))
            assert answer.status < 500
            if "json" in answer.headers.get("content-type", ""):
                _unevaluated(answer.text)
            if answer.status >= 300:
                continue
            site.ids["job"] = site.jobs()[0]["id"]
            site.ids["job_model"] = case.model
            site.host.run(site.world.advance(60_000))
            for other in site.cases:
                if other.operation.kind in ("read", "list", "deliveries"):
                    shown = site.call(other)
                    _unevaluated(shown.text)
                    echoed += TEMPLATE in list(texts_in(shown.json()))
        for hit in receiver.received:
            _unevaluated(hit.body.decode())
            echoed += TEMPLATE in list(texts_in(json.loads(hit.body)))
            assert b"CNRY" not in hit.raw.partition(b"\r\n\r\n")[0]
    assert echoed, "no field came back: the test looks at nothing"


@pytest.mark.parametrize("case", [case for case in CASES if case.schema and case.operation.kind == "submit"], ids=str)
def test_objects_that_look_like_contract_language_come_back_as_they_went(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider)
    assert case.schema is not None
    free = [
        at for at, inner in fields_of(case.schema) if "object" in str(inner.get("type")) and "properties" not in inner
    ]
    for at in free or [(*case.operation.input, "extra")]:
        for value in OBJECTS:
            answer = site.call(case, json_body=replaced(case.detached(), at, value))
            assert answer.is_good, answer.text
            site.ids["job"] = site.jobs()[0]["id"]
            site.ids["job_model"] = case.model
            for other in site.cases:
                if other.operation.kind == "read" and not other.operation.waits:
                    shown = site.call(other).text
                    if at[-1] in shown:
                        assert json.dumps(value, separators=(",", ":")) in shown, (at, value)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.operation.kind in ("secret_create", "asset_session")], ids=str
)
def test_templates_in_labels_and_names(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider)
    assert case.schema is not None
    for at, inner in fields_of(case.schema):
        if inner.get("type") == "string" and "pattern" not in inner:
            answer = site.call(case, json_body=replaced(case.valid(), at, TEMPLATE))
            assert answer.is_good
            _unevaluated(answer.text)


# --- header and line injection ------------------------------------------------------------------------

LINES = "x\r\nInjected: yes\r\n\r\n<html>"


@pytest.mark.parametrize("case", [case for case in CASES if case.schema], ids=str)
def test_no_text_breaks_out_of_a_header(case: Case, host: InProcess) -> None:
    site = Site(host, case.provider)
    site.furnish()
    assert case.schema is not None
    for at, inner in fields_of(case.schema):
        if "string" not in str(inner.get("type")) or "const" in inner:
            continue
        for text in (
            LINES,
            f"image/png{LINES}",
            f"data:image/png{LINES};base64,{'iVBORw0KGgo=' * 4}",
            f"http://127.0.0.1:9/{LINES}",
        ):
            answer = site.call(case, json_body=replaced(case.valid(), at, text))
            assert answer.status < 500
            _has_clean_headers(answer)
            for url in _urls(answer):
                _has_clean_headers(host.request("PUT", url, body=PNG))
                _has_clean_headers(host.request("GET", url))
    for url in _asset_urls(site):
        _has_clean_headers(host.request("GET", url))


def _has_clean_headers(answer: Answer) -> None:
    for name, value in answer.headers.items():
        assert not set(name + value) & set("\r\n\0"), (name, value)
    assert "injected" not in answer.headers


def _asset_urls(site: Site) -> list[str]:
    """Ask for every asset in the world; give the URLs that the answers show."""
    found = []
    for case in site.cases:
        if case.operation.kind == "asset_read":
            for asset in list(site.store._assets):
                (name,) = site.params(case)
                found += _urls(site.call(case, path=site.path(case, **{name: asset})))
    return found


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/javascript", f"image/png{LINES}", "x", "", "é"]
)
@pytest.mark.parametrize("case", [case for case in CASES if case.operation.kind == "asset_upload"], ids=str)
def test_an_upload_is_served_as_what_it_is(case: Case, kind: str, host: InProcess) -> None:
    site = Site(host, case.provider)
    for data in (PNG, b"<script>alert(1)</script>"):
        if site.upload(case, data, kind=kind).status >= 300:
            continue
        for asset in site.store._assets.values():
            found = site.world.provider(case.provider)
            url = asset_scope(found, asset, moment=site.world.clock.now() + 1000, site="local")["url"]
            served = host.request("GET", url)
            assert (served.status, served.headers["x-content-type-options"]) == (200, "nosniff")
            is_picture = asset.data is None or asset.data == PNG
            assert served.headers["content-type"] == ("image/png" if is_picture else "application/octet-stream")


# --- URLs of files ------------------------------------------------------------------------------------

LEGAL = {
    "X-Amz-Signature": "0123456789abcdef",
    "X-Amz-Expires": string.digits,
    "X-Amz-Date": string.digits + "TZ",
    "X-Amz-Credential": string.ascii_letters + string.digits,
    "X-Amz-Algorithm": string.ascii_uppercase + string.digits + "-",
    "X-Amz-SignedHeaders": string.ascii_lowercase + ";",
}


@pytest.fixture(scope="module")
def signed(host: InProcess) -> list[tuple[Site, str, str]]:
    """A URL of every rule of every contract: (site, what it serves, URL). Time stands still."""
    found = []
    for provider in KNOWN:
        site = Site(host, provider, clock="manual", now="2026-03-01T00:00:00Z")
        submit = next(case for case in site.cases if case.operation.kind == "submit")
        body = submit.detached()
        assert site.call(submit, json_body=body).status in (200, 201)
        site.ids["job"] = site.jobs()[0]["id"]
        site.ids["job_model"] = submit.model
        site.host.run(site.world.advance(60_000))
        found += [(site, "output", url) for url in _outputs(site)]
        for case in site.cases:
            if case.operation.kind == "asset_session":
                answer = site.call(case, json_body=case.valid())
                (upload,) = _urls(answer)
                site.ids["asset"] = answer.json()["asset_id"]
                assert site.host.request("PUT", upload, body=PNG).status == 200
                found.append((site, "upload", upload))
            elif case.operation.kind == "asset_confirm":
                found += [(site, "asset", url) for url in _urls(site.call(case, json_body={}))]
    assert {kind for _, kind, _ in found} == {"output", "asset", "upload"}
    return found


def _outputs(site: Site) -> list[str]:
    """Give the addresses of pictures that looks at the job show, and none of the API's own."""
    reads = [case for case in site.cases if case.operation.kind == "read" and not case.operation.waits]
    shown = dict.fromkeys(url for case in reads for url in _urls(site.call(case)))
    serving = {rule.origin for rule in site.contract.urls.values()}
    bases = tuple(f"{site.host.base(site.world, site.provider, origin)}/" for origin in serving)
    return [url for url in shown if url.startswith(bases)]


def _fetch(site: Site, kind: str, url: str, method: str = "") -> Answer:
    method = method or ("PUT" if kind == "upload" else "GET")
    return site.host.request(method, url, body=PNG if method == "PUT" else b"")


def test_the_urls_themselves_work(signed: list[tuple[Site, str, str]]) -> None:
    for site, kind, url in signed:
        assert _fetch(site, kind, url).status == 200


def _edits(text: str, legal: str) -> Iterator[str]:
    for at, known in enumerate(text):
        for other in legal:
            if other != known:
                yield text[:at] + other + text[at + 1 :]


def test_no_edited_signature_is_accepted(signed: list[tuple[Site, str, str]]) -> None:
    tried = 0
    for site, kind, url in signed:
        place, _, query = url.partition("?")
        if not query:
            continue
        before = site.state()
        pairs = [pair.partition("=")[::2] for pair in query.split("&")]
        for at, (name, value) in enumerate(pairs):
            for edited in _edits(value, LEGAL.get(name, string.ascii_letters)):
                if unquote(edited) == unquote(value):
                    continue  # %2F and %2f are one thing
                changed = [*pairs[:at], (name, edited), *pairs[at + 1 :]]
                answer = _fetch(site, kind, f"{place}?{'&'.join('='.join(pair) for pair in changed)}")
                assert site.refusal(answer) in ("url_forged", "url_expired"), (name, edited)
                tried += 1
        assert site.state() == before
    assert tried > 10_000


def test_no_edited_token_or_path_is_accepted(signed: list[tuple[Site, str, str]]) -> None:
    tried = 0
    for site, kind, url in signed:
        place, _, query = url.partition("?")
        origin = next(
            one
            for one in site.contract.origins
            if place.startswith(site.host.base(site.world, site.provider, one) + "/")
        )
        base = site.host.base(site.world, site.provider, origin)
        origins = [site.host.base(site.world, site.provider, one) for one in site.contract.origins]
        base = max((one for one in origins if place.startswith(one + "/")), key=len)
        path = place.removeprefix(base)
        tail = path.rpartition(".")[0] or path  # the extension says nothing
        for edited in _edits(tail, string.ascii_lowercase + string.digits + "/-_"):
            answer = _fetch(site, kind, base + edited + path[len(tail) :] + (f"?{query}" if query else ""))
            site.refusal(answer)
            tried += 1
    assert tried > 3000


def test_a_signature_that_is_missing_doubled_or_of_another_file(signed: list[tuple[Site, str, str]]) -> None:
    for site, kind, url in signed:
        place, _, query = url.partition("?")
        if not query:
            continue
        pairs = query.split("&")
        assert site.refusal(_fetch(site, kind, place)) == "url_unsigned"
        for at, pair in enumerate(pairs):
            without = "&".join([*pairs[:at], *pairs[at + 1 :]])
            site.refusal(_fetch(site, kind, f"{place}?{without}"))
            site.refusal(_fetch(site, kind, f"{url}&{pair}"))
            site.refusal(_fetch(site, kind, f"{place}?{pair}&{query}"))
            site.refusal(_fetch(site, kind, f"{url}&{pair.partition('=')[0]}="))
        assert (
            _fetch(site, kind, f"{place}?{'&'.join(reversed(pairs))}").status == 200
        )  # as S3: the order does not matter
        site.refusal(_fetch(site, kind, f"{url}&extra=1"))
        for _, _, other in signed:
            if other != url and "?" in other:
                site.refusal(_fetch(site, kind, f"{place}?{other.partition('?')[2]}"))


def test_a_url_opens_nothing_in_another_world(signed: list[tuple[Site, str, str]]) -> None:
    for site, kind, url in signed:
        other = Site(site.host, site.provider, clock="manual", now="2026-03-01T00:01:00Z", seed=1)
        moved = url.replace(f"/w/{site.world.name}/", f"/w/{other.world.name}/")
        assert moved != url
        other.refusal(_fetch(other, kind, moved))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "OPTIONS", "HEAD", "GET", "PROPFIND"])
def test_other_methods_on_urls_of_files(method: str, signed: list[tuple[Site, str, str]]) -> None:
    for site, kind, url in signed:
        if method == ("PUT" if kind == "upload" else "GET"):
            continue
        before = site.state()
        answer = _fetch(site, kind, url, method)
        if method == "HEAD" and "?" not in url:  # nothing there is signed for one method
            assert answer.status == 200
            assert answer.body == b""
            assert answer.headers["content-length"] == _fetch(site, kind, url).headers["content-length"]
        else:
            site.refusal(answer)
        assert site.state() == before


def test_a_url_dies_to_the_second(host: InProcess) -> None:
    for provider in KNOWN:
        site = Site(host, provider, clock="manual", now="2026-03-01T00:00:00Z")
        rule = next(url for url in site.contract.urls.values() if url.serves == "output")
        if rule.lives is None:
            continue
        submit = next(case for case in site.cases if case.operation.kind == "submit")
        site.call(submit, json_body=submit.detached())
        site.ids["job"], site.ids["job_model"] = site.jobs()[0]["id"], submit.model
        began, ends = site.world.clock.now(), site.jobs()[0]["ends"]
        site.host.run(site.world.advance(-(-(ends - began) // 1000) * 1000))  # S3 counts whole seconds
        (url,) = _outputs(site)
        since = ends if rule.origin_moment == "end" else site.world.clock.now()
        site.host.run(site.world.advance(since + rule.lives - site.world.clock.now()))
        assert _fetch(site, "output", url).status == 200
        site.host.run(site.world.advance(1))
        assert site.refusal(_fetch(site, "output", url)) == "url_expired"


@pytest.mark.parametrize(
    "value",
    [
        "bytes=0-0",
        "bytes=-1",
        "bytes=5-",
        "bytes=9-1",
        "bytes=999999999-",
        "bytes=-0",
        "bytes=",
        "bytes=a-b",
        "bytes=0-0,2-3",
        "lines=1-2",
        "bytes=" + "0" * 40 + "-1",
        "bytes=0-1" + "0" * 40,
        "bytes=²-³",
    ],
)
def test_ranges(value: str, signed: list[tuple[Site, str, str]]) -> None:
    for site, kind, url in signed:
        if kind != "upload":
            whole = _fetch(site, kind, url).body
            answer = site.host.request("GET", url, headers={"range": value})
            assert answer.status in (200, 206, 416)
            if answer.status == 206:
                first, last, size = map(int, re.findall(r"\d+", answer.headers["content-range"]))
                assert answer.body == whole[first : last + 1]
                assert size == len(whole)
            elif answer.status == 200:
                assert answer.body == whole


@pytest.mark.parametrize("extra", [1, 5_000_000])
def test_an_upload_over_the_limit_is_not_kept(extra: int, host: InProcess) -> None:
    for provider in KNOWN:
        site = Site(host, provider)
        case = next((case for case in site.cases if case.operation.kind == "asset_session"), None)
        if case is None or site.contract.assets is None or not site.contract.assets.max_size:
            continue
        (url,) = _urls(site.call(case, json_body=case.valid()))
        before = site.state()
        site.refusal(site.host.request("PUT", url, body=b"x" * (site.contract.assets.max_size + extra)))
        assert site.state() == before
        assert site.host.request("PUT", url, body=PNG).status == 200


def test_a_second_upload_replaces_the_first_and_takes_nothing_away(host: InProcess) -> None:
    for provider in KNOWN:
        site = Site(host, provider)
        kinds = {case.operation.kind: case for case in site.cases}
        if "asset_session" not in kinds:
            continue
        answer = site.call(kinds["asset_session"], json_body=kinds["asset_session"].valid())
        (url,) = _urls(answer)
        site.ids["asset"] = site._known(answer, site.store.asset)
        for _ in range(2):
            assert site.host.request("PUT", url, body=PNG).status == 200
        assert site.call(kinds["asset_confirm"], json_body={}).status in (200, 201)
        assert site.host.request("PUT", url, body=PNG + b"more").status == 200
        shown = site.call(kinds["asset_read"])
        assert shown.status == 200
        (file,) = set(_urls(shown))
        assert site.host.request("GET", file).body == PNG + b"more"
        assert urlsplit(file).path != urlsplit(url).path
