from typing import Any

import numpy as np

from .noise import Stream

Array = np.ndarray[Any, Any]

class Episodes:
    head: Array
    playing: Array
    def __init__(
        self,
        n_slots: int,
        n_features: int,
        n_actions: int,
        hidden: int,
        discount: float,
        most_steps: int,
        cuts: bool,
    ) -> None: ...
    @property
    def entry(self) -> int: ...
    def begin(self, theta: Array, stream: Stream, first: int, mirrored: bool, n_ring: int) -> None: ...
    def start(self, slots: Array) -> None: ...
    def act(self, features: Array, actions: Array, n_threads: int | None) -> None: ...
    def pay(self, rewards: Array, over: Array) -> int: ...
    def complete(self) -> int: ...
    def held(self) -> int: ...
    def release(self) -> None: ...
