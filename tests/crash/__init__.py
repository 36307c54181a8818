"""Kill the server again and again while clients use it, and check that all it told them is still true.

engine   an engine as a process of its own, whose answer tells exactly what it was asked
told     what clients were told, written down as they heard it
load     the clients: chains, branches, streams, background, chat
server   the server as a real process, killed and started again on the same database
checker  walks through what was told and asks the server whether it is so
harness  the round: load, kill, restart, …, check

    python -m tests.crash --kills 30
"""
