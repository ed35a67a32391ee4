"""costs: J of samples that are there already. The peers' samples are converted already, ours are the bytes."""

import ctypes
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from side_by_side import ALL, OURS, SMOKE, THREADS, Work, cases, measured, peer

import stochcore as sc

LINEAR = ((100, 20),) if SMOKE else ((10_000, 1_000), (100_000, 10), (100, 10_000))  # samples, sites
QUADRATIC = ((100, 20),) if SMOKE else ((10_000, 100), (1_000, 1_000), (100_000, 10))
GSET = Path(__file__).resolve().parents[2] / "shared" / "data" / "gset"
# nodes, edges, samples: those of G22, at three numbers of samples; of G14 and G55
GRAPHS = (
    ((20, 60, 50),)
    if SMOKE
    else ((2000, 19990, 4096), (2000, 19990, 64), (2000, 19990, 512), (800, 4694, 4096), (5000, 12498, 2048))
)
NAMES = {2000: "G22", 800: "G14", 5000: "G55"}
FLOOR, GOAL = 10.0, 30.0  # of the ratio to SciPy's CSR, on G22
CALLS = (200, 10) if SMOKE else (200_000, 10)  # samples, sites


def ours(y: Any, weights: Any, threads: int) -> Any:
    cost = sc.costs.Linear(weights) if weights.ndim == 1 else sc.costs.Quadratic(weights)
    return lambda: cost(y)


@cases(
    [
        (Work("costs", f"{name}, {n:,} x {sites:,}", n * size(sites), "products"), name, n, sites)
        for name, shapes, size in (
            ("Linear", LINEAR, lambda sites: sites),
            ("Quadratic", QUADRATIC, lambda sites: sites**2),
        )
        for n, sites in shapes
    ],
    peers=("numpy",),
)
def bench_cost(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    name, n, sites = arguments
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=(n, sites), dtype=np.uint8)
    weights = rng.normal(size=(sites,) * (1 if name == "Linear" else 2))
    make = ours if who == OURS else getattr(peer(who), name.lower())
    j = measured(benchmark, work, who, make(y, weights, work.threads))
    wanted = y @ weights if name == "Linear" else ((y @ weights) * y).sum(axis=1)
    np.testing.assert_allclose(j, wanted, rtol=1e-3, atol=1e-2 * np.sqrt(weights.size))


def graph(nodes: int, edges: int) -> Any:
    """A graph of the Gset, or a random one of its size where there is no such file."""
    path = GSET / f"{NAMES.get(nodes, '')}.txt"
    if path.exists():
        return sc.costs.MaxCut.read(path)
    rng = np.random.default_rng(nodes)
    pairs = np.unique(np.sort(rng.integers(nodes, size=(4 * edges, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return sc.costs.MaxCut(pairs[rng.permutation(len(pairs))[:edges]], n_nodes=nodes)


def held(n: int) -> dict[str, Any]:
    """Floor and goal on G22; half of them where the samples fill one word only."""
    share = 0.5 if n <= 64 else 1.0
    return {"floor": FLOOR * share, "goal": GOAL * share, "against": "scipy"}


def cuts(cost: Any, y: Any, threads: int) -> Any:
    kernel, flat, out = cost._kernel(), y.reshape(-1), np.empty(len(y))
    if threads == ALL:
        return lambda: cost(y)  # takes all threads
    return lambda: (kernel.rows(flat, 1, y.shape[1], out, threads), out)[1]


@cases(
    [
        (
            Work(
                "costs",
                f"MaxCut, {n:,} samples of {NAMES.get(nodes, 'a graph')} ({edges:,} edges)",
                n * edges,
                "pairs (sample, edge)",
                threads,
                headline=i == 0 and threads == 1,
                **(held(n) if nodes == 2000 and threads == 1 else {}),
            ),
            nodes,
            edges,
            n,
        )
        for i, (nodes, edges, n) in enumerate(GRAPHS)
        for threads in THREADS
    ],
    peers=("scipy",),
)
def bench_cut(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    nodes, edges, n = arguments
    cost = graph(nodes, edges)
    y = np.random.default_rng(0).integers(0, 2, size=(n, nodes), dtype=np.uint8)

    def theirs(module: Any) -> Any:
        return module.maxcut(y, cost.first, cost.second, work.threads)

    run = cuts(cost, y, work.threads) if who == OURS else theirs(peer(who))
    j = measured(benchmark, work, who, run, elements=y.size, make=theirs)
    assert np.array_equal(np.abs(j), np.abs(cost(y)))


LOOP = """
#include <stddef.h>
#include <stdint.h>
double cost(const uint8_t *y, ptrdiff_t n_sites, void *data) { return y[0] + y[n_sites - 1]; }
void loop(double (*f)(const uint8_t *, ptrdiff_t, void *), const uint8_t *y, ptrdiff_t n, ptrdiff_t sites, double *out)
{
    for (ptrdiff_t i = 0; i < n; i++) out[i] = f(y + i * sites, sites, NULL);
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no `cc`")
def bench_compiled(benchmark: Any, tmp_path: Path) -> None:
    """What a call of a compiled cost takes beyond a bare C loop over the same pointer and samples, by turns."""
    (tmp_path / "loop.c").write_text(LOOP)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "loop.c", "-o", "loop.so"], cwd=tmp_path, check=True)
    library, (n, sites) = ctypes.CDLL(str(tmp_path / "loop.so")), CALLS
    library.cost.restype, pointer = ctypes.c_double, ctypes.POINTER(ctypes.c_uint8)
    library.cost.argtypes = [pointer, ctypes.c_ssize_t, ctypes.c_void_p]
    library.loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_void_p]
    y, out = np.random.default_rng(0).integers(0, 2, size=(n, sites), dtype=np.uint8), np.empty(n)
    function, cost = ctypes.cast(library.cost, ctypes.c_void_p), sc.costs.compiled(library.cost)
    kernel, flat = cost._kernel(), y.reshape(-1)

    def bare() -> Any:
        library.loop(function, y.ctypes.data, n, sites, out.ctypes.data)

    def run() -> Any:
        kernel.rows(flat, 1, sites, out, 1)
        return out

    assert np.array_equal(run(), cost(y))
    least = [np.inf, np.inf]
    for _ in range(2 if SMOKE else 50):
        for k, each in enumerate((run, bare)):
            start = time.perf_counter()
            each()
            least[k] = min(least[k], time.perf_counter() - start)
    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(
        overhead=True,
        what=f"a compiled cost beyond its own run time, a call ({n:,} samples of {sites} sites)",
        threads=1,
        nanoseconds=1e9 * max(0.0, least[0] - least[1]) / n,
        own=1e9 * least[1] / n,
        floor=10,
        goal=3,
    )
