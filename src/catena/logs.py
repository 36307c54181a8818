"""What the server writes to its error output: lines of text, or one JSON object in each line.

Where a message was logged with fields, as requests are, the object has them one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from catena.config import LogSettings

__all__ = ["JsonLines", "keep_logs"]

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonLines(logging.Formatter):
    """Formats records as JSON: time, level, logger and message, and the fields if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.args, Mapping):
            told.update(record.args)
        else:
            told["message"] = record.getMessage()
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return _encode(told).decode()


def keep_logs(settings: LogSettings, *, requests: bool, stream: TextIO | None = None) -> None:
    """Write what is logged from now on to `stream`, by default the error output; with `requests`, a line for each."""
    handler = logging.StreamHandler(stream)
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("catena").setLevel(settings.level.upper())
    # A line for each request is wanted or not, whatever else is.
    logging.getLogger("catena.access").setLevel(logging.INFO if requests else logging.WARNING)
