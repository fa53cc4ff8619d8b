"""A real Valkey or Redis server for tests, on a socket in a folder: no port, nothing on the disk unless asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

__all__ = ["BINARY", "MISSING", "Valkey", "required"]

# "1": an error without a server. "0": as if there were none, for a run that another one with a server goes with.
WANTED = os.environ.get("FAUXVIDER_REQUIRE_VALKEY", "")
BINARY = next(filter(None, map(shutil.which, ("valkey-server", "redis-server"))), "")
MISSING = "" if BINARY else "neither valkey-server nor redis-server is installed"
if WANTED == "0":
    MISSING = "FAUXVIDER_REQUIRE_VALKEY=0"


def required() -> None:
    """Have no run look green that had no server to test with, where one is demanded."""
    if MISSING and WANTED == "1":
        raise pytest.UsageError(f"FAUXVIDER_REQUIRE_VALKEY=1, but {MISSING}")


class _Patience(Retry):
    """Asks again, but for what the server has refused."""

    def call_with_retry(self, do: Any, fail: Any, *args: Any, **given: Any) -> Any:
        def failed(error: Exception, *more: Any) -> None:
            if isinstance(error, redis.exceptions.AuthenticationError):
                raise error
            fail(error, *more)

        return super().call_with_retry(do, failed, *args, **given)


class Valkey:
    """One server. ``url`` is what `--store` takes; it stays the same when the server is started again."""

    def __init__(self, folder: Path, *options: str, lease_s: float = 1.0) -> None:
        """Start it. `options` as on its command line; with "--appendonly", "yes" it has its facts back when restarted."""
        self._folder = folder
        self._options = options
        self._socket = folder / "server.sock"
        self.url = f"unix://{self._socket}?lease={lease_s}"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.kill()
            raise

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [BINARY, "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder), "--save", ""]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        try:
            self.client.ping()
        except redis.exceptions.AuthenticationError:
            pass  # an answer, too
        except redis.exceptions.RedisError:
            raise AssertionError((self._folder / "server.log").read_text()) from None

    @property
    def client(self) -> Any:
        """A connection that is patient with a server that starts."""
        patience = _Patience(ConstantBackoff(0.02), 500)
        errors: list[type[Exception]] = [redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError]
        return redis.Redis(unix_socket_path=str(self._socket), retry=patience, retry_on_error=errors, protocol=2)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Valkey:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
