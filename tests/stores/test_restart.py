"""A store outlives the process: what was acknowledged is there again, and what was to come still comes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from fauxvider import Receiver, Server, WorldHandle
from fauxvider.errors import StoreError, UnknownWorldError, UsageError
from fauxvider.local import answer_of
from fauxvider.stores.opening import open_store
from fauxvider.stores.sqlite import SqliteFile
from support.valkey import MISSING, Valkey, required

required()

FLUX = "/v2/black-forest-labs-flux-1-dev"
KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}


def _call(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, KEY)) as answer:
        return json.loads(answer.read())


@pytest.fixture(params=["sqlite"] if MISSING else ["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/worlds.db"
        return
    with Valkey(tmp_path) as server:
        yield server.url


@contextmanager
def _again(store: str, port: int = 0, **options: Any) -> Iterator[Server]:
    with Server(providers=["runpod"], store=store, port=port, **options) as server:
        yield server


def _world(server: Server, name: str) -> WorldHandle:
    return server.find(name)


def _submit(world: WorldHandle, **extra: Any) -> str:
    body = {"input": {"prompt": "a lighthouse", "seed": 7}, **extra}
    return str(_call(world.base_url("runpod") + FLUX + "/run", body)["id"])


def _spent(server: Server) -> None:
    """Have the store of a server fail, as a full disk does."""
    file = server.emulator.file
    assert isinstance(file, SqliteFile)
    file._connection.close()


def test_a_store_that_fails_is_one_line_for_each_callback_that_it_keeps_from_going(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver, _again(f"sqlite:///{tmp_path}/worlds.db") as server:
        world = server.world(clock="scaled:20")
        url = f"{world.base_url('runpod')}{FLUX}/run"
        body = json.dumps({"input": {"prompt": "a lighthouse"}, "webhook": receiver.url + "/hook"}).encode()

        async def submit_and_spend() -> None:
            """The job ends a fifth of a second after it was accepted; by then the store must be spent."""
            answer = await answer_of(server.app, "POST", url, KEY.items(), body)
            assert answer.status == 200
            _spent(server)

        server.call(submit_and_spend())
        pause = Event()
        while not any("nothing more can be stored" in record.getMessage() for record in caplog.records):
            pause.wait(0.02)
        assert receiver.received == []
    assert {(record.name, record.levelname, record.exc_info) for record in caplog.records} == {
        ("fauxvider.service.world", "WARNING", None)
    }


def test_a_store_that_fails_while_a_request_moves_time_is_said_to_the_client(tmp_path: Path) -> None:
    with Receiver() as receiver, _again(f"sqlite:///{tmp_path}/worlds.db") as server:
        world = server.world(clock="stepping", step="1h")
        _submit(world, webhook=receiver.url + "/hook")  # its callback falls due with the next request

        async def spend() -> None:
            _spent(server)

        server.call(spend())
        with pytest.raises(urllib.error.HTTPError) as refused:
            _status(world, "any")
        with refused.value as answer:
            assert (answer.code, answer.headers["content-type"]) == (503, "text/plain")
            assert answer.read().startswith(b"fauxvider: ")
        assert receiver.received == []


def test_an_error_is_new_each_time(tmp_path: Path) -> None:
    """One that is raised again and again holds on to all that it ever went through."""

    async def asked(file: SqliteFile) -> list[StoreError]:
        found = []
        for _ in range(3):
            file.world("w").drop()
            with pytest.raises(StoreError, match="nothing more can be stored") as failed:
                await file.flush()
            found.append(failed.value)
        return found

    file = SqliteFile(tmp_path / "worlds.db")
    file._connection.close()
    assert len(set(map(id, asyncio.run(asked(file))))) == 3
    file.close()


def _status(world: WorldHandle, job: str) -> Any:
    return _call(f"{world.base_url('runpod')}{FLUX}/status/{job}")


def test_jobs_urls_ledger_clock_and_journal_come_back(store: str) -> None:
    with _again(store) as server:
        world = server.world(name="mine", clock="manual", seed=5, balances={"runpod": "3.5"}, keys=["k"])
        done, open_job = _submit(world), ""
        world.advance("1m")
        open_job = _submit(world)
        before = {
            "status": _status(world, done),
            "ledger": world.ledger(),
            "now": world.now(),
            "journal": world.journal(),
        }
        port = int(server.url.rpartition(":")[2])
    with _again(store, port) as server:
        world = _world(server, "mine")
        assert world.now() == before["now"]
        assert world.journal() == before["journal"]
        assert world.ledger() == before["ledger"]
        assert _status(world, done) == before["status"]
        assert _status(world, open_job)["status"] == "IN_QUEUE"
        with urllib.request.urlopen(before["status"]["output"]["image_url"]) as picture:
            assert picture.read(2) == b"\xff\xd8"
        world.advance("1m")
        assert _status(world, open_job)["status"] == "COMPLETED"
        assert len(world.ledger()["providers"]["runpod"]["charges"]) == 2
        fresh = _submit(world)
        assert len({done, open_job, fresh}) == 3


def test_a_ladder_goes_on_where_it_was(store: str) -> None:
    with Receiver([503, 503, 200]) as receiver:
        with _again(store) as server:
            world = server.world(name="mine", clock="manual", seed=5)
            _submit(world, webhook=receiver.url + "/hook")
            world.advance("6s")
            receiver.wait(1)
        with _again(store) as server:
            world = _world(server, "mine")
            world.advance("1m")
            receiver.wait(3)
            attempts = [one for one in world.journal()["entries"] if one["kind"] == "attempt"]
            assert [one["number"] for one in attempts] == [1, 2, 3]
            gaps = [later["at"] - one["at"] for one, later in pairwise(attempts)]
            assert gaps == [10_000, 10_000]
            assert len({one.body for one in receiver.received}) == 1


def test_a_scenario_counts_on(store: str) -> None:
    rules = [{"on": "request", "when": {"does": "submit", "nth": 2}, "do": {"refuse": "unavailable"}}]
    with _again(store) as server:
        world = server.world(name="mine", clock="manual", scenario={"scenario": 1, "name": "second", "rules": rules})
        _submit(world)
    with _again(store) as server:
        world = _world(server, "mine")
        with pytest.raises(urllib.error.HTTPError):
            _submit(world)
        _submit(world)


def test_a_world_that_was_dropped_stays_away_and_one_that_was_reset_is_empty(store: str) -> None:
    with _again(store) as server:
        server.world(name="dropped", clock="manual").drop()
        kept = server.world(name="kept", clock="manual")
        _submit(kept)
        _submit(server.default)
        server.emulator.reset_world("kept")
    with _again(store) as server:
        with pytest.raises(UnknownWorldError):
            _world(server, "dropped")
        assert _world(server, "kept").jobs() == []
        assert len(server.default.jobs()) == 1


def test_what_fell_due_meanwhile_happens_at_once_on_a_real_clock(store: str) -> None:
    with Receiver() as receiver:
        with _again(store, clock="real") as server:
            _submit(server.default, webhook=receiver.url + "/hook")
        _let_an_hour_pass(store)
        with _again(store, clock="real") as server:
            receiver.wait(1, timeout_s=60)
            assert server.default.jobs()[0]["deliveries"] == 1


def _let_an_hour_pass(store: str) -> None:
    """Change what was kept as if it were an hour older."""

    def older(fact: str | bytes) -> str:
        tree = json.loads(fact)
        return json.dumps({**tree, "accepted": tree["accepted"] - 3_600_000})

    if store.startswith("unix:"):
        with redis.Redis(unix_socket_path=urlsplit(store).path) as client:
            facts = "fauxvider:facts:default"
            for name, fact in client.hscan_iter(facts, match="*/job/*"):
                client.hset(facts, name, older(fact))
        return
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as rows:
        for number, fact in rows.execute("SELECT number, fact FROM jobs").fetchall():
            rows.execute("UPDATE jobs SET fact = ? WHERE number = ?", (older(fact), number))
        rows.commit()


# --- files that are refused


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as rows:
        rows.execute("CREATE TABLE notes (text TEXT)")
    rows.close()


def _newer(path: Path) -> None:
    _ours(path)
    with sqlite3.connect(path) as rows:
        rows.execute("PRAGMA user_version = 99")
    rows.close()


def _ours(path: Path) -> None:
    with Server(providers=["runpod"], store=f"sqlite:///{path}") as server:
        for _ in range(40):
            _submit(server.default)


def _damaged(path: Path) -> None:
    _ours(path)
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 5] = b"\xde\xad" * 4096
    path.write_bytes(bytes(data))


def _fact_damaged(path: Path) -> None:
    _ours(path)
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE jobs SET fact = '{\"id\": 3'")
    rows.close()


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("text", lambda path: path.write_text("my notes\n" * 50), "no SQLite file"),
    ("foreign", _foreign, "another program's database"),
    ("newer", _newer, "newer fauxvider"),
    ("damaged", _damaged, "damaged"),
    ("fact", _fact_damaged, "cannot be read"),
]


@pytest.mark.parametrize(("make", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_file_that_is_refused_is_left_as_it_is(tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    path = tmp_path / "worlds.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=says) as caught:
        Server(providers=["runpod"], store=f"sqlite:///{path}").start()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "worlds.db"
    with _again(f"sqlite:///{path}") as server:
        world = server.world(name="mine", clock="manual")
        done = _submit(world)
        world.advance("1m")
        waits = _submit(world)
        ledger = world.ledger()
    with closing(sqlite3.connect(path)) as rows:
        rows.executescript(
            "ALTER TABLE jobs ADD COLUMN ended INTEGER; UPDATE jobs SET ended = (SELECT run FROM ended "
            "WHERE ended.world = jobs.world AND ended.provider = jobs.provider AND ended.number = jobs.number); "
            "DROP TABLE ended; PRAGMA user_version = 1;"
        )
        assert rows.execute("SELECT count(*), count(ended) FROM jobs").fetchone() == (2, 1)
    for _ in range(2):  # when it is brought up, and later
        with _again(f"sqlite:///{path}") as server:
            world = _world(server, "mine")
            world.advance("1ms")
            assert (_status(world, done)["status"], _status(world, waits)["status"]) == ("COMPLETED", "IN_QUEUE")
            assert world.ledger() == ledger
            ends = [entry["job"] for entry in world.journal()["entries"] if entry["kind"] == "ended"]
            assert ends == [done]  # not once more


def test_a_file_serves_one_process_at_a_time(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/worlds.db"
    with _again(store), pytest.raises(StoreError, match="another process uses this file"):
        open_store(store)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/no/such/folder.db")


@pytest.mark.parametrize("url", ["postgres://host/db", "sqlite:", "sqlite://name.db", "sqlite:///x.db?mode=ro", ""])
def test_a_url_that_names_no_store(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///"):
        open_store(url)
