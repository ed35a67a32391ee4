"""estimators: what weighs the score. `estimate` runs one of them over samples of a model."""

from .auto import Auto
from .base import ESTIMATORS, Estimator, available, resolve
from .bits import Arm
from .classes import Coupled
from .control import ControlVariate
from .differences import FiniteDifference
from .enumerated import Exact
from .estimating import estimate
from .folding import Way
from .gaussian import Pathwise, Price
from .local import LocalExpectation, MeasureValued
from .networks import DoubleCV, GumbelSoftmax, Nvil, Rodeo, StraightThrough, Vimco
from .run import prepared, sample_estimate
from .terms import Block, Terms
from .unordered import UnorderedSet
from .values import ValueBaseline
from .weights import Antithetic, Disarm, LeaveOneOut, MovingAverage, OptimalBaseline, ScoreFunction, WholeReturn
from .workers import Workers

__all__ = [
    "ESTIMATORS",
    "Antithetic",
    "Arm",
    "Auto",
    "Block",
    "ControlVariate",
    "Coupled",
    "Disarm",
    "DoubleCV",
    "Estimator",
    "Exact",
    "FiniteDifference",
    "GumbelSoftmax",
    "LeaveOneOut",
    "LocalExpectation",
    "MeasureValued",
    "MovingAverage",
    "Nvil",
    "OptimalBaseline",
    "Pathwise",
    "Price",
    "Rodeo",
    "ScoreFunction",
    "StraightThrough",
    "Terms",
    "UnorderedSet",
    "ValueBaseline",
    "Vimco",
    "Way",
    "WholeReturn",
    "Workers",
    "available",
    "estimate",
    "prepared",
    "resolve",
    "sample_estimate",
]
