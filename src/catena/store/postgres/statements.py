"""The statements of queries.sql, made ready: parts put in, parameters numbered and given their types.

In the file a parameter has a name, `:tree`, and `{pieces}` stands for another entry. PostgreSQL wants numbers, and has
to guess types where nothing tells them; here each name has one type, everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from catena.store.paging import Page
from catena.store.sql import load_queries

__all__ = ["OF_DAYS", "Q", "Statement", "ordered", "statement"]

_SQL: Final = load_queries("catena.store.postgres")
_PART: Final = re.compile(r"\{(\w+)\}")
_PARAMETER: Final = re.compile(r"(?<!:):([a-z]\w*)")

_TYPES: Final[Mapping[str, str]] = {
    name: kind
    for kind, names in {
        "bytea": "tree id parent model payloads fields input output cuts request hash content key_name key_body chunks "
        "metadata tip conversation head document document_before name body body_before blob digest filename purpose "
        "until_tree first_tree last_tree begun_before",
        "bytea[]": "names ids trees hashes contents labels sealed_labels foreign_ids but names found_trees found_ids",
        "bool[]": "in_items",
        "float8[]": "amounts",
        "bigint[]": "sizes",
        "smallint": "door status days shards",
        "integer": "fence batch version edge piece",
        "bigint": "created_at after limit since created_after created_before before_time expires_at size time most",
        "boolean": "listed searched done",
        "float8": "lease notify_at due now until next seconds",
        "text": "query project after_project owner subject event_type endpoint before kind holder",
        "text[]": "vectors event_types holders projects befores tables",
    }.items()
    for name in names.split()
}
"""What each parameter is, in whichever statement."""


class Statement(msgspec.Struct, frozen=True):
    """SQL with numbered parameters, and their names in that order."""

    sql: str
    names: Sequence[str]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """What is passed for the parameters; `values` may have more than that."""
        return [values[name] for name in self.names]


def statement(name: str, **parts: str) -> Statement:
    """The statement under this name, with `parts` in its places and else the entries that are called so."""

    def part(match: re.Match[str]) -> str:
        found = parts.get(match[1])
        return _PART.sub(part, found if found is not None else _SQL[match[1]])

    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}::{_TYPES[match[1]]}"

    sql = _PARAMETER.sub(numbered, _PART.sub(part, _SQL[name]))
    return Statement(sql, names)


_PARTS: Final = {
    "belongings",
    "columns",
    "pieces",
    "pieces_of_tree",
    "item_pieces",
    "wanted",
    "claim_free",
    "unsealed_turn",
    "labelled",
    "among_few",
    "among_many",
    "threshold",
    "judged_trees",
    "these_trees",
    "all_trees",
    "touched_among",
    "keep_touched",
    "due_trees",
    "walk_trees",
    "survivors",
    "count_survivors",
    "count_turns",
    "move_from_rest",
    "copy_kept",
    "forget_copied",
    "copy_touched",
    "any_turn",
    "of_their_days",
    "keep_survivors",
}
_IN_ORDER: Final = {"list_listed", "list_conversations", "walk", "list_documents", "list_files"}
_ALL_PLACES: Final = {"turns": "turns", "conversations": "conversations"}
_ORDERS: Final = {
    "ascending": {"beyond": ">", "direction": "ASC"},
    "descending": {"beyond": "<", "direction": "DESC"},
}


def ordered(name: str, page: Page) -> Statement:
    """A statement that lists, in the order of a page."""
    return Q[f"{name}_{'ascending' if page.ascending else 'descending'}"]


Q: Final[Mapping[str, Statement]] = {
    **{name: statement(name, found="", where="true") for name in _SQL.keys() - _PARTS - _IN_ORDER},
    **{
        f"{name}_{order}": statement(name, found="", **parts)
        for name in _IN_ORDER
        for order, parts in _ORDERS.items()
    },
    **{
        f"walk_{how}_{order}": statement("walk", found=f"{{among_{how}}}", **parts)
        for how in ("few", "many")
        for order, parts in _ORDERS.items()
    },
    "judged_trees": statement("judged_trees", which="{these_trees}", **_ALL_PLACES),
    "due_trees": statement("due_trees", which="{all_trees}", **_ALL_PLACES),
    **{
        f"newest_wanted_{how}": statement("newest_wanted", found=f"{{among_{how}}}")
        for how in ("few", "many")
    },
}
"""All of them; those that list have one for each order, and those that may look for words one for that."""

OF_DAYS: Final[Mapping[str, Statement]] = {
    Q[name].sql: statement(name, where="{of_their_days}")
    for name in ("renew", "waiting_among", "to_word", "drop_unworded")
}
"""Those about several trees that can say of which days these are, by what they are without."""
