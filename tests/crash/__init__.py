"""Kill the server again and again while clients use it, and check that all it told them is still true.

engine     an engine as a process of its own, whose answer tells exactly what it was asked
told       what clients were told, written down as they heard it
load       the clients: chains, branches, streams, background, conversations, chat
server     the server as a real process, killed and started again on the same database
rows       what is in the database, past the server
checker    walks through what was told and asks the server whether it is so
harness    the round with one server on SQLite: load, kill, restart, …, check

database   a real PostgreSQL that stops in the middle of everything, freezes, and comes back
replicas   several servers on it; clients go from one to another
disasters  what happens to them
siege      the round with all that

    python -m tests.crash --kills 30
    python -m tests.crash --disasters 30
"""
