"""The command line: what can be asked for, and how errors are told. Each command's work is in a module of its own.

`stochcore train` learns images and draws a report, `noise` writes random bits, `verify` checks them, `info` tells the
set-up. Exit status: 0 done, 1 `verify` found something wrong, 2 bad input (one line on stderr, no traceback),
130 interrupted (`train` keeps what was learned).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import _dispatch, _raw, _train, truth, verify
from ._rules import OF_BOUNDS
from .config import show_config
from .noise import ENGINES, Stream
from .version import __version__

# What the library calls an argument, and what the command line does.
OPTIONS = {"n_latents": "layers", "n_steps": "steps", "batch_size": "batch", "n_samples": "samples"}

EPILOG = """\
examples:
  stochcore train
  stochcore train --data train-images-idx3-ubyte.gz --layers 200
  stochcore train --layers 100,50 --hidden 200,200 --held-out-every 500
  stochcore train --estimator disarm --steps 100000 --resume
  stochcore train --estimator vimco --samples 5 --bound-samples 50

DATA is one of
  digits         the 1,797 digits of 8 x 8 pixels that come with scikit-learn:
                 1,500 to train, 297 to test (the default)
  FILE.npz       the arrays x_train and x_test, or one array of images, the last
                 sixth of which are to test; (n, height, width) or (n, pixels);
                 uint8 in 0..255, bool, or floats in [0, 1]
  FILE-idx.gz    images in MNIST's format, gzipped or not; to test are those of
                 the t10k file beside it, otherwise the last sixth

With --held-out-every the last sixth of the images to train on is held out (of
MNIST the usual 10,000 of 60,000): no step learns from it, the bound on it is
estimated every so many steps, and the model with the best one is kept. The test
images play no part until the end. --patience ends training after so many such
evaluations in a row without a better one.

NAME is one of
  leave_one_out      cost less the mean of an image's other samples: at least 2
  disarm, arm        pairs of opposite noise, layer by layer: a multiple of the
                     number of layers and one
  score_function, moving_average, nvil
                     cost less nothing, a moving average, what a net foretells
  double_cv          leave_one_out, control variates by gradients; one layer
  rodeo              the same by a discrete Stein operator; one layer
  local_expectation  each unit both ways, a sample stands for all of these; at
                     most 4,096 units
  straight_through, gumbel_softmax
                     biased, to compare with: units as if they were their means,
                     relaxed units; one layer
  vimco              of the bound with all of an image's samples, which training
                     shows; at least 2

With --bound-samples K the bound with K samples within the logarithm is told at
the end besides the usual one, with one. Evaluations on held-out images, and so
the best model, are by the K-sample bound then.

DIR is left with
  model.npz      the parameters; with --held-out-every of the best evaluation
  history.csv    the bound in training: means of so many `steps` up to `step`,
                 their standard errors, and the norm of the gradient; the column
                 of a bound with K samples is called bound_K
  held_out.csv   with --held-out-every: the bound of each evaluation, and its
                 standard error
  report.png     learning curve, reconstructions, fresh samples
  checkpoint.npz what --resume goes on from, written now and then and at the end

The last line printed is the usual bound of that model on the test images.
Ctrl-C ends training at once and keeps what was learned. --resume goes on where
the last checkpoint is, after a crash or towards more --steps, with the bits of
a run that never stopped; the other options, but for --patience, must be those
of the first run.
"""

NOISE_EPILOG = """\
examples:
  stochcore noise --seed 1
  stochcore noise --raw --seed 1 | dieharder -a -g 200
  stochcore noise --raw --engine philox --streams 1000 | RNG_test stdin64
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the line and status 2."""
        choice = re.search(r"invalid choice: (.*) \(choose from (.*)\)", message)
        if choice:
            options = choice[2].replace("'", "")  # newer Pythons leave the quotes out
            message = f"{message[: choice.start()]}must be one of {options}, got {choice[1]}"
        stray = re.fullmatch(r"unrecognized arguments: ([\d, ]+)", message)
        if stray:
            message = f"--layers and --hidden take numbers with commas and no spaces between, got {stray[1]} apart"
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


def widths(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between."""
    with contextlib.suppress(ValueError):
        found = tuple(map(int, text.split(",")))
        if all(1 <= width <= WIDEST for width in found):
            return found
    rule = f"must be whole numbers from 1 to {WIDEST:,} with commas between"
    raise argparse.ArgumentTypeError(f"{rule}, got {text[:40]!r}")


def positive_number(text: str) -> float:
    """Read a positive finite number."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a positive number, got {text[:40]!r}")


def formatter(prog: str) -> argparse.HelpFormatter:
    """Keep the lines of descriptions, and fit a terminal."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


SEED = whole_number(0, 2**64 - 1)
WIDEST = 100_000  # layer


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
    add_train(commands)
    add_noise(commands)
    add_verify(commands)
    about = "tell the instruction set, threads and versions"
    info = commands.add_parser("info", help=about, description=about, allow_abbrev=False)
    info.set_defaults(run=run_info)
    return parser


def add_train(commands: Any) -> None:
    """Describe the main job."""
    train = commands.add_parser(
        "train",
        help="train a network with binary stochastic units on images",
        description="Train a network with binary stochastic units (a Bernoulli variational\n"
        "autoencoder) on images, binarised afresh at every step; draw what it learned.",
        epilog=EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    train.set_defaults(run=_train.run)

    def add(name: str, metavar: str, default: Any, words: str, shown: str | None = None, **more: Any) -> None:
        words += f" ({default if shown is None else shown})"
        train.add_argument(f"--{name}", metavar=metavar, default=default, help=words, **more)

    count, names = whole_number(1, 10**9), OF_BOUNDS
    threads = whole_number(1, _dispatch.MAX_THREADS)
    add("data", "DATA", "digits", "the images: digits, FILE.npz or FILE-idx.gz")
    add("layers", "N[,N...]", (32,), "binary units of each stochastic layer, from the images up", "32", type=widths)
    add("hidden", "N[,N...]", (), "LeakyReLU(0.3) units of each layer between them", "none: linear", type=widths)
    add("steps", "N", 20_000, "steps of training", type=count)
    add("batch", "N", 50, "images in a step", type=count)
    add("estimator", "NAME", "leave_one_out", "of the gradient, see below", choices=names)
    few = whole_number(1, 10**6)
    words = "draws of the units for each image"
    add("samples", "N", None, words, "as few as the estimator can do with", type=few)
    add("bound-samples", "K", None, "also tell the bound with K samples", "1; vimco: its --samples", type=few)
    add("learning-rate", "RATE", 0.003, "of Adam", type=positive_number)
    add("seed", "N", 0, "of all randomness", type=SEED)
    add("threads", "N", None, "the result is the same for any number", "all cores", type=threads)
    add("held-out-every", "STEPS", None, "between evaluations on held-out images", "never", type=count)
    add("patience", "K", None, "stop after K evaluations without a better one", "never", type=count)
    add("out", "DIR", Path("stochcore-run"), "folder for the results", type=Path)
    add("checkpoint", "SECONDS", 60.0, "between checkpoints", type=positive_number)
    train.add_argument("--resume", action="store_true", help="go on from DIR's checkpoint")


def add_noise(commands: Any) -> None:
    """Describe the writer of random bits."""
    noise = commands.add_parser(
        "noise",
        help="show random numbers, or write them raw for other programs",
        description="Show the first elements of a stream, as every kind of noise. With --raw, write\n"
        "its 64-bit words, little-endian, to standard output: without end, unless --bytes\n"
        "says so; the end of a pipe or Ctrl-C ends it too.",
        epilog=NOISE_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    noise.set_defaults(run=_raw.run)
    add, names = noise.add_argument, list(ENGINES)
    add("--raw", action="store_true", help="write bytes without end")
    add("--seed", metavar="N", type=SEED, default=0, help="(0)")
    add("--stream", metavar="N", type=whole_number(0, 2**32 - 1), default=0, help="number of the stream (0)")
    engine = Stream(0).engine
    add("--engine", metavar="NAME", choices=names, default=engine, help=f"{', '.join(names)} ({engine})")
    count = whole_number(1, 1_000_000)
    add("--streams", metavar="N", type=count, default=1, help="with --raw: so many streams, interleaved (1)")
    add("--bytes", metavar="N", type=whole_number(0, 2**63 - 1), help="with --raw: end after so many")


def add_verify(commands: Any) -> None:
    """Describe the check."""
    check = commands.add_parser(
        "verify",
        help="check this installation's noise: known answers, hashes, statistical tests",
        description="Check the noise of this installation: published answers and packaged hashes\n"
        "on every instruction set of this CPU, then a quick battery of statistical tests.\n"
        "Prints a table of p-values; the last line says OK or FAILED, with status 0 or 1.\n"
        "With --estimators: a matrix of z-scores against enumeration, and of the coverage\n"
        "of error bars, for every estimator, family and cost (half an hour; --quick: one\n"
        "minute).",
        formatter_class=formatter,
        allow_abbrev=False,
    )
    check.set_defaults(run=run_verify)
    check.add_argument("--quick", action="store_true", help="fewer numbers: a few seconds")
    check.add_argument("--seed", metavar="N", type=SEED, default=0, help="of the statistical tests (0)")
    words = "instead: hold every estimator against enumeration"
    check.add_argument("--estimators", action="store_true", help=words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.error("COMMAND must be one of train, noise, verify, info, got nothing (see stochcore --help)")
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        kept = ", nothing was written" if arguments.run is _train.run else ""
        print(f"\nstochcore: interrupted{kept}", file=sys.stderr)
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


def run_verify(args: argparse.Namespace) -> int:
    """Carry out `stochcore verify`."""
    _dispatch.isa()  # an instruction set that is not there is told before the work
    with verify_bar() as progress:
        check = truth.matrix if args.estimators else verify.run
        report: truth.Truth | verify.Report = check(quick=args.quick, seed=args.seed, progress=progress)
    print(report)
    return 0 if report.ok else 1


@contextlib.contextmanager
def verify_bar() -> Iterator[Callable[[int, int, str], object] | None]:
    """Show a bar, on a terminal where tqdm is installed."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield None
        return
    with tqdm(bar_format="{percentage:3.0f}% |{bar}| {desc}", dynamic_ncols=True, leave=False) as bar:

        def show(done: int, total: int, what: str) -> None:
            bar.total = total
            bar.set_description_str(what, refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        yield show


if __name__ == "__main__":
    sys.exit(main())
