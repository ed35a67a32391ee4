/* AVX-512 intrinsics as C functions, for csrc/lanes/avx512.h under SC_EMULATE_AVX512: the tests run its lanes on a CPU
 * without AVX-512. SIMDe (Debian: libsimde-dev) has most of them; below are those that its version 0.7.4 lacks.
 * Compile with -mavx2 -mfma: without FMA, SIMDe rounds a product before it adds.
 */
#ifndef SC_EMULATE_AVX512_H
#define SC_EMULATE_AVX512_H

#if defined(__AVX512F__) || !defined(__AVX2__) || !defined(__FMA__)
#error "SC_EMULATE_AVX512 wants -mavx2 -mfma, and no -mavx512*"
#endif
#pragma GCC diagnostic ignored "-Wpsabi" /* how 64-byte vectors are passed: no such call leaves its file */

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <stdint.h>
#include <string.h>

#define SC_STAND_IN static inline __attribute__((always_inline))

/* to emulate_NAME(from): each lane, converted. */
#define SC_CONVERT(name, to, out_t, width, from, in_t)                                                                 \
    SC_STAND_IN to emulate_##name(from a)                                                                              \
    {                                                                                                                  \
        in_t in[sizeof(from) / sizeof(in_t)];                                                                          \
        out_t out[width];                                                                                              \
        to r;                                                                                                          \
        memcpy(in, &a, sizeof a);                                                                                      \
        for (int i = 0; i < (width); i++) out[i] = (out_t)in[i];                                                       \
        memcpy(&r, out, sizeof r);                                                                                     \
        return r;                                                                                                      \
    }

SC_CONVERT(cvtepi32_pd, __m512d, double, 8, __m256i, int32_t)
SC_CONVERT(cvtepu32_pd, __m512d, double, 8, __m256i, uint32_t)
SC_CONVERT(cvtepi64_pd, __m512d, double, 8, __m512i, int64_t)
SC_CONVERT(cvtps_pd, __m512d, double, 8, __m256, float)
SC_CONVERT(cvtepi32_ps, __m512, float, 16, __m512i, int32_t)
SC_CONVERT(cvttps_epi32, __m512i, int32_t, 16, __m512, float)
SC_CONVERT(cvtepu32_epi64, __m512i, uint64_t, 8, __m256i, uint32_t)
SC_CONVERT(cvtepu8_epi32, __m512i, int32_t, 16, __m128i, uint8_t)
SC_CONVERT(cvtepi16_epi32, __m512i, int32_t, 16, __m256i, int16_t)

SC_STAND_IN __m256 emulate_extractf32x8_ps(__m512 a, int half)
{
    __m256 halves[2];
    memcpy(halves, &a, sizeof a);
    return halves[half & 1];
}

SC_STAND_IN __m512i emulate_shuffle_epi32(__m512i a, int order) /* two bits of `order` for each word of a group */
{
    uint32_t in[16], out[16];
    memcpy(in, &a, sizeof a);
    for (int i = 0; i < 16; i++) out[i] = in[(i & 12) | (order >> 2 * (i & 3) & 3)];
    memcpy(&a, out, sizeof a);
    return a;
}

SC_STAND_IN __mmask16 emulate_cmplt_epu32_mask(__m512i a, __m512i b)
{
    uint32_t x[16], y[16], r = 0;
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    for (int i = 0; i < 16; i++) r |= (uint32_t)(x[i] < y[i]) << i;
    return (__mmask16)r;
}

#define SC_COMPARE_16(name, operator)                                                                                  \
    SC_STAND_IN __mmask32 emulate_##name(__m512i a, __m512i b)                                                         \
    {                                                                                                                  \
        int16_t x[32], y[32];                                                                                          \
        uint32_t r = 0;                                                                                                \
        memcpy(x, &a, sizeof a);                                                                                       \
        memcpy(y, &b, sizeof b);                                                                                       \
        for (int i = 0; i < 32; i++) r |= (uint32_t)(x[i] operator y[i]) << i;                                         \
        return r;                                                                                                      \
    }

SC_COMPARE_16(cmplt_epi16_mask, <)
SC_COMPARE_16(cmpeq_epi16_mask, ==)

SC_STAND_IN __m512d emulate_shuffle_f64x2(__m512d a, __m512d b, int order) /* pairs: two of a, two of b */
{
    double in[16], out[8];
    memcpy(in, &a, sizeof a);
    memcpy(in + 8, &b, sizeof b);
    for (int i = 0; i < 8; i++) out[i] = in[(i & 4) * 2 + 2 * (order >> (i & 6) & 3) + (i & 1)];
    memcpy(&a, out, sizeof a);
    return a;
}

SC_STAND_IN __m256 emulate_cvtpd_ps(__m512d a)
{
    __m256d halves[2];
    memcpy(halves, &a, sizeof a);
    return _mm256_set_m128(_mm256_cvtpd_ps(halves[1]), _mm256_cvtpd_ps(halves[0]));
}

SC_STAND_IN void emulate_stream_si512(__m512i *p, __m512i a) { memcpy(p, &a, sizeof a); }

#undef _mm512_cvtepi32_pd
#undef _mm512_cvtepu32_pd
#undef _mm512_cvtps_pd
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepu32_epi64
#undef _mm512_cvttps_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepi16_epi32
#undef _mm512_extractf32x8_ps
#undef _mm512_shuffle_epi32
#undef _mm512_cmplt_epu32_mask
#undef _mm512_cmplt_epi16_mask
#undef _mm512_cmpeq_epi16_mask
#undef _mm512_cvtepi64_pd
#undef _mm512_cvtpd_ps
#undef _mm512_shuffle_f64x2
#undef _mm512_stream_si512
#define _mm512_cvtepi32_pd(a) emulate_cvtepi32_pd(a)
#define _mm512_cvtepu32_pd(a) emulate_cvtepu32_pd(a)
#define _mm512_cvtps_pd(a) emulate_cvtps_pd(a)
#define _mm512_cvtepi32_ps(a) emulate_cvtepi32_ps(a)
#define _mm512_cvttps_epi32(a) emulate_cvttps_epi32(a)
#define _mm512_cvtepu32_epi64(a) emulate_cvtepu32_epi64(a)
#define _mm512_cvtepu8_epi32(a) emulate_cvtepu8_epi32(a)
#define _mm512_cvtepi16_epi32(a) emulate_cvtepi16_epi32(a)
#define _mm512_extractf32x8_ps(a, half) emulate_extractf32x8_ps(a, half)
#define _mm512_shuffle_epi32(a, order) emulate_shuffle_epi32(a, order)
#define _mm512_cmplt_epu32_mask(a, b) emulate_cmplt_epu32_mask(a, b)
#define _mm512_cmplt_epi16_mask(a, b) emulate_cmplt_epi16_mask(a, b)
#define _mm512_cmpeq_epi16_mask(a, b) emulate_cmpeq_epi16_mask(a, b)
#define _mm512_cvtepi64_pd(a) emulate_cvtepi64_pd(a)
#define _mm512_cvtpd_ps(a) emulate_cvtpd_ps(a)
#define _mm512_shuffle_f64x2(a, b, order) emulate_shuffle_f64x2(a, b, order)
#define _mm512_stream_si512(p, a) emulate_stream_si512(p, a)

#endif
