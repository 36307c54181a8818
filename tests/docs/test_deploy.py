"""The files in deploy/ can be used as they are, and run the server with the same settings."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from catena.config import is_postgres, load_config

DEPLOY = Path(__file__).parents[2] / "deploy"

# What systemd.exec(5), systemd.service(5) and systemd.resource-control(5) know of what is used here.
DIRECTIVES = {
    "Unit": {"Description", "After", "Wants", "StartLimitIntervalSec"},
    "Service": {
        *("Type", "Environment", "EnvironmentFile", "ExecStartPre", "ExecStart", "Restart", "RestartSec"),
        *("TimeoutStartSec", "TimeoutStopSec", "LimitNOFILE", "DynamicUser", "StateDirectory"),
        *("StateDirectoryMode", "CacheDirectory", "UMask", "NoNewPrivileges", "ProtectSystem", "ProtectHome"),
        *("PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules"),
        *("ProtectControlGroups", "RestrictAddressFamilies", "RestrictSUIDSGID", "LockPersonality"),
        "CapabilityBoundingSet",
    },
    "Install": {"WantedBy"},
}


def unit() -> dict[str, list[tuple[str, str]]]:
    """The sections of the unit; a name may stand there more than once."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in (DEPLOY / "catena.service").read_text().splitlines():
        if line.startswith("["):
            sections[line.strip("[]")] = current = []
        elif line and not line.startswith("#"):
            name, sign, value = line.partition("=")
            assert sign, line
            current.append((name, value))
    return sections


def compose(name: str = "compose.yaml") -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_unit_has_only_what_systemd_knows() -> None:
    sections = unit()
    assert sections.keys() == DIRECTIVES.keys()
    for name, entries in sections.items():
        assert {key for key, _ in entries} <= DIRECTIVES[name]
    strict = configparser.ConfigParser(strict=False, interpolation=None)
    strict.read_string((DEPLOY / "catena.service").read_text())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit() -> None:
    told = subprocess.run(
        ["systemd-analyze", "verify", str(DEPLOY / "catena.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [
        line for line in told.stderr.splitlines() if "catena.service" in line and "executable" not in line
    ]
    assert not complaints


def test_both_ways_use_the_same_settings() -> None:
    service = compose()["services"]["catena"]
    by_unit = dict(value.partition("=")[::2] for key, value in unit()["Service"] if key == "Environment")
    by_compose = {name: value for name, value in service["environment"].items() if "${" not in value}
    assert by_unit == by_compose
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert mounted["./catena.toml"] == by_unit["CATENA_CONFIG"]
    limits = dict(unit()["Service"])
    assert int(limits["LimitNOFILE"]) == service["ulimits"]["nofile"]
    config = load_config(DEPLOY / "catena.toml", environment={"CATENA_API_KEY": "sk-one"})
    database = Path(config.store.database)
    assert str(database.parent) == mounted["turns"] == f"/var/lib/{limits['StateDirectory']}"
    assert mounted["models"] == by_unit["CATENA_CACHE"] == f"/var/cache/{limits['CacheDirectory']}"
    assert service["ports"] == [f"127.0.0.1:{config.server.port}:{config.server.port}"]
    assert str(config.server.port) in service["healthcheck"]["test"][-1]


def test_the_compose_file_has_what_its_parts_need() -> None:
    told = compose()
    (service,) = told["services"].values()
    named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")}
    assert named == told["volumes"].keys()
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve().exists()
    assert (
        int(re.sub(r"\D", "", service["stop_grace_period"])) > load_config(environment={}).server.stop_seconds
    )


def test_the_unit_goes_on_trying_while_the_database_is_away() -> None:
    """systemd gives up after five starts within ten seconds, unless it is told not to."""
    told = dict(entry for section in unit().values() for entry in section)
    assert (told["Restart"], told["StartLimitIntervalSec"]) == ("on-failure", "0")
    assert int(told["RestartSec"]) > 0


def test_the_compose_file_for_postgresql_migrates_the_database_that_it_serves() -> None:
    told = compose("compose.postgres.yaml")
    database, migrating, serving = (told["services"][name] for name in ("database", "migrate", "catena"))
    assert told["services"].keys() - compose()["services"].keys() == {"database", "migrate"}
    assert migrating["environment"] == serving["environment"]
    assert migrating["build"] == compose()["services"]["catena"]["build"]
    assert migrating["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert serving["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    url = urlsplit(serving["environment"]["CATENA_DATABASE"])
    names = (database["environment"]["POSTGRES_USER"], f"/{database['environment']['POSTGRES_DB']}")
    assert (url.scheme, url.username, url.hostname, url.path) == (
        "postgresql",
        names[0],
        "database",
        names[1],
    )
    assert [volume.split(":")[0] for volume in database["volumes"]] == list(told["volumes"])
    config = load_config(
        DEPLOY / "catena.toml", environment={"CATENA_API_KEY": "sk-one", **serving["environment"]}
    )
    assert is_postgres(config)


def test_prometheus_is_told_where_the_metrics_are() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"
