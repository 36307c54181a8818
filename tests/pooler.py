"""PgBouncer before a PostgreSQL, in transaction mode: with it, each transaction may reach another session.

It is no dependency of the tests. `CATENA_TEST_PGBOUNCER` names the program; then the tests of stores, and the servers
that are killed and frozen, go through it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

__all__ = ["pooler_before"]

_PROGRAM: Final = "CATENA_TEST_PGBOUNCER"
_USER: Final = "pgserver"
"""It does not run as root, no more than PostgreSQL does; where that is the user, this one was made for it."""

_SETTINGS: Final = """
[databases]
* = host={socket}
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
server_login_retry = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pooler_before(url: str) -> Iterator[str | None]:
    """The URL of one, for as long as the context lasts; None where none is named."""
    program = os.environ.get(_PROGRAM)
    if program is None:
        yield None
        return
    (socket,) = parse_qs(urlsplit(url).query)["host"]
    folder = Path(tempfile.mkdtemp(prefix="catena-pooler-"))
    (folder / "settings").write_text(_SETTINGS.format(socket=socket, folder=folder))
    (folder / "users").write_text('"postgres" ""\n')
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, _USER)
    user = ["-u", _USER] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, "-q", *user, str(folder / "settings")])
    try:
        while not (folder / ".s.PGSQL.5432").exists() and process.poll() is None:
            time.sleep(0.01)
        yield url.replace(socket, str(folder))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
