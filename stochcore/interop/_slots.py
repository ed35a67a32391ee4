"""slots: places where episodes of an environment are played, side by side.

Two kinds. `Singles` are environments that are stepped one after another, only those in which an episode is played;
`Vector` is a vector environment, which steps all of its slots whether one looks or not.

Who begins a new episode? Where an environment takes a seed for each slot alone (`by_seed`: singles, and vector
environments whose autoreset is disabled, by ``reset_mask``), an episode begins by its own seed, and is the same in
whatever slot, beside whatever others. The other vector environments begin anew by themselves, and what is in a slot
then is the next episode: its noise is fresh, and so independent of all before, but depends on how many slots there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ._spaces import Sight, side_by_side

Array = NDArray[Any]


class Singles:
    """Singles(environments, sight): Gymnasium environments, each a slot."""

    by_seed = True

    def __init__(self, environments: list[Any], sight: Sight) -> None:
        self.environments, self.sight, self.n = environments, sight, len(environments)
        self.first_action = int(environments[0].action_space.start)
        self.rows, self.rewards, self.over = sight.rows(self.n), np.zeros(self.n), np.zeros(self.n, dtype=np.bool_)
        self.last: list[Any] = [None] * self.n  # observations, where `features` wants them side by side

    def begin(self, seed: int) -> None:
        """Nothing: each episode has its seed."""

    def fresh(self, playing: Array) -> Array:
        """Return the slots in which an episode can begin."""
        return np.flatnonzero(playing < 0)

    def start(self, slots: Array, seeds: Array) -> None:
        """Begin episodes by these seeds."""
        for slot, seed in zip(slots.tolist(), seeds.tolist(), strict=True):
            self._seen(slot, self.environments[slot].reset(seed=seed)[0])

    def _seen(self, slot: int, observation: Any) -> None:
        if self.sight.features is None:
            self.sight.one(observation, self.rows[slot])
        else:
            self.last[slot] = observation

    def features(self) -> Array:
        """Return what the policy sees now, a row for each slot."""
        if self.sight.features is None:
            return self.rows
        some = next(each for each in self.last if each is not None)
        every = [some if each is None else each for each in self.last]
        return self.sight.all(side_by_side(self.sight.space, every), self.rows)

    def step(self, actions: Array, playing: Array) -> tuple[Array, Array]:
        """Return the rewards of one step, and where episodes are over."""
        given = (actions + self.first_action).tolist()
        for slot in np.flatnonzero(playing >= 0).tolist():
            observation, reward, terminated, truncated, _ = self.environments[slot].step(given[slot])
            self._seen(slot, observation)
            self.rewards[slot], self.over[slot] = reward, terminated or truncated
        return self.rewards, self.over

    def close(self) -> None:
        """Close all."""
        for environment in self.environments:
            environment.close()


class Vector:
    """Vector(environment, sight): a vector environment."""

    def __init__(self, environment: Any, sight: Sight) -> None:
        mode = environment.metadata.get("autoreset_mode", "NextStep")  # before 1.1 there was this one alone
        self.mode = str(getattr(mode, "value", mode))
        if self.mode not in ("NextStep", "SameStep", "Disabled"):
            raise ValueError(f"an environment's autoreset mode must be NextStep, SameStep or Disabled, got {mode!r}")
        self.environment, self.sight, self.n = environment, sight, environment.num_envs
        self.by_seed = self.mode == "Disabled"
        self.first_action, self.dtype = int(environment.single_action_space.start), environment.action_space.dtype
        self.rows, self.seen, self.begun = sight.rows(self.n), None, False
        self.at_start = self.over = np.ones(self.n, dtype=np.bool_)

    def begin(self, seed: int) -> None:
        """Begin in all slots anew, at once or when seeds are there."""
        self.begun = False  # whatever had been going on
        if not self.by_seed:
            self.seen = self.environment.reset(seed=seed)[0]
            self.at_start, self.over = np.ones(self.n, dtype=np.bool_), np.zeros(self.n, dtype=np.bool_)

    def fresh(self, playing: Array) -> Array:
        """Return the slots in which an episode can begin, or has just begun by itself."""
        return np.flatnonzero((playing < 0) if self.by_seed else (playing < 0) & self.at_start)

    def start(self, slots: Array, seeds: Array) -> None:
        """Begin episodes by these seeds, if it is ours to say."""
        if not self.by_seed:
            return
        every = np.zeros(self.n, dtype=np.int64)
        every[slots] = seeds
        mask = np.zeros(self.n, dtype=np.bool_)
        mask[slots] = True
        options = {"reset_mask": mask | self.over} if self.begun else None
        self.seen = self.environment.reset(seed=every.tolist(), options=options)[0]
        self.over, self.begun = np.zeros(self.n, dtype=np.bool_), True

    def features(self) -> Array:
        """Return what the policy sees now, a row for each slot."""
        return self.sight.all(self.seen, self.rows)

    def step(self, actions: Array, playing: Array) -> tuple[Array, Array]:
        """Return the rewards of one step, and where episodes are over."""
        if self.by_seed and self.over.any():  # nobody plays there, but all slots are stepped
            nobody = np.empty(0, dtype=np.int64)
            self.start(nobody, nobody)
        given = (actions + self.first_action).astype(self.dtype, copy=False)
        self.seen, rewards, terminated, truncated, _ = self.environment.step(given)
        over = np.asarray(terminated, dtype=np.bool_) | np.asarray(truncated, dtype=np.bool_)
        rewards = np.ascontiguousarray(rewards, dtype=np.float64)
        if not rewards.shape == over.shape == (self.n,):
            raise ValueError(
                f"an environment's rewards and ends must have shape {(self.n,)}, got {rewards.shape} and {over.shape}"
            )
        # The next episode is there at once, or one step later, which takes no action and pays nothing.
        self.at_start, self.over = (over if self.mode == "SameStep" else self.over), over
        return rewards, over

    def close(self) -> None:
        """Close it."""
        self.environment.close()


Slots = Singles | Vector


def needed() -> Any:
    """Return the package, or say how to come by it."""
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        if error.name != "gymnasium":
            raise
        raise ModuleNotFoundError(
            "`stochcore.interop.gymnasium` needs gymnasium: pip install 'stochcore[gymnasium]'", name="gymnasium"
        ) from None
    return gymnasium


def made_of(env: Any, mode: str, n_envs: int, options: dict[str, Any]) -> tuple[bool, Any]:
    """Return whether the environment is ours to close, and it: a vector environment, or a list of single ones."""
    gym = needed()
    from gymnasium.envs.registration import EnvSpec

    if isinstance(env, gym.vector.VectorEnv):
        if options:
            raise TypeError(f"options are for environments that are made here, got {', '.join(options)}")
        return False, env
    disabled = {"autoreset_mode": gym.vector.AutoresetMode.DISABLED} if mode == "async" else {}
    if isinstance(env, (str, EnvSpec)):
        if mode == "sync":
            return True, [gym.make(env, **options) for _ in range(n_envs)]
        return True, gym.make_vec(env, num_envs=n_envs, vectorization_mode=mode, vector_kwargs=disabled, **options)
    if not callable(env):
        raise TypeError(
            "`env` must be the name of an environment, a vector environment, or a function that makes one, got "
            f"{_check._short(env)}"
        )
    if options or mode == "vector_entry_point":
        came = ", ".join(options) or "vectorization_mode='vector_entry_point'"
        raise TypeError(f"options are for environments that are made by their name, got {came}")
    if mode == "async":
        return True, gym.vector.AsyncVectorEnv([env] * n_envs, **disabled)
    made = env()
    if isinstance(made, gym.vector.VectorEnv):
        return True, made
    if not isinstance(made, gym.Env):
        raise TypeError(f"`env` must make a gymnasium.Env or a vector environment, got {_check._short(made)}")
    return True, [made, *(env() for _ in range(n_envs - 1))]
