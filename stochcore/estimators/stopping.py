"""stopping: sample until the error bar is small enough."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..estimate import Tree

Array = NDArray[Any]

MOST_SAMPLES = 10**8  # where only `target_se` is given
LEVELS = ("cost", "grad", "grad_norm")


@dataclass(frozen=True)
class Stopping:
    """When to stop: standard errors to come down to, and bounds on samples and seconds. Looked at after each shard."""

    levels: Mapping[str, float]
    min_samples: int
    max_samples: int
    max_seconds: float

    @classmethod
    def of(cls, n_samples: Any, target_se: Any, min_samples: Any, max_samples: Any, max_seconds: Any) -> Stopping:
        """Check the arguments of `estimate`."""
        if target_se is None:
            for name, value in (("min_samples", min_samples), ("max_samples", max_samples)):
                if value is not None:
                    raise ValueError(f"`{name}` goes with `target_se`, got {_check._short(value)}")
            most = _check.integer("n_samples", 10_000 if n_samples is None else n_samples, 1)
            return cls({}, 0, most, _seconds(max_seconds))
        if n_samples is not None:
            raise ValueError(
                "`n_samples` must be left out where `target_se` says when to stop (there is `max_samples`), "
                f"got {n_samples}"
            )
        given = target_se if isinstance(target_se, Mapping) else {"cost": target_se}
        if not given or not set(given) <= set(LEVELS):
            raise ValueError(
                "`target_se` must be a number, for the cost, or a dict with some of the keys 'cost', 'grad' (each "
                f"entry) and 'grad_norm', got {_check._short(target_se)}"
            )
        levels = {name: _check.real(f"target_se[{name!r}]", level, positive=True) for name, level in given.items()}
        least = 0 if min_samples is None else _check.integer("min_samples", min_samples, 0)
        most = MOST_SAMPLES if max_samples is None else _check.integer("max_samples", max_samples, 1)
        if most < least:
            raise ValueError(f"`max_samples` must be at least `min_samples`, got {most} and {least}")
        return cls(levels, least, most, _seconds(max_seconds))

    @property
    def watches(self) -> bool:
        """Is there anything to look at before the last sample?"""
        return bool(self.levels) or self.max_seconds < math.inf

    def ends(self, tree: Tree, samples: int, started: float) -> bool:
        """Is it time to stop, after whole shards? Only where nothing varied is an error of zero no answer."""
        if time.perf_counter() - started >= self.max_seconds:
            return True
        return bool(self.levels) and samples >= self.min_samples and not self.short_of(tree)

    def short_of(self, tree: Tree) -> dict[str, float]:
        """Say which errors are still too large."""
        costs, _, grad_se = tree.read()
        worst = {
            "cost": float(np.max(costs[1])),
            "grad": float(np.max(grad_se, initial=0.0)),
            "grad_norm": math.sqrt(math.fsum((grad_se * grad_se).tolist())),
        }
        if not any(worst.values()):
            return dict.fromkeys(self.levels, 0.0)
        return {name: worst[name] for name, level in self.levels.items() if not worst[name] <= level}


def _seconds(value: Any) -> float:
    return math.inf if value is None else _check.real("max_seconds", value, positive=True)
