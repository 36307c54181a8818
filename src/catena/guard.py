"""Where others may send this server: the guard against requests that are forged through it.

Some URLs come from clients and are fetched by the server, which stands inside networks that those clients do not. So a
host is looked up first, every address that it has must be one of the public internet, and what is connected to is that
address and not the name: a name that is looked up again might have moved. What is private is decided by the list below
and by nothing else; names only matter for what they lead to.

    is_public        the decision, pure
    Guard.check      what can be said of a URL before it is used
    Guard.addresses  what may be connected to, for `HttpClient`
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

__all__ = ["Address", "Guard", "Lookup", "Refused", "is_public"]

Address: TypeAlias = IPv4Address | IPv6Address

Lookup: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host. Raises OSError where it has none."""

_MAX_URL: Final = 2048
_URL: Final = re.compile(r"https?://[!-~]+")
_LOOKUP_SECONDS: Final = 5.0

# IANA's special-purpose registries, and an address of Azure's that only its own machines can reach.
_NOT_PUBLIC: Final = [
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
]
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_TRANSLATED: Final = ip_network("64:ff9b::/96")
"""IPv4 addresses as an IPv6-only network reaches them (RFC 6052)."""


class Refused(Exception):
    """This server may not be sent there."""


def is_public(address: Address) -> bool:
    """Whether this is an address of the public internet, whatever form it is written in."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped
        if address in _TRANSLATED:
            inside = IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
        if address not in _GLOBAL_UNICAST:
            return False
    return not any(address in block for block in _NOT_PUBLIC)


class Guard:
    """Holds what is fetched for clients to the public internet, unless `allow_private`."""

    def __init__(self, *, allow_private: bool = False, lookup: Lookup | None = None) -> None:
        self._allow_private = allow_private
        self._lookup = lookup or _look_up

    async def check(self, url: str) -> None:
        """Raise Refused unless `url` could be fetched. A host that is not known now may be so later, and passes."""
        host, port = _target(url)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self.addresses(host, port)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """What to connect to for `host`. Raises Refused, or OSError where it is not known."""
        found = await self._lookup(host, port)
        if not self._allow_private and not all(is_public(ip_address(each)) for each in found):
            raise Refused(f"The host '{host}' is at an address that is not public.")
        return found


def _target(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("It is not a valid URL.") from None
    if not host or not _URL.fullmatch(url):
        raise Refused("Expected a URL that begins with https:// or http://, with a host, in ASCII.")
    if len(url) > _MAX_URL:
        raise Refused(f"Expected a URL with at most {_MAX_URL} characters.")
    if "@" in parts.netloc:
        raise Refused("Expected a URL without a user name or password.")
    if port == 0:
        raise Refused("Expected a port from 1 to 65535.")
    return host, port or (443 if parts.scheme == "https" else 80)


async def _look_up(host: str, port: int) -> Sequence[str]:
    """As the system does it, which also reads what only looks like a name: 2130706433, 0x7f.1, 127.1."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise Refused("Expected a URL with a valid host.") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
