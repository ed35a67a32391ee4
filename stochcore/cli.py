"""The command line: `stochcore train` learns images and draws a report, `stochcore info` tells the set-up.

Exit status: 0 done, 2 bad input (one line on stderr, no traceback), 130 interrupted (keeps what was learned).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import _dispatch, _train
from .config import show_config
from .version import __version__

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
    train.set_defaults(run=_train.run)
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


if __name__ == "__main__":
    sys.exit(main())
