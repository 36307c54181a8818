"""Settings: where each comes from, and what is said where one is wrong."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.config import Config, ConfigError, load, load_config, masked, variable_of
from catena.config.reading import settings_of
from catena.config.sources import Sources, unheard_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catena.toml"


def wrong(file: Path | None, **environment: str) -> list[str]:
    """What is said of these settings, one line for each thing that is wrong, without the name of the file."""
    with pytest.raises(ConfigError) as refusal:
        load(file, environment=environment)
    return str(refusal.value).replace(f"{file}:", "").splitlines()


def test_flags_come_before_the_environment_and_that_before_the_file(file: Path) -> None:
    file.write_text("[server]\nport = 1\nstop_seconds = 1\ndone_sentinel = true\n")
    environment = {"CATENA_SERVER__PORT": "2", "CATENA_SERVER__STOP_SECONDS": "2"}
    found = load(file, environment=environment, flags={("server", "port"): 3, ("server", "host"): None})
    server = found.config.server
    assert (server.port, server.stop_seconds, server.done_sentinel) == (3, 2.0, True)
    origins = {place[1]: source for place, _, source in found.each() if place[0] == "server"}
    assert origins["port"] == "the command line"
    assert origins["stop_seconds"] == "CATENA_SERVER__STOP_SECONDS"
    assert origins["done_sentinel"] == f"{file}:4"
    assert origins["host"] == "default"


def test_everything_that_is_wrong_is_said_at_once_with_its_line(file: Path) -> None:
    file.write_text(
        "# ours\n[server]\nprot = 1\nport = 'abc'\ndatabase = 'x'\n\n[upstreams.local]\nurl = [\n  'http://a',\n]\n"
        "kind = 'chatty'\n\n[models]\n'gpt-4.1' = {}\n"
    )
    assert wrong(file, CATENA_CHAINS__CACHE_BYTES="-1") == [
        "3: server.prot: there is no such setting. Did you mean 'port'?",
        "4: server.port: expected a whole number from 0 to 65535, got 'abc'",
        "5: server.database: there is no such setting. Did you mean 'store.database'?",
        "11: upstreams.local.kind: expected 'chat' or 'responses' or 'embedded', got 'chatty'",
        '14: models."gpt-4.1".upstream: is missing',
        "CATENA_CHAINS__CACHE_BYTES: chains.cache_bytes: expected a whole number of at least 0, got '-1'",
    ]


def test_a_section_that_is_none_and_one_that_is_unknown_are_named(file: Path) -> None:
    file.write_text("stroe = 1\nstore = 3\n")
    assert wrong(file) == [
        "1: stroe: there is no such setting. Did you mean 'store'?",
        "2: store: expected a table, got 3",
    ]


def test_rules_between_settings_name_the_line_too(file: Path) -> None:
    file.write_text("[server]\nhost = '0.0.0.0'\n[upstreams.a]\nurl = 'localhost'\n")
    first, second = wrong(file)
    assert first.startswith("2: server.host: 0.0.0.0 can be reached from other machines")
    assert second == "4: upstreams.a.url: expected a URL that begins with http:// or https://"


def test_a_key_that_is_to_be_in_the_environment_must_be_there(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[upstreams.a]\nurl = 'http://x'\nkey_env = 'NO_SUCH_KEY'\n")
    assert wrong(file) == ["3: upstreams.a.key_env: the variable NO_SUCH_KEY is not set"]
    monkeypatch.setenv("NO_SUCH_KEY", "sk")
    assert load_config(file).upstreams["a"].key_env == "NO_SUCH_KEY"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CATENA_SERVER__PORTS", "1", "server.ports: there is no such setting. Did you mean 'port'?"),
        ("CATENA_SERVERS__PORT", "1", "servers: there is no such setting. Did you mean 'server'?"),
        ("CATENA_UPSTREAMS__A__URL", "[1", "upstreams.a.url: expected valid JSON"),
    ],
)
def test_a_variable_that_sets_nothing_is_an_error(variable: str, value: str, expected: str) -> None:
    (line,) = wrong(None, **{variable: value})
    assert line == f"{variable}: {expected}"


def test_lists_and_tables_are_json_in_the_environment() -> None:
    config = load_config(
        environment={
            "CATENA_UPSTREAMS__A__URL": '["http://one", "http://two"]',
            "CATENA_MODELS": '{"gpt-4.1": {"upstream": "a", "model": "q"}}',
            "CATENA_DEFAULT_UPSTREAM": "a",
        }
    )
    assert config.upstreams["a"].urls == ["http://one", "http://two"]
    assert config.models["gpt-4.1"].model == "q"
    assert config.default_upstream == "a"


def test_two_variables_that_contradict_each_other_are_refused() -> None:
    (line,) = wrong(None, CATENA_PORT="1", CATENA_SERVER__PORT="2")
    assert line == "CATENA_PORT and CATENA_SERVER__PORT set server.port to different values"
    assert load_config(environment={"CATENA_PORT": "1", "CATENA_SERVER__PORT": "1"}).server.port == 1


def test_variables_of_others_are_left_alone_and_those_nearly_ours_are_noticed() -> None:
    environment = {"CATENA_CACHE": "x", "CATENA_URL": "x", "CATENA_HOTS": "x", "PATH": "x"}
    assert load_config(environment=environment) == load_config(environment={})
    assert list(unheard_of(environment)) == [("CATENA_HOTS", "CATENA_HOST")]
    assert list(unheard_of(environment, ["CATENA_HOTS"])) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # What a rule says of good settings is said beside what is wrong elsewhere.
        ('[server]\nport = "x"\nhost = "0.0.0.0"\n', ["2: server.port", "3: server.host"]),
        ('[upstreams.a]\nurl = 1\n[upstreams.b]\nurl = "b"\n', ["2: upstreams.a.url", "4: upstreams.b.url"]),
        (
            '[upstreams.a]\nkidn = "chat"\n[models.m]\nupstream = "b"\n',
            ["2: upstreams.a.kidn", "4: models.m.upstream"],
        ),
        # What only follows from it is not.
        ('upstreams = 1\n[models.m]\nupstream = "b"\n', ["1: upstreams"]),
        ('[server]\nhost = "0.0.0.0"\n[keys]\nrequired = "x"\n', ["4: keys.required"]),
        ("[server]\nworkers = 4\n[store]\ndatabase = 1.5\n", ["4: store.database"]),
    ],
)
def test_everything_that_is_wrong_is_said_at_once(file: Path, text: str, told: list[str]) -> None:
    file.write_text(text)
    assert [": ".join(line.split(": ")[:2]) for line in wrong(file)] == told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server", "Expected ']'"),
        ("port = ", "Invalid value"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_its_line(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    (line,) = wrong(file)
    assert expected in line


def test_a_file_that_cannot_be_read_is_told(file: Path) -> None:
    assert "No such file" in wrong(file)[0]
    file.write_bytes(b"\xff")
    assert wrong(file)[0].endswith("expected UTF-8 text")


def test_every_setting_has_a_variable_that_sets_it() -> None:
    """One rule for all of them; `*` is a name of the user's."""
    values = {int: "7", float: "7.5", bool: "true", str: "some"}
    tried = 0
    for place, kind in settings_of(Config):
        if kind not in values or "upstream" in place:
            continue
        named = tuple("mine" if part == "*" else part for part in place)
        sources = Sources()
        sources.add_environment({variable_of(named): values[kind]}, dict.fromkeys(Config.__struct_fields__))
        found: Any = sources.values
        for part in named:
            found = found[part]
        assert found == values[kind]
        tried += 1
    assert tried > 15


SECRETS = [
    (("server", "api_key"), "sk-1"),
    (("upstreams", "local", "key"), "sk-2"),
    (("store", "database"), "postgresql://ada:sk-3@host/db"),
    (("upstreams", "local", "url"), ["http://u:sk-4@host/v1"]),
]


@pytest.mark.parametrize(("place", "value"), SECRETS)
def test_secrets_are_masked(place: tuple[str, ...], value: Any) -> None:
    assert "sk-" not in str(masked(place, value))
    assert "host" not in str(value) or "host" in str(masked(place, value))


@pytest.mark.parametrize(
    "place", [("upstreams", "a", "key_env"), ("keys", "file"), ("store", "seal_keys"), ("store", "database")]
)
def test_what_is_no_secret_is_shown(place: tuple[str, ...]) -> None:
    assert masked(place, "value") == "value"


def test_a_wrong_value_of_a_secret_is_not_told(file: Path) -> None:
    file.write_text("[server]\napi_key = 123456\n")
    (line,) = wrong(file)
    assert "123456" not in line


keys = st.one_of(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.sampled_from(["a.b", "ä", "x y"]))
scalars = st.one_of(st.integers(), st.booleans(), st.sampled_from(["", "x", "a\n[b]\nc = 1", '"""', "#"]))
tables = st.dictionaries(keys, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=4)


@given(st.dictionaries(keys, tables, max_size=4), st.booleans())
def test_each_key_is_found_in_the_line_that_it_begins_in(
    document: dict[str, dict[str, Any]], spread: bool
) -> None:
    """Whatever stands in the values: the line of a key is the one that its own text begins in."""
    import json

    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for name, table in document.items():
        lines += ["", "# a comment", f"[{json.dumps(name)}]"]
        expected[name,] = len(lines)
        for key, value in table.items():
            expected[name, key] = len(lines) + 1
            text = json.dumps(value)
            if spread and isinstance(value, list):
                text = "[\n  # inside\n" + "".join(f"  {json.dumps(each)},\n" for each in value) + "]"
            lines += f"{json.dumps(key)} = {text}".split("\n")
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    path = Path(os.devnull)
    sources = Sources()
    sources.add_text(path, text)
    assert {place: sources.exactly(place) for place in expected} == {
        place: f"{path}:{line}" for place, line in expected.items()
    }
