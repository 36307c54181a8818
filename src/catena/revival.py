"""A stored turn as the response that it is: to be told, followed, or gone on with by whoever did not begin it."""

from __future__ import annotations

from typing import Any

import msgspec

from catena.ids import TurnIds
from catena.store import Turn
from catena.wire.response import Response, whole_response

__all__ = ["ids_of", "response_of"]

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


def response_of(turn: Turn) -> Response:
    """The response that a stored turn is."""
    return whole_response(
        turn.fields,
        id=turn.id,
        created_at=turn.created_at,
        status=turn.status,
        model=turn.model,
        previous_response_id=turn.parent,
        output=turn.output,
    )


def ids_of(turn: Turn) -> TurnIds:
    """The ids of a turn, behind those that its input items have."""
    minted = sum(item["id"][-50:-4] == turn.id[-50:-4] for item in _decode_items(turn.input))
    return TurnIds.of(turn.id, used=minted)
