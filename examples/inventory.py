"""Two shops: one order whose best size is known, and a stock whose best orders dynamic programming knows.

The newsvendor orders q before the demand is known, and pays h for each piece left over and b for each sale lost. The
order sits in the cost itself: the program tells that derivative by ``draw.add_grad``, and `sc.minimize` walks to the
optimum, the b/(b + h) quantile of the demand. With demands of rate r that is q = log((b + h)/h)/r, and its cost is h q.

The other shop orders at the start of each of twelve days, for a fixed price an order however large, and pays for what
it holds and for sales lost; demands are Poisson. How much to order is drawn, with logits of its own for each level of
the stock, and the descent learns when to order and how much. No policy is better than that of dynamic programming;
an (s, S) policy orders up to S when the stock is at s or below, and the best one is found by trying all of them.

    python examples/inventory.py --out inventory.png
"""

from __future__ import annotations

import argparse
import importlib.util
import math
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
from stochcore.plotting import BLUE, GREY, INK, ORANGE, PALE, STYLE

Array = NDArray[Any]

HOLD, LOSE, RATE = 1.0, 4.0, 0.2  # h, b, and the rate of exponential demand
BEST = math.log((LOSE + HOLD) / HOLD) / RATE

DAYS, ORDER, HELD, LOST, DEMAND = 12, 5.0, 1.0, 6.0, 3.0
LEVELS = 13  # a stock of 0 .. 12 pieces


def shop(draw: Any, theta: Any, x: Any) -> None:
    """Keep a stock; theta: logits of the orders 0, 1, ... at each level of it.

    x: days, prices of an order, of a piece held and of a sale lost, and the demand's distribution function.
    """
    levels = len(theta)
    stock = 0
    for _ in range(int(x[0])):
        ordered = draw.categorical(levels * stock, levels)
        if ordered > 0:
            draw.cost(x[1])
        stock = min(stock + ordered, levels - 1)  # there is no room for more
        u, demand = draw.uniform(), 0
        while u >= x[4 + demand]:
            demand += 1
        draw.cost(x[2] * max(stock - demand, 0) + x[3] * max(demand - stock, 0))
        stock = max(stock - demand, 0)


def inputs() -> Array:
    """What the shop is told."""
    chance = [math.exp(k * math.log(DEMAND) - DEMAND - math.lgamma(k + 1)) for k in range(30)]
    return np.array([DAYS, ORDER, HELD, LOST, *np.minimum(np.cumsum(chance), 1.0)[:-1], 1.0])


def days_ahead() -> tuple[Array, Array]:
    """Expected cost of a day that starts, orders done, at each level; and where the stock goes, shape (from, to)."""
    chance = np.diff(inputs()[4:], prepend=0.0)
    level, demand = np.arange(LEVELS)[:, None], np.arange(len(chance))
    left, lost = np.maximum(level - demand, 0), np.maximum(demand - level, 0)
    to = np.zeros((LEVELS, LEVELS))
    np.add.at(to, (np.broadcast_to(level, left.shape), left), np.broadcast_to(chance, left.shape))
    return (HELD * left + LOST * lost) @ chance, to


def best_policy() -> float:
    """The least expected cost there is, by dynamic programming."""
    day, to = days_ahead()
    ahead = np.zeros(LEVELS)
    for _ in range(DAYS):
        ordered = day + to @ ahead  # at each level after the order
        more = np.array([np.min(ordered[level + 1 :], initial=np.inf) for level in range(LEVELS)])
        ahead = np.minimum(ordered, ORDER + more)
    return float(ahead[0])


def cost_of(probs: Array) -> float:
    """The expected cost of a policy, shape (level, order), without sampling."""
    day, to = days_ahead()
    after = np.minimum(np.arange(LEVELS)[:, None] + np.arange(LEVELS), LEVELS - 1)
    ahead = np.zeros(LEVELS)
    for _ in range(DAYS):
        ordered = day + to @ ahead
        ahead = (probs * (ordered[after] + ORDER * (np.arange(LEVELS) > 0))).sum(axis=1)
    return float(ahead[0])


def best_s_s() -> tuple[float, int, int]:
    """The best (s, S) of all."""
    found = []
    for s in range(LEVELS):
        for top in range(s + 1, LEVELS):
            probs = np.zeros((LEVELS, LEVELS))
            level = np.arange(LEVELS)
            probs[level, np.where(level <= s, top - level, 0)] = 1.0
            found.append((cost_of(probs), s, top))
    return min(found)


def softmax(logits: Array) -> Array:
    """Probabilities of the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def descend(model: Any, n_steps: int, n_samples: int, rate: float, seed: Any) -> tuple[Array, list[Any], float]:
    """Minimise; return the steps looked at, the parameters there, and the seconds."""
    started = time.perf_counter()
    optimizer = sc.Adam(sc.schedules.cosine_decay(rate, max(1, n_steps)))
    fit = sc.minimize(model, n_steps=0, n_samples=n_samples, optimizer=optimizer, seed=seed)
    steps, seen = [0], [fit.model.parameters]
    for stop in np.linspace(0, n_steps, 61).astype(int)[1:]:
        fit = fit.resume(int(stop) - fit.n_steps)  # the bits of a descent that never paused
        steps.append(fit.n_steps)
        seen.append(fit.model.parameters)
    return np.array(steps), seen, time.perf_counter() - started


def dress(axes: Axes, title: str, words: str) -> None:
    """Give axes their title and a line of explanation below it."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=27)
    axes.text(0, 1.035, words, transform=axes.transAxes, fontsize=9.5, color=GREY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)


def draw_orders(axes: Axes, steps: Array, orders: Array) -> None:
    """Draw the newsvendor's order and its expected cost over the steps."""
    # E[cost] of exponential demand, in closed form
    costs = HOLD * (orders - 1 / RATE) + (HOLD + LOSE) * np.exp(-RATE * orders) / RATE
    for values, best, color, name in ((costs, HOLD * BEST, INK, "expected cost"), (orders, BEST, BLUE, "order q")):
        axes.axhline(best, color=ORANGE, linewidth=1.4, linestyle=(0, (5, 3)))
        axes.plot(steps, values, color=color, linewidth=2.2, label=name)
    axes.plot([], [], color=ORANGE, linewidth=1.4, linestyle=(0, (5, 3)), label=f"best: q = cost = {BEST:.3f}")
    axes.set_xlim(0, steps[-1])
    axes.set_xlabel("step")
    axes.legend(loc="best", frameon=False)
    dress(axes, "Newsvendor", "The order and what it costs, from q = 1 on.")


def draw_costs(axes: Axes, steps: Array, costs: Array, best: float, s_s: tuple[float, int, int]) -> None:
    """Draw how far the shop's policy is above the least cost there is."""
    axes.semilogy(steps, costs - best, color=BLUE, linewidth=2.2, label="policy, by sc.minimize")
    words = f"best (s, S) = ({s_s[1]}, {s_s[2]})"
    axes.axhline(s_s[0] - best, color=ORANGE, linewidth=1.4, linestyle=(0, (5, 3)), label=words)
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(0.1, 100)
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_xlabel("step")
    axes.legend(loc="upper right", frameon=False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.minorticks_off()
    dress(axes, "A stock over twelve days", f"Expected cost above the {best:.2f} of dynamic programming.")


def draw_policy(axes: Axes, probs: Array) -> None:
    """Draw how likely each order is at each level of the stock."""
    room = np.arange(LEVELS)[:, None] + np.arange(LEVELS) <= LEVELS - 1
    axes.imshow(np.where(room, probs, np.nan).T, origin="lower", cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xlabel("stock in the evening")
    axes.set_ylabel("order")
    dress(axes, "What it learned", "Probability of each order; darker is likelier.")


def main() -> None:
    """Run both shops, say it, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="inventory.png", help="the picture (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of the shop's descent (default: 600, without numba 200)")
    parser.add_argument("--samples", type=int, help="of each of its steps (default: 256, without numba 64)")
    parser.add_argument("--plain", action="store_true", help="run in plain Python, as where numba is missing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    plain = options.plain or importlib.util.find_spec("numba") is None
    how = None if plain else "numba"
    n_steps, n_samples = options.steps or (200 if plain else 600), options.samples or (64 if plain else 256)
    first, second = sc.Stream(options.seed).spawn(2)

    vendor = sc.simulator(environments.newsvendor, compile=how)([1.0], [HOLD, LOSE, RATE])
    at, orders, seconds = descend(vendor, 300, 256, 0.15, first)
    order = float(orders[-1][0])
    print(f"newsvendor: order {order:.3f}, best {BEST:.3f}; 300 steps of 256 samples, {seconds:.1f} s")

    start = sc.simulator(shop, compile=how)(np.zeros((LEVELS, LEVELS)), inputs())
    steps, thetas, seconds = descend(start, n_steps, n_samples, 0.1, second)
    costs = np.array([cost_of(softmax(theta)) for theta in thetas])
    best, s_s = best_policy(), best_s_s()
    check = sc.estimate(start.with_parameters(thetas[-1]), n_samples=10_000, seed=second.spawn(1)[0])
    print(f"shop: {n_steps} steps of {n_samples} samples, {seconds:.1f} s")
    print(f"  expected cost {costs[0]:.3f} -> {costs[-1]:.3f}; simulated {check.cost:.3f} +- {check.cost_se:.3f}")
    print(f"  best (s, S) policy {s_s[0]:.3f}, with s = {s_s[1]} and S = {s_s[2]}; dynamic programming {best:.3f}")

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 4.5), dpi=130, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        left, middle, right = figure.subplots(1, 3)
        draw_orders(left, at, np.array(orders)[:, 0])
        draw_costs(middle, steps, costs, best, s_s)
        draw_policy(right, softmax(thetas[-1]))
        figure.savefig(options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
