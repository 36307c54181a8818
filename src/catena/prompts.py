"""The prompt templates of this server: files in a folder, read when they are asked for.

    <folder>/<id>/<version>.toml   a whole template
    <folder>/<id>/<version>.md     instructions, with settings as TOML between two lines of `+++` before them if need be

Without a version the one with the highest number is taken. A file that has changed is read again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from catena.context.templates import SETTINGS, Template, fill
from catena.errors import BadRequest, NotFound
from catena.wire.request import decode_create
from catena.wire.settings import PromptRef

__all__ = ["Prompts"]

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_KINDS: Final = (".toml", ".md")
_FRONT: Final = re.compile(r"\+\+\+\n(.*?)^\+\+\+\n", re.DOTALL | re.MULTILINE)
_PARTS: Final = ("instructions", "input", "defaults", "description")

_encode = msgspec.json.Encoder().encode


class _Broken(Exception):
    """What is wrong with a file."""


class Prompts:
    """The templates in `folder`; None has none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, int], Template]] = {}

    def knows(self, prompt_id: str) -> bool:
        """Whether there is a template of this id here."""
        return bool(self._versions(prompt_id))

    def unknown(self, prompt_id: str) -> NotFound:
        """What is said of a template that is not here."""
        why = (
            ""
            if self._folder is not None
            else " No folder of prompts is configured here: set prompts.folder."
        )
        return NotFound(f"Prompt with id '{prompt_id}' not found.{why}")

    def filled(self, body: bytes) -> bytes:
        """The body of a request to create a response, with what its prompt sets.

        As it was where it names no prompt that is known here, or is not valid. Raises NotFound for a version that is
        not there, and BadRequest for variables that do not fit and for a template that is broken.
        """
        if self._folder is None or b'"prompt"' not in body:
            return body
        asked = _object(body)
        prompt = _prompt(asked)
        if asked is None or prompt is None:
            return body
        versions = self._versions(prompt.id)
        if not versions:
            return body
        path = versions.get(prompt.version) if prompt.version else versions[max(versions, key=_rank)]
        if path is None:
            raise NotFound(f"Prompt with id '{prompt.id}' and version '{prompt.version}' not found.")
        variables = msgspec.to_builtins(prompt.variables or {})
        return _encode(_merged(fill(self._template(prompt.id, path), variables), asked))

    def _versions(self, prompt_id: str) -> Mapping[str, Path]:
        if self._folder is None or not _NAME.fullmatch(prompt_id):
            return {}
        try:
            files = sorted((self._folder / prompt_id).iterdir())
        except OSError:
            return {}
        return {file.stem: file for file in files if file.suffix in _KINDS and _NAME.fullmatch(file.stem)}

    def _template(self, prompt_id: str, path: Path) -> Template:
        try:
            state = path.stat()
            key = (state.st_mtime_ns, state.st_size)
            known = self._read.get(path)
            if known is not None and known[0] == key:
                return known[1]
            template = _parsed(path.read_text(encoding="utf-8"), path.suffix)
        except FileNotFoundError:
            raise self.unknown(prompt_id) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, _Broken) as error:
            raise BadRequest(
                f"Prompt with id '{prompt_id}' and version '{path.stem}' is broken: {error}",
                param="prompt.id",
                code="invalid_prompt",
            ) from error
        self._read[path] = (key, template)
        return template


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


def _prompt(asked: Mapping[str, Any] | None) -> PromptRef | None:
    if asked is None:
        return None
    try:
        return msgspec.convert(asked.get("prompt"), PromptRef)
    except msgspec.ValidationError:
        return None


def _rank(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isascii() and version.isdigit() else (-1, version)


def _merged(made: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What the request sets counts more than the template; its input comes after that of the template."""
    given = {name: value for name, value in asked.items() if value is not None}
    before = made.pop("input", [])
    said = given.get("input", [])
    if isinstance(said, str) and before:
        said = [{"role": "user", "content": said}] if said else []
    merged: dict[str, Any] = {**made, **given}
    merged["input"] = [*before, *said] if isinstance(said, list) else said
    return merged


def _parsed(text: str, kind: str) -> Template:
    """Raises TOMLDecodeError or _Broken."""
    if kind == ".md":
        front = _FRONT.match(text)
        read = tomllib.loads(front[1]) if front is not None else {}
        read["instructions"] = (text[front.end() :] if front is not None else text).strip()
    else:
        read = tomllib.loads(text)
    unknown = read.keys() - SETTINGS - set(_PARTS)
    if unknown:
        raise _Broken(f"'{min(unknown)}' is nothing that a template can set.")
    settings: dict[str, Any] = {name: value for name, value in read.items() if name in SETTINGS}
    parts: dict[str, Any] = {
        name: read[name] for name in ("instructions", "input", "defaults") if name in read
    }
    try:
        template = msgspec.convert({**parts, "settings": settings}, Template)
        trial: dict[str, Any] = {"model": "any", "input": template.input, **settings}
        decode_create(_encode(trial))
    except msgspec.ValidationError as error:
        raise _Broken(f"{error}.") from error
    except BadRequest as error:
        raise _Broken(error.message) from error
    strays = template.defaults.keys() - template.variables
    if strays:
        raise _Broken(f"'defaults.{min(strays)}' is the default of no variable.")
    return template
