"""Removing the contents of turns, which stay as tombstones, as parts of transactions.

The order matters, as others write at the same time: first the turns are taken, then what they have is looked for, in
statements of their own, which see what others have committed before.
"""

from __future__ import annotations

from collections.abc import Sequence

from catena.store.postgres.database import Row, Session
from catena.store.postgres.statements import Q

__all__ = ["below", "drop_payloads", "erase"]


async def erase(session: Session, tree: bytes, ids: Sequence[bytes]) -> list[bytes]:
    """Make tombstones of these turns. Returns those that were none before, parents first."""
    erased = await session.fetch(Q["erase"], {"tree": tree, "ids": ids})
    gone: list[bytes] = [row["id"] for row in sorted(erased, key=lambda row: row["number"])]
    if gone:
        await session.fetch(Q["erase_around"], {"tree": tree, "ids": gone})
        await _drop_words(session, tree, gone)
        await drop_payloads(session, tree, gone)
    return gone


async def _drop_words(session: Session, tree: bytes, ids: Sequence[bytes]) -> None:
    """First what is to be done yet: who is just taking words holds that, and has written them when this goes on."""
    which = {"tree": tree, "ids": ids}
    await session.fetch(Q["drop_unworded_turns"], which)
    await session.fetch(Q["drop_words"], which)


async def drop_payloads(
    session: Session, tree: bytes, ids: Sequence[bytes], *, but: Sequence[bytes] = ()
) -> None:
    """These turns use no payloads any more `but` those; what nobody uses goes."""
    what = {"tree": tree, "ids": ids, "but": but}
    hashes = [row["hash"] for row in await session.fetch(Q["lock_payloads"], what)]
    if hashes:
        await session.fetch(Q["unuse_payloads"], what)
        await session.fetch(Q["drop_unused_payloads"], {"tree": tree, "hashes": hashes})


def below(outline: Sequence[Row], turn: bytes) -> list[bytes]:
    """The turn and all its descendants. Parents stand before their children in the outline."""
    reached: dict[bytes, None] = {}
    for row in outline:
        if row["id"] == turn or row["parent"] in reached:
            reached[row["id"]] = None
    return list(reached)
