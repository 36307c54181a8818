"""Turns that were stored while nobody took words: before an update, or while search was switched off.

They are gone through once for each version of the rules, by whichever servers there are, and noted as what is still to
be done. Where no words are wanted, there are none.
"""

from __future__ import annotations

import logging
from typing import Final

from catena.store.postgres.database import Session
from catena.store.postgres.statements import Q
from catena.wire.words import VERSION

__all__ = ["forget_words", "look_back"]

log = logging.getLogger("catena.store")

_STEP: Final = 256
"""Turns that are held at once."""


async def look_back(session: Session) -> bool:
    """Note the next turns whose words are to be taken; whether there were any. Others who do it are waited for."""
    await session.fetch(Q["begin_lookback"], {"version": VERSION})
    held = await session.fetch(Q["hold_lookback"], {"version": VERSION})
    if not held:
        return False
    place = {"project": held[0]["project"], "after": held[0]["number"]}
    turns = await session.fetch(Q["look_back"], {**place, "limit": _STEP})
    if turns:
        keys = {"trees": [row["tree"] for row in turns], "ids": [row["id"] for row in turns]}
        await session.fetch(Q["note_unworded"], keys)
        place = {"project": turns[-1]["project"], "after": turns[-1]["number"]}
    done = len(turns) < _STEP
    await session.fetch(Q["move_lookback"], {**place, "done": done, "version": VERSION})
    return bool(turns)


async def forget_words(session: Session) -> None:
    """Have no words in the database, and all of them taken anew should they be wanted again."""
    ((found,),) = await session.fetch(Q["has_words"], {})
    if found:
        await session.fetch(Q["drop_all_words"], {})
        log.info("search is off: the words that were kept are removed")
