"""The port, the clock and the limit on open files."""

from __future__ import annotations

import errno
import http.client
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from catena.config import Config
from catena.doctor.finding import Finding
from catena.http_server import bind
from catena.open_files import open_files_limit

__all__ = ["examine_machine"]

_BORN: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time."""

_ENOUGH: Final = 4096

_ANSWERS_WITHIN: Final = 10.0
"""Seconds in which a server on this machine should say who it is."""

_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only compared


class _Info(msgspec.Struct):
    title: str


class _Api(msgspec.Struct):
    info: _Info


_decode: Final = msgspec.json.Decoder(_Api).decode


def examine_machine(config: Config) -> Iterator[Finding]:
    """What there is to say about where the server would run."""
    yield _port(config)
    yield _clock()
    yield from _open_files()


def _port(config: Config) -> Finding:
    place = f"{config.server.host}:{config.server.port}"
    try:
        bind(config).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            if _is_catena(config):
                return Finding("port", "ok", f"{place} is Catena's: a server of it answers there")
            text = f"{place} is in use, and what answers there is not Catena"
            return Finding("port", "warning", text, "Stop what has it, or set another server.port.")
        text = f"{place} cannot be bound: {error.strerror or error}"
        return Finding("port", "failure", text, "Set server.host to an address of this machine.")
    return Finding("port", "ok", f"{place} is free" if config.server.port else "any free port is taken")


def _is_catena(config: Config) -> bool:
    """Whether what answers at the address of the server says that it is one."""
    host = _REACHED_AT.get(config.server.host, config.server.host)
    connection = http.client.HTTPConnection(host, config.server.port, timeout=_ANSWERS_WITHIN)
    try:
        connection.request("GET", "/openapi.json")
        return _decode(connection.getresponse().read()).info.title == "Catena"
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        return False
    finally:
        connection.close()


def _clock() -> Finding:
    now = datetime.fromtimestamp(time.time(), UTC)
    text = f"it is {now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _BORN:
        return Finding(
            "clock", "failure", text, "Set the clock of this machine: ids and retention rest on it."
        )
    return Finding("clock", "ok", text)


def _open_files() -> Iterator[Finding]:
    _, most = open_files_limit()
    text = f"the server may have {most} files open"
    if most < _ENOUGH:
        advice = "Raise it: LimitNOFILE= for systemd, --ulimit nofile= for Docker, or ulimit -Hn."
        yield Finding("open files", "warning", f"{text}; each client and engine connection is one", advice)
    else:
        yield Finding("open files", "ok", text)
