"""A user's file, for the type checker alone: what the public API takes and gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from fauxvider import (
    Contract,
    ContractError,
    EgressPolicy,
    FauxviderError,
    LocalServer,
    Receiver,
    Server,
    UsageError,
    WorldHandle,
    load_contract,
)


def steer() -> None:
    with Server(providers=["acme"], contracts=[Path("acme.yaml"), "other.yaml"], clock="manual", seed=1) as server:
        assert_type(server, Server)
        assert_type(server.url, str)
        assert_type(server.base_url("acme"), str)
        assert_type(server.default, WorldHandle)
        with server.world(name="mine", clock="manual", readings={"price": "old"}) as world:
            assert_type(world, WorldHandle)
            assert_type(world.base_url("acme", "files"), str)
            assert_type(world.now(), int)
            assert_type(world.advance("7d 1s"), list[dict[str, Any]])
            assert_type(world.advance(2.5), list[dict[str, Any]])
            assert_type(world.jobs(), list[dict[str, Any]])
            assert_type(world.deliveries(), list[dict[str, Any]])
            assert_type(world.ledger(), dict[str, Any])
            assert_type(world.force("job", failure="oom"), dict[str, Any])


def without_sockets() -> None:
    with LocalServer(providers=["acme"], deliver=lambda callback: 200 if callback.body else "reset") as server:
        assert_type(server, LocalServer)
        answer = server.request("POST", server.base_url("acme") + "/run", headers={"Authorization": "x"}, body=b"{}")
        assert_type(answer.status, int)
        assert_type(answer.header("content-type"), str | None)
        assert_type(server.world(), WorldHandle)


def receive(world: WorldHandle) -> None:
    with Receiver([503, "reset", 200], clock=world.now) as receiver:
        assert_type(receiver.url, str)
        assert_type([one.body for one in receiver.wait(3)], list[bytes])


def read() -> Contract:
    try:
        contract = load_contract("acme")
    except ContractError as error:
        assert_type(error.problem, str)
        raise
    assert_type(contract.provider, str)
    return contract


def errors() -> list[type[FauxviderError]]:
    return [ContractError, UsageError]


def wrong(server: Server, world: WorldHandle) -> None:
    """What must not pass: strict mode warns of an ignore that ignores nothing."""
    Server(port="8900")  # type: ignore[arg-type]
    Server(egress="public")  # type: ignore[arg-type]
    EgressPolicy("everywhere")  # type: ignore[arg-type]
    EgressPolicy("allow", ("10.0.0.1",)).mode = "public"  # type: ignore[misc]
    server.world("mine")  # type: ignore[call-arg]
    world.advance(None)  # type: ignore[arg-type]
    world.force("job", "oom")  # type: ignore[call-arg]
    load_contract(7)  # type: ignore[arg-type]
