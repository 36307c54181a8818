"""What webhooks say, how it is signed, and when it is said again: pure."""

from __future__ import annotations

import base64
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from catena.store import Delivery, Endpoint
from catena.webhooks import DeliverySettings, new_secret, next_try, sample
from catena.wire.webhooks import event_body, signed_headers

CLIENT = OpenAI(api_key="unused")
GIVE_UP = DeliverySettings().give_up


def test_the_official_sdk_accepts_what_is_signed() -> None:
    secret = new_secret()
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24
    now = int(time.time())
    body = event_body("evt_1", "response.completed", now, {"id": "resp_1"})
    headers = signed_headers([secret], webhook_id="wh_1", timestamp=now, body=body)
    event = CLIENT.webhooks.unwrap(body, headers, secret=secret)
    assert event.model_dump() == {
        "id": "evt_1",
        "object": "event",
        "created_at": now,
        "type": "response.completed",
        "data": {"id": "resp_1"},
    }


def test_what_was_changed_on_the_way_is_not_accepted() -> None:
    secret, now = new_secret(), int(time.time())
    headers = signed_headers([secret], webhook_id="wh_1", timestamp=now, body=b"{}")
    CLIENT.webhooks.verify_signature(b"{}", headers, secret=secret)
    for body, changed, key in (
        (b"{ }", {}, secret),
        (b"{}", {"webhook-id": "wh_2"}, secret),
        (b"{}", {"webhook-timestamp": str(now - 1)}, secret),
        (b"{}", {}, new_secret()),
    ):
        with pytest.raises(InvalidWebhookSignatureError):
            CLIENT.webhooks.verify_signature(body, {**headers, **changed}, secret=key)


def test_a_replay_is_too_old() -> None:
    secret, now = new_secret(), int(time.time())
    headers = signed_headers([secret], webhook_id="wh_1", timestamp=now - 301, body=b"{}")
    with pytest.raises(InvalidWebhookSignatureError, match="too old"):
        CLIENT.webhooks.verify_signature(b"{}", headers, secret=secret)


def test_each_of_two_secrets_is_enough() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers([new, old], webhook_id="wh_1", timestamp=int(time.time()), body=b"{}")
    for secret in (old, new):
        CLIENT.webhooks.verify_signature(b"{}", headers, secret=secret)


def test_a_sample_is_about_no_response_that_exists() -> None:
    one, other = sample("response.failed", 5), sample("response.failed", 5)
    assert one.event_id != other.event_id
    assert one.event_id.startswith("evt_")


def failed(tries: int) -> Delivery:
    endpoint = Endpoint(id="we_1", name="n", url="u", event_types=[], secret="s", created_at=0, updated_at=0)
    return Delivery(endpoint=endpoint, event_type="t", subject="r", created_at=0, due=0.0, tries=tries)


def test_the_waits_double_up_to_six_hours_and_end_within_three_days() -> None:
    now = 0.0
    waits: list[float] = []
    while (again := next_try(failed(len(waits) + 1), now, give_up=GIVE_UP, jitter=0)) is not None:
        waits.append(again - now)
        now = again
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == 6 * 3600
    assert GIVE_UP - 6 * 3600 < now <= GIVE_UP == 72 * 3600
    assert len(waits) < 30
    assert next_try(failed(10_000), 0.0, give_up=GIVE_UP, jitter=0) == 6 * 3600


def test_what_failed_together_does_not_come_back_together() -> None:
    assert next_try(failed(2), 100.0, give_up=GIVE_UP, jitter=1) == 107.5
    assert next_try(failed(2), 100.0, give_up=GIVE_UP, jitter=0.5) == 108.75


def test_no_secret_is_in_what_is_shown_of_an_endpoint() -> None:
    assert repr(failed(1).endpoint) == "Endpoint('we_1')"
    assert "secret" not in repr(failed(1))
