"""Draw how the variance of the encoder's gradient goes while a network learns MNIST, for all estimators of its units.

    python benchmarks/plot_gradients.py ../shared/data/mnist/train-images-idx3-ubyte.gz docs/gradient-variance.png

A `BernoulliVAE` of 784 pixels and 200 units learns by DisARM (batch 50, Adam 1e-3). At each mark every estimator looks
at the same 100 binary images with the same parameters, 60 times with noise of its own; what is drawn is the variance of
an entry of W's gradient, the mean over entries, for two evaluations of the cost an image: that of an estimator which
takes E evaluations is multiplied by E / 2. Baselines that remember are those of that moment: the moving average is the
mean cost, and the nets of nvil and the coefficients of double_cv and rodeo learn along a path of their own to the mark.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import stochcore as sc
from stochcore.data import load_images

MARKS = (0, 100, 300, 1_000, 3_000, 10_000, 30_000)
COPIES, IMAGES, UNITS, BATCH = 60, 100, 200, 50
RULES = {  # samples, evaluations for an image
    "score_function": (2, 2),
    "moving_average": (2, 2),
    "nvil": (2, 2),
    "leave_one_out": (2, 2),
    "arm": (2, 2),
    "disarm": (2, 2),
    "double_cv": (2, 2),
    "rodeo": (2, 2),
    "local_expectation": (1, 1 + UNITS),
    "vimco": (2, 2),
    "straight_through": (2, 2),
    "gumbel_softmax": (2, 2),
}
STYLES = {"vimco": "--", "straight_through": ":", "gumbel_softmax": ":"}  # of another bound; biased
REMEMBER = ("nvil", "double_cv", "rodeo")


def variance(model: sc.BernoulliVAE, x: Any, rule: str, path: Any) -> float:
    """The mean variance of W's gradient, for two evaluations an image."""
    samples, evaluations = RULES[rule]
    estimator: Any = rule
    if rule == "moving_average":
        estimator = sc.estimators.ScoreFunction(-model.bound(x, n_draws=5)[0])
    trainer = model.trainer(x, batch_size=len(x), n_samples=samples, estimator=estimator)
    if path is not None:  # what it remembers, beside the same model
        trainer.parameters[model._flat.size :] = path.parameters[model._flat.size :]
        if path.average is not None:
            trainer.average[:] = path.average
    grads = []
    moments = np.zeros((2, trainer.parameters.size), dtype=np.float32)
    for copy in range(COPIES):  # a step that moves nothing, on all images in another order
        trainer.run(-1, np.zeros((1, 6)), copy, moments)
        grads.append(weights_of(trainer, model))
    return float(np.var(grads, axis=0, ddof=1).mean()) * evaluations / 2


def weights_of(trainer: Any, model: sc.BernoulliVAE) -> Any:
    """The gradient by W that the last step has left."""
    if hasattr(trainer, "_descent"):
        return model._named(trainer._unpadded(trainer._descent.gradient()))["W"].astype(np.float64)
    return model._named(trainer._work.gradient[: model._flat.size])["W"].astype(np.float64)


def measured(images: Any) -> dict[str, list[float]]:
    """Variances at all marks."""
    mean = images.mean(axis=0, dtype=np.float64)
    x = (np.random.default_rng(0).random((IMAGES, 784)) < images[:IMAGES]).astype(np.float32)
    start = sc.BernoulliVAE(784, UNITS, mean=mean)
    options = {"data": images, "batch_size": BATCH, "optimizer": sc.Adam(1e-3), "n_samples": 2}
    fits = {rule: sc.minimize(start, n_steps=0, estimator=rule, **options) for rule in ("disarm", *REMEMBER)}
    found: dict[str, list[float]] = {rule: [] for rule in RULES}
    for mark in MARKS:
        fits = {rule: fit.resume(mark - fit.n_steps) for rule, fit in fits.items()}
        model = fits["disarm"].model
        for rule in RULES:
            path = fits[rule]._trainer if rule in REMEMBER else None
            found[rule].append(variance(model, x, rule, path))
        row = ", ".join(f"{rule} {values[-1]:.3g}" for rule, values in found.items())
        print(f"step {mark:>6,}: {row}", flush=True)
    return found


def draw(found: dict[str, list[float]], out: Path) -> None:
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    at = [max(mark, 30) for mark in MARKS]  # the start stands left of the logarithm
    order = sorted(found, key=lambda rule: -found[rule][-1])
    for i, rule in enumerate(order):
        color = colormaps["tab20"]((2 * i + i // 10) % 20)  # the dark ones first
        label = f"{rule} (biased)" if STYLES.get(rule) == ":" else rule
        axes.plot(at, found[rule], STYLES.get(rule, "-"), color=color, marker="o", markersize=3.5, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(at, ["start" if mark == 0 else f"{mark:,}" for mark in MARKS])
    axes.minorticks_off()
    axes.set_xlabel("steps of training")
    axes.set_ylabel("variance of an entry, at two evaluations an image")
    axes.set_title("The encoder's gradient while a network with 200 binary units learns MNIST", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, bbox_to_anchor=(1.01, 1), loc="upper left", title="at the right edge, from above")
    figure.savefig(out, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    draw(measured(load_images(arguments.images).train[:50_000]), arguments.out)


if __name__ == "__main__":
    main()
