"""How a fit goes, for people: a bar on stderr, or a function that is called now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _check

BAR_SECONDS = 0.1  # a bar is redrawn no more often
CALL_SECONDS = 0.25  # nor a function called
RECENT = 100  # the bar shows the mean cost of so many steps
BAR = "{percentage:3.0f}%|{bar}| step {n_fmt}/{total_fmt}{postfix}, {rate_noinv_fmt}, {remaining} left"


def checked_progress(progress: Any, what: str) -> Any:
    """Return what says how to show progress."""
    if not isinstance(progress, (bool, np.bool_)) and not callable(progress):
        raise TypeError(f"`progress` must be a bool or a function of the {what}, got {_check._short(progress)}")
    return progress


class Progress:
    """Shows how a fit goes: a bar on stderr (True), a call to progress(fit) now and then, or nothing."""

    def __init__(self, progress: bool | Callable[[Any], object], n_steps: int, label: str) -> None:
        checked_progress(progress, "Fit")
        self._call = progress if callable(progress) else None
        self._label, self._due = label, 0.0
        self._bar: Any = None
        if self._call is None and progress:
            self._bar = bar_of(n_steps, " steps", BAR)

    def show(self, fit: Any, done: int, *, last: bool = False) -> None:
        """Show the state of `fit` after `done` steps of this run, unless that was done a moment ago."""
        if self._bar is None and self._call is None:
            return
        now = time.perf_counter()
        if now < self._due and not last:
            return
        if self._call is not None:
            self._due = now + CALL_SECONDS
            self._call(fit)
        else:
            self._due = now + BAR_SECONDS
            if fit.n_steps:
                words = f"{self._label} {self._turned(float(np.mean(fit.history.cost[-RECENT:]))):.6g}"
                held_out = fit.evaluations.cost
                words += f", held out {self._turned(held_out[-1]):.6g}" if len(held_out) else ""
                self._bar.set_postfix_str(words, refresh=False)
            self._bar.update(done - self._bar.n)

    def _turned(self, cost: float) -> float:
        return -cost if self._label.endswith("bound") else cost

    def close(self) -> None:
        """Leave the bar as it stands and end its line."""
        if self._bar is not None:
            self._bar.close()


def bar_of(total: int, unit: str, shape: str) -> Any:
    """Return a bar on stderr."""
    return _tqdm()(total=total, unit=unit, file=sys.stderr, **_width(), mininterval=0, bar_format=shape)


def _width() -> dict[str, Any]:
    """Follow the terminal's width, where it has one (a fresh pseudo-terminal says 0)."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        known = True
    return {"dynamic_ncols": True} if known else {"ncols": 80}


def _tqdm() -> Callable[..., Any]:
    try:
        import tqdm
    except ImportError:
        raise ImportError('`progress=True` needs tqdm: pip install "stochcore[cli]"') from None
    bar: Callable[..., Any] = tqdm.tqdm
    return bar
