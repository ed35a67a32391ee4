from typing import Any

import numpy as np

MAX_OUTCOMES: int

class Tables:
    n_scores: int
    @property
    def n_elements(self) -> int: ...
    def __init__(
        self,
        kind: str,
        dtype: Any,
        n_problems: int,
        n_sites: int,
        n_elements: int,
        n_classes: int = 0,
    ) -> None: ...
    def set_scores(
        self,
        kind: str,
        n_scores: int,
        *,
        probs: np.ndarray[Any, Any] | None = None,
        centre: np.ndarray[Any, Any] | None = None,
        slope: np.ndarray[Any, Any] | None = None,
        scale: np.ndarray[Any, Any] | None = None,
        table: np.ndarray[Any, Any] | None = None,
        rows: np.ndarray[Any, Any] | None = None,
        n_each: int = 0,
    ) -> None: ...
    def set_map(self, index: np.ndarray[Any, Any] | None, arguments: list[Any]) -> None: ...
    def set_chains(self, n_steps: int, per_step: bool, probs: np.ndarray[Any, Any]) -> None: ...
    def set_orders(self, logits: np.ndarray[Any, Any], n_taken: int, unordered: bool) -> None: ...
    def set_classes(self, masses: np.ndarray[Any, Any], as_given: bool) -> None: ...
    def set_trials(self, rates: np.ndarray[Any, Any]) -> None: ...
    def set_ladders(
        self,
        first: np.ndarray[Any, Any],
        n: np.ndarray[Any, Any],
        masses: np.ndarray[Any, Any],
        as_given: bool,
    ) -> None: ...
    def log_prob_ranks(self, y: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None: ...
    def sample(self, stream: Any, n: int, out: np.ndarray[Any, Any], n_threads: int | None) -> None: ...
    def sample_apart(self, stream: Any, n: int, stride: int, out: np.ndarray[Any, Any]) -> None: ...
    def step(self, noise: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None: ...
    def scores(self, y: np.ndarray[Any, Any], rows: int, out: np.ndarray[Any, Any]) -> None: ...
    def pull(self, scores: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None: ...
    def weigh(
        self,
        y: np.ndarray[Any, Any],
        weights: np.ndarray[Any, Any],
        out: np.ndarray[Any, Any],
        n_threads: int | None,
    ) -> None: ...

class Sites(Tables):
    probs: np.ndarray[Any, Any]
    complement: np.ndarray[Any, Any] | None
    log_probs: np.ndarray[Any, Any]
    def __init__(
        self,
        kind: str,
        by_probs: bool,
        parameters: np.ndarray[Any, Any],
        n_problems: int,
        n_sites: int,
        n_classes: int,
    ) -> None: ...
    @property
    def moves(self) -> bool: ...
    def move(self, parameters: np.ndarray[Any, Any]) -> None: ...
    def entropy(self, sites: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> None: ...
    def log_prob(self, y: np.ndarray[Any, Any], out: np.ndarray[Any, Any], n_threads: int | None) -> None: ...

def count_masses(abc: np.ndarray[Any, Any]) -> tuple[Any, Any, Any, int]: ...
def affine(
    x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None
) -> np.ndarray[Any, Any]: ...
def row_sums(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]: ...
