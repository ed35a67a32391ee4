"""gymnasium: REINFORCE on any Gymnasium environment with discrete actions, single or vector.

task = Environment("CartPole-v1", policy="tanh")
fit = sc.minimize(task(task.initial()), n_steps=100, n_samples=32, optimizer=sc.Adam(0.05))
"""

from __future__ import annotations

import functools
import math
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._episodes import Episodes
from .._simulators import Program
from ..distributions.family import Simulated
from ..estimate import BLOCKS_PER_SHARD
from ..noise import INITIALISING, Stream, as_stream
from ..simulators import folder, own, tanh_policy_size
from ._play import Range, play
from ._slots import Singles, Slots, Vector, made_of, needed
from ._spaces import Features, Sight

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

Array = NDArray[Any]

MOST_STEPS = 10**6  # of an episode, where nobody says
MOST_CLASSES = 256
BLOCK = 32  # episodes that `sample` plays and then replays


class Environment:
    """Environment(env, *, policy="linear", hidden=16, n_envs=32, max_steps=None, discount=1.0, ..., **options)

    A Gymnasium environment that waits for the parameters of a policy.

    ``task(theta)`` is a model: a sample is an episode, with the cost J = -sum_t g^t r_t of its rewards r_t, and

        grad E[J] = E[ sum_t grad log pi(a_t | o_t; theta) (J - b - what was paid before t) ]

    (Williams 1992, section 3), estimated without bias by ``sc.estimate``, descended by ``sc.minimize``. See
    docs/simulators.md.

    Parameters
    ----------
    env : str, EnvSpec, callable, or gymnasium.vector.VectorEnv
        A name for ``gymnasium.make``; or a function without arguments that makes a ``gymnasium.Env`` or a vector
        environment; or a vector environment. Actions are ``Discrete``.
    policy : {"linear", "tanh"}
        Logits of the actions are linear in the features (theta of shape (n_actions, n_features)), or come from a layer
        of `hidden` tanh units (a vector, in the order of ``draw.tanh_policy``).
    hidden : int
        Units of that layer, at most 256.
    n_envs : int
        So many episodes go on at a time.
    max_steps : int, optional
        Episodes are cut off after so many steps: what they earn until then is the cost. Left out, they end by
        themselves, and one that makes 10^6 steps is an error.
    discount : float
        g, in (0, 1]: of this very sum, so that later decisions weigh less too.
    features : callable, optional
        ``features(observations) -> (n, n_features)`` of a batch of observations. Left out: they are flat
        (``gymnasium.spaces.flatten``), Discrete ones one-hot, and "linear" has a 1 beside all others.
    vectorization_mode : {"sync", "async", "vector_entry_point"}
        "sync" steps one environment after another, in this process, only those whose episode goes on; "async" has a
        process for each; "vector_entry_point" takes the vector environment that some come with.
    **options
        For ``gymnasium.make`` or ``gymnasium.make_vec``.

    Attributes
    ----------
    n_parameters, n_features, n_actions : int
    by_seed : bool
        Is an episode a function of its number and of theta, whatever `n_envs`? True for "sync" and "async", if the
        environment takes all its noise from its seed.

    Examples
    --------
    >>> import stochcore as sc
    >>> from stochcore.interop.gymnasium import Environment
    >>> task = Environment("CartPole-v1", max_steps=200)
    >>> task
    <Environment CartPole-v1, linear policy: 5 features, 2 actions, 10 parameters>
    >>> fit = sc.minimize(
    ...     task(task.initial()), n_steps=20, n_samples=16, optimizer=sc.Adam(0.3), estimator="whole_return"
    ... )
    >>> bool(fit.history.cost[-1] < -100 < fit.history.cost[0])
    True
    """

    def __init__(
        self,
        env: Any,
        *,
        policy: str = "linear",
        hidden: int = 16,
        n_envs: int = 32,
        max_steps: int | None = None,
        discount: float = 1.0,
        features: Features | None = None,
        vectorization_mode: str = "sync",
        **options: Any,
    ) -> None:
        needed()
        self._given = (
            env,
            {
                "policy": policy,
                "hidden": hidden,
                "n_envs": n_envs,
                "max_steps": max_steps,
                "discount": discount,
                "features": features,
                "vectorization_mode": vectorization_mode,
                **options,
            },
        )
        self.policy = _check.choice("policy", policy, {name: name for name in ("linear", "tanh")})
        self.hidden = 0 if policy == "linear" else _check.integer("hidden", hidden, 1, MOST_CLASSES)
        n_envs = _check.integer("n_envs", n_envs, 1)
        self.max_steps = None if max_steps is None else _check.integer("max_steps", max_steps, 1)
        self.discount = _check.real("discount", discount, positive=True)
        if self.discount > 1:
            raise ValueError(f"`discount` must lie in (0, 1], got {discount}")
        modes = ("sync", "async", "vector_entry_point")
        mode = _check.choice("vectorization_mode", vectorization_mode, {name: name for name in modes})
        self._slots: Slots | None = None
        self._lock = RLock()
        self._ours, made = made_of(env, mode, n_envs, options)
        try:
            self._open(made, features)
        except BaseException:
            self._close(made)
            raise

    def _open(self, made: Any, features: Features | None) -> None:
        """Look at the spaces; make slots."""
        from gymnasium import spaces

        single = isinstance(made, list)
        actions = made[0].action_space if single else made.single_action_space
        self.observation_space = made[0].observation_space if single else made.single_observation_space
        if not isinstance(actions, spaces.Discrete):
            raise ValueError(f"`env` must have Discrete actions, got {actions}")
        self.n_actions = int(actions.n)
        if self.n_actions > MOST_CLASSES:
            raise ValueError(f"`env` must have at most {MOST_CLASSES} actions, got {actions}")
        sight = Sight(self.observation_space, features, bias=self.policy == "linear")
        self.n_features = sight.size
        self.n_parameters = (
            self.n_actions * self.n_features
            if not self.hidden
            else tanh_policy_size(self.n_features, self.hidden, self.n_actions)
        )
        self._slots = Singles(made, sight) if single else Vector(made, sight)
        self.n_envs, self.by_seed = self._slots.n, self._slots.by_seed
        self._notes = Episodes(
            self.n_envs,
            self.n_features,
            self.n_actions,
            self.hidden,
            self.discount,
            self.max_steps or MOST_STEPS,
            self.max_steps is not None,
        )

    def __call__(self, theta: ArrayLike) -> Episode:
        """Return the model with these parameters of the policy.

        Parameters
        ----------
        theta : array_like
            `n_parameters` numbers, in any shape.
        """
        return Episode(self, theta)

    def initial(self, seed: int | Stream = 0) -> Array:
        """Return parameters to start from: all actions alike ("linear": zeros), or nearly so.

        With a layer, weights of the features are normal with the variance 1/n_features, those of the units 0.01/hidden.
        """
        if not self.hidden:
            return np.zeros((self.n_actions, self.n_features))
        z = as_stream(seed)._replace(purpose=INITIALISING).normal(self.n_parameters)
        first, second = self.hidden * self.n_features, self.n_actions * self.hidden
        scale = np.zeros(self.n_parameters)
        scale[:first] = 1 / math.sqrt(self.n_features)
        scale[first + self.hidden : first + self.hidden + second] = 0.1 / math.sqrt(self.hidden)
        return z * scale

    def close(self) -> None:
        """Close the environments, if they were made here."""
        slots, self._slots = self._slots, None
        if slots is not None and self._ours:
            slots.close()

    def _close(self, made: Any) -> None:
        if self._ours:
            for each in made if isinstance(made, list) else [made]:
                each.close()

    def _play(self, theta: Array, stream: Stream, samples: Range, deliver: Any, n_threads: int | None) -> None:
        with self._lock:  # the slots are there once
            if self._slots is None:
                raise RuntimeError("the Environment is closed: make it again")
            play(self._slots, self._notes, theta, stream, samples, deliver, n_threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        env = self._given[0]
        name = env if isinstance(env, str) else getattr(env, "id", getattr(env, "__name__", type(env).__name__))
        return (
            f"<Environment {name}, {self.policy} policy: {self.n_features} features, {self.n_actions} actions, "
            f"{self.n_parameters} parameters>"
        )

    def __reduce__(self) -> Any:
        if not self._ours:
            raise TypeError("an Environment of a vector environment that was given cannot be pickled")
        return _again, self._given


def _again(env: Any, options: dict[str, Any]) -> Environment:
    return Environment(env, **options)


class Episode(Simulated):
    """An environment with the parameters of its policy: a model, whose samples are episodes and whose cost is its own.

    Attributes
    ----------
    environment : Environment
    parameters : ndarray
        theta.
    """

    n_elements = 1  # an episode takes one address
    numbers_per_sample = 1 << 12  # blocks of 32
    kept = True  # an episode's notes: the environment goes through it once

    def __init__(self, environment: Environment, theta: ArrayLike) -> None:
        self.environment = environment
        self.parameters = _check.reals("theta", theta).copy()
        if self.parameters.size != environment.n_parameters:
            raise ValueError(
                f"`theta` must have {environment.n_parameters} numbers for {environment!r}, got shape "
                f"{self.parameters.shape}"
            )

    @functools.cached_property
    def _program(self) -> Program:
        """The program that replays."""
        notes, theta = self.environment._notes, self.parameters
        return Program(None, notes.entry, notes, theta, theta, notes.head, 1 << 40)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_program"}

    def with_parameters(self, parameters: Any) -> Self:
        """Return the same environment with other parameters."""
        return type(self)(self.environment, self._structure.checked(parameters))

    def sample(self, n: int, stream: Stream, *, n_threads: int | None = None) -> Array:
        """Play n episodes and return their costs, shape (n,)."""
        out, named = np.empty(_check.integer("n", n, 0)), own(stream)
        samples = Range(0, len(out), BLOCK, -(-len(out) // BLOCK), False)

        threads = _check.threads(n_threads)

        def deliver(block: int, blocks: int, stop: int) -> None:
            begin = samples.border(block)
            self._program.costs(named, begin, out[begin:stop], threads)

        if len(out):
            self.environment._play(self._flat_theta, named, samples, deliver, threads)
        return out

    def maker(self, run: Any, weighing: Any, stream: Stream, n_threads: int | None) -> Any:
        """Return what makes the nodes of shards of blocks, shape (shards, size)."""
        named, layout = own(stream), run.layout
        fold = folder(self._program, run, weighing, named, n_threads)

        def make(first: int, blocks: int, stop: int) -> tuple[Array, int]:
            shards = np.empty((-(-blocks // BLOCKS_PER_SHARD), layout.node_size))
            at_once = blocks if self.environment.by_seed else BLOCKS_PER_SHARD  # each begins all anew
            for begin in range(0, blocks, at_once):
                count = min(at_once, blocks - begin)
                end = stop if begin + count == blocks else (first + begin + count) * layout.block_rows
                some = shards[begin // BLOCKS_PER_SHARD :]
                self._some(some, first + begin, count, end, fold, run, weighing, named, n_threads)
            return shards, -1

        return make

    def _some(
        self,
        shards: Array,
        first: int,
        blocks: int,
        stop: int,
        fold: Any,
        run: Any,
        weighing: Any,
        named: Stream,
        n_threads: int | None,
    ) -> None:
        """Play the episodes of some blocks and fold them into their shards."""
        rows, merge = run.layout.block_rows, run.layout.merge
        start = first * rows
        samples = Range(start, stop - start, rows, blocks, weighing.mirrored)

        def deliver(block: int, count: int, end: int) -> None:
            nodes = np.empty((count, shards.shape[1]))
            fold(nodes, first + block, count, 1, start + end)
            for i in range(count):
                shard, inside = divmod(block + i, BLOCKS_PER_SHARD)
                if inside:
                    merge(shards[shard], nodes[i])
                else:
                    shards[shard] = nodes[i]

        self.environment._play(self._flat_theta, named, samples, deliver, n_threads)

    @property
    def _flat_theta(self) -> Array:
        flat: Array = self.parameters.reshape(-1)
        return flat

    def exact(self) -> tuple[Array, Array, Array, Array]:
        """Nobody knows all ways that an environment can go."""
        raise ValueError("`model` cannot be enumerated: nobody knows all ways that an environment can go")

    def noise_shape(self, n: int) -> Any:
        """An environment has noise of its own."""
        raise TypeError("an environment has noise of its own: it has no array of it")

    def step(self, z: Any) -> Any:
        """An environment is no function of an array of noise."""
        raise TypeError("an environment has noise of its own: it is no function of an array")

    def log_prob(self, y: Any) -> Array:
        """Episodes are not kept."""
        raise TypeError("episodes are not kept: they have no log_prob")

    def score(self, y: Any) -> Any:
        """Episodes are not kept."""
        raise TypeError("episodes are not kept: they have no score")

    def __repr__(self) -> str:
        return f"{self.environment!r}(theta <{' x '.join(map(str, self.parameters.shape)) or 'scalar'}>)"


__all__ = ["Environment", "Episode"]
