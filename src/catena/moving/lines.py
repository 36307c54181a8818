"""The lines of an export, each a JSON object: a header, then projects, documents, files and trees, and an end that
counts the trees.

Items and fields stand in them as the API tells them; bytes that are no text are in base64. A file without its end was
cut, and whoever reads it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from catena.store import Conversation, Door, Endpoint, Status, Turn
from catena.store.moving import TreeCopy, TreeName

__all__ = [
    "VERSION",
    "DocumentLine",
    "End",
    "FileLine",
    "Header",
    "Line",
    "PieceLine",
    "ProjectLine",
    "TreeLine",
    "decode_line",
    "encode_line",
]

VERSION: Final = 1
"""Of the format. What reads it takes this version and all that came before."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", omit_defaults=True):
    pass


class Header(_Line, frozen=True, kw_only=True, tag="catena"):
    """The first line. `created_at` is in unix seconds."""

    version: int
    created_at: int


class ProjectLine(_Line, frozen=True, kw_only=True, tag="project"):
    """A project, with the endpoints that its webhooks go to and their secrets."""

    name: str
    endpoints: Sequence[Endpoint] = ()


class DocumentLine(_Line, frozen=True, kw_only=True, tag="document"):
    """What is known of a project or of a key, whose secret is not in it."""

    kind: str
    id: str
    created_at: int
    body: Raw


class FileLine(_Line, frozen=True, kw_only=True, tag="file"):
    """A file that was uploaded; the lines that follow it have its pieces. `digest` is its SHA-256."""

    project: str
    id: str
    filename: str
    purpose: str
    created_at: int
    expires_at: int | None = None
    size: int
    digest: bytes


class PieceLine(_Line, frozen=True, kw_only=True, tag="piece"):
    """The next piece of the file whose line came last."""

    content: bytes


class _Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    parent: str | None = None
    door: Door = "responses"
    status: Status
    model: str
    created_at: int
    listed: bool = False
    deleted: bool = False
    input: Raw = Raw(b"[]")
    output: Raw = Raw(b"[]")
    fields: Raw = Raw(b"{}")
    cuts: bytes = b""


class _Conversation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created_at: int
    metadata: Raw
    tip: str


class TreeLine(_Line, frozen=True, kw_only=True, tag="tree"):
    """A tree with all its turns, parents first."""

    project: str
    tree: str
    turns: Sequence[_Turn]
    conversations: Sequence[_Conversation] = ()

    @classmethod
    def of(cls, copy: TreeCopy) -> TreeLine:
        """The line for a tree."""
        return cls(
            project=copy.name.project,
            tree=copy.name.tree,
            turns=[_told(turn) for turn in copy.turns],
            conversations=[
                _Conversation(
                    id=each.id, created_at=each.created_at, metadata=Raw(each.metadata), tip=each.tip
                )
                for each in copy.conversations
            ],
        )

    def copy(self, project: str | None = None) -> TreeCopy:
        """The tree in a line, for `project` or for the one that it was of."""
        name = TreeName(self.tree, project or self.project)
        return TreeCopy(
            name=name,
            turns=[_stored(turn, name) for turn in self.turns],
            conversations=[
                Conversation(
                    id=each.id, created_at=each.created_at, metadata=bytes(each.metadata), tip=each.tip
                )
                for each in self.conversations
            ],
        )


class End(_Line, frozen=True, kw_only=True, tag="end"):
    """The last line: how much stands before it."""

    trees: int
    turns: int


Line: TypeAlias = Header | ProjectLine | DocumentLine | FileLine | PieceLine | TreeLine | End

_encoder = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_items = msgspec.json.Decoder(list[dict[str, object]])


def encode_line(line: Line) -> bytes:
    """The line as it stands in a file, with its end."""
    return _encoder.encode(line) + b"\n"


def decode_line(text: bytes) -> Line:
    """Raises msgspec.MsgspecError for what is no line of an export."""
    return _decoder.decode(text)


def _told(turn: Turn) -> _Turn:
    return _Turn(
        id=turn.id,
        parent=turn.parent,
        door=turn.door,
        status=turn.status,
        model=turn.model,
        created_at=turn.created_at,
        listed=turn.listed,
        deleted=turn.deleted,
        input=Raw(turn.input),
        output=Raw(turn.output),
        fields=Raw(turn.fields),
        cuts=turn.cuts,
    )


def _stored(told: _Turn, name: TreeName) -> Turn:
    given, output = bytes(told.input), bytes(told.output)
    return Turn(
        project=name.project,
        id=told.id,
        tree=name.tree,
        parent=told.parent,
        door=told.door,
        status=told.status,
        model=told.model,
        created_at=told.created_at,
        listed=told.listed,
        deleted=told.deleted,
        input=given,
        output=output,
        fields=bytes(told.fields),
        cuts=told.cuts,
        foreign_ids=_foreign_ids(told.id, given, output),
    )


def _foreign_ids(turn_id: str, *columns: bytes) -> list[str]:
    """The ids of items that do not tell their turn."""
    ids = [str(item["id"]) for column in columns for item in _items.decode(column)]
    return [each for each in ids if each[-50:-4] != turn_id[-50:-4]]
