"""The verbs for servers that are at work on one store: what one has to know of the runs that another has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from catena.store.lineage import Status

if TYPE_CHECKING:
    from catena.store import Claim

__all__ = ["Peers", "Progress"]


class Progress(msgspec.Struct, frozen=True):
    """How far a run has come: its status, and the batches of its log that were asked for."""

    status: Status
    batches: Sequence[bytes]


class Peers(Protocol):
    """What servers tell each other through the store. All methods raise StoreUnavailable, as those of a `Store`."""

    async def progress(self, project: str, turn_id: str, batch: int) -> Progress | None:
        """A run as it is at this moment, with its log from a batch on; None if there is no such turn, or it was
        deleted."""
        ...

    async def order(self, project: str, turn_id: str) -> bytes:
        """What `Store.begin` was given as `request` for a run that has not ended; empty if that was nothing."""
        ...

    async def attend(self, project: str, turn_id: str, seconds: float) -> None:
        """Somebody follows this run through another server than its own, for so many seconds from now at least."""
        ...

    async def is_attended(self, project: str, turn_id: str) -> bool:
        """Whether somebody follows this run through another server."""
        ...

    async def ask_to_cancel(self, project: str, turn_id: str) -> None:
        """Have this run cancelled by whoever has it, or takes it up. Nothing happens if it has ended."""
        ...

    async def to_cancel(self, owner: str) -> Sequence[str]:
        """The ids of the runs of `owner` that are to be cancelled."""
        ...

    async def claim_cancelled(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        """Take up those runs that nobody has and that are to be cancelled. See `Store.claim`."""
        ...

    async def waiting_among(self, turn_ids: Collection[str]) -> Sequence[str]:
        """Those of these runs that nobody has taken up yet."""
        ...

    async def removals(self, tree: str) -> int:
        """How often contents were removed from a tree: what is remembered of it from before is not true any more."""
        ...

    async def hold_key(self, project: str, name: bytes, owner: str, seconds: float) -> bool:
        """Let only `owner` begin a run for a request's key, for so many seconds; False if another server does."""
        ...

    async def renew_keys(self, owner: str, names: Collection[bytes], seconds: float) -> None:
        """Hold these keys for so many seconds from now."""
        ...

    async def release_key(self, project: str, name: bytes, owner: str) -> None:
        """Hold a key no longer; nothing happens if another server does."""
        ...
