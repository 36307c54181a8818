"""Speed, measured as ratios within one run: `make bench`.

    engine     a mock engine that answers at once, or paced
    floor      the least a server in the middle can do: forward, keep nothing
    load       a load generator on a raw protocol
    systems    what is measured, each in a process of its own
    workloads  what is done to them, W1 to W4, W7 and growth; sockets: W6; large: W8; day: W9
    catalogue  the workloads with their sizes; parts: what is started for them
    rounds     the systems take turns (A B A B …), so that a machine whose speed drifts drifts for all of them
    report     medians, ratios, one table and a JSON file; noise and headroom: how far it can be trusted
    plot       what a turn takes at a depth, as a picture
    counts     what does not depend on the machine

A workload that checks what it was told, and finds something missing, has no figures.
"""
