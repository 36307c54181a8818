"""What an engine's failure means for our client: one place that says whose fault it was.

    the request      400, 404     the engine's own words are passed on, as they tell what to change
    the load         429, 503     with how long to wait, where the engine tells
    our settings     502          its key for us, its address: the client can do nothing, the operator can
    the engine       502, 504     it failed, fell silent, hung up, or sent what cannot be understood

Every message names the engine as the configuration does. Addresses, keys and pages never get into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from catena.errors import UpstreamError
from catena.upstream.complaint import Complaint, read_complaint, understand_complaint
from catena.upstream.http import HttpError
from catena.upstream.overflow import Overflow, overflow_in

__all__ = ["Faults", "wait_asked_for"]

_OVERFLOW: Final = (
    "Your input exceeds the context window of this model. Please adjust your input and try again."
)
_MODEL_CODES: Final = frozenset({"model_not_found", "model_not_loaded", "invalid_model"})
_LONGEST_WAIT: Final = 3600.0

# What a chat engine calls the settings that our client knows under the names of the Responses API.
_PARAMS: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}


class Faults:
    """Turns the failures of the engine that is called `name` into errors. `secret` is what none may contain."""

    def __init__(self, name: str, *, secret: str = "") -> None:
        self._engine = f"The engine '{name}'"
        self._hide = (secret,) if secret else ()

    # Pure: what the engine said

    def refusal(self, status: int, body: bytes, *, retry_after: float | None = None) -> UpstreamError:
        """The error for a reply with a status other than 200."""
        said = read_complaint(body, hide=self._hide)
        return self._judged(status, said, retry_after, f" (HTTP {status})")

    def told(self, error: Any) -> UpstreamError:
        """The error for an error object inside an answer that had begun with status 200."""
        said = understand_complaint(error, hide=self._hide)
        return self._judged(said.status or _status_named(said), said)

    def gave_up(self, reason: str) -> UpstreamError:
        """The error for an engine that ended its answer by itself, for no reason of the request's."""
        shown = " ".join(reason.split())[:40]
        return UpstreamError(f"{self._engine} gave up within its answer (finish reason '{shown}').")

    def garbage(self, what: str) -> UpstreamError:
        """The error for an answer that cannot be understood; `what` follows the engine's name."""
        return UpstreamError(
            f"{self._engine} {what}. This server cannot use its answer.", code="upstream_protocol_error"
        )

    def cut(self) -> UpstreamError:
        """The error for an answer that ended without saying why."""
        return UpstreamError(
            f"{self._engine} ended its answer in the middle.", retryable=True, code="upstream_disconnected"
        )

    def _judged(
        self, status: int, said: Complaint, retry_after: float | None = None, sign: str = ""
    ) -> UpstreamError:
        if status in (401, 402, 403):
            return self._not_let_in(status, sign)
        if status == 429:
            return self._busy(said, retry_after)
        overflow = overflow_in(said.message, said.code, said.kind)
        if overflow is not None:
            return self._overflow(overflow, said)
        if status in (400, 413, 422) or _is_about_model(status, said):
            return self._refused(status, said, sign)
        if 300 <= status < 400 or status in (404, 405, 410):
            return self._not_there(sign)
        return self._failed(status, said, retry_after, sign)

    def _overflow(self, overflow: Overflow, said: Complaint) -> UpstreamError:
        size = overflow.size if overflow.size is not None else said.numbers.get("n_prompt_tokens")
        limit = overflow.limit if overflow.limit is not None else said.numbers.get("n_ctx")
        message = _OVERFLOW
        if limit is not None:
            had = "" if size is None else f"; the request has {size}"
            message += f" {self._engine} has room for {limit} tokens{had}."
        return UpstreamError(message, upstream_status=400, param="input", code="context_length_exceeded")

    def _refused(self, status: int, said: Complaint, sign: str) -> UpstreamError:
        if _is_about_model(status, said):
            return UpstreamError(
                f"{self._engine} does not have this model: {said.message or 'it does not say more'}",
                upstream_status=404 if status == 404 else 400,
                param="model",
                code="model_not_found",
            )
        why = f": {said.message}" if said.message else f" and does not say why{sign}."
        return UpstreamError(
            f"{self._engine} refused the request{why}",
            upstream_status=400,
            param=_our_param(said.param),
            code=said.code or None,
        )

    def _not_there(self, sign: str) -> UpstreamError:
        return _for_the_operator(
            f"{self._engine} is not at the address that this server asks{sign}. The request is not the cause: the "
            "operator of this server should check the engine's base URL.",
            code="upstream_protocol_error",
        )

    def _not_let_in(self, status: int, sign: str) -> UpstreamError:
        # Not a word of the engine's: it may repeat a part of the key.
        cause = (
            "the account is not paid for" if status == 402 else "its key for the engine is wrong or too weak"
        )
        return _for_the_operator(
            f"{self._engine} does not let this server in{sign}: {cause}. Your own key is not the cause; the operator "
            "of this server can repair it.",
            code="upstream_authentication_error",
        )

    def _busy(self, said: Complaint, retry_after: float | None) -> UpstreamError:
        if "insufficient_quota" in (said.code, said.kind):
            return _for_the_operator(
                f"This server has used up its quota at the engine. {self._engine} takes no requests until the "
                "operator of this server has renewed it.",
                status=429,
                code="insufficient_quota",
            )
        return UpstreamError(
            f"{self._engine} has too many requests. Please try again later.",
            upstream_status=429,
            retryable=True,
            retry_after=retry_after,
            code="rate_limit_exceeded",
        )

    def _failed(self, status: int, said: Complaint, retry_after: float | None, sign: str) -> UpstreamError:
        why = f": {said.message}" if said.message else "."
        if status in (503, 529):
            return UpstreamError(
                f"{self._engine} cannot take requests now{why}",
                upstream_status=503,
                retryable=True,
                retry_after=retry_after,
            )
        if status in (408, 504):
            return UpstreamError(
                f"{self._engine} ran out of time{sign}{why}",
                upstream_status=504,
                code="upstream_timeout",
            )
        return UpstreamError(f"{self._engine} failed{sign}{why}", retryable=status >= 500)

    # What the connection to it says

    def of_connection(self, error: HttpError) -> UpstreamError:
        """The error for a request that found no answer, or lost it on the way."""
        match error.kind:
            case "connect":
                return UpstreamError(
                    f"{self._engine} cannot be reached.", retryable=True, code="upstream_unreachable"
                )
            case "connect_timeout":
                return self._too_slow("did not accept a connection in time", retryable=True)
            case "first_timeout":
                return self._too_slow("did not begin its answer in time", retryable=True)
            case "between_timeout":
                return self._too_slow("fell silent within its answer", retryable=False)
            case "lost":
                return UpstreamError(
                    f"{self._engine} closed the connection in the middle of its answer.",
                    retryable=True,
                    code="upstream_disconnected",
                )
            case "protocol":
                return self.garbage("does not speak HTTP as it should")

    def _too_slow(self, what: str, *, retryable: bool) -> UpstreamError:
        return UpstreamError(
            f"{self._engine} {what}.", upstream_status=504, retryable=retryable, code="upstream_timeout"
        )


def wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """How many seconds a reply asks to wait; None if it does not say so in numbers."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds <= _LONGEST_WAIT:
            return seconds
    return None


def _for_the_operator(message: str, *, code: str, status: int = 502) -> UpstreamError:
    """An error that stays until somebody changes the configuration: the official SDKs are told not to try again."""
    error = UpstreamError(message, upstream_status=status, code=code)
    error.headers["x-should-retry"] = "false"
    return error


def _status_named(said: Complaint) -> int:
    """The status that an error within a stream amounts to, from its code and type."""
    names = f"{said.code} {said.kind}".lower()
    if "rate_limit" in names or "insufficient_quota" in names:
        return 429
    if "invalid" in names or "bad_request" in names or "badrequest" in names:
        return 400
    if "overloaded" in names or "unavailable" in names or "slow_down" in names:
        return 503
    return 500


def _is_about_model(status: int, said: Complaint) -> bool:
    if said.code in _MODEL_CODES:
        return True
    return status == 404 and "model" in f"{said.message} {said.param}".lower()


def _our_param(param: str) -> str | None:
    name, dot, rest = param[:200].partition(".")
    name, bracket, index = name.partition("[")
    return f"{_PARAMS.get(name, name)}{bracket}{index}{dot}{rest}" or None
