from typing import Any

import numpy as np

from ._distributions import Sites
from ._estimators import Job

Array = np.ndarray[Any, Any]

def update(
    kind: int,
    scalars: Array,
    row: int,
    grad: Array,
    param: Array,
    moments: Array,
) -> None: ...
def norm(x: Array) -> float: ...

class Descent:
    completed: int
    natural: bool
    def __init__(
        self, trainer: Any, bits: Sites | None, parameters: Array, problems: int, n_samples: int, dependent: int
    ) -> None: ...
    def follow(self, average: Array, baseline: Array, decay: float) -> None: ...
    def learn(self, average: Array, latest: Array, decay: float) -> None: ...
    def begin(self) -> None: ...
    def run_outside(
        self,
        kind: int,
        scalars: Array,
        first_step: int,
        moments: Array,
        records: Array,
        weights: Array | None,
    ) -> None: ...
    def run(
        self,
        job: Job,
        stream: Any,
        width: int,
        blocks: int,
        kind: int,
        scalars: Array,
        first_step: int,
        moments: Array,
        records: Array,
        weights: Array | None,
        n_threads: int | None,
    ) -> None: ...
