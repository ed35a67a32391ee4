"""noise: filling arrays, from some that stay in the first cache to some that leave the last one."""

from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, THREADS, Work, cases, held_to, measured, peer

import stochcore as sc

SIZES = (10**3, 10**4) if SMOKE else (10**3, 10**4, 10**5, 10**6, 10**7)
FEW = 10**5  # below, more threads are of no use


def fill(kind: str, dtype: str, size: int, threads: int) -> Any:
    out = np.empty(size, dtype=dtype)
    draw = getattr(sc.Stream(1), kind)
    return lambda: draw(size, dtype=dtype, out=out, n_threads=threads)


@cases(
    [
        (
            Work(
                "noise",
                f"{kind} {dtype}, {size:,}",
                size,
                "numbers",
                threads,
                headline=size == SIZES[-1],
            ),
            kind,
            dtype,
            size,
        )
        for kind in ("uniform", "normal")
        for dtype in ("float64", "float32")
        for size in SIZES
        for threads in THREADS
        if threads == 1 or size >= FEW or SMOKE
    ],
    peers=("numpy", "torch", "jax"),
)
def bench_fill(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    kind, _, size = arguments
    make = fill if who == OURS else peer(who).fill
    result = np.asarray(measured(benchmark, work, who, make(*arguments, work.threads)))
    mean, variance = {"uniform": (0.5, 1 / 12), "normal": (0.0, 1.0)}[kind]
    held_to(result.mean(dtype=np.float64), mean, np.sqrt(variance / size))
