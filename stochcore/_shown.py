"""What `stochcore train` shows: how far it is, and numbers in words."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

SMOOTH = 500  # the bound in the bar is the mean of a tenth of the steps, at most so many


class Progress:
    """Shows how far training is: a live bar on a terminal, a line now and then elsewhere."""

    def __init__(self, n_steps: int, begun: int = 0, *, n_samples: int = 1, bound_samples: int = 1) -> None:
        self.n_steps, self.begun = n_steps, begun
        self.bound, self.held_out = f"{many(n_samples)}bound", f"{many(bound_samples)}held out"
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
        held_out = f", {self.held_out} {-fit.evaluations.cost[-1]:.2f}" if len(fit.evaluations.cost) else ""
        state = f"step {done:,} of {self.n_steps:,}, {self.bound} {bound:.2f}{held_out}, {speed:,.0f} steps/s, "
        if self.bar is not None:
            self.bar.set_description_str(state, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done == self.n_steps or fit.stopped_early or now - self.last > 5:
            self.last = now
            print(f"{state}{(self.n_steps - done) / speed:,.0f} s left", file=sys.stderr, flush=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no Ctrl-C come between what belongs together."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def many(n_samples: int) -> str:
    """Say which bound it is, in front of its name: nothing for the usual one, with one sample in the logarithm."""
    return f"{n_samples:,}-sample " if n_samples > 1 else ""


def plus_minus(mean: float, error: float, sign: str = "+-") -> str:
    """Write a number and its standard error with as many decimals as the error has to say, at least two."""
    decimals = max(2, math.ceil(-math.log10(error))) if error > 0 else 2
    return f"{mean:.{decimals}f} {sign} {error:.{decimals}f}"
