"""rules: what an estimator means for the layers of units of a network."""

from __future__ import annotations

from dataclasses import dataclass

from . import _check, _network
from ._graph import PASSING, VARYING, Graph
from .estimators import (
    Arm,
    Disarm,
    DoubleCV,
    Estimator,
    GumbelSoftmax,
    LeaveOneOut,
    LocalExpectation,
    MovingAverage,
    Nvil,
    Rodeo,
    ScoreFunction,
    StraightThrough,
    Vimco,
    resolve,
)
from .layers import Layer

MOST_BRANCHES = 4096
MOST = 1 << 24  # samples: far beyond sense, and no size overflows
COMMON = (
    "score_function",
    "moving_average",
    "nvil",
    "leave_one_out",
    "disarm",
    "arm",
    "local_expectation",
    "double_cv",
    "rodeo",
    "straight_through",
    "gumbel_softmax",
)
OF_BOUNDS = (*COMMON, "vimco")  # for a BernoulliVAE


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
    factor: float = 1.0  # the temperature of relaxed units, the coefficient of a control variate, or a bend's width
    coefficient: float = 1.0  # of the first step's control variates by a Stein operator

    @property
    def passes(self) -> bool:
        """Is the gradient by units asked for?"""
        return self.kind in (*PASSING, *VARYING)

    def fits(self, graph: Graph) -> None:
        """Refuse layers that are too large."""
        branches = sum(graph.branches(self.kind))
        if self.kind == _network.LOCAL and branches > MOST_BRANCHES:
            small = "small layers (a sample has a branch for each other outcome of each unit)"
            most = f"at most {MOST_BRANCHES:,}, got {branches:,}"
            raise ValueError(f"`estimator` local_expectation is for {small}: {most}")

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
        elif isinstance(chosen, StraightThrough):
            _one_layer(units, chosen.name, many)
            made = Rule(_network.STRAIGHT, K)
        elif isinstance(chosen, Nvil):
            kind = _network.NVIL if units else _network.CONSTANT
            made = Rule(kind, K, 0.0, chosen.decay, hidden=chosen.hidden, normalise=chosen.normalise)
        elif isinstance(chosen, Disarm):
            made = Rule(_network.DISARM, K, group=_pairs(K, units, chosen.name))
        elif isinstance(chosen, Arm):
            made = Rule(_network.ARM, K, group=_pairs(K, units, chosen.name))
        elif isinstance(chosen, LocalExpectation):
            made = Rule(_network.LOCAL if units else _network.CONSTANT, K)
            most = max((layer.classes for layer in units), default=1)
            if most > chosen.max_outcomes:
                raise ValueError(
                    f"`max_outcomes` must be at least the {most} classes of a site, got {chosen.max_outcomes}"
                )
        elif isinstance(chosen, GumbelSoftmax):
            _one_layer(units, chosen.name, many)
            made = Rule(_network.GUMBEL, K, factor=chosen.temperature)
        elif isinstance(chosen, (DoubleCV, Rodeo)):
            made = _varying(K, units, chosen, many)
        else:
            names = [*COMMON, "vimco"] if many else [*COMMON]
            whose = "BernoulliVAE" if many else "Network"
            said = f"{', '.join(names[:-1])} or {names[-1]} for a {whose}"
            raise ValueError(f"`estimator` must be {said}, got {chosen!r}")
        if any(layer.noise for layer in layers):
            return made
        return Rule(_network.CONSTANT, 1)  # all samples of an input are alike


def needed(estimator: str, n_layers: int) -> int:
    """Return the least number of samples that an estimator can do with on so many layers of units."""
    chosen = resolve(estimator)
    return n_layers + 1 if isinstance(chosen, (Disarm, Arm)) else chosen.least


def _bits(units: list[Layer], name: str) -> None:
    """Refuse other units than those of bits."""
    others = [layer for layer in units if layer.kind != _network.BERNOULLI]
    if others or not units:
        came = repr(others[0]) if others else "none"
        raise ValueError(f"`estimator` {name} is for networks whose units are BernoulliUnits, got {came}")


def _one_layer(units: list[Layer], name: str, many: bool) -> None:
    """For a gradient by units: in a BernoulliVAE an encoder and a decoder take those that are not the last ones."""
    if many and len(units) > 1:
        raise ValueError(f"`estimator` {name} is for a BernoulliVAE with one layer of units, got {len(units)}")


def _pairs(K: int, units: list[Layer], name: str) -> int:
    """How many samples a trunk and its branches are, for disarm and arm."""
    _bits(units, name)
    if K % (len(units) + 1):
        each = "a pair" if len(units) == 1 else f"a trunk and a branch for each of {len(units)} layers of units"
        raise ValueError(f"`n_samples` must be a multiple of {len(units) + 1} for {name} ({each}), got {K}")
    return len(units) + 1


def _varying(K: int, units: list[Layer], chosen: DoubleCV | Rodeo, many: bool) -> Rule:
    """Return the rule of control variates by the gradient by the last layer of units."""
    _bits(units[-1:], chosen.name)
    if K < 2:
        raise ValueError(f"`n_samples` must be at least 2 for {chosen.name}, got {K}")
    _one_layer(units, chosen.name, many)
    decay = -1.0 if chosen.decay is None else chosen.decay
    if isinstance(chosen, Rodeo):
        return Rule(_network.RODEO, K, 0.0, decay, factor=chosen.scale, coefficient=chosen.coefficient)
    return Rule(_network.DOUBLE, K, 0.0, decay, factor=chosen.coefficient)
