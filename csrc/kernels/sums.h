/* sums: sums of the rows of a matrix that bits name.
 *
 * By lists: one addition for a bit that is set, none for others: right where few are. By tables: the rows go in fours,
 * the sums of all 16 subsets of each four are worked out once, and every sum then takes one addition for four bits,
 * whatever they are (the method of the four Russians: Arlazarov, Dinic, Kronrod and Faradzhev 1970): right where about
 * half the bits are set, and many sums are wanted of one matrix.
 *
 * Promises: lane words only. A sum by lists goes in the order of the list. One by tables adds the fours in order, each
 * ((r0 + r1) + r2) + r3 of those that are set: the bits depend neither on what else is summed nor on how columns are cut.
 */
#ifndef SC_KERNELS_SUMS_H
#define SC_KERNELS_SUMS_H

#include "../vae.h"
#include "distributions.h"

enum {
    SC_TILE = 64,       /* columns of a product that are finished before the next */
    SC_NEAR = 32,       /* columns of a matrix that stay in the nearest cache */
    SC_SEGMENT = 256,   /* rows of a batch whose places are listed at a time */
    SC_SUBSETS = 16,    /* of four rows */
    SC_WORD_FOURS = 8,  /* fours in a word of bits */
};

/* ---- bits -------------------------------------------------------------------------------------------------------- */

/* Sixteen outcomes k < T(p) as bits, for float32 p. u = (word >> 8) 2^-24 is exact, u <= k 2^-53 < u + 2^-24: only
 * where p falls strictly between do the other bits of k count. */
SC_INLINE uint32_t sc_below32(vw words, const float *p, const sc_stream *s, uint64_t e)
{
    vf u = vf_mul(vw_to_f32(vw_shr(words, 8)), vf_set1(0x1p-24f)), at = vf_load(p);
    uint32_t below = vn_bits(vf_lt(u, at));
    uint32_t ties = below & ~vn_bits(vf_le(vf_add(u, vf_set1(0x1p-24f)), at));
    for (; ties; ties &= ties - 1) {
        int i = __builtin_ctz(ties);
        if (sc_k(s, e + (uint64_t)i) >= sc_threshold((double)p[i])) below &= ~(UINT32_C(1) << i);
    }
    return below;
}

/* The lanes whose bit is set. */
SC_INLINE vn sc_lanes_of(uint32_t bits)
{
    static const uint32_t own[16] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    const vw bit = vw_load(own);
    return vw_eq(vw_and(vw_set1(bits), bit), bit);
}

/* Sixteen bits to or from a place of a plane. */
static inline void sc_put_bits(uint32_t *plane, ptrdiff_t feature, uint32_t bits)
{
    *plane = feature & 16 ? *plane | bits << 16 : bits;
}

static inline uint32_t sc_get_bits(uint32_t plane, ptrdiff_t feature) { return plane >> (feature & 16); }

/* Rows of bits by feature: column f has bit r where row r of the plane has bit shift + f. */
static void sc_columns(const uint32_t *plane, int shift, ptrdiff_t features, ptrdiff_t rows, uint32_t *columns)
{
    for (ptrdiff_t f = 0; f < features; f++) {
        const vw bit = vw_set1(UINT32_C(1) << (shift + f));
        for (ptrdiff_t r = 0; r < rows; r += 32) {
            uint32_t low = vn_bits(vw_eq(vw_and(vw_load(plane + r), bit), bit));
            *columns++ = low | vn_bits(vw_eq(vw_and(vw_load(plane + r + 16), bit), bit)) << 16;
        }
    }
}

/* Where a row of planes has ones: the numbers of set bits, in order. The words of bits come in pairs, `step` apart. */
static ptrdiff_t sc_list_bits(const uint32_t *bits, ptrdiff_t step, ptrdiff_t words, uint32_t *list)
{
    uint32_t *end = list;
    for (ptrdiff_t k = 0; k < words; k += 2) {
        uint64_t left = bits[k * step] | (uint64_t)bits[(k + 1) * step] << 32;
        for (; left; left &= left - 1) *end++ = (uint32_t)(32 * k + __builtin_ctzll(left));
    }
    return end - list;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* out = start + the rows of a list, in its order, n (1 to 4, a constant) times sixteen columns. */
SC_INLINE void sc_add_list_n(int n, sc_list list, const float *matrix, ptrdiff_t stride, const float *start, float *out)
{
    vf a = vf_load(start), b = n > 1 ? vf_load(start + 16) : a;
    vf c = n > 2 ? vf_load(start + 32) : a, d = n > 3 ? vf_load(start + 48) : a;
    for (ptrdiff_t k = 0; k < list.count; k++) {
        const float *row = matrix + (ptrdiff_t)list.rows[k] * stride;
        a = vf_add(a, vf_load(row));
        if (n > 1) b = vf_add(b, vf_load(row + 16));
        if (n > 2) c = vf_add(c, vf_load(row + 32));
        if (n > 3) d = vf_add(d, vf_load(row + 48));
    }
    vf_store(out, a);
    if (n > 1) vf_store(out + 16, b);
    if (n > 2) vf_store(out + 32, c);
    if (n > 3) vf_store(out + 48, d);
}

/* out[i] = start[i] + the rows of list i, for `lists` lists and `width` columns (a multiple of 16); starts and outs are
 * so many floats apart. Tiles of columns are as even as can be, and so narrow that much of a matrix stays near. */
static void sc_add_lists(ptrdiff_t lists, const sc_list *list, ptrdiff_t width, const float *matrix, ptrdiff_t stride,
                         const float *start, ptrdiff_t start_step, float *out, ptrdiff_t out_step)
{
    const ptrdiff_t lanes = width / 16, tiles = (width + SC_TILE - 1) / SC_TILE;
    for (ptrdiff_t k = 0; k < tiles; k++) {
        const ptrdiff_t first = k * lanes / tiles, n = (k + 1) * lanes / tiles - first, d = 16 * first;
        for (ptrdiff_t i = 0; i < lists; i++) {
            const float *from = start + i * start_step + d;
            float *to = out + i * out_step + d;
            switch (n) {
            case 4: sc_add_list_n(4, list[i], matrix + d, stride, from, to); break;
            case 3: sc_add_list_n(3, list[i], matrix + d, stride, from, to); break;
            case 2: sc_add_list_n(2, list[i], matrix + d, stride, from, to); break;
            default: sc_add_list_n(1, list[i], matrix + d, stride, from, to);
            }
        }
    }
}

/* out[i] = start + the rows of the matrix whose bit column i has, for at most SC_VAE_ROWS columns of so many words. */
static void sc_add_columns(ptrdiff_t count, const uint32_t *columns, ptrdiff_t words, ptrdiff_t width,
                           const float *matrix, ptrdiff_t stride, const float *start, float *out)
{
    enum { WORDS = SC_SEGMENT / 32 };
    uint32_t places[SC_VAE_ROWS][SC_SEGMENT];
    sc_list on[SC_VAE_ROWS];
    ptrdiff_t step = 0;
    for (ptrdiff_t k = 0; k < words; k += WORDS, start = out, step = width) {
        for (ptrdiff_t i = 0; i < count; i++)
            on[i] = (sc_list){places[i], sc_list_bits(columns + i * words + k, 1, SC_MIN(WORDS, words - k), places[i])};
        sc_add_lists(count, on, width, matrix + 32 * k * stride, stride, start, step, out, width);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* The sums of all subsets of four rows of sixteen columns. */
SC_INLINE void sc_four_subsets(vf r0, vf r1, vf r2, vf r3, float *t)
{
    const vf low[8] = {
        vf_set1(0), r0, r1, vf_add(r0, r1), r2, vf_add(r0, r2), vf_add(r1, r2), vf_add(vf_add(r0, r1), r2)};
    for (int s = 0; s < 8; s++) vf_store(t + s * SC_NEAR, low[s]), vf_store(t + (s + 8) * SC_NEAR, vf_add(low[s], r3));
}

/* The tables of `count` rows, n (1 or 2, a constant) times sixteen columns; rows beyond count are 0. */
SC_INLINE void sc_tabulate_n(int n, ptrdiff_t count, const float *rows, ptrdiff_t stride, float *table)
{
    const vf zero = vf_set1(0);
    for (ptrdiff_t r = 0; r < count; r += 4, rows += 4 * stride, table += SC_SUBSETS * SC_NEAR)
        for (int j = 0; j < 16 * n; j += 16) {
            const float *row = rows + j;
            sc_four_subsets(vf_load(row), r + 1 < count ? vf_load(row + stride) : zero,
                            r + 2 < count ? vf_load(row + 2 * stride) : zero,
                            r + 3 < count ? vf_load(row + 3 * stride) : zero, table + j);
        }
}

/* out[i] = start[i] + a row of each of `fours` tables, as the bits of word i say, from the lowest on. */
SC_INLINE void sc_add_fours_n(int n, int fours, ptrdiff_t count, const uint32_t *bits, ptrdiff_t step,
                              const float *table, const float *start, ptrdiff_t start_step, float *out,
                              ptrdiff_t out_step)
{
    for (ptrdiff_t i = 0; i < count; i++, start += start_step, out += out_step) {
        const uint64_t word = (uint64_t)bits[i * step] << 5; /* four bits become the place of a row at one shift */
        vf a = vf_load(start), b = n > 1 ? vf_load(start + 16) : a;
        for (int g = 0; g < fours; g++) {
            const float *t = table + g * SC_SUBSETS * SC_NEAR + (word >> 4 * g & 15 * SC_NEAR);
            a = vf_add(a, vf_load(t));
            if (n > 1) b = vf_add(b, vf_load(t + 16));
        }
        vf_store(out, a);
        if (n > 1) vf_store(out + 16, b);
    }
}

SC_INLINE void sc_add_bits_n(int n, ptrdiff_t rows, const float *matrix, ptrdiff_t stride, ptrdiff_t count,
                             const uint32_t *bits, ptrdiff_t word_step, ptrdiff_t step, const float *start, float *out,
                             ptrdiff_t out_step)
{
    _Alignas(64) float table[SC_WORD_FOURS * SC_SUBSETS * SC_NEAR];
    ptrdiff_t start_step = 0;
    for (ptrdiff_t r = 0; r < rows; r += 32, bits += word_step, matrix += 32 * stride) {
        const ptrdiff_t some = SC_MIN(32, rows - r);
        sc_tabulate_n(n, some, matrix, stride, table);
        if (some > 28) sc_add_fours_n(n, 8, count, bits, step, table, start, start_step, out, out_step);
        else sc_add_fours_n(n, (int)(some + 3) / 4, count, bits, step, table, start, start_step, out, out_step);
        start = out, start_step = out_step;
    }
}

/* out[i] = start + the sum of the rows of the matrix (at least one) that word i of each plane of bits names, for
 * `count` sums of sixteen columns, or with n > 1 of twice as many. Planes are `word_step` words apart, their words
 * `step`, outs `out_step` floats. */
static void sc_add_bits(ptrdiff_t n, ptrdiff_t rows, const float *matrix, ptrdiff_t stride, ptrdiff_t count,
                        const uint32_t *bits, ptrdiff_t word_step, ptrdiff_t step, const float *start, float *out,
                        ptrdiff_t out_step)
{
    if (n > 1) sc_add_bits_n(2, rows, matrix, stride, count, bits, word_step, step, start, out, out_step);
    else sc_add_bits_n(1, rows, matrix, stride, count, bits, word_step, step, start, out, out_step);
}

#endif
