"""Rankings, the first k, and sets: the fused sampler against the definition, probabilities and scores against mpmath.

orders_probe.c, compiled for each instruction set, runs one kernel over raw numbers.
"""

from __future__ import annotations

import functools
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import ISA, STRICT, TESTS, build
from scipy import stats

# Emulation takes half a minute to compile.
OTHERS = [pytest.param(isa, marks=pytest.mark.slow) if isa == "emulated" else isa for isa in ISA if isa != "scalar"]

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf

Array = np.ndarray[Any, Any]
Call = Callable[..., Array]
PHILOX, ARS = 0, 1
SIZES = [
    (1, 1),
    (2, 2),
    (3, 1),
    (10, 10),
    (40, 40),
    (100, 100),
    (100, 10),
    (255, 255),
    (257, 257),
    (1000, 10),
    (1500, 9),
]


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with mp.workdps(60):
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """run(name, items, k, lists, *arrays, rows=1, more=(), isa="scalar"): what the probe wrote, in rows."""
    directory: Path = tmp_path_factory.mktemp("orders")

    @functools.cache
    def program(isa: str) -> list[str]:
        return build(TESTS / "orders_probe.c", directory / isa, isa, "-O2", *STRICT, "-Wno-unused-function")

    def call(
        name: str, items: int, k: int, lists: int, *arrays: Array, rows: int = 1, more: Any = (), isa: str = "scalar"
    ) -> Array:
        command = [*program(isa), name, *map(str, (items, k, lists, rows, *more))]
        data = b"".join(a.tobytes() for a in arrays)
        out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
        whole = name in ("sample", "step", "order", "long")
        return np.frombuffer(out, np.int32).reshape(lists, k) if whole else np.frombuffer(out)

    return call


def quick() -> str:
    """Return the widest instruction set that is sure to run here, for tests of much work."""
    try:
        from c_programs import need

        need("avx2")
    except pytest.skip.Exception:
        return "scalar"
    return "avx2"


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng([20250107, *seed])


def twin(logits: Array, noise: Array, k: int) -> Array:
    """The definition in NumPy."""
    value = np.resize(logits, noise.shape) + noise
    return np.argsort(-value, axis=1, kind="stable")[:, :k].astype(np.int32)


def hard_logits(items: int) -> dict[str, Array]:
    g = rng(items)
    steps = g.integers(0, 3, items)
    alone = np.zeros(items)
    alone[items // 2] = 1e9
    return {
        "ordinary": g.normal(size=items),
        "equal": np.zeros(items),
        "huge": g.choice([-800.0, 800.0], items) + g.normal(size=items),
        "one ulp apart": 700 + steps * np.spacing(700.0),
        "two values": g.choice([-1e6, 1e6], items),
        "beyond noise": g.choice([-1e17, 1e17], items) + 32 * steps,
        "one stands out": alone,
        "descending": -100.0 * np.arange(items),
        "ascending": 0.25 * np.arange(items),
    }


# ---- sampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(hard_logits(2)))
@pytest.mark.parametrize(("items", "k"), SIZES)
def test_fused_is_the_definition(run: Call, items: int, k: int, kind: str) -> None:
    logits = hard_logits(items)[kind]
    lists = 70 if items < 200 else 37
    for engine, first in ((ARS, 0), (PHILOX, 1_000_003)):
        address = (12, first, engine)
        noise = run("noise", items, k, lists, more=address, isa=quick()).reshape(lists, items)
        expected = twin(logits, noise, k)
        np.testing.assert_array_equal(run("order", items, k, lists, logits, noise, isa=quick()), expected)
        np.testing.assert_array_equal(run("step", items, k, lists, logits, noise, isa=quick()), expected)
        np.testing.assert_array_equal(run("sample", items, k, lists, logits, more=address, isa=quick()), expected)


@pytest.mark.parametrize(
    ("items", "k", "lists"), [(10, 10, 40_000), (100, 100, 6000), (100, 10, 20_000), (64, 2, 40_000), (999, 999, 500)]
)
def test_fused_is_the_definition_over_many_lists(run: Call, items: int, k: int, lists: int) -> None:
    logits, address = rng(3).normal(size=items), (99, 7, ARS)
    noise = run("noise", items, k, lists, more=address, isa=quick()).reshape(lists, items)
    y = run("sample", items, k, lists, logits, more=address, isa=quick())
    np.testing.assert_array_equal(y, twin(logits, noise, k))


@pytest.mark.parametrize("k", [1, 20_000])
def test_long_lists(run: Call, k: int) -> None:
    items, address = 20_000, (5, 3, ARS)
    logits = 3 * rng(4).normal(size=items)
    noise = run("noise", items, k, 3, more=address, isa=quick()).reshape(3, items)
    for name, arrays, more in (
        ("sample", (logits,), address),
        ("step", (logits, noise), ()),
        ("long", (logits, noise), ()),
    ):
        y = run(name, items, k, 3, *arrays, more=more, isa=quick())
        np.testing.assert_array_equal(y, twin(logits, noise, k))


@pytest.mark.parametrize(
    ("items", "k", "rows", "lists"), [(7, 7, 5, 40), (100, 5, 3, 200), (50, 4, 64, 128), (300, 300, 2, 33)]
)
def test_each_list_has_its_row_of_logits(run: Call, items: int, k: int, rows: int, lists: int) -> None:
    logits, address = rng(6).normal(size=(rows, items)) * 5 + 1e4 * np.arange(rows)[:, None], (8, 2, ARS)
    noise = run("noise", items, k, lists, more=address, isa=quick()).reshape(lists, items)
    expected = np.argsort(-(logits[np.arange(lists) % rows] + noise), axis=1, kind="stable")[:, :k]
    for name, arrays, more in (
        ("sample", (logits,), address),
        ("step", (logits, noise), ()),
        ("order", (logits, noise), ()),
    ):
        np.testing.assert_array_equal(run(name, items, k, lists, *arrays, rows=rows, more=more, isa=quick()), expected)


@pytest.mark.parametrize("noise_kind", ["equal", "few values", "adversary", "tiny range", "signed zeros"])
@pytest.mark.parametrize(("items", "k"), [(6, 6), (100, 100), (100, 5), (1000, 1000), (3000, 3000)])
def test_ties_go_to_the_smaller_index(run: Call, items: int, k: int, noise_kind: str) -> None:
    lists, g = 18, rng(7, items)
    noise = {
        "equal": np.ones((lists, items)),
        "few values": g.integers(0, 3, (lists, items)) * 1.0,
        "adversary": np.sort(g.uniform(size=(lists, items)), axis=1) * 1e-12
        + (g.uniform(size=(lists, items)) < 0.01) * 100,
        "tiny range": g.integers(0, 5, (lists, items)) * 5e-324,
        "signed zeros": g.choice([0.0, -0.0], (lists, items)),
    }[noise_kind]
    logits = np.full(items, -0.0)
    for name in ("order", "step", "long"):
        np.testing.assert_array_equal(run(name, items, k, lists, logits, noise, isa=quick()), twin(logits, noise, k))


@pytest.mark.parametrize("isa", OTHERS)
def test_the_same_bits_everywhere(run: Call, isa: str) -> None:
    g, address = rng(8), (77, 5, ARS)
    for items, k, lists in ((10, 10, 50), (100, 100, 40), (100, 10, 100), (1100, 1100, 4)):
        logits = 2 * g.normal(size=items)
        y = run("sample", items, k, lists, logits, more=address)
        np.testing.assert_array_equal(run("sample", items, k, lists, logits, more=address, isa=isa), y)
        y = y[:4]
        for name, more in (
            ("log_prob", ()),
            ("score", ()),
            ("far_log_prob", ()),
            ("far_score", ()),
            ("weigh", (g.normal(size=4),)),
        ):
            a, b = (run(name, items, k, 4, logits, y, *more, isa=on) for on in ("scalar", isa))
            assert a.tobytes() == b.tobytes()
        y = y[:, : min(k, 30)]
        for name in ("set_log_prob", "set_score"):
            a, b = (run(name, items, y.shape[1], 4, 50 * logits, y, isa=on) for on in ("scalar", isa))
            assert a.tobytes() == b.tobytes()


def test_frequencies_are_the_probabilities(run: Call) -> None:
    logits, lists = np.array([0.3, -1.0, 1.2, 0.0, -0.4]), 200_000
    for k in (2, 5):
        y = run("sample", 5, k, lists, logits, more=(2024, 0, ARS), isa=quick())
        every = np.array(list(itertools.permutations(range(5), k)), np.int32)
        p = np.exp(run("log_prob", 5, k, len(every), logits, every))
        place = {tuple(row): i for i, row in enumerate(every.tolist())}
        count = np.bincount([place[tuple(row)] for row in y.tolist()], minlength=len(every))
        assert stats.chisquare(count, lists * p / p.sum()).pvalue > 1e-3


def test_few_of_many_have_their_frequencies(run: Call) -> None:
    logits, lists = np.linspace(-2, 2, 64), 100_000
    y = run("sample", 64, 3, lists, logits, more=(31, 0, ARS), isa=quick())
    p = np.exp(logits) / np.exp(logits).sum()
    second = np.array([sum(p[i] * p[j] / (1 - p[i]) for i in range(64) if i != j) for j in range(64)])
    for t, expected in ((0, p), (1, second)):
        assert stats.chisquare(np.bincount(y[:, t], minlength=64), lists * expected).pvalue > 1e-3


# ---- probabilities and scores of orders ------------------------------------------------------------------------------


def exact_log_prob(logits: list[Any], y: Any) -> Any:
    left = set(range(len(logits)))
    total = mpf(0)
    for i in y:
        left.remove(i)
        total -= mp.log1p(mp.fsum(mp.exp(logits[j] - logits[i]) for j in left))
    return total


def exact_score(logits: list[Any], y: Any) -> list[Any]:
    """By the definition: taken minus the probabilities at each turn at which the item was there."""
    left, score = set(range(len(logits))), [mpf(0)] * len(logits)
    for i in y:
        top = max(logits[j] for j in left)
        weight = {j: mp.exp(logits[j] - top) for j in left}
        total = mp.fsum(weight.values())
        for j in left:
            score[j] -= weight[j] / total
        score[i] += 1
        left.remove(i)
    return score


def exact_log_set_prob(chosen: Any, logits: list[Any]) -> Any:
    """Over all orders in which the set may be taken: subset by subset, P(A then i) = P(A) w_i / (W - w_A)."""
    top = max(logits)
    weight = [mp.exp(x - top) for x in logits]
    outside = mp.fsum(w for i, w in enumerate(weight) if i not in set(chosen))
    k = len(chosen)
    p = [mpf(0)] * (1 << k)
    p[0] = mpf(1)
    for taken in range(1 << k):
        free = [t for t in range(k) if not taken >> t & 1]
        left = outside + mp.fsum(weight[chosen[t]] for t in free)
        for t in free:
            p[taken | 1 << t] += p[taken] * weight[chosen[t]] / left
    return mp.log(p[-1])


def differences(f: Callable[[list[Any]], Any], logits: Array) -> list[Any]:
    """The gradient by central differences, to some 20 digits."""
    at, h = [mpf(float(x)) for x in logits], mpf(10) ** -20
    both = [[f([*at[:i], at[i] + step, *at[i + 1 :]]) for step in (h, -h)] for i in range(len(at))]
    return [(above - below) / (2 * h) for above, below in both]


def cases(items: int) -> dict[str, Array]:
    g = rng(items, 1)
    return {
        "ordinary": g.normal(size=items),
        "spread": 20 * g.normal(size=items),
        "extreme": g.choice([-800.0, 800.0, 0.0], items) + g.normal(size=items),
        "ascending": np.linspace(-800, 800, items),
        "equal": np.full(items, 800.0),
    }


@pytest.mark.parametrize("way", ["", "far_"])
@pytest.mark.parametrize("kind", list(cases(2)))
@pytest.mark.parametrize(("items", "k"), [(1, 1), (2, 1), (2, 2), (7, 7), (9, 4), (20, 20), (30, 3)])
def test_log_prob_and_score_of_orders(run: Call, items: int, k: int, kind: str, way: str) -> None:
    logits = cases(items)[kind]
    exact = [mpf(float(x)) for x in logits]
    y = np.array([rng(t).permutation(items)[:k] for t in range(3)] + [np.argsort(-logits)[:k]], np.int32)
    log_p = run(f"{way}log_prob", items, k, len(y), logits, y)
    score = run(f"{way}score", items, k, len(y), logits, y).reshape(-1, items)
    for n, row in enumerate(y.tolist()):
        true = exact_log_prob(exact, row)
        assert abs(log_p[n] - true) <= 2e-15 * abs(true) + mpf(10) ** -300
        expected = np.array([float(s) for s in exact_score(exact, row)])
        np.testing.assert_allclose(score[n], expected, rtol=1e-14, atol=1e-14 * max(1, np.abs(expected).max()))
    if kind != "extreme":
        slope = differences(lambda x: exact_log_prob(x, y[0].tolist()), logits)
        np.testing.assert_allclose(score[0], [float(s) for s in slope], rtol=1e-12, atol=2e-13)


def test_a_nearly_certain_order_keeps_its_digits(run: Call) -> None:
    logits, y = np.array([90.0, 60.0, 0.0, 25.0]), np.array([[0, 1, 3, 2]], np.int32)
    exact = [mpf(float(x)) for x in logits]
    assert abs(run("log_prob", 4, 4, 1, logits, y)[0] / exact_log_prob(exact, [0, 1, 3, 2]) - 1) < 1e-15
    np.testing.assert_allclose(
        run("score", 4, 4, 1, logits, y), [float(s) for s in exact_score(exact, [0, 1, 3, 2])], rtol=1e-14
    )


@pytest.mark.parametrize(("items", "k"), [(4, 4), (5, 3), (6, 1)])
def test_probabilities_sum_to_one_and_scores_to_zero(run: Call, items: int, k: int) -> None:
    logits = 2 * rng(11).normal(size=items)
    every = np.array(list(itertools.permutations(range(items), k)), np.int32)
    sets = np.array(list(itertools.combinations(range(items), k)), np.int32)
    for prefix, y in (("", every), ("set_", sets)):
        p = np.exp(run(f"{prefix}log_prob", items, k, len(y), logits, y))
        score = run(f"{prefix}score", items, k, len(y), logits, y).reshape(-1, items)
        assert abs(p.sum() - 1) < 1e-14
        np.testing.assert_allclose(p @ score, 0, atol=1e-14)
        np.testing.assert_allclose(score.sum(axis=1), 0, atol=1e-14)
    orders = np.exp(run("log_prob", items, k, len(every), logits, every))
    of_set = {tuple(row): 0.0 for row in sets.tolist()}
    for row, p_order in zip(every.tolist(), orders, strict=True):
        of_set[tuple(sorted(row))] += p_order
    p = np.exp(run("set_log_prob", items, k, len(sets), logits, sets))
    np.testing.assert_allclose(p, list(of_set.values()), rtol=1e-14)


def test_large_orders(run: Call) -> None:
    items = 100_000
    logits = 3 * rng(12).normal(size=items)
    y = rng(13).permutation(items).astype(np.int32)
    wide = logits.astype(np.longdouble)[y]
    logsum = np.log(np.cumsum(np.exp(wide[::-1]))[::-1])
    expected = np.sum(wide - logsum)
    assert abs(run("log_prob", items, items, 1, logits, y, isa=quick())[0] / expected - 1) < 1e-14
    score = run("score", items, items, 1, logits, y, isa=quick())
    expected = np.empty(items)
    expected[y] = (1 - np.exp(wide) * np.cumsum(np.exp(-logsum))).astype(float)
    np.testing.assert_allclose(score, expected, rtol=1e-11, atol=1e-12)


# ---- sets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(cases(2)))
@pytest.mark.parametrize(
    ("items", "k"), [(2, 1), (5, 2), (8, 7), (12, 9), (40, 5), (7, 7), pytest.param(9, 9, marks=pytest.mark.slow)]
)
def test_log_prob_and_score_of_sets(run: Call, items: int, k: int, kind: str) -> None:
    logits = cases(items)[kind]
    y = np.array([rng(t).permutation(items)[:k] for t in range(3)] + [np.argsort(-logits)[:k]], np.int32)
    log_p = run("set_log_prob", items, k, len(y), logits, y)
    score = run("set_score", items, k, len(y), logits, y).reshape(-1, items)
    with mp.workdps(60 if kind in ("ordinary", "equal") else 900):
        exact = [mpf(float(x)) for x in logits]
        for n, row in enumerate(y.tolist()):
            true = exact_log_set_prob(row, exact)
            assert abs(log_p[n] - true) <= 2e-14 + 1e-15 * abs(true)
    if kind == "extreme" or items > 9:
        np.testing.assert_allclose(score.sum(axis=1), 0, atol=2e-13)
        return
    for n in (0, -1):
        log_prob = functools.partial(exact_log_set_prob, y[n].tolist())
        with mp.workdps(80 if kind in ("ordinary", "equal") else 900):
            slope = differences(log_prob, logits)
        np.testing.assert_allclose(score[n], [float(s) for s in slope], rtol=1e-12, atol=5e-14)


@pytest.mark.parametrize("k", [30, 200])
def test_large_sets(run: Call, k: int) -> None:
    """Equal logits: every set of k is as probable, and all in a set have one score."""
    items = 2 * k + 1
    logits, y = np.full(items, 3.0), np.arange(k, dtype=np.int32)[None]
    expected = -float(mp.log(mp.binomial(items, k)))
    np.testing.assert_allclose(run("set_log_prob", items, k, 1, logits, y, isa=quick()), expected, rtol=1e-14)
    score = run("set_score", items, k, 1, logits, y, isa=quick())
    np.testing.assert_allclose(score[:k], score[0], rtol=1e-14)
    harmonic = sum(mpf(items - t) ** -1 for t in range(k))
    # All orders are alike: 1 - (the mean of the sums of 1 / what was left up to its turn), over its k places.
    turn = mp.fsum(mp.fsum(mpf(items - s) ** -1 for s in range(t + 1)) for t in range(k)) / k
    np.testing.assert_allclose(score[0], float(1 - turn), rtol=1e-13)
    np.testing.assert_allclose(score[k:], -float(harmonic), rtol=1e-13)


# ---- weighted sums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "set_"])
def test_weighted_sums(run: Call, prefix: str) -> None:
    items, k, lists, g = 30, 6, 50, rng(15)
    logits, weight = g.normal(size=items), g.normal(size=lists)
    y = np.array([g.permutation(items)[:k] for _ in range(lists)], np.int32)
    score = run(f"{prefix}score", items, k, lists, logits, y).reshape(lists, items)
    expected = np.zeros(items)
    for w, row in zip(weight, score, strict=True):
        expected = expected + w * row
    assert run(f"{prefix}weigh", items, k, lists, logits, y, weight).tobytes() == expected.tobytes()
