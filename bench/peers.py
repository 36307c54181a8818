"""The other servers that Catena is measured beside: where each comes from, how it is installed and how it is started.

Each lives in an environment of its own under `.cache/rivals`, in the version that stands here. One that needs a newer
Python than Catena's own has the first one that is found: the variable BENCH_PYTHON, then `python3.14` and so on, on the
path. Nothing is changed that a server does by default, except that it logs less and asks nobody on the internet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import asyncpg
import msgspec

from bench.systems import Database, Process, free_port, running

__all__ = ["PEERS", "LeftOut", "Peer", "Place", "install", "python_of", "started"]

_HOME: Final = Path(__file__).parents[1] / ".cache" / "rivals"

_STARTS_WITHIN: Final = 120.0
"""Seconds. Some need a quarter of a minute on a machine that does nothing else."""


_ON_THE_PATH: Final = ("python3.14", "python3.13", "python3.12")

_NUMBERS: Final = itertools.count()


class LeftOut(Exception):
    """A server cannot be measured on this machine; the message says why."""


class Place(NamedTuple):
    """Where a server is started: its port, the engine's URL, a folder of its own, and a database of its own."""

    port: int
    engine: str
    folder: str
    database: str = ""


Command: TypeAlias = Callable[[Place], Sequence[str]]


class Peer(NamedTuple):
    """One of the servers, and what it is kept on."""

    name: str
    package: str
    command: Command
    settings: Mapping[str, str] = {}
    """Variables of its environment."""
    python: tuple[int, int] = (3, 11)
    """The oldest that it runs on."""
    on_postgres: bool = False
    is_slow: bool = False
    """It is asked an eighth as often, and along deep chains only once: rates need no more."""


def _smg(history: Sequence[str]) -> Command:
    return lambda place: [
        *("smg", "launch", "--host", "127.0.0.1", "--port", str(place.port), "--log-level", "error"),
        *("--prometheus-port", str(free_port())),  # its default is one port for all
        *("--backend", "openai", "--worker-urls", place.engine),
        *("--history-backend", *(part.format(database=place.database) for part in history)),
    ]


def _agentic_api(database: str) -> Command:
    return lambda place: [
        *("agentic-server", "--llm-api-base", place.engine, "--skip-llm-ready-check"),
        *("--gateway-host", "127.0.0.1", "--gateway-port", str(place.port)),
        *("--db-url", database.format(folder=place.folder, database=place.database)),
    ]


def _litellm(place: Place) -> Sequence[str]:
    engine = {"model": "openai/m", "api_base": f"{place.engine}/v1", "api_key": "none"}
    config = _configured(place, {"model_list": [{"model_name": "m", "litellm_params": engine}]})
    return ["litellm", "--config", config, "--host", "127.0.0.1", "--port", str(place.port)]


def _ogx(place: Place) -> Sequence[str]:
    """The parts that its Responses API needs, on SQLite; no model is registered by hand but the name `m`."""
    engine = {"base_url": f"{place.engine}/v1", "api_token": "none"}
    files = {
        "storage_dir": f"{place.folder}/files",
        "metadata_store": {"table_name": "files", "backend": "sql"},
    }
    turns = {"persistence": {"responses": {"table_name": "responses", "backend": "sql"}}}
    config = {
        "version": 2,
        "distro_name": "bench",
        "apis": ["inference", "responses", "files", "vector_io", "tool_runtime"],
        "providers": {
            "inference": [{"provider_id": "engine", "provider_type": "remote::vllm", "config": engine}],
            "responses": [{"provider_id": "own", "provider_type": "inline::builtin", "config": turns}],
            "files": [{"provider_id": "own", "provider_type": "inline::localfs", "config": files}],
            "vector_io": [],
            "tool_runtime": [],
        },
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": f"{place.folder}/registry.db"},
                "sql": {"type": "sql_sqlite", "db_path": f"{place.folder}/turns.db"},
            },
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv"},
                "inference": {"table_name": "completions", "backend": "sql", "enabled": False},
                **{
                    name: {"table_name": name, "backend": "sql"}
                    for name in ("conversations", "prompts", "connectors")
                },
            },
        },
        "registered_resources": {"models": [{"model_id": "m", "provider_id": "all", "model_type": "llm"}]},
        "server": {"host": "127.0.0.1", "port": place.port},
    }
    return ["ogx", "run", _configured(place, config), "--insecure"]


def _configured(place: Place, config: object) -> str:
    """The path of a file with it. JSON is YAML too."""
    path = Path(place.folder) / "config.yaml"
    path.write_bytes(msgspec.json.encode(config))
    return str(path)


_SMG: Final = "smg==1.13.0"
_AGENTIC_API: Final = "agentic-api==0.9.0"

PEERS: Final = (
    Peer("smg (memory)", _SMG, _smg(["memory"])),
    Peer("agentic-api (SQLite)", _AGENTIC_API, _agentic_api("sqlite://{folder}/turns.db?mode=rwc")),
    Peer("smg (PostgreSQL)", _SMG, _smg(["postgres", "--postgres-db-url", "{database}"]), on_postgres=True),
    Peer("agentic-api (PostgreSQL)", _AGENTIC_API, _agentic_api("{database}"), on_postgres=True),
    Peer("OGX (SQLite)", "ogx==1.5.0", _ogx, {"OGX_LOGGING": "all=error"}, python=(3, 12), is_slow=True),
    Peer(
        "LiteLLM (no database)",
        "litellm[proxy]==1.106.2",
        _litellm,
        {
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
        },
        is_slow=True,
    ),
)


def install(peer: Peer) -> Path:
    """The folder of its programs; made where it is not there in this version. Raises LeftOut."""
    home, version = _home(peer), peer.package.partition("==")[2]
    programs, python = home / "bin", home / "bin" / "python"
    if any(home.glob(f"lib/*/site-packages/{home.name.replace('-', '_')}-{version}.dist-info")):
        return programs
    uv = str(Path(sys.executable).with_name("uv"))
    try:
        if not _is_at_least(peer.python, str(python)):
            found = _python(peer.python)
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", found, str(home)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), peer.package], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LeftOut(f"{peer.package} could not be installed: {error}") from error
    return programs


def python_of(peer: Peer) -> str:
    """The version of the Python that it runs on."""
    lines = (_home(peer) / "pyvenv.cfg").read_text().splitlines()
    told = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    return told["version_info"]


def _home(peer: Peer) -> Path:
    return _HOME / peer.package.partition("==")[0].partition("[")[0]


def _python(least: tuple[int, int]) -> str:
    """The Python that Catena has, if that is new enough; else another one."""
    candidates = [sys.executable, os.environ.get("BENCH_PYTHON", ""), *_ON_THE_PATH]
    for candidate in filter(None, candidates):
        if _is_at_least(least, candidate):
            return candidate
    wanted = ".".join(map(str, least))
    raise LeftOut(
        f"it needs Python {wanted} or newer: have python{wanted} on the path, or name one in BENCH_PYTHON"
    )


def _is_at_least(least: tuple[int, int], python: str) -> bool:
    """Whether it runs and is new enough. What is on the path may still be a program that only says what to do."""
    asked = f"import sys; sys.exit(sys.version_info[:2] < {least})"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", asked], capture_output=True, check=False).returncode == 0
    return False


async def _another(database: Database) -> str:
    """The URL of an empty database of the same PostgreSQL. It names a host, as not all can do without."""
    name = f"rival_{next(_NUMBERS)}"
    connection = await asyncpg.connect(database.url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"postgresql://postgres@localhost/{name}?host={database.url.partition('host=')[2]}"


@contextlib.asynccontextmanager
async def started(peer: Peer, behind: Process, database: Database | None) -> AsyncIterator[Process]:
    """The server, once it has begun to listen. Raises LeftOut, and RuntimeError where it does not start."""
    programs = await asyncio.to_thread(install, peer)
    with tempfile.TemporaryDirectory(prefix="catena-rival-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        url = await _another(database) if database is not None and peer.on_postgres else ""
        place = Place(free_port(), f"http://127.0.0.1:{behind.port}", folder, url)
        program, *arguments = peer.command(place)
        command = [str(programs / program), *arguments]
        async with running(
            peer.name, place.port, command, settings=peer.settings, within=_STARTS_WITHIN
        ) as process:
            process.behind = behind
            process.database = database if peer.on_postgres else None
            process.folder = Path(folder)
            yield process
