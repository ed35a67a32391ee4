"""compare: estimators side by side at equal evaluations of the cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _check
from .costs import BuiltIn, Cost, fitting
from .distributions import Compiled, Family
from .estimate import Estimate
from .estimators import Estimator, Way, resolve, sample_estimate
from .estimators.auto import candidates, samples_for, variance_per_eval
from .estimators.workers import checked
from .exact import exact
from .noise import Stream, as_stream
from .unbiased import z_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_OUTCOMES = 1 << 14  # up to here the oracle is asked without being told to


@dataclass(frozen=True)
class Row:
    """What one estimator did.

    Attributes
    ----------
    name : str
    estimate : Estimate
    n_samples, n_evals : int
    variance_per_eval : float
        Summed variance of all entries of the gradient, times evaluations of J: that of one evaluation.
    seconds_per_eval : float
    variance_seconds : float
        Their product: the variance times the seconds that it takes, whatever the number of samples.
    max_abs_z : float
        Largest |gradient - exact| / standard error of all entries; NaN without the oracle.
    unbiased : bool
    """

    name: str
    estimate: Estimate
    n_samples: int
    n_evals: int
    variance_per_eval: float
    seconds_per_eval: float
    variance_seconds: float
    max_abs_z: float
    unbiased: bool


class Comparison(Sequence[Row]):
    """What `compare` found: a row for each estimator, the least variance times seconds first.

    ``print`` shows a table; ``[0]`` or ``["disarm"]`` is a row; `plot` draws them.
    """

    def __init__(self, rows: Sequence[Row], left_out: dict[str, str]) -> None:
        self._rows = sorted(rows, key=lambda row: row.variance_seconds)
        self.left_out = left_out

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            found = [row for row in self._rows if row.name == key]
            if not found:
                raise KeyError(f"{key!r} is none of {', '.join(repr(row.name) for row in self._rows)}")
            return found[0]
        return self._rows[key]

    def __str__(self) -> str:
        wide = max([len(row.name) for row in self._rows] + [9])
        heads = ("variance", "seconds", "variance", "largest")
        subs = ("x evals", "/ eval", "x seconds", "|z|")
        lines = [
            f"{'estimator':<{wide}} {'samples':>11} {'evals':>11}" + "".join(f"{h:>11}" for h in heads),
            f"{'':<{wide}} {'':>11} {'':>11}" + "".join(f"{s:>11}" for s in subs),
        ]
        for row in self._rows:
            numbers = (row.variance_per_eval, row.seconds_per_eval, row.variance_seconds)
            z = "" if math.isnan(row.max_abs_z) else f"{row.max_abs_z:.2f}"
            lines.append(
                f"{row.name:<{wide}} {row.n_samples:>11,} {row.n_evals:>11,}"
                + "".join(f"{number:>11.3g}" for number in numbers)
                + f"{z:>11}{'' if row.unbiased else '  biased'}"
            )
        lines += [f"{name}: {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)

    __repr__ = __str__

    def plot(self) -> Figure:
        """Draw them: variance and seconds of an evaluation and their product, on logarithmic axes (needs Matplotlib).

        Returns
        -------
        matplotlib.figure.Figure
            ``.savefig("estimators.png")`` keeps it.
        """
        from .plotting import comparison

        return comparison(self._rows)


def compare(
    model: Family,
    cost: BuiltIn | Cost | None = None,
    estimators: Sequence[str | Estimator] | None = None,
    *,
    n_evals: int = 100_000,
    seed: int | Stream = 0,
    n_rounds: int = 3,
    oracle: bool | None = None,
    n_threads: int | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
) -> Comparison:
    """Put estimators side by side, all at about the same number of evaluations of J.

    Parameters
    ----------
    model : Family
    cost
        As in ``stochcore.estimate``.
    estimators : sequence of str or Estimator, optional
        Left out: all unbiased ones that the model has.
    n_evals : int
        Evaluations of J for each, at least 2; rounded to whole samples, and to what an estimator needs at least.
    seed : int or Stream
        Estimators have streams of their own, so that their errors are independent.
    n_rounds : int
        Run all by turns so often; the clock shows the best of each, for machines have slow moments.
    oracle : bool, optional
        Hold the gradients against enumeration. Left out: where the model has at most 2^14 outcomes.
    n_threads : int, optional
    executor : concurrent.futures.Executor, or a function that makes one, optional
        As in `estimate`; the seconds are those of its workers and of the way to them.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import stochcore as sc
    >>> model = sc.Bernoulli(logits=[0.0, 1.0, -1.0])
    >>> found = sc.compare(model, lambda y: y.sum(axis=1) + 10.0, ["score_function", "leave_one_out"], n_evals=10_000)
    >>> found["leave_one_out"].variance_per_eval < found["score_function"].variance_per_eval / 30
    True
    """
    price, stream = fitting(model, cost), as_stream(seed)
    n_evals = _check.integer("n_evals", n_evals, 2)
    threads = _check.threads(n_threads)
    if estimators is None:
        chosen: list[Estimator] = [kind() for kind in candidates(model, price)]
    elif isinstance(estimators, (str, Estimator)):
        raise TypeError(f"`estimators` must be a list of estimators, got {_check._short(estimators)}")
    else:
        chosen = [resolve(estimator) for estimator in estimators]
    truth = _truth(model, price, oracle)
    rounds = _check.integer("n_rounds", n_rounds, 1)
    work, left_out = [], {}
    for number, estimator in enumerate(chosen):
        name = _name(estimator)
        n = samples_for(n_evals, estimator, model, price)
        if estimators is None and n * estimator.evals_per_sample(model, price) > 4 * n_evals:
            left_out[name] = f"left out, for its fewest samples take more than 4 times {n_evals:,} evaluations"
            continue
        estimator.check(model, price, n)
        work.append((name, estimator, n, stream.spawn(number + 1)[number]))
    with Way(workers=checked(executor)) as way:
        found = [
            [
                sample_estimate(model, price, n, estimator, own, n_threads=threads, way=way)
                for _, estimator, n, own in work
            ]
            for _ in range(rounds)
        ]
    best = [min(runs, key=lambda e: e.seconds) for runs in zip(*found, strict=True)]
    rows = [_row(name, e, truth) for (name, *_), e in zip(work, best, strict=True)]
    return Comparison(rows, left_out)


def _truth(model: Family, cost: BuiltIn | Cost | None, oracle: bool | None) -> Estimate | None:
    if oracle is None:
        try:
            few = isinstance(model, Compiled) and math.prod(map(len, model._ranges())) <= MOST_OUTCOMES
        except (NotImplementedError, ValueError):
            few = False
        oracle = few
    return exact(model, cost) if oracle else None


def _row(name: str, found: Estimate, truth: Estimate | None) -> Row:
    z = math.nan if truth is None else float(np.abs(z_scores(found, truth)[: found._flat_grad().size]).max())
    variance, seconds = variance_per_eval(found), found.seconds / found.n_evals
    return Row(name, found, found.n_samples, found.n_evals, variance, seconds, variance * seconds, z, found.unbiased)


def _name(estimator: Estimator) -> str:
    """Return its name; where options differ from the usual ones, with them."""
    try:
        usual = repr(type(estimator)())
    except TypeError:
        return repr(estimator)
    return estimator.name if repr(estimator) == usual else repr(estimator)
