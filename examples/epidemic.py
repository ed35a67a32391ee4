"""An epidemic on a contact network: how its size depends on two rates of infection.

Two hundred people live in households of four, and meet others at random. On each day everybody who is infectious may
infect each susceptible housemate, with probability p = 1/(1 + e^-theta[0]), and each other susceptible contact, with
that of theta[1]; and recovers with probability 1/4. Five are infectious at first. The cost is 1 for everyone who gets
infected: `sc.estimate` finds the expected final size and its gradient by both thetas from the same runs, through all
the decisions. (When the k-th has been infected every run has paid k: what was paid before a decision tells nothing, and
"whole_return" has the variance of "leave_one_out" for half the work.)

The picture has these gradients as tangents of the final size, and beside them differences of the final size at theta
+- 0.1 with common random numbers. Those take two runs for each parameter, and a bias of order 0.1^2 stays with them.

    python examples/epidemic.py --out epidemic.png
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
from stochcore.plotting import BLUE, GREY, INK, ORANGE, PALE, STYLE
from stochcore.simulators import Simulator

Array = NDArray[Any]

PEOPLE, HOUSEHOLD, FRIENDSHIPS = 200, 4, 400
RECOVERY, SEEDS = 0.25, 5
AT_HOME = -2.0  # theta[0]: p = 0.12 a day
OUTSIDE = np.linspace(-5.0, -1.5, 8)  # theta[1]: p = 0.007 .. 0.18 a day
STEP = 0.1  # of the differences


def epidemic(draw: Any, theta: Any, x: Any) -> None:
    """Susceptible, infectious, recovered. theta: logits of an infection a day, at home and outside.

    x: people, recovery's probability, how many are infectious at first; where the contacts of each person start, and
    where the last one's end; then the contacts, and whether each is at home (0) or outside (1).
    """
    people, recovery, infectious = int(x[0]), x[1], int(x[2])
    starts = x[3 : 4 + people]
    edges = int(starts[people])
    contacts, kinds = x[4 + people : 4 + people + edges], x[4 + people + edges :]
    state = np.zeros(people)  # 1: infectious, 2: recovered, 3: infected today
    state[:: people // infectious] = 1.0  # far from each other
    while infectious > 0:
        for person in range(people):
            if state[person] != 1.0:
                continue
            for edge in range(int(starts[person]), int(starts[person + 1])):
                other = int(contacts[edge])
                if state[other] == 0.0 and draw.bernoulli(int(kinds[edge])):
                    state[other] = 3.0
                    draw.cost(1.0)
            if draw.bernoulli(p=recovery):
                state[person] = 2.0
                infectious -= 1
        for person in range(people):
            if state[person] == 3.0:
                state[person] = 1.0
                infectious += 1


def network(seed: int) -> tuple[Array, Array, Array]:
    """Who meets whom: pairs, shape (pairs, 2), whether they meet outside, and it all as the program takes it."""
    rng = np.random.default_rng(seed)
    people = np.arange(PEOPLE)
    upper = np.array([(a, b) for a in people for b in range(a + 1, PEOPLE)])
    same = upper[:, 0] // HOUSEHOLD == upper[:, 1] // HOUSEHOLD
    friends = upper[~same][rng.choice((~same).sum(), FRIENDSHIPS, replace=False)]
    pairs = np.concatenate([upper[same], friends])
    outside = np.repeat([0, 1], [same.sum(), FRIENDSHIPS])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.searchsorted(both[order, 0], np.arange(PEOPLE + 1))
    x = [PEOPLE, RECOVERY, SEEDS, *starts, *both[order, 1], *np.tile(outside, 2)[order]]
    return pairs, outside, np.array(x, dtype=np.float64)


def difference(program: Simulator, x: Array, theta: Array, i: int, n: int, stream: sc.Stream) -> tuple[float, float]:
    """The derivative by theta[i] from two runs on the same noise, and its standard error."""
    step = STEP * np.eye(2)[i]
    up, down = (program(theta + sign * step, x).sample(n, stream) for sign in (1, -1))
    slopes = (up - down) / (2 * STEP)
    return float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(n))


def dress(axes: Axes, title: str, words: str) -> None:
    """Give axes their title and a line of explanation below it."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)


def draw_network(axes: Axes, pairs: Array, outside: Array) -> None:
    """Draw households on a ring, and who meets whom."""
    home = 2 * np.pi * (np.arange(PEOPLE) // HOUSEHOLD) / (PEOPLE // HOUSEHOLD)
    corner = np.pi / 4 + 2 * np.pi * (np.arange(PEOPLE) % HOUSEHOLD) / HOUSEHOLD + home
    at = np.stack([np.cos(home) + 0.04 * np.cos(corner), np.sin(home) + 0.04 * np.sin(corner)], axis=1)
    for (a, b), out in zip(pairs, outside, strict=True):
        axes.plot(at[[a, b], 0], at[[a, b], 1], color=BLUE if out else ORANGE, linewidth=0.4 if out else 1.3,
                  alpha=0.45 if out else 1.0, zorder=1 + (not out))  # fmt: skip
    axes.scatter(at[:, 0], at[:, 1], s=7, color=GREY, zorder=3, linewidth=0)
    axes.scatter(at[:: PEOPLE // SEEDS, 0], at[:: PEOPLE // SEEDS, 1], s=26, color=INK, zorder=4, linewidth=0)
    axes.set_aspect("equal")
    axes.axis("off")
    dress(axes, "Who meets whom", f"{PEOPLE} people, housemates and others; dark: infectious at first.")


def draw_size(axes: Axes, found: list[sc.Estimate]) -> None:
    """Draw the final size over theta[1], with the gradient as tangents."""
    size = np.array([e.cost for e in found]) + SEEDS
    slope = np.array([e.grad[1] for e in found])
    reach = 0.42 * (OUTSIDE[1] - OUTSIDE[0])
    for t, y, g in zip(OUTSIDE, size, slope, strict=True):
        axes.plot([t - reach, t + reach], [y - g * reach, y + g * reach], color=ORANGE, linewidth=2.2)
    axes.plot(OUTSIDE, size, "o", color=BLUE, markersize=6, zorder=3, label="final size")
    axes.plot([], [], color=ORANGE, linewidth=2.2, label="its gradient")
    axes.set_ylim(0, PEOPLE)
    axes.set_xlabel("theta[1], logit of an infection outside")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    dress(axes, "How many get infected", "Estimates, and tangents from the same runs.")


def draw_gradients(axes: Axes, found: list[sc.Estimate], differences: Array) -> None:
    """Draw both derivatives, from both methods, with intervals of 95%."""
    for i, (color, name) in enumerate(((ORANGE, "at home"), (BLUE, "outside"))):
        grad, se = (np.array([getattr(e, word)[i] for e in found]) for word in ("grad", "grad_se"))
        axes.errorbar(OUTSIDE - 0.05, grad, yerr=1.96 * se, fmt="o-", color=color, markersize=4.5, elinewidth=1.6,
                      linewidth=0.8, capsize=3, label=f"by the rate {name}")  # fmt: skip
        axes.errorbar(OUTSIDE + 0.05, differences[:, i, 0], yerr=1.96 * differences[:, i, 1], fmt="s", color=GREY,
                      markersize=3.5, elinewidth=1.2, capsize=3, label="by differences" if i else None)  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("theta[1], logit of an infection outside")
    axes.legend(loc="upper left", frameon=False, fontsize=9.5)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    dress(axes, "Its gradient by both logits", "With intervals of 95%.")


def main() -> None:
    """Simulate, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="epidemic.png", help="the picture (default: %(default)s)")
    parser.add_argument("--runs", type=int, help="of each theta (default: 4000, without numba 50)")
    parser.add_argument("--plain", action="store_true", help="run in plain Python, as where numba is missing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    plain = options.plain or importlib.util.find_spec("numba") is None
    n = options.runs or (50 if plain else 4000)
    program = sc.simulator(epidemic, compile=None if plain else "numba")
    pairs, outside, x = network(options.seed)
    started = time.perf_counter()
    streams = sc.Stream(options.seed).spawn(2 * len(OUTSIDE))
    found, differences = [], []
    print(f"{n:,} runs for each theta, {'in plain Python' if plain else 'compiled by numba'}")
    print("  theta[1]  final size         gradient by theta[0], theta[1]       the same by differences")
    for t, own, other in zip(OUTSIDE, streams[::2], streams[1::2], strict=True):
        theta = np.array([AT_HOME, t])
        e = sc.estimate(program(theta, x), n_samples=n, estimator="whole_return", seed=own)
        d = [difference(program, x, theta, i, n, other) for i in range(2)]
        found.append(e)
        differences.append(d)
        slopes = "  ".join(f"{g:6.2f} +- {se:4.2f}" for g, se in [*zip(e.grad, e.grad_se, strict=True), *d])
        print(f"    {t:5.2f}   {e.cost + SEEDS:6.2f} +- {e.cost_se:4.2f}   {slopes}")
    print(f"{time.perf_counter() - started:.1f} s")
    with mpl.rc_context(STYLE | {"axes.unicode_minus": True}):
        figure = Figure(figsize=(13.2, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        left, middle, right = figure.subplots(1, 3)
        draw_network(left, pairs, outside)
        draw_size(middle, found)
        draw_gradients(right, found, np.array(differences))
        figure.savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
