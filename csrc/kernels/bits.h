/* bits: a block of Bernoulli samples as packed bits, in four orders.
 *
 *   stream    64 elements in a word, in the order of their addresses; bit i is element i of the block: of short rows only
 *   words     each row begins with a word of its own; behind its last site are zeros
 *   columns   byte d of group g holds site d of the rows 8g .. 8g + 7
 *   slices    32 bytes for each eight sites and 32 rows: byte i of slice k of group g holds the sites 8k .. 8k + 7 of
 *             row 32g + i
 *
 * Samples are drawn as words, or as a stream that becomes words; these are turned, 32 rows and 64 sites at a time.
 * Behind the last row are zeros in columns (up to a multiple of 64 rows) and slices (up to one of 32). Sums over sites
 * go by slices, sums over samples by columns (digits.h); short rows, of one word, have sums of their own (buckets.h).
 */
#ifndef SC_KERNELS_BITS_H
#define SC_KERNELS_BITS_H

#include "../job.h"
#include "distributions.h"

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

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

SC_INLINE uint64_t sc_word_of(vb low, vb high) { return vb_bits(low) | (uint64_t)vb_bits(high) << 32; }

/* Where the next 64 elements go: rows of more than 64 sites, so that at most one ends among them. */
typedef struct sc_pen {
    uint64_t *out, bits; /* those that have no word yet, */
    ptrdiff_t n, left, sites; /* how many they are, and how many sites the row still has */
} sc_pen;

static sc_pen sc_take_pen(const sc_family *f, uint64_t *words) { return (sc_pen){words, 0, 0, f->n_sites, f->n_sites}; }

SC_INLINE void sc_write(sc_pen *pen, uint64_t x)
{
    const ptrdiff_t own = SC_MIN(pen->left, 64), rest = 64 - own, n = pen->n + own;
    const uint64_t mine = x & UINT64_MAX >> rest, whole = pen->bits | mine << pen->n;
    *pen->out = whole;
    if (own < pen->left) { /* n is 64 or more */
        pen->bits = mine >> 1 >> (63 - pen->n);
        pen->out++, pen->left -= 64;
        return;
    }
    pen->out[1] = mine >> 1 >> (63 - pen->n);
    pen->out += n > 64 ? 2 : 1;
    pen->bits = x >> 1 >> (own - 1), pen->n = rest, pen->left = pen->sites - rest;
}

/* The 64 elements from i on; short rows stay a stream for now. */
SC_INLINE void sc_put_next(const sc_packed *b, int is_short, ptrdiff_t i, uint64_t x, sc_pen *pen)
{
    if (is_short) sc_put_u64(b->stream + i / 8, x);
    else sc_write(pen, x);
}

SC_INLINE void sc_bernoulli_bits(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t n, sc_deal *deal,
                                 int plain, const sc_packed *b)
{
    const int is_short = f->n_sites <= SC_SHORT_ROW;
    sc_pen pen = sc_take_pen(f, b->words);
    for (ptrdiff_t i = 0, at = 0; i < n; i += 64) {
        vb y[2];
        sc_bernoulli_group(f, s, first + (uint64_t)i, at, deal, plain, y);
        sc_put_next(b, is_short, i, sc_word_of(y[0], y[1]), &pen);
        at += 64;
        if (at >= f->period) at -= f->period;
    }
}

/* Samples whose noise begins at element `first`; returns 1 where that is inside a block of noise. */
static int sc_sample_bits(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, const sc_packed *b)
{
    const uint64_t e = s->offset + first;
    if (e & 3) return 1; /* a block of noise is four elements */
    sc_deal deal;
    sc_deal_begin(&deal, s, e);
    if (sc_deal_plain(&deal)) sc_bernoulli_bits(f, s, first, rows * f->n_sites, &deal, 1, b);
    else sc_bernoulli_bits(f, s, first, rows * f->n_sites, &deal, 0, b);
    return 0;
}

/* Samples that are there already, a byte each. */
static void sc_pack_bits(const sc_family *f, const uint8_t *y, ptrdiff_t rows, const sc_packed *b)
{
    const ptrdiff_t n = rows * f->n_sites;
    sc_pen pen = sc_take_pen(f, b->words);
    uint8_t last[64] = {0};
    for (ptrdiff_t i = 0; i < n; i += 64) {
        const uint8_t *from = y + i;
        if (n - i < 64) from = memcpy(last, from, (size_t)(n - i));
        sc_put_next(b, f->n_sites <= SC_SHORT_ROW, i, sc_word_of(vb_load_u8(from), vb_load_u8(from + 32)), &pen);
    }
}

/* 64 bits from any bit of the stream on */
SC_INLINE uint64_t sc_bits_from(const uint8_t *stream, ptrdiff_t bit)
{
    const uint8_t *p = stream + (bit >> 3);
    const int shift = (int)(bit & 7);
    return sc_get_u64(p) >> shift | (uint64_t)p[8] << 1 << (63 - shift);
}

/* ---- turning ----------------------------------------------------------------------------------------------------- */

/* Bits under `mask` change places with those n higher. */
#define SC_SWAP_BITS(x, n, mask)                                                                                       \
    do {                                                                                                               \
        const vl t = vl_and(vl_xor(x, vl_shr(x, n)), vl_set1(UINT64_C(mask)));                                         \
        x = vl_xor(x, vl_xor(t, vl_shl(t, n)));                                                                        \
    } while (0)

/* Each lane is eight rows of eight bits: bit c of byte r becomes bit r of byte c. */
SC_INLINE vl sc_transpose_bits(vl x)
{
    SC_SWAP_BITS(x, 7, 0x00aa00aa00aa00aa);
    SC_SWAP_BITS(x, 14, 0x0000cccc0000cccc);
    SC_SWAP_BITS(x, 28, 0x00000000f0f0f0f0);
    return x;
}

/* Half a tile: the same word of n rows, `step` words apart; row i in lane i / 8 of x[i % 8]. */
SC_INLINE void sc_fill_tile(const uint64_t *word, ptrdiff_t step, ptrdiff_t n, uint64_t (*x)[8])
{
    for (ptrdiff_t i = 0; i < n; i++) x[i & 7][i >> 3] = word[i * step];
    for (ptrdiff_t i = n; i < 32; i++) x[i & 7][i >> 3] = 0;
}

/* A tile is two such halves. x: byte k of lane l holds eight sites of row 8 l + k; turned: a site of eight rows. */
typedef struct sc_tile {
    uint64_t words[8][8];
    ptrdiff_t g[2], w[2];
    int halves;
} sc_tile;

SC_INLINE void sc_put_slices(const sc_packed *b, const sc_tile *tile, ptrdiff_t n_slices, const vl x[8])
{
    uint8_t spare[32], *to[2];
    ptrdiff_t left[2];
    for (int half = 0; half < 2; half++) {
        left[half] = half < tile->halves ? n_slices - 8 * tile->w[half] : 0;
        to[half] = b->slices + (tile->g[half] * n_slices + 8 * tile->w[half]) * 32;
    }
    if (left[0] >= 8 && left[1] >= 8)
        for (int k = 0; k < 8; k++) vl_store_halves(to[0] + 32 * k, to[1] + 32 * k, x[k]);
    else
        for (int k = 0; k < 8; k++)
            vl_store_halves(k < left[0] ? to[0] + 32 * k : spare, k < left[1] ? to[1] + 32 * k : spare, x[k]);
}

SC_INLINE void sc_put_columns(const sc_packed *b, const sc_tile *tile, ptrdiff_t sites)
{
    const ptrdiff_t stride = sites + SC_MARGIN;
    for (int half = 0; half < tile->halves; half++) {
        const ptrdiff_t left = sites - 64 * tile->w[half];
        uint8_t *to = b->columns + 4 * tile->g[half] * stride + 64 * tile->w[half];
        for (int i = 4 * half; i < 4 * half + 4; i++, to += stride)
            if (left >= 64)
                for (int k = 0; k < 8; k++) sc_put_u64(to + 8 * k, tile->words[k][i]);
            else
                for (ptrdiff_t k = 0; 8 * k < left; k++) sc_put_u64(to + 8 * k, tile->words[k][i]);
    }
}

/* Words to columns, and to slices where they are wanted. */
static void sc_turn_bits(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, int slices)
{
    const ptrdiff_t stride = sites + SC_MARGIN, words = (sites + 63) / 64, groups = (rows + 31) / 32;
    sc_tile tile = {.halves = 0};
    ptrdiff_t g = 0, w = 0;
    if (groups & 1) memset(b->columns + 4 * groups * stride, 0, (size_t)(4 * stride));
    while (g < groups) {
        const ptrdiff_t n = SC_MIN(32, rows - 32 * g);
        const uint64_t *word = b->words + 32 * g * words + w;
        uint64_t (*half)[8] = (uint64_t (*)[8])(tile.words[0] + 4 * tile.halves);
        if (n == 32) sc_fill_tile(word, words, 32, half);
        else sc_fill_tile(word, words, n, half);
        tile.g[tile.halves] = g, tile.w[tile.halves++] = w;
        if (++w == words) w = 0, g++;
        if (tile.halves < 2 && g < groups) continue;
        vl x[8];
        for (int r = 0; r < 8; r++) x[r] = vl_load(tile.words[r]);
        vl_transpose_bytes(x);
        if (slices) sc_put_slices(b, &tile, sc_slices(sites), x);
        for (int k = 0; k < 8; k++) vl_store(tile.words[k], sc_transpose_bits(x[k]));
        sc_put_columns(b, &tile, sites);
        tile.halves = 0;
    }
}

/* ---- outcomes ---------------------------------------------------------------------------------------------------- */

/* The outcome of a row of at most eight sites */
SC_INLINE unsigned sc_outcome(const sc_packed *b, ptrdiff_t row, ptrdiff_t sites)
{
    const uint8_t *p = b->stream + (row * sites >> 3);
    return (p[0] | (unsigned)p[1] << 8) >> (row * sites & 7) & ((1U << sites) - 1);
}

/* and how often each came */
static void sc_count_outcomes(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, double *count)
{
    int32_t own[4][256] = {{0}};
    for (ptrdiff_t i = 0; i < rows; i++) own[i & 3][sc_outcome(b, i, sites)]++;
    for (int k = 0; k < 1 << sites; k++) count[k] = (double)(own[0][k] + own[1][k] + own[2][k] + own[3][k]);
}

#endif
