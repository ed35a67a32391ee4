"""gradients: a function of samples and its derivatives, as one cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .. import _check

Array = NDArray[Any]
Function = Callable[[Array], ArrayLike]


class WithGradient:
    """A cost that knows its derivatives; `with_gradient` makes it."""

    def __init__(self, cost: Function, grad_y: Function, hess_y: Function | None) -> None:
        self.cost, self.grad_y = cost, grad_y
        if hess_y is not None:
            self.hess_y = hess_y

    def __call__(self, y: Array) -> ArrayLike:
        """Return J of each sample."""
        return self.cost(y)

    def __repr__(self) -> str:
        return f"costs.with_gradient({self.cost!r})"


def with_gradient(cost: Function, grad_y: Function, hess_y: Function | None = None) -> WithGradient:
    """Return a cost that knows its derivatives by y, for the estimators "pathwise" and "price".

    Parameters
    ----------
    cost : callable
        ``cost(y) -> J`` as in ``stochcore.estimate``.
    grad_y : callable
        ``grad_y(y)``: dJ/dy, shape (n, *sites).
    hess_y : callable, optional
        ``hess_y(y)``: d^2 J/dy_d^2 of each site d, shape (n, *sites).

    Returns
    -------
    callable

    Examples
    --------
    >>> import stochcore as sc
    >>> square = sc.costs.with_gradient(lambda y: y[:, 0] ** 2, lambda y: 2.0 * y)
    >>> e = sc.estimate(sc.Normal([1.0], scale=[0.5]), square, estimator="pathwise")
    >>> abs(e.grad["mean"] - 2.0) < 4 * e.grad_se["mean"]
    array([ True])
    """
    for name, function in (("cost", cost), ("grad_y", grad_y)):
        if not callable(function):
            raise TypeError(f"`{name}` must be callable, got {_check._short(function)}")
    if hess_y is not None and not callable(hess_y):
        raise TypeError(f"`hess_y` must be callable, got {_check._short(hess_y)}")
    return WithGradient(cost, grad_y, hess_y)
