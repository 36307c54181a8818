"""The floor: a forwarding proxy on the server stack that Catena uses, without any state.

`python -m bench.floor PORT ENGINE_URL`. What Catena costs above this is what remembering costs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn

from catena.http_server import event_loop
from catena.upstream.http import HttpClient


class Floor:
    """Passes a body on and the answer back, as it comes."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._client = HttpClient()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        reply = await self._client.request(
            "POST", self._url, headers=[("content-type", "application/json")], body=body
        )
        headers = [(b"content-type", reply.headers["content-type"].encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async with reply:
            async for piece in reply:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    config = uvicorn.Config(
        Floor(sys.argv[2]),
        port=int(sys.argv[1]),
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=2048,
    )
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
