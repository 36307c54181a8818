"""Which request this is: the ids that clients and proxies bring along, and ours where they bring none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from catena import traceparent
from catena.errors import BadRequest

__all__ = ["Correlation"]

_SANE: Final = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")
_PRINTABLE: Final = re.compile(r"[ -~]{1,512}")


class Correlation:
    """`request_id` is what our logs and the client's reply call a request: the one that it came with, if that is sane.
    `client_id` is the client's own name for it, which is only echoed and logged."""

    __slots__ = ("_wrong", "client_id", "request_id")

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        given = str(headers[b"x-request-id"], "latin-1") if b"x-request-id" in headers else ""
        self.request_id = given if given and _SANE.fullmatch(given) else "req_" + os.urandom(16).hex()
        self.client_id: str | None = None
        self._wrong = False
        if b"x-client-request-id" in headers:
            self._take(str(headers[b"x-client-request-id"], "latin-1"))
        if b"traceparent" in headers:
            given = str(headers[b"traceparent"], "latin-1").strip()
            traceparent.passed_on.set(traceparent.accepted(given))

    def _take(self, client_id: str) -> None:
        if _PRINTABLE.fullmatch(client_id):
            self.client_id = client_id
        else:
            self._wrong = True

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the reply says of it."""
        head = [(b"x-request-id", self.request_id.encode())]
        if self.client_id is not None:
            head.append((b"x-client-request-id", self.client_id.encode()))
        return head

    def check(self) -> None:
        """Raise BadRequest for a client's id that the API does not take."""
        if self._wrong:
            raise BadRequest(
                "Invalid 'X-Client-Request-Id': expected at most 512 printable ASCII characters.",
                param="X-Client-Request-Id",
                code="invalid_value",
            )
