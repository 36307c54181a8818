"""What two faults at once excuse, and what they do not."""

from __future__ import annotations

import msgspec

from tests.crash.doubts import Doubts
from tests.crash.told import Heard

HERE, ELSEWHERE = "http://127.0.0.1:1", "http://127.0.0.1:2"


def heard(number: int, server: str = HERE, stream: str = "resp_1") -> Heard:
    return Heard(stream, number, msgspec.Raw(b"{}"), server)


def in_doubt() -> Doubts:
    """One stream heard from a server, before it came into doubt and meanwhile."""
    doubts = Doubts(forgiving=True)
    doubts.hear(heard(0), first=True)
    doubts.begin(HERE)
    doubts.hear(heard(1), first=True)
    return doubts


def test_only_what_was_heard_in_doubt_is_unsure() -> None:
    doubts = in_doubt()
    doubts.hear(heard(2, ELSEWHERE), first=True)
    assert [doubts.is_unsure("resp_1", number) for number in range(3)] == [False, True, False]
    assert doubts.concerned == {"resp_1"}


def test_what_was_sure_stays_sure_when_it_is_heard_again_in_doubt() -> None:
    doubts = in_doubt()
    doubts.hear(heard(0), first=False)
    assert not doubts.is_unsure("resp_1", 0)


def test_what_another_server_tells_is_on_record() -> None:
    doubts = in_doubt()
    doubts.hear(heard(1, ELSEWHERE), first=False)
    assert not doubts.is_unsure("resp_1", 1)


def test_streams_that_went_on_stay_in_doubt_and_new_ones_are_not() -> None:
    doubts = in_doubt()
    doubts.settle(HERE)
    doubts.hear(heard(2), first=True)
    doubts.hear(heard(0, stream="resp_2"), first=True)
    assert doubts.is_unsure("resp_1", 2)
    assert not doubts.is_unsure("resp_2", 0)


def test_who_does_not_forgive_has_no_doubts() -> None:
    doubts = Doubts(forgiving=False)
    doubts.begin(HERE)
    doubts.hear(heard(0), first=True)
    assert not doubts.is_unsure("resp_1", 0)
    assert not doubts.concerned
