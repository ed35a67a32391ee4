/* The vocabulary of lanes in AVX-512 (F, DQ, BW, VL, and FMA): one 512-bit register for each type, and mask registers.
 *
 * Every word and its meaning stands in scalar.h; each has the same bits here, NaN payloads aside. MAXPD and MINPD
 * return their second operand where the comparison is false, as vd_max and vd_min do.
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

#define SC_WORD static inline __attribute__((always_inline))

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
#define vw_sra(a, n) _mm512_srai_epi32(a, n)
SC_WORD vn vw_ltu(vw a, vw b) { return _mm512_cmplt_epu32_mask(a, b); }
SC_WORD vn vw_eq(vw a, vw b) { return _mm512_cmpeq_epi32_mask(a, b); }
SC_WORD vw vw_select(vn m, vw a, vw b) { return _mm512_mask_blend_epi32(m, b, a); }
SC_WORD vf vw_to_f32(vw a) { return _mm512_cvtepi32_ps(a); }
SC_WORD vd vw_lo_f64(vw a) { return _mm512_cvtepu32_pd(_mm512_castsi512_si256(a)); }
SC_WORD vd vw_hi_f64(vw a) { return _mm512_cvtepu32_pd(_mm512_extracti64x4_epi64(a, 1)); }
SC_WORD vl vw_lo_u64(vw a) { return _mm512_cvtepu32_epi64(_mm512_castsi512_si256(a)); }
SC_WORD vl vw_hi_u64(vw a) { return _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a, 1)); }
SC_WORD vn vn_and(vn a, vn b) { return (vn)(a & b); }
SC_WORD vn vn_or(vn a, vn b) { return (vn)(a | b); }
SC_WORD uint32_t vn_bits(vn m) { return m; }
SC_WORD void vn_store_u8(uint8_t *p, vn m) { _mm_storeu_si128((__m128i *)p, _mm_maskz_mov_epi8(m, _mm_set1_epi8(1))); }

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

#endif
