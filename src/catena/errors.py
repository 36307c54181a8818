"""The one tree of errors a client can be told about.

    CatenaError
    ├── BadRequest                    400  the request is wrong; `param` names the place
    │   └── PreviousResponseNotFound  400  the parent is unknown, deleted, expired or another project's
    ├── Unauthorized                  401  no key, or a wrong one
    ├── Forbidden                     403  the key may not do this
    ├── NotFound                      404  no such response, item, model or route
    ├── MethodNotAllowed              405  the route exists, not with this method
    ├── PayloadTooLarge               413  the body is over the limit
    ├── TooManyRequests               429  over a limit of ours
    ├── UpstreamError                 502  the engine's fault, never ours or the client's; has its own status
    ├── Interrupted                   503  a stream goes on, but not here: its connection is closed
    └── StoreUnavailable              503  the store cannot be reached or written

Each class knows its HTTP status and envelope, so that one handler answers for all of them. What is
not in this tree is a bug: logged with its traceback and answered by a plain 500 that reveals nothing.

The envelope and the wordings are those of the official API (spec §10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "CatenaError",
    "Forbidden",
    "Interrupted",
    "MethodNotAllowed",
    "NotFound",
    "PayloadTooLarge",
    "PreviousResponseNotFound",
    "StoreUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UpstreamError",
]


class CatenaError(Exception):
    """The server had an error while processing your request."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0]
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        super().__init__(self.message)

    @property
    def http_status(self) -> int:
        """The status of the reply, where the error comes before the first byte."""
        return self.status

    def body(self) -> dict[str, Any]:
        """The inside of the official envelope `{"error": …}`."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


class BadRequest(CatenaError):
    """The request is invalid."""

    status = 400
    type = "invalid_request_error"


class PreviousResponseNotFound(BadRequest):
    """Previous response not found."""

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f"Previous response with id '{response_id}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )


class ConversationLocked(BadRequest):
    """Another process is currently operating on this conversation. Please retry in a few seconds."""

    def __init__(self) -> None:
        super().__init__(param="conversation", code="conversation_locked")


class Unauthorized(CatenaError):
    """Incorrect API key provided."""

    status = 401
    type = "invalid_request_error"


class Forbidden(CatenaError):
    """You have insufficient permissions for this operation."""

    status = 403
    type = "invalid_request_error"


class NotFound(CatenaError):
    """Not found."""

    status = 404
    type = "invalid_request_error"


class ConversationNotFound(NotFound):
    """Conversation not found."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"Conversation with id '{conversation_id}' not found.")


class MethodNotAllowed(CatenaError):
    """Method not allowed."""

    status = 405
    type = "invalid_request_error"


class PayloadTooLarge(CatenaError):
    """The request body is too large."""

    status = 413
    type = "invalid_request_error"


class TooManyRequests(CatenaError):
    """Rate limit reached."""

    status = 429
    type = "rate_limit_error"


class UpstreamError(CatenaError):
    """The engine behind this server failed.

    `upstream_status` is the status of the reply to our client: 400 and 404 where the engine refused the
    request itself, 429 where it is busy, 502 where it failed or cannot be reached, 503 where it says that it
    cannot serve now, 504 where it was too slow. `retryable` says that the same request may succeed on another
    try or another base URL, and that the engine had produced nothing yet.
    """

    status = 502
    type = "upstream_error"

    def __init__(
        self,
        message: str | None = None,
        *,
        upstream_status: int = 502,
        retryable: bool = False,
        retry_after: float | None = None,
        param: str | None = None,
        code: str | None = "upstream_error",
    ) -> None:
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        super().__init__(message, param=param, code=code, headers=headers)
        self.upstream_status = upstream_status
        self.retryable = retryable
        self.retry_after = retry_after

    @property
    def http_status(self) -> int:
        return self.upstream_status

    def body(self) -> dict[str, Any]:
        return {**super().body(), "type": _UPSTREAM_TYPES.get(self.upstream_status, self.type)}


# Where the engine's answer is about the request, clients see the type that they know for it.
_UPSTREAM_TYPES = {
    **dict.fromkeys((400, 404, 413, 422), "invalid_request_error"),
    429: TooManyRequests.type,
}


class Interrupted(CatenaError):
    """The stream goes on, but not here. Please ask for the rest of it."""

    status = 503


class StoreUnavailable(CatenaError):
    """The store cannot be reached; nothing was stored. Please try again."""

    status = 503

    def __init__(self, message: str | None = None, *, advice: str = "") -> None:
        """`advice` is what the operator can do; clients are not told."""
        super().__init__(message, code="store_unavailable", headers={"retry-after": "1"})
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()
