"""Shards by the workers of executors: one hash for any of them, deaths of workers, errors, what cannot travel."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import cluster
import numpy as np
import pytest
from cluster import MODELS, digest, estimate, quadratic

import stochcore as sc
from stochcore.estimators import workers

pytest.importorskip("cloudpickle", reason="costs within functions travel by it")

HERE = str(Path(cluster.__file__).parent)
SPAWN = get_context("spawn")  # pytest has threads, and a fork of those is no place to begin


@pytest.fixture(scope="module")
def serial():
    return {name: digest(estimate(name, n_threads=1)) for name in MODELS}


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=SPAWN) as executor:
        yield executor


@pytest.mark.parametrize("name", MODELS)
def test_threads_and_process_pools_have_the_bits_of_one_process(serial, pool, name):
    assert digest(estimate(name, n_threads=2)) == serial[name]
    assert digest(estimate(name, executor=pool)) == serial[name]
    assert digest(estimate(name, executor=pool, n_threads=2)) == serial[name]
    with ThreadPoolExecutor(3) as executor:
        assert digest(estimate(name, executor=executor)) == serial[name]


@pytest.mark.parametrize("name", MODELS)
def test_whatever_order_they_come_in(serial, name):
    """An executor that finishes what came last first."""

    class Backwards(Executor):
        def __init__(self):
            self.kept = []

        def submit(self, fn, /, *args):
            future = Future()
            self.kept.append((future, fn, args))
            threading.Timer(0.02, self.last).start()
            return future

        def last(self):
            future, fn, args = self.kept.pop()
            future.set_result(fn(*args))

    assert digest(estimate(name, executor=Backwards())) == serial[name]


@pytest.mark.slow
def test_loky(serial):
    from loky import get_reusable_executor

    for name in MODELS:
        assert digest(estimate(name, executor=get_reusable_executor(max_workers=2))) == serial[name]


def test_a_dask_cluster(serial, tmp_path):
    """Two worker processes; one of them is killed in the middle of a run, and its shard is made again."""
    pytest.importorskip("distributed", reason="a cluster of Dask")
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local,
        Client(local) as client,
        client.get_executor() as executor,
    ):
        client.run(sys.path.insert, 0, HERE)
        for name in MODELS:
            assert digest(estimate(name, executor=executor)) == serial[name]
        model, _, estimator = MODELS["a Python cost"]
        n = cluster.samples("a Python cost")
        deadly = cluster.Deadly(tmp_path / "flag")
        found = sc.estimate(model, deadly, n, estimator=estimator, seed=7, executor=executor)
        assert (tmp_path / "flag").exists()
        assert digest(found) == serial["a Python cost"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["the scheduler is killed", "connections drop"])
def test_a_dask_cluster_that_is_lost(serial, tmp_path, what):
    """An executor's end is an error that says what to do; a function makes another one, to the same bits."""
    from dask_processes import DaskProcesses

    model, _, estimator = MODELS["a Python cost"]
    n, options = cluster.samples("a Python cost"), {"estimator": estimator, "seed": 7}
    clusters, made = [DaskProcesses(tmp_path)], []

    def make():
        """An executor that is lost in the middle of a run; the third is not."""
        if made and what == "the scheduler is killed":
            clusters[-1].scheduler.wait()
            clusters.append(DaskProcesses(tmp_path))
        made.append(clusters[-1].executor())
        if len(made) < 3:
            lose = clusters[-1].relay.drop if what == "connections drop" else clusters[-1].scheduler.kill
            threading.Timer(0.4, lose).start()
        return made[-1]

    try:
        with pytest.raises(RuntimeError, match="or the connection to it did, and the executor with it"):
            sc.estimate(model, cluster.Slow(), n, executor=make(), **options)
        found = sc.estimate(model, cluster.Slow(), n, executor=make, **options)
        assert len(made) == 3
        assert digest(found) == serial["a Python cost"]
    finally:
        for one in clusters:
            one.end()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="needs an MPI, such as Debian's openmpi-bin")
def test_mpi(serial, tmp_path):
    program = (
        "from mpi4py.futures import MPIPoolExecutor; from cluster import MODELS, digest, estimate\n"
        "if __name__ == '__main__':\n"
        "    with MPIPoolExecutor() as executor:\n"
        "        for name in MODELS: print(digest(estimate(name, executor=executor)))\n"
    )
    (tmp_path / "program.py").write_text(program)
    run = subprocess.run(
        ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", str(tmp_path / "program.py")],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {
            "PYTHONPATH": os.pathsep.join([HERE, *sys.path]),
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        },
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == list(serial.values())


def test_a_killed_worker(serial, tmp_path):
    """A pool breaks with its worker: a function that makes pools goes on, to the same bits; a pool alone does not."""
    model, _, estimator = MODELS["a Python cost"]
    n = cluster.samples("a Python cost")
    options = {"estimator": estimator, "seed": 7}
    made = []

    def make():
        made.append(ProcessPoolExecutor(2, mp_context=SPAWN))
        return made[-1]

    found = sc.estimate(model, cluster.Deadly(tmp_path / "one"), n, executor=make, **options)
    assert digest(found) == serial["a Python cost"]
    assert len(made) == 2
    with (
        ProcessPoolExecutor(2, mp_context=SPAWN) as executor,
        pytest.raises(RuntimeError, match="a worker of `executor` died"),
    ):
        sc.estimate(model, cluster.Deadly(tmp_path / "two"), n, executor=executor, **options)
    made.clear()
    killed = []

    def kill(_):
        """From outside, in the middle of a run."""
        if not killed:
            killed.extend(list(made[0]._processes)[:1])
            os.kill(killed[0], signal.SIGKILL)

    found = sc.estimate(model, cluster.Slow(), n, executor=make, progress=kill, **options)
    assert digest(found) == serial["a Python cost"]
    assert len(made) == 2


def test_a_process_that_its_pool_forgot(serial):
    """Pools that break while they start a process leave it alive, and the end of Python would wait for it."""
    left = SPAWN.Process(target=time.sleep, args=(600,), daemon=True)
    left.start()

    class Forgetful(ProcessPoolExecutor):
        def submit(self, fn, /, *args):
            if len(made) > 1:
                return super().submit(fn, *args)
            self._processes[left.pid] = left
            raise BrokenProcessPool("a process died")

    made = []

    def make():
        made.append(Forgetful(1, mp_context=SPAWN))
        return made[-1]

    assert digest(estimate("Bernoulli", executor=make)) == serial["Bernoulli"]
    left.join(timeout=10)
    assert left.exitcode == -signal.SIGKILL


def test_workers_that_always_die(monkeypatch):
    class Broken(Executor):
        def submit(self, fn, /, *args):
            from concurrent.futures import BrokenExecutor

            raise BrokenExecutor("gone")

    with pytest.raises(RuntimeError, match="died 5 times without a shard between"):
        estimate("Bernoulli", executor=lambda: Broken())


def test_workers_that_know_nothing_and_die_when_told(monkeypatch):
    """Asking what an estimate is is no shard: it does not count as one between deaths."""
    monkeypatch.setattr(workers, "MOST_TOLD", 1)
    made = []

    class Dying(Executor):
        def submit(self, fn, /, data, *args):
            future = Future()
            if data is None:
                future.set_result(fn(data, b"unknown", *args[1:]))
            else:
                future.set_exception(BrokenProcessPool("gone"))
            return future

    def make():
        made.append(Dying())
        assert len(made) < 20
        return made[-1]

    with pytest.raises(RuntimeError, match="died 5 times without a shard between"):
        estimate("a Python cost", executor=make)


def test_long_shards_go_to_all_workers_before_one_is_done(serial, monkeypatch):
    """Nobody knows how many workers there are, nor how long a shard takes: after a while more of them go out."""
    monkeypatch.setattr(workers, "PATIENCE", 0.02)
    ahead, done = [], []

    class Late(Executor):
        def submit(self, fn, /, *args):
            def finish():
                done.append(args)
                future.set_result(fn(*args))

            future = Future()
            if not done:
                ahead.append(len(args[2]))
            threading.Timer(0.5, finish).start()
            return future

    assert digest(estimate("a Python cost", executor=Late())) == serial["a Python cost"]
    assert set(ahead) == {1}
    assert len(ahead) > workers.FIRST


def test_a_run_that_may_stop_does_not_go_far_ahead():
    """By a quarter of what it has done, or 16 shards, however short these are."""
    bundles = []

    class Recording(ThreadPoolExecutor):
        def submit(self, fn, /, data, token, bundle, merged):
            bundles.append((bundle[-1][0] + 1, len(bundle)))
            return super().submit(fn, data, token, bundle, merged)

    model, cost = sc.Bernoulli(logits=[0.3]), sc.costs.Linear([1.0])
    with Recording(2) as executor:
        found = sc.estimate(model, cost, target_se=2e-4, max_samples=10**9, executor=executor)
    assert bundles[0][1] <= workers.LEAST_AHEAD
    shards = found.n_samples / 65536
    assert shards > 2 * workers.LEAST_AHEAD
    assert bundles[-1][0] <= 1.25 * shards + workers.LEAST_AHEAD


def test_a_connection_that_drops(serial, pool):
    """Futures that are cancelled on their way are lost shards."""
    dropped = []

    class Dropping(Executor):
        def submit(self, fn, /, *args):
            future = pool.submit(fn, *args)
            if len(dropped) < 2:
                dropped.append(args)
                lost = Future()
                lost.cancel()
                lost.set_running_or_notify_cancel()
                return lost
            return future

    assert digest(estimate("Bernoulli", executor=lambda: Dropping())) == serial["Bernoulli"]
    assert len(dropped) == 2
    dropped.clear()
    with pytest.raises(RuntimeError, match="a worker of `executor` died"):
        estimate("Bernoulli", executor=Dropping())


def test_stopping_cancels_what_is_on_its_way(pool):
    model, cost, estimator = MODELS["a Python cost"]
    options = {"estimator": estimator, "target_se": 0.03, "seed": 7, "max_samples": 10**7}
    alone, found = (sc.estimate(model, cost, **options, executor=e) for e in (None, pool))
    assert found.n_samples == alone.n_samples < 10**7
    assert digest(found) == digest(alone)


def test_the_errors_of_costs_come_out_unchanged(pool):
    model, _, _ = MODELS["a Python cost"]
    n = cluster.samples("a Python cost")
    with pytest.raises(KeyError, match="no such thing"):
        sc.estimate(model, cluster.Faulty(), n, executor=pool)
    messages = []
    for executor in (None, pool):
        with pytest.raises(ValueError, match="`cost` must be finite, got NaN or infinity for sample ") as caught:
            sc.estimate(model, cluster.Bad(), n, executor=executor)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert digest(estimate("Bernoulli", executor=pool))  # the pool is as good as before


def test_what_cannot_travel(pool):
    model, _, _ = MODELS["Bernoulli"]

    class Inside:
        def __call__(self, y):
            return quadratic(y)

        def __reduce__(self):
            raise TypeError("it is tied to this place")

    with pytest.raises(TypeError, match=re.escape("`cost` must be picklable to travel to the workers")):
        sc.estimate(model, Inside(), 1_000_000, executor=pool)
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.POINTER(ctypes.c_uint8), ctypes.c_ssize_t, ctypes.c_void_p)
    callback = sc.costs.compiled(kind(lambda y, n, data: 0.0))
    with pytest.raises(
        TypeError, match=r"`cost` must be picklable .* cannot be pickled as a CFunctionType: an address"
    ):
        sc.estimate(model, callback, 1_000_000, executor=pool)
    found = sc.estimate(model, lambda y: quadratic(y), 1_000_000, executor=pool)  # by cloudpickle
    assert digest(found) == digest(sc.estimate(model, quadratic, 1_000_000))


@pytest.mark.parametrize("executor", [3, "pool", ProcessPoolExecutor])
def test_refusals(executor):
    with pytest.raises(TypeError, match=r"^`executor` must have the interface of concurrent\.futures\.Executor, or be"):
        sc.estimate(*MODELS["Bernoulli"][:2], 100, executor=executor)


def test_compare_and_minimize(pool):
    model, cost = sc.Bernoulli(logits=np.zeros(8)), quadratic
    for estimator in ("leave_one_out", "moving_average", "disarm"):
        options = {"n_steps": 4, "n_samples": 150_000, "estimator": estimator}
        here, there = (sc.minimize(model, cost, **options, executor=e) for e in (None, pool))
        assert here.model.logits.tobytes() == there.model.logits.tobytes()
        assert here.history.cost.tobytes() == there.history.cost.tobytes()
    here, there = (
        sc.compare(model, cost, ["disarm", "arm"], n_evals=150_000, n_rounds=1, executor=e) for e in (None, pool)
    )
    for rule in ("disarm", "arm"):
        assert digest(here[rule].estimate) == digest(there[rule].estimate)
    with pytest.raises(ValueError, match="`executor` must be left out for a value_baseline that learns"):
        sc.minimize(cluster.walk([0.1, 0.2]), n_steps=1, n_samples=64, estimator="value_baseline", executor=pool)
    with pytest.raises(TypeError, match="`executor` must be left out for a BernoulliVAE"):
        sc.minimize(sc.BernoulliVAE(3, 2), data=np.zeros((4, 3)), n_steps=1, n_samples=2, executor=pool, batch_size=2)


def test_a_fit_does_not_keep_its_executor():
    model, options = sc.Bernoulli(logits=np.zeros(8)), {"n_samples": 150_000}
    with ThreadPoolExecutor(2) as executor:
        fit = sc.minimize(model, quadratic, n_steps=2, executor=executor, **options)
    whole = sc.minimize(model, quadratic, n_steps=4, **options)
    assert fit.resume(2).model.logits.tobytes() == whole.model.logits.tobytes()


def test_ctrl_c_while_workers_are_at_it(pool):
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sc.estimate(MODELS["a Python cost"][0], cluster.Slow(), 10**7, executor=pool)
    timer.join()
    assert estimate("Bernoulli", executor=pool).n_samples == cluster.samples("Bernoulli")


def test_progress(pool, capsys):
    seen = []
    found = estimate("a Python cost", executor=pool, progress=seen.append)
    assert digest(seen[-1]) == digest(found)
    assert [e.n_samples for e in seen] == sorted(e.n_samples for e in seen)
    estimate("Bernoulli", progress=True)
    told = capsys.readouterr().err
    assert "shard 6/6, cost " in told
    assert "gradient's error <= " in told
    with pytest.raises(TypeError, match="`progress` must be a bool or a function of the Estimate, got 3"):
        estimate("Bernoulli", progress=3)


def test_workers_are_told_what_an_estimate_is_when_they_ask(serial, monkeypatch):
    """Later messages bring a token alone; whoever does not know it asks."""
    monkeypatch.setattr(workers, "MOST_TOLD", 2)
    sizes, unknown = [], []

    class Watched(ThreadPoolExecutor):
        def submit(self, fn, /, data, *args):
            def run():
                came = fn(data, *args)
                unknown.append(came is None)
                return came

            sizes.append(0 if data is None else len(data))
            return super().submit(run)

    monkeypatch.setattr(workers, "BUNDLE_SECONDS", 1e-9)
    with Watched(3) as executor:
        assert digest(estimate("Bernoulli", executor=executor)) == serial["Bernoulli"]
    assert min(sizes) == 0
    assert sum(size > 0 for size in sizes) == 2 + sum(unknown) < len(sizes)


def test_memory_in_flight_is_bounded():
    """However many shards there are, only so many are asked for at a time."""
    most = []

    class Counting(Executor):
        _max_workers = 1

        def __init__(self):
            self.going = []

        def submit(self, fn, /, *args):
            future = Future()
            self.going.append(future)
            most.append(sum(not f.done() for f in self.going))
            threading.Timer(0.001, lambda: future.set_result(fn(*args))).start()
            return future

    model, cost = sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0])
    sc.estimate(model, cost, 100 * 65536, executor=Counting())
    assert max(most) <= 16
    assert workers.LEAST_AHEAD == 16
