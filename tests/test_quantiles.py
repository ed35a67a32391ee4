"""Quantile functions of noise: how exact, antisymmetric, monotone; and equal bits on every instruction set.

quantiles_probe.c runs them over raw integers. float64 results are held against mpmath at the extremes, around every
internal branch and in each binade, and in the slow tests against 80-bit long double on many more; float32 results
against float64, in the slow tests for each of the 2^32 words. The bounds are those that the comments in
csrc/kernels/quantiles.h state, which must keep what DESIGN.md promises.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from c_programs import CSRC, ISA, STRICT, TESTS, build

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf
mp.dps = 40

Array = np.ndarray[Any, Any]
Run = Callable[..., Any]
KINDS = ["normal", "logistic", "exponential", "gumbel"]
ANTISYMMETRIC = ["normal", "logistic"]
TOP = 2**53 - 1  # the largest k


def stated(name: str) -> float:
    """The bound in ulp of the comment above a quantile function."""
    text = (CSRC / "kernels" / "quantiles.h").read_text()
    suffix = "32" if name.endswith("32") else ""
    function = f"sc_{name.removesuffix('32')}_quantile{suffix}"
    (comment,) = re.findall(rf"/\*((?:(?!\*/).)*)\*/\nSC_INLINE void {function}\(", text, flags=re.DOTALL)
    (bound,) = re.findall(r"([0-9.]+) ulp", comment)
    return float(bound)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """program(isa): the command of the probe."""
    directory = tmp_path_factory.mktemp("quantiles")

    @functools.cache
    def built(isa: str) -> list[str]:
        return build(TESTS / "quantiles_probe.c", directory / isa, isa, "-O2", *STRICT)

    return built


@pytest.fixture(scope="module")
def run(program: Callable[[str], list[str]]) -> Run:
    """run(name, words, isa): the function's results, bit for bit."""

    def call(name: str, words: Array, isa: str = "scalar") -> Array:
        single = name.endswith("32")
        given = words.astype(np.uint32 if single else np.uint64).tobytes()
        out = subprocess.run([*program(isa), name], input=given, stdout=subprocess.PIPE, check=True).stdout
        return np.frombuffer(out, np.float32 if single else np.float64)

    return call


@pytest.fixture(scope="module")
def fast(program: Callable[[str], list[str]]) -> str:
    """The fastest instruction set of this machine."""
    for isa in ("avx512", "avx2", "neon"):
        try:
            if "qemu" not in program(isa)[0]:
                return isa
        except pytest.skip.Exception:
            continue
    return "scalar"


# ---- where to look ---------------------------------------------------------------------------------------------------


def borders(kind: str) -> list[Any]:
    """Probabilities P at which the function changes its branch, or its result a binade."""
    root = mp.sqrt(mpf(1) / 2)
    rows = [mpf(2) ** (b - 12) * (1 + mpf(i) / 32) for b in range(11) for i in range(32)]
    if kind == "normal":
        tails = [root * mpf(2) ** -n for n in range(11, 54)]
        sides = [*rows, *tails, *(mp.erfc(mpf(2) ** n * root) / 2 for n in range(-30, 4))]
    elif kind == "logistic":
        sides = [(mp.sqrt(1 + 8 * root * mpf(2) ** -n) - 1) / 4 for n in range(54)]
        sides += [1 / (1 + mp.exp(mpf(2) ** n)) for n in range(-30, 6)]
    elif kind == "exponential":
        sides = [mpf(1) / 2, *(root * mpf(2) ** -n for n in range(54))]
        sides += [mp.exp(-(mpf(2) ** n)) for n in range(-52, 6)]
    else:
        sides = [*rows, mp.exp(-1), *(root * mpf(2) ** -n for n in range(11, 54))]
        sides += [mp.exp(-root * mpf(2) ** n) for n in range(-53, 6)]
        sides += [mp.exp(-mp.exp(sign * mpf(2) ** n)) for n in range(-30, 6) for sign in (-1, 1)]
    return [*sides, *(1 - p for p in sides)]


def words(kind: str, bits: int, n: int, steps: int = 3) -> Array:
    """Integers of `bits` bits: extremes, the median, borders with `steps` neighbours, n in each binade, n at random."""
    g, top = np.random.default_rng(20240607), 2**bits - 1
    ends = np.arange(2 * steps)
    middle = 2 ** (bits - 1) + np.concatenate([ends, *(2**b + ends for b in range(bits - 1))])
    near = np.array([int(mp.floor(p * mpf(2) ** bits)) for p in borders(kind)])
    near = (near[:, None] + np.arange(-steps, steps + 1)).ravel()
    tail = np.concatenate([2**b + ends for b in range(bits)])
    binades = np.concatenate([g.integers(2**b, 2 ** (b + 1), n // bits) for b in range(bits)])
    random = g.integers(0, top, n, endpoint=True)
    k = np.concatenate([ends, middle, near, tail, binades, random])
    k = np.concatenate([k, top - k])
    return np.unique(k[(k >= 0) & (k <= top)])


def half(kind: str, k: Array, bits: int) -> Array:
    """Of an antisymmetric function, those below the median: that the others are theirs has a test of its own."""
    return k[k < 2 ** (bits - 1)] if kind in ANTISYMMETRIC else k


# ---- errors ----------------------------------------------------------------------------------------------------------


def exact(kind: str, p: Any, z: float) -> Any:
    """The quantile at p; the normal one by a step of Halley's method from z, close to it."""
    if kind == "logistic":
        return mp.log(p / (1 - p))
    if kind == "exponential":
        return -mp.log(1 - p)
    if kind == "gumbel":
        return -mp.log(-mp.log(p))
    y = mpf(z)
    step = (p - mp.ncdf(y)) * mp.sqrt(2 * mp.pi) * mp.exp(y * y / 2)
    return y + step * (1 + y * step / 2)


def pairs(kind: str, k: Array, bits: int, z: Array) -> tuple[Array, Array]:
    """The true values as near + rest, both float64."""
    values = [exact(kind, mpf(2 * i + 1) / 2 ** (bits + 1), x) for i, x in zip(k.tolist(), z.tolist(), strict=True)]
    near = [float(v) for v in values]
    rest = [float(v - mpf(w)) for v, w in zip(values, near, strict=True)]
    return np.array(near), np.array(rest)


def worst(got: Array, near: Array, rest: Array, floor: float) -> float:
    """The largest error in units in the last place of the true value, among those above `floor`."""
    error = np.abs((got - near) - rest)
    ulp = np.spacing(np.abs(near.astype(got.dtype))).astype(float)
    assert np.isfinite(got).all()
    return float(np.max((error / ulp)[error > floor], initial=0.0))


def test_stated_bounds_keep_the_contract() -> None:
    assert [name for kind in KINDS for name in (kind, f"{kind}32") if not 0.5 <= stated(name) <= 4] == []


@pytest.mark.parametrize("kind", KINDS)
def test_float64_against_mpmath(run: Run, kind: str) -> None:
    k = half(kind, words(kind, 53, 600, steps=2), 53)
    z = run(kind, k)
    error = worst(z, *pairs(kind, k, 53, z), 2.0**-53)
    assert error <= stated(kind)


@pytest.mark.slow
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double")
@pytest.mark.parametrize("kind", KINDS)
def test_float64_against_long_double(run: Run, fast: str, program: Callable[[str], list[str]], kind: str) -> None:
    k = words(kind, 53, 1_000_000, steps=500)
    command = [*program(fast), kind, "exact"]
    out = subprocess.run(command, input=k.astype(np.uint64).tobytes(), stdout=subprocess.PIPE, check=True).stdout
    near, rest = np.frombuffer(out).reshape(-1, 2).T
    error = worst(run(kind, k, fast), near, rest, 2.0**-53)
    assert error <= stated(kind)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double")
@pytest.mark.parametrize("kind", KINDS)
def test_long_double_is_a_reference(run: Run, program: Callable[[str], list[str]], kind: str) -> None:
    """The slow test's reference, held against mpmath: within a hundredth of an ulp, or of 2^-53."""
    k = half(kind, words(kind, 53, 300, steps=1), 53)
    command = [*program("scalar"), kind, "exact"]
    out = subprocess.run(command, input=k.astype(np.uint64).tobytes(), stdout=subprocess.PIPE, check=True).stdout
    near, rest = np.frombuffer(out).reshape(-1, 2).T
    true, more = pairs(kind, k, 53, run(kind, k))
    error = worst(near, true, more - rest, 2.0**-53 / 100)
    assert error <= 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_float32_against_mpmath(run: Run, kind: str) -> None:
    w = half(kind, words(kind, 32, 600, steps=2), 32)
    z = run(f"{kind}32", w)
    error = worst(z, *pairs(kind, w, 32, run(kind, (w << 21) + 2**20)), 2.0**-32)
    assert error <= stated(f"{kind}32")


def scan(command: list[str], kind: str, first: int, count: int) -> dict[str, float]:
    ran = subprocess.run(
        [*command, f"{kind}32", "scan", str(first), str(count)], stdout=subprocess.PIPE, text=True, check=True
    )
    return {name: float(value) for name, value in (line.split() for line in ran.stdout.splitlines())}


def hold_scan(found: dict[str, float], kind: str) -> None:
    bound = stated(f"{kind}32")
    assert found["worst"] <= bound, found
    assert found["back"] <= bound, found
    assert found["odd"] == 0, found
    assert np.isfinite([found["least"], found["most"]]).all()
    assert kind != "exponential" or found["least"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_float32_at_every_word(program: Callable[[str], list[str]], fast: str, kind: str) -> None:
    hold_scan(scan(program(fast), kind, 0, 2**32), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_in_runs_of_words(program: Callable[[str], list[str]], fast: str, kind: str) -> None:
    for first in (0, 2**23 - 2**15, 2**31 - 2**18, 2**32 - 2**18, *range(0, 2**32, 2**27 + 2**20)):
        hold_scan(scan(program(fast), kind, first, 2**17 if first else 2**19), kind)


def test_a_scan_finds_what_is_wrong(program: Callable[[str], list[str]], run: Run) -> None:
    """Its figures are those of the same words one by one."""
    w = np.arange(2**31 + 2**20, 2**31 + 2**20 + 2**16)
    for kind in KINDS:
        z, true = run(f"{kind}32", w), run(kind, (w << 21) + 2**20)
        found = scan(program("scalar"), kind, int(w[0]), w.size)
        # In float64 the argument differs by 2^-54 from the word's own: less than shows.
        assert found["worst"] == pytest.approx(worst(z, true, 0 * true, 2.0**-32), rel=1e-3)
        assert (found["least"], found["most"]) == (pytest.approx(z.min(), rel=1e-7), pytest.approx(z.max(), rel=1e-7))


# ---- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ANTISYMMETRIC)
def test_exactly_antisymmetric(run: Run, kind: str) -> None:
    k, w = words(kind, 53, 10_000), words(kind, 32, 10_000)
    np.testing.assert_array_equal(run(kind, k).view(np.uint64) ^ np.uint64(2**63), run(kind, TOP - k).view(np.uint64))
    z, mirrored = run(f"{kind}32", w), run(f"{kind}32", 2**32 - 1 - w)
    np.testing.assert_array_equal(z.view(np.uint32) ^ np.uint32(2**31), mirrored.view(np.uint32))


@pytest.mark.parametrize("kind", KINDS)
def test_monotone_up_to_the_error(run: Run, kind: str) -> None:
    """Among neighbours, where steps are smaller than the error, and from one sampled k to the next."""
    z = run(kind, words(kind, 53, 20_000, steps=40))
    steps = np.diff(z)
    assert (steps >= -np.maximum(stated(kind) * np.spacing(np.abs(z[1:])), 2.0**-53)).all()
    assert np.mean(steps >= 0) > 0.9


@pytest.mark.parametrize("suffix", ["", "32"])
@pytest.mark.parametrize("kind", KINDS)
def test_extremes(run: Run, kind: str, suffix: str) -> None:
    bits = 32 if suffix else 53
    z = run(kind + suffix, np.array([0, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]))
    p = [mpf(1) / 2 ** (bits + 1), mpf(1) / 2 - mpf(1) / 2 ** (bits + 1)]
    want = [exact(kind, q, float(x)) for q, x in zip([*p, 1 - p[1], 1 - p[0]], z, strict=True)]
    np.testing.assert_allclose(z, [float(x) for x in want], rtol=4 * np.finfo(z.dtype).eps, atol=2.0**-bits)
    if kind == "exponential":
        assert z.min() > 0


@pytest.mark.parametrize("isa", [isa for isa in ISA if isa != "scalar"])
@pytest.mark.parametrize("name", [*KINDS, *(f"{kind}32" for kind in KINDS)])
def test_the_same_bits_everywhere_and_lanes_do_not_mix(run: Run, name: str, isa: str) -> None:
    k = words(name.removesuffix("32"), 32 if name.endswith("32") else 53, 50_000)
    order = np.random.default_rng(1).permutation(k.size)
    word = np.uint32 if name.endswith("32") else np.uint64
    np.testing.assert_array_equal(run(name, k)[order].view(word), run(name, k[order], isa).view(word))


@pytest.mark.slow
def test_coefficients_are_those_of_their_program() -> None:
    command = [sys.executable, str(CSRC / "coefficients.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
