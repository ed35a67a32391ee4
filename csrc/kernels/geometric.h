/* geometric: trials up to the first success, without a table, so that any probability costs the same.
 *
 *     y = the smallest j >= 1 with k < T_j,   T_j = ceil(2^53 (1 - (1-p)^j)) = ceil(2^53 (-expm1(-j r))),   r =
 *     -log(1-p).
 *
 * From k: j = 1 + floor(-log(1 - u) / r), then up or down until it is right. From the word of plane 0 alone, in lanes:
 * with c the word's complement and a half, 1 - u lies within 1/2 of c (in units of 2^-32), so that t = -log(c 2^-32) /
 * r is known to 1/(2 c r) and rounding. Where no whole number lies so close to t, it does not matter which k it is: y =
 * 1 + floor(t). Elsewhere k decides. So y is a function of k alone.
 */
#ifndef SC_KERNELS_GEOMETRIC_H
#define SC_KERNELS_GEOMETRIC_H

#include "distributions.h"
#include "special.h"

static uint64_t sc_trials_threshold(double j, double rate)
{
    double below;
    vd_store_part(&below, vd_neg(sc_expm1(vd_set1(-j * rate))), 1);
    return sc_threshold(SC_MIN(below, 1.0));
}

/* rate = r, inverse = 1/r, 0 where p = 1 */
static int64_t sc_trials(double rate, double inverse, uint64_t k)
{
    double rest = (double)((UINT64_C(1) << 53) - k) * 0x1p-53, j;
    vd_store_part(&rest, sc_log(vd_set1(rest)), 1);
    j = (double)(int64_t)(-rest * inverse) + 1.0;
    while (j > 1.0 && k < sc_trials_threshold(j - 1.0, rate)) j--;
    while (k >= sc_trials_threshold(j, rate)) j++;
    return (int64_t)j;
}

SC_INLINE void sc_put_trials(int wide, void *y, ptrdiff_t i, int64_t value)
{
    if (wide) ((int64_t *)y)[i] = value;
    else ((int32_t *)y)[i] = (int32_t)value;
}

/* Sixteen words, where 1/r is at most SC_TRIALS_SHORT: the first 23 bits in float32. y is 0 where it is left open;
 * returns whether some are. */
SC_INLINE int sc_trials_of_words(const uint32_t *words, const float *inverse, int32_t *y)
{
    const vf inv = vf_load(inverse), one = vf_set1(1.0f), rounder = vf_set1(SC_ROUND32);
    const vw not_word = vw_xor(vw_load(words), vw_set1(UINT32_MAX));
    const vf c = vf_add(vw_to_f32(vw_shr(not_word, 9)), vf_set1(0.5f)); /* exact: 24 bits with the half */
    const vf t = vf_neg(vf_mul(sc_log_normal32(vf_mul(c, vf_set1(0x1p-23f))), inv));
    const vf whole = vf_sub(vf_add(vf_sub(t, vf_set1(0.5f)), rounder), rounder), above = vf_sub(t, whole);
    const vf close = vf_fma(vf_mul(c, t), vf_set1(0x1p-20f), vf_mul(inv, vf_set1(0.52f)));
    const vn near = vn_or(vf_lt(vf_mul(above, c), close), vf_lt(vf_mul(vf_sub(one, above), c), close));
    const vn open =
        vn_or(near, vf_lt(c, vf_set1(16.0f))); /* from 16 on, half a unit is at most 0.52/c in the logarithm */
    vw_store((uint32_t *)y, vf_to_i32(vf_select(open, vf_set1(0.0f), vf_add(whole, one))));
    return vn_bits(open) != 0;
}

/* Eight words, for any r. */
SC_INLINE int sc_trials_of_few_words(const uint32_t *words, const double *inverse, double *y)
{
    double rest[8];
    for (int j = 0; j < 8; j++) rest[j] = (double)~words[j] + 0.5;
    const vd c = vd_load(rest), inv = vd_load(inverse), one = vd_set1(1.0), rounder = vd_set1(SC_ROUND);
    const vd t = vd_neg(vd_mul(sc_log_normal(vd_mul(c, vd_set1(0x1p-32))), inv));
    const vd whole = vd_sub(vd_add(vd_sub(t, vd_set1(0.5)), rounder), rounder), above = vd_sub(t, whole);
    const vd close = vd_fma(vd_mul(c, inv), vd_set1(0x1p-46), vd_mul(inv, vd_set1(0.51)));
    const vm near = vm_or(vd_lt(vd_mul(above, c), close), vd_lt(vd_mul(vd_sub(one, above), c), close));
    const vm open = vm_or(near, vd_lt(c, vd_set1(32.0)));
    vd_store(y, vd_select(open, vd_set1(0.0), vd_add(whole, one)));
    return vm_any(open);
}

SC_INLINE void sc_trials_short(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                               ptrdiff_t at, int32_t *y)
{
    for (ptrdiff_t i = 0; i < m; i += 16) {
        const ptrdiff_t n = SC_MIN(16, m - i);
        int32_t trials[16], *out = n == 16 ? y + i : trials;
        int open;
        if (n == 16) {
            open = sc_trials_of_words(words + i, f->inverse + at + i, out);
        } else {
            uint32_t some[16] = {0};
            float inverse[16] = {0};
            memcpy(some, words + i, (size_t)n * sizeof *some);
            memcpy(inverse, f->inverse + at + i, (size_t)n * sizeof *inverse);
            open = sc_trials_of_words(some, inverse, out);
        }
        for (ptrdiff_t j = 0; j < n && open; j++)
            if (!out[j])
                out[j] = (int32_t)sc_trials(f->table[at + i + j], f->scale[at + i + j], sc_k(s, e + (uint64_t)(i + j)));
        if (n < 16) memcpy(y + i, trials, (size_t)n * sizeof *y);
    }
}

SC_INLINE void sc_trials_as(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                            ptrdiff_t at, int wide, void *y)
{
    for (ptrdiff_t i = 0; i < m; i += 8) {
        const ptrdiff_t n = SC_MIN(8, m - i);
        uint32_t some[8] = {0};
        double inverse[8] = {0}, trials[8];
        memcpy(some, words + i, (size_t)n * sizeof *some);
        memcpy(inverse, f->scale + at + i, (size_t)n * sizeof *inverse);
        const int open = sc_trials_of_few_words(some, inverse, trials);
        for (ptrdiff_t j = 0; j < n; j++) sc_put_trials(wide, y, i + j, (int64_t)trials[j]);
        for (ptrdiff_t j = 0; j < n && open; j++)
            if (trials[j] <= 0.0)
                sc_put_trials(wide, y, i + j,
                              sc_trials(f->table[at + i + j], f->scale[at + i + j], sc_k(s, e + (uint64_t)(i + j))));
    }
}

static void sc_trials32(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                        ptrdiff_t at, void *y)
{
    if (f->inverse) sc_trials_short(f, s, e, m, words, at, y);
    else sc_trials_as(f, s, e, m, words, at, 0, y);
}

static void sc_trials64(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                        ptrdiff_t at, void *y)
{
    sc_trials_as(f, s, e, m, words, at, 1, y);
}

/* Outcomes of the m elements from e on, whose sites begin `at` in a row; m reaches no further than the row. */
typedef void (*sc_outcomes)(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                            ptrdiff_t at, void *y);

/* The elements first .. first + n of a stream, row by row; `first` is the address of a row's first site. */
SC_INLINE void sc_sample_rows(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, char *y,
                              ptrdiff_t itemsize, sc_outcomes outcomes)
{
    _Alignas(64) uint32_t words[SC_RUN];
    for (ptrdiff_t done = 0, at = 0, run; done < n; done += run) {
        run = SC_MIN(SC_RUN, n - done);
        sc_fill_bits32(s, first + (uint64_t)done, run, words);
        for (ptrdiff_t i = 0, m; i < run; i += m) {
            m = SC_MIN(run - i, f->period - at);
            outcomes(f, s, first + (uint64_t)(done + i), m, words + i, at, y + (done + i) * itemsize);
            at = at + m == f->period ? 0 : at + m;
        }
    }
}

static void sc_sample_trials(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, void *y)
{
    const int wide = f->type == SC_I64;
    sc_sample_rows(f, s, first, rows * f->n_elements, y, wide ? 8 : 4, wide ? sc_trials64 : sc_trials32);
}

static void sc_step_trials(const sc_family *f, const uint64_t *k, ptrdiff_t rows, void *y)
{
    for (ptrdiff_t i = 0, at = 0; i < rows * f->n_elements; i++, at = at + 1 == f->period ? 0 : at + 1)
        sc_put_trials(f->type == SC_I64, y, i, sc_trials(f->table[at], f->scale[at], k[i]));
}

#endif
