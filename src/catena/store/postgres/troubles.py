"""What goes wrong with a database, in words: what is the matter, and what its operator can do about it.

The database's own sentences may have values in them, which are for no log and for no client. So they are not passed
on; its classes of errors are.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, NamedTuple

import asyncpg

from catena.errors import StoreUnavailable

__all__ = ["NOT_OURS", "trouble"]


class _Trouble(NamedTuple):
    matter: str
    advice: str


NOT_OURS: Final = (
    "Have a database of its own for Catena, or a schema of its own: ?search_path=NAME in store.database."
)
_RIGHT_PLACE: Final = "Is it running, and are host and port right in store.database?"
_RIGHTS: Final = (
    "It has to own the tables of Catena, and to be allowed to make some: "
    "GRANT CREATE ON SCHEMA public TO that user."
)

_TROUBLES: Final[dict[type[Exception], _Trouble]] = {
    asyncpg.InvalidAuthorizationSpecificationError: _Trouble(
        "the user or the password was refused",
        "Correct them in store.database, PGPASSWORD or ~/.pgpass. Who may connect from where is in the database's "
        "pg_hba.conf.",
    ),
    asyncpg.InvalidCatalogNameError: _Trouble(
        "there is no database of that name", "Make it with createdb, or correct store.database."
    ),
    asyncpg.TooManyConnectionsError: _Trouble(
        "no connection is left",
        "Raise the database's max_connections, or lower store.connections or server.workers.",
    ),
    asyncpg.ReadOnlySQLTransactionError: _Trouble(
        "it can only be read, as a standby",
        "Name the primary in store.database; among several hosts ?target_session_attrs=read-write finds it.",
    ),
    asyncpg.TargetServerAttributeNotMatched: _Trouble(
        "none of its hosts is as target_session_attrs wants it",
        "Is the primary among the hosts in store.database, and is it running?",
    ),
    asyncpg.ProtocolViolationError: _Trouble(
        "it was asked for something that it does not know",
        "Is a transaction pooler such as PgBouncer in between? Then set store.pooled = true "
        "(CATENA_STORE__POOLED=true).",
    ),
    asyncpg.InterfaceError: _Trouble("the connection broke", _RIGHT_PLACE),
    asyncpg.InvalidSchemaNameError: _Trouble(
        "there is no schema to make tables in",
        "Make the one that search_path in store.database names: CREATE SCHEMA.",
    ),
    asyncpg.InsufficientPrivilegeError: _Trouble("the user lacks a right", _RIGHTS),
    asyncpg.DuplicateTableError: _Trouble("it has a table of that name that is not Catena's", NOT_OURS),
    asyncpg.UndefinedTableError: _Trouble("a table is missing", NOT_OURS),
    asyncpg.UndefinedColumnError: _Trouble("a table is not as Catena makes it", NOT_OURS),
    asyncpg.DiskFullError: _Trouble("its disk is full", "Make room on the disk of the database."),
    asyncpg.CannotConnectNowError: _Trouble("it is starting or stopping", "Try again in a moment."),
    asyncpg.AdminShutdownError: _Trouble("it ended the connection", _RIGHT_PLACE),
    socket.gaierror: _Trouble(
        "its host is not known", "Correct the host in store.database, or the name service of this machine."
    ),
    ConnectionRefusedError: _Trouble("it refused the connection", _RIGHT_PLACE),
    FileNotFoundError: _Trouble("its socket is not there", _RIGHT_PLACE),
    TimeoutError: _Trouble(
        "it did not answer in time",
        f"{_RIGHT_PLACE} Is a firewall in between? store.timeout_seconds says how long is waited.",
    ),
    ssl.SSLError: _Trouble(
        "its certificate was not accepted",
        "Name the certificate of who signed it: &sslrootcert=FILE in store.database; the host must be the one in it.",
    ),
    ConnectionError: _Trouble(
        "the connection broke",
        f"{_RIGHT_PLACE} Does it speak TLS, if sslmode in store.database asks for that?",
    ),
}


def trouble(what: str, error: BaseException) -> StoreUnavailable:
    """The error that tells of `what` and why it could not be."""
    if isinstance(error, asyncpg.ClientConfigurationError):  # of the driver, which tells no secrets
        advice = "It is as for psql: postgresql://USER@HOST:PORT/NAME, and options after a question mark."
        return StoreUnavailable(f"{what}: {_first_line(error)}.", advice=f"Correct store.database. {advice}")
    for kind in type(error).__mro__:
        if found := _TROUBLES.get(kind):
            return StoreUnavailable(f"{what}: {found.matter}{_number(error)}.", advice=found.advice)
    return StoreUnavailable(f"{what}: {type(error).__name__}{_number(error)}.")


def _number(error: BaseException) -> str:
    """By which the database's manual knows it."""
    sqlstate = getattr(error, "sqlstate", None)
    return f" ({sqlstate})" if sqlstate else ""


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".")
