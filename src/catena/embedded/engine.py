"""The child process: `python -m catena.embedded.engine --model PATH`, with its key in `CATENA_ENGINE_KEY`.

It loads the model, answers the chat dialect on loopback, and says on its standard output, in one line of JSON, that
it is ready or why it cannot be. It lives as long as its standard input stays open, which is as long as its parent
lives; there is nothing in it that an abrupt end could harm.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from catena.embedded import handshake
from catena.embedded.decoder import LlamaDecoder
from catena.embedded.front import Front
from catena.embedded.parent import end_with_parent
from catena.embedded.runtime import Unfit

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine until the parent ends."""
    options = _parser().parse_args(arguments)
    parent = _keep_standard_output()
    end_with_parent()
    try:
        front = _front(options, os.environ.pop(handshake.KEY_VARIABLE, ""))
    except Unfit as error:
        os.write(parent, handshake.write(handshake.Failed(str(error))))
        return 1
    asyncio.run(_serve(front, _listener(options), parent))
    return 0


def _front(options: argparse.Namespace, key: str) -> Front:
    """The loaded model behind its door. Raises Unfit."""
    if not key:
        raise Unfit(f"The environment has no {handshake.KEY_VARIABLE}.")
    decoder = LlamaDecoder(options.model, context=options.context, parallel=options.parallel)
    return Front(decoder, name=options.name or options.model.stem, key=key)


async def _serve(front: Front, listener: socket.socket, parent: int) -> None:
    config = uvicorn.Config(front, lifespan="off", access_log=False, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    # The socket listens already, so whoever connects from now on is answered.
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    os.write(parent, handshake.write(handshake.Ready(address)))
    await server.serve(sockets=[listener])


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        listener = socket.socket(fileno=options.fd)
    else:
        listener = socket.create_server(("127.0.0.1", options.port))
    listener.listen()
    return listener


def _keep_standard_output() -> int:
    """Standard output, for our one line alone: what native code prints there goes to standard error from now on."""
    ours = os.dup(1)
    os.dup2(2, 1)
    return ours


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m catena.embedded.engine", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--name", help="what the model is called; default: the file's name")
    parser.add_argument(
        "--context", type=int, default=8192, help="tokens of one conversation, its answer included"
    )
    parser.add_argument(
        "--parallel", type=int, default=1, help="conversations at a time; each takes its own memory"
    )
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; default: any that is free")
    parser.add_argument("--fd", type=int, help="a bound socket that was inherited, instead of a port")
    return parser


if __name__ == "__main__":
    sys.exit(main())
