"""The link from a test to what it proves: `@proves("4.2.12")`, on any test of the suite.

The ids are those of `requirements`. `test_requirements` reads the decorators from the source, so every id stands there
as a plain string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["proves"]

Test = TypeVar("Test", bound=Callable[..., Any])


def proves(*requirements: str) -> Callable[[Test], Test]:
    """Say which requirements a test proves; they can be read from its attribute `proves`."""

    def mark(test: Test) -> Test:
        test.proves = requirements  # type: ignore[attr-defined]  # functions take attributes
        return test

    return mark
