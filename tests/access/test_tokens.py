"""Bearer tokens of an identity provider: its keys, and what in a token is believed."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from catena.access import Keys
from catena.access.tokens import SignedTokens, TokenSettings
from catena.errors import CatenaError, Unauthorized
from catena.upstream.http import HttpClient
from tests.access.registry_of import Clock, bearer
from tests.upstream.raw_engine import Peer, raw_engine

SIGNER = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
NOW = 1_000_000
CLAIMS = {
    "iss": "https://login.example",
    "aud": "catena",
    "sub": "ada",
    "exp": NOW + 100,
    "project": "support",
    "scope": "openid responses.read models.read",
}


def public(key: Any, kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else None
    made = (algorithm or jwt.algorithms.RSAAlgorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def token(key: Any = SIGNER, kid: str | None = "one", algorithm: str = "ES256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    made: str = jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)
    return made


class Provider:
    """Its keys over HTTP. `asked` counts how often; `status` is what it answers with."""

    def __init__(self) -> None:
        self.keys = [public(SIGNER, "one")]
        self.asked = 0
        self.status = 200
        self.clock = Clock(NOW)
        self.settings = TokenSettings(issuer=CLAIMS["iss"], audience=CLAIMS["aud"], jwks_url="")  # type: ignore[arg-type]
        self.client = HttpClient()

    async def answer(self, peer: Peer) -> None:
        while await peer.request():
            self.asked += 1
            body = msgspec.json.encode({"keys": self.keys})
            head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\n\r\n"
            await peer.send(head.encode() + body)

    def tokens(self, **changes: Any) -> SignedTokens:
        settings = msgspec.structs.replace(self.settings, **changes)
        return SignedTokens(settings, self.client, clock=self.clock)

    def keys_of_server(self, **changes: Any) -> Keys:
        return Keys(tokens=self.tokens(**changes), clock=self.clock)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    async with raw_engine(made.answer) as engine:
        made.settings = msgspec.structs.replace(made.settings, jwks_url=f"{engine.url}/keys")
        yield made
        await made.client.close()


async def test_a_token_gives_what_its_claims_say(provider: Provider) -> None:
    grant = await provider.keys_of_server().grant(bearer(token()))
    assert grant.project == "support"
    assert grant.scopes == {
        "api.responses.read",
        "api.model.read",
    }  # `openid` is a word of the provider's own


async def test_claims_have_names_of_the_operators_choice(provider: Provider) -> None:
    keys = provider.keys_of_server(project_claim="team", scopes_claim="roles", scopes=["models.read"])
    listed = token(team="red", roles=["responses.write"])
    assert (await keys.grant(bearer(listed))).scopes == {"api.responses.write"}
    without = await keys.grant(bearer(token(team="red")))
    assert (without.project, without.scopes) == ("red", frozenset({"api.model.read"}))
    fixed = await provider.keys_of_server(project="one").grant(bearer(token(project="other")))
    assert fixed.project == "one"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": NOW - 31},
        {"nbf": NOW + 31},
        {"project": None},
        {"project": 5},
        {"project": "../other"},
        {"scope": 5},
        {"scope": [5]},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_us_now_is_refused(provider: Provider, wrong: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as refusal:
        await provider.keys_of_server().grant(bearer(token(**wrong)))
    assert refusal.value.code == "invalid_api_key"


def unsigned() -> str:
    made: str = jwt.encode(CLAIMS, "", "none", headers={"kid": "one"})
    return made


def with_shared_key() -> str:
    """Signed with what everybody can read: the classic confusion of algorithms."""
    parts = ({"alg": "HS256", "kid": "one"}, CLAIMS)
    said = b".".join(base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=") for part in parts)
    signature = hmac.digest(msgspec.json.encode(public(SIGNER, "one")), said, "sha256")
    return (said + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "make",
    [
        unsigned,
        with_shared_key,
        lambda: token(OTHER),
        lambda: token(OTHER, kid="two"),
        lambda: token()[:-4] + "AAAA",
        lambda: "a.b.c",
        lambda: "..",
    ],
)
async def test_a_token_that_the_provider_did_not_sign_is_refused(provider: Provider, make: Any) -> None:
    with pytest.raises(Unauthorized):
        await provider.keys_of_server().grant(bearer(make()))


async def test_a_token_without_a_name_for_its_key_is_of_the_only_one(provider: Provider) -> None:
    assert (await provider.keys_of_server().grant(bearer(token(kid=None)))).project == "support"
    provider.keys.append(public(OTHER, "two"))
    with pytest.raises(Unauthorized):
        await provider.keys_of_server().grant(bearer(token(kid=None)))


async def test_an_rsa_key_will_do(provider: Provider) -> None:
    signer = rsa.generate_private_key(65537, 2048)
    provider.keys = [public(signer, "rsa")]
    made = token(signer, "rsa", "RS256")
    assert (await provider.keys_of_server().grant(bearer(made))).project == "support"


async def test_the_keys_are_fetched_once_and_again_when_there_is_a_new_one(provider: Provider) -> None:
    keys = provider.keys_of_server()
    await asyncio.gather(*(keys.grant(bearer(token(sub=str(number)))) for number in range(5)))
    assert provider.asked == 1
    provider.keys = [public(OTHER, "two")]
    new = bearer(token(OTHER, "two"))
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await keys.grant(new)
    assert provider.asked == 1  # however many ask
    provider.clock.now += 11
    await keys.grant(new)
    assert provider.asked == 2
    provider.clock.now += 6
    with pytest.raises(Unauthorized):
        await keys.grant(bearer(token()))  # what signed it was taken back


async def test_known_keys_go_on_while_the_provider_is_away(provider: Provider) -> None:
    keys = provider.keys_of_server()
    lasting = bearer(token(exp=NOW + 100_000))
    await keys.grant(lasting)
    provider.status = 500
    provider.clock.now += 4000
    await keys.grant(lasting)
    assert provider.asked == 2


async def test_that_the_provider_is_away_is_told_apart_from_a_wrong_token(provider: Provider) -> None:
    provider.status = 500
    with pytest.raises(CatenaError) as refusal:
        await provider.keys_of_server().grant(bearer(token()))
    assert (refusal.value.http_status, refusal.value.code) == (503, "identity_provider_unreachable")
