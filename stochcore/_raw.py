"""What `stochcore noise` does: show a few elements of a stream, or write its words without end."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .noise import Stream

CHUNK = 1 << 17  # words that are written at a time: 1 MB, and 8 MB where they are of many streams
ROWS = 8
VARIATES = ("uniform", "normal", "logistic", "exponential", "gumbel")


def run(args: argparse.Namespace) -> int:
    """Carry out `stochcore noise`."""
    if not args.raw:
        for name, given in (("--streams", args.streams > 1), ("--bytes", args.bytes is not None)):
            if given:
                raise ValueError(f"{name} goes with --raw")
        show(Stream(args.seed, stream=args.stream, engine=args.engine))
        return 0
    if args.stream + args.streams > 2**32:
        raise ValueError(f"--streams must end at stream 2^32 - 1, got {args.streams:,} from {args.stream} on")
    if sys.stdout is None or os.isatty(sys.stdout.fileno()):
        raise ValueError("--raw writes bytes for other programs: send them to a pipe or a file, not to a terminal")
    # Whoever reads has had enough, or whoever started it has: that is how an endless stream ends.
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        write(sys.stdout.fileno(), args)
    return 0


def show(stream: Stream) -> None:
    """Print the first elements, as every kind of noise."""
    columns = [getattr(stream, name)(ROWS) for name in VARIATES]
    print(f"first elements of {stream}\n")
    print(f"element  {'bits':>16}" + "".join(f"{name:>13}" for name in VARIATES))
    for row, (bits, *values) in enumerate(zip(stream.bits(ROWS, dtype=np.uint64), *columns, strict=True)):
        print(f"{row:>7}  {bits:016x}" + "".join(f"{value:13.8f}" for value in values))


def write(file: int, args: argparse.Namespace) -> None:
    """Write words, little-endian, to a file descriptor: without end, or so many bytes."""
    enlarge_pipe(file)
    left = args.bytes
    for words in chunks(Stream(args.seed, stream=args.stream, engine=args.engine), args.streams):
        if sys.byteorder == "big":
            words.byteswap(inplace=True)
        view = words.data.cast("B")
        if left is not None:
            view = view[:left]
            left -= len(view)
        while view:
            view = view[os.write(file, view) :]
        if left == 0:
            return


def chunks(first: Stream, n_streams: int) -> Iterator[NDArray[Any]]:
    """Give the 64-bit words of elements 0, 1, 2, ...: each of one stream, or of that and the following streams."""
    n = CHUNK if n_streams == 1 else max(4, 8 * CHUNK // n_streams)  # elements
    rows = np.empty((n_streams, n), dtype=np.uint64)
    words = rows if n_streams == 1 else np.empty((n, n_streams), dtype=np.uint64)
    streams = [Stream(first.seed, stream=first.stream + i, engine=first.engine) for i in range(n_streams)]
    for start in range(0, 2**64, n):
        for stream, row in zip(streams, rows, strict=True):
            stream.at(start).bits(dtype=np.uint64, out=row, n_threads=1)
        if n_streams > 1:
            words[...] = rows.T
        yield words.reshape(-1)


def enlarge_pipe(file: int) -> None:
    """Let a pipe hold a chunk, where the system can: fewer turns between writer and reader."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, CHUNK * 8)
