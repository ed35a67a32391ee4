"""How an estimate scales past one process: workers, shards, and the merge of what thousands of workers bring.

python benchmarks/scaling.py workers     # two worker processes beside one, by kind of executor, 10^9 pairs
python benchmarks/scaling.py shards      # what a shard costs beyond its samples
python benchmarks/scaling.py merge       # how fast one process merges, from 10,000 workers in random order
mpiexec -n 3 python -m mpi4py.futures benchmarks/scaling.py mpi
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

import stochcore as sc
from stochcore.estimators import workers

PAIRS, SITES, ROUNDS, TURNS = 10**9, 1000, 5, 5


@contextlib.contextmanager
def process_pool(n: int) -> Iterator[Any]:
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        yield pool


@contextlib.contextmanager
def loky(n: int) -> Iterator[Any]:
    from loky import ProcessPoolExecutor as Pool

    with Pool(n) as pool:
        yield pool


@contextlib.contextmanager
def dask(n: int) -> Iterator[Any]:
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=n, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster) as client, client.get_executor() as executor:
        yield executor


POOLS = {"process pool": process_pool, "loky": loky, "dask": dask}


def model() -> tuple[Any, Any]:
    return sc.Bernoulli(logits=np.linspace(-2, 2, SITES)), sc.costs.Linear(np.linspace(-1, 1, SITES))


def seconds(executor: Any, n_samples: int) -> float:
    """The least time of an estimate, once the workers have begun."""
    q, cost = model()
    sc.estimate(q, cost, 3 * 65536 // 8, executor=executor)
    return min(sc.estimate(q, cost, n_samples, executor=executor).seconds for _ in range(ROUNDS))


def compare_workers() -> None:
    n = PAIRS // SITES
    q, cost = model()
    alone = min(sc.estimate(q, cost, n, n_threads=1).seconds for _ in range(ROUNDS))
    print(f"{PAIRS:.0e} pairs of {SITES} sites; this process, one thread: {alone:.3f} s")
    for name, pool in POOLS.items():
        spent: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(TURNS):  # the machine is not as fast at all times
            for workers_, found in spent.items():
                with pool(workers_) as executor:
                    found.append(seconds(executor, n))
        one, two = (float(np.median(found)) for found in spent.values())
        ratios = sorted(a / b for a, b in zip(*spent.values(), strict=True))
        told = f"one worker {one:.3f} s, two {two:.3f} s, {ratios[TURNS // 2]:.2f} times as fast"
        print(f"{name:>13}: {told} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


def compare_mpi() -> None:
    """One worker and two: MPI's pool takes as many as it is told of the processes that there are."""
    from mpi4py.futures import MPIPoolExecutor

    n, spent = PAIRS // SITES, []
    with MPIPoolExecutor() as executor:
        spent.append(seconds(executor, n))
        print(f"mpi, {executor.num_workers} workers: {spent[0]:.3f} s", flush=True)


def cost_of_shards() -> None:
    """Shards of next to no work: 64 blocks of 1,024 samples of one site."""
    q, cost, shards = sc.Bernoulli(logits=[0.3]), sc.costs.Linear([1.0]), 400
    n = shards * 65536
    alone = min(sc.estimate(q, cost, n, n_threads=1).seconds for _ in range(ROUNDS))
    print(f"{shards} shards of {65536} samples of one site; here {1e3 * alone / shards:.3f} ms a shard")
    for name, pool in POOLS.items():
        with pool(1) as executor:
            sc.estimate(q, cost, 10 * 65536, executor=executor)
            spent = min(sc.estimate(q, cost, n, executor=executor).seconds for _ in range(ROUNDS))
        print(f"{name:>13}: {1e3 * (spent - alone) / shards:.3f} ms a shard more", flush=True)


class Simulated(Executor):
    """Thousands of workers in one thread: a shard takes one of them a random time by a clock that is made up."""

    def __init__(self, n_workers: int, mean_seconds: float) -> None:
        self.rng, self.mean = np.random.default_rng(0), mean_seconds
        self.free = [0.0] * n_workers
        self.events: list[tuple[float, int, Future[Any], int, int]] = []
        self.clock, self.count, self.nodes = 0.0, 0, b""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        begin = max(heapq.heappop(self.free), self.clock)
        end = begin + sum(self.rng.exponential(self.mean, len(args[2])))
        heapq.heappush(self.free, end)
        heapq.heappush(self.events, (end, self.count, future, args[2][0][0], len(args[2])))
        self.count += 1
        return future

    def advance(self) -> None:
        """Let the next worker be ready."""
        self.clock, _, future, first, shards = heapq.heappop(self.events)
        future.set_result((self.mean * shards, [(first, shards, self.nodes)]))


class Stepping(workers.Workers):
    """Workers whose clock goes on whenever somebody would wait for one."""

    def _take(self, *args: Any) -> None:
        self._executor.advance()
        super()._take(*args)


def merge_of_thousands() -> None:
    """The real merge and the real queue, fed by a simulation of 10,000 workers that finish in random order."""
    from stochcore.estimate import Tree
    from stochcore.estimators.run import prepared
    from stochcore.noise import Stream

    n_workers, shards = 10_000, 100_000
    for parameters in (10, 1_000, 10_000):
        q, cost = sc.Bernoulli(logits=np.zeros(parameters)), sc.costs.Linear(np.ones(parameters))
        run = prepared(q, cost, 10 * 65536, sc.estimators.LeaveOneOut(), Stream(0))
        simulated = Simulated(n_workers, 1.0)
        node = np.ones(run.layout.node_size)
        node[:2] = 65536.0, 64.0
        simulated.nodes = node.tobytes()
        crew, tree, most = Stepping(simulated), Tree(run.layout), 0
        message = workers.Message({"nothing": None})
        began = time.perf_counter()
        todo = ((number, (64 * number, 64, 0)) for number in range(shards))
        for first, size, made in crew.nodes(message, run.layout.node_size, todo, shards, lambda *_: None, False):
            tree.push(first, size, made)
            most = max(most, len(crew._going))
        spent = time.perf_counter() - began
        print(
            f"{parameters:>7,} parameters, {8 * node.size:>9,} bytes a shard: {1e6 * spent / shards:7.1f} us a shard, "
            f"{shards / spent:9,.0f} shards/s, {most:,} on their way, made-up time {simulated.clock:.1f} s for "
            f"{shards / n_workers:.0f} each",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = {"workers": compare_workers, "shards": cost_of_shards, "merge": merge_of_thousands, "mpi": compare_mpi}
    parser.add_argument("what", choices=list(what))
    what[parser.parse_args().what]()


if __name__ == "__main__":
    main()
