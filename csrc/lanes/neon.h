/* The vocabulary of lanes in AArch64 NEON with the AES instructions (-march=armv8-a+crypto): four 128-bit registers for
 * each type.
 *
 * Every word and its meaning stands in scalar.h; each has the same bits here, NaN payloads aside. A lane of a mask is
 * all ones or all zeros. Where NEON differs from the promise, the word is made of other instructions:
 *   max and min        FMAX gives NaN where either is NaN, so these compare and select;
 *   shift right by 0   USHR by an immediate begins at 1; C's own shift of vectors takes 0 too, and becomes USHR;
 *   mask to bits       there is no movemask: each lane keeps a bit of its own, and one sum across lanes collects them;
 *   AES                AESE adds the key before SubBytes, x86's AESENC after MixColumns: AESE gets the key 0 and the
 *                      key is added last (clang moves that into the next round's AESE).
 */
#ifndef SC_LANES_NEON_H
#define SC_LANES_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
typedef struct { float64x2_t q0, q1, q2, q3; } vd;
typedef struct { uint64x2_t q0, q1, q2, q3; } vl;
typedef struct { float32x4_t q0, q1, q2, q3; } vf;
typedef struct { uint32x4_t q0, q1, q2, q3; } vw;
typedef struct { uint64x2_t q0, q1, q2, q3; } vm;
typedef struct { uint32x4_t q0, q1, q2, q3; } vn;
typedef struct { uint8x16_t q0, q1; } vb;

/* A word that is not inlined would pass its registers through memory. scq_ is a word of one register. */
#define SC_WORD static inline __attribute__((always_inline))

/* The four quarters of r = f(a), f(a, b), f(a, b, c); or of a vector operator; or f of p, p + step, .. */
#define SC_QUARTERS1(type, f, a) return (type){f((a).q0), f((a).q1), f((a).q2), f((a).q3)}
#define SC_QUARTERS2(type, f, a, b)                                                                                    \
    return (type){f((a).q0, (b).q0), f((a).q1, (b).q1), f((a).q2, (b).q2), f((a).q3, (b).q3)}
#define SC_QUARTERS3(type, f, a, b, c)                                                                                 \
    return (type){f((a).q0, (b).q0, (c).q0), f((a).q1, (b).q1, (c).q1), f((a).q2, (b).q2, (c).q2),                     \
                  f((a).q3, (b).q3, (c).q3)}
#define SC_QUARTERS_SAME(type, x) return (type){x, x, x, x}
#define SC_QUARTERS_FROM(type, f, p, step)                                                                             \
    return (type){f(p), f((p) + (step)), f((p) + 2 * (step)), f((p) + 3 * (step))}
#define SC_QUARTERS_TO(f, p, step, a)                                                                                  \
    (f(p, (a).q0), f((p) + (step), (a).q1), f((p) + 2 * (step), (a).q2), f((p) + 3 * (step), (a).q3))
/* clang-format on */

/* ---- float64 ---------------------------------------------------------------------------------------------------- */
SC_WORD vd vd_set1(double x) { SC_QUARTERS_SAME(vd, vdupq_n_f64(x)); }
SC_WORD vd vd_load(const double *p) { SC_QUARTERS_FROM(vd, vld1q_f64, p, 2); }
SC_WORD void vd_store(double *p, vd a) { SC_QUARTERS_TO(vst1q_f64, p, 2, a); }
SC_WORD vd vd_add(vd a, vd b) { SC_QUARTERS2(vd, vaddq_f64, a, b); }
SC_WORD vd vd_sub(vd a, vd b) { SC_QUARTERS2(vd, vsubq_f64, a, b); }
SC_WORD vd vd_mul(vd a, vd b) { SC_QUARTERS2(vd, vmulq_f64, a, b); }
SC_WORD vd vd_div(vd a, vd b) { SC_QUARTERS2(vd, vdivq_f64, a, b); }
SC_WORD vd vd_fma(vd a, vd b, vd c) { SC_QUARTERS3(vd, vfmaq_f64, c, a, b); } /* NEON names the addend first */
SC_WORD vd vd_sqrt(vd a) { SC_QUARTERS1(vd, vsqrtq_f64, a); }
SC_WORD vd vd_abs(vd a) { SC_QUARTERS1(vd, vabsq_f64, a); }
SC_WORD vd vd_neg(vd a) { SC_QUARTERS1(vd, vnegq_f64, a); }
SC_WORD vm vd_lt(vd a, vd b) { SC_QUARTERS2(vm, vcltq_f64, a, b); }
SC_WORD vm vd_le(vd a, vd b) { SC_QUARTERS2(vm, vcleq_f64, a, b); }
SC_WORD vm vd_eq(vd a, vd b) { SC_QUARTERS2(vm, vceqq_f64, a, b); }
SC_WORD vd vd_select(vm m, vd a, vd b) { SC_QUARTERS3(vd, vbslq_f64, m, a, b); }
SC_WORD vd vd_max(vd a, vd b) { return vd_select(vd_lt(b, a), a, b); }
SC_WORD vd vd_min(vd a, vd b) { return vd_select(vd_lt(a, b), a, b); }
SC_WORD vd vd_copysign(vd a, vd b)
{
    const uint64x2_t sign = vdupq_n_u64(UINT64_C(1) << 63);
    return vd_select((vm){sign, sign, sign, sign}, b, a);
}
SC_WORD vl sc_widen_u32(uint32x4_t a, uint32x4_t b)
{
    return (vl){vmovl_u32(vget_low_u32(a)), vmovl_high_u32(a), vmovl_u32(vget_low_u32(b)), vmovl_high_u32(b)};
}
SC_WORD vd vd_load_u8(const uint8_t *p)
{
    uint16x8_t x = vmovl_u8(vld1_u8(p));
    vl wide = sc_widen_u32(vmovl_u16(vget_low_u16(x)), vmovl_high_u16(x));
    SC_QUARTERS1(vd, vcvtq_f64_u64, wide);
}
SC_WORD vd vd_load_i32(const int32_t *p)
{
    int32x4_t a = vld1q_s32(p), b = vld1q_s32(p + 4);
    return (vd){vcvtq_f64_s64(vmovl_s32(vget_low_s32(a))), vcvtq_f64_s64(vmovl_high_s32(a)),
                vcvtq_f64_s64(vmovl_s32(vget_low_s32(b))), vcvtq_f64_s64(vmovl_high_s32(b))};
}
SC_WORD vd sc_widen_f32(float32x4_t a, float32x4_t b)
{
    return (vd){vcvt_f64_f32(vget_low_f32(a)), vcvt_high_f64_f32(a), vcvt_f64_f32(vget_low_f32(b)),
                vcvt_high_f64_f32(b)};
}
SC_WORD vd vd_load_f32(const float *p) { return sc_widen_f32(vld1q_f32(p), vld1q_f32(p + 4)); }
SC_WORD int vm_any(vm m)
{
    uint64x2_t any = vorrq_u64(vorrq_u64(m.q0, m.q1), vorrq_u64(m.q2, m.q3));
    return vmaxvq_u32(vreinterpretq_u32_u64(any)) != 0;
}
SC_WORD vm vm_and(vm a, vm b) { SC_QUARTERS2(vm, vandq_u64, a, b); }
SC_WORD vm vm_or(vm a, vm b) { SC_QUARTERS2(vm, vorrq_u64, a, b); }

/* ---- uint64 ----------------------------------------------------------------------------------------------------- */
SC_WORD vl vl_set1(uint64_t x) { SC_QUARTERS_SAME(vl, vdupq_n_u64(x)); }
SC_WORD vl vl_load(const uint64_t *p) { SC_QUARTERS_FROM(vl, vld1q_u64, p, 2); }
SC_WORD void vl_store(uint64_t *p, vl a) { SC_QUARTERS_TO(vst1q_u64, p, 2, a); }
SC_WORD vl vl_load_bytes(const uint8_t *p)
{
    return (vl){vreinterpretq_u64_u8(vld1q_u8(p)), vreinterpretq_u64_u8(vld1q_u8(p + 16)),
                vreinterpretq_u64_u8(vld1q_u8(p + 32)), vreinterpretq_u64_u8(vld1q_u8(p + 48))};
}
SC_WORD void vl_store_bytes(uint8_t *p, vl a)
{
    vst1q_u8(p, vreinterpretq_u8_u64(a.q0));
    vst1q_u8(p + 16, vreinterpretq_u8_u64(a.q1));
    vst1q_u8(p + 32, vreinterpretq_u8_u64(a.q2));
    vst1q_u8(p + 48, vreinterpretq_u8_u64(a.q3));
}
SC_WORD void vl_store_halves(uint8_t *low, uint8_t *high, vl a)
{
    vst1q_u8(low, vreinterpretq_u8_u64(a.q0));
    vst1q_u8(low + 16, vreinterpretq_u8_u64(a.q1));
    vst1q_u8(high, vreinterpretq_u8_u64(a.q2));
    vst1q_u8(high + 16, vreinterpretq_u8_u64(a.q3));
}
/* Halves of rows that are four apart change places, then quarters of those two apart, then bytes of neighbours. */
SC_WORD void scq_transpose_bytes(uint64x2_t q[8])
{
    uint8x16_t x[8];
    for (int r = 0; r < 8; r++) x[r] = vreinterpretq_u8_u64(q[r]);
    for (int r = 0; r < 4; r++) {
        const uint32x4_t a = vreinterpretq_u32_u8(x[r]), b = vreinterpretq_u32_u8(x[r + 4]);
        x[r] = vreinterpretq_u8_u32(vtrn1q_u32(a, b)), x[r + 4] = vreinterpretq_u8_u32(vtrn2q_u32(a, b));
    }
    for (int r = 0; r < 8; r++) {
        if (r & 2) continue;
        const uint16x8_t a = vreinterpretq_u16_u8(x[r]), b = vreinterpretq_u16_u8(x[r + 2]);
        x[r] = vreinterpretq_u8_u16(vtrn1q_u16(a, b)), x[r + 2] = vreinterpretq_u8_u16(vtrn2q_u16(a, b));
    }
    for (int r = 0; r < 8; r += 2) {
        q[r] = vreinterpretq_u64_u8(vtrn1q_u8(x[r], x[r + 1]));
        q[r + 1] = vreinterpretq_u64_u8(vtrn2q_u8(x[r], x[r + 1]));
    }
}
SC_WORD void vl_transpose_bytes(vl x[8])
{
    uint64x2_t q[4][8];
    for (int r = 0; r < 8; r++) q[0][r] = x[r].q0, q[1][r] = x[r].q1, q[2][r] = x[r].q2, q[3][r] = x[r].q3;
    for (int i = 0; i < 4; i++) scq_transpose_bytes(q[i]);
    for (int r = 0; r < 8; r++) x[r] = (vl){q[0][r], q[1][r], q[2][r], q[3][r]};
}
SC_WORD vl vl_add(vl a, vl b) { SC_QUARTERS2(vl, vaddq_u64, a, b); }
SC_WORD vl vl_sub(vl a, vl b) { SC_QUARTERS2(vl, vsubq_u64, a, b); }
SC_WORD vl vl_and(vl a, vl b) { SC_QUARTERS2(vl, vandq_u64, a, b); }
SC_WORD vl vl_or(vl a, vl b) { SC_QUARTERS2(vl, vorrq_u64, a, b); }
SC_WORD vl vl_xor(vl a, vl b) { SC_QUARTERS2(vl, veorq_u64, a, b); }
SC_WORD vl vl_shl(vl a, int n)
{
    const uint64x2_t by = vdupq_n_u64((uint64_t)n);
    return (vl){a.q0 << by, a.q1 << by, a.q2 << by, a.q3 << by};
}
SC_WORD vl vl_shr(vl a, int n)
{
    const uint64x2_t by = vdupq_n_u64((uint64_t)n);
    return (vl){a.q0 >> by, a.q1 >> by, a.q2 >> by, a.q3 >> by};
}
SC_WORD vl vl_from_bits(vd a) { SC_QUARTERS1(vl, vreinterpretq_u64_f64, a); }
SC_WORD vd vd_from_bits(vl a) { SC_QUARTERS1(vd, vreinterpretq_f64_u64, a); }

/* ---- float32 ---------------------------------------------------------------------------------------------------- */
SC_WORD vf vf_set1(float x) { SC_QUARTERS_SAME(vf, vdupq_n_f32(x)); }
SC_WORD vf vf_load(const float *p) { SC_QUARTERS_FROM(vf, vld1q_f32, p, 4); }
SC_WORD void vf_store(float *p, vf a) { SC_QUARTERS_TO(vst1q_f32, p, 4, a); }
SC_WORD vf vf_add(vf a, vf b) { SC_QUARTERS2(vf, vaddq_f32, a, b); }
SC_WORD vf vf_sub(vf a, vf b) { SC_QUARTERS2(vf, vsubq_f32, a, b); }
SC_WORD vf vf_mul(vf a, vf b) { SC_QUARTERS2(vf, vmulq_f32, a, b); }
SC_WORD vf vf_div(vf a, vf b) { SC_QUARTERS2(vf, vdivq_f32, a, b); }
SC_WORD vf vf_fma(vf a, vf b, vf c) { SC_QUARTERS3(vf, vfmaq_f32, c, a, b); }
SC_WORD vf vf_sqrt(vf a) { SC_QUARTERS1(vf, vsqrtq_f32, a); }
SC_WORD vf vf_abs(vf a) { SC_QUARTERS1(vf, vabsq_f32, a); }
SC_WORD vf vf_neg(vf a) { SC_QUARTERS1(vf, vnegq_f32, a); }
SC_WORD vn vf_lt(vf a, vf b) { SC_QUARTERS2(vn, vcltq_f32, a, b); }
SC_WORD vn vf_le(vf a, vf b) { SC_QUARTERS2(vn, vcleq_f32, a, b); }
SC_WORD vn vf_eq(vf a, vf b) { SC_QUARTERS2(vn, vceqq_f32, a, b); }
SC_WORD vf vf_select(vn m, vf a, vf b) { SC_QUARTERS3(vf, vbslq_f32, m, a, b); }
SC_WORD vf vf_max(vf a, vf b) { return vf_select(vf_lt(b, a), a, b); }
SC_WORD vf vf_min(vf a, vf b) { return vf_select(vf_lt(a, b), a, b); }
SC_WORD vf vf_copysign(vf a, vf b)
{
    const uint32x4_t sign = vdupq_n_u32(UINT32_C(1) << 31);
    return vf_select((vn){sign, sign, sign, sign}, b, a);
}
SC_WORD vf vf_load_u8(const uint8_t *p)
{
    uint8x16_t bytes = vld1q_u8(p);
    uint16x8_t a = vmovl_u8(vget_low_u8(bytes)), b = vmovl_high_u8(bytes);
    return (vf){vcvtq_f32_u32(vmovl_u16(vget_low_u16(a))), vcvtq_f32_u32(vmovl_high_u16(a)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(b))), vcvtq_f32_u32(vmovl_high_u16(b))};
}
SC_WORD vd vf_lo_f64(vf a) { return sc_widen_f32(a.q0, a.q1); }
SC_WORD vd vf_hi_f64(vf a) { return sc_widen_f32(a.q2, a.q3); }
SC_WORD vf vf_narrow(vd a, vd b)
{
    return (vf){vcvt_high_f32_f64(vcvt_f32_f64(a.q0), a.q1), vcvt_high_f32_f64(vcvt_f32_f64(a.q2), a.q3),
                vcvt_high_f32_f64(vcvt_f32_f64(b.q0), b.q1), vcvt_high_f32_f64(vcvt_f32_f64(b.q2), b.q3)};
}
SC_WORD vf vf_from_bits(vw a) { SC_QUARTERS1(vf, vreinterpretq_f32_u32, a); }
SC_WORD vw vw_from_bits(vf a) { SC_QUARTERS1(vw, vreinterpretq_u32_f32, a); }

/* ---- uint32 ----------------------------------------------------------------------------------------------------- */
SC_WORD vw vw_set1(uint32_t x) { SC_QUARTERS_SAME(vw, vdupq_n_u32(x)); }
SC_WORD vw vw_load(const uint32_t *p) { SC_QUARTERS_FROM(vw, vld1q_u32, p, 4); }
SC_WORD void vw_store(uint32_t *p, vw a) { SC_QUARTERS_TO(vst1q_u32, p, 4, a); }
SC_WORD vw vw_add(vw a, vw b) { SC_QUARTERS2(vw, vaddq_u32, a, b); }
SC_WORD vw vw_sub(vw a, vw b) { SC_QUARTERS2(vw, vsubq_u32, a, b); }
SC_WORD vw vw_and(vw a, vw b) { SC_QUARTERS2(vw, vandq_u32, a, b); }
SC_WORD vw vw_or(vw a, vw b) { SC_QUARTERS2(vw, vorrq_u32, a, b); }
SC_WORD vw vw_xor(vw a, vw b) { SC_QUARTERS2(vw, veorq_u32, a, b); }
SC_WORD vw vw_shl(vw a, int n)
{
    const uint32x4_t by = vdupq_n_u32((uint32_t)n);
    return (vw){a.q0 << by, a.q1 << by, a.q2 << by, a.q3 << by};
}
SC_WORD vw vw_shr(vw a, int n)
{
    const uint32x4_t by = vdupq_n_u32((uint32_t)n);
    return (vw){a.q0 >> by, a.q1 >> by, a.q2 >> by, a.q3 >> by};
}
SC_WORD uint32x4_t scq_min(uint32x4_t a, uint32x4_t b)
{
    return vreinterpretq_u32_s32(vminq_s32(vreinterpretq_s32_u32(a), vreinterpretq_s32_u32(b)));
}
SC_WORD uint32x4_t scq_max(uint32x4_t a, uint32x4_t b)
{
    return vreinterpretq_u32_s32(vmaxq_s32(vreinterpretq_s32_u32(a), vreinterpretq_s32_u32(b)));
}
SC_WORD vw vw_min(vw a, vw b) { SC_QUARTERS2(vw, scq_min, a, b); }
SC_WORD vw vw_max(vw a, vw b) { SC_QUARTERS2(vw, scq_max, a, b); }
SC_WORD vn vw_ltu(vw a, vw b) { SC_QUARTERS2(vn, vcltq_u32, a, b); }
SC_WORD vn vw_eq(vw a, vw b) { SC_QUARTERS2(vn, vceqq_u32, a, b); }
SC_WORD vw vw_select(vn m, vw a, vw b) { SC_QUARTERS3(vw, vbslq_u32, m, a, b); }
SC_WORD float32x4_t scq_signed_f32(uint32x4_t a) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a)); }
SC_WORD vf vw_to_f32(vw a) { SC_QUARTERS1(vf, scq_signed_f32, a); }
SC_WORD uint32x4_t scq_to_i32(float32x4_t a) { return vreinterpretq_u32_s32(vcvtq_s32_f32(a)); }
SC_WORD vw vf_to_i32(vf a) { SC_QUARTERS1(vw, scq_to_i32, a); }
SC_WORD vl vw_lo_u64(vw a) { return sc_widen_u32(a.q0, a.q1); }
SC_WORD vl vw_hi_u64(vw a) { return sc_widen_u32(a.q2, a.q3); }
SC_WORD vd vw_lo_f64(vw a) { SC_QUARTERS1(vd, vcvtq_f64_u64, vw_lo_u64(a)); }
SC_WORD vd vw_hi_f64(vw a) { SC_QUARTERS1(vd, vcvtq_f64_u64, vw_hi_u64(a)); }
SC_WORD vn vn_and(vn a, vn b) { SC_QUARTERS2(vn, vandq_u32, a, b); }
SC_WORD vn vn_or(vn a, vn b) { SC_QUARTERS2(vn, vorrq_u32, a, b); }
SC_WORD uint32_t vn_bits(vn m)
{
    uint32x4_t a = vandq_u32(m.q0, (uint32x4_t){0x1, 0x2, 0x4, 0x8});
    uint32x4_t b = vandq_u32(m.q1, (uint32x4_t){0x10, 0x20, 0x40, 0x80});
    uint32x4_t c = vandq_u32(m.q2, (uint32x4_t){0x100, 0x200, 0x400, 0x800});
    uint32x4_t d = vandq_u32(m.q3, (uint32x4_t){0x1000, 0x2000, 0x4000, 0x8000});
    return vaddvq_u32(vorrq_u32(vorrq_u32(a, b), vorrq_u32(c, d)));
}
SC_WORD void vn_store_u8(uint8_t *p, vn m)
{
    uint16x8_t a = vmovn_high_u32(vmovn_u32(m.q0), m.q1), b = vmovn_high_u32(vmovn_u32(m.q2), m.q3);
    vst1q_u8(p, vandq_u8(vmovn_high_u16(vmovn_u16(a), b), vdupq_n_u8(1)));
}

SC_WORD void vw_store_u8(uint8_t *p, vw a)
{
    const uint16x8_t low = vmovn_high_u32(vmovn_u32(a.q0), a.q1), high = vmovn_high_u32(vmovn_u32(a.q2), a.q3);
    vst1q_u8(p, vmovn_high_u16(vmovn_u16(low), high));
}
SC_WORD uint32x4_t scq_digits(uint16x4_t a, uint16x4_t b, uint16x4_t c)
{
    return vaddq_u32(vmovl_u16(a), vaddq_u32(vshll_n_u16(b, 6), vshll_n_u16(c, 12)));
}
/* Of sixteen lanes: four numbers below 64 fit in a byte. */
SC_WORD void scq_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step, vw *r)
{
    const uint8x16_t mask = vdupq_n_u8(15);
    uint16x8_t low[3], high[3];
    for (int p = 0; p < 3; p++) low[p] = high[p] = vdupq_n_u16(0);
    for (ptrdiff_t k = 0; k < n; k += 2, x += 2 * stride, t += 4 * step) {
        const uint8x16_t a = vld1q_u8(x), b = vld1q_u8(x + stride);
        const uint8x16_t al = vandq_u8(a, mask), ah = vshrq_n_u8(a, 4), bl = vandq_u8(b, mask), bh = vshrq_n_u8(b, 4);
        for (int p = 0; p < 3; p++) {
            const uint8_t *own = t + 16 * p;
            const uint8x16_t two = vaddq_u8(vqtbl1q_u8(vld1q_u8(own), al), vqtbl1q_u8(vld1q_u8(own + step), ah));
            const uint8x16_t more =
                vaddq_u8(vqtbl1q_u8(vld1q_u8(own + 2 * step), bl), vqtbl1q_u8(vld1q_u8(own + 3 * step), bh));
            const uint8x16_t four = vaddq_u8(two, more);
            low[p] = vaddw_u8(low[p], vget_low_u8(four));
            high[p] = vaddw_high_u8(high[p], four);
        }
    }
    r->q0 = scq_digits(vget_low_u16(low[0]), vget_low_u16(low[1]), vget_low_u16(low[2]));
    r->q1 = scq_digits(vget_high_u16(low[0]), vget_high_u16(low[1]), vget_high_u16(low[2]));
    r->q2 = scq_digits(vget_low_u16(high[0]), vget_low_u16(high[1]), vget_low_u16(high[2]));
    r->q3 = scq_digits(vget_high_u16(high[0]), vget_high_u16(high[1]), vget_high_u16(high[2]));
}
SC_WORD void vw_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step, vw r[2])
{
    scq_look_up(x, stride, n, t, step, r);
    scq_look_up(x + 16, stride, n, t, step, r + 1);
}

/* ---- 32 truth values --------------------------------------------------------------------------------------------- */
SC_WORD vb vb_none(void) { return (vb){vdupq_n_u8(0), vdupq_n_u8(0)}; }
SC_WORD vb vb_or(vb a, vb b) { return (vb){vorrq_u8(a.q0, b.q0), vorrq_u8(a.q1, b.q1)}; }
SC_WORD vb vb_load_u8(const uint8_t *p)
{
    const uint8x16_t a = vld1q_u8(p), b = vld1q_u8(p + 16);
    return (vb){vtstq_u8(a, a), vtstq_u8(b, b)};
}
SC_WORD void vb_store_u8(uint8_t *p, vb m)
{
    vst1q_u8(p, vandq_u8(m.q0, vdupq_n_u8(1)));
    vst1q_u8(p + 16, vandq_u8(m.q1, vdupq_n_u8(1)));
}
SC_WORD uint32_t scq_bits8(uint8x16_t m)
{
    const uint8x16_t own = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201))), x = vandq_u8(m, own);
    return (uint32_t)vaddv_u8(vget_low_u8(x)) | (uint32_t)vaddv_u8(vget_high_u8(x)) << 8;
}
SC_WORD uint32_t vb_bits(vb m) { return scq_bits8(m.q0) | scq_bits8(m.q1) << 16; }
SC_WORD int16x8_t scq_first16(uint32x4_t a, uint32x4_t b)
{
    return vreinterpretq_s16_u16(vuzp2q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b)));
}
/* Differences keep their signs, and stay apart from 0, when they saturate to 16 bits and to 8. */
SC_WORD int8x8_t scq_compare16(uint32x4_t a, uint32x4_t b, const int16_t *t)
{
    return vqmovn_s16(vqsubq_s16(scq_first16(a, b), vld1q_s16(t)));
}
SC_WORD void vw_compare16(vw a, vw b, const int16_t *t, vb *less, vb *tied)
{
    const int8x16_t x = vcombine_s8(scq_compare16(a.q0, a.q2, t), scq_compare16(b.q0, b.q2, t + 8));
    const int8x16_t y = vcombine_s8(scq_compare16(a.q1, a.q3, t + 16), scq_compare16(b.q1, b.q3, t + 24));
    *less = (vb){vcltzq_s8(x), vcltzq_s8(y)};
    *tied = (vb){vceqzq_s8(x), vceqzq_s8(y)};
}
SC_WORD uint8x8_t scq_count16(int16x8_t first, const int16_t *t, ptrdiff_t n, ptrdiff_t stride, int32_t *count)
{
    int16x8_t sum = vdupq_n_s16(0);
    uint16x8_t equal = vdupq_n_u16(0);
    for (; n > 0; n--, t += stride) { /* a true lane is -1 */
        const int16x8_t other = vld1q_s16(t);
        sum = vsubq_s16(sum, vreinterpretq_s16_u16(vcgtq_s16(first, other)));
        equal = vorrq_u16(equal, vceqq_s16(first, other));
    }
    vst1q_s32(count, vmovl_s16(vget_low_s16(sum)));
    vst1q_s32(count + 4, vmovl_high_s16(sum));
    return vmovn_u16(equal);
}
SC_WORD void vw_count16(vw a, vw b, const int16_t *t, ptrdiff_t n, ptrdiff_t stride, int32_t *count, vb *tied)
{
    tied->q0 = vcombine_u8(scq_count16(scq_first16(a.q0, a.q2), t, n, stride, count),
                           scq_count16(scq_first16(b.q0, b.q2), t + 8, n, stride, count + 8));
    tied->q1 = vcombine_u8(scq_count16(scq_first16(a.q1, a.q3), t + 16, n, stride, count + 16),
                           scq_count16(scq_first16(b.q1, b.q3), t + 24, n, stride, count + 24));
}

/* ---- words in groups -------------------------------------------------------------------------------------------- */
SC_WORD vw vw_group(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32x4_t g = {a, b, c, d};
    SC_QUARTERS_SAME(vw, g);
}
SC_WORD vw vw_mul_even(vw a, vw b)
{
    uint32x4_t a01 = vuzp1q_u32(a.q0, a.q1), a23 = vuzp1q_u32(a.q2, a.q3);
    uint32x4_t b01 = vuzp1q_u32(b.q0, b.q1), b23 = vuzp1q_u32(b.q2, b.q3);
    return (vw){vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a01), vget_low_u32(b01))),
                vreinterpretq_u32_u64(vmull_high_u32(a01, b01)),
                vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a23), vget_low_u32(b23))),
                vreinterpretq_u32_u64(vmull_high_u32(a23, b23))};
}
SC_WORD uint32x4_t scq_reverse4(uint32x4_t a)
{
    const uint8x16_t order = {12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3};
    return vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(a), order));
}
SC_WORD vw vw_reverse4(vw a) { SC_QUARTERS1(vw, scq_reverse4, a); }
SC_WORD uint32x4_t scq_odd_to_even(uint32x4_t a)
{
    return vreinterpretq_u32_u64(vshrq_n_u64(vreinterpretq_u64_u32(a), 32));
}
SC_WORD vw vw_odd_to_even(vw a) { SC_QUARTERS1(vw, scq_odd_to_even, a); }
SC_WORD vw vw_count(uint64_t block, uint32_t c2, uint32_t c3)
{
    const uint64_t upper = (uint64_t)c3 << 32 | c2;
    const uint64x2_t first = {block, upper}, one = {1, 0};
    const uint64x2_t second = vaddq_u64(first, one), third = vaddq_u64(second, one), fourth = vaddq_u64(third, one);
    return (vw){vreinterpretq_u32_u64(first), vreinterpretq_u32_u64(second), vreinterpretq_u32_u64(third),
                vreinterpretq_u32_u64(fourth)};
}

SC_WORD uint32x4_t scq_add64(uint32x4_t a, uint32x4_t b)
{
    return vreinterpretq_u32_u64(vaddq_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}
SC_WORD vw vw_add64(vw a, vw b) { SC_QUARTERS2(vw, scq_add64, a, b); }
SC_WORD uint8x16_t scq_sub_bytes(uint32x4_t a) { return vaeseq_u8(vreinterpretq_u8_u32(a), vdupq_n_u8(0)); }
SC_WORD uint32x4_t scq_aes(uint32x4_t a, uint32x4_t key)
{
    return veorq_u32(vreinterpretq_u32_u8(vaesmcq_u8(scq_sub_bytes(a))), key);
}
SC_WORD uint32x4_t scq_aes_last(uint32x4_t a, uint32x4_t key)
{
    return veorq_u32(vreinterpretq_u32_u8(scq_sub_bytes(a)), key);
}
SC_WORD vw vw_aes(vw a, vw key) { SC_QUARTERS2(vw, scq_aes, a, key); }
SC_WORD vw vw_aes_last(vw a, vw key) { SC_QUARTERS2(vw, scq_aes_last, a, key); }

/* ---- two words for each lane ------------------------------------------------------------------------------------- */
SC_WORD void vw_zip(vw low, vw high, vl r[2])
{
#define SC_ZIP(q) vreinterpretq_u64_u32(vzip1q_u32(low.q, high.q)), vreinterpretq_u64_u32(vzip2q_u32(low.q, high.q))
    r[0] = (vl){SC_ZIP(q0), SC_ZIP(q1)};
    r[1] = (vl){SC_ZIP(q2), SC_ZIP(q3)};
#undef SC_ZIP
}
SC_WORD float64x2_t scq_u53(uint64x2_t bits) { return vcvtq_n_f64_u64(vshrq_n_u64(bits, 11), 53); }
SC_WORD void vw_u53(vw low, vw high, vd r[2]) /* UCVTF scales by 2^-53 as it converts */
{
    vl bits[2];
    vw_zip(low, high, bits);
    for (int i = 0; i < 2; i++)
        r[i] = (vd){scq_u53(bits[i].q0), scq_u53(bits[i].q1), scq_u53(bits[i].q2), scq_u53(bits[i].q3)};
}
SC_WORD float64x2_t scq_q53(uint64x2_t bits) /* with the top bit flipped, bits >> 10 is 2k - 2^53 or that plus 1 */
{
    const int64x2_t top = vdupq_n_s64(INT64_MIN), one = vdupq_n_s64(1);
    return vcvtq_n_f64_s64(vorrq_s64(vshrq_n_s64(veorq_s64(vreinterpretq_s64_u64(bits), top), 10), one), 54);
}
SC_WORD void vw_q53(vw low, vw high, vd r[2])
{
    vl bits[2];
    vw_zip(low, high, bits);
    for (int i = 0; i < 2; i++)
        r[i] = (vd){scq_q53(bits[i].q0), scq_q53(bits[i].q1), scq_q53(bits[i].q2), scq_q53(bits[i].q3)};
}

/* Terms j and j + 1 of two rows, with those four further on, turned around. */
SC_WORD void scq_terms(const double *a, const double *b, float64x2_t fourth, float64x2_t *first, float64x2_t *second)
{
    float64x2_t p = vfmaq_laneq_f64(vld1q_f64(a), vld1q_f64(a + 4), fourth, 0);
    float64x2_t q = vfmaq_laneq_f64(vld1q_f64(b), vld1q_f64(b + 4), fourth, 1);
    *first = vzip1q_f64(p, q);
    *second = vzip2q_f64(p, q);
}
SC_WORD float64x2_t scq_row_polynomial(const double *table, const uint64_t at[2], const double *x, const double *fourth)
{
    const double *a = table + at[0], *b = table + at[1];
    const float64x2_t y = vld1q_f64(x), f = vld1q_f64(fourth);
    float64x2_t s0, s1, s2, s3;
    scq_terms(a, b, f, &s0, &s1);
    scq_terms(a + 2, b + 2, f, &s2, &s3);
    return vfmaq_f64(vfmaq_f64(s0, s1, y), vfmaq_f64(s2, s3, y), vmulq_f64(y, y));
}
SC_WORD vd vd_row_polynomial(const double *table, const uint64_t at[8], const double x[8], const double fourth[8])
{
    return (vd){scq_row_polynomial(table, at, x, fourth), scq_row_polynomial(table, at + 2, x + 2, fourth + 2),
                scq_row_polynomial(table, at + 4, x + 4, fourth + 4),
                scq_row_polynomial(table, at + 6, x + 6, fourth + 6)};
}
SC_WORD float32x4_t scq_row_cubic(const float *table, const uint32_t at[4], float32x4_t x)
{
    float32x4_t r0 = vld1q_f32(table + at[0]), r1 = vld1q_f32(table + at[1]);
    float32x4_t r2 = vld1q_f32(table + at[2]), r3 = vld1q_f32(table + at[3]);
    float32x4x2_t a = vtrnq_f32(r0, r1), b = vtrnq_f32(r2, r3); /* terms 0 2 and 1 3 of two rows */
    float32x4_t c0 = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    float32x4_t c1 = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    float32x4_t c2 = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    float32x4_t c3 = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
    return vfmaq_f32(c0, vfmaq_f32(c1, vfmaq_f32(c2, c3, x), x), x);
}
SC_WORD vf vf_row_cubic(const float *table, const uint32_t at[16], vf x)
{
    return (vf){scq_row_cubic(table, at, x.q0), scq_row_cubic(table, at + 4, x.q1), scq_row_cubic(table, at + 8, x.q2),
                scq_row_cubic(table, at + 12, x.q3)};
}

#endif
