"""One socket's bytes to replies, fed by hand: cut anywhere, at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.upstream.http import HttpError, Reply, Timeouts
from catena.upstream.http.connection import Connection
from catena.upstream.http.head import Origin
from tests.upstream.virtual_clock import VirtualClock
from tests.upstream.wire import Wire

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNKED = STREAM + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nx: 1\r\n\r\nhello world"
OTHER_CODING = b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello world"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + LENGTH


class Line:
    """A connection over a `Wire`, and what its owner was told."""

    def __init__(self, *, tls: bool = False) -> None:
        self.told: list[str] = []
        self.wire = Wire()
        self.connection = Connection(Origin("engine", 80, tls), self)
        self.connection.connection_made(self.wire)

    def opened(self, connection: Connection) -> None:
        self.told.append("opened")

    def freed(self, connection: Connection) -> None:
        self.told.append("freed")

    def lost(self, connection: Connection) -> None:
        self.told.append("lost")

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    async def ask(self, *pieces: bytes, timeouts: Timeouts | None = None) -> Reply:
        """Ask, let `pieces` arrive, which must hold the head, and return the reply."""
        asking = asyncio.create_task(self.connection.ask(b"", [], timeouts or Timeouts()))
        await asyncio.sleep(0)
        self.feed(*pieces)
        return await asking


class Told(msgspec.Struct, frozen=True):
    """All that came of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    owner: list[str]
    closed: bool


async def told(pieces: Sequence[bytes], *, ends: bool) -> Told:
    line = Line()
    asking = asyncio.create_task(line.connection.ask(b"", [], Timeouts()))
    await asyncio.sleep(0)
    line.feed(*pieces)
    if ends:
        line.connection.connection_lost(None)
    reply = await asking
    return Told(reply.status, dict(reply.headers), await reply.read(), line.told, line.wire.is_closing())


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock(monkeypatch)


class TestCuts:
    @pytest.mark.parametrize(
        ("answer", "ends"),
        [
            pytest.param(LENGTH, False, id="a length"),
            pytest.param(CHUNKED, False, id="chunks"),
            pytest.param(UNTIL_CLOSE, True, id="until it closes"),
            pytest.param(OTHER_CODING, True, id="another coding"),
            pytest.param(INTERIM, False, id="interim answers"),
            pytest.param(b"HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n", False, id="no content"),
            pytest.param(LENGTH + b"HTTP/1.1 200 OK\r\n", False, id="rubbish behind"),
        ],
    )
    async def test_an_answer_is_the_same_wherever_it_is_cut(self, answer: bytes, ends: bool) -> None:
        whole = await told([answer], ends=ends)
        assert whole.body == (b"" if whole.status == 204 else b"hello world")
        kept = not ends and not answer.endswith(b"OK\r\n")
        assert whole.owner == ["opened", *(["freed"] if kept else []), *(["lost"] if ends else [])]
        for at in range(1, len(answer)):
            cut = await told([answer[:at], answer[at:]], ends=ends)
            # Cut right before the rubbish, it comes when the connection is free already, and closes it then.
            assert cut == whole or (cut.closed and cut.body == whole.body)
        by_byte = await told([bytes((byte,)) for byte in answer], ends=ends)
        assert by_byte == whole or (by_byte.closed and by_byte.body == whole.body)

    @given(chunks=st.lists(st.binary(min_size=1, max_size=40)), cuts=st.sets(st.integers(1, 400)))
    async def test_a_chunked_body_is_the_same_in_any_pieces(
        self, chunks: list[bytes], cuts: set[int]
    ) -> None:
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        answer = STREAM + framed + b"0\r\n\r\n"
        ends = sorted(cut for cut in cuts if cut < len(answer))
        pieces = [answer[a:b] for a, b in zip([0, *ends], [*ends, len(answer)], strict=True)]
        assert (await told(pieces, ends=False)).body == b"".join(chunks)

    async def test_trailers_do_not_get_into_the_next_answer(self) -> None:
        line = Line()
        reply = await line.ask(CHUNKED)
        assert dict(reply.headers) == {"transfer-encoding": "chunked"}
        reply = await line.ask(LENGTH)
        assert dict(reply.headers) == {"content-length": "11"}
        assert line.told == ["opened", "freed", "freed"]

    async def test_what_arrived_meanwhile_is_joined(self) -> None:
        line = Line()
        reply = await line.ask(STREAM, b"5\r\nhello\r\n", b"6\r\n world\r\n1\r\n!\r\n")
        assert await anext(reply) == b"hello world!"

    @pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", LENGTH, b"\0"])
    async def test_bytes_that_nobody_asked_for_close_a_free_connection(self, more: bytes) -> None:
        line = Line()
        await line.ask(LENGTH)
        assert not line.wire.is_closing()
        line.feed(more)
        assert line.wire.is_closing()


class TestSending:
    async def test_a_few_pieces_are_handed_on_as_they_are(self) -> None:
        line = Line()
        asking = asyncio.create_task(line.connection.ask(b"head", [b"a", b"b"], Timeouts()))
        await asyncio.sleep(0)
        assert line.wire.writes == [b"head", b"a", b"b"]
        asking.cancel()

    @pytest.mark.parametrize(("tls", "count"), [(True, 2), (False, 1000)])
    async def test_many_pieces_or_encrypted_ones_are_joined_once(self, tls: bool, count: int) -> None:
        line = Line(tls=tls)
        asking = asyncio.create_task(line.connection.ask(b"head", [b"a"] * count, Timeouts()))
        await asyncio.sleep(0)
        assert line.wire.writes == [b"head" + b"a" * count]
        asking.cancel()


class TestClocks:
    LIMITS = Timeouts(first=100, between=10)

    async def test_the_first_byte_of_the_body_and_not_the_head_stops_the_first_clock(
        self, clock: VirtualClock
    ) -> None:
        line = Line()
        reply = await line.ask(STREAM, timeouts=self.LIMITS)
        await clock.pass_by(60)
        line.feed(b"5\r\n")
        await clock.pass_by(39)
        line.feed(b"h")
        await clock.pass_by(9)
        assert await anext(reply) == b"h"
        assert not line.wire.is_closing()

    async def test_the_first_clock_runs_on_after_the_head(self, clock: VirtualClock) -> None:
        line = Line()
        reply = await line.ask(STREAM, timeouts=self.LIMITS)
        await clock.pass_by(99)
        line.feed(b"5\r\n")
        await clock.pass_by(2)
        with pytest.raises(HttpError) as failure:
            await anext(reply)
        assert (failure.value.kind, line.wire.is_closing()) == ("first_timeout", True)

    async def test_every_read_starts_the_clock_between_anew(self, clock: VirtualClock) -> None:
        line = Line()
        reply = await line.ask(STREAM, timeouts=self.LIMITS)
        for _ in range(5):
            line.feed(b"1\r\nx\r\n")
            await clock.pass_by(9)
        assert await anext(reply) == b"xxxxx"
        await clock.pass_by(2)
        with pytest.raises(HttpError) as failure:
            await anext(reply)
        assert (failure.value.kind, failure.value.answered) == ("between_timeout", True)

    async def test_the_clock_between_stands_still_while_the_reader_lags(self, clock: VirtualClock) -> None:
        line = Line()
        reply = await line.ask(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 300_000, timeouts=self.LIMITS)
        assert not line.wire.is_reading()
        await clock.pass_by(1000)
        assert not line.wire.is_closing()
        assert len(await anext(reply)) == 300_000
        assert line.wire.is_reading()
        await clock.pass_by(9)
        assert not line.wire.is_closing()
        await clock.pass_by(2)
        assert line.wire.is_closing()

    async def test_each_request_has_its_own_first_clock(self, clock: VirtualClock) -> None:
        line = Line()
        await line.ask(LENGTH, timeouts=self.LIMITS)
        await clock.pass_by(1000)
        reply = await line.ask(STREAM, timeouts=self.LIMITS)
        await clock.pass_by(101)
        with pytest.raises(HttpError) as failure:
            await anext(reply)
        assert (failure.value.kind, failure.value.answered) == ("first_timeout", False)

    async def test_no_clock_runs_for_a_connection_that_is_lost(self, clock: VirtualClock) -> None:
        line = Line()
        await line.ask(STREAM, timeouts=self.LIMITS)
        line.connection.connection_lost(None)
        await clock.pass_by(1000)
        assert not line.wire.is_closing()

    async def test_no_clock_runs_for_a_free_connection_but_its_own(self, clock: VirtualClock) -> None:
        line = Line()
        await line.ask(LENGTH, timeouts=self.LIMITS)
        line.connection.expire_in(15)
        await clock.pass_by(14)
        assert not line.wire.is_closing()
        await line.ask(LENGTH, timeouts=self.LIMITS)
        line.connection.expire_in(15)
        await clock.pass_by(14)
        assert not line.wire.is_closing()
        await clock.pass_by(2)
        assert line.wire.is_closing()


class TestBackPressure:
    async def test_the_socket_is_not_read_while_too_much_waits(self) -> None:
        line = Line()
        reply = await line.ask(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 200_000)
        assert line.wire.is_reading()
        line.feed(b"x" * 100_000)
        assert not line.wire.is_reading()
        await anext(reply)
        assert line.wire.is_reading()
        assert reply.size == 0

    async def test_a_free_connection_is_read_even_if_its_answer_is_not(self) -> None:
        line = Line()
        await line.ask(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000)
        assert (line.told, line.wire.is_reading()) == (["opened", "freed"], True)


class Pouring:
    """Has a reply poured into a list that takes pieces while it is `willing`; `came` is what it was shown."""

    def __init__(self, reply: Reply) -> None:
        self.willing = True
        self.came: list[bytes] = []
        self._reply = reply
        self.task = asyncio.create_task(reply.pour(self._take))

    def _take(self, piece: bytes) -> bool:
        self.came.append(piece)
        return self.willing


class TestPouring:
    async def begun(self) -> tuple[Line, Reply, Pouring]:
        line = Line()
        reply = await line.ask(STREAM, b"1\r\na\r\n", b"1\r\nb\r\n")
        pouring = Pouring(reply)
        await asyncio.sleep(0)
        assert pouring.came == [b"ab"]
        return line, reply, pouring

    async def test_what_arrives_is_poured_within_the_read_of_the_socket(self) -> None:
        line, reply, pouring = await self.begun()
        for letter in (b"c", b"d"):
            line.feed(b"1\r\n" + letter + b"\r\n")
            assert pouring.came[-1] == letter
            assert reply.size == 0
        line.feed(b"1\r\ne\r\n0\r\n\r\n")
        assert await pouring.task is False
        assert pouring.came == [b"ab", b"c", b"d", b"e"]
        assert line.told == ["opened", "freed"]

    async def test_who_wants_no_more_gets_no_more_and_reads_on_later(self) -> None:
        line, reply, pouring = await self.begun()
        pouring.willing = False
        line.feed(b"1\r\nc\r\n")
        line.feed(b"1\r\nd\r\n")
        assert await pouring.task is True
        assert pouring.came == [b"ab", b"c"]
        again = Pouring(reply)
        again.willing = False
        assert await again.task is True
        assert again.came == [b"d"]

    async def test_what_has_arrived_is_poured_before_the_error_behind_it(self) -> None:
        line, _, pouring = await self.begun()
        line.feed(b"1\r\nc\r\n")
        line.connection.connection_lost(None)
        with pytest.raises(HttpError, match="before its answer was complete"):
            await pouring.task
        assert pouring.came == [b"ab", b"c"]

    async def test_what_is_poured_never_waits(self) -> None:
        line, _, pouring = await self.begun()
        line.feed(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        assert line.wire.is_reading()
        assert pouring.came[-1] == b"x" * 0x100000

    async def test_silence_is_noticed_as_for_any_reader(self, clock: VirtualClock) -> None:
        line = Line()
        reply = await line.ask(STREAM, b"1\r\na\r\n", timeouts=Timeouts(between=10))
        pouring = Pouring(reply)
        await clock.pass_by(9)
        line.feed(b"1\r\nb\r\n")
        await clock.pass_by(9)
        assert not pouring.task.done()
        await clock.pass_by(2)
        with pytest.raises(HttpError, match="fell silent"):
            await pouring.task

    async def test_who_is_cancelled_leaves_and_hears_nothing_more(self) -> None:
        line, _, pouring = await self.begun()
        pouring.task.cancel()
        await asyncio.wait([pouring.task])
        assert line.wire.is_closing()
        line.feed(b"1\r\nc\r\n")
        assert pouring.came == [b"ab"]


class TestRelease:
    async def begun(self) -> tuple[Line, Reply]:
        line = Line()
        reply = await line.ask(STREAM, b"5\r\nhello\r\n")
        assert await anext(reply) == b"hello"
        return line, reply

    async def test_an_answer_that_ends_soon_gives_its_connection_back(self, clock: VirtualClock) -> None:
        line, reply = await self.begun()
        reply.release()
        reply.abort()
        await clock.pass_by(0.5)
        line.feed(b"1\r\nx\r\n", b"0\r\n\r\n")
        assert (line.told, line.wire.is_closing()) == (["opened", "freed"], False)
        assert reply.size == 0

    async def test_an_answer_that_goes_on_is_closed(self, clock: VirtualClock) -> None:
        line, reply = await self.begun()
        reply.release()
        for _ in range(4):
            line.feed(b"1\r\nx\r\n")
            await clock.pass_by(0.24)
        assert not line.wire.is_closing()
        await clock.pass_by(0.1)
        assert line.wire.is_closing()

    async def test_an_answer_that_has_much_more_to_say_is_closed(self) -> None:
        line, reply = await self.begun()
        reply.release()
        line.feed(b"100000\r\n", b"x" * 0x100000)
        assert line.wire.is_closing()

    async def test_a_reader_that_lagged_does_not_hold_the_rest_back(self) -> None:
        line = Line()
        reply = await line.ask(STREAM, b"49c00\r\n" + b"x" * 0x49C00)
        assert not line.wire.is_reading()
        reply.release()
        assert line.wire.is_reading()

    async def test_the_next_request_is_not_hurried(self, clock: VirtualClock) -> None:
        line, reply = await self.begun()
        reply.release()
        line.feed(b"0\r\n\r\n")
        reply = await line.ask(STREAM, b"1\r\nx\r\n", timeouts=Timeouts(between=10))
        assert await anext(reply) == b"x"
        await clock.pass_by(9)
        assert not line.wire.is_closing()
        await clock.pass_by(2)
        with pytest.raises(HttpError, match="fell silent"):
            await anext(reply)

    async def test_a_released_reply_cannot_be_read(self) -> None:
        _, reply = await self.begun()
        reply.release()
        with pytest.raises(HttpError, match="engine:80 was closed"):
            await anext(reply)

    async def test_releasing_after_the_end_does_nothing(self) -> None:
        line = Line()
        reply = await line.ask(LENGTH)
        reply.release()
        assert (line.told, line.wire.is_closing()) == (["opened", "freed"], False)
