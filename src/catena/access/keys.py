"""From a key to what it gives, for every request.

A key comes from the settings, from a file, from the registry, or is a token of an identity provider. What it gives is
remembered for a few seconds under the hash of what was sent, so that a request with a known key costs one look-up; then
it is looked up again. So a key that is revoked, on any server that shares the store, opens nothing once those seconds
are over.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from catena.access import scopes, secrets
from catena.access.grant import DEFAULT_PROJECT, Grant
from catena.access.registry import Key, Registry
from catena.errors import CatenaError, Unauthorized
from catena.limits import Allowance, Limits

__all__ = ["REMEMBERED", "Keys", "Tokens", "plain_key"]

REMEMBERED: Final = 5.0
"""Seconds for which what a key gives is remembered: how long a revoked one may be taken for good."""

_MOST: Final = 10_000
"""How many keys are remembered at once."""


class Tokens(Protocol):
    """Bearer tokens that somebody else has signed."""

    async def key(self, token: str) -> Key | None:
        """The token as a key; None if it is no token of theirs. Raises Unauthorized for one that is not good."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


def plain_key(
    secret: str, project: str = DEFAULT_PROJECT, allowed: Sequence[str] = (scopes.ADMIN,), *, name: str = ""
) -> Key:
    """A key that is known in clear: of the settings, or of a file."""
    digest = secrets.digest_of(secret)
    return Key(id=secrets.id_of(digest), project=project, digest=digest.hex(), scopes=allowed, name=name)


class Keys:
    """See the module. `fixed` are the keys that are not in the registry; `clock` gives unix seconds.

    Without any source of keys, and as long as none was ever made, everybody may do everything in the project
    "default": such a server only listens on loopback. `required` ends that, whether there are keys or not.
    """

    def __init__(
        self,
        fixed: Iterable[Key] = (),
        *,
        registry: Registry | None = None,
        tokens: Tokens | None = None,
        required: bool = False,
        defaults: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fixed = {bytes.fromhex(key.digest): key for key in fixed}
        self._registry = registry
        self._tokens = tokens
        self._required = required or bool(self._fixed) or tokens is not None
        self._defaults = defaults or Limits()
        self._clock = clock
        self._known: dict[bytes, tuple[float, Grant]] = {}
        self._looking: dict[bytes, asyncio.Task[Grant]] = {}
        self._noting: set[asyncio.Task[None]] = set()

    def recall(self, authorization: str | None) -> Grant | None:
        """What this `Authorization` header gave a moment ago, if it gave anything."""
        known = self._known.get(_place(authorization))
        return known[1] if known is not None and self._clock() < known[0] else None

    async def grant(self, authorization: str | None) -> Grant:
        """What this `Authorization` header gives. Raises Unauthorized."""
        recalled = self.recall(authorization)
        if recalled is not None:
            return recalled
        # Many requests with the same key come at the moment when it has to be looked up again: once will do.
        place = _place(authorization)
        looking = self._looking.get(place)
        if looking is None:
            looking = self._looking[place] = asyncio.create_task(self._looked_up(authorization))
            looking.add_done_callback(lambda done: self._found_out(place, done))
        return await asyncio.shield(looking)

    def _found_out(self, place: bytes, done: asyncio.Task[Grant]) -> None:
        del self._looking[place]
        if not done.cancelled():
            done.exception()  # nobody may be left who would hear of it

    async def _looked_up(self, authorization: str | None) -> Grant:
        if not await self.required():
            return await self._remembered(authorization, _NOBODY, unlocked=True)
        key = await self._found(_bearer(authorization))
        self._note_use(key)
        return await self._remembered(authorization, key)

    async def vouched(self, project: str) -> Grant:
        """What somebody has for whom a trusted proxy vouches. Raises Unauthorized."""
        key = Key(id="proxy", project=project, digest="")
        place = f"vouched {project}"
        return self.recall(place) or await self._remembered(place, key)

    async def required(self) -> bool:
        """Whether a key is needed."""
        if not self._required and self._registry is not None:
            self._required = await self._registry.has_keys()  # and never open again: keys stay on record
        return self._required

    async def close(self) -> None:
        """Wait for what is still being written, and give connections back."""
        await asyncio.gather(*self._noting, return_exceptions=True)
        if self._tokens is not None:
            await self._tokens.close()

    async def _found(self, secret: str) -> Key:
        digest = secrets.digest_of(secret)
        key = self._fixed.get(digest)
        if key is None and self._registry is not None and secrets.is_ours(secret):
            key = await self._registry.key(secrets.id_of(digest))
        elif key is None and self._tokens is not None:
            key = await self._tokens.key(secret)
            digest = b""
        # A key is found by a part of its hash. Comparing the rest takes the same time whatever it is.
        if key is None or not hmac.compare_digest(bytes.fromhex(key.digest), digest) or key.revoked_at:
            raise Unauthorized(
                f"Incorrect API key provided: {secrets.masked(secret)}. Use a key of this server: the one that it was "
                "started with (CATENA_API_KEY), or one made with `catena keys create`.",
                code="invalid_api_key",
            )
        if not key.is_good(self._clock()):
            raise Unauthorized(
                f"The API key provided has expired: {secrets.masked(secret)}.", code="invalid_api_key"
            )
        return key

    async def _remembered(self, place: str | None, key: Key, *, unlocked: bool = False) -> Grant:
        project = await self._registry.project(key.project) if self._registry is not None else None
        if project is not None and project.revoked_at is not None:
            raise Unauthorized(f"The project '{key.project}' was revoked.", code="invalid_api_key")
        limits = project.limits.over(self._defaults) if project is not None else self._defaults
        allowances = [
            Allowance(f"project:{key.project}", f"project {key.project}", limits, key.project),
            Allowance(f"key:{key.id}", f"key {key.id}", key.limits),
        ]
        grant = Grant(
            key.project,
            scopes.official(key.scopes),
            key.id,
            tuple(each for each in allowances if each.limits.any),
            unlocked,
        )
        until = min(self._clock() + REMEMBERED, key.expires_at or float("inf"))
        if len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known.pop(_place(place), None)  # to the end, where what was looked up last stands
        self._known[_place(place)] = (until, grant)
        return grant

    def _note_use(self, key: Key) -> None:
        """Keep that a key was used: later, and seldom."""
        if self._registry is None or bytes.fromhex(key.digest) in self._fixed or not key.digest:
            return
        task = asyncio.create_task(self._noted(self._registry, key))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _noted(self, registry: Registry, key: Key) -> None:
        try:
            await registry.note_use(key)
        except CatenaError:
            return  # it is a remark, and the next use makes it again


_NOBODY: Final = Key(id="", project=DEFAULT_PROJECT, digest="", scopes=(scopes.ADMIN,))


def _place(text: str | None) -> bytes:
    return b"" if text is None else secrets.digest_of(text)


def _bearer(authorization: str | None) -> str:
    kind, _, secret = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthorized(
            "You didn't provide an API key. You need to provide your API key in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    return secret.strip()
