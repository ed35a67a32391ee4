"""What `stochcore train` does: learn images, show how far it is, keep the model, its history and a report."""

from __future__ import annotations

import _thread
import argparse
import contextlib
import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import _blas, _dispatch, _fit, networks, optimize, plotting
from ._rules import needed
from ._shown import Progress, many, plus_minus, undisturbed
from .data import Images, load_images
from .noise import Stream

Bound = tuple[float, float]  # with its standard error
Bounds = dict[str, dict[int, Bound]]  # on which images, with how many samples in the logarithm

CHECKPOINT, HELD_OUT = "checkpoint.npz", "held_out.csv"
FILES = ("model.npz", "history.csv", HELD_OUT, "report.png", CHECKPOINT)
DRAWS = 100  # for each image, at most
LEAST, EVALUATED = 5, 20_000  # draws for each held-out image, images times draws: about
MANY, MANY_EVALUATED = 10**6, 10**5  # images times draws times samples of bounds with many, at the end and on the way


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
    settle(args)
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
        save(fit, args.out, learned(args))
    found: Bounds = {}
    with contextlib.suppress(KeyboardInterrupt):
        if not interrupted:
            found = last_bounds(args, images, fit)
    try:
        with insistent():
            draw_report(args, images, fit, found.get("test", {}))
    except KeyboardInterrupt:  # a second one: leave no picture of an earlier run beside this model
        found = {}
        (args.out / "report.png").unlink(missing_ok=True)
    if not found:
        kept = f"kept what was learned in {fit.n_steps:,} steps in {args.out}"
        print(f"stochcore: interrupted, {kept}", file=sys.stderr)
        return 130
    apart = ", evaluations apart" if args.held_out_every else ""
    print(f"trained in {fit.seconds:.1f} s, {fit.n_steps / fit.seconds:,.0f} steps/s{apart}")
    if len(fit.evaluations.step):
        print_held_out(fit, found["held-out"])
    print(f"wrote {', '.join(name for name in FILES if (args.out / name).exists())} in {args.out}")
    for n_samples, bound in sorted(found["test"].items(), reverse=True):
        print(f"{many(n_samples)}test bound: {plus_minus(*bound)} nats")
    return 0


def settle(args: argparse.Namespace) -> None:
    """Choose the numbers of samples that were left out."""
    if args.samples is None:
        args.samples = needed(args.estimator, len(args.layers))
    if args.bound_samples is None:
        args.bound_samples = learned(args)
    if args.bound_samples > 1:
        _blas.sgemm()  # or says, before the work, that it is not there


def learned(args: argparse.Namespace) -> int:
    """Return how many samples are in the logarithm of the bound that steps climb."""
    return int(args.samples) if args.estimator == "vimco" else 1


def last_bounds(args: argparse.Namespace, images: Images, fit: Any) -> Bounds:
    """Return the bounds of the model that is kept, on images that it has not learned from."""
    model, more = kept_model(fit), {"seed": args.seed, "n_threads": args.threads}
    found: Bounds = {"test": {}, "held-out": {}}
    for n_samples in sorted({1, args.bound_samples}):
        draws = DRAWS if n_samples == 1 else draws_of(images.test, n_samples, MANY)
        found["test"][n_samples] = model.bound(images.test, n_draws=draws, n_samples=n_samples, **more)
    if images.held_out is not None and args.bound_samples > 1:  # evaluations have told the other one
        found["held-out"][1] = model.bound(images.held_out, n_draws=draws_of(images.held_out, 1), **more)
    return found


def draws_of(images: Any, n_samples: int, many: int = MANY_EVALUATED) -> int:
    """Return how many draws an evaluation takes of each image."""
    if n_samples == 1:
        return max(LEAST, min(DRAWS, EVALUATED // len(images)))
    return max(2, min(DRAWS, many // (len(images) * n_samples)))


def start(args: argparse.Namespace, n_pixels: int, mean: Any) -> Any:
    """Return the model to begin with."""
    return networks.BernoulliVAE(n_pixels, args.layers, hidden=args.hidden, mean=mean, seed=args.seed)


def kept_model(fit: Any) -> Any:
    """Return the model of the best evaluation on held-out images; without these the last one."""
    return fit.best_model or fit.model


def print_held_out(fit: Any, others: dict[int, Bound]) -> None:
    """Say what the evaluations on held-out images found."""
    found = fit.evaluations
    best = int(found.cost.argmin())
    if fit.stopped_early:
        print(f"stopped at step {fit.n_steps:,}: no better evaluation among the last {fit._plan.held_out.patience:,}")
    bound = plus_minus(-found.cost[best], found.cost_se[best])
    n_samples = fit._plan.held_out.bound_samples
    print(f"{many(n_samples)}held-out bound: {bound} nats at step {found.step[best]:,}, the best")
    for n_samples, other in others.items():
        print(f"{many(n_samples)}held-out bound: {plus_minus(*other)} nats at that step")


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
    if plan.held_out is not None:
        has["bound_samples"] = plan.held_out.bound_samples
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
    by_many = f" by the {many(args.bound_samples)}bound" if args.bound_samples > 1 else ""
    lines = {
        "data": f"{images.name}: {sizes}",
        "model": f"{n_pixels} pixels, {units(args, ' with a learned prior')}, {n_pixels} pixels",
        "training": f"{steps}, seed {args.seed}",
        "held out": f"evaluated every {args.held_out_every or 0:,} steps{by_many}{patience(args)}",
        "gradient": f"{args.estimator}, {args.samples} sample{'s' * (args.samples > 1)}{climbed(args)}",
        "bound": f"{many(args.bound_samples)}bound at the end besides the usual one",
        "machine": f"{isa}, {threads} thread{'s' * (threads > 1)}",
        "out": f"{args.out}{' (replaces the results that are there)' if old else ''}",
    }
    if not args.held_out_every:
        del lines["held out"]
    if args.bound_samples == 1:
        del lines["bound"]
    if begun is not None:
        lines["resumed"] = f"at step {begun.n_steps:,}"
    for name, text in lines.items():
        print(f"{name + ':':<10}{text}")
    sys.stdout.flush()


def climbed(args: argparse.Namespace) -> str:
    """Say which bound steps climb, if it is not the usual one."""
    return f", of the {many(learned(args))}bound" if learned(args) > 1 else ""


def units(args: argparse.Namespace, more: str = "") -> str:
    """Say what is between the pixels."""
    between = f" (LeakyReLU {'-'.join(map(str, args.hidden))} between)" if args.hidden else ""
    return f"{' + '.join(map(str, args.layers))} Bernoulli units{more}{between}"


def patience(args: argparse.Namespace) -> str:
    """Say how long training waits for a better evaluation."""
    return f", ends after {args.patience:,} without a better one" if args.patience else ""


def descend(args: argparse.Namespace, images: Images, model: Any, begun: Any) -> tuple[Any, bool]:
    """Train; return the fit, or what there is of it, and whether Ctrl-C ended it."""
    of = {"n_samples": learned(args), "bound_samples": args.bound_samples}
    with Progress(args.steps, begun.n_steps if begun else 0, **of) as bar:
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
                looks = {"held_out": images.held_out, "bound_samples": args.bound_samples}
                looks["n_draws"] = draws_of(images.held_out, args.bound_samples)
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


def keep(fit: Any, out: Path) -> None:
    """Write what `--resume` goes on from; whatever happens, the folder has the last one that was whole."""
    with whole_file(out / CHECKPOINT) as path:
        fit.save(path)


def save(fit: Any, out: Path, n_samples: int) -> None:
    """Write the model, the history, and what `--resume` goes on from."""
    with whole_file(out / "model.npz") as path:
        kept_model(fit).save(path)
    rows = {column(n_samples) if name == "bound" else name: row for name, row in plotting.thin(fit.history).items()}
    with whole_file(out / "history.csv") as path, path.open("w", encoding="ascii") as file:
        file.write(",".join(rows) + "\n")
        for step, steps, *values in zip(*rows.values(), strict=True):
            file.write(f"{step:.0f},{steps:.0f}," + ",".join(f"{value:.6g}" for value in values) + "\n")
    if len(fit.evaluations.step):
        with whole_file(out / HELD_OUT) as path, path.open("w", encoding="ascii") as file:
            file.write(f"step,{column(fit._plan.held_out.bound_samples)},se\n")
            for step, cost, se in zip(*fit.evaluations.values(), strict=True):
                file.write(f"{step},{-cost:.6g},{se:.6g}\n")
    else:
        (out / HELD_OUT).unlink(missing_ok=True)  # of an earlier run
    keep(fit, out)


def column(n_samples: int) -> str:
    """Name the column of a bound."""
    return f"bound_{n_samples}" if n_samples > 1 else "bound"


def draw_report(args: argparse.Namespace, images: Images, fit: Any, bounds: dict[int, Bound]) -> None:
    """Write the picture."""
    originals, model = images.test[: plotting.COLUMNS], kept_model(fit)
    samples = model.sample(plotting.COLUMNS * plotting.SAMPLE_ROWS, seed=args.seed)
    one, K = bounds.get(1), args.bound_samples
    if one is not None and K > 1:
        title = f"Test bound {plus_minus(*one, sign='±')} nats, {plus_minus(*bounds[K], sign='±')} with {K:,} samples"
    elif one is not None:
        title = f"Test bound {plus_minus(*one, sign='±')} nats per image"
    else:
        title = f"Interrupted after {fit.n_steps:,} of {args.steps:,} steps"
    subtitle = (
        f"{images.name:.40} · {units(args)} · {fit.n_steps:,} steps of {args.batch} images · "
        f"{args.estimator}, {args.samples} sample{'s' * (args.samples > 1)} · "
        f"learning rate {args.learning_rate:g} · seed {args.seed}"
    )
    figure = plotting.report(
        fit.history,
        originals.reshape(-1, *images.shape),
        model.reconstruct(originals, seed=args.seed).reshape(-1, *images.shape),
        samples.reshape(-1, *images.shape),
        title=title.replace("-", "\N{MINUS SIGN}"),
        subtitle=subtitle,
        test_bound=one,
        evaluations=fit.evaluations,
        n_samples=learned(args),
        bound_samples=K,
        many_bound=bounds.get(K) if K > 1 else None,
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
