"""SciPy's part: the cut of a graph by a sparse product, in whichever layout is the fastest here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = NDArray[Any]
Run = Callable[[], Array]


def maxcut(y: Array, i: Array, j: Array, threads: int) -> Run:
    """Cuts of an unweighted graph: W/2 - s'As/4 by CSR times spins, (nodes, samples), made before the clock starts.

    The spins are float32 or int8, all entries of A or its upper triangle, the sum over nodes by NumPy's sum or by
    einsum: the fastest of these is the peer.
    """
    n, edges = y.shape[1], len(i)
    upper = sp.csr_matrix((np.ones(edges, np.float32), (i, j)), shape=(n, n))
    whole = (upper + upper.T).tocsr()
    spins = np.ascontiguousarray(2 * y.T.astype(np.float32) - 1)
    small, small_upper, small_spins = whole.astype(np.int8), upper.astype(np.int8), spins.astype(np.int8)

    def plain() -> Array:  # as in shared/peers/maxcut.py
        return (edges - (spins * (whole @ spins)).sum(0) / 2) / 2

    def half() -> Array:
        return (edges - (spins * (upper @ spins)).sum(0)) / 2

    def fused() -> Array:
        return (edges - np.einsum("ij,ij->j", spins, upper @ spins)) / 2

    def bytes_() -> Array:
        return (edges - np.einsum("ij,ij->j", small_spins, small @ small_spins, dtype=np.int32) / 2) / 2

    def half_bytes() -> Array:
        return (edges - np.einsum("ij,ij->j", small_spins, small_upper @ small_spins, dtype=np.int32)) / 2

    def seconds(run: Run) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    runs = (plain, half, fused, bytes_, half_bytes)
    return min(runs, key=lambda run: min(seconds(run) for _ in range(3)))
