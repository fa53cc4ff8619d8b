"""A fauxvider control plane, asked over HTTP: worlds of one's own, their clocks, their jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fauxvider.errors import UsageError
from fauxvider.gate import dump_json
from fauxvider.toolkit.verify.client import Client
from fauxvider.toolkit.verify.samples import NotAskedError
from fauxvider.toolkit.verify.wants import decoded

__all__ = ["Control", "World"]


class Control:
    """The control plane at an address. Raises UsageError when it does not know the token or the question."""

    def __init__(self, client: Client, url: str, token: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._token = token

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"authorization": f"Bearer {self._token}"}
        data = b""
        if body is not None:
            headers["content-type"] = "application/json"
            data = dump_json(dict(body))
        answer = self._client.send(method, self._url + path, headers=headers, body=data)
        tree, problem = decoded(answer.body) if answer.body else ({}, "")
        if answer.status not in (200, 201, 204) or problem:
            said = tree.get("error") if isinstance(tree, dict) else None
            raise UsageError(f"the control plane answers {answer.status}: {said or problem or 'nothing'}")
        return tree

    def world(self, provider: str, **options: Any) -> World:
        """Make a world; it moves by a millisecond a request, so that held calls end."""
        made = self.ask("POST", "/worlds", {"clock": "stepping:1ms", "record": False, **options})
        found = made.get("providers", {}).get(provider) if isinstance(made, dict) else None
        if not isinstance(found, dict):
            raise UsageError(f"the server behind the control plane does not serve {provider!r}")
        return World(self, str(made["world"]), str(found["base_url"]))


class World:
    """One world: where the provider answers, and its clock."""

    def __init__(self, control: Control, name: str, base_url: str) -> None:
        self._control = control
        self.name = name
        self.base_url = base_url

    def _path(self, tail: str = "") -> str:
        return f"/worlds/{quote(self.name, safe='')}{tail}"

    def now(self) -> int:
        return int(self._control.ask("GET", self._path("/clock"))["now"])

    def advance(self, ms: int) -> None:
        if ms >= 0:  # nought settles what is due now
            self._control.ask("POST", self._path("/clock/advance"), {"by": f"{ms}ms"})

    def advance_to(self, moment: int) -> None:
        self.advance(moment - self.now())

    def force(self, job: str, failure: str = "") -> None:
        if not job:
            raise NotAskedError("the job's id was not told")
        path = self._path(f"/jobs/{quote(job, safe='')}/force")
        self._control.ask("POST", path, {"failure": failure} if failure else {})

    def job(self, job: str) -> Mapping[str, Any]:
        found = self._control.ask("GET", self._path(f"/jobs/{quote(job, safe='')}"))
        return found if isinstance(found, dict) else {}

    def attempts(self, *, began: bool = False) -> list[int]:
        """Give the moments at which callback attempts of this world ended (or began), in order."""
        found = self._control.ask("GET", self._path("/deliveries"))["deliveries"]
        made = [one for delivery in found for one in delivery["attempts"]]
        return sorted(int(one["at"]) + (0 if began else int(one["took_ms"] or 0)) for one in made)

    def events(self) -> list[str]:
        """Give the events of this world's callbacks."""
        found = self._control.ask("GET", self._path("/deliveries"))["deliveries"]
        return [str(one["event"]) for one in found]

    def delivery_id(self) -> str | None:
        """Give the id of the last callback delivery of this world; None without one."""
        found = self._control.ask("GET", self._path("/deliveries"))["deliveries"]
        return str(found[-1]["id"]) if found else None

    def ledger(self, provider: str) -> Mapping[str, Any]:
        found = self._control.ask("GET", self._path("/ledger"))["providers"].get(provider, {})
        return found if isinstance(found, dict) else {}

    def held(self) -> int:
        """Count the calls that the server holds back until their moment."""
        count = self._control.ask("GET", self._path()).get("held")
        if not isinstance(count, int):
            raise NotAskedError("the server does not say which calls it holds")
        return count

    def drop(self) -> None:
        self._control.ask("DELETE", self._path())
