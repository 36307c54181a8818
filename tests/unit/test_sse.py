"""Server-sent events: what goes in comes out, wherever it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catena.sse import Decoder, EventTooLargeError, ServerSentEvent, encode


def decoded(*pieces: bytes, limit: int = 1000) -> list[ServerSentEvent]:
    """The events of a stream that arrives in `pieces`."""
    decoder = Decoder(limit=limit)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


def cut(stream: bytes, at: set[int]) -> list[bytes]:
    ends = sorted(position for position in at if position < len(stream))
    return [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """The events of a whole stream, line by line as the HTML standard (§9.2.6) has it, and with a last one whose blank
    line never came."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    events, name, data = [], b"", list[bytes]()
    for line in [*lines, b""]:
        field, _, value = line.partition(b":")
        if not line:
            if data:
                events.append(ServerSentEvent(name.decode(errors="replace"), b"\n".join(data)))
            name, data = b"", []
        elif field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return events


streams = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"data: x", b"data:", b"event: e", b"\n", b"\n\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b": c\n"]
        ),
    ),
    max_size=20,
).map(b"".join)


class TestEncode:
    def test_an_event_is_its_name_and_its_data(self) -> None:
        assert encode("response.created", b'{"a":1}') == b'event: response.created\ndata: {"a":1}\n\n'

    def test_an_event_without_a_name_has_no_line_for_it(self) -> None:
        assert encode("", b"[DONE]") == b"data: [DONE]\n\n"

    @pytest.mark.parametrize("data", [b"a\nb", b"a\r\nb", b"a\rb"])
    def test_a_line_break_in_the_data_does_not_end_the_event(self, data: bytes) -> None:
        assert encode("x", data) == b"event: x\ndata: a\ndata: b\n\n"
        assert decoded(encode("x", data)) == [ServerSentEvent("x", b"a\nb")]

    @pytest.mark.parametrize("name", ["a\nb", "a\rb"])
    def test_a_name_with_a_line_break_is_a_mistake(self, name: str) -> None:
        with pytest.raises(ValueError, match="one line"):
            encode(name, b"")


class TestDecode:
    @pytest.mark.parametrize(
        ("stream", "events"),
        [
            pytest.param(b"data: a\n\ndata: b\n\n", [("", b"a"), ("", b"b")], id="LF"),
            pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [("", b"a"), ("", b"b")], id="CRLF"),
            pytest.param(b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")], id="CR"),
            pytest.param(b"data: a\n\r\ndata: b\r\n\n", [("", b"a"), ("", b"b")], id="mixed"),
            pytest.param(b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("", b"b")], id="named"),
            pytest.param(b"data: a\nevent: x\n\n", [("x", b"a")], id="name last"),
            pytest.param(b"event: x\nevent: y\ndata: a\n\n", [("y", b"a")], id="last name counts"),
            pytest.param(b"data: a\ndata: b\ndata:\ndata\n\n", [("", b"a\nb\n\n")], id="many lines"),
            pytest.param(b"data:a\n\ndata:  b \n\n", [("", b"a"), ("", b" b ")], id="one space goes"),
            pytest.param(b"data: a: b\n\n", [("", b"a: b")], id="colon in the data"),
            pytest.param(b"data\n\ndata:\n\n", [("", b""), ("", b"")], id="empty data"),
            pytest.param(b": ping\n\n:\n\n: x\ndata: a\n: y\n\n", [("", b"a")], id="comments"),
            pytest.param(b"id: 1\nretry: 5\nfoo: x\ndatum: y\ndata: a\n\n", [("", b"a")], id="other fields"),
            pytest.param(b"event: x\n\ndata: a\n\n", [("", b"a")], id="name without data"),
            pytest.param(b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [("", b"a"), ("", b"b")], id="blank lines"),
            pytest.param(b"\xef\xbb\xbfdata: a\n\n", [("", b"a")], id="byte order mark"),
            pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", b"b")], id="a second one"),
            pytest.param("event: ü\ndata: 日本\n\n".encode(), [("ü", "日本".encode())], id="UTF-8"),
            pytest.param(b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")], id="not UTF-8"),
            pytest.param(b"data: a\n\ndata: b", [("", b"a"), ("", b"b")], id="no end of line"),
            pytest.param(b"data: a\n\ndata: b\n", [("", b"a"), ("", b"b")], id="no blank line"),
            pytest.param(
                b"data: a\r\n\r\nevent: x\r\ndata: b\r\n", [("", b"a"), ("x", b"b")], id="half of CRLF"
            ),
            pytest.param(b"data: a\n\nevent: x\n", [("", b"a")], id="a name and no more"),
            pytest.param(b"\xef\xbb", [], id="half of a mark"),
            pytest.param(b"", [], id="nothing"),
        ],
    )
    def test_a_stream_is_read_the_same_wherever_it_is_cut(
        self, stream: bytes, events: list[tuple[str, bytes]]
    ) -> None:
        expected = [ServerSentEvent(name, data) for name, data in events]
        assert decoded(stream) == expected
        for at in range(len(stream) + 1):
            assert decoded(stream[:at], stream[at:]) == expected
            assert decoded(stream[:at], b"", stream[at:]) == expected
        assert decoded(*(bytes((byte,)) for byte in stream)) == expected

    @given(
        stream=st.lists(
            st.sampled_from(
                [b"\n", b"\r", b"\r\n", b"data: ", b"data", b"event:", b":", b" ", b"x", "ü".encode()]
            )
        ).map(b"".join),
        at=st.sets(st.integers(1, 60)),
    )
    @example(stream=b"data: x\r\n\r\n", at={8, 9, 10})
    def test_any_stream_is_read_the_same_in_any_pieces(self, stream: bytes, at: set[int]) -> None:
        assert decoded(*cut(stream, at)) == decoded(stream)

    @given(
        events=st.lists(
            st.builds(
                ServerSentEvent,
                st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])),
                st.binary().map(lambda data: data.replace(b"\r", b"")),
            )
        ),
        at=st.sets(st.integers(1, 400)),
    )
    def test_what_was_encoded_comes_out_as_it_was(self, events: list[ServerSentEvent], at: set[int]) -> None:
        stream = b"".join(encode(event.event, event.data) for event in events)
        assert decoded(*cut(stream, at), limit=100_000) == events

    @given(stream=streams, at=st.sets(st.integers(1, 80)))
    def test_any_bytes_at_all_are_read_as_the_standard_says(self, stream: bytes, at: set[int]) -> None:
        assert decoded(*cut(stream, at), limit=10_000) == by_the_book(stream)

    def test_an_event_is_given_with_its_blank_line_and_not_before(self) -> None:
        decoder = Decoder()
        assert decoder.feed(b"data: a\n") == []
        assert decoder.feed(b"\nda") == [ServerSentEvent("", b"a")]
        assert decoder.feed(b"ta: b\r\n\r") == [ServerSentEvent("", b"b")]
        assert decoder.feed(b"\n") == []


class TestLimit:
    def test_an_event_within_the_limit_is_read(self) -> None:
        stream = b"data: " + b"x" * 94 + b"\n\n"
        assert decoded(stream, limit=100) == decoded(*cut(stream, set(range(110))), limit=100)
        assert len(decoded(stream, limit=100)[0].data) == 94

    @pytest.mark.parametrize("pieces", [1, 7, 200])
    @pytest.mark.parametrize("end", [b"", b"\n\n"])
    def test_an_event_over_the_limit_is_refused_however_it_arrives(self, pieces: int, end: bytes) -> None:
        stream = b"data: ok\n\ndata: " + b"x" * 190 + end
        size = len(stream) // pieces
        decoder = Decoder(limit=100)
        with pytest.raises(EventTooLargeError, match="larger than 100 bytes"):
            for at in range(0, len(stream), size):
                decoder.feed(stream[at : at + size])

    def test_many_events_in_one_piece_are_not_limited_together(self) -> None:
        assert len(decoded(b"data: x\n\n" * 1000, limit=100)) == 1000

    def test_a_limit_is_a_value_error(self) -> None:
        assert issubclass(EventTooLargeError, ValueError)
