"""The event loop of the standard library, as it should be, for where uvloop is not.

In Python 3.12 and 3.13 its sockets do wrong when they are given several pieces at once (`writelines`): on one that is
closing this raises a TypeError, or leaves a mark by which the next socket with the same number hears nothing; an empty
piece at the end is never got rid of, nor is it in the first releases of 3.14; and who writes is not told to pause. Some
of it is mended in some later releases. To join the pieces, as in 3.11, has none of these faults.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import selector_events
from typing import Any, Final

__all__ = ["plain_loop"]

_AFFECTED: Final = sys.platform != "win32" and sys.version_info[:2] in {(3, 12), (3, 13), (3, 14)}


def plain_loop() -> asyncio.AbstractEventLoop:
    """A new one."""
    return _Loop() if _AFFECTED else asyncio.new_event_loop()


class _Transport(selector_events._SelectorSocketTransport):  # type: ignore[name-defined,misc]  # private
    """A socket."""

    writelines = asyncio.WriteTransport.writelines  # joins, and writes


class _Loop(asyncio.SelectorEventLoop):
    """The loop whose sockets are the above. What it overrides is the same in all releases of these versions."""

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> _Transport:
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]  # private
        return _Transport(self, sock, protocol, waiter, extra, server)
