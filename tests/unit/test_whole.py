"""An answer that nobody hears before its end, as a whole: the same response as if it had been told piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.chunks import Boundary, Chunk, Finish, ReasoningDelta, RefusalDelta, TextDelta, UsageReport
from catena.errors import StoreUnavailable
from catena.fold import Fold
from catena.ids import TurnIds
from catena.wire.response import Response

NOW = 1_763_600_000
STEM = "0123456789abcdef00" + f"{NOW:08x}" + "0" * 20
LOGPROBS = [{"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}]

texts = st.builds(TextDelta, st.text(max_size=4), st.sampled_from([None, LOGPROBS]))
reports = st.builds(UsageReport, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
reasons = st.sampled_from(["stop", "length", "content_filter", "tool_calls"]).map(Finish)
others = st.sampled_from([ReasoningDelta("so"), RefusalDelta("no"), Boundary()])


def a_fold() -> Fold:
    ids = TurnIds(STEM)
    return Fold(Response(id=ids.turn("resp_"), created_at=NOW, status="in_progress", model="m"), ids)


def told(chunks: Sequence[Chunk]) -> Response:
    fold = a_fold()
    fold.start()
    fold.feed(chunks)
    fold.finish(NOW + 1)
    return fold.response


def encoded(response: Response) -> bytes:
    return msgspec.json.encode(response)


@given(st.lists(texts, max_size=4), st.lists(reports, max_size=2), reasons)
def test_a_text_is_the_same_response(said: Sequence[Chunk], counted: Sequence[Chunk], reason: Finish) -> None:
    chunks: list[Chunk] = [TextDelta("word"), *said, reason, *counted]
    fold = a_fold()
    assert fold.whole(chunks, NOW + 1)
    assert encoded(fold.response) == encoded(told(chunks))


@given(st.lists(texts | reports | others, max_size=4), reasons)
def test_what_is_more_or_less_than_text_is_left_to_be_told(said: Sequence[Chunk], reason: Finish) -> None:
    chunks: list[Chunk] = [*said, reason]
    fold = a_fold()
    if not fold.whole(chunks, NOW + 1):
        assert encoded(fold.response) == encoded(a_fold().response)
        fold.feed(chunks)
        fold.finish(NOW + 1)
    assert encoded(fold.response) == encoded(told(chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        [Finish("stop")],
        [TextDelta(""), Finish("stop")],
        [ReasoningDelta("so"), TextDelta("word"), Finish("stop")],
        [TextDelta("word"), RefusalDelta("no"), Finish("stop")],
    ],
)
def test_no_text_alone_is_not_taken(chunks: Sequence[Chunk]) -> None:
    assert not a_fold().whole(chunks, NOW + 1)


def test_an_answer_that_cannot_be_committed_fails_with_what_it_had() -> None:
    fold = a_fold()
    assert fold.whole([TextDelta("word"), Finish("stop")], NOW + 1)
    fold.fail(StoreUnavailable())
    assert fold.response.status == "failed"
    assert fold.response.completed_at is None
    assert isinstance(fold.response.output, list)
    assert fold.response.output[0]["content"][0]["text"] == "word"


def test_a_response_ends_once() -> None:
    fold = a_fold()
    assert fold.whole([TextDelta("word"), Finish("stop")], NOW + 1)
    with pytest.raises(ValueError, match="cannot become"):
        fold.whole([TextDelta("word"), Finish("stop")], NOW + 1)
