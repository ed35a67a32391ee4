"""batches: which rows of the data a step of training takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .noise import BATCHING, Stream

Array = NDArray[Any]


class Orders:
    """Which rows of the data a step takes: an endless row of random orders of all."""

    def __init__(self, n: int, stream: Stream) -> None:
        self._n, self._noise = n, stream._replace(purpose=BATCHING)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def rows(self, step: int, count: int, batch: int) -> Array:
        """Return the rows of steps step .. step + count, one line for each step."""
        at, stop = step * batch, (step + count) * batch
        parts = []
        while at < stop:
            epoch, start = divmod(at, self._n)
            end = min(self._n, start + stop - at)
            parts.append(self._epoch_order(epoch)[start:end])
            at += end - start
        return np.concatenate(parts).reshape(count, batch)

    def _epoch_order(self, epoch: int) -> Array:
        """Return all rows in the random order of an epoch: by the high word of their k, then by number."""
        if epoch != self._epoch:
            words = self._noise.at(epoch * self._n)._k53(self._n) >> np.uint64(21)
            keys = words << np.uint64(32) | np.arange(self._n, dtype=np.uint64)
            keys.sort()  # a sort of distinct numbers has one result, by whatever algorithm
            self._order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
            self._epoch = epoch
        return self._order
