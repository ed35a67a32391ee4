"""optimize: descents of networks, which bring their own trainer."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import stochcore as sc

LINEAR = sc.costs.Linear(np.ones(16))


def images():
    return (sc.Stream(8).uniform((200, 16)) * np.linspace(0, 1, 16)).astype(np.float32)


def network():
    return sc.BernoulliVAE(16, 5, seed=1)


def vae_options(**changes):
    return {
        "data": images(),
        "optimizer": sc.Adam(0.003),
        "n_samples": 2,
        "batch_size": 20,
        "seed": 9,
        **changes,
    }


def vae_bits(fit):
    parts = [fit._trainer.parameters, fit._moments, *(fit.history[name] for name in fit.history)]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def test_network_learns_and_resumes(tmp_path):
    whole = sc.minimize(network(), n_steps=700, **vae_options())
    assert whole.history.cost[-100:].mean() < whole.history.cost[:20].mean()
    assert whole.best_cost == whole.history.cost.min()
    assert np.array_equal(whole.history.best_cost, np.minimum.accumulate(whole.history.cost))
    assert whole.best_y is None
    part = sc.minimize(network(), n_steps=133, **vae_options(n_threads=1))
    assert vae_bits(part.resume(567)) == vae_bits(whole)
    part.save(tmp_path / "fit.npz")
    again = sc.Fit.load(tmp_path / "fit.npz", network(), data=images())
    assert vae_bits(again.resume(567)) == vae_bits(whole)
    told = rf"^`model` must be like that of '.*', {re.escape(repr(network()))}, got BernoulliVAE\("
    with pytest.raises(ValueError, match=told):
        sc.Fit.load(tmp_path / "fit.npz", sc.BernoulliVAE(16, 6), data=images())


def test_a_resumed_fit_keeps_the_images_it_began_with():
    whole = sc.minimize(network(), n_steps=30, **vae_options())
    data = images()
    part = sc.minimize(network(), n_steps=10, **vae_options(data=data))
    bits = vae_bits(part)
    data[:] = 0.5
    other = part.resume(20)
    assert vae_bits(other) == vae_bits(whole)
    assert vae_bits(part) == bits  # which stays as it is


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": None}, TypeError, "`data` must be given for a BernoulliVAE"),
        ({"cost": LINEAR}, TypeError, "`cost` must be left out for a BernoulliVAE, which brings its own"),
        (
            {"maximize": True},
            ValueError,
            "`maximize` must be False for a BernoulliVAE: its cost is minus its bound",
        ),
        ({"batch_size": 201}, ValueError, "`batch_size` must be "),
        ({"n_samples": 1}, ValueError, "`n_samples` must be "),
    ],
)
def test_bad_input_for_a_network_says_so(changes, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        sc.minimize(network(), n_steps=3, **vae_options(**changes))


VAE_CTRL_C = """
    import numpy as np, stochcore as sc, sys, time
    data = sc.Stream(8).uniform((200, 16)).astype(np.float32)
    options = dict(data=data, n_samples=2, batch_size=20, optimizer=sc.Adam(0.003))
    def ready(fit):
        print("ready", flush=True)
    try:
        sc.minimize(sc.BernoulliVAE(16, 5), n_steps=10**8, progress=ready, **options)
    except KeyboardInterrupt as stop:
        caught = time.time()
        fit = stop.fit
        whole = sc.minimize(sc.BernoulliVAE(16, 5), n_steps=fit.n_steps, **options)
        assert fit._trainer.parameters.tobytes() == whole._trainer.parameters.tobytes()
        assert fit.history.cost.tobytes() == whole.history.cost.tobytes()
        print(repr(caught), flush=True)
"""


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_a_whole_network():
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(VAE_CTRL_C)], stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        assert child.stdout.readline() == "ready\n"
    sent = time.time()
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=60)[0].split()
    assert child.returncode == 0
    assert float(said[-1]) - sent < 0.5
