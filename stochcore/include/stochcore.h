/* stochcore.h: the addresses of noise, for C, C++ and Cython. Public, versioned, needs nothing but C99.
 *
 * Noise is addressed, not consumed: the noise of element e is a 53-bit integer k(e), a pure function of (seed, stream,
 * purpose, e). One block of an engine turns a 128-bit counter and a 64-bit key (the seed) into four 32-bit words:
 *
 *   word 0   bits  0..31 of the block number      block = e >> 2, and element e takes word e & 3
 *   word 1   bits 32..63 of the block number
 *   word 2   stream, 32 bits
 *   word 3   purpose, 8 bits | attempt, 6 bits | plane, 2 bits | extension, 16 bits (0 for arrays)
 *
 * k(e) = (plane 0's word) << 21 | (plane 1's word) >> 11: a kernel that compares can read plane 0 alone and touch
 * plane 1 only on a tie. `attempt` counts rejections. A simulator addresses by (sample, draw): its draw's block goes
 * to word 0, the low 32 bits of the sample to word 1 and the next 18 to word 3's plane and extension, since it takes
 * both halves of k from one block (50 bits: 10^15 samples; 2^33 draws in each).
 *
 * Engines, of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011:
 *   philox   Philox4x32-10
 *   ars      ARS4x32-7: seven rounds of AES, a counter's words being the state; the seed is the low half of its 128-bit
 *            key. Fast where the CPU has AES instructions.
 *   ars10    ARS4x32-10
 * This map never changes. What is built on k (see docs/contract.md) changes only with a minor version.
 *
 * The functions here make one number at a time and need nothing but this file. The kernels of the installed package,
 * which fill arrays with the same bits at the speed of memory, are reached through `sc_noise` (below).
 */
#ifndef STOCHCORE_H
#define STOCHCORE_H

#include <stddef.h>
#include <stdint.h>
#ifdef __AES__
#include <wmmintrin.h>
#endif

#define STOCHCORE_ABI_VERSION 1

enum { SC_ENGINE_PHILOX = 0, SC_ENGINE_ARS = 1, SC_ENGINE_ARS10 = 2 };

/* What a number is for. Two purposes never share a counter. */
enum {
    SC_PURPOSE_ARRAYS = 0, /* sc.Stream's arrays, and the samples of a family */
    SC_PURPOSE_SIMULATORS = 1,
    SC_PURPOSE_BATCHING = 2, /* which rows of the data a training step sees */
    SC_PURPOSE_BINARISING = 3,
    SC_PURPOSE_EVALUATION = 4,
    SC_PURPOSE_INITIALISING = 5,
    SC_PURPOSE_SPAWNING = 6, /* block i is the seed and the stream of a stream's child i */
    SC_PURPOSE_LAYERS = 16   /* layer i of a network: SC_PURPOSE_LAYERS + i */
};

typedef struct sc_stream {
    uint64_t seed;
    uint64_t offset; /* added to every element's number */
    uint32_t stream;
    uint32_t purpose;
    uint32_t engine;
    uint32_t antithetic; /* 1: every word is complemented, k becomes 2^53 - 1 - k; otherwise 0 */
} sc_stream;

/* Word 3; the attempt's low 6 bits have a field of their own, the others go to the extension. */
static inline uint32_t sc_counter3(uint32_t purpose, uint32_t attempt, uint32_t plane)
{
    return purpose << 24 | (attempt & 63) << 18 | plane << 16 | attempt >> 6;
}

static inline void sc_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)UINT32_C(0xD2511F53) * c0, p1 = (uint64_t)UINT32_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* One round of AES (FIPS 197) on four columns, each a word with its first byte lowest: ShiftRows, SubBytes, MixColumns
 * unless it is the last round, then the round key. */
static inline void sc_aes_round(uint32_t state[4], const uint32_t key[4], int last)
{
    static const uint8_t sbox[256] = {
        0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76, 0xca, 0x82,
        0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd, 0x93, 0x26,
        0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15, 0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96,
        0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0,
        0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84, 0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb,
        0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf, 0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f,
        0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff,
        0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
        0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb, 0xe0, 0x32,
        0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d,
        0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08, 0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6,
        0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e,
        0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e,
        0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf, 0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f,
        0xb0, 0x54, 0xbb, 0x16,
    };
    uint32_t out[4];
    for (int c = 0; c < 4; c++) {
        uint32_t w = sbox[state[c] & 255] | (uint32_t)sbox[state[(c + 1) & 3] >> 8 & 255] << 8 |
                     (uint32_t)sbox[state[(c + 2) & 3] >> 16 & 255] << 16 |
                     (uint32_t)sbox[state[(c + 3) & 3] >> 24] << 24;
        if (!last) { /* byte i becomes 2 b[i] + 3 b[i+1] + b[i+2] + b[i+3] in the field of AES */
            uint32_t next = w >> 8 | w << 24, both = w ^ next;
            uint32_t twice = (both & UINT32_C(0x7f7f7f7f)) << 1 ^ (both >> 7 & UINT32_C(0x01010101)) * 0x1b;
            w = twice ^ next ^ (w >> 16 | w << 16) ^ (w >> 24 | w << 8);
        }
        out[c] = w ^ key[c];
    }
    for (int c = 0; c < 4; c++) state[c] = out[c];
}

/* `rounds` rounds of ARS4x32. */
static inline void sc_ars4x32(int rounds, const uint32_t counter[4], const uint32_t key[4], uint32_t out[4])
{
    uint64_t k0 = (uint64_t)key[1] << 32 | key[0], k1 = (uint64_t)key[3] << 32 | key[2];
#ifdef __AES__
    __m128i v = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)counter),
                              _mm_set_epi64x((int64_t)k1, (int64_t)k0));
    for (int round = 1; round <= rounds; round++) {
        k0 += UINT64_C(0x9E3779B97F4A7C15);
        k1 += UINT64_C(0xBB67AE8584CAA73B);
        __m128i k = _mm_set_epi64x((int64_t)k1, (int64_t)k0);
        v = round < rounds ? _mm_aesenc_si128(v, k) : _mm_aesenclast_si128(v, k);
    }
    _mm_storeu_si128((__m128i *)(void *)out, v);
#else
    uint32_t v[4];
    for (int i = 0; i < 4; i++) v[i] = counter[i] ^ key[i];
    for (int round = 1; round <= rounds; round++) {
        k0 += UINT64_C(0x9E3779B97F4A7C15);
        k1 += UINT64_C(0xBB67AE8584CAA73B);
        uint32_t k[4] = {(uint32_t)k0, (uint32_t)(k0 >> 32), (uint32_t)k1, (uint32_t)(k1 >> 32)};
        sc_aes_round(v, k, round == rounds);
    }
    for (int i = 0; i < 4; i++) out[i] = v[i];
#endif
}

/* The four words of a counter, by the stream's engine. */
static inline void sc_block(const sc_stream *s, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t key[4] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32), 0, 0};
    if (s->engine == SC_ENGINE_PHILOX) sc_philox4x32_10(counter, key, out);
    else sc_ars4x32(s->engine == SC_ENGINE_ARS ? 7 : 10, counter, key, out);
    for (int i = 0; i < 4; i++) out[i] ^= 0 - s->antithetic;
}

/* The word of one element on one plane; `element` counts from the stream's offset. */
static inline uint32_t sc_word(const sc_stream *s, uint64_t element, uint32_t plane, uint32_t attempt)
{
    uint64_t e = s->offset + element, block = e >> 2;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), s->stream,
                           sc_counter3(s->purpose, attempt, plane)};
    uint32_t out[4];
    sc_block(s, counter, out);
    return out[e & 3];
}

/* All 64 bits of element e: k(e) and eleven more below it. */
static inline uint64_t sc_bits(const sc_stream *s, uint64_t element, uint32_t attempt)
{
    return (uint64_t)sc_word(s, element, 0, attempt) << 32 | sc_word(s, element, 1, attempt);
}

/* k(e), uniform on 0 .. 2^53 - 1. */
static inline uint64_t sc_k(const sc_stream *s, uint64_t element) { return sc_bits(s, element, 0) >> 11; }

/* The uniform of element e: k(e) 2^-53, in [0, 1). */
static inline double sc_uniform(const sc_stream *s, uint64_t element)
{
    return (double)sc_k(s, element) * (1.0 / 9007199254740992.0);
}

/* The kernels of the installed package for this CPU. Each fills out[0 .. n) with elements first .. first + n of the
 * stream (counted from its offset), on the calling thread, without Python; every bit as in stochcore.Stream. The caller
 * sees to it that offset + first + n does not pass 2^64.
 *
 *     const sc_noise *noise = sc_import_noise();    // once, holding the GIL; NULL: a Python error is set
 *     noise->normal64(&stream, 0, n, out);          // from any thread, without the GIL
 *
 * A later version with the same number only adds at the end, and `size` says how much there is. */
#define STOCHCORE_NOISE "stochcore._dispatch.noise"

typedef struct sc_noise {
    uint32_t version; /* STOCHCORE_ABI_VERSION of the package */
    uint32_t size;    /* sizeof(sc_noise) there */
    void (*bits32)(const sc_stream *, uint64_t first, ptrdiff_t n, uint32_t *out);
    void (*bits64)(const sc_stream *, uint64_t first, ptrdiff_t n, uint64_t *out);
    void (*k53)(const sc_stream *, uint64_t first, ptrdiff_t n, uint64_t *out);
    void (*uniform64)(const sc_stream *, uint64_t first, ptrdiff_t n, double *out);
    void (*uniform32)(const sc_stream *, uint64_t first, ptrdiff_t n, float *out);
    void (*normal64)(const sc_stream *, uint64_t first, ptrdiff_t n, double *out);
    void (*normal32)(const sc_stream *, uint64_t first, ptrdiff_t n, float *out);
    void (*logistic64)(const sc_stream *, uint64_t first, ptrdiff_t n, double *out);
    void (*logistic32)(const sc_stream *, uint64_t first, ptrdiff_t n, float *out);
    void (*exponential64)(const sc_stream *, uint64_t first, ptrdiff_t n, double *out);
    void (*exponential32)(const sc_stream *, uint64_t first, ptrdiff_t n, float *out);
    void (*gumbel64)(const sc_stream *, uint64_t first, ptrdiff_t n, double *out);
    void (*gumbel32)(const sc_stream *, uint64_t first, ptrdiff_t n, float *out);
    /* low, low + 1, .. low + range - 1 without modulo bias (64: a range of 0 means 2^64; 32: 1 .. 2^32) */
    void (*integers64)(const sc_stream *, uint64_t first, ptrdiff_t n, uint64_t low, uint64_t range, uint64_t *out);
    void (*integers32)(const sc_stream *, uint64_t first, ptrdiff_t n, uint32_t low, uint64_t range, uint32_t *out);
    /* 1 iff k(e) < threshold; 2^53 is always */
    void (*mask)(const sc_stream *, uint64_t first, ptrdiff_t n, uint64_t threshold, uint8_t *out);
} sc_noise;

/* ---- simulators ---------------------------------------------------------------------------------------------------
 * A simulator is a program that draws its random decisions from a recorder, which keeps their score:
 *
 *     void game(sc_draw *draw)
 *     {
 *         while (sc_draw_bernoulli(draw, 0)) sc_draw_cost(draw, 1.0);    // P(1) = 1/(1 + e^-theta[0])
 *     }
 *
 * With s_t = grad log p of decision t, c_k the costs and g_k the product of the discounts before cost k,
 * J = sum_k g_k c_k, and grad E[J] = E[ sum_t s_t (sum of g_k c_k over the costs after decision t) + direct ]. The recorder
 * holds S = sum_t s_t and R = direct - sum_t s_t (the costs before t): J S + R is what stands in the brackets, in memory
 * for two numbers a parameter, whatever the length of the program. (stochcore/simulators.py; docs/simulators.md.)
 *
 * Where a draw breaks a rule (an index outside theta, a probability outside [0, 1], too many draws) or somebody stops the
 * work, it does not return: the program is left by longjmp, and whatever it holds stays unreleased.
 */
#define STOCHCORE_DRAW_VERSION 1

typedef struct sc_draw sc_draw;
typedef void (*sc_simulator)(sc_draw *draw);

/* Where features (n of them) are given, theta[i] stands for features . theta[i .. i + n); n = 0: there are none. */
typedef struct sc_draw_table {
    uint32_t version, size; /* STOCHCORE_DRAW_VERSION; sizeof(sc_draw_table): a later version only adds at the end */
    int64_t (*bernoulli)(sc_draw *, ptrdiff_t i, const double *features, ptrdiff_t n); /* theta[i] is the logit */
    int64_t (*bernoulli_p)(sc_draw *, double p); /* without a score: add_score has it */
    /* k logits theta[i .. i + k), or class after class those of n features: theta[i + c n ..) . features */
    int64_t (*categorical)(sc_draw *, ptrdiff_t i, ptrdiff_t k, const double *features, ptrdiff_t n);
    int64_t (*categorical_p)(sc_draw *, const double *p, ptrdiff_t k);
    /* a layer of tanh: theta[i ..) holds [hidden][n] weights, hidden biases, [k][hidden] weights, k biases */
    int64_t (*tanh_policy)(sc_draw *, ptrdiff_t i, ptrdiff_t hidden, ptrdiff_t k, const double *features, ptrdiff_t n);
    int64_t (*binomial)(sc_draw *, ptrdiff_t i, int64_t trials, const double *features, ptrdiff_t n); /* logit */
    int64_t (*poisson)(sc_draw *, ptrdiff_t i, const double *features, ptrdiff_t n);   /* logarithm of the rate */
    int64_t (*geometric)(sc_draw *, ptrdiff_t i, const double *features, ptrdiff_t n); /* logit; 1, 2, .. */
    double (*exponential)(sc_draw *, ptrdiff_t i, int log); /* the rate, or its logarithm */
    double (*normal)(sc_draw *, ptrdiff_t i, double scale, const double *features, ptrdiff_t n); /* the mean */
    double (*uniform)(sc_draw *); /* plain noise, in [0, 1) */
    double (*standard_normal)(sc_draw *);
    void (*cost)(sc_draw *, double c);
    void (*discount)(sc_draw *, double factor); /* of all costs that follow */
    void (*add_score)(sc_draw *, ptrdiff_t i, double value); /* of a decision that the caller's own p has made */
    void (*add_grad)(sc_draw *, ptrdiff_t i, double value);  /* the cost's own derivative by theta[i] */
    double (*exp)(double);
    double (*log)(double);
    double (*sin)(double);
    double (*cos)(double);    /* the same bits on every machine */
    void (*fail)(sc_draw *); /* leaves the program: it can't go on */
    /* the state from here on, as a value baseline of n features sees it; no other estimator looks at it */
    void (*state)(sc_draw *, const double *features, ptrdiff_t n);
} sc_draw_table;

struct sc_draw {
    const sc_draw_table *table;
    const double *theta;
    ptrdiff_t n_theta;
    const double *x; /* the inputs, flat */
    ptrdiff_t n_x;
};

static inline int64_t sc_draw_bernoulli(sc_draw *d, ptrdiff_t i) { return d->table->bernoulli(d, i, NULL, 0); }
static inline int64_t sc_draw_bernoulli_linear(sc_draw *d, ptrdiff_t i, const double *features, ptrdiff_t n)
{
    return d->table->bernoulli(d, i, features, n);
}
static inline int64_t sc_draw_bernoulli_p(sc_draw *d, double p) { return d->table->bernoulli_p(d, p); }
static inline int64_t sc_draw_categorical(sc_draw *d, ptrdiff_t i, ptrdiff_t k)
{
    return d->table->categorical(d, i, k, NULL, 0);
}
static inline int64_t sc_draw_categorical_linear(sc_draw *d, ptrdiff_t i, ptrdiff_t k, const double *features,
                                                 ptrdiff_t n)
{
    return d->table->categorical(d, i, k, features, n);
}
static inline int64_t sc_draw_categorical_p(sc_draw *d, const double *p, ptrdiff_t k)
{
    return d->table->categorical_p(d, p, k);
}
static inline int64_t sc_draw_tanh_policy(sc_draw *d, ptrdiff_t i, ptrdiff_t hidden, ptrdiff_t k,
                                          const double *features, ptrdiff_t n)
{
    return d->table->tanh_policy(d, i, hidden, k, features, n);
}
static inline int64_t sc_draw_binomial(sc_draw *d, ptrdiff_t i, int64_t trials)
{
    return d->table->binomial(d, i, trials, NULL, 0);
}
static inline int64_t sc_draw_poisson(sc_draw *d, ptrdiff_t i) { return d->table->poisson(d, i, NULL, 0); }
static inline int64_t sc_draw_geometric(sc_draw *d, ptrdiff_t i) { return d->table->geometric(d, i, NULL, 0); }
static inline double sc_draw_exponential(sc_draw *d, ptrdiff_t i, int log) { return d->table->exponential(d, i, log); }
static inline double sc_draw_normal(sc_draw *d, ptrdiff_t i, double scale)
{
    return d->table->normal(d, i, scale, NULL, 0);
}
static inline double sc_draw_uniform(sc_draw *d) { return d->table->uniform(d); }
static inline double sc_draw_standard_normal(sc_draw *d) { return d->table->standard_normal(d); }
static inline void sc_draw_cost(sc_draw *d, double c) { d->table->cost(d, c); }
static inline void sc_draw_discount(sc_draw *d, double factor) { d->table->discount(d, factor); }
static inline void sc_draw_add_score(sc_draw *d, ptrdiff_t i, double value) { d->table->add_score(d, i, value); }
static inline void sc_draw_add_grad(sc_draw *d, ptrdiff_t i, double value) { d->table->add_grad(d, i, value); }
static inline void sc_draw_state(sc_draw *d, const double *features, ptrdiff_t n) { d->table->state(d, features, n); }

#ifdef Py_PYTHON_H /* Python.h comes first */
/* The table of the installed package; or NULL and an ImportError, where it is not the one this file describes. */
static inline const sc_noise *sc_import_noise(void)
{
    const sc_noise *noise = (const sc_noise *)PyCapsule_Import(STOCHCORE_NOISE, 0);
    if (noise == NULL) return NULL;
    if (noise->version != STOCHCORE_ABI_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "this extension was built with version %d of stochcore's C interface, the installed stochcore has "
                     "version %d: build the extension again",
                     STOCHCORE_ABI_VERSION, (int)noise->version);
        return NULL;
    }
    if (noise->size < sizeof *noise) {
        PyErr_SetString(
            PyExc_ImportError,
            "this extension was built with a newer stochcore.h than the installed stochcore has: upgrade it");
        return NULL;
    }
    return noise;
}
#endif

#endif
