"""networks: training steps of a Bernoulli variational autoencoder, two samples of the units for each image.

DisARM's pair of samples and Adam, as in the programs of the references: JAX after its compilation, and
torch with its fused Adam. Deep and nonlinear ones beside JAX: a trunk, and a branch for each layer of units.
"""

from typing import Any

import numpy as np
from side_by_side import ALL, OURS, SMOKE, THREADS, Work, cases, measured, peer

import stochcore as sc
from stochcore.data import load_images

RATE = 0.003


def digits() -> Any:
    return load_images("digits").train


def mnist_like() -> Any:
    """784 pixels, most of them dark."""
    rng = np.random.default_rng(0)
    return (rng.random((5_000, 784)) ** 6).astype(np.float32)


# name, images, units, batch, steps in a call
DIGITS = ("digits, 32 units, batch 50", digits, 32, 50, 20 if SMOKE else 500)
WIDE = ("784 pixels, 200 units, batch 100", mnist_like, 200, 100, 3 if SMOKE else 25)


def train(images: Any, n_latents: int, batch: int, n_steps: int, rate: float, threads: int) -> Any:
    model = sc.BernoulliVAE(images.shape[1], n_latents, mean=images.mean(axis=0), seed=0)
    fit = sc.minimize(
        model,
        data=images,
        batch_size=batch,
        optimizer=sc.Adam(rate),
        n_steps=1,
        n_samples=2,
        estimator="disarm",
        n_threads=threads,
    )
    return lambda: fit.resume(n_steps, n_threads=threads)


def work(name: str, steps: int, threads: int) -> Work:
    """On all cores they are held to the JAX program."""
    floor, goal = (1.0, 2.0) if name == DIGITS[0] else (1.6, 2.3)
    held = {"floor": floor, "goal": goal, "against": "jax"} if threads == ALL else {}
    return Work("networks", name, steps, "steps", threads, headline=True, **held)  # type: ignore[arg-type]


@cases(
    [
        (work(name, steps, threads), images, units, batch, steps)
        for name, images, units, batch, steps in (DIGITS, WIDE)
        for threads in THREADS
    ],
    peers=("jax", "torch"),
)
def bench_train(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    load, units, batch, steps = arguments
    data = load()
    make = train if who == OURS else peer(who).train
    run = make(data, units, batch, steps, RATE, work.threads)
    small_change = data.shape[1] * units * batch * 3 / 128  # as _networks.pyx counts the work of a step
    measured(benchmark, work, who, run, elements=small_change)


DEEP: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # units, hidden
    "784 pixels, 200 and 200 units, batch 100": ((200, 200), ()),
    "784 pixels, 200 units, LeakyReLU 200-200, batch 100": ((200,), (200, 200)),
    "784 pixels, 200 and 200 units, LeakyReLU 200-200, batch 100": ((200, 200), (200, 200)),
}


def train_deep(images: Any, latents: Any, hidden: Any, batch: int, n_steps: int, rate: float, threads: int) -> Any:
    """Steps alone, as those of a peer that was compiled before."""
    model = sc.BernoulliVAE(images.shape[1], latents, hidden=hidden, mean=images.mean(axis=0))
    n_samples = len(latents) + 1
    trainer = model.trainer(images, batch_size=batch, n_samples=n_samples, estimator="disarm", n_threads=threads)
    adam = sc.Adam(rate)
    moments = np.zeros((2, trainer.parameters.size), dtype=np.float32)
    return lambda: trainer.run(adam.kind, adam.scalars(0, n_steps), 0, moments)


def deep(name: str, threads: int) -> Work:
    held = {"floor": 1.5, "goal": 2.5, "against": "jax"} if threads == ALL else {}
    return Work("networks", name, 3 if SMOKE else 25, "steps", threads, headline=True, **held)  # type: ignore[arg-type]


@cases([(deep(name, threads), name) for name in DEEP for threads in THREADS], peers=("jax",))
def bench_deep(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    (name,) = arguments
    latents, hidden = DEEP[name]
    data = mnist_like()
    make = train_deep if who == OURS else peer(who).train_deep
    run = make(data, latents, hidden, 100, 3 if SMOKE else 25, 1e-3, work.threads)
    measured(benchmark, work, who, run, elements=784 * 200 * 100 * 3 / 128)
