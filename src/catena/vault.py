"""Summaries and thoughts as `encrypted_content`, and back: what `context.sealed` opens, under a project's seals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from catena.context.sealed import NO_THOUGHT, Opener, Summary, Thought
from catena.errors import BadRequest
from catena.seal import BrokenSeal, Seals, UnknownKey
from catena.wire.response import Item

__all__ = ["Vault"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Summary | Thought).decode


class Vault:
    """See the module."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def seal(self, project: str, content: Summary | Thought) -> str:
        """What stands as `encrypted_content`. Raises CatenaError if there is no key for it."""
        return self._seals.seal(project, _encode(content))

    def opener(self, project: str) -> Opener:
        """Opens what was sealed for a project.

        What cannot be opened any more, as its key is gone, holds nothing: the turns that a compaction stands for are
        there themselves. New input is checked before (`check`).
        """

        def open_sealed(token: str) -> Summary | Thought | None:
            try:
                return self._opened(project, token)
            except BrokenSeal:
                return NO_THOUGHT

        return open_sealed

    def _opened(self, project: str, token: str) -> Summary | Thought | None:
        content = self._seals.open(project, token)
        try:
            return None if content is None else _decode(content)
        except msgspec.DecodeError:
            raise BrokenSeal from None

    def check(self, project: str, items: Sequence[Item], *, engine_reads: bool) -> None:
        """Raise BadRequest, naming the place, for input that cannot be opened.

        Unless the engine reads what others sealed, that is every compaction which this server did not make; foreign
        reasoning is only withheld, as an answer does not depend on it. So is reasoning that an engine which is such a
        server itself has sealed with a key of its own.
        """
        for place, item in enumerate(items):
            sealed = item.get("encrypted_content")
            if not sealed:
                continue
            wanted = _KINDS.get(str(item.get("type")))
            if wanted is None:
                continue
            try:
                inside = self._opened(project, sealed)
            except BrokenSeal as error:
                if engine_reads and wanted is Thought and isinstance(error, UnknownKey):
                    continue
                raise _broken(place) from None
            foreign = inside is None and wanted is Summary and not engine_reads
            if foreign or (inside is not None and not isinstance(inside, wanted)):
                raise _broken(place)


_KINDS: Final[Mapping[str, type[Summary | Thought]]] = {"compaction": Summary, "reasoning": Thought}


def _broken(place: int) -> BadRequest:
    return BadRequest(
        "The encrypted content could not be verified. Send items with `encrypted_content` back as this server made "
        "them, to the project that they were made for.",
        param=f"input[{place}].encrypted_content",
        code="invalid_encrypted_content",
    )
