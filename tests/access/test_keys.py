"""From a key to what it gives: made, looked up, remembered for some seconds, revoked, expired, rotated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from catena.access import READ_ONLY
from catena.access.keys import REMEMBERED, plain_key
from catena.access.scopes import SCOPES, USUAL, official
from catena.access.secrets import PREFIX, digest_of, hint_of, is_ours, masked, new_secret
from catena.errors import BadRequest, Forbidden, NotFound, StoreUnavailable, Unauthorized
from catena.limits import Limits
from tests.access.registry_of import House, a_house, bearer


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as opened:
        yield opened


# Keys as text


def test_keys_are_long_random_and_recognised() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert is_ours(secret)
        assert secret.startswith(PREFIX)
        assert len(secret) == len(PREFIX) + 43  # 256 bits
    some = secrets.pop()
    for other in (some[:-1], some + "a", some[:-1] + " ", "sk-" + some[10:], some + "\n"):
        assert not is_ours(other)


def test_what_is_shown_of_a_key_opens_nothing() -> None:
    secret = new_secret()
    assert len(hint_of(secret).replace(PREFIX, "")) == 3 + 1 + 4
    assert masked(secret) == secret[:8] + "*" * (len(secret) - 12) + secret[-4:]
    assert masked("sk-short") == "sk-*****"
    assert masked("") == ""
    assert masked("sk-evil\x1b[31m-and-some-more-text").isprintable()
    assert len(masked("x" * 100_000)) == 200


# The registry


async def test_a_key_is_kept_as_a_hash_alone(house: House, tmp_path: Path) -> None:
    key, secret = await house.registry.create_key(name="ci")
    assert bytes.fromhex(key.digest) == digest_of(secret)
    assert (await house.registry.keys()) == [key]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.digest.encode() in kept
    for start in range(len(PREFIX) + 4, len(secret) - 12):
        assert secret[start : start + 8].encode() not in kept


async def test_projects_are_made_once_and_listed_in_order(house: House) -> None:
    for name in ("b", "a", "c.d_e@f-1"):
        await house.registry.create_project(name)
        house.clock.now += 1
    assert [project.name for project in await house.registry.projects()] == ["b", "a", "c.d_e@f-1"]
    with pytest.raises(BadRequest, match="already"):
        await house.registry.create_project("a")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a b", "é", "x" * 65, "a\n"])
async def test_a_name_that_could_be_taken_for_something_else_is_refused(house: House, name: str) -> None:
    with pytest.raises(BadRequest, match="Invalid project name"):
        await house.registry.create_project(name)


async def test_a_key_is_for_a_project_that_is_there(house: House) -> None:
    with pytest.raises(NotFound, match="catena projects create support"):
        await house.registry.create_key("support")
    await house.registry.create_project("support")
    key, _ = await house.registry.create_key("support")
    assert key.project == "support"
    await house.registry.revoke_project("support")
    with pytest.raises(NotFound):
        await house.registry.create_key("support")


@pytest.mark.parametrize("scopes", [["everything"], ["responses.read", "api.responses.read"], []])
async def test_scopes_that_are_not_known_are_refused(house: House, scopes: list[str]) -> None:
    with pytest.raises(BadRequest, match="Known are: responses"):
        await house.registry.create_key(scopes=scopes)


async def test_more_keys_than_fit_on_a_page_are_all_listed(house: House) -> None:
    made = [await house.registry.create_key(name=str(number)) for number in range(501)]
    assert {key.id for key in await house.registry.keys()} == {key.id for key, _ in made}


# What a key gives


async def test_a_key_gives_its_project_and_scopes(house: House) -> None:
    await house.registry.create_project("support")
    key, secret = await house.registry.create_key("support", scopes=["responses.read", "models.read"])
    grant = await house.keys().grant(bearer(secret))
    assert (grant.project, grant.key_id, grant.unlocked) == ("support", key.id, False)
    grant.check("api.responses.read")
    grant.check("api.model.read")
    with pytest.raises(Forbidden) as refusal:
        grant.check("api.responses.write")
    assert refusal.value.message.startswith(
        "You have insufficient permissions for this operation. Missing scopes: api.responses.write."
    )


async def test_a_usual_key_may_do_everything_but_what_operators_do(house: House) -> None:
    _, secret = await house.registry.create_key()
    grant = await house.keys().grant(bearer(secret))
    for name, scope in SCOPES.items():
        if name != "admin":
            grant.check(scope)
    with pytest.raises(Forbidden):
        grant.check("admin")
    _, secret = await house.registry.create_key(scopes=["admin"])
    (await house.keys().grant(bearer(secret))).check("admin")


def test_scopes_are_those_of_the_api() -> None:
    assert official(USUAL) == official(official(USUAL)) == frozenset(SCOPES.values()) - {"*"}
    assert official(["bogus"]) == frozenset()
    assert official(sorted(READ_ONLY)) == READ_ONLY


async def test_a_key_that_was_made_meanwhile_opens_at_once(house: House) -> None:
    keys = house.keys(plain_key("sk-admin"))
    for _ in range(3):
        _, secret = await house.registry.create_key()
        assert (await keys.grant(bearer(secret))).project == "default"


async def test_a_known_key_is_one_look_up(house: House) -> None:
    _, secret = await house.registry.create_key()
    keys = house.keys()
    assert keys.recall(bearer(secret)) is None
    grant = await keys.grant(bearer(secret))
    house.registry._documents = None  # type: ignore[assignment]  # nothing is read any more
    assert keys.recall(bearer(secret)) is grant
    assert await keys.grant(bearer(secret)) is grant


async def test_many_requests_at_once_look_a_key_up_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await house.registry.create_key()
    keys = house.keys()
    reads: list[str] = []
    look_up = house.registry.key

    async def counted(key_id: str) -> Any:
        reads.append(key_id)
        await asyncio.sleep(0)
        return await look_up(key_id)

    monkeypatch.setattr(house.registry, "key", counted)
    grants = await asyncio.gather(*(keys.grant(bearer(secret)) for _ in range(20)))
    assert len(set(map(id, grants))) == len(reads) == 1
    wrong = bearer(new_secret())
    refused = await asyncio.gather(*(keys.grant(wrong) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(each, Unauthorized) for each in refused)
    assert len(reads) == 2
    leaving = asyncio.create_task(keys.grant(bearer(new_secret())))
    await asyncio.sleep(0)
    leaving.cancel()  # nobody is left to hear that it was wrong
    await asyncio.wait([leaving])
    assert await keys.grant(bearer(secret)) is grants[0]


async def test_a_revoked_key_opens_nothing_on_any_server_within_seconds(house: House) -> None:
    key, secret = await house.registry.create_key()
    servers = [house.keys(), house.keys()]
    for server in servers:
        await server.grant(bearer(secret))
    await house.registry.revoke_key(key.id)
    house.clock.now += REMEMBERED
    for server in [*servers, house.keys()]:
        assert server.recall(bearer(secret)) is None
        with pytest.raises(Unauthorized) as refusal:
            await server.grant(bearer(secret))
        assert refusal.value.message.startswith("Incorrect API key provided: sk-caten*")
        assert secret not in refusal.value.message


async def test_a_key_of_a_revoked_project_opens_nothing(house: House) -> None:
    await house.registry.create_project("support")
    _, secret = await house.registry.create_key("support")
    keys = house.keys(plain_key("sk-fixed-key", "support"))
    for sent in (secret, "sk-fixed-key"):
        await keys.grant(bearer(sent))
    await house.registry.revoke_project("support")
    house.clock.now += REMEMBERED
    for sent in (secret, "sk-fixed-key"):
        with pytest.raises(Unauthorized, match="was revoked"):
            await keys.grant(bearer(sent))


async def test_a_key_expires_to_the_second_also_while_it_is_remembered(house: House) -> None:
    _, secret = await house.registry.create_key(expires_at=int(house.clock.now) + 2)
    keys = house.keys()
    await keys.grant(bearer(secret))
    house.clock.now += 1.9
    assert keys.recall(bearer(secret)) is not None
    house.clock.now += 0.1
    with pytest.raises(Unauthorized, match="has expired: sk-caten"):
        await keys.grant(bearer(secret))


async def test_a_rotated_key_does_the_same_and_the_old_one_ends_after_its_grace(house: House) -> None:
    await house.registry.create_project("support")
    old, old_secret = await house.registry.create_key(
        "support", name="ci", scopes=["models.read"], limits=Limits(requests_per_minute=3)
    )
    new, new_secret = await house.registry.rotate_key(old.id, grace=60)
    assert (new.project, new.name, new.scopes, new.limits) == (old.project, "ci", ["models.read"], old.limits)
    assert new_secret != old_secret
    keys = house.keys()
    await keys.grant(bearer(old_secret))
    house.clock.now += 60
    await keys.grant(bearer(new_secret))
    with pytest.raises(Unauthorized, match="expired"):
        await keys.grant(bearer(old_secret))
    with pytest.raises(BadRequest, match="expired or was revoked"):
        await house.registry.rotate_key(old.id)


async def test_a_rotation_never_lets_the_old_key_live_longer(house: House) -> None:
    old, _ = await house.registry.create_key(expires_at=int(house.clock.now) + 10)
    await house.registry.rotate_key(old.id, grace=1000)
    after = await house.registry.key(old.id)
    assert after is not None
    assert after.expires_at == house.clock.now + 10


@pytest.mark.parametrize("verb", ["revoke_key", "rotate_key"])
async def test_a_key_that_is_not_there_is_named(house: House, verb: str) -> None:
    with pytest.raises(NotFound, match="There is no key 'key_none'"):
        await getattr(house.registry, verb)("key_none")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "sk-catena-x", "bearer\tx"]
)
async def test_what_is_no_key_is_asked_for_one(house: House, header: str | None) -> None:
    with pytest.raises(Unauthorized, match=r"You didn't provide an API key\.") as refusal:
        await house.keys(required=True).grant(header)
    assert refusal.value.code is None


async def test_a_wrong_key_is_the_same_error_whether_it_looks_like_one_or_not(house: House) -> None:
    key, secret = await house.registry.create_key()
    keys = house.keys(plain_key("sk-fixed-key"))
    for wrong in (new_secret(), "sk-fixed-keys", "x", key.id, key.digest, hint_of(secret), secret[:-1]):
        with pytest.raises(Unauthorized) as refusal:
            await keys.grant(bearer(wrong))
        assert refusal.value.code == "invalid_api_key"
        assert refusal.value.message.startswith(f"Incorrect API key provided: {masked(wrong)}. ")


async def test_a_key_with_the_id_of_another_is_wrong(house: House) -> None:
    """Who had found a text whose hash begins like that of a key has nothing."""
    key, secret = await house.registry.create_key()
    forged = bytes.fromhex(key.digest)[:12] + bytes(20)
    await house.registry._change_key(
        key.id, lambda found: type(found)(id=found.id, project="default", digest=forged.hex())
    )
    with pytest.raises(Unauthorized, match="Incorrect API key"):
        await house.keys().grant(bearer(secret))


async def test_without_keys_everybody_has_the_default_project_until_the_first_is_made(house: House) -> None:
    keys = house.keys()
    for header in (None, "Bearer unused"):
        grant = await keys.grant(header)
        assert (grant.project, grant.unlocked) == ("default", True)
        grant.check("admin")
    key, secret = await house.registry.create_key()
    house.clock.now += REMEMBERED
    for header in (None, "Bearer unused"):
        with pytest.raises(Unauthorized):
            await keys.grant(header)
    await keys.grant(bearer(secret))
    await house.registry.revoke_key(key.id)
    house.clock.now += REMEMBERED
    for server in (keys, house.keys()):
        with pytest.raises(Unauthorized):
            await server.grant(None)


async def test_when_a_key_was_last_used_is_written_seldom(house: House) -> None:
    key, secret = await house.registry.create_key()
    keys = house.keys()
    began = house.clock.now

    async def noted() -> int | None:
        await keys.grant(bearer(secret))
        await keys.close()
        found = await house.registry.key(key.id)
        assert found is not None
        return found.last_used_at

    assert await noted() == began
    house.clock.now += 500
    assert await noted() == began
    house.clock.now += 500
    assert await noted() == began + 1000


async def test_no_more_keys_are_remembered_than_there_is_room_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catena.access.keys._MOST", 3)
    keys = house.keys()
    for number in range(10):
        await keys.grant(f"Bearer {number}")
        assert len(keys._known) <= 3
    assert keys.recall("Bearer 9") is not None
    assert keys.recall("Bearer 0") is None


async def test_where_the_registry_cannot_be_read_nobody_is_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await house.registry.create_key()
    keys = house.keys()
    await keys.required()

    async def unreachable(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(house.registry._documents, "get", unreachable)
    with pytest.raises(StoreUnavailable):
        await keys.grant(bearer(secret))


async def test_limits_are_those_of_the_key_and_of_its_project_over_the_usual_ones(house: House) -> None:
    usual = Limits(requests_per_minute=100, tokens_per_minute=1000)
    await house.registry.create_project("support", Limits(requests_per_minute=0, stored_bytes=5))
    key, secret = await house.registry.create_key("support", limits=Limits(concurrent_runs=2))
    keys = house.keys(defaults=usual)
    project, own = (await keys.grant(bearer(secret))).allowances
    assert (project.owner, own.owner) == ("project:support", f"key:{key.id}")
    assert project.limits == Limits(requests_per_minute=0, tokens_per_minute=1000, stored_bytes=5)
    assert own.limits == Limits(concurrent_runs=2)
    await house.registry.set_limits("support", Limits(requests_per_minute=7))
    house.clock.now += REMEMBERED
    project, _ = (await keys.grant(bearer(secret))).allowances
    assert project.limits == Limits(requests_per_minute=7, tokens_per_minute=1000, stored_bytes=5)
    _, free = await house.registry.create_key()
    assert (await house.keys().grant(bearer(free))).allowances == ()
