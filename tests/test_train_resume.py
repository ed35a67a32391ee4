"""`stochcore train --resume`: killed at any moment, it goes on with the bits of a run that never stopped."""

import re
import resource
import signal
import subprocess
import time

import numpy as np
import pytest
from command import COMMAND, HERE, LIMIT, refused, run

import stochcore as sc

for extra in ("tqdm", "matplotlib", "sklearn"):
    pytest.importorskip(extra)

STEPS = 25_000


def options(out, *more, estimator="disarm", steps=STEPS):
    return ["train", "--steps", steps, "--estimator", estimator, "--seed", 3, "--out", out, *more]


def contents(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name].tobytes() for name in file.files if name != "about"}  # which has seconds


def wait_for(path, since=0.0):
    end = time.monotonic() + LIMIT
    while not (path.exists() and path.stat().st_mtime > since):
        assert time.monotonic() < end
        time.sleep(0.002)
    return path.stat().st_mtime


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    assert run(*options(out)).returncode == 0
    return out


LOOKS = ["--held-out-every", 700, "--patience", 30]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    assert run(*options(out, *LOOKS)).returncode == 0
    return out


@pytest.mark.parametrize("what", [pytest.param("unbroken", marks=pytest.mark.slow), "evaluated"])
def test_killed_and_resumed_is_unbroken(request, what, tmp_path):
    """Killed by SIGKILL twice; each time some steps were done and some were not."""
    unbroken = request.getfixturevalue(what)
    checkpoint, more, since = tmp_path / "checkpoint.npz", LOOKS if what == "evaluated" else [], 0.0
    plain = more
    for _ in range(2):
        words = [*COMMAND, *map(str, options(tmp_path, "--checkpoint", 0.05, *more))]
        with subprocess.Popen(words, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            since = wait_for(checkpoint, since)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        with np.load(checkpoint) as file:
            assert 0 < len(file["records"]) < STEPS
        more = [*plain, "--resume"]
    done = run(*options(tmp_path, *more))
    assert done.returncode == 0, done.stderr
    assert "resumed:  at step" in done.stdout.replace(",", "")
    for name in ("model.npz", "checkpoint.npz"):
        assert contents(tmp_path / name) == contents(unbroken / name)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in unbroken.iterdir()}
    for path in tmp_path.glob("*.csv"):
        assert path.read_bytes() == (unbroken / path.name).read_bytes()
    assert ("evaluations" in contents(checkpoint)) == (tmp_path / "held_out.csv").exists() == (what == "evaluated")


@pytest.mark.slow
def test_patience_may_change(evaluated, tmp_path):
    """Stopped early, resumed to no avail, resumed with more patience: the bits of a run that never stopped."""
    short, more = [*LOOKS[:3], 2], ["--learning-rate", 0.05]  # too large: evaluations are soon worse
    first = run(*options(tmp_path, *short, *more))
    stopped = int(re.search(r"^stopped at step ([\d,]+): ", first.stdout, re.MULTILINE)[1].replace(",", ""))
    assert stopped < 20_000
    kept = contents(tmp_path / "checkpoint.npz")
    again = run(*options(tmp_path, *short, *more, "--resume"))
    assert f"stopped at step {stopped:,}: no better evaluation among the last 2\n" in again.stdout
    assert contents(tmp_path / "checkpoint.npz") == kept
    on = run(*options(tmp_path, *LOOKS[:2], *more, "--resume", steps=20_000))
    assert "stopped" not in on.stdout
    assert run(*options(tmp_path / "whole", *LOOKS[:2], *more, steps=20_000)).returncode == 0
    for name in ("model.npz", "checkpoint.npz"):
        assert contents(tmp_path / name) == contents(tmp_path / "whole" / name)


def test_other_evaluations_are_refused(unbroken, evaluated, capsys):
    rule = "--held-out-every must be that of the checkpoint, 700, to --resume, got"
    assert refused(capsys, *options(evaluated, "--resume", "--held-out-every", 500)) == f"{rule} 500"
    assert refused(capsys, *options(evaluated, "--resume")) == f"{rule} nothing"
    line = refused(capsys, *options(unbroken, "--resume", "--held-out-every", 500))
    assert line == "--held-out-every must be left out, as for the checkpoint, to --resume, got 500"


@pytest.mark.slow
def test_more_steps_from_the_end(unbroken, tmp_path):
    assert run(*options(tmp_path, steps=STEPS - 1500)).returncode == 0
    assert run(*options(tmp_path, "--resume")).returncode == 0
    assert contents(tmp_path / "model.npz") == contents(unbroken / "model.npz")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--batch", 20], "--batch must be that of the checkpoint, 50, to --resume, got 20"),
        (["--samples", 4], "--samples must be that of the checkpoint, 2, to --resume, got 4"),
        (["--learning-rate", 0.1], "--learning-rate must be that of the checkpoint, 0.003, to --resume, got 0.1"),
        (["--seed", 4], "--seed must be that of the checkpoint, 3, to --resume, got 4"),
        (
            ["--estimator", "leave_one_out"],
            "--estimator must be that of the checkpoint, disarm, to --resume, got leave_one_out",
        ),
        (["--steps", 10], "--steps must be at least the 25,000 that the checkpoint has, got 10"),
    ],
)
def test_another_training_is_refused(unbroken, capsys, arguments, line):
    before = contents(unbroken / "checkpoint.npz")
    assert refused(capsys, *options(unbroken, "--resume"), *arguments) == line
    assert contents(unbroken / "checkpoint.npz") == before


def test_another_model_is_refused(unbroken, capsys):
    line = refused(capsys, *options(unbroken, "--resume", "--layers", 5))
    assert line.startswith("--resume needs a checkpoint of the same training, ")
    assert "BernoulliVAE(64, n_latents=32), got BernoulliVAE(64, n_latents=5)" in line


def test_no_checkpoint(capsys, tmp_path):
    line = refused(capsys, *options(tmp_path, "--resume"))
    assert line == f"--resume needs {tmp_path / 'checkpoint.npz'}, which is not there: leave it out to begin"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_checkpoint_that_was_cut_is_refused(unbroken, capsys, tmp_path, share):
    whole = (unbroken / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(whole[: int(share * len(whole))])
    line = refused(capsys, *options(tmp_path, "--resume"))
    assert line.startswith("--resume needs a checkpoint of the same training, ")


def test_a_disk_that_fills_leaves_the_last_good_checkpoint(tmp_path):
    """The limit on the size of files stands for a full disk: the history has no room from some step on."""
    images = tmp_path / "images.npz"
    np.savez(images, x=np.random.default_rng(0).random((60, 4, 3)) < 0.3)
    size = 400_000
    done = run(
        *options(tmp_path / "out", "--data", images, "--checkpoint", 0.001, steps=10**6),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    checkpoint = tmp_path / "out" / "checkpoint.npz"
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"stochcore: error: --out must be writable, {checkpoint} is not: ")
    assert [path.name for path in checkpoint.parent.iterdir()] == ["checkpoint.npz"]
    with np.load(checkpoint) as file:
        kept = len(file["records"])
    done = run(*options(tmp_path / "out", "--data", images, "--resume", steps=kept + 10))
    assert done.returncode == 0, done.stderr
    model = sc.BernoulliVAE.load(checkpoint.with_name("model.npz"))
    assert np.isfinite(model.parameters["W"]).all()
