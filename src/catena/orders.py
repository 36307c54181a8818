"""What a door asks for, before anybody has looked whether that can be had."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from catena.store import Door, RequestKey
from catena.wire.request import CreateRequest

__all__ = ["Order", "decode_order"]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a door asks for. `extra_options` are settings that only the chat dialect has, passed on as they are. `key`
    is what the request was sent under, if its turn is to be found by that."""

    request: CreateRequest
    door: Door = "responses"
    listed: bool = False
    extra_options: dict[str, Any] | None = None
    key: RequestKey | None = None


decode_order: Final = msgspec.json.Decoder(Order).decode
"""An order, as it was kept with a run that waits."""
