from typing import Any

import numpy as np

class Sites:
    probs: np.ndarray[Any, Any]
    complement: np.ndarray[Any, Any] | None
    log_probs: np.ndarray[Any, Any]
    thresholds: np.ndarray[Any, Any]
    high: np.ndarray[Any, Any]
    guide: np.ndarray[Any, Any] | None
    def __init__(
        self,
        kind: str,
        by_probs: bool,
        parameters: np.ndarray[Any, Any],
        n_problems: int,
        n_sites: int,
        n_classes: int,
    ) -> None: ...
    def sample(self, stream: Any, n: int, out: np.ndarray[Any, Any], n_threads: int | None) -> None: ...
    def step(self, k: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None: ...
    def log_prob(self, y: np.ndarray[Any, Any], out: np.ndarray[Any, Any], n_threads: int | None) -> None: ...
