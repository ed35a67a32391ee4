/* distributions: y = f(k; w), for families whose sites are independent.
 *
 * Bernoulli:    y = 1 iff k < T(p), T(p) = ceil(2^53 p): exactly "u < p" for u = k 2^-53.
 * Categorical:  y = #{c : k >= T_c}, T_c = ceil(2^53 (p_0 + ... + p_c)), c = 0 .. C-2: inverse CDF in class order;
 *               from the last class of positive probability on, T_c = 2^53, so no class of probability 0 is drawn.
 *
 * The samplers read plane 0 only and compare its first 16 bits with the thresholds'; on a tie all its bits, and on a tie
 * of these plane 1: the same y as from k itself, at half the noise.
 *
 * Sites stand in a row; a block of samples is one run of addresses. The threshold rows are repeated up to `period`
 * elements (a multiple of the row, and of 16 where that is affordable), so that short rows fill the lanes too. Elements
 * go by 64, as they are dealt out (noise.h), and stay in registers. Of classes all thresholds are counted, which is right
 * for few; for many there is ladders.h.
 *
 * sc_weigh_*: the weighted sum over samples of the outcome's indicators, out[site] = sum_n w_n [y_n = 1], or
 * out[site, c] = sum_n w_n [y_n = c], in the order of n: all that a score-function average needs of the samples, since
 * a site's score has one value per class. Scores are never stored.
 */
#ifndef SC_KERNELS_DISTRIBUTIONS_H
#define SC_KERNELS_DISTRIBUTIONS_H

#include "../family.h"
#include "../job.h"
#include "noise.h"

#define SC_TWO53 0x1p53

enum { SC_RUN = 1024 }; /* words made at a time; they stay in the first-level cache */

/* ceil(2^53 p) for p in [0, 1] */
static inline uint64_t sc_threshold(double p)
{
    double scaled = p * SC_TWO53;
    uint64_t t = (uint64_t)scaled;
    return t + ((double)t < scaled);
}

/* From logits: p = sigmoid(l), log p, log(1 - p). */
static void sc_bernoulli_logits(ptrdiff_t n, const double *logits, double *p, double *log_p, double *log_q)
{
    for (ptrdiff_t i = 0; i < n; i += 8) {
        ptrdiff_t m = n - i;
        vd l = vd_load_part(logits + i, m, 0.0);
        vd_store_part(p + i, sc_sigmoid(l), m);
        vd_store_part(log_p + i, vd_neg(sc_softplus(vd_neg(l))), m);
        vd_store_part(log_q + i, vd_neg(sc_softplus(l)), m);
    }
}

/* p = sigmoid(l), and 1 - p = sigmoid(-l), accurate where it is small. */
static void sc_bernoulli_means(ptrdiff_t n, const double *logits, double *p, double *q)
{
    for (ptrdiff_t i = 0; i < n; i += 8) {
        ptrdiff_t m = n - i;
        vd l = vd_load_part(logits + i, m, 0.0);
        vd_store_part(p + i, sc_sigmoid(l), m);
        vd_store_part(q + i, sc_sigmoid(vd_neg(l)), m);
    }
}

/* The thresholds of n sites, repeated up to `period`, and their first bits, repeated for SC_MARGIN more. */
static void sc_bernoulli_thresholds(ptrdiff_t n, const double *p, ptrdiff_t period, uint64_t *thresholds, int16_t *top)
{
    for (ptrdiff_t i = 0; i < n; i++) thresholds[i] = sc_threshold(p[i]);
    for (ptrdiff_t i = n; i < period; i++) thresholds[i] = thresholds[i - n];
    for (ptrdiff_t i = 0; i < period; i++) top[i] = (int16_t)((int)SC_MIN(thresholds[i] >> 37, 65535) - 32768);
    for (ptrdiff_t i = period; i < period + SC_MARGIN; i++) top[i] = top[i - period];
}

/* From probabilities: log p and log(1 - p), -inf at the ends. */
static void sc_bernoulli_probs(ptrdiff_t n, const double *p, double *log_p, double *log_q)
{
    for (ptrdiff_t i = 0; i < n; i += 8) {
        ptrdiff_t m = n - i;
        vd x = vd_load_part(p + i, m, 0.5);
        vd_store_part(log_p + i, sc_log(x), m);
        vd_store_part(log_q + i, sc_log1p(vd_neg(x)), m);
    }
}

/* Row by row of C logits: log p = l - max - log sum exp(l - max), and p = exp(l - max) / sum. */
static void sc_categorical_logits(ptrdiff_t sites, ptrdiff_t n_classes, const double *logits, double *p, double *log_p)
{
    for (ptrdiff_t s = 0; s < sites; s++, logits += n_classes, p += n_classes, log_p += n_classes) {
        double top = logits[0], sum = 0.0, log_sum;
        for (ptrdiff_t c = 1; c < n_classes; c++) top = logits[c] > top ? logits[c] : top;
        for (ptrdiff_t c = 0; c < n_classes; c += 8) {
            ptrdiff_t m = n_classes - c;
            vd_store_part(p + c, sc_exp(vd_sub(vd_load_part(logits + c, m, top), vd_set1(top))), m);
        }
        for (ptrdiff_t c = 0; c < n_classes; c++) sum += p[c];
        vd_store_part(&log_sum, sc_log(vd_set1(sum)), 1);
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            p[c] /= sum;
            log_p[c] = (logits[c] - top) - log_sum;
        }
    }
}

static void sc_categorical_probs(ptrdiff_t n, const double *p, double *log_p)
{
    for (ptrdiff_t i = 0; i < n; i += 8) {
        ptrdiff_t m = n - i;
        vd_store_part(log_p + i, sc_log(vd_load_part(p + i, m, 1.0)), m);
    }
}

/* 64 elements from e on, of sites from `at` on, by all their bits. */
static __attribute__((noinline)) void sc_bernoulli_ties(const sc_family *f, const sc_stream *s, uint64_t e,
                                                        ptrdiff_t at, vb y[2])
{
    uint32_t words[64];
    uint8_t out[64];
    sc_fill_bits32(s, e, 64, words);
    for (ptrdiff_t i = 0; i < 64; i++) {
        const uint64_t t = f->thresholds[at], high = t >> 21;
        out[i] = words[i] == high ? sc_k(s, e + (uint64_t)i) < t : words[i] < high;
        at = at + 1 == f->period ? 0 : at + 1;
    }
    y[0] = vb_load_u8(out), y[1] = vb_load_u8(out + 32);
}

/* The same, by the words that are dealt out next. */
SC_INLINE void sc_bernoulli_group(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t at, sc_deal *deal,
                                  int plain, vb y[2])
{
    vw x[4];
    vb tied[2];
    sc_deal_words(deal, plain, x);
    vw_compare16(x[0], x[1], f->top + at, y, tied);
    vw_compare16(x[2], x[3], f->top + at + 32, y + 1, tied + 1);
    if (__builtin_expect(vb_bits(vb_or(tied[0], tied[1])) != 0, 0)) {
        sc_bernoulli_ties(f, s, e, at, tied); /* y itself stays in registers */
        y[0] = tied[0], y[1] = tied[1];
    }
}

SC_INLINE void sc_bernoulli_bytes(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t at, sc_deal *deal,
                                  int plain, uint8_t *y)
{
    vb outcomes[2];
    sc_bernoulli_group(f, s, e, at, deal, plain, outcomes);
    vb_store_u8(y, outcomes[0]), vb_store_u8(y + 32, outcomes[1]);
}

/* Of the 64 elements from e on those that are tied, by all their bits: how many thresholds are reached. */
static __attribute__((noinline)) void sc_class_ties(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t at,
                                                    uint64_t tied, int32_t *y)
{
    uint32_t words[64];
    sc_fill_bits32(s, e, 64, words);
    for (ptrdiff_t i = 0; i < 64; i++) {
        const ptrdiff_t site = at + i < f->period ? at + i : at + i - f->period;
        if (!(tied >> i & 1)) continue;
        y[i] = 0;
        for (ptrdiff_t c = 0; c < f->n_classes - 1; c++) {
            const uint64_t t = f->thresholds[c * f->period + site], high = t >> 21;
            y[i] += words[i] == high ? sc_k(s, e + (uint64_t)i) >= t : words[i] > high;
        }
    }
}

SC_INLINE void sc_class_group(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t at, sc_deal *deal,
                              int plain, int32_t *y)
{
    const ptrdiff_t n = f->n_classes - 1, stride = f->period + SC_MARGIN;
    vw x[4];
    vb tied[2];
    sc_deal_words(deal, plain, x);
    vw_count16(x[0], x[1], f->top + at, n, stride, y, tied);
    vw_count16(x[2], x[3], f->top + at + 32, n, stride, y + 32, tied + 1);
    if (__builtin_expect(vb_bits(vb_or(tied[0], tied[1])) != 0, 0))
        sc_class_ties(f, s, e, at, vb_bits(tied[0]) | (uint64_t)vb_bits(tied[1]) << 32, y);
}

/* The elements first .. first + n of a stream; `first` is the address of a row's first site. Groups begin at multiples
 * of 64 elements; of the first and the last one some are left out. */
#define SC_BY_GROUPS(name, type, group)                                                                                \
    SC_INLINE void name##_as(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, ptrdiff_t skip,      \
                             sc_deal *deal, int plain, type *y)                                                        \
    {                                                                                                                  \
        for (ptrdiff_t i = -skip, at = skip ? f->period - skip : 0; i < n; i += 64) {                                  \
            type part[64], *out = i < 0 || n - i < 64 ? part : y + i;                                                  \
            group(f, s, first + (uint64_t)i, at, deal, plain, out);                                                    \
            if (out == part) {                                                                                         \
                const ptrdiff_t from = SC_MAX(-i, 0), to = SC_MIN(n - i, 64);                                          \
                memcpy(y + (i + from), part + from, (size_t)(to - from) * sizeof(type));                               \
            }                                                                                                          \
            at += 64;                                                                                                  \
            if (at >= f->period) at -= f->period;                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, type *y)                     \
    {                                                                                                                  \
        const ptrdiff_t skip = (ptrdiff_t)((s->offset + first) & 63);                                                  \
        sc_deal deal;                                                                                                  \
        sc_deal_begin(&deal, s, s->offset + first - (uint64_t)skip);                                                   \
        if (sc_deal_plain(&deal)) name##_as(f, s, first, n, skip, &deal, 1, y);                                        \
        else name##_as(f, s, first, n, skip, &deal, 0, y);                                                             \
    }

SC_BY_GROUPS(sc_sample_bernoulli, uint8_t, sc_bernoulli_bytes)
SC_BY_GROUPS(sc_sample_few_classes, int32_t, sc_class_group)

/* The step function itself, from given k; n elements from the start of a row. The oracle of the samplers. */
static void sc_step_bernoulli(const sc_family *f, const uint64_t *k, ptrdiff_t n, uint8_t *y)
{
    for (ptrdiff_t i = 0, at = 0; i < n; i++, at = at + 1 == f->period ? 0 : at + 1) y[i] = k[i] < f->thresholds[at];
}

static void sc_step_few_classes(const sc_family *f, const uint64_t *k, ptrdiff_t n, int32_t *y)
{
    for (ptrdiff_t i = 0, at = 0; i < n; i++, at = at + 1 == f->period ? 0 : at + 1) {
        y[i] = 0;
        for (ptrdiff_t c = 0; c < f->n_classes - 1; c++) y[i] += k[i] >= f->thresholds[c * f->period + at];
    }
}

/* Sum over the sites of one sample of log p(y_d): values of table[class][site], chosen, not multiplied (-inf lives). */
static double sc_log_prob_bernoulli(const double *log_p, const double *log_q, const uint8_t *y, ptrdiff_t sites)
{
    vd sum = vd_set1(0.0);
    for (ptrdiff_t d = 0; d < sites; d += 8) {
        ptrdiff_t m = sites - d;
        vm one = vd_lt(vd_set1(0.5), vd_load_u8_part(y + d, m));
        sum = vd_add(sum, vd_select(one, vd_load_part(log_p + d, m, 0.0), vd_load_part(log_q + d, m, 0.0)));
    }
    return vd_sum(sum);
}

static double sc_log_prob_categorical(const double *log_p, const int32_t *y, ptrdiff_t sites, ptrdiff_t n_classes)
{
    double lanes[8] = {0};
    for (ptrdiff_t d = 0; d < sites; d++) lanes[d & 7] += log_p[d * n_classes + y[d]];
    return vd_sum(vd_load(lanes));
}

/* out[d] = sum over rows of weight[row] * y[row][d]; 32 sites at a time stay in registers while the rows go by. */
static void sc_weigh_bernoulli(const uint8_t *y, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t sites,
                               const double *weight, double *out)
{
    ptrdiff_t d = 0;
    for (; d + 32 <= sites; d += 32) {
        vd a = vd_set1(0.0), b = a, c = a, e = a;
        const uint8_t *row = y + d;
        for (ptrdiff_t n = 0; n < rows; n++, row += stride) {
            vd w = vd_set1(weight[n]);
            a = vd_fma(w, vd_load_u8(row), a);
            b = vd_fma(w, vd_load_u8(row + 8), b);
            c = vd_fma(w, vd_load_u8(row + 16), c);
            e = vd_fma(w, vd_load_u8(row + 24), e);
        }
        vd_store(out + d, a);
        vd_store(out + d + 8, b);
        vd_store(out + d + 16, c);
        vd_store(out + d + 24, e);
    }
    for (; d < sites; d += 8) {
        /* a short row may read into the next one; the last eight rows, which have no next, are copied out first */
        ptrdiff_t m = sites - d, whole = m >= 8 ? rows : rows - 8;
        vd a = vd_set1(0.0);
        ptrdiff_t n = 0;
        for (; n < whole; n++) a = vd_fma(vd_set1(weight[n]), vd_load_u8(y + n * stride + d), a);
        for (; n < rows; n++) a = vd_fma(vd_set1(weight[n]), vd_load_u8_part(y + n * stride + d, m), a);
        vd_store_part(out + d, a, m);
    }
}

/* out[d * C + c] = sum over the rows with y[row][d] = c of weight[row] */
static void sc_weigh_categorical(const int32_t *y, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t sites,
                                 ptrdiff_t n_classes, const double *weight, double *out)
{
    memset(out, 0, (size_t)(sites * n_classes) * sizeof(double));
    for (ptrdiff_t n = 0; n < rows; n++)
        for (ptrdiff_t d = 0; d < sites; d++) out[d * n_classes + y[n * stride + d]] += weight[n];
}

#endif
