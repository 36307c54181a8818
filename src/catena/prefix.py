"""The rendered histories that are kept in memory, so that a turn costs the same at any depth.

What is kept are links (`context.chain`), for each dialect. They go by whole trees, the least recently used first:
links of one tree share ancestors, so dropping single ones would free nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from catena.context.chain import Link
from catena.upstream import Dialect

__all__ = ["PrefixCache"]

_TreeKey: TypeAlias = tuple[str, str]
_LinkKey: TypeAlias = tuple[Dialect, str]


class PrefixCache:
    """Links by project, tree and turn, bounded by `max_bytes` of rendered text."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.deletions = 0
        """How often something was dropped as it was no longer true."""
        self._trees: OrderedDict[_TreeKey, dict[_LinkKey, Link]] = OrderedDict()
        self._sizes: dict[_TreeKey, int] = {}

    def has(self, project: str, tree: str) -> bool:
        """Whether anything of a tree is kept."""
        return (project, tree) in self._trees

    def get(self, project: str, tree: str, dialect: Dialect, turn_id: str) -> Link | None:
        """The link of a turn, if it is kept; its tree is then the most recently used."""
        links = self._trees.get((project, tree))
        link = links.get((dialect, turn_id)) if links is not None else None
        if link is None:
            self.misses += 1
            return None
        self.hits += 1
        self._trees.move_to_end((project, tree))
        return link

    def grow(self, project: str, tree: str, dialect: Dialect, link: Link) -> None:
        """Keep the link of a new turn if that of its parent is kept.

        Where it is not, something may have been deleted while the turn was made, and its ancestors would come back.
        """
        parent = link.parent
        if parent is not None:
            links = self._trees.get((project, tree))
            if links is None or links.get((dialect, parent.turn_id)) is not parent:
                return
        self.put(project, tree, dialect, link)

    def put(self, project: str, tree: str, dialect: Dialect, link: Link) -> None:
        """Keep a link, and those of its ancestors that are not kept yet."""
        key = (project, tree)
        links = self._trees.setdefault(key, {})
        each: Link | None = link
        added = 0
        while each is not None and (each.revised or (dialect, each.turn_id) not in links):
            if not each.revised:
                links[dialect, each.turn_id] = each
            added += each.size
            each = each.parent
        self._trees.move_to_end(key)
        self._sizes[key] = self._sizes.get(key, 0) + added
        self.bytes += added
        while self.bytes > self.max_bytes and self._trees:
            self._drop(next(iter(self._trees)))

    def clear(self) -> None:
        """Drop everything."""
        self.deletions += 1
        self._trees.clear()
        self._sizes.clear()
        self.bytes = 0

    def forget(self, project: str, tree: str) -> None:
        """Drop a tree: something in it was deleted, so its histories are no longer what they were."""
        self.deletions += 1
        self._drop((project, tree))

    def _drop(self, key: _TreeKey) -> None:
        if self._trees.pop(key, None) is not None:
            self.bytes -= self._sizes.pop(key)
