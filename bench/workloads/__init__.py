"""What is done to the systems. Each workload measures one system once and gives its figures by their names.

    timing    what a piece of work took, in time and in processor time
    creates   W1: responses without a past
    chains    W2: responses with one, and what a turn costs at a depth
    streams   W3: streams, paced and in a burst
    reading   W4: what was stored is read
    resuming  W7: streams that break, and are resumed
    joining   whether what came in two parts is one stream
    growth    what grows with the width of a tree, and with the followers of a stream

Figures are named for their units: `per_s`, `ms_…`, and `cpu_us`, microseconds of the processor.
"""

from __future__ import annotations

from bench.workloads.chains import DEPTHS, chain, chains, depth
from bench.workloads.creates import stateless, stored
from bench.workloads.growth import followers, siblings
from bench.workloads.reading import reads
from bench.workloads.resuming import resumed
from bench.workloads.streams import burst, paced
from bench.workloads.timing import Figures, quantile, side_by_side, timed

__all__ = [
    "DEPTHS",
    "Figures",
    "burst",
    "chain",
    "chains",
    "depth",
    "followers",
    "paced",
    "quantile",
    "reads",
    "resumed",
    "siblings",
    "side_by_side",
    "stateless",
    "stored",
    "timed",
]
