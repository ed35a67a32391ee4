import subprocess
import sys

import numpy as np
import pytest

from stochcore import plotting

pytest.importorskip("matplotlib")


def history(n_steps, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "cost": 24 + 8 * np.exp(-np.arange(n_steps) / 300) + rng.normal(size=n_steps),
        "cost_se": rng.uniform(0.5, 1.5, n_steps),
        "grad_norm": rng.uniform(1, 2, n_steps),
    }


def images(n, height=8, width=8):
    return np.random.default_rng(n).random((n, height, width), dtype=np.float32)


def png(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def test_thin_averages_and_combines_errors():
    steps = history(10)
    rows = plotting.thin(steps, 4)
    np.testing.assert_array_equal(rows["step"], [3, 6, 9, 10])
    np.testing.assert_array_equal(rows["steps"], [3, 3, 3, 1])
    groups = [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    for i, group in enumerate(groups):
        se = steps["cost_se"][group]
        assert rows["bound"][i] == pytest.approx(-steps["cost"][group].mean(), rel=1e-14)
        assert rows["se"][i] == pytest.approx(np.sqrt((se**2).sum()) / len(se), rel=1e-14)
        assert rows["grad_norm"][i] == pytest.approx(steps["grad_norm"][group].mean(), rel=1e-14)


def test_thin_takes_the_spread_of_steps_that_do_not_know_their_error():
    steps = history(9)
    steps["cost_se"][:] = np.inf
    se = plotting.thin(steps, 2)["se"]
    for found, cost in zip(se, (steps["cost"][:5], steps["cost"][5:]), strict=True):
        assert found == pytest.approx(cost.std(ddof=1) / np.sqrt(len(cost)), rel=1e-12)
    assert np.isinf(plotting.thin(steps)["se"]).all()


@pytest.mark.parametrize("n_steps", [0, 1, 999, 1000, 1001, 20000])
def test_thin_keeps_every_step_once(n_steps):
    rows = plotting.thin(history(n_steps))
    assert len(rows["step"]) <= 1000
    assert rows["steps"].sum() == n_steps
    if n_steps:
        assert rows["step"][-1] == n_steps


def test_the_band_is_two_standard_errors():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    plotting.learning_curve(axes, history(100), (-24.0, 0.01))
    rows = plotting.thin(history(100), 160)
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    for step, bound, se in zip(rows["step"], rows["bound"], rows["se"], strict=True):
        found = corners[corners[:, 0] == step][:, 1]
        assert found.min() == pytest.approx(bound - 2 * se)
        assert found.max() == pytest.approx(bound + 2 * se)
    curve, across = axes.lines
    np.testing.assert_array_equal(curve.get_ydata(), rows["bound"])
    assert list(across.get_ydata()) == [-24.0, -24.0]
    low, high = axes.get_ylim()
    assert low < -24.0 < high


def test_evaluations_are_drawn_as_bounds_with_the_best():
    from matplotlib.figure import Figure

    axes, found = Figure().add_subplot(), {"step": [0, 50, 100], "cost": [40.0, 24.0, 24.5], "cost_se": [0.1, 0.2, 0.1]}
    plotting.learning_curve(axes, history(100), None, found)
    _, curve, best = axes.lines
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == ([0, 50, 100], [-40.0, -24.0, -24.5])
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([50], [-24.0])
    corners = axes.collections[1].get_paths()[0].vertices
    assert np.ptp(corners[corners[:, 0] == 50][:, 1]) == pytest.approx(0.8)
    low, high = axes.get_ylim()
    assert -40 < low < -24.0 < high  # the start is below
    empty = Figure().add_subplot()
    plotting.learning_curve(empty, history(100), None, {"step": [], "cost": [], "cost_se": []})
    assert len(empty.lines) == 1


def test_image_grid_puts_each_image_in_its_place():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    rows = images(6, 4, 3).reshape(2, 3, 4, 3)
    plotting.image_grid(axes, rows, gap=2)
    canvas = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert canvas.shape == (2 * 4 + 2, 3 * 3 + 2 * 2)
    np.testing.assert_array_equal(canvas[6:10, 5:8].astype(np.float32), rows[1, 1])
    assert np.isnan(canvas[4:6]).all()


@pytest.mark.parametrize(
    ("n_steps", "n_images", "shape"),
    [(2000, 10, (8, 8)), (1, 1, (28, 28)), (2, 3, (1, 50)), (300, 10, (50, 3))],
)
def test_report(n_steps, n_images, shape):
    shown = images(n_images, *shape)
    figure = plotting.report(
        history(n_steps),
        shown,
        shown,
        images(60, *shape),
        title="A title",
        subtitle="words",
        test_bound=(-24.1, 0.02),
    )
    pixels = png(figure)
    assert pixels.shape == (792, 1440, 4)
    # White at the border, both halves drawn.
    assert (pixels[:8] == 255).all()
    assert (pixels[:, -8:] == 255).all()
    for part in (pixels[150:, :720], pixels[150:, 760:]):
        assert (part < 250).any(axis=2).sum() > 300
    words = [text.get_text() for text in figure.texts] + [axes.get_title(loc="left") for axes in figure.axes]
    assert words[:2] == ["A title", "words"]
    assert "Fresh samples" in words


def test_report_of_a_run_that_left_the_numbers():
    steps = history(50)
    steps["cost"][20:] = np.nan
    figure = plotting.report(steps, images(10), images(10), images(60), title="t")
    assert png(figure).shape == (792, 1440, 4)


def test_matplotlib_comes_only_with_a_figure():
    code = "import sys, stochcore.cli; sys.exit(not {'matplotlib', 'tqdm'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
