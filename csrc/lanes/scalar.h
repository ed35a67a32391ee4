/* The vocabulary of lanes, in plain C: the meaning that every other instruction set has to meet bit for bit.
 *
 * A kernel is written once in these words and compiled once per instruction set (see kernels.c). The widths are
 * fixed and virtual, so that the order of every sum is the same whatever the registers are:
 *
 *   vd   8 x float64        vm   a truth value for each lane of vd and vl
 *   vl   8 x uint64
 *   vf  16 x float32        vn   a truth value for each lane of vf and vw
 *   vw  16 x uint32         (a vw is also 4 groups of 4 words: 4 counter blocks)
 *                           vb   32 truth values
 *
 * Promises: IEEE 754 binary operations, round to nearest even; fma is one correctly rounded operation; no operation
 * depends on another lane unless its name says so; integers wrap; loads and stores need no alignment.
 * Comparisons with NaN are false. vd_max(a, b) is a > b ? a : b in each lane, vd_min a < b ? a : b (so b where either
 * is NaN).
 */
#ifndef SC_LANES_SCALAR_H
#define SC_LANES_SCALAR_H

#include "stochcore.h"
#include <math.h>
#include <string.h>

typedef struct {
    double v[8];
} vd;
typedef struct {
    uint64_t v[8];
} vl;
typedef struct {
    float v[16];
} vf;
typedef struct {
    uint32_t v[16];
} vw;
typedef struct {
    uint8_t v[8];
} vm;
typedef struct {
    uint8_t v[16];
} vn;
typedef struct {
    uint8_t v[32];
} vb;

#define SC_LANES_EACH(type, width, expression)                                                                         \
    type r;                                                                                                            \
    for (int i = 0; i < (width); i++) r.v[i] = (expression);                                                           \
    return r

/* ---- float64 ---------------------------------------------------------------------------------------------------- */
static inline vd vd_set1(double x) { SC_LANES_EACH(vd, 8, x); }
static inline vd vd_load(const double *p) { SC_LANES_EACH(vd, 8, p[i]); }
static inline void vd_store(double *p, vd a) { memcpy(p, a.v, sizeof a.v); }
static inline vd vd_add(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] + b.v[i]); }
static inline vd vd_sub(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] - b.v[i]); }
static inline vd vd_mul(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] * b.v[i]); }
static inline vd vd_div(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] / b.v[i]); }
static inline vd vd_fma(vd a, vd b, vd c) { SC_LANES_EACH(vd, 8, fma(a.v[i], b.v[i], c.v[i])); } /* a*b + c */
static inline vd vd_sqrt(vd a) { SC_LANES_EACH(vd, 8, sqrt(a.v[i])); }
static inline vd vd_abs(vd a) { SC_LANES_EACH(vd, 8, fabs(a.v[i])); }
static inline vd vd_neg(vd a) { SC_LANES_EACH(vd, 8, -a.v[i]); }
static inline vd vd_max(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
static inline vd vd_min(vd a, vd b) { SC_LANES_EACH(vd, 8, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
static inline vd vd_copysign(vd a, vd b) { SC_LANES_EACH(vd, 8, copysign(a.v[i], b.v[i])); } /* size of a, sign of b */
static inline vm vd_lt(vd a, vd b) { SC_LANES_EACH(vm, 8, a.v[i] < b.v[i]); }
static inline vm vd_le(vd a, vd b) { SC_LANES_EACH(vm, 8, a.v[i] <= b.v[i]); }
static inline vm vd_eq(vd a, vd b) { SC_LANES_EACH(vm, 8, a.v[i] == b.v[i]); }
static inline vd vd_select(vm m, vd a, vd b) { SC_LANES_EACH(vd, 8, m.v[i] ? a.v[i] : b.v[i]); }
static inline vd vd_load_u8(const uint8_t *p) { SC_LANES_EACH(vd, 8, (double)p[i]); } /* 8 bytes as numbers */
static inline vd vd_load_i32(const int32_t *p) { SC_LANES_EACH(vd, 8, (double)p[i]); }
static inline vd vd_load_f32(const float *p) { SC_LANES_EACH(vd, 8, (double)p[i]); }
static inline int vm_any(vm m)
{
    int any = 0;
    for (int i = 0; i < 8; i++) any |= m.v[i];
    return any;
}
static inline vm vm_and(vm a, vm b) { SC_LANES_EACH(vm, 8, (uint8_t)(a.v[i] & b.v[i])); }
static inline vm vm_or(vm a, vm b) { SC_LANES_EACH(vm, 8, (uint8_t)(a.v[i] | b.v[i])); }

/* ---- uint64 ----------------------------------------------------------------------------------------------------- */
static inline vl vl_set1(uint64_t x) { SC_LANES_EACH(vl, 8, x); }
static inline vl vl_load(const uint64_t *p) { SC_LANES_EACH(vl, 8, p[i]); }
static inline void vl_store(uint64_t *p, vl a) { memcpy(p, a.v, sizeof a.v); }
static inline vl vl_load_bytes(const uint8_t *p) /* 64 of them, eight in a lane, the first one lowest */
{
    vl r;
    for (int i = 0; i < 8; i++) {
        r.v[i] = 0;
        for (int k = 0; k < 8; k++) r.v[i] |= (uint64_t)p[8 * i + k] << 8 * k;
    }
    return r;
}
static inline void vl_store_bytes(uint8_t *p, vl a)
{
    for (int i = 0; i < 64; i++) p[i] = (uint8_t)(a.v[i / 8] >> 8 * (i % 8));
}
static inline void vl_store_halves(uint8_t *low, uint8_t *high, vl a) /* the 32 bytes of lanes 0..3, and of 4..7 */
{
    for (int i = 0; i < 64; i++) (i < 32 ? low : high)[i % 32] = (uint8_t)(a.v[i / 8] >> 8 * (i % 8));
}
static inline void vl_transpose_bytes(vl x[8]) /* in each lane, byte k of row r becomes byte r of row k */
{
    vl turned[8];
    for (int k = 0; k < 8; k++)
        for (int i = 0; i < 8; i++) {
            turned[k].v[i] = 0;
            for (int r = 0; r < 8; r++) turned[k].v[i] |= (x[r].v[i] >> 8 * k & 255) << 8 * r;
        }
    memcpy(x, turned, sizeof turned);
}
static inline vl vl_add(vl a, vl b) { SC_LANES_EACH(vl, 8, a.v[i] + b.v[i]); }
static inline vl vl_sub(vl a, vl b) { SC_LANES_EACH(vl, 8, a.v[i] - b.v[i]); }
static inline vl vl_and(vl a, vl b) { SC_LANES_EACH(vl, 8, a.v[i] & b.v[i]); }
static inline vl vl_or(vl a, vl b) { SC_LANES_EACH(vl, 8, a.v[i] | b.v[i]); }
static inline vl vl_xor(vl a, vl b) { SC_LANES_EACH(vl, 8, a.v[i] ^ b.v[i]); }
#define vl_shl(a, n) vl_shl_(a, n) /* n is a constant, 0..63 */
#define vl_shr(a, n) vl_shr_(a, n)
static inline vl vl_shl_(vl a, int n) { SC_LANES_EACH(vl, 8, a.v[i] << n); }
static inline vl vl_shr_(vl a, int n) { SC_LANES_EACH(vl, 8, a.v[i] >> n); }
static inline vl vl_from_bits(vd a)
{
    vl r;
    memcpy(&r, &a, sizeof r);
    return r;
} /* the same 64 bits */
static inline vd vd_from_bits(vl a)
{
    vd r;
    memcpy(&r, &a, sizeof r);
    return r;
}

/* ---- float32 ---------------------------------------------------------------------------------------------------- */
static inline vf vf_set1(float x) { SC_LANES_EACH(vf, 16, x); }
static inline vf vf_load(const float *p) { SC_LANES_EACH(vf, 16, p[i]); }
static inline void vf_store(float *p, vf a) { memcpy(p, a.v, sizeof a.v); }
static inline vf vf_add(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] + b.v[i]); }
static inline vf vf_sub(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] - b.v[i]); }
static inline vf vf_mul(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] * b.v[i]); }
static inline vf vf_div(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] / b.v[i]); }
static inline vf vf_fma(vf a, vf b, vf c) { SC_LANES_EACH(vf, 16, fmaf(a.v[i], b.v[i], c.v[i])); }
static inline vf vf_sqrt(vf a) { SC_LANES_EACH(vf, 16, sqrtf(a.v[i])); }
static inline vf vf_abs(vf a) { SC_LANES_EACH(vf, 16, fabsf(a.v[i])); }
static inline vf vf_neg(vf a) { SC_LANES_EACH(vf, 16, -a.v[i]); }
static inline vf vf_max(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
static inline vf vf_min(vf a, vf b) { SC_LANES_EACH(vf, 16, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
static inline vf vf_copysign(vf a, vf b) { SC_LANES_EACH(vf, 16, copysignf(a.v[i], b.v[i])); }
static inline vn vf_lt(vf a, vf b) { SC_LANES_EACH(vn, 16, a.v[i] < b.v[i]); }
static inline vn vf_le(vf a, vf b) { SC_LANES_EACH(vn, 16, a.v[i] <= b.v[i]); }
static inline vn vf_eq(vf a, vf b) { SC_LANES_EACH(vn, 16, a.v[i] == b.v[i]); }
static inline vf vf_select(vn m, vf a, vf b) { SC_LANES_EACH(vf, 16, m.v[i] ? a.v[i] : b.v[i]); }
static inline vf vf_load_u8(const uint8_t *p) { SC_LANES_EACH(vf, 16, (float)p[i]); } /* 16 bytes as numbers */
static inline vd vf_lo_f64(vf a) { SC_LANES_EACH(vd, 8, (double)a.v[i]); } /* lanes 0..7, widened */
static inline vd vf_hi_f64(vf a) { SC_LANES_EACH(vd, 8, (double)a.v[i + 8]); } /* lanes 8..15, widened */
static inline vf vf_narrow(vd a, vd b) { SC_LANES_EACH(vf, 16, (float)(i < 8 ? a : b).v[i % 8]); } /* rounded */
static inline vf vf_from_bits(vw a)
{
    vf r;
    memcpy(&r, &a, sizeof r);
    return r;
}
static inline vw vw_from_bits(vf a)
{
    vw r;
    memcpy(&r, &a, sizeof r);
    return r;
}

/* ---- uint32 ----------------------------------------------------------------------------------------------------- */
static inline vw vw_set1(uint32_t x) { SC_LANES_EACH(vw, 16, x); }
static inline vw vw_load(const uint32_t *p) { SC_LANES_EACH(vw, 16, p[i]); }
static inline void vw_store(uint32_t *p, vw a) { memcpy(p, a.v, sizeof a.v); }
static inline vw vw_add(vw a, vw b) { SC_LANES_EACH(vw, 16, a.v[i] + b.v[i]); }
static inline vw vw_sub(vw a, vw b) { SC_LANES_EACH(vw, 16, a.v[i] - b.v[i]); }
static inline vw vw_and(vw a, vw b) { SC_LANES_EACH(vw, 16, a.v[i] & b.v[i]); }
static inline vw vw_or(vw a, vw b) { SC_LANES_EACH(vw, 16, a.v[i] | b.v[i]); }
static inline vw vw_xor(vw a, vw b) { SC_LANES_EACH(vw, 16, a.v[i] ^ b.v[i]); }
#define vw_shl(a, n) vw_shl_(a, n) /* n is a constant, 0..31 */
#define vw_shr(a, n) vw_shr_(a, n)
static inline vw vw_shl_(vw a, int n) { SC_LANES_EACH(vw, 16, a.v[i] << n); }
static inline vw vw_shr_(vw a, int n) { SC_LANES_EACH(vw, 16, a.v[i] >> n); }
static inline vw vw_min(vw a, vw b)
{
    SC_LANES_EACH(vw, 16, (int32_t)a.v[i] < (int32_t)b.v[i] ? a.v[i] : b.v[i]);
} /* signed */
static inline vw vw_max(vw a, vw b)
{
    SC_LANES_EACH(vw, 16, (int32_t)a.v[i] > (int32_t)b.v[i] ? a.v[i] : b.v[i]);
} /* signed */
static inline vn vw_ltu(vw a, vw b) { SC_LANES_EACH(vn, 16, a.v[i] < b.v[i]); } /* unsigned */
static inline vn vw_eq(vw a, vw b) { SC_LANES_EACH(vn, 16, a.v[i] == b.v[i]); }
static inline vw vw_select(vn m, vw a, vw b) { SC_LANES_EACH(vw, 16, m.v[i] ? a.v[i] : b.v[i]); }
static inline vf vw_to_f32(vw a) { SC_LANES_EACH(vf, 16, (float)(int32_t)a.v[i]); } /* signed, rounded to nearest */
static inline vw vf_to_i32(vf a) { SC_LANES_EACH(vw, 16, (uint32_t)(int32_t)a.v[i]); } /* of whole -2^31 .. 2^31 - 1 */
static inline vd vw_lo_f64(vw a) { SC_LANES_EACH(vd, 8, (double)a.v[i]); } /* unsigned lanes 0..7, exact */
static inline vd vw_hi_f64(vw a) { SC_LANES_EACH(vd, 8, (double)a.v[i + 8]); } /* unsigned lanes 8..15, exact */
static inline vl vw_lo_u64(vw a) { SC_LANES_EACH(vl, 8, (uint64_t)a.v[i]); }
static inline vl vw_hi_u64(vw a) { SC_LANES_EACH(vl, 8, (uint64_t)a.v[i + 8]); }
static inline vn vn_and(vn a, vn b) { SC_LANES_EACH(vn, 16, (uint8_t)(a.v[i] & b.v[i])); }
static inline vn vn_or(vn a, vn b) { SC_LANES_EACH(vn, 16, (uint8_t)(a.v[i] | b.v[i])); }
static inline uint32_t vn_bits(vn m) /* bit i is lane i */
{
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(m.v[i] != 0) << i;
    return bits;
}
static inline void vn_store_u8(uint8_t *p, vn m) /* 16 bytes, each 0 or 1 */
{
    for (int i = 0; i < 16; i++) p[i] = m.v[i] != 0;
}

static inline void vw_store_u8(uint8_t *p, vw a) /* 16 bytes; lanes below 256 */
{
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)a.v[i];
}
/* For 32 lanes, r[0] and r[1], the sum over n bytes each, x[i + k stride], of what stands in two tables of 16 numbers
 * at the byte's low and at its high four bits: the tables 2k and 2k + 1 begin at t + step (2k) and t + step (2k + 1);
 * number b of a table is t[b] + 2^6 t[16 + b] + 2^12 t[32 + b], of bytes below 64. n is even, at most 512. */
static inline void vw_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step,
                              vw r[2])
{
    for (int i = 0; i < 32; i++) {
        const uint8_t *own = t;
        uint32_t sum = 0;
        for (ptrdiff_t k = 0; k < n; k++, own += 2 * step) {
            const uint8_t *low = own + (x[k * stride + i] & 15), *high = own + step + (x[k * stride + i] >> 4);
            sum += (uint32_t)low[0] + (uint32_t)high[0] + ((uint32_t)low[16] + high[16]) * 64 +
                   ((uint32_t)low[32] + high[32]) * 4096;
        }
        r[i / 16].v[i % 16] = sum;
    }
}

/* ---- 32 truth values --------------------------------------------------------------------------------------------- */
static inline vb vb_none(void) { SC_LANES_EACH(vb, 32, 0); }
static inline vb vb_or(vb a, vb b) { SC_LANES_EACH(vb, 32, a.v[i] | b.v[i]); }
static inline vb vb_load_u8(const uint8_t *p) { SC_LANES_EACH(vb, 32, p[i]); } /* of 32 bytes, each 0 or 1 */
static inline void vb_store_u8(uint8_t *p, vb m) { memcpy(p, m.v, sizeof m.v); }
static inline uint32_t vb_bits(vb m)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++) r |= (uint32_t)m.v[i] << i;
    return r;
}
/* 32 words dealt out as sc_deal does (noise.h): their first 16 bits as signed numbers, in order */
#define SC_FIRST16(i) ((int16_t)(((i) & 8 ? b : a).v[((i) & 4) * 2 + (i) / 16 * 4 + (i) % 4] >> 16))
static inline void vw_compare16(vw a, vw b, const int16_t *t, vb *less, vb *tied) /* beside t */
{
    for (int i = 0; i < 32; i++) {
        const int first = SC_FIRST16(i);
        less->v[i] = first < t[i], tied->v[i] = first == t[i];
    }
}
/* beside n rows of t: how many of them each one is above; which are equal to one */
static inline void vw_count16(vw a, vw b, const int16_t *t, ptrdiff_t n, ptrdiff_t stride, int32_t *count, vb *tied)
{
    int16_t first[32];
    uint8_t equal[32] = {0};
    for (int i = 0; i < 32; i++) first[i] = SC_FIRST16(i), count[i] = 0;
    for (; n > 0; n--, t += stride)
        for (int i = 0; i < 32; i++) count[i] += first[i] > t[i], equal[i] |= first[i] == t[i];
    for (int i = 0; i < 32; i++) tied->v[i] = equal[i];
}

/* ---- words in groups: what the counter-based engines are made of ------------------------------------------------- */
static inline vw vw_group(uint32_t a, uint32_t b, uint32_t c, uint32_t d) /* a b c d, four times */
{
    uint32_t g[4] = {a, b, c, d};
    SC_LANES_EACH(vw, 16, g[i & 3]);
}
static inline vw vw_mul_even(vw a, vw b) /* words 2i, 2i+1 become the low and high half of a[2i] * b[2i] */
{
    vw r;
    for (int i = 0; i < 16; i += 2) {
        uint64_t product = (uint64_t)a.v[i] * b.v[i];
        r.v[i] = (uint32_t)product;
        r.v[i + 1] = (uint32_t)(product >> 32);
    }
    return r;
}
static inline vw vw_reverse4(vw a) { SC_LANES_EACH(vw, 16, a.v[i ^ 3]); } /* each group of four, back to front */
static inline vw vw_odd_to_even(vw a) { SC_LANES_EACH(vw, 16, i & 1 ? 0 : a.v[i + 1]); } /* pairs (x, y) to (y, 0) */
static inline vw vw_count(uint64_t block, uint32_t c2, uint32_t c3) /* counters block, +1, +2, +3: lo, hi, c2, c3 */
{
    vw r;
    for (uint64_t i = 0; i < 4; i++) {
        r.v[4 * i] = (uint32_t)(block + i);
        r.v[4 * i + 1] = (uint32_t)((block + i) >> 32);
        r.v[4 * i + 2] = c2;
        r.v[4 * i + 3] = c3;
    }
    return r;
}

/* Counters and round keys: each pair of words (low, high) as a 64-bit number. */
static inline vw vw_add64(vw a, vw b)
{
    vw r;
    for (int i = 0; i < 16; i += 2) {
        uint64_t sum = ((uint64_t)a.v[i + 1] << 32 | a.v[i]) + ((uint64_t)b.v[i + 1] << 32 | b.v[i]);
        r.v[i] = (uint32_t)sum;
        r.v[i + 1] = (uint32_t)(sum >> 32);
    }
    return r;
}
/* One round of AES on each group of four words (sc_aes_round in stochcore.h), and the last round. */
static inline vw vw_aes(vw a, vw key)
{
    for (int i = 0; i < 16; i += 4) sc_aes_round(a.v + i, key.v + i, 0);
    return a;
}
static inline vw vw_aes_last(vw a, vw key)
{
    for (int i = 0; i < 16; i += 4) sc_aes_round(a.v + i, key.v + i, 1);
    return a;
}

/* ---- two words for each lane: lanes 0..7 go to r[0], 8..15 to r[1] ----------------------------------------------- */
static inline void vw_zip(vw low, vw high, vl r[2]) /* high << 32 | low */
{
    for (int i = 0; i < 16; i++) r[i / 8].v[i % 8] = (uint64_t)high.v[i] << 32 | low.v[i];
}
static inline void vw_u53(vw low, vw high, vd r[2]) /* k 2^-53 for k = high << 21 | low >> 11: exactly */
{
    for (int i = 0; i < 16; i++) {
        uint64_t k = (uint64_t)high.v[i] << 21 | low.v[i] >> 11;
        r[i / 8].v[i % 8] = (double)k * 0x1p-53;
    }
}
static inline void vw_q53(vw low, vw high, vd r[2]) /* (2k + 1 - 2^53) 2^-54 for the same k: exactly */
{
    for (int i = 0; i < 16; i++) {
        uint64_t k = (uint64_t)high.v[i] << 21 | low.v[i] >> 11;
        r[i / 8].v[i % 8] = (double)((int64_t)(2 * k + 1) - (INT64_C(1) << 53)) * 0x1p-54;
    }
}

/* ---- a row of coefficients for each lane: c = table + at[i], at[i] a multiple of the row's length ---------------- */
/* Degree 7, table aligned to 64 bytes, fourth[i] = x[i]^4: the terms j and j + 4 first, then pairs. */
static inline vd vd_row_polynomial(const double *table, const uint64_t at[8], const double x[8], const double fourth[8])
{
    vd r;
    for (int i = 0; i < 8; i++) {
        const double *c = table + at[i], y = x[i], f = fourth[i];
        double low = fma(fma(c[5], f, c[1]), y, fma(c[4], f, c[0])),
               high = fma(fma(c[7], f, c[3]), y, fma(c[6], f, c[2]));
        r.v[i] = fma(high, y * y, low);
    }
    return r;
}
static inline vf vf_row_cubic(const float *table, const uint32_t at[16], vf x) /* by Horner's rule */
{
    for (int i = 0; i < 16; i++) {
        const float *c = table + at[i], y = x.v[i];
        x.v[i] = fmaf(fmaf(fmaf(c[3], y, c[2]), y, c[1]), y, c[0]);
    }
    return x;
}

#endif
