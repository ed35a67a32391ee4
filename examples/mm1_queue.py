"""A queue's mean time in the system, and its derivative by the rate of service, from busy cycles (M/M/1).

Customers come at random times, lambda = 1 a minute, to one server who takes a random time for each, on average 1/mu.
Whenever the server is idle everything starts anew: cycles are independent, and in the long run the mean time in the
system is W = E[T]/E[N], of one cycle's sum of times T and number of customers N (the regenerative method: Crane and
Iglehart, "Simulating stable stochastic systems, III", Operations Research 23, 1975). With ' for the derivative by mu,

    W' = (E[T]' - W E[N]') / E[N].

All of these come from one program and `sc.estimate`. Noise has addresses: a second look at the same cycles, with the
numbers found, gives the delta method's error bars. Of W it is the error of the mean of (T - W N) / E[N]; of W', writing
T' and N' for what a cycle adds to the gradients, that of the mean of

    ((T' - W N') - (E[N]'/E[N]) (T - W N) - W' N) / E[N].

Both ratios have a bias of order 1/cycles. The truth is W = 1/(mu - lambda), W' = -1/(mu - lambda)^2.

    python examples/mm1_queue.py --out mm1_queue.png
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import stochcore as sc
from stochcore.plotting import BLUE, GREY, ORANGE, PALE, STYLE
from stochcore.simulators import Simulator

Array = NDArray[Any]

ARRIVALS = 1.0  # lambda, customers a minute
SERVICES = np.array([1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.75, 3.0])  # mu


def cycle(draw: Any, theta: Any, x: Any) -> None:
    """One busy cycle, with the cost a T + b N, and c T + d N as a gradient of its own; theta: log lambda, log mu."""
    here = 0.0
    while True:
        here += draw.exponential(1, log=True)
        draw.cost(x[0] * here + x[1])
        draw.add_grad(1, x[2] * here + x[3])
        here -= draw.exponential(0, log=True)
        if here <= 0.0:
            return


class Found(NamedTuple):
    """W and W' with their standard errors."""

    w: float
    w_se: float
    slope: float
    slope_se: float


def look(program: Simulator, mu: float, n: int, stream: sc.Stream) -> Found:
    """Estimate W and W' from n cycles."""
    theta = np.log([ARRIVALS, mu])

    def mean(a: float, b: float, c: float = 0.0, d: float = 0.0) -> sc.Estimate:
        """The mean of a T + b N and its gradient, over the same cycles in every call."""
        return sc.estimate(program(theta, [a, b, c, d]), n_samples=n, estimator="score_function", seed=stream)

    times, number = mean(1.0, 0.0), mean(0.0, 1.0)
    w = times.cost / number.cost
    by_log = (times.grad[1] - w * number.grad[1]) / number.cost  # theta has log mu: W' = by_log / mu
    ratio = number.grad[1] / number.cost
    again = mean(1.0, -w, -ratio, ratio * w - by_log)  # its cost and its gradient have the mean 0 here
    return Found(w, again.cost_se / number.cost, by_log / mu, again.grad_se[1] / number.cost / mu)


def draw_panel(axes: Axes, truth: Array, found: Array, se: Array, name: str, words: str) -> None:
    """Draw estimates with intervals of 95% beside the closed form."""
    mu = np.linspace(SERVICES[0] - 0.06, SERVICES[-1] + 0.1, 400)
    axes.plot(mu, truth, color=BLUE, linewidth=2.2, label="closed form")
    axes.errorbar(SERVICES, found, yerr=1.96 * se, fmt="o", color=ORANGE, markersize=4.5, elinewidth=1.6, capsize=3,
                  zorder=3, label="sc.estimate, 95%")  # fmt: skip
    axes.set_title(name, loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.set_xlabel("rate of service mu, customers a minute")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def draw_errors(axes: Axes, found: Array) -> None:
    """Draw how many standard errors each estimate is from the truth."""
    gap = SERVICES - ARRIVALS
    axes.axhspan(-1.96, 1.96, color=PALE, alpha=0.6, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.plot(SERVICES - 0.015, (found[:, 0] - 1 / gap) / found[:, 1], "o", color=BLUE, markersize=6, label="W")
    axes.plot(SERVICES + 0.015, (found[:, 2] + 1 / gap**2) / found[:, 3], "o", color=ORANGE, markersize=6, label="W'")
    axes.set_ylim(-4, 4)
    axes.set_title("How far from the truth", loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(
        0, 1.035, "In standard errors; 95% should be in the band.", transform=axes.transAxes, fontsize=9.5, color=GREY
    )
    axes.set_xlabel("rate of service mu, customers a minute")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper right", frameon=False, ncols=2)


def picture(found: Array) -> Figure:
    """Draw W, W', and the errors."""
    with mpl.rc_context(STYLE | {"axes.unicode_minus": True}):
        figure = Figure(figsize=(13.2, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        left, middle, right = figure.subplots(1, 3)
        gap = np.linspace(SERVICES[0] - 0.06, SERVICES[-1] + 0.1, 400) - ARRIVALS
        draw_panel(
            left,
            1 / gap,
            found[:, 0],
            found[:, 1],
            "Mean time in the system, W",
            "Minutes; one customer comes a minute.",
        )
        draw_panel(
            middle,
            -1 / gap**2,
            found[:, 2],
            found[:, 3],
            "What faster service brings, W'",
            "The derivative of W by mu, from the same cycles.",
        )
        left.legend(loc="upper right", frameon=False)
        draw_errors(right, found)
    return figure


def main() -> None:
    """Simulate, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="mm1_queue.png", help="the picture (default: %(default)s)")
    parser.add_argument("--cycles", type=int, help="for each mu (default: 1000000, without numba 10000)")
    parser.add_argument("--plain", action="store_true", help="run in plain Python, as where numba is missing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    plain = options.plain or importlib.util.find_spec("numba") is None
    n = options.cycles or (10_000 if plain else 1_000_000)
    program = sc.simulator(cycle, compile=None if plain else "numba")
    started = time.perf_counter()
    streams = sc.Stream(options.seed).spawn(
        len(SERVICES)
    )  # cycles of its own for each mu, so that errors are independent
    print(f"{n:,} cycles for each mu, {'in plain Python' if plain else 'compiled by numba'}")
    print("    mu         W              1/(mu-1)         W'            -1/(mu-1)^2")
    found = np.array([look(program, mu, n, stream) for mu, stream in zip(SERVICES, streams, strict=True)])
    for mu, row in zip(SERVICES, found, strict=True):
        w, w_se, slope, slope_se = row
        gap = mu - ARRIVALS
        print(f"  {mu:.2f}  {w:8.4f} +- {w_se:.4f}  {1 / gap:8.4f}  {slope:9.4f} +- {slope_se:.4f}  {-1 / gap**2:9.4f}")
    print(f"{time.perf_counter() - started:.1f} s")
    picture(found).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
