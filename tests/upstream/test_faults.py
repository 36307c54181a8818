"""Whose fault it was: what an engine says or does when it fails, and what our client hears of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import UpstreamError
from catena.upstream.complaint import read_complaint
from catena.upstream.faults import Faults, wait_asked_for
from catena.upstream.http import HttpError
from catena.upstream.http.reply import Kind
from catena.upstream.overflow import Overflow, overflow_in

KEY = "sk-verysecret-0123456789"
FAULTS = Faults("lab", secret=KEY)
TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."
PAGE = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx at 10.0.0.7</body></html>"
)


class Told(NamedTuple):
    """What the client hears."""

    status: int
    code: str | None
    message: str
    param: str | None = None
    retryable: bool = False

    @classmethod
    def of(cls, error: UpstreamError) -> Told:
        return cls(error.http_status, error.code, error.message, error.param, error.retryable)


def refused(message: str, code: str | None = None, param: str | None = None) -> Told:
    return Told(400, code, f"The engine 'lab' refused the request{message}", param)


AUTHENTICATION = (
    "The engine 'lab' does not let this server in (HTTP {}): {}. Your own key is not the cause; the operator of "
    "this server can repair it."
)
WRONG_KEY = "its key for the engine is wrong or too weak"
NOT_THERE = (
    "The engine 'lab' is not at the address that this server asks (HTTP {}). The request is not the cause: the "
    "operator of this server should check the engine's base URL."
)

REFUSALS: list[tuple[str, int, Any, Told]] = [
    (
        "OpenAI: a wrong value",
        400,
        {
            "error": {
                "message": "Invalid 'temperature': too high.",
                "type": "x",
                "param": "temperature",
                "code": "big",
            }
        },
        refused(": Invalid 'temperature': too high.", "big", "temperature"),
    ),
    (
        "vLLM: a number for a code",
        400,
        {
            "error": {
                "message": "top_k must be 0 or more",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            }
        },
        refused(": top_k must be 0 or more"),
    ),
    (
        "SGLang, old vLLM: flat",
        400,
        {
            "object": "error",
            "message": "The tools are wrong",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        refused(": The tools are wrong"),
    ),
    (
        "LM Studio, Ollama: a text",
        400,
        {"error": "json: cannot unmarshal"},
        refused(": json: cannot unmarshal"),
    ),
    ("FastAPI: detail", 422, {"detail": "Unprocessable"}, refused(": Unprocessable")),
    (
        "FastAPI: places",
        422,
        {
            "detail": [
                {
                    "loc": ["body", "messages", 0, "role"],
                    "msg": "Input should be 'user'",
                    "type": "literal_error",
                },
                {"loc": ["body", "n"], "msg": "Input should be 1", "type": "x"},
            ]
        },
        refused(": messages.0.role: Input should be 'user'; n: Input should be 1", None, "input.0.role"),
    ),
    (
        "Mistral: places inside a message",
        422,
        {"object": "error", "message": {"detail": [{"loc": ["body", "tools"], "msg": "Field required"}]}},
        refused(": tools: Field required", None, "tools"),
    ),
    (
        "Gemini: in a list",
        400,
        [{"error": {"code": 400, "message": "Bad schema", "status": "INVALID_ARGUMENT"}}],
        refused(": Bad schema"),
    ),
    (
        "a gateway: JSON inside of JSON",
        400,
        {"error": '{"error":{"code":400,"message":"Unknown role","type":"invalid_request_error"}}'},
        refused(": Unknown role"),
    ),
    ("plain text", 400, b"bad request\r\nline two", refused(": bad request line two")),
    ("a page", 400, PAGE, refused(" and does not say why (HTTP 400).")),
    ("nothing", 413, b"", refused(" and does not say why (HTTP 413).")),
    (
        "a name of the chat dialect",
        400,
        {"error": {"message": "m", "param": "messages[2].content"}},
        refused(": m", None, "input[2].content"),
    ),
    (
        "the limit under its chat name",
        400,
        {
            "error": {
                "message": "'max_tokens' is too large: 9000. This model's maximum context length is 4096 tokens and "
                "your request has 1000 input tokens (9000 > 4096 - 1000).",
                "param": "max_tokens",
            }
        },
        refused(
            ": 'max_tokens' is too large: 9000. This model's maximum context length is 4096 tokens and your request "
            "has 1000 input tokens (9000 > 4096 - 1000).",
            None,
            "max_output_tokens",
        ),
    ),
    (
        "vLLM: too long",
        400,
        {
            "error": {
                "message": "This model's maximum context length is 2048 tokens. However, your request has 2200 "
                "input tokens. Please reduce the length of the input messages.",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            }
        },
        Told(
            400,
            "context_length_exceeded",
            f"{TOO_LONG} The engine 'lab' has room for 2048 tokens; the request has 2200.",
            "input",
        ),
    ),
    (
        "llama.cpp: too long, in numbers",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size. try increasing the "
                "context size or enable context shift",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        Told(
            400,
            "context_length_exceeded",
            f"{TOO_LONG} The engine 'lab' has room for 8192 tokens; the request has 14429.",
            "input",
        ),
    ),
    (
        "Ollama: too long, as its own failure, wrapped",
        500,
        {
            "error": {
                "message": '{"error":{"code":400,"message":"request (5010 tokens) exceeds the available context '
                'size (4096 tokens), try increasing it","type":"exceed_context_size_error"}}',
                "type": "api_error",
                "param": None,
                "code": None,
            }
        },
        Told(
            400,
            "context_length_exceeded",
            f"{TOO_LONG} The engine 'lab' has room for 4096 tokens; the request has 5010.",
            "input",
        ),
    ),
    (
        "OpenAI: too long",
        400,
        {
            "error": {
                "message": TOO_LONG,
                "type": "invalid_request_error",
                "param": "input",
                "code": "context_length_exceeded",
            }
        },
        Told(400, "context_length_exceeded", TOO_LONG, "input"),
    ),
    (
        "no key",
        401,
        {"error": {"message": f"Incorrect API key provided: {KEY}."}},
        Told(502, "upstream_authentication_error", AUTHENTICATION.format(401, WRONG_KEY)),
    ),
    (
        "a weak key",
        403,
        {"error": {"message": f"{KEY} may not use this model"}},
        Told(502, "upstream_authentication_error", AUTHENTICATION.format(403, WRONG_KEY)),
    ),
    (
        "no money",
        402,
        {"error": {"message": "Insufficient Balance"}},
        Told(502, "upstream_authentication_error", AUTHENTICATION.format(402, "the account is not paid for")),
    ),
    (
        "vLLM: unknown model",
        404,
        {
            "error": {
                "message": "The model `x` does not exist.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        },
        Told(
            404,
            "model_not_found",
            "The engine 'lab' does not have this model: The model `x` does not exist.",
            "model",
        ),
    ),
    (
        "Ollama: unknown model",
        404,
        {"error": {"message": "model 'x' not found", "type": "not_found_error", "param": None, "code": None}},
        Told(
            404, "model_not_found", "The engine 'lab' does not have this model: model 'x' not found", "model"
        ),
    ),
    (
        "OpenAI: unknown model, as a bad request",
        400,
        {"error": {"message": "The requested model 'x' does not exist.", "code": "model_not_found"}},
        Told(
            400,
            "model_not_found",
            "The engine 'lab' does not have this model: The requested model 'x' does not exist.",
            "model",
        ),
    ),
    (
        "a wrong route",
        404,
        {"detail": "Not Found"},
        Told(502, "upstream_protocol_error", NOT_THERE.format(404)),
    ),
    (
        "a wrong route, in text",
        404,
        b"404 page not found",
        Told(502, "upstream_protocol_error", NOT_THERE.format(404)),
    ),
    ("a wrong method", 405, b"", Told(502, "upstream_protocol_error", NOT_THERE.format(405))),
    ("a redirect", 307, b"", Told(502, "upstream_protocol_error", NOT_THERE.format(307))),
    (
        "too many",
        429,
        {
            "error": {
                "message": "Rate limit reached for gpt-4o in organization org-abc",
                "code": "rate_limit_exceeded",
            }
        },
        Told(
            429,
            "rate_limit_exceeded",
            "The engine 'lab' has too many requests. Please try again later.",
            retryable=True,
        ),
    ),
    (
        "no quota",
        429,
        {
            "error": {
                "message": "You exceeded your current quota",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
        Told(
            429,
            "insufficient_quota",
            "This server has used up its quota at the engine. The engine 'lab' takes no requests until the operator "
            "of this server has renewed it.",
        ),
    ),
    (
        "a failure",
        500,
        {"error": {"message": "EngineCore encountered an issue.", "code": 500}},
        Told(
            502,
            "upstream_error",
            "The engine 'lab' failed (HTTP 500): EngineCore encountered an issue.",
            retryable=True,
        ),
    ),
    (
        "a proxy's page",
        502,
        PAGE,
        Told(502, "upstream_error", "The engine 'lab' failed (HTTP 502).", retryable=True),
    ),
    (
        "not built",
        501,
        b"",
        Told(502, "upstream_error", "The engine 'lab' failed (HTTP 501).", retryable=True),
    ),
    (
        "llama.cpp: loading",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        Told(
            503, "upstream_error", "The engine 'lab' cannot take requests now: Loading model", retryable=True
        ),
    ),
    (
        "overloaded",
        529,
        {"error": {"message": "Overloaded"}},
        Told(503, "upstream_error", "The engine 'lab' cannot take requests now: Overloaded", retryable=True),
    ),
    (
        "a proxy's patience",
        504,
        b"",
        Told(504, "upstream_timeout", "The engine 'lab' ran out of time (HTTP 504)."),
    ),
    (
        "its own patience",
        408,
        b"",
        Told(504, "upstream_timeout", "The engine 'lab' ran out of time (HTTP 408)."),
    ),
    (
        "a teapot",
        418,
        b"short and stout",
        Told(502, "upstream_error", "The engine 'lab' failed (HTTP 418): short and stout"),
    ),
]


@pytest.mark.parametrize(
    ("status", "body", "told"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_what_a_refusal_means(status: int, body: Any, told: Told) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert Told.of(FAULTS.refusal(status, content)) == told


STREAMED: list[tuple[Any, int, str | None, str]] = [
    ("the model crashed", 502, "upstream_error", "The engine 'lab' failed: the model crashed"),
    (
        {"message": "busy", "type": "rate_limit_error"},
        429,
        "rate_limit_exceeded",
        "The engine 'lab' has too many requests. Please try again later.",
    ),
    (
        {"message": "later", "type": "overloaded_error"},
        503,
        "upstream_error",
        "The engine 'lab' cannot take requests now: later",
    ),
    (
        {"message": "no", "code": "invalid_prompt"},
        400,
        "invalid_prompt",
        "The engine 'lab' refused the request: no",
    ),
    (
        {"error": {"message": "no", "type": "BadRequestError", "code": 400}},
        400,
        None,
        "The engine 'lab' refused the request: no",
    ),
    (
        {"error": {"message": "no", "code": "401"}},
        502,
        "upstream_authentication_error",
        AUTHENTICATION.replace(" (HTTP {})", "").format(WRONG_KEY),
    ),
    ({}, 502, "upstream_error", "The engine 'lab' failed."),
    (None, 502, "upstream_error", "The engine 'lab' failed."),
]


@pytest.mark.parametrize(("error", "status", "code", "message"), STREAMED)
def test_what_an_error_within_an_answer_means(
    error: Any, status: int, code: str | None, message: str
) -> None:
    told = FAULTS.told(error)
    assert (told.http_status, told.code, told.message) == (status, code, message)


CONNECTIONS = {
    "connect": Told(502, "upstream_unreachable", "The engine 'lab' cannot be reached.", retryable=True),
    "connect_timeout": Told(
        504, "upstream_timeout", "The engine 'lab' did not accept a connection in time.", retryable=True
    ),
    "first_timeout": Told(
        504, "upstream_timeout", "The engine 'lab' did not begin its answer in time.", retryable=True
    ),
    "between_timeout": Told(504, "upstream_timeout", "The engine 'lab' fell silent within its answer."),
    "lost": Told(
        502,
        "upstream_disconnected",
        "The engine 'lab' closed the connection in the middle of its answer.",
        retryable=True,
    ),
    "protocol": Told(
        502,
        "upstream_protocol_error",
        "The engine 'lab' does not speak HTTP as it should. This server cannot use its answer.",
    ),
}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_a_connection_means(kind: Kind) -> None:
    assert Told.of(FAULTS.of_connection(HttpError(kind, "10.0.0.7:8000 did something"))) == CONNECTIONS[kind]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 07:00:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "86400"}, None),
        ({}, None),
    ],
)
def test_how_long_a_reply_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_asked_for(headers) == seconds


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405])
def test_the_sdks_are_told_not_to_try_again_what_the_operator_has_to_repair(status: int) -> None:
    assert FAULTS.refusal(status, b"{}").headers == {"x-should-retry": "false"}


def test_the_client_is_told_how_long_to_wait() -> None:
    error = FAULTS.refusal(429, b"", retry_after=7.0)
    assert error.headers == {"retry-after": "7"}


SECRETS = [
    KEY,
    "sk-proj-abcdef123456",
    "Authorization: Bearer abcdefgh12345678",
    "https://engine.example/v1?api_key=abcdefgh12345678&x=1",
    "https://user:abcdefgh12345678@engine.example/",
    "token=abcdefgh12345678",
    "hf_abcdefgh12345678",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_nothing_that_looks_like_a_key_gets_into_a_message(status: int, secret: str) -> None:
    body = json.dumps({"error": {"message": f"The model said {secret} is wrong"}}).encode()
    message = FAULTS.refusal(status, body).message
    assert "verysecret" not in message
    assert "abcdef" not in message


@given(
    st.integers(300, 599),
    st.binary(max_size=2000) | st.text().map(lambda text: json.dumps({"error": text}).encode()),
)
def test_messages_are_one_bounded_line_that_names_the_engine(status: int, body: bytes) -> None:
    error = FAULTS.refusal(status, body)
    assert "The engine 'lab'" in error.message
    assert error.message.isprintable()
    assert len(error.message) < 800
    assert error.http_status in (400, 404, 429, 502, 503, 504)


def test_a_deeply_nested_complaint_ends_somewhere() -> None:
    body = b'{"error":' * 100_000 + b'"x"' + b"}" * 100_000
    assert FAULTS.refusal(500, body).http_status == 502


def test_an_endless_text_is_cut() -> None:
    complaint = read_complaint(json.dumps({"error": "word " * 100_000}).encode())
    assert len(complaint.message) == 500
    assert complaint.message.endswith("…")


# Engine, size of the request, room that the engine has, and how it says so.
WORDINGS = [
    line.split("\t") for line in Path(__file__).with_name("overflow_wordings.tsv").read_text().splitlines()
]


@pytest.mark.parametrize(("size", "limit", "words"), [wording[1:] for wording in WORDINGS])
def test_every_engines_words_for_a_context_that_is_too_long(size: str, limit: str, words: str) -> None:
    told = Overflow(None if size == "-" else int(size), None if limit == "-" else int(limit))
    assert overflow_in(words) == told


@pytest.mark.parametrize(
    "message",
    [
        "",
        "messages[0].content is required",
        "'max_tokens' or 'max_completion_tokens' is too large: 5000. The maximum context length is 4096 tokens",
        "max_tokens must be at least 1",
        "Rate limit exceeded: 1000 tokens per minute",
        "The context of your question is unclear",
    ],
)
def test_other_complaints_are_not_taken_for_it(message: str) -> None:
    assert overflow_in(message) is None
