/* bits: a block of Bernoulli samples as packed bits, and what is summed over them.
 *
 * Elements go by 64 in the order of their addresses; bit i of the stream is element i of the block. Rows of many sites
 * are also kept by columns: byte d of group g holds site d of rows 8g .. 8g + 7.
 *
 * Sums go by tables of partial sums (the method of four Russians: Arlazarov, Dinic, Kronrod and Faradzhev, 1970), so
 * that eight pairs of sample and site cost one addition:
 *
 *   costs     J_i = sum_d w_d y_id          for each 8 sites (4, where rows are very long) a table of all their sums
 *   weights   h_d = sum_i a_i y_id          long rows: for each 8 samples a table, read by columns
 *                                           short rows: a_i goes to the bucket of each 8 bits of its row; from the
 *                                           buckets to the bits in the end
 *
 * Tables and buckets are read in plain C, in an order that depends on the sizes alone.
 */
#ifndef SC_KERNELS_BITS_H
#define SC_KERNELS_BITS_H

#include "../job.h"
#include "distributions.h"

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* Where the next 64 elements go. */
typedef struct sc_pen {
    uint8_t *stream, *column; /* the columns of the group that the row belongs to; NULL: rows are short */
    ptrdiff_t sites, stride, at; /* at: the site that comes next */
    uint8_t row; /* the bit of the row in its group */
} sc_pen;

static inline void sc_put_u64(uint8_t *p, uint64_t x)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    memcpy(p, &x, sizeof x);
}

static inline uint64_t sc_get_u64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

static sc_pen sc_take_pen(const sc_family *f, const sc_packed *b, ptrdiff_t rows)
{
    sc_pen pen = {b->stream, NULL, f->n_sites, f->n_sites + SC_MARGIN, 0, 1};
    if (f->n_sites >= SC_LONG_ROW) {
        pen.column = b->columns + SC_MARGIN;
        memset(b->columns, 0, (size_t)sc_columns_size(f->n_sites, rows));
    }
    return pen;
}

/* The next 64 elements. In columns they may reach into the margin; those of the next row go there as well. */
SC_INLINE void sc_write(sc_pen *pen, vb low, vb high)
{
    sc_put_u64(pen->stream, vb_bits(low) | (uint64_t)vb_bits(high) << 32);
    pen->stream += 8;
    if (!pen->column) return;
    vb_mark(pen->column + pen->at, low, pen->row);
    vb_mark(pen->column + pen->at + 32, high, pen->row);
    pen->at += 64;
    if (pen->at < pen->sites) return;
    pen->at -= pen->sites;
    pen->row = (uint8_t)(pen->row << 1);
    if (!pen->row) pen->row = 1, pen->column += pen->stride;
    if (!pen->at) return;
    vb_mark(pen->column + pen->at - 64, low, pen->row);
    vb_mark(pen->column + pen->at - 32, high, pen->row);
}

SC_INLINE void sc_bernoulli_bits(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, sc_deal *deal,
                                 int plain, sc_pen *pen)
{
    for (ptrdiff_t i = 0, at = 0; i < n; i += 64) {
        vb y[2];
        sc_bernoulli_group(f, s, first + (uint64_t)i, at, deal, plain, y);
        sc_write(pen, y[0], y[1]);
        at += 64;
        if (at >= f->period) at -= f->period;
    }
}

/* Samples whose noise begins at element `first`; returns 1 where that is inside a block of noise. */
static int sc_sample_bits(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, const sc_packed *b)
{
    const uint64_t e = s->offset + first;
    if (e & 3) return 1; /* a block of noise is four elements */
    sc_pen pen = sc_take_pen(f, b, rows);
    sc_deal deal;
    sc_deal_begin(&deal, s, e);
    if (sc_deal_plain(&deal)) sc_bernoulli_bits(f, s, first, rows * f->n_sites, &deal, 1, &pen);
    else sc_bernoulli_bits(f, s, first, rows * f->n_sites, &deal, 0, &pen);
    return 0;
}

/* Samples that are there already, n_sites bytes a row. */
static void sc_pack_bits(const sc_family *f, const uint8_t *y, ptrdiff_t rows, const sc_packed *b)
{
    sc_pen pen = sc_take_pen(f, b, rows);
    const ptrdiff_t n = rows * f->n_sites;
    uint8_t last[64] = {0};
    for (ptrdiff_t i = 0; i < n; i += 64) {
        const uint8_t *from = y + i;
        if (n - i < 64) from = memcpy(last, from, (size_t)(n - i));
        sc_write(&pen, vb_load_u8(from), vb_load_u8(from + 32));
    }
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* table[b] = sum of the weights whose bits are in b */
static inline void sc_subset_sums(const double *w, int bits, double *table)
{
    table[0] = 0.0;
    for (int k = 0; k < bits; k++)
        for (ptrdiff_t b = 0, half = (ptrdiff_t)1 << k; b < half; b++) table[half + b] = table[b] + w[k];
}

/* The tables of a linear cost, in the order of the sites: sc_tables_size numbers. Small ones end at a multiple of 64
 * sites. */
static void sc_linear_tables(ptrdiff_t sites, const double *w, double *tables)
{
    const int each = sites > SC_WIDE_ROW ? 4 : 8;
    const double *stop = tables + sc_tables_size(sites);
    for (ptrdiff_t d = 0; tables < stop; d += each, tables += (ptrdiff_t)1 << each) {
        double own[8] = {0};
        for (ptrdiff_t k = 0; k < SC_MIN(each, sites - d); k++) own[k] = w[d + k];
        sc_subset_sums(own, each, tables);
    }
}

/* The same of a cost with a number for each of a site's two outcomes, t[2 d + y]. */
static void sc_site_tables(ptrdiff_t sites, const double *t, double *tables)
{
    const int each = sites > SC_WIDE_ROW ? 4 : 8;
    const double *stop = tables + sc_tables_size(sites);
    for (ptrdiff_t d = 0; tables < stop; d += each, tables += (ptrdiff_t)1 << each) {
        tables[0] = 0.0;
        for (int k = 0; k < each; k++)
            for (ptrdiff_t b = 0, half = (ptrdiff_t)1 << k; b < half; b++) {
                tables[half + b] = tables[b] + (d + k < sites ? t[2 * (d + k) + 1] : 0.0);
                tables[b] += d + k < sites ? t[2 * (d + k)] : 0.0;
            }
    }
}

/* 64 bits from any bit of the stream on */
SC_INLINE uint64_t sc_bits_from(const uint8_t *stream, ptrdiff_t bit)
{
    const uint8_t *p = stream + (bit >> 3);
    const int shift = (int)(bit & 7);
    return sc_get_u64(p) >> shift | (uint64_t)p[8] << 1 << (63 - shift);
}

/* and eight */
SC_INLINE unsigned sc_byte_from(const uint8_t *stream, ptrdiff_t bit)
{
    const uint8_t *p = stream + (bit >> 3);
    return (p[0] | (unsigned)p[1] << 8) >> (bit & 7) & 255;
}

SC_INLINE double sc_eight(const double *t, uint64_t x)
{
    const double a = (t[x & 255] + t[256 + (x >> 8 & 255)]) + (t[512 + (x >> 16 & 255)] + t[768 + (x >> 24 & 255)]);
    t += 1024, x >>= 32;
    return a + ((t[x & 255] + t[256 + (x >> 8 & 255)]) + (t[512 + (x >> 16 & 255)] + t[768 + (x >> 24)]));
}

SC_INLINE double sc_sixteen_halves(const double *t, uint64_t x)
{
    double sum[4];
    for (int k = 0; k < 4; k++, t += 64, x >>= 16)
        sum[k] = (t[x & 15] + t[16 + (x >> 4 & 15)]) + (t[32 + (x >> 8 & 15)] + t[48 + (x >> 12 & 15)]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* J of each row. What lies in the stream beyond a row's last site meets weights of zero, or is left out. */
static void sc_linear_costs(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *tables, double *j)
{
    const int wide = sites > SC_WIDE_ROW;
    memset(j, 0, (size_t)rows * sizeof *j);
    for (ptrdiff_t d = 0; d < sites; d += 64, tables += wide ? 256 : 2048) {
        const ptrdiff_t left = sites - d;
        for (ptrdiff_t i = 0, bit = d; i < rows; i++, bit += sites) {
            if (left > 56 && !wide) j[i] += sc_eight(tables, sc_bits_from(b->stream, bit));
            else if (wide) j[i] += sc_sixteen_halves(tables, sc_bits_from(b->stream, bit));
            else
                for (ptrdiff_t k = 0; k < left; k += 8) j[i] += tables[32 * k + sc_byte_from(b->stream, bit + k)];
        }
    }
}

/* Groups of columns from the first on, four or eight at once: h[d] += sums of their tables. */
SC_INLINE void sc_add_columns(const uint8_t *c, ptrdiff_t stride, int groups, ptrdiff_t sites, const double *w,
                              double *t, double *h)
{
    for (int g = 0; g < groups; g++) sc_subset_sums(w + 8 * g, 8, t + 256 * g);
    for (ptrdiff_t d = 0; d < sites; d++, c++) {
        double sum = (t[c[0]] + t[256 + c[stride]]) + (t[512 + c[2 * stride]] + t[768 + c[3 * stride]]);
        if (groups == 8)
            sum += (t[1024 + c[4 * stride]] + t[1280 + c[5 * stride]]) +
                   (t[1536 + c[6 * stride]] + t[1792 + c[7 * stride]]);
        h[d] += sum;
    }
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

/* h[d] = sum over rows of w[row] y[row][d]; w has SC_ROWS_PAD zeros after its last row, t 2048 numbers of scratch. */
static void sc_weigh_bits(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *w, double *t, double *h)
{
    if (sites >= SC_LONG_ROW) {
        const ptrdiff_t stride = sites + SC_MARGIN;
        const uint8_t *c = b->columns + SC_MARGIN;
        memset(h, 0, (size_t)sites * sizeof *h);
        for (ptrdiff_t i = 0; i < rows;) {
            const int groups = rows - i > 32 ? 8 : 4;
            if (groups == 8) sc_add_columns(c, stride, 8, sites, w + i, t, h);
            else sc_add_columns(c, stride, 4, sites, w + i, t, h);
            i += 8 * groups, c += groups * stride;
        }
        return;
    }
    for (ptrdiff_t d = 0; d < sites; d += 8) {
        double eight[8];
        const unsigned mask = sites - d < 8 ? (1U << (sites - d)) - 1 : 255; /* the next row is none of this one's */
        memset(t, 0, 1024 * sizeof *t);
        for (ptrdiff_t i = 0; i < rows; i++) /* neighbours in buckets of their own: none waits for the last */
            t[(i & 3) << 8 | (sc_byte_from(b->stream, i * sites + d) & mask)] += w[i];
        for (int k = 0; k < 256; k++) t[k] = (t[k] + t[256 + k]) + (t[512 + k] + t[768 + k]);
        sc_empty_buckets(8, t, eight);
        memcpy(h + d, eight, (size_t)SC_MIN(8, sites - d) * sizeof *h);
    }
}

/* The outcome of a row of at most eight sites */
SC_INLINE unsigned sc_outcome(const sc_packed *b, ptrdiff_t row, ptrdiff_t sites)
{
    return sc_byte_from(b->stream, row * sites) & ((1U << sites) - 1);
}

/* and how often each came */
static void sc_count_outcomes(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, double *count)
{
    int32_t own[4][256] = {{0}};
    for (ptrdiff_t i = 0; i < rows; i++) own[i & 3][sc_outcome(b, i, sites)]++;
    for (int k = 0; k < 1 << sites; k++) count[k] = (double)(own[0][k] + own[1][k] + own[2][k] + own[3][k]);
}

#endif
