"""Bearer tokens of an identity provider (OpenID Connect): signed by it, for this server, for a while.

A token is checked for its signature, its issuer, its audience and its time. What it gives stands in two of its claims:
one names the project, the other the scopes. The provider's keys are fetched when they are first needed, and again when
a token names one that is not among them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catena.access.registry import Key, is_name
from catena.access.scopes import SCOPES
from catena.errors import CatenaError, Unauthorized
from catena.upstream.http import HttpClient, HttpError

if TYPE_CHECKING:  # of an optional extra
    from jwt import PyJWK
    from jwt.types import Options

__all__ = ["SignedTokens", "TokenSettings"]

_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Those with a public key. With a shared one, whoever can check a token could make one."""

_FETCH_AGAIN: Final = 3600.0
_FETCH_AT_MOST: Final = 10.0
"""Seconds between two fetches, however many tokens name keys that nobody has."""

_LEEWAY: Final = 30
"""Seconds that the clocks of two machines may differ by."""


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens, and what they give.

    Without `project`, the claim must name one; without the claim for scopes a token gives `scopes`.
    """

    issuer: str
    audience: str
    jwks_url: str
    project: str = ""
    project_claim: str = "project"
    scopes_claim: str = "scope"
    scopes: Sequence[str] = ()


class SignedTokens:
    """See `Tokens`. Needs the extra `oidc`; raises ImportError without it. `clock` gives unix seconds."""

    def __init__(
        self, settings: TokenSettings, client: HttpClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        import jwt  # an optional extra

        self._jwt = jwt
        self._settings = settings
        self._client = client
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, token: str) -> Key | None:
        if token.count(".") != 2:
            return None
        try:
            header = self._jwt.get_unverified_header(token)
        except self._jwt.PyJWTError:
            return None
        signer = await self._signer(header.get("kid"))
        if signer is None:
            return None
        return self._key(self._claims(token, signer))

    async def close(self) -> None:
        await self._client.close()

    def _claims(self, token: str, signer: PyJWK) -> Mapping[str, Any]:
        # The times are compared here, by a clock of ours.
        checked: Options = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "require": ["exp", "iss", "aud"],
        }
        try:
            claims: Mapping[str, Any] = self._jwt.decode(
                token,
                signer,
                algorithms=_ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                options=checked,
            )
        except self._jwt.PyJWTError as error:
            raise _refused(str(error)) from error
        if not isinstance(claims["exp"], int | float):
            raise _refused("its time of expiry is none")
        begins = claims.get("nbf", 0)
        if not isinstance(begins, int | float) or begins > self._clock() + _LEEWAY:
            raise _refused("it is not valid yet")
        return claims

    def _key(self, claims: Mapping[str, Any]) -> Key:
        settings = self._settings
        project = settings.project or claims.get(settings.project_claim)
        if not isinstance(project, str) or not is_name(project):
            raise _refused(f"its claim '{settings.project_claim}' names no project")
        given = claims.get(settings.scopes_claim, settings.scopes)
        words = given.split() if isinstance(given, str) else given
        if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
            raise _refused(f"its claim '{settings.scopes_claim}' is no list of scopes")
        # Providers put words of their own beside them, such as `openid`.
        scopes = [word for word in words if word in SCOPES]
        return Key(
            id=f"token:{claims.get('sub', '')}"[:128],
            project=project,
            digest="",
            scopes=scopes,
            expires_at=int(claims["exp"]) + _LEEWAY,
        )

    async def _signer(self, kid: object) -> PyJWK | None:
        """The provider's key of this name; its only one, for a token that names none."""
        async with self._fetching:
            age = self._clock() - self._fetched_at
            known = self._named(kid)
            if age >= _FETCH_AGAIN or (known is None and age >= _FETCH_AT_MOST):
                await self._fetch(needed=known is None)
                known = self._named(kid)
        return known

    def _named(self, kid: object) -> PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid) if isinstance(kid, str) else None

    async def _fetch(self, *, needed: bool) -> None:
        """Get the provider's keys. While it cannot be reached, those that are known go on."""
        self._fetched_at = self._clock()
        try:
            reply = await self._client.request("GET", self._settings.jwks_url)
            body = await reply.read()
            if reply.status != 200:
                raise ValueError(f"status {reply.status}")
            found = self._jwt.PyJWKSet.from_dict(msgspec.json.decode(body))
        except (HttpError, ValueError, TypeError, AttributeError, self._jwt.PyJWTError) as error:
            if needed:
                raise _unreachable() from error
            return
        self._keys = {key.key_id or "": key for key in found.keys if key.public_key_use in (None, "sig")}


def _refused(why: str) -> Unauthorized:
    return Unauthorized(f"The bearer token was refused: {why}.", code="invalid_api_key")


class _ProviderUnreachable(CatenaError):
    """The keys of the identity provider could not be fetched. Please try again."""

    status = 503


def _unreachable() -> CatenaError:
    return _ProviderUnreachable(code="identity_provider_unreachable", headers={"retry-after": "1"})
