from typing import Any

import numpy as np

from .noise import Stream

Array = np.ndarray[Any, Any]

class Failures:
    def __init__(self, n_blocks: int) -> None: ...

class Program:
    def __init__(
        self, function: Any, pointer: int, keep: Any, theta: Array, shown: Array, x: Any, max_draws: int
    ) -> None: ...
    def costs(self, stream: Stream, first: int, out: Array, n_threads: int | None) -> None: ...
    def paths(self, stream: Stream, most_paths: int, most_depth: int) -> list[tuple[float, float, Array, Array]]: ...
    def fold(
        self,
        stream: Stream,
        shards: Array,
        first_block: int,
        n_blocks: int,
        shard_blocks: int,
        rows: int,
        stop: int,
        kind: str,
        blame: str,
        mirrored: bool,
        unit: int,
        within: bool,
        baseline: Array,
        sample_baseline: Array | None,
        value: Any,
        first_sample: int,
        n_threads: int | None,
    ) -> int: ...

def table_address() -> int: ...
