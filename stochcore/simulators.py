"""simulators: whole programs that draw their decisions as they go, differentiated through them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._draw import Draw, NotListedError
from ._simulators import Program
from .costs import travel
from .costs.foreign import read
from .distributions.family import Simulated
from .estimate import BLOCKS_PER_SHARD
from .noise import SIMULATORS, Stream

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]
Function = Callable[[Any, Array, Any], None]

MAX_DRAWS = 10**7
MOST_PATHS = 1 << 20
MOST_DEPTH = 1 << 10
MOST_DRAWS = 1 << 33  # the noise of a sample
LOST = 1e-6  # of the probability of all ways, at most


@overload
def simulator(function: Function, *, compile: str | None = None, max_draws: int = MAX_DRAWS) -> Simulator: ...
@overload
def simulator(
    function: None = None, *, compile: str | None = None, max_draws: int = MAX_DRAWS
) -> Callable[[Function], Simulator]: ...
def simulator(
    function: Function | None = None, *, compile: str | None = None, max_draws: int = MAX_DRAWS
) -> Simulator | Callable[[Function], Simulator]:
    """Make a simulator of a program ``function(draw, theta, x)``; a decorator.

    The program draws its random decisions from `draw` (see `Draw`), and tells costs by ``draw.cost``. With s_t the
    score of decision t, c_k the costs and g_k the product of the discounts before cost k,

        J = sum_k g_k c_k,    grad E[J] = E[ sum_t s_t sum_{k after t} g_k c_k  +  sum of g add_grad ]

    Williams 1992, section 3 (episodic REINFORCE); costs that were paid before a decision are not blamed on it: Sutton,
    McAllester, Singh and Mansour, "Policy gradient methods for reinforcement learning with function approximation",
    NeurIPS 2000, theorem 1. Unbiased.

    Parameters
    ----------
    function : callable
        ``function(draw, theta, x) -> None``: theta a read-only array of float64 as it was given, x as it was given. It
        must be a function of these and of what it draws alone.
    compile : {None, "numba"}
        "numba" compiles it, with the same bits as far as its own arithmetic has them, and runs it in parallel.
    max_draws : int
        A program that draws more (in steps of 32) is stopped by an error; at most 2^33.

    Returns
    -------
    Simulator
        ``sim(theta, x)`` is a model for ``sc.estimate``, ``sc.minimize``, ``sc.exact``, ``sc.check_unbiased``.

    Raises
    ------
    ModuleNotFoundError
        ``compile="numba"`` without numba.

    Examples
    --------
    A walk that goes on with probability p = 1/(1 + e^-theta), and pays 1 for each step: E[J] = p/(1 - p) = e^theta.

    >>> import stochcore as sc
    >>> @sc.simulator
    ... def walk(draw, theta, x):
    ...     while draw.bernoulli(0):
    ...         draw.cost(1.0)
    >>> e = sc.estimate(walk([0.0]), n_samples=4000)
    >>> abs(e.grad - 1) < 4 * e.grad_se
    array([ True])
    """
    if function is None:
        return functools.partial(simulator, compile=compile, max_draws=max_draws)
    return Simulator(function, compile=compile, max_draws=max_draws)


class Simulator:
    """Simulator(function, compile=None, max_draws=10**7)

    A program that waits for its parameters: see `simulator`.
    """

    def __init__(self, function: Function, *, compile: str | None = None, max_draws: int = MAX_DRAWS) -> None:
        if not callable(function):
            raise TypeError(f"`function` must be callable as function(draw, theta, x), got {_check._short(function)}")
        self.function, self.max_draws = function, _check.integer("max_draws", max_draws, 1, MOST_DRAWS)
        self.compile = None if compile is None else _check.choice("compile", compile, {"numba": "numba"})
        functools.update_wrapper(self, function)
        if compile is not None:
            from . import _numba

            _numba.needed()

    def __call__(self, theta: ArrayLike, x: Any = None) -> Simulation:
        """Return the model with these parameters and inputs.

        Parameters
        ----------
        theta : array_like
            float64, any shape; indices of draws are into its flat order.
        x : object, optional
            Handed to the program as it is. Compiled ones take None, a number, or an array of numbers.
        """
        return Simulation(self, theta, x)

    def compiled(self, theta: Array, x: Any) -> tuple[int, Any]:
        """Return the address of a compiled program for such arguments, and what keeps it alive; 0: it is in Python."""
        if self.compile is None:
            return 0, None
        from . import _numba

        return _numba.entry(self.function, theta, x)

    def __repr__(self) -> str:
        return f"<simulator {getattr(self.function, '__name__', self.function)}>"

    def __reduce__(self) -> Any:
        # A decorated function is found by its name; any other one has to travel by itself.
        return _again, (self.function, self.compile, self.max_draws)


def _again(function: Function, compile: str | None, max_draws: int) -> Simulator:
    return function if isinstance(function, Simulator) else Simulator(function, compile=compile, max_draws=max_draws)


class CSimulator(Simulator):
    """CSimulator(pointer, *, max_draws=10**7)

    A program in C, Cython or what else makes a function ``void (*)(sc_draw *)`` (stochcore.h).

    Parameters
    ----------
    pointer : int, ctypes function pointer, cffi pointer, or PyCapsule
        Its address. Whatever owns the code must be kept alive by you, unless it is a ctypes function or a capsule.
    max_draws : int
        As in `simulator`.
    """

    def __init__(self, pointer: Any, *, max_draws: int = MAX_DRAWS) -> None:
        self.max_draws = _check.integer("max_draws", max_draws, 1, MOST_DRAWS)
        self.function, self.compile = None, None  # type: ignore[assignment]
        self.pointer, self.keep = _address(pointer), pointer

    def compiled(self, theta: Array, x: Any) -> tuple[int, Any]:
        """Return the address."""
        return self.pointer, self.keep

    def __repr__(self) -> str:
        return f"<simulator at {self.pointer:#x}>"

    def __reduce__(self) -> Any:
        return _c_again, (travel.packed(self.keep), self.max_draws)


def _c_again(parcel: travel.Parcel, max_draws: int) -> CSimulator:
    return CSimulator(travel.unpacked(parcel), max_draws=max_draws)


def _address(pointer: Any) -> int:
    """Return where a function stands, if it takes a recorder."""
    if isinstance(pointer, int) and not isinstance(pointer, bool):
        return _check.integer("pointer", pointer, 1, (1 << 64) - 1)
    found = read(pointer)
    if found is None:
        raise TypeError(
            "`pointer` must be an address, a function of ctypes, cffi or numba, or a PyCapsule, got "
            f"{_check._short(pointer)}"
        )
    told = (found.returns, *found.arguments)
    if told != ("void", "void *") and not (len(told) == 2 and told[0] in ("void", "none") and "sc_draw *" in told[1]):
        raise TypeError(f"`pointer` must be of a function void (sc_draw *), got {found}")
    return found.address


class Simulation(Simulated):
    """A simulator with its parameters and inputs: a model.

    Attributes
    ----------
    simulator : Simulator
    parameters : ndarray
        theta.
    x : object
    """

    n_elements = 1  # a sample takes one address
    numbers_per_sample = 1 << 12  # blocks of 32: programs are long

    def __init__(self, simulator: Simulator, theta: ArrayLike, x: Any = None) -> None:
        self.simulator, self.x = simulator, x
        self.parameters = _check.reals("theta", theta).copy()
        if self.parameters.size == 0:
            raise ValueError(f"`theta` must have at least one number, got shape {self.parameters.shape}")

    @functools.cached_property
    def _program(self) -> Program:
        seen = self.parameters.view()
        seen.flags.writeable = False
        pointer, keep = self.simulator.compiled(self.parameters, self.x)
        x = self.x if not pointer else _numbers(self.x)
        return Program(self.simulator.function, pointer, keep, self.parameters, seen, x, self.simulator.max_draws)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_program"}

    def with_parameters(self, parameters: Any) -> Self:
        """Return the same simulator with another theta."""
        return type(self)(self.simulator, self._structure.checked(parameters), self.x)

    def sample(self, n: int, stream: Stream, *, n_threads: int | None = None) -> Array:
        """Return the costs of samples 0 .. n of a stream, shape (n,); compiled programs run on `n_threads` threads."""
        out = np.empty(_check.integer("n", n, 0))
        self._program.costs(own(stream), 0, out, _check.threads(n_threads))
        return out

    def maker(self, run: Any, weighing: Any, stream: Stream, n_threads: int | None) -> Any:
        """Return what makes the nodes of shards of blocks, shape (shards, size)."""
        fold = folder(self._program, run, weighing, own(stream), n_threads)

        def make(first: int, blocks: int, stop: int) -> tuple[Array, int]:
            shards = np.empty((-(-blocks // BLOCKS_PER_SHARD), run.layout.node_size))
            return shards, fold(shards, first, blocks, BLOCKS_PER_SHARD, stop)

        return make

    def exact(self) -> tuple[Array, Array, Array, Array]:
        """Enumerate all ways to go."""
        try:
            found = self._program.paths(own(Stream(0)), MOST_PATHS, MOST_DEPTH)
        except NotListedError as error:
            raise ValueError(f"`model` cannot be enumerated: {error}") from None
        p, j, score, rest = (np.array(part) for part in zip(*found, strict=True))
        if not abs(math.fsum(p) - 1) <= LOST:
            raise ValueError(
                f"`model` cannot be enumerated: the ways that were listed have the probability {math.fsum(p):.6g} "
                "(a count is listed up to 10,000 outcomes)"
            )
        return p, j, score, rest

    def noise_shape(self, n: int) -> Any:
        """A simulator draws its noise as it goes."""
        raise TypeError("a simulator draws its noise as it goes: it has no array of it")

    def step(self, z: Any) -> Any:
        """A simulator is no function of an array of noise."""
        raise TypeError("a simulator draws its noise as it goes: it is no function of an array")

    def log_prob(self, y: Any) -> Array:
        """The outcomes of a simulator are not kept."""
        raise TypeError("a simulator keeps no outcomes: they have no log_prob")

    def score(self, y: Any) -> Any:
        """The outcomes of a simulator are not kept."""
        raise TypeError("a simulator keeps no outcomes: they have no score")

    def __repr__(self) -> str:
        return f"{self.simulator!r}(theta <{' x '.join(map(str, self.parameters.shape)) or 'scalar'}>)"


def folder(
    program: Program, run: Any, weighing: Any, own: Stream, n_threads: int | None
) -> Callable[[Array, int, int, int, int], int]:
    """Return what makes nodes: fold(nodes, first_block, blocks, blocks_of_a_node, stop) -> -1, or a bad sample."""
    if weighing.by_parameter is not None:
        raise ValueError("`baseline` must be a number, or one for each sample, for a simulator")

    def fold(nodes: Array, first: int, blocks: int, each: int, stop: int) -> int:
        return program.fold(
            own,
            nodes,
            first,
            blocks,
            each,
            run.layout.block_rows,
            stop,
            weighing.kind,
            run.estimator.blame,
            weighing.mirrored,
            run.estimator.samples_per_unit,
            run.within,
            weighing.baseline,
            weighing.by_sample,
            weighing.value,
            run.first_sample,
            n_threads,
        )

    return fold


def own(stream: Stream) -> Stream:
    """Return the stream of the same name that simulators have."""
    return stream._replace(purpose=SIMULATORS)


def _numbers(x: Any) -> Array | None:
    """Return inputs of a compiled program as float64."""
    return None if x is None else np.ascontiguousarray(x, dtype=np.float64)


def tanh_policy_size(inputs: int, hidden: int, actions: int) -> int:
    """Return how many parameters ``draw.tanh_policy`` has: weights and biases of both layers."""
    return hidden * inputs + hidden + actions * hidden + actions


__all__ = ["CSimulator", "Draw", "Simulation", "Simulator", "simulator", "tanh_policy_size"]
