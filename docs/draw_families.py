"""The pictures of docs/families.md: each family's noise, its steps, and its distribution beside 10^5 samples.

Run from anywhere: ``python docs/draw_families.py [name ...]``; it writes docs/families/NAME.png. Needs Matplotlib.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import stochcore as sc
from stochcore.plotting import BLUE, GREY, INK, ORANGE, PALE, STYLE

Array = NDArray[Any]

N = 100_000
STREAM = sc.Stream(2026)
GREEN = "#4d8f3a"
COLORS = (BLUE, ORANGE, GREEN)
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#9cc3e0", BLUE])
CLASSES = ("#deebf5", "#9cc3e0", "#5a97c9", BLUE, "#174a78")
SMALL = 8.5


def panels(left: str, middle: str, right: str, widths: tuple[float, float, float] = (1, 1, 1)) -> tuple[Figure, Any]:
    """Return a figure and its three axes, with their titles."""
    figure = Figure(figsize=(9.6, 2.75), dpi=170, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06, wspace=0.03)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(1, 3, width_ratios=widths)
    for each, title in zip(axes, (left, middle, right), strict=True):
        each.set_title(minus(title), loc="left", fontsize=10, pad=8)
        each.spines[["top", "right"]].set_visible(False)
        each.set_axisbelow(True)
    return figure, axes


def minus(words: Any) -> str:
    """Return words with minus signs."""
    return str(words).replace("-", "\N{MINUS SIGN}")


def legend(axes: Axes, **options: Any) -> None:
    """Draw a legend without a frame."""
    axes.legend(**{"frameon": False, "fontsize": SMALL, "handlelength": 1.3, "labelspacing": 0.3, **options})


def cut_density(axes: Axes, x: Array, density: Array, cuts: Array, names: list[Any]) -> None:
    """Draw a density whose area is cut where the outcome changes, with the outcomes' names in it."""
    edges = np.concatenate([x[:1], cuts, x[-1:]])
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        inside = np.concatenate([[a], x[(x > a) & (x < b)], [b]])
        level = np.interp(inside, x, density)
        axes.fill_between(inside, level, color=CLASSES[i % 2], linewidth=0)
        where = float((inside * level).sum() / level.sum())
        high = 0.4 * float(np.interp(where, x, density))
        if (b - a) / (x[-1] - x[0]) > 0.05 and high > 0.03 * density.max():
            axes.text(where, high, minus(names[i]), ha="center", va="center", fontsize=SMALL)
    axes.plot(x, density, color=INK, linewidth=1.2)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0, 1.18 * density.max())
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def uniform_noise(axes: Axes, q: sc.Family) -> None:
    """Draw the uniform density, cut where the step function changes."""
    u = np.arange(4000) / 4000
    y = q.step(u)
    jump = np.flatnonzero(np.diff(y)) + 1
    cut_density(axes, np.linspace(0, 1, 201), np.ones(201), u[jump], [y[0], *y[jump]])
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("noise u")


def steps(axes: Axes, models: dict[str, tuple[Array, Array]], xlabel: str = "noise u", **options: Any) -> None:
    """Draw step functions: for each name, noise and outcomes. Vertical parts are thin."""
    for color, (name, (z, y)) in zip(COLORS, models.items(), strict=False):
        jump = np.flatnonzero(np.diff(y)) + 1
        starts, stops = np.append(0, jump), np.append(jump, len(z) - 1)
        axes.hlines(y[starts], z[starts], z[stops], color=color, linewidth=2.2)
        axes.step(z, y, where="post", color=color, linewidth=0.5)
        axes.plot([], [], color=color, linewidth=2.2, label=minus(name))
    axes.set_xlim(models[next(iter(models))][0][[0, -1]])
    axes.set_xlabel(xlabel)
    axes.yaxis.get_major_locator().set_params(integer=True)
    if xlabel == "noise u":
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    legend(axes, **{"loc": "upper left", **options})


def inverse(families: dict[str, sc.Family]) -> dict[str, tuple[Array, Array]]:
    """Return, for `steps`, what families of one site make of uniform noise."""
    u = (np.arange(4000) + 0.5) / 4000
    return {name: (u, q.step(u)) for name, q in families.items()}


def beside(axes: Axes, y: Array, exact: Array, drawn: Array, labels: Any = None) -> None:
    """Draw exact probabilities as bars, and beside them the shares among N samples."""
    axes.bar(y - 0.21, exact, width=0.4, color=PALE, edgecolor=GREY, linewidth=0.7, label="exact")
    axes.bar(y + 0.21, drawn, width=0.4, color=BLUE, label=f"{N:,} samples")
    top = 1.42 * max(exact.max(), drawn.max())
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    if labels is not None:
        axes.set_xticks(y, labels)
    axes.set_xlabel("y")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    plain = {"frameon": True, "framealpha": 1.0, "edgecolor": "none", "borderpad": 0.2}
    legend(axes, loc="upper right", ncols=2, columnspacing=1.0, borderaxespad=0.0, **plain)


def distribution(axes: Axes, q: sc.Family, values: Array) -> None:
    """Draw `beside` for a family of one site, at these values."""
    y = q.sample(N, STREAM)
    drawn = np.array([(y == value).mean() for value in values])
    beside(axes, values, q.outcome_probs(values), drawn)
    axes.xaxis.get_major_locator().set_params(integer=True)


def site(first: sc.Family, told: str, others: dict[str, sc.Family], values: Array) -> Figure:
    """Draw a family of one site that inverts its distribution function."""
    figure, (left, middle, right) = panels(f"Noise, and y for {told}", "Step function", f"Distribution, {told}")
    uniform_noise(left, first)
    steps(middle, inverse({told: first, **others}))
    middle.set_ylabel("y")
    middle.set_ylim(values[0] - 0.03 * len(values), values[-1] + (0.5 if len(values) == 2 else 0.3))
    distribution(right, first, values)
    return figure


def bernoulli() -> Figure:
    """A bit."""
    return site(sc.Bernoulli(probs=0.3), "p = 0.3", {"p = 0.7": sc.Bernoulli(probs=0.7)}, np.arange(2))


def categorical() -> Figure:
    """Classes."""
    first = sc.Categorical(logits=[0.0, 1.0, 0.5, -0.5])
    other = sc.Categorical(logits=[1.5, 0.0, 0.0, 0.0])
    return site(first, "logits (0, 1, 0.5, -0.5)", {"logits (1.5, 0, 0, 0)": other}, np.arange(4))


def poisson() -> Figure:
    """Counts at a rate."""
    others = {f"rate {r:g}": sc.Poisson(rate=r) for r in (1.0, 6.0)}
    return site(sc.Poisson(rate=3.0), "rate 3", others, np.arange(11))


def binomial() -> Figure:
    """Successes in ten trials."""
    other = sc.Binomial(10, probs=0.7)
    return site(sc.Binomial(10, probs=0.3), "n = 10, p = 0.3", {"n = 10, p = 0.7": other}, np.arange(11))


def negative_binomial() -> Figure:
    """Failures before so many successes."""
    others = {f"n = {n}, p = {p}": sc.NegativeBinomial(n, probs=p) for n, p in ((2.5, 0.7), (0.5, 0.4))}
    return site(sc.NegativeBinomial(2.5, probs=0.4), "n = 2.5, p = 0.4", others, np.arange(13))


def geometric() -> Figure:
    """Trials up to the first success."""
    others = {f"p = {p}": sc.Geometric(probs=p) for p in (0.7, 0.2)}
    return site(sc.Geometric(probs=0.4), "p = 0.4", others, np.arange(1, 11))


def ordinal() -> Figure:
    """Cut points on a logistic latent."""
    cuts, told = np.array([-1.0, 0.0, 1.5]), "location 0.5"
    figure, (left, middle, right) = panels("Latent, and y for " + told, "Latent step function", "Distribution, " + told)
    x, z = np.linspace(-6, 7, 521), np.linspace(-5, 5, 4001)
    density = 0.25 / np.cosh((x - 0.5) / 2) ** 2
    cut_density(left, x, density, cuts, [0, 1, 2, 3])
    models = {f"location {a:g}": sc.Ordinal(a, cuts) for a in (0.5, 2.5, -1.5)}
    left.set_xlabel("latent x")
    middle.set_ylabel("y")
    steps(middle, {name: (z, q.latent_step(z)) for name, q in models.items()}, "logistic noise z")
    middle.set_ylim(-0.15, 4.3)
    middle.set_yticks(range(4))
    distribution(right, models[told], np.arange(4))
    return figure


def rounded_normal() -> Figure:
    """A Gaussian latent, rounded."""
    told = "mean 0.4, scale 1.2"
    figure, (left, middle, right) = panels("Latent, and y for " + told, "Latent step function", "Distribution, " + told)
    x, z = np.linspace(-4, 4.8, 441), np.linspace(-3, 3, 4001)
    density = np.exp(-0.5 * ((x - 0.4) / 1.2) ** 2) / 1.2
    cut_density(left, x, density, np.arange(-3.5, 4.6), list(range(-4, 6)))
    models = {f"mean {m:g}, scale {s:g}": sc.RoundedNormal(m, s) for m, s in ((0.4, 1.2), (0.4, 0.3))}
    left.set_xlabel("latent x")
    middle.set_ylabel("y")
    steps(middle, {name: (z, q.latent_step(z)) for name, q in models.items()}, "normal noise z")
    middle.set_ylim(-3.4, 6.2)
    middle.set_yticks(range(-2, 5, 2))
    distribution(right, models[told], np.arange(-4, 6))
    return figure


def normal() -> Figure:
    """The Gaussian itself: nothing is cut."""
    told = "mean 1, scale 1.5"
    figure, (left, middle, right) = panels("Noise", "Step function", "Distribution, " + told)
    z = np.linspace(-3.5, 3.5, 281)
    cut_density(left, z, np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), np.empty(0), [""])
    left.set_xlabel("normal noise z")
    for color, (mean, scale) in zip(COLORS, ((1.0, 1.5), (1.0, 0.5), (-1.0, 1.0)), strict=True):
        y = sc.Normal(mean, scale).step(z)
        middle.plot(z, y, color=color, linewidth=2.2, label=minus(f"mean {mean:g}, scale {scale:g}"))
    middle.set(xlim=z[[0, -1]], xlabel="normal noise z", ylabel="y", ylim=(-5, 10.5))
    legend(middle, loc="upper left")
    q = sc.Normal(1.0, 1.5)
    y = np.linspace(-4.5, 6.5, 221)
    bins = np.linspace(-4.5, 6.5, 45)
    right.hist(q.sample(N, STREAM), bins=bins, density=True, color="#9cc3e0", label=f"{N:,} samples")
    right.plot(y, np.exp(q.log_prob(y)), color=INK, linewidth=1.4, label="exact density")
    right.set(xlim=y[[0, -1]], xlabel="y", ylim=(0, 0.38), yticks=[])
    right.spines["left"].set_visible(False)
    legend(right, loc="upper right", ncols=2, columnspacing=1.0, borderaxespad=0.0)
    return figure


LOGITS = np.array([2.0, 1.0, 0.0, -0.5])


def keys(axes: Axes) -> None:
    """Draw the density of each item's logit + Gumbel noise."""
    x = np.linspace(-2.7, 7, 400)
    for item, logit in enumerate(LOGITS):
        away = x - logit
        density = np.exp(-away - np.exp(-away))
        color = CLASSES[4 - item]
        axes.plot(x, density, color=color, linewidth=1.8)
        axes.text(logit, 0.385, f"{item}", color=INK, ha="center", fontsize=SMALL)
    axes.set(xlim=x[[0, -1]], ylim=(0, 0.44), yticks=[], xlabel="logit + Gumbel noise")
    axes.spines["left"].set_visible(False)


def turning(q: Any, base: Array) -> tuple[Array, Array]:
    """Return the noise of item 2, and y where the other items' noise stays as it is."""
    z = np.linspace(-3, 5, 1601)
    noise = np.repeat(base[None], len(z), axis=0)
    noise[:, 2] = z
    return z, q.step(noise)


OTHERS = np.array([0.3, 0.9, 0.0, 1.4])


def plackett_luce() -> Figure:
    """Rankings: what one item's noise does to the places of all."""
    figure, (left, middle, right) = panels(
        "Noise: logit + Gumbel of each item", "Step function", "P(item at place), exact and drawn"
    )
    q = sc.PlackettLuce(LOGITS)
    keys(left)
    z, y = turning(q, OTHERS)
    for item in range(4):
        place = np.argmax(y == item, axis=1)
        color, thick = (ORANGE, 2.6) if item == 2 else (CLASSES[4 - item], 1.8)
        middle.step(z, place, where="post", color=color, linewidth=thick, zorder=3 if item == 2 else 2)
        middle.text(-2.85, place[0] - 0.1, f"item {item}", fontsize=SMALL)
    middle.set(xlim=(-3, 5), ylim=(3.5, -0.6), xlabel="Gumbel noise of item 2", ylabel="place", yticks=range(4))
    outcomes, drawn = q.enumerate(), q.sample(N, STREAM)
    p = q.outcome_probs(outcomes)
    exact = np.array([[p[outcomes[:, place] == item].sum() for place in range(4)] for item in range(4)])
    share = np.array([[(drawn[:, place] == item).mean() for place in range(4)] for item in range(4)])
    right.imshow(exact, cmap=BLUES, vmin=0, vmax=0.9, aspect="auto")
    for item in range(4):
        for place in range(4):
            color = "white" if exact[item, place] > 0.5 else INK
            text = f"{exact[item, place]:.3f}\n{share[item, place]:.3f}"
            right.text(place, item, text, ha="center", va="center", fontsize=7.5, color=color, linespacing=1.15)
    right.set(xticks=range(4), yticks=range(4), xlabel="place", ylabel="item")
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    return figure


def top_k() -> Figure:
    """Sets: what one item's noise does to who is in."""
    figure, (left, middle, right) = panels(
        "Noise: logit + Gumbel of each item", "Step function: the items among the 2", "P(item among the 2)"
    )
    q = sc.TopK(LOGITS, 2, ordered=False)
    keys(left)
    z, y = turning(q, OTHERS)
    for item in range(4):
        inside = (y == item).any(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]])))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            color = ORANGE if item == 2 else BLUE
            middle.barh(item, z[b - 1] - z[a], left=z[a], height=0.5, color=color)
    middle.set(xlim=(-3, 5), ylim=(3.6, -0.6), xlabel="Gumbel noise of item 2", ylabel="item", yticks=range(4))
    middle.grid(axis="y", color=PALE, linewidth=0.8)
    drawn = q.sample(N, STREAM)
    share = np.array([(drawn == item).any(axis=1).mean() for item in range(4)])
    beside(right, np.arange(4), q.inclusion_probs, share)
    right.set_xlabel("item")
    right.set_xticks(range(4))
    return figure


CHAIN = (np.array([2.0, 0.0, -1.0]), np.array([[2.0, 1.0, -1.0], [0.0, 2.0, 0.5], [-1.0, 0.5, 2.5]]))


def markov_chain() -> Figure:
    """Paths, as rows of states."""
    figure, (left, middle, right) = panels("Noise, and the next state", "Eight paths", "P(state at step)")
    q = sc.MarkovChain(*CHAIN, n_steps=12)
    pale = ("#9cc3e0", "#eeb18f", "#b3d3a6")
    for place, row in enumerate([q.initial_probs, *q.transition_probs]):
        starts = np.cumsum(row) - row
        for state in range(3):
            left.barh(place, row[state], left=starts[state], height=0.7, color=pale[state])
            if row[state] > 0.05:
                left.text(starts[state] + row[state] / 2, place, str(state), ha="center", va="center", fontsize=SMALL)
    left.set(xlim=(0, 1), ylim=(3.6, -0.6), xlabel="noise u")
    left.set_yticks(range(4), ["first", "after 0", "after 1", "after 2"])
    left.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    t = np.arange(q.n_steps)
    for i, path in enumerate(q.sample(8, STREAM)):
        for step, state in enumerate(path):
            middle.barh(i, 1.02, left=step - 0.5, height=0.7, color=pale[state], linewidth=0)
            middle.text(step, i, str(state), ha="center", va="center_baseline", fontsize=7)
    middle.set(xlim=(-0.5, 11.5), ylim=(7.6, -0.6), yticks=[], xticks=range(0, 12, 2), xlabel="step")
    for axes in (left, middle):
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    drawn, exact = q.sample(N, STREAM), q.marginals
    for state, color in enumerate((BLUE, ORANGE, GREEN)):
        right.plot(t, exact[:, state], color=color, linewidth=1.6)
        right.plot(t, (drawn == state).mean(axis=0), "o", color=color, markersize=4)
        lift = (0.0, -0.025, 0.025)[state]
        right.text(11.5, exact[-1, state] + lift, f"state {state}", color=color, va="center", fontsize=SMALL)
    right.plot([], [], color=GREY, linewidth=1.6, label="exact")
    right.plot([], [], "o", color=GREY, markersize=4, label=f"{N:,} samples")
    right.set(xlim=(-0.5, 14.6), ylim=(0, 1), xticks=range(0, 12, 2), xlabel="step")
    right.grid(axis="y", color=PALE, linewidth=0.8)
    legend(right, loc="upper right")
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        bernoulli,
        categorical,
        poisson,
        binomial,
        negative_binomial,
        geometric,
        ordinal,
        rounded_normal,
        normal,
        plackett_luce,
        top_k,
        markov_chain,
    )
}


def main(names: list[str]) -> None:
    """Draw these pictures, or all."""
    folder = Path(__file__).parent / "families"
    folder.mkdir(exist_ok=True)
    with mpl.rc_context({**STYLE, "font.size": 9.5}):
        for name in names or PICTURES:
            target = folder / f"{name}.png"
            canvas = FigureCanvasAgg(PICTURES[name]())
            canvas.draw()
            pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            pixels.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)
            print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
