"""What an engine says when it fails: the many shapes of an error body, read into one.

    {"error": {"message", "type", "param", "code"}}     OpenAI, vLLM, llama.cpp, Ollama
    {"error": "text"}                                   LM Studio, Ollama
    {"object": "error", "message", "code"}              vLLM before 0.10, SGLang, Mistral
    {"detail": "text" or [{"loc", "msg"}, …]}           FastAPI, so a validation error of several engines
    [{"error": …}]                                      Gemini
    any of these as a JSON text inside another          gateways

What is read is meant for the client's eyes, so it is made fit for them: one line, of bounded length, without
anything that looks like a key. A page of HTML says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from catena.upstream.loose import text_in

__all__ = ["Complaint", "read_complaint", "understand_complaint"]

_MESSAGE_LIMIT: Final = 500
_BODY_LIMIT: Final = 64 * 1024
_DEPTH: Final = 6
_HIDDEN: Final = "[hidden]"

_SECRETS: Final = (
    re.compile(r"(?i)\b(?:bearer|basic)\s+[^\s,;\"']{4,}"),
    re.compile(r"\b(?:sk|pk|rk|gsk|hf|xai|nvapi)[-_][A-Za-z0-9_*.\-]{6,}"),
    re.compile(
        r"(?i)\b(?:api[-_ ]?key|access[-_]?token|token|secret|password|signature|sig)\s*[=:]\s*[^\s&,;\"']+"
    ),
    re.compile(r"(?i)(?<=://)[^/\s@]+(?=@)"),
)


class Complaint(msgspec.Struct, frozen=True):
    """What an engine said. `status` is that of the HTTP reply or, within a stream, what the error names itself."""

    message: str = ""
    code: str = ""
    kind: str = ""
    param: str = ""
    status: int | None = None
    numbers: Mapping[str, int] = {}


def read_complaint(body: bytes, *, hide: Iterable[str] = ()) -> Complaint:
    """The complaint in the body of a reply, whatever it is. `hide` are secrets that must not be in it."""
    text = body[:_BODY_LIMIT].decode(errors="replace").strip()
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        said = "" if _is_page(text) else text
    return understand_complaint(said, hide=hide)


def understand_complaint(said: Any, *, hide: Iterable[str] = ()) -> Complaint:
    """The same for a value that was decoded already."""
    found = _found(said, _DEPTH)
    return msgspec.structs.replace(found, message=_presentable(found.message, hide))


def _found(said: Any, depth: int) -> Complaint:
    if depth == 0:
        return Complaint()
    match said:
        case str():
            return _found_in_text(said, depth)
        case [dict() as first, *_] if "msg" not in first:
            return _found(first, depth - 1)
        case [*details]:
            return _found_in_details(details)
        case {"error": str() | dict() as error}:
            inner = _found(error, depth - 1)
            return (
                inner
                if inner.message
                else msgspec.structs.replace(inner, message=text_in(said.get("message")))
            )
        case {"message": str() | dict() | list() as message}:
            inner = _found(message, depth - 1)
            return _completed(inner, said)
        case {"detail": detail}:
            return _completed(_found(detail, depth - 1), said)
        case dict():
            return _completed(Complaint(), said)
        case _:
            return Complaint()


def _found_in_text(text: str, depth: int) -> Complaint:
    if text.lstrip()[:1] in ("{", "["):
        try:
            inner = _found(msgspec.json.decode(text), depth - 1)
        except (msgspec.DecodeError, RecursionError):
            return Complaint(message=text)
        if inner.message:
            return inner
    return Complaint(message=text)


def _found_in_details(details: list[Any]) -> Complaint:
    """A list of validation errors, each with the place it is about."""
    parts = [detail for detail in details if isinstance(detail, dict) and isinstance(detail.get("msg"), str)]
    if not parts:
        return Complaint(message="; ".join(detail for detail in details if isinstance(detail, str)))
    message = "; ".join(": ".join(filter(None, (_location(part), part["msg"]))) for part in parts[:3])
    return Complaint(message=message, param=_location(parts[0]))


def _location(detail: Mapping[str, Any]) -> str:
    steps = detail.get("loc")
    if not isinstance(steps, list):
        return ""
    return ".".join(str(step) for step in steps if step != "body")


def _completed(found: Complaint, said: Mapping[str, Any]) -> Complaint:
    """`found` with what the object around its message tells besides."""
    code = said.get("code")
    status = _status(code) or _status(said.get("status")) or _status(said.get("status_code"))
    return Complaint(
        message=found.message,
        code=found.code or (code if isinstance(code, str) and not code.isdigit() else ""),
        kind=found.kind or text_in(said.get("type")),
        param=found.param or text_in(said.get("param")),
        status=found.status or status,
        numbers={**{name: value for name, value in said.items() if type(value) is int}, **found.numbers},
    )


def _status(value: Any) -> int | None:
    """An HTTP status that means an error, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def _is_page(text: str) -> bool:
    return text.startswith("<") or "<html" in text[:1000].lower()


def _presentable(message: str, hide: Iterable[str]) -> str:
    if _is_page(message.strip()):
        return ""
    # Secrets first: a cut in the middle of one would leave a piece that no pattern knows.
    message = message[:_BODY_LIMIT]
    for secret in hide:
        if secret:
            message = message.replace(secret, _HIDDEN)
    for pattern in _SECRETS:
        message = pattern.sub(_HIDDEN, message)
    message = " ".join("".join(sign if sign.isprintable() else " " for sign in message).split())
    return message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…"
