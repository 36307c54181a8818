"""`catena doctor`: what it finds, and what it advises."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import httpx2
import msgspec
import pytest

from catena.config import Config, ModelRoute, ServerSettings, StoreSettings, UpstreamSettings
from catena.doctor import Finding, examine
from catena.doctor import engines as engines_module
from catena.doctor import machine as machine_module
from catena.doctor.database import examine_database
from catena.doctor.database_server import examine_database_server
from catena.doctor.engines import examine_engines
from catena.doctor.machine import examine_machine
from catena.embedded.runtime import Unfit
from catena.open_files import open_files_limit
from catena.store.postgres.migrating import migrate
from catena.store.sqlite import SqliteStore
from tests.postgres import TestDatabase
from tests.running import RunningServer
from tests.upstream.raw_engine import Peer, raw_engine


def only(findings: Iterator[Finding] | list[Finding], state: str) -> list[Finding]:
    return [finding for finding in findings if finding.state == state]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database that a server has used."""
    path = tmp_path / "data" / "turns.sqlite3"
    path.parent.mkdir()
    await (await SqliteStore.open(path)).close()
    return path


def of(path: Path) -> Config:
    return Config(store=StoreSettings(database=str(path)))


def test_a_database_that_is_well_is_found_well_and_left_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    findings = list(examine_database(of(path)))
    assert only(findings, "ok") == findings
    texts = " ".join(finding.text for finding in findings)
    for said in ("is whole", "can be written", "for its owner only", "no server has it open", "GB are free"):
        assert said in texts
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} <= {
        path.name,
        f"{path.name}.lock",
        f"{path.name}-logs",
    }


def test_one_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet.sqlite3"
    findings = list(examine_database(of(path)))
    assert only(findings, "ok") == findings
    assert not path.parent.exists()


async def test_one_that_a_server_has_open_is_no_fault(path: Path) -> None:
    store = await SqliteStore.open(path)
    findings = list(examine_database(of(path)))
    assert only(findings, "ok") == findings
    assert any("is in use by another server" in finding.text for finding in findings)
    await store.close()


def test_one_that_others_can_read_is_told_with_the_command_that_helps(path: Path) -> None:
    path.chmod(0o644)
    (warning,) = only(examine_database(of(path)), "warning")
    assert "mode 644" in warning.text
    assert warning.advice == f"chmod 600 {path}*"


def test_the_keys_beside_it_are_as_private(path: Path) -> None:
    keys = path.with_name(f"{path.name}.seal-keys")
    keys.write_text("key")
    keys.chmod(0o640)
    (warning,) = only(examine_database(of(path)), "warning")
    assert "keys are in it" in warning.text
    keys.chmod(0o600)
    assert not only(examine_database(of(path)), "warning")


async def test_keys_that_contents_are_encrypted_with_must_be_there(path: Path) -> None:
    keys = path.with_name("contents.keys")
    encrypted = Config(store=StoreSettings(database=str(path), encryption_key_file=str(keys)))
    findings = list(examine_database(encrypted))
    assert (findings[-1].state, "from the next start on" in findings[-1].text) == ("ok", True)
    assert not keys.exists()
    await (await SqliteStore.open(path, key_file=keys)).close()
    findings = list(examine_database(encrypted))
    assert only(findings, "ok") == findings
    assert "their keys are in" in findings[-1].text
    keys.rename(path.with_name("elsewhere"))
    (failure,) = only(examine_database(encrypted), "failure")
    assert "is not there" in failure.text
    (failure,) = only(examine_database(of(path)), "failure")
    assert "Set store.encryption_key_file" in failure.text


def test_one_that_is_damaged_is_a_failure(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[4096:8192] = os.urandom(4096)
    path.write_bytes(damaged)
    (failure,) = only(examine_database(of(path)), "failure")
    assert "damaged" in failure.text or "cannot be read" in failure.text
    assert "backup" in failure.advice


def test_a_file_that_is_no_database_is_a_failure(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    (failure,) = only(examine_database(of(path)), "failure")
    assert "cannot be read" in failure.text


def test_one_of_a_newer_version_is_a_failure(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 900")
    connection.close()
    (failure,) = only(examine_database(of(path)), "failure")
    assert "newer Catena (schema 900" in failure.text


def test_turns_from_the_future_mean_a_wrong_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = apsw.Connection(str(path))
    columns = [row[1:4] for row in connection.execute("PRAGMA table_info(turns)")]
    values = {name: b"" if kind == "BLOB" else 0 for name, kind, required in columns if required}
    values["created_at"] = int(time.time()) + 86_400
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO turns ({names}) VALUES ({marks})", tuple(values.values()))
    connection.close()
    (failure,) = only(examine_database(of(path)), "failure")
    assert failure.subject == "clock"
    assert "from the future" in failure.text


@pytest.mark.parametrize(("free", "state"), [(50_000_000, "failure"), (500_000_000, "warning")])
def test_little_room_on_the_disk_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    (finding,) = only(examine_database(of(path)), state)
    assert finding.subject == "disk"


async def test_a_database_server_is_looked_at_without_its_password_being_told(postgres: TestDatabase) -> None:
    async with postgres.another("doctored") as empty:
        config = Config(store=StoreSettings(database=empty.url))
        (failure,) = await examine_database_server(config)
        assert failure.state == "failure"
        assert "catena migrate" in failure.advice
        await migrate(empty.settings)
        (well,) = await examine_database_server(config)
        assert well.state == "ok"
        await empty.run('ALTER DATABASE "doctored" SET default_transaction_read_only = on')
        (failure,) = await examine_database_server(config)
        assert "Name the primary" in failure.advice
    gone = Config(store=StoreSettings(database="postgresql://ada:secret@127.0.0.1:9/none"))
    (failure,) = await examine_database_server(gone)
    assert failure.state == "failure"
    assert "127.0.0.1:9" in failure.text
    assert "secret" not in failure.text
    assert await examine_database_server(Config()) == []
    assert list(examine_database(gone)) == []


def test_a_folder_that_cannot_be_written_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    (failure,) = only(examine_database(of(tmp_path / "turns.sqlite3")), "failure")
    assert "cannot be written: Permission denied" in failure.text


@asynccontextmanager
async def engine(status: int, body: object) -> AsyncIterator[str]:
    """An engine that answers the same to everything; its base URL."""
    content = msgspec.json.encode(body)

    async def answer(peer: Peer) -> None:
        while await peer.request():
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
            await peer.send(head.encode() + content)

    async with raw_engine(answer) as running:
        yield f"{running.url}/v1"


async def test_an_engine_that_answers_is_told_with_its_models() -> None:
    models = {"data": [{"id": "big", "max_model_len": 131_072}, {"id": "small", "max_model_len": 2048}]}
    async with engine(200, models) as url:
        config = Config(
            upstreams={"local": UpstreamSettings(url=url)},
            models={
                "gpt-4o": ModelRoute(upstream="local", model="big"),
                "gpt-x": ModelRoute(upstream="local", model="gone"),
                "any*": ModelRoute(upstream="local"),
            },
        )
        findings = list(await examine_engines(config))
    (well,) = only(findings, "ok")
    assert well.subject == "upstream local"
    assert "big (131072 tokens)" in well.text
    missing, narrow = only(findings, "warning")
    assert "'gone', which is mapped to it" in missing.text
    assert "'small' has a context of 2048 tokens" in narrow.text


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "upstreams.local.key_env"), (404, "/v1"), (500, "the engine's own log")]
)
async def test_an_engine_that_refuses_is_a_failure_with_what_to_set(status: int, advice: str) -> None:
    async with engine(status, {"error": {"message": "no"}}) as url:
        (failure,) = await examine_engines(Config(upstreams={"local": UpstreamSettings(url=url)}))
    assert failure.state == "failure"
    assert advice in failure.advice


async def test_each_replica_is_asked_by_itself() -> None:
    async with engine(200, {"data": []}) as url:
        settings = UpstreamSettings(url=[url, "http://127.0.0.1:9/v1"])
        findings = await examine_engines(Config(upstreams={"two": settings}))
    assert [finding.state for finding in findings] == ["ok", "failure"]
    assert "127.0.0.1:9 refused the connection" in findings[1].text


async def test_the_embedded_model_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "find", lambda path: None)

    def unfit() -> None:
        raise Unfit("The embedded engine is not installed: pip install 'catena[embedded]'")

    monkeypatch.setattr(engines_module, "import_runtime", unfit)
    absent, broken = await examine_engines(Config())
    assert (absent.state, absent.advice.split(" (")[0]) == ("warning", "catena model pull")
    assert (broken.state, "catena[embedded]" in broken.text) == ("failure", True)
    named = Config(upstreams={"own": UpstreamSettings(kind="embedded", model_path=str(tmp_path / "no.gguf"))})
    (failure, *_) = await examine_engines(named)
    assert "upstreams.own.model_path" in failure.advice


def test_a_port_that_is_taken_and_an_address_that_is_not_ours_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config(server=ServerSettings(port=taken.getsockname()[1]))
        (warning,) = only(examine_machine(config), "warning")
        assert "is in use" in warning.text
        assert "not Catena" in warning.text
    (failure,) = only(examine_machine(Config(server=ServerSettings(host="192.0.2.1", port=0))), "failure")
    assert "server.host" in failure.advice


async def test_a_port_where_catena_answers_already_is_well(server: RunningServer) -> None:
    config = Config(server=ServerSettings(port=int(httpx2.URL(str(server.http.base_url)).port or 0)))
    port, *_ = await asyncio.to_thread(lambda: list(examine_machine(config)))
    assert (port.subject, port.state) == ("port", "ok")
    assert "is Catena's" in port.text


def test_a_wrong_clock_and_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr(machine_module, "open_files_limit", lambda: (256, 256))
    findings = list(examine_machine(Config(server=ServerSettings(port=0))))
    assert [(each.subject, each.state) for each in findings] == [
        ("port", "ok"),
        ("clock", "failure"),
        ("open files", "warning"),
    ]


async def test_every_finding_that_is_not_good_says_what_to_do(tmp_path: Path) -> None:
    config = Config(
        server=ServerSettings(host="192.0.2.1"),
        store=StoreSettings(database=str(tmp_path / "turns.sqlite3")),
        upstreams={"gone": UpstreamSettings(url="http://127.0.0.1:9/v1")},
    )
    findings = await examine(config)
    assert {finding.state for finding in findings} == {"ok", "failure"}
    assert all(finding.advice for finding in findings if finding.state != "ok")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CATENA_")}
    return subprocess.run(
        [sys.executable, "-m", "catena", *arguments],
        capture_output=True,
        text=True,
        env={**clean, "COLUMNS": "60", **environment},
        timeout=60,
        check=False,
    )


def test_the_command_says_it_in_words_and_for_programs(tmp_path: Path) -> None:
    settings = {
        "CATENA_DATABASE": str(tmp_path / "turns.sqlite3"),
        "CATENA_UPSTREAM": "http://127.0.0.1:9/v1",
        "CATENA_PORT": "0",
    }
    told = run("doctor", **settings)
    assert told.returncode == 1
    assert (
        "FAILURE upstream default: http://127.0.0.1:9/v1: The engine 'default' cannot be reached."
        in told.stdout
    )
    assert "→ Start the engine, or correct upstreams.default.url" in told.stdout
    assert told.stderr == ""
    programs = run("doctor", "--json", **settings)
    assert programs.returncode == 1
    findings = {(each["subject"], each["state"]) for each in json.loads(programs.stdout)}
    assert ("upstream default", "failure") in findings
    assert ("port", "ok") in findings


def test_the_command_looks_at_what_a_server_with_keys_would_face(tmp_path: Path) -> None:
    settings = {
        "CATENA_DATABASE": str(tmp_path / "turns.sqlite3"),
        "CATENA_UPSTREAM": "http://127.0.0.1:9/v1",
        "CATENA_HOST": "0.0.0.0",
        "CATENA_PORT": "0",
    }
    refused = run("doctor", **settings)
    assert "no API key is set" in refused.stderr
    assert run("keys", "create", **settings).returncode == 0
    assert "upstream default" in run("doctor", **settings).stdout


def test_a_server_may_have_as_many_files_open_as_the_system_lets_it() -> None:
    program = (
        "import resource; soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
        "from catena.open_files import open_files_limit, raise_open_files_limit; raise_open_files_limit(); "
        "print(*open_files_limit())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    soft, most = map(int, told.stdout.split())
    assert soft == most == open_files_limit()[1]
