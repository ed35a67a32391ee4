/* ladders: outcomes of sites with any number of thresholds, and the tables that they step by.
 *
 *     y = first + #{c : k >= T_c},   T_c = ceil(2^53 F(first + c)): the inverse of a distribution function F.
 *
 * A guide (Chen and Asau, "On generating random variates from an empirical distribution", AIIE Transactions 6, 1974)
 * says where to begin: a cell for each value of the first bits of k, two to four times as many as thresholds, tells how
 * many thresholds lie below it. Most outcomes are done with after two comparisons, however many classes there are. What
 * is left (a cell with several thresholds; a tie of the 32 bits of plane 0) is searched for. Rows of many sites are
 * done in tiles, so that the ladder of a site stays in the cache while it is used.
 *
 * Counts. Poisson, binomial and negative binomial are the Panjer class: masses w with
 *     w(y+1)/w(y) = (a + b y) c / (y+1),
 * (a, b, c) = (rate, 0, 1), (n, -1, p/(1-p)), (r, 1, 1-p). From the mode, with w = 1, the products run down and up
 * until what lies beyond is less than 2^-60 of the whole; F is their running sum (compensated) over the total. No
 * logarithm of a factorial is needed, and only + - * /: the tables have the same bits everywhere. So outcomes with
 * tails below 2^-60 are never drawn, a 128th of the quantum 2^-53 that k itself has.
 *
 * A chain climbs, at each step, the ladder of the state that it is in.
 */
#ifndef SC_KERNELS_LADDERS_H
#define SC_KERNELS_LADDERS_H

#include "distributions.h"

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* q holds a, b and c */
static inline double sc_count_ratio(const double q[3], double y) { return (q[0] + q[1] * y) * q[2] / (y + 1.0); }

/* The smallest y from which masses no longer grow. */
static double sc_count_mode(const double q[3])
{
    if (isinf(q[2])) return q[0]; /* certain: p = 1 of a binomial */
    const double most = q[2] * (q[0] - q[1]) / (1.0 - q[1] * q[2]);
    double y = most > 0.0 ? (double)(int64_t)SC_MIN(most, 0x1p60) : 0.0;
    while (y > 0.0 && sc_count_ratio(q, y - 1.0) < 1.0) y--; /* rounding may have put it one too high */
    return y;
}

/* Where the masses end on both sides of the mode. Nothing: more than `limit` of them. */
static ptrdiff_t sc_count_range(const double q[3], ptrdiff_t limit, int64_t *first)
{
    if (isinf(q[2])) {
        *first = (int64_t)q[0];
        return 1;
    }
    const double mode = sc_count_mode(q), least = 0x1p-60;
    double low = mode, high = mode, w = 1.0, total = 1.0;
    ptrdiff_t n = 1;
    while (low > 0.0 && n < limit) { /* below the mode masses fall ever faster */
        const double ratio = 1.0 / sc_count_ratio(q, low - 1.0);
        if (w * ratio < least * total * (1.0 - ratio)) break;
        w *= ratio;
        total += w, low--, n++;
    }
    w = 1.0;
    while (n < limit) { /* above it the ratio tends to b c < 1 */
        const double ratio = sc_count_ratio(q, high), steepest = ratio > q[1] * q[2] ? ratio : q[1] * q[2];
        if (w * ratio < least * total * (1.0 - steepest)) break;
        w *= ratio;
        total += w, high++, n++;
    }
    *first = (int64_t)low;
    return n < limit ? n : 0;
}

/* The masses of first .. first + n, in units of that of the mode. */
static void sc_count_masses(const double q[3], int64_t first, ptrdiff_t n, double *mass)
{
    const double low = (double)first;
    const ptrdiff_t mode = (ptrdiff_t)(sc_count_mode(q) - low);
    mass[mode] = 1.0;
    for (ptrdiff_t i = mode; i > 0; i--) mass[i - 1] = mass[i] / sc_count_ratio(q, low + (double)(i - 1));
    for (ptrdiff_t i = mode; i + 1 < n; i++) mass[i + 1] = mass[i] * sc_count_ratio(q, low + (double)i);
}

/* The next partial sum, with what additions have lost in *lost (Neumaier). */
static inline double sc_add_up(double sum, double x, double *lost)
{
    const double next = sum + x, larger = sum >= x ? sum : x, smaller = sum >= x ? x : sum;
    *lost += (larger - next) + smaller;
    return next;
}

/* The thresholds of n outcomes with these masses: n - 1, and the 2^53 that ends them. */
static void sc_ladder_thresholds(ptrdiff_t n, const double *mass, uint64_t *thresholds)
{
    double total = 0.0, lost = 0.0, sum = 0.0;
    while (n > 1 && mass[n - 1] <= 0.0) thresholds[--n] = UINT64_C(1) << 53;
    for (ptrdiff_t i = 0; i < n; i++) total = sc_add_up(total, mass[i], &lost);
    total += lost, lost = 0.0;
    for (ptrdiff_t i = 0; i < n - 1; i++) {
        sum = sc_add_up(sum, mass[i], &lost);
        const double below = (sum + lost) / total;
        thresholds[i] = sc_threshold(SC_MIN(below, 1.0));
    }
    thresholds[n - 1] = UINT64_C(1) << 53;
}

/* The thresholds of classes with these probabilities, which are taken as they are. */
static void sc_class_thresholds(ptrdiff_t n, const double *p, uint64_t *thresholds)
{
    double sum = 0.0;
    while (n > 1 && p[n - 1] <= 0.0) thresholds[--n] = UINT64_C(1) << 53;
    for (ptrdiff_t c = 0; c < n - 1; c++) {
        sum += p[c];
        thresholds[c] = sc_threshold(SC_MIN(sum, 1.0));
    }
    thresholds[n - 1] = UINT64_C(1) << 53;
}

/* The high words of count thresholds and of two that no k reaches. */
static void sc_ladder_high(ptrdiff_t count, const uint64_t *thresholds, uint32_t *high)
{
    for (ptrdiff_t c = 0; c <= count; c++) high[c] = (uint32_t)SC_MIN(thresholds[c] >> 21, UINT32_MAX);
    high[count + 1] = UINT32_MAX;
}

/* 2^bits cells of `size` bytes each. */
static void sc_ladder_cells(ptrdiff_t count, const uint64_t *thresholds, int bits, int size, void *cells)
{
    uint32_t c = 0;
    for (uint64_t j = 0; j < UINT64_C(1) << bits; j++) {
        while (c < count && thresholds[c] <= j << (53 - bits)) c++;
        if (size == 1) ((uint8_t *)cells)[j] = (uint8_t)c;
        else if (size == 2) ((uint16_t *)cells)[j] = (uint16_t)c;
        else ((uint32_t *)cells)[j] = c;
    }
}

/* ---- climbing ---------------------------------------------------------------------------------------------------- */

/* From `low` thresholds on, which are reached: how many of the high words lie below the word; of those that tie, k
 * decides. */
static uint32_t sc_search_ladder(const sc_ladder *l, uint32_t low, uint32_t word, const sc_stream *s, uint64_t e)
{
    uint32_t step = 1, high;
    while (low + step < l->count && word > l->high[low + step]) low += step, step *= 2;
    high = SC_MIN(low + step, l->count);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (word > l->high[middle]) low = middle + 1;
        else high = middle;
    }
    if (l->high[low] == word)
        for (uint64_t k = sc_k(s, e); k >= l->thresholds[low];) low++;
    return low;
}

SC_INLINE int64_t sc_climb_as(const sc_ladder *l, int size, uint32_t word, const sc_stream *s, uint64_t e)
{
    const uint32_t cell = word >> l->shift;
    const uint32_t low = size == 1   ? ((const uint8_t *)l->cells)[cell]
                         : size == 2 ? ((const uint16_t *)l->cells)[cell]
                                     : ((const uint32_t *)l->cells)[cell];
    const uint32_t *next = l->high + low;
    if (word == next[0] || word >= next[1]) return l->first + sc_search_ladder(l, low, word, s, e);
    return l->first + low + (word > next[0]);
}

SC_INLINE int64_t sc_climb(const sc_ladder *l, uint32_t word, const sc_stream *s, uint64_t e)
{
    if (l->size == 1) return sc_climb_as(l, 1, word, s, e);
    return l->size == 2 ? sc_climb_as(l, 2, word, s, e) : sc_climb_as(l, 4, word, s, e);
}

/* The same from k itself: the oracle. */
static int64_t sc_climb_k(const sc_ladder *l, uint64_t k)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (k >= l->thresholds[middle]) low = middle + 1;
        else high = middle;
    }
    return l->first + low;
}

SC_INLINE void sc_put(int type, void *y, ptrdiff_t i, int64_t value)
{
    if (type == SC_I64) ((int64_t *)y)[i] = value;
    else ((int32_t *)y)[i] = (int32_t)value;
}

enum { SC_TILE_SITES = 64, SC_TILE_ROWS = 128 };

/* The words of one site, every `stride`; element e, e + width, ... */
SC_INLINE void sc_climb_column(const sc_ladder *ladder, int size, const uint32_t *words, ptrdiff_t stride, ptrdiff_t n,
                               const sc_stream *s, uint64_t e, ptrdiff_t width, int type, void *y, ptrdiff_t at)
{
    const sc_ladder l = *ladder;
    for (ptrdiff_t r = 0; r < n; r++)
        sc_put(type, y, at + r * stride, sc_climb_as(&l, size, words[r * stride], s, e + (uint64_t)(r * width)));
}

SC_INLINE void sc_climb_some(const sc_ladder *l, const uint32_t *words, ptrdiff_t stride, ptrdiff_t n,
                             const sc_stream *s, uint64_t e, ptrdiff_t width, int type, void *y, ptrdiff_t at)
{
    if (l->size == 1) sc_climb_column(l, 1, words, stride, n, s, e, width, type, y, at);
    else if (l->size == 2) sc_climb_column(l, 2, words, stride, n, s, e, width, type, y, at);
    else sc_climb_column(l, 4, words, stride, n, s, e, width, type, y, at);
}

/* Words of some rows and sites, then site by site, then row by row into y. */
SC_INLINE void sc_sample_tile(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, ptrdiff_t site,
                              ptrdiff_t sites, int type, char *y)
{
    const ptrdiff_t width = f->n_elements, size = type == SC_I64 ? 8 : 4;
    uint32_t words[SC_TILE_ROWS][SC_TILE_SITES];
    int64_t out[SC_TILE_ROWS * SC_TILE_SITES];
    for (ptrdiff_t r = 0; r < rows; r++) sc_fill_bits32(s, first + (uint64_t)(r * width + site), sites, words[r]);
    for (ptrdiff_t d = 0; d < sites; d++)
        sc_climb_some(f->ladders + site + d, &words[0][d], SC_TILE_SITES, rows, s, first + (uint64_t)(site + d), width,
                      type, out, d);
    for (ptrdiff_t r = 0; r < rows; r++)
        memcpy(y + (r * width + site) * size, (char *)out + r * SC_TILE_SITES * size, (size_t)(sites * size));
}

/* Few sites: whole rows side by side, and again site by site. */
SC_INLINE void sc_sample_narrow(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, int type,
                                void *y)
{
    const ptrdiff_t width = f->n_elements, most = SC_RUN / width;
    uint32_t words[SC_RUN];
    for (ptrdiff_t done = 0, run; done < rows; done += run) {
        const uint64_t e = first + (uint64_t)(done * width);
        run = SC_MIN(most, rows - done);
        sc_fill_bits32(s, e, run * width, words);
        for (ptrdiff_t d = 0; d < width; d++)
            sc_climb_some(f->ladders + d, words + d, width, run, s, e + (uint64_t)d, width, type, y, done * width + d);
    }
}

SC_INLINE void sc_sample_sites_as(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows,
                                  ptrdiff_t site, ptrdiff_t sites, int type, char *y)
{
    const ptrdiff_t width = f->n_elements, size = type == SC_I64 ? 8 : 4;
    if (width < SC_TILE_SITES) {
        sc_sample_narrow(f, s, first, rows, type, y);
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r += SC_TILE_ROWS)
        for (ptrdiff_t d = site; d < site + sites; d += SC_TILE_SITES)
            sc_sample_tile(f, s, first + (uint64_t)(r * width), SC_MIN(SC_TILE_ROWS, rows - r), d,
                           SC_MIN(SC_TILE_SITES, site + sites - d), type, y + r * width * size);
}

/* Some sites of all rows; first and y are those of the rows. All of them where they are fewer than SC_TILE_SITES. */
static void sc_sample_sites(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, ptrdiff_t site,
                            ptrdiff_t sites, void *y)
{
    if (f->type == SC_I64) sc_sample_sites_as(f, s, first, rows, site, sites, SC_I64, y);
    else sc_sample_sites_as(f, s, first, rows, site, sites, SC_I32, y);
}

static void sc_step_ladders(const sc_family *f, const uint64_t *k, ptrdiff_t rows, void *y)
{
    for (ptrdiff_t i = 0, at = 0; i < rows * f->n_elements; i++, at = at + 1 == f->n_elements ? 0 : at + 1)
        sc_put(f->type, y, i, sc_climb_k(f->ladders + at, k[i]));
}

/* ---- chains ------------------------------------------------------------------------------------------------------ */

/* The ladder of step t in a chain, from the state before it. */
SC_INLINE const sc_ladder *sc_chain_ladder(const sc_family *f, const sc_ladder *chain, ptrdiff_t t, int32_t state)
{
    if (t == 0) return chain;
    return chain + 1 + (f->per_step ? (t - 1) * f->n_classes : 0) + state;
}

/* Some rows side by side, since each of a chain's steps waits for the one before it. */
static void sc_sample_chains(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, int32_t *y)
{
    const ptrdiff_t width = f->n_elements, steps = f->n_steps;
    uint32_t words[SC_TILE_ROWS][SC_TILE_SITES];
    for (ptrdiff_t r0 = 0; r0 < rows; r0 += SC_TILE_ROWS) {
        const ptrdiff_t some = SC_MIN(SC_TILE_ROWS, rows - r0);
        for (ptrdiff_t c = 0; c < width; c += steps) {
            const sc_ladder *chain = f->ladders + c / steps * f->n_ladders;
            for (ptrdiff_t t0 = 0; t0 < steps; t0 += SC_TILE_SITES) {
                const ptrdiff_t m = SC_MIN(SC_TILE_SITES, steps - t0);
                for (ptrdiff_t r = 0; r < some; r++)
                    sc_fill_bits32(s, first + (uint64_t)((r0 + r) * width + c + t0), m, words[r]);
                for (ptrdiff_t t = t0; t < t0 + m; t++)
                    for (ptrdiff_t r = 0; r < some; r++) {
                        const ptrdiff_t at = (r0 + r) * width + c + t;
                        const sc_ladder *l = sc_chain_ladder(f, chain, t, t ? y[at - 1] : 0);
                        y[at] = (int32_t)sc_climb(l, words[r][t - t0], s, first + (uint64_t)at);
                    }
            }
        }
    }
}

static void sc_step_chains(const sc_family *f, const uint64_t *k, ptrdiff_t rows, int32_t *y)
{
    for (ptrdiff_t i = 0; i < rows * f->n_elements; i++) {
        const ptrdiff_t at = i % f->n_elements, t = at % f->n_steps;
        const sc_ladder *chain = f->ladders + at / f->n_steps * f->n_ladders;
        y[i] = (int32_t)sc_climb_k(sc_chain_ladder(f, chain, t, t ? y[i - 1] : 0), k[i]);
    }
}

#endif
