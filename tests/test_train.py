"""`stochcore train` as people use it: as a process of its own, on files, in a terminal, misused."""

import csv
import os
import re
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import Terminal, error_of, refused, run

import stochcore
from stochcore import _dispatch, _train, cli
from stochcore._rules import OF_BOUNDS

for extra in ("tqdm", "matplotlib", "sklearn"):
    pytest.importorskip(extra)

FILES = {"model.npz", "history.csv", "report.png", "checkpoint.npz"}


def png_size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def check_results(out, n_steps=None):
    """All files are there, whole and alike; nothing else is."""
    assert {path.name for path in out.iterdir()} == FILES
    assert png_size(out / "report.png") == (1440, 792)
    with np.load(out / "model.npz", allow_pickle=False) as model:
        assert all(np.isfinite(model[name]).all() for name in model.files if model[name].dtype.kind == "f")
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "steps", "bound", "se", "grad_norm"]
    assert all(float(row["se"]) > 0 and float(row["bound"]) < 0 for row in rows)
    steps = [int(row["steps"]) for row in rows]
    assert [int(row["step"]) for row in rows] == list(np.cumsum(steps))
    assert len(rows) <= 1000
    if n_steps is not None:
        assert sum(steps) == n_steps
    return rows


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: (file[name].dtype.str, file[name].shape, file[name].tobytes()) for name in file.files}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small image set in a file."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x_train=rng.random((60, 4, 3)) < 0.3, x_test=rng.random((7, 4, 3)) < 0.3)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "deeper" / "out"
    return run("train", "--steps", 1200, "--threads", 1, "--out", out), out


# ---- the main job --------------------------------------------------------------------------------


def test_train_says_what_it_does_and_ends_with_the_bound(finished):
    done, out = finished
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:6] == [
        "data:     digits: 1,500 images of 8 x 8 to train, 297 to test",
        "model:    64 pixels, 32 Bernoulli units with a learned prior, 64 pixels",
        "training: 1,200 steps of 50 images, Adam at 0.003, seed 0",
        "gradient: leave_one_out, 2 samples",
        f"machine:  {_dispatch.isa()}, 1 thread",
        f"out:      {out}",
    ]
    assert re.fullmatch(r"trained in \d+\.\d s, [\d,]+ steps/s", lines[6])
    assert lines[7] == f"wrote model.npz, history.csv, report.png, checkpoint.npz in {out}"
    last = re.fullmatch(r"test bound: (-\d+\.\d\d+) \+- (0\.0\d+) nats", lines[8])
    assert last, lines[8]
    assert len(lines) == 9
    # A network that ignores its images reaches about -33; 1,200 steps are enough to be far above.
    assert -29 < float(last[1]) < -23
    assert 0 < float(last[2]) < 0.1


def test_train_tells_its_progress_in_lines_where_there_is_no_terminal(finished):
    done, _ = finished
    assert "\r" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"step 1,200 of 1,200, bound -\d+\.\d\d, [\d,]+ steps/s, 0 s left", line)


def test_train_leaves_its_results(finished):
    _, out = finished
    rows = check_results(out, 1200)
    bounds = [float(row["bound"]) for row in rows]
    assert np.mean(bounds[-50:]) > np.mean(bounds[:50]) + 2


def test_train_leaves_a_model_that_can_be_used(finished):
    done, out = finished
    model = stochcore.BernoulliVAE.load(out / "model.npz")
    assert (model.n_visible, model.n_latents) == (64, 32)
    images = _train.load_images("digits")
    bound, error = model.bound(images.test, n_draws=100, seed=0)
    assert done.stdout.splitlines()[-1] == f"test bound: {_train.plus_minus(bound, error)} nats"


@pytest.mark.slow
def test_threads_and_instruction_sets_change_no_bit(tmp_path):
    """On steps that are large enough for a team of threads."""
    data = tmp_path / "data.npz"
    np.savez(data, x=np.random.default_rng(0).random((480, 20, 20)) < 0.3)
    sets = [name for name in _dispatch.runnable() if name != _dispatch.isa()]
    ways = [(_dispatch.isa(), 1), (_dispatch.isa(), 2), *((isa, 2) for isa in sets)]
    results = []
    for isa, threads in ways:
        sizes = ("--layers", 64, "--steps", 10, "--batch", 400, "--samples", 3, "--threads", threads)
        environment = {**os.environ, "STOCHCORE_ISA": isa}
        done = run("train", "--data", data, *sizes, "--out", tmp_path / "out", env=environment)
        assert done.returncode == 0, done.stderr
        assert f"machine:  {isa}, {threads} thread" in done.stdout
        assert ("(replaces the results that are there)" in done.stdout) == bool(results)
        history = (tmp_path / "out" / "history.csv").read_bytes()
        results.append((arrays(tmp_path / "out" / "model.npz"), history, done.stdout.splitlines()[-1]))
    assert all(result == results[0] for result in results[1:])


def test_train_on_a_file_with_every_option(capsys, small, tmp_path):
    options = "--layers 5 --steps 30 --batch 60 --samples 1 --estimator score_function --learning-rate 1e-2"
    options += f" --seed {2**64 - 1} --data {small} --out {tmp_path / 'out'}"
    assert cli.main(["train", *options.split()]) == 0
    said = capsys.readouterr().out
    assert "small.npz: 60 images of 4 x 3 to train, 7 to test" in said
    assert "gradient: score_function, 1 sample\n" in said
    check_results(tmp_path / "out", 30)


def test_one_step_of_one_image(capsys, small, tmp_path):
    options = f"--steps 1 --batch 1 --layers 1 --data {small} --out {tmp_path / 'out'}"
    assert cli.main(["train", *options.split()]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("test bound: -")
    assert png_size(tmp_path / "out" / "report.png") == (1440, 792)


@pytest.mark.slow
def test_held_out_images_choose_the_model(tmp_path):
    """The last sixth of the images to train on; none of the test images."""
    images, out = stochcore.data.load_images("digits"), tmp_path / "out"
    done = run("train", "--steps", 1100, "--held-out-every", 200, "--learning-rate", 0.03, "--out", out)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "data:     digits: 1,250 images of 8 x 8 to train, 250 held out, 297 to test"
    assert lines[3] == "held out: evaluated every 200 steps"
    assert lines[7].endswith(" steps/s, evaluations apart")
    assert re.search(r", held out -\d+\.\d\d, ", done.stderr.splitlines()[-1])
    fit = stochcore.minimize(
        stochcore.BernoulliVAE(64, 32, mean=images.train[:1250].mean(axis=0, dtype=np.float64), seed=0),
        data=images.train[:1250], held_out=images.train[1250:], evaluate_every=200, n_draws=80, n_steps=1100,
        n_samples=2, optimizer=stochcore.Adam(0.03),
    )  # fmt: skip
    with (out / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [0, 200, 400, 600, 800, 1000, 1100]
    assert [row["bound"] for row in rows] == [f"{-cost:.6g}" for cost in fit.evaluations.cost]
    assert [row["se"] for row in rows] == [f"{se:.6g}" for se in fit.evaluations.cost_se]
    best = int(fit.evaluations.cost.argmin())
    bound = _train.plus_minus(-fit.evaluations.cost[best], fit.evaluations.cost_se[best])
    assert lines[8] == f"held-out bound: {bound} nats at step {fit.evaluations.step[best]:,}, the best"
    assert lines[9] == f"wrote model.npz, history.csv, held_out.csv, report.png, checkpoint.npz in {out}"
    model = stochcore.BernoulliVAE.load(out / "model.npz")
    assert all(np.array_equal(array, fit.best_model.parameters[name]) for name, array in model.parameters.items())
    bound = model.bound(images.test, n_draws=100, seed=0)
    assert lines[10] == f"test bound: {_train.plus_minus(*bound)} nats"
    assert run("train", "--steps", 5, "--out", out).returncode == 0
    check_results(out, 5)  # and nothing of the run before


def test_layers_make_the_model(small, tmp_path):
    out = tmp_path / "out"
    options = "--layers 6,4 --hidden 5 --estimator disarm --samples 3 --steps 60 --held-out-every 25 --threads 1"
    done = run("train", *options.split(), "--data", small, "--out", out)
    assert done.returncode == 0, done.stderr
    assert (
        "model:    12 pixels, 6 + 4 Bernoulli units with a learned prior (LeakyReLU 5 between), 12 pixels\n"
        in done.stdout
    )
    assert done.stdout.splitlines()[-1].startswith("test bound: -")
    model = stochcore.BernoulliVAE.load(out / "model.npz")
    assert repr(model) == repr(stochcore.BernoulliVAE(12, (6, 4), hidden=(5,)))
    assert png_size(out / "report.png") == (1440, 792)


def test_units_in_words():
    for words, told in (
        ("--layers 7", "7 Bernoulli units"),
        ("--layers 200,50 --hidden 20,30", "200 + 50 Bernoulli units (LeakyReLU 20-30 between)"),
    ):
        assert _train.units(cli.build_parser().parse_args(["train", *words.split()])) == told


# ---- in a terminal, and Ctrl-C -------------------------------------------------------------------


def test_a_live_bar_in_a_terminal(small, tmp_path):
    with Terminal("train", "--data", small, "--steps", 3000, "--out", tmp_path / "out") as terminal:
        out = terminal.finish()
        assert terminal.process.returncode == 0, terminal.shown
    assert out.splitlines()[-1].startswith("test bound: ")
    frames = [frame for frame in re.split(r"[\r\n]+", terminal.shown) if frame.strip()]
    assert len(frames) > 1
    last = r"100% \|█+\| step 3,000 of 3,000, bound -\d+\.\d\d, [\d,]+ steps/s, 00:00 left"
    assert re.fullmatch(last, frames[-1].strip()), frames[-1]
    assert all(len(frame) <= 90 for frame in frames)


@pytest.mark.alone
def test_ctrl_c_ends_training_at_once_and_keeps_what_was_learned(small, tmp_path):
    out = tmp_path / "out"
    with Terminal("train", "--data", small, "--steps", 10**8, "--out", out) as terminal:
        terminal.read_until(r"step [1-9]")
        assert not (out / "model.npz").exists()
        began = time.monotonic()
        terminal.process.send_signal(signal.SIGINT)
        while not (out / "history.csv").exists():
            assert time.monotonic() - began < 5
            time.sleep(0.01)
        kept = time.monotonic() - began  # some 50 ms; the machine may be busy
        said = terminal.finish()
        assert terminal.process.returncode == 130, terminal.shown
    assert kept < 2
    assert "test bound" not in said
    line = terminal.shown.splitlines()[-1]
    found = re.fullmatch(r"stochcore: interrupted, kept what was learned in ([\d,]+) steps in (.*)", line)
    assert found, terminal.shown
    assert found[2] == str(out)
    assert "Traceback" not in terminal.shown
    check_results(out, int(found[1].replace(",", "")))


def test_what_ctrl_c_keeps_is_the_state_after_a_whole_step(small, tmp_path):
    """The history of an interrupted run is the beginning of the history of a longer one."""
    longer = cli.build_parser().parse_args(["train", "--data", str(small), "--steps", "50000"])
    images = _train.load_images(small)

    def descend(stop_at):
        model = stochcore.BernoulliVAE(12, 32, mean=images.train.mean(axis=0, dtype=np.float64), seed=0)

        def stop(fit):
            if fit.n_steps >= stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            stochcore.minimize(
                model,
                data=images.train,
                batch_size=longer.batch,
                n_steps=longer.steps,
                n_samples=2,
                progress=stop,
            )
        return caught.value.fit

    short, long = descend(1), descend(400)
    assert 0 < short.n_steps < long.n_steps
    np.testing.assert_array_equal(short.history.cost, long.history.cost[: short.n_steps])


def test_a_second_ctrl_c_leaves_the_picture_out(small, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.png").write_bytes(b"of an earlier run")
    with Terminal("train", "--data", small, "--steps", 10**8, "--out", out) as terminal:
        terminal.read_until(r"step [1-9]")
        terminal.process.send_signal(signal.SIGINT)
        while not (out / "history.csv").exists():
            time.sleep(0.005)
        time.sleep(0.05)
        terminal.process.send_signal(signal.SIGINT)
        terminal.finish()
        assert terminal.process.returncode == 130, terminal.shown
    assert "Traceback" not in terminal.shown
    assert {"model.npz", "history.csv"} <= {path.name for path in out.iterdir()} <= FILES
    if (out / "report.png").exists():  # it was quicker
        png_size(out / "report.png")


def test_ctrl_c_before_training(monkeypatch, capsys, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_train, "load_images", interrupted)
    assert cli.main(["train", "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "\nstochcore: interrupted, nothing was written\n"
    assert not (tmp_path / "out").exists()


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--steps", "-5"], "--steps must be a whole number from 1 to 1,000,000,000, got '-5'"),
        (["--steps", "0"], "--steps must be a whole number from 1 to 1,000,000,000, got '0'"),
        (["--steps", "1.5"], "--steps must be a whole number from 1 to 1,000,000,000, got '1.5'"),
        (["--steps", "9" * 30], f"--steps must be a whole number from 1 to 1,000,000,000, got '{'9' * 30}'"),
        (["--steps"], "--steps expected one argument"),
        (["--batch", "0"], "--batch must be a whole number from 1 to 1,000,000,000, got '0'"),
        (["--layers", "none"], "--layers must be whole numbers from 1 to 100,000 with commas between, got 'none'"),
        (["--layers", "20,"], "--layers must be whole numbers from 1 to 100,000 with commas between, got '20,'"),
        (["--layers", "20,0"], "--layers must be whole numbers from 1 to 100,000 with commas between, got '20,0'"),
        (["--hidden", "100001"], "--hidden must be whole numbers from 1 to 100,000 with commas between, got '100001'"),
        (["--held-out-every", "0"], "--held-out-every must be a whole number from 1 to 1,000,000,000, got '0'"),
        (["--patience", "0"], "--patience must be a whole number from 1 to 1,000,000,000, got '0'"),
        (["--patience", "3"], "--patience needs --held-out-every, whose evaluations it counts"),
        (["--samples", "0"], "--samples must be a whole number from 1 to 1,000,000, got '0'"),
        (["--estimator", "disarm", "--samples", "3"], "--samples must be a multiple of 2 for disarm, got 3"),
        (
            ["--layers", "9,8", "--estimator", "disarm", "--samples", "2"],
            "--samples must be a multiple of 3 for disarm (a trunk and a branch for each of 2 layers of units), got 2",
        ),
        (["--samples", "1"], "--samples must be at least 2 for leave_one_out, got 1"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 2^64 - 1, got '-1'"),
        (["--seed", str(2**64)], f"--seed must be a whole number from 0 to 2^64 - 1, got '{2**64}'"),
        (["--threads", "0"], "--threads must be a whole number from 1 to 1,024, got '0'"),
        (["--learning-rate", "0"], "--learning-rate must be a positive number, got '0'"),
        (["--learning-rate", "nan"], "--learning-rate must be a positive number, got 'nan'"),
        (["--learning-rate=-1e-3"], "--learning-rate must be a positive number, got '-1e-3'"),
        (
            ["--estimator", "best"],
            "--estimator must be one of score_function, moving_average, nvil, leave_one_out, disarm, arm, "
            "local_expectation, double_cv, rodeo, straight_through, gumbel_softmax, vimco, got 'best'",
        ),
        (
            ["--layers", "9,8", "--estimator", "arm", "--samples", "4"],
            "--samples must be a multiple of 3 for arm (a trunk and a branch for each of 2 layers of units), got 4",
        ),
        (["--estimator", "vimco", "--samples", "1"], "--samples must be at least 2 for vimco, got 1"),
        (
            ["--layers", "9,8", "--estimator", "double_cv"],
            "--estimator double_cv is for a BernoulliVAE with one layer of units, got 2",
        ),
        (
            ["--layers", "4097", "--estimator", "local_expectation"],
            "--estimator local_expectation is for small layers (a sample has a branch for each other outcome of each "
            "unit): at most 4,096, got 4,097",
        ),
        (["--bound-samples", "0"], "--bound-samples must be a whole number from 1 to 1,000,000, got '0'"),
        (
            ["--layers", "32", "16"],
            "--layers and --hidden take numbers with commas and no spaces between, got 16 apart",
        ),
        (["--stesp", "5"], "unrecognized arguments: --stesp 5"),
    ],
)
def test_bad_options(capsys, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "train", *arguments) == line
    assert not list(tmp_path.iterdir())


def test_batch_larger_than_the_data(capsys, small, tmp_path):
    line = refused(capsys, "train", "--data", small, "--batch", 61, "--out", tmp_path / "out")
    assert line == "--batch must be at most the number of images, 60, got 61"
    assert not (tmp_path / "out").exists()


def test_too_few_images_to_hold_some_out(capsys, tmp_path):
    np.savez(tmp_path / "two.npz", x=np.eye(4)[:2].reshape(2, 2, 2) > 0)
    line = refused(capsys, "train", "--data", tmp_path / "two.npz", "--batch", 1, "--held-out-every", 5)
    assert line == "--data must have at least 2 images to train on to hold some out, got 1"


def test_bad_data(capsys, tmp_path):
    out = tmp_path / "out"
    gone, broken = tmp_path / "gone.npz", tmp_path / "broken.gz"
    broken.write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 and no more")
    line = error_of(run("train", "--data", gone, "--out", out))
    assert line == f"--data must be 'digits' or a file with images, got '{gone}': no such file"
    line = refused(capsys, "train", "--data", broken, "--out", out)
    assert line.startswith(f"--data must be an image set, got '{broken}': truncated or damaged (")
    assert not out.exists()


def test_bad_out(capsys, small, tmp_path):
    def line(out):
        return refused(capsys, "train", "--data", small, "--out", out)

    file = tmp_path / "file"
    file.write_text("mine")
    start = "--out must be a folder that can be written, got"
    assert line(file) == f"{start} '{file}': it is a file"
    assert file.read_text() == "mine"
    for inside in (file / "out", Path("/proc/out"), tmp_path / ("x" * 300)):
        assert re.fullmatch(rf"{re.escape(f'{start} {str(inside)!r}')}: [A-Z].*", line(inside))
    (tmp_path / "taken" / "model.npz").mkdir(parents=True)
    assert line(tmp_path / "taken").endswith("model.npz is a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_in_a_folder_without_permission(capsys, small, tmp_path):
    tmp_path.chmod(0o500)
    line = refused(capsys, "train", "--data", small, "--out", tmp_path / "out")
    assert line.endswith("Permission denied")


def test_a_disk_that_is_full_leaves_no_halves(small, tmp_path):
    """The limit on the size of files stands for a full disk."""
    done = run(
        "train",
        "--data",
        small,
        "--steps",
        20,
        "--out",
        tmp_path / "out",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.returncode == 2
    line, model = done.stderr.splitlines()[-1], tmp_path / "out" / "model.npz"
    assert line.startswith(f"stochcore: error: --out must be writable, {model} is not: ")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tqdm", "tqdm"),
        ("matplotlib.backends.backend_agg", "matplotlib"),
        ("sklearn.datasets", "scikit-learn"),
    ],
)
def test_missing_extras(capsys, monkeypatch, tmp_path, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    line = refused(capsys, "train", "--out", tmp_path / "out")
    assert name in line
    assert line.endswith("is not installed: pip install 'stochcore[cli]'")
    assert not (tmp_path / "out").exists()


def test_a_descent_that_diverges(capsys, small, tmp_path):
    options = f"--learning-rate 1e300 --data {small} --out {tmp_path / 'out'}"
    assert cli.main(["train", *options.split()]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"stochcore: error: .*diverged.*, try a smaller --learning-rate: .*", line)


# ---- the rest ------------------------------------------------------------------------------------


def test_help_names_every_option_and_fits_a_terminal():
    told = run("train", "--help", env={**os.environ, "COLUMNS": "80"})
    assert told.returncode == 0
    options = "data layers hidden steps batch estimator samples learning-rate seed threads out checkpoint"
    for option in [*options.split(), "held-out-every", "patience", "bound-samples"]:
        assert f"--{option} " in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    for name in OF_BOUNDS:
        assert re.search(rf"^  .*\b{name}\b", told.stdout, re.MULTILINE)
    assert "stochcore train --help" in run("--help").stdout


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-23.9412, 0.0131, "-23.94 +- 0.01"),
        (-120.3456, 0.0042, "-120.346 +- 0.004"),
        (-5.0, 0.0, "-5.00 +- 0.00"),
        (-24.0, 0.6, "-24.00 +- 0.60"),
    ],
)
def test_plus_minus(mean, error, text):
    assert _train.plus_minus(mean, error) == text
