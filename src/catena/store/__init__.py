"""Where turns live: the `Store` protocol, in verbs of the domain, each one transaction.

A turn is stored once: its own new input items, its output items, and the fields of its response that differ
from the defaults. History is never copied: a turn points at its parent, and a chain is read in one round trip.
The rows here know nothing of engines or of HTTP; JSON passes through them as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from catena.store.counters import Counters
from catena.store.documents import Document, Documents
from catena.store.files import Files, StoredFile
from catena.store.housekeeping import ALL_PROJECTS, Expiry, Housekeeping, Whose
from catena.store.lineage import Door, Lineage, Status
from catena.store.paging import Page
from catena.store.peers import Peers, Progress

__all__ = [
    "Claim",
    "Conversation",
    "Counters",
    "Delivery",
    "Document",
    "Documents",
    "Door",
    "Endpoint",
    "Files",
    "KeyUse",
    "LeaseLost",
    "Page",
    "Peers",
    "Progress",
    "RequestKey",
    "Status",
    "Store",
    "StoredFile",
    "Turn",
    "Usage",
]


class RequestKey(msgspec.Struct, frozen=True):
    """The key under which a client sent a request, so that it would never run twice: digests of key and body."""

    name: bytes
    body: bytes


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
    key: RequestKey | None = None
    """What its request was sent under: kept in the same transaction, to find the turn by. Only written."""
    conversation: str | None = None
    """The conversation that its run holds from `begin` on, and that it is appended to by `finish`. Only written."""


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


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A name for the end of a chain, which moves on with each turn and with each change of its items.

    `metadata` is a JSON object. `tip` is the id of the turn that it ends with; `busy`, whether a run holds it.
    """

    id: str
    created_at: int
    metadata: bytes = b"{}"
    tip: str
    busy: bool = False


class KeyUse(msgspec.Struct, frozen=True):
    """What a key was used for: the turn that it began, and the digest of the body that it came with."""

    turn_id: str
    body: bytes


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a project wants to hear of the ends of its background responses.

    `secret` signs what it is sent; `old_secret` signs besides until `old_secret_until`. Times are unix seconds.
    """

    id: str
    name: str
    url: str
    event_types: Sequence[str]
    secret: str
    old_secret: str = ""
    old_secret_until: int = 0
    created_at: int
    updated_at: int

    def __repr__(self) -> str:
        return f"Endpoint({self.id!r})"  # secrets get into no log


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint has yet to hear: that the response `subject` ended, as `event_type` says, at `created_at`.

    It belongs to who claimed it until `due`. `tries` counts the claims, this one included.
    """

    endpoint: Endpoint
    event_type: str
    subject: str
    created_at: int
    due: float
    tries: int


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

    @property
    def documents(self) -> Documents:
        """The small objects that are kept beside the turns."""
        ...

    @property
    def lineage(self) -> Lineage:
        """The turns as they stand in their trees and in lists, without their contents."""
        ...

    @property
    def housekeeping(self) -> Housekeeping:
        """What keeps the store clean."""
        ...

    @property
    def peers(self) -> Peers | None:
        """The other servers that are at work on the store; None where one server has it alone."""
        ...

    @property
    def files(self) -> Files:
        """What clients have uploaded."""
        ...

    @property
    def counters(self) -> Counters:
        """What the limits of all servers on this store are counted with."""
        ...

    async def stored_bytes(self, project: str) -> int:
        """How much a project and its end users have stored: the bytes of turns, payloads, files and documents.

        That may take a while, and hold nobody up.
        """
        ...

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        """Store a turn whose run begins, so that its id can be told.

        `owner` runs it, and has `lease` seconds until it must `renew`. A queued turn has no owner: it waits for
        who claims it, and `request` is what its run needs. Raises PreviousResponseNotFound if the parent is not
        there, in the same tree. A turn with a `conversation` holds that until it has ended: raises
        ConversationNotFound, or ConversationLocked if another holds it or if it does not end with the parent any
        more. To begin what was begun is a fault of the caller: ValueError.
        """
        ...

    async def finish(self, turn: Turn, *, notify_at: float | None = None) -> None:
        """Store a turn in its final state, over what `begin` stored, or at once where nothing was begun.

        A turn that was deleted meanwhile stays deleted, and one that has ended stays as it ended. Its log goes.
        Large payloads are stored once for each tree and content. With `notify_at`, which is now, the same
        transaction does what `notify` does. A turn that holds a conversation is appended to that if it was completed
        or incomplete, and holds it no longer. Raises PreviousResponseNotFound if the parent is not there, and
        LeaseLost if the run was claimed by another since.
        """
        ...

    async def claim(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        """Take up runs that wait and runs whose lease is over, the oldest first; they are in progress then."""
        ...

    async def renew(self, owner: str, lease: float, turn_ids: Collection[str]) -> Sequence[str]:
        """Have `lease` seconds more for these runs of `owner`. Returns the ids of those that it still has."""
        ...

    async def release(self, turn: Turn) -> None:
        """Give a claimed run back to the queue, as if it had not been tried."""
        ...

    async def waiting(self) -> int:
        """How many runs wait to be claimed."""
        ...

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        """Keep what an engine sent for a run under way.

        Batches are numbered from 0, with which a new try begins its log anew; one that is written again replaces
        what was there. Raises LeaseLost if the run was claimed by another, or has ended.
        """
        ...

    @property
    def log_at_once(self) -> Callable[[Turn, int, bytes], None] | None:
        """`append_log` without waiting; None for a store that has to wait."""
        ...

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        """What was kept for a run under way, in the order of the batches."""
        ...

    async def load_chain(self, project: str, turn_id: str, *, most: int | None = None) -> Sequence[Turn]:
        """Every turn from the root to `turn_id`, oldest first, read in one snapshot and one round trip.

        With `most`, only so many of the newest; the parent of the first is not told then. Deleted ancestors are among
        them, marked as deleted, with empty contents. `fields` and `cuts` may be left at their defaults. Raises
        PreviousResponseNotFound if `turn_id` is not there or deleted.
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

        A turn that runs can be deleted as well: it has been cancelled then. Returns the ids whose contents were removed
        by this call; empty if there was nothing to remove.
        """
        ...

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        """The turns with `listed`, in the order of `created_at`, and whether there are more after them.

        `model` and every pair of `metadata` must match. Raises NotFound if `page.after` is unknown.
        """
        ...

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        """Replace the `fields` of a turn that has ended; False if there is no such turn."""
        ...

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        """All turns of the tree that `turn_id` is in, without their contents but with `fields`, parents first.

        Empty if `turn_id` is not there.
        """
        ...

    async def expire(self, older_than: int, *, whose: Whose = ALL_PROJECTS, limit: int = 1000) -> int:
        """Remove whole trees whose newest turn was created before `older_than` (unix seconds), but for those of
        conversations.

        At most `limit` trees in one call, few at a time. Returns how many turns were removed.
        """
        ...

    async def sweep(self, terms: Sequence[Expiry], *, now: float) -> int:
        """Remove all that is over under one of these terms, in one go through the store, and make room for what comes.

        What others are just removing, or are about to continue, is left. A store that keeps old trees together may
        remove them together, and then somewhat later: see docs/scaling.md. Returns how many turns were removed,
        where they were many about how many.
        """
        ...

    async def open_conversation(self, conversation: Conversation, first: Turn) -> None:
        """Store a new conversation and its first turn, under the same id. Conversations do not expire, nor does their
        tree."""
        ...

    async def load_conversation(self, project: str, conversation_id: str) -> Conversation | None:
        """A conversation as it is now; None if there is none."""
        ...

    async def conversation_chain(
        self, project: str, conversation_id: str, *, most: int | None = None
    ) -> Sequence[Turn]:
        """The chain that a conversation ends, as `load_chain` reads one. Raises ConversationNotFound."""
        ...

    async def extend_conversation(self, turn: Turn) -> None:
        """Append a turn that is no run to its conversation, whose tip must be the turn's parent.

        Raises ConversationNotFound, and ConversationLocked if it is held or has another tip.
        """
        ...

    async def set_conversation_metadata(self, project: str, conversation_id: str, metadata: bytes) -> bool:
        """Replace the metadata; False if there is no such conversation."""
        ...

    async def drop_conversation(self, project: str, conversation_id: str) -> bool:
        """Forget a conversation; False if there is none.

        What no response has in its context is removed at once and for good; the other turns expire like any.
        """
        ...

    async def list_conversations(
        self, project: str, page: Page, *, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Conversation], bool]:
        """The conversations of a project in the order of their creation, and whether there are more after them.

        Every pair of `metadata` must match. Raises ConversationNotFound if `page.after` is unknown.
        """
        ...

    async def find_key(self, project: str, name: bytes, *, since: int) -> KeyUse | None:
        """What the key was used for, if by a turn that was created after `since` (unix seconds)."""
        ...

    async def notify(self, project: str, turn_id: str, status: Status, at: float) -> None:
        """Have every endpoint of the project that wants `response.<status>` told of this end: a delivery, due now."""
        ...

    async def claim_deliveries(self, now: float, lease: float, *, limit: int) -> Sequence[Delivery]:
        """Take up what is due, the longest waiting first; nobody else is given it for `lease` seconds."""
        ...

    async def postpone(self, delivery: Delivery, due: float) -> None:
        """Let the next try be at `due`; nothing happens if another has claimed it since."""
        ...

    async def drop_delivery(self, delivery: Delivery) -> None:
        """It was delivered, or given up; nothing happens if another has claimed it since."""
        ...

    async def add_endpoint(self, project: str, endpoint: Endpoint) -> None:
        """Store a new endpoint. It hears of what ends from now on."""
        ...

    async def endpoints(self, project: str) -> Sequence[Endpoint]:
        """All endpoints of a project, the newest first."""
        ...

    async def change_endpoint(
        self, project: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        """Replace an endpoint by what `change` makes of it as it is now; None if there is none.

        `change` must do the same again if it is called again.
        """
        ...

    async def drop_endpoint(self, project: str, endpoint_id: str) -> bool:
        """Remove an endpoint and what it has yet to hear; False if there is none."""
        ...

    async def usage(self) -> Usage:
        """How much is stored, over all projects."""
        ...

    async def close(self) -> None:
        """Finish what is being written and give files and connections back."""
        ...
