"""Where turns live: the `Store` protocol, in verbs of the domain, each one transaction.

A turn is stored once: its own new input items, its output items, and the fields of its response that differ
from the defaults. History is never copied: a turn points at its parent, and a chain is read in one round trip.
The rows here know nothing of engines or of HTTP; JSON passes through them as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

__all__ = ["Claim", "Door", "LeaseLost", "Page", "Status", "Store", "Turn", "Usage"]

Door: TypeAlias = Literal["responses", "chat"]
Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request with its output, as it is stored.

    `input` and `output` are JSON arrays of items, each with its id. `fields` is a JSON object of the response's
    other fields, those that differ from the defaults. `cuts` says how the output was cut into deltas, if it was
    streamed, so that the same events can be told again. Times are unix seconds.
    """

    project: str
    id: str
    tree: str
    parent: str | None = None
    door: Door = "responses"
    status: Status
    model: str
    created_at: int
    listed: bool = False
    """Whether `GET /chat/completions` lists it: created there with an explicit `store:true`."""
    input: bytes = b"[]"
    output: bytes = b"[]"
    fields: bytes = b"{}"
    cuts: bytes = b""
    deleted: bool = False
    """A tombstone: the ids stay, so that descendants keep their place; the contents are gone."""
    foreign_ids: Sequence[str] = ()
    """Ids of items of this turn that do not tell it: they are found by them all the same. Only written."""
    fence: int = 0
    """Which claim of its run writes this turn; 0 where it was begun and is finished by the same process."""


class LeaseLost(Exception):
    """Another worker has this run now; what this one would write was not written."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a worker took up: its turn as far as it was stored, with the new fence.

    `request` is what `begin` was given; it is empty for a run that cannot be begun again. `tries` counts the claims,
    this one included.
    """

    turn: Turn
    request: bytes
    tries: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for."""

    limit: int = 20
    after: str | None = None
    ascending: bool = True


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored, in numbers; `bytes` is the space that the store takes on disk."""

    turns: int
    trees: int
    bytes: int


class Store(Protocol):
    """The promises of a chain store. One contract suite holds every implementation to them.

    All methods raise StoreUnavailable where the store cannot be reached; then nothing was changed. A write has
    reached the disk when its method returns. No method shows a turn of another project.
    """

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        """Store a turn whose run begins, so that its id can be told.

        `owner` runs it, and has `lease` seconds until it must `renew`. A queued turn has no owner: it waits for
        who claims it, and `request` is what its run needs. Raises PreviousResponseNotFound if the parent is not
        there.
        """
        ...

    async def finish(self, turn: Turn) -> None:
        """Store a turn in its final state, over what `begin` stored, or at once where nothing was begun.

        A turn that was deleted meanwhile stays deleted, and one that has ended stays as it ended. Its log goes.
        Large payloads are stored once for each tree and content. Raises PreviousResponseNotFound if the parent is
        not there, and LeaseLost if the run was claimed by another since.
        """
        ...

    async def claim(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        """Take up runs that wait and runs whose lease is over, the oldest first; they are in progress then."""
        ...

    async def renew(self, owner: str, lease: float) -> Sequence[str]:
        """Have `lease` seconds more for all runs of `owner`. Returns the ids of those that it still has."""
        ...

    async def release(self, turn: Turn) -> None:
        """Give a claimed run back to the queue, as if it had not been tried."""
        ...

    async def waiting(self) -> int:
        """How many runs wait to be claimed."""
        ...

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        """Keep what an engine sent for a run under way. Raises LeaseLost if the run was claimed by another."""
        ...

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        """What was kept for a run under way, in the order of the batches."""
        ...

    async def load_chain(self, project: str, turn_id: str) -> Sequence[Turn]:
        """Every turn from the root to `turn_id`, oldest first, read in one snapshot and one round trip.

        Deleted ancestors are among them, marked as deleted, with empty contents. `fields` and `cuts` may be left
        at their defaults. Raises PreviousResponseNotFound if `turn_id` is not there or deleted.
        """
        ...

    async def load(self, project: str, turn_id: str) -> Turn | None:
        """One turn, whole; None if there is none, or it was deleted."""
        ...

    async def load_item(self, project: str, item_id: str) -> bytes | None:
        """The JSON of one stored item; None if there is none, or its turn was deleted."""
        ...

    async def delete(self, project: str, turn_id: str, *, cascade: bool = False) -> Sequence[str]:
        """Remove a turn's contents at once and for good, with `cascade` those of all its descendants too.

        Returns the ids whose contents were removed by this call; empty if there was nothing to remove.
        """
        ...

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        """The turns with `listed`, ordered by creation, and whether there are more after them.

        `model` and every pair of `metadata` must match. Raises NotFound if `page.after` is unknown.
        """
        ...

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        """Replace the `fields` of a finished turn; False if there is no such turn."""
        ...

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        """All turns of the tree that `turn_id` is in, without their contents but with `fields`, parents first.

        Empty if `turn_id` is not there.
        """
        ...

    async def expire(self, older_than: int, *, limit: int = 1000) -> int:
        """Remove whole trees whose newest turn was created before `older_than` (unix seconds).

        At most `limit` trees in one call. Returns how many turns were removed.
        """
        ...

    async def usage(self) -> Usage:
        """How much is stored, over all projects."""
        ...

    async def close(self) -> None:
        """Finish what is being written and give files and connections back."""
        ...
