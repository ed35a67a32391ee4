/* noise: words and variates of addressed elements.
 *
 * Computes, for the elements first .. first + n of a stream (stochcore.h has the address layout):
 *   words      the 32-bit words of one plane
 *   k53        k = word0 << 21 | word1 >> 11, as uint64
 *   uniform64  k 2^-53, exactly            uniform32  (word0 >> 8) 2^-24, exactly
 *   normal64   Phi^-1((2k + 1) 2^-54)      normal32   Phi^-1((2 word0 + 1) 2^-33)
 * The quantile functions are folded about the median: q = (2k + 1) 2^-54 - 1/2 is exact in float64, never 0, and
 * changes sign under k -> 2^53 - 1 - k, so normal noise is exactly antithetic.
 *
 * One vw holds four counter blocks side by side, words 0..3 of a block next to each other, in the order of the
 * elements: nothing is transposed. A Philox round on it is one multiplication, one shuffle, one shift, two xors:
 * (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)).
 * Four vw are in flight to hide the multiplier's latency: 64 words of one plane, or 32 elements of both.
 *
 * Promises: element e has the same bits whatever `first` and n are; work is done in whole groups, so the head (up to
 * the next multiple of four) and the tail go through a buffer.
 */
#ifndef SC_KERNELS_NOISE_H
#define SC_KERNELS_NOISE_H

#include "../core.h"
#include "functions.h"

enum { SC_GROUP = 32 }; /* elements that the variate kernels make at a time */

/* Ten rounds on n vw of counters, in place. */
#define SC_PHILOX(x, n, s)                                                                                             \
    do {                                                                                                               \
        uint32_t k0 = (uint32_t)(s)->seed, k1 = (uint32_t)((s)->seed >> 32);                                           \
        const vw m = vw_group(UINT32_C(0xD2511F53), 0, UINT32_C(0xCD9E8D57), 0);                                       \
        for (int round = 0; round < 10; round++) {                                                                     \
            const vw key = vw_group(k0, 0, k1, 0);                                                                     \
            for (int j = 0; j < (n); j++)                                                                              \
                (x)[j] = vw_xor(vw_xor(vw_reverse4(vw_mul_even((x)[j], m)), vw_odd_to_even((x)[j])), key);             \
            k0 += UINT32_C(0x9E3779B9);                                                                                \
            k1 += UINT32_C(0xBB67AE85);                                                                                \
        }                                                                                                              \
    } while (0)

/* Plane p of 64 elements from block on. */
static inline void sc_words64(const sc_stream *s, uint64_t block, uint32_t plane, vw x[4])
{
    const uint32_t c3 = sc_counter3(s->purpose, 0, plane);
    for (uint64_t j = 0; j < 4; j++) x[j] = vw_count(block + 4 * j, s->stream, c3);
    SC_PHILOX(x, 4, s);
}

/* Both planes of 32 elements: x[0], x[1] the high words, x[2], x[3] the low ones. */
static inline void sc_words32(const sc_stream *s, uint64_t block, vw x[4])
{
    for (uint32_t j = 0; j < 4; j++)
        x[j] = vw_count(block + 4 * (j & 1), s->stream, sc_counter3(s->purpose, 0, j >> 1));
    SC_PHILOX(x, 4, s);
}

/* u = hi 2^-32 + (lo >> 11) 2^-53: both terms and their sum are exact. */
static inline vd sc_u53(vd high, vd low21) { return vd_fma(low21, vd_set1(0x1p-53), vd_mul(high, vd_set1(0x1p-32))); }

static inline void sc_group_uniform64(const sc_stream *s, uint64_t block, double *out)
{
    vw x[4];
    sc_words32(s, block, x);
    for (int j = 0; j < 2; j++) {
        vw low = vw_shr(x[j + 2], 11);
        vd_store(out + 16 * j, sc_u53(vw_lo_f64(x[j]), vw_lo_f64(low)));
        vd_store(out + 16 * j + 8, sc_u53(vw_hi_f64(x[j]), vw_hi_f64(low)));
    }
}

static inline void sc_group_normal64(const sc_stream *s, uint64_t block, double *out)
{
    sc_group_uniform64(s, block, out);
    for (int j = 0; j < SC_GROUP; j += 8) {
        vd q = vd_add(vd_sub(vd_load(out + j), vd_set1(0.5)), vd_set1(0x1p-54)); /* exact: (2k + 1 - 2^53) 2^-54 */
        vd_store(out + j, sc_normal_quantile(q));
    }
}

static inline void sc_group_k53(const sc_stream *s, uint64_t block, uint64_t *out)
{
    vw x[4];
    sc_words32(s, block, x);
    for (int j = 0; j < 2; j++) {
        vw low = vw_shr(x[j + 2], 11);
        vl_store(out + 16 * j, vl_or(vl_shl(vw_lo_u64(x[j]), 21), vw_lo_u64(low)));
        vl_store(out + 16 * j + 8, vl_or(vl_shl(vw_hi_u64(x[j]), 21), vw_hi_u64(low)));
    }
}

static inline void sc_group_words(const sc_stream *s, uint64_t block, uint32_t *out)
{
    vw x[4];
    sc_words64(s, block, 0, x);
    for (int j = 0; j < 4; j++) vw_store(out + 16 * j, x[j]);
}

static inline void sc_group_uniform32(const sc_stream *s, uint64_t block, float *out)
{
    vw x[4];
    sc_words64(s, block, 0, x);
    for (int j = 0; j < 4; j++) vf_store(out + 16 * j, vf_mul(vw_to_f32(vw_shr(x[j], 8)), vf_set1(0x1p-24f)));
}

static inline void sc_group_normal32(const sc_stream *s, uint64_t block, float *out)
{
    vw x[4];
    sc_words64(s, block, 0, x);
    for (int j = 0; j < 4; j++) {
        vw centred = vw_xor(x[j], vw_set1(UINT32_C(0x80000000))); /* as a signed number: word - 2^31 */
        vw fold = vw_xor(centred, vw_sra(centred, 31));           /* m and -1 - m have the same size */
        vw sign = vw_and(centred, vw_set1(UINT32_C(0x80000000)));
        vf_store(out + 16 * j, vf_from_bits(vw_or(vw_from_bits(sc_normal_quantile32(fold)), sign)));
    }
}

/* first .. first + n, counted from the stream's offset. */
#define SC_FILL(kind, type, group)                                                                                     \
    static void sc_fill_##kind(const sc_stream *s, uint64_t first, ptrdiff_t n, type *out)                             \
    {                                                                                                                  \
        uint64_t e = s->offset + first;                                                                                \
        type buffer[group];                                                                                            \
        if (e & 3 && n > 0) {                                                                                          \
            ptrdiff_t skip = (ptrdiff_t)(e & 3), head = SC_MIN(4 - skip, n);                                           \
            sc_group_##kind(s, e >> 2, buffer);                                                                        \
            memcpy(out, buffer + skip, (size_t)head * sizeof(type));                                                   \
            e += (uint64_t)head, out += head, n -= head;                                                               \
        }                                                                                                              \
        for (; n >= (group); e += (group), out += (group), n -= (group)) sc_group_##kind(s, e >> 2, out);              \
        if (n > 0) {                                                                                                   \
            sc_group_##kind(s, e >> 2, buffer);                                                                        \
            memcpy(out, buffer, (size_t)n * sizeof(type));                                                             \
        }                                                                                                              \
    }

SC_FILL(words, uint32_t, 64)
SC_FILL(k53, uint64_t, SC_GROUP)
SC_FILL(uniform64, double, SC_GROUP)
SC_FILL(uniform32, float, 64)
SC_FILL(normal64, double, SC_GROUP)
SC_FILL(normal32, float, 64)

#endif
