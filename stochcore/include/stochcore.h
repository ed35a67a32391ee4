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
 * Engine philox: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 * This map never changes. What is built on k (see docs/contract.md) changes only with a minor version.
 */
#ifndef STOCHCORE_H
#define STOCHCORE_H

#include <stdint.h>

#define STOCHCORE_ABI_VERSION 1

enum { SC_ENGINE_PHILOX = 0 };

/* What a number is for. Two purposes never share a counter. */
enum {
    SC_PURPOSE_ARRAYS = 0, /* sc.Stream's arrays, and the samples of a family */
    SC_PURPOSE_SIMULATORS = 1,
    SC_PURPOSE_BATCHING = 2, /* which rows of the data a training step sees */
    SC_PURPOSE_BINARISING = 3,
    SC_PURPOSE_EVALUATION = 4,
    SC_PURPOSE_INITIALISING = 5,
    SC_PURPOSE_LAYERS = 16 /* layer i of a network: SC_PURPOSE_LAYERS + i */
};

typedef struct sc_stream {
    uint64_t seed;
    uint64_t offset; /* added to every element's number */
    uint32_t stream;
    uint32_t purpose;
    uint32_t engine;
    uint32_t reserved; /* 0 */
} sc_stream;

static inline uint32_t sc_counter3(uint32_t purpose, uint32_t attempt, uint32_t plane)
{
    return purpose << 24 | attempt << 18 | plane << 16;
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

/* The word of one element on one plane; `element` counts from the stream's offset. */
static inline uint32_t sc_word(const sc_stream *s, uint64_t element, uint32_t plane)
{
    uint64_t e = s->offset + element, block = e >> 2;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), s->stream, sc_counter3(s->purpose, 0, plane)};
    uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)}, out[4];
    sc_philox4x32_10(counter, key, out);
    return out[e & 3];
}

/* k(e), uniform on 0 .. 2^53 - 1. */
static inline uint64_t sc_k(const sc_stream *s, uint64_t element)
{
    return (uint64_t)sc_word(s, element, 0) << 21 | sc_word(s, element, 1) >> 11;
}

/* The uniform of element e: k(e) 2^-53, in [0, 1). */
static inline double sc_uniform(const sc_stream *s, uint64_t element) { return (double)sc_k(s, element) * 0x1p-53; }

#endif
