"""The real weights, for the tests that need them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from catena.embedded import CODER, find


@pytest.fixture(scope="session")
def weights() -> Path:
    """The default model's file: where `CATENA_MODEL` says, or in the cache. A run may insist on it."""
    named = os.environ.get("CATENA_MODEL")
    path = find(Path(named)) if named else find()
    if path is not None:
        assert not named or _is_the_model(path), f"{path} is not {CODER.name}"
        return path
    reason = f"the weights of {CODER.name} are not here: run `catena model pull`, or set CATENA_MODEL"
    if os.environ.get("CATENA_REQUIRE_MODEL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _is_the_model(path: Path) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == CODER.sha256
