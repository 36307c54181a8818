"""What clients are told of limits, to the letter."""

from __future__ import annotations

import pytest

from catena.limits.wording import QuotaExceeded, duration, level_headers, over_rate, over_runs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-1, "0s"),
        (0.0001, "1ms"),
        (0.02, "20ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3723.25, "1h2m3.25s"),
    ],
)
def test_times_are_written_as_the_api_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_who_is_over_a_rate_hears_how_much_and_how_long() -> None:
    error = over_rate("project support", "requests", limit=3, level=0.5, amount=1)
    assert error.http_status == 429
    assert error.body() == {
        "message": "Rate limit reached for project support on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 10s.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert error.headers == {"retry-after": "10", "retry-after-ms": "10000"}
    tokens = over_rate("key key_1", "tokens", limit=6000, level=-100, amount=20)
    assert tokens.body()["type"] == "tokens"
    assert "tokens per min (TPM): Limit 6000, Used 6100, Requested 20" in tokens.message
    assert tokens.headers == {"retry-after": "2", "retry-after-ms": "1200"}


def test_who_is_over_places_or_storage_hears_so() -> None:
    assert over_runs("project p", 2).body()["type"] == "requests"
    quota = QuotaExceeded("project p", 500, 400)
    assert (quota.body()["type"], quota.body()["code"]) == ("insufficient_quota", "insufficient_quota")
    assert "500 bytes stored, and may have 400" in quota.message
    assert "retry-after" not in quota.headers


def test_headers_say_what_is_left_and_when_all_of_it_is() -> None:
    assert level_headers("tokens", limit=60, level=23.9) == {
        "x-ratelimit-limit-tokens": "60",
        "x-ratelimit-remaining-tokens": "23",
        "x-ratelimit-reset-tokens": "36.1s",
    }
    assert level_headers("requests", limit=60, level=-5)["x-ratelimit-remaining-requests"] == "0"
