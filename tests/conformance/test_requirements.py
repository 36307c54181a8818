"""Requirements and tests belong together: none without the other, and what differs is told to users."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.compatibility import differences
from tests.conformance.requirements import REQUIREMENTS, SECTIONS, Requirement

TESTS = Path(__file__).parents[1]


def proofs(path: Path) -> Iterator[tuple[str, str]]:
    """Every id that a file's tests prove, with the name of the test, read from the source."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if not (isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "proves"):
                continue
            assert node.name.startswith("test_"), f"{node.name} of {path.name} is no test"
            assert decorator.args, f"{node.name} of {path.name} proves nothing"
            for argument in decorator.args:
                assert isinstance(argument, ast.Constant), (
                    f"{node.name} of {path.name} proves what is computed"
                )
                yield str(argument.value), f"{path.name}::{node.name}"


PROOFS = [proof for path in sorted(TESTS.rglob("test_*.py")) for proof in proofs(path)]


def test_ids_are_used_once() -> None:
    assert len(REQUIREMENTS) == sum(len(section.requirements) for section in SECTIONS)


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=lambda each: each.id)
def test_a_requirement_is_proved_or_dated(requirement: Requirement) -> None:
    proved_by = {test for proved, test in PROOFS if proved == requirement.id}
    if requirement.not_yet:
        assert re.match(r"20\d\d-\d\d-\d\d: .", requirement.not_yet)
        assert not requirement.divergence
        assert not proved_by, f"it is there: {proved_by}"
    else:
        assert proved_by, f"nothing proves it: {requirement.text}"


def test_nothing_is_proved_that_nobody_requires() -> None:
    assert {(proved, test) for proved, test in PROOFS if proved not in REQUIREMENTS} == set()


def test_every_difference_is_told_to_users_and_none_besides() -> None:
    ours = {each.divergence for each in REQUIREMENTS.values() if each.divergence}
    assert ours == differences()
