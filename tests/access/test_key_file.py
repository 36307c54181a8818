"""Keys in a file: in clear or hashed, and each mistake named by its place, without the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from catena.access import Keys
from catena.access.key_file import KeyFileError, load_keys
from catena.access.secrets import digest_of, new_secret
from catena.errors import Unauthorized
from tests.access.registry_of import Clock, bearer

SECRET = new_secret()


def written(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text)
    return path


async def test_keys_in_clear_and_hashed_open_their_projects(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [[keys]]
        project = "support"
        sha256 = "{digest_of(SECRET).hex().upper()}"
        scopes = ["responses.read"]
        limits = {{ requests_per_minute = 60 }}

        [[keys]]
        key = "sk-written-by-hand"
        expires_at = 1970-01-02T00:00:00
        """,
    )
    clock = Clock(10.0)
    keys = Keys(load_keys(path), clock=clock)
    hashed = await keys.grant(bearer(SECRET))
    assert (hashed.project, hashed.scopes) == ("support", frozenset({"api.responses.read"}))
    assert [each.limits.requests_per_minute for each in hashed.allowances] == [60]
    plain = await keys.grant("Bearer sk-written-by-hand")
    assert plain.project == "default"
    assert "*" not in plain.scopes
    clock.now = 86_400
    with pytest.raises(Unauthorized, match="expired"):
        await keys.grant("Bearer sk-written-by-hand")


async def test_a_file_without_keys_opens_nothing_by_itself(tmp_path: Path) -> None:
    assert load_keys(written(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[keys]]\n", "keys[0]: expected either `key` or `sha256`"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nsha256 = "' + "0" * 64 + '"\n', "either `key` or `sha256`"),
        ('[[keys]]\nkey = "short"\n', "length >= 16"),
        ('[[keys]]\nsha256 = "sk-0123456789abcdef"\n', "matching regex"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nproject = "a/b"\n', "keys[0].project: 'a/b'"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nscopes = ["all"]\n', "keys[0].scopes: expected some of"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nscopes = []\n', "keys[0].scopes"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nscope = ["admin"]\n', "unknown field `scope`"),
        ("[[keys]\n", "keys.toml"),
        ('[[keys]]\nkey = "sk-0123456789abcdef"\nlimits = { rpm = 1 }\n', "unknown field `rpm`"),
    ],
)
def test_a_mistake_is_named_and_no_key_is_shown(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(KeyFileError) as refusal:
        load_keys(written(tmp_path, text))
    assert told in str(refusal.value)
    assert "keys.toml" in str(refusal.value)
    assert "0123456789abcdef" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_keys(tmp_path / "keys.toml")
