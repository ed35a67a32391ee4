"""A lake of ice, from Gymnasium, against dynamic programming.

FrozenLake-v1 is a map of 16 fields with four holes. One wants to get from one corner to the other within 100 steps, and
two of three steps slip to a side. `Environment` makes a model of it: a table of 64 logits, four for each field, and the
cost is minus 1 for each episode that ends at the goal. Its chances are known, so dynamic programming says what each
policy is worth, those that `sc.minimize` finds too, and the best there is.

    pip install gymnasium
    python examples/gymnasium_frozenlake.py --out gymnasium_frozenlake.png
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import gymnasium
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

import stochcore as sc
from stochcore.interop.gymnasium import Environment
from stochcore.plotting import BLUE, GREY, ORANGE, PALE, STYLE

Array = NDArray[Any]

MOST = 100  # steps of an episode
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # left, down, right, up


class Lake:
    """The map, and what dynamic programming knows of it."""

    def __init__(self) -> None:
        lake: Any = gymnasium.make("FrozenLake-v1").unwrapped
        self.letters = [[letter.decode() for letter in row] for row in lake.desc]
        self.chance, self.pay = np.zeros((16, 4, 16)), np.zeros((16, 4))
        for state, actions in lake.P.items():
            for action, ways in actions.items():
                for p, to, reward, over in ways:
                    self.pay[state, action] += p * reward
                    self.chance[state, action, to] += 0.0 if over else p

    def worth(self, theta: Array) -> float:
        """Return the chance that the policy of these logits gets to the goal."""
        policy = np.exp(theta.T - theta.max(axis=0)[:, None])
        policy /= policy.sum(axis=1, keepdims=True)
        value = np.zeros(16)
        for _ in range(MOST):
            value = (policy * (self.pay + self.chance @ value)).sum(axis=1)
        return float(value[0])

    def best(self) -> float:
        """Return the chance of the best policy, which may also look at the clock."""
        value = np.zeros(16)
        for _ in range(MOST):
            value = (self.pay + self.chance @ value).max(axis=1)
        return float(value[0])


def learn(task: Environment, seed: int, n_steps: int, n_samples: int) -> dict[str, Any]:
    """Descend from equal chances."""
    started = time.perf_counter()
    fit = sc.minimize(
        task(task.initial()),
        n_steps=n_steps,
        n_samples=n_samples,
        optimizer=sc.Adam(0.1),
        estimator="whole_return",  # all is paid at the end: there is nothing to learn from what was paid before
        seed=seed,
    )
    return {"curve": -fit.history.cost, "theta": fit.model.parameters, "seconds": time.perf_counter() - started}


def draw_curves(axes: Axes, found: list[dict[str, Any]], best: float, n_samples: int) -> None:
    """Draw how many episodes of each step end at the goal, and what the policies at the end are worth."""
    for i, each in enumerate(found):
        axes.plot(1 + np.arange(len(each["curve"])), each["curve"], color=BLUE, linewidth=0.9, alpha=0.4,
                  label="one seed" if i == 0 else None)  # fmt: skip
        axes.plot([len(each["curve"])], [each["worth"]], "o", color=BLUE, markersize=7, clip_on=False, zorder=4,
                  label="what it has come to (exact)" if i == 0 else None)  # fmt: skip
    mean = np.mean([each["curve"] for each in found], axis=0)
    axes.plot(1 + np.arange(len(mean)), mean, color=BLUE, linewidth=2.6, label=f"mean of {len(found)}")
    axes.axhline(best, color=ORANGE, linewidth=1.4, linestyle=(0, (5, 3)), label=f"the best policy: {best:.3f}")
    axes.set_ylim(0, 1)
    axes.set_xlim(1, len(mean))
    axes.set_xlabel("step")
    axes.set_ylabel("episodes that end at the goal")
    axes.set_title("Learning to cross", loc="left", fontsize=13, fontweight="bold", pad=27)
    words = f"{n_samples} episodes a step; a random walk gets there in 1.4% of them."
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.legend(loc="upper left", frameon=False, fontsize=9.5)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def draw_policy(axes: Axes, lake: Lake, theta: Array) -> None:
    """Draw the map, with an arrow for each way to step, as long as it is likely."""
    policy = np.exp(theta.T - theta.max(axis=0)[:, None])
    policy /= policy.sum(axis=1, keepdims=True)
    for state in range(16):
        row, column = divmod(state, 4)
        letter = lake.letters[row][column]
        shade = {"H": "#33475b", "G": "#f6d9b8"}.get(letter, "#eef4fa")
        axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, color=shade, linewidth=0))
        if letter in "HG":
            words = "hole" if letter == "H" else "goal"
            axes.text(column, row, words, ha="center", va="center", color="white" if letter == "H" else "black")
            continue
        if letter == "S":
            axes.text(column - 0.42, row - 0.33, "start", fontsize=9, color=GREY)
        for (right, down), p in zip(MOVES, policy[state], strict=True):
            if p > 0.03:
                axes.annotate("", (column + 0.42 * p * right, row + 0.42 * p * down), (column, row),
                              arrowprops={"arrowstyle": "-|>", "color": BLUE, "linewidth": 1.8, "shrinkA": 0,
                                          "shrinkB": 0})  # fmt: skip
    axes.set_xlim(-0.52, 3.52)
    axes.set_ylim(3.52, -0.52)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title("What it does on the ice", loc="left", fontsize=13, fontweight="bold", pad=27)
    words = "Steps slip to a side: it turns its back on holes where it can."
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)


def picture(lake: Lake, found: list[dict[str, Any]], n_samples: int) -> Figure:
    """Draw the learning curves, and the policy of the first seed."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
        draw_curves(left, found, lake.best(), n_samples)
        draw_policy(right, lake, found[0]["theta"])
    return figure


def main() -> None:
    """Learn, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gymnasium_frozenlake.png", help="the picture (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="descents (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200, help="of each descent (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=128, help="of each step (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first one (default: %(default)s)")
    options = parser.parse_args()

    lake, found = Lake(), []
    print(f"chance to get to the goal: equal chances {lake.worth(np.zeros((4, 16))):.3f}, at best {lake.best():.3f}")
    with Environment("FrozenLake-v1", n_envs=64) as task:
        for seed in range(options.seed, options.seed + options.seeds):
            one = learn(task, seed, options.steps, options.episodes)
            one["worth"] = lake.worth(one["theta"])
            found.append(one)
            print(f"  seed {seed}: {one['worth']:.3f}, {one['seconds']:.1f} s")
        seen = sc.estimate(task(found[0]["theta"]), n_samples=2000, estimator="whole_return", seed=options.seed + 1000)
    print(f"  2,000 fresh episodes of the first: {-seen.cost:.3f} +- {seen.cost_se:.3f}")
    picture(lake, found, options.episodes).savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
