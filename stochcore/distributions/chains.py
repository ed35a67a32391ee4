"""chains: paths of a Markov chain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._distributions import Sites, Tables
from . import entropies
from .compiled import Compiled
from .parameters import Mapped, value_of

Array = NDArray[Any]


class MarkovChain(Compiled):
    """MarkovChain(initial, transitions, n_steps=None, *, batch_ndims=0)

    A path of states y_0, y_1, ..., each drawn given the one before it.

    Parameters
    ----------
    initial : array_like of shape (*chains, S)
        Logits of the first state.
    transitions : array_like of shape (*chains, S, S), or (*chains, T - 1, S, S)
        Logits of the next state (last axis) given the state (the axis before): shared by all steps, or of each step.
    n_steps : int, optional
        States in a path, T, where transitions are shared. Left out: transitions of each step say it.
    batch_ndims : int
        The first so many axes of chains are independent problems.

    Notes
    -----
    One uniform a step: y_0 inverts the distribution of softmax(initial) as `Categorical` does, y_t that of the row
    softmax(transitions[y_{t-1}]). log p(y) = log p(y_0) + sum_t log p(y_t | y_{t-1}). Score by initial: [y_0 = i] -
    p_i; by transitions: sum_t [y_{t-1} = i] ([y_t = j] - p_ij). `parameters`, and so gradients, are ``{"initial": ...,
    "transitions": ...}``.

    Examples
    --------
    >>> import numpy as np
    >>> import stochcore as sc
    >>> stay = sc.MarkovChain(np.zeros(2), [[3.0, 0.0], [0.0, 3.0]], n_steps=8)
    >>> stay.sample(2, sc.Stream(1)).shape
    (2, 8)
    >>> float(stay.log_prob([0, 0, 0, 1, 1, 1, 1, 1]).round(3))
    -4.033
    """

    dtype = np.dtype(np.int32)

    def __init__(
        self,
        initial: ArrayLike | Mapped,
        transitions: ArrayLike | Mapped,
        n_steps: int | None = None,
        *,
        batch_ndims: int = 0,
    ) -> None:
        first, then = self._argument("initial", initial, _check.classes), self._argument("transitions", transitions)
        chains, states = first.shape[:-1], first.shape[-1]
        per_step = n_steps is None
        rule = (*chains, *(("T - 1",) if per_step else ()), states, states)
        axes = len(chains) + 2 + per_step
        if len(then.shape) != axes or then.shape[: len(chains)] != chains or then.shape[-2:] != (states, states):
            told = f"({', '.join(map(str, rule))})"
            which = "without" if per_step else "with"
            raise ValueError(f"`transitions` must have shape {told} {which} `n_steps`, got {then.shape}")
        self.n_steps = then.shape[-3] + 1 if n_steps is None else _check.integer("n_steps", n_steps, 1)
        self.n_states = states
        self._take(batch_ndims, {"initial": first, "transitions": then}, (self.n_steps,), initial=chains)
        self._options["n_steps"] = n_steps
        self._take_tables(per_step)

    def _take_tables(self, per_step: bool) -> None:
        first, then = (value_of(a) for a in self._arguments.values())
        chains, states = math.prod(self.site_shape[:-1]), self.n_states
        logits = np.concatenate([first.reshape(chains, 1, states), then.reshape(chains, -1, states)], axis=1)
        rows = Sites("categorical", False, logits.reshape(-1), 1, chains * logits.shape[1], states)
        self._probs: Array = rows.probs.reshape(logits.shape)
        self._log_probs: Array = rows.log_probs.reshape(logits.shape)
        problems = math.prod(self.batch_shape)
        self._tables = Tables(
            "chains", self.dtype, problems, math.prod(self.event_shape), math.prod(self.site_shape), states
        )
        self._tables.set_chains(self.n_steps, per_step, self._probs)
        self._tables.set_scores("paths", logits.size // problems, probs=self._probs)
        own = np.arange(first.size).reshape(chains, 1, states)
        others = np.arange(first.size, first.size + then.size).reshape(chains, -1, states)
        self._map(np.concatenate([own, others], axis=1))

    @property
    def initial_probs(self) -> Array:
        """Probabilities of the first state, shape (*chains, S)."""
        return self._probs[:, 0].reshape(self._arguments["initial"].shape)

    @property
    def transition_probs(self) -> Array:
        """Probabilities of the next state, in the shape of the transitions."""
        return self._probs[:, 1:].reshape(self._arguments["transitions"].shape)

    @property
    def marginals(self) -> Array:
        """p(y_t = j) of each step, shape (*chains, T, S)."""
        out = np.empty((len(self._probs), self.n_steps, self.n_states))
        out[:, 0] = self._probs[:, 0]
        moves = self._probs[:, 1:].reshape(len(out), -1, self.n_states, self.n_states)
        for t in range(1, self.n_steps):
            move = moves[:, t - 1 if moves.shape[1] > 1 else 0]
            out[:, t] = (out[:, t - 1, :, None] * move).sum(axis=1)
        return out.reshape(*self.site_shape, self.n_states)

    @property
    def mean(self) -> Array:
        """E[y_t] of the state number, shape (*chains, T)."""
        return np.asarray((self.marginals * np.arange(self.n_states)).sum(axis=-1))

    @property
    def variance(self) -> Array:
        """Variance of the state number at each step, shape (*chains, T)."""
        away = np.arange(self.n_states) - self.mean[..., None]
        return np.asarray((self.marginals * away * away).sum(axis=-1))

    @property
    def support(self) -> range:
        """States."""
        return range(self.n_states)

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.chain(self)

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.outcomes("y", y, self.site_shape, self.n_states, self.dtype)

    def _ranges(self) -> list[range]:
        return [self.support] * math.prod(self.event_shape)

    def _site_log_probs(self, y: Array) -> Array:
        paths = y.reshape(-1, len(self._probs), self.n_steps)
        rows = np.zeros(paths.shape, dtype=np.int64)
        rows[:, :, 1:] = 1 + paths[:, :, :-1]
        if self._probs.shape[1] > 1 + self.n_states:
            rows[..., 1:] += np.arange(self.n_steps - 1) * self.n_states
        chains = np.arange(len(self._probs))[:, None]
        return np.asarray(self._log_probs[chains, rows, paths]).reshape(y.shape)
