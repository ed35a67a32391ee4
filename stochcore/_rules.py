"""rules: what an estimator means for the layers of units of a network."""

from __future__ import annotations

from dataclasses import dataclass

from . import _check, _network
from .estimators import (
    Disarm,
    Estimator,
    LeaveOneOut,
    MovingAverage,
    Nvil,
    ScoreFunction,
    StraightThrough,
    Vimco,
    resolve,
)
from .layers import Layer

MOST = 1 << 24  # samples: far beyond sense, and no size overflows


@dataclass(frozen=True)
class Rule:
    """How the scores of units are weighed."""

    kind: int
    n_samples: int
    baseline: float = 0.0
    decay: float = -1.0  # of a moving average of costs; below 0: there is none
    group: int = 1  # samples of an input that share noise
    hidden: int = 0  # units of a net that foretells costs
    normalise: bool = False  # by the spread of signals

    @property
    def groups(self) -> int:
        """Samples of an input that share none."""
        return self.n_samples // self.group

    @staticmethod
    def of(n_samples: int, estimator: str | Estimator, layers: tuple[Layer, ...], many: bool = False) -> Rule:
        """Return the rule of an estimator on these layers, or say why it cannot be.

        `many`: the cost is minus a log-likelihood, for which there are bounds with many samples.
        """
        K, chosen = _check.integer("n_samples", n_samples, 1, MOST), resolve(estimator)
        units = [layer for layer in layers if layer.units]
        if isinstance(chosen, LeaveOneOut) and chosen.k is None:
            if units and K < 2:
                raise ValueError(f"`n_samples` must be at least 2 for leave_one_out, got {K}")
            made = Rule(_network.LEAVE_ONE_OUT if units else _network.CONSTANT, K)
        elif isinstance(chosen, MovingAverage):
            made = Rule(_network.CONSTANT, K, _check.real("initial", chosen.initial), chosen.decay)
        elif isinstance(chosen, ScoreFunction):
            baseline = 0.0 if chosen.baseline is None else _check.real("baseline", chosen.baseline)
            made = Rule(_network.CONSTANT, K, baseline)
        elif isinstance(chosen, Vimco) and many:
            if K < 2:
                raise ValueError(f"`n_samples` must be at least 2 for vimco, got {K}")
            made = Rule(_network.VIMCO, K)
        elif isinstance(chosen, StraightThrough) and not many:
            made = Rule(_network.STRAIGHT, K)
        elif isinstance(chosen, Nvil):
            kind = _network.NVIL if units else _network.CONSTANT
            made = Rule(kind, K, 0.0, chosen.decay, hidden=chosen.hidden, normalise=chosen.normalise)
        elif isinstance(chosen, Disarm):
            made = Rule(_network.DISARM, K, group=_pairs(K, units))
        else:
            names = "score_function, moving_average, nvil, leave_one_out, disarm"
            more = f"{names} or vimco for a BernoulliVAE" if many else f"{names} or straight_through for a Network"
            raise ValueError(f"`estimator` must be {more}, got {chosen!r}")
        if any(layer.noise for layer in layers):
            return made
        return Rule(_network.CONSTANT, 1)  # all samples of an input are alike


def _pairs(K: int, units: list[Layer]) -> int:
    """How many samples a trunk and its branches are, for disarm."""
    others = [layer for layer in units if layer.kind != _network.BERNOULLI]
    if others or not units:
        came = repr(others[0]) if others else "none"
        raise ValueError(f"`estimator` disarm is for networks whose units are BernoulliUnits, got {came}")
    if K % (len(units) + 1):
        each = "a pair" if len(units) == 1 else f"a trunk and a branch for each of {len(units)} layers of units"
        raise ValueError(f"`n_samples` must be a multiple of {len(units) + 1} for disarm ({each}), got {K}")
    return len(units) + 1
