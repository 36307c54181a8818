"""Tells endpoints of the ends of background responses, at least once.

The outbox is the truth: a delivery is written with the end that it tells of, and goes when the endpoint has answered
with 2xx, or after three days of tries. Each is claimed for longer than a try can take, so that two servers never make
the same one at once; a server that dies loses nothing but the time until then. What is told twice has the same
`webhook-id` both times.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from catena.errors import CatenaError
from catena.guard import Refused
from catena.ids import TurnIds, new_tree
from catena.store import Delivery, Endpoint, Store
from catena.upstream.http import HttpClient, HttpError, Timeouts
from catena.wire.webhooks import event_body, signed_headers

__all__ = ["Deliverer", "DeliverySettings", "Message", "new_secret", "next_try", "sample"]

log = logging.getLogger("catena.webhooks")

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the outbox, when nothing wakes the deliverer."""

_CONNECT: Final = 5.0
_SPARE: Final = 30.0
"""Seconds by which a claim outlasts the longest try."""

_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 6 * 3600.0


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How endpoints are told: so many at once, each with `timeout` seconds to answer; `give_up` seconds after the
    event it is told no more."""

    concurrency: int = 16
    timeout: float = 10.0
    give_up: float = 72 * 3600.0


class Message(msgspec.Struct, frozen=True):
    """What an endpoint is told: an event, as it is sent."""

    event_id: str
    body: bytes


def new_secret() -> str:
    """A fresh signing secret."""
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


def next_try(delivery: Delivery, now: float, *, give_up: float, jitter: float) -> float | None:
    """When to try again what has just failed: after twice the time with each try, up to six hours; None for never.

    `jitter` from 0 to 1 takes up to a quarter off, so that what failed together does not come back together.
    """
    wait = min(_FIRST_WAIT * 2 ** min(delivery.tries - 1, 20), _LONGEST_WAIT) * (1 - jitter / 4)
    return now + wait if now + wait <= delivery.created_at + give_up else None


def sample(event_type: str, now: int) -> Message:
    """An event about a response that does not exist, to try an endpoint with."""
    ids = TurnIds.new(new_tree(now), now)
    return _message(ids.turn("evt_"), event_type, now, ids.turn("resp_"))


def _message_of(delivery: Delivery) -> Message:
    """The same for every try: a response ends once, so the event's id follows from its own."""
    _, _, digits = delivery.subject.rpartition("_")
    return _message(f"evt_{digits}", delivery.event_type, delivery.created_at, delivery.subject)


def _message(event_id: str, event_type: str, created_at: int, subject: str) -> Message:
    return Message(event_id, event_body(event_id, event_type, created_at, {"id": subject}))


class Deliverer:
    """The outbox's way out. `waiting` says that there may be something in it: a hint, as it looks by itself too."""

    def __init__(
        self,
        store: Store,
        client: HttpClient,
        *,
        settings: DeliverySettings | None = None,
        waiting: asyncio.Event | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.outcomes: Counter[str] = Counter(dict.fromkeys(("delivered", "failed", "given_up"), 0))
        """What became of the tries of this server."""
        self._store = store
        self._client = client
        self._settings = settings or DeliverySettings()
        self._waiting = waiting or asyncio.Event()
        self._clock = clock
        self._jitter = jitter
        self._timeouts = Timeouts(connect=_CONNECT, first=self._settings.timeout)
        # A connection that was kept may turn out to be gone, which costs another try.
        self._lease = _CONNECT + 2 * self._settings.timeout + _SPARE
        self._under_way: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on in a task of its own."""
        self._task = asyncio.create_task(self._work(), name="catena webhooks")

    async def stop(self) -> None:
        """Take up nothing more, and give back what is under way."""
        tasks = [*self._under_way, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._client.close()

    async def _work(self) -> None:
        away = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._waiting.wait()
            self._waiting.clear()
            try:
                await self.look()
                away = False
            except CatenaError as error:
                if not away:  # else the log would have nothing but this
                    log.warning("the outbox could not be read: %s", error.message)
                away = True
            except Exception:
                log.exception("the outbox could not be read, by a fault of this server")

    async def look(self) -> None:
        """Take up as much of what is due as there is room for."""
        room = self._settings.concurrency - len(self._under_way)
        if room <= 0:
            return
        for delivery in await self._store.claim_deliveries(self._clock(), self._lease, limit=room):
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    async def idle(self) -> None:
        """Wait until what was taken up is settled."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._waiting.set()  # there is room for another

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._settle(delivery, await self._try(delivery))
        except asyncio.CancelledError:
            with contextlib.suppress(CatenaError):
                await self._store.postpone(delivery, self._clock())
            raise
        except CatenaError as error:
            # It is told again when its claim is over.
            log.warning("what became of a delivery could not be stored: %s", error.message)
        except Exception:
            log.exception("a delivery failed by a fault of this server")

    async def _try(self, delivery: Delivery) -> str:
        """Why it failed; empty if it did not."""
        try:
            status = await self.send(delivery.endpoint, _message_of(delivery))
        except HttpError as error:
            return error.kind
        except Refused:
            return "its address is not public"
        return "" if 200 <= status < 300 else f"status {status}"

    async def _settle(self, delivery: Delivery, failure: str) -> None:
        if not failure:
            self.outcomes["delivered"] += 1
            await self._store.drop_delivery(delivery)
            return
        now = self._clock()
        again = next_try(delivery, now, give_up=self._settings.give_up, jitter=self._jitter())
        log.warning(
            "%s did not hear of %s: %s, try %d, %s",
            delivery.endpoint.id,
            delivery.subject,
            failure,
            delivery.tries,
            "given up" if again is None else f"again in {again - now:.0f} s",
        )
        self.outcomes["failed" if again is not None else "given_up"] += 1
        if again is None:
            await self._store.drop_delivery(delivery)
        else:
            await self._store.postpone(delivery, again)

    async def send(self, endpoint: Endpoint, message: Message) -> int:
        """Tell an endpoint once. Returns the status that it answered with. Raises HttpError, or Refused."""
        now = self._clock()
        secrets = [endpoint.secret]
        if endpoint.old_secret and now < endpoint.old_secret_until:
            secrets.append(endpoint.old_secret)
        told = hashlib.blake2b(f"{message.event_id} {endpoint.id}".encode(), digest_size=16)
        headers = signed_headers(
            secrets, webhook_id=f"wh_{told.hexdigest()}", timestamp=int(now), body=message.body
        )
        reply = await self._client.request(
            "POST", endpoint.url, headers=headers, body=message.body, timeouts=self._timeouts
        )
        reply.release()
        return reply.status
