/* buckets: sums over packed bits of rows of few sites: a row is one word.
 *
 * A word has up to eight parts of up to eight bits, all of the same width but the last. A cost looks up the sum of each
 * part's sites in a table; a weight goes to the bucket of each part, and from the buckets to the bits in the end: most of
 * the work is done once for all rows. Neighbours go to buckets of their own, so that none waits for the one before it.
 */
#ifndef SC_KERNELS_BUCKETS_H
#define SC_KERNELS_BUCKETS_H

#include "bits.h"

/* Parts of a word, and bits in each. */
static inline int sc_parts(ptrdiff_t sites) { return (int)((sites + 7) / 8); }
static inline int sc_part_width(ptrdiff_t sites) { return (int)((sites + sc_parts(sites) - 1) / sc_parts(sites)); }

/* The rows of a stream as words; those that are short have zeros behind their last site. */
static void sc_words_of_stream(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites)
{
    const uint64_t mask = UINT64_MAX >> (64 - sites);
    for (ptrdiff_t i = 0; i < rows; i++) b->words[i] = sc_bits_from(b->stream, i * sites) & mask;
}

/* Tables of a cost with a number for each of a site's two outcomes, t[2 d + y]: 256 numbers for each part. */
static void sc_word_tables(ptrdiff_t sites, const double *t, double *tables)
{
    const int width = sc_part_width(sites);
    for (ptrdiff_t d = 0; d < sites; d += width, tables += 256) {
        memset(tables, 0, 256 * sizeof *tables);
        for (int k = 0; k < SC_MIN(width, sites - d); k++)
            for (ptrdiff_t b = 0, half = (ptrdiff_t)1 << k; b < half; b++) {
                tables[half + b] = tables[b] + t[2 * (d + k) + 1];
                tables[b] += t[2 * (d + k)];
            }
    }
}

SC_INLINE void sc_word_costs_of(const uint64_t *words, ptrdiff_t rows, int parts, int width, const double *tables,
                                double *j)
{
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        uint64_t x = words[i];
        double sum = tables[x & mask];
        for (int k = 1; k < parts; k++) x >>= width, sum += tables[256 * k + (ptrdiff_t)(x & mask)];
        j[i] = sum;
    }
}

/* J of each row */
static void sc_word_costs(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *tables, double *j)
{
    const int parts = sc_parts(sites), width = sc_part_width(sites);
    if (parts == 1) sc_word_costs_of(b->words, rows, 1, width, tables, j);
    else if (parts == 2) sc_word_costs_of(b->words, rows, 2, width, tables, j);
    else sc_word_costs_of(b->words, rows, parts, width, tables, j);
}

/* The bits of 2^n buckets: h[k] = sum of those with bit k; the buckets are used up. */
static void sc_empty_buckets(int n, double *s, double *h)
{
    for (int k = n - 1; k >= 0; k--) {
        const ptrdiff_t half = (ptrdiff_t)1 << k;
        vd sum = vd_set1(0.0);
        for (ptrdiff_t i = 0; i < half; i += 8) sum = vd_add(sum, vd_load_part(s + half + i, half - i, 0.0));
        h[k] = vd_sum(sum);
        for (ptrdiff_t i = 0; i < half; i++) s[i] += s[half + i];
    }
}

SC_INLINE void sc_fill_buckets(const uint64_t *words, ptrdiff_t rows, int parts, int width, int sets, const double *w,
                               double *t)
{
    const ptrdiff_t size = (ptrdiff_t)1 << width;
    const uint64_t mask = (uint64_t)size - 1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        uint64_t x = words[i];
        double *own = t + (i & (sets - 1)) * size;
        for (int k = 0; k < parts; k++, x >>= width, own += sets * size) own[x & mask] += w[i];
    }
}

/* h[d] = sum over rows of w[row] y[row][d]; t: 2048 numbers of scratch. */
static void sc_weigh_words(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *w, double *t, double *h)
{
    const int parts = sc_parts(sites), width = sc_part_width(sites), sets = parts > 4 ? 1 : parts > 2 ? 2 : 4;
    const ptrdiff_t size = (ptrdiff_t)1 << width;
    memset(t, 0, (size_t)(parts * sets * size) * sizeof *t);
    if (parts == 1) sc_fill_buckets(b->words, rows, 1, width, 4, w, t);
    else if (parts == 2) sc_fill_buckets(b->words, rows, 2, width, 4, w, t);
    else if (parts <= 4) sc_fill_buckets(b->words, rows, parts, width, 2, w, t);
    else sc_fill_buckets(b->words, rows, parts, width, 1, w, t);
    for (ptrdiff_t d = 0; d < sites; d += width, t += sets * size) {
        double each[8];
        for (ptrdiff_t b1 = 0; sets > 1 && b1 < size; b1++) {
            double sum = t[b1] + t[size + b1];
            if (sets == 4) sum += t[2 * size + b1] + t[3 * size + b1];
            t[b1] = sum;
        }
        sc_empty_buckets(width, t, each);
        memcpy(h + d, each, (size_t)SC_MIN(width, sites - d) * sizeof *h);
    }
}

#endif
