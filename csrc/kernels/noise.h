/* noise: bits and variates of addressed elements.
 *
 * Computes, for the elements first .. first + n of a stream (stochcore.h has the address layout and the engines):
 *   bits32     the word of plane 0              bits64     the words of both planes, plane 0 above
 *   k53        k = bits64 >> 11
 *   uniform64  k 2^-53, exactly                 uniform32  (bits32 >> 8) 2^-24, exactly
 *   normal, logistic, exponential, gumbel       quantile functions of k, or of bits32 (quantiles.h)
 *   mask       1 iff k < threshold
 *   integers   low + floor(range x / 2^b), x of b = 32 bits (range <= 2^32) or 64, drawn again where it is one of the
 *              2^b mod range values too many: Lemire, "Fast random integer generation in an interval", TOMACS 29 (2019)
 *
 * One vw holds four counter blocks side by side, words 0..3 of a block next to each other, in the order of the
 * elements: nothing is transposed, and a round of either engine is made on four blocks at a time. A Philox round is one
 * multiplication, one shuffle, one shift, two xors:
 *   (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0));
 * a round of ARS is one of AES. Four vw are in flight to hide latencies: 64 words of one plane, or 32 elements of both.
 *
 * Promises: element e has the same bits whatever `first` and n are; work is done in whole groups, so the head (up to
 * the next multiple of four) and the tail go through a buffer.
 */
#ifndef SC_KERNELS_NOISE_H
#define SC_KERNELS_NOISE_H

#include "../core.h"
#include "quantiles.h"

/* ---- engines ---------------------------------------------------------------------------------------------------- */

/* What does not change along a stream. */
typedef struct {
    int ars; /* rounds of ARS; 0: Philox */
    vw key[11]; /* of each round; ARS begins with an xor of the first */
    vw plane1; /* what turns a counter of plane 0 into one of plane 1 */
    vw flip;   /* what Philox's words are xored with: ones for antithetic noise; ARS has it in its last key */
} sc_engine;

static void sc_engine_begin(sc_engine *engine, const sc_stream *s)
{
    const uint32_t k0 = (uint32_t)s->seed, k1 = (uint32_t)(s->seed >> 32);
    const int philox = s->engine == SC_ENGINE_PHILOX, ars = s->engine == SC_ENGINE_ARS ? 7 : 10;
    engine->ars = philox ? 0 : ars;
    engine->flip = vw_set1(0 - s->antithetic);
    engine->plane1 = vw_group(0, 0, 0, sc_counter3(0, 0, 1));
    if (philox) {
        for (uint32_t i = 0; i < 10; i++)
            engine->key[i] = vw_group(k0 + i * UINT32_C(0x9E3779B9), 0, k1 + i * UINT32_C(0xBB67AE85), 0);
        return;
    }
    const vw weyl = vw_group(UINT32_C(0x7F4A7C15), UINT32_C(0x9E3779B9), UINT32_C(0x84CAA73B), UINT32_C(0xBB67AE85));
    engine->key[0] = vw_group(k0, k1, 0, 0);
    for (int i = 1; i <= ars; i++) engine->key[i] = vw_add64(engine->key[i - 1], weyl);
    engine->key[ars] = vw_xor(engine->key[ars], engine->flip);
}

/* From counters that have met the first key */
SC_INLINE void sc_ars_rounds(vw x[4], const vw *key, int rounds)
{
    SC_UNROLL
    for (int i = 1; i < rounds; i++) {
        SC_UNROLL
        for (int j = 0; j < 4; j++) x[j] = vw_aes(x[j], key[i]);
    }
    SC_UNROLL
    for (int j = 0; j < 4; j++) x[j] = vw_aes_last(x[j], key[rounds]);
}

SC_INLINE void sc_ars(vw x[4], const vw *key, int rounds)
{
    SC_UNROLL
    for (int j = 0; j < 4; j++) x[j] = vw_xor(x[j], key[0]);
    sc_ars_rounds(x, key, rounds);
}

SC_INLINE void sc_philox(vw x[4], const vw *key, vw flip)
{
    const vw m = vw_group(UINT32_C(0xD2511F53), 0, UINT32_C(0xCD9E8D57), 0);
    for (int i = 0; i < 10; i++) {
        SC_UNROLL
        for (int j = 0; j < 4; j++)
            x[j] = vw_xor(vw_xor(vw_reverse4(vw_mul_even(x[j], m)), vw_odd_to_even(x[j])), key[i]);
    }
    SC_UNROLL
    for (int j = 0; j < 4; j++) x[j] = vw_xor(x[j], flip);
}

/* The words of four vw of counters. */
SC_INLINE void sc_run_engine(const sc_engine *engine, vw x[4])
{
    if (engine->ars == 7) sc_ars(x, engine->key, 7);
    else if (engine->ars) sc_ars(x, engine->key, 10);
    else sc_philox(x, engine->key, engine->flip);
}

/* Plane 0 of 64 elements; `counter` holds the first four blocks. */
SC_INLINE void sc_words64(const sc_engine *engine, vw counter, vw x[4])
{
    x[0] = counter;
    SC_UNROLL
    for (int j = 1; j < 4; j++) x[j] = vw_add64(x[j - 1], vw_group(4, 0, 0, 0));
    sc_run_engine(engine, x);
}

/* Both planes of 32 elements: x[0], x[1] the high words, x[2], x[3] the low ones. */
SC_INLINE void sc_words32(const sc_engine *engine, vw counter, vw x[4])
{
    x[0] = counter;
    x[1] = vw_add64(counter, vw_group(4, 0, 0, 0));
    x[2] = vw_xor(x[0], engine->plane1);
    x[3] = vw_xor(x[1], engine->plane1);
    sc_run_engine(engine, x);
}

/* ---- one group -------------------------------------------------------------------------------------------------- */

SC_INLINE void sc_group_bits32(const sc_engine *engine, vw counter, uint32_t *out)
{
    vw x[4];
    sc_words64(engine, counter, x);
    for (int j = 0; j < 4; j++) vw_store(out + 16 * j, x[j]);
}

SC_INLINE void sc_group_bits64(const sc_engine *engine, vw counter, uint64_t *out)
{
    vw x[4];
    vl bits[2];
    sc_words32(engine, counter, x);
    for (int j = 0; j < 2; j++) {
        vw_zip(x[j + 2], x[j], bits);
        vl_store(out + 16 * j, bits[0]);
        vl_store(out + 16 * j + 8, bits[1]);
    }
}

SC_INLINE void sc_group_k53(const sc_engine *engine, vw counter, uint64_t *out)
{
    vw x[4];
    vl bits[2];
    sc_words32(engine, counter, x);
    for (int j = 0; j < 2; j++) {
        vw_zip(x[j + 2], x[j], bits);
        vl_store(out + 16 * j, vl_shr(bits[0], 11));
        vl_store(out + 16 * j + 8, vl_shr(bits[1], 11));
    }
}

SC_INLINE void sc_group_uniform64(const sc_engine *engine, vw counter, double *out)
{
    vw x[4];
    vd u[2];
    sc_words32(engine, counter, x);
    for (int j = 0; j < 2; j++) {
        vw_u53(x[j + 2], x[j], u);
        vd_store(out + 16 * j, u[0]);
        vd_store(out + 16 * j + 8, u[1]);
    }
}

SC_INLINE void sc_group_uniform32(const sc_engine *engine, vw counter, float *out)
{
    vw x[4];
    sc_words64(engine, counter, x);
    for (int j = 0; j < 4; j++) vf_store(out + 16 * j, vf_mul(vw_to_f32(vw_shr(x[j], 8)), vf_set1(0x1p-24f)));
}

/* What the quantile functions take: (2k + 1 - 2^53) 2^-54. */
SC_INLINE void sc_group_q53(const sc_engine *engine, vw counter, double *out)
{
    vw x[4];
    vd q[2];
    sc_words32(engine, counter, x);
    for (int j = 0; j < 2; j++) {
        vw_q53(x[j + 2], x[j], q);
        vd_store(out + 16 * j, q[0]);
        vd_store(out + 16 * j + 8, q[1]);
    }
}

/* Plane 0 decides unless its word equals the threshold's high word. */
SC_INLINE void sc_group_mask(const sc_engine *engine, vw counter, uint64_t threshold, uint8_t *out)
{
    const uint64_t over = threshold >> 53; /* 2^53 as 2^32 - 1 above 2^21 */
    vw x[4], high = vw_set1((uint32_t)((threshold >> 21) - over));
    vw low = vw_set1((uint32_t)((threshold & ((1 << 21) - 1)) + (over << 21)));
    uint32_t ties = 0;
    sc_words64(engine, counter, x);
    for (int j = 0; j < 4; j++) {
        vn_store_u8(out + 16 * j, vw_ltu(x[j], high));
        ties |= vn_bits(vw_eq(x[j], high));
    }
    if (ties) {
        vw y[4];
        sc_words64(engine, vw_xor(counter, engine->plane1), y);
        for (int j = 0; j < 4; j++) {
            vn tie = vn_and(vw_eq(x[j], high), vw_ltu(vw_shr(y[j], 11), low));
            vn_store_u8(out + 16 * j, vn_or(vw_ltu(x[j], high), tie));
        }
    }
}

/* ---- any number of elements ------------------------------------------------------------------------------------- */

/* first .. first + n, counted from the stream's offset; `group` elements at a time. */
#define SC_FILL(kind, type, group, parameter, argument)                                                                \
    static void sc_fill_##kind(const sc_stream *s, uint64_t first, ptrdiff_t n, parameter type *out)                   \
    {                                                                                                                  \
        uint64_t e = s->offset + first;                                                                                \
        sc_engine engine;                                                                                              \
        type buffer[group];                                                                                            \
        sc_engine_begin(&engine, s);                                                                                   \
        if (e & 3 && n > 0) {                                                                                          \
            ptrdiff_t skip = (ptrdiff_t)(e & 3), head = SC_MIN(4 - skip, n);                                           \
            sc_group_##kind(&engine, sc_counter(s, e), argument buffer);                                               \
            memcpy(out, buffer + skip, (size_t)head * sizeof(type));                                                   \
            e += (uint64_t)head, out += head, n -= head;                                                               \
        }                                                                                                              \
        vw counter = sc_counter(s, e);                                                                                 \
        for (; n >= (group); out += (group), n -= (group)) {                                                           \
            sc_group_##kind(&engine, counter, argument out);                                                           \
            counter = vw_add64(counter, vw_group((group) / 4, 0, 0, 0));                                               \
        }                                                                                                              \
        if (n > 0) {                                                                                                   \
            sc_group_##kind(&engine, counter, argument buffer);                                                        \
            memcpy(out, buffer, (size_t)n * sizeof(type));                                                             \
        }                                                                                                              \
    }
#define SC_NOTHING
#define SC_THEN(...) __VA_ARGS__,

/* The counters of the four blocks from element e's on. */
SC_INLINE vw sc_counter(const sc_stream *s, uint64_t e)
{
    return vw_count(e >> 2, s->stream, sc_counter3(s->purpose, 0, 0));
}

SC_FILL(bits32, uint32_t, 64, SC_NOTHING, SC_NOTHING)
SC_FILL(bits64, uint64_t, 32, SC_NOTHING, SC_NOTHING)
SC_FILL(k53, uint64_t, 32, SC_NOTHING, SC_NOTHING)
SC_FILL(uniform64, double, 32, SC_NOTHING, SC_NOTHING)
SC_FILL(uniform32, float, 64, SC_NOTHING, SC_NOTHING)
SC_FILL(mask, uint8_t, 64, SC_THEN(uint64_t threshold), SC_THEN(threshold))

/* ---- words to be compared --------------------------------------------------------------------------------------- */

/* Plane 0 of 64 elements at a time, in the order of vw_compare16: blocks 0 4 1 5, 2 6 3 7 of the first 32 elements, then
 * so of the others, so that no lane has to cross over; as signed numbers. The change of sign comes with the last xor, and
 * where the first element is a multiple of 64 the counters come with the first one, all by the same xor. */
typedef struct {
    sc_engine engine;
    vw base, start[4], first; /* counter of the first block; what leads to each; the first key, or 0 */
    int whole;
} sc_deal;

/* e: a multiple of 4 */
static void sc_deal_begin(sc_deal *deal, const sc_stream *s, uint64_t e)
{
    vw *last;
    sc_engine_begin(&deal->engine, s);
    last = deal->engine.ars ? deal->engine.key + deal->engine.ars : &deal->engine.flip;
    *last = vw_xor(*last, vw_set1(UINT32_C(1) << 31));
    deal->base = vw_group((uint32_t)(e >> 2), (uint32_t)(e >> 34), s->stream, sc_counter3(s->purpose, 0, 0));
    deal->first = deal->engine.ars ? deal->engine.key[0] : vw_set1(0);
    deal->whole = !(e & 63);
    for (uint32_t j = 0; j < 4; j++) {
        const uint32_t b = (j & 1) * 2 + j / 2 * 8;
        const uint32_t blocks[16] = {b, 0, 0, 0, b + 4, 0, 0, 0, b + 1, 0, 0, 0, b + 5, 0, 0, 0};
        deal->start[j] = vw_load(blocks);
        if (deal->whole) deal->start[j] = vw_xor(deal->start[j], deal->first);
    }
}

/* The next 64. `plain`: ARS with seven rounds, from a multiple of 64 on: a constant, so that loops have no branches. */
SC_INLINE void sc_deal_words(sc_deal *deal, int plain, vw x[4])
{
    const sc_engine *engine = &deal->engine;
    SC_UNROLL
    for (int j = 0; j < 4; j++)
        x[j] = plain || deal->whole ? vw_xor(deal->base, deal->start[j])
                                    : vw_xor(vw_add64(deal->base, deal->start[j]), deal->first);
    deal->base = vw_add64(deal->base, vw_group(16, 0, 0, 0));
    if (plain || engine->ars == 7) sc_ars_rounds(x, engine->key, 7);
    else if (engine->ars) sc_ars_rounds(x, engine->key, 10);
    else sc_philox(x, engine->key, engine->flip);
}

SC_INLINE int sc_deal_plain(const sc_deal *deal) { return deal->whole && deal->engine.ars == 7; }

/* ---- quantile functions ----------------------------------------------------------------------------------------- */

SC_FILL(q53, double, 32, SC_NOTHING, SC_NOTHING)

enum { SC_CHUNK = 512 }; /* first the arguments of so many, which stay in the first cache, then the function in place */

#define SC_QUANTILES(kind)                                                                                             \
    static void sc_apply_##kind##64(double *x, ptrdiff_t groups)                                                       \
    {                                                                                                                  \
        for (; groups > 0; groups--, x += 32) sc_##kind##_quantile(x);                                                 \
    }                                                                                                                  \
    static void sc_apply_##kind##32(const uint32_t *words, float *x, ptrdiff_t groups)                                 \
    {                                                                                                                  \
        for (; groups > 0; groups--, words += 64, x += 64) sc_##kind##_quantile32(words, x);                           \
    }                                                                                                                  \
    static void sc_fill_##kind##64(const sc_stream *s, uint64_t first, ptrdiff_t n, double *out)                       \
    {                                                                                                                  \
        for (ptrdiff_t run; n > 0; n -= run, first += (uint64_t)run, out += run) {                                     \
            run = SC_MIN(SC_CHUNK, n);                                                                                 \
            const ptrdiff_t whole = run / 32 * 32, rest = run - whole;                                                 \
            sc_fill_q53(s, first, run, out);                                                                           \
            sc_apply_##kind##64(out, whole / 32);                                                                      \
            if (rest) {                                                                                                \
                double x[32];                                                                                          \
                SC_FOUR vd_store(x + 8 * j, vd_set1(0.25));                                                            \
                memcpy(x, out + whole, (size_t)rest * sizeof *x);                                                      \
                sc_apply_##kind##64(x, 1);                                                                             \
                memcpy(out + whole, x, (size_t)rest * sizeof *x);                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void sc_fill_##kind##32(const sc_stream *s, uint64_t first, ptrdiff_t n, float *out)                        \
    {                                                                                                                  \
        uint32_t words[SC_CHUNK];                                                                                      \
        for (ptrdiff_t run; n > 0; n -= run, first += (uint64_t)run, out += run) {                                     \
            run = SC_MIN(SC_CHUNK, n);                                                                                 \
            const ptrdiff_t whole = run / 64 * 64, rest = run - whole;                                                 \
            sc_fill_bits32(s, first, run, words);                                                                      \
            sc_apply_##kind##32(words, out, whole / 64);                                                               \
            if (rest) {                                                                                                \
                float x[64];                                                                                           \
                memset(words + run, 0, (size_t)(64 - rest) * sizeof *words);                                           \
                sc_apply_##kind##32(words + whole, x, 1);                                                              \
                memcpy(out + whole, x, (size_t)rest * sizeof *x);                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

SC_QUANTILES(normal)
SC_QUANTILES(logistic)
SC_QUANTILES(exponential)
SC_QUANTILES(gumbel)

/* ---- integers --------------------------------------------------------------------------------------------------- */

/* The two halves of a 64 x 64 bit product. */
static inline uint64_t sc_mul128(uint64_t a, uint64_t b, uint64_t *low)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, middle = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;
    *low = middle << 32 | (uint32_t)p00;
    return a1 * b1 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
}

enum { SC_INTEGERS = 256, SC_ATTEMPTS = 1 << 22 }; /* drawn at a time; attempts that a counter can number */

/* range 1 .. 2^32, with 32 bits each. The same loop for 32 and 64 bit results. */
#define SC_SMALL_INTEGERS(name, type)                                                                                  \
    static void name(const sc_stream *s, uint64_t first, ptrdiff_t n, type low, uint64_t range, type *out)             \
    {                                                                                                                  \
        const uint32_t surplus = (uint32_t)((UINT64_C(1) << 32) % range);                                              \
        uint32_t words[SC_INTEGERS];                                                                                   \
        for (ptrdiff_t run; n > 0; n -= run, first += (uint64_t)run, out += run) {                                     \
            uint32_t rejected = 0;                                                                                     \
            run = SC_MIN(SC_INTEGERS, n);                                                                              \
            sc_fill_bits32(s, first, run, words);                                                                      \
            for (ptrdiff_t i = 0; i < run; i++) {                                                                      \
                uint64_t product = words[i] * range;                                                                   \
                out[i] = low + (type)(product >> 32);                                                                  \
                rejected |= (uint32_t)product < surplus;                                                               \
            }                                                                                                          \
            if (!rejected) continue;                                                                                   \
            for (ptrdiff_t i = 0; i < run; i++) {                                                                      \
                uint64_t product = words[i] * range;                                                                   \
                for (uint32_t a = 1; (uint32_t)product < surplus && a < SC_ATTEMPTS; a++)                              \
                    product = sc_word(s, first + (uint64_t)i, 0, a) * range;                                           \
                out[i] = low + (type)(product >> 32);                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }

SC_SMALL_INTEGERS(sc_fill_integers32, uint32_t)
SC_SMALL_INTEGERS(sc_small_integers64, uint64_t)

/* range 0 is 2^64. */
static void sc_fill_integers64(const sc_stream *s, uint64_t first, ptrdiff_t n, uint64_t low, uint64_t range,
                               uint64_t *out)
{
    if (range - 1 < UINT64_C(1) << 32) {
        sc_small_integers64(s, first, n, low, range, out);
        return;
    }
    const uint64_t surplus = range ? (0 - range) % range : 0;
    sc_fill_bits64(s, first, n, out);
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t rest, high = range ? sc_mul128(out[i], range, &rest) : out[i];
        for (uint32_t a = 1; range && rest < surplus && a < SC_ATTEMPTS; a++)
            high = sc_mul128(sc_bits(s, first + (uint64_t)i, a), range, &rest);
        out[i] = low + high;
    }
}

/* The functions of this file as stochcore.h gives them to others. */
#define SC_NOISE_TABLE                                                                                                 \
    {STOCHCORE_ABI_VERSION, sizeof(sc_noise),      sc_fill_bits32,        sc_fill_bits64,   sc_fill_k53,               \
     sc_fill_uniform64,     sc_fill_uniform32,     sc_fill_normal64,      sc_fill_normal32, sc_fill_logistic64,        \
     sc_fill_logistic32,    sc_fill_exponential64, sc_fill_exponential32, sc_fill_gumbel64, sc_fill_gumbel32,          \
     sc_fill_integers64,    sc_fill_integers32,    sc_fill_mask}

#endif
