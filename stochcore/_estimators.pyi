from typing import Any

import numpy as np

from ._costs import Weights
from ._distributions import Tables

Array = np.ndarray[Any, Any]

class Job:
    def __init__(
        self,
        tables: Tables,
        block_rows: int,
        n_parameters: int,
        kind: str,
        mirrored: bool,
        unit: int,
        within: bool,
        baseline: Array,
        sample_baseline: Array | None,
        first_sample: int,
        parameter_baseline: Array | None,
        factor: Array | None,
        cost: Weights | None,
    ) -> None: ...
    @property
    def baseline(self) -> Array: ...
    @property
    def factor(self) -> Array | None: ...
    def like(self, tables: Tables | None) -> Job: ...
    def move(self, tables: Tables) -> int: ...
    def fold(
        self,
        stream: Any,
        node: Array,
        empty: bool,
        first_block: int,
        n_blocks: int,
        stop: int,
        y: Array,
        j: Array,
        n_threads: int | None,
    ) -> int: ...
    def whole(
        self, stream: Any, first_block: int, n_blocks: int, stop: int, n_threads: int | None
    ) -> tuple[Array, int]: ...

def fold_terms(
    tables: Tables,
    costs: Array,
    terms: Array,
    first: int,
    mapped: bool,
    within: bool,
    n_parameters: int,
    node: Array,
) -> None: ...
