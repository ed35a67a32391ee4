"""Best-subset selection for regression, by descent on the probability of each feature.

The data are scikit-learn's: 442 diabetics, ten features (age, sex, bmi, ...), a measure of the disease's progress. A
sample of y says which features a least-squares fit may use; its cost is n log(residual sum of squares) plus a price for
each feature: log n (BIC) or 2 (AIC). `sc.minimize` moves the features' logits down the expected cost less the entropy
of the bits, whose weight falls to zero: that keeps them from deciding too early. With ten features all 1,024 subsets
are tried as well. With squares and products there are 64 features and 2^64 subsets: there the greedy ways are what to
compare with.

    python examples/best_subset.py --out best_subset.png
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes

import stochcore as sc
from stochcore.plotting import BLUE, GREY, INK, ORANGE, PALE, STYLE

Array = NDArray[Any]

HOT = 4.0  # the weight of the entropy at first, in units of the criterion


class Criterion:
    """J(y) = n log RSS(y) + price * |y|, of subsets y, shape (n_subsets, features). It remembers what it has seen."""

    def __init__(self, x: Array, target: Array, price: float) -> None:
        x = x - x.mean(axis=0)
        x, target = x / np.sqrt((x**2).mean(axis=0)), target - target.mean()
        self.n, self.price = len(target), price
        self.known: dict[bytes, float] = {}
        self.gram, self.moments, self.total = x.T @ x, x.T @ target, target @ target

    def __call__(self, y: Array) -> Array:
        """Return J of each subset."""
        keys = [row.tobytes() for row in np.packbits(y, axis=1)]
        first = {key: i for i, key in enumerate(keys) if key not in self.known}
        self.known |= zip(first, self.of(y[list(first.values())]).tolist(), strict=True)
        return np.array([self.known[key] for key in keys])

    def of(self, y: Array) -> Array:
        """Fit subsets of one size together: their normal equations are one stack of small systems."""
        sizes, rss = y.sum(axis=1, dtype=int), np.empty(len(y))
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            used = np.nonzero(y[rows])[1].reshape(len(rows), size)
            b = self.moments[used]
            coefficients = np.linalg.solve(self.gram[used[:, :, None], used[:, None, :]], b[:, :, None])[:, :, 0]
            rss[rows] = self.total - (b * coefficients).sum(axis=1)
        return np.asarray(self.n * np.log(rss) + self.price * sizes)


def greedy(cost: Criterion, y: Array, change: str) -> Array:
    """Add ("forward") or remove ("backward") the one feature that helps most, as long as one does."""
    while True:
        sites = np.flatnonzero(y == (change == "backward"))
        others = np.repeat(y[None], len(sites), axis=0)
        others[np.arange(len(sites)), sites] ^= 1
        costs = cost.of(others) if len(sites) else np.array([np.inf])
        if costs.min() >= cost.of(y[None])[0]:
            return y
        y = others[costs.argmin()]


def second_order(x: Array, names: list[str]) -> tuple[Array, list[str]]:
    """Features, their squares and their products; the square of a feature of two values is that feature again."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names)) if i != j or len(np.unique(x[:, i])) > 2]
    products = [x[:, i] * x[:, j] for i, j in pairs]
    labels = [f"{names[i]}\N{SUPERSCRIPT TWO}" if i == j else f"{names[i]}\N{MIDDLE DOT}{names[j]}" for i, j in pairs]
    return np.column_stack([x, *products]), names + labels


def descend(cost: Criterion, n_features: int, n_steps: int, seed: int) -> tuple[Array, Array, sc.Fit]:
    """Minimise; return the steps looked at, the probabilities of features there, and the fit."""
    start = sc.Bernoulli(logits=np.full(n_features, -math.log(max(1, n_features / 8 - 1))))  # some eight features
    fit = sc.minimize(
        start,
        cost,
        optimizer=sc.Adam(0.1),
        entropy=sc.schedules.linear_decay(HOT, max(1, n_steps * 4 // 5)),
        n_steps=0,
        n_samples=100,
        seed=seed,
    )
    steps, probs = [0], [fit.model.probs]
    for stop in np.linspace(0, n_steps, 41).astype(int)[1:]:
        fit = fit.resume(int(stop) - fit.n_steps)  # the bits of a descent that never paused
        steps.append(fit.n_steps)
        probs.append(fit.model.probs)
    return np.array(steps), np.array(probs), fit


def solve(
    title: str, x: Array, names: list[str], target: Array, price: float, n_steps: int, seed: int
) -> dict[str, Any]:
    """Look for the best subset of features, by descent and by the other ways."""
    cost, d = Criterion(x, target, price), len(names)
    started = time.perf_counter()
    steps, probs, fit = descend(cost, d, n_steps, seed)
    seconds, fitted = time.perf_counter() - started, len(cost.known)
    ways = {
        "descent": fit.best_y,
        "forward selection": greedy(cost, np.zeros(d, np.uint8), "forward"),
        "backward elimination": greedy(cost, np.ones(d, np.uint8), "backward"),
    }
    if d <= 16:
        every = sc.Bernoulli(logits=np.zeros(d)).enumerate()
        ways["all subsets"] = every[cost.of(every).argmin()]
    costs = {way: float(cost.of(y[None])[0]) for way, y in ways.items()}
    print(f"{title}: {fit.n_steps} steps, {100 * fit.n_steps:,} samples, {fitted:,} subsets fitted, {seconds:.1f} s")
    for way, y in ways.items():
        print(f"  {way:<21} {costs[way]:10.3f}  {' '.join(names[i] for i in np.flatnonzero(y))}")
    return {"title": title, "names": names, "steps": steps, "probs": probs, "best": fit.best_y, "costs": costs}


def title(axes: Axes, title: str, words: str) -> None:
    """Write a title, and a line of explanation below it."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)


def draw_probabilities(axes: Axes, found: dict[str, Any]) -> None:
    """Draw the probability of each feature over the steps; those of the best subset are named."""
    steps, probs, best = found["steps"], found["probs"], found["best"]
    for i, name in enumerate(found["names"]):
        axes.plot(steps, probs[:, i], color=BLUE if best[i] else GREY, linewidth=2 if best[i] else 0.9,
                  alpha=1 if best[i] else 0.6, label=name, zorder=3 if best[i] else 2)  # fmt: skip
    # Names in the order in which the features rose; one that did not get up stands at its level.
    level = 1.045
    for i in sorted(np.flatnonzero(best).tolist(), key=lambda i: -probs[:, i].mean()):
        level = min(level - 0.056, probs[-1, i] - 0.011)
        axes.text(1.03, level, found["names"][i], transform=axes.transAxes, fontsize=9, color=BLUE)
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("step")
    title(axes, found["title"], "Probability of each feature; blue: the best subset.")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def draw_costs(axes: Axes, problems: list[dict[str, Any]]) -> None:
    """Draw how far above the best that was found each way ends."""
    colors = {"descent": BLUE, "all subsets": INK, "forward selection": ORANGE, "backward elimination": GREY}
    rows, at = [], 0.0
    for found in problems:
        axes.text(0, at, found["title"], fontsize=10, fontweight="bold", va="center")
        best = min(found["costs"].values())
        for way in (way for way in colors if way in found["costs"]):
            at += 1
            gap = found["costs"][way] - best
            axes.plot([0, gap], [at, at], color=PALE, linewidth=5, zorder=1, solid_capstyle="butt")
            axes.plot(gap, at, "o", color=colors[way], markersize=7, clip_on=False)
            axes.text(gap + 0.7, at, f"{gap:.2f}" if gap > 1e-6 else "best", fontsize=9, color=GREY, va="center")
            rows.append((at, way))
        at += 1.4
    axes.locator_params(axis="x", nbins=4)
    axes.set_yticks([row[0] for row in rows], [row[1] for row in rows], fontsize=9.5)
    axes.set_ylim(at - 0.7, -0.8)
    axes.set_xlim(0, 1.15 * max(max(found["costs"].values()) - min(found["costs"].values()) for found in problems))
    title(axes, "Beside other ways", "Criterion of the result, above the best of these.")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=9)


def picture(problems: list[dict[str, Any]]) -> Figure:
    """Draw the probabilities of the first and the last problem, and the costs of all."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13.6, 4.8), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08, wspace=0.03)  # type: ignore[union-attr, call-arg]
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.85))
        draw_probabilities(left, problems[0])
        draw_probabilities(middle, problems[-1])
        draw_costs(right, problems)
    return figure


def main() -> None:
    """Find it, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="best_subset.png", help="the picture (default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=600, help="of each descent, 100 samples each (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    data = load_diabetes(scaled=False)
    x, names, target = data.data, list(data.feature_names), data.target
    wide, labels = second_order((x - x.mean(axis=0)) / x.std(axis=0), names)
    aic, bic = 2.0, math.log(len(target))
    n_steps, seed = options.steps, options.seed
    problems = [
        solve("10 features, BIC", x, names, target, bic, n_steps, seed),
        solve("64 features, BIC", wide, labels, target, bic, n_steps, seed),
        solve("64 features, AIC", wide, labels, target, aic, n_steps, seed),
    ]
    picture(problems).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
