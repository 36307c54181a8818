"""The optional settings of a request that a chat engine is given, and those that it is not, which clients are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from operator import attrgetter
from typing import Any, Final

import msgspec

from catena.wire.request import CreateRequest

__all__ = ["NOT_TOLD", "PASSED", "passed"]

PASSED: Final = (
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
"""What has the same name in the chat dialect, and what not every engine of that takes."""

_given: Final = attrgetter(*PASSED)

NOT_TOLD: Final = frozenset({"metadata"})
"""What is this server's business in the first place, so that nothing is left out where the engine is not given it."""


def passed(
    request: CreateRequest, options: Mapping[str, Any], passes: Set[str]
) -> tuple[dict[str, Any], Sequence[str]]:
    """The options with the settings that an engine takes and without those that it does not; and which are left out."""
    if not any(_given(request)) and "verbosity" not in options:
        return dict(options), ()
    made = dict(options)
    left_out: list[str] = []
    for name, given in zip(PASSED, _given(request), strict=True):
        value = msgspec.to_builtins(given) if given else None
        if not value:
            continue
        if name in passes:
            made[name] = value
        else:
            made.pop(name, None)
            if name not in NOT_TOLD:
                left_out.append(name)
    if "verbosity" in made and "verbosity" not in passes:
        del made["verbosity"]
        left_out.append("text.verbosity")
    return made, left_out
