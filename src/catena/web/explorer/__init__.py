"""The explorer: pages at `/` that show the trees of turns, and let one continue them.

It is plain files. They hold no data, so anybody may have them; what they show they ask the API for, with the reader's
own key. All but the page itself live below a digest of their contents: browsers keep them for good, and a new version
is a new address.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import PurePosixPath
from typing import Final

import msgspec

from catena.errors import NotFound
from catena.web.http import Reply, Request
from catena.web.routes import Routes

__all__ = ["ExplorerRoutes"]

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text ever becomes markup: a browser that knows this refuses `innerHTML` and its like.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

_ALWAYS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_FOR_GOOD: Final = {"cache-control": "public, max-age=31536000, immutable"}
_ASK_AGAIN: Final = {"cache-control": "no-cache"}


class File(msgspec.Struct, frozen=True):
    """One file as it is sent; `tag` is its entity tag."""

    body: bytes
    content_type: str
    tag: str


class Site(msgspec.Struct, frozen=True):
    """The page, and all files by name below `version`, which is a digest of them all."""

    version: str
    page: File
    files: Mapping[str, File]


class ExplorerRoutes:
    """The pages of one server."""

    def register(self, routes: Routes) -> None:
        for method in ("GET", "HEAD"):
            routes.add(method, "/", self.page, scope=None)
            routes.add(method, "/favicon.ico", self.icon, scope=None)
            routes.add(method, "/explorer/{version}/{name}", self.file, scope=None)

    async def page(self, request: Request) -> Reply:
        return _sent(site().page, request, _ASK_AGAIN)

    async def icon(self, request: Request) -> Reply:
        return _sent(site().files["icon.svg"], request, _ASK_AGAIN)

    async def file(self, request: Request) -> Reply:
        version, name = request.path_ids
        file = site().files.get(name)
        if file is None or version != site().version:
            raise NotFound(f"Invalid URL ({request.method} {request.path})")
        return _sent(file, request, _FOR_GOOD)


@functools.cache
def site() -> Site:
    """All files, read once."""
    bodies = {name: body for folder in ("", "fonts") for name, body in _read(folder)}
    digest = hashlib.sha256()
    for name in sorted(bodies):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(bodies[name]), bodies[name]))
    version = digest.hexdigest()[:16]
    page = bodies.pop("index.html").decode()
    page = page.replace("{modules}", _preloads(bodies)).replace("{version}", version)
    files = {name: _file(name, body) for name, body in bodies.items()}
    return Site(version, _file("index.html", page.encode()), files)


def _preloads(names: Iterable[str]) -> str:
    """Names every module to the browser at once, which would else learn of them one after another."""
    modules = sorted(name for name in names if name.endswith(".js"))
    return "\n".join(f'<link rel="modulepreload" href="/explorer/{{version}}/{name}">' for name in modules)


def _read(folder: str) -> list[tuple[str, bytes]]:
    home = resources.files(__name__)
    entries = (home / folder if folder else home).iterdir()
    return [
        (entry.name, entry.read_bytes()) for entry in entries if PurePosixPath(entry.name).suffix in _TYPES
    ]


def _file(name: str, body: bytes) -> File:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return File(body, _TYPES[PurePosixPath(name).suffix], tag)


def _sent(file: File, request: Request, caching: Mapping[str, str]) -> Reply:
    headers = {**_ALWAYS, **caching, "etag": file.tag}
    known = request.header(b"if-none-match") or ""
    if file.tag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Reply(b"", 304, file.content_type, headers)
    return Reply(file.body, 200, file.content_type, headers)
