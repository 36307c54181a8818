"""The head of a request: method, URL and headers to bytes, once for all requests that share them.

What is sent to an engine differs in the body; the head is the same but for its length. Names and values are
checked here, so that no header can smuggle in another one. No message quotes a value, as values are keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

__all__ = ["Headers", "Origin", "RequestHead", "request_head"]

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_URL: Final = re.compile(r"https?://[!-~]+")
_OURS: Final = frozenset(
    {"connection", "content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"}
)
# The length of an answer to these is not what its head says (RFC 9110 §9.3.2, §9.3.6).
_NOT_SPOKEN: Final = frozenset({"HEAD", "CONNECT"})
_WITHOUT_BODY: Final = frozenset({"GET", "DELETE", "OPTIONS"})


class Origin(NamedTuple):
    """What one connects to; shown as host:port."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RequestHead(NamedTuple):
    """The head of every request with one method, URL and set of headers."""

    origin: Origin
    lines: bytes
    says_no_length: bool

    def to_bytes(self, length: int) -> bytes:
        """The whole head of a request whose body has `length` bytes."""
        if self.says_no_length and not length:
            return self.lines + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n" % (self.lines, length)


def request_head(method: str, url: str, headers: Headers) -> RequestHead:
    """What to send, and where to. Raises ValueError where this could not be said in HTTP, or not by us."""
    if type(headers) is not tuple:  # of one, nothing is copied
        headers = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    return _rendered(method, url, headers)


@lru_cache(maxsize=512)
def _rendered(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> RequestHead:
    if not _TOKEN.fullmatch(method) or method in _NOT_SPOKEN:
        raise ValueError(f"the method {method!r} is not spoken here")
    origin, target, authority = _split(url)
    fields = {
        "host": authority,
        "user-agent": f"catena/{metadata.version('catena')}",
        "accept-encoding": "identity",
    }
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    given = {name.lower() for name, _ in headers}
    lines += [f"{name}: {value}\r\n" for name, value in fields.items() if name not in given]
    lines += [_line(name, value) for name, value in headers]
    return RequestHead(origin, "".join(lines).encode("latin-1"), method in _WITHOUT_BODY)


def _line(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name!r} is set by the connection itself")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of the header {name!r} has characters that headers cannot carry")
    return f"{name}: {value}\r\n"


def _split(url: str) -> tuple[Origin, str, str]:
    """Origin, request target and `host` header of `url`."""
    parts = urlsplit(url)
    if not _URL.fullmatch(url) or not parts.hostname:
        raise ValueError("an engine's URL is http:// or https:// with a host, in ASCII")
    if "@" in parts.netloc:
        raise ValueError("an engine's URL carries no user name or password: use a header")
    tls = parts.scheme == "https"
    origin = Origin(parts.hostname, parts.port or (443 if tls else 80), tls)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return origin, target, parts.netloc
