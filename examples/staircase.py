"""The whole idea in one picture: a staircase without slope, its smooth expectation, and the gradient of that.

Ten parcels stand beside a scale; each is loaded with the same probability p = 1/(1 + e^-w). The cost is how far the
load is from 30 kg. For fixed noise z the load changes by whole parcels as w grows: the cost is a staircase, whose slope
is zero wherever it has one. Its expectation is smooth; `sc.estimate` finds the gradient from samples alone, with error
bars.

    python examples/staircase.py --out staircase.png
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import stochcore as sc
from stochcore.plotting import BLUE, GREY, INK, ORANGE, PALE, STYLE

Array = NDArray[Any]

PARCELS = np.array([11.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])  # kg
GOAL = 30.0
LOW, HIGH = -4.0, 4.0


def cost(y: Array) -> Array:
    """J(y): how far the load is from the goal."""
    return abs(y @ PARCELS - GOAL)


def model(w: float) -> sc.Bernoulli:
    """Ten bits, all with the logit w: one parameter."""
    return sc.Bernoulli(logits=sc.Linear([w])(np.ones((len(PARCELS), 1))))


def slope(grad: Any) -> float:
    """The derivative by w in a gradient of that model."""
    return float(grad["weight"][0])


def staircases(w: Array, n: int, stream: sc.Stream) -> Array:
    """J(f(z; w)) of n fixed z at each w, shape (n, w)."""
    z = stream.uniform((n, len(PARCELS)))
    return np.array([cost(model(each).step(z)) for each in w]).T


def draw_stairs(axes: Axes, w: Array, stairs: Array, color: str) -> None:
    """Draw the treads thick and the risers thin."""
    jump = np.flatnonzero(np.diff(stairs)) + 1
    starts, stops = np.append(0, jump), np.append(jump, len(w) - 1)
    axes.hlines(stairs[starts], w[starts], w[stops], color=color, linewidth=2.6, zorder=3)
    axes.step(w, stairs, where="post", color=color, linewidth=0.7, alpha=0.8, zorder=2)


def dress(axes: Axes, title: str, words: str) -> None:
    """Give axes their title, a line of explanation below it, and the horizontal axis."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.set_xlim(LOW, HIGH)
    axes.set_xlabel("parameter w")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def picture(w: Array, stairs: Array, truth: list[sc.Estimate], at: Array, found: list[sc.Estimate], n: int) -> Figure:
    """Draw the three panels."""
    with mpl.rc_context(STYLE | {"axes.unicode_minus": True}):
        figure = Figure(figsize=(13.2, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        left, middle, right = figure.subplots(1, 3)

        for row, color in zip(stairs, (BLUE, ORANGE, INK), strict=False):
            draw_stairs(left, w, row, color)
        dress(left, "Noise z held: a staircase", "J(f(z; w)) for three z. Its slope is 0 wherever there is one.")
        left.set_ylabel("cost J, kg from the goal")

        for row in stairs:
            middle.step(w, row, where="post", color=GREY, linewidth=0.7, alpha=0.22)
        middle.plot(w, [e.cost for e in truth], color=BLUE, linewidth=3)
        best = int(np.argmin([e.cost for e in truth]))
        middle.plot(w[best], truth[best].cost, "o", color=ORANGE, markersize=8, zorder=4)
        dress(
            middle, "Averaged over z: smooth", f"{len(stairs)} staircases, and E[J(f(z; w))]. The dot is its minimum."
        )
        for axes in (left, middle):
            axes.set_ylim(0, GOAL + 1.5)

        right.axhline(0, color=GREY, linewidth=0.8)
        right.plot(w, [slope(e.grad) for e in truth], color=BLUE, linewidth=2.2, label="exact, by enumeration")
        low, high = np.array([[slope(bound) for bound in e.ci(0.95)] for e in found]).T
        mean = np.array([slope(e.grad) for e in found])
        right.errorbar(
            at, mean, yerr=[mean - low, high - mean], fmt="o", color=ORANGE, markersize=4.5, elinewidth=1.6, zorder=3,
            label=f"sc.estimate, {n} samples",
        )  # fmt: skip
        right.plot(w[best], 0, "o", color=ORANGE, markersize=8, markerfacecolor="white", markeredgewidth=1.8, zorder=4)
        right.legend(loc="upper left", frameon=False, fontsize=9.5, borderaxespad=0.2, handlelength=1.6)
        dress(right, "Its gradient, from samples", "Estimates from values of J alone, with 95% intervals.")
        bottom, top = right.get_ylim()
        right.set_ylim(bottom, top + 0.18 * (top - bottom))  # room for the legend
        right.set_yticks([-10, -5, 0, 5, 10])
        right.set_ylabel("slope of E[J], kg per unit of w")
    return figure


def main() -> None:
    """Find it, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="staircase.png", help="the picture (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=256, help="of each estimate (default: %(default)s)")
    parser.add_argument("--points", type=int, default=25, help="estimates in a row (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    w = np.linspace(LOW, HIGH, 1601)
    stairs = staircases(w, 60, sc.Stream(options.seed))
    truth = [sc.exact(model(each), cost) for each in w]
    at = np.linspace(LOW, HIGH, options.points + 2)[1:-1]
    right = [sc.exact(model(each), cost) for each in at]
    streams = sc.Stream(options.seed).spawn(options.points)  # noise of its own for each, so that errors are independent
    found = [sc.estimate(model(each), cost, options.samples, seed=s) for each, s in zip(at, streams, strict=True)]
    bounds = [[slope(bound) for bound in e.ci(0.95)] for e in found]
    hits = sum(low <= slope(e.grad) <= high for (low, high), e in zip(bounds, right, strict=True))
    best = min(range(len(w)), key=lambda i: truth[i].cost)
    print(f"minimum of E[J]: {truth[best].cost:.3f} at w = {w[best]:.3f}")
    print(f"{hits} of {len(at)} intervals of 95% hold the exact derivative")
    picture(w, stairs, truth, at, found, options.samples).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
