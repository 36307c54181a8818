"""What a type checker is told of our completions; never imported when a program runs.

The parameters are those of the SDK that is installed: its own typed dictionaries, and ours beside them. They
do not know the SDK's `omit` as a value: leave the key out instead.

Each suppression here says the same: `create` is declared as a value that can be called, not as a method, and
takes no `omit`.
"""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol, Required, TypeAlias, TypedDict, TypeVar, Unpack, overload

from openai import AsyncStream, NotGiven, Omit, Stream, Timeout
from openai._legacy_response import LegacyAPIResponse
from openai._response import (
    APIResponse,
    AsyncAPIResponse,
    AsyncResponseContextManager,
    ResponseContextManager,
)
from openai._types import Body, Headers, Query
from openai.lib._parsing import ResponseFormatT
from openai.lib.streaming.chat import AsyncChatCompletionStreamManager, ChatCompletionStreamManager
from openai.resources.chat import completions as sdk
from openai.types import chat
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
    ResponseFormat,
)

from catena.client._clients import OpenAI

Parent: TypeAlias = str | Omit | NotGiven | None
Messages: TypeAlias = Iterable[chat.ChatCompletionMessageParam]
Chunk: TypeAlias = chat.ChatCompletionChunk

class ChatCompletion(chat.ChatCompletion):
    """The SDK's, with the field that the server adds."""

    previous_response_id: str | None

class _Options(TypedDict, total=False):
    previous_response_id: Parent
    extra_headers: Headers | None
    extra_query: Query | None
    extra_body: Body | None
    timeout: float | Timeout | NotGiven | None

class Turn(CompletionCreateParamsNonStreaming, _Options, total=False):
    """A completion that comes whole."""

class StreamedTurn(CompletionCreateParamsStreaming, _Options):
    """A completion that comes in chunks."""

class AnyTurn(CompletionCreateParamsBase, _Options):
    """A completion of which only the program knows how it comes."""

    stream: Required[bool]

_Whole = TypeVar("_Whole", covariant=True)
_Chunks = TypeVar("_Chunks", covariant=True)

class Create(Protocol[_Whole, _Chunks]):
    """`create`, with `previous_response_id`: the id of the turn that this one continues."""

    @overload
    def __call__(self, **params: Unpack[Turn]) -> _Whole: ...
    @overload
    def __call__(self, **params: Unpack[StreamedTurn]) -> _Chunks: ...
    @overload
    def __call__(self, **params: Unpack[AnyTurn]) -> _Whole | _Chunks: ...

AsyncCreate: TypeAlias = Create[
    Coroutine[Any, Any, ChatCompletion],
    Coroutine[Any, Any, AsyncStream[Chunk]],
]

class RawCompletions(sdk.CompletionsWithRawResponse):
    create: Create[LegacyAPIResponse[ChatCompletion], LegacyAPIResponse[Stream[Chunk]]]  # type: ignore[assignment]

class StreamedCompletions(sdk.CompletionsWithStreamingResponse):
    create: Create[  # type: ignore[assignment]
        ResponseContextManager[APIResponse[ChatCompletion]],
        ResponseContextManager[APIResponse[Stream[Chunk]]],
    ]

class AsyncRawCompletions(sdk.AsyncCompletionsWithRawResponse):
    create: Create[  # type: ignore[assignment]
        Coroutine[Any, Any, LegacyAPIResponse[ChatCompletion]],
        Coroutine[Any, Any, LegacyAPIResponse[AsyncStream[Chunk]]],
    ]

class AsyncStreamedCompletions(sdk.AsyncCompletionsWithStreamingResponse):
    create: Create[  # type: ignore[assignment]
        AsyncResponseContextManager[AsyncAPIResponse[ChatCompletion]],
        AsyncResponseContextManager[AsyncAPIResponse[AsyncStream[Chunk]]],
    ]

class Completions(sdk.Completions):
    """`Completions`, as it is after `chained`."""

    _client: OpenAI

    create: Create[ChatCompletion, Stream[Chunk]]  # type: ignore[assignment]
    acreate: AsyncCreate
    with_raw_response: RawCompletions
    with_streaming_response: StreamedCompletions

    def parse(
        self,
        *,
        messages: Messages,
        model: str,
        response_format: type[ResponseFormatT] | Omit = ...,
        previous_response_id: Parent = ...,
        **params: Any,
    ) -> chat.ParsedChatCompletion[ResponseFormatT]: ...
    def stream(
        self,
        *,
        messages: Messages,
        model: str,
        response_format: ResponseFormat | type[ResponseFormatT] | Omit = ...,
        previous_response_id: Parent = ...,
        **params: Any,
    ) -> ChatCompletionStreamManager[ResponseFormatT]: ...

class AsyncCompletions(sdk.AsyncCompletions):
    """`AsyncCompletions`, as it is after `chained`."""

    create: AsyncCreate  # type: ignore[assignment]
    acreate: AsyncCreate
    with_raw_response: AsyncRawCompletions
    with_streaming_response: AsyncStreamedCompletions

    async def parse(
        self,
        *,
        messages: Messages,
        model: str,
        response_format: type[ResponseFormatT] | Omit = ...,
        previous_response_id: Parent = ...,
        **params: Any,
    ) -> chat.ParsedChatCompletion[ResponseFormatT]: ...
    def stream(
        self,
        *,
        messages: Messages,
        model: str,
        response_format: ResponseFormat | type[ResponseFormatT] | Omit = ...,
        previous_response_id: Parent = ...,
        **params: Any,
    ) -> AsyncChatCompletionStreamManager[ResponseFormatT]: ...
