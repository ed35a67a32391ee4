/* The vocabulary of lanes in AVX2, FMA and AES-NI (-mavx2 -mfma -maes): a pair of 256-bit registers for each type.
 *
 * Every word and its meaning stands in scalar.h; each has the same bits here, NaN payloads aside. A lane of a mask is
 * all ones or all zeros. What AVX2 lacks is made from what it has:
 *   unsigned less-than   flip the top bit of both sides, then compare as signed;
 *   uint32 to float64    0x43300000 above the word is the float64 2^52 + word, exactly; subtract 2^52;
 *   two words to float64 52 bits of the float64 are words as they come, under an exponent that gives them their place;
 *                        the exponents are taken away again by exact differences;
 *   one byte per lane    two saturating packs, which leave groups of four in the order 0 2 1 3: one shuffle rights it.
 * With VAES (-mvaes) one instruction makes a round of AES on two blocks, otherwise on one.
 * MAXPD and MINPD return their second operand where the comparison is false, as vd_max and vd_min do.
 */
#ifndef SC_LANES_AVX2_H
#define SC_LANES_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
typedef struct { __m256d lo, hi; } vd;
typedef struct { __m256i lo, hi; } vl;
typedef struct { __m256 lo, hi; } vf;
typedef struct { __m256i lo, hi; } vw;
typedef struct { __m256d lo, hi; } vm;
typedef struct { __m256i lo, hi; } vn;
typedef __m256i vb;

/* A word that is not inlined would pass its pair through memory. */
#define SC_WORD static inline __attribute__((always_inline))

#include "look_up.h"

/* Both halves of r = f(a), f(a, b), f(a, b, c), or f(a, n) with a constant n. */
#define SC_HALVES1(type, f, a) return (type){f((a).lo), f((a).hi)}
#define SC_HALVES2(type, f, a, b) return (type){f((a).lo, (b).lo), f((a).hi, (b).hi)}
#define SC_HALVES3(type, f, a, b, c) return (type){f((a).lo, (b).lo, (c).lo), f((a).hi, (b).hi, (c).hi)}
#define SC_HALVES_N(type, f, a, n) return (type){f((a).lo, n), f((a).hi, n)}
#define SC_COMPARE_PD(a, b, how)                                                                                       \
    return (vm){_mm256_cmp_pd((a).lo, (b).lo, how), _mm256_cmp_pd((a).hi, (b).hi, how)}
#define SC_COMPARE_PS(a, b, how)                                                                                       \
    return (vn){_mm256_castps_si256(_mm256_cmp_ps((a).lo, (b).lo, how)),                                               \
                _mm256_castps_si256(_mm256_cmp_ps((a).hi, (b).hi, how))}
/* clang-format on */

/* ---- float64 ---------------------------------------------------------------------------------------------------- */
SC_WORD vd vd_set1(double x) { return (vd){_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
SC_WORD vd vd_load(const double *p) { return (vd){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
SC_WORD void vd_store(double *p, vd a)
{
    _mm256_storeu_pd(p, a.lo);
    _mm256_storeu_pd(p + 4, a.hi);
}
SC_WORD vd vd_add(vd a, vd b) { SC_HALVES2(vd, _mm256_add_pd, a, b); }
SC_WORD vd vd_sub(vd a, vd b) { SC_HALVES2(vd, _mm256_sub_pd, a, b); }
SC_WORD vd vd_mul(vd a, vd b) { SC_HALVES2(vd, _mm256_mul_pd, a, b); }
SC_WORD vd vd_div(vd a, vd b) { SC_HALVES2(vd, _mm256_div_pd, a, b); }
SC_WORD vd vd_fma(vd a, vd b, vd c) { SC_HALVES3(vd, _mm256_fmadd_pd, a, b, c); }
SC_WORD vd vd_sqrt(vd a) { SC_HALVES1(vd, _mm256_sqrt_pd, a); }
SC_WORD vd vd_abs(vd a)
{
    vd sign = vd_set1(-0.0);
    SC_HALVES2(vd, _mm256_andnot_pd, sign, a);
}
SC_WORD vd vd_neg(vd a)
{
    vd sign = vd_set1(-0.0);
    SC_HALVES2(vd, _mm256_xor_pd, sign, a);
}
SC_WORD vd vd_max(vd a, vd b) { SC_HALVES2(vd, _mm256_max_pd, a, b); }
SC_WORD vd vd_min(vd a, vd b) { SC_HALVES2(vd, _mm256_min_pd, a, b); }
SC_WORD vd vd_copysign(vd a, vd b)
{
    __m256d sign = _mm256_set1_pd(-0.0);
    return (vd){_mm256_or_pd(_mm256_andnot_pd(sign, a.lo), _mm256_and_pd(sign, b.lo)),
                _mm256_or_pd(_mm256_andnot_pd(sign, a.hi), _mm256_and_pd(sign, b.hi))};
}
SC_WORD vm vd_lt(vd a, vd b) { SC_COMPARE_PD(a, b, _CMP_LT_OQ); }
SC_WORD vm vd_le(vd a, vd b) { SC_COMPARE_PD(a, b, _CMP_LE_OQ); }
SC_WORD vm vd_eq(vd a, vd b) { SC_COMPARE_PD(a, b, _CMP_EQ_OQ); }
SC_WORD vd vd_select(vm m, vd a, vd b) { SC_HALVES3(vd, _mm256_blendv_pd, b, a, m); }
SC_WORD __m128i sc_load4(const uint8_t *p) /* 4 bytes */
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm_cvtsi32_si128(x);
}
SC_WORD vd vd_load_u8(const uint8_t *p)
{
    return (vd){_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(sc_load4(p))),
                _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(sc_load4(p + 4)))};
}
SC_WORD vd vd_load_i32(const int32_t *p)
{
    return (vd){_mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)p)),
                _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(p + 4)))};
}
SC_WORD vd vd_load_f32(const float *p)
{
    return (vd){_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))};
}
SC_WORD int vm_any(vm m) { return _mm256_movemask_pd(_mm256_or_pd(m.lo, m.hi)) != 0; }
SC_WORD vm vm_and(vm a, vm b) { SC_HALVES2(vm, _mm256_and_pd, a, b); }
SC_WORD vm vm_or(vm a, vm b) { SC_HALVES2(vm, _mm256_or_pd, a, b); }

/* ---- uint64 ----------------------------------------------------------------------------------------------------- */
SC_WORD vl vl_set1(uint64_t x) { return (vl){_mm256_set1_epi64x((int64_t)x), _mm256_set1_epi64x((int64_t)x)}; }
SC_WORD vl vl_load(const uint64_t *p)
{
    return (vl){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 4))};
}
SC_WORD void vl_store(uint64_t *p, vl a)
{
    _mm256_storeu_si256((__m256i *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(p + 4), a.hi);
}
SC_WORD vl vl_load_bytes(const uint8_t *p)
{
    return (vl){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32))};
}
SC_WORD void vl_store_bytes(uint8_t *p, vl a)
{
    _mm256_storeu_si256((__m256i *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(p + 32), a.hi);
}
SC_WORD void vl_store_halves(uint8_t *low, uint8_t *high, vl a)
{
    _mm256_storeu_si256((__m256i *)low, a.lo);
    _mm256_storeu_si256((__m256i *)high, a.hi);
}
/* Rows in pairs, fours and eights, the bytes of even lanes in the first four of y and of odd ones in the others. */
SC_WORD void sc_transpose_bytes(__m256i x[8])
{
    __m256i y[8], z[8];
    for (int i = 0; i < 4; i++) {
        y[i] = _mm256_unpacklo_epi8(x[2 * i], x[2 * i + 1]);
        y[4 + i] = _mm256_unpackhi_epi8(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 8; i += 2) {
        z[i] = _mm256_unpacklo_epi16(y[i], y[i + 1]);
        z[i + 1] = _mm256_unpackhi_epi16(y[i], y[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            y[i + 2 * k] = _mm256_unpacklo_epi32(z[i + k], z[i + k + 2]);
            y[i + 2 * k + 1] = _mm256_unpackhi_epi32(z[i + k], z[i + k + 2]);
        }
    for (int k = 0; k < 4; k++) {
        x[2 * k] = _mm256_unpacklo_epi64(y[k], y[4 + k]);
        x[2 * k + 1] = _mm256_unpackhi_epi64(y[k], y[4 + k]);
    }
}
SC_WORD void vl_transpose_bytes(vl x[8])
{
    __m256i lo[8], hi[8];
    for (int r = 0; r < 8; r++) lo[r] = x[r].lo, hi[r] = x[r].hi;
    sc_transpose_bytes(lo), sc_transpose_bytes(hi);
    for (int r = 0; r < 8; r++) x[r] = (vl){lo[r], hi[r]};
}
SC_WORD vl vl_add(vl a, vl b) { SC_HALVES2(vl, _mm256_add_epi64, a, b); }
SC_WORD vl vl_sub(vl a, vl b) { SC_HALVES2(vl, _mm256_sub_epi64, a, b); }
SC_WORD vl vl_and(vl a, vl b) { SC_HALVES2(vl, _mm256_and_si256, a, b); }
SC_WORD vl vl_or(vl a, vl b) { SC_HALVES2(vl, _mm256_or_si256, a, b); }
SC_WORD vl vl_xor(vl a, vl b) { SC_HALVES2(vl, _mm256_xor_si256, a, b); }
SC_WORD vl vl_shl(vl a, int n) { SC_HALVES_N(vl, _mm256_slli_epi64, a, n); }
SC_WORD vl vl_shr(vl a, int n) { SC_HALVES_N(vl, _mm256_srli_epi64, a, n); }
SC_WORD vl vl_from_bits(vd a) { SC_HALVES1(vl, _mm256_castpd_si256, a); }
SC_WORD vd vd_from_bits(vl a) { SC_HALVES1(vd, _mm256_castsi256_pd, a); }

/* ---- float32 ---------------------------------------------------------------------------------------------------- */
SC_WORD vf vf_set1(float x) { return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SC_WORD vf vf_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SC_WORD void vf_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
SC_WORD vf vf_add(vf a, vf b) { SC_HALVES2(vf, _mm256_add_ps, a, b); }
SC_WORD vf vf_sub(vf a, vf b) { SC_HALVES2(vf, _mm256_sub_ps, a, b); }
SC_WORD vf vf_mul(vf a, vf b) { SC_HALVES2(vf, _mm256_mul_ps, a, b); }
SC_WORD vf vf_div(vf a, vf b) { SC_HALVES2(vf, _mm256_div_ps, a, b); }
SC_WORD vf vf_fma(vf a, vf b, vf c) { SC_HALVES3(vf, _mm256_fmadd_ps, a, b, c); }
SC_WORD vf vf_sqrt(vf a) { SC_HALVES1(vf, _mm256_sqrt_ps, a); }
SC_WORD vf vf_abs(vf a)
{
    vf sign = vf_set1(-0.0f);
    SC_HALVES2(vf, _mm256_andnot_ps, sign, a);
}
SC_WORD vf vf_neg(vf a)
{
    vf sign = vf_set1(-0.0f);
    SC_HALVES2(vf, _mm256_xor_ps, sign, a);
}
SC_WORD vf vf_max(vf a, vf b) { SC_HALVES2(vf, _mm256_max_ps, a, b); }
SC_WORD vf vf_min(vf a, vf b) { SC_HALVES2(vf, _mm256_min_ps, a, b); }
SC_WORD vf vf_copysign(vf a, vf b)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){_mm256_or_ps(_mm256_andnot_ps(sign, a.lo), _mm256_and_ps(sign, b.lo)),
                _mm256_or_ps(_mm256_andnot_ps(sign, a.hi), _mm256_and_ps(sign, b.hi))};
}
SC_WORD vn vf_lt(vf a, vf b) { SC_COMPARE_PS(a, b, _CMP_LT_OQ); }
SC_WORD vn vf_le(vf a, vf b) { SC_COMPARE_PS(a, b, _CMP_LE_OQ); }
SC_WORD vn vf_eq(vf a, vf b) { SC_COMPARE_PS(a, b, _CMP_EQ_OQ); }
SC_WORD vf vf_select(vn m, vf a, vf b)
{
    return (vf){_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(m.lo)),
                _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(m.hi))};
}
SC_WORD vf vf_load_u8(const uint8_t *p)
{
    return (vf){_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p))),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8))))};
}
SC_WORD vd sc_widen_ps(__m256 a)
{
    return (vd){_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
SC_WORD vd vf_lo_f64(vf a) { return sc_widen_ps(a.lo); }
SC_WORD vd vf_hi_f64(vf a) { return sc_widen_ps(a.hi); }
SC_WORD __m256 sc_narrow_pd(vd a) { return _mm256_set_m128(_mm256_cvtpd_ps(a.hi), _mm256_cvtpd_ps(a.lo)); }
SC_WORD vf vf_narrow(vd a, vd b) { return (vf){sc_narrow_pd(a), sc_narrow_pd(b)}; }
SC_WORD vf vf_from_bits(vw a) { SC_HALVES1(vf, _mm256_castsi256_ps, a); }
SC_WORD vw vw_from_bits(vf a) { SC_HALVES1(vw, _mm256_castps_si256, a); }

/* ---- uint32 ----------------------------------------------------------------------------------------------------- */
SC_WORD vw vw_set1(uint32_t x) { return (vw){_mm256_set1_epi32((int32_t)x), _mm256_set1_epi32((int32_t)x)}; }
SC_WORD vw vw_load(const uint32_t *p)
{
    return (vw){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 8))};
}
SC_WORD void vw_store(uint32_t *p, vw a)
{
    _mm256_storeu_si256((__m256i *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(p + 8), a.hi);
}
SC_WORD vw vw_add(vw a, vw b) { SC_HALVES2(vw, _mm256_add_epi32, a, b); }
SC_WORD vw vw_sub(vw a, vw b) { SC_HALVES2(vw, _mm256_sub_epi32, a, b); }
SC_WORD vw vw_and(vw a, vw b) { SC_HALVES2(vw, _mm256_and_si256, a, b); }
SC_WORD vw vw_or(vw a, vw b) { SC_HALVES2(vw, _mm256_or_si256, a, b); }
SC_WORD vw vw_xor(vw a, vw b) { SC_HALVES2(vw, _mm256_xor_si256, a, b); }
SC_WORD vw vw_shl(vw a, int n) { SC_HALVES_N(vw, _mm256_slli_epi32, a, n); }
SC_WORD vw vw_shr(vw a, int n) { SC_HALVES_N(vw, _mm256_srli_epi32, a, n); }
SC_WORD vw vw_min(vw a, vw b) { SC_HALVES2(vw, _mm256_min_epi32, a, b); }
SC_WORD vw vw_max(vw a, vw b) { SC_HALVES2(vw, _mm256_max_epi32, a, b); }
SC_WORD vn vw_ltu(vw a, vw b)
{
    vw top = vw_set1(UINT32_C(1) << 31), x = vw_xor(a, top), y = vw_xor(b, top);
    SC_HALVES2(vn, _mm256_cmpgt_epi32, y, x);
}
SC_WORD vn vw_eq(vw a, vw b) { SC_HALVES2(vn, _mm256_cmpeq_epi32, a, b); }
SC_WORD vw vw_select(vn m, vw a, vw b) { SC_HALVES3(vw, _mm256_blendv_epi8, b, a, m); }
SC_WORD vf vw_to_f32(vw a) { SC_HALVES1(vf, _mm256_cvtepi32_ps, a); }
SC_WORD vw vf_to_i32(vf a) { SC_HALVES1(vw, _mm256_cvttps_epi32, a); }
SC_WORD vl sc_zip_epi32(__m256i a, __m256i high) /* each word of a below a word of `high`, whose words are all equal */
{
    __m256i halves = _mm256_permute4x64_epi64(a, 0xD8); /* words 0 1 4 5 and 2 3 6 7: unpack takes from both sides */
    return (vl){_mm256_unpacklo_epi32(halves, high), _mm256_unpackhi_epi32(halves, high)};
}
SC_WORD vd sc_widen_epu32(__m256i a)
{
    vd shifted = vd_from_bits(sc_zip_epi32(a, _mm256_set1_epi32(0x43300000)));
    return vd_sub(shifted, vd_set1(0x1p52));
}
SC_WORD vd vw_lo_f64(vw a) { return sc_widen_epu32(a.lo); }
SC_WORD vd vw_hi_f64(vw a) { return sc_widen_epu32(a.hi); }
SC_WORD vl vw_lo_u64(vw a) { return sc_zip_epi32(a.lo, _mm256_setzero_si256()); }
SC_WORD vl vw_hi_u64(vw a) { return sc_zip_epi32(a.hi, _mm256_setzero_si256()); }
SC_WORD vn vn_and(vn a, vn b) { SC_HALVES2(vn, _mm256_and_si256, a, b); }
SC_WORD vn vn_or(vn a, vn b) { SC_HALVES2(vn, _mm256_or_si256, a, b); }
SC_WORD uint32_t vn_bits(vn m)
{
    uint32_t lo = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m.lo));
    uint32_t hi = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m.hi));
    return lo | hi << 8;
}
SC_WORD void vn_store_u8(uint8_t *p, vn m)
{
    __m256i half = _mm256_packs_epi32(m.lo, m.hi); /* lanes 0-3, 8-11; then 4-7, 12-15 */
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    bytes = _mm_and_si128(_mm_shuffle_epi32(bytes, 0xD8), _mm_set1_epi8(1));
    _mm_storeu_si128((__m128i *)p, bytes);
}

SC_WORD void vw_store_u8(uint8_t *p, vw a)
{
    const __m256i half = _mm256_packus_epi32(a.lo, a.hi); /* lanes 0-3, 8-11; then 4-7, 12-15 */
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128((__m128i *)p, _mm_shuffle_epi32(bytes, 0xD8));
}
SC_WORD void vw_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step, vw r[2])
{
    __m256i sum[4];
    sc_look_up(x, stride, n, t, step, sum);
    r[0] = (vw){sum[0], sum[1]}, r[1] = (vw){sum[2], sum[3]};
}

/* ---- 32 truth values --------------------------------------------------------------------------------------------- */
SC_WORD vb vb_none(void) { return _mm256_setzero_si256(); }
SC_WORD vb vb_or(vb a, vb b) { return _mm256_or_si256(a, b); }
SC_WORD vb vb_load_u8(const uint8_t *p)
{
    return _mm256_cmpgt_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_setzero_si256());
}
SC_WORD void vb_store_u8(uint8_t *p, vb m)
{
    _mm256_storeu_si256((__m256i *)p, _mm256_and_si256(m, _mm256_set1_epi8(1)));
}
SC_WORD uint32_t vb_bits(vb m) { return (uint32_t)_mm256_movemask_epi8(m); }
/* The high halves of two words in one, words 0 to 3 and 4 to 7 of eight on each side. */
SC_WORD __m256i sc_high_halves(__m256i a, __m256i b)
{
    const __m256i both = _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xAA);
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    return _mm256_shuffle_epi8(both, _mm256_broadcastsi128_si256(order));
}
SC_WORD __m256i sc_load_two(const int16_t *p) /* eight, and the eight that follow 16 later */
{
    const __m128i low = _mm_loadu_si128((const __m128i *)p), high = _mm_loadu_si128((const __m128i *)(p + 16));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
/* Differences keep their signs, and stay apart from 0, when they saturate to 16 bits and to 8. */
SC_WORD void vw_compare16(vw a, vw b, const int16_t *t, vb *less, vb *tied)
{
    const __m256i x = _mm256_subs_epi16(sc_high_halves(a.lo, a.hi), sc_load_two(t));
    const __m256i y = _mm256_subs_epi16(sc_high_halves(b.lo, b.hi), sc_load_two(t + 8));
    const __m256i bytes = _mm256_packs_epi16(x, y);
    *less = _mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes);
    *tied = _mm256_cmpeq_epi8(_mm256_setzero_si256(), bytes);
}
/* In two halves of 16, in order: thresholds are read whole. */
SC_WORD void vw_count16(vw a, vw b, const int16_t *t, ptrdiff_t n, ptrdiff_t stride, int32_t *count, vb *tied)
{
    const __m256i x = sc_high_halves(a.lo, a.hi), y = sc_high_halves(b.lo, b.hi);
    const __m256i low = _mm256_permute2x128_si256(x, y, 0x20), high = _mm256_permute2x128_si256(x, y, 0x31);
    __m256i c0 = _mm256_setzero_si256(), c1 = c0, t0 = c0, t1 = c0;
    for (; n > 0; n--, t += stride) { /* a true lane is -1 */
        const __m256i p = _mm256_loadu_si256((const __m256i *)t), q = _mm256_loadu_si256((const __m256i *)(t + 16));
        c0 = _mm256_sub_epi16(c0, _mm256_cmpgt_epi16(low, p)), c1 = _mm256_sub_epi16(c1, _mm256_cmpgt_epi16(high, q));
        t0 = _mm256_or_si256(t0, _mm256_cmpeq_epi16(low, p)), t1 = _mm256_or_si256(t1, _mm256_cmpeq_epi16(high, q));
    }
    _mm256_storeu_si256((__m256i *)count, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(c0)));
    _mm256_storeu_si256((__m256i *)(count + 8), _mm256_cvtepi16_epi32(_mm256_extracti128_si256(c0, 1)));
    _mm256_storeu_si256((__m256i *)(count + 16), _mm256_cvtepi16_epi32(_mm256_castsi256_si128(c1)));
    _mm256_storeu_si256((__m256i *)(count + 24), _mm256_cvtepi16_epi32(_mm256_extracti128_si256(c1, 1)));
    *tied = _mm256_permute4x64_epi64(_mm256_packs_epi16(t0, t1), 0xD8);
}

/* ---- words in groups -------------------------------------------------------------------------------------------- */
SC_WORD vw vw_group(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    __m256i g = _mm256_broadcastsi128_si256(_mm_setr_epi32((int32_t)a, (int32_t)b, (int32_t)c, (int32_t)d));
    return (vw){g, g};
}
SC_WORD vw vw_mul_even(vw a, vw b) { SC_HALVES2(vw, _mm256_mul_epu32, a, b); }
SC_WORD vw vw_reverse4(vw a) { SC_HALVES_N(vw, _mm256_shuffle_epi32, a, 0x1B); }
SC_WORD vw vw_odd_to_even(vw a) { SC_HALVES_N(vw, _mm256_srli_epi64, a, 32); }
SC_WORD vw vw_count(uint64_t block, uint32_t c2, uint32_t c3)
{
    int64_t upper = (int64_t)((uint64_t)c3 << 32 | c2);
    __m256i first = _mm256_broadcastsi128_si256(_mm_set_epi64x(upper, (int64_t)block));
    return (vw){_mm256_add_epi64(first, _mm256_setr_epi64x(0, 0, 1, 0)),
                _mm256_add_epi64(first, _mm256_setr_epi64x(2, 0, 3, 0))};
}

SC_WORD vw vw_add64(vw a, vw b) { SC_HALVES2(vw, _mm256_add_epi64, a, b); }
#ifdef __VAES__
SC_WORD vw vw_aes(vw a, vw key) { SC_HALVES2(vw, _mm256_aesenc_epi128, a, key); }
SC_WORD vw vw_aes_last(vw a, vw key) { SC_HALVES2(vw, _mm256_aesenclast_epi128, a, key); }
#else
#define SC_EACH_128(f, a, b)                                                                                           \
    _mm256_inserti128_si256(_mm256_castsi128_si256(f(_mm256_castsi256_si128(a), _mm256_castsi256_si128(b))),           \
                            f(_mm256_extracti128_si256(a, 1), _mm256_extracti128_si256(b, 1)), 1)
SC_WORD vw vw_aes(vw a, vw key)
{
    return (vw){SC_EACH_128(_mm_aesenc_si128, a.lo, key.lo), SC_EACH_128(_mm_aesenc_si128, a.hi, key.hi)};
}
SC_WORD vw vw_aes_last(vw a, vw key)
{
    return (vw){SC_EACH_128(_mm_aesenclast_si128, a.lo, key.lo), SC_EACH_128(_mm_aesenclast_si128, a.hi, key.hi)};
}
#endif

/* ---- two words for each lane ------------------------------------------------------------------------------------ */
/* Unpacking leaves words 0 1 4 5 and 2 3 6 7. */
SC_WORD vl sc_unpack(__m256i low, __m256i high)
{
    return (vl){_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high)};
}
SC_WORD vd sc_in_order(vd a)
{
    return (vd){_mm256_permute2f128_pd(a.lo, a.hi, 0x20), _mm256_permute2f128_pd(a.lo, a.hi, 0x31)};
}
SC_WORD void vw_zip(vw low, vw high, vl r[2])
{
    r[0] = vl_from_bits(sc_in_order(vd_from_bits(sc_unpack(low.lo, high.lo))));
    r[1] = vl_from_bits(sc_in_order(vd_from_bits(sc_unpack(low.hi, high.hi))));
}
/* Under the exponent of 2^20 the high word counts in units of 2^-32, under that of 2^-12 the low word in 2^-64. Of the
 * low one 21 bits stay, over `below`. Both differences are exact: everything is a multiple of 2^-54 below 2^21. */
SC_WORD vd sc_join(__m256i low, __m256i high, uint32_t below, double less)
{
    __m256i kept = _mm256_and_si256(low, _mm256_set1_epi32(-(1 << 11)));
    if (below) kept = _mm256_or_si256(kept, _mm256_set1_epi32((int32_t)below));
    vd a = vd_from_bits(sc_unpack(high, _mm256_set1_epi32(0x41300000)));
    vd b = vd_from_bits(sc_unpack(kept, _mm256_set1_epi32(0x3f300000)));
    return sc_in_order(vd_add(vd_sub(a, vd_set1(0x1p20 + 0x1p-12 + less)), b));
}
SC_WORD void vw_u53(vw low, vw high, vd r[2])
{
    r[0] = sc_join(low.lo, high.lo, 0, 0.0);
    r[1] = sc_join(low.hi, high.hi, 0, 0.0);
}
SC_WORD void vw_q53(vw low, vw high, vd r[2])
{
    r[0] = sc_join(low.lo, high.lo, 1 << 10, 0.5);
    r[1] = sc_join(low.hi, high.hi, 1 << 10, 0.5);
}

/* Four rows: the terms i and i + 4 of a row in one fma for all i, then its pairs, turned around, for all rows. */
SC_WORD __m256d sc_four_polynomials(const double *table, const uint64_t at[4], const double x[4],
                                    const double fourth[4])
{
    __m256d square = _mm256_loadu_pd(x), s[4];
    square = _mm256_mul_pd(square, square);
    for (int i = 0; i < 4; i++) {
        const double *c = table + at[i];
        s[i] = _mm256_fmadd_pd(_mm256_loadu_pd(c + 4), _mm256_set1_pd(fourth[i]), _mm256_loadu_pd(c));
    }
    for (int i = 0; i < 4; i += 2) { /* s[i]: terms 0 + 1 of rows i, i + 1, then their terms 2 + 3 */
        __m128d pair = _mm_loadu_pd(x + i);
        __m256d both = _mm256_set_m128d(pair, pair);
        s[i] = _mm256_fmadd_pd(_mm256_unpackhi_pd(s[i], s[i + 1]), both, _mm256_unpacklo_pd(s[i], s[i + 1]));
    }
    return _mm256_fmadd_pd(_mm256_permute2f128_pd(s[0], s[2], 0x31), square, _mm256_permute2f128_pd(s[0], s[2], 0x20));
}
SC_WORD vd vd_row_polynomial(const double *table, const uint64_t at[8], const double x[8], const double fourth[8])
{
    return (vd){sc_four_polynomials(table, at, x, fourth), sc_four_polynomials(table, at + 4, x + 4, fourth + 4)};
}

SC_WORD __m256 sc_eight_cubics(const float *table, const uint32_t at[8], __m256 x)
{
    __m256 r[4]; /* rows i and i + 4 */
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_blend_ps(_mm256_castps128_ps256(_mm_loadu_ps(table + at[i])),
                               _mm256_broadcast_ps((const __m128 *)(const void *)(table + at[i + 4])), 0xf0);
    __m256 a = _mm256_unpacklo_ps(r[0], r[1]),
           b = _mm256_unpackhi_ps(r[0], r[1]); /* terms 0 1, terms 2 3 of two rows */
    __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
    __m256 c0 = _mm256_shuffle_ps(a, c, 0x44), c1 = _mm256_shuffle_ps(a, c, 0xee);
    __m256 c2 = _mm256_shuffle_ps(b, d, 0x44), c3 = _mm256_shuffle_ps(b, d, 0xee);
    return _mm256_fmadd_ps(_mm256_fmadd_ps(_mm256_fmadd_ps(c3, x, c2), x, c1), x, c0);
}
SC_WORD vf vf_row_cubic(const float *table, const uint32_t at[16], vf x)
{
    return (vf){sc_eight_cubics(table, at, x.lo), sc_eight_cubics(table, at + 8, x.hi)};
}

#endif
