"""Whatever an engine sends, it is a chunk or an error of the engine's: never a fault of this server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upstream.playback import RECORDINGS, play

NAMES = sorted(path.name for path in RECORDINGS.iterdir() if path.suffix == ".sse")
ODDITIES: list[Any] = [None, True, 0, -1, 7.5, 2**70, "", "text", [], [None], [[]], ["x"], {}, {"x": None}]


def payloads(name: str) -> list[str]:
    lines = (RECORDINGS / name).read_text().splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in inner for place in places(below, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def stream_of(texts: list[str]) -> bytes:
    return "".join(f"data: {text}\n\n" for text in texts).encode()


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_place_of_an_event_is_understood_or_refused(name: str) -> None:
    texts = payloads(name)
    for number, text in enumerate(texts):
        if text == "[DONE]":
            continue
        event = json.loads(text)
        for place in places(event):
            for oddity in ODDITIES:
                odd = [*texts[:number], json.dumps(replaced(event, place, oddity)), *texts[number + 1 :]]
                play(name, [stream_of(odd)])


@given(data=st.data())
@settings(max_examples=300)
def test_events_in_any_order_are_understood_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["responses", "chat"]))
    names = [name for name in NAMES if ("responses" in name) == (kind == "responses")]
    texts = [text for name in names for text in payloads(name)]
    mixed = data.draw(st.lists(st.sampled_from(texts), max_size=40))
    play(kind, [stream_of(mixed)])


@given(noise=st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    for kind in ("responses", "chat"):
        played = play(kind, [noise])
        assert played.error is not None
        assert played.error.code in ("upstream_disconnected", "upstream_protocol_error")
