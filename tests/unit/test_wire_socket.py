"""The messages of WebSocket mode as bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import BadRequest, StoreUnavailable
from catena.wire.request import CREATE_PARAMETERS, CreateRequest
from catena.wire.socket import (
    ResponseCreate,
    decode_response_create,
    decode_steer,
    error_frame,
    frame,
    open_envelope,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(["type", "stream_id", "input", "model", "previous_response_id", "generate", "role"])
KINDS = st.sampled_from(["response.create", "response.steer"])


def message(**fields: Any) -> bytes:
    return msgspec.json.encode({"type": "response.create", "model": "m", "input": "hi", **fields})


@given(st.binary())
def test_of_whatever_comes_something_is_said(garbage: bytes) -> None:
    for read in (open_envelope, decode_response_create):
        with contextlib.suppress(BadRequest):
            read(garbage)


@given(st.dictionaries(KEYS, JSON), KINDS)
def test_of_whatever_json_comes_too(fields: dict[str, Any], kind: str) -> None:
    encoded = msgspec.json.encode({**fields, "type": kind})
    for read in (open_envelope, decode_response_create, decode_steer):
        with contextlib.suppress(BadRequest):
            read(encoded)


def test_what_is_posted_has_every_parameter_and_is_a_stream() -> None:
    posted = decode_response_create(message(generate=True, stream_id="a", top_p=0.5)).posted()
    assert type(posted) is CreateRequest
    assert (posted.stream, posted.top_p) == (True, 0.5)
    assert set(ResponseCreate.__struct_fields__) - set(CreateRequest.__struct_fields__) == {
        "type",
        "generate",
        "stream_id",
    }
    assert set(CREATE_PARAMETERS) <= set(ResponseCreate.__struct_fields__)


@pytest.mark.parametrize(
    ("fields", "generates"),
    [
        ({}, True),
        ({"generate": None}, True),
        ({"generate": False}, False),
        ({"generate": True, "prompt_cache_options": {"prewarm": True}}, False),
        ({"prompt_cache_options": {"prewarm": False, "ttl": "12h"}}, True),
    ],
)
def test_prewarming_overrides_generate(fields: dict[str, Any], generates: bool) -> None:
    assert decode_response_create(message(**fields)).generates is generates


def test_a_frame_names_its_lane_only_if_that_has_a_name() -> None:
    assert msgspec.json.decode(error_frame(StoreUnavailable("Full."), "a")) == {
        "type": "error",
        "status": 503,
        "error": {
            "message": "Full.",
            "type": "server_error",
            "param": None,
            "code": "store_unavailable",
            "headers": {"retry-after": "1"},
        },
        "stream_id": "a",
    }
    assert msgspec.json.decode(frame("response.steer.failed", None, sequence_number=3)) == {
        "type": "response.steer.failed",
        "sequence_number": 3,
    }
