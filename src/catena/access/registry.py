"""Projects and keys as they are stored: documents of the server, which commands write and servers read.

A key is kept as the hash of its text, under an id that follows from that. Nothing is removed: a revoked key, or one of
a revoked project, stays as a record, and a server that once had keys never becomes open again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from catena.access import secrets
from catena.access.grant import DEFAULT_PROJECT
from catena.access.scopes import SCOPES, USUAL, unknown_scopes
from catena.errors import BadRequest, NotFound
from catena.limits import Limits
from catena.store import Document, Documents, Page
from catena.store.documents import SERVER

__all__ = ["Key", "Project", "Registry", "check_name", "is_name"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PAGE: Final = 500
_LAST_USED_EVERY: Final = 600
"""Seconds between two writes of when a key was last used."""


class Project(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant. Times are unix seconds."""

    name: str
    created_at: int = 0
    limits: Limits = Limits()
    revoked_at: int | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key, without its text: `digest` is the hash of that in hex, and `hint` what is shown of it. Times are unix
    seconds; a key without `expires_at` does not expire."""

    id: str
    project: str
    digest: str
    created_at: int = 0
    hint: str = ""
    name: str = ""
    scopes: Sequence[str] = USUAL
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    limits: Limits = Limits()

    def is_good(self, now: float) -> bool:
        """Whether it opens anything at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_encode = msgspec.json.Encoder().encode
_decode_project = msgspec.json.Decoder(Project).decode
_decode_key = msgspec.json.Decoder(Key).decode


class Registry:
    """See the module. `clock` gives unix seconds. All methods raise StoreUnavailable."""

    def __init__(self, documents: Documents, *, clock: Callable[[], float] = time.time) -> None:
        self._documents = documents
        self._clock = clock

    # Projects

    async def create_project(self, name: str, limits: Limits | None = None) -> Project:
        """A new project. Raises BadRequest if the name is none, or taken."""
        check_name(name)
        project = Project(name=name, created_at=self._now(), limits=limits or Limits())
        if not await self._documents.add(_project_document(project)):
            raise BadRequest(f"There is a project '{name}' already.")
        return project

    async def project(self, name: str) -> Project | None:
        """One that was created; None if it was not, which keeps nobody from using its name."""
        found = await self._documents.get("project", SERVER, name)
        return _decode_project(found.body) if found is not None else None

    async def projects(self) -> Sequence[Project]:
        """All that were made, the oldest first."""
        return [_decode_project(each.body) for each in await self._all("project")]

    async def set_limits(self, name: str, limits: Limits) -> Project:
        """Give a project other limits; what they say nothing of stays. Raises NotFound."""
        return await self._change_project(
            name, lambda project: replace(project, limits=limits.over(project.limits))
        )

    async def revoke_project(self, name: str) -> Project:
        """None of its keys opens anything any more; what it has stored stays. Raises NotFound."""
        now = self._now()
        return await self._change_project(
            name, lambda project: replace(project, revoked_at=project.revoked_at or now)
        )

    async def _change_project(self, name: str, change: Callable[[Project], Project]) -> Project:
        changed = await self._documents.change(
            "project", SERVER, name, lambda body: _encode(change(_decode_project(body)))
        )
        if changed is None:
            raise NotFound(f"There is no project '{name}'.")
        return _decode_project(changed.body)

    # Keys

    async def create_key(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        name: str = "",
        scopes: Sequence[str] = USUAL,
        expires_at: int | None = None,
        limits: Limits | None = None,
    ) -> tuple[Key, str]:
        """A new key and its text, which is nowhere else. Raises BadRequest and NotFound."""
        unknown = unknown_scopes(scopes)
        if unknown or not scopes:
            raise BadRequest(f"Unknown scope: '{', '.join(unknown)}'. Known are: {', '.join(SCOPES)}.")
        if project != DEFAULT_PROJECT:
            known = await self.project(project)
            if known is None or known.revoked_at is not None:
                raise NotFound(
                    f"There is no project '{project}'. Make it with: catena projects create {project}"
                )
        secret = secrets.new_secret()
        digest = secrets.digest_of(secret)
        key = Key(
            id=secrets.id_of(digest),
            project=project,
            digest=digest.hex(),
            created_at=self._now(),
            hint=secrets.hint_of(secret),
            name=name,
            scopes=list(scopes),
            expires_at=expires_at,
            limits=limits or Limits(),
        )
        await self._documents.add(_key_document(key))
        return key, secret

    async def key(self, key_id: str) -> Key | None:
        """One key, whatever has become of it."""
        found = await self._documents.get("key", SERVER, key_id)
        return _decode_key(found.body) if found is not None else None

    async def keys(self, project: str | None = None) -> Sequence[Key]:
        """All, or those of a project, the oldest first."""
        keys = [_decode_key(each.body) for each in await self._all("key")]
        return [key for key in keys if project in (None, key.project)]

    async def has_keys(self) -> bool:
        """Whether a key was ever made."""
        found, _ = await self._documents.list("key", SERVER, Page(limit=1))
        return bool(found)

    async def revoke_key(self, key_id: str) -> Key:
        """It opens nothing any more, on no server, within seconds. Raises NotFound."""
        now = self._now()
        return await self._change_key(key_id, lambda key: replace(key, revoked_at=key.revoked_at or now))

    async def rotate_key(self, key_id: str, *, grace: int = 0) -> tuple[Key, str]:
        """A new key that may do the same, with its text; the old one goes on for `grace` seconds.

        Raises NotFound, and BadRequest for a key that opens nothing any more.
        """
        old = await self.key(key_id)
        if old is None:
            raise _no_key(key_id)
        if not old.is_good(self._clock()):
            raise BadRequest(f"The key '{key_id}' has expired or was revoked. Make a new one instead.")
        made = await self.create_key(
            old.project, name=old.name, scopes=old.scopes, expires_at=old.expires_at, limits=old.limits
        )
        end = self._now() + grace
        await self._change_key(
            key_id,
            lambda key: replace(key, expires_at=end if key.expires_at is None else min(end, key.expires_at)),
        )
        return made

    async def note_use(self, key: Key) -> None:
        """Keep when a key was last used, to some minutes."""
        now = self._now()
        if key.last_used_at is None or key.last_used_at < now - _LAST_USED_EVERY:
            await self._change_key(
                key.id, lambda found: replace(found, last_used_at=max(now, found.last_used_at or 0))
            )

    async def _change_key(self, key_id: str, change: Callable[[Key], Key]) -> Key:
        changed = await self._documents.change(
            "key", SERVER, key_id, lambda body: _encode(change(_decode_key(body)))
        )
        if changed is None:
            raise _no_key(key_id)
        return _decode_key(changed.body)

    async def _all(self, kind: str) -> Sequence[Document]:
        documents: list[Document] = []
        more = True
        while more:
            after = documents[-1].id if documents else None
            page, more = await self._documents.list(kind, SERVER, Page(limit=_PAGE, after=after))
            documents += page
        return documents

    def _now(self) -> int:
        return int(self._clock())


def is_name(name: str) -> bool:
    """Whether this can be the name of a project."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise BadRequest unless this can be the name of a project."""
    if not is_name(name):
        raise BadRequest(
            f"Invalid project name: '{name[:64]}'. Expected 1 to 64 letters, digits, dots, hyphens, underscores or "
            "at signs, and a letter or digit first."
        )


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"There is no key '{key_id}'.")


def _project_document(project: Project) -> Document:
    return Document(kind="project", id=project.name, created_at=project.created_at, body=_encode(project))


def _key_document(key: Key) -> Document:
    return Document(kind="key", id=key.id, created_at=key.created_at, body=_encode(key))
