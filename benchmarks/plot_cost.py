"""Seconds against pairs (sample, site), from 10^3 to 10^8: does the cost of samples grow in a line?

    python benchmarks/plot_cost.py [--docs FOLDER] [--most PAIRS]

One thread fills an `out` that is there already. In samples the sites stay as they are, in sites the samples; a pair of
a ranking is one item of one list. No array has more than 2^26 outcomes (256 MB of int32): more samples than that are
drawn block by block into the same one, each block at its own address. Poisson sites end at 10^5 (10^7 pairs), for the
sake of memory. Writes cost.png and prints a table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from plot import BLUE, GREY, INK, ORANGE, PALE

import stochcore as sc

HELD = 1 << 26  # outcomes in memory
LEAST = 0.02  # seconds for which calls are repeated
FIXED = 100  # sites while samples grow, samples while sites grow
COLORS = (BLUE, ORANGE, "#3a8f5c", "#8a5ba6")
Point = tuple[int, float]  # pairs, seconds


def bernoulli(sites: int) -> Any:
    return sc.Bernoulli(probs=np.linspace(0.05, 0.95, sites))


def categorical(sites: int) -> Any:
    return sc.Categorical(logits=np.random.default_rng(0).normal(size=(sites, 10)))


def poisson(sites: int) -> Any:
    return sc.Poisson(rate=np.linspace(0.5, 50, sites))


def plackett_luce(items: int) -> Any:
    return sc.PlackettLuce(np.random.default_rng(0).normal(size=(items // 100, 100)))


# name, model of so many sites, the least and the most sites: the tables of 10^6 Poisson sites would not fit in 2 GB
FAMILIES: dict[str, tuple[Callable[[int], Any], int, int]] = {
    "Bernoulli": (bernoulli, 10, 10**6),
    "Categorical of 10": (categorical, 10, 10**6),
    "Poisson, 0.5 to 50": (poisson, 10, 10**5),
    "PlackettLuce of 100": (plackett_luce, 100, 10**6),
}


def seconds(q: Any, n: int) -> float:
    """Return the least time of n samples on one thread."""
    stream = sc.Stream(1)
    block = min(n, HELD // q.n_elements)
    out = np.ones((block, *q.site_shape), dtype=q.dtype)

    def run() -> None:
        for first in range(0, n, block):
            rows = min(block, n - first)
            q.sample(rows, stream.at(first * q.n_elements), out=out[:rows], n_threads=1)

    best, calls, end = np.inf, 0, time.perf_counter() + LEAST
    while calls < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return float(best)


def measure(make: Callable[[int], Any], least: int, most: int, sizes: list[int]) -> tuple[list[Point], list[Point]]:
    """Return points that grow in samples and points that grow in sites."""
    q = make(FIXED)
    in_samples = [(size, seconds(q, size // FIXED)) for size in sizes]
    in_sites = [(size, seconds(make(size // FIXED), FIXED)) for size in sizes if least <= size // FIXED <= most]
    return in_samples, in_sites


def draw(found: dict[str, tuple[list[Point], list[Point]]], subtitle: str, target: Path) -> None:
    """Draw seconds against pairs, beside lines of slope 1 through the points of 10^5 pairs."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(9.5, 4.9), dpi=150, facecolor="white")
        FigureCanvasAgg(figure)
        for i, title in enumerate((f"more samples of {FIXED} sites", f"{FIXED} samples of more sites")):
            axes = figure.add_axes((0.085 + 0.475 * i, 0.125, 0.425, 0.66))
            axes.set(xscale="log", yscale="log")
            every = [point for both in found.values() for points in both for point in points]
            axes.set_xlim(0.6 * min(x for x, _ in every), 1.8 * max(x for x, _ in every))
            axes.set_ylim(0.5 * min(y for _, y in every), 2 * max(y for _, y in every))
            for (name, both), color in zip(found.items(), COLORS, strict=True):
                x, y = np.array(both[i]).T
                axes.plot(
                    x, x * (y / x)[min(np.searchsorted(x, 1e5), len(x) - 1)], color=color, lw=0.8, alpha=0.6, zorder=1
                )
                axes.plot(x, y, "o", color=color, ms=4.5, label=name, zorder=2)
            axes.set_title(title, fontsize=10, loc="left")
            axes.set_xlabel("pairs (sample, site); of rankings (list, item)", fontsize=9)
            axes.grid(color=PALE, lw=0.8, zorder=0)
            axes.set_axisbelow(True)
            axes.minorticks_off()
            axes.tick_params(length=0, labelcolor=INK)
            for side in axes.spines.values():
                side.set_visible(False)
            if i == 0:
                axes.set_ylabel("seconds", fontsize=9)
                axes.legend(frameon=False, fontsize=9, loc="upper left")
        figure.text(0.025, 0.945, "Seconds that samples take", fontsize=14, weight="bold", va="center")
        figure.text(0.025, 0.885, subtitle, fontsize=9.5, color=GREY, va="center")
        figure.savefig(target)


def main() -> None:
    """Measure, print a table, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs", help="where to write")
    parser.add_argument("--most", type=float, default=1e8, help="pairs")
    arguments = parser.parse_args()
    sizes = [10**k for k in range(3, 9) if 10**k <= arguments.most]
    print("ns a pair " + " " * 21 + "".join(f"{size:>10.0e}" for size in sizes))
    found = {}
    for name, (make, least, most) in FAMILIES.items():
        found[name] = measure(make, least, most, sizes)
        for points, growing in zip(found[name], ("samples", "sites"), strict=True):
            told = dict(points)
            line = "".join(f"{told[size] / size * 1e9:10.2f}" if size in told else " " * 10 for size in sizes)
            print(f"{name:20} {growing:10}{line}", flush=True)
    isa = sc.show_config(mode="dicts")["instruction_set"]  # type: ignore[index]
    arguments.docs.mkdir(exist_ok=True)
    draw(found, f"one thread, {isa}; points are measured, lines have slope 1", arguments.docs / "cost.png")
    print(f"wrote cost.png in {arguments.docs}")


if __name__ == "__main__":
    main()
