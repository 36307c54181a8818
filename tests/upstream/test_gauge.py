"""What engines tell of their window and of the length of a prompt, each in its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from catena.upstream import Prompt
from catena.upstream.chat import ChatUpstream
from catena.upstream.responses import ResponsesUpstream
from tests.upstream.raw_engine import Engine, Peer, raw_engine

PROMPT = Prompt(
    "qwen", [b'{"role":"user","content":"hi"}', b'{"role":"user","content":"there"}'], {"temperature": 1}
)
MESSAGES = [{"role": "user", "content": "hi"}, {"role": "user", "content": "there"}]
TOOL = {"type": "function", "function": {"name": "f"}}


def answers(replies: Mapping[str, Any]) -> Any:
    """A script that answers paths with JSON; what is not in `replies` is not found."""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            path = request.split(b" ", 2)[1].decode()
            body = request.partition(b"\r\n\r\n")[2]
            reply = replies.get(path)
            if callable(reply):
                reply = reply(msgspec.json.decode(body))
            status = "404 Not Found" if reply is None else "200 OK"
            content = msgspec.json.encode(reply)
            await peer.send(
                f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\n\r\n".encode()
                + content
            )

    return script


def asked(engine: Engine) -> list[str]:
    """The paths that were asked, in order."""
    paths = [re.match(rb"\w+ (\S+) ", request) for request in engine.requests]
    return [match[1].decode() for match in paths if match]


def body(engine: Engine, number: int = -1) -> Any:
    return msgspec.json.decode(engine.requests[number].partition(b"\r\n\r\n")[2])


VLLM = {
    "/v1/models": {"object": "list", "data": [{"id": "qwen", "owned_by": "vllm", "max_model_len": 32768}]},
    "/tokenize": {"count": 21, "max_model_len": 32768, "tokens": [1] * 21},
}
LLAMA_CPP = {
    "/v1/models": {"data": [{"id": "model.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131072}}]},
    "/props": {"default_generation_settings": {"n_ctx": 4096}},
    "/apply-template": lambda asked: {"prompt": "<|im_start|>" + asked["messages"][0]["content"]},
    "/tokenize": lambda asked: {"tokens": list(range(len(asked.get("content", ""))))},
}


@pytest.mark.parametrize(
    ("replies", "window"),
    [
        (VLLM, 32768),
        (LLAMA_CPP, 4096),
        ({"/v1/models": {"data": [{"id": "a"}, {"id": "qwen", "context_length": 8192}]}}, 8192),
        ({"/v1/models": {"data": [{"id": "a", "context_length": 1}, {"id": "b", "context_length": 2}]}}, None),
        ({"/v1/models": {"data": [{"id": "qwen", "max_model_len": "many"}]}}, None),
        ({"/v1/models": [1, 2]}, None),
        ({}, None),
    ],
)  # fmt: skip
async def test_the_window_is_what_the_engine_tells(replies: dict[str, Any], window: int | None) -> None:
    async with raw_engine(answers(replies)) as engine:
        upstream = ChatUpstream("e", [f"{engine.url}/v1"])
        assert await upstream.window("qwen") == window
        once = len(engine.requests)
        assert await upstream.window("qwen") == window
        assert len(engine.requests) == once
        await upstream.close()


async def test_what_the_settings_know_is_not_asked_for() -> None:
    async with raw_engine(answers(VLLM)) as engine:
        for kind in (ChatUpstream, ResponsesUpstream):
            upstream = kind("e", [f"{engine.url}/v1"], context_window=100)
            assert await upstream.window("qwen") == 100
            await upstream.close()
        assert engine.requests == []


async def test_vllm_counts_messages_and_tools() -> None:
    async with raw_engine(answers(VLLM)) as engine:
        upstream = ChatUpstream("e", [f"{engine.url}/v1/"])
        prompt = msgspec.structs.replace(PROMPT, options={"tools": [TOOL], "temperature": 1})
        assert await upstream.count(prompt) == 21
        assert asked(engine) == ["/tokenize", "/tokenize"]
        assert "messages" not in body(engine, 0)
        assert body(engine) == {"model": "qwen", "messages": MESSAGES, "tools": [TOOL]}
        assert await upstream.count(prompt) == 21
        assert len(engine.requests) == 3
        await upstream.close()


async def test_llama_cpp_writes_the_prompt_out_and_cuts_it_up() -> None:
    async with raw_engine(answers(LLAMA_CPP)) as engine:
        upstream = ChatUpstream("e", [f"{engine.url}/v1"])
        assert await upstream.count(PROMPT) == len("<|im_start|>hi")
        assert asked(engine) == ["/tokenize", "/apply-template", "/tokenize"]
        assert body(engine) == {"content": "<|im_start|>hi", "add_special": True, "parse_special": True}
        await upstream.close()


async def test_an_engine_without_a_tokenizer_is_not_asked_again_for_a_while() -> None:
    async with raw_engine(answers({})) as engine:
        upstream = ChatUpstream("e", [f"{engine.url}/v1"])
        assert await upstream.count(PROMPT) is None
        assert await upstream.count(PROMPT) is None
        assert asked(engine) == ["/tokenize"]
        assert b"hi" not in engine.requests[0]
        await upstream.close()


async def test_an_engine_that_is_down_tells_nothing() -> None:
    async with raw_engine(answers({})) as engine:
        url = f"{engine.url}/v1"
    upstream = ChatUpstream("e", [url])
    assert await upstream.window("qwen") is None
    assert await upstream.count(PROMPT) is None
    await upstream.close()


async def test_a_responses_server_counts_by_its_own_endpoint() -> None:
    replies = {"/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": 12}}
    async with raw_engine(answers(replies)) as engine:
        upstream = ResponsesUpstream("e", [f"{engine.url}/v1"])
        options = {"store": False, "include": [], "temperature": 1, "instructions": "Be brief."}
        assert await upstream.count(msgspec.structs.replace(PROMPT, options=options)) == 12
        assert body(engine) == {"model": "qwen", "input": MESSAGES, "instructions": "Be brief."}
        await upstream.close()
