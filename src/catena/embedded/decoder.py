"""The one file that knows the native runtime: chat bodies in, pieces of text out, abandoned at any point.

The runtime decodes in threads of its own and calls back with each chunk. Here that becomes an async generator;
closing it makes the next callback say "stop", which ends the decoding after at most one batch of the prompt or one
token of the answer. It knows nothing of tools, HTTP or keys.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import logging
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from catena.embedded.runtime import Unfit, import_runtime
from catena.errors import BadRequest, CatenaError

__all__ = ["Accepted", "Decoded", "Decoder", "Done", "LlamaDecoder", "Piece"]

_log: Final = logging.getLogger(__name__)

_BATCH: Final = 128
"""Tokens of a prompt between two chances to stop: 1.4 s on two cores. Half of it would make prompts 7 % slower."""

_CACHE_MIB: Final = 512
"""For the prompts of idle chats, about 18,000 tokens; the runtime's own default is 8 GiB."""


class Accepted(msgspec.Struct, frozen=True):
    """The request is fit to be answered; the prompt is being read."""


class Piece(msgspec.Struct, frozen=True):
    """More of the answer."""

    text: str = ""
    reasoning: str = ""
    logprobs: dict[str, Any] | None = None


class Done(msgspec.Struct, frozen=True):
    """The end of the answer: why ("stop" or "length"), and the tokens that it took."""

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


Decoded: TypeAlias = Accepted | Piece | Done


class Decoder(Protocol):
    """A model that continues conversations."""

    @property
    def context(self) -> int:
        """How many tokens fit into one conversation, its answer included."""
        ...

    def decode(
        self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]
    ) -> AsyncGenerator[Decoded, None]:
        """The answer: `Accepted` once or more, then pieces, then `Done`.

        Closing the iterator stops the model. Raises BadRequest, before the first piece, for a prompt that is too
        long or a schema that cannot be followed.
        """
        ...

    async def tokenize(self, prompt: str | Sequence[Mapping[str, str]]) -> Sequence[int]:
        """The tokens of a text, or of messages as the model would read them."""
        ...


class LlamaDecoder:
    """llama.cpp in this process. Loads the model at once, which takes a second or two. Raises Unfit."""

    def __init__(self, model: Path, *, context: int, parallel: int = 1) -> None:
        self.context = context
        self._key = secrets.token_urlsafe()
        self._llama = _load(model, context=context, parallel=parallel, key=self._key)
        self._slots = asyncio.Semaphore(parallel)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="decode")

    async def decode(
        self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]
    ) -> AsyncGenerator[Decoded, None]:
        body = {
            **options,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        # Waiting here rather than in the runtime, whose queue cannot be left before its turn comes.
        async with self._slots:
            chunks = _Chunks(asyncio.get_running_loop())
            work = functools.partial(self._run, msgspec.json.encode(body), chunks)
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
            reason = ""
            try:
                while (chunk := await chunks.arrived.get()) is not None:
                    for choice in chunk.choices:
                        reason = choice.finish_reason or reason
                    for event in _events(chunk, reason):
                        yield event
                if not reason:
                    raise CatenaError("The model stopped in the middle of its answer.")
            finally:
                chunks.unwanted.set()
                await running  # the slot is free when the runtime's thread is

    async def tokenize(self, prompt: str | Sequence[Mapping[str, str]]) -> Sequence[int]:
        return await asyncio.to_thread(self._tokenize, prompt)

    def _run(self, body: bytes, chunks: _Chunks) -> None:
        try:
            self._llama.handle_chat_completions(body, chunks.take)
        except ValueError as error:
            chunks.end(_Chunk(error={"code": 400, "message": str(error)}))
        except Exception as error:
            _log.exception("decoding failed")
            chunks.end(_Chunk(error={"code": 500, "message": str(error)}))
        else:
            chunks.end()

    def _tokenize(self, prompt: str | Sequence[Mapping[str, str]]) -> Sequence[int]:
        if not isinstance(prompt, str):
            prompt = self._call("/apply-template", {"messages": prompt})["prompt"]
        tokens: list[int] = self._call("/tokenize", {"content": prompt, "parse_special": True})["tokens"]
        return tokens

    def _call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the runtime's own loopback port, the only way to what it does not offer in the process."""
        address = urlsplit(self._llama.listening_address)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=30)
        try:
            headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in reply:
            raise _as_ours(reply["error"])
        return dict(reply)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails = msgspec.field(default_factory=_PromptDetails)


class _Chunk(msgspec.Struct):
    """What the runtime sends."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    prompt_progress: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class _Chunks:
    """Chunks on their way from the runtime's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.arrived: asyncio.Queue[_Chunk | None] = asyncio.Queue()
        self.unwanted = threading.Event()
        self._loop = loop
        self._decoder = msgspec.json.Decoder(_Chunk)

    def take(self, chunk: bytes) -> bool:
        """The runtime's callback; True tells it to stop. It would take an exception for the end, too."""
        self._loop.call_soon_threadsafe(self.arrived.put_nowait, self._decoder.decode(chunk))
        return self.unwanted.is_set()

    def end(self, last: _Chunk | None = None) -> None:
        if last is not None:
            self._loop.call_soon_threadsafe(self.arrived.put_nowait, last)
        self._loop.call_soon_threadsafe(self.arrived.put_nowait, None)


def _events(chunk: _Chunk, reason: str) -> Iterator[Decoded]:
    if chunk.error is not None:
        raise _as_ours(chunk.error)
    if chunk.prompt_progress is not None:
        yield Accepted()
    for choice in chunk.choices:
        text, reasoning = choice.delta.content or "", choice.delta.reasoning_content or ""
        if text or reasoning or choice.logprobs:
            yield Piece(text, reasoning, choice.logprobs)
    if chunk.usage is not None:
        usage = chunk.usage
        cached = usage.prompt_tokens_details.cached_tokens
        yield Done(reason, usage.prompt_tokens, usage.completion_tokens, cached)


def _as_ours(error: Mapping[str, Any]) -> CatenaError:
    message = str(error.get("message", "the runtime gave no reason"))
    if error.get("type") == "exceed_context_size_error":
        return BadRequest(
            f"This model's maximum context length is {error.get('n_ctx')} tokens, but the messages come to "
            f"{error.get('n_prompt_tokens')}. Please shorten them.",
            param="messages",
            code="context_length_exceeded",
        )
    if error.get("code") != 400:
        return CatenaError(message)
    _, found, complaint = message.partition("JSON schema error")
    return BadRequest(f"This schema cannot be followed{complaint}" if found else message)


def _load(model: Path, *, context: int, parallel: int, key: str) -> Any:
    xllamacpp = import_runtime()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.cpuparams.n_threads = max(1, cores - 1)
    params.cpuparams_batch.n_threads = cores
    params.n_parallel = parallel
    params.n_ctx = context * parallel  # the runtime divides it by the slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cache_ram_mib = _CACHE_MIB
    params.prefill_assistant = False
    params.warmup = False
    params.verbosity = 0
    # Its own port cannot be switched off, and by itself would answer anybody.
    params.api_keys = [key]
    params.ui = False
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise Unfit(f"{model} cannot be loaded; is it a GGUF file that this engine knows?") from error
