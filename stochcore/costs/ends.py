"""ends: costs at the end of a network, of its output beside a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _functions

Array = NDArray[Any]


@dataclass(frozen=True)
class End:
    """A cost at the end of an ``sc.Network``: cost(output, target), a number for each row, and its gradient."""

    labels: ClassVar[bool] = False  # is a target one whole number, a class?

    def targets(self, target: ArrayLike, width: int) -> Array:
        """Return targets checked, in the dtype that kernels want: float32 rows, or int64 labels."""
        array = _check.reals("target", target)
        array = array.reshape(len(array), -1) if array.ndim else array
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(f"`target` must have shape (n, {width}), as the output has, got {np.shape(target)}")
        return array.astype(np.float32)

    def __call__(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return the cost of each row.

        Parameters
        ----------
        output : array_like, shape (rows, width)
        target : array_like
            As many rows.

        Returns
        -------
        ndarray of float64, shape (rows,)
        """
        raise NotImplementedError

    def grad(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return the gradient of each row's cost by its output, of its shape."""
        raise NotImplementedError

    def mean(self, output: Array) -> Array:
        """Return what the output predicts of a target."""
        return output


@dataclass(frozen=True)
class SquaredError(End):
    """SquaredError()

    J = sum_j (o_j - t_j)^2 for an output o and a target t.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.SquaredError()([[1.0, 2.0]], [[0.0, 0.0]])
    array([5.])
    """

    def __call__(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return the cost of each row."""
        gap = _check.reals("output", output) - _check.reals("target", target)
        return _sums(gap * gap)

    def grad(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return 2 (o - t)."""
        return 2 * (_check.reals("output", output) - _check.reals("target", target))


@dataclass(frozen=True)
class BernoulliLikelihood(End):
    """BernoulliLikelihood()

    J = sum_j softplus(o_j) - t_j o_j: minus the log-likelihood, in nats, of targets t in [0, 1] whose logits are o.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.BernoulliLikelihood()([[0.0, 0.0]], [[0.0, 1.0]]).round(4)
    array([1.3863])
    """

    def targets(self, target: ArrayLike, width: int) -> Array:
        """Return targets checked: in [0, 1]."""
        return super().targets(_check.probabilities("target", target), width)

    def __call__(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return the cost of each row."""
        o = _check.reals("output", output)
        return _sums(_functions.softplus(o) - _check.probabilities("target", target) * o)

    def grad(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return sigmoid(o) - t."""
        return self.mean(_check.reals("output", output)) - _check.probabilities("target", target)

    def mean(self, output: Array) -> Array:
        """Return sigmoid(o)."""
        return _functions.sigmoid(output)


@dataclass(frozen=True)
class CrossEntropy(End):
    """CrossEntropy()

    J = log(sum_c e^(o_c)) - o_t: minus the log-probability, in nats, of class t where the output o holds the logits.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.CrossEntropy()([[0.0, 0.0]], [1]).round(4)
    array([0.6931])
    """

    labels = True

    def targets(self, target: ArrayLike, width: int) -> Array:
        """Return labels checked: whole numbers in 0 .. width - 1."""
        labels = _check.integers("target", target, 0, width - 1)
        if labels.ndim != 1:
            raise ValueError(f"`target` must have shape (n,), a label for each input, got {labels.shape}")
        return labels

    def __call__(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return the cost of each row."""
        o = _check.reals("output", output)
        top = o.max(axis=1, keepdims=True)
        log_sum = _functions.log(_sums(_functions.exp(o - top))) + top[:, 0]
        costs: Array = log_sum - o[np.arange(len(o)), self.targets(target, o.shape[1])]
        return costs

    def grad(self, output: ArrayLike, target: ArrayLike) -> Array:
        """Return softmax(o) less 1 for the class."""
        o = _check.reals("output", output)
        p = self.mean(o)
        p[np.arange(len(o)), self.targets(target, o.shape[1])] -= 1
        return p

    def mean(self, output: Array) -> Array:
        """Return softmax(o)."""
        e = _functions.exp(output - output.max(axis=1, keepdims=True))
        return e / _sums(e)[:, None]


def _sums(rows: Array) -> Array:
    """Sum each row, in order."""
    return np.add.accumulate(rows, axis=1)[:, -1]
