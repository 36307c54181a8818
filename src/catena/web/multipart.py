"""Forms with files in them (`multipart/form-data`, RFC 7578), read as they arrive.

The parser is fed bytes and gives events; it holds no more of the form than the headers of one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from catena.errors import BadRequest

__all__ = ["FormEvent", "FormParser", "PartBegin", "PartData", "PartEnd", "boundary_of"]

_MOST_PARTS: Final = 64


class PartBegin(msgspec.Struct, frozen=True):
    """A field of the form, or a file, which has a name of its own."""

    name: str
    filename: str | None = None


class PartData(msgspec.Struct, frozen=True):
    """Some of what the part holds."""

    data: bytes


class PartEnd(msgspec.Struct, frozen=True):
    """The part is whole."""


FormEvent: TypeAlias = PartBegin | PartData | PartEnd


def boundary_of(content_type: str | None) -> bytes:
    """What separates the parts. Raises BadRequest for a body that is no such form."""
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        raise BadRequest(
            "Invalid content type: expected 'multipart/form-data', with the contents in the part 'file'.",
            code="invalid_value",
        )
    if not options.get(b"boundary"):
        raise _broken("its content type names no boundary")
    return options[b"boundary"]


class FormParser:
    """Bytes in, events out. Raises BadRequest for what is no such form."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[FormEvent] = []
        self._parts = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_to_name,
                    "on_header_value": self._add_to_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._end_all,
                },
            )
        except FormParserError as error:
            raise _broken("its boundary is too long") from error

    def feed(self, data: bytes) -> Sequence[FormEvent]:
        """What `data` adds."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _broken("its parts are not as they should be") from error
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """There is no more. Raises BadRequest if there should be."""
        if not self._ended:
            raise _broken("it ends in the middle")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken(f"it has more than {_MOST_PARTS} parts")
        self._headers = {}

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise _broken("one of its parts has no name")
        filename = options.get(b"filename")
        self._events.append(PartBegin(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartData(data[start:end]))

    def _end(self) -> None:
        self._events.append(PartEnd())

    def _end_all(self) -> None:
        self._ended = True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _broken(why: str) -> BadRequest:
    return BadRequest(f"Invalid body: it is no valid form: {why}.", code="invalid_form")
