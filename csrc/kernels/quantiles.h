/* Quantile functions in lanes: every continuous noise is one of them, at the address's integer.
 *
 * float64: of q = (2k + 1 - 2^53) 2^-54, which is P - 1/2 for the probability P = (2k + 1) 2^-54 (both exact); with
 * p = 1/2 - |q| the probability of the nearer tail (exact too, never 0):
 *   normal       Phi^-1(P)           p >= 2^-12: a polynomial of degree 7 in p, one for each of 352 intervals (rows.h);
 *                                    below: r - A(r)/B(r), r = sqrt(-2 log p)
 *   gumbel       -log(-log P)        the same, two polynomials for each interval, one for each side of the median;
 *                                    below: by logarithms
 *   logistic     log(P / (1 - P))    n log 2 + 2 artanh(s), s = (c(1-p) - p) / (c(1-p) + p), c = 2^-n near p / (1-p)
 *   exponential  -log w, w = 1 - P   n log 2 + 2 artanh(s), w = 2^-n (1 - g), 1 - g in [sqrt(1/2), sqrt(2)),
 *                                    s = g/(2 - g); 2 artanh(s) = g + s (g + s^2 A(s^2)); for n = 0, g = 1/2 + q
 *                                    without the rounding of w
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

/* Four of everything, step by step: a CPU looks some sixty operations ahead: the next independent one must be near. */
#define SC_FOUR                                                                                                        \
    SC_UNROLL                                                                                                          \
    for (int j = 0; j < 4; j++)

/* ---- float64: of 32 q in memory, in place ----------------------------------------------------------------------- */

/* p of eight q. */
SC_INLINE vd sc_nearer_tail(const double *q) { return vd_sub(vd_set1(0.5), vd_abs(vd_load(q))); }

/* 1023 - biased, as a number. */
SC_INLINE vd sc_minus_exponent(vl biased)
{
    return vd_sub(vd_set1(0x1p+52 + 1023), vd_from_bits(vl_or(biased, vl_set1(UINT64_C(0x4330000000000000)))));
}

/* -log(1/2 - q): 3 ulp. */
SC_INLINE void sc_exponential_quantile(double x[32])
{
    const vd half = vd_set1(0.5), one = vd_set1(1);
    vd n[4], g[4], s[4];
    SC_FOUR
    {
        vl biased;
        vd q = vd_load(x + 8 * j), m = sc_split(vd_sub(half, q), &biased);
        n[j] = sc_minus_exponent(biased);
        g[j] = vd_select(vd_lt(n[j], one), vd_add(half, q), vd_sub(one, m));
    }
    SC_FOUR s[j] = vd_div(g[j], vd_sub(vd_set1(2), g[j]));
    SC_FOUR
    {
        vd w = vd_mul(s[j], s[j]), a = sc_polynomial(w, sc_log_c, SC_LENGTH(sc_log_c));
        vd_store(x + 8 * j, vd_fma(n[j], vd_set1(SC_LN2), vd_fma(s[j], vd_fma(w, a, g[j]), g[j])));
    }
}

/* log((1/2 + q) / (1/2 - q)): 2.3 ulp. n comes from p + 2p^2, which lies within 13% of p / (1-p). */
SC_INLINE void sc_logistic_quantile(double x[32])
{
    const vd one = vd_set1(1);
    vd n[4], s[4];
    SC_FOUR
    {
        vl biased;
        vd p = sc_nearer_tail(x + 8 * j);
        sc_split(vd_fma(vd_add(p, p), p, p), &biased);
        n[j] = sc_minus_exponent(biased);
        vd c = vd_from_bits(vl_shl(biased, 52));
        s[j] = vd_div(vd_fma(vd_neg(p), vd_add(c, one), c), vd_fma(p, vd_sub(one, c), c));
    }
    SC_FOUR
    {
        vd w = vd_mul(s[j], s[j]);
        vd t = vd_mul(s[j], vd_fma(w, sc_polynomial(w, sc_logit_c, SC_LENGTH(sc_logit_c)), vd_set1(2)));
        vd_store(x + 8 * j, vd_copysign(vd_fma(n[j], vd_set1(SC_LN2), t), vd_load(x + 8 * j)));
    }
}

/* Where the polynomials of 32 p are, and their arguments. */
typedef struct {
    double x[32], fourth[32];
    uint64_t at[32];
} sc_row;

/* A row is found by the exponent of p and its first five bits; the middle of its interval has the same bits, then a
 * one. With two sides, that of q's. Returns whether some p lies below 2^-12, where no row holds: those get the first. */
SC_INLINE int sc_find_rows(const double q[32], int sides, sc_row *row)
{
    const uint64_t lowest = UINT64_C(0x3f30000000000000); /* 2^-12 */
    vd least = vd_set1(0.5);
    SC_FOUR
    {
        vd p = sc_nearer_tail(q + 8 * j);
        vl kept = vl_and(vl_from_bits(p), vl_set1(~((UINT64_C(1) << 47) - 1)));
        vl at = vl_sub(vl_shr(kept, 44), vl_set1(lowest >> 44)); /* times eight */
        if (sides == 2) at = vl_or(vl_add(at, at), vl_and(vl_shr(vl_from_bits(vd_load(q + 8 * j)), 60), vl_set1(8)));
        vd x = vd_sub(p, vd_from_bits(vl_or(kept, vl_set1(UINT64_C(1) << 46)))), square = vd_mul(x, x);
        vl_store(row->at + 8 * j, at);
        vd_store(row->x + 8 * j, x);
        vd_store(row->fourth + 8 * j, vd_mul(square, square));
        least = vd_min(least, p);
    }
    const int beyond = vm_any(vd_lt(least, vd_set1(0x1p-12)));
    for (int i = 0; beyond && i < 32; i++) row->at[i] = row->at[i] >> 63 ? 0 : row->at[i];
    SC_IN_MEMORY(*row);
    return beyond;
}

SC_INLINE vd sc_row_value(const double *table, const sc_row *row, int j)
{
    return vd_row_polynomial(table, row->at + 8 * j, row->x + 8 * j, row->fourth + 8 * j);
}

/* -Phi^-1(p) for p < 2^-12. */
SC_INLINE vd sc_normal_tail(vd p)
{
    vd r = vd_sqrt(vd_mul(vd_set1(-2), sc_log_normal(p)));
    vd above = sc_polynomial(r, sc_tail_p, SC_LENGTH(sc_tail_p));
    vd below = sc_polynomial(r, sc_tail_q, SC_LENGTH(sc_tail_q));
    return vd_sub(r, vd_div(above, below));
}

/* z >= 0 with the sign of q. */
SC_INLINE vd sc_signed(vd z, vd q)
{
    return vd_from_bits(vl_or(vl_from_bits(z), vl_and(vl_from_bits(q), vl_set1(UINT64_C(1) << 63))));
}

/* Phi^-1(1/2 + q): 3.2 ulp or 2^-53, whichever is larger. */
SC_INLINE void sc_normal_quantile(double x[32])
{
    sc_row row;
    double tail[32];
    const int beyond = sc_find_rows(x, 1, &row);
    if (beyond) memcpy(tail, x, sizeof tail);
    SC_FOUR vd_store(x + 8 * j, sc_signed(sc_row_value(sc_normal_rows, &row, j), vd_load(x + 8 * j)));
    for (int j = 0; beyond && j < 32; j += 8) {
        vd q = vd_load(tail + j), p = sc_nearer_tail(tail + j);
        vd_store(x + j, vd_select(vd_lt(p, vd_set1(0x1p-12)), sc_signed(sc_normal_tail(p), q), vd_load(x + j)));
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
SC_INLINE void sc_gumbel_quantile(double x[32])
{
    sc_row row;
    double tail[32];
    const int beyond = sc_find_rows(x, 2, &row);
    if (beyond) memcpy(tail, x, sizeof tail);
    SC_FOUR vd_store(x + 8 * j, sc_row_value(sc_gumbel_rows, &row, j));
    for (int j = 0; beyond && j < 32; j += 8) {
        vd q = vd_load(tail + j), p = sc_nearer_tail(tail + j);
        vd_store(x + j, vd_select(vd_lt(p, vd_set1(0x1p-12)), sc_gumbel_tail(q, p), vd_load(x + j)));
    }
}

/* ---- float32: of 64 words in memory ----------------------------------------------------------------------------- */

/* A word folded about the median: P = (2w + 1) 2^-33 lies t + 1/2 units of 2^-32 from the nearer end. */
SC_INLINE vw sc_tail32(vw word) { return vw_max(word, vw_xor(word, vw_set1(UINT32_MAX))); }

/* The first bit where P < 1/2. */
SC_INLINE vw sc_sign32(vw word) { return vw_and(vw_xor(word, vw_set1(UINT32_MAX)), vw_set1(UINT32_C(0x80000000))); }

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

/* Phi^-1: 2.4 ulp or 2^-32, whichever is larger. m = -1 - t counts from the median at -2^31; a row is found by the
 * first bits of m as a float, which may have been rounded into the next interval, and then by m's exact distance to the
 * end of the interval towards the median. */
SC_INLINE void sc_normal_quantile32(const uint32_t words[64], float out[64])
{
    const uint32_t lowest = UINT32_C(0xc9800000); /* -2^20 as a float; as p, 2^-12 */
    const vw border = vw_set1(0 - (UINT32_C(1) << 20)), median = vw_set1((UINT32_C(1) << 31) + 128);
    uint32_t at[64];
    vw most = vw_set1(UINT32_C(1) << 31);
    vf x[4];
    SC_FOUR
    {
        vw word = vw_load(words + 16 * j), m = vw_min(word, vw_xor(word, vw_set1(UINT32_MAX)));
        vw kept = vw_and(vw_from_bits(vw_to_f32(vw_max(median, m))), vw_set1(~((UINT32_C(1) << 18) - 1)));
        vw end = vf_to_i32(vf_from_bits(vw_add(kept, vw_set1(UINT32_C(1) << 18))));
        vw_store(at + 16 * j, vw_sub(vw_shr(kept, 16), vw_set1(lowest >> 16))); /* times four */
        x[j] = vw_to_f32(vw_sub(m, end));
        most = vw_max(most, m);
    }
    const int beyond = vn_bits(vw_ltu(border, most)) != 0;
    for (int i = 0; beyond && i < 64; i++) at[i] = at[i] >> 31 ? 0 : at[i];
    SC_IN_MEMORY(at);
    SC_FOUR
    {
        vf z = vf_row_cubic(sc_normal32_rows, at + 16 * j, x[j]);
        vf_store(out + 16 * j, sc_signed32(z, sc_sign32(vw_load(words + 16 * j))));
    }
    for (int j = 0; beyond && j < 64; j += 16) {
        vw word = vw_load(words + j), t = sc_tail32(word);
        vf p = vf_fma(vw_to_f32(t), vf_set1(0x1p-32f), vf_set1(0x1p-33f));
        vf r = vf_sqrt(vf_mul(vf_set1(-2), sc_log_normal32(p)));
        vf d = sc_polynomial32(vf_sub(r, vf_set1(5)), sc_tail32_c, SC_LENGTH(sc_tail32_c));
        vf z = sc_signed32(vf_sub(r, d), sc_sign32(word));
        vf_store(out + j, vf_select(vf_lt(p, vf_set1(0x1p-12f)), z, vf_load(out + j)));
    }
}

/* log(P / (1 - P)) = n log 2 + 2 artanh(s), in two steps. */
typedef struct {
    vf n, s;
} sc_logit32;

SC_INLINE sc_logit32 sc_logit32_split(vw word)
{
    const vf one = vf_set1(1);
    sc_folded32 f = sc_fold32(word);
    vw biased;
    sc_split32(vf_fma(vf_add(f.p, f.p), f.p, f.p), &biased);
    vf n = sc_minus_exponent32(biased), c = vf_from_bits(vw_shl(biased, 23));
    vf above = vf_select(vf_lt(n, one), vf_add(f.q, f.q), vf_fma(vf_neg(f.p), vf_add(c, one), c));
    return (sc_logit32){n, vf_div(above, vf_fma(f.p, vf_sub(one, c), c))};
}

SC_INLINE vf sc_logit32_value(sc_logit32 x, vw word)
{
    vf w = vf_mul(x.s, x.s);
    vf t = vf_mul(x.s, vf_fma(w, sc_polynomial32(w, sc_logit32_c, SC_LENGTH(sc_logit32_c)), vf_set1(2)));
    return sc_signed32(vf_fma(x.n, vf_set1(SC_LN2_32), t), sc_sign32(word));
}

/* log(P / (1 - P)): 4 ulp. */
SC_INLINE void sc_logistic_quantile32(const uint32_t words[64], float out[64])
{
    sc_logit32 x[4];
    SC_FOUR x[j] = sc_logit32_split(vw_load(words + 16 * j));
    SC_FOUR vf_store(out + 16 * j, sc_logit32_value(x[j], vw_load(words + 16 * j)));
}

/* -log(1 - P): 1.5 ulp. 1 - P = 2^-n (1 - g), g from p or q where n <= 1; -log(1 - g) = g - g^2 A(-g). */
SC_INLINE void sc_exponential_quantile32(const uint32_t words[64], float out[64])
{
    const vf one = vf_set1(1);
    vf n[4], g[4];
    SC_FOUR
    {
        sc_folded32 f = sc_fold32(vw_load(words + 16 * j));
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
        vf_store(out + 16 * j, vf_fma(n[j], vf_set1(SC_LN2_32), t));
    }
}

/* -log(-log P): 0.6 ulp or 2^-32, whichever is larger. */
SC_INLINE void sc_gumbel_quantile32(const uint32_t words[64], float out[64])
{
    const vd unit = vd_set1(0x1p-32), shift = vd_set1(0x1p-33 - 0.5);
    for (int i = 0; i < 64; i += 32) {
        double x[32];
        for (int j = 0; j < 32; j += 16) {
            vw word = vw_load(words + i + j);
            vd_store(x + j, vd_fma(vw_lo_f64(word), unit, shift));
            vd_store(x + j + 8, vd_fma(vw_hi_f64(word), unit, shift));
        }
        sc_gumbel_quantile(x);
        for (int j = 0; j < 32; j += 16) vf_store(out + i + j, vf_narrow(vd_load(x + j), vd_load(x + j + 8)));
    }
}

#endif
