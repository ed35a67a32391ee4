"""Models, costs and programs that travel to workers, and what an estimate's bits are."""

import hashlib
import importlib.util
import os
import signal
import time
from pathlib import Path

import numpy as np

import stochcore as sc


def quadratic(y):
    return (y.sum(axis=1) - 3.0) ** 2


def steps(draw, theta, x):
    """Up or down, dearer the farther off."""
    at = 0.0
    for _ in range(2):
        at += 1.0 if draw.bernoulli(0) else -1.0
        draw.cost(at * at)
    draw.cost(1.0 * draw.poisson(1))


walk = sc.simulator(steps)


class Deadly:
    """A cost that kills its worker the first time it sees a flag's file missing."""

    def __init__(self, flag):
        self.flag = str(flag)

    def __call__(self, y):
        if not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return quadratic(y)


class Interrupted:
    """A cost at which somebody loses patience after so many calls."""

    left = 0

    def __call__(self, y):
        if not self.left:
            raise KeyboardInterrupt
        type(self).left -= 1
        return quadratic(y)


class Faulty:
    """A cost that raises an error of its own."""

    def __call__(self, y):
        raise KeyError("no such thing")


class Slow:
    """A cost that takes a while."""

    def __call__(self, y):
        time.sleep(0.1)
        return quadratic(y)


class Bad:
    """Not finite for one outcome in 4,096."""

    def __call__(self, y):
        return np.where(y.all(axis=1), np.inf, 1.0)


MODELS = {
    "Bernoulli": (sc.Bernoulli(logits=np.linspace(-1, 1, 12)), sc.costs.Linear(np.arange(12.0)), "leave_one_out"),
    "a Python cost": (sc.Bernoulli(logits=np.linspace(-1, 1, 12)), quadratic, "disarm"),
    "categorical": (
        sc.Categorical(logits=np.linspace(-1, 1, 12).reshape(3, 4)), sc.costs.Table(np.arange(12.0).reshape(3, 4)),
        "score_function",
    ),
    "simulator": (walk([0.3, 0.2]), None, "leave_one_out"),
}  # fmt: skip
if importlib.util.find_spec("numba"):
    MODELS["a numba simulator"] = sc.simulator(steps, compile="numba")([0.3, 0.2]), None, "leave_one_out"


def samples(name):
    """So many that there are several shards, the last one short."""
    model, cost, estimator = MODELS[name]
    shard = sc.estimate(model, cost, 64, estimator=estimator)._tree.layout.shard_rows
    return SHARDS * shard - shard // 2


SHARDS = 6


def estimate(name, **options):
    model, cost, estimator = MODELS[name]
    return sc.estimate(model, cost, samples(name), estimator=estimator, seed=7, **options)


def digest(found):
    """All that an estimate says, but for its seconds."""
    numbers = [found.cost, found.cost_se, found.best_cost, *(f(found).reshape(-1) for f in (_grad, _grad_se))]
    return hashlib.sha256(np.concatenate([np.ravel(n) for n in numbers]).tobytes()).hexdigest()


def _grad(found):
    return found._flat_grad()


def _grad_se(found):
    return found._flat_grad_se()
