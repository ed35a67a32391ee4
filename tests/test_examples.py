"""examples: each script really runs, small, and what it prints is right; its picture is there and is no blank sheet."""

from __future__ import annotations

import itertools
import math
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


@pytest.mark.slow
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


def test_hard_decisions(tmp_path):
    out = run(tmp_path, "hard_decisions.py", "--epochs", "15", panels=2)
    wrong = {
        rule: float(share) for rule, share in re.findall(r"^(\w+): 210 steps, .* ([\d.]+)% wrong", out, re.MULTILINE)
    }
    assert set(wrong) == {"leave_one_out", "disarm", "straight_through"}
    assert max(wrong.values()) < 15


@pytest.mark.slow
def test_denoising(tmp_path):
    out = run(tmp_path, "denoising.py", "--steps", "300", "--every", "100", panels=2)
    costs = {
        rule: float(cost)
        for rule, cost in re.findall(
            r"^(\w+): 300 steps, the best at [23]00, cost of the test pictures ([\d.]+) ", out, re.MULTILINE
        )
    }
    assert set(costs) == {"leave_one_out", "disarm", "straight_through"}
    assert max(costs.values()) < 23.5  # it begins at 46
    told = r"corrupted ([\d.]+), restored ([\d.]+), the mean picture ([\d.]+)"
    corrupted, restored, blank = map(float, re.search(told, out).groups())
    assert restored < 0.75 * blank < blank < corrupted


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


# ---- simulators ------------------------------------------------------------------------------------------------------
def lines_without_seconds(out):
    """What a run prints, but for times, the picture's place, and whether it was compiled."""
    lines = [re.sub(r", \d+\.\d+ s$", "", line) for line in out.splitlines()[1:-1]]
    return [line for line in lines if not re.search(r"\d s\b", line)]


@pytest.mark.slow
def test_the_queue_against_its_closed_form(tmp_path):
    out = run(tmp_path, "mm1_queue.py", "--plain", "--cycles", "10000")
    rows = [[float(word) for word in re.findall(r"-?\d+\.\d+", line)] for line in out.splitlines() if "+-" in line]
    mu, w, w_se, w_true, slope, slope_se, slope_true = np.array(rows).T
    assert len(mu) == 8
    assert w_true == pytest.approx(1 / (mu - 1), abs=1e-4)
    assert slope_true == pytest.approx(-1 / (mu - 1) ** 2, abs=1e-4)
    z = np.concatenate([(w - w_true) / w_se, (slope - slope_true) / slope_se])
    assert (abs(z) < 4).all()
    assert 2 < (z**2).sum() < 60  # error bars that are far too long or too short show here

    pytest.importorskip("numba")
    (tmp_path / "picture.png").unlink()
    compiled = run(tmp_path, "mm1_queue.py", "--cycles", "10000")
    assert "compiled by numba" in compiled
    assert lines_without_seconds(compiled) == lines_without_seconds(out)


def demand(k):
    """Chances of Poisson demands of 0 .. k - 1, with the rate of the example."""
    return np.array([np.exp(-3.0) * 3.0**d / math.factorial(d) for d in range(k)])


@pytest.mark.slow
def test_shops(tmp_path):
    pytest.importorskip("numba")
    out = run(tmp_path, "inventory.py", "--steps", "250", "--samples", "128")
    order, best = map(float, re.search(r"newsvendor: order (\S+), best (\S+);", out).groups())
    assert best == pytest.approx(5 * math.log(5), abs=1e-3)
    assert order == pytest.approx(best, abs=0.15)
    first, last, seen, se = map(float, re.search(r"cost (\S+) -> (\S+); simulated (\S+) \+- (\S+)", out).groups())
    assert abs(seen - last) < 4 * se
    s_s, s, top, least = map(
        float, re.search(r"policy (\S+), with s = (\d+) and S = (\d+); dynamic programming (\S+)", out).groups()
    )
    ahead, chance = {}, demand(60)

    def cost(days, stock):
        """The least cost of so many days from a stock on."""
        if days and (days, stock) not in ahead:
            ways = []
            for level in range(stock, 13):
                left = np.maximum(level - np.arange(60), 0)
                paid = left + 6 * np.maximum(np.arange(60) - level, 0)
                later = np.array([cost(days - 1, rest) for rest in left.tolist()])
                ways.append(5 * (level > stock) + chance @ (paid + later))
            ahead[days, stock] = min(ways)
        return ahead.get((days, stock), 0.0)

    assert least == pytest.approx(cost(12, 0), abs=1e-3)
    assert (s, top) == (2, 7)
    assert least < s_s < last < s_s + 3
    assert first > last + 50


@pytest.mark.slow
def test_epidemic(tmp_path):
    pytest.importorskip("numba")
    out = run(tmp_path, "epidemic.py", "--runs", "400")
    rows = [[float(word) for word in re.findall(r"-?\d+\.\d+", line)] for line in out.splitlines() if "+-" in line]
    theta, size, _, *gradients = np.array(rows).T
    assert len(theta) == 8
    assert (np.diff(size) > 0).all()
    by_score, by_difference = np.reshape(gradients, (2, 2, 2, 8))  # method, parameter, number and its error
    z = (by_score[:, 0] - by_difference[:, 0]) / np.hypot(by_score[:, 1], by_difference[:, 1])
    assert (abs(z) < 4).all()
    assert by_score[1, 0, 4] / by_score[1, 1, 4] > 5  # the steepest of them is seen


@pytest.mark.slow
def test_cartpole_is_solved(tmp_path):
    pytest.importorskip("numba")
    out = run(tmp_path, "cartpole.py", "--seeds", "3", "--steps", "50", panels=2)
    assert "  3 of 3 solved (mean return of at least 195)" in out
    assert "  3 of 3 solved (mean return of at least 475)" in out
    returns = [tuple(map(float, pair)) for pair in re.findall(r"seed \d+: +(\S+) -> +(\S+),", out)]
    assert len(returns) == 6
    assert all(before < 100 < 195 <= after for before, after in returns)


def test_a_frozen_lake(tmp_path):
    pytest.importorskip("gymnasium")
    out = run(tmp_path, "gymnasium_frozenlake.py", "--seeds", "1", "--steps", "12", "--episodes", "64", panels=2)
    assert "equal chances 0.014, at best 0.744" in out
    worth = float(re.search(r"seed 0: (\d\.\d+),", out)[1])
    seen, error = map(float, re.search(r"of the first: (\S+) \+- (\S+)", out).groups())
    assert worth > 0.016
    assert abs(seen - worth) < 4 * error + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "panels"),
    [
        pytest.param("inventory.py", ["--steps", "5", "--samples", "8"], 3, marks=pytest.mark.slow),
        pytest.param("epidemic.py", ["--runs", "4"], 3, marks=pytest.mark.slow),
        ("cartpole.py", ["--seeds", "1", "--steps", "3", "--episodes", "8"], 2),
    ],
)
def test_simulators_without_numba(tmp_path, tmp_path_factory, name, options, panels):
    plain = run(tmp_path, name, "--plain", *options, panels=panels)
    pytest.importorskip("numba")
    compiled = run(tmp_path_factory.mktemp("compiled"), name, *options, panels=panels)
    assert lines_without_seconds(compiled) == lines_without_seconds(plain)


def told(name):
    """What an example without a picture prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_network_of_torch_packs_the_best_bags():
    pytest.importorskip("torch")
    out = told("with_torch.py")
    bags = re.findall(r"^(\w+): [\w ]+: (\S+), the best possible (\S+)$", out, re.MULTILINE)
    assert [season for season, *_ in bags] == ["winter", "spring", "summer", "autumn"]
    # Winter, say: coat, boots and map weigh 5.75 of 6 and are worth 6 + 5 + 1.
    assert [float(best) for *_, best in bags] == [-12.0, -11.5, -13.5, -12.25]
    assert all(own == best for _, own, best in bags)


@pytest.mark.slow
def test_a_network_of_jax_colours_the_graph():
    pytest.importorskip("optax")
    out = told("with_jax.py")
    assert "edges inside a group: 0 of 24, the least possible 0\n" in out
    groups = [int(g) for g in re.search(r"groups: ([0-2 ]+)\n", out)[1].split()]
    assert len(groups) == 18
    assert all(len({*groups[3 * t : 3 * t + 3]}) == 3 for t in range(6))
    assert all(groups[3 * t + 2] != groups[3 * (t + 1) % 18] for t in range(6))


@pytest.mark.parametrize(
    "name",
    ["staircase.py", "best_subset.py", "mm1_queue.py", "inventory.py", "epidemic.py", "cartpole.py", "denoising.py"],
)
def test_a_misspelled_option_is_refused(name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "--sed"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --sed" in done.stderr


def test_each_has_its_picture_and_its_words():
    words = (EXAMPLES / "README.md").read_text()
    for script in EXAMPLES.glob("*.py"):
        if script.stem.startswith("with_"):  # these say what they found, and draw nothing
            assert f"`{script.name}`" in words, script.name
            continue
        assert f"({script.stem}.png)" in words, script.name
        assert (EXAMPLES / f"{script.stem}.png").is_file()
