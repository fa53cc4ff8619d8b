"""Jobs counted by state: what is over is looked at once, until something happens to it."""

from __future__ import annotations

from typing import Any

import pytest

from fauxvider.service import provider as module
from support.inprocess import InProcess

HEADERS = {"authorization": "Bearer key-of-the-test"}
PATH = "/v2/my-endpoint"


def counted(host: InProcess, base: str) -> dict[str, int]:
    jobs: dict[str, int] = host.request("GET", f"{base}{PATH}/health", headers=HEADERS).json()["jobs"]
    return {name: count for name, count in jobs.items() if count}


def test_counts_follow_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    real = module.snapshot_at

    def looked(contract: Any, life: Any, job: Any, moment: int) -> Any:
        looks.append(job.id)
        return real(contract, life, job, moment)

    monkeypatch.setattr(module, "snapshot_at", looked)
    with InProcess(providers=["runpod"]) as host:
        world = host.world()
        base = host.base(world, "runpod")
        body = {"input": {"prompt": "a fox"}}
        jobs = [
            host.request("POST", f"{base}{PATH}/run", json_body=body, headers=HEADERS).json()["id"] for _ in range(3)
        ]
        assert counted(host, base) == {"inQueue": 3}

        async def fail() -> None:
            await host.emulator.force(world.name, jobs[0], failure=world.provider("runpod").contract.default_failure)

        host.run(fail())
        host.advance(world, "10m")
        assert counted(host, base) == {"completed": 2, "failed": 1}
        looks.clear()
        assert counted(host, base) == {"completed": 2, "failed": 1}
        assert looks == []
        assert host.request("POST", f"{base}{PATH}/retry/{jobs[0]}", headers=HEADERS).is_good
        assert counted(host, base) == {"inQueue": 1, "completed": 2, "retried": 1}
        assert set(looks) == {jobs[0]}
        host.advance(world, "10m")
        assert counted(host, base) == {"completed": 3, "retried": 1}
