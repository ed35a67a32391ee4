/* Quantile functions in lanes: every continuous noise is one of them, at the address's integer.
 *
 * float64: of q = (2k + 1 - 2^53) 2^-54, which is P - 1/2 for the probability P = (2k + 1) 2^-54 (both exact); with
 * p = 1/2 - |q| the probability of the nearer tail (exact too, never 0):
 *   normal       Phi^-1(P)           p >= 2^-12: a polynomial of degree 7 in p, one for each of 352 intervals (rows.h);
 *                                    below: r - A(r)/B(r), r = sqrt(-2 log p)
 *   gumbel       -log(-log P)        the same, two polynomials for each interval, one for each side of the median; below:
 *                                    by logarithms
 *   logistic     log(P / (1 - P))    n log 2 + 2 artanh(s), s = (c(1-p) - p) / (c(1-p) + p), c = 2^-n near p / (1-p)
 *   exponential  -log w, w = 1 - P   n log 2 + 2 artanh(s), w = 2^-n (1 - g), 1 - g in [sqrt(1/2), sqrt(2)), s = g/(2 - g);
 *                                    2 artanh(s) = g + s (g + s^2 A(s^2)); for n = 0, g = 1/2 + q without the rounding of w
 *
 * float32: of the high word w of k, P = (2w + 1) 2^-33, folded to m = min(w, ~w): the same with cubic polynomials, and
 * log(1 + f) = f + f^2 A(f). Gumbel is the float64 one, rounded.
 *
 * Promises. Errors as stated at each function and asserted by tests/test_quantiles.py: within 4 ulp, or 2^-53 (float32:
 * 2^-32) absolute where that is more. Monotone up to that error; normal and logistic exactly antisymmetric in q. No
 * result is infinite; exponentials are positive. The same bits on every instruction set: see functions.h.
 */
#ifndef SC_KERNELS_QUANTILES_H
#define SC_KERNELS_QUANTILES_H

#include "functions.h"
#include "rows.h"

/* ---- from csrc/coefficients.py ---------------------------------------------------------------------------------- */
/* clang-format off */
static const double sc_logit_c[8] = { /* error 2^-58.87 */
    0x1.5555555555514p-1, 0x1.99999999acecep-2, 0x1.24924914f646bp-2, 0x1.c71c7df4dcda8p-3,
    0x1.745a77e107b36p-3, 0x1.3b679b148ebdap-3, 0x1.0b0875b266a84p-3, 0x1.2b690de2f2af2p-3,
};
static const double sc_tail_p[8] = { /* error 2^-59.55 */
    0x1.92193fb80ff85p+1, 0x1.a8f68b9b3d3ep+2, -0x1.8e6022fa5d12fp+0, -0x1.392566cbab47fp-1,
    0x1.cc3332e329681p-4, 0x1.e93a0648266f4p-7, 0x1.12bc6a40b18fap-12, 0x1.4f1faa1e58135p-23,
};
static const double sc_tail_q[8] = { /* Q(0) = 1 */
    0x1p+0, 0x1.26179cc4fa145p+2, 0x1.9bda57cca55fdp+0, -0x1.16473aa203f92p+0,
    -0x1.2363d92473519p-4, 0x1.70e6eaf910a14p-5, 0x1.bc983e78db02dp-9, 0x1.555c323d362bbp-15,
};
static const float sc_logit32_c[4] = { /* error 2^-33.13 */
    0x1.555552p-1f, 0x1.999eacp-2f, 0x1.236b9ap-2f, 0x1.fa6e0ap-3f,
};
static const float sc_tail32_c[8] = { /* error 2^-27.31 */
    0x1.0a1432p-1f, -0x1.13060ep-4f, 0x1.49afa2p-7f, -0x1.a3580ap-10f,
    0x1.147fc8p-12f, -0x1.77e302p-15f, 0x1.e74e5cp-18f, -0x1.9a6aacp-21f,
};
/* clang-format on */

#define SC_LN2 0x1.62e42fefa39efp-1
#define SC_LN2_32 0x1.62e43p-1f

/* Four of everything, step by step: a CPU looks some sixty operations ahead, so the next independent one must be near. */
#define SC_FOUR                                                                                                        \
    SC_UNROLL                                                                                                          \
    for (int j = 0; j < 4; j++)

/* ---- float64 ---------------------------------------------------------------------------------------------------- */

/* 1023 - biased, as a number. */
SC_INLINE vd sc_minus_exponent(vl biased)
{
    return vd_sub(vd_set1(0x1p+52 + 1023), vd_from_bits(vl_or(biased, vl_set1(UINT64_C(0x4330000000000000)))));
}

/* -log(1/2 - q): 3 ulp. */
SC_INLINE void sc_exponential_quantile(vd q[4])
{
    const vd half = vd_set1(0.5), one = vd_set1(1);
    vd n[4], g[4], s[4];
    SC_FOUR
    {
        vl biased;
        vd m = sc_split(vd_sub(half, q[j]), &biased);
        n[j] = sc_minus_exponent(biased);
        g[j] = vd_select(vd_lt(n[j], one), vd_add(half, q[j]), vd_sub(one, m));
    }
    SC_FOUR s[j] = vd_div(g[j], vd_sub(vd_set1(2), g[j]));
    SC_FOUR
    {
        vd w = vd_mul(s[j], s[j]), a = sc_polynomial(w, sc_log_c, SC_LENGTH(sc_log_c));
        q[j] = vd_fma(n[j], vd_set1(SC_LN2), vd_fma(s[j], vd_fma(w, a, g[j]), g[j]));
    }
}

/* log((1/2 + q) / (1/2 - q)): 2.3 ulp. n comes from p + 2p^2, which lies within 13% of p / (1-p). */
SC_INLINE void sc_logistic_quantile(vd q[4])
{
    const vd one = vd_set1(1);
    vd n[4], s[4];
    SC_FOUR
    {
        vl biased;
        vd p = vd_sub(vd_set1(0.5), vd_abs(q[j]));
        sc_split(vd_fma(vd_add(p, p), p, p), &biased);
        n[j] = sc_minus_exponent(biased);
        vd c = vd_from_bits(vl_shl(biased, 52));
        s[j] = vd_div(vd_fma(vd_neg(p), vd_add(c, one), c), vd_fma(p, vd_sub(one, c), c));
    }
    SC_FOUR
    {
        vd w = vd_mul(s[j], s[j]);
        vd t = vd_mul(s[j], vd_fma(w, sc_polynomial(w, sc_logit_c, SC_LENGTH(sc_logit_c)), vd_set1(2)));
        q[j] = vd_copysign(vd_fma(n[j], vd_set1(SC_LN2), t), q[j]);
    }
}

/* z[j]: the polynomial of p's interval; with two sides, of the row for q's. Returns the least p in each lane: below 2^-12
 * no row holds. A row is found by the exponent of p and its first five bits; the middle of its interval has the same
 * bits, then a one. */
SC_INLINE vd sc_row_values(const double *table, int sides, const vd q[4], vd z[4])
{
    const uint64_t lowest = UINT64_C(0x3f30000000000000); /* 2^-12 */
    uint64_t at[32];
    double x[32], fourth[32];
    vd least = vd_set1(0.5);
    SC_FOUR
    {
        vd p = vd_sub(vd_set1(0.5), vd_abs(q[j])), inner = vd_max(vd_set1(0x1p-12), p);
        vl bits = vl_from_bits(inner), kept = vl_and(bits, vl_set1(~((UINT64_C(1) << 47) - 1)));
        vl row = vl_sub(vl_shr(kept, 44), vl_set1(lowest >> 44)); /* times eight */
        if (sides == 2) row = vl_or(vl_add(row, row), vl_and(vl_shr(vl_from_bits(q[j]), 60), vl_set1(8)));
        vd y = vd_sub(inner, vd_from_bits(vl_or(kept, vl_set1(UINT64_C(1) << 46)))), square = vd_mul(y, y);
        vl_store(at + 8 * j, row);
        vd_store(x + 8 * j, y);
        vd_store(fourth + 8 * j, vd_mul(square, square));
        least = vd_min(least, p);
    }
    SC_IN_MEMORY(at);
    SC_IN_MEMORY(x);
    SC_IN_MEMORY(fourth);
    SC_FOUR z[j] = vd_row_polynomial(table, at + 8 * j, x + 8 * j, fourth + 8 * j);
    return least;
}

/* -Phi^-1(p) for p < 2^-12. */
SC_INLINE vd sc_normal_tail(vd p)
{
    vd r = vd_sqrt(vd_mul(vd_set1(-2), sc_log_normal(p)));
    vd above = sc_polynomial(r, sc_tail_p, SC_LENGTH(sc_tail_p));
    vd below = sc_polynomial(r, sc_tail_q, SC_LENGTH(sc_tail_q));
    return vd_sub(r, vd_div(above, below));
}

/* Phi^-1(1/2 + q): 3.2 ulp or 2^-53, whichever is larger. */
SC_INLINE void sc_normal_quantile(vd q[4])
{
    const vd border = vd_set1(0x1p-12);
    vd z[4], least = sc_row_values(sc_normal_rows, 1, q, z);
    if (vm_any(vd_lt(least, border)))
        for (int j = 0; j < 4; j++) {
            vd p = vd_sub(vd_set1(0.5), vd_abs(q[j]));
            z[j] = vd_select(vd_lt(p, border), sc_normal_tail(p), z[j]);
        }
    SC_FOUR /* z > 0 with the sign of q */
    {
        vl sign = vl_and(vl_from_bits(q[j]), vl_set1(UINT64_C(1) << 63));
        q[j] = vd_from_bits(vl_or(vl_from_bits(z[j]), sign));
    }
}

/* -log(-log(1/2 + q)) for p < 2^-12: above the median -log p - log(-log(1 - p) / p), as a series. */
SC_INLINE vd sc_gumbel_tail(vd q, vd p)
{
    vd e = vd_neg(sc_log_normal(p)), series = vd_fma(p, vd_set1(0.125), vd_set1(5.0 / 24));
    vd above = vd_fma(vd_neg(p), vd_fma(p, series, vd_set1(0.5)), e);
    return vd_select(vd_lt(q, vd_set1(0)), vd_neg(sc_log_normal(e)), above);
}

/* -log(-log(1/2 + q)): 3 ulp or 2^-53, whichever is larger. */
SC_INLINE void sc_gumbel_quantile(vd q[4])
{
    const vd border = vd_set1(0x1p-12);
    vd z[4], least = sc_row_values(sc_gumbel_rows, 2, q, z);
    if (vm_any(vd_lt(least, border)))
        for (int j = 0; j < 4; j++) {
            vd p = vd_sub(vd_set1(0.5), vd_abs(q[j]));
            z[j] = vd_select(vd_lt(p, border), sc_gumbel_tail(q[j], p), z[j]);
        }
    SC_FOUR q[j] = z[j];
}

/* ---- float32 ---------------------------------------------------------------------------------------------------- */

/* A word folded about the median: P = (2w + 1) 2^-33 lies t + 1/2 units of 2^-32 from the nearer end. */
SC_INLINE vw sc_tail32(vw word)
{
    vw centred = vw_xor(word, vw_set1(UINT32_C(0x80000000))); /* as a signed number: word - 2^31 */
    return vw_sub(vw_set1(UINT32_C(0x7fffffff)), vw_xor(centred, vw_sra(centred, 31)));
}

/* The first bit where P < 1/2. */
SC_INLINE vw sc_sign32(vw word)
{
    return vw_and(vw_xor(word, vw_set1(UINT32_C(0x80000000))), vw_set1(UINT32_C(0x80000000)));
}

/* q = |P - 1/2| and p = 1/2 - q, each rounded once. */
typedef struct {
    vf q, p;
    vw below;
} sc_folded32;

SC_INLINE sc_folded32 sc_fold32(vw word)
{
    vf unit = vf_set1(0x1p-32f), half = vf_set1(0x1p-33f);
    vw t = sc_tail32(word), rest = vw_sub(vw_set1(UINT32_C(0x7fffffff)), t);
    return (sc_folded32){vf_fma(vw_to_f32(rest), unit, half), vf_fma(vw_to_f32(t), unit, half), sc_sign32(word)};
}

/* `size` with a minus below the median. */
SC_INLINE vf sc_signed32(vf size, vw below) { return vf_from_bits(vw_or(vw_from_bits(size), below)); }

/* 127 - biased, as a number. */
SC_INLINE vf sc_minus_exponent32(vw biased) { return vw_to_f32(vw_sub(vw_set1(127), biased)); }

/* Phi^-1: 2.4 ulp or 2^-32, whichever is larger. p is the sum of two exact numbers, so that its distance to the middle
 * of an interval is exact too. */
SC_INLINE void sc_normal_quantile32(const vw word[4], vf z[4])
{
    const uint32_t lowest = UINT32_C(0x39800000); /* 2^-12 */
    const vf border = vf_set1(0x1p-12f);
    uint32_t at[64];
    vf p[4], x[4], least = vf_set1(0.5f);
    SC_FOUR
    {
        vw t = sc_tail32(word[j]);
        vf high = vf_mul(vw_to_f32(vw_shr(t, 8)), vf_set1(0x1p-24f));
        vf low = vf_fma(vw_to_f32(vw_and(t, vw_set1(255))), vf_set1(0x1p-32f), vf_set1(0x1p-33f));
        p[j] = vf_add(high, low);
        vf inner = vf_max(border, p[j]);
        vw kept = vw_and(vw_from_bits(inner), vw_set1(~((UINT32_C(1) << 18) - 1)));
        vf c = vf_from_bits(vw_or(kept, vw_set1(UINT32_C(1) << 17)));
        c = vf_select(vf_le(vf_set1(0.5f - 0x1p-7f), inner), vf_set1(0.5f), c);
        vw_store(at + 16 * j, vw_sub(vw_shr(kept, 16), vw_set1(lowest >> 16))); /* the row, times four */
        x[j] = vf_add(vf_sub(high, c), low);
        least = vf_min(least, p[j]);
    }
    SC_IN_MEMORY(at);
    SC_FOUR z[j] = vf_row_cubic(sc_normal32_rows, at + 16 * j, x[j]);
    if (vn_bits(vf_lt(least, border)))
        for (int j = 0; j < 4; j++) {
            vf r = vf_sqrt(vf_mul(vf_set1(-2), sc_log_normal32(p[j])));
            vf d = sc_polynomial32(vf_sub(r, vf_set1(5)), sc_tail32_c, SC_LENGTH(sc_tail32_c));
            z[j] = vf_select(vf_lt(p[j], border), vf_sub(r, d), z[j]);
        }
    SC_FOUR z[j] = sc_signed32(z[j], sc_sign32(word[j]));
}

/* log(P / (1 - P)): 4 ulp. */
SC_INLINE void sc_logistic_quantile32(const vw word[4], vf z[4])
{
    const vf one = vf_set1(1);
    vw below[4];
    vf n[4], s[4];
    SC_FOUR
    {
        sc_folded32 f = sc_fold32(word[j]);
        vw biased;
        sc_split32(vf_fma(vf_add(f.p, f.p), f.p, f.p), &biased);
        below[j] = f.below;
        n[j] = sc_minus_exponent32(biased);
        vf c = vf_from_bits(vw_shl(biased, 23));
        vf above = vf_select(vf_lt(n[j], one), vf_add(f.q, f.q), vf_fma(vf_neg(f.p), vf_add(c, one), c));
        s[j] = vf_div(above, vf_fma(f.p, vf_sub(one, c), c));
    }
    SC_FOUR
    {
        vf w = vf_mul(s[j], s[j]);
        vf t = vf_mul(s[j], vf_fma(w, sc_polynomial32(w, sc_logit32_c, SC_LENGTH(sc_logit32_c)), vf_set1(2)));
        z[j] = sc_signed32(vf_fma(n[j], vf_set1(SC_LN2_32), t), below[j]);
    }
}

/* -log(1 - P): 1.5 ulp. 1 - P = 2^-n (1 - g), g from p or q where n <= 1; -log(1 - g) = g - g^2 A(-g). */
SC_INLINE void sc_exponential_quantile32(const vw word[4], vf z[4])
{
    const vf one = vf_set1(1);
    vf n[4], g[4];
    SC_FOUR
    {
        sc_folded32 f = sc_fold32(word[j]);
        vw biased;
        vn low = vw_eq(f.below, vw_set1(UINT32_C(0x80000000)));
        vf m = sc_split32(vf_select(low, vf_sub(one, f.p), f.p), &biased);
        n[j] = sc_minus_exponent32(biased);
        vf near = vf_select(vf_lt(n[j], one), f.p, sc_signed32(vf_add(f.q, f.q), f.below));
        g[j] = vf_select(vf_le(n[j], one), near, vf_sub(one, m));
    }
    SC_FOUR
    {
        vf minus = vf_neg(g[j]);
        vf t = vf_fma(vf_mul(g[j], minus), sc_polynomial32(minus, sc_log32_c, SC_LENGTH(sc_log32_c)), g[j]);
        z[j] = vf_fma(n[j], vf_set1(SC_LN2_32), t);
    }
}

/* -log(-log P): 0.6 ulp or 2^-32, whichever is larger. */
SC_INLINE void sc_gumbel_quantile32(const vw word[4], vf z[4])
{
    const vd unit = vd_set1(0x1p-32), shift = vd_set1(0x1p-33 - 0.5);
    for (int i = 0; i < 4; i += 2) {
        vd q[4];
        for (int j = 0; j < 2; j++) {
            q[2 * j] = vd_fma(vw_lo_f64(word[i + j]), unit, shift);
            q[2 * j + 1] = vd_fma(vw_hi_f64(word[i + j]), unit, shift);
        }
        sc_gumbel_quantile(q);
        z[i] = vf_narrow(q[0], q[1]);
        z[i + 1] = vf_narrow(q[2], q[3]);
    }
}

#endif
