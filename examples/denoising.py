"""A denoising autoencoder with a layer of stochastic bits in the middle: pictures are restored from a code of bits.

Dropout in front of the network wipes out half of the pixels at random, each time others; what comes out at the end is
held against the clean picture. In between stands a layer of binary units, drawn with probabilities that the first
layers give: the picture has to go through that many bits. No derivative goes through a bit; the layers before learn by
the score function (leave-one-out or DisARM). Straight-through, which pretends that a bit is its mean, is biased and
stands beside them.

A sixth of the pictures to learn from is held out: the likelihood of these is looked at now and then, training stops
where it gets no better, and the best model is kept. The pictures to test are other ones.

The digits are scikit-learn's (8 x 8 pixels), or any that `stochcore train` reads, MNIST for one:

    python examples/denoising.py --out denoising.png
    python examples/denoising.py --data train-images-idx3-ubyte.gz --units 128 --every 500 --out mnist.png
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import stochcore as sc
from stochcore.data import Images, load_images
from stochcore.plotting import BLUE, INK, ORANGE, STYLE, image_grid

Array = NDArray[Any]
COLOURS = {"leave_one_out": BLUE, "disarm": INK, "straight_through": ORANGE}
RATE = 0.5  # of pixels that are wiped out
SHOWN = 12  # pictures


def network(n_pixels: int, units: int, seed: int) -> sc.Network:
    """Return the network: corruption, an encoder, bits, a decoder."""
    return sc.Network(
        sc.Dropout(RATE),
        sc.Linear(n_pixels, 200), sc.LeakyReLU(0.3), sc.Linear(200, units), sc.BernoulliUnits(),
        sc.Linear(units, 200), sc.LeakyReLU(0.3), sc.Linear(200, n_pixels),
        cost=sc.costs.BernoulliLikelihood(), seed=seed,
    )  # fmt: skip


def learn(net: sc.Network, images: Images, rule: str, options: argparse.Namespace) -> Any:
    """Train until the held-out pictures get no better; say how it went."""
    started = time.perf_counter()
    fit = sc.minimize(
        net, data=images.train, batch_size=50, n_samples=4, n_steps=options.steps, estimator=rule, seed=options.seed,
        optimizer=sc.Adam(sc.schedules.linear_decay(5e-3, options.steps)), n_threads=options.threads,
        held_out=images.held_out, evaluate_every=options.every, n_draws=10, patience=5,
    )  # fmt: skip
    found, (cost, se) = (
        fit.evaluations,
        fit.best_model.evaluate(images.test, n_draws=50, seed=options.seed, n_threads=1),
    )
    print(
        f"{rule}: {fit.n_steps} steps, the best at {found.step[found.cost.argmin()]}, cost of the test pictures "
        f"{cost:.2f} +- {se:.2f} nats, {time.perf_counter() - started:.1f} s"
    )
    return fit


def restored(net: sc.Network, corrupted: Array, draws: int) -> Array:
    """Return what the network makes of pictures that are corrupted already: the mean over draws of its bits."""
    after = sc.Network(*(bare(layer) for layer in net.layers[1:]), cost=net.cost).with_parameters(net.parameters)
    return after.predict(corrupted, n_samples=draws, n_threads=1)


def bare(layer: Any) -> Any:
    """Return a layer as one gives it to a network."""
    return sc.Linear(layer.n_inputs, layer.n_outputs) if hasattr(layer, "n_inputs") else layer


def error(x: Array, clean: Array) -> float:
    """Return the mean squared error of pixels."""
    return float(((x - clean) ** 2).mean())


def show(axes: Axes, fits: dict[str, Any]) -> None:
    """Draw what the evaluations found, with the best ones."""
    for rule, fit in fits.items():
        found = fit.evaluations
        best, later = found.cost.argmin(), found.step > 0  # the start is far above
        axes.plot(found.step[later], found.cost[later], color=COLOURS[rule], linewidth=2, label=rule)
        axes.plot(found.step[best], found.cost[best], "o", color=COLOURS[rule])
    top, least = (pick(fit.evaluations.cost[-1] for fit in fits.values()) for pick in (max, min))
    axes.set_ylim(least - 0.15 * (top - least) - 0.5, top + 2 * (top - least) + 2)
    axes.set_xlabel("steps")
    axes.set_title("Held-out cost, nats; dots: the best", loc="left", fontweight="bold")
    axes.legend(frameon=False)


def main() -> None:
    """Train with each estimator, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", default="digits", help="digits (scikit-learn's), or a file of pictures, as MNIST's")
    parser.add_argument("--units", type=int, default=32, help="bits in the layer")
    parser.add_argument("--steps", type=int, default=4000, help="at most")
    parser.add_argument("--every", type=int, default=250, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="small steps gain nothing from more")
    parser.add_argument("--out", default="denoising.png", help="where the picture goes")
    options = parser.parse_args()
    images = load_images(options.data).holding_out()
    net = network(images.train.shape[1], options.units, options.seed)
    fits = {rule: learn(net, images, rule, options) for rule in COLOURS}
    kept = sc.Stream(options.seed).spawn(1)[0].uniform(images.test.shape) >= RATE
    seen = images.test * kept
    clean = restored(fits["disarm"].best_model, seen / (1 - RATE), 50)
    blank = error(np.broadcast_to(images.train.mean(axis=0), seen.shape), images.test)
    print(
        f"mean squared error of pixels to test: corrupted {error(seen, images.test):.4f}, "
        f"restored {error(clean, images.test):.4f}, the mean picture {blank:.4f}"
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplot_mosaic([["cost", "top"], ["cost", "bottom"]], width_ratios=[1, 1.55])
        show(panels["cost"], fits)
        for first, name in ((0, "top"), (SHOWN, "bottom")):
            parts = (part[first : first + SHOWN].reshape(-1, *images.shape) for part in (seen, clean, images.test))
            image_grid(panels[name], np.stack(list(parts)).astype(np.float32))
        panels["top"].set_title("Corrupted; restored from bits (disarm); clean", loc="left", fontweight="bold")
        figure.savefig(options.out, dpi=110)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
