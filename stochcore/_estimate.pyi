from typing import Any

import numpy as np

def merge(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], problems: int, parameters: int) -> None: ...
def read(
    node: np.ndarray[Any, Any], problems: int, parameters: int, enough: int, dependent: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
def fill(
    into: dict[str, Any],
    node: np.ndarray[Any, Any],
    problems: int,
    parameters: int,
    enough: int,
    dependent: int,
    unit: int,
    evals: int,
) -> None: ...
