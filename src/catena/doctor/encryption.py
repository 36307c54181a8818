"""Whether the keys are there that the contents of a database file are encrypted with. Nothing is made or changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from catena.doctor.finding import Finding
from catena.errors import CatenaError
from catena.store.sql import load_queries
from catena.store.unlocking import RECORD_ID, RECORD_KIND, unlock

__all__ = ["examine_encryption"]

_SUBJECT: Final = "encryption"
_Q: Final = load_queries("catena.store.sqlite")


def examine_encryption(connection: apsw.Connection, key_file: Path | None) -> Iterator[Finding]:
    """What there is to say about the keys of a database whose tables are those of this version."""
    place = {"kind": RECORD_KIND, "project": "", "id": RECORD_ID}
    record = next((body for _, body in connection.execute(_Q["document"], place)), None)
    if record is None:
        if key_file is not None:
            yield Finding(_SUBJECT, "ok", f"contents are encrypted from the next start on, with {key_file}")
        return
    try:
        unlock(record, key_file)
    except CatenaError as error:
        advice = "Bring the file back, or restore a backup of it: without its keys nothing can be read."
        yield Finding(_SUBJECT, "failure", error.message, advice)
    else:
        yield Finding(_SUBJECT, "ok", f"contents are encrypted, and their keys are in {key_file}")
