"""Whether a provider would take a request, and whether it could have given an answer: for tests with other mocks.

@respx.mock
def test_the_client_asks_rightly():
    route = respx.post(url__startswith="https://api.acme.example/").respond(json={...})
    client.generate("a lighthouse")
    assert_valid_request("acme", route.calls.last.request)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fauxvider.contract.parse import ContractFile
from fauxvider.toolkit.audit.auditor import audit
from fauxvider.toolkit.audit.recorded import Exchange, Recording
from fauxvider.toolkit.exchanges.case import Sent
from fauxvider.toolkit.objections import Judged, judge_request
from fauxvider.toolkit.places import rule_at
from pytest_fauxvider.contract_cases import contract_of
from pytest_fauxvider.messages import Given, answer_of, request_of

__all__ = ["ValidRequest", "assert_valid_request", "assert_valid_response"]

ValidRequest = Judged


def assert_valid_request(
    provider: str | Path,
    request: Any,
    url: object = "",
    *,
    headers: Given = (),
    body: bytes | str | None = None,
    json: Any = None,
    readings: Mapping[str, str] | None = None,
    base_url: str = "",
) -> ValidRequest:
    """Fail unless the provider would take this request; give the operation that it is for, and its model.

    `provider`: a bundled name or a contract file. `request`: that of httpx, httpx2, requests, urllib, aiohttp's
    server, a call of respx, responses or aioresponses; or the method, with `url`, `headers` and `body` or `json`; or
    these four as a tuple. The operation is found by the provider's real host, an emulator's address, what `base_url`
    says stands for the API, or at any other host by the path alone.

    Raises AssertionError with what is wrong, the rule, its source and the nearest legal value; TypeError for what is
    no request; UsageError and ContractError for a provider or readings that there are not.
    """
    __tracebackhide__ = True
    sent = request_of(request, url, headers=headers, body=body, json=json)
    file = contract_of(provider)
    judged = judge_request(file, sent, readings=readings, base_url=base_url)
    if judged.misses:
        raise AssertionError(_told(file, sent, judged))
    return judged


def _told(file: ContractFile, sent: Sent, judged: Judged) -> str:
    about = [f"operation {judged.operation}"] if judged.operation else []
    lines = [f"{file.provider} would not take this request", f"  {sent.method} {sent.url.partition('?')[0]}"]
    lines[1] += f" ({', '.join(about)})" if about else ""
    for miss in judged.misses:
        lines.append(f"  {miss.text}")
        if miss.rule:
            lines.append(f"    rule {miss.rule} ({Path(file.file).name}:{miss.line})")
    return "\n".join(lines)


def assert_valid_response(
    provider: str | Path, *responses: Any, readings: Mapping[str, str] | None = None, base_url: str = ""
) -> None:
    """Fail unless the provider could have given these answers (of a hand-written mock, say), in this order.

    `responses`: those of httpx, httpx2 or requests, which know their requests. An answer about a job is judged by the
    submission that made the job, so that comes first. Raises AssertionError with place, rule and source, TypeError
    for what is no answer, ValueError for one about a job that was not submitted before.
    """
    __tracebackhide__ = True
    file = contract_of(provider)
    exchanges = tuple(_exchange(one, number) for number, one in enumerate(responses, 1))
    bases = {file.provider: base_url} if base_url else {}
    made = audit(
        Recording("responses", "calls", exchanges, is_timed=False),
        {file.provider: file},
        bases=bases,
        readings={file.provider: file.choice(readings)},
    )
    if made.strangers:
        raise ValueError(
            f"no answer of {file.provider}: {', '.join(made.strangers)} is none of its hosts (base_url=...)"
        )
    lines = []
    for one in made.violations:
        rule = rule_at(file, file.choice(readings), one.mismatch.rule)
        lines.append(f"  answer {one.number}, {one.mismatch}")
        lines.append(f"    rule {rule.text}")
    for entry in made.entries:
        is_open = entry.get("does") in ("read", "cancel", "retry") and not entry.get("job") and not entry.get("cause")
        if is_open and entry["kind"] == "request":
            raise ValueError(f"answer {entry['number']} is about a job whose submission is not among the answers")
    if lines:
        raise AssertionError("\n".join([f"{file.provider} does not answer like this", *lines]))


def _exchange(response: Any, number: int) -> Exchange:
    sent, (status, headers, body) = request_of(response.request), answer_of(response)
    return Exchange(
        number=number,
        at=number * 1000,
        ended=number * 1000,
        method=sent.method,
        url=sent.url,
        headers=_lower(sent.headers),
        body=sent.body,
        status=status,
        answer_headers=_lower(headers),
        answer=body,
    )


def _lower(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers)
