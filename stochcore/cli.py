"""The command line: `stochcore train` learns images and draws a report, `stochcore info` tells the set-up.

Exit status: 0 done, 2 bad input (one line on stderr, no traceback), 130 interrupted (keeps what was learned).
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import importlib
import math
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import _dispatch, networks, optimize, plotting
from .config import show_config
from .data import Images, load_images
from .version import __version__

Bound = tuple[float, float]  # with its standard error

FILES = ("model.npz", "history.csv", "report.png")
SMOOTH = 500  # the bound in the bar is the mean of a tenth of the steps, at most so many
DRAWS = 100  # for each held-out image
# What the library calls an argument, and what the command line does.
OPTIONS = {"n_latents": "latents", "n_steps": "steps", "batch_size": "batch", "n_samples": "samples"}

EPILOG = """\
examples:
  stochcore train
  stochcore train --data train-images-idx3-ubyte.gz --latents 200

DATA is one of
  digits         the 1,797 digits of 8 x 8 pixels that come with scikit-learn:
                 1,500 to train, 297 to test (the default)
  FILE.npz       the arrays x_train and x_test, or one array of images, the last
                 sixth of which is held out; (n, height, width) or (n, pixels);
                 uint8 in 0..255, bool, or floats in [0, 1]
  FILE-idx.gz    images in MNIST's format, gzipped or not; held out are those of
                 the t10k file beside it, otherwise the last sixth

DIR is left with
  model.npz      the parameters
  history.csv    the bound in training: means of so many `steps` up to `step`,
                 their standard errors, and the norm of the gradient
  report.png     learning curve, reconstructions, fresh samples

The last line printed is the bound on the held-out images. Ctrl-C ends training
at once and keeps what was learned.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the line and status 2."""
        choice = re.search(r"invalid choice: (.*) \(choose from (.*)\)", message)
        if choice:
            options = choice[2].replace("'", "")  # newer Pythons leave the quotes out
            message = f"{message[: choice.start()]}must be one of {options}, got {choice[1]}"
        fail(re.sub(r"^argument (\S+): ", r"\1 ", message))
        sys.exit(2)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers in low .. high."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(text) <= high:
                return int(text)
        top = f"{high:,}" if high < 2**53 else f"2^{high.bit_length()} - 1"
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {top}, got {text[:40]!r}")

    return read


def positive_number(text: str) -> float:
    """Read a positive finite number."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a positive number, got {text[:40]!r}")


def build_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(
        prog="stochcore",
        description="Gradients of expected costs through discrete random decisions.",
        epilog="`stochcore train --help` lists the options of the main job.",
        allow_abbrev=False,
    )
    version = f"stochcore {__version__}"
    parser.add_argument("--version", action="version", version=version, help="tell the version and leave")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    about = "tell the instruction set, threads and versions"
    info = commands.add_parser("info", help=about, description=about, allow_abbrev=False)
    info.set_defaults(run=run_info)
    train = commands.add_parser(
        "train",
        help="train a network with binary stochastic units on images",
        description="Train a network with binary stochastic units (a Bernoulli variational\n"
        "autoencoder) on images, binarised afresh at every step; draw what it learned.",
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28),
        allow_abbrev=False,
    )
    train.set_defaults(run=run_train)
    add_options(train)
    return parser


def add_options(train: Parser) -> None:
    """Add the options of the main job."""

    def add(name: str, metavar: str, default: Any, words: str, **more: Any) -> None:
        words += f" ({'all cores' if default is None else default})"
        train.add_argument(f"--{name}", metavar=metavar, default=default, help=words, **more)

    count, names = whole_number(1, 10**9), ("leave_one_out", "score_function")
    threads = whole_number(1, _dispatch.MAX_THREADS)
    add("data", "DATA", "digits", "the images: digits, FILE.npz or FILE-idx.gz")
    add("latents", "N", 32, "binary units", type=whole_number(1, 100_000))
    add("steps", "N", 20_000, "steps of training", type=count)
    add("batch", "N", 50, "images in a step", type=count)
    add("estimator", "NAME", "leave_one_out", f"of the gradient: {' or '.join(names)}", choices=names)
    add("samples", "N", 2, "draws of the units for each image", type=whole_number(1, 10**6))
    add("learning-rate", "RATE", 0.003, "of Adam", type=positive_number)
    add("seed", "N", 0, "of all randomness", type=whole_number(0, 2**64 - 1))
    add("threads", "N", None, "the result is the same for any number", type=threads)
    add("out", "DIR", Path("stochcore-run"), "folder for the results", type=Path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.error("COMMAND must be one of info, train, got nothing (see stochcore --help)")
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nstochcore: interrupted, nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Nobody reads stdout any more; keep the interpreter from complaining when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, ArithmeticError, OSError, ImportError, MemoryError) as error:
        fail(str(error) or "out of memory")
        return 2
    return status


def fail(message: str) -> None:
    """Print the one line of an error, with arguments called as on the command line."""

    def option(match: re.Match[str]) -> str:
        name = OPTIONS.get(match[1], match[1])
        return "--" + name.removeprefix("n_").replace("_", "-")

    words = re.sub(r"`(\w+)`", option, message).split()
    print(f"stochcore: error: {' '.join(words)}", file=sys.stderr)


def run_info(_: argparse.Namespace) -> int:
    """Tell the set-up."""
    show_config()
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Carry out `stochcore train`."""
    isa = _dispatch.isa()
    if args.estimator == "leave_one_out" and args.samples < 2:
        raise ValueError(f"--samples must be at least 2 with --estimator leave_one_out, got {args.samples}")
    need_extras()
    images = load_images(args.data)
    if args.batch > len(images.train):
        most = f"at most the number of images, {len(images.train):,}"
        raise ValueError(f"--batch must be {most}, got {args.batch:,}")
    mean = images.train.mean(axis=0, dtype=np.float64)
    model = networks.BernoulliVAE(images.train.shape[1], args.latents, mean=mean, seed=args.seed)
    prepare_folder(args.out)
    print_plan(args, images, isa)
    fit, interrupted = descend(args, images, model)
    if fit is None or fit.n_steps == 0:
        raise KeyboardInterrupt
    with undisturbed():
        save(fit, args.out)
    bound: Bound | None = None
    with contextlib.suppress(KeyboardInterrupt):
        if not interrupted:
            bound = fit.model.bound(images.test, n_draws=DRAWS, seed=args.seed, n_threads=args.threads)
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
    print(f"trained in {fit.seconds:.1f} s, {fit.n_steps / fit.seconds:,.0f} steps/s")
    print(f"wrote {', '.join(FILES)} in {args.out}")
    print(f"test bound: {plus_minus(*bound)} nats")
    return 0


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


def print_plan(args: argparse.Namespace, images: Images, isa: str) -> None:
    """Say what is about to happen."""
    threads = args.threads or _dispatch.max_threads()
    height, width = images.shape
    n_pixels = height * width
    sizes = f"{len(images.train):,} images of {height} x {width} to train, {len(images.test):,} to test"
    steps = f"{args.steps:,} steps of {args.batch} images, Adam at {args.learning_rate:g}"
    old = any((args.out / name).exists() for name in FILES)
    lines = {
        "data": f"{images.name}: {sizes}",
        "model": f"{n_pixels} pixels, {args.latents} Bernoulli units with a learned prior, {n_pixels} pixels",
        "training": f"{steps}, seed {args.seed}",
        "gradient": f"{args.estimator}, {args.samples} sample{'s' * (args.samples > 1)}",
        "machine": f"{isa}, {threads} thread{'s' * (threads > 1)}",
        "out": f"{args.out}{' (replaces the results that are there)' if old else ''}",
    }
    for name, text in lines.items():
        print(f"{name + ':':<10}{text}")
    sys.stdout.flush()


def descend(args: argparse.Namespace, images: Images, model: Any) -> tuple[Any, bool]:
    """Train; return the fit, or what there is of it, and whether Ctrl-C ended it."""
    with Progress(args.steps) as progress:
        try:
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
            )
        except KeyboardInterrupt as stop:
            return getattr(stop, "fit", None), True
    return fit, False


class Progress:
    """Shows how far training is: a live bar on a terminal, a line now and then elsewhere."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.start = self.last = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            shape = "{percentage:3.0f}% |{bar}| {desc}{remaining} left"
            self.bar = tqdm(total=n_steps, bar_format=shape, dynamic_ncols=True, miniters=1, leave=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            with undisturbed():
                self.bar.close()

    def __call__(self, fit: Any) -> None:
        """Show the state of `fit`."""
        done, now = fit.n_steps, time.monotonic()
        speed = done / max(now - self.start, 1e-9)
        bound = -fit.history.cost[-max(20, min(SMOOTH, done // 10)) :].mean()
        state = f"step {done:,} of {self.n_steps:,}, bound {bound:.2f}, {speed:,.0f} steps/s, "
        if self.bar is not None:
            self.bar.set_description_str(state, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done == self.n_steps or now - self.last > 5:
            self.last = now
            print(f"{state}{(self.n_steps - done) / speed:,.0f} s left", file=sys.stderr, flush=True)


def save(fit: Any, out: Path) -> None:
    """Write the model and the history."""
    with whole_file(out / "model.npz") as path:
        fit.model.save(path)
    rows = plotting.thin(fit.history)
    with whole_file(out / "history.csv") as path, path.open("w", encoding="ascii") as file:
        file.write(",".join(rows) + "\n")
        for step, steps, *values in zip(*rows.values(), strict=True):
            file.write(f"{step:.0f},{steps:.0f}," + ",".join(f"{value:.6g}" for value in values) + "\n")


def draw_report(args: argparse.Namespace, images: Images, fit: Any, bound: Bound | None) -> None:
    """Write the picture."""
    originals = images.test[: plotting.COLUMNS]
    samples = fit.model.sample(plotting.COLUMNS * plotting.SAMPLE_ROWS, seed=args.seed)
    if bound is not None:
        title = f"Test bound {plus_minus(*bound, sign='±')} nats per image"
    else:
        title = f"Interrupted after {fit.n_steps:,} of {args.steps:,} steps"
    subtitle = (
        f"{images.name:.40} · {args.latents} Bernoulli units · {args.steps:,} steps of {args.batch} images · "
        f"{args.estimator}, {args.samples} samples · learning rate {args.learning_rate:g} · seed {args.seed}"
    )
    figure = plotting.report(
        fit.history,
        originals.reshape(-1, *images.shape),
        fit.model.reconstruct(originals, seed=args.seed).reshape(-1, *images.shape),
        samples.reshape(-1, *images.shape),
        title=title.replace("-", "\N{MINUS SIGN}"),
        subtitle=subtitle,
        test_bound=bound,
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


if __name__ == "__main__":
    sys.exit(main())
