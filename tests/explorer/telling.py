"""An engine for the explorer: it answers at once, or word by word as the test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.errors import UpstreamError
from catena.upstream import Prompt
from catena.upstream.scripted import prompt_items
from tests.explorer.sample import answering, text_of

__all__ = ["Telling"]


class Telling:
    """Says what the sample says. A message that begins with "Slowly" is answered in two halves, the second when
    `go_on` is set; one that begins with "Break off" fails in the middle; one that begins with "Say " is answered with
    what follows."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    def script(self, prompt: Prompt) -> Iterable[Chunk | Exception | asyncio.Event]:
        asked = text_of(prompt_items(prompt)[-1])
        if asked.startswith("Slowly"):
            return [TextDelta("The first half"), self.go_on, TextDelta(" and the **second** half."), *END]
        if asked.startswith("Break off"):
            return [
                TextDelta("As far as"),
                UpstreamError("The engine went away.", upstream_status=502, code=None),
            ]
        if asked.startswith("Say "):
            return [TextDelta(asked.removeprefix("Say ")), *END]
        return answering(prompt)


END = (UsageReport(input_tokens=20, output_tokens=5, cached_tokens=4), Finish("stop"))
