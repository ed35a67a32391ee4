"""truth: every estimator on every family and cost that is small enough, held against enumeration.

A row of the matrix is one (estimator, family, cost): the largest |z| of cost and gradient in one estimate of many
evaluations, and in many replicates of the smallest estimate that the estimator allows, where bias would show; beside
it the coverage of the replicates' 95% intervals, and of those at a more usual size. `stochcore verify --estimators`
prints it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check, costs
from .costs import BuiltIn, Cost
from .distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Family,
    Geometric,
    Joint,
    MarkovChain,
    NegativeBinomial,
    Ordinal,
    PlackettLuce,
    Poisson,
    RoundedNormal,
    TopK,
)
from .estimators import Estimator, LeaveOneOut, sample_estimate
from .estimators.auto import candidates, samples_for
from .exact import exact
from .noise import Stream
from .unbiased import Unbiasedness, check_unbiased, z_scores

Array = NDArray[Any]

EVALS, REPLICATES, USUAL = 10**6, 10**4, 400  # evaluations; replicates of the smallest size; samples at a usual one
QUICK = 30  # times fewer of them
LIMIT = 1e-4  # the chance that a matrix of unbiased estimators fails


def _numbers(y: Any) -> Array:
    """Return all outcomes of samples, a row each, as float64."""
    if isinstance(y, dict):
        return np.concatenate([_numbers(part) for part in y.values()], axis=1)
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)


def square(y: Any) -> Array:
    """Return the cost (w . y - 1)^2 of samples of any family, with w = 0.6, -0.4, 0.9, ..."""
    total = np.zeros(len(_numbers(y)))
    for d, column in enumerate(_numbers(y).T):
        total += (0.6, -0.4, 0.9)[d % 3] * column
    return (total - 1.0) ** 2


def models() -> dict[str, Family]:
    """Return small models of every family that can be enumerated."""
    bits = np.array([0.3, -1.0, 1.5])
    classes = np.array([[0.2, -0.3, 0.5], [1.0, 0.0, -1.0]])
    probs = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    return {
        "Bernoulli, logits": Bernoulli(logits=bits),
        "Bernoulli, probs": Bernoulli(probs=[0.3, 0.6, 0.85]),
        "Categorical, logits": Categorical(logits=classes),
        "Categorical, probs": Categorical(probs=probs),
        "Ordinal": Ordinal(location=[0.2, -0.5], cutpoints=[-0.7, 0.4]),
        "Binomial": Binomial(3, logits=[0.4, -0.6]),
        "Poisson": Poisson(rate=[0.5, 1.2]),
        "Geometric": Geometric(probs=[0.6]),
        "NegativeBinomial": NegativeBinomial(2.0, probs=[0.6]),
        "RoundedNormal": RoundedNormal(mean=[0.3], scale=[0.9], step=0.5),
        "PlackettLuce": PlackettLuce([0.4, -0.2, 0.1]),
        "TopK, in order": TopK([0.4, -0.2, 0.1, 0.6], k=2),
        "TopK, sets": TopK([0.4, -0.2, 0.1, 0.6], k=2, ordered=False),
        "MarkovChain": MarkovChain(initial=[0.2, -0.2], transitions=[[0.5, -0.5], [-0.3, 0.3]], n_steps=3),
        "Joint": Joint(on=Bernoulli(logits=[0.5]), kind=Categorical(logits=[0.1, 0.4, -0.3])),
    }


def costs_of(name: str, model: Family) -> dict[str, BuiltIn | Cost]:
    """Return the costs that a model is tried with."""
    of: dict[str, BuiltIn | Cost] = {"square": square}
    if not name.startswith(("Bernoulli", "Categorical")):
        return of
    sites = model.event_shape[0]  # type: ignore[attr-defined]
    w = np.array([0.6, -0.4, 0.9])[:sites]
    of["Linear"] = costs.Linear(w)
    of["Quadratic"] = costs.Quadratic(np.outer(w, w), -2.0 * w)
    of["Table"] = costs.Table(np.linspace(-1.0, 1.0, sites * model.n_classes).reshape(sites, -1) ** 3)  # type: ignore[attr-defined]
    if name.startswith("Bernoulli"):
        of["MaxCut"] = costs.MaxCut([(0, 1, 1.0), (1, 2, -0.5), (0, 2, 2.0)])
    return of


@dataclass(frozen=True)
class Cell:
    """One row of the matrix: z-scores of one large estimate; replicates of the smallest, and of one between."""

    estimator: str
    family: str
    cost: str
    large: Array
    few: Unbiasedness
    usual: Unbiasedness

    @property
    def max_abs_z(self) -> float:
        """The largest of all."""
        return max(float(np.abs(self.large).max()), self.few.max_abs_z, self.usual.max_abs_z)

    @property
    def looks(self) -> int:
        """How many z-scores there are."""
        return self.large.size + sum(u.z_cost.size + u.z_grad.size for u in (self.few, self.usual))


@dataclass(frozen=True)
class Truth:
    """What `matrix` found.

    Attributes
    ----------
    cells : tuple of Cell
    n_evals, n_replicates : int
    """

    cells: tuple[Cell, ...]
    n_evals: int
    n_replicates: int

    @property
    def largest(self) -> Cell:
        """The row with the largest |z|."""
        return max(self.cells, key=lambda cell: cell.max_abs_z)

    @property
    def p_value(self) -> float:
        """Chance of a |z| so large among all that were looked at, were nothing biased (Sidak)."""
        single = 2 * NormalDist().cdf(-self.largest.max_abs_z)
        return -math.expm1(sum(cell.looks for cell in self.cells) * math.log1p(-min(single, 1 - 1e-16)))

    @property
    def ok(self) -> bool:
        """Is there no sign of bias?"""
        return self.largest.max_abs_z < 4 or self.p_value > LIMIT

    def __str__(self) -> str:
        wide = [max(len(getattr(cell, part)) for cell in self.cells) for part in ("estimator", "family", "cost")]
        head = f"{'estimator':<{wide[0]}}  {'family':<{wide[1]}}  {'cost':<{wide[2]}}"
        lines = [
            f"{'':{sum(wide) + 4}}  |z| of one  |z| of the smallest,   coverage of 95% at",
            f"{head}  {'large':>10}  {'samples':>9} {'|z|':>9}  {'smallest':>9} {USUAL:>8}",
        ]
        for cell in self.cells:
            lines.append(
                f"{cell.estimator:<{wide[0]}}  {cell.family:<{wide[1]}}  {cell.cost:<{wide[2]}}"
                f"  {np.abs(cell.large).max():>10.2f}  {cell.few.n_samples[0]:>9} {cell.few.max_abs_z:>9.2f}"
                f"  {cell.few.coverage_grad[0]:>9.1%} {cell.usual.coverage_grad[0]:>8.1%}"
            )
        cell = self.largest
        verdict = "OK: no sign of bias" if self.ok else "FAILED: biased"
        looks = sum(cell.looks for cell in self.cells)
        return "\n".join(
            [
                *lines,
                f"{len(self.cells)} rows, {self.n_evals:,} evaluations in the large ones, "
                f"{self.n_replicates:,} replicates of the smallest",
                f"{verdict}; largest |z| {cell.max_abs_z:.2f} of {looks:,} ({cell.estimator}, {cell.family}, "
                f"{cell.cost}), p = {self.p_value:.2g}",
            ]
        )


def matrix(*, quick: bool = False, seed: int = 0, progress: Callable[[int, int, str], object] | None = None) -> Truth:
    """Hold every unbiased estimator against enumeration, on every family and cost that it takes.

    Parameters
    ----------
    quick : bool
        Some thirty times fewer evaluations and replicates: a minute instead of half an hour.
    seed : int
    progress : callable, optional
        Called as progress(done, total, name of what comes next).

    Returns
    -------
    Truth
        ``print`` shows the matrix; ``.ok`` is the verdict.
    """
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    n_evals, count = (EVALS // QUICK, REPLICATES // QUICK) if quick else (EVALS, REPLICATES)
    work = [
        (kind, family, cost)
        for family, model in models().items()
        for cost, price in costs_of(family, model).items()
        for kind in candidates(model, price)
    ]
    order = {name: i for i, name in enumerate(dict.fromkeys(kind.name for kind, _, _ in work))}
    work.sort(key=lambda row: order[row[0].name])
    cells = []
    for number, (kind, family, cost) in enumerate(work):
        if progress:
            progress(number, len(work), f"{kind.name}, {family}, {cost}")
        model = models()[family]
        cells.append(cell(kind(), family, cost, model, costs_of(family, model)[cost], n_evals, count, seed + number))
    if progress:
        progress(len(work), len(work), "")
    return Truth(tuple(cells), n_evals, count)


def cell(
    estimator: Estimator,
    family: str,
    name: str,
    model: Family,
    cost: BuiltIn | Cost,
    n_evals: int,
    n_replicates: int,
    seed: int,
) -> Cell:
    """Make one row."""

    def look(n: int, replicates: int, part: int) -> Unbiasedness:
        return check_unbiased(
            model, cost, estimator, n_samples=n, n_replicates=replicates, seed=(seed + part * 2**32) % 2**64
        )

    unit = estimator.samples_per_unit
    least = -(-max(estimator.least, unit) // unit) * unit
    if isinstance(estimator, LeaveOneOut):
        least = 2
    n = samples_for(n_evals, estimator, model, cost)
    found = sample_estimate(model, cost, n, estimator, Stream(seed))
    return Cell(
        estimator.name,
        family,
        name,
        z_scores(found, exact(model, cost)),
        look(least, n_replicates, 1),
        look(USUAL // unit * unit, max(100, n_replicates // 20), 2),
    )
