"""Who may do what: projects, their keys, and what each key gives.

scopes     the words for what a key may do
grant      what somebody who showed a key has: a project, scopes, limits
secrets    keys as text: made, shown, recognised
registry   projects and keys as they are stored, for the commands and for servers
key_file   keys in a file, for set-ups that are declared
tokens     bearer tokens of an identity provider
keys       from a key to its grant, for every request

What is another project's is unknown: that is the store's promise, as it finds nothing without the project. Here is
decided which project that is.
"""

from __future__ import annotations

from catena.access.grant import DEFAULT_PROJECT, Grant
from catena.access.keys import Keys
from catena.access.registry import Key, Project, Registry
from catena.access.scopes import EVERYTHING, READ_ONLY

__all__ = ["DEFAULT_PROJECT", "EVERYTHING", "READ_ONLY", "Grant", "Key", "Keys", "Project", "Registry"]
