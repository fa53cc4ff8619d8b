"""`fauxvider serve` in a process of its own, asked over real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Process", "serving_process"]

KEY = {"Authorization": "Bearer a-key-of-the-test", "Content-Type": "application/json"}


@dataclass
class Process:
    """A server, its addresses, and what it has said on standard error."""

    popen: subprocess.Popen[str]
    places: dict[str, Any]

    @property
    def root(self) -> str:
        """Where the providers are served."""
        base: str = next(iter(self.places["providers"].values()))["base_url"]
        return base.rpartition("/")[0]

    @property
    def control(self) -> str:
        url: str = self.places["control"]["url"]
        return url

    def base(self, provider: str) -> str:
        url: str = self.places["providers"][provider]["base_url"]
        return url

    def ask(self, url: str, body: Any = None, *, method: str | None = None, **headers: str) -> tuple[int, Any]:
        """Give status and body (JSON where it is) of a request; a path is one of the control plane's."""
        known = self.places["control"].get("token")
        token = {"Authorization": f"Bearer {known}"} if known and url.startswith("/") else {}
        url = self.control + url if url.startswith("/") else url
        data = None if body is None else json.dumps(body).encode()
        return fetch(urllib.request.Request(url, data, {**KEY, **token, **headers}, method=method))

    def readiness(self) -> tuple[int, Any]:
        return fetch(urllib.request.Request(f"{self.control}/-/ready"))

    def wait_for_draining(self) -> None:
        """Ask until the server says that it ends; raises when it does not in ten thousand questions."""
        for _ in range(10_000):
            status, said = self.readiness()
            if status == 503 and "draining" in str(said):
                return
        raise AssertionError("the server never says that it is draining")

    def ended(self) -> tuple[int, str, str]:
        """Wait for the end; give exit code, standard output and standard error."""
        out, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, out, err


def fetch(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, data = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, data = error.code, error.read()
    try:
        return status, json.loads(data)
    except ValueError:
        return status, data.decode("utf-8", "replace")


@contextmanager
def serving_process(
    *arguments: str, env: dict[str, str] | None = None, program: tuple[str, ...] = ("-m", "fauxvider")
) -> Iterator[Process]:
    """Serve on free ports until the end of the block; warnings are errors there too. `program`: as Python takes it."""
    command = [sys.executable, "-W", "error", *program, "serve", "--json"]
    ports = ["--port", "0", "--control-port", "0"]
    popen = subprocess.Popen(
        [*command, *ports, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        assert popen.stdout is not None
        line = popen.stdout.readline()
        if not line:
            raise AssertionError(popen.communicate(timeout=60)[1])
        yield Process(popen, json.loads(line))
    finally:
        popen.kill()
        popen.communicate()
