"""Speed, measured as ratios within one run: `make bench`.

    engine     a mock engine that answers at once, or paced
    floor      the least a server in the middle can do: forward, keep nothing
    load       a load generator on a raw protocol
    systems    what is measured, each in a process of its own
    workloads  what is done to them
    report     medians, ratios, one table and a JSON file

The systems take turns (A B A B …), so that a machine whose speed drifts drifts for all of them.
"""
