"""A request that was denied is explained by what its key was, and where; the key itself is never told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fauxvider.contract.parse import open_contract
from fauxvider.service.reports import Report
from fauxvider_contracts import provider_names
from support.inprocess import InProcess
from support.operations import Case, Site, cases, contract_of

PROVIDERS = provider_names()
GOOD, OLD, IDLE, FOREIGN, NOBODY = (
    f"{name}-canary-0123456789" for name in ("good", "old", "idle", "foreign", "nobody")
)
KEYS = [
    {"key": GOOD, "name": "ci"},
    {"key": OLD, "state": "deleted", "name": "last year's"},
    {"key": IDLE, "state": "inactive"},
]


@pytest.fixture(scope="module")
def host() -> Iterator[InProcess]:
    with InProcess() as one:
        one.world(name="elsewhere", keys=[{"key": FOREIGN}])
        yield one


def submit_of(provider: str) -> Case:
    return next(case for case in cases() if case.provider == provider and case.operation.kind == "submit")


def written(provider: str, choice: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Where a contract has its keys, as it writes them: (header, scheme)."""
    accepted = open_contract(provider).resolved(choice or {})["auth"]["accept"]
    return [(one["header"], one.get("scheme", "")) for one in accepted]


def told(host: InProcess, provider: str, headers: dict[str, str], *, query: str = "", **world: Any) -> str:
    """Send a request that is denied; give the one line that explains it."""
    site = Site(host, provider, **{"keys": KEYS, **world})
    case = submit_of(provider)
    url = site.base + site.path(case) + (f"?{query}" if query else "")
    answer = host.request(case.method, url, headers=headers, json_body=case.valid())
    assert answer.status in (401, 403), answer.text
    (missed,) = Report(host.emulator, site.world.name).near_misses()
    assert missed.kind == "credential"
    assert "canary" not in repr(site.world.refused)
    assert "canary" not in repr(missed)
    return missed.text


def wanted(provider: str) -> str:
    ways = [f"{header}: {scheme} <key>" if scheme else f"{header}: <key>" for header, scheme in written(provider)]
    return f"; wanted {', '.join(ways)}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_key_at_all(host: InProcess, provider: str) -> None:
    text = told(host, provider, {})
    assert text.startswith(f"the request to {provider} has no API key (")  # and who says that one is needed
    assert text.endswith(wanted(provider))


STRANGE = [(own, other) for own in PROVIDERS for other in PROVIDERS if written(other)[0] not in written(own)]


@pytest.mark.parametrize(("provider", "other"), STRANGE)
def test_the_key_stands_as_another_provider_has_it(host: InProcess, provider: str, other: str) -> None:
    header, scheme = written(other)[0]
    text = told(host, provider, {header: f"{scheme} {GOOD}".strip()})
    if header in {name for name, _ in written(provider)}:
        assert f"has its key in {header} after the word {scheme}, as " in text
    else:
        assert f"has its key in the header {header}, where it is not looked for, as " in text
    assert other in text.partition(", as ")[2].partition(" would have it")[0].split(" and ")
    assert text.endswith(wanted(provider))
    assert "does not know" not in text


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ["x-api-key", "x-auth-token"])
def test_the_key_stands_in_a_header_that_nobody_reads(host: InProcess, provider: str, name: str) -> None:
    text = told(host, provider, {name: OLD, "idempotency-key": GOOD})
    assert f"has its key in the header {name}, where it is not looked for; and the key is deleted (" in text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_key_stands_in_the_query(host: InProcess, provider: str) -> None:
    text = told(host, provider, {}, query=f"api_key={GOOD}")
    assert "has its key in the query, as api_key, where it is not looked for (" in text


@pytest.mark.parametrize("provider", [one for one in PROVIDERS if all(scheme for _, scheme in written(one))])
def test_the_word_before_the_key(host: InProcess, provider: str) -> None:
    header, scheme = written(provider)[0]
    assert f"has its key in {header} without a word before it" in told(host, provider, {header: GOOD})
    assert f"has no key in {header}: {scheme} (" in told(host, provider, {header: scheme})
    assert f"has no key in {header} (" in told(host, provider, {header: ""})
    twice = told(host, provider, {header: f"{scheme} {scheme} {GOOD}"})
    assert f"has the word {scheme} twice before its key in {header} (" in twice


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_the_world_does_not_take(host: InProcess, provider: str) -> None:
    def at_its_place(key: str) -> str:
        header, scheme = written(provider)[0]
        return told(host, provider, {header: f"{scheme} {key}".strip()}).removeprefix(f"the request to {provider} has ")

    unknown = "a key that this world does not know (it knows 3 others)"
    assert at_its_place(NOBODY) == unknown
    assert at_its_place(FOREIGN) == f"{unknown}: it is one of the world 'elsewhere'"
    assert at_its_place(OLD) == 'a key "last year\'s" that is deleted in this world'
    assert at_its_place(IDLE) == "a key that is inactive in this world"
    assert at_its_place(f'"{GOOD}"').startswith(f"its key in {written(provider)[0][0]} in quotation marks (")


SCOPED = [case for case in cases() if case.operation.kind == "submit" and case.operation.scope]


@pytest.mark.parametrize("case", SCOPED, ids=lambda case: case.provider)
def test_a_key_without_the_scope(host: InProcess, case: Case) -> None:
    header, scheme = written(case.provider)[0]
    keys = [{"key": GOOD, "name": "reader", "scopes": ["some:read"]}]
    text = told(host, case.provider, {header: f"{scheme} {GOOD}".strip()}, keys=keys)
    assert f"has a key 'reader' without the scope {case.operation.scope} (its scopes: some:read) (" in text


def test_some_provider_has_scopes() -> None:
    assert SCOPED


OWNED = [case for case in cases() if case.operation.owner]


@pytest.mark.parametrize("case", OWNED, ids=lambda case: case.operation.name)
def test_a_model_that_is_not_the_accounts_own(host: InProcess, case: Case) -> None:
    site = Site(host, case.provider)
    other = next(
        one for one in site.cases if one.operation.model and not site.contract.models[one.model].facts.get("owned")
    )
    foreign = Case(case.provider, case.operation, other.model, case.schema)
    assert site.call(foreign).status in (401, 403)
    (missed,) = Report(host.emulator, site.world.name).near_misses()
    assert (missed.kind, missed.operation) == ("owner", case.operation.name)
    assert f"is only for models that the account owns ({case.operation.name})" in missed.text


def test_some_operation_is_for_owners() -> None:
    assert OWNED


def readings_of_keys() -> Iterator[tuple[str, str, str, str]]:
    """Readings that take keys at a place where the default does not: (provider, reading=case, header, scheme)."""
    for provider in PROVIDERS:
        file = open_contract(provider)
        for picked in file.choices()[1:]:
            (name,) = [one for one in picked if picked[one] != file.default_choice[one]]
            for place in written(provider, picked):
                if place not in written(provider):
                    yield provider, f"{name}={picked[name]}", *place


READINGS = list(readings_of_keys())


@pytest.mark.parametrize(("provider", "reading", "header", "scheme"), READINGS)
def test_a_reading_that_would_take_the_key_is_named(
    host: InProcess, provider: str, reading: str, header: str, scheme: str
) -> None:
    assert f" (the reading {reading} takes it) (" in told(host, provider, {header: f"{scheme} {GOOD}".strip()})


def test_some_reading_is_about_keys() -> None:
    assert READINGS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_scenario_that_denies_is_named_and_not_the_key(host: InProcess, provider: str) -> None:
    header, scheme = written(provider)[0]
    cause = next(name for name in ("auth_unknown", "auth_missing") if name in contract_of(provider).errors)
    scenario = {
        "scenario": 1,
        "name": "denied",
        "provider": provider,
        "rules": [{"on": "request", "do": {"refuse": cause}}],
    }
    text = told(host, provider, {header: f"{scheme} {GOOD}".strip()}, scenario=scenario)
    assert text == f"the request to {provider} is denied by the scenario, whatever its key"
