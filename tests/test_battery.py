"""The battery: its p-values are uniform on good words, and it catches generators that were spoilt on purpose."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from stochcore import _reference, battery

N = battery.MIN_WORDS
CAUGHT = 1e-9
EVERY = set(battery.TESTS)


def good(n=N, seed=3):
    """Words of another generator altogether."""
    return np.random.Generator(np.random.PCG64DXSM(seed)).integers(0, 2**64, n, dtype=np.uint64)


# ---- null distributions ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """P-values of every test on 200 good sequences."""
    p = [battery.p_values(good(seed=1000 + i)) for i in range(200)]
    return {name: np.array([row[name] for row in p]) for name in battery.TESTS}


def test_p_values_are_uniform_on_good_words(many):
    assert set(many) == EVERY
    ks = {name: scipy.stats.kstest(p, "uniform").pvalue for name, p in many.items()}
    worst = min(ks, key=ks.get)
    assert ks[worst] > 0.01 / len(ks), (worst, ks[worst])
    together = scipy.stats.kstest(np.concatenate(list(many.values())), "uniform").pvalue
    assert together > 1e-3


def test_p_values_are_not_below_the_threshold_on_good_words(many):
    smallest = min(p.min() for p in many.values())
    assert smallest > 1e-6


@pytest.mark.slow
def test_p_values_are_uniform_on_more_words():
    p = [battery.p_values(good(n=1 << 19, seed=i)) for i in range(100)]
    for name in battery.TESTS:
        assert scipy.stats.kstest([row[name] for row in p], "uniform").pvalue > 0.01 / len(EVERY), name


@pytest.mark.parametrize("a", [0.5, 1, 2.5, 32, 512, 7812, 32767.5])
def test_gamma_tails_against_scipy(a):
    for sd in (-6, -3, -0.5, 0, 0.5, 3, 6, 12):
        x = a + sd * math.sqrt(a)
        if x > 0:
            lower, upper = battery.gamma_tails(a, x)
            assert lower == pytest.approx(scipy.special.gammainc(a, x), rel=1e-8, abs=1e-15)
            assert upper == pytest.approx(scipy.special.gammaincc(a, x), rel=1e-8, abs=1e-15)
    assert battery.gamma_tails(a, 0) == (0, 1)


@pytest.mark.parametrize("mean", [0.5, 7, 512])
def test_poisson_against_scipy(mean):
    exact = scipy.stats.poisson(mean)
    for count in {0, 1, int(mean), int(mean + 5 * math.sqrt(mean)), max(0, int(mean - 5 * math.sqrt(mean)))}:
        half = exact.pmf(count) / 2
        two_sided = min(1, 2 * min(exact.cdf(count) - half, exact.sf(count) + half))
        assert battery.poisson(count, mean) == pytest.approx(two_sided, rel=1e-8)


def test_pearson_against_scipy():
    counts = np.array([20, 31, 18, 25])
    expected = np.array([23.5, 23.5, 23.5, 23.5])
    upper = scipy.stats.chisquare(counts, expected).pvalue
    assert battery.pearson(counts, expected) == pytest.approx(2 * min(upper, 1 - upper))


def test_too_even_is_caught_as_well():
    """Every value of 16 bits exactly once is no chance."""
    x = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    assert battery.TESTS["equidistribution, bits 48-63"](x) < CAUGHT


# ---- generators spoilt on purpose --------------------------------------------------------------------


def randu():
    """x -> 65539 x modulo 2^31, two steps in a word."""
    x = np.cumprod(np.full(2 * N, 65539, dtype=np.uint64)) & np.uint64(2**31 - 1)
    return x[0::2] << np.uint64(33) | x[1::2] << np.uint64(2)


def power_of_two_modulus():
    """x -> a x modulo 2^64 with Knuth's a: high bits are fair, low bits have short periods."""
    return np.cumprod(np.full(N, 6364136223846793005, dtype=np.uint64))


def few_rounds(engine, rounds, way="along"):
    """One of the engines, in one of the directions, with so many rounds."""
    count, piece = N // 64, np.arange(64, dtype=np.uint64)
    if way == "along":
        return _reference.bits64(engine, np.arange(N, dtype=np.uint64), rounds=rounds)
    if way == "far apart":
        starts = np.arange(count, dtype=np.uint64) * np.uint64(2**64 // count)
        return _reference.bits64(engine, (starts[None, :] + piece[:, None]).reshape(-1), rounds=rounds)
    rows = [_reference.bits64(engine, piece, rounds=rounds, **{way: i}) for i in range(count)]
    return np.stack(rows, axis=1).reshape(-1)


COINCIDENCES = {"collisions, high word", "collisions, low word"}
BIRTHDAYS = {"birthday spacings, high bits", "birthday spacings, low bits"}
LOW_BITS = {"equidistribution, bits 0-15", "serial pairs, low bits", "gaps, low bits", "birthday spacings, low bits"}
HAMMING = {"Hamming weight", "Hamming weight, correlation", "Hamming weight, dependency"}

SPOILT = {
    "RANDU": (randu, LOW_BITS | BIRTHDAYS),
    "modulus of a power of two": (power_of_two_modulus, LOW_BITS | {"each bit", "serial correlation of bits"}),
    "a counter": (lambda: np.arange(N, dtype=np.uint64), EVERY - {"serial correlation"}),
    "a counter without rounds": (lambda: few_rounds("philox", 0), EVERY),
    "philox, 2 rounds": (lambda: few_rounds("philox", 2), EVERY),
    "ars, 2 rounds": (lambda: few_rounds("ars", 2), EVERY),
    "one bit stuck": (
        lambda: good() | np.uint64(1 << 17),
        {"each bit", "collisions, low word", "birthday spacings, low bits", *HAMMING},
    ),
    "each block twice": (
        lambda: np.repeat(good().reshape(-1, 4)[: N // 8], 2, axis=0).reshape(-1),
        COINCIDENCES | BIRTHDAYS | {"serial correlation", "Hamming weight, correlation"},
    ),
    "a short period": (lambda: np.tile(good(N // 2), 2), COINCIDENCES | BIRTHDAYS),
    "neighbours in step": (  # one word in twenty is the one before it
        lambda: np.where(good(seed=4) % np.uint64(20) == 0, np.roll(good(), 1), good()),
        {"serial correlation", "serial correlation of bits", "Hamming weight, correlation", *COINCIDENCES},
    ),
    "halves alike in one bit in ten": (
        lambda: np.where(
            good(seed=4) % np.uint64(10) == 0, good() >> np.uint64(32) | good() & ~np.uint64(2**32 - 1), good()
        ),
        {"pairs of planes", "Hamming weight"},
    ),
    "too few small gaps": (
        lambda: good()[np.append(True, np.diff((good() >> np.uint64(60)).astype(int)) != 0)],
        {"gaps, high bits"},
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_generators_are_caught_by_the_right_tests(name):
    make, by = SPOILT[name]
    x = make()
    assert by
    caught = {test for test in EVERY if battery.TESTS[test](x) < CAUGHT}
    assert by <= caught, by - caught


@pytest.mark.parametrize("way", ["stream", "far apart", "seed"])
@pytest.mark.parametrize(("engine", "rounds"), [("philox", 2), ("philox", 4), ("ars", 2), ("ars", 3)])
def test_few_rounds_are_caught_in_every_direction(engine, rounds, way):
    p = battery.p_values(few_rounds(engine, rounds, way))
    assert min(p.values()) < CAUGHT


@pytest.mark.parametrize("engine", ["philox", "ars", "ars10"])
def test_all_rounds_are_not_caught(engine):
    assert min(battery.p_values(few_rounds(engine, None)).values()) > 1e-4


# ---- the engines in NumPy ----------------------------------------------------------------------------


def test_the_s_box_is_that_of_the_standard():
    assert bytes(_reference.S_BOX[:16]).hex() == "637c777bf26b6fc53001672bfed7ab76"  # FIPS 197, figure 7
    assert sorted(_reference.S_BOX) == list(range(256))


# ---- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1, 2], TypeError, "^`x` must be an array of uint64, got list$"),
        (np.zeros(N), TypeError, "^`x` must be an array of uint64, got float64$"),
        (np.zeros(9, np.uint64), ValueError, r"^`x` must be one row of at least 65,536 words, got shape \(9,\)$"),
        (np.zeros((2, N), np.uint64), ValueError, r"^`x` must be one row of .*, got shape \(2, 65536\)$"),
    ],
)
def test_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        battery.p_values(x)
