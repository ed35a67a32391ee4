"""spaces: what a policy sees of an observation, as one row of float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check

Array = NDArray[Any]
Features = Callable[[Any], Any]


class Sight:
    """Sight(space, features, bias)

    Rows of features of observations: flat, as ``gymnasium.spaces.flatten`` has them (one-hot where they are discrete),
    with a 1 at the end where `bias` asks for it; or what `features` makes of a batch.

    Attributes
    ----------
    size : int
        Numbers in a row.
    """

    def __init__(self, space: Any, features: Features | None, *, bias: bool) -> None:
        from gymnasium import spaces

        self.space, self.features = space, features
        if features is not None:
            self.size = _one_row(features, space)
            return
        if not space.is_np_flattenable:
            raise ValueError(
                f"`features` must say what the policy sees of an observation space without a flat form, got {space}"
            )
        self.discrete = isinstance(space, spaces.Discrete)
        self.dense = isinstance(space, spaces.Box | spaces.MultiBinary)
        self.bias = bias and not self.discrete  # one-hot: the logits of each state have their own
        self.width = int(spaces.flatdim(space))
        self.size = self.width + self.bias

    def rows(self, n: int) -> Array:
        """Return a place for the rows of n observations."""
        out = np.zeros((n, self.size))
        if self.features is None and self.bias:
            out[:, -1] = 1.0
        return out

    def one(self, observation: Any, row: Array) -> None:
        """Write the row of one observation."""
        if self.discrete:
            row[: self.width] = 0.0
            row[self._state(observation)] = 1.0
        elif self.dense:
            row[: self.width] = np.asarray(observation).reshape(self.width)
        else:
            from gymnasium import spaces

            row[: self.width] = spaces.flatten(self.space, observation)

    def all(self, observations: Any, rows: Array) -> Array:
        """Return the rows of a batch, in `rows` where they have no array of their own."""
        if self.features is not None:
            return _checked(self.features(observations), len(rows), self.size)
        if self.dense:
            rows[:, : self.width] = np.asarray(observations).reshape(len(rows), -1)
        else:
            from gymnasium.vector.utils import iterate

            many = observations if self.discrete else iterate(self._batched(len(rows)), observations)
            for row, observation in zip(rows, many, strict=True):
                self.one(observation, row)
        return rows

    def _batched(self, n: int) -> Any:
        from gymnasium.vector.utils import batch_space

        return batch_space(self.space, n)

    def _state(self, observation: Any) -> int:
        state = int(observation) - int(self.space.start)
        if not 0 <= state < self.width:
            raise ValueError(f"observations must lie in {self.space}, got {observation}")
        return state


def side_by_side(space: Any, observations: list[Any]) -> Any:
    """Return single observations as a batch."""
    from gymnasium.vector.utils import concatenate, create_empty_array

    out: Any = create_empty_array(space, len(observations))
    return concatenate(space, observations, out)


def _one_row(features: Features, space: Any) -> int:
    """Return how many numbers `features` has for an observation: it is asked for those of two."""
    if not callable(features):
        raise TypeError(f"`features` must be callable as features(observations), got {_check._short(features)}")
    own = copy.deepcopy(space)  # sampling moves the noise of a space
    own.seed(0)
    pair = [own.sample(), own.sample()]
    found = np.asarray(features(side_by_side(space, pair)))
    if found.ndim != 2 or len(found) != 2 or found.shape[1] == 0:
        raise ValueError(f"`features` must return shape (2, n_features) for 2 observations, got {found.shape}")
    return int(found.shape[1])


def _checked(found: Any, n: int, size: int) -> Array:
    """Return what `features` has made as float64."""
    rows = np.asarray(found)
    if rows.shape != (n, size):
        raise ValueError(f"`features` must return shape {(n, size)} for {n} observations, got {rows.shape}")
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"`features` must return real numbers, got dtype {rows.dtype}")
    return np.ascontiguousarray(rows, dtype=np.float64)
