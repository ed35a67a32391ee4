"""optimize: fits that are kept, resumed, watched and interrupted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import stochcore as sc
from stochcore import schedules

WEIGHTS = np.linspace(-1.0, 1.0, 20)
START = sc.Bernoulli(logits=np.zeros(20))
LINEAR = sc.costs.Linear(WEIGHTS)


def bits(fit):
    parts = [fit.model.parameters, fit._moments, fit.best_y, *(fit.history[name] for name in fit.history)]
    if fit._trainer.average is not None:
        parts.append(fit._trainer.average)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


RUNS = {
    "linear": (START, LINEAR, {"optimizer": sc.Adam(0.1)}),
    "callable, maximize": (START, lambda y: y @ WEIGHTS, {"optimizer": sc.Momentum(0.1), "maximize": True}),
    "probs": (sc.Bernoulli(probs=np.full(20, 0.3)), LINEAR, {"optimizer": sc.RMSProp(0.1)}),
    "schedule, stream": (
        START,
        LINEAR,
        {
            "optimizer": sc.SGD(schedules.warmup(9, schedules.cosine_decay(0.1, 50))),
            "seed": sc.Stream(3).at(77),
        },
    ),
    "baseline": (START, LINEAR, {"estimator": "score_function", "baseline": np.linspace(0, 1, 20)}),
    "batch": (
        sc.Bernoulli(logits=np.zeros((2, 10)), batch_ndims=1),
        sc.costs.Linear(WEIGHTS.reshape(2, 10), batch_ndims=1),
        {"seed": 2**64 - 1},
    ),
    "groups": (START, LINEAR, {"estimator": sc.estimators.LeaveOneOut(k=4)}),
    "disarm": (START, LINEAR, {"estimator": "disarm", "optimizer": sc.SGD(0.1)}),
    "a baseline for each parameter": (
        START,
        LINEAR,
        {"estimator": sc.estimators.ScoreFunction(np.linspace(0, 1, 20)), "maximize": True},
    ),
    "moving average": (START, LINEAR, {"estimator": "moving_average", "optimizer": sc.Adam(0.1)}),
    "moving averages": (
        sc.Bernoulli(logits=np.zeros((2, 10)), batch_ndims=1),
        sc.costs.Linear(WEIGHTS.reshape(2, 10), batch_ndims=1),
        {"estimator": sc.estimators.MovingAverage(0.5, initial=[1.0, 2.0]), "maximize": True},
    ),
    "moving average, callable": (START, lambda y: y @ WEIGHTS, {"estimator": sc.estimators.MovingAverage(decay=0.7)}),
    "natural": (START, LINEAR, {"optimizer": sc.Natural(sc.Momentum(schedules.linear_decay(0.1, 50))), "entropy": 0.2}),
    "entropy": (START, LINEAR, {"entropy": 0.3, "optimizer": sc.Adam(0.1)}),
    "annealed": (
        sc.Categorical(logits=np.zeros((20, 3))),
        LINEAR,
        {"entropy": schedules.linear_decay(1.0, 50), "optimizer": sc.SGD(0.5), "maximize": True},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_resumed_fits_have_the_bits_of_unbroken_ones(name, tmp_path):
    model, cost, options = RUNS[name]
    whole = sc.minimize(model, cost, n_steps=61, n_samples=8, **options)
    part = sc.minimize(model, cost, n_steps=23, n_samples=8, **options)
    before = bits(part)
    assert bits(part.resume(38)) == bits(whole)
    assert bits(part.resume(1).resume(0).resume(37, n_threads=1)) == bits(whole)
    assert bits(part) == before
    path = tmp_path / "fit"
    part.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]
    again = sc.Fit.load(path, model, cost)
    assert bits(again) == before
    assert (again.n_steps, again.seconds, again.optimizer) == (23, part.seconds, part.optimizer)
    assert np.array_equal(again.best_cost, part.best_cost)
    assert bits(again.resume(38)) == bits(whole)


def test_load_needs_an_optimizer_that_no_file_holds(tmp_path):
    optimizer = sc.SGD(lambda t: 1.0 / (t + 1))
    fit = sc.minimize(START, LINEAR, optimizer=optimizer, n_steps=5, n_samples=4)
    fit.save(tmp_path / "fit.npz")
    with pytest.raises(
        TypeError, match=r"^`optimizer` must be given: no file can hold the learning rate that was used$"
    ):
        sc.Fit.load(tmp_path / "fit.npz", START, LINEAR)
    again = sc.Fit.load(tmp_path / "fit.npz", START, LINEAR, optimizer=optimizer)
    assert bits(again.resume(5)) == bits(fit.resume(5))


def test_no_file_holds_a_pickle(tmp_path):
    sc.minimize(START, LINEAR, n_steps=3, n_samples=4).save(tmp_path / "fit.npz")
    with np.load(tmp_path / "fit.npz", allow_pickle=False) as file:
        assert not any(file[name].dtype.hasobject for name in file.files)


def test_a_damaged_file_says_so(tmp_path):
    path = tmp_path / "fit.npz"
    sc.minimize(START, LINEAR, n_steps=3, n_samples=4).save(path)
    whole = path.read_bytes()
    rule = r"^`path` must be a whole \.npz file, got '.*fit\.npz': "
    for cut in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=rule):
            sc.Fit.load(path, START, LINEAR)
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=rule):
        sc.Fit.load(path, START, LINEAR)
    np.savez(path, about=np.zeros(3))
    with pytest.raises(ValueError, match=r"^`path` must be a file by Fit\.save, got '.*fit\.npz'$"):
        sc.Fit.load(path, START, LINEAR)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=rule):
        sc.Fit.load(path, START, LINEAR)
    with pytest.raises(FileNotFoundError):
        sc.Fit.load(tmp_path / "none", START, LINEAR)


def test_a_file_of_another_model_or_format_says_so(tmp_path):
    path = tmp_path / "fit.npz"
    sc.minimize(START, LINEAR, n_steps=3, n_samples=4).save(path)
    other = sc.Bernoulli(probs=np.full(20, 0.5))
    with pytest.raises(
        ValueError, match=r"^`model` must be like that of '.*', Bernoulli\(logits=<20>\), got Bernoulli\(p"
    ):
        sc.Fit.load(path, other, LINEAR)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["about"] = np.array(str(arrays["about"]).replace('"format": 2', '"format": 9'))
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"^`path` must be a Fit of format 1 or 2, got '.*' of format 9$"):
        sc.Fit.load(path, START, LINEAR)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    fit = sc.minimize(START, LINEAR, n_steps=3, n_samples=4)
    fit.save(path)
    before = path.read_bytes()

    def interrupted(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit.resume(3).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.npz"]
    with pytest.raises(FileNotFoundError):
        fit.save(tmp_path / "no" / "such" / "folder")


def test_progress_function_sees_a_live_fit(tmp_path):
    seen = []

    def look(fit):
        assert fit.history.cost.shape == (fit.n_steps,)
        assert fit.model.parameters.shape == (20,)
        fit.save(tmp_path / "live.npz")
        seen.append((fit.n_steps, fit.seconds))

    def cost(y):
        time.sleep(0.002)
        return y @ WEIGHTS

    fit = sc.minimize(START, cost, n_steps=400, n_samples=4, progress=look)
    steps = [n for n, _ in seen]
    assert steps == sorted(set(steps))
    assert steps[-1] == fit.n_steps == 400
    assert 3 <= len(seen) <= 5 + 4 * fit.seconds
    live = sc.Fit.load(tmp_path / "live.npz", START, cost)
    assert bits(live) == bits(fit)


def test_progress_does_not_change_the_bits(capsys):
    pytest.importorskip("tqdm")
    plain = sc.minimize(START, LINEAR, n_steps=30, n_samples=4)
    shown = sc.minimize(START, LINEAR, n_steps=30, n_samples=4, progress=True)
    assert bits(plain) == bits(shown)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"100%\|.*\| step 30/30, cost -?\d+(\.\d+)?, .*steps/s, 00:00 left", err)


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r'^`progress=True` needs tqdm: pip install "stochcore\[cli\]"$'):
        sc.minimize(START, LINEAR, n_steps=3, n_samples=4, progress=True)


BAR = """
import numpy as np, stochcore as sc, time
def cost(y):
    time.sleep(0.002)
    return y.sum(axis=1)
sc.minimize(sc.Bernoulli(logits=np.zeros(5)), cost, n_steps=300, n_samples=4, progress=True)
"""


def read_terminal(script, columns):
    """Run a script with stderr on a pseudo-terminal of so many columns; return what it showed."""
    import pty
    import struct
    import termios
    from fcntl import ioctl

    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen([sys.executable, "-c", script], stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # so Linux says that the other side is closed
        while more := os.read(ours, 4096):
            said += more
    os.close(ours)
    assert child.communicate() == (b"", None)
    assert child.returncode == 0
    return said.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [120, 0])
def test_bar_in_a_terminal(columns):
    pytest.importorskip("tqdm")
    said = read_terminal(BAR, columns)
    line = re.compile(r"(\d+)%\|.*\| step (\d+)/300, cost ([\d.]+), +([\d.]+) steps/s, (\d+:\d+) left")
    shown = [line.search(frame) for frame in said.split("\r")]
    steps = [int(match[2]) for match in shown if match]
    assert len(steps) >= 4
    assert steps == sorted(steps)
    assert steps[-1] == 300
    assert said.endswith("\n")


CTRL_C = """
    import numpy as np, stochcore as sc, sys, time
    w = np.linspace(-1.0, 1.0, 20)
    def slow(y):
        time.sleep(0.001)
        return y @ w
    which, path = sys.argv[1:]
    if which == "kernel":
        model, cost, n = sc.Bernoulli(logits=np.zeros(2000)), sc.costs.Linear(np.ones(2000)), 20_000
    else:
        model, cost, n = sc.Bernoulli(logits=np.zeros(20)), slow, 4
    def ready(fit):
        print("ready", flush=True)
    try:
        sc.minimize(model, cost, n_steps=10**6, n_samples=n, progress=ready)
    except KeyboardInterrupt as stop:
        caught = time.time()
        fit = stop.fit
        whole = sc.minimize(model, cost, n_steps=fit.n_steps, n_samples=n)
        assert fit.n_steps > 0 and len(fit.history.cost) == fit.n_steps
        assert fit.model.logits.tobytes() == whole.model.logits.tobytes()
        assert fit.history.cost.tobytes() == whole.history.cost.tobytes()
        assert fit.best_y.tobytes() == whole.best_y.tobytes()
        fit.save(path)
        print(repr(caught), flush=True)
"""


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("which", ["kernel", "callable"])
def test_ctrl_c_leaves_a_whole_fit(which, tmp_path):
    path = tmp_path / "fit.npz"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CTRL_C), which, path], stdout=subprocess.PIPE, text=True
    )
    for _ in range(2):
        assert child.stdout.readline() == "ready\n"
    time.sleep(0.05)
    sent = time.time()
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=60)[0].split()
    assert child.returncode == 0
    assert float(said[-1]) - sent < 0.5  # the promise is 0.1 s on an idle machine
    assert zipfile.is_zipfile(path)


@pytest.mark.slow
def test_interruptions_at_any_moment_leave_a_whole_fit():
    """SIGALRM at many moments, also between bytecodes: the fit is always the prefix of the unbroken one."""
    whole = sc.minimize(START, LINEAR, n_steps=400, n_samples=4)

    def ring(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for i in range(100):
            signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0003 * i)
            try:
                fit = sc.minimize(START, LINEAR, n_steps=400, n_samples=4)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt as stop:
                fit = getattr(stop, "fit", None)
            if fit is None:  # it rang before the descent began
                continue
            n = fit.n_steps
            assert fit.history.cost.tobytes() == whole.history.cost[:n].tobytes()
            assert bits(fit.resume(400 - n)) == bits(whole)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
