/* Elementary functions in lanes: exp, log, log1p, sigmoid, softplus. (Quantile functions: quantiles.h.)
 *
 *   exp x        x = n log 2 + r, |r| <= log(2)/2; e^r = 1 + r + r^2 P(r); times 2^n in two steps, so that overflow
 *                and gradual underflow come out right
 *   log x        x = 2^e m, m in [sqrt(1/2), sqrt(2)); with f = m - 1, s = f/(2+f), w = s^2 (2s = f - s f):
 *                log m = 2 artanh(s) = f - s (f - w P(w)); in float32 f + f^2 P(f)
 *   log1p x      the same with the rounding error of 1 + x carried along
 *   sigmoid x    t = e^-|x|; 1/(1+t) or t/(1+t)
 *   softplus x   max(x, 0) + log1p(t)
 *
 * Promises. Only lane words: the same bits on every instruction set (NaN payloads aside). A lane never depends on
 * another: `if (vm_any())` only skips work whose result no lane takes. The line above each function bounds its error in
 * units in the last place (ulp), as tests/test_functions.py asserts. NaN gives NaN.
 *
 * Coefficients: csrc/coefficients.py derives and prints them (minimax fits in 50 digits).
 */
#ifndef SC_KERNELS_FUNCTIONS_H
#define SC_KERNELS_FUNCTIONS_H

#include "../lanes/lanes.h"
#include <math.h>

/* ---- from csrc/coefficients.py ---------------------------------------------------------------------------------- */
/* clang-format off */
static const double sc_exp_c[10] = { /* error 2^-57.9 */
    0x1.000000000000ap-1, 0x1.555555555550cp-3, 0x1.555555555079ap-5, 0x1.1111111124655p-7,
    0x1.6c16c184395dfp-10, 0x1.a01a0138597bdp-13, 0x1.a0199a0de2f25p-16, 0x1.71df0c4cb445cp-19,
    0x1.28ad5d121afe5p-22, 0x1.ad9fe77f575b2p-26,
};
static const double sc_log_c[7] = { /* error 2^-59.5 */
    0x1.5555555555592p-1, 0x1.999999997ff62p-2, 0x1.24924941db6abp-2, 0x1.c71c5219f0d2ep-3,
    0x1.74663bada46f5p-3, 0x1.39a20a727ea76p-3, 0x1.2f025ecfbbc59p-3,
};
static const double sc_log1p_c[10] = { /* error 2^-59.37 */
    0x1.5555555555535p-1, 0x1.99999999a075p-2, 0x1.249249208ce5dp-2, 0x1.c71c741be3fa1p-3,
    0x1.745cb41bef0e6p-3, 0x1.3b1dd8aa622d4p-3, 0x1.1067ed7380e6bp-3, 0x1.efd5a8778707ap-4,
    0x1.55bcf13996024p-4, 0x1.5c6db13912d4fp-3,
};
static const float sc_exp32_c[5] = { /* error 2^-28.24 */
    0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558b8p-5f, 0x1.123992p-7f,
    0x1.6a44c6p-10f,
};
static const float sc_log32_c[9] = { /* error 2^-27.82 */
    -0x1.fffff8p-2f, 0x1.55554ep-2f, -0x1.000438p-2f, 0x1.99a548p-3f,
    -0x1.542508p-3f, 0x1.22545cp-3f, -0x1.0f2cc4p-3f, 0x1.09071cp-3f,
    -0x1.3a475ap-4f,
};
static const float sc_log1p32_c[9] = { /* error 2^-27.4 */
    -0x1.ffffd2p-2f, 0x1.554ddp-2f, -0x1.ff243cp-3f, 0x1.934ff4p-3f,
    -0x1.3a5b04p-3f, 0x1.b5248p-4f, -0x1.d7e8bep-5f, 0x1.4ab772p-6f,
    -0x1.b2bbe2p-9f,
};
/* clang-format on */

/* In registers everything is worth inlining and unrolling; on scalar lanes that only makes the compiler slow. */
#if defined(SC_LANES_SCALAR_H) || !defined(__GNUC__)
#define SC_INLINE static inline
#define SC_UNROLL
#else
#define SC_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define SC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SC_UNROLL _Pragma("GCC unroll 16")
#endif
#endif
#define SC_LENGTH(c) ((int)(sizeof(c) / sizeof *(c)))

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) for a constant n, as A(x^2) + x B(x^2) by Horner's rule: two short chains of
 * dependent operations in place of a long one. */
SC_INLINE vd sc_polynomial(vd x, const double *c, int n)
{
    vd square = vd_mul(x, x), last = vd_set1(c[n - 1]), other = vd_set1(c[n - 2]);
    SC_UNROLL
    for (int i = n - 3; i >= 0; i -= 2) {
        last = vd_fma(last, square, vd_set1(c[i]));
        if (i > 0) other = vd_fma(other, square, vd_set1(c[i - 1]));
    }
    return n % 2 ? vd_fma(other, x, last) : vd_fma(last, x, other);
}

SC_INLINE vf sc_polynomial32(vf x, const float *c, int n)
{
    vf square = vf_mul(x, x), last = vf_set1(c[n - 1]), other = vf_set1(c[n - 2]);
    SC_UNROLL
    for (int i = n - 3; i >= 0; i -= 2) {
        last = vf_fma(last, square, vf_set1(c[i]));
        if (i > 0) other = vf_fma(other, square, vf_set1(c[i - 1]));
    }
    return n % 2 ? vf_fma(other, x, last) : vf_fma(last, x, other);
}

/* ---- float64 ---------------------------------------------------------------------------------------------------- */
#define SC_LN2_HIGH 0x1.62e42fefa38p-1 /* 42 bits: its product with an exponent is exact */
#define SC_LN2_LOW 0x1.ef35793c7673p-45
#define SC_LOG2E 0x1.71547652b82fep+0
#define SC_ROUND 0x1.8p+52 /* x + SC_ROUND holds the nearest integer of x in its last bits */

/* e^x = y 2^n with y near 1; `scale` is 2^(n + shift). Adding and taking away SC_ROUND + 1023 + shift rounds to an
 * integer and leaves n + shift, biased, in the last twelve bits, where a shift makes it an exponent. */
SC_INLINE vd sc_exp_parts(vd x, vd shift, vd *scale)
{
    vd magic = vd_add(vd_set1(SC_ROUND + 1023), shift);
    vd t = vd_fma(x, vd_set1(SC_LOG2E), magic), n = vd_sub(t, magic);
    vd high = vd_fma(n, vd_set1(-SC_LN2_HIGH), x); /* exact */
    vd r = vd_fma(n, vd_set1(-SC_LN2_LOW), high);
    vd rest = vd_fma(n, vd_set1(-SC_LN2_LOW), vd_sub(high, r)); /* what r lacks */
    vd one = vd_set1(1), s = vd_add(one, r), lost = vd_add(vd_sub(one, s), r);
    vd p = vd_fma(vd_mul(r, r), sc_polynomial(r, sc_exp_c, SC_LENGTH(sc_exp_c)), rest);
    *scale = vd_from_bits(vl_shl(vl_from_bits(t), 52));
    return vd_add(s, vd_add(lost, p));
}

/* All x: 0.7 ulp, 0.78 where the result is denormal; inf above 709.78. */
SC_INLINE vd sc_exp(vd x)
{
    x = vd_max(vd_set1(-746), vd_min(vd_set1(710), x)); /* in this order NaN stays */
    vm negative = vd_lt(x, vd_set1(0));
    vd scale, y = sc_exp_parts(x, vd_select(negative, vd_set1(512), vd_set1(-512)), &scale);
    return vd_mul(vd_mul(y, scale), vd_select(negative, vd_set1(0x1p-512), vd_set1(0x1p+512)));
}

/* e^-|x|, with one step less: the scale is never above 1. Errors as for sc_exp. */
SC_INLINE vd sc_exp_minus_abs(vd x)
{
    x = vd_max(vd_set1(-746), vd_neg(vd_abs(x)));
    vd scale, y = sc_exp_parts(x, vd_set1(512), &scale);
    return vd_mul(vd_mul(y, scale), vd_set1(0x1p-512));
}

/* e log 2 + log(1+f) for 1+f in [sqrt(1/2), sqrt(2)) and a whole number e. */
SC_INLINE vd sc_log_sum(vd e, vd f)
{
    vd s = vd_div(f, vd_add(vd_set1(2), f)), w = vd_mul(s, s);
    vd p = vd_fma(vd_neg(w), sc_polynomial(w, sc_log_c, SC_LENGTH(sc_log_c)), f);
    vd high = vd_mul(e, vd_set1(SC_LN2_HIGH)), sum = vd_add(high, f), lost = vd_add(vd_sub(high, sum), f);
    vd low = vd_fma(vd_neg(s), p, vd_fma(e, vd_set1(SC_LN2_LOW), lost));
    return vd_add(sum, low);
}

/* x = 2^e m for normal x: m in [sqrt(1/2), sqrt(2)); gives m, and e + 1023 as an integer. */
SC_INLINE vd sc_split(vd x, vl *biased)
{
    const uint64_t half = UINT64_C(0x3fe6a09e667f3bcd), one = UINT64_C(0x3ff0000000000000); /* bits of sqrt(1/2), 1 */
    vl t = vl_add(vl_from_bits(x), vl_set1(one - half));
    *biased = vl_shr(t, 52);
    return vd_from_bits(vl_add(vl_and(t, vl_set1(UINT64_C(0xfffffffffffff))), vl_set1(half)));
}

/* A small integer as float64, less `offset`. */
SC_INLINE vd sc_small(vl a, double offset)
{
    return vd_sub(vd_from_bits(vl_or(a, vl_set1(UINT64_C(0x4330000000000000)))), vd_set1(0x1p+52 + offset));
}

/* log x for normal x > 0. */
SC_INLINE vd sc_log_normal(vd x)
{
    vl biased;
    vd m = sc_split(x, &biased);
    return sc_log_sum(sc_small(biased, 1023), vd_sub(m, vd_set1(1)));
}

/* All x: 0.95 ulp; 0 gives -inf, less gives NaN. */
SC_INLINE vd sc_log(vd x)
{
    vd zero = vd_set1(0), infinity = vd_set1(HUGE_VAL);
    vm tiny = vd_lt(x, vd_set1(0x1p-1022));
    vd y = sc_log_normal(x);
    if (vm_any(tiny)) {
        vl biased;
        vd m = sc_split(vd_mul(x, vd_set1(0x1p+54)), &biased);
        vd denormal = sc_log_sum(sc_small(biased, 1023 + 54), vd_sub(m, vd_set1(1)));
        denormal = vd_select(vd_eq(x, zero), vd_neg(infinity), denormal);
        y = vd_select(tiny, vd_select(vd_lt(x, zero), vd_sub(infinity, infinity), denormal), y);
    }
    return vd_select(vd_lt(x, infinity), y, x); /* inf and NaN are themselves */
}

/* All x: 1.5 ulp; -1 gives -inf, less gives NaN. */
SC_INLINE vd sc_log1p(vd x)
{
    vd one = vd_set1(1), infinity = vd_set1(HUGE_VAL);
    vd u = vd_add(one, x), v = vd_sub(u, x);
    vd lost = vd_add(vd_sub(x, vd_sub(u, v)), vd_sub(one, v)); /* u + lost = 1 + x exactly */
    vl biased;
    vd m = sc_split(u, &biased);
    /* 2^-e as 2^(2-e) / 4: e may be 1024 */
    vd scale = vd_from_bits(vl_shl(vl_sub(vl_set1(2048), biased), 52));
    vd f = vd_fma(vd_mul(lost, scale), vd_set1(0.25), vd_sub(m, one));
    vd y = vd_copysign(sc_log_sum(sc_small(biased, 1023), f), x);
    vm low = vd_le(x, vd_set1(-1));
    if (vm_any(low)) {
        vd bad = vd_select(vd_eq(u, vd_set1(0)), vd_neg(infinity), vd_sub(infinity, infinity));
        y = vd_select(low, bad, y);
    }
    return vd_select(vd_lt(x, infinity), y, x);
}

/* log(1 + t) for t in [0, 1]. */
SC_INLINE vd sc_log1p_unit(vd t)
{
    vd s = vd_div(t, vd_add(vd_set1(2), t)), w = vd_mul(s, s);
    vd p = vd_fma(vd_neg(w), sc_polynomial(w, sc_log1p_c, SC_LENGTH(sc_log1p_c)), t);
    return vd_fma(vd_neg(s), p, t);
}

/* 1/(1 + e^-x), all x: 2.3 ulp, down to the last denormal. */
SC_INLINE vd sc_sigmoid(vd x)
{
    vd t = sc_exp_minus_abs(x), one = vd_set1(1);
    return vd_div(vd_select(vd_lt(x, vd_set1(0)), t, one), vd_add(one, t));
}

/* log(1 + e^x), all x: 1.65 ulp. */
SC_INLINE vd sc_softplus(vd x) { return vd_add(vd_max(x, vd_set1(0)), sc_log1p_unit(sc_exp_minus_abs(x))); }

/* ---- float32 ---------------------------------------------------------------------------------------------------- */
#define SC_LN2_HIGH32 0x1.62e4p-1f /* 15 bits */
#define SC_LN2_LOW32 0x1.7f7d1cp-20f
#define SC_LOG2E32 0x1.715476p+0f
#define SC_ROUND32 0x1.8p+23f

SC_INLINE vf sc_exp_parts32(vf x, vf magic, vf *scale)
{
    vf t = vf_fma(x, vf_set1(SC_LOG2E32), magic), n = vf_sub(t, magic);
    vf r = vf_fma(n, vf_set1(-SC_LN2_LOW32), vf_fma(n, vf_set1(-SC_LN2_HIGH32), x));
    vf p = vf_fma(vf_mul(r, r), sc_polynomial32(r, sc_exp32_c, SC_LENGTH(sc_exp32_c)), r);
    *scale = vf_from_bits(vw_shl(vw_from_bits(t), 23));
    return vf_add(vf_set1(1), p);
}

/* All x: 1.05 ulp; below 2^-126 the result is a denormal (no flush to zero). */
SC_INLINE vf sc_exp32(vf x)
{
    x = vf_max(vf_set1(-104), vf_min(vf_set1(89), x));
    vn negative = vf_lt(x, vf_set1(0));
    vf magic = vf_select(negative, vf_set1(SC_ROUND32 + 127 + 64), vf_set1(SC_ROUND32 + 127 - 64));
    vf scale, y = sc_exp_parts32(x, magic, &scale);
    return vf_mul(vf_mul(y, scale), vf_select(negative, vf_set1(0x1p-64f), vf_set1(0x1p+64f)));
}

/* e^-|x|. */
SC_INLINE vf sc_exp_minus_abs32(vf x)
{
    x = vf_max(vf_set1(-104), vf_neg(vf_abs(x)));
    vf scale, y = sc_exp_parts32(x, vf_set1(SC_ROUND32 + 127 + 64), &scale);
    return vf_mul(vf_mul(y, scale), vf_set1(0x1p-64f));
}

/* e log 2 + log(1+f) for 1+f in [sqrt(1/2), sqrt(2)). */
SC_INLINE vf sc_log_sum32(vf e, vf f)
{
    vf p = vf_mul(vf_mul(f, f), sc_polynomial32(f, sc_log32_c, SC_LENGTH(sc_log32_c)));
    vf high = vf_mul(e, vf_set1(SC_LN2_HIGH32)), sum = vf_add(high, f), lost = vf_add(vf_sub(high, sum), f);
    return vf_add(sum, vf_add(vf_fma(e, vf_set1(SC_LN2_LOW32), lost), p));
}

SC_INLINE vf sc_split32(vf x, vw *biased)
{
    const uint32_t half = UINT32_C(0x3f3504f3), one = UINT32_C(0x3f800000);
    vw t = vw_add(vw_from_bits(x), vw_set1(one - half));
    *biased = vw_shr(t, 23);
    return vf_from_bits(vw_add(vw_and(t, vw_set1(0x7fffff)), vw_set1(half)));
}

SC_INLINE vf sc_log_normal32(vf x)
{
    vw biased;
    vf m = sc_split32(x, &biased);
    return sc_log_sum32(vw_to_f32(vw_sub(biased, vw_set1(127))), vf_sub(m, vf_set1(1)));
}

/* All x: 1.05 ulp; 0 gives -inf, less gives NaN. */
SC_INLINE vf sc_log32(vf x)
{
    vf zero = vf_set1(0), infinity = vf_set1(HUGE_VALF);
    vn tiny = vf_lt(x, vf_set1(0x1p-126f));
    vf y = sc_log_normal32(x);
    if (vn_bits(tiny)) {
        vw biased;
        vf m = sc_split32(vf_mul(x, vf_set1(0x1p+25f)), &biased);
        vf denormal = sc_log_sum32(vw_to_f32(vw_sub(biased, vw_set1(127 + 25))), vf_sub(m, vf_set1(1)));
        denormal = vf_select(vf_eq(x, zero), vf_neg(infinity), denormal);
        y = vf_select(tiny, vf_select(vf_lt(x, zero), vf_sub(infinity, infinity), denormal), y);
    }
    return vf_select(vf_lt(x, infinity), y, x);
}

/* All x: 1.6 ulp; -1 gives -inf, less gives NaN. */
SC_INLINE vf sc_log1p32(vf x)
{
    vf one = vf_set1(1), infinity = vf_set1(HUGE_VALF);
    vf u = vf_add(one, x), v = vf_sub(u, x);
    vf lost = vf_add(vf_sub(x, vf_sub(u, v)), vf_sub(one, v));
    vw biased;
    vf m = sc_split32(u, &biased);
    vf scale = vf_from_bits(vw_shl(vw_sub(vw_set1(256), biased), 23)); /* 2^(2-e) */
    vf f = vf_fma(vf_mul(lost, scale), vf_set1(0.25f), vf_sub(m, one));
    vf y = vf_copysign(sc_log_sum32(vw_to_f32(vw_sub(biased, vw_set1(127))), f), x);
    vn low = vf_le(x, vf_set1(-1));
    if (vn_bits(low)) {
        vf bad = vf_select(vf_eq(u, vf_set1(0)), vf_neg(infinity), vf_sub(infinity, infinity));
        y = vf_select(low, bad, y);
    }
    return vf_select(vf_lt(x, infinity), y, x);
}

/* log(1 + t) for t in [0, 1]. By Horner's rule: the two halves of sc_polynomial32 would cancel here. */
SC_INLINE vf sc_log1p_unit32(vf t)
{
    vf p = vf_set1(sc_log1p32_c[SC_LENGTH(sc_log1p32_c) - 1]);
    SC_UNROLL
    for (int i = SC_LENGTH(sc_log1p32_c) - 2; i >= 0; i--) p = vf_fma(p, t, vf_set1(sc_log1p32_c[i]));
    return vf_fma(vf_mul(t, t), p, t);
}

/* The sigmoid of x (2.4 ulp) and its softplus (1.8 ulp) from one exponential. */
SC_INLINE vf sc_sigmoid_softplus32(vf x, vf *softplus)
{
    vf t = sc_exp_minus_abs32(x), zero = vf_set1(0), one = vf_set1(1);
    *softplus = vf_add(vf_max(x, zero), sc_log1p_unit32(t));
    return vf_div(vf_select(vf_lt(x, zero), t, one), vf_add(one, t));
}

SC_INLINE vf sc_sigmoid32(vf x)
{
    vf unused;
    return sc_sigmoid_softplus32(x, &unused);
}

SC_INLINE vf sc_softplus32(vf x) { return vf_add(vf_max(x, vf_set1(0)), sc_log1p_unit32(sc_exp_minus_abs32(x))); }

#endif
