"""What the installed official SDK has: its endpoints, with the calls that reach them. Read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import openai

__all__ = ["endpoints", "families"]

_RESOURCES: Final = Path(openai.__file__).parent / "resources"
_METHODS: Final = {
    "_get": "GET",
    "_get_api_list": "GET",
    "_post": "POST",
    "_delete": "DELETE",
    "_patch": "PATCH",
    "_put": "PUT",
}


@cache
def endpoints() -> dict[str, str]:
    """Every endpoint, as `POST /v1/files`, with the call that asks it, as `files.create`."""
    found: dict[str, str] = {}
    for path in sorted(_RESOURCES.rglob("*.py")):
        resource = path.relative_to(_RESOURCES).with_suffix("").parts
        if resource[0] in ("beta", "admin"):
            continue
        # A package's own resource is the module of the same name.
        chain = ".".join(resource[:-1] if resource[-1:] == resource[-2:-1] else resource)
        for method, name, call in _asked(ast.parse(path.read_text())):
            if "?" not in name:
                found.setdefault(f"{method} /v1{name}", f"{chain}.{call}")
    return found


def families() -> set[str]:
    """What the paths of all endpoints begin with, those of the beta and of administration among them."""
    found: set[str] = set()
    for path in _RESOURCES.rglob("*.py"):
        found |= {name.split("/")[1].partition("?")[0] for _, name, _ in _asked(ast.parse(path.read_text()))}
    return found


def _asked(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """The method and path of each request in a module, with the name of the function that makes it."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            method = _METHODS.get(node.func.attr)
            path = _path(node.args[0])
            if method is not None and path is not None:
                yield method, path, function.name


def _path(given: ast.expr) -> str | None:
    if isinstance(given, ast.Call) and given.args:
        given = given.args[0]
    if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value.startswith("/"):
        return given.value
    return None
