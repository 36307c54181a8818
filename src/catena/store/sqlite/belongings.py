"""What a turn has outside its row: payloads, items whose ids do not tell it, its request's key.

Everything here is a part of a transaction that the store's writer has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import apsw
import msgspec

from catena.store import RequestKey
from catena.store.rows import Prepared, decode_places, id_of
from catena.store.sqlite.statements import load_statements

__all__ = ["add_payloads", "drop", "drop_payloads", "hashes_in", "keep"]

_Q: Final = load_statements()

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


def keep(connection: apsw.Connection, number: int, prepared: Prepared, project: int) -> None:
    """Store what belongs to the turn in this row, beside what was stored for it before."""
    turn = prepared.turn
    add_payloads(connection, number, prepared.columns["tree"], prepared.contents)
    for item_id in turn.foreign_ids:
        connection.execute(_Q["add_foreign_item"], {"project": project, "id": item_id, "turn": number})
    if turn.key is not None:
        _keep_key(connection, project, turn.key, turn.id, turn.created_at)


def drop(connection: apsw.Connection, number: int) -> None:
    """Drop what belongs to the turn in this row, while the row still says what that is."""
    ((tree, rest, project, given, output, payloads),) = connection.execute(
        _Q["belongings"], {"number": number}
    )
    drop_payloads(connection, number, tree, hashes_in(payloads))
    stem = id_of(tree, rest)[-50:-4]
    for items in (given, output):
        for item in _decode_items(items or b"[]"):
            _drop_foreign_item(connection, number, project, item.get("id", ""), stem)


def hashes_in(payloads: bytes | None) -> set[bytes]:
    """The hashes in a column of places."""
    return {place.hash for place in decode_places(payloads)} if payloads else set()


def add_payloads(
    connection: apsw.Connection, number: int, tree: bytes, contents: Mapping[bytes, bytes]
) -> None:
    """Have the turn in this row use these, each of which is stored once in its tree."""
    for digest, content in contents.items():
        connection.execute(_Q["add_payload"], {"tree": tree, "hash": digest, "content": content})
        connection.execute(_Q["use_payload"], {"tree": tree, "hash": digest, "turn": number})


def drop_payloads(connection: apsw.Connection, number: int, tree: bytes, hashes: Iterable[bytes]) -> None:
    """The turn in this row uses these no more; what nobody uses goes."""
    for digest in hashes:
        what = {"tree": tree, "hash": digest, "number": number}
        connection.execute(_Q["unuse_payload"], what)
        connection.execute(_Q["drop_unused_payload"], what)


def _drop_foreign_item(
    connection: apsw.Connection, number: int, project: int, item_id: str, stem: str
) -> None:
    if stem not in item_id:
        connection.execute(_Q["drop_foreign_item"], {"project": project, "id": item_id, "number": number})


def _keep_key(
    connection: apsw.Connection, project: int, key: RequestKey, turn_id: str, created_at: int
) -> None:
    use = {"project": project, "name": key.name, "body": key.body, "turn": turn_id, "created_at": created_at}
    connection.execute(_Q["keep_key"], use)
    connection.execute(_Q["drop_old_keys"], {"created_at": created_at})
