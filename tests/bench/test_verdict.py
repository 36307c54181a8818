"""A day's verdict sees what grew, what is still held and what failed."""

from collections.abc import Sequence

from bench.day.samples import Sample, Times
from bench.day.verdict import Verdict


def a_day(memory: Sequence[float], p99: float = 2.0) -> list[Sample]:
    return [
        Sample(
            seconds=5.0 * number,
            memory_mb=megabytes,
            handles=40,
            threads=8,
            stored_bytes=1,
            cpu_seconds=1.0,
            times={"get": Times(1.0, p99, 10)} if number else {},
        )
        for number, megabytes in enumerate(memory)
    ]


def test_memory_that_fills_up_in_the_first_fifth_does_not_count() -> None:
    verdict = Verdict.of(a_day([50, 80] + [100] * 8), {}, handles=(40, 40))
    assert verdict.holds == {"memory": 1, "handles": 1, "threads": 1}
    assert verdict.latency_p50 == {"get": 1}
    assert verdict.is_sound


def test_memory_that_goes_on_growing_is_seen() -> None:
    verdict = Verdict.of(a_day([100 + 10 * number for number in range(10)]), {}, handles=(40, 40))
    assert round(verdict.holds["memory"], 2) == round(185 / 125, 2)


def test_a_handle_that_is_still_open_after_the_load_is_not_sound() -> None:
    verdict = Verdict.of(a_day([100] * 10), {}, handles=(40, 41))
    assert not verdict.is_sound
    assert "Open handles before the load: 40; after it: 41." in verdict.sentences()


def test_a_request_that_failed_is_not_sound_and_is_told() -> None:
    verdict = Verdict.of(a_day([100] * 10), {"get: gone": 3}, handles=(40, 40))
    assert not verdict.is_sound
    assert "Failed 3 times: get: gone" in verdict.sentences()


def test_a_day_too_short_for_fifths_has_ratios_of_one() -> None:
    assert Verdict.of(a_day([100, 200]), {}, handles=(1, 1)).holds["memory"] == 1
