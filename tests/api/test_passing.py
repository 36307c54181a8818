"""Settings that only some engines take: given to those that do, and told where they are left out."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import msgspec
import pytest
import websockets

from catena.config import UpstreamSettings
from catena.engines import traits_in
from catena.upstream.traits import EVERYTHING, OPTIONAL, Traits, traits_of
from tests.conformance.proves import proves
from tests.running import StartServer

SETTINGS: dict[str, Any] = {
    "metadata": {"a": "b"},
    "prompt_cache_key": "key",
    "prompt_cache_options": {"ttl": "12h"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "somebody",
    "service_tier": "flex",
    "user": "ada",
}
ASKED = {"model": "m", "input": "?", "text": {"verbosity": "low"}, **SETTINGS}
TOLD = [name for name in SETTINGS if name != "metadata"]


@proves("9.passes")
@pytest.mark.parametrize("name", sorted(OPTIONAL))
async def test_an_engine_is_given_what_it_takes_and_the_rest_is_told(
    start_server: StartServer, name: Any
) -> None:
    async with start_server(traits={"": Traits(passes=frozenset({name}))}) as server:
        reply = await server.post("/responses", ASKED)
        every = {**SETTINGS, "verbosity": "low"}
        assert server.engine.prompts[-1].options == {name: every[name]}
        told = [
            "text.verbosity" if each == "verbosity" else each for each in [*TOLD, "verbosity"] if each != name
        ]
        assert reply.headers["catena-omitted-parameters"] == ", ".join(told)
        for each, value in SETTINGS.items():
            if each != "prompt_cache_options":
                assert reply.json()[each] == value


@proves("9.passes")
async def test_nothing_is_told_where_nothing_is_left_out(start_server: StartServer) -> None:
    async with start_server(traits={"": Traits(passes=OPTIONAL)}) as server:
        reply = await server.post("/responses", ASKED)
        assert server.engine.prompts[-1].options == {**SETTINGS, "verbosity": "low"}
        assert "catena-omitted-parameters" not in reply.headers


async def test_a_stream_and_a_socket_tell_it_too(start_server: StartServer) -> None:
    async with start_server() as server:
        reply = await server.post("/responses", {**ASKED, "stream": True})
        assert reply.headers["catena-omitted-parameters"] == ", ".join(TOLD[:-1])
        url = server.url.replace("http", "ws") + "/v1/responses"
        async with websockets.connect(url) as socket:
            asked = {"type": "response.create", "model": "m", "input": "?", "service_tier": "flex"}
            await socket.send(msgspec.json.encode(asked).decode())
            created = msgspec.json.decode(await socket.recv())
            assert created["catena_omitted_parameters"] == ["service_tier"]


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_completions_tell_it_too(start_server: StartServer, stream: bool) -> None:
    async with start_server(traits={"": Traits(passes=frozenset({"service_tier"}))}) as server:
        asked = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": stream}
        reply = await server.post(
            "/chat/completions", {**asked, "service_tier": "flex", "user": "ada", "verbosity": "low"}
        )
        assert reply.headers["catena-omitted-parameters"] == "user, verbosity"
        assert server.engine.prompts[-1].options == {"service_tier": "flex"}


@pytest.mark.parametrize(
    ("kind", "url", "accepts", "passes"),
    [
        ("chat", "http://localhost:8000/v1", {"text", "image", "audio"}, {"user", "verbosity"}),
        ("chat", "https://api.openai.com/v1", EVERYTHING, OPTIONAL - {"metadata"}),
        ("chat", "https://api.mistral.ai/v1", {"text", "image", "audio"}, set()),
        ("responses", "https://example.com/v1", EVERYTHING, OPTIONAL),
        ("embedded", "", {"text"}, {"user", "verbosity"}),
    ],
)
def test_what_is_known_of_engines(kind: str, url: str, accepts: Set[str], passes: Set[str]) -> None:
    known = traits_of(kind, url)
    assert (known.accepts, known.passes) == (accepts, passes)


def test_settings_say_what_nobody_can_know() -> None:
    settings = UpstreamSettings(
        url="http://localhost/v1", accepts=["image"], passes=["metadata"], grammar="vllm"
    )
    assert traits_in(settings) == Traits(
        accepts=frozenset({"text", "image"}), passes=frozenset({"metadata"}), grammar="vllm"
    )
