"""Moving house: what a store holds, as lines of JSON, out of one store and into another, with every id kept.

lines      what stands in a file
leaving    a store → lines, to be continued where it was cut
arriving   lines → a store, to be repeated without harm
unpacking  files out of their lines
official   responses that the official API stores → trees
"""

from catena.moving.arriving import Arrived, BadLine, arrive
from catena.moving.leaving import Left, last_place, leave

__all__ = ["Arrived", "BadLine", "Left", "arrive", "last_place", "leave"]
