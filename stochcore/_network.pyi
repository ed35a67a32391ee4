from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

NO_UPDATE: int
LINEAR: int
LEAKY: int
TANH: int
DROPOUT: int
BERNOULLI: int
CATEGORICAL: int
NORMAL: int
GIVEN: int
SQUARED: int
LIKELIHOOD: int
LABELS: int
CONSTANT: int
LEAVE_ONE_OUT: int
DISARM: int
STRAIGHT: int
VIMCO: int
NVIL: int
ARM: int
LOCAL: int
GUMBEL: int
DOUBLE: int
RODEO: int

def aligned(n: int, dtype: DTypeLike) -> Array: ...
def sums_a_unit(sums: float) -> float: ...

class Work:
    completed: int
    every: int
    cost: Array
    mean: Array
    output: Array
    delta: Array | None
    gradient: Array
    average: Array
    def __init__(
        self,
        sgemm: object,
        layers: list[dict[str, Any]],
        ends: list[dict[str, Any]],
        rows: list[int],
        chunks: Array,
        parameters: Array,
        sizes: dict[str, Any],
    ) -> None: ...
    def look_at(self, data: Array, targets: Array | None, labels: Array | None) -> None: ...
    def run(
        self,
        kind: int,
        scalars: Array,
        first_step: int,
        rows: Array,
        moments: Array,
        records: Array,
        n_threads: int | None,
        decay: float,
        judge: Callable[[NDArray[np.int64]], None] | None,
    ) -> int: ...
    def forward(self, rows: Array, noise: int, n_threads: int | None) -> None: ...
    def values(self, layer: int) -> tuple[Array, Array | None]: ...
