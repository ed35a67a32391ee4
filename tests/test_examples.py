"""examples: each script really runs, small, and what it prints is right; its picture is there and is no blank sheet."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(tmp_path, name, *arguments, panels=3):
    """Run an example in an empty folder; return what it prints."""
    out = tmp_path / "picture.png"
    words = [sys.executable, str(EXAMPLES / name), "--out", str(out), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert done.stdout.splitlines()[-1] == f"picture: {out}"
    from matplotlib.image import imread

    pixels = imread(out)[:, :, :3]
    assert pixels.shape[0] > 400
    assert pixels.shape[1] > 1000
    blank = (pixels == 1).all(axis=2)
    assert 0.5 < blank.mean() < 0.97
    for part in np.array_split(blank, panels, axis=1):  # something is in every panel
        assert part.mean() < 0.99
    return done.stdout


def test_the_staircase(tmp_path):
    out = run(tmp_path, "staircase.py", "--samples", "128", "--points", "15")
    parcels = [11, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    bits = np.array(list(itertools.product([0, 1], repeat=10)))
    costs = abs(bits @ parcels - 30)

    def expected(w):
        return (costs * np.exp(bits.sum(axis=1) * w)).sum() / (1 + np.exp(w)) ** 10

    grid = np.linspace(-4, 4, 1601)
    values = [expected(w) for w in grid]
    best = int(np.argmin(values))
    assert f"minimum of E[J]: {values[best]:.3f} at w = {grid[best]:.3f}\n" in out
    hits = int(re.search(r"(\d+) of 15 intervals of 95% hold the exact derivative", out)[1])
    assert 12 <= hits <= 15  # fewer than 12 with a chance of 0.5%


def criterion(x, y, price):
    """n log RSS + price * features, by least squares with an intercept."""
    full = np.column_stack([np.ones(len(y)), x])
    rss = ((y - full @ np.linalg.lstsq(full, y, rcond=None)[0]) ** 2).sum()
    return len(y) * np.log(rss) + price * x.shape[1]


@pytest.fixture(scope="module")
def diabetes():
    """The features by name, with the products that the example makes, and the target."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    own = dict(zip(data.feature_names, (data.data - data.data.mean(axis=0)).T, strict=True))
    features = dict(own)
    for (a, x), (b, y) in itertools.combinations_with_replacement(own.items(), 2):
        features[f"{a}²" if a == b else f"{a}·{b}"] = x * y
    return features, data.target


def test_best_subsets(tmp_path, diabetes):
    out = run(tmp_path, "best_subset.py", "--steps", "300")
    features, target = diabetes
    found = {}
    for title, lines in re.findall(
        r"^(\d+ features, \w+): 300 steps, 30,000 samples.*\n((?:  .*\n)+)", out, re.MULTILINE
    ):
        for line in lines.splitlines():
            way, cost, names = re.fullmatch(r"  (\S.*?) +(\d+\.\d+)  (.*)", line).groups()
            found[title, way] = float(cost)
            price = {"BIC": np.log(442), "AIC": 2.0}[title[-3:]]
            x = np.column_stack([features[name] for name in names.split()])
            assert criterion(x, target, price) == pytest.approx(float(cost), abs=2e-3), (title, way)
    assert len(found) == 10

    ten = np.column_stack([features[name] for name in list(features)[:10]])
    subsets = (list(itertools.combinations(range(10), k)) for k in range(1, 11))
    best = min(criterion(ten[:, s], target, np.log(442)) for s in itertools.chain.from_iterable(subsets))
    assert found["10 features, BIC", "all subsets"] == pytest.approx(best, abs=2e-3)
    assert found["10 features, BIC", "descent"] == found["10 features, BIC", "all subsets"]
    assert found["10 features, BIC", "forward selection"] > best + 0.4
    assert found["64 features, BIC", "descent"] <= found["64 features, BIC", "forward selection"]
    assert found["64 features, AIC", "descent"] < found["64 features, AIC", "forward selection"] - 5


def test_max_cut(tmp_path, tmp_path_factory):
    rng = np.random.default_rng(5)
    edges = [(i, j) for i, j in itertools.combinations(range(14), 2) if rng.random() < 0.4]
    graph = tmp_path_factory.mktemp("graph") / "small.txt"
    graph.write_text(f"14 {len(edges)}\n" + "".join(f"{i + 1} {j + 1} 1\n" for i, j in edges))
    options = ["--seconds", "1", "--workers", "2", "--steps", "500"]
    out = run(tmp_path, "maxcut.py", str(graph), *options, panels=2)
    sides = np.arange(1 << 13)[:, None] >> np.arange(14) & 1
    best = max(sum(sides[:, i] != sides[:, j] for i, j in edges))
    assert f"small: 14 nodes, {len(edges)} edges\n" in out
    assert f"best cut: {best} (seed " in out


@pytest.mark.parametrize("name", ["staircase.py", "best_subset.py"])
def test_a_misspelled_option_is_refused(name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "--seeds"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --seeds" in done.stderr


def test_each_has_its_picture_and_its_words():
    words = (EXAMPLES / "README.md").read_text()
    for script in EXAMPLES.glob("*.py"):
        assert f"({script.stem}.png)" in words, script.name
        assert (EXAMPLES / f"{script.stem}.png").is_file()
