"""`catena config` as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FILE = """\
default_upstream = "local"

[server]
api_key = "sk-topsecret"
port = 8099

[upstreams.local]
url = "http://localhost:1/v1"
"""


def config(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "config", *arguments, **environment)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CATENA_")}
    return subprocess.run(
        [sys.executable, "-m", "catena", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**clean, "COLUMNS": "60", **environment},
        timeout=60,
        check=False,
    )


def test_show_tells_every_setting_with_its_source_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text(FILE)
    shown = config(tmp_path, "show", CATENA_UPSTREAMS__LOCAL__KEY="sk-hidden", CATENA_LOGS__FORMAT="json")
    assert shown.returncode == 0, shown.stderr
    assert "sk-" not in shown.stdout
    for line in (
        'default_upstream = "local"  # catena.toml:1',
        "[server]",
        'host = "127.0.0.1"',
        "port = 8099  # catena.toml:5",
        'api_key = "********"  # catena.toml:4',
        'format = "json"  # CATENA_LOGS__FORMAT',
        'key = "********"  # CATENA_UPSTREAMS__LOCAL__KEY',
        "read_only_api_key = (unset)",
    ):
        assert line in shown.stdout.splitlines(), line


def test_show_has_the_same_for_programs(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text(FILE)
    shown = config(tmp_path, "show", "--json", "--changed")
    rows = {f"{row['table']}.{row['key']}": row for row in json.loads(shown.stdout)}
    assert rows.keys() == {".default_upstream", "server.api_key", "server.port", "upstreams.local.url"}
    assert rows["server.port"] == {
        "table": "server",
        "key": "port",
        "value": 8099,
        "source": "catena.toml:5",
        "variable": "CATENA_PORT",
    }
    assert rows["upstreams.local.url"]["variable"] == "CATENA_UPSTREAMS__LOCAL__URL"


def test_check_says_where_the_settings_came_from(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text(FILE)
    checked = config(tmp_path, "check", CATENA_PORT="1", CATENA_MODELS="{}", CATENA_SERVICE_HOST="10.0.0.1")
    assert checked.returncode == 0, checked.stderr
    assert "The settings are good (CATENA_MODELS, CATENA_PORT, catena.toml)" in " ".join(
        checked.stdout.split()
    )


def test_check_fails_where_a_variable_sets_nothing(tmp_path: Path) -> None:
    """But for one that holds the key of an engine."""
    (tmp_path / "catena.toml").write_text(FILE + 'key_env = "CATENA_LOCAL_KEY"\n')
    strays = {"CATENA_HOTS": "x", "CATENA_STORE_DATABASE": "x", "CATENA_LOCAL_KEY": "x"}
    checked = config(tmp_path, "check", **strays)
    assert checked.returncode == 1
    assert checked.stderr.splitlines() == [
        "catena: CATENA_HOTS sets nothing. Did you mean CATENA_HOST?",
        "CATENA_STORE_DATABASE sets nothing. Did you mean CATENA_STORE__DATABASE?",
    ]


def test_check_says_what_is_wrong_in_a_value_and_what_is_wrong_between_values(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text(
        FILE.replace("port = 8099", 'port = "many"').replace('"local"', '"lcal"')
    )
    checked = config(tmp_path, "check")
    assert checked.returncode == 1
    assert "catena.toml:5: server.port: expected a whole number" in checked.stderr
    assert "catena.toml:1: default_upstream: there is no upstream 'lcal'" in checked.stderr


def test_a_network_may_be_faced_once_there_is_a_key_in_the_database(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text('[server]\nhost = "0.0.0.0"\n[store]\ndatabase = "c.sqlite3"\n')
    unsafe = config(tmp_path, "check")
    assert unsafe.returncode == 1
    assert "no API key is set" in unsafe.stderr
    made = run(tmp_path, "keys", "create")
    assert made.returncode == 0, made.stderr
    checked = config(tmp_path, "check")
    assert checked.returncode == 0, checked.stderr
    assert "The settings are good" in checked.stdout


def test_check_fails_with_the_line_of_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "catena.toml").write_text(FILE.replace("port =", "prot ="))
    checked = config(tmp_path, "check")
    assert checked.returncode == 1
    assert "catena.toml:5: server.prot: there is no such setting. Did you mean 'port'?" in checked.stderr


def test_a_settings_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """It would be a surprise to run with the defaults instead."""
    checked = config(tmp_path, "check", CATENA_CONFIG="/nowhere/catena.toml")
    assert checked.returncode == 1
    assert "/nowhere/catena.toml: No such file" in checked.stderr
