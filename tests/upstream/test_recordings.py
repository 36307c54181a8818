"""What engines send, in their own words, and what becomes of it. Each recording is small and shows one habit."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from catena.wire.events import encode_event, event_type
from tests.upstream.playback import RECORDINGS, play, shown

CITED = {
    "type": "url_citation",
    "start_index": 4,
    "end_index": 8,
    "url": "https://example.com/",
    "title": "Example",
}
SAID = "The engine 'engine'"
TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."


class Ends(NamedTuple):
    """How a run ends: its status and output, tokens (in, out, cached, reasoning), and the fault (status, code)."""

    status: str
    output: list[Any]
    usage: tuple[int, ...] | None = None
    fault: tuple[int, str] | None = None


def completed(*output: Any, usage: tuple[int, ...] | None) -> Ends:
    return Ends("completed", list(output), usage)


def failed(status: int, code: str, *output: Any) -> Ends:
    return Ends("failed", list(output), None, (status, code))


def said(*parts: Any) -> tuple[Any, ...]:
    return ("message", *parts)


EXPECTED: dict[str, Ends] = {
    # vLLM
    "vllm_text.sse": completed(said("Grüß Gott 👋"), usage=(12, 4, 8, 0)),
    "vllm_reasoning.sse": completed(("reasoning", "Two and two."), said("\n\nFour."), usage=(20, 9, 0, 0)),
    "vllm_parallel_calls.sse": completed(
        ("call", "get_weather", '{"city": "Oslo"}'),
        ("call", "get_time", '{"zone": "CET"}'),
        usage=(80, 40, 0, 0),
    ),
    "vllm_new_id_in_every_piece.sse": completed(("call", "add", '{"a":1,"b":2}'), usage=(5, 6, 0, 0)),
    "vllm_logprobs.sse": completed(said("Yesé"), usage=(7, 3, 0, 0)),
    "vllm_length.sse": Ends("incomplete", [said("Once upon a", "cut off")], (9, 3, 0, 0)),
    "vllm_call_cut_by_length.sse": Ends(
        "incomplete", [("call", "write", '{"text": "Once', "cut off")], (9, 16, 0, 0)
    ),
    "vllm_error_in_stream.sse": failed(502, "upstream_error", said("Half an", "cut off")),
    "vllm_overflow_in_stream.sse": failed(400, "context_length_exceeded"),
    # Ollama
    "ollama_text.sse": completed(said("Hi there"), usage=(11, 3, 0, 0)),
    "ollama_reasoning.sse": completed(("reasoning", "Let me see."), said("Seen."), usage=(11, 8, 0, 0)),
    "ollama_calls_all_of_index_0.sse": completed(
        ("call", "get_weather", '{"city":"Oslo"}'),
        ("call", "get_weather", '{"city":"Rome"}'),
        usage=(60, 31, 0, 0),
    ),
    "ollama_calls_without_index_or_id.sse": completed(
        ("call", "ping", "{}"), ("call", "add", '{"a":1,"b":[2,"é"]}'), usage=(60, 31, 0, 0)
    ),
    "ollama_error_swallowed.sse": failed(502, "upstream_disconnected", said("Hi", "cut off")),
    # llama.cpp
    "llamacpp_text.sse": completed(said("Your name is Ada."), usage=(103, 4, 88, 0)),
    "llamacpp_timings_only.sse": completed(said("Ada."), usage=(103, 4, 88, 0)),
    "llamacpp_reasoning_call.sse": completed(
        ("reasoning", "A tool helps."), ("call", "search", '{"q":"chains"}'), usage=(150, 22, 0, 0)
    ),
    "llamacpp_error_in_stream.sse": failed(400, "context_length_exceeded", said("The", "cut off")),
    "llamacpp_overflow_in_stream.sse": failed(400, "context_length_exceeded"),
    # SGLang
    "sglang_text.sse": completed(said("One, two"), usage=(14, 3, 13, 0)),
    "sglang_calls.sse": completed(
        ("reasoning", "Both."),
        ("call", "get_weather", '{"city": "Oslo"}'),
        ("call", "get_weather", '{"city": "Rome"}'),
        usage=(99, 44, 0, 0),
    ),
    "sglang_abort.sse": failed(502, "upstream_error", said("One", "cut off")),
    "sglang_error_in_stream.sse": failed(400, "context_length_exceeded"),
    # LM Studio
    "lmstudio_think_tags.sse": completed(
        ("reasoning", "If a < b, </then it is."), said("By <think> I mean thought."), usage=(8, 30, 0, 0)
    ),
    "lmstudio_error_event.sse": failed(400, "context_length_exceeded", said("Wel", "cut off")),
    "lmstudio_crash_event.sse": failed(502, "upstream_error"),
    # OpenAI, Chat Completions
    "openai_text.sse": completed(said("Hello!"), usage=(9, 66, 0, 64)),
    "openai_refusal.sse": completed(said(("refusal", "I cannot help.")), usage=(30, 5, 0, 0)),
    "openai_content_filter.sse": Ends("incomplete", [said("It is", "cut off")], (30, 2, 0, 0)),
    "openai_parallel_calls.sse": completed(
        ("call", "f", '{"x":1}'), ("call", "g", "{}"), usage=(50, 20, 0, 0)
    ),
    "openai_function_call_legacy.sse": completed(("call", "f", '{"x":1}'), usage=(5, 5, 0, 0)),
    "openai_annotations.sse": completed(said(("See here.", CITED)), usage=(5, 5, 0, 0)),
    "openai_whole.json": completed(
        said("Let me look."), ("call", "look", '{"at":"it"}'), usage=(9, 12, 0, 0)
    ),
    # Others who speak it
    "mistral_thinking_parts.sse": completed(("reasoning", "Hmm."), said("Right."), usage=(6, 5, 0, 0)),
    "deepseek_reasoning.sse": completed(("reasoning", "Easy"), said("42"), usage=(10, 9, 4, 6)),
    "openrouter_comments_and_crlf.sse": completed(("reasoning", "So"), said("Yes."), usage=(3, 4, 0, 0)),
    "gemini_calls_without_id.sse": completed(
        ("call", "f", '{"a":1}'), ("call", "f", '{"a":2}'), usage=(4, 4, 0, 0)
    ),
    "proxy_no_finish_reason.sse": completed(said("All of it."), usage=None),
    # OpenAI, Responses
    "openai_responses_text.sse": completed(said("Hello wörld"), usage=(11, 3, 4, 0)),
    "openai_responses_reasoning_and_calls.sse": completed(
        ("reasoning", "**Plan** it", "**Do** it", "gAAAAABsealed=="),
        ("call", "f", '{"x":1}'),
        ("call", "g", "{}"),
        usage=(70, 90, 0, 64),
    ),
    "openai_responses_refusal.sse": completed(said(("refusal", "I cannot.")), usage=(9, 4, 0, 0)),
    "openai_responses_web_search.sse": completed(
        ("web_search_call", "completed"),
        said(("Here it is", {**CITED, "start_index": 0, "end_index": 4})),
        usage=(300, 30, 0, 0),
    ),
    "openai_responses_phases_and_parts.sse": completed(
        said("Looking.", "commentary"), said("First.", "Second.", "final_answer"), usage=(5, 6, 0, 0)
    ),
    "openai_responses_custom_tool.sse": completed(("custom", "apply", "*** Begin\nend"), usage=(5, 6, 0, 0)),
    "openai_responses_incomplete.sse": Ends("incomplete", [said("Once", "cut off")], (5, 16, 0, 0)),
    "openai_responses_content_filter.sse": Ends("incomplete", [said("It", "cut off")], (5, 1, 0, 0)),
    "openai_responses_failed.sse": failed(502, "upstream_error", said("Half", "cut off")),
    "openai_responses_overflow.sse": failed(400, "context_length_exceeded"),
    "openai_responses_interleaved_items.sse": completed(
        ("call", "f", '{"a":1}'), ("web_search_call", "completed"), usage=(1, 1, 0, 0)
    ),
    "openai_responses_call_of_a_program.sse": completed(
        ("call", "f", "{}", {"type": "program", "caller_id": "prog_1"}), usage=(1, 1, 0, 0)
    ),
    "openai_responses_logprobs.sse": completed(said("Yes."), usage=(2, 2, 0, 0)),
    "openai_responses_whole.json": completed(
        ("reasoning", "**Plan** it", "**Do** it", "gAAAAABsealed=="),
        said(("Done.", {**CITED, "start_index": 0, "end_index": 4})),
        ("call", "f", "{}"),
        usage=(9, 9, 0, 0),
    ),
    "responses_cut.sse": failed(502, "upstream_disconnected", said("Half", "cut off")),
    # vLLM's Responses: counts a content index up with every delta, sends the first piece of arguments twice
    "vllm_responses_reasoning_text.sse": completed(
        ("reasoning", "Say hello."), said("Hello."), usage=(20, 9, 16, 4)
    ),
    "vllm_responses_calls.sse": completed(("call", "f", '{"a":1}'), usage=(20, 9, 0, 0)),
    "vllm_responses_length.sse": Ends("incomplete", [said("Once upon")], (5, 2, 0, 0)),
    # Others who speak Responses
    "openresponses_reasoning.sse": completed(("reasoning", "Hmm."), said("Yes."), usage=(3, 4, 0, 0)),
    "openresponses_done_events_only.sse": completed(
        said("All at once."), ("call", "f", "{}"), usage=(3, 4, 0, 0)
    ),
    "openresponses_final_response_only.sse": completed(said("Only here."), usage=(3, 4, 0, 0)),
    "openresponses_without_item_events.sse": completed(said("Bare deltas."), usage=(3, 4, 0, 0)),
    "openresponses_thoughts_under_the_index_of_text.sse": completed(
        ("reasoning", "Hm."), said("Yes."), usage=(3, 4, 0, 0)
    ),
    "openresponses_all_of_index_0.sse": completed(
        said("One."), ("call", "f", "{}"), said("Two."), usage=(3, 4, 0, 0)
    ),
}

EVENT = TypeAdapter[ResponseStreamEvent](ResponseStreamEvent)

each_recording = pytest.mark.parametrize("name", sorted(EXPECTED))


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def test_every_recording_is_expected_to_end_somehow() -> None:
    assert {path.name for path in RECORDINGS.iterdir()} == set(EXPECTED)


@each_recording
def test_a_recording_ends_as_its_engine_meant(name: str) -> None:
    played = play(name, [recorded(name)])
    usage, error = played.response.usage, played.error
    tokens = None
    if usage is not None:
        given, made = usage.input_tokens_details, usage.output_tokens_details
        tokens = (usage.input_tokens, usage.output_tokens, given.cached_tokens, made.reasoning_tokens)
    fault = None if error is None else (error.http_status, str(error.code))
    assert Ends(played.response.status, shown(played.response), tokens, fault) == EXPECTED[name]


@each_recording
def test_where_the_network_cuts_a_stream_changes_nothing(name: str) -> None:
    data = recorded(name)
    whole = [encode_event(event) for event in play(name, [data]).events]
    bytewise = [data[at : at + 1] for at in range(len(data))]
    assert [encode_event(event) for event in play(name, bytewise).events] == whole
    events = play(name, [data]).events
    for at in range(1, len(data)):
        assert play(name, [data[:at], data[at:]]).events == events, f"cut at byte {at}"


def listed_code(event: bytes) -> bytes:
    """The event with a code that is on the SDK's list: the API sends one that is not, where the context is too long."""
    return event.replace(b'"code":"context_length_exceeded"', b'"code":"invalid_prompt"')


@each_recording
def test_the_official_sdk_reads_every_event(name: str) -> None:
    for number, event in enumerate(play(name, [recorded(name)]).events):
        read = EVENT.validate_json(listed_code(encode_event(event)))
        assert (read.type, read.sequence_number) == (event_type(event), number)


class TestDetails:
    def test_logprobs_of_a_token_without_text_come_with_the_text_that_it_begins(self) -> None:
        played = play("vllm_logprobs.sse", [recorded("vllm_logprobs.sse")])
        (item,) = msgspec.to_builtins(played.response.output)
        entries = item["content"][0]["logprobs"]
        assert [entry["token"] for entry in entries] == ["Yes", "�", "é"]
        assert entries[0] == {
            "token": "Yes",
            "bytes": [89, 101, 115],
            "logprob": -0.25,
            "top_logprobs": [
                {"token": "Yes", "bytes": [89, 101, 115], "logprob": -0.25},
                {"token": "No", "bytes": [78, 111], "logprob": -1.5},
            ],
        }

    def test_a_responses_engine_gives_logprobs_in_the_same_shape(self) -> None:
        chat = play("vllm_logprobs.sse", [recorded("vllm_logprobs.sse")])
        responses = play("openai_responses_logprobs.sse", [recorded("openai_responses_logprobs.sse")])
        first = [
            msgspec.to_builtins(played.response.output)[0]["content"][0]["logprobs"][0]
            for played in (chat, responses)
        ]
        assert first[0] == first[1]

    def test_call_ids_are_the_engines_where_it_has_usable_ones(self) -> None:
        ours = [
            item["call_id"]
            for name in (
                "vllm_parallel_calls.sse",
                "ollama_calls_all_of_index_0.sse",
                "gemini_calls_without_id.sse",
            )
            for item in msgspec.to_builtins(play(name, [recorded(name)]).response.output)
        ]
        assert ours[:4] == ["chatcmpl-tool-11aa", "chatcmpl-tool-22bb", "call_k2vw1a", "call_p8xz3b"]
        assert len({*ours}) == 6
        assert all(made.startswith("call_") and len(made) == 29 for made in ours[4:])

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (
                "vllm_overflow_in_stream.sse",
                f"{TOO_LONG} {SAID} has room for 2048 tokens; the request has 2200.",
            ),
            (
                "llamacpp_overflow_in_stream.sse",
                f"{TOO_LONG} {SAID} has room for 4096 tokens; the request has 5010.",
            ),
            (
                "lmstudio_error_event.sse",
                f"{TOO_LONG} {SAID} has room for 7866 tokens; the request has 10136.",
            ),
            ("openai_responses_overflow.sse", TOO_LONG),
            (
                "lmstudio_crash_event.sse",
                f"{SAID} failed: The model has crashed without additional information. (Exit code: null)",
            ),
            ("sglang_abort.sse", f"{SAID} gave up within its answer (finish reason 'abort')."),
            ("responses_cut.sse", f"{SAID} ended its answer in the middle."),
        ],
    )
    def test_an_error_within_a_stream_is_told_with_the_engines_own_words(
        self, name: str, message: str
    ) -> None:
        error = play(name, [recorded(name)]).error
        assert error is not None
        assert error.message == message
