"""The control plane: a guard before every route, then what each route gives."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from starlette.routing import Route

from fauxvider.server.control import ControlGuard, control_app, new_token
from fauxvider.values import parse_moment
from support.inprocess import Answer, InProcess
from support.operations import Site
from support.stage import HOOK, Hook

OWN = "127.0.0.1:8901"
TOKEN = "control-token-for-tests"


@dataclass
class Control:
    """The control plane called as ASGI."""

    host: InProcess
    guard: ControlGuard

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        kind: str = "http",
        query: str = "",
        token: str | None = TOKEN,
        drop: tuple[str, ...] = (),
        **headers: str,
    ) -> Answer:
        sent = {"host": OWN, **({"content-type": "application/json", "content-length": str(len(body))} if body else {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope: dict[str, Any] = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8901),
            "headers": [
                (key.encode("latin-1"), text.encode("latin-1")) for key, text in sent.items() if key not in drop
            ],
        }
        return self.host.run(self._call(scope, body))

    async def _call(self, scope: dict[str, Any], body: bytes) -> Answer:
        first = {"type": "http.request", "body": body} if scope["type"] == "http" else {"type": "websocket.connect"}
        coming, out = [first], list[Any]()

        async def receive() -> Any:
            return coming.pop(0) if coming else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            out.append(message)

        await self.guard(scope, receive, send)
        if scope["type"] == "websocket":
            assert [message["type"] for message in out] == ["websocket.close"]
            return Answer(403, {}, b"")
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in out[0]["headers"]}
        return Answer(out[0]["status"], names, b"".join(part.get("body", b"") for part in out[1:]))

    def ask(self, method: str, path: str, tree: Any = None, **headers: str) -> Answer:
        return self.send(method, path, b"" if tree is None else json.dumps(tree).encode(), **headers)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.text
        return answer.json()

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Every (method, path) that the router has."""
        app: Any = self.guard._app
        return [(method, route.path) for route in app.router.routes for method in sorted(route.methods)]

    def state(self) -> str:
        """Everything that a request could change, of every world."""
        emulator, found = self.host.emulator, dict[str, Any]()
        for name in emulator.world_names():
            found[name] = [
                emulator.describe(name),
                self.host.run(emulator.jobs(name)),
                self.host.run(emulator.deliveries(name)),
                self.host.run(emulator.ledger(name)),
                emulator.journal(name),
                emulator.scenario(name),
            ]
            if not emulator.world(name).clock.is_virtual:
                del found[name][0]["now"]  # runs by itself
        return json.dumps(found, sort_keys=True, default=str)


@pytest.fixture
def hook() -> Hook:
    return Hook([503, 200])


@pytest.fixture
def control(hook: Hook) -> Iterator[Control]:
    with InProcess(sender=hook) as host:
        yield Control(host, control_app(host.emulator, token=TOKEN, hosts=frozenset({OWN, "localhost:8901"})))


@pytest.fixture(scope="module")
def busy() -> Iterator[tuple[Control, Site]]:
    """A control plane over a world in which things have happened; the tests of the guard share it."""
    with InProcess(sender=Hook([503, 200])) as host:
        control = Control(host, control_app(host.emulator, token=TOKEN, hosts=frozenset({OWN, "localhost:8901"})))
        yield control, _busy(control)


def _busy(control: Control, name: str = "busy") -> Site:
    site = Site(control.host, "runflow", clock="manual", name=name, seed=4, record=True)
    case = next(case for case in site.cases if case.operation.kind == "submit")
    for _ in range(2):
        assert site.call(case, json_body={**case.valid(), "callback_url": HOOK}).status == 201
    control.host.run(site.world.advance(60_000))
    assert site.call(case, json_body=case.valid()).status == 201
    site.ids["job"], site.ids["job_model"] = site.jobs()[0]["id"], case.model
    return site


def _filled(path: str, site: Site) -> str:
    return path.replace("{world}", site.world.name).replace("{job}", site.ids["job"])


BODIES = {"/worlds": {}, "/clock/advance": {"by": "1s"}, "/force": {}, "/reset": {}, "/notes": {"said": "saved"}}


def _body_for(method: str, path: str) -> bytes:
    if method != "POST":
        return b""
    return json.dumps(next((body for end, body in reversed(BODIES.items()) if path.endswith(end)), {})).encode()


# --- the guard ----------------------------------------------------------------------------------------

ATTACKS: dict[str, tuple[dict[str, Any], set[int]]] = {
    "no token": ({"token": None}, {401}),
    "a wrong token": ({"token": "x" * 24}, {401}),
    "an empty token": ({"token": ""}, {401}),
    "a part of the token": ({"token": TOKEN[:-1]}, {401}),
    "more than the token": ({"token": TOKEN + "x"}, {401}),
    "the token in other letters": ({"token": TOKEN.upper()}, {401}),
    "the token in the query": ({"token": None, "query": f"token={TOKEN}&authorization=Bearer%20{TOKEN}"}, {401}),
    "the token in a cookie": ({"token": None, "cookie": f"token={TOKEN}; authorization={TOKEN}"}, {401}),
    "the token as a password": ({"token": None, "authorization": f"Basic {TOKEN}"}, {401}),
    "the bare token": ({"token": None, "authorization": TOKEN}, {401}),
    "the token in another header": (
        {"token": None, "x_api_key": TOKEN, "proxy_authorization": f"Bearer {TOKEN}"},
        {401},
    ),
    "a token that is not ASCII": ({"token": "\xe9" * 24}, {401}),
    "Origin evil": ({"origin": "https://evil.test"}, {403}),
    "Origin null": ({"origin": "null"}, {403}),
    "Origin of its own": ({"origin": f"http://{OWN}"}, {403}),
    "Origin empty": ({"origin": ""}, {403}),
    "Host evil": ({"host": "evil.test"}, {403}),
    "Host 127.0.0.1.evil.test": ({"host": "127.0.0.1.evil.test"}, {403}),
    "Host with another port": ({"host": "127.0.0.1:8900"}, {403}),
    "Host without a port": ({"host": "127.0.0.1"}, {403}),
    "Host and more": ({"host": f"{OWN}, evil.test"}, {403}),
    "no Host": ({"drop": ("host",)}, {403}),
    "Host empty": ({"host": ""}, {403}),
    "X-Forwarded-Host": ({"host": "evil.test", "x_forwarded_host": OWN}, {403}),
    "a text body": ({"body": b'{"by": 1}', "content_type": "text/plain"}, {415}),
    "a form body": ({"body": b"by=1", "content_type": "application/x-www-form-urlencoded"}, {415}),
    "a multipart body": ({"body": b"--b--", "content_type": "multipart/form-data; boundary=b"}, {415}),
    "a body of no type": ({"body": b'{"by": 1}', "content_type": ""}, {415}),
    "nearly JSON": ({"body": b'{"by": 1}', "content_type": "application/jsonp"}, {415}),
    "a body in chunks of no type": (
        {"transfer_encoding": "chunked", "content_type": "", "drop": ("content-length",)},
        {415},
    ),
    "a preflight": (
        {"method": "OPTIONS", "origin": "https://evil.test", "access_control_request_method": "POST", "token": None},
        {401, 403},
    ),
    "a preflight of its own origin": ({"method": "OPTIONS", "origin": f"http://{OWN}"}, {403}),
    "OPTIONS without a token": ({"method": "OPTIONS", "token": None}, {401}),
    "a websocket": ({"kind": "websocket"}, {403}),
    "a websocket without a token": ({"kind": "websocket", "token": None}, {403}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_admin_matrix(attack: str, busy: tuple[Control, Site]) -> None:
    control, site = busy
    before = control.state()
    given, allowed = ATTACKS[attack]
    assert len(control.routes) > 20
    for method, path in control.routes:
        sent = {"method": method, "body": _body_for(method, path), **given}
        answer = control.send(sent.pop("method"), _filled(path, site), sent.pop("body"), **sent)
        assert answer.status in allowed, (method, path, answer.status, answer.text)
        assert not any(name.startswith("access-control") or name == "set-cookie" for name in answer.headers)
        assert TOKEN not in answer.text + str(answer.headers)
        if answer.body:
            assert set(answer.json()) == {"error"}
    assert control.state() == before


def test_the_guard_lets_the_right_one_through(busy: tuple[Control, Site]) -> None:
    control, _ = busy
    for given in ({}, {"host": "localhost:8901"}, {"host": "LOCALHOST:8901"}, {"authorization": f"bearer {TOKEN}"}):
        assert control.send("GET", "/worlds", **given).status == 200
    kind = "application/json; charset=utf-8"
    assert control.send("POST", "/worlds/busy/clock/advance", b'{"by": 0}', content_type=kind).status == 200


def test_reading_changes_nothing(busy: tuple[Control, Site]) -> None:
    control, site = busy
    before = control.state()
    for method, path in control.routes:
        if method in ("GET", "HEAD"):
            answer = control.ask(method, _filled(path, site))
            assert answer.status == 200, (path, answer.text)
            assert "access-control-allow-origin" not in answer.headers
    assert control.state() == before


def test_methods_and_paths_that_are_not_there(busy: tuple[Control, Site]) -> None:
    control, site = busy
    before = control.state()
    for path in (
        "/",
        "/nothing",
        "/worlds/",
        "/worlds/busy/",
        "/worlds/busy/secrets",
        "/worlds//jobs",
        "/worlds/busy/jobs/a/b/c",
    ):
        answer = control.ask("GET", path)
        assert answer.status in (307, 404), path
        assert answer.status == 307 or "/worlds/{world}/clock/advance" in answer.json()["error"]
        assert control.ask("GET", path, token=None).status == 401
    for method, path in control.routes:
        known = {other for other, same in control.routes if same == path}
        for other in {"GET", "POST", "PUT", "PATCH", "DELETE"} - known:
            answer = control.ask(other, _filled(path, site))
            assert answer.status == 405, (method, path)
            assert method in answer.json()["error"]
            assert method in answer.headers["allow"]
    assert control.state() == before


def test_a_world_takes_a_bundled_scenario_by_its_name(control: Control) -> None:
    answer = control.ask("POST", "/worlds", {"name": "mine", "scenario": "answer-lost-after-billing"})
    assert answer.status == 201, answer.text
    assert [rule["on"] for rule in control.get("/worlds/mine/scenario")["rules"]] == ["request"]


def test_a_body_that_is_no_json_is_told_as_that(control: Control) -> None:
    assert "the body" in control.send("POST", "/worlds", b"{").json()["error"]


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) >= 32 and re.fullmatch(r"[\w-]+", token) for token in tokens)  # 24 random bytes


def test_the_provider_port_knows_no_control_path(busy: tuple[Control, Site]) -> None:
    control, site = busy
    before = control.state()
    for method, path in control.routes:
        for prefix in ("", "/runflow", f"/w/{site.world.name}/runflow", f"/w/{site.world.name}"):
            headers = {"authorization": f"Bearer {TOKEN}", "host": OWN, "content-type": "application/json"}
            url = f"http://{OWN}{prefix}"
            answer = control.host.request(
                method, url + _filled(path, site), headers=headers, body=_body_for(method, path)
            )
            unknown = control.host.request(method, f"{url}/no/such/path", headers=headers)
            assert (answer.status, answer.body) == (unknown.status, unknown.body), (method, prefix, path)
            assert answer.status in (404, 405)
    after = json.loads(control.state())
    for world in (after, was := json.loads(before)):
        for parts in world.values():
            parts[4] = None  # the journal notes the requests
    assert after == was


# --- worlds -------------------------------------------------------------------------------------------


def test_a_world_of_nothing_but_defaults(control: Control) -> None:
    made = control.ask("POST", "/worlds")
    assert made.status == 201
    tree = made.json()
    assert set(tree) >= {"world", "clock", "now", "seed", "providers"}
    assert len(tree["world"]) >= 32  # nobody guesses it
    assert tree["clock"] == "real"
    for name, place in tree["providers"].items():
        assert place["base_url"] == f"http://127.0.0.1:8900/w/{tree['world']}/{name}"
        assert set(place) >= {"base_url", "origins", "readings", "contract", "balance"}
        assert all(url.startswith(place["base_url"]) for url in place["origins"].values())
    assert control.get(f"/worlds/{tree['world']}")["world"] == tree["world"]
    assert tree["world"] in control.get("/worlds")["worlds"]
    other = control.ask("POST", "/worlds", {}).json()
    assert other["world"] != tree["world"]
    assert other["seed"] != tree["seed"]


def test_a_world_with_every_option(control: Control) -> None:
    options = {
        "name": "mine-1",
        "seed": 7,
        "clock": "stepping",
        "step": "2s",
        "now": "2026-11-20T09:15:30.250Z",
        "readings": {"create.status": "ok", "runpod": {"job.id": "bare"}},
        "keys": [
            "plain",
            {"key": "poor", "state": "inactive"},
            {"key": "reader", "scopes": ["runs:read"], "name": "Ann"},
        ],
        "balances": {"runflow": "0.03"},
        "limits": "off",
    }
    made = control.ask("POST", "/worlds", options)
    assert made.status == 201, made.text
    tree = made.json()
    assert (tree["world"], tree["clock"], tree["seed"]) == ("mine-1", "stepping:2s", 7)
    assert tree["now"] == parse_moment("2026-11-20T09:15:30.250Z")
    assert tree["providers"]["runflow"]["readings"]["create.status"] == "ok"
    assert tree["providers"]["runpod"]["readings"]["job.id"] == "bare"
    assert tree["providers"]["runflow"]["balance"] == "0.03"
    base = tree["providers"]["runflow"]["base_url"]

    def run(key: str) -> int:
        body = {"input": {"prompt": "a", "image_b64": "http://127.0.0.1:9/x"}}
        headers = {"authorization": f"Bearer {key}"}
        return control.host.request(
            "POST", f"{base}/v1/models/black-forest-labs/flux-1-dev/edit/runs", headers=headers, json_body=body
        ).status

    assert [run(key) for key in ("plain", "poor", "reader", "stranger")] == [200, 403, 403, 401]
    assert control.get("/worlds/mine-1/clock")["now"] == tree["now"] + 4 * 2000
    control.ask("POST", "/worlds/mine-1/clock/advance", {"by": "1m"})
    assert run("plain") == 200  # 0.005 are left: positive
    control.ask("POST", "/worlds/mine-1/clock/advance", {"by": "1m"})
    assert run("plain") == 402
    assert control.get("/worlds/mine-1")["providers"]["runflow"]["balance"] == "-0.02"


WRONG = [
    ({"clock": "sundial"}, ["sundial", "scaled:N", "manual", "stepping"]),
    ({"clock": 5}, ["clock"]),
    ({"clock": "stepping", "step": "soon"}, ["soon", "10s"]),
    ({"sede": 1}, ["sede", "seed", "balances"]),
    ({"seed": -1}, ["-1", "0 to 2^63"]),
    ({"name": "a/b"}, ["a/b", "letters, digits and hyphens"]),
    ({"name": ""}, ["name"]),
    ({"name": None}, ["name"]),
    ({"now": "noon"}, ["noon", "2026-01-01T00:00:00Z"]),
    ({"readings": {"create.status": "maybe"}}, ["maybe", "created, ok"]),
    ({"readings": {"nothing": "x"}}, ["nothing"]),
    ({"keys": [{"key": "a", "state": "odd"}]}, ["odd", "active, deleted, inactive, unfunded"]),
    ({"balances": {"nobody": 1}}, ["nobody", "runflow"]),
    ({"limits": "some"}, ["some", "on", "off", "factor"]),
]


@pytest.mark.parametrize(("options", "told"), WRONG, ids=lambda value: json.dumps(value)[:40])
def test_options_that_are_wrong(options: Any, told: list[str], control: Control) -> None:
    names = control.get("/worlds")
    answer = control.ask("POST", "/worlds", options)
    assert answer.status == 422
    for text in told:
        assert text in answer.json()["error"]
    assert control.get("/worlds") == names


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b'{"seed": NaN}',
        b'{"seed": 1, "seed": 2}',
        b'{"seed": 1e400}',
        b"\xff",
        b'{"name": "' + b"a" * 1_100_000 + b'"}',
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
@pytest.mark.parametrize("path", ["/worlds", "/worlds/busy/clock/advance", "/worlds/busy/reset"])
def test_bodies_that_are_wrong(body: bytes, path: str, busy: tuple[Control, Site]) -> None:
    control, _ = busy
    before = control.state()
    answer = control.send("POST", path, body)
    assert answer.status == 422
    assert answer.json()["error"]
    assert control.state() == before


def test_a_world_of_that_name_is_replaced(control: Control) -> None:
    for seed in (1, 2):
        assert control.ask("POST", "/worlds", {"name": "again", "seed": seed, "clock": "manual"}).status == 201
    assert control.get("/worlds")["worlds"].count("again") == 1
    assert control.get("/worlds/again")["seed"] == 2


def test_dropping(control: Control) -> None:
    control.ask("POST", "/worlds", {"name": "gone"})
    assert control.ask("DELETE", "/worlds/gone").status == 204
    assert control.ask("DELETE", "/worlds/gone").status == 404
    assert "gone" not in control.get("/worlds")["worlds"]
    assert control.ask("DELETE", "/worlds/default").status == 204
    assert control.get("/worlds/default")["world"] == "default"  # it is always there


def test_a_world_that_is_not_there(control: Control) -> None:
    for method, path in control.routes:
        if "{world}" in path:
            answer = control.send(
                method, path.replace("{world}", "nowhere").replace("{job}", "x"), _body_for(method, path)
            )
            assert answer.status == 404, (method, path)
            if method != "HEAD":
                assert "nowhere" in answer.json()["error"]


def test_resetting(control: Control) -> None:
    site = _busy(control)
    fresh = control.ask("POST", "/worlds/busy/reset")
    assert fresh.status == 200
    assert fresh.json()["now"] == site.world.began
    assert fresh.json()["seed"] == 4
    for path, name in (("jobs", "jobs"), ("deliveries", "deliveries"), ("journal", "entries")):
        assert control.get(f"/worlds/busy/{path}")[name] == []


# --- clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "ms"),
    [
        ("7d 1s", 604_801_000),
        ("250ms", 250),
        (2.5, 2500),
        (0, 0),
        ("0s", 0),
        (3600, 3_600_000),
        ("3660d", 3660 * 86_400_000),
    ],
)
def test_advancing(by: Any, ms: int, control: Control) -> None:
    control.ask("POST", "/worlds", {"name": "w", "clock": "manual"})
    began = control.get("/worlds/w/clock")
    assert set(began) >= {"clock", "now"}
    answer = control.ask("POST", "/worlds/w/clock/advance", {"by": by})
    assert (answer.status, answer.json()) == (200, {"now": began["now"] + ms, "happened": []})
    assert control.get("/worlds/w/clock")["now"] == began["now"] + ms


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "by"),
        ({"by": "1s", "to": 5}, "by"),
        ({"to": 5}, "by"),
        ({"by": "soon"}, "10s"),
        ({"by": -1}, "range"),
        ({"by": None}, "span"),
        ({"by": True}, "span"),
        ({"by": [1]}, "span"),
        ({"by": "3661d"}, "ten years"),
        ({"by": 1e18}, "range"),
    ],
)
def test_advancing_wrongly(body: Any, told: str, control: Control) -> None:
    control.ask("POST", "/worlds", {"name": "w", "clock": "manual"})
    before = control.get("/worlds/w/clock")
    answer = control.ask("POST", "/worlds/w/clock/advance", body)
    assert answer.status == 422
    assert told in answer.json()["error"]
    assert control.get("/worlds/w/clock") == before


@pytest.mark.parametrize("clock", ["real", "scaled:60"])
def test_a_clock_that_runs_is_not_advanced(clock: str, control: Control) -> None:
    control.ask("POST", "/worlds", {"name": "w", "clock": clock})
    answer = control.ask("POST", "/worlds/w/clock/advance", {"by": "1s"})
    assert answer.status == 422
    assert clock in answer.json()["error"]
    assert "manual and stepping" in answer.json()["error"]


def test_what_happened_while_time_went(control: Control, hook: Hook) -> None:
    site = Site(control.host, "runflow", clock="manual", name="w")
    case = next(case for case in site.cases if case.operation.kind == "submit")
    job = site.call(case, json_body={**case.valid(), "callback_url": HOOK}).json()["id"]
    happened = control.ask("POST", "/worlds/w/clock/advance", {"by": "1m"}).json()["happened"]
    assert [(one["kind"], one["job"]) for one in happened] == [
        (kind, job) for kind in ("ended", "charged", "attempt", "attempt")
    ]
    assert happened[3]["at"] - happened[2]["at"] == 1000
    assert happened == control.get("/worlds/w/journal")["entries"][-4:]


# --- what there is to see -----------------------------------------------------------------------------


def test_jobs(control: Control) -> None:
    site = _busy(control)
    jobs = control.get("/worlds/busy/jobs")["jobs"]
    assert [job["state"] for job in jobs] == ["queued", "succeeded", "succeeded"]  # newest first
    for job in jobs:
        assert set(job) >= {
            "provider",
            "id",
            "model",
            "operation",
            "status",
            "state",
            "accepted",
            "ends",
            "price",
            "size",
            "events",
        }
        assert control.get(f"/worlds/busy/jobs/{job['id']}") == job
        assert (job["provider"], job["price"], job["size"]) == ("runflow", "0.025", [1024, 1024])
    missing = control.ask("GET", "/worlds/busy/jobs/unknown")
    assert missing.status == 404
    other = Site(control.host, "runflow", name="other", seed=9)
    assert control.ask("GET", f"/worlds/{other.world.name}/jobs/{site.ids['job']}").status == 404


def test_deliveries(control: Control, hook: Hook) -> None:
    _busy(control)
    shown = control.get("/worlds/busy/deliveries")["deliveries"]
    assert len(shown) == 2
    assert sum(len(one["attempts"]) for one in shown) == len(hook.hits) == 3
    for one in shown:
        assert one["address"] == HOOK
        assert one["state"] == "delivered"
        assert json.loads(one["payload_text"])["event"] == "run.completed"
    assert sorted(made["status"] for one in shown for made in one["attempts"]) == [200, 200, 503]


def test_the_ledger(control: Control) -> None:
    _busy(control)
    account = control.get("/worlds/busy/ledger")["providers"]["runflow"]
    assert (account["unit"], account["total"], account["balance"]) == ("USD", "0.05", "99.95")
    assert len(account["charges"]) == 2
    for charge in account["charges"]:
        assert Decimal(charge["amount"]) == Decimal("0.025")
        assert charge["rule"] == "/models/flux-1-dev-edit/cost"
        assert charge["job"] in [job["id"] for job in control.get("/worlds/busy/jobs")["jobs"]]


def test_the_journal(control: Control) -> None:
    _busy(control)
    journal = control.get("/worlds/busy/journal")
    assert journal["dropped"] == 0
    kinds = [entry["kind"] for entry in journal["entries"]]
    assert kinds.count("request") == kinds.count("accepted") == 3
    assert (kinds.count("ended"), kinds.count("charged"), kinds.count("attempt")) == (2, 2, 3)
    assert "Bearer" not in json.dumps(journal)


def test_forcing(control: Control) -> None:
    site = _busy(control)
    path = f"/worlds/busy/jobs/{site.ids['job']}/force"
    wrong = control.ask("POST", path, {"failure": "bad luck"})
    assert wrong.status == 422
    assert "bad luck" in wrong.json()["error"]
    assert "provider_error" in wrong.json()["error"]
    for body in ({"failure": 5}, {"end": "failed"}, {"failure": "nsfw", "x": 1}, {"failure": None}):
        assert control.ask("POST", path, body).status == 422, body
    assert control.get(f"/worlds/busy/jobs/{site.ids['job']}")["state"] == "queued"
    failed = control.ask("POST", path, {"failure": "provider_error"})
    assert (failed.status, failed.json()["state"], failed.json()["failure"]) == (200, "failed", "provider_error")
    unknown = control.ask("POST", "/worlds/busy/jobs/nobody/force", {})
    assert unknown.status == 404
    assert "nobody" in unknown.json()["error"]


def test_forcing_success(control: Control) -> None:
    site = _busy(control)
    done = control.ask("POST", f"/worlds/busy/jobs/{site.ids['job']}/force")
    assert (done.status, done.json()["state"]) == (200, "succeeded")
    assert len(control.get("/worlds/busy/ledger")["providers"]["runflow"]["charges"]) == 3


def test_notes(control: Control) -> None:
    _busy(control)
    assert control.ask("POST", "/worlds/busy/notes", {"said": "saved", "job": "x"}).status == 204
    last = control.get("/worlds/busy/journal")["entries"][-1]
    assert (last["kind"], last["said"], last["job"]) == ("note", "saved", "x")
    for body in ({"said": "cheered"}, {"said": 5}, {"said": "saved", "mood": "x"}, {}):
        answer = control.ask("POST", "/worlds/busy/notes", body)
        assert answer.status == 422
        assert "said" in answer.json()["error"]


def test_every_route_is_looked_at_here(control: Control) -> None:
    app: Any = control.guard._app
    assert all(isinstance(route, Route) for route in app.router.routes)  # no mount, no websocket, nothing unguarded
