"""The plot of the report: a bar for each headline, from 1x to its ratio, on a logarithmic axis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

INK, GREY, PALE = "#1f2933", "#6b7580", "#dfe3e8"
BLUE, SKY, ORANGE, SAND = "#2166ac", "#9cc3e0", "#c8501e", "#eeb18f"
TIMES = "\N{MULTIPLICATION SIGN}"
INCH = 0.22  # height of a bar and what is above it
TOP, BOTTOM = 1.05, 0.45  # inches for the title, and for the axis
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass
class Bar:
    """One bar: its group, its label, threads, ratio and the peer."""

    group: str
    label: str
    threads: int
    ratio: float
    peer: str


def place(bars: list[Bar]) -> tuple[list[float], list[tuple[float, str, bool]], float]:
    """Return where the bars go, the words beside them (place, text, heading?), and where it all ends."""
    places: list[float] = []
    words: list[tuple[float, str, bool]] = []
    y = 0.0
    for group in dict.fromkeys(bar.group for bar in bars):
        words.append((y, group, True))
        y += 1.15
        for label in dict.fromkeys(bar.label for bar in bars if bar.group == group):
            n = sum((bar.group, bar.label) == (group, label) for bar in bars)
            words.append((y + 0.4 * (n - 1), label, False))
            places += [y + 0.8 * i for i in range(n)]
            y += 0.8 * n + 0.35
        y += 0.35
    return places, words, y


def draw(bars: list[Bar], subtitle: str, target: Path) -> None:
    """Draw bars, which come sorted by group and label."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places, words, end = place(bars)
    high = TOP + BOTTOM + INCH * (end + 0.2)
    most = max(bar.threads for bar in bars)
    low, top = min(0.5, 0.8 * min(bar.ratio for bar in bars)), max(2.0, *(bar.ratio for bar in bars))
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(9.5, high), dpi=150, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.36, BOTTOM / high, 0.61, 1 - (TOP + BOTTOM) / high))
        axes.set(xscale="log", xlim=(low, top * (top / low) ** 0.25), ylim=(end - 0.4, -0.6))
        for y, bar in zip(places, bars, strict=True):
            faster, slower = (BLUE, ORANGE) if bar.threads == most > 1 else (SKY, SAND)
            color = faster if bar.ratio >= 1 else slower
            axes.barh(y, bar.ratio - 1, left=1, height=0.72, color=color, zorder=2)
            digits = 0 if bar.ratio >= 9.95 else 1 if bar.ratio >= 1 else 2
            text = f" {bar.ratio:.{digits}f}{TIMES} {bar.peer}"
            axes.text(max(bar.ratio, 1), y, text, va="center", fontsize=8.5)
        axes.axvline(1, color=INK, lw=1, zorder=3)
        for y, text, heading in words:
            axes.text(
                -0.02,
                y,
                text,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=9.5 if heading else 9,
                weight="bold" if heading else "normal",
            )
        dress(axes, [t for t in TICKS if low <= t <= 1.3 * top])
        figure.text(
            0.025,
            1 - 0.32 / high,
            "stochcore beside the fastest peer",
            fontsize=14,
            weight="bold",
            va="center",
        )
        figure.text(0.025, 1 - 0.62 / high, subtitle, fontsize=9.5, color=GREY, va="center")
        legend = [((SKY, SAND), "1 thread"), ((BLUE, ORANGE), f"{most} threads")][: 1 if most == 1 else 2]
        for i, (colors, text) in enumerate(reversed(legend)):
            right = 0.97 - 0.13 * i
            for square, color in zip((0.0, 0.016), colors, strict=True):
                figure.text(right - 0.115 + square, 1 - 0.32 / high, "\N{BLACK SQUARE}", color=color, va="center")
            figure.text(right - 0.08, 1 - 0.32 / high, text, fontsize=9, va="center")
        figure.savefig(target)


def dress(axes: Any, ticks: list[float]) -> None:
    """Give the axis its ticks and take away what only frames."""
    axes.set_xticks(ticks, [f"{t:g}{TIMES}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.grid(axis="x", color=PALE, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelcolor=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
