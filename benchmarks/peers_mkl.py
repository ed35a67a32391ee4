"""Intel's MKL through mkl_random, with its fastest generator, SFMT19937, and normals by inversion, into new arrays."""

from collections.abc import Callable
from typing import Any

import mkl_random


def fill(kind: str, dtype: str, size: int, threads: int) -> Callable[[], Any]:
    if dtype != "float64":
        raise NotImplementedError(dtype)
    rng = mkl_random.MKLRandomState(1, brng="SFMT19937")
    draw = {
        "uniform": rng.random_sample,
        "normal": rng.standard_normal,
        "exponential": rng.standard_exponential,
        "logistic": rng.logistic,
        "gumbel": rng.gumbel,
    }[kind]
    return lambda: draw(size=size)
