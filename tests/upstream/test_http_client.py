"""The engine connection over real sockets, against servers that are scripted in raw bytes."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from catena.upstream.http import HttpClient, HttpError, Reply, Timeouts
from tests.upstream.raw_engine import Peer, answering, raw_engine

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b"5\r\npiece\r\n"
END = b"0\r\n\r\n"
MANY = 100 * 1024 * 1024


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    """A client, and the promise that no callback of its connections fails."""
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    client = HttpClient()
    yield client
    await client.close()
    assert failures == []


async def fetched(client: HttpClient, url: str, body: bytes = b"") -> bytes:
    return await (await client.request("POST", url, body=body)).read()


class TestRequests:
    async def test_a_request_is_a_head_and_its_body(self, client: HttpClient) -> None:
        async with raw_engine(answering(OK)) as engine:
            headers = {"authorization": "Bearer key"}
            reply = await client.request("POST", f"{engine.url}/v1/x?y=1#z", headers=headers, body=b"prompt")
            assert (reply.status, await reply.read()) == (200, b"hello")
        assert engine.requests == [
            b"POST /v1/x?y=1 HTTP/1.1\r\n"
            b"host: %b\r\n"
            b"user-agent: catena/%b\r\n"
            b"accept-encoding: identity\r\n"
            b"authorization: Bearer key\r\n"
            b"content-length: 6\r\n\r\nprompt"
            % (engine.url.removeprefix("http://").encode(), metadata.version("catena").encode())
        ]

    @pytest.mark.parametrize("count", [1, 3, 16, 17, 1000])
    async def test_a_body_in_pieces_arrives_in_order(self, client: HttpClient, count: int) -> None:
        pieces = [b"%d," % number for number in range(count)]
        async with raw_engine(answering(OK)) as engine:
            reply = await client.request("POST", engine.url, body=pieces)
            await reply.read()
        assert engine.requests[0].endswith(b"\r\n\r\n" + b"".join(pieces))

    @pytest.mark.parametrize(("method", "says_length"), [("GET", False), ("DELETE", False), ("POST", True)])
    async def test_only_a_method_that_has_a_body_says_that_it_has_none(
        self, client: HttpClient, method: str, says_length: bool
    ) -> None:
        async with raw_engine(answering(OK)) as engine:
            await (await client.request(method, engine.url)).read()
        assert (b"\r\ncontent-length: 0\r\n" in engine.requests[0]) is says_length

    async def test_a_caller_may_name_itself_otherwise(self, client: HttpClient) -> None:
        headers = [("User-Agent", "other"), ("Host", "engine.example")]
        async with raw_engine(answering(OK)) as engine:
            await (await client.request("GET", engine.url, headers=headers)).read()
        lines = engine.requests[0].lower().split(b"\r\n")
        assert b"host: engine.example" in lines
        assert [line for line in lines if line.startswith(b"user-agent")] == [b"user-agent: other"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("x", "secret\r\ny: 1"),
            ("x", "secret\n"),
            ("x", "secret\0"),
            ("x", "secret – dash"),
            ("x y", "secret"),
            ("", "secret"),
            ("Content-Length", "secret"),
            ("transfer-encoding", "secret"),
            ("connection", "secret"),
        ],
    )
    async def test_a_header_that_could_smuggle_is_refused_without_showing_its_value(
        self, client: HttpClient, name: str, value: str
    ) -> None:
        with pytest.raises(ValueError) as refusal:
            await client.request("GET", "http://127.0.0.1:9/", headers={name: value})
        assert "secret" not in str(refusal.value)

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://127.0.0.1/",
            "127.0.0.1:80",
            "http:///path",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/a\r\nx: y",
            "http://exämple.org/",
            "http://user:secret@127.0.0.1/",
        ],
    )
    async def test_what_is_no_url_of_an_engine_is_refused(self, client: HttpClient, url: str) -> None:
        with pytest.raises(ValueError) as refusal:
            await client.request("GET", url)
        assert "secret" not in str(refusal.value)

    @pytest.mark.parametrize("method", ["HEAD", "CONNECT", "GET /", ""])
    async def test_a_method_whose_answer_is_framed_otherwise_is_refused(
        self, client: HttpClient, method: str
    ) -> None:
        with pytest.raises(ValueError, match="not spoken"):
            await client.request(method, "http://127.0.0.1:9/")


class TestReplies:
    async def test_the_body_is_given_as_it_arrives(self, client: HttpClient) -> None:
        go_on = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM)
            for _ in range(3):
                await peer.send(PIECE)
                await go_on.wait()
                go_on.clear()
            await peer.send(END)

        async with raw_engine(script) as engine:
            reply = await client.request("GET", engine.url)
            pieces = []
            async for piece in reply:  # each piece is only sent after the one before was read
                pieces.append(piece)
                go_on.set()
            assert pieces == [b"piece"] * 3

    async def test_a_body_that_is_written_byte_by_byte_is_read_whole(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            while await peer.request():
                for byte in STREAM + PIECE + PIECE + b"0\r\nx-trailer: 1\r\n\r\n":
                    await peer.send(bytes((byte,)))
                    await asyncio.sleep(0)

        async with raw_engine(script) as engine:
            for _ in range(2):
                reply = await client.request("GET", engine.url)
                assert await reply.read() == b"piecepiece"
                assert dict(reply.headers) == {"transfer-encoding": "chunked"}
            assert engine.connections == 1

    async def test_headers_are_told_by_lower_case_names_and_joined(self, client: HttpClient) -> None:
        answer = b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n"
        async with raw_engine(answering(answer)) as engine:
            reply = await client.request("GET", engine.url)
            assert reply.status == 429
            assert dict(reply.headers) == {"retry-after": "7", "x-a": "1, 2", "content-length": "0"}
            assert await reply.read() == b""

    async def test_a_redirect_is_a_reply_like_any_other(self, client: HttpClient) -> None:
        answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
        async with raw_engine(answering(answer)) as engine:
            reply = await client.request("GET", engine.url)
            assert (reply.status, reply.headers["location"]) == (302, "http://127.0.0.1:9/")

    async def test_an_answer_without_a_length_ends_with_its_connection(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.0 200 OK\r\n\r\nhello")

        async with raw_engine(script) as engine:
            assert await fetched(client, engine.url) == b"hello"
            assert await fetched(client, engine.url) == b"hello"
            assert engine.connections == 2

    async def test_a_body_over_the_limit_is_refused_and_the_engine_stopped(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 500)
            await peer.hung_up()

        async with raw_engine(script) as engine:
            reply = await client.request("GET", engine.url)
            with pytest.raises(HttpError, match="more than 100 bytes"):
                await reply.read(100)
            await engine.scripts_done()

    async def test_an_answer_may_overtake_its_request(self, client: HttpClient) -> None:
        """A server that refuses a large body need not read it; what is left of it spoils the connection."""

        async def script(peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await peer.reader.readexactly(32 * 1024 * 1024)

        async with raw_engine(script) as engine:
            for _ in range(2):
                reply = await client.request("POST", engine.url, body=b"x" * 32 * 1024 * 1024)
                assert (reply.status, await reply.read()) == (413, b"no")
            await engine.scripts_done()
            assert engine.connections == 2


class TestErrors:
    async def test_a_refused_connection_has_sent_nothing(self, client: HttpClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(HttpError, match=f"127.0.0.1:{port} refused the connection") as failure:
            await client.request("GET", f"http://127.0.0.1:{port}/")
        assert (failure.value.kind, failure.value.sent_nothing) == ("connect", True)

    async def test_a_host_without_a_name_is_told_as_such(self, client: HttpClient) -> None:
        with pytest.raises(HttpError, match=r"no..host:80 is not a known host") as failure:
            await client.request("GET", "http://no..host/")
        assert failure.value.kind == "connect"

    async def test_a_host_that_says_nothing_is_given_up(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.reader.read()

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError) as failure:
                url = engine.url.replace("http:", "https:")
                await client.request("GET", url, timeouts=Timeouts(connect=0.05))
        assert (failure.value.kind, failure.value.sent_nothing) == ("connect_timeout", True)

    @pytest.mark.parametrize("sent_first", [b"", b"HTTP/1.1 200 OK\r\n", STREAM, STREAM + b"5\r\n"])
    async def test_the_head_of_an_answer_does_not_begin_it(
        self, client: HttpClient, sent_first: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(sent_first)
            await peer.hung_up()

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError) as failure:
                await (await client.request("GET", engine.url, timeouts=Timeouts(first=0.05))).read()
            await engine.scripts_done()
        assert (failure.value.kind, failure.value.answered) == ("first_timeout", False)

    async def test_silence_within_an_answer_ends_it_after_what_had_arrived(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM + PIECE)
            await peer.hung_up()

        async with raw_engine(script) as engine:
            reply = await client.request("GET", engine.url, timeouts=Timeouts(between=0.05))
            await engine.scripts_done()
            assert await anext(reply) == b"piece"
            with pytest.raises(HttpError) as failure:
                await anext(reply)
        assert (failure.value.kind, failure.value.answered) == ("between_timeout", True)

    @pytest.mark.parametrize(
        ("sent_first", "answered"),
        [
            (b"", False),
            (b"HTTP/1.1 200 OK\r\ncontent-le", False),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", False),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npiece", True),
            (STREAM + PIECE, True),
            (STREAM + PIECE + b"0\r\n", True),
        ],
    )
    @pytest.mark.parametrize("how", ["closed", "reset"])
    async def test_an_answer_that_is_cut_is_an_error_after_what_had_arrived(
        self, client: HttpClient, sent_first: bytes, answered: bool, how: str
    ) -> None:
        read = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(sent_first)
            if answered:
                await read.wait()
            if how == "reset":
                linger = b"\x01\0\0\0\0\0\0\0"
                peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                peer.reset()

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError) as failure:
                reply = await client.request("GET", engine.url)
                if answered:
                    assert await anext(reply) == b"piece"
                    read.set()
                await reply.read()
            assert engine.connections == 1  # a new connection that is lost is not replaced
        error = failure.value
        assert (error.kind, error.answered, error.sent_nothing) == ("lost", answered, False)

    async def test_an_engine_may_leave_while_the_request_is_still_on_its_way(
        self, client: HttpClient
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            peer.writer.write_eof()
            assert len(await peer.reader.read()) == 32 * 1024 * 1024

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError) as failure:
                await client.request("POST", engine.url, body=b"x" * 32 * 1024 * 1024)
            await engine.scripts_done()
        assert (failure.value.kind, failure.value.sent_nothing) == ("lost", False)

    async def test_a_reset_does_not_end_an_answer_without_a_length(self, client: HttpClient) -> None:
        read = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\npiece")
            await read.wait()
            linger = b"\x01\0\0\0\0\0\0\0"
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.reset()

        async with raw_engine(script) as engine:
            reply = await client.request("GET", engine.url)
            assert await anext(reply) == b"piece"
            read.set()
            with pytest.raises(HttpError) as failure:
                await reply.read()
        assert failure.value.kind == "lost"

    @pytest.mark.parametrize(
        "garbage",
        [
            b"SSH-2.0-OpenSSH_9.6 secret\r\n",
            b"\x15\x03\x01\x00\x02\x02\x16secret",
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 000 OK\r\ncontent-length: 6\r\n\r\nsecret",
            b"HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -6\r\n\r\nsecret",
            b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-length: 7\r\n\r\nsecret",
            b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\nsecret",
            STREAM + b"secret\r\n",
            STREAM + b"5\r\nsecret\r\n0\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: secret\r\n\r\n",
        ],
    )
    async def test_what_is_not_http_is_told_without_quoting_it(
        self, client: HttpClient, garbage: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(garbage)
            await peer.hung_up()

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError, match=r"127\.0\.0\.1:\d+ sent what is not HTTP") as failure:
                headers = {"authorization": "secret"}
                await (await client.request("POST", engine.url, headers=headers, body=b"secret")).read()
            await engine.scripts_done()
        assert failure.value.kind == "protocol"
        assert "secret" not in str(failure.value)

    @pytest.mark.parametrize(
        ("begin", "more"),
        [
            pytest.param(b"HTTP/1.1 200 OK\r\n", b"x-header: 12345678\r\n", id="headers"),
            pytest.param(b"HTTP/1.1 200 OK\r\nx-header: ", b"x" * 1024, id="one header"),
            pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
            pytest.param(STREAM + PIECE + b"0\r\n", b"x-trailer: 12345678\r\n", id="trailers"),
            pytest.param(STREAM + PIECE + b"5;", b"x" * 1024, id="extensions of a chunk"),
        ],
    )
    async def test_what_is_not_body_may_not_go_on_for_ever(
        self, client: HttpClient, begin: bytes, more: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(begin)
            with pytest.raises(ConnectionError):
                for _ in itertools.count():
                    await peer.send(more)
                    await asyncio.sleep(0)

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError, match="more headers than are accepted") as failure:
                await (await client.request("GET", engine.url)).read()
            await engine.scripts_done()
        assert failure.value.kind == "protocol"


class TestReuse:
    async def test_one_connection_serves_one_request_after_another(self, client: HttpClient) -> None:
        async with raw_engine(answering(OK, STREAM + PIECE + END, OK)) as engine:
            answers = [await fetched(client, engine.url) for _ in range(3)]
            assert answers == [b"hello", b"piece", b"hello"]
            assert engine.connections == 1

    async def test_a_connection_is_free_when_its_answer_has_arrived_not_when_it_was_read(
        self, client: HttpClient
    ) -> None:
        async with raw_engine(answering(OK)) as engine:
            first = await client.request("GET", engine.url)
            second = await client.request("GET", engine.url)
            assert (await first.read(), await second.read()) == (b"hello", b"hello")
            assert engine.connections == 1

    async def test_requests_at_the_same_time_have_connections_of_their_own(self, client: HttpClient) -> None:
        everybody = asyncio.Barrier(50)

        async def script(peer: Peer) -> None:
            while await peer.request():
                await everybody.wait()  # no answer before all have asked
                await peer.send(OK)

        async with raw_engine(script) as engine:
            for _ in range(2):
                answers = await asyncio.gather(*(fetched(client, engine.url) for _ in range(50)))
                assert answers == [b"hello"] * 50
            assert engine.connections == 50

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", id="close"
            ),
            pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", id="1.0"),
            pytest.param(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", id="a second answer"),
            pytest.param(OK + b"HTT", id="half of one"),
            pytest.param(OK + b"rubbish", id="a wrong length"),
            pytest.param(STREAM + b"5\r\nhello\r\n0\r\n\r\nrubbish", id="something behind the end"),
        ],
    )
    async def test_a_connection_that_cannot_be_trusted_is_not_used_again(
        self, client: HttpClient, answer: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(answer)
            await peer.hung_up()

        async with raw_engine(script) as engine:
            assert [await fetched(client, engine.url) for _ in range(2)] == [b"hello", b"hello"]
            await engine.scripts_done()
            assert engine.connections == 2

    async def test_a_connection_that_speaks_unasked_is_closed(self, client: HttpClient) -> None:
        speak = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await speak.wait()
            await peer.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            await peer.hung_up()

        async with raw_engine(script) as engine:
            assert await fetched(client, engine.url) == b"hello"
            speak.set()
            await engine.scripts_done()
            assert await fetched(client, engine.url) == b"hello"
            assert engine.connections == 2

    @pytest.mark.parametrize("how", ["closed", "reset"])
    async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_silently(
        self, client: HttpClient, how: str
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            # Read no more than the first byte: the rest makes the close a reset.
            await (peer.reader.read(1) if how == "reset" else peer.request())

        async with raw_engine(script) as engine:
            for number in range(3):
                assert await fetched(client, engine.url, b"%d" % number) == b"hello"
            assert engine.connections == 3

    async def test_a_kept_connection_that_began_to_answer_is_not_replaced(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await peer.request()
            await peer.send(b"HTTP/1.1 2")

        async with raw_engine(script) as engine:
            assert await fetched(client, engine.url) == b"hello"
            with pytest.raises(HttpError) as failure:
                await fetched(client, engine.url)
            assert failure.value.kind == "lost"
            assert engine.connections == 1

    async def test_a_kept_connection_that_is_silent_is_not_replaced(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await peer.request()
            await peer.hung_up()

        async with raw_engine(script) as engine:
            assert await fetched(client, engine.url) == b"hello"
            with pytest.raises(HttpError) as failure:
                await client.request("GET", engine.url, timeouts=Timeouts(first=0.05))
            assert failure.value.kind == "first_timeout"
            await engine.scripts_done()
            assert (engine.connections, len(engine.requests)) == (1, 2)

    async def test_an_engine_that_went_away_for_good_may_have_read_the_request(
        self, client: HttpClient
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await peer.request()
            await peer.engine.refuse()

        async with raw_engine(script) as engine:
            assert await fetched(client, engine.url) == b"hello"
            with pytest.raises(HttpError) as failure:
                await fetched(client, engine.url)
        assert (failure.value.kind, failure.value.sent_nothing) == ("connect", False)

    async def test_no_more_free_connections_are_kept_than_allowed(self) -> None:
        everybody = asyncio.Barrier(3)
        closed = asyncio.Semaphore(0)

        async def script(peer: Peer) -> None:
            while await peer.request():
                await everybody.wait()
                await peer.send(OK)
            closed.release()

        client = HttpClient(max_idle=1)
        async with raw_engine(script) as engine:
            await asyncio.gather(*(fetched(client, engine.url) for _ in range(3)))
            for _ in range(2):
                await closed.acquire()
            assert closed.locked()
            await client.close()
            await engine.scripts_done()


class TestLeaving:
    """The engine learns at once that nobody reads on: these scripts end only when the client has hung up."""

    @staticmethod
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM + PIECE)
        await peer.hung_up()

    async def test_closing_a_reply_hangs_up(self, client: HttpClient) -> None:
        async with raw_engine(self.endless) as engine:
            reply = await client.request("GET", engine.url)
            await reply.close()
            await engine.scripts_done()

    async def test_leaving_the_context_of_a_reply_hangs_up(self, client: HttpClient) -> None:
        async with raw_engine(self.endless) as engine:
            async with await client.request("GET", engine.url) as reply:
                assert await anext(reply) == b"piece"
            await engine.scripts_done()

    async def test_closing_a_generator_over_a_reply_hangs_up(self, client: HttpClient) -> None:
        async def pieces(reply: Reply) -> AsyncIterator[bytes]:
            async with reply:
                async for piece in reply:
                    yield piece

        async with raw_engine(self.endless) as engine:
            stream = pieces(await client.request("GET", engine.url))
            assert await anext(stream) == b"piece"
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
            await engine.scripts_done()

    async def test_cancelling_the_task_that_reads_hangs_up(self, client: HttpClient) -> None:
        async with raw_engine(self.endless) as engine:
            reply = await client.request("GET", engine.url)
            assert await anext(reply) == b"piece"
            reading = asyncio.create_task(reply.read())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            assert reading.cancelled()
            await engine.scripts_done()

    async def test_cancelling_the_task_that_waits_for_the_head_hangs_up(self, client: HttpClient) -> None:
        asked = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.hung_up()

        async with raw_engine(script) as engine:
            asking = asyncio.create_task(client.request("GET", engine.url))
            await asked.wait()
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
            await engine.scripts_done()

    async def test_a_reader_in_another_task_is_told_of_an_abort(self, client: HttpClient) -> None:
        async with raw_engine(self.endless) as engine:
            reply = await client.request("GET", engine.url)
            assert await anext(reply) == b"piece"
            reading = asyncio.create_task(reply.read())
            await asyncio.sleep(0)
            reply.abort()
            with pytest.raises(HttpError, match="was closed"):
                await reading
            await engine.scripts_done()

    async def test_leaving_after_the_end_keeps_the_connection(self, client: HttpClient) -> None:
        async with raw_engine(answering(OK)) as engine:
            for _ in range(3):
                async with await client.request("GET", engine.url) as reply:
                    assert await reply.read() == b"hello"
                await reply.close()
                reply.abort()
            assert engine.connections == 1

    async def test_closing_the_client_ends_a_request_on_a_kept_connection(self) -> None:
        asked_again = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await peer.request()
            asked_again.set()
            await peer.hung_up()

        client = HttpClient()
        async with raw_engine(script) as engine:
            await fetched(client, engine.url)
            asking = asyncio.create_task(client.request("GET", engine.url))
            await asked_again.wait()
            await client.close()
            with pytest.raises(HttpError) as failure:
                await asking
            assert failure.value.kind == "lost"
            assert engine.connections == 1

    async def test_closing_the_client_hangs_up_everywhere_and_tells_the_readers(self) -> None:
        client = HttpClient()
        async with raw_engine(self.endless) as engine:
            replies = [await client.request("GET", engine.url) for _ in range(3)]
            await client.close()
            for reply in replies:
                with pytest.raises(HttpError, match="the client is closed"):
                    await reply.read()
            await engine.scripts_done()
            with pytest.raises(HttpError, match="the client is closed") as failure:
                await client.request("GET", engine.url)
            assert failure.value.sent_nothing
            await client.close()


class TestBackPressure:
    async def test_a_reader_that_lags_holds_the_engine_and_not_the_memory(self, client: HttpClient) -> None:
        block = b"x" * 65536

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MANY)
            for _ in range(MANY // len(block)):
                await peer.send(block)

        async with raw_engine(script) as engine:
            reply = await client.request("GET", engine.url)
            while reply.size <= 256 * 1024:  # a size has no event
                await asyncio.sleep(0)
            held = reply.size
            for _ in range(1000):
                await asyncio.sleep(0)
            assert reply.size == held <= 512 * 1024  # the mark, and one read of the socket
            total = 0
            async for piece in reply:
                assert len(piece) <= 512 * 1024
                total += len(piece)
            assert total == MANY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for "localhost" with its key, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*command, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


class TestTls:
    @pytest.fixture
    def server_side(self, certificate: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return context

    @pytest.fixture
    def trusted(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))

    @pytest.mark.usefixtures("trusted")
    async def test_a_certificate_in_ssl_cert_file_is_trusted(
        self, client: HttpClient, server_side: ssl.SSLContext
    ) -> None:
        async with raw_engine(answering(OK), tls=server_side) as engine:
            for _ in range(2):
                reply = await client.request("POST", engine.url, body=[b"a", b"b" * 100_000])
                assert await reply.read() == b"hello"
            assert engine.connections == 1
            assert engine.requests[0].endswith(b"\r\n\r\na" + b"b" * 100_000)

    async def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, client: HttpClient, server_side: ssl.SSLContext
    ) -> None:
        async with raw_engine(answering(OK), tls=server_side) as engine:
            with pytest.raises(HttpError, match="certificate that is not trusted: self-signed") as failure:
                await client.request("GET", engine.url)
        assert (failure.value.kind, failure.value.sent_nothing) == ("connect", True)

    @pytest.mark.usefixtures("trusted")
    async def test_a_certificate_of_another_host_is_refused(
        self, client: HttpClient, server_side: ssl.SSLContext
    ) -> None:
        async with raw_engine(answering(OK), tls=server_side) as engine:
            with pytest.raises(HttpError, match="certificate that is not trusted") as failure:
                await client.request("GET", engine.url.replace("localhost", "127.0.0.1"))
        assert failure.value.kind == "connect"

    @pytest.mark.usefixtures("trusted")
    async def test_a_certificate_is_held_against_the_name_and_not_the_address_that_it_was_resolved_to(
        self, server_side: ssl.SSLContext
    ) -> None:
        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        client = HttpClient(resolve=resolve)
        async with raw_engine(answering(OK), tls=server_side) as engine:
            assert (await client.request("GET", engine.url)).status == 200
            with pytest.raises(HttpError, match="certificate that is not trusted"):
                await client.request("GET", engine.url.replace("localhost", "hooks.example"))
            await client.close()

    async def test_a_server_without_tls_is_told_as_such(self, client: HttpClient) -> None:
        async def script(peer: Peer) -> None:
            await peer.reader.read(1)
            await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with raw_engine(script) as engine:
            with pytest.raises(HttpError, match="does not speak TLS") as failure:
                await client.request("GET", engine.url.replace("http:", "https:"))
        assert failure.value.kind == "connect"

    @pytest.mark.usefixtures("trusted")
    async def test_leaving_hangs_up_without_a_long_goodbye(
        self, client: HttpClient, server_side: ssl.SSLContext
    ) -> None:
        async with raw_engine(TestLeaving.endless, tls=server_side) as engine:
            async with await client.request("GET", engine.url) as reply:
                assert await anext(reply) == b"piece"
            await engine.scripts_done()
