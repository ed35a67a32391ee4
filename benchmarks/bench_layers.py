"""layers: training steps of sc.Network on 784 pixels, batch 100, two samples of the units for each image.

Beside JAX: the same network, estimator (DisARM's pair) and Adam under jit and scan. Beside BLAS: the step's matrix
products alone, each called once for the whole batch, on as many threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, THREADS, Run, Work, cases, measured, peer

import stochcore as sc

BATCH, K, D, H, RATE = 100, 2, 784, 200, 1e-3
STEPS = 3 if SMOKE else 25
NETS: dict[str, Callable[[], sc.Network]] = {
    "784-200 units-784": lambda: sc.Network(
        sc.Linear(D, H), sc.BernoulliUnits(), sc.Linear(H, D), cost=sc.costs.BernoulliLikelihood()
    ),
    "784-200-200 units-200-784": lambda: sc.Network(
        sc.Linear(D, H), sc.LeakyReLU(0.3), sc.Linear(H, H), sc.BernoulliUnits(),
        sc.Linear(H, H), sc.LeakyReLU(0.3), sc.Linear(H, D), cost=sc.costs.BernoulliLikelihood()
    ),
}  # fmt: skip


def images() -> Any:
    return (np.random.default_rng(0).random((5_000, D)) < 0.13).astype(np.float32)


def train(net: sc.Network, data: Any, batch: int, n_steps: int, rate: float, threads: int) -> Run:
    """Steps alone, as those of a peer that was compiled before."""
    trainer = net.trainer(data, batch_size=batch, n_samples=K, estimator="disarm", n_threads=threads)
    adam = sc.Adam(rate)
    moments = np.zeros((2, trainer.parameters.size), dtype=np.float32)
    return lambda: trainer.run(adam.kind, adam.scalars(0, n_steps), 0, moments)


def products(net: sc.Network, batch: int, n_steps: int, threads: int) -> Run:
    """The matrix products of so many steps, and nothing else."""
    from scipy.linalg.blas import sgemm
    from threadpoolctl import threadpool_limits

    noise, calls, rows = np.random.default_rng(0), [], batch

    def add(n: int, k: int, m: int, **turned: int) -> None:
        a, b = (noise.random(s, dtype=np.float32) for s in ((k, m) if turned.get("trans_a") else (m, k), (n, k)))
        b = b if turned.get("trans_b") else b.T
        c = np.zeros((m, n), dtype=np.float32, order="F")
        arrays = np.asfortranarray(a), np.asfortranarray(b)
        calls.append(lambda: sgemm(1.0, *arrays, 0.0, c, overwrite_c=1, **turned))

    below = False  # does a gradient by the input of this layer reach parameters?
    for layer, width in zip(net.layers, net.sizes, strict=False):
        if layer.units:
            rows, below = batch * K, False
        elif layer.wants:
            m = layer.outputs(width)
            add(rows, width, m)
            add(width, rows, m, trans_b=1)
            if below:
                add(rows, m, width, trans_a=1)
            below = True

    def run() -> None:
        with threadpool_limits(threads, "blas"):
            for _ in range(n_steps):
                for call in calls:
                    call()

    return run


def work(name: str, threads: int, against: str) -> Work:
    held = {"jax": {"floor": 1.5, "goal": 2.5}, "scipy": {"floor": 0.55, "goal": 0.8}}[against]
    what = f"{name}, batch {BATCH}" if against == "jax" else f"{name}, batch {BATCH}, beside its products alone"
    return Work("layers", what, STEPS, "steps", threads, headline=against == "jax", against=against, pair=True, **held)  # type: ignore[arg-type]


@cases(
    [(work(name, threads, who), name) for name in NETS for who in ("jax", "scipy") for threads in THREADS],
    peers=("jax", "scipy"),
)
def bench_network(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    (name,) = arguments
    net, data = NETS[name](), images()

    def theirs(module: Any) -> Run:
        if work.against == "scipy":
            return products(net, BATCH, STEPS, work.threads)
        run: Run = module.train_stack(data, name != "784-200 units-784", BATCH, STEPS, RATE, work.threads)
        return run

    run = train(net, data, BATCH, STEPS, RATE, work.threads) if who == OURS else theirs(_module(who))
    measured(benchmark, work, who, run, elements=3 * BATCH * K * D * H / 128, make=theirs)


def _module(who: str) -> Any:
    return None if who == "scipy" else peer(who)
