"""battery: statistical tests of 64-bit words, quick enough to be run on every machine.

A test is a function of n words in a row (uint64) that gives one p-value, two-sided: uniform on [0, 1] where the words
are independent and uniform, close to 0 where they are too far from that or too near. Each says where its null
distribution comes from. It is exact but for the usual limits (chi-square for Pearson's statistic with at least some 5
expected in a cell, normal for a mean of n independent terms, Poisson for rare coincidences), which hold far into the
tails for n from 2^16 on.

Knuth: The Art of Computer Programming, volume 2, third edition, section 3.3. Marsaglia, Tsang: Some difficult-to-pass
tests of randomness, Journal of Statistical Software 7(3), 2002. L'Ecuyer, Simard: TestU01, ACM TOMS 33(4), 2007.
Blackman, Vigna: Scrambled linear pseudorandom number generators, ACM TOMS 47(4), 2021, section 4 (Hamming weights).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Array = NDArray[Any]

MIN_WORDS = 1 << 16

# ---- p-values ----------------------------------------------------------------------------------------


def gamma_tails(a: float, x: float) -> tuple[float, float]:
    """Return the lower and the upper tail at x of the gamma distribution of shape a.

    By the series or by Legendre's continued fraction (Lentz's method), whichever converges fast.
    """
    if x <= 0:
        return 0.0, 1.0
    if a == 0:
        return 1.0, 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        lower = min(1.0, front * total)
        return lower, 1 - lower
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    fraction = d
    for i in range(1, 100_000):
        b += 2
        d = -i * (i - a) * d + b
        c = b - i * (i - a) / c
        d = 1 / (d if abs(d) > tiny else tiny)
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    upper = min(1.0, front * fraction)
    return 1 - upper, upper


def two_sided(lower: float, upper: float) -> float:
    """Return the p-value for both tails."""
    return min(1.0, 2 * min(lower, upper))


def chi_square(statistic: float, freedom: int) -> float:
    """Two-sided p-value of a chi-square statistic."""
    return two_sided(*gamma_tails(freedom / 2, statistic / 2))


def pearson(counts: Array, expected: Array | float) -> float:
    """Two-sided p-value of Pearson's statistic of counts whose total is fixed (Knuth 3.3.1)."""
    return chi_square(float(np.sum((counts - expected) ** 2 / expected)), counts.size - 1)


def poisson(count: int, mean: float) -> float:
    """Two-sided p-value of a Poisson count; half of its own probability goes to each side."""
    upper, lower = gamma_tails(count, mean)  # P(X >= count), P(X < count)
    above, below = gamma_tails(count + 1, mean)
    return two_sided((lower + below) / 2, (upper + above) / 2)


# ---- the tests ---------------------------------------------------------------------------------------


def field(x: Words, low: int, bits: int) -> Array:
    """Return bits low .. low + bits of each word, as integers that can index."""
    return ((x >> np.uint64(low)) & np.uint64((1 << bits) - 1)).astype(np.int64)


def size_of(x: Words) -> int:
    """Return the whole part of log2 of the number of words."""
    return x.size.bit_length() - 1


def equidistribution(x: Words, low: int, from_top: bool) -> float:
    """16 bits (fewer for few words), at the bottom or top of the 32 from `low` on: Pearson (Knuth 3.3.2 A)."""
    bits = min(16, size_of(x) - 4)
    cells = np.bincount(field(x, low + (32 - bits) * from_top, bits), minlength=1 << bits)
    return pearson(cells, x.size / cells.size)


def fair_bits(x: Words) -> float:
    """How often each of the 64 bits is set: a sum of 64 squares of standard normals (monobit, 64 times)."""
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)
    octets = np.ascontiguousarray(x).view(np.uint8).reshape(-1, 8)
    ones = np.array([np.bincount(octets[:, i], minlength=256) @ table for i in range(8)])
    return chi_square(float(np.sum((2.0 * ones - x.size) ** 2)) / x.size, 64)


def cube(x: Words) -> float:
    """Uniforms k 2^-53, three in a row, in 25^3 cells of the cube: Pearson (Knuth 3.3.2 B)."""
    u = (x[: x.size // 3 * 3] >> np.uint64(11)) * 2.0**-53
    side = (u * 25).astype(np.int64).reshape(-1, 3)
    cells = np.bincount(side @ np.array([625, 25, 1]), minlength=25**3)
    return pearson(cells, side.shape[0] / cells.size)


def pairs(x: Words, low: int) -> float:
    """8 bits from `low` on of two neighbours, in pairs that do not overlap: Pearson on 2^16 cells (Knuth 3.3.2 B)."""
    bits = min(8, (size_of(x) - 4) // 2)
    a = field(x[: x.size // 2 * 2], low, bits)
    cells = np.bincount(a[0::2] << bits | a[1::2], minlength=1 << 2 * bits)
    return pearson(cells, x.size // 2 / cells.size)


def planes(x: Words) -> float:
    """The top 8 bits of both halves of a word: Pearson on 2^16 cells."""
    bits = min(8, (size_of(x) - 4) // 2)
    cells = np.bincount(field(x, 64 - bits, bits) << bits | field(x, 32 - bits, bits), minlength=1 << 2 * bits)
    return pearson(cells, x.size / cells.size)


def correlations(y: Array, variance: float, lags: int) -> float:
    """Sum over lags of the squared mean product: the products are uncorrelated, so lags squares of normals."""
    z = [
        float(np.einsum("i,i", y[:-lag], y[lag:])) / (variance * math.sqrt(y.size - lag)) for lag in range(1, lags + 1)
    ]
    return chi_square(sum(value * value for value in z), lags)


def serial_correlation(x: Words) -> float:
    """Of uniforms at lags 1 .. 16, about the known mean 1/2 with the known variance 1/12 (Knuth 3.3.2 K)."""
    return correlations((x >> np.uint64(11)) * 2.0**-53 - (0.5 - 2.0**-54), 1 / 12, 16)


def bit_correlation(x: Words) -> float:
    """Each bit of a word with each bit of the next: 64^2 uncorrelated sums of +-1, so as many squares of normals."""
    x = x[: 1 << 18]
    n = x.size // 64 * 64 - 64  # pairs of neighbours
    bits = np.ascontiguousarray(np.unpackbits(np.ascontiguousarray(x).view(np.uint8)).reshape(-1, 64).T)
    first, second = (np.packbits(part, axis=1).view(np.uint64) for part in (bits[:, :n], bits[:, 1 : n + 1]))
    unlike = np.array([np.bitwise_count(row ^ second).sum(axis=1, dtype=np.int64) for row in first])
    return chi_square(float(np.sum((n - 2.0 * unlike) ** 2)) / n, unlike.size)


def gaps(x: Words, low: int) -> float:
    """Words between those whose 4 bits from `low` on are 0: geometric, in cells for Pearson (Knuth 3.3.2 D)."""
    p = 1 / 16
    n = int(x.size * p - 8 * math.sqrt(x.size * p))  # as many as there are but for a chance of 10^-15
    visits = np.flatnonzero(field(x, low, 4) == 0)
    if visits.size < n:
        return 0.0
    lengths = np.diff(visits[:n], prepend=-1) - 1
    last = int(math.log(10 / (n * p)) / math.log1p(-p))  # at least 10 expected in each cell
    counts = np.bincount(np.minimum(lengths, last), minlength=last + 1)
    chance = (1 - p) ** np.arange(last + 1.0)
    chance[:-1] *= p
    return pearson(counts, n * chance)


def collisions(x: Words, low: int) -> float:
    """Words in many more urns (512 collisions expected), by the top bits of 32: Poisson, exact mean (Knuth 3.3.2 I)."""
    bits = min(32, 2 * size_of(x) - 10)
    urns = float(1 << bits)
    part = ((x >> np.uint64(low)).astype(np.uint32)) >> np.uint32(32 - bits)
    part.sort()
    count = int(np.count_nonzero(part[1:] == part[:-1]))
    return poisson(count, x.size + urns * math.expm1(x.size * math.log1p(-1 / urns)))


def birthday_spacings(x: Words, from_top: bool) -> float:
    """Equal spacings of n birthdays in a year of some n^3 / 2048 days: Poisson (Marsaglia and Tsang; Knuth 3.3.2 J).

    The mean is that of equal pairs among n circular spacings, which are Dirichlet: n (n - 1)^2 / (4 days), near 512.
    """
    bits = min(64, 3 * size_of(x) - 11)
    days = x >> np.uint64(64 - bits) if from_top else x << np.uint64(64 - bits) >> np.uint64(64 - bits)
    days.sort()
    spacings = np.diff(days, append=days[:1])
    spacings[-1] &= np.uint64((1 << bits) - 1)  # the year goes round
    spacings.sort()
    count = int(np.count_nonzero(spacings[1:] == spacings[:-1]))
    n = x.size
    return poisson(count, n * (n - 1.0) ** 2 / (4.0 * 2.0**bits))


def weights(x: Words) -> Array:
    """Return how many bits of each word are set."""
    return np.bitwise_count(x)


def binomial(n: int) -> Array:
    """Probabilities of 0 .. n heads among n fair coins."""
    return np.array([math.comb(n, k) for k in range(n + 1)]) / 2.0**n


def hamming_weight(x: Words) -> float:
    """Bits set in a word: binomial(64, 1/2), in cells with at least 10 expected, for Pearson (TestU01)."""
    expected = x.size * binomial(64)
    low = int(np.argmax(np.cumsum(expected) >= 10))
    counts = np.bincount(np.clip(weights(x), low, 64 - low), minlength=65 - low)[low:]
    cells = expected[low : 65 - low].copy()
    cells[[0, -1]] = np.sum(expected[: low + 1])
    return pearson(counts, cells)


def hamming_correlation(x: Words) -> float:
    """Of the weights of words at lags 1 .. 16: mean 32, variance 16 (TestU01's HammingCorr)."""
    return correlations(weights(x) - 32.0, 16.0, 16)


def hamming_dependency(x: Words) -> float:
    """Light, middle or heavy: the signature of 8 half words in a row among 3^8, for Pearson (Blackman and Vigna)."""
    light = float(binomial(32)[:15].sum())
    chance = np.array([light, 1 - 2 * light, light])
    length = 8 if x.size >= 1 << 19 else 6
    heavy = weights(np.ascontiguousarray(x).view(np.uint32))
    kinds = ((heavy > 14).astype(np.int64) + (heavy > 17))[: 2 * x.size // length * length].reshape(-1, length)
    cells = np.bincount(kinds @ 3 ** np.arange(length - 1, -1, -1), minlength=3**length)
    expected = np.ones(1)
    for _ in range(length):
        expected = np.multiply.outer(expected, chance).reshape(-1)
    return pearson(cells, kinds.shape[0] * expected)


TESTS: dict[str, Callable[[Words], float]] = {
    "equidistribution, bits 48-63": partial(equidistribution, low=32, from_top=True),
    "equidistribution, bits 32-47": partial(equidistribution, low=32, from_top=False),
    "equidistribution, bits 16-31": partial(equidistribution, low=0, from_top=True),
    "equidistribution, bits 0-15": partial(equidistribution, low=0, from_top=False),
    "each bit": fair_bits,
    "uniforms in cells of a cube": cube,
    "serial pairs, high bits": partial(pairs, low=56),
    "serial pairs, low bits": partial(pairs, low=0),
    "pairs of planes": planes,
    "serial correlation": serial_correlation,
    "serial correlation of bits": bit_correlation,
    "gaps, high bits": partial(gaps, low=60),
    "gaps, low bits": partial(gaps, low=0),
    "collisions, high word": partial(collisions, low=32),
    "collisions, low word": partial(collisions, low=0),
    "birthday spacings, high bits": partial(birthday_spacings, from_top=True),
    "birthday spacings, low bits": partial(birthday_spacings, from_top=False),
    "Hamming weight": hamming_weight,
    "Hamming weight, correlation": hamming_correlation,
    "Hamming weight, dependency": hamming_dependency,
}


def p_values(x: Words) -> dict[str, float]:
    """Run every test.

    Parameters
    ----------
    x : ndarray of uint64, shape (n,)
        The words in their order; n is at least 2^16.

    Returns
    -------
    dict
        The p-value of each test, by name.

    Raises
    ------
    TypeError, ValueError
        Words of another type; too few.

    Examples
    --------
    >>> import numpy as np
    >>> counter = np.arange(2**16, dtype=np.uint64)
    >>> p_values(counter)["each bit"]
    0.0
    """
    if not isinstance(x, np.ndarray) or x.dtype != np.uint64:
        raise TypeError(f"`x` must be an array of uint64, got {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 1 or x.size < MIN_WORDS:
        raise ValueError(f"`x` must be one row of at least {MIN_WORDS:,} words, got shape {x.shape}")
    return {name: test(x) for name, test in TESTS.items()}
