"""Who sent a request, by its headers: the first thing that is asked of it.

Mostly that is the key in `Authorization`. A proxy that has asked already may vouch for somebody instead, in a header
that counts only from its own address. Inside of a project, end users may be kept apart by one more.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from catena.access import Grant, Keys
from catena.access.registry import is_name
from catena.errors import BadRequest, Forbidden, Unauthorized
from catena.web.http import Request

__all__ = ["Gate", "Proxy", "networks"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_USER: Final = 256


class Proxy(msgspec.Struct, frozen=True):
    """A proxy that says for whom it asks: in `header` (in lower case), and from these networks alone."""

    header: bytes
    networks: Sequence[Network]

    def vouches(self, request: Request) -> str | None:
        """The project that it asks for, if it is the one who asks."""
        project = request.header(self.header)
        client = request.scope.get("client")
        if project is None or client is None:
            return None
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return None
        return project if any(address in network for network in self.networks) else None


def networks(texts: Sequence[str]) -> list[Network]:
    """Addresses and networks as they are written in settings. Raises ValueError."""
    return [ipaddress.ip_network(text, strict=False) for text in texts]


class Gate:
    """See the module. `hosts` are names of this server beside the local ones; `organization`, what clients may call it.

    With `end_user_header` (in lower case) every request must say for whom it is, and sees what was stored for that one.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        proxy: Proxy | None = None,
        end_user_header: bytes | None = None,
        organization: str | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        self.keys = keys
        self._proxy = proxy
        self._end_user_header = end_user_header
        self._organization = organization
        self._hosts = frozenset(hosts)

    async def admit(self, request: Request, scope: str) -> Grant:
        """What the sender has, which includes `scope`; its project is that of the request from then on.

        Raises Unauthorized, Forbidden, and BadRequest for an end user that is missing.
        """
        authorization = request.header(b"authorization")
        # The usual case: a key that was looked up a moment ago.
        grant = self.keys.recall(authorization) if self._proxy is None else None
        if grant is None:
            grant = await self._asked(request, authorization)
        if grant.unlocked:
            self._check_origin(request.headers)
        else:
            self._check_names(request.headers, grant)
        grant.check(scope)
        request.project = grant.project
        if self._end_user_header is not None:
            request.project = f"{grant.project}/{self._end_user(request, self._end_user_header)}"
        return grant

    async def _asked(self, request: Request, authorization: str | None) -> Grant:
        vouched = self._proxy.vouches(request) if self._proxy is not None else None
        if vouched is None:
            return await self.keys.grant(authorization)
        if not is_name(vouched):
            raise Unauthorized("The proxy in front of this server named a project that cannot be one.")
        return await self.keys.vouched(vouched)

    def _check_names(self, told: Mapping[bytes, bytes], grant: Grant) -> None:
        """The API's own headers: they choose nothing here, as a key is of one project."""
        project = told.get(b"openai-project")
        if project and project != grant.project.encode():
            raise Unauthorized(
                "OpenAI-Project header should match project for API key", code="mismatched_project"
            )
        organization = told.get(b"openai-organization")
        if organization and self._organization and organization != self._organization.encode():
            raise Unauthorized(
                "OpenAI-Organization header should match organization for API key",
                code="mismatched_organization",
            )

    def _end_user(self, request: Request, header: bytes) -> str:
        user = request.header(header)
        if user is None or not 1 <= len(user) <= _LONGEST_USER:
            raise BadRequest(
                f"This server keeps end users apart: send the header '{header.decode()}' with who this request is for, "
                f"in 1 to {_LONGEST_USER} characters.",
                code="missing_end_user",
            )
        return user

    def _check_origin(self, told: Mapping[bytes, bytes]) -> None:
        # Any page that a browser on this machine shows can send requests here, and could read what it is answered if it
        # had this server's name: a server without keys is only for the pages that it has itself, under local names.
        host = str(told.get(b"host", b""), "latin-1")
        name, local = _place_of(host)
        if not local and name not in self._hosts:
            raise Forbidden(
                f"This server needs no key, and so it only answers under local names, not as '{name}'. Give it keys, "
                "or name it in `server.hosts`."
            )
        origin = told.get(b"origin")
        if origin is not None and _netloc(str(origin, "latin-1")) != host:
            raise Forbidden("Pages of other origins may not use this server, as it needs no key.")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _place_of(host: str) -> tuple[str, bool]:
    """The name in a `Host` header, and whether it is a local one."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host, False
    return name, _is_local(name)


def _is_local(name: str) -> bool:
    """Whether nobody but who runs this machine could have given it: no name of the internet's."""
    if "." not in name or name.endswith((".localhost", ".local", ".internal")):
        return True  # names without a dot are of containers, and IPv6 addresses
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
