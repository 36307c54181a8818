"""Compaction: the model sums up its context, and from then on the summary stands for it.

    a trigger as the last item of an input    the response has the compaction item and nothing else
    `context_management` with a threshold     the item follows the answer that has grown the context beyond it

The item holds the summary, sealed, with the system messages and settings that stay in force word for word. Old turns
stay stored; they are only shown to no engine any more. An engine that speaks the Responses API compacts by itself.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.bounds import Material, answered
from catena.chunks import Chunk, Finish, ItemDone, ItemEvent, ItemStarted, TextDelta, UsageReport
from catena.context.estimate import estimated_tokens
from catena.context.ledger import NOTHING_OPEN, call_id_of, open_after
from catena.context.sealed import Summary
from catena.errors import CatenaError, UpstreamError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.planning import Plan
from catena.taps import Tapped
from catena.tool_shapes import is_call
from catena.upstream import CHAT_DIALECTS, Prompt
from catena.wire.response import Item

__all__ = ["added", "compacted", "compacting", "summed_up"]

log = logging.getLogger("catena.runs")

_LONGEST: Final = 2048
"""Tokens of a summary at most."""

_REQUEST: Final = (
    "Sum up our conversation so far, for yourself: you will go on with nothing but this summary. Keep every fact, "
    "name, number, decision, open question and unfinished task that may still matter, what was asked last, and what "
    "the tools that you called told you. Write plain sentences or short lists, {words} words at most, and nothing "
    "besides the summary."
)

_encode = msgspec.json.Encoder().encode


async def compacted(plan: Plan) -> Tapped[Sequence[Chunk]]:
    """The answer to a trigger: the compaction of the context that came with it. Raises UpstreamError."""
    yield [ItemStarted(_item("")), ItemEvent("response.compaction.compacting", {})]
    sealed, usage = await summed_up(plan, ())
    yield [ItemDone(_item(sealed)), usage, Finish("stop")]


async def compacting(plan: Plan, answer: Tapped[Sequence[Chunk]], threshold: int) -> Tapped[Sequence[Chunk]]:
    """An answer, and behind it a compaction if the context has grown to `threshold` tokens with it.

    If that fails, the answer stands as it is, and the next one tries again.
    """
    told: list[Chunk] = []
    held: list[Chunk] = []
    async with contextlib.aclosing(answer):
        async for chunks in answer:
            told += chunks
            held += [chunk for chunk in chunks if isinstance(chunk, UsageReport | Finish)]
            rest = [chunk for chunk in chunks if not isinstance(chunk, UsageReport | Finish)]
            if rest:
                yield rest
    usage = next((chunk for chunk in reversed(held) if isinstance(chunk, UsageReport)), None)
    ended = any(isinstance(chunk, Finish) and chunk.reason in ("stop", "tool_calls") for chunk in held)
    output = _output(plan, told)
    if not ended or _size(plan, usage, output) < threshold:
        yield held
        return
    try:
        sealed, spent = await summed_up(plan, output)
    except CatenaError as error:
        log.warning("%s is not compacted: %s", plan.response.id, error.message)
        yield held
        return
    item = _item(sealed)
    made: list[Chunk] = [
        ItemStarted(_item("")),
        ItemEvent("response.compaction.compacting", {}),
        ItemDone(item),
    ]
    finish = [chunk for chunk in held if isinstance(chunk, Finish)]
    yield [*made, spent if usage is None else added(usage, spent), *finish]


def _item(sealed: str) -> Item:
    return {"type": "compaction", "encrypted_content": sealed}


def _output(plan: Plan, chunks: Sequence[Chunk]) -> list[Item]:
    """The items that these chunks make."""
    trial = Fold(plan.response, TurnIds.of(plan.response.id))
    trial.feed([*plan.offer.chunks, *chunks])
    output = trial.response.output
    assert not isinstance(output, msgspec.Raw)
    return output


def _size(plan: Plan, usage: UsageReport | None, output: Sequence[Item]) -> int:
    if usage is not None:
        return usage.input_tokens + usage.output_tokens
    fragments = [*plan.prompt.fragments, _encode(list(output))[1:-1]]
    return estimated_tokens([each for each in fragments if each], plan.prompt.options)


def added(first: UsageReport, second: UsageReport) -> UsageReport:
    """What two answers took together."""
    return UsageReport(
        *(getattr(first, name) + getattr(second, name) for name in UsageReport.__struct_fields__)
    )


# The summary


async def summed_up(plan: Plan, output: Sequence[Item]) -> tuple[str, UsageReport]:
    """The plan's context with this output as a sealed summary, and what that took. Raises UpstreamError."""
    pieces: list[str] = []
    usage = UsageReport(0, 0)
    is_cut = False
    material, prompt = await _asked(plan, output)
    auto = plan.request.truncation == "auto"
    async with contextlib.aclosing(answered(plan.upstream, material, prompt, auto=auto)) as answer:
        async for chunks in answer:
            for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    pieces.append(chunk.text)
                elif isinstance(chunk, UsageReport):
                    usage = chunk
                elif isinstance(chunk, Finish):
                    is_cut = chunk.reason == "length"
    if is_cut:  # what came last would be missing
        raise UpstreamError(
            f"The engine was asked to sum up the conversation, and was not done after {_longest(plan)} tokens."
        )
    text = "".join(pieces).strip()
    if not text:
        raise UpstreamError("The engine was asked to sum up the conversation, and said nothing.")
    return plan.vault.seal(plan.project, Summary(text, _kept(plan))), usage


async def _asked(plan: Plan, output: Sequence[Item]) -> tuple[Material, Prompt]:
    """The context with its output, and the request for its summary. Calls that wait are shown by themselves later."""
    waiting = open_after(NOTHING_OPEN, output)
    said = [item for item in output if not (is_call(item) and call_id_of(item) in waiting)]
    context = plan.question.material.context
    asked = _REQUEST.format(words=_longest(plan) // 2)
    request = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": asked}]}
    own = [*context.own, context.writer.render([*said, request])]
    material = replace(plan.question.material, context=replace(context, own=own))
    prompt = replace(plan.prompt, fragments=await material.fragments(), options=_options(plan))
    return material, prompt


def _longest(plan: Plan) -> int:
    """How many tokens the summary may have."""
    threshold = plan.question.compact_at
    # What is longer would soon have to be compacted itself.
    return _LONGEST if threshold is None else min(_LONGEST, threshold // 4)


def _options(plan: Plan) -> dict[str, Any]:
    if plan.upstream.dialect in CHAT_DIALECTS:
        return {"max_tokens": _longest(plan)}
    options: dict[str, Any] = {"max_output_tokens": _longest(plan), "store": False}
    if plan.request.instructions:
        options["instructions"] = plan.request.instructions
    return options


def _kept(plan: Plan) -> list[Item]:
    """What stays in force word for word, the oldest first."""
    items = [item for turn in plan.question.material.context.turns() for item in turn.standing]
    opener = plan.vault.opener(plan.project)
    kept: list[Item] = []
    for item in [*items, *plan.question.material.context.standing]:
        if item.get("type") != "compaction":
            kept.append({name: value for name, value in item.items() if name not in ("id", "status")})
            continue
        inside = opener(item["encrypted_content"])
        kept += inside.kept if isinstance(inside, Summary) else []
    return kept
