"""Answers that have a form, from engines that may forget it: checked, and asked for once more while nobody has heard
anything.

A plain JSON request hears its answer whole, so one that does not fit may be tried again in silence. What was streamed,
or can be read while it is made, was told already: then it can only be said that it failed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from catena.bounds import answered
from catena.chunks import Chunk, TextDelta, UsageReport
from catena.compaction import added, compacted, compacting
from catena.context.grammars import as_call
from catena.context.sealed import Thought
from catena.errors import UpstreamError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.planning import Plan
from catena.taps import Tapped
from catena.thoughts import sealing
from catena.upstream import CHAT_DIALECTS, Prompt
from catena.wire.schemas import mismatch
from catena.wire.settings import TextFormat

__all__ = ["answer_to", "check_form"]

log = logging.getLogger("catena.runs")

_encode = msgspec.json.Encoder().encode


def answer_to(plan: Plan) -> Tapped[Sequence[Chunk]]:
    """The engine's answer to a plan: as it comes, or as a whole that was tried again where it had to be."""
    if plan.compacts:
        return compacted(plan)
    form, compact_at = plan.question.form, plan.question.compact_at
    if form is None or form.__struct_config__.tag == "text" or plan.request.stream or plan.background:
        answer = _asked(plan, plan.prompt)
    else:
        answer = _repaired(plan, form)
    if _seals(plan):
        answer = sealing(answer, lambda text: plan.vault.seal(plan.project, Thought(text)))
    return answer if compact_at is None else compacting(plan, answer, compact_at)


async def _called(answer: Tapped[Sequence[Chunk]], name: str) -> Tapped[Sequence[Chunk]]:
    """The answer of an engine that writes the input of a tool, as the call of that."""
    began = False
    async with contextlib.aclosing(answer) as pieces:
        async for chunks in pieces:
            yield as_call(chunks, name, began=began)
            began = began or any(isinstance(chunk, TextDelta) for chunk in chunks)


def _asked(plan: Plan, prompt: Prompt) -> Tapped[Sequence[Chunk]]:
    question, auto = plan.question, plan.request.truncation == "auto"
    answer = answered(plan.upstream, question.material, prompt, auto=auto)
    return answer if question.sole is None else _called(answer, question.sole)


def _seals(plan: Plan) -> bool:
    asked = "reasoning.encrypted_content" in (plan.request.include or ())
    return asked and plan.upstream.dialect in CHAT_DIALECTS


def check_form(plan: Plan, fold: Fold) -> None:
    """Raise UpstreamError if the fold has an answer, and it is not of the form that was asked for."""
    form = plan.question.form
    if form is None:
        return
    why = _fault(form, fold)
    if why is not None:
        asked = "response_format" if plan.order.door == "chat" else "text.format"
        raise UpstreamError(
            f"The engine's answer is not of the form that {asked} asks for: {why}.",
            code="invalid_structured_output",
        )


def _fault(form: TextFormat, fold: Fold) -> str | None:
    answer = fold.answer
    return None if answer is None else mismatch(form, answer)


async def _repaired(plan: Plan, form: TextFormat) -> Tapped[Sequence[Chunk]]:
    chunks = await _whole(plan, plan.prompt)
    trial = Fold(plan.response, TurnIds.of(plan.response.id))
    trial.feed([*plan.offer.chunks, *chunks])
    why = _fault(form, trial)
    if why is not None:
        log.info("%s is tried again: its answer is not of the form that was asked for", plan.response.id)
        again = await _whole(plan, _asked_again(plan.prompt, trial.answer or "", why))
        chunks = _with_usage_of(chunks, again)
    yield chunks


async def _whole(plan: Plan, prompt: Prompt) -> list[Chunk]:
    async with contextlib.aclosing(_asked(plan, prompt)) as answer:
        return [chunk async for chunks in answer for chunk in chunks]


def _asked_again(prompt: Prompt, answer: str, why: str) -> Prompt:
    complaint = f"This is not of the form that was asked for: {why}. Answer again, with nothing but the JSON."
    messages = [{"role": "assistant", "content": answer}, {"role": "user", "content": complaint}]
    return replace(prompt, fragments=[*prompt.fragments, _encode(messages)[1:-1]])


def _with_usage_of(first: Sequence[Chunk], second: Sequence[Chunk]) -> list[Chunk]:
    """The second answer's chunks; its last report of usage counts both."""
    spent = [chunk for chunk in first if type(chunk) is UsageReport][-1:]
    counted = [chunk for chunk in second if type(chunk) is UsageReport][-1:]
    if not spent or not counted:
        return list(second)
    total = added(spent[0], counted[0])
    return [*(chunk for chunk in second if type(chunk) is not UsageReport), total]
