"""estimators: what weighs the score. `estimate` runs one of them over samples of a model."""

from .auto import Auto
from .base import ESTIMATORS, Estimator, available, resolve
from .run import estimate, prepared, sample_estimate
from .weights import Antithetic, Disarm, LeaveOneOut, MovingAverage, OptimalBaseline, ScoreFunction

__all__ = [
    "ESTIMATORS",
    "Antithetic",
    "Auto",
    "Disarm",
    "Estimator",
    "LeaveOneOut",
    "MovingAverage",
    "OptimalBaseline",
    "ScoreFunction",
    "available",
    "estimate",
    "prepared",
    "resolve",
    "sample_estimate",
]
