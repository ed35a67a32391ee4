"""Estimates that are killed and go on: a file of shards that is cut anywhere, of another run, in use, full."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cluster
import numpy as np
import pytest
from cluster import MODELS, digest, estimate

import stochcore as sc
from stochcore.estimators import journal

pytest.importorskip("cloudpickle", reason="costs within functions travel by it")

HERE = str(Path(cluster.__file__).parent)


@pytest.fixture(scope="module")
def serial():
    return {name: digest(estimate(name)) for name in MODELS}


class Counted:
    """The cost of the Python model, and how often it was asked."""

    def __init__(self):
        self.rows = 0

    def __call__(self, y):
        self.rows += len(y)
        return cluster.quadratic(y)

    def __reduce__(self):
        return Counted, ()


def again(cost, path, **options):
    model, _, estimator = MODELS["a Python cost"]
    n = cluster.samples("a Python cost")
    return sc.estimate(model, cost, n, estimator=estimator, seed=7, checkpoint=path, **options)


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_leaves_the_bits_alone(serial, tmp_path, name):
    path = tmp_path / "shards"
    assert digest(estimate(name, checkpoint=path)) == serial[name]
    whole = path.read_bytes()
    assert digest(estimate(name, checkpoint=path)) == serial[name]
    assert path.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == ["shards"]


def test_a_finished_run_is_not_run_again(serial, tmp_path):
    again(Counted(), tmp_path / "shards")
    cost = Counted()
    assert digest(again(cost, tmp_path / "shards")) == serial["a Python cost"]
    assert cost.rows == 0


def test_cut_at_any_byte(serial, tmp_path):
    """What is whole is used, the rest is made again; the bits are those of a run that was never cut."""
    path = tmp_path / "shards"
    again(Counted(), path)
    whole = path.read_bytes()
    record = journal.RECORD.size + 8 * estimate("a Python cost")._tree.layout.node_size + journal.HEAD.size
    header = len(whole) - 6 * record
    rng = np.random.default_rng(0)
    cuts = {0, 1, len(journal.MAGIC), header - 1, header, header + 1, len(whole) - 1, *rng.integers(0, len(whole), 40)}
    rows = cluster.samples("a Python cost")
    for cut in sorted(int(c) for c in cuts):
        path.write_bytes(whole[:cut])
        cost = Counted()
        assert digest(again(cost, path)) == serial["a Python cost"]
        kept = max(0, cut - header) // record
        assert cost.rows == rows - kept * 65536
        assert path.read_bytes() == whole


def test_an_altered_byte_is_not_believed(serial, tmp_path):
    path = tmp_path / "shards"
    again(Counted(), path)
    whole = bytearray(path.read_bytes())
    for at in np.random.default_rng(1).integers(len(journal.MAGIC), len(whole), 30):
        other = whole.copy()
        other[at] ^= 4
        path.write_bytes(other)
        try:
            found = again(Counted(), path)
        except ValueError as error:
            assert "`checkpoint`" in str(error)  # noqa: PT017
            assert "cannot be read" in str(error) or "differs" in str(error)  # noqa: PT017
        else:
            assert digest(found) == serial["a Python cost"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 8}, "stream"),
        ({"estimator": "leave_one_out"}, "estimator"),
        ({"n_samples": 300_000}, "n_samples"),
        ({"model": sc.Bernoulli(logits=np.zeros(12))}, "model"),
        ({"cost": sc.costs.Linear(np.ones(12))}, "cost"),
    ],
)
def test_of_another_estimate(tmp_path, change, name):
    options = {"model": MODELS["Bernoulli"][0], "cost": cluster.quadratic, "n_samples": 400_000, "estimator": "disarm"}
    path = tmp_path / "shards"
    sc.estimate(**options, checkpoint=path, seed=7)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=rf"`checkpoint` .* is of another estimate: its {name} differs"):
        sc.estimate(**{**options, "seed": 7, **change}, checkpoint=path)
    assert path.read_bytes() == whole


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("do not lose me")
    with pytest.raises(ValueError, match="`checkpoint` must be a file of shards, or none yet, got"):
        estimate("Bernoulli", checkpoint=path)
    assert path.read_text() == "do not lose me"
    with pytest.raises(TypeError, match="`checkpoint` must be a path, got 3"):
        estimate("Bernoulli", checkpoint=3)
    with pytest.raises(IsADirectoryError):
        estimate("Bernoulli", checkpoint=tmp_path)
    with pytest.raises(FileNotFoundError):
        estimate("Bernoulli", checkpoint=tmp_path / "nowhere" / "shards")


def test_in_use(tmp_path):
    path = tmp_path / "shards"

    class Greedy:
        def __call__(self, y):
            with pytest.raises(ValueError, match="is in use by another run"):
                estimate("Bernoulli", checkpoint=path)
            return cluster.quadratic(y)

        def __reduce__(self):
            return Greedy, ()

    model, _, _ = MODELS["a Python cost"]
    sc.estimate(model, Greedy(), 65536, checkpoint=path)


PROGRAM = """
import sys
from concurrent.futures import ProcessPoolExecutor
import cluster, stochcore as sc
model, _, estimator = cluster.MODELS["a Python cost"]
if __name__ == "__main__":
    make = (lambda: ProcessPoolExecutor(2)) if sys.argv[2] == "pool" else None
    print("begun", flush=True)
    found = sc.estimate(model, cluster.Slow(), cluster.samples("a Python cost"), estimator=estimator, seed=7,
                        checkpoint=sys.argv[1], executor=make)
    print(cluster.digest(found), flush=True)
"""


@pytest.mark.parametrize("who", ["here", "pool"])
def test_killed_at_any_moment(serial, tmp_path, who):
    """SIGKILL some times over, then on to the end; no more than a shard for each worker is lost each time."""
    path, program = tmp_path / "shards", tmp_path / "program.py"
    program.write_text(PROGRAM)
    run = [sys.executable, str(program), str(path), who]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([HERE, *sys.path])}
    sizes = []
    for wait in (0.15, 0.35):
        child = subprocess.Popen(run, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(wait)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        sizes.append(path.stat().st_size if path.exists() else 0)
    assert sizes == sorted(sizes)
    done = subprocess.run(run, env=env, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["begun", serial["a Python cost"]]


def test_ctrl_c_keeps_what_is_done(tmp_path, serial):
    path = tmp_path / "shards"
    cluster.Interrupted.left = 4
    with pytest.raises(KeyboardInterrupt):
        again(cluster.Interrupted(), path)
    cluster.Interrupted.left = 100
    assert digest(again(cluster.Interrupted(), path)) == serial["a Python cost"]
    assert cluster.Interrupted.left == 98  # four shards were kept, two were made


def test_a_full_disk(tmp_path, monkeypatch, serial):
    path = tmp_path / "shards"
    add, left = journal.Journal.add, [3]

    def full(self, first, shards, node):
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        add(self, first, shards, node)

    monkeypatch.setattr(journal.Journal, "add", full)
    with pytest.raises(OSError, match="No space left"):
        again(Counted(), path)
    monkeypatch.undo()
    cost = Counted()
    assert digest(again(cost, path)) == serial["a Python cost"]
    assert cost.rows == cluster.samples("a Python cost") - 3 * 65536


def test_a_long_file_is_written_anew(tmp_path, monkeypatch):
    """Merged shards take the place of their parts; what has come early stays."""
    monkeypatch.setattr(journal, "SLACK", 2000)
    model, cost = sc.Bernoulli(logits=[0.5]), sc.costs.Linear([1.0])
    path, n = tmp_path / "shards", 200 * 65536
    wanted = digest(sc.estimate(model, cost, n))
    assert digest(sc.estimate(model, cost, n, checkpoint=path)) == wanted
    assert path.stat().st_size < 12_000  # 200 records would be 16,000 and the header
    assert digest(sc.estimate(model, cost, n, checkpoint=path)) == wanted
    path.unlink()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert digest(sc.estimate(model, cost, n, checkpoint=path, executor=executor)) == wanted
    assert digest(sc.estimate(model, cost, n, checkpoint=path)) == wanted


def test_stopping_goes_on_where_it_was(tmp_path):
    model, _, estimator = MODELS["a Python cost"]
    options = {"estimator": estimator, "target_se": 0.03, "max_samples": 10**7}
    alone = sc.estimate(model, cluster.quadratic, **options)
    for _ in range(2):
        found = sc.estimate(model, cluster.quadratic, **options, checkpoint=tmp_path / "shards")
        assert found.n_samples == alone.n_samples
        assert digest(found) == digest(alone)
