from typing import Any

import numpy as np

def merge(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], problems: int, parameters: int) -> None: ...
def read(
    node: np.ndarray[Any, Any], problems: int, parameters: int, many: bool, dependent: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
