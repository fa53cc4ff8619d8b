from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from fauxvider.errors import BlockedAddressError, UsageError
from fauxvider.server.egress import EgressPolicy, Target, system_resolver
from support.audit import audit

TABLE = json.loads((Path(__file__).parents[2] / "data" / "egress.json").read_text(encoding="utf-8"))
POLICIES = {
    "loopback": EgressPolicy(),
    "allow": EgressPolicy("allow", tuple(TABLE["allow"])),
    "public": EgressPolicy("public"),
}


def answers(*addresses: str) -> Callable[[str, int], Any]:
    async def resolver(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolver


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: ascii(row["url"])[:60])
def test_egress_table(row: dict[str, str], policy: str) -> None:
    with audit() as heard:
        try:
            POLICIES[policy].check_url(row["url"])
            verdict, message = "allowed", "-"
        except BlockedAddressError as error:
            verdict, message = "blocked", str(error)
    assert verdict == row[policy], row["why"]
    assert message
    assert message.isprintable()
    assert heard == []


def test_the_table_is_large_enough() -> None:
    assert len(TABLE["rows"]) >= 80


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://127.0.0.1", Target("http", "127.0.0.1", 80, "/"), "127.0.0.1"),
        ("HTTPS://LocalHost:443/A?b#c", Target("https", "localhost", 443, "/A?b"), "localhost"),
        ("http://localhost:443?x=%20", Target("http", "localhost", 443, "/?x=%20"), "localhost:443"),
        ("http://[::1]:81/ü", Target("http", "::1", 81, "/%C3%BC"), "[::1]:81"),
    ],
)
def test_targets(url: str, target: Target, authority: str) -> None:
    assert EgressPolicy().check_url(url) == target
    assert target.authority == authority


def test_no_secret_of_the_url_is_in_the_message() -> None:
    for url in ("http://key:canary@127.0.0.1/", "http://10.0.0.1/?token=canary", "http://10.0.0.1/canary#canary"):
        with pytest.raises(BlockedAddressError) as caught:
            EgressPolicy().check_url(url)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "found", "passes"),
    [
        (EgressPolicy(), ["127.0.0.1", "::1"], True),
        (EgressPolicy(), ["127.0.0.1", "10.0.0.1"], False),
        (EgressPolicy(), ["::1%1"], False),
        (EgressPolicy(), ["nonsense"], False),
        (EgressPolicy("public"), ["93.184.215.14", "2606:4700::1"], True),
        (EgressPolicy("public"), ["93.184.215.14", "192.168.0.1"], False),
        (EgressPolicy("public"), ["192.168.0.1", "93.184.215.14"], False),
        (EgressPolicy("public"), ["93.184.215.14", "::ffff:10.0.0.1"], False),
        (EgressPolicy("public"), ["fe80::1%eth0"], False),
        (EgressPolicy("public", ("localhost:80",)), ["127.0.0.1"], True),
        (EgressPolicy("public", ("localhost:81",)), ["127.0.0.1"], False),
        (EgressPolicy("allow", ("localhost",)), ["192.168.0.1", "8.8.8.8", "127.0.0.1"], True),
        (EgressPolicy("allow", ("localhost",)), ["169.254.169.254"], False),
        (EgressPolicy("allow", ("localhost",)), ["0.0.0.0"], False),
        (EgressPolicy("allow", ("localhost",)), ["64:ff9b::a9fe:a9fe"], False),
        (EgressPolicy("allow", ("10.0.0.0/8:80",)), ["10.9.9.9"], True),
        (EgressPolicy("allow", ("10.0.0.0/8:81", "127.0.0.0/8:80")), ["127.0.0.1", "10.9.9.9"], False),
        (EgressPolicy("allow", ("2002::/16",)), ["2002:7f00:1::1"], False),
        (EgressPolicy("allow", ("::/0", "0.0.0.0/0")), ["2001:0:808:808:0:0:5601:5601"], False),
        (EgressPolicy("allow", ("::/0", "0.0.0.0/0")), ["fd00:ec2::254"], False),
        (EgressPolicy("allow", ("::/0", "0.0.0.0/0")), ["10.0.0.1", "::1", "2606:4700::1"], True),
    ],
)
def test_mixed_answer(policy: EgressPolicy, found: list[str], passes: bool) -> None:
    target = Target("http", "localhost", 80, "/")
    if passes:
        assert asyncio.run(policy.resolve(target, answers(*found))) == [ip_address(text) for text in found]
    else:
        with pytest.raises(BlockedAddressError):
            asyncio.run(policy.resolve(target, answers(*found)))


def test_a_literal_address_is_not_looked_up() -> None:
    async def resolver(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    target = EgressPolicy().check_url("http://127.0.0.1:5/")
    assert asyncio.run(EgressPolicy().resolve(target, resolver)) == [ip_address("127.0.0.1")]
    with pytest.raises(BlockedAddressError):
        asyncio.run(EgressPolicy("public").resolve(target, resolver))


def test_no_answer_is_a_network_fault() -> None:
    with pytest.raises(OSError, match="no address") as caught:
        asyncio.run(EgressPolicy().resolve(Target("http", "localhost", 80, "/"), answers()))
    assert not isinstance(caught.value, BlockedAddressError)


def test_rebinding() -> None:
    """An answer that turns to the loopback every other time is refused every other time, by one look-up each."""
    asked = 0

    async def resolver(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1" if asked % 2 == 0 else "93.184.215.14"]

    async def attempts() -> list[bool]:
        policy, passed = EgressPolicy("public"), []
        for _ in range(1000):
            target = policy.check_url("http://rebind.example/")
            try:
                found = await policy.resolve(target, resolver)
            except BlockedAddressError:
                passed.append(False)
            else:
                assert found == [ip_address("93.184.215.14")]
                passed.append(True)
        return passed

    with audit() as heard:
        passed = asyncio.run(attempts())
    assert passed == [True, False] * 500
    assert asked == 1000
    assert "socket.getaddrinfo" not in heard


def test_the_machine_s_own_resolver() -> None:
    found = asyncio.run(EgressPolicy().resolve(Target("http", "localhost", 80, "/"), system_resolver))
    assert ip_address("127.0.0.1") in found or ip_address("::1") in found


@pytest.mark.parametrize(
    ("mode", "allow"),
    [
        ("private", ()),
        ("loopback", ("10.0.0.1",)),
        ("allow", ("",)),
        ("allow", ("10.0.0.1/8",)),
        ("allow", ("host:0",)),
        ("allow", ("host:65536",)),
        ("allow", ("host:x",)),
        ("allow", ("http://host/",)),
        ("allow", ("a b",)),
        ("allow", ("0x7f.1",)),
        ("allow", ("10.0.0.0/33",)),
    ],
)
def test_bad_policies(mode: Any, allow: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        EgressPolicy(mode, allow)


def test_check_address() -> None:
    policy = EgressPolicy("allow", ("10.0.0.0/8:80", "192.168.0.0/16"))
    assert policy.check_address("10.1.1.1", port=80)
    assert not policy.check_address("10.1.1.1", port=81)
    assert not policy.check_address("10.1.1.1")
    assert policy.check_address("192.168.3.4")
    assert policy.check_address("::ffff:192.168.3.4")
    assert not policy.check_address("not an address")


def test_what_is_not_allowed_is_told_with_how_to_allow_it() -> None:
    with pytest.raises(
        BlockedAddressError, match=r"does not allow hooks\.test:443 \(fauxvider serve --allow hooks\.test"
    ):
        EgressPolicy().check_url("https://hooks.test/x")
