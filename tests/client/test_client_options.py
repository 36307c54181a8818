"""Where the drop-in sends and with which key, and that `acreate` goes by the same options."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from catena import AsyncOpenAI, OpenAI
from catena.client import LOCAL_SERVER
from tests.client.recording_server import RecordingServer

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
FLAVOURS = pytest.mark.parametrize("flavour", [OpenAI, AsyncOpenAI])
type_of_flavour = type[OpenAI | AsyncOpenAI]


@FLAVOURS
def test_without_any_setting_it_speaks_to_the_local_server(flavour: type_of_flavour) -> None:
    assert str(flavour().base_url) == f"{LOCAL_SERVER}/" == "http://127.0.0.1:8080/v1/"


@FLAVOURS
def test_an_empty_setting_is_none(flavour: type_of_flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")

    client = flavour()

    assert str(client.base_url) == f"{LOCAL_SERVER}/"
    assert client.api_key


@FLAVOURS
def test_the_address_is_the_constructors_then_the_environments(
    flavour: type_of_flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment/v1")

    assert str(flavour().base_url) == "http://environment/v1/"
    assert str(flavour(base_url="http://constructor/v1").base_url) == "http://constructor/v1/"
    assert str(flavour(base_url=None).base_url) == "http://environment/v1/"
    assert str(flavour(base_url=openai.NOT_GIVEN).base_url) == "http://environment/v1/"


@FLAVOURS
def test_the_key_is_the_constructors_then_openais_then_ours_then_a_placeholder(
    flavour: type_of_flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flavour().api_key == "no-key"
    monkeypatch.setenv("CATENA_API_KEY", "ours")
    assert flavour().api_key == "ours"
    monkeypatch.setenv("OPENAI_API_KEY", "openais")
    assert flavour().api_key == "openais"
    assert flavour(api_key="constructors").api_key == "constructors"


@FLAVOURS
def test_a_region_of_openai_is_taken_only_when_it_is_named(flavour: type_of_flavour) -> None:
    assert str(flavour(data_residency="eu").base_url) == "https://eu.api.openai.com/v1/"


@FLAVOURS
def test_it_takes_and_shows_the_options_of_the_sdk(flavour: type_of_flavour) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        flavour(retries=3)  # type: ignore[call-arg]  # the point


async def test_acreate_goes_by_the_options_of_its_client(server: RecordingServer) -> None:
    with OpenAI(
        base_url=server.base_url,
        api_key="key",
        organization="org",
        project="proj",
        default_headers={"x-team": "red"},
        default_query={"trace": "1"},
        timeout=7,
    ) as client:
        await client.chat.completions.acreate(**ASKED)
        client.chat.completions.create(**ASKED)

    awaited, plain = server.requests
    assert awaited.headers["x-stainless-async"] == "async:asyncio"
    assert plain.headers["x-stainless-async"] == "false"
    for name in (
        "authorization",
        "openai-organization",
        "openai-project",
        "x-team",
        "x-stainless-read-timeout",
    ):
        assert awaited.headers[name] == plain.headers[name]
    assert awaited.headers["x-stainless-read-timeout"] == "7"
    assert (awaited.path, awaited.query) == (plain.path, plain.query) == (plain.path, {"trace": ["1"]})


async def test_acreate_of_a_copy_goes_by_the_options_of_the_copy(server: RecordingServer) -> None:
    with OpenAI(base_url="http://127.0.0.1:9/v1", api_key="old", max_retries=0) as client:
        copy = client.with_options(base_url=server.base_url, api_key="new", default_headers={"x-team": "red"})
        await copy.chat.completions.acreate(**ASKED)

    assert server.requests[0].headers["authorization"] == "Bearer new"
    assert server.requests[0].headers["x-team"] == "red"


async def test_acreate_retries_as_often_as_its_client(server: RecordingServer) -> None:
    server.status = 500
    with (
        OpenAI(base_url=server.base_url, max_retries=0) as client,
        pytest.raises(openai.InternalServerError),
    ):
        await client.chat.completions.acreate(**ASKED)

    assert len(server.requests) == 1


async def test_a_key_that_is_fetched_is_fetched_for_acreate_too(server: RecordingServer) -> None:
    with OpenAI(base_url=server.base_url, api_key=lambda: "fetched") as client:
        await client.chat.completions.acreate(**ASKED)

    assert server.requests[0].headers["authorization"] == "Bearer fetched"


@pytest.mark.parametrize("copied", [False, True])
async def test_a_client_with_an_http_client_of_the_callers_refuses_acreate(
    copied: bool, server: RecordingServer
) -> None:
    with httpx2.Client() as http_client:
        client = OpenAI(base_url=server.base_url, http_client=http_client)
        if copied:
            client = client.with_options(timeout=5)
        client.chat.completions.create(**ASKED)

        with pytest.raises(RuntimeError) as refusal:
            await client.chat.completions.acreate(**ASKED)

    assert str(refusal.value) == (
        "acreate() cannot use the http_client that this OpenAI was given, as it is synchronous: "
        "give an asynchronous one to AsyncOpenAI(http_client=...)"
    )
    assert len(server.requests) == 1
