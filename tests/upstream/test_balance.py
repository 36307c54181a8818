"""Which base URL is asked next."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from catena.upstream.balance import Replica, Replicas

URLS = [f"http://engine-{number}:8000/v1" for number in range(4)]
TREES = [f"{number:016x}" for number in range(400)]


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas(clock: Clock) -> Replicas:
    return Replicas(URLS, clock=clock)


def urls(replicas: Replicas, tree: str) -> list[str]:
    return [replica.url for replica in replicas.order(tree)]


def own(replicas: Replicas, tree: str) -> Replica:
    return replicas.order(tree)[0]


class TestAffinity:
    def test_a_tree_is_always_asked_in_the_same_order(self, replicas: Replicas, clock: Clock) -> None:
        again = Replicas(reversed(URLS), clock=clock)
        for tree in TREES:
            assert urls(replicas, tree) == urls(again, tree)
            assert sorted(urls(replicas, tree)) == URLS

    def test_the_order_is_the_same_in_every_process(self, replicas: Replicas) -> None:
        """A pinned value: it may only change with an eye on caches that go cold."""
        assert [url[14] for url in urls(replicas, "00000000000000ab")] == ["0", "2", "3", "1"]

    def test_trees_spread_evenly(self, replicas: Replicas) -> None:
        shares = Counter(own(replicas, tree).url for tree in TREES)
        assert all(70 <= shares[url] <= 130 for url in URLS)

    def test_what_leaves_moves_only_its_own_trees(self, replicas: Replicas, clock: Clock) -> None:
        fewer = Replicas(URLS[:3], clock=clock)
        for tree in TREES:
            assert urls(fewer, tree) == [url for url in urls(replicas, tree) if url != URLS[3]]

    def test_a_single_base_url_is_always_the_one(self, clock: Clock) -> None:
        single = Replicas(URLS[:1], clock=clock)
        own(single, TREES[0]).failed()
        assert urls(single, TREES[0]) == URLS[:1]

    def test_a_base_url_that_is_given_twice_is_one(self, clock: Clock) -> None:
        assert len(Replicas(URLS * 2, clock=clock)) == 4

    def test_no_base_url_is_a_mistake(self, clock: Clock) -> None:
        with pytest.raises(ValueError, match="base URL"):
            Replicas([], clock=clock)


class TestLoad:
    def test_requests_in_flight_are_counted(self, replicas: Replicas) -> None:
        replica = own(replicas, TREES[0])
        with replica, replica:
            assert replica.in_flight == 2
        assert replica.in_flight == 0

    def test_a_request_that_fails_is_not_in_flight_any_more(self, replicas: Replicas) -> None:
        replica = own(replicas, TREES[0])
        with pytest.raises(RuntimeError), replica:
            raise RuntimeError
        assert replica.in_flight == 0

    def test_a_much_busier_one_is_passed_over_but_not_left_out(self, replicas: Replicas) -> None:
        tree = TREES[0]
        calm = replicas.order(tree)
        with ExitStack() as requests:
            while own(replicas, tree) is calm[0]:
                requests.enter_context(calm[0])
                assert calm[0].in_flight < 10
            # 1.25 x (the mean of all four + 1) is passed by the second request.
            assert calm[0].in_flight == 2
            assert list(replicas.order(tree)) == [*calm[1:], calm[0]]
        assert list(replicas.order(tree)) == list(calm)

    def test_the_same_load_everywhere_keeps_trees_at_home(self, replicas: Replicas) -> None:
        calm = {tree: urls(replicas, tree) for tree in TREES}
        with ExitStack() as requests:
            for replica in replicas.order(TREES[0]):
                for _ in range(100):
                    requests.enter_context(replica)
            assert {tree: urls(replicas, tree) for tree in TREES} == calm

    def test_without_a_tree_the_least_busy_one_is_asked(self, replicas: Replicas) -> None:
        first, second, *_ = replicas.order("")
        with first:
            assert replicas.order("")[0] is second
            assert replicas.order("")[-1] is first


class TestFailure:
    def test_a_failed_one_is_the_last_resort_until_its_pause_is_over(
        self, replicas: Replicas, clock: Clock
    ) -> None:
        order = replicas.order(TREES[0])
        order[0].failed()
        assert list(replicas.order(TREES[0])) == [*order[1:], order[0]]
        clock.now += 0.99
        assert own(replicas, TREES[0]) is order[1]
        clock.now += 0.02
        assert list(replicas.order(TREES[0])) == list(order)

    def test_the_pause_doubles_up_to_a_minute(self, replicas: Replicas, clock: Clock) -> None:
        replica = own(replicas, TREES[0])
        pauses = []
        for _ in range(8):
            with replica:
                replica.failed()
            pauses.append(replica.back_in())
            clock.now += replica.back_in()
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_success_forgets_all_failures(self, replicas: Replicas, clock: Clock) -> None:
        replica = own(replicas, TREES[0])
        for _ in range(3):
            replica.failed()
            clock.now += replica.back_in()
        replica.succeeded()
        assert (replica.sits_out, replica.back_in()) == (False, 0)
        replica.failed()
        assert replica.back_in() == 1

    def test_requests_that_fail_together_are_one_failure(self, replicas: Replicas) -> None:
        replica = own(replicas, TREES[0])
        with ExitStack() as requests:
            for _ in range(100):
                requests.enter_context(replica)
            for _ in range(100):
                replica.failed()
        assert replica.back_in() == 1

    def test_after_the_pause_one_request_tries_and_the_others_wait_for_its_outcome(
        self, replicas: Replicas, clock: Clock
    ) -> None:
        order = replicas.order(TREES[0])
        order[0].failed()
        clock.now += 1.01
        with own(replicas, TREES[0]) as trial:
            assert trial is order[0]
            assert own(replicas, TREES[0]) is order[1]
            trial.succeeded()
            assert own(replicas, TREES[0]) is order[0]

    def test_a_trial_without_an_outcome_is_followed_by_another(
        self, replicas: Replicas, clock: Clock
    ) -> None:
        replica = own(replicas, TREES[0])
        replica.failed()
        clock.now += 1.01
        with replica:
            pass  # its client left
        assert replica.sits_out
        clock.now += 1.01
        assert own(replicas, TREES[0]) is replica

    def test_a_trial_that_fails_makes_the_pause_longer(self, replicas: Replicas, clock: Clock) -> None:
        replica = own(replicas, TREES[0])
        replica.failed()
        clock.now += 1.01
        with replica:
            replica.failed()
            assert replica.back_in() == 2

    def test_when_all_failed_the_one_that_is_back_soonest_is_asked(
        self, replicas: Replicas, clock: Clock
    ) -> None:
        order = list(replicas.order(TREES[0]))
        for replica in reversed(order):
            replica.failed()
            clock.now += 0.1
        assert list(replicas.order(TREES[0])) == order[::-1]

    def test_the_load_of_a_failed_one_does_not_count_for_the_others(
        self, replicas: Replicas, clock: Clock
    ) -> None:
        """Hanging requests of a dead engine would raise the mean, and with it everybody's bound."""
        order = replicas.order(TREES[0])
        with ExitStack() as requests:
            for _ in range(100):
                requests.enter_context(order[0])
            order[0].failed()
            for _ in range(3):
                requests.enter_context(order[1])
            assert list(replicas.order(TREES[0])) == [order[2], order[3], order[1], order[0]]
