"""A pole on a cart, from random parameters to the solved mark.

CartPole is solved when 100 episodes last 195 of 200 steps on average, or 475 of 500 in the long version. The program
(`stochcore.environments.cartpole`) pushes to the left or to the right by a draw whose logit is linear in the four
numbers of the state; `sc.minimize` moves these four weights, with 32 episodes a step of Adam. The 100 episodes that
judge a descent are fresh ones, played once, when it has ended.

    python examples/cartpole.py --out cartpole.png
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import stochcore as sc
from stochcore import environments
from stochcore.plotting import BLUE, GREY, ORANGE, PALE, STYLE
from stochcore.simulators import Simulator

Array = NDArray[Any]

MARKS = {200: 195.0, 500: 475.0}  # by the most steps of an episode


def learn(program: Simulator, most: int, seed: int, n_steps: int, n_samples: int) -> dict[str, Any]:
    """Descend from random weights; judge what came out on fresh episodes."""
    descent, judge, start = sc.Stream(seed).spawn(3)
    model = program(start.normal(4), float(most))
    started = time.perf_counter()
    fit = sc.minimize(
        model,
        n_steps=n_steps,
        n_samples=n_samples,
        optimizer=sc.Adam(0.5),
        estimator="whole_return",  # each step costs the same: there is nothing to learn from what was paid
        seed=descent,
    )
    seconds = time.perf_counter() - started
    return {
        "curve": -fit.history.cost,
        "before": -model.sample(100, judge).mean(),
        "after": -fit.model.sample(100, judge).mean(),
        "seconds": seconds,
        "weights": fit.model.parameters,
    }


def draw_curves(axes: Axes, most: int, found: list[dict[str, Any]], n_samples: int) -> None:
    """Draw the mean return of each step, of each seed, with the mark."""
    mark = MARKS[most]
    for i, each in enumerate(found):
        axes.plot(1 + np.arange(len(each["curve"])), each["curve"], color=BLUE, linewidth=0.9, alpha=0.45,
                  label="one seed" if i == 0 else None)  # fmt: skip
    mean = np.mean([each["curve"] for each in found], axis=0)
    axes.plot(1 + np.arange(len(mean)), mean, color=BLUE, linewidth=2.6, label=f"mean of {len(found)} seeds")
    axes.axhline(mark, color=ORANGE, linewidth=1.4, linestyle=(0, (5, 3)), label=f"solved: {mark:.0f}")
    axes.set_ylim(0, 1.04 * most)
    axes.set_xlim(1, len(mean))
    axes.set_xlabel("step")
    axes.set_ylabel("mean return")
    good = sum(each["after"] >= mark for each in found)
    axes.set_title(f"At most {most} steps", loc="left", fontsize=13, fontweight="bold", pad=27)
    words = f"{n_samples} episodes a step. {good} of {len(found)} seeds solved, on 100 fresh episodes."
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.legend(loc="lower right", frameon=False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def picture(versions: dict[int, list[dict[str, Any]]], n_samples: int) -> Figure:
    """Draw a panel for each version."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        for axes, (most, found) in zip(figure.subplots(1, 2), versions.items(), strict=True):
            draw_curves(axes, most, found, n_samples)
    return figure


def main() -> None:
    """Learn, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="cartpole.png", help="the picture (default: %(default)s)")
    parser.add_argument("--seeds", type=int, help="descents of each version (default: 10, without numba 2)")
    parser.add_argument("--steps", type=int, default=60, help="of each descent (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=32, help="of each step (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="run in plain Python, as where numba is missing")
    parser.add_argument("--seed", type=int, default=0, help="the first one (default: %(default)s)")
    options = parser.parse_args()

    plain = options.plain or importlib.util.find_spec("numba") is None
    program = sc.simulator(environments.cartpole, compile=None if plain else "numba")
    seeds = options.seed + np.arange(options.seeds or (2 if plain else 10))
    started = time.perf_counter()
    sc.estimate(program(np.zeros(4), 200.0), n_samples=2)
    how = "in plain Python" if plain else "compiled by numba"
    print(f"{how}: {time.perf_counter() - started:.1f} s to the first episode")
    versions = {}
    for most, mark in MARKS.items():
        print(f"at most {most} steps: mean return on 100 fresh episodes")
        versions[most] = []
        for seed in seeds.tolist():
            found = learn(program, most, seed, options.steps, options.episodes)
            versions[most].append(found)
            print(f"  seed {seed}: {found['before']:6.1f} -> {found['after']:6.1f}, {found['seconds']:.2f} s")
        good = sum(found["after"] >= mark for found in versions[most])
        slowest = max(found["seconds"] for found in versions[most])
        print(f"  {good} of {len(seeds)} solved (mean return of at least {mark:.0f}), each in {slowest:.2f} s or less")
    picture(versions, options.episodes).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
