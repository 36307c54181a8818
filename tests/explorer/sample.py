"""Trees to look at: one with branches as a person would make it, others for the list, and one of five hundred turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.upstream import Prompt
from catena.upstream.scripted import prompt_items

__all__ = ["answering", "grow_forest", "grow_large"]

_PLAN: Final = """Three unhurried days, Ada:

1. **Alfama and the river.** Tram 28 before nine, then down on foot.
2. **Belém.** The monastery, and custard tarts while they are warm.
3. **Sintra by train.** Go early; the palaces fill up by eleven.

Shall I look for places to stay near *Graça*?"""

_TABLE: Final = """Here it is, with what each day costs for two:

| Day | Morning | Afternoon | About |
|---|---|---|---|
| Fri | Tram 28, Alfama | Castle, fado | €64 |
| Sat | Belém | MAAT, river walk | €58 |
| Sun | Sintra | Quinta da Regaleira | €71 |

The train to Sintra is `€2.45` each way."""

_CHEAP: Final = """Under €100 is easy if you walk:

- Viewpoints cost nothing: *Graça*, *Santa Luzia*, *São Pedro de Alcântara*.
- Sunday mornings most museums are free for residents only, so skip them.
- Eat at a *tasca* at noon: soup, fish and coffee for €11."""

_RAIN: Final = """Rain moves things indoors, but not by much:

- **Friday:** the tile museum instead of the castle.
- **Saturday:** stays as it is; Belém is mostly roofs.
- **Sunday:** swap Sintra for the Gulbenkian."""

_RAIN_MINI: Final = """Rain moves things indoors, but only a little:

- **Friday:** the tile museum instead of the castle.
- **Saturday:** the aquarium instead of Belém.
- **Sunday:** swap Sintra for the Gulbenkian."""

_NAME: Final = "You are Ada, and you leave on Friday with one small bag."
_PACK: Final = (
    "Shoes with grip for wet tiles, a light coat, a card for the trams. No umbrella: the wind takes it."
)
_CODE: Final = """A few lines are enough:

```python
days = {"Fri": 64, "Sat": 58, "Sun": 71}
print(sum(days.values()))  # 193
```

So **€193** for both of you, without the room."""

ANSWERS: Final = {
    "I am Ada. Three days in Lisbon, no rush.": _PLAN,
    "As a table, with costs": _TABLE,
    "Add it up for me": _CODE,
    "Can we stay under €100?": _CHEAP,
    "And if it rains?": _RAIN,
    "What should I pack?": _PACK,
    "Who am I, and when do I leave?": _NAME,
    "Somewhere quiet for the last evening": "The garden of *Estrela*, an hour before it closes.",
    "And for breakfast?": "Toast at the counter, standing, with a *galão*. It is how the city wakes up.",
}


def answering(prompt: Prompt) -> Iterable[Chunk]:
    """What the sample's engine says: the answer of the sample, or the question again, word by word."""
    items = prompt_items(prompt)
    asked = text_of(items[-1])
    mini = "mini" in prompt.model and asked == "And if it rains?"
    text = _RAIN_MINI if mini else ANSWERS.get(asked, f"You said: {asked}")
    words = text.split(" ")
    for position, word in enumerate(words):
        yield TextDelta(word if position == 0 else f" {word}")
    read = sum(len(fragment) // 4 for fragment in prompt.fragments)
    cached = sum(len(fragment) // 4 for fragment in prompt.fragments[:-1])
    yield UsageReport(input_tokens=read, output_tokens=len(text) // 4, cached_tokens=cached)
    yield Finish("stop")


def text_of(item: dict[str, Any]) -> str:
    """The words of a message of a prompt."""
    content = item.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


async def grow_forest(client: Any) -> dict[str, str]:
    """Several trees, the last of them the one to look at; the ids of its turns by a short name."""
    for question in (
        "Why does the sea look green near the shore?",
        "Rename these columns to snake_case",
        "A birthday toast for my sister, two minutes, no jokes about age",
        "Compare B-trees and LSM-trees for a write-heavy log",
        "Draft a reply to the landlord",
    ):
        await client.responses.create(model="gpt-4o", input=question)
    ids: dict[str, str] = {}

    async def turn(name: str, words: str, after: str | None = None, model: str = "gpt-4o") -> None:
        made = await client.responses.create(
            model=model, input=words, previous_response_id=ids[after] if after else None, stream=True
        )
        async for event in made:
            if event.type == "response.created":
                ids[name] = event.response.id

    await turn("root", "I am Ada. Three days in Lisbon, no rush.")
    await turn("table", "As a table, with costs", "root")
    await turn("sum", "Add it up for me", "table", "gpt-4o-mini")
    await turn("name", "Who am I, and when do I leave?", "sum")
    await turn("cheap", "Can we stay under €100?", "root", "gpt-4o-mini")
    await turn("breakfast", "And for breakfast?", "cheap")
    await turn("rain", "And if it rains?", "table")
    await turn("rain-mini", "And if it rains?", "table", "gpt-4o-mini")
    await turn("pack", "What should I pack?", "rain")
    await turn("quiet", "Somewhere quiet for the last evening", "rain")
    return ids


def large_shape(turns: int, branches: int) -> list[int]:
    """The parent of each turn of a tree, by its number; that of the first is -1."""
    parents, tips = [-1], [0]
    for number in range(1, turns):
        forks = len(tips) < branches and number % (turns // branches) == 0
        parent = (number * 31 // 7) % number if forks else tips[(number // 5) % len(tips)]
        if parent in tips:
            tips.remove(parent)
        parents.append(parent)
        tips.append(number)
    return parents


async def grow_large(client: Any, *, turns: int = 500, branches: int = 40) -> str:
    """A tree of so many turns that ends in so many branches; the id of its root."""
    parents = large_shape(turns, branches)
    ids: dict[int, str] = {}

    async def turn(number: int) -> None:
        made = await client.responses.create(
            model="gpt-4o-mini" if number % 3 == 0 else "gpt-4o",
            input=f"Part {number}: and what happened then?" if number else "A long story, please",
            previous_response_id=ids[parents[number]] if number else None,
        )
        ids[number] = made.id

    # What has the same depth is made at the same time: it is committed together.
    level = [0]
    while level:
        await asyncio.gather(*[turn(number) for number in level])
        level = [number for number, parent in enumerate(parents) if parent in level]
    return ids[0]
