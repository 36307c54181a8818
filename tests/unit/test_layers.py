"""Which module may import which: data flows one way (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "catena"

LAYERS = {
    # L0: the API's nouns
    "errors": 0,
    "ids": 0,
    "measures": 0,
    "taps": 0,
    "traceparent": 0,
    "chunks": 0,
    "wire": 0,
    "tool_shapes": 0,
    # L1: pure
    "compose": 1,
    "whole": 1,
    "fold": 1,
    "journal": 1,
    "recovery": 1,
    "context": 1,
    "sse": 1,
    # L2: adapters behind our own verbs, and what holds state in memory
    "store": 2,
    "upstream": 2,
    "embedded": 2,
    "feed": 2,
    "prefix": 2,
    "history": 2,
    "admission": 2,
    "seal": 2,
    "vault": 2,
    "guard": 2,
    "fetching": 2,
    "prompts": 2,
    # L3: the conductor
    "incoming": 3,
    "orders": 3,
    "questions": 3,
    "planning": 3,
    "bounds": 3,
    "compaction": 3,
    "thoughts": 3,
    "conversations": 3,
    "forms": 3,
    "run_log": 3,
    "audience": 3,
    "revival": 3,
    "elsewhere": 3,
    "run": 3,
    "tally": 3,
    "runs": 3,
    "worker": 3,
    "retention": 3,
    "erasure": 3,
    "seen": 3,
    "pages": 3,
    "webhooks": 3,
    "idempotency": 3,
    "uploads": 3,
    "attachments": 3,
    "contents": 3,
    "lanes": 3,
    "access": 3,
    "limits": 3,
    "moving": 3,
    # L4: the doors
    "web": 4,
    # L5: settings and assembly
    "config": 5,
    "greeting": 5,
    "logs": 5,
    "doctor": 5,
    "open_files": 5,
    "tracing": 4,
    "provision": 5,
    "entrance": 5,
    "engines": 5,
    "http_server": 5,
    "server": 5,
    "stores": 5,
    "workers": 5,
    "cli": 5,
    "__main__": 5,
    "demo": 5,
    "plain_loop": 5,
}
"""Each part of the house, with its layer: it imports only from its own or a lower one."""

APART = {"client", "__init__"}
"""The drop-in client stands beside the server: nothing imports it, and it imports no part of the server."""

PURE = (
    "wire",
    "errors",
    "tool_shapes",
    "ids",
    "chunks",
    "compose",
    "whole",
    "fold",
    "journal",
    "context",
    "sse",
)
IMPURE = {"asyncio", "time", "random", "logging", "socket", "threading", "apsw", "uvicorn", "httptools"}

CONCRETE = (
    "catena.store.sqlite",
    "catena.store.postgres",
    "catena.upstream.chat",
    "catena.upstream.responses",
)
"""Adapters that only the assembly may name."""


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own_parts(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("catena.")}
    return {name for name in names if (SOURCE / name).exists() or (SOURCE / f"{name}.py").exists()}


def test_every_part_has_a_layer() -> None:
    assert {part_of(path) for path in files()} == LAYERS.keys() | APART


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(path)
    if part in APART:
        assert own_parts(path) <= {"client", "errors"}
        return
    higher = {name for name in own_parts(path) if name not in APART and LAYERS[name] > LAYERS[part]}
    assert not higher, f"{path.name} imports from above: {higher}"
    assert "client" not in own_parts(path)


@pytest.mark.parametrize("part", PURE)
def test_the_core_is_pure(part: str) -> None:
    for path in files():
        if part_of(path) == part:
            assert not {name.split(".")[0] for name in imports(path)} & IMPURE, path


def test_adapters_do_not_know_each_other_and_only_the_assembly_names_them() -> None:
    for path in files():
        # The embedded model is a chat engine that is started here.
        if part_of(path) in ("engines", "stores", "cli", "demo") or path.name == "embedded.py":
            continue
        own = "catena." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        named = {name for name in imports(path) if name in CONCRETE and not own.startswith(name)}
        assert not named, f"{path.name} names {named}"
