/* Quantile functions in lanes: every continuous noise is one of them, at the address's integer.
 *
 * float64: of q = (2k + 1 - 2^53) 2^-54, which is P - 1/2 for the probability P = (2k + 1) 2^-54 (both exact); with
 * p = 1/2 - |q| the probability of the nearer tail (exact too, never 0):
 *   normal       Phi^-1(P)           p >= 2^-12: a polynomial of degree 7 in p on each of 352 intervals (normal_rows.h);
 *                                    below: r - A(r)/B(r), r = sqrt(-2 log p)
 *   logistic     log(P / (1 - P))    n log 2 + 2 artanh(s), s = (c(1-p) - p) / (c(1-p) + p), c = 2^-n near p / (1-p)
 *   exponential  -log(1 - P)
 *   gumbel       -log(-log P)        the inner logarithm as a sum of two numbers, since near 1 its rounding would show
 * where -log w = n log 2 + 2 artanh(s), w = 2^-n m, m in [sqrt(1/2), sqrt(2)), g = 1 - m, s = g/(1 + m);
 * 2 artanh(s) = g + s (g + s^2 A(s^2)). Where w > sqrt(1/8), g comes from q itself, without the rounding of w = 1/2 + q.
 *
 * float32: of the high word w of k, P = (2w + 1) 2^-33, folded to m = min(w, ~w) by the caller: the same formulas, with
 * log(1 + f) = f + f^2 A(f) for the logarithm; Gumbel in float64 with a short polynomial, then rounded.
 *
 * Promises. Errors as stated at each function and asserted by tests/test_quantiles.py: within 4 ulp, or 2^-53 (float32:
 * 2^-32) absolute where that is more. Monotone up to that error; normal and logistic exactly antisymmetric in q. No
 * result is infinite; exponentials are positive. The same bits on every instruction set: see functions.h.
 */
#ifndef SC_KERNELS_QUANTILES_H
#define SC_KERNELS_QUANTILES_H

#include "functions.h"
#include "normal_rows.h"

/* ---- from csrc/coefficients.py ---------------------------------------------------------------------------------- */
/* clang-format off */
static const double sc_short_log_c[4] = { /* error 2^-37.61 */
    0x1.555554fdeeaecp-1, 0x1.999a7a04ecbb1p-2, 0x1.2438f5a9bed1cp-2, 0x1.e2f25bb3d7334p-3,
};
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
static const float sc_centre32_p[8] = { /* error 2^-25.06 */
    0x1.447852p+2f, 0x1.5b5ebap+13f, 0x1.c57602p+21f, 0x1.081e1ap+28f,
    0x1.01cb1ep+32f, -0x1.8ebbb2p+30f, -0x1.1cd64ep+36f, -0x1.50b15ap+33f,
};
static const float sc_centre32_q[7] = { /* Q(0) = 1 */
    0x1p+0f, 0x1.73ff6ap+11f, 0x1.46e1b4p+20f, 0x1.18a6c2p+27f,
    0x1.0ba52cp+32f, 0x1.113864p+35f, 0x1.c20178p+35f,
};
static const float sc_tail32_c[8] = { /* error 2^-25.52 */
    0x1.0a142ep-1f, -0x1.130614p-4f, 0x1.49bbd8p-7f, -0x1.a3566ep-10f,
    0x1.118bcep-12f, -0x1.733978p-15f, 0x1.271eecp-17f, -0x1.74101ep-20f,
};
/* clang-format on */

#define SC_LN2 0x1.62e42fefa39efp-1
#define SC_LN2_REST 0x1.abc9e3b39803fp-56 /* log 2 - SC_LN2 */
#define SC_LN2_32 0x1.62e43p-1f

/* Four of everything, step by step: a CPU looks some sixty operations ahead, so the next independent one must be near. */
#define SC_FOUR                                                                                                        \
    SC_UNROLL                                                                                                          \
    for (int j = 0; j < 4; j++)

/* ---- float64 ---------------------------------------------------------------------------------------------------- */

/* g + s (g + w A(w)), s = g/(2 - g), w = s^2: -log(1 - g) for 1 - g in [sqrt(1/2), sqrt(2)). */
SC_INLINE void sc_minus_log_unit(const vd g[4], const double *c, int n, vd out[4])
{
    vd s[4];
    SC_FOUR s[j] = vd_div(g[j], vd_sub(vd_set1(2), g[j]));
    SC_FOUR
    {
        vd w = vd_mul(s[j], s[j]);
        out[j] = vd_fma(s[j], vd_fma(w, sc_polynomial(w, c, n), g[j]), g[j]);
    }
}

/* 1023 - biased, as a number. */
SC_INLINE vd sc_minus_exponent(vl biased)
{
    return vd_sub(vd_set1(0x1p+52 + 1023), vd_from_bits(vl_or(biased, vl_set1(UINT64_C(0x4330000000000000)))));
}

/* For P = 1/2 + q: n and g, where P = 2^-n (1 - g). From n = 2 on P has no rounding. Above, g comes from q where that is
 * asked for: for n = 0, or for n = 0 and 1. */
SC_INLINE vd sc_split_probability(vd q, int exactly, vd *g)
{
    vl biased;
    vd half = vd_set1(0.5), one = vd_set1(1), m = sc_split(vd_add(half, q), &biased), n = sc_minus_exponent(biased);
    *g = vd_sub(one, m);
    if (exactly > 1) *g = vd_select(vd_eq(n, one), vd_mul(q, vd_set1(-2)), *g);
    *g = vd_select(vd_lt(n, one), vd_sub(half, q), *g);
    return n;
}

/* -log(1/2 - q): 3 ulp. */
SC_INLINE void sc_exponential_quantile(vd q[4])
{
    vd n[4], g[4], t[4];
    SC_FOUR n[j] = sc_split_probability(vd_neg(q[j]), 1, &g[j]);
    sc_minus_log_unit(g, sc_log_c, SC_LENGTH(sc_log_c), t);
    SC_FOUR q[j] = vd_fma(n[j], vd_set1(SC_LN2), t[j]);
}

/* -log(-log(1/2 + q)): 3.4 ulp or 2^-53, whichever is larger. */
SC_INLINE void sc_gumbel_quantile(vd q[4])
{
    const vd ln2 = vd_set1(SC_LN2);
    vd n[4], g[4], t[4];
    SC_FOUR n[j] = sc_split_probability(q[j], 2, &g[j]);
    sc_minus_log_unit(g, sc_log_c, SC_LENGTH(sc_log_c), t);
    SC_FOUR
    {
        vl biased;
        vd x = vd_fma(n[j], ln2, t[j]);
        vd rest = vd_fma(n[j], vd_set1(SC_LN2_REST), vd_add(vd_fma(n[j], ln2, vd_neg(x)), t[j])); /* x + rest = -log P */
        vd m = sc_split(x, &biased);
        n[j] = sc_minus_exponent(biased);
        g[j] = vd_sub(vd_sub(vd_set1(1), m), vd_select(vd_eq(n[j], vd_set1(0)), rest, vd_set1(0)));
    }
    sc_minus_log_unit(g, sc_log_c, SC_LENGTH(sc_log_c), t);
    SC_FOUR q[j] = vd_fma(n[j], ln2, t[j]);
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

/* -Phi^-1(p) for p < 2^-12. */
SC_INLINE vd sc_normal_tail(vd p)
{
    vd r = vd_sqrt(vd_mul(vd_set1(-2), sc_log_normal(p)));
    vd above = sc_polynomial(r, sc_tail_p, SC_LENGTH(sc_tail_p));
    vd below = sc_polynomial(r, sc_tail_q, SC_LENGTH(sc_tail_q));
    return vd_sub(r, vd_div(above, below));
}

/* Phi^-1(1/2 + q): 3.2 ulp or 2^-53, whichever is larger. The row is the exponent of p and its first five bits; the
 * middle of the interval has the same bits, then a one. */
SC_INLINE void sc_normal_quantile(vd q[4])
{
    const uint64_t lowest = UINT64_C(0x3f30000000000000); /* 2^-12 */
    const vd border = vd_set1(0x1p-12);
    vd p[4], x[4], z[4];
    vl at[4];
    vm tails = vd_lt(border, vd_set1(0));
    SC_FOUR
    {
        p[j] = vd_sub(vd_set1(0.5), vd_abs(q[j]));
        vd inner = vd_max(border, p[j]);
        vl bits = vl_from_bits(inner), kept = vl_and(bits, vl_set1(~((UINT64_C(1) << 47) - 1)));
        at[j] = vl_sub(vl_shr(kept, 44), vl_set1(lowest >> 44));
        x[j] = vd_sub(inner, vd_from_bits(vl_or(kept, vl_set1(UINT64_C(1) << 46))));
        tails = vm_or(tails, vd_lt(p[j], border));
    }
    SC_FOUR z[j] = vd_row_polynomial(sc_normal_rows + 2, at[j], x[j]);
    if (vm_any(tails))
        for (int j = 0; j < 4; j++) {
            vm tail = vd_lt(p[j], border);
            if (vm_any(tail)) z[j] = vd_select(tail, sc_normal_tail(p[j]), z[j]);
        }
    SC_FOUR q[j] = vd_copysign(z[j], q[j]);
}

/* ---- float32 ---------------------------------------------------------------------------------------------------- */

/* A word folded about the median: q = |P - 1/2| and p = 1/2 - q, each rounded once, and the word's first bit where
 * P < 1/2. */
typedef struct {
    vf q, p;
    vw below;
} sc_folded32;

SC_INLINE sc_folded32 sc_fold32(vw word)
{
    vf unit = vf_set1(0x1p-32f), half = vf_set1(0x1p-33f);
    vw centred = vw_xor(word, vw_set1(UINT32_C(0x80000000))); /* as a signed number: word - 2^31 */
    vw m = vw_xor(centred, vw_sra(centred, 31));              /* m and -1 - m have the same size */
    vw rest = vw_sub(vw_set1(UINT32_C(0x7fffffff)), m);
    return (sc_folded32){vf_fma(vw_to_f32(m), unit, half), vf_fma(vw_to_f32(rest), unit, half),
                         vw_and(centred, vw_set1(UINT32_C(0x80000000)))};
}

/* `size` with a minus below the median. */
SC_INLINE vf sc_signed32(vf size, vw below) { return vf_from_bits(vw_or(vw_from_bits(size), below)); }

/* 127 - biased, as a number. */
SC_INLINE vf sc_minus_exponent32(vw biased) { return vw_to_f32(vw_sub(vw_set1(127), biased)); }

/* Phi^-1: 3.3 ulp or 2^-32, whichever is larger. */
SC_INLINE void sc_normal_quantile32(const vw word[4], vf z[4])
{
    const vf border = vf_set1(0x1p-9f);
    sc_folded32 f[4];
    vf ratio[4];
    vn tails = vf_lt(border, vf_set1(0));
    SC_FOUR
    {
        f[j] = sc_fold32(word[j]);
        vf u = vf_fma(vf_neg(f[j].p), f[j].p, f[j].p);
        vf above = sc_polynomial32(u, sc_centre32_p, SC_LENGTH(sc_centre32_p));
        vf below = sc_polynomial32(u, sc_centre32_q, SC_LENGTH(sc_centre32_q));
        ratio[j] = vf_div(above, below);
        tails = vn_or(tails, vf_lt(f[j].p, border));
    }
    SC_FOUR z[j] = vf_fma(f[j].q, ratio[j], vf_mul(f[j].q, vf_set1(2.5f)));
    if (vn_bits(tails))
        for (int j = 0; j < 4; j++) {
            vn tail = vf_lt(f[j].p, border);
            if (!vn_bits(tail)) continue;
            vf r = vf_sqrt(vf_mul(vf_set1(-2), sc_log_normal32(f[j].p)));
            vf d = sc_polynomial32(vf_sub(r, vf_set1(5)), sc_tail32_c, SC_LENGTH(sc_tail32_c));
            z[j] = vf_select(tail, vf_sub(r, d), z[j]);
        }
    SC_FOUR z[j] = sc_signed32(z[j], f[j].below);
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

/* -log(1 - P): 1.5 ulp. g as in sc_split_probability; -log(1 - g) = g - g^2 A(-g). */
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

/* sc_gumbel_quantile to 37 bits. */
SC_INLINE void sc_gumbel_short(vd q[4])
{
    const vd ln2 = vd_set1(SC_LN2);
    vd n[4], g[4], t[4];
    SC_FOUR n[j] = sc_split_probability(q[j], 1, &g[j]);
    sc_minus_log_unit(g, sc_short_log_c, SC_LENGTH(sc_short_log_c), t);
    SC_FOUR
    {
        vl biased;
        g[j] = vd_sub(vd_set1(1), sc_split(vd_fma(n[j], ln2, t[j]), &biased));
        n[j] = sc_minus_exponent(biased);
    }
    sc_minus_log_unit(g, sc_short_log_c, SC_LENGTH(sc_short_log_c), t);
    SC_FOUR q[j] = vd_fma(n[j], ln2, t[j]);
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
        sc_gumbel_short(q);
        z[i] = vf_narrow(q[0], q[1]);
        z[i + 1] = vf_narrow(q[2], q[3]);
    }
}

#endif
