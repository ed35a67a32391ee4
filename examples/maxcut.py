"""Max-Cut by an annealed entropy, with nothing but samples: no local search, no rounding.

Each node of a graph is a bit with a logit of its own. The descent goes down E[J] - T H, J minus the cut and H the
entropy of the bits, while the temperature T falls to (nearly) zero along a straight line: first all cuts are alike,
then the bits agree, step by step, on one. The gradient is a local expectation: each bit in turn is summed out, and the
others come from one sample or two: more would only take away the noise that shakes bits out of poor cuts. The steps are
natural ones, which do not die away as the bits decide. Short descents from many seeds run side by side until the time
is up; the best cut that was ever sampled counts.

    python examples/maxcut.py G14.txt --rate 0.3 --samples 2 --hot 2
    python examples/maxcut.py G22.txt --steps 20000

Graphs: https://web.stanford.edu/~yyye/yyye/Gset/ (in the format of rudy).
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import stochcore as sc
from stochcore.plotting import BLUE, GREY, ORANGE, PALE, STYLE


def descend(cost: sc.costs.MaxCut, options: argparse.Namespace, seed: int) -> sc.Fit:
    """One descent from near the middle, where all cuts are alike."""
    start = sc.Stream(seed, stream=1).normal(cost.n_nodes) * 0.01
    return sc.minimize(
        sc.Bernoulli(logits=start),
        cost,
        optimizer=sc.Natural(sc.SGD(options.rate)),
        n_steps=options.steps,
        n_samples=options.samples,
        estimator="local_expectation",
        entropy=sc.schedules.linear_decay(options.hot, options.steps, options.cold),
        seed=seed,
        n_threads=1,
    )


def search(options: argparse.Namespace, worker: int, deadline: float) -> tuple[int, sc.Fit | None, list[float]]:
    """Descend from seed after seed until the deadline; return the best seed, its fit, and the cuts of all."""
    cost = sc.costs.MaxCut.read(options.graph)
    cuts: list[float] = []
    best, which, longest = None, -1, 0.0
    for seed in itertools.count(options.seed + worker, options.workers):
        began = time.monotonic()
        if cuts and began + longest > deadline:
            return which, best, cuts
        fit = descend(cost, options, seed)
        longest = max(longest, time.monotonic() - began)
        cuts.append(-fit.best_cost)
        if best is None or fit.best_cost < best.best_cost:
            best, which = fit, seed
    return which, best, cuts


def everywhere(options: argparse.Namespace) -> Iterator[tuple[int, sc.Fit, list[float]]]:
    """Search in so many processes at once."""
    deadline = time.monotonic() + options.seconds
    with ProcessPoolExecutor(options.workers) as pool:
        n = options.workers
        for seed, fit, cuts in pool.map(search, [options] * n, range(n), [deadline] * n):
            if fit is not None:
                yield seed, fit, cuts


def picture(fit: sc.Fit, cuts: list[float], name: str) -> Figure:
    """Draw the best descent: cuts and temperature, step by step; and the cuts of all descents."""
    history = fit.history
    step = np.arange(fit.n_steps)
    every = max(1, fit.n_steps // 1000)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=[3, 1])
        left.plot(step[::every], -history.cost[::every], color=BLUE, linewidth=1.2, label="mean of the samples")
        left.plot(step, -history.best_cost, color=ORANGE, linewidth=2.2, label="best sample so far")
        left.set_title(f"{name}: best cut {-fit.best_cost:,.0f}", loc="left", fontsize=13, fontweight="bold")
        left.set_xlabel("step")
        left.set_ylabel("cut")
        left.legend(loc="center right", frameon=False)
        heat = left.twinx()
        heat.plot(step, history.entropy_weight, color=GREY, linewidth=1.0, linestyle="--")
        heat.set_ylabel("temperature T (dashed)", color=GREY)
        heat.set_ylim(0, None)
        right.hist(cuts, bins=min(30, max(1, len(set(cuts)))), color=BLUE, orientation="horizontal")
        right.set_title(f"{len(cuts)} descents", loc="left", fontsize=13, fontweight="bold")
        right.set_xlabel("how many")
        for axes in (left, right):
            axes.grid(axis="y", color=PALE, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines["top"].set_visible(False)
    return figure


def main() -> None:
    """Search, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path, help="a file of the Gset")
    parser.add_argument("--out", default="maxcut.png", help="the picture (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="in all (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--steps", type=int, default=10_000, help="of a descent (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=1, help="of a step (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate (default: %(default)s)")
    parser.add_argument("--hot", type=float, default=3.0, help="temperature at first (default: %(default)s)")
    parser.add_argument("--cold", type=float, default=0.3, help="temperature at last (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    cost = sc.costs.MaxCut.read(options.graph)
    print(f"{options.graph.stem}: {cost.n_nodes} nodes, {cost.n_pairs} edges")
    began = time.monotonic()
    found = list(everywhere(options))
    seed, fit, _ = min(found, key=lambda one: one[1].best_cost)
    cuts = [cut for _, _, each in found for cut in each]
    assert cost(fit.best_y) == fit.best_cost
    print(f"{len(cuts)} descents in {time.monotonic() - began:.0f} s: mean cut {np.mean(cuts):,.1f}")
    print(f"best cut: {-fit.best_cost:,.0f} (seed {seed})")
    picture(fit, cuts, options.graph.stem).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
