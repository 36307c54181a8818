"""Output items under construction: each takes pieces and tells the events they make (spec §4.2).

One class for each shape of item. All share three verbs: `open` (the item is announced), `close` (it is final)
and `partial` (what it is so far, for a run that ends early). Which item is open, and when it ends, is the fold's
business.
"""

from __future__ import annotations

from catena.compose.calls import Called, HeldCall, OpenCall
from catena.compose.messages import OpenMessage, message_item
from catena.compose.passed_on import PassedOnItem
from catena.compose.reasoning import OpenReasoning
from catena.compose.slots import Counter, ItemStatus, OpenItem, Slot

__all__ = [
    "Called",
    "Counter",
    "HeldCall",
    "ItemStatus",
    "OpenCall",
    "OpenItem",
    "OpenMessage",
    "OpenReasoning",
    "PassedOnItem",
    "Slot",
    "message_item",
]
