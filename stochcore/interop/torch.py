"""torch: an expected cost as a function that autograd knows.

cost, cost_se = expected_cost(logits, sc.costs.MaxCut(edges), 256, seed=noise)
cost.backward()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _views
from ..costs import BuiltIn, Cost
from ..distributions import Bernoulli
from ..noise import Stream, as_stream
from ._expected import FamilyOf, Question, Steps

if TYPE_CHECKING:
    from ..estimators import Estimator
    from ..noise import SeedLike

__all__ = ["ExpectedCost", "Steps", "expected_cost", "on_tensors"]


class ExpectedCost(NamedTuple):
    """What `expected_cost` returns: ``cost, cost_se = expected_cost(...)``.

    Attributes
    ----------
    cost : Tensor of shape (*batch)
        The estimate of E[J(y)], which autograd follows.
    cost_se : Tensor of shape (*batch)
        Its standard error, which needs no gradient.
    """

    cost: torch.Tensor
    cost_se: torch.Tensor


class _Estimated(torch.autograd.Function):
    """The estimate, made already, in autograd's graph."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, found: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        # Not `save_for_backward`: the gradient is there already, so that the logits may have moved in place since.
        ctx.found = logits, found[1]
        return found[0]

    @staticmethod
    def backward(ctx: Any, incoming: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, slope = ctx.found
        if torch.is_grad_enabled():  # create_graph=True
            made: torch.Tensor = _Once.apply(incoming, logits, slope)
            return made, None
        return _times(incoming, slope), None


class _Once(torch.autograd.Function):
    """The gradient, where somebody may ask for its own."""

    @staticmethod
    def forward(ctx: Any, incoming: torch.Tensor, logits: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return _times(incoming, slope)

    @staticmethod
    def backward(ctx: Any, *incoming: torch.Tensor) -> Any:
        raise RuntimeError("expected_cost can be differentiated once: its gradient is an estimate without a derivative")


# `apply` itself: what the class puts before it is for torch.func, which has no memory to show (`_numbers`).
_estimated = super(torch.autograd.Function, _Estimated).apply


def _times(incoming: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return the gradient of each problem times what came in for it."""
    if incoming.ndim == 0:
        return slope * incoming
    return slope * incoming.reshape(*incoming.shape, *(1,) * (slope.ndim - incoming.ndim))


def expected_cost(
    logits: torch.Tensor,
    cost: BuiltIn | Cost | None,
    n_samples: int,
    *,
    family: FamilyOf = Bernoulli,
    batch_ndims: int = 0,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    seed: SeedLike | Stream | Steps = 0,
    n_threads: int | None = None,
) -> ExpectedCost:
    """Estimate E[J(y)] of y drawn by logits; backward, autograd goes on with the estimate's gradient.

    The numbers are those of ``sc.estimate(family(logits=logits), cost, n_samples, ...)``, to the bit: the forward pass
    makes the cost and grad E[J] = E[(J(y) - b) grad log p(y; logits)] at once, the backward pass multiplies by what
    comes in. So the forward pass takes all the time, and as much under ``torch.no_grad()``, where nothing is kept.

    Parameters
    ----------
    logits : Tensor
        Of floats, on the CPU; requiring a gradient or not. Contiguous float64 is taken where it stands, without a copy;
        anything else (float32, say) is first converted to float64. Results have its dtype.
    cost : a cost of ``stochcore.costs``, or a callable
        ``cost(y) -> J`` of NumPy arrays: y of shape (n, *sites), J of shape (n, *batch). `on_tensors` makes one of a
        callable of tensors. None for a simulator, which tells its own.
    n_samples : int
        Draws of y.
    family : a class, or a callable
        ``sc.Bernoulli``, ``sc.Categorical`` (classes on the last axis), or another class that takes logits; or a
        function of an array that returns a family (or a simulator with its theta) whose parameters are that array, such
        as ``lambda rate: sc.Poisson(log_rate=rate)``. The array is only lent: do not keep the family.
    batch_ndims : int
        The first so many axes are independent problems: costs have the shape of these.
    estimator, baseline
        As in ``stochcore.estimate``.
    seed : int, Stream or Steps
        With an integer or a Stream every call has the same noise. Training wants other noise in each step: `Steps`,
        made once, gives each call the next stream. Where a step may run twice (``torch.utils.checkpoint``), take the
        stream once and hand it in: ``seed=next(steps)`` before.
    n_threads : int, optional
        At most so many threads; the bits do not depend on it.

    Returns
    -------
    ExpectedCost
        (cost, cost_se). ``sc.estimate`` with the same seed has the gradient's error bars.

    Raises
    ------
    TypeError, ValueError
        Logits that are no tensor, not on the CPU, no floats, or not finite; arguments that ``stochcore.estimate``
        refuses.
    RuntimeError
        A second derivative is asked for.

    Examples
    --------
    >>> import stochcore as sc
    >>> import torch
    >>> from stochcore.interop.torch import Steps, expected_cost
    >>> logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    >>> ring = sc.costs.MaxCut([(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)])
    >>> optimizer, noise = torch.optim.SGD([logits], lr=1.0), Steps(seed=1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     cost, cost_se = expected_cost(logits, ring, 64, seed=noise)
    ...     cost.backward()
    ...     optimizer.step()
    >>> bool(cost < -3.5)
    True
    """
    question = Question.of(cost, n_samples, family, batch_ndims, estimator, baseline, n_threads)
    array = _numbers(logits)
    found = question.answer(array, next(seed) if isinstance(seed, Steps) else as_stream(seed))
    mean, error = _tensor(found.cost, logits.dtype), _tensor(found.cost_se, logits.dtype)
    if logits.requires_grad and torch.is_grad_enabled():
        mean = _estimated(logits, (mean, _tensor(found.grad, logits.dtype)))
    return ExpectedCost(mean, error)


def on_tensors(cost: Callable[[torch.Tensor], torch.Tensor]) -> Cost:
    """Return a cost of NumPy arrays from one of tensors, which sees them without a copy.

    Parameters
    ----------
    cost : callable
        ``cost(y) -> J`` of tensors: y of shape (n, *sites), of the family's outcome type (uint8 for bits), not to be
        written to; J of shape (n, *batch). It is called without autograd.

    Returns
    -------
    callable

    Examples
    --------
    >>> import torch
    >>> from stochcore.interop.torch import expected_cost, on_tensors
    >>> cost = on_tensors(lambda y: (y.double() - 0.45).square().sum(dim=1))
    >>> expected_cost(torch.zeros(3), cost, 100).cost
    tensor(0.7...)
    """
    if not callable(cost):
        raise TypeError(f"`cost` must be a callable J(y) of tensors, got {type(cost).__name__}")

    def of_arrays(y: NDArray[Any]) -> Any:
        with torch.no_grad():
            return np.asarray(cost(torch.from_numpy(np.asarray(_Open(y)))))

    return of_arrays


class _Open:
    """A read-only array as torch wants it, which knows no others: the callable has promised not to write."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        told = array.__array_interface__
        self.__array_interface__ = {**told, "data": (told["data"][0], False)}


def _numbers(logits: torch.Tensor) -> NDArray[Any]:
    """Return logits as float64, in their own memory where they are that already."""
    if not isinstance(logits, torch.Tensor):
        raise TypeError(f"`logits` must be a torch.Tensor, got {type(logits).__name__}")
    if not logits.is_floating_point():
        raise TypeError(f"`logits` must hold floats, got dtype {logits.dtype}")
    if not logits.is_cpu:
        raise TypeError(f"`logits` must be on the CPU, got a tensor on {logits.device}: logits.cpu() moves it")
    if logits.layout != torch.strided:
        raise TypeError(f"`logits` must be dense, got layout {logits.layout}: logits.to_dense() makes it so")
    dtype = logits.dtype
    if dtype == torch.float64 and logits.is_contiguous() and not logits.is_neg():
        return _views.lent(logits.data_ptr(), logits.shape, logits)  # microseconds before detach().numpy()
    array: NDArray[Any] = logits.detach().double().contiguous().resolve_neg().numpy()
    return array


def _tensor(numbers: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return results as a tensor: in their memory where that is float64."""
    made = torch.from_numpy(numbers if isinstance(numbers, np.ndarray) else np.array(numbers, np.float64))
    return made if dtype == torch.float64 else made.to(dtype)
