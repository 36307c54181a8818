"""Whether, when and where a failed request is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import UpstreamError
from catena.upstream.retry import GiveUp, Retry, RetryPolicy, Step, next_step

POLICY = RetryPolicy(tries=4, first_pause=1, longest_pause=3, longest_wait=5, within=60)


def step(
    *,
    retryable: bool = True,
    retry_after: float | None = None,
    attempt: int = 1,
    replicas_left: int = 0,
    spent: float = 0,
    jitter: float = 0,
) -> Step:
    return next_step(
        UpstreamError(retryable=retryable, retry_after=retry_after),
        attempt=attempt,
        replicas_left=replicas_left,
        spent=spent,
        jitter=jitter,
        policy=POLICY,
    )


def test_what_may_have_been_told_already_is_never_tried_again() -> None:
    assert step(retryable=False, replicas_left=3) == GiveUp("final")


def test_another_base_url_is_asked_at_once() -> None:
    assert step(replicas_left=2, jitter=1) == Retry(0, elsewhere=True)


def test_the_same_one_is_asked_again_after_pauses_that_double_up_to_a_limit() -> None:
    assert [step(attempt=number) for number in (1, 2, 3)] == [
        Retry(1, elsewhere=False),
        Retry(2, elsewhere=False),
        Retry(3, elsewhere=False),
    ]


def test_chance_takes_up_to_half_of_a_pause() -> None:
    assert step(jitter=1) == Retry(0.5, elsewhere=False)


@pytest.mark.parametrize("replicas_left", [0, 3])
def test_the_tries_are_counted(replicas_left: int) -> None:
    assert isinstance(step(attempt=3, replicas_left=replicas_left), Retry)
    assert step(attempt=4, replicas_left=replicas_left) == GiveUp("tries")


def test_a_short_wait_that_the_engine_asks_for_is_kept_and_never_cut_short() -> None:
    assert step(retry_after=5) == Retry(5, elsewhere=False)
    assert step(retry_after=2, jitter=1) == Retry(3, elsewhere=False)


def test_a_long_wait_is_told_to_the_client() -> None:
    assert step(retry_after=5.1) == GiveUp("wait")


def test_the_wait_that_one_asks_for_does_not_bind_another() -> None:
    assert step(retry_after=300, replicas_left=1) == Retry(0, elsewhere=True)


def test_no_try_begins_when_the_client_has_waited_for_long() -> None:
    """A request that timed out after its five minutes is not sent for another five."""
    assert step(spent=300, replicas_left=3) == GiveUp("time")
    assert step(spent=59.5) == GiveUp("time")
    assert step(spent=58.5) == Retry(1, elsewhere=False)


@given(
    attempt=st.integers(1, 10),
    replicas_left=st.integers(0, 3),
    retry_after=st.none() | st.floats(0, 100),
    spent=st.floats(0, 100),
    jitter=st.floats(0, 1),
)
def test_every_step_stays_within_the_policy(
    attempt: int, replicas_left: int, retry_after: float | None, spent: float, jitter: float
) -> None:
    decision = step(
        attempt=attempt, replicas_left=replicas_left, retry_after=retry_after, spent=spent, jitter=jitter
    )
    if isinstance(decision, Retry):
        assert attempt < POLICY.tries
        assert spent + decision.delay <= POLICY.within
        assert 0 <= decision.delay <= POLICY.longest_wait + POLICY.first_pause
        assert decision.elsewhere is (replicas_left > 0)
