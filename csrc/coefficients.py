"""Derive every coefficient of csrc/kernels/functions.h, quantiles.h, special.h and rows.h.

Each function there approximates one smooth kernel on one interval by a polynomial or a quotient of
polynomials. This program computes the kernel to 50 digits with mpmath, fits it by the Remez exchange (so the
weighted error has the same size at every extremum, which is the smallest possible), rounds the coefficients
to the type they are used in, and prints them as C arrays in hexadecimal. Beside each array stands the
weighted error of the *rounded* coefficients, as a power of two; the weight makes it the relative error of the
final result (exp x, log x, ...).

    python csrc/coefficients.py             prints the arrays (a minute or two)
    python csrc/coefficients.py --check     exit status 1 unless the headers hold exactly these arrays
    python csrc/coefficients.py --rows      writes csrc/kernels/rows.h

Kernels and intervals:

    exp       e^r = 1 + r + r^2 P(r),                  |r| <= log(2)/2
    log       log(1+f) = f - s (f - w P(w)),           s = f/(2+f), w = s^2, 1+f in [sqrt(1/2), sqrt(2)]
    log1p     the same on f in [0, 1] (inside softplus)
    logit     the same for |s| <= 0.23 (inside the logistic quantile)
    rows      normal and Gumbel quantiles = P(p - c),  in 32 intervals of each binade of p from 2^-12 to 1/2
    tail      Phi^-1(1 - p) = r - P(r)/Q(r),           r = sqrt(-2 log p), p below that
    float32   exp as above; log(1+f) = f + f^2 P(f); tail r - P(r - 5)
    mills     e^(z^2/2) Phi(-z) = P(t) / (z + 4/5),    t = 1 - 10/(z+5), z >= 0
    stirling  log Gamma(x+1) - (x + 1/2) log x + x - log(2 pi)/2 = P(t)/x,   t = 1 - (7/2)/(x + 3/4), x >= 1
    cosh      cosh c = P(c^2), sinh c = c P(c^2),      |c| <= 1/4
    gauss     the positive half of the 8 Gauss-Legendre points, and their weights (sum 1)

The identity behind `log` is log(1+f) = 2 artanh(s) and 2s = f - s f. The polynomial fits round one
coefficient at a time, lowest first, and fit the others again, so that the last ones make up for the rounding
of the first.
"""

import pathlib
import sys
from collections.abc import Callable

from mpmath import mp, mpf  # type: ignore[import-untyped]

mp.dps = 50

Function = Callable[[mpf], mpf]
KERNELS = pathlib.Path(__file__).parent / "kernels"
ROWS, BINADES = 32, 11  # intervals in a binade of p, binades below 1/2
ROWS_HEAD = """\
/* Written by csrc/coefficients.py --rows. Polynomials in p - c on the intervals of p from 2^-12 to 1/2, 32 of equal
 * length in each binade, c their middles; lowest term first.
 *   sc_normal_rows     Phi^-1(1 - p)
 *   sc_gumbel_rows     two rows for each interval: -log(-log(1 - p)), -log(-log p)
 *   sc_normal32_rows   Phi^-1(1 - (n - 1/2) 2^-32) to 24 bits, in powers of N - n, N the upper end
 */
#ifndef SC_KERNELS_ROWS_H
#define SC_KERNELS_ROWS_H

/* clang-format off */
"""


class Grid:
    """The kernel and its weight on a fine grid: minimax on the grid is minimax for all that matters here."""

    def __init__(self, f: Function, weight: Function, a: mpf, b: mpf, count: int = 400, log_spaced: bool = False):
        lo, hi = (mp.log(a), mp.log(b)) if log_spaced else (mpf(a), mpf(b))
        middle, half = (lo + hi) / 2, (hi - lo) / 2
        nodes = [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
        nodes = [lo, *nodes, hi]
        self.x = [mp.exp(t) for t in nodes] if log_spaced else nodes
        self.f = [f(x) for x in self.x]
        self.w = [weight(x) for x in self.x]

    def error(self, p: list[mpf], q: list[mpf]) -> list[mpf]:
        return [w * (horner(p, x) / horner(q, x) - f) for x, f, w in zip(self.x, self.f, self.w, strict=True)]


def horner(c: list[mpf], x: mpf) -> mpf:
    """c[0] + c[1] x + c[2] x^2 + ..."""
    return mp.polyval(c[::-1], x)


def solve_reference(g: Grid, reference: list[int], n: int, m: int) -> tuple[list[mpf], list[mpf], mpf]:
    """P, Q (Q(0) = 1) and E with w (P/Q - f) = +-E by turns on the reference: Newton's method from E = 0."""
    size, scale = n + m + 2, max(abs(x) for x in g.x)
    q, level = [mpf(1)] + [mpf(0)] * m, mpf(0)
    for _ in range(15):
        a, b = mp.matrix(size, size), mp.matrix(size, 1)
        for i, k in enumerate(reference):
            sign, w = (-1) ** i, g.w[k]
            target = w * g.f[k] + sign * level
            powers = [(g.x[k] / scale) ** j for j in range(max(n, m) + 1)]
            for j in range(n + 1):
                a[i, j] = w * powers[j]
            for j in range(1, m + 1):
                a[i, n + j] = -target * powers[j]
            a[i, size - 1] = -sign * horner(q, g.x[k])
            b[i] = target
        solution = mp.lu_solve(a, b)
        p = [solution[j] / scale**j for j in range(n + 1)]
        q = [mpf(1)] + [solution[n + j] / scale**j for j in range(1, m + 1)]
        level += solution[size - 1]
        if m == 0 or abs(solution[size - 1]) < abs(level) * mpf(10) ** -10:
            break
    return p, q, level


def alternating(error: list[mpf], size: int) -> list[int]:
    """Indices of `size` extrema of the error with alternating signs, the largest ones."""
    runs: list[int] = []
    for k, e in enumerate(error):
        if runs and (e > 0) == (error[runs[-1]] > 0):
            if abs(e) > abs(error[runs[-1]]):
                runs[-1] = k
        else:
            runs.append(k)
    while len(runs) > size:
        height = [abs(error[k]) for k in runs]
        if len(runs) == size + 1:
            runs.pop(0 if height[0] < height[-1] else -1)
            continue
        j = min(range(len(runs) - 1), key=lambda i: max(height[i], height[i + 1]))
        del runs[j : j + 2]
    return runs


def remez(g: Grid, n: int, m: int) -> tuple[list[mpf], list[mpf]]:
    """The best P/Q of degrees n and m on the grid: the best step of the exchange, from a few starts.

    (A rounded first coefficient leaves a residue with a pole at zero, where the exchange may go round in
    circles close to the optimum; and a quotient may run into a pole. Both are why the best step is kept.)
    """
    size, last = n + m + 2, len(g.x) - 1
    best, p_best, q_best = mp.inf, [mpf(0)], [mpf(1)]
    for mix in (mpf(0), mpf("0.3"), mpf(1)):
        even = [mpf(i) / (size - 1) for i in range(size)]
        spread = [(1 - mix) * t + mix * (1 - mp.cos(mp.pi * t)) / 2 for t in even]
        reference = [int(mp.nint(last * t)) for t in spread]
        for _ in range(12):
            p, q, level = solve_reference(g, reference, n, m)
            error = g.error(p, q)
            worst = max(abs(e) for e in error)
            if worst < best and all(horner(q, x) > 0 for x in g.x):
                best, p_best, q_best = worst, p, q
                if worst <= abs(level) * mpf("1.01"):
                    return p, q
            reference = alternating(error, size)
            if len(reference) < size:
                break
    if best == mp.inf:
        raise ArithmeticError(f"no fit of degrees {n}, {m}")
    return p_best, q_best


def rounded(x: mpf, bits: int) -> mpf:
    with mp.workprec(bits):
        return +x


def polynomial(g: Grid, degree: int, bits: int, singly: int = 99) -> list[mpf]:
    """The best polynomial with coefficients of that many bits, the first ones found one at a time, the rest at once."""
    c: list[mpf] = []
    rest = Grid.__new__(Grid)
    rest.x, rest.f, rest.w = list(g.x), list(g.f), list(g.w)
    for j in range(degree + 1):
        p, _ = remez(rest, degree - j, 0)
        if j == singly:
            return c + [rounded(x, bits) for x in p]
        c.append(rounded(p[0], bits))
        rest.f = [(f - c[-1]) / x for f, x in zip(rest.f, rest.x, strict=True)]
        rest.w = [w * abs(x) for w, x in zip(rest.w, rest.x, strict=True)]
    return c


def quantile(p: mpf) -> mpf:
    """z >= 0 with Phi(-z) = p, by Newton's method on log Phi."""
    target = mp.log(p)
    z = (mpf(1) / 2 - p) * mp.sqrt(2 * mp.pi) if p > mpf("0.1") else mp.sqrt(-2 * target)
    for _ in range(100):
        below = mp.erfc(z / mp.sqrt(2)) / 2
        step = (mp.log(below) - target) * below * mp.sqrt(2 * mp.pi) * mp.exp(z * z / 2)
        z += step
        if abs(step) < mpf(10) ** -46:
            break
    return z


def print_array(name: str, c: list[mpf], bits: int, note: str) -> list[str]:
    """One C array, four numbers on a line."""
    ctype, suffix = ("float", "f") if bits == 24 else ("double", "")
    words = [trim(float(x).hex()) + suffix for x in c]
    lines = [f"static const {ctype} {name}[{len(c)}] = {{ /* {note} */"]
    lines += ["    " + ", ".join(words[i : i + 4]) + "," for i in range(0, len(words), 4)]
    return [*lines, "};"]


def trim(word: str) -> str:
    """0x1.8000p-1 as 0x1.8p-1."""
    head, exponent = word.split("p")
    return head.rstrip("0").rstrip(".") + "p" + exponent if "." in head else word


def note(g: Grid, p: list[mpf], q: list[mpf]) -> str:
    worst = max(abs(e) for e in g.error(p, q))
    return f"error 2^{mp.nstr(mp.log(worst, 2), 4)}"


def fit_polynomial(name: str, g: Grid, degree: int, bits: int, singly: int = 99) -> list[str]:
    c = polynomial(g, degree, bits, singly)
    return print_array(name, c, bits, note(g, c, [mpf(1)]))


def fit_quotient(name: str, g: Grid, n: int, m: int, bits: int) -> list[str]:
    """Q is rounded first; P is fitted again to what Q has become, and rounded as a polynomial is."""
    _, q = remez(g, n, m)
    q = [rounded(c, bits) for c in q]
    numerator = Grid.__new__(Grid)
    below = [horner(q, x) for x in g.x]
    numerator.x = g.x
    numerator.f = [f * y for f, y in zip(g.f, below, strict=True)]
    numerator.w = [w / y for w, y in zip(g.w, below, strict=True)]
    p = polynomial(numerator, n, bits)
    return print_array(name + "_p", p, bits, note(g, p, q)) + print_array(name + "_q", q, bits, "Q(0) = 1")


def exponential(name: str, degree: int, bits: int) -> list[str]:
    half = mp.log(2) / 2 * mpf("1.0001")
    g = Grid(lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.exp(r), -half, half)
    return fit_polynomial(name, g, degree, bits)


def logarithm(name: str, top: mpf, degree: int, bits: int = 53) -> list[str]:
    """In w = s^2, for f from 0 (nearly: the weight vanishes there) to `top`, where s = f/(2+f) is largest."""
    g = Grid(
        lambda w: (2 * mp.atanh(mp.sqrt(w)) - 2 * mp.sqrt(w)) / mp.sqrt(w) ** 3,
        lambda w: mp.sqrt(w) ** 3 / (2 * mp.atanh(mp.sqrt(w))),
        (top / (2 + top)) ** 2 / 1000,
        (top / (2 + top)) ** 2,
    )
    return fit_polynomial(name, g, degree, bits)


def logarithm32(name: str, a: mpf, b: mpf, degree: int) -> list[str]:
    g = Grid(lambda f: (mp.log1p(f) - f) / f**2, lambda f: f**2 / abs(mp.log1p(f)), a, b)
    return fit_polynomial(name, g, degree, 24)


def mills(name: str, degree: int) -> list[str]:
    """In t, where z = 5 (1+t)/(1-t)."""

    def kernel(t: mpf) -> mpf:
        if t > mpf("0.9"):  # by its continued fraction: e^(z^2/2) is too large
            z = 5 * (1 + t) / (1 - t) if t < 1 else mp.inf
            below = mpf(0)
            for k in range(60, 0, -1):
                below = k / (z + below)
            return (1 + (mpf("0.8") - below) / (z + below)) / mp.sqrt(2 * mp.pi)
        z = 5 * (1 + t) / (1 - t)
        return mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2)) / 2 * (z + mpf("0.8"))

    return fit_polynomial(name, Grid(kernel, lambda t: 1 / kernel(t), mpf(-1), mpf(1)), degree, 53, singly=4)


def stirling(name: str, degree: int) -> list[str]:
    """In t, where x = 7/2 / (1-t) - 3/4."""

    def kernel(t: mpf) -> mpf:
        s = 2 * (1 - t) / 7
        if s > mpf("0.02"):
            x = 1 / s - mpf("0.75")
            return x * (mp.loggamma(x + 1) - (x + mpf("0.5")) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)
        w = (s / (1 - mpf("0.75") * s)) ** 2
        return mp.fsum(mp.bernoulli(2 * k) / (2 * k * (2 * k - 1)) * w ** (k - 1) for k in range(1, 20))

    return fit_polynomial(name, Grid(kernel, lambda t: 1 / kernel(t), mpf(-1), mpf(1)), degree, 53, singly=4)


def hyperbolic(degree: int) -> list[str]:
    """In c^2."""
    least, top = mpf(2) ** -40, mpf("0.0625") * mpf("1.0001")
    cosh = Grid(lambda s: mp.cosh(mp.sqrt(s)), lambda s: mpf(1), least, top)
    sinh = Grid(lambda s: mp.sinh(mp.sqrt(s)) / mp.sqrt(s), lambda s: mpf(1), least, top)
    return fit_polynomial("sc_cosh_c", cosh, degree, 53) + fit_polynomial("sc_sinh_c", sinh, degree, 53)


def gauss(name: str, points: int) -> list[str]:
    """For the mean over [-1, 1] of pairs, (f(x) + f(-x)) / 2."""
    legendre = mp.taylor(lambda x: mp.legendre(points, x), 0, points)
    roots = sorted(x.real for x in mp.polyroots(legendre[::-1], maxsteps=200, extraprec=200) if x.real > 0)
    weights = [2 / ((1 - x * x) * mp.diff(lambda y: mp.legendre(points, y), x) ** 2) for x in roots]
    lines = print_array(name + "_x", [rounded(x, 53) for x in roots], 53, "points")
    return lines + print_array(name + "_w", [rounded(w, 53) for w in weights], 53, "weights")


def tail_grid(largest: mpf, smallest: mpf, origin: int = 0) -> Grid:
    """In r - origin."""
    g = Grid(
        lambda x: x + origin - quantile(mp.exp(-((x + origin) ** 2) / 2)),
        lambda x: mpf(1),
        mp.sqrt(-2 * mp.log(largest)) * (1 - mpf(10) ** -8) - origin,
        mp.sqrt(-2 * mp.log(smallest)) - origin,
        400,
    )
    g.w = [1 / (x + origin - d) for x, d in zip(g.x, g.f, strict=True)]
    return g


def arrays() -> list[str]:
    root = mp.sqrt(2)
    lines = exponential("sc_exp_c", 9, 53)
    lines += logarithm("sc_log_c", root - 1, 6)
    lines += logarithm("sc_log1p_c", mpf(1), 9)
    lines += logarithm("sc_logit_c", mpf("0.6"), 7)
    lines += fit_quotient("sc_tail", tail_grid(mpf(2) ** -(BINADES + 1), mpf(2) ** -54), 7, 7, 53)
    lines += logarithm("sc_logit32_c", mpf("0.6"), 3, 24)
    lines += exponential("sc_exp32_c", 4, 24)
    lines += logarithm32("sc_log32_c", 1 / root - 1, root - 1, 8)
    lines += logarithm32("sc_log1p32_c", mpf(10) ** -3, mpf(1), 8)
    lines += fit_polynomial("sc_tail32_c", tail_grid(mpf(2) ** -(BINADES + 1), mpf(2) ** -33, origin=5), 7, 24)
    lines += mills("sc_mills_c", 24)
    lines += stirling("sc_stirling_c", 20)
    lines += hyperbolic(5)
    lines += gauss("sc_gauss", 8)
    return lines


def row(f: Function, c: mpf, half: mpf, terms: int) -> list[mpf]:
    """f on c +- half through the Chebyshev points: coefficients of powers of p - c."""
    points = [half * mp.cos(mp.pi * (2 * i + 1) / (2 * terms)) for i in range(terms)]
    powers = mp.matrix(terms, terms)
    for i, x in enumerate(points):
        for j in range(terms):
            powers[i, j] = x**j
    return list(mp.lu_solve(powers, mp.matrix([f(c + x) for x in points])))


def rows(*functions: Function, terms: int) -> list[list[mpf]]:
    """The rows of all intervals; with more than one function, those of an interval one after the other."""
    table = []
    for i in range(BINADES * ROWS):
        binade, place = divmod(i, ROWS)
        left = mpf(2) ** (binade - BINADES - 1)
        half = left / (2 * ROWS)
        table += [row(f, left + (2 * place + 1) * half, half, terms) for f in functions]
    return table


def short_rows() -> list[list[mpf]]:
    """Of the normal quantile in 32-bit units: the same intervals, each from its upper end downwards."""
    table = []
    for i in range(BINADES * ROWS):
        binade, place = divmod(i, ROWS)
        width = mpf(2) ** (32 + binade - BINADES - 1) / ROWS
        end = (ROWS + place + 1) * width
        centred = row(lambda d, end=end: quantile((end - d - mpf("0.5")) / mpf(2) ** 32), width / 2, width / 2, 4)
        table.append(shifted(centred, -width / 2))
    return table


def shifted(c: list[mpf], by: mpf) -> list[mpf]:
    """The coefficients in powers of x of the polynomial in powers of x + by."""
    result: list[mpf] = []
    for a in reversed(c):
        result = [low + by * high for low, high in zip([a, *result], [*result, mpf(0)], strict=True)]
    return result


def print_rows(name: str, table: list[list[mpf]], ctype: str) -> list[str]:
    width = len(table[0])
    suffix, bits = ("f", 24) if ctype == "float" else ("", 53)
    lines = [f"static const _Alignas(64) {ctype} {name}[{len(table)} * {width}] = {{"]
    for c in table:
        words = [trim(float(rounded(x, bits)).hex()) + suffix for x in c]
        lines += ["    " + ", ".join(words[i : i + 4]) + "," for i in range(0, width, 4)]
    return [*lines, "};"]


def all_rows() -> str:
    """The text of rows.h."""
    lines = print_rows("sc_normal_rows", rows(quantile, terms=8), "double")
    lines += print_rows("sc_gumbel_rows", rows(gumbel_above, gumbel_below, terms=8), "double")
    lines += print_rows("sc_normal32_rows", short_rows(), "float")
    return ROWS_HEAD + "\n".join(lines) + "\n/* clang-format on */\n\n#endif\n"


def gumbel_above(p: mpf) -> mpf:
    """At the probability 1 - p."""
    return -mp.log(-mp.log1p(-p))


def gumbel_below(p: mpf) -> mpf:
    """At the probability p."""
    return -mp.log(-mp.log(p))


def main() -> int:
    if "--rows" in sys.argv[1:]:
        (KERNELS / "rows.h").write_text(all_rows())
        return 0
    lines = arrays()
    if "--check" not in sys.argv[1:]:
        print("\n".join(lines))
        return 0
    headers = ("functions.h", "quantiles.h", "special.h")
    there = [line for name in headers for line in (KERNELS / name).read_text().splitlines()]
    missing = [line for line in lines if line not in there]
    for line in missing:
        print(f"not in {KERNELS}: {line}", file=sys.stderr)
    if all_rows() != (KERNELS / "rows.h").read_text():
        print(f"{KERNELS / 'rows.h'} is another one than --rows writes", file=sys.stderr)
        return 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
