"""What `stochcore train` does: learn images, show how far it is, keep the model, its history and a report."""

from __future__ import annotations

import _thread
import argparse
import contextlib
import importlib
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import _dispatch, _fit, networks, optimize, plotting
from .data import Images, load_images
from .noise import Stream

Bound = tuple[float, float]  # with its standard error

CHECKPOINT, HELD_OUT = "checkpoint.npz", "held_out.csv"
FILES = ("model.npz", "history.csv", HELD_OUT, "report.png", CHECKPOINT)
SMOOTH = 500  # the bound in the bar is the mean of a tenth of the steps, at most so many
DRAWS = 100  # for each test image
LEAST, EVALUATED = 5, 20_000  # draws for each held-out image, images times draws: about


def run(args: argparse.Namespace) -> int:
    """Carry out `stochcore train`."""
    isa = _dispatch.isa()
    if args.patience and not args.held_out_every:
        raise ValueError("--patience needs --held-out-every, whose evaluations it counts")
    need_extras()
    images = load_images(args.data)
    if args.held_out_every:
        images = images.holding_out()
    if args.batch > len(images.train):
        most = f"at most the number of images, {len(images.train):,}"
        raise ValueError(f"--batch must be {most}, got {args.batch:,}")
    mean = images.train.mean(axis=0, dtype=np.float64)
    model = start(args, images.train.shape[1], mean)
    one = images.train[: args.batch]
    model.trainer(one, batch_size=args.batch, n_samples=args.samples, estimator=args.estimator)  # or says why not
    prepare_folder(args.out)
    begun = checkpoint(args, images, model) if args.resume else None
    print_plan(args, images, isa, begun)
    fit, interrupted = descend(args, images, model, begun)
    if fit is None or fit.n_steps == 0:
        raise KeyboardInterrupt
    with undisturbed():
        save(fit, args.out)
    bound: Bound | None = None
    with contextlib.suppress(KeyboardInterrupt):
        if not interrupted:
            bound = kept_model(fit).bound(images.test, n_draws=DRAWS, seed=args.seed, n_threads=args.threads)
    try:
        with insistent():
            draw_report(args, images, fit, bound)
    except KeyboardInterrupt:  # a second one: leave no picture of an earlier run beside this model
        bound = None
        (args.out / "report.png").unlink(missing_ok=True)
    if bound is None:
        kept = f"kept what was learned in {fit.n_steps:,} steps in {args.out}"
        print(f"stochcore: interrupted, {kept}", file=sys.stderr)
        return 130
    apart = ", evaluations apart" if args.held_out_every else ""
    print(f"trained in {fit.seconds:.1f} s, {fit.n_steps / fit.seconds:,.0f} steps/s{apart}")
    if len(fit.evaluations.step):
        print_held_out(fit)
    print(f"wrote {', '.join(name for name in FILES if (args.out / name).exists())} in {args.out}")
    print(f"test bound: {plus_minus(*bound)} nats")
    return 0


def start(args: argparse.Namespace, n_pixels: int, mean: Any) -> Any:
    """Return the model to begin with."""
    return networks.BernoulliVAE(n_pixels, args.layers, hidden=args.hidden, mean=mean, seed=args.seed)


def kept_model(fit: Any) -> Any:
    """Return the model of the best evaluation on held-out images; without these the last one."""
    return fit.best_model or fit.model


def print_held_out(fit: Any) -> None:
    """Say what the evaluations on held-out images found."""
    found = fit.evaluations
    best = int(found.cost.argmin())
    if fit.stopped_early:
        print(f"stopped at step {fit.n_steps:,}: no better evaluation among the last {fit._plan.held_out.patience:,}")
    bound = plus_minus(-found.cost[best], found.cost_se[best])
    print(f"held-out bound: {bound} nats at step {found.step[best]:,}, the best")


def need_extras() -> None:
    """Make sure, before the work, that what its end needs is there."""
    try:
        for name in ("tqdm", "matplotlib.backends.backend_agg", "matplotlib.figure"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        needs = f"`stochcore train` needs {package}, which is not installed"
        raise ModuleNotFoundError(f"{needs}: pip install 'stochcore[cli]'") from None


def prepare_folder(out: Path) -> None:
    """Make the folder of the results, or say why it can't be written."""
    try:
        taken = [path for path in (out / name for name in FILES) if path.is_dir()]
        if out.exists() and not out.is_dir():
            why = "it is a file"
        elif taken:
            why = f"{taken[0]} is a folder"
        else:
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out):
                return
    except OSError as error:
        why = error.strerror or str(error)
    raise ValueError(f"--out must be a folder that can be written, got {str(out)!r}: {why}")


def checkpoint(args: argparse.Namespace, images: Images, model: Any) -> Any:
    """Return the fit that an earlier run has left in the folder, if it is one of the same training."""
    path = args.out / CHECKPOINT
    try:
        looks = (_fit.read(path)[0]["plan"].get("held_out") or {}).get("evaluate_every")
        fit: Any = None
        if looks == args.held_out_every:
            given = {"data": images.train, "held_out": images.held_out, "n_threads": args.threads}
            fit = optimize.Fit.load(path, model, **given)
    except FileNotFoundError:
        raise ValueError(f"--resume needs {path}, which is not there: leave it out to begin") from None
    except ValueError as error:
        raise ValueError(f"--resume needs a checkpoint of the same training, {path} is not: {error}") from None
    if fit is None:
        rule = f"be that of the checkpoint, {looks}" if looks else "be left out, as for the checkpoint"
        raise ValueError(f"--held-out-every must {rule}, to --resume, got {args.held_out_every or 'nothing'}")
    plan = fit._plan
    has = {
        "batch": plan.batch_size,
        "estimator": plan.estimator,
        "samples": plan.n_samples,
        "learning_rate": getattr(plan.optimizer, "learning_rate", None),
        "seed": plan.seed.seed if isinstance(plan.seed, Stream) else plan.seed,
    }
    for name, kept in has.items():
        if getattr(args, name) != kept:
            option = name.replace("_", "-")
            raise ValueError(
                f"--{option} must be that of the checkpoint, {kept}, to --resume, got {getattr(args, name)}"
            )
    if fit.n_steps > args.steps:
        raise ValueError(f"--steps must be at least the {fit.n_steps:,} that the checkpoint has, got {args.steps:,}")
    return fit


def print_plan(args: argparse.Namespace, images: Images, isa: str, begun: Any) -> None:
    """Say what is about to happen."""
    threads = args.threads or _dispatch.max_threads()
    height, width = images.shape
    n_pixels = height * width
    held_out = "" if images.held_out is None else f"{len(images.held_out):,} held out, "
    sizes = f"{len(images.train):,} images of {height} x {width} to train, {held_out}{len(images.test):,} to test"
    steps = f"{args.steps:,} steps of {args.batch} images, Adam at {args.learning_rate:g}"
    old = begun is None and any((args.out / name).exists() for name in FILES)
    lines = {
        "data": f"{images.name}: {sizes}",
        "model": f"{n_pixels} pixels, {units(args, ' with a learned prior')}, {n_pixels} pixels",
        "training": f"{steps}, seed {args.seed}",
        "held out": f"evaluated every {args.held_out_every or 0:,} steps{patience(args)}",
        "gradient": f"{args.estimator}, {args.samples} sample{'s' * (args.samples > 1)}",
        "machine": f"{isa}, {threads} thread{'s' * (threads > 1)}",
        "out": f"{args.out}{' (replaces the results that are there)' if old else ''}",
    }
    if not args.held_out_every:
        del lines["held out"]
    if begun is not None:
        lines["resumed"] = f"at step {begun.n_steps:,}"
    for name, text in lines.items():
        print(f"{name + ':':<10}{text}")
    sys.stdout.flush()


def units(args: argparse.Namespace, more: str = "") -> str:
    """Say what is between the pixels."""
    between = f" (LeakyReLU {'-'.join(map(str, args.hidden))} between)" if args.hidden else ""
    return f"{' + '.join(map(str, args.layers))} Bernoulli units{more}{between}"


def patience(args: argparse.Namespace) -> str:
    """Say how long training waits for a better evaluation."""
    return f", ends after {args.patience:,} without a better one" if args.patience else ""


def descend(args: argparse.Namespace, images: Images, model: Any, begun: Any) -> tuple[Any, bool]:
    """Train; return the fit, or what there is of it, and whether Ctrl-C ended it."""
    with Progress(args.steps, begun.n_steps if begun else 0) as bar:
        last = time.monotonic()

        def progress(fit: Any) -> None:
            nonlocal last
            bar(fit)
            if time.monotonic() - last >= args.checkpoint:
                keep(fit, args.out)
                last = time.monotonic()

        try:
            if begun is not None:
                more = {"patience": args.patience} if args.held_out_every else {}
                left = args.steps - begun.n_steps
                return begun.resume(left, n_threads=args.threads, progress=progress, **more), False
            looks: dict[str, Any] = {}
            if images.held_out is not None:
                draws = max(LEAST, min(DRAWS, EVALUATED // len(images.held_out)))
                looks = {"held_out": images.held_out, "n_draws": draws}
                looks |= {"evaluate_every": args.held_out_every, "patience": args.patience}
            fit = optimize.minimize(
                model,
                data=images.train,
                batch_size=args.batch,
                optimizer=optimize.Adam(args.learning_rate),
                n_steps=args.steps,
                n_samples=args.samples,
                estimator=args.estimator,
                seed=args.seed,
                n_threads=args.threads,
                progress=progress,
                **looks,
            )
        except KeyboardInterrupt as stop:
            return getattr(stop, "fit", None), True
    return fit, False


class Progress:
    """Shows how far training is: a live bar on a terminal, a line now and then elsewhere."""

    def __init__(self, n_steps: int, begun: int = 0) -> None:
        self.n_steps, self.begun = n_steps, begun
        self.start = self.last = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            shape = "{percentage:3.0f}% |{bar}| {desc}{remaining} left"
            self.bar = tqdm(total=n_steps, initial=begun, bar_format=shape, dynamic_ncols=True, miniters=1, leave=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            with undisturbed():
                self.bar.close()

    def __call__(self, fit: Any) -> None:
        """Show the state of `fit`."""
        done, now = fit.n_steps, time.monotonic()
        speed = (done - self.begun) / max(now - self.start, 1e-9)
        bound = -fit.history.cost[-max(20, min(SMOOTH, done // 10)) :].mean()
        held_out = f", held out {-fit.evaluations.cost[-1]:.2f}" if len(fit.evaluations.cost) else ""
        state = f"step {done:,} of {self.n_steps:,}, bound {bound:.2f}{held_out}, {speed:,.0f} steps/s, "
        if self.bar is not None:
            self.bar.set_description_str(state, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done == self.n_steps or fit.stopped_early or now - self.last > 5:
            self.last = now
            print(f"{state}{(self.n_steps - done) / speed:,.0f} s left", file=sys.stderr, flush=True)


def keep(fit: Any, out: Path) -> None:
    """Write what `--resume` goes on from; whatever happens, the folder has the last one that was whole."""
    with whole_file(out / CHECKPOINT) as path:
        fit.save(path)


def save(fit: Any, out: Path) -> None:
    """Write the model, the history, and what `--resume` goes on from."""
    with whole_file(out / "model.npz") as path:
        kept_model(fit).save(path)
    rows = plotting.thin(fit.history)
    with whole_file(out / "history.csv") as path, path.open("w", encoding="ascii") as file:
        file.write(",".join(rows) + "\n")
        for step, steps, *values in zip(*rows.values(), strict=True):
            file.write(f"{step:.0f},{steps:.0f}," + ",".join(f"{value:.6g}" for value in values) + "\n")
    if len(fit.evaluations.step):
        with whole_file(out / HELD_OUT) as path, path.open("w", encoding="ascii") as file:
            file.write("step,bound,se\n")
            for step, cost, se in zip(*fit.evaluations.values(), strict=True):
                file.write(f"{step},{-cost:.6g},{se:.6g}\n")
    else:
        (out / HELD_OUT).unlink(missing_ok=True)  # of an earlier run
    keep(fit, out)


def draw_report(args: argparse.Namespace, images: Images, fit: Any, bound: Bound | None) -> None:
    """Write the picture."""
    originals, model = images.test[: plotting.COLUMNS], kept_model(fit)
    samples = model.sample(plotting.COLUMNS * plotting.SAMPLE_ROWS, seed=args.seed)
    if bound is not None:
        title = f"Test bound {plus_minus(*bound, sign='±')} nats per image"
    else:
        title = f"Interrupted after {fit.n_steps:,} of {args.steps:,} steps"
    subtitle = (
        f"{images.name:.40} · {units(args)} · {fit.n_steps:,} steps of {args.batch} images · "
        f"{args.estimator}, {args.samples} samples · learning rate {args.learning_rate:g} · seed {args.seed}"
    )
    figure = plotting.report(
        fit.history,
        originals.reshape(-1, *images.shape),
        model.reconstruct(originals, seed=args.seed).reshape(-1, *images.shape),
        samples.reshape(-1, *images.shape),
        title=title.replace("-", "\N{MINUS SIGN}"),
        subtitle=subtitle,
        test_bound=bound,
        evaluations=fit.evaluations,
    )
    with whole_file(args.out / "report.png") as path:
        figure.savefig(path)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; the file appears under its name when it is whole, or not at all."""
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OSError(f"--out must be writable, {path} is not: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no Ctrl-C come between what belongs together."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def insistent() -> Iterator[None]:
    """Lose no Ctrl-C: one that falls where Python cannot raise (a weakref callback, say) is sent again."""
    before, again = sys.unraisablehook, []

    def hook(report: sys.UnraisableHookArgs) -> None:
        if issubclass(report.exc_type, KeyboardInterrupt):
            again.append(threading.Timer(0.01, _thread.interrupt_main))
            again[-1].start()
        else:
            before(report)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in again:
            timer.cancel()


def plus_minus(mean: float, error: float, sign: str = "+-") -> str:
    """Write a number and its standard error with as many decimals as the error has to say, at least two."""
    decimals = max(2, math.ceil(-math.log10(error))) if error > 0 else 2
    return f"{mean:.{decimals}f} {sign} {error:.{decimals}f}"
