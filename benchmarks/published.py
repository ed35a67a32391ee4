"""Train the linear networks of the published table on MNIST: one layer of 200 units, or two.

    python benchmarks/published.py train-images-idx3-ubyte.gz 200 --steps 1000000
    python benchmarks/published.py train-images-idx3-ubyte.gz 200,200 --steps 700000

Batch 50, DisARM with one pair or a trunk and two branches, Adam from 1e-3 down a half cosine, the first 50,000 images,
binarised afresh; one thread, so that two of them fill two cores. Prints the bound on the first 10,000 of these (two
draws an image), with seconds of processor time and of the clock for training alone, twenty times on the way. A run that
is killed goes on from its file.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import stochcore as sc
from stochcore.data import load_images

MARKS, RATE, BATCH = 20, 1e-3, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("layers")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--file", type=Path, help="what a killed run goes on from")
    arguments = parser.parse_args()
    layers = tuple(int(n) for n in arguments.layers.split(","))
    data = load_images(arguments.images).train[:50_000]
    model = sc.BernoulliVAE(784, layers, mean=data.mean(axis=0, dtype=np.float64))
    steps, spent = arguments.steps, 0.0
    if arguments.file and arguments.file.exists():
        fit = sc.optimize.Fit.load(arguments.file, model, data=data)
    else:
        fit = sc.minimize(
            model, data=data, batch_size=BATCH, n_steps=0, n_samples=len(layers) + 1, estimator="disarm",
            optimizer=sc.Adam(sc.schedules.cosine_decay(RATE, steps)),
        )  # fmt: skip
    while fit.n_steps < steps:
        mark = (fit.n_steps * MARKS // steps + 1) * steps // MARKS
        began = time.process_time()
        fit = fit.resume(mark - fit.n_steps, n_threads=1)
        spent += time.process_time() - began
        mean, se = fit.model.bound(data[:10_000], n_draws=2, n_threads=1)
        print(f"step {mark:>9,}: {mean:.2f} +- {se:.2f}, {spent:,.0f} s of one core, {fit.seconds:,.0f} s", flush=True)
        if arguments.file:
            fit.save(arguments.file)


if __name__ == "__main__":
    main()
