/* ladders: outcomes of sites with any number of thresholds, and the tables that they step by.
 *
 *     y = first + #{c : k >= T_c},   T_c = ceil(2^53 F(first + c)): the inverse of a distribution function F.
 *
 * A guide (Chen and Asau, "On generating random variates from an empirical distribution", AIIE Transactions 6, 1974)
 * says where to begin: a cell for each value of the first bits of k, two to four times as many as thresholds. One load gives
 * how many thresholds lie below the cell and the high word of the next: most outcomes are done with after one
 * comparison, however many classes there are. What is left (a cell with several thresholds; a tie of the 32 bits of plane 0) is
 * searched for. Rows of many sites are done in tiles, so that the ladder of a site stays in the cache while it is used.
 *
 * Counts. Poisson, binomial and negative binomial are the Panjer class: masses w with
 *     w(y+1)/w(y) = (a + b y) c / (y+1),
 * (a, b, c) = (rate, 0, 1), (n, -1, p/(1-p)), (r, 1, 1-p). From the mode, with w = 1, the products run down and up until
 * what lies beyond is less than 2^-60 of the whole; F is their running sum (compensated) over the total. No logarithm of a
 * factorial is needed, and only + - * /: the tables have the same bits everywhere. So outcomes with tails below 2^-60 are
 * never drawn, a 128th of the quantum 2^-53 that k itself has.
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
    const double most = q[2] * (q[0] - q[1]) / (1.0 - q[1] * q[2]);
    double y = most > 0.0 ? (double)(int64_t)SC_MIN(most, 0x1p60) : 0.0;
    while (y > 0.0 && sc_count_ratio(q, y - 1.0) < 1.0) y--; /* rounding may have put it one too high */
    return y;
}

/* Where the masses end on both sides of the mode. Nothing: more than `limit` of them. */
static ptrdiff_t sc_count_range(const double q[3], ptrdiff_t limit, int64_t *first)
{
    if (isinf(q[2])) { /* certain: p = 1 of a binomial */
        *first = (int64_t)q[0];
        return 1;
    }
    const double mode = sc_count_mode(q), least = 0x1p-60;
    double low = mode, high = mode, w = 1.0, total = 1.0;
    ptrdiff_t n = 1;
    while (low > 0.0 && n < limit) { /* below the mode masses fall ever faster */
        const double ratio = 1.0 / sc_count_ratio(q, low - 1.0);
        w *= ratio;
        if (w * ratio < least * total * (1.0 - ratio)) break;
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

/* 2^bits cells for count thresholds and their end. */
static void sc_ladder_cells(ptrdiff_t count, const uint64_t *thresholds, int bits, uint64_t *cells)
{
    uint32_t c = 0;
    for (uint64_t j = 0; j < UINT64_C(1) << bits; j++) {
        while (c < count && thresholds[c] <= j << (53 - bits)) c++;
        const uint64_t end = (j + 1) << (53 - bits);
        const uint32_t crowded = c < count && thresholds[c + 1] < end;
        cells[j] = SC_MIN(thresholds[c] >> 21, UINT32_MAX) << 32 | crowded << 31 | c;
    }
}

/* ---- climbing ---------------------------------------------------------------------------------------------------- */

/* Among all thresholds: how many of the high words lie below the word; of those that tie, k decides. */
static uint32_t sc_search_ladder(const sc_ladder *l, uint32_t word, const sc_stream *s, uint64_t e)
{
    uint32_t low = (uint32_t)l->cells[word >> l->shift] & INT32_MAX, high = l->count, step = 1;
    while (low + step < high && word > l->thresholds[low + step] >> 21) low += step, step *= 2;
    high = SC_MIN(low + step, high);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (word > l->thresholds[middle] >> 21) low = middle + 1;
        else high = middle;
    }
    if (l->thresholds[low] >> 21 == word)
        for (uint64_t k = sc_k(s, e); k >= l->thresholds[low];) low++;
    return low;
}

SC_INLINE int64_t sc_climb(const sc_ladder *l, uint32_t word, const sc_stream *s, uint64_t e)
{
    const uint64_t cell = l->cells[word >> l->shift];
    const uint32_t next = (uint32_t)(cell >> 32), low = (uint32_t)cell;
    if (word == next || low >> 31) return l->first + sc_search_ladder(l, word, s, e);
    return l->first + low + (word > next);
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

enum { SC_TILE_SITES = 64, SC_TILE_ROWS = 32 };

/* Words of some rows and sites, then site by site, then row by row into y. */
SC_INLINE void sc_sample_tile(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, ptrdiff_t site,
                              ptrdiff_t sites, int type, char *y)
{
    const ptrdiff_t width = f->n_elements, size = type == SC_I64 ? 8 : 4;
    uint32_t words[SC_TILE_ROWS][SC_TILE_SITES];
    int64_t out[SC_TILE_ROWS * SC_TILE_SITES];
    for (ptrdiff_t r = 0; r < rows; r++) sc_fill_bits32(s, first + (uint64_t)(r * width + site), sites, words[r]);
    for (ptrdiff_t d = 0; d < sites; d++) {
        const sc_ladder l = f->ladders[site + d];
        for (ptrdiff_t r = 0; r < rows; r++)
            sc_put(type, out, r * SC_TILE_SITES + d,
                   sc_climb(&l, words[r][d], s, first + (uint64_t)(r * width + site + d)));
    }
    for (ptrdiff_t r = 0; r < rows; r++)
        memcpy(y + (r * width + site) * size, (char *)out + r * SC_TILE_SITES * size, (size_t)(sites * size));
}

/* Few sites: the elements of all rows in a row. */
SC_INLINE void sc_sample_narrow(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, int type, void *y)
{
    uint32_t words[SC_RUN];
    for (ptrdiff_t done = 0, at = 0, run; done < n; done += run) {
        run = SC_MIN(SC_RUN, n - done);
        sc_fill_bits32(s, first + (uint64_t)done, run, words);
        if (f->n_elements == 1) {
            const sc_ladder l = *f->ladders;
            for (ptrdiff_t i = 0; i < run; i++)
                sc_put(type, y, done + i, sc_climb(&l, words[i], s, first + (uint64_t)(done + i)));
            continue;
        }
        for (ptrdiff_t i = 0; i < run; i++, at = at + 1 == f->n_elements ? 0 : at + 1)
            sc_put(type, y, done + i, sc_climb(f->ladders + at, words[i], s, first + (uint64_t)(done + i)));
    }
}

SC_INLINE void sc_sample_ladders_as(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, int type,
                                    char *y)
{
    const ptrdiff_t width = f->n_elements, size = type == SC_I64 ? 8 : 4;
    if (width < SC_TILE_SITES) {
        sc_sample_narrow(f, s, first, rows * width, type, y);
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r += SC_TILE_ROWS)
        for (ptrdiff_t d = 0; d < width; d += SC_TILE_SITES)
            sc_sample_tile(f, s, first + (uint64_t)(r * width), SC_MIN(SC_TILE_ROWS, rows - r), d,
                           SC_MIN(SC_TILE_SITES, width - d), type, y + r * width * size);
}

static void sc_sample_ladders(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, void *y)
{
    if (f->type == SC_I64) sc_sample_ladders_as(f, s, first, rows, SC_I64, y);
    else sc_sample_ladders_as(f, s, first, rows, SC_I32, y);
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
