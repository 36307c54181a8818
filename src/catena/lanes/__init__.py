"""WebSocket mode: many responses over one connection, in lanes (spec §7).

What a socket is, is not known here: messages come in as bytes and go out as text.
"""

from __future__ import annotations

from catena.lanes.connection import Connection, Gone, Limits

__all__ = ["Connection", "Gone", "Limits"]
