"""ahead: the shards of a simulator, several in one go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ..estimate import BLOCKS_PER_SHARD, Layout

Array = NDArray[Any]
Make = Callable[[int, int, int], Array]

MOST_SHARDS = 64  # in one go,
MOST_NUMBERS = 1 << 21  # if the nodes of their blocks have no more numbers than that


def shards_ahead(make: Make, layout: Layout, last: int, end: int, may_stop: bool) -> Make:
    """Return what makes the node of a shard, and keeps those of the next ones, which it has made in the same go.

    Where programs are short a shard is over in a millisecond, and threads that meet after each would mostly wait for
    one another. A run that may stop goes ahead by at most a quarter of what it has done.

    Parameters
    ----------
    make : callable
        The nodes of all shards of blocks first .. first + blocks, the last up to sample `stop`: shape (shards, size).
    last, end : int
        The block and the sample where the run ends.
    """
    most = max(1, min(MOST_SHARDS, MOST_NUMBERS // (BLOCKS_PER_SHARD * layout.node_size)))
    ready: dict[int, Array] = {}
    done = 0

    def shard(first: int, blocks: int, stop: int) -> Array:
        nonlocal done
        if first not in ready:
            at_once = min(last - first, BLOCKS_PER_SHARD * (min(most, 1 + done // 4) if may_stop else most))
            stop = end if first + at_once == last else (first + at_once) * layout.block_rows
            nodes = make(first, at_once, stop)
            ready.update((first + i * BLOCKS_PER_SHARD, node) for i, node in enumerate(nodes))
            done += len(nodes)
        return ready.pop(first)

    return shard
