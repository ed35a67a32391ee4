"""A classifier with hard decisions inside: a layer of stochastic binary units between two ordinary ones.

Each picture is turned into some bits, drawn with probabilities that the first layers give, and the last layers see the
bits alone. There is no derivative through a bit: its layer learns by the score function, whose baseline is the mean
cost of the picture's other samples (leave-one-out), or by DisARM. Straight-through, which pretends that a bit is its
mean, stands beside them; it is biased. Where the bits pay, they are also a code: how alike are pictures of one class?

The digits are scikit-learn's (8 x 8 pixels, 1,437 to learn from and 360 to test), or MNIST from a folder with its four
files:

    python examples/hard_decisions.py --out hard_decisions.png
    python examples/hard_decisions.py --data folder --units 64 --epochs 20 --out mnist.png
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import stochcore as sc
from stochcore.data import load_images
from stochcore.plotting import BLUE, GREY, INK, ORANGE, STYLE

Array = NDArray[Any]
COLOURS = {"leave_one_out": BLUE, "disarm": INK, "straight_through": ORANGE}


def digits() -> tuple[Array, Array, Array, Array]:
    """Return scikit-learn's digits: pixels and labels to learn from, then to test, in a random order, always alike."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = (data.data / 16).astype(np.float32)[order], data.target[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def labels(path: Path) -> Array:
    """Return the labels of an idx file of bytes, gzipped."""
    held = gzip.decompress(path.read_bytes())
    if held[:4] != bytes([0, 0, 8, 1]) or len(held) != 8 + int.from_bytes(held[4:8], "big"):
        raise SystemExit(f"{path} is no idx file of labels")
    return np.frombuffer(held, dtype=np.uint8, offset=8).astype(np.int64)


def mnist(folder: Path) -> tuple[Array, Array, Array, Array]:
    """Return MNIST from its four files."""
    images = load_images(folder / "train-images-idx3-ubyte.gz")
    train, test = (labels(folder / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
    return images.train, train, images.test, test


def wrong(net: sc.Network, x: Array, y: Array) -> float:
    """Return the share of pictures whose likeliest class, by the mean over 20 samples of the bits, is wrong."""
    return float((net.predict(x, n_samples=20).argmax(axis=1) != y).mean())


def learn(net: sc.Network, data: tuple[Array, Array, Array, Array], rule: str, epochs: int, seed: int) -> Any:
    """Train, looking at the pictures to test after each epoch; return epochs, shares of errors, and the network."""
    x, y, test_x, test_y = data
    each, errors, started = len(x) // 100, [], time.perf_counter()
    fit = sc.minimize(net, data=(x, y), batch_size=100, n_samples=4, n_steps=0, estimator=rule, seed=seed,
                      optimizer=sc.Adam(sc.schedules.linear_decay(3e-3, max(1, epochs * each))))  # fmt: skip
    for _ in range(epochs):
        fit = fit.resume(each)
        errors.append(wrong(fit.model, test_x, test_y))
    mean, se = fit.model.loss((test_x, test_y), n_draws=50)
    print(
        f"{rule}: {fit.n_steps} steps, cost of the test pictures {mean:.3f} +- {se:.3f} nats, {errors[-1]:.2%} wrong, "
        f"{time.perf_counter() - started:.1f} s"
    )
    return np.arange(1, epochs + 1), np.array(errors), fit.model


def bits(net: sc.Network, x: Array) -> Array:
    """Return the probability of each bit: the layers up to the units, as a network of their own."""
    p = net.parameters
    front = sc.Network(
        sc.Linear(p["linear0.weight"], p["linear0.bias"]), sc.LeakyReLU(0.3),
        sc.Linear(p["linear1.weight"], p["linear1.bias"]), cost=sc.costs.BernoulliLikelihood(),
    )  # fmt: skip
    return front.predict(x)


def main() -> None:
    """Train with each estimator, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, help="a folder with MNIST's four files; left out: scikit-learn's digits")
    parser.add_argument("--units", type=int, default=32, help="bits in the layer")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="hard_decisions.png", help="where the picture goes")
    options = parser.parse_args()
    data = digits() if options.data is None else mnist(options.data)
    net = sc.Network(
        sc.Linear(data[0].shape[1], 200), sc.LeakyReLU(0.3), sc.Linear(200, options.units), sc.BernoulliUnits(),
        sc.Linear(options.units, 100), sc.LeakyReLU(0.3), sc.Linear(100, 10), cost=sc.costs.CrossEntropy(),
        seed=options.seed,
    )  # fmt: skip
    found = {rule: learn(net, data, rule, options.epochs, options.seed) for rule in COLOURS}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 4.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for rule, (epochs, errors, _) in found.items():
            left.plot(epochs, 100 * errors, color=COLOURS[rule], label=rule, linewidth=2)
        left.set_yscale("log")
        left.set_xlabel("epochs")
        left.set_ylabel("test pictures wrong, %")
        left.legend(frameon=False)
        left.set_title("Decisions inside, and it learns", loc="left", fontweight="bold")
        chance = bits(found["disarm"][2], data[2])
        means = np.array([chance[data[3] == digit].mean(axis=0) for digit in range(10)])
        right.imshow(means, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        right.set_yticks(range(10))
        right.set_xlabel("bit", color=GREY)
        right.set_title("How often each bit is on, by digit (disarm)", loc="left", fontweight="bold")
        figure.savefig(options.out, dpi=110)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
