/* distributions: y = f(k; w), for families whose sites are independent.
 *
 * Bernoulli:    y = 1 iff k < T(p), T(p) = ceil(2^53 p): exactly "u < p" for u = k 2^-53.
 * Categorical:  y = #{c : k >= T_c}, T_c = ceil(2^53 (p_0 + ... + p_c)), c = 0 .. C-2: inverse CDF in class order;
 *               from the last class of positive probability on, T_c = 2^53, so no class of probability 0 is drawn.
 *
 * The samplers read plane 0 only and compare its first bits with the threshold's, 16 of a bit's, 31 of a class's; on a
 * tie more bits, and on a tie of all 32 plane 1: the same y as from k itself, at half the noise.
 *
 * Sites stand in a row; a block of samples is one run of addresses. The threshold rows are repeated up to `period`
 * elements (a multiple of the row, and of 16 where that is affordable), so that short rows fill the lanes too. Bits go
 * by 64 elements, as they are dealt out (noise.h), and stay in registers. Of classes all thresholds are counted, which is
 * right for few; for many there is ladders.h.
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

/* The elements first .. first + n of a stream; `first` is the address of a row's first site. Groups begin at multiples
 * of 64 elements; of the first and the last one some are left out. */
SC_INLINE void sc_bernoulli_bytes(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, ptrdiff_t skip,
                                  sc_deal *deal, int plain, uint8_t *y)
{
    for (ptrdiff_t i = -skip, at = skip ? f->period - skip : 0; i < n; i += 64) {
        uint8_t part[64], *out = i < 0 || n - i < 64 ? part : y + i;
        vb outcomes[2];
        sc_bernoulli_group(f, s, first + (uint64_t)i, at, deal, plain, outcomes);
        vb_store_u8(out, outcomes[0]), vb_store_u8(out + 32, outcomes[1]);
        if (out == part) {
            const ptrdiff_t from = SC_MAX(-i, 0), to = SC_MIN(n - i, 64);
            memcpy(y + (i + from), part + from, (size_t)(to - from));
        }
        at += 64;
        if (at >= f->period) at -= f->period;
    }
}

static void sc_sample_bernoulli(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, uint8_t *y)
{
    const ptrdiff_t skip = (ptrdiff_t)((s->offset + first) & 63);
    sc_deal deal;
    sc_deal_begin(&deal, s, s->offset + first - (uint64_t)skip);
    if (sc_deal_plain(&deal)) sc_bernoulli_bytes(f, s, first, n, skip, &deal, 1, y);
    else sc_bernoulli_bytes(f, s, first, n, skip, &deal, 0, y);
}

enum { SC_RUN = 1024 }; /* words made at a time; they stay in the first-level cache */

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

/* How many thresholds are reached, from the high word alone unless one of them ties. */
static inline int32_t sc_count_classes(const sc_family *f, uint32_t word, const sc_stream *s, uint64_t e, ptrdiff_t at)
{
    int32_t class = 0;
    for (ptrdiff_t c = 0; c < f->n_classes - 1; c++, at += f->period)
        class += word >> 1 == f->high[at] ? sc_k(s, e) >= f->thresholds[at] : word >> 1 > f->high[at];
    return class;
}

static void sc_few_classes(const sc_family *f, const sc_stream *s, uint64_t e, ptrdiff_t m, const uint32_t *words,
                           ptrdiff_t at, void *out)
{
    const ptrdiff_t whole = m / 16 * 16;
    int32_t *y = out;
    vn tied = vw_lt31(vw_set1(0), vw_set1(0)); /* none */
    for (ptrdiff_t i = 0; i < whole; i += 16) {
        const uint32_t *high = f->high + at + i;
        vw w = vw_shr(vw_load(words + i), 1), class = vw_set1((uint32_t)(f->n_classes - 1));
        for (ptrdiff_t c = 0; c < f->n_classes - 1; c++, high += f->period) {
            vw t = vw_load(high);
            tied = vn_or(tied, vw_eq(w, t));
            class = vw_less_one(class, vw_lt31(w, t));
        }
        vw_store((uint32_t *)(y + i), class);
    }
    for (ptrdiff_t i = vn_bits(tied) ? 0 : whole; i < m; i++)
        y[i] = sc_count_classes(f, words[i], s, e + (uint64_t)i, at + i);
}

static void sc_sample_few_classes(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, int32_t *y)
{
    sc_sample_rows(f, s, first, n, (char *)y, sizeof *y, sc_few_classes);
}

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
