"""The report of a training run: what it learned, in one picture. Only making a figure imports Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison", "image_grid", "learning_curve", "report", "thin"]

INK, GREY, PALE = "#1f2933", "#6b7580", "#dfe3e8"
BLUE, ORANGE = "#2166ac", "#c8501e"
WIDE, HIGH = 0.4, 0.7  # of the figure: the part that shows images
COLUMNS, SAMPLE_ROWS = 10, 6  # the most that there is room for
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def thin(history: Mapping[str, ArrayLike], n_rows: int = 1000) -> dict[str, NDArray[np.float64]]:
    """Average the history of a run over runs of steps of equal length.

    Parameters
    ----------
    history : mapping
        With the arrays ``cost`` (minus the bound), ``cost_se`` and ``grad_norm``, one value a step.
    n_rows : int
        At most as many rows come out.

    Returns
    -------
    dict of arrays
        ``step`` (the last step of each row, from 1), ``steps`` (how many are averaged), ``bound`` (their
        mean), ``se`` (its standard error; the steps' noise is independent) and ``grad_norm`` (the mean).
    """
    cost, cost_se, grad_norm = (
        np.asarray(history[name], dtype=np.float64) for name in ("cost", "cost_se", "grad_norm")
    )
    length = max(1, -(-len(cost) // n_rows))
    starts = np.arange(0, len(cost), length)
    steps = np.diff(np.append(starts, len(cost))).astype(np.float64)

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(values, starts) if len(values) else values

    n = np.maximum(steps, 1)
    mean, se = sums(cost) / n, np.sqrt(sums(cost_se**2)) / n
    # One image a step says nothing about its error; several such steps do.
    spread = np.sqrt(sums((cost - np.repeat(mean, steps.astype(np.intp))) ** 2) / n / np.maximum(n - 1, 1))
    se = np.where(np.isfinite(se) | (n < 2), se, spread)
    return {"step": np.cumsum(steps), "steps": steps, "bound": -mean, "se": se, "grad_norm": sums(grad_norm) / n}


def learning_curve(
    axes: Axes,
    history: Mapping[str, ArrayLike],
    test_bound: tuple[float, float] | None = None,
    evaluations: Mapping[str, ArrayLike] | None = None,
    *,
    n_samples: int = 1,
    bound_samples: int = 1,
    many_bound: tuple[float, float] | None = None,
) -> None:
    """Draw the bound against the step with a band of two standard errors, and what evaluations found on the way.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    history : mapping
        As for `thin`.
    test_bound : (mean, standard error), optional
        Drawn as a line across.
    evaluations : mapping, optional
        Of a fit on its held-out images: ``step``, ``cost`` (minus the bound) and ``cost_se``.
    n_samples : int
        How many are in the logarithm of the bound that the history has.
    bound_samples : int
        How many are in that of evaluations, and of `many_bound`.
    many_bound : (mean, standard error), optional
        Another line across.
    """
    of_many = "" if n_samples == 1 else f", {n_samples:,}-sample bound"
    rows = thin(history, 160)
    step, bound, se = rows["step"] - (rows["steps"] - 1) / 2, rows["bound"], rows["se"]
    se = np.where(np.isfinite(se), se, np.nan)
    axes.fill_between(step, bound - 2 * se, bound + 2 * se, color=BLUE, alpha=0.25, linewidth=0)
    marker = "o" if len(step) < 3 else None
    axes.plot(step, bound, color=BLUE, linewidth=1.6, marker=marker, label=f"training{of_many}, with 2 standard errors")
    held_out = [] if evaluations is None else _held_out_curve(axes, evaluations, bound_samples)
    across = [(test_bound, (5, 3), 1), (many_bound, (1, 1.5), bound_samples)]
    for found, dashes, samples in across:
        if found:
            words = "test images, at the end" if samples == 1 else f"the same, {samples:,}-sample bound"
            axes.axhline(found[0], color=ORANGE, linewidth=1.4, dashes=dashes, label=words)
    levels = [*bound[np.isfinite(bound)], *(found[0] for found, *_ in across if found)] or [0.0]
    top = max([*levels, *held_out])
    # The first steps fall far below: the eye wants the rest.
    bottom = min(float(np.quantile(levels, 0.04)), top - 1.0)
    room = 0.1 * (top - bottom)
    axes.set_ylim(bottom - room, top + room)
    axes.set_xlim(0, float(rows["step"][-1]) if len(step) else 1)
    axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="white", borderaxespad=1.0, labelspacing=0.7)
    axes.set_title("Bound, nats per image", loc="left", fontsize=12, pad=10)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _held_out_curve(axes: Axes, evaluations: Mapping[str, ArrayLike], n_samples: int) -> list[float]:
    """Draw the bound of held-out images, if there were evaluations; return it."""
    step, bound, se = (np.asarray(evaluations[name], dtype=np.float64) for name in ("step", "cost", "cost_se"))
    if not len(step):
        return []
    bound, best = -bound, int(bound.argmin())
    words = "held out" if n_samples == 1 else f"held out, {n_samples:,}-sample bound"
    axes.fill_between(step, bound - 2 * se, bound + 2 * se, color=INK, alpha=0.15, linewidth=0)
    axes.plot(step, bound, color=INK, linewidth=1.2, marker=".", markersize=3 if len(step) > 40 else 6, label=words)
    axes.plot(step[best], bound[best], "o", color=INK, markersize=8, label="held out, the best: this model is kept")
    return list(bound)


def image_grid(axes: Axes, rows: NDArray[np.float32], gap: int | None = None) -> None:
    """Draw images of shape ``(n_rows, n_columns, height, width)``, `gap` pixels apart."""
    n_rows, n_columns, height, width = rows.shape
    gap = max(1, width // 9) if gap is None else gap
    canvas = np.full((n_rows * (height + gap) - gap, n_columns * (width + gap) - gap), np.nan)
    for r in range(n_rows):
        for c in range(n_columns):
            top, left = r * (height + gap), c * (width + gap)
            canvas[top : top + height, left : left + width] = rows[r, c]
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("NW")


def _rows(images: NDArray[np.float32], n_rows: int) -> NDArray[np.float32]:
    """Lay images out in rows of COLUMNS; empty places stay white."""
    places = np.full((n_rows * COLUMNS, *images.shape[1:]), np.nan, dtype=np.float32)
    places[: len(images)] = images[: len(places)]
    return places.reshape(n_rows, COLUMNS, *images.shape[1:])


def report(
    history: Mapping[str, ArrayLike],
    originals: NDArray[np.float32],
    reconstructions: NDArray[np.float32],
    samples: NDArray[np.float32],
    *,
    title: str,
    subtitle: str = "",
    test_bound: tuple[float, float] | None = None,
    evaluations: Mapping[str, ArrayLike] | None = None,
    n_samples: int = 1,
    bound_samples: int = 1,
    many_bound: tuple[float, float] | None = None,
) -> Figure:
    """Draw the learning curve, originals beside their reconstructions, and fresh samples.

    Parameters
    ----------
    history : mapping
        As for `thin`.
    originals, reconstructions : array, shape (n, height, width)
        Images in [0, 1] and what the model makes of them.
    samples : array, shape (m, height, width)
        What the model draws by itself.
    title, subtitle : str
        Words above.
    test_bound : (mean, standard error), optional
        Drawn as a line across the learning curve.
    evaluations : mapping, optional
    n_samples, bound_samples : int
    many_bound : (mean, standard error), optional
        As for `learning_curve`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 6.6), dpi=120, facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(0.045, 0.945, title, fontsize=19, fontweight="bold", va="center", parse_math=False)
        figure.text(0.045, 0.893, subtitle, fontsize=11, color=GREY, va="center", parse_math=False)
        told: dict[str, Any] = {"n_samples": n_samples, "bound_samples": bound_samples, "many_bound": many_bound}
        learning_curve(figure.add_axes((0.07, 0.1, 0.42, 0.7)), history, test_bound, evaluations, **told)
        # The grids share the width: a row of images is as high in both.
        height, width = originals.shape[1:]
        row = WIDE * 12 / 6.6 / COLUMNS * height / width
        n_rows = int(np.clip((HIGH - 0.1) / row - 2, 1, SAMPLE_ROWS))
        share = (HIGH - 0.1) / (n_rows + 2)
        pairs = np.concatenate([_rows(originals, 1), _rows(reconstructions, 1)])
        grid = _rows(samples, n_rows)
        for images, bottom, words in (
            (pairs, 0.1 + HIGH - 2 * share, "Test images, and below each its reconstruction"),
            (grid, 0.1, "Fresh samples"),
        ):
            axes = figure.add_axes((0.56, bottom, WIDE, len(images) * share))
            image_grid(axes, images)
            axes.set_title(words, loc="left", fontsize=12, pad=10)
    return figure


def comparison(rows: Sequence[Any]) -> Figure:
    """Draw estimators below each other: variance and seconds of an evaluation, and their product.

    Parameters
    ----------
    rows : sequence
        Of ``stochcore.compare``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    panels = (
        ("variance_per_eval", "variance of the gradient,\nby one evaluation of J"),
        ("seconds_per_eval", "seconds of an evaluation"),
        ("variance_seconds", "variance x seconds: what\na given precision costs"),
    )
    names, at = [row.name for row in rows], np.arange(len(rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 1.3 + 0.34 * len(rows)), layout="constrained")
        for place, (attribute, title) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            values = np.array([getattr(row, attribute) for row in rows], dtype=np.float64)
            shown = values > 0
            if shown.any():
                axes.set_xscale("log")
                low, high = values[shown].min() / 4, values[shown].max() * 4  # more than a decade: some tick is there
                axes.set_xlim(low, high)
                axes.xaxis.set_minor_formatter(NullFormatter())
                axes.hlines(at[shown], low, values[shown], color=PALE, linewidth=5)
            for y, value, row in zip(at, values, rows, strict=True):
                if value > 0:
                    axes.plot(value, y, "o", color=BLUE if row.unbiased else ORANGE, markersize=7)
                else:
                    axes.text(0.03, float(y), "none", transform=axes.get_yaxis_transform(), va="center", color=GREY)
            axes.set_yticks(at, names if place == 0 else [""] * len(names))
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_title(title, loc="left", fontsize=10)
            axes.tick_params(axis="y", length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
        if not all(row.unbiased for row in rows):
            figure.supxlabel("orange: biased", fontsize=9, x=0.99, ha="right")
    return figure
