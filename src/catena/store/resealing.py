"""The verbs for encrypting what is stored already: with the first key, or anew with a newer one."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Resealing"]


class Resealing(Protocol):
    """Goes once through all that a store has, and seals with its newest key what is not. All methods raise
    StoreUnavailable, also for what cannot be opened.

    Every step is a transaction of its own, and what is done is never done again: who was interrupted begins anew.
    """

    async def pending(self) -> int:
        """How many rows are not sealed with the newest key. Everything is looked through for that."""
        ...

    async def step(self) -> int:
        """Seal the next few. Returns how many; 0 when the end is reached."""
        ...

    async def settle(self) -> int:
        """Have the store forget the older keys, which nothing needs any more then; a last look makes sure.

        Returns how many rows are there that others have written meanwhile without the newest key: with any of them,
        the older keys are needed still.
        """
        ...
