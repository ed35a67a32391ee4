from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .noise import Stream

Array = NDArray[Any]

NO_UPDATE: int

def aligned(n: int, dtype: DTypeLike) -> Array: ...

class Network:
    parameters: Array
    mean: Array
    n_visible: int
    n_latents: int
    visible_stride: int
    latent_stride: int
    def __init__(self, n_visible: int, n_latents: int) -> None: ...
    def copy(self) -> Network: ...

class Descent:
    completed: int
    def __init__(
        self,
        network: Network,
        data: Array,
        batch: int,
        n_samples: int,
        kind: int,
        baseline: float,
        pixels: Stream,
        latents: Stream,
    ) -> None: ...
    def run(
        self,
        kind: int,
        scalars: Array,
        first_step: int,
        rows: Array,
        moments: Array,
        records: Array,
        n_threads: int | None,
    ) -> int: ...
    def gradient(self) -> Array: ...

def bound(
    network: Network, data: Array, n_draws: int, pixels: Stream, latents: Stream, n_threads: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def affine(x: Array, weight: Array, bias: Array, centre: Array | None, sigmoid: bool) -> Array: ...
def bernoulli(stream: Stream, p: Array) -> Array: ...
