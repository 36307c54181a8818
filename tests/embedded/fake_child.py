"""A child process in the engine's place. The file that its first argument names says, at each start, how it behaves.

Whoever connects is told its process id; what it hears then it does: "crash".
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from catena.embedded import handshake
from catena.embedded.parent import end_with_parent


def main() -> None:
    behaviour = Path(sys.argv[1]).read_text()
    listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    assert handshake.KEY_VARIABLE in os.environ
    end_with_parent()
    match behaviour:
        case "answers":
            listener.listen()
            say(handshake.write(handshake.Ready("here")))
            serve(listener)
        case "is unfit":
            say(handshake.write(handshake.Failed("It is too hot here.")))
        case "talks nonsense":
            say(b"Hello?\n")
        case "says nothing":
            signal.pause()
        case "complains":
            os.write(2, b"first\nno such luck\n")
            sys.exit(3)
        case "dies":
            os.kill(os.getpid(), signal.SIGILL)


def say(line: bytes) -> None:
    os.write(1, line)


def serve(listener: socket.socket) -> None:
    listener.setblocking(True)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(f"{os.getpid()}\n".encode())
            if connection.recv(100) == b"crash":
                os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    main()
