from typing import Any

import numpy as np

def linear_tables(linear: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]: ...
def rows(
    kind: str,
    linear: np.ndarray[Any, Any],
    quadratic: np.ndarray[Any, Any] | None,
    problem_stride: int,
    y: np.ndarray[Any, Any],
    n_problems: int,
    n_sites: int,
    out: np.ndarray[Any, Any],
    n_threads: int | None,
) -> None: ...
