from typing import Any

import numpy as np

def update(
    kind: int,
    scalars: np.ndarray[Any, Any],
    row: int,
    grad: np.ndarray[Any, Any],
    param: np.ndarray[Any, Any],
    moments: np.ndarray[Any, Any],
) -> None: ...
def commit(
    run: Any,
    kind: int,
    scalars: np.ndarray[Any, Any],
    row: int,
    grad: np.ndarray[Any, Any],
    param: np.ndarray[Any, Any],
    moments: np.ndarray[Any, Any],
    best: Any,
) -> None: ...
def norm(x: np.ndarray[Any, Any]) -> float: ...
