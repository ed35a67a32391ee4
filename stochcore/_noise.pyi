from typing import Any

import numpy as np

def fill(stream: Any, kind: str, out: np.ndarray[Any, Any], n_threads: int | None) -> None: ...
