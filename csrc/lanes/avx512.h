/* The vocabulary of lanes in AVX-512 (F, DQ, BW, VL; FMA and AES-NI): one 512-bit register for each type, and mask
 * registers.
 *
 * Every word and its meaning stands in scalar.h; each has the same bits here, NaN payloads aside. MAXPD and MINPD
 * return their second operand where the comparison is false, as vd_max and vd_min do.
 * With VAES one instruction makes a round of AES on four blocks, otherwise on one.
 * With SC_EMULATE_AVX512 the intrinsics are C functions, so that tests run these lanes on a CPU without AVX-512.
 */
#ifndef SC_LANES_AVX512_H
#define SC_LANES_AVX512_H

#if defined(SC_EMULATE_AVX512)
#include "../../tests/emulate_avx512.h"
#else
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

typedef __m512d vd;
typedef __m512i vl;
typedef __m512 vf;
typedef __m512i vw;
typedef __mmask8 vm;
typedef __mmask16 vn;
typedef __mmask32 vb;

#define SC_WORD static inline __attribute__((always_inline))

#include "look_up.h"

/* ---- float64 ---------------------------------------------------------------------------------------------------- */
SC_WORD vd vd_set1(double x) { return _mm512_set1_pd(x); }
SC_WORD vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
SC_WORD void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
SC_WORD vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
SC_WORD vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
SC_WORD vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
SC_WORD vd vd_div(vd a, vd b) { return _mm512_div_pd(a, b); }
SC_WORD vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
SC_WORD vd vd_sqrt(vd a) { return _mm512_sqrt_pd(a); }
SC_WORD vd vd_abs(vd a) { return _mm512_andnot_pd(_mm512_set1_pd(-0.0), a); }
SC_WORD vd vd_neg(vd a) { return _mm512_xor_pd(_mm512_set1_pd(-0.0), a); }
SC_WORD vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
SC_WORD vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
SC_WORD vd vd_copysign(vd a, vd b)
{
    __m512d sign = _mm512_set1_pd(-0.0);
    return _mm512_or_pd(_mm512_andnot_pd(sign, a), _mm512_and_pd(sign, b));
}
SC_WORD vm vd_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
SC_WORD vm vd_le(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
SC_WORD vm vd_eq(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
SC_WORD vd vd_select(vm m, vd a, vd b) { return _mm512_mask_blend_pd(m, b, a); }
SC_WORD vd vd_load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
SC_WORD vd vd_load_i32(const int32_t *p) { return _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *)p)); }
SC_WORD vd vd_load_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
SC_WORD int vm_any(vm m) { return m != 0; }
SC_WORD vm vm_and(vm a, vm b) { return (vm)(a & b); }
SC_WORD vm vm_or(vm a, vm b) { return (vm)(a | b); }

/* ---- uint64 ----------------------------------------------------------------------------------------------------- */
SC_WORD vl vl_set1(uint64_t x) { return _mm512_set1_epi64((int64_t)x); }
SC_WORD vl vl_load(const uint64_t *p) { return _mm512_loadu_si512(p); }
SC_WORD void vl_store(uint64_t *p, vl a) { _mm512_storeu_si512(p, a); }
SC_WORD vl vl_load_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
SC_WORD void vl_store_bytes(uint8_t *p, vl a) { _mm512_storeu_si512(p, a); }
SC_WORD void vl_store_halves(uint8_t *low, uint8_t *high, vl a)
{
    _mm256_storeu_si256((__m256i *)low, _mm512_castsi512_si256(a));
    _mm256_storeu_si256((__m256i *)high, _mm512_extracti64x4_epi64(a, 1));
}
/* Rows in pairs, fours and eights, the bytes of even lanes in the first four of y and of odd ones in the others. */
SC_WORD void vl_transpose_bytes(vl x[8])
{
    __m512i y[8], z[8];
    for (int i = 0; i < 4; i++) {
        y[i] = _mm512_unpacklo_epi8(x[2 * i], x[2 * i + 1]);
        y[4 + i] = _mm512_unpackhi_epi8(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 8; i += 2) {
        z[i] = _mm512_unpacklo_epi16(y[i], y[i + 1]);
        z[i + 1] = _mm512_unpackhi_epi16(y[i], y[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            y[i + 2 * k] = _mm512_unpacklo_epi32(z[i + k], z[i + k + 2]);
            y[i + 2 * k + 1] = _mm512_unpackhi_epi32(z[i + k], z[i + k + 2]);
        }
    for (int k = 0; k < 4; k++) {
        x[2 * k] = _mm512_unpacklo_epi64(y[k], y[4 + k]);
        x[2 * k + 1] = _mm512_unpackhi_epi64(y[k], y[4 + k]);
    }
}
SC_WORD vl vl_add(vl a, vl b) { return _mm512_add_epi64(a, b); }
SC_WORD vl vl_sub(vl a, vl b) { return _mm512_sub_epi64(a, b); }
SC_WORD vl vl_and(vl a, vl b) { return _mm512_and_si512(a, b); }
SC_WORD vl vl_or(vl a, vl b) { return _mm512_or_si512(a, b); }
SC_WORD vl vl_xor(vl a, vl b) { return _mm512_xor_si512(a, b); }
#define vl_shl(a, n) _mm512_slli_epi64(a, n) /* n has to be an immediate */
#define vl_shr(a, n) _mm512_srli_epi64(a, n)
SC_WORD vl vl_from_bits(vd a) { return _mm512_castpd_si512(a); }
SC_WORD vd vd_from_bits(vl a) { return _mm512_castsi512_pd(a); }

/* ---- float32 ---------------------------------------------------------------------------------------------------- */
SC_WORD vf vf_set1(float x) { return _mm512_set1_ps(x); }
SC_WORD vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
SC_WORD void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
SC_WORD vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
SC_WORD vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
SC_WORD vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
SC_WORD vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
SC_WORD vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
SC_WORD vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
SC_WORD vf vf_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
SC_WORD vf vf_neg(vf a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
SC_WORD vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SC_WORD vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SC_WORD vf vf_copysign(vf a, vf b)
{
    __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}
SC_WORD vn vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SC_WORD vn vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
SC_WORD vn vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SC_WORD vf vf_select(vn m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
SC_WORD vf vf_load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
SC_WORD vd vf_lo_f64(vf a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
SC_WORD vd vf_hi_f64(vf a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
SC_WORD vf vf_narrow(vd a, vd b)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1);
}
SC_WORD vf vf_from_bits(vw a) { return _mm512_castsi512_ps(a); }
SC_WORD vw vw_from_bits(vf a) { return _mm512_castps_si512(a); }

/* ---- uint32 ----------------------------------------------------------------------------------------------------- */
SC_WORD vw vw_set1(uint32_t x) { return _mm512_set1_epi32((int32_t)x); }
SC_WORD vw vw_load(const uint32_t *p) { return _mm512_loadu_si512(p); }
SC_WORD void vw_store(uint32_t *p, vw a) { _mm512_storeu_si512(p, a); }
SC_WORD vw vw_add(vw a, vw b) { return _mm512_add_epi32(a, b); }
SC_WORD vw vw_sub(vw a, vw b) { return _mm512_sub_epi32(a, b); }
SC_WORD vw vw_and(vw a, vw b) { return _mm512_and_si512(a, b); }
SC_WORD vw vw_or(vw a, vw b) { return _mm512_or_si512(a, b); }
SC_WORD vw vw_xor(vw a, vw b) { return _mm512_xor_si512(a, b); }
#define vw_shl(a, n) _mm512_slli_epi32(a, n)
#define vw_shr(a, n) _mm512_srli_epi32(a, n)
SC_WORD vw vw_min(vw a, vw b) { return _mm512_min_epi32(a, b); }
SC_WORD vw vw_max(vw a, vw b) { return _mm512_max_epi32(a, b); }
SC_WORD vn vw_ltu(vw a, vw b) { return _mm512_cmplt_epu32_mask(a, b); }
SC_WORD vn vw_eq(vw a, vw b) { return _mm512_cmpeq_epi32_mask(a, b); }
SC_WORD vw vw_select(vn m, vw a, vw b) { return _mm512_mask_blend_epi32(m, b, a); }
SC_WORD vf vw_to_f32(vw a) { return _mm512_cvtepi32_ps(a); }
SC_WORD vw vf_to_i32(vf a) { return _mm512_cvttps_epi32(a); }
SC_WORD vd vw_lo_f64(vw a) { return _mm512_cvtepu32_pd(_mm512_castsi512_si256(a)); }
SC_WORD vd vw_hi_f64(vw a) { return _mm512_cvtepu32_pd(_mm512_extracti64x4_epi64(a, 1)); }
SC_WORD vl vw_lo_u64(vw a) { return _mm512_cvtepu32_epi64(_mm512_castsi512_si256(a)); }
SC_WORD vl vw_hi_u64(vw a) { return _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a, 1)); }
SC_WORD vn vn_and(vn a, vn b) { return (vn)(a & b); }
SC_WORD vn vn_or(vn a, vn b) { return (vn)(a | b); }
SC_WORD uint32_t vn_bits(vn m) { return m; }
SC_WORD void vn_store_u8(uint8_t *p, vn m) { _mm_storeu_si128((__m128i *)p, _mm_maskz_mov_epi8(m, _mm_set1_epi8(1))); }

SC_WORD void vw_store_u8(uint8_t *p, vw a)
{
    const __m256i half = _mm256_packus_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128((__m128i *)p, _mm_shuffle_epi32(bytes, 0xD8)); /* from lanes 0-3, 8-11; then 4-7, 12-15 */
}
SC_WORD void vw_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step, vw r[2])
{
    __m256i sum[4];
    sc_look_up(x, stride, n, t, step, sum);
    r[0] = _mm512_inserti64x4(_mm512_castsi256_si512(sum[0]), sum[1], 1);
    r[1] = _mm512_inserti64x4(_mm512_castsi256_si512(sum[2]), sum[3], 1);
}

/* ---- 32 truth values --------------------------------------------------------------------------------------------- */
SC_WORD vb vb_none(void) { return 0; }
SC_WORD vb vb_or(vb a, vb b) { return a | b; }
SC_WORD vb vb_load_u8(const uint8_t *p)
{
    return (vb)_mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_setzero_si256()));
}
SC_WORD void vb_store_u8(uint8_t *p, vb m)
{
    _mm256_storeu_si256((__m256i *)p, _mm256_maskz_mov_epi8(m, _mm256_set1_epi8(1)));
}
SC_WORD uint32_t vb_bits(vb m) { return m; }
SC_WORD __m512i sc_first16(vw a, vw b)
{
    static const int16_t high[32] = {1, 3,  5,  7,  17, 19, 21, 23, 33, 35, 37, 39, 49, 51, 53, 55,
                                     9, 11, 13, 15, 25, 27, 29, 31, 41, 43, 45, 47, 57, 59, 61, 63};
    return _mm512_permutex2var_epi16(a, _mm512_loadu_si512(high), b);
}
SC_WORD void vw_compare16(vw a, vw b, const int16_t *t, vb *less, vb *tied)
{
    const __m512i first = sc_first16(a, b), other = _mm512_loadu_si512(t);
    *less = _mm512_cmplt_epi16_mask(first, other);
    *tied = _mm512_cmpeq_epi16_mask(first, other);
}
SC_WORD void vw_count16(vw a, vw b, const int16_t *t, ptrdiff_t n, ptrdiff_t stride, int32_t *count, vb *tied)
{
    const __m512i first = sc_first16(a, b), one = _mm512_set1_epi16(1);
    __m512i sum = _mm512_setzero_si512();
    vb equal = 0;
    for (; n > 0; n--, t += stride) {
        const __m512i other = _mm512_loadu_si512(t);
        sum = _mm512_mask_add_epi16(sum, _mm512_cmplt_epi16_mask(other, first), sum, one);
        equal |= _mm512_cmpeq_epi16_mask(first, other);
    }
    _mm512_storeu_si512(count, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(sum)));
    _mm512_storeu_si512(count + 16, _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(sum, 1)));
    *tied = equal;
}

/* ---- words in groups -------------------------------------------------------------------------------------------- */
SC_WORD vw vw_group(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return _mm512_broadcast_i32x4(_mm_setr_epi32((int32_t)a, (int32_t)b, (int32_t)c, (int32_t)d));
}
SC_WORD vw vw_mul_even(vw a, vw b) { return _mm512_mul_epu32(a, b); }
SC_WORD vw vw_reverse4(vw a) { return _mm512_shuffle_epi32(a, _MM_PERM_ABCD); }
SC_WORD vw vw_odd_to_even(vw a) { return _mm512_srli_epi64(a, 32); }
SC_WORD vw vw_count(uint64_t block, uint32_t c2, uint32_t c3)
{
    int64_t upper = (int64_t)((uint64_t)c3 << 32 | c2);
    __m512i first = _mm512_broadcast_i32x4(_mm_set_epi64x(upper, (int64_t)block));
    return _mm512_add_epi64(first, _mm512_setr_epi64(0, 0, 1, 0, 2, 0, 3, 0));
}

SC_WORD vw vw_add64(vw a, vw b) { return _mm512_add_epi64(a, b); }
#if defined(__VAES__) && !defined(SC_EMULATE_AVX512)
SC_WORD vw vw_aes(vw a, vw key) { return _mm512_aesenc_epi128(a, key); }
SC_WORD vw vw_aes_last(vw a, vw key) { return _mm512_aesenclast_epi128(a, key); }
#else
#define SC_AES_128(f, a, b, i) f(_mm512_extracti32x4_epi32(a, i), _mm512_extracti32x4_epi32(b, i))
#define SC_EACH_128(f, a, b)                                                                                           \
    _mm512_inserti32x4(_mm512_inserti32x4(_mm512_inserti32x4(_mm512_castsi128_si512(SC_AES_128(f, a, b, 0)),           \
                                                             SC_AES_128(f, a, b, 1), 1),                               \
                                          SC_AES_128(f, a, b, 2), 2),                                                  \
                       SC_AES_128(f, a, b, 3), 3)
SC_WORD vw vw_aes(vw a, vw key) { return SC_EACH_128(_mm_aesenc_si128, a, key); }
SC_WORD vw vw_aes_last(vw a, vw key) { return SC_EACH_128(_mm_aesenclast_si128, a, key); }
#endif

/* ---- two words for each lane ------------------------------------------------------------------------------------ */
SC_WORD void vw_zip(vw low, vw high, vl r[2])
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    r[0] = _mm512_permutex2var_epi32(low, first, high);
    r[1] = _mm512_permutex2var_epi32(low, _mm512_add_epi32(first, _mm512_set1_epi32(8)), high);
}
SC_WORD void vw_u53(vw low, vw high, vd r[2])
{
    vl bits[2];
    vw_zip(low, high, bits);
    for (int i = 0; i < 2; i++)
        r[i] = _mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_srli_epi64(bits[i], 11)), _mm512_set1_pd(0x1p-53));
}
SC_WORD void vw_q53(vw low, vw high, vd r[2])
{
    vl bits[2];
    vw_zip(low, high, bits);
    for (int i = 0; i < 2; i++) {
        __m512i odd = _mm512_or_si512(_mm512_srli_epi64(bits[i], 10), _mm512_set1_epi64(1)); /* 2k + 1 */
        __m512i centred = _mm512_sub_epi64(odd, _mm512_set1_epi64(INT64_C(1) << 53));
        r[i] = _mm512_mul_pd(_mm512_cvtepi64_pd(centred), _mm512_set1_pd(0x1p-54));
    }
}

/* Eight rows, turned around as an 8 x 8 matrix: pairs of rows, pairs of pairs, then both halves. */
SC_WORD void sc_rows8(const double *table, const uint64_t at[8], vd c[8])
{
    __m512d a[8], b[8];
    for (int j = 0; j < 8; j++) a[j] = _mm512_loadu_pd(table + at[j]);
    for (int j = 0; j < 8; j += 2) { /* b[j]: columns 0 2 4 6 of rows j, j + 1; b[j + 1]: columns 1 3 5 7 */
        b[j] = _mm512_unpacklo_pd(a[j], a[j + 1]);
        b[j + 1] = _mm512_unpackhi_pd(a[j], a[j + 1]);
    }
    for (int j = 0; j < 2; j++) { /* of four rows each: columns j, j + 4; then j + 2, j + 6 */
        a[j] = _mm512_shuffle_f64x2(b[j], b[j + 2], 0x88);
        a[j + 2] = _mm512_shuffle_f64x2(b[j], b[j + 2], 0xdd);
        a[j + 4] = _mm512_shuffle_f64x2(b[j + 4], b[j + 6], 0x88);
        a[j + 6] = _mm512_shuffle_f64x2(b[j + 4], b[j + 6], 0xdd);
    }
    for (int j = 0; j < 2; j++) {
        c[j] = _mm512_shuffle_f64x2(a[j], a[j + 4], 0x88);
        c[j + 4] = _mm512_shuffle_f64x2(a[j], a[j + 4], 0xdd);
        c[j + 2] = _mm512_shuffle_f64x2(a[j + 2], a[j + 6], 0x88);
        c[j + 6] = _mm512_shuffle_f64x2(a[j + 2], a[j + 6], 0xdd);
    }
}

SC_WORD vd vd_row_polynomial(const double *table, const uint64_t at[8], const double x[8], const double fourth[8])
{
    vd c[8], y = vd_load(x), f = vd_load(fourth);
    sc_rows8(table, at, c);
    vd low = vd_fma(vd_fma(c[5], f, c[1]), y, vd_fma(c[4], f, c[0]));
    vd high = vd_fma(vd_fma(c[7], f, c[3]), y, vd_fma(c[6], f, c[2]));
    return vd_fma(high, vd_mul(y, y), low);
}

/* Rows i, i + 4, i + 8, i + 12 in one register, turned around four by four. */
SC_WORD vf vf_row_cubic(const float *table, const uint32_t at[16], vf x)
{
    __m512 r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_castps128_ps512(_mm_loadu_ps(table + at[i]));
        r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(table + at[i + 4]), 1);
        r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(table + at[i + 8]), 2);
        r[i] = _mm512_insertf32x4(r[i], _mm_loadu_ps(table + at[i + 12]), 3);
    }
    __m512 a = _mm512_unpacklo_ps(r[0], r[1]),
           b = _mm512_unpackhi_ps(r[0], r[1]); /* terms 0 1, terms 2 3 of two rows */
    __m512 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    __m512 c0 = _mm512_shuffle_ps(a, c, 0x44), c1 = _mm512_shuffle_ps(a, c, 0xee);
    __m512 c2 = _mm512_shuffle_ps(b, d, 0x44), c3 = _mm512_shuffle_ps(b, d, 0xee);
    return vf_fma(vf_fma(vf_fma(c3, x, c2), x, c1), x, c0);
}

#endif
