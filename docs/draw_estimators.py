"""The tables and pictures of docs/estimators.md: estimators side by side on two models.

Run from anywhere: ``python docs/draw_estimators.py``; it writes docs/estimators/NAME.png and prints the tables. Needs
Matplotlib. Variances are the same on every machine; seconds are those of this one, on one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stochcore as sc

Array = NDArray[Any]

BITS = sc.Bernoulli(logits=np.linspace(-1.5, 1.5, 8))


def load(y: Array) -> Array:
    """A Python cost: the squared distance of a load from 15."""
    return np.asarray((y @ np.arange(1.0, 9.0) - 15.0) ** 2 / 10)


def graph(n: int = 200, share: float = 0.06) -> tuple[sc.Bernoulli, sc.costs.MaxCut]:
    """A random graph, and bits with logits of a Gaussian."""
    i, j = np.triu_indices(n, 1)
    stream, own = sc.Stream(0).spawn(2)
    kept = stream.bernoulli_mask(share, len(i))
    return sc.Bernoulli(logits=own.normal(n)), sc.costs.MaxCut(np.column_stack([i[kept], j[kept]]))


def main() -> None:
    """Compare, print, draw."""
    folder = Path(__file__).parent / "estimators"
    folder.mkdir(exist_ok=True)
    model, cut = graph()
    print(cut)
    pairs = [sc.estimators.LeaveOneOut(k=2)]
    named = [name for name in sc.estimators.available(BITS, load) if name not in ("auto", "exact")]
    for name, comparison in (
        ("bits", sc.compare(BITS, load, [*named, *pairs], n_evals=200_000, n_threads=1, n_rounds=7)),
        ("maxcut", sc.compare(model, cut, n_evals=100_000, n_threads=1, n_rounds=5)),
    ):
        print(f"\n{name}\n{comparison}")
        comparison.plot().savefig(folder / f"{name}.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
