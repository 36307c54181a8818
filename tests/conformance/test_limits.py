"""The largest that may be sent, and the smallest that may not (spec §2.4)."""

from __future__ import annotations

from typing import Any

import pytest

from catena.config import Config
from catena.errors import BadRequest
from catena.wire.items import check_items
from tests.conformance.proves import proves


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_image", "image_url": url}]}


def file(data: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_file", "file_data": data}]}


def sealed(content: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": content}


@proves("2.4.image_url", "2.4.file_data", "2.4.encrypted_content")
@pytest.mark.parametrize(
    ("item", "param", "most"),
    [
        (image, "input[0].content[0].image_url", 20_971_520),
        (file, "input[0].content[0].file_data", 73_400_320),
        (sealed, "input[0].encrypted_content", 20_971_520),
    ],
)
def test_a_payload_may_be_this_long_and_no_longer(item: Any, param: str, most: int) -> None:
    check_items([item("x" * most)])
    with pytest.raises(BadRequest) as refusal:
        check_items([item("x" * (most + 1))])
    assert (refusal.value.param, refusal.value.code) == (param, "string_above_max_length")
    assert f"maximum length {most}" in refusal.value.message


@proves("3.2.44")
def test_turns_are_kept_for_thirty_days_by_default() -> None:
    assert Config().store.retention_days >= 30
