"""stochcore itself on one thread, beside which it stands on all."""

from collections.abc import Callable
from typing import Any

import numpy as np

import stochcore as sc


def fill(kind: str, dtype: str, size: int, threads: int) -> Callable[[], Any]:
    out = np.empty(size, dtype=dtype)
    draw = getattr(sc.Stream(1), kind)
    return lambda: draw(size, dtype=dtype, out=out, n_threads=1)


def gradient(theta: Any, w: Any, n: int, threads: int) -> Callable[[], Any]:
    model, cost = sc.Bernoulli(logits=theta), sc.costs.Linear(w)
    return lambda: sc.estimate(model, cost, n, n_threads=1).grad
