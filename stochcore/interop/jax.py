"""jax: an expected cost as a function that grad, jit and vmap know.

cost, cost_se = expected_cost(logits, sc.costs.MaxCut(edges), 256, step=i)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..costs import BuiltIn, Cost, fitting
from ..distributions import Bernoulli
from ..noise import Stream, as_stream
from ._expected import FamilyOf, Question, Steps, stream_of_step

if TYPE_CHECKING:
    from ..estimators import Estimator
    from ..noise import SeedLike

Array = NDArray[Any]
Asked = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]

__all__ = ["ExpectedCost", "expected_cost"]


class ExpectedCost(NamedTuple):
    """What `expected_cost` returns: ``cost, cost_se = expected_cost(...)``.

    Attributes
    ----------
    cost : Array of shape (*batch)
        The estimate of E[J(y)], which has a gradient.
    cost_se : Array of shape (*batch)
        Its standard error, whose gradient is zero.
    """

    cost: jax.Array
    cost_se: jax.Array


def expected_cost(
    logits: Any,
    cost: BuiltIn | Cost | None,
    n_samples: int,
    *,
    family: FamilyOf = Bernoulli,
    batch_ndims: int = 0,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    seed: SeedLike | Stream = 0,
    step: Any = 0,
    n_threads: int | None = None,
) -> ExpectedCost:
    """Estimate E[J(y)] of y drawn by logits, with the estimate's gradient as its derivative.

    A ``jax.custom_vjp`` over ``jax.pure_callback``, under ``jit``, ``grad`` and ``vmap``, on the CPU. The numbers are
    those of ``sc.estimate(family(logits=logits), cost, n_samples, seed=sc.Stream(seed).at(step).spawn(1)[0])``, to
    the bit in float64; cost and grad E[J] = E[(J(y) - b) grad log p(y; logits)] are made at once.

    **Noise.** What `jit` has compiled it does not run again in Python, so a seed that is not traced is frozen with the
    rest: `step` is what moves the noise on. Make it an argument of the compiled function, and count. A call is a pure
    function of logits and step, as JAX wants it, and may be run again or left out. Under ``vmap``, element b has the
    noise of child b of its step's stream, whether or not the steps are mapped too; independent problems that share a
    call (`batch_ndims`) are faster, and have noise of their own as well.

    Parameters
    ----------
    logits : array_like
        Of floats; inside they are float64, and results have their dtype: float32, or float64 with ``jax_enable_x64``.
    cost : a cost of ``stochcore.costs``, or a callable
        ``cost(y) -> J`` of NumPy arrays: y of shape (n, *sites), J of shape (n, *batch). It must not call JAX, which is
        waiting for it. None for a simulator, which tells its own.
    n_samples : int
        Draws of y.
    family : a class, or a callable
        ``sc.Bernoulli``, ``sc.Categorical`` (classes on the last axis), or another class that takes logits; or a
        function of a NumPy array that returns a family (or a simulator with its theta) whose parameters are that array,
        such as ``lambda rate: sc.Poisson(log_rate=rate)``. It is tried on zeros, and the array is only lent.
    batch_ndims : int
        The first so many axes are independent problems: costs have the shape of these.
    estimator, baseline
        As in ``stochcore.estimate``.
    seed : int or Stream
        Not traced.
    step : int or Array of an integer dtype
        At least 0; may be traced.
    n_threads : int, optional
        At most so many threads; the bits do not depend on it.

    Returns
    -------
    ExpectedCost
        (cost, cost_se). ``sc.estimate`` with the same seed has the gradient's error bars.

    Raises
    ------
    TypeError, ValueError
        Logits that are no floats, arguments that ``stochcore.estimate`` refuses; a second derivative.
    jax.errors.JaxRuntimeError
        What is wrong with numbers, and so is seen in the callback only: logits or costs that are not finite, what a
        callable raises. The message ends with the error itself.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import stochcore as sc
    >>> from stochcore.interop.jax import expected_cost
    >>> ring = sc.costs.MaxCut([(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)])
    >>> @jax.jit
    ... def descend(logits, step):
    ...     price = lambda w: expected_cost(w, ring, 64, seed=1, step=step).cost
    ...     cost, grad = jax.value_and_grad(price)(logits)
    ...     return logits - grad, cost
    >>> logits = jnp.zeros(5)
    >>> for step in range(200):
    ...     logits, cost = descend(logits, step)
    >>> bool(cost < -3.5)
    True
    """
    if isinstance(seed, Steps):
        raise TypeError("`seed` must be an int or a Stream, got Steps: jit would freeze them; count in `step`")
    question = Question.of(cost, n_samples, family, batch_ndims, estimator, baseline, n_threads)
    numbers, number = jnp.asarray(logits), jnp.asarray(step)
    if not jnp.issubdtype(numbers.dtype, jnp.floating):
        raise TypeError(f"`logits` must hold floats, got dtype {numbers.dtype}")
    if number.ndim or not jnp.issubdtype(number.dtype, jnp.integer):
        raise TypeError(f"`step` must be an integer, got dtype {number.dtype} of shape {number.shape}")
    about = question, as_stream(seed), numbers.shape, numbers.dtype
    try:
        asked = _function(*about)
    except TypeError as error:  # options that hold arrays
        if "unhashable" not in str(error):
            raise
        asked = _function.__wrapped__(*about)
    return ExpectedCost(*asked(numbers, number))


@lru_cache(maxsize=16)
def _function(question: Question, stream: Stream, shape: tuple[int, ...], dtype: Any) -> Asked:
    """Return (logits, step) -> (cost, its error), differentiable; the arguments are checked on logits of zeros."""
    model = question.model(np.zeros(shape))
    question.estimator.check(model, fitting(model, question.cost), question.n_samples)
    batch = model.batch_shape
    shapes, wide = (batch, batch, shape), np.dtype(dtype).itemsize == 8
    results = tuple(
        jax.ShapeDtypeStruct((*of, 2), jnp.uint32) if wide else jax.ShapeDtypeStruct(of, dtype) for of in shapes
    )

    def answer(kind: Any, logits: Any, step: Any) -> tuple[Array, ...]:
        steps = _read(step, kind)
        rows = _read(logits, dtype).astype(np.float64, copy=False).reshape(-1, *shape)
        own = [stream_of_step(stream, int(i)) for i in steps.reshape(-1)]
        if steps.ndim:  # mapped: children, in order
            own = [stream_of_step(it, b) for b, it in enumerate(own)]
        found = [question.answer(row, it) for row, it in zip(rows, own, strict=True)]
        parts = ([e.cost for e in found], [e.cost_se for e in found], [e.grad for e in found])
        told = (_joined(part, steps.shape + of, dtype) for part, of in zip(parts, shapes, strict=True))
        return tuple(part[..., None].view(np.uint32) if wide else part for part in told)

    def ask(logits: jax.Array, step: jax.Array) -> Any:
        host = partial(answer, step.dtype)
        found = jax.pure_callback(host, results, _words(logits), _words(step), vmap_method="broadcast_all")
        return tuple(jax.lax.bitcast_convert_type(part, dtype) if wide else part for part in found)

    def no_more(*_: Any) -> Any:
        raise TypeError("expected_cost can be differentiated once: its gradient is an estimate without a derivative")

    once = jax.custom_jvp(ask)
    once.defjvp(no_more)

    def price(logits: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, error, _ = ask(logits, step)
        return mean, error

    def forward(logits: jax.Array, step: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        mean, error, slope = once(logits, step)
        return (mean, error), slope

    def backward(slope: jax.Array, incoming: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        each = incoming[0].reshape(*batch, *(1,) * (len(shape) - len(batch)))
        return slope * each, None

    made: Asked = jax.custom_vjp(price)
    made.defvjp(forward, backward)  # type: ignore[attr-defined]
    return made


def _words(x: jax.Array) -> jax.Array:
    """Return numbers of eight bytes as pairs of words.

    JAX may run a callback on a thread of its own, where ``jax.enable_x64()`` of the caller does not hold: numbers would
    be cut to four bytes on their way in and out.
    """
    return jax.lax.bitcast_convert_type(x, jnp.uint32) if x.dtype.itemsize == 8 else x


def _read(words: Any, dtype: Any) -> Array:
    """Return the numbers behind what `_words` made of them, here and now."""
    found = np.asarray(words)
    return found.view(dtype)[..., 0] if np.dtype(dtype).itemsize == 8 else found


def _joined(parts: list[Any], shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the results of all elements as one array: that of a single one where it stands."""
    if len(parts) == 1:
        return np.asarray(parts[0]).astype(dtype, copy=False).reshape(shape)
    return np.stack(parts).astype(dtype, copy=False).reshape(shape) if parts else np.empty(shape, dtype)
