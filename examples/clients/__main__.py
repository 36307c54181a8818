"""`python -m examples.clients [NAME …] [--base-url URL]`: real clients, unmodified, against Catena.

Each script says what it did and fails if the model behind did not see all that it should have. That model is the
engine beside this file, unless a server is named; then it must stand in front of that engine too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from examples.clients.engine import running_engine
from examples.clients.environments import ROOT, node_with, python_with

_HERE: Final = Path(__file__).parent
_LOG: Final = ROOT / ".cache" / "examples" / "catena.log"
_NODE: Final = ("openai@latest", "ai@latest", "@ai-sdk/openai@latest", "ws", "zod", "@openai/codex@latest")


def _python(name: str, packages: Sequence[str]) -> list[str]:
    return [str(python_with(name, packages)), str(_HERE / f"{name}.py")]


def _node(name: str) -> list[str]:
    folder = node_with("node", _NODE)
    # Imports are looked for from where a script lies.
    script = shutil.copy(_HERE / f"{name}.mjs", folder)
    return [str(folder / "node_modules" / ".bin" / "node"), str(script)]


CLIENTS: Final = {
    "python_sdk_sockets": lambda: _python("python_sdk_sockets", ["openai[realtime]"]),
    "openai_agents": lambda: _python("openai_agents", ["openai-agents"]),
    "langchain_turns": lambda: _python("langchain_turns", ["langchain", "langchain-openai"]),
    "pydantic_ai_turns": lambda: _python("pydantic_ai_turns", ["pydantic-ai-slim[openai]"]),
    "openai_node": lambda: _node("openai_node"),
    "ai_sdk": lambda: _node("ai_sdk"),
    "codex": lambda: [sys.executable, str(_HERE / "codex.py")],
}


@asynccontextmanager
async def _catena(engine: str) -> AsyncIterator[str]:
    """Catena as anybody starts it, with an empty database; its base URL."""
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="catena-clients-") as folder:
        command = ["-m", "catena", "serve", "--port", str(port), "--database", f"{folder}/turns.sqlite3"]
        with _LOG.open("wb") as log:
            server = await asyncio.create_subprocess_exec(
                sys.executable, *command, "--upstream", engine, stdout=log, stderr=log
            )
        try:
            await _listens(server, port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            await server.wait()


async def _listens(server: asyncio.subprocess.Process, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if server.returncode is not None:
                sys.exit(f"The server did not start: see {_LOG}")
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _run(name: str, base_url: str) -> bool:
    """Whether a client got what it needed."""
    command = CLIENTS[name]()
    path = f"{node_with('node', _NODE)}/node_modules/.bin:{os.environ['PATH']}" if name == "codex" else None
    environment: Mapping[str, str] = {
        **os.environ,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "not needed on this machine",
        **({"PATH": path} if path else {}),
    }
    print(f"\n== {name} ({base_url})", flush=True)
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT)
    return await process.wait() == 0


async def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.clients")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CLIENTS))
    parser.add_argument(
        "--base-url", help="a server that runs already, for instance behind something that looks on"
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in CLIENTS]:
        parser.error(f"there is no {', '.join(unknown)}")
    names = asked.names or list(CLIENTS)
    if asked.base_url:
        failed = [name for name in names if not await _run(name, asked.base_url)]
    else:
        async with running_engine() as engine, _catena(engine) as base_url:
            failed = [name for name in names if not await _run(name, base_url)]
    print(
        "\n"
        + (
            f"failed: {', '.join(failed)}; the server's log is {_LOG}"
            if failed
            else f"All {len(names)} clients are served."
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
