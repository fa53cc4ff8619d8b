"""Contract coverage: what there is to be faced, what a journal shows to have been faced, how figures add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider import LocalServer, WorldHandle, load_contract
from fauxvider_contracts import provider_names
from pytest_fauxvider.coverage.facing import items_of, tally_of
from pytest_fauxvider.coverage.model import WHAT, ProviderTally, Tally
from pytest_fauxvider.coverage.page import coverage_page
from pytest_fauxvider.coverage.table import json_text, table_lines
from support.acme import ACME

HEADERS = {"Authorization": "Bearer key", "Content-Type": "application/json"}
HOOK = "http://127.0.0.1:9/hook"


class Acme:
    """A client of one world in this thread; `answers` is how its receiver answers, one after the other."""

    def __init__(self, world: WorldHandle, server: LocalServer) -> None:
        self.world, self.server = world, server

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        url = path if path.startswith("http") else self.world.base_url("acme") + path
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.server.request(method, url, headers=HEADERS, body=data)
        return answer.json() if answer.status and answer.header("content-type") == "application/json" else None

    def run(self, **more: Any) -> str:
        return str(self.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x"}, **more})["id"])

    def status(self, job: str) -> Any:
        return self.ask("GET", f"/v2/acme-dev/status/{job}")

    def faced(self, what: str) -> set[str]:
        contract = self.world.report().contracts.get("acme")  # not there where nobody asked
        return set() if contract is None else set(tally_of(contract, self.world.journal()["entries"]).faced[what])


@pytest.fixture
def acme(request: pytest.FixtureRequest) -> Iterator[Acme]:
    options, answers = getattr(request, "param", ({}, []))
    left = list(answers)
    with (
        LocalServer(contracts=[ACME], deliver=lambda _callback: left.pop(0) if left else 200) as server,
        server.world(clock="manual", seed=1, **options) as world,
    ):
        yield Acme(world, server)


def scenario(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"scenario": {"scenario": 1, "name": "s", "rules": list(rules)}}


# --- what there is


@pytest.mark.parametrize("name", provider_names())
def test_every_contract_has_something_of_each_kind(name: str) -> None:
    contract = load_contract(name)
    items = items_of(contract)
    assert list(items) == list(WHAT)
    assert list(items["operations"]) == list(contract.operations)
    assert list(items["states"]) == list(contract.states)
    assert set(items["outcomes"]) >= {"succeeded", *contract.failures}
    assert bool(items["deliveries"]) is (contract.callbacks is not None)
    assert all(about for names in items.values() for about in names.values())
    # The default of a reading is no feat: it is in force wherever nobody asks for another.
    assert not {f"{name}={one.default}" for name, one in contract.readings.items()} & set(items["readings"])


def test_causes_with_one_face_are_one_thing() -> None:
    errors = items_of(load_contract("runpod"))["errors"]
    assert "auth_unknown" in errors
    assert "param_invalid" in errors
    assert "param_range" not in errors  # a client cannot tell it from param_invalid
    assert "auth_deleted" not in errors


# --- what is faced


def test_nothing(acme: Acme) -> None:
    acme.world.base_url("acme")
    assert [what for what in WHAT if acme.faced(what)] == []


def test_a_plain_run(acme: Acme) -> None:
    job = acme.run()
    acme.world.advance("1s")
    acme.status(job)
    assert acme.faced("outcomes") == set()
    acme.world.advance("10s")
    assert acme.faced("outcomes") == set()  # it has ended, and the client does not know
    acme.status(job)
    assert acme.faced("operations") == {"run", "status"}
    assert acme.faced("states") == {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert acme.faced("outcomes") == {"succeeded"}
    assert acme.faced("errors") == acme.faced("deliveries") == acme.faced("expiries") == acme.faced("readings") == set()


def test_refusals(acme: Acme) -> None:
    acme.ask("POST", "/v2/nope/run", {"input": {"prompt": "x"}})
    acme.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x", "width": 7}})
    acme.ask("GET", "/nowhere")
    acme.status("nobody")
    assert acme.faced("errors") == {"model_unknown", "param_invalid", "path_unknown", "job_unknown"}


@pytest.mark.parametrize("acme", [(scenario({"on": "request", "do": {"lose": "reset"}}), [])], indirect=True)
def test_what_was_lost_on_the_way_was_not_seen(acme: Acme) -> None:
    acme.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x"}})
    acme.ask("GET", "/v2/acme-dev/status/nobody")
    assert acme.faced("operations") == {"run", "status"}
    assert acme.faced("states") == acme.faced("errors") == set()


def test_ends(acme: Acme) -> None:
    for failure in ("handler_error", "moderation"):
        job = acme.run()
        acme.world.force(job, failure=failure)
        acme.status(job)
    job = acme.run()
    acme.ask("POST", f"/v2/acme-dev/cancel/{job}")
    acme.status(job)
    held = acme.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x"}, "policy": {"executionTimeout": 1000}})["id"]
    acme.world.advance("1m")
    acme.status(held)
    assert acme.faced("outcomes") == {"handler_error", "moderation", "cancelled", "execution_timeout"}
    assert acme.faced("expiries") == {"deadline execution"}


def test_expiries(acme: Acme) -> None:
    job = acme.run()
    acme.world.advance("10s")
    url = acme.status(job)["output"]["image_url"]
    acme.world.advance("7d 1s")
    acme.ask("GET", url)
    assert acme.faced("expiries") == {"url output"}
    acme.world.advance("30d")
    acme.ask("GET", url)
    assert acme.faced("expiries") == {"url output", "file output"}


def test_a_job_that_is_forgotten_before_it_ends(acme: Acme) -> None:
    job = acme.run(policy={"ttl": 2000})
    acme.world.advance("1s")
    acme.status(job)
    assert acme.faced("expiries") == set()
    acme.world.advance("1500ms")
    acme.status(job)
    assert acme.faced("expiries") == {"deadline ttl"}


def test_a_record_that_is_no_longer_kept(acme: Acme) -> None:
    job = acme.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "x"}})["id"]
    acme.world.advance("10s")
    acme.status(job)
    acme.world.advance("23h")
    acme.status(job)
    assert acme.faced("expiries") == set()


@pytest.mark.parametrize("acme", [({"readings": {"edit.cost": "per_mp"}}, [])], indirect=True)
def test_readings(acme: Acme) -> None:
    acme.world.base_url("acme")
    assert acme.faced("readings") == set()  # nobody has met it yet
    acme.ask("GET", "/v2/me")
    assert acme.faced("readings") == {"edit.cost=per_mp"}


_SIGNED = "signed by the secret before"


@pytest.mark.parametrize(
    ("acme", "faced"),
    [
        (({}, [200]), {"taken at once"}),
        (({}, [503, "reset", 200]), {"taken on a retry"}),
        (({}, [503, 503, 503]), {"given up"}),
        (({}, [400]), {"given up"}),
        (({}, ["timeout", 200]), {"taken on a retry", "not in time"}),
        ((scenario({"on": "delivery", "do": {"duplicate": 1}}), []), {"taken at once", "more than once"}),
        ((scenario({"on": "delivery", "do": {"replay": "5s"}}), []), {"taken at once", "more than once"}),
        ((scenario({"on": "delivery", "do": {"lose": True}}), []), {"never sent"}),
        ((scenario({"on": "attempt", "when": {"attempt": 1}, "do": {"sign": "wrong"}}), []), {"taken at once", "forged"}),
        ((scenario({"on": "attempt", "do": {"sign": "missing"}}), []), {"taken at once", "forged"}),
        ((scenario({"on": "attempt", "do": {"sign": "rotated"}}), []), {"taken at once", _SIGNED}),
    ],
    indirect=["acme"],
)  # fmt: skip
def test_callbacks(acme: Acme, faced: set[str]) -> None:
    acme.ask("POST", "/v2/secrets", {})
    acme.ask("POST", "/v2/secrets", {})
    acme.run(webhook=HOOK)
    acme.world.advance("1m")
    sent = set() if faced == {"never sent"} else {"event run.completed"}
    assert acme.faced("deliveries") == faced | sent
    if sent:  # a client that only takes callbacks has faced the end by it
        assert acme.faced("outcomes") == {"succeeded"}
        assert "COMPLETED" in acme.faced("states")


def test_unsigned_callbacks_are_not_forged(acme: Acme) -> None:
    acme.run(webhook=HOOK)
    acme.world.advance("1m")
    assert acme.faced("deliveries") == {"event run.completed", "taken at once"}


@pytest.mark.parametrize("acme", [(scenario({"on": "delivery", "do": {"early": True}}), [])], indirect=True)
def test_a_callback_before_the_answer(acme: Acme) -> None:
    acme.run(webhook=HOOK)
    acme.world.advance("1m")
    assert "before the answer" in acme.faced("deliveries")


# --- figures


def tally(**faced: int) -> Tally:
    there = {"operations": {"run": "POST /run", "status": "GET /status"}, "readings": {"price=old": "p: o"}}
    counts = {"operations": {name: times for name, times in faced.items() if name != "old"}}
    if "old" in faced:
        counts["readings"] = {"price=old": faced["old"]}
    return Tally({"acme": ProviderTally(there=there, faced=counts, digests=["d1"])})


def test_sums() -> None:
    one = tally(run=1)
    one.add(tally(run=2, old=1))
    one.add(Tally({"other": ProviderTally(there={"states": {"DONE": ""}}, digests=["d2"])}))
    parts = {part.what: part for part in one.parts("acme")}
    assert [(item.name, item.times) for item in parts["operations"].items] == [("run", 3), ("status", 0)]
    assert parts["operations"].percent == 50
    assert [item.name for item in parts["operations"].never] == ["status"]
    assert (len(one.whole().faced), len(one.whole().items)) == (2, 4)
    assert one.providers["acme"].digests == ["d1"]


def test_what_is_left_out() -> None:
    one = tally(run=1)
    assert one.whole(omit=["*/readings/*"]).percent == 50
    assert one.whole(omit=["acme/operations/stat?s", "*/readings/*"]).percent == 100
    assert one.whole(omit=["*"]).percent == 100
    assert one.whole(omit=["other/*"]).items == one.whole().items


COUNTS = st.dictionaries(st.sampled_from(["run", "status", "old"]), st.integers(1, 9))


@given(st.lists(COUNTS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_workers_does_not_matter(counts: list[dict[str, int]], random: Any) -> None:
    whole, shuffled = Tally(), Tally()
    for one in counts:
        whole.add(tally(**one))
    random.shuffle(counts)
    for one in counts:
        shuffled.add(Tally.from_json(json.loads(json.dumps(tally(**one).to_json()))))  # as they come from a worker
    assert json_text(shuffled) == json_text(whole)


def test_the_table_is_lined_up_and_keeps_to_the_width() -> None:
    contract = load_contract("runpod")
    made = Tally({"runpod": tally_of(contract)})
    for width in (60, 100, 160):
        lines = list(table_lines(made, width=width))
        assert max(map(len, lines)) <= max(width, 70)
        column = lines[0].index("never faced")
        assert all(line[column - 2 : column].strip() == "" for line in lines)
    assert lines[0].split() == ["provider", "what", "faced", "of", "%", "never", "faced"]
    assert lines[-1].split()[:3] == ["all", "0", str(len(made.whole().items))]
    assert any("and " in line and " more" in line for line in lines)


def test_the_page_stands_alone_and_escapes() -> None:
    names = {"states": {"<script>": 'a "b" & <c>'}}
    made = Tally({"<b>": ProviderTally(there=names, faced={"states": {"<script>": 2}}, digests=["d"])})
    page = coverage_page(made, omit=("<x>",), version="1")
    assert "<script" not in page
    assert "&lt;script&gt;<i>2</i>" in page
    assert 'title="a &quot;b&quot; &amp; &lt;c&gt;"' in page
    assert "<b>:" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "100 % of the contracts was faced" in page
