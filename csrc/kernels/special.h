/* Special functions in lanes, float64: the normal distribution and its intervals, and probabilities of counts.
 *
 *   Mills' ratio    e^(z^2/2) Phi(-z) = P(t) / (z + 4/5), t = 1 - 10/(z + 5), z >= 0 (the ratio over sqrt(2 pi)): one
 *                   polynomial, as in Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in
 *                   0 <= x < inf", Math. Comp. 36 (1981); Phi is that times e^(-z^2/2), z^2 in two parts
 *   intervals       P(a < X < b), the mean of X and of X^2 - 1 given that, for a standard normal X: by Mills' ratio at
 *                   both ends; where these nearly cancel, by Gauss-Legendre points about the middle
 *   delta(x)        log Gamma(x+1) - (x + 1/2) log x + x - log(2 pi)/2 = P(t)/x, t = 1 - (7/2)/(x + 3/4), x >= 1
 *   D(x, m)         x log(x/m) + m - x; for x near m from v = (x-m)/(x+m): v (x - m + 2x (artanh(v)/v - 1))
 *   counts          C. Loader, "Fast and accurate computation of binomial probabilities" (2000), in logarithms:
 *                     Poisson    log p(y) = -delta(y) - D(y, m) - log(2 pi y)/2
 *                     binomial   log p(y) = delta(n) - delta(y) - delta(n-y) - D(y, np) - D(n-y, nq)
 *                                           + log(n / (2 pi y (n-y))) / 2
 *                   and the negative binomial is r/n times the binomial probability of r in n = r + y (r may be broken)
 *
 * Promises. As functions.h: only lane words, the same bits on every instruction set. The line above a function bounds
 * its error, as tests/test_special.py asserts. What the caller checks: a < b, y a whole number >= 0, n >= y, rates and
 * r finite. Of p and q = 1 - p the smaller one is taken as exact, and the rounding of the larger one is made good: np
 * is right far below 1 even for n = 2^53.
 *
 * Coefficients: csrc/coefficients.py.
 */
#ifndef SC_KERNELS_SPECIAL_H
#define SC_KERNELS_SPECIAL_H

#include "functions.h"

/* ---- from csrc/coefficients.py ---------------------------------------------------------------------------------- */
/* clang-format off */
static const double sc_mills_c[25] = { /* error 2^-54.23 */
    0x1.c8d6d19fbada1p-2, -0x1.017a4bab4e5fep-4, 0x1.002271ac2d4b8p-7, 0x1.aceb3879bda83p-6,
    -0x1.26aefd5705cedp-5, 0x1.debc7c832942fp-6, -0x1.1603d7a1e1ea5p-6, 0x1.ca9b174c577c9p-8,
    -0x1.c2e2119974ed4p-10, -0x1.3fd6272b01be6p-16, 0x1.97ba256633833p-13, -0x1.c34e8a27fd8f3p-15,
    -0x1.78a017f3c3c4cp-17, 0x1.388817d52849dp-17, 0x1.0f2c3ad1619c8p-24, -0x1.6c302b8d175p-20,
    0x1.ed06c9b197c7bp-24, 0x1.b7d136903ac89p-23, -0x1.c62fc42cb8af6p-26, -0x1.1821a58fa651fp-25,
    0x1.46e4cfef06d9dp-28, 0x1.46033a93e9df5p-28, -0x1.ab19f7e766a3fp-31, -0x1.d55885e8f70fdp-32,
    0x1.70f74b9e9b838p-34,
};
static const double sc_stirling_c[21] = { /* error 2^-53.58 */
    0x1.53e18056898a2p-4, 0x1.c9a3d61a80c38p-11, -0x1.7b525179ff173p-11, 0x1.09a99bd0d3e6cp-12,
    -0x1.d43d8cd39986fp-15, 0x1.33b33d2233959p-17, -0x1.009a4ac4fc697p-19, 0x1.1118b64849e05p-21,
    -0x1.8655250bd56a1p-24, 0x1.44cc0f26fff19p-26, -0x1.c852b5002d8d4p-28, 0x1.c98ee54dc67c2p-31,
    -0x1.ae10ea9e48bc1p-33, 0x1.179ed5655ac38p-33, -0x1.05774fb7290ebp-35, 0x1.26abb16d0f44cp-37,
    0x1.1129d4de79acep-35, -0x1.2945de1f340e4p-39, -0x1.264ab66b1e4f3p-36, 0x1.87c9ac47e5626p-43,
    0x1.cf0bd6ca879a7p-39,
};
static const double sc_cosh_c[6] = { /* error 2^-63.0 */
    0x1p+0, 0x1p-1, 0x1.55555555552b4p-5, 0x1.6c16c16e7672p-10,
    0x1.a019ea13e40ep-16, 0x1.28464cd22119ep-22,
};
static const double sc_sinh_c[6] = { /* error 2^-65.2 */
    0x1p+0, 0x1.5555555555555p-3, 0x1.1111111111372p-7, 0x1.a01a019f3164ep-13,
    0x1.71de36f92b373p-19, 0x1.aeb7fb9aaf112p-26,
};
static const double sc_gauss_x[4] = { /* points */
    0x1.77ac94f3c7345p-3, 0x1.0d129583284b4p-1, 0x1.97e4ab249f41ep-1, 0x1.ebab1cb0acc67p-1,
};
static const double sc_gauss_w[4] = { /* weights */
    0x1.736360b199343p-2, 0x1.413c50a255615p-2, 0x1.c76fb531d2b96p-3, 0x1.9ea1d04ca0374p-4,
};
/* clang-format on */

#define SC_DENSITY0 0x1.9884533d43651p-2 /* 1/sqrt(2 pi) */
#define SC_POLYNOMIAL(x, c) sc_polynomial(x, c, SC_LENGTH(c))

/* The rounding error of s = a + b, exactly. */
SC_INLINE vd sc_sum_lost(vd a, vd b, vd s)
{
    vd t = vd_sub(s, a);
    return vd_add(vd_sub(a, vd_sub(s, t)), vd_sub(b, t));
}

/* All x: 1.2 ulp. 2^(n-1) takes the place of 2^n, which overflows before the result does. */
SC_INLINE vd sc_expm1(vd x)
{
    const vd magic = vd_set1(SC_ROUND + 1022);
    vd y = vd_max(vd_set1(-60), vd_min(vd_set1(710), x)); /* in this order NaN stays */
    vd t = vd_fma(y, vd_set1(SC_LOG2E), magic), n = vd_sub(t, magic);
    vd high = vd_fma(n, vd_set1(-SC_LN2_HIGH), y); /* exact */
    vd r = vd_fma(n, vd_set1(-SC_LN2_LOW), high), rest = vd_fma(n, vd_set1(-SC_LN2_LOW), vd_sub(high, r));
    vd scale = vd_from_bits(vl_shl(vl_from_bits(t), 52));
    vd c = vd_sub(scale, vd_set1(0.5)), a = vd_mul(scale, r), sum = vd_add(c, a);
    vd low = vd_mul(scale, vd_fma(vd_mul(r, r), SC_POLYNOMIAL(r, sc_exp_c), rest));
    vd half = vd_add(sum, vd_add(vd_add(vd_sub(c, sum), a), low));
    return vd_select(vd_lt(vd_abs(x), vd_set1(0x1p-54)), x, vd_add(half, half)); /* half of a denormal is not exact */
}

/* ---- the normal distribution ------------------------------------------------------------------------------------ */

/* e^(z^2/2) Phi(-z), z >= 0. t is exact to its last bit: P is steep at small z. */
SC_INLINE vd sc_mills(vd z)
{
    const vd five = vd_set1(5), ten = vd_set1(10);
    vd x = vd_min(vd_set1(1e300), z), s = vd_add(x, five), q = vd_div(ten, s);
    vd lost = vd_sub(x, vd_sub(s, five)); /* of s; exact below 5 */
    vd rest = vd_fma(vd_neg(q), lost, vd_fma(vd_neg(q), s, ten)); /* 10/(z+5) = q + rest/s */
    vd t = vd_fma(vd_mul(rest, q), vd_set1(-0.1), vd_sub(vd_set1(1), q));
    return vd_div(SC_POLYNOMIAL(t, sc_mills_c), vd_add(z, vd_set1(0.8)));
}

/* e^(x^2) erfc(x), x >= 0: 4 ulp. */
SC_INLINE vd sc_erfcx(vd x)
{
    vd half = sc_mills(vd_mul(x, vd_set1(0x1.6a09e667f3bcdp+0)));
    return vd_add(half, half);
}

/* z^2/2, and in *low what it lacks. */
SC_INLINE vd sc_half_square(vd z, vd *low)
{
    vd half = vd_mul(z, vd_set1(0.5)), s = vd_mul(half, z);
    *low = vd_select(vd_lt(s, vd_set1(1e300)), vd_fma(half, z, vd_neg(s)), vd_set1(0));
    return s;
}

/* e^(-z^2/2). */
SC_INLINE vd sc_bell(vd z)
{
    vd low, e = sc_exp(vd_neg(sc_half_square(z, &low)));
    return vd_fma(vd_neg(e), low, e);
}

/* Phi(x), all x: 4.5 ulp, where it is normal. */
SC_INLINE vd sc_ndtr(vd x)
{
    vd z = vd_abs(x), tail = vd_mul(sc_bell(z), sc_mills(z));
    return vd_select(vd_lt(x, vd_set1(0)), tail, vd_sub(vd_set1(1), tail));
}

/* log Phi(x), all x: 5 ulp. */
SC_INLINE vd sc_log_ndtr(vd x)
{
    vd z = vd_abs(x), mills = sc_mills(z), low, square = sc_half_square(z, &low);
    vd below = vd_sub(vd_sub(sc_log(mills), low), square);
    vd above = sc_log1p(vd_neg(vd_mul(sc_bell(z), mills)));
    return vd_select(vd_lt(x, vd_set1(0)), below, above);
}

/* An interval in one tail, or about 0, or narrow. log P = log(p) - low - square, but where `log1p` log P = log1p(p). */
typedef struct {
    vd p, low, square, m1, m2;
} sc_interval;

/* 0 < a, and (b^2 - a^2)/2 = d not small: what b takes away from a's tail is at most half of it, or so. */
SC_INLINE sc_interval sc_interval_tail(vd a, vd b, vd d)
{
    sc_interval r;
    vd e = sc_exp(vd_neg(d)), p = vd_fma(vd_neg(e), sc_mills(b), sc_mills(a));
    vd scale = vd_div(vd_set1(SC_DENSITY0), p);
    r.p = p;
    r.square = sc_half_square(a, &r.low);
    r.m1 = vd_mul(scale, vd_sub(vd_set1(1), e));
    r.m2 = vd_mul(scale, vd_fma(vd_neg(b), e, a));
    return r;
}

/* a <= 0 < b, and wide: what is left of 1. */
SC_INLINE sc_interval sc_interval_centre(vd a, vd b, vd d)
{
    sc_interval r;
    vd z = vd_neg(a), bell_a = sc_bell(z), bell_b = sc_bell(b);
    r.p = vd_neg(vd_fma(bell_a, sc_mills(z), vd_mul(bell_b, sc_mills(b))));
    r.low = r.square = vd_set1(0);
    vd scale = vd_div(vd_set1(SC_DENSITY0), vd_add(vd_set1(1), r.p));
    r.m1 = vd_neg(vd_mul(scale, vd_mul(bell_a, sc_expm1(vd_neg(d)))));
    r.m2 = vd_mul(scale, vd_sub(vd_mul(a, bell_a), vd_mul(b, bell_b)));
    return r;
}

/* About m, h < 1/2 to each side, m h < 1/4: the mean over -1 < u < 1 of e^(-m h u - h^2 u^2/2), and of u and u^2 times
 * it; u and -u together. */
SC_INLINE sc_interval sc_interval_narrow(vd a, vd b)
{
    sc_interval r;
    const vd half = vd_set1(0.5);
    vd sum = vd_add(a, b), m = vd_mul(half, sum), h = vd_mul(half, vd_sub(b, a)), c = vd_mul(m, h);
    vd minus = vd_mul(vd_set1(-0.5), vd_mul(h, h)), s0 = vd_set1(0), s1 = s0, s2 = s0;
    for (int i = 0; i < SC_LENGTH(sc_gauss_x); i++) {
        vd u = vd_set1(sc_gauss_x[i]), square = vd_mul(u, u), cu = vd_mul(c, u), x = vd_mul(cu, cu);
        vd weight = vd_mul(vd_set1(sc_gauss_w[i]), sc_exp(vd_mul(minus, square)));
        vd cosh = vd_mul(weight, SC_POLYNOMIAL(x, sc_cosh_c));
        s0 = vd_add(s0, cosh);
        s1 = vd_fma(vd_mul(weight, u), vd_mul(cu, SC_POLYNOMIAL(x, sc_sinh_c)), s1);
        s2 = vd_fma(cosh, square, s2);
    }
    vd lost = vd_mul(half, sc_sum_lost(a, b, sum)), mean = vd_mul(h, vd_div(s1, s0));
    r.p = vd_mul(vd_sub(b, a), vd_mul(vd_set1(SC_DENSITY0), s0));
    r.square = sc_half_square(m, &r.low);
    r.low = vd_fma(m, lost, r.low); /* m lacks `lost`: in a far tail the density feels it */
    r.m1 = vd_add(m, vd_sub(lost, mean));
    vd spread = vd_fma(vd_mul(h, h), vd_div(s2, s0), vd_mul(vd_mul(vd_set1(-2), m), mean));
    r.m2 = vd_fma(vd_sub(m, vd_set1(1)), vd_add(m, vd_set1(1)), spread);
    return r;
}

SC_INLINE sc_interval sc_interval_select(vm m, sc_interval a, sc_interval b)
{
    sc_interval r = {vd_select(m, a.p, b.p), vd_select(m, a.low, b.low), vd_select(m, a.square, b.square),
                     vd_select(m, a.m1, b.m1), vd_select(m, a.m2, b.m2)};
    return r;
}

/* log P(a < X < b), E[X | a < X < b] and E[X^2 - 1 | a < X < b], a < b, where -inf and inf are ends too. P: 3e-15
 * relative, as far as its logarithm can say; its logarithm and the first mean: 2e-15 relative; the second: 2e-15
 * max(1, |m2|). */
SC_INLINE void sc_normal_interval(vd a, vd b, vd *log_p, vd *m1, vd *m2)
{
    const vd zero = vd_set1(0), half = vd_set1(0.5), one = vd_set1(1), huge = vd_set1(1e300);
    vm flip = vd_lt(vd_add(a, b), zero); /* so that the middle is not negative */
    vd left = vd_select(flip, vd_neg(b), a), right = vd_select(flip, vd_neg(a), b);
    left = vd_max(vd_neg(huge), vd_min(huge, left));
    right = vd_min(huge, right);
    vd width = vd_sub(right, left), d = vd_mul(vd_mul(half, width), vd_add(left, right));
    vm tail = vm_and(vd_lt(zero, left), vd_le(half, d)), centre = vm_and(vd_le(left, zero), vd_le(one, width));
    sc_interval r = sc_interval_narrow(left, right);
    if (vm_any(tail)) r = sc_interval_select(tail, sc_interval_tail(left, right, d), r);
    if (vm_any(centre)) r = sc_interval_select(centre, sc_interval_centre(left, right, d), r);
    vd log = vd_sub(vd_sub(sc_log(r.p), r.low), r.square);
    *log_p = vd_select(centre, sc_log1p(r.p), log);
    *m1 = vd_select(flip, vd_neg(r.m1), r.m1);
    *m2 = r.m2;
}

SC_INLINE vd sc_log_normal_interval(vd a, vd b)
{
    vd log_p, m1, m2;
    sc_normal_interval(a, b, &log_p, &m1, &m2);
    return log_p;
}

/* ---- the logistic distribution ---------------------------------------------------------------------------------- */

/* log(1 - e^-w), w >= 0. */
SC_INLINE vd sc_log_gap(vd w)
{
    vm near = vd_lt(w, vd_set1(SC_LN2_HIGH + SC_LN2_LOW));
    vd e = vd_neg(sc_exp_minus_abs(w));
    return vd_select(near, sc_log(vd_neg(sc_expm1(vd_neg(w)))), sc_log1p(e));
}

/* log(sigmoid(b) - sigmoid(a)) and its derivatives by a and by b, a < b, where -inf and inf are ends too: 2e-15
 * relative; 3e-14 for a derivative that is nearly 0, from the rounding of b - a. da + db cancels in narrow intervals:
 * 1 - sigmoid(a) - sigmoid(b) says it better. */
SC_INLINE void sc_logistic_interval(vd a, vd b, vd *log_p, vd *da, vd *db)
{
    vd w = vd_sub(b, a), minus_b = vd_neg(b), share = vd_div(vd_set1(1), sc_expm1(w));
    *log_p = vd_sub(vd_sub(sc_log_gap(w), sc_softplus(a)), sc_softplus(minus_b));
    *da = vd_neg(vd_add(sc_sigmoid(a), share));
    *db = vd_add(sc_sigmoid(minus_b), share);
}

/* ---- counts ----------------------------------------------------------------------------------------------------- */

/* delta(x), x >= 1: 3 ulp. */
SC_INLINE vd sc_stirling_above1(vd x)
{
    vd t = vd_sub(vd_set1(1), vd_div(vd_set1(3.5), vd_add(x, vd_set1(0.75))));
    return vd_div(SC_POLYNOMIAL(t, sc_stirling_c), x);
}

/* delta(x), x >= 0: 3 ulp from 1 on; below, 4e-16 or 3 ulp; inf at 0. There by delta(x) = delta(x+1)
 * + (x + 1/2) log((x+1)/x) - 1. */
SC_INLINE vd sc_stirling(vd x)
{
    const vd one = vd_set1(1);
    vm below = vd_lt(x, one);
    vd y = sc_stirling_above1(vd_select(below, vd_add(x, one), x));
    if (vm_any(below)) {
        vd step = vd_fma(vd_add(x, vd_set1(0.5)), vd_sub(sc_log1p(x), sc_log(x)), vd_set1(-1));
        y = vd_select(below, vd_add(y, step), y);
    }
    return y;
}

/* D(x, m), x >= 0, m > 0: 3e-15 relative. (m near the least number: 2^500 times as much takes its place.) */
SC_INLINE vd sc_deviance(vd x, vd m)
{
    const vd zero = vd_set1(0);
    vd d = vd_sub(x, m), v = vd_div(d, vd_add(x, m)), w = vd_mul(v, v);
    vd near = vd_mul(v, vd_fma(vd_mul(x, w), SC_POLYNOMIAL(w, sc_log_c), d));
    vm far = vd_lt(vd_set1(0.17), vd_abs(v));
    if (!vm_any(far)) return near;
    vm small = vd_lt(m, vd_set1(0x1p-500));
    vd ratio = vd_div(x, vd_select(small, vd_mul(m, vd_set1(0x1p+500)), m));
    vd log = sc_log(vd_max(ratio, vd_set1(0x1p-1022)));
    log = vd_select(small, vd_fma(vd_set1(500), vd_set1(SC_LN2_HIGH + SC_LN2_LOW), log), log);
    vd wide = vd_select(vd_eq(x, zero), m, vd_fma(x, log, vd_neg(d)));
    return vd_select(far, wide, near);
}

/* D(x, m + low) for a low part of m. */
SC_INLINE vd sc_deviance_of_sum(vd x, vd m, vd low) { return vd_fma(vd_div(low, m), vd_sub(m, x), sc_deviance(x, m)); }

/* log(x / 2 pi) / 2 */
SC_INLINE vd sc_half_log(vd x) { return vd_mul(vd_set1(0.5), sc_log(vd_mul(x, vd_set1(SC_DENSITY0 * SC_DENSITY0)))); }

/* log p(y), rate >= 0. This and the next two: 2e-15 relative; where p > e^-20, p is right to 3e-14. */
SC_INLINE vd sc_log_poisson(vd y, vd rate)
{
    const vd zero = vd_set1(0), one = vd_set1(1);
    vd x = vd_max(one, y); /* in this order NaN stays */
    vd value = vd_sub(sc_half_log(vd_div(one, x)), vd_add(sc_stirling_above1(x), sc_deviance(x, rate)));
    value = vd_select(vd_eq(rate, zero), vd_set1(-HUGE_VAL), value);
    return vd_select(vd_eq(y, zero), vd_sub(zero, rate), value);
}

/* What the larger one of p and q lacks where q = 1 - p was rounded: of p; that of q with the names exchanged. */
SC_INLINE vd sc_share_lost(vd p, vd q) { return vd_select(vd_lt(q, p), vd_sub(vd_sub(vd_set1(1), p), q), vd_set1(0)); }

/* log p, from the smaller one of p and q. */
SC_INLINE vd sc_log_share(vd p, vd q) { return vd_select(vd_lt(q, p), sc_log1p(vd_neg(q)), sc_log(p)); }

/* -D(x, np) for n + lost. */
SC_INLINE vd sc_minus_share_deviance(vd x, vd n, vd lost, vd p, vd q)
{
    vd m = vd_mul(n, p);
    vd low = vd_add(vd_fma(n, p, vd_neg(m)), vd_fma(lost, p, vd_mul(n, sc_share_lost(p, q))));
    return vd_neg(sc_deviance_of_sum(x, m, low));
}

/* log p(y) of y in n. */
SC_INLINE vd sc_log_binomial(vd y, vd n, vd p, vd q)
{
    const vd zero = vd_set1(0), one = vd_set1(1), never = vd_set1(-HUGE_VAL);
    vd rest = vd_sub(n, y), x = vd_max(one, y), z = vd_max(one, rest);
    vd fit = vd_add(sc_minus_share_deviance(x, n, zero, p, q), sc_minus_share_deviance(z, n, zero, q, p));
    vd stirling = vd_sub(sc_stirling_above1(vd_max(one, n)), vd_add(sc_stirling_above1(x), sc_stirling_above1(z)));
    vd value = vd_add(vd_add(stirling, sc_half_log(vd_div(vd_div(n, z), x))), fit);
    value = vd_select(vm_or(vd_eq(p, zero), vd_eq(q, zero)), never, value);
    vm none = vd_eq(y, zero), all = vd_eq(rest, zero);
    if (vm_any(vm_or(none, all))) {
        value = vd_select(all, vd_mul(n, sc_log_share(p, q)), value);
        value = vd_select(none, vd_mul(n, sc_log_share(q, p)), value);
        value = vd_select(vd_eq(n, zero), zero, value);
    }
    return value;
}

/* log p(y) of y failures before r successes of probability p. */
SC_INLINE vd sc_log_negative_binomial(vd y, vd r, vd p, vd q)
{
    const vd zero = vd_set1(0);
    vd x = vd_max(vd_set1(1), y), n = vd_add(x, r), lost = sc_sum_lost(x, r, n);
    vd fit = vd_add(sc_minus_share_deviance(r, n, lost, p, q), sc_minus_share_deviance(x, n, lost, q, p));
    vd stirling = vd_sub(sc_stirling_above1(n), vd_add(sc_stirling(r), sc_stirling_above1(x)));
    vd root = vd_sub(sc_half_log(vd_div(r, n)), vd_mul(vd_set1(0.5), sc_log(x))); /* r/(nx) may be too small */
    vd value = vd_add(vd_add(stirling, root), fit);
    value = vd_select(vm_or(vd_eq(p, zero), vd_eq(q, zero)), vd_set1(-HUGE_VAL), value);
    return vd_select(vd_eq(y, zero), vd_mul(r, sc_log_share(p, q)), value);
}

/* ---- arrays ----------------------------------------------------------------------------------------------------- */
/* clang-format off */
#define SC_ARRAYS1(f)                                                                                                  \
    static void sc_array_##f(ptrdiff_t n, const double *x, double *out)                                                \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i += 8) vd_store_part(out + i, sc_##f(vd_load_part(x + i, n - i, 1.0)), n - i);   \
    }
#define SC_ARRAYS2(f)                                                                                                  \
    static void sc_array_##f(ptrdiff_t n, const double *x, const double *y, double *out)                               \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i += 8)                                                                           \
            vd_store_part(out + i, sc_##f(vd_load_part(x + i, n - i, 1.0), vd_load_part(y + i, n - i, 1.0)), n - i);   \
    }
#define SC_ARRAYS4(f)                                                                                                  \
    static void sc_array_##f(ptrdiff_t n, const double *y, const double *size, const double *p, const double *q,       \
                             double *out)                                                                              \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i += 8) {                                                                         \
            ptrdiff_t m = n - i;                                                                                       \
            vd first = vd_load_part(y + i, m, 1.0), second = vd_load_part(size + i, m, 2.0);                           \
            vd third = vd_load_part(p + i, m, 0.5), fourth = vd_load_part(q + i, m, 0.5);                              \
            vd_store_part(out + i, sc_##f(first, second, third, fourth), m);                                           \
        }                                                                                                              \
    }
#define SC_ARRAYS_INTERVAL(f)                                                                                          \
    static void sc_array_##f(ptrdiff_t n, const double *a, const double *b, double *log_p, double *x, double *y)       \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i += 8) {                                                                         \
            ptrdiff_t m = n - i;                                                                                       \
            vd first, second, third;                                                                                   \
            sc_##f(vd_load_part(a + i, m, 0.0), vd_load_part(b + i, m, 1.0), &first, &second, &third);                 \
            vd_store_part(log_p + i, first, m);                                                                        \
            vd_store_part(x + i, second, m);                                                                           \
            vd_store_part(y + i, third, m);                                                                            \
        }                                                                                                              \
    }
/* clang-format on */
SC_ARRAYS1(exp)
SC_ARRAYS1(expm1)
SC_ARRAYS1(log)
SC_ARRAYS1(log1p)
SC_ARRAYS1(sigmoid)
SC_ARRAYS1(softplus)
SC_ARRAYS1(erfcx)
SC_ARRAYS1(ndtr)
SC_ARRAYS1(log_ndtr)
SC_ARRAYS1(stirling)
SC_ARRAYS2(deviance)
SC_ARRAYS2(log_poisson)
SC_ARRAYS4(log_binomial)
SC_ARRAYS4(log_negative_binomial)
SC_ARRAYS_INTERVAL(normal_interval)
SC_ARRAYS_INTERVAL(logistic_interval)

#define SC_FUNCTIONS_TABLE                                                                                             \
    {                                                                                                                  \
        .exp = sc_array_exp,                                                                                           \
        .expm1 = sc_array_expm1,                                                                                       \
        .log = sc_array_log,                                                                                           \
        .log1p = sc_array_log1p,                                                                                       \
        .sigmoid = sc_array_sigmoid,                                                                                   \
        .softplus = sc_array_softplus,                                                                                 \
        .erfcx = sc_array_erfcx,                                                                                       \
        .ndtr = sc_array_ndtr,                                                                                         \
        .log_ndtr = sc_array_log_ndtr,                                                                                 \
        .stirling = sc_array_stirling,                                                                                 \
        .deviance = sc_array_deviance,                                                                                 \
        .log_poisson = sc_array_log_poisson,                                                                           \
        .log_binomial = sc_array_log_binomial,                                                                         \
        .log_negative_binomial = sc_array_log_negative_binomial,                                                       \
        .normal_interval = sc_array_normal_interval,                                                                   \
        .logistic_interval = sc_array_logistic_interval,                                                               \
    }

#endif
