/* order_sort: indices by decreasing value, of ties the smaller index first; what orders.h is made of.
 *
 *   sc_order          the definition: l + g, then insertion for the first few, merging for all
 *   sc_order_columns  sixteen lists side by side, one in each lane of a vw: Batcher's odd-even merging (Knuth, TAOCP 3,
 *                     5.3.4) with signed minima and maxima, the same for all lanes and without a branch
 *   sc_order_long     one long list by radix, two digits
 * The last two sort integers: a monotone map of the range of the values, with the place in the low bits. Where values
 * differ in order their integers never do, so only equal integers can stand wrong; those are neighbours, and insertion
 * by the values themselves puts them right. That is little work unless very many are equal: with too many, the plain way
 * is taken.
 *
 * Promises: the one order that the definition has, so the same on every instruction set. Scratch is the caller's.
 */
#ifndef SC_KERNELS_ORDER_SORT_H
#define SC_KERNELS_ORDER_SORT_H

#include "../core.h"
#include "functions.h"

enum {
    SC_ORDER_LANES = 16,
    SC_ORDER_COLUMNS = 512, /* longer lists are sorted alone */
    SC_ORDER_FEW = 64
};

/* ---- one list, plainly ------------------------------------------------------------------------------------------- */

/* Doubles that sc_order needs. */
static inline ptrdiff_t sc_order_step_scratch(ptrdiff_t items) { return 2 * items + 2; }

/* The first k of few: kept in order, each newcomer above the last goes to its place. */
static void sc_order_few(const double *value, ptrdiff_t items, ptrdiff_t k, double *kept, int32_t *y)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < items; i++) {
        if (n == k && !(value[i] > kept[k - 1])) continue;
        ptrdiff_t at = n < k ? n++ : k - 1;
        for (; at > 0 && value[i] > kept[at - 1]; at--) kept[at] = kept[at - 1], y[at] = y[at - 1];
        kept[at] = value[i];
        y[at] = (int32_t)i;
    }
}

/* Merges from[0 .. middle) and from[middle .. n); of equals the left one comes first. */
static void sc_order_merge(const double *value, const int32_t *from, ptrdiff_t middle, ptrdiff_t n, int32_t *to)
{
    ptrdiff_t i = 0, j = middle;
    while (i < middle && j < n) {
        const int32_t a = from[i], b = from[j];
        const int right = value[b] > value[a];
        *to++ = right ? b : a;
        i += !right;
        j += right;
    }
    memcpy(to, from + i, (size_t)(middle - i) * sizeof *to);
    memcpy(to + (middle - i), from + j, (size_t)(n - j) * sizeof *to);
}

/* Indices by decreasing value, by merging; returns which of a and b holds them. */
static int32_t *sc_order_all(const double *value, ptrdiff_t items, int32_t *a, int32_t *b)
{
    enum { RUN = 8 };
    for (ptrdiff_t first = 0; first < items; first += RUN) {
        for (ptrdiff_t i = first, end = SC_MIN(first + RUN, items); i < end; i++) {
            ptrdiff_t at = i;
            for (; at > first && value[i] > value[a[at - 1]]; at--) a[at] = a[at - 1];
            a[at] = (int32_t)i;
        }
    }
    for (ptrdiff_t width = RUN; width < items; width *= 2) {
        for (ptrdiff_t first = 0; first < items; first += 2 * width) {
            ptrdiff_t n = SC_MIN(2 * width, items - first);
            sc_order_merge(value, a + first, SC_MIN(width, n), n, b + first);
        }
        int32_t *other = a;
        a = b;
        b = other;
    }
    return a;
}

/* Whether the first k are so few that a scan is best. */
static inline int sc_order_is_few(ptrdiff_t items, ptrdiff_t k) { return k <= SC_ORDER_FEW && 16 * k < items; }

/* The first k by decreasing value. scratch: items + 1 doubles. */
static void sc_order_values(const double *value, ptrdiff_t items, ptrdiff_t k, double *scratch, int32_t *y)
{
    if (sc_order_is_few(items, k)) {
        sc_order_few(value, items, k, scratch, y);
        return;
    }
    int32_t *a = (int32_t *)(void *)scratch;
    memcpy(y, sc_order_all(value, items, a, a + items), (size_t)k * sizeof *y);
}

/* y of one list from its Gumbel noise. scratch: sc_order_step_scratch(items). */
static inline void sc_order(const double *logits, const double *noise, ptrdiff_t items, ptrdiff_t k, double *scratch,
                            int32_t *y)
{
    double *value = scratch;
    for (ptrdiff_t i = 0; i < items; i++) value[i] = logits[i] + noise[i];
    sc_order_values(value, items, k, scratch + items, y);
}

/* ---- sixteen lists side by side --------------------------------------------------------------------------------- */

SC_INLINE void sc_order_pair(vw *a, vw *b)
{
    const vw low = vw_min(*a, *b);
    *b = vw_max(*a, *b);
    *a = low;
}

/* Rows i and i + d. */
SC_INLINE void sc_order_exchange(uint32_t *row, ptrdiff_t d)
{
    vw a = vw_load(row), b = vw_load(row + SC_ORDER_LANES * d);
    sc_order_pair(&a, &b);
    vw_store(row, a);
    vw_store(row + SC_ORDER_LANES * d, b);
}

SC_INLINE void sc_order_four_rows(uint32_t *row)
{
    vw r[4];
    for (int i = 0; i < 4; i++) r[i] = vw_load(row + SC_ORDER_LANES * i);
    sc_order_pair(&r[0], &r[1]);
    sc_order_pair(&r[2], &r[3]);
    sc_order_pair(&r[0], &r[2]);
    sc_order_pair(&r[1], &r[3]);
    sc_order_pair(&r[1], &r[2]);
    for (int i = 0; i < 4; i++) vw_store(row + SC_ORDER_LANES * i, r[i]);
}

/* Exchanges of d = 2, then 1, on n >= 2 rows in one go: four rows in registers and the one before them. */
static void sc_order_last_two(uint32_t *row, ptrdiff_t n)
{
    vw before = vw_load(row + SC_ORDER_LANES);
    row += 2 * SC_ORDER_LANES;
    for (n -= 2; n >= 4; n -= 4, row += 4 * SC_ORDER_LANES) {
        vw r[4];
        for (int i = 0; i < 4; i++) r[i] = vw_load(row + SC_ORDER_LANES * i);
        sc_order_pair(&r[0], &r[2]);
        sc_order_pair(&r[1], &r[3]);
        sc_order_pair(&before, &r[0]);
        sc_order_pair(&r[1], &r[2]);
        vw_store(row - SC_ORDER_LANES, before);
        for (int i = 0; i < 3; i++) vw_store(row + SC_ORDER_LANES * i, r[i]);
        before = r[3];
    }
    vw_store(row - SC_ORDER_LANES, before);
    if (n == 3) sc_order_exchange(row, 2);
    if (n > 0) sc_order_exchange(row - SC_ORDER_LANES, 1);
    if (n == 3) sc_order_exchange(row + SC_ORDER_LANES, 1);
}

/* Columns of n rows whose runs of p ascend become runs of 2p. */
static void sc_order_merge_columns(uint32_t *rows, ptrdiff_t n, ptrdiff_t p)
{
    for (; n > p; n -= 2 * p, rows += 2 * p * SC_ORDER_LANES) {
        const ptrdiff_t last = SC_MIN(2 * p, n), least = p > 2 ? 4 : 1;
        for (ptrdiff_t d = p; d >= least; d /= 2) {
            for (ptrdiff_t run = d == p ? 0 : d; run + d < last; run += 2 * d) {
                uint32_t *a = rows + SC_ORDER_LANES * run, *end = a + SC_ORDER_LANES * SC_MIN(d, last - d - run);
                for (; a < end; a += SC_ORDER_LANES) sc_order_exchange(a, d);
            }
        }
        if (p > 2) sc_order_last_two(rows, last);
    }
}

/* Each column of n rows ascends, as signed numbers. Blocks that fit the first cache come first. */
static void sc_order_columns(uint32_t *rows, ptrdiff_t n)
{
    enum { BLOCK = 256 };
    for (ptrdiff_t first = 0; first < n; first += BLOCK) {
        uint32_t *block = rows + SC_ORDER_LANES * first;
        const ptrdiff_t size = SC_MIN(BLOCK, n - first), fours = size & ~(ptrdiff_t)3;
        for (ptrdiff_t i = 0; i < fours; i += 4) sc_order_four_rows(block + SC_ORDER_LANES * i);
        for (ptrdiff_t p = 1; p < 4; p *= 2) sc_order_merge_columns(block + SC_ORDER_LANES * fours, size - fours, p);
        for (ptrdiff_t p = 4; p < BLOCK; p *= 2) sc_order_merge_columns(block, size, p);
    }
    for (ptrdiff_t p = BLOCK; p < n; p *= 2) sc_order_merge_columns(rows, n, p);
}

/* Whole numbers 0 .. 2^bits - 1 that never ascend where the values do not descend. Values are read, and keys written,
 * up to the next multiple of eight. */
static void sc_order_keys(const double *value, ptrdiff_t n, int bits, uint64_t *key)
{
    vd high = vd_set1(value[0]), low = high;
    for (ptrdiff_t i = 0; i < n; i += 8) {
        vd v = vd_load_part(value + i, n - i, value[0]);
        high = vd_max(high, v);
        low = vd_min(low, v);
    }
    double h[8], l[8];
    vd_store(h, high);
    vd_store(l, low);
    for (int j = 1; j < 8; j++) h[0] = h[j] > h[0] ? h[j] : h[0], l[0] = l[j] < l[0] ? l[j] : l[0];
    const double last = (double)((UINT64_C(1) << bits) - 1), range = h[0] - l[0];
    /* Where last / range is not finite, all are nearly equal, or some are infinite: one key for all, then. */
    const double ratio = last / range, scale = ratio < 0x1p+1000 && ratio > 0 ? ratio : 0;
    const vd most = vd_set1(last), shift = vd_set1(0x1p+52), from = vd_set1(h[0]), factor = vd_set1(scale);
    const vl mask = vl_set1((UINT64_C(1) << 52) - 1);
    for (ptrdiff_t i = 0; i < n; i += 8) {
        vd t = vd_mul(vd_sub(from, vd_load_part(value + i, n - i, h[0])), factor);
        vl_store(key + i, vl_and(vl_from_bits(vd_add(vd_min(t, most), shift)), mask));
    }
}

/* Row i of a sorted column holds key << bits | place. Where keys are equal, the places go by their values; returns 0
 * where that is too much work. `value` of lane j stands at j * stride. */
static int sc_order_settle(uint32_t *rows, ptrdiff_t n, ptrdiff_t lanes, int bits, const double *value,
                           ptrdiff_t stride)
{
    const uint32_t used = (UINT32_C(1) << lanes) - 1;
    const uint32_t mask = (UINT32_C(1) << bits) - 1;
    ptrdiff_t patience = 64 * n;
    for (ptrdiff_t i = 1; i < n; i++) {
        uint32_t *row = rows + SC_ORDER_LANES * i;
        vw differ = vw_xor(vw_load(row), vw_load(row - SC_ORDER_LANES));
        uint32_t ties = vn_bits(vw_ltu(differ, vw_set1(mask + 1))) & used;
        for (int j = 0; ties; j++, ties >>= 1) {
            if (!(ties & 1)) continue;
            const double *v = value + j * stride;
            uint32_t *at = row + j;
            const uint32_t word = *at;
            while (at >= rows + SC_ORDER_LANES) {
                const uint32_t before = at[-SC_ORDER_LANES];
                if (before >> bits != word >> bits || !(v[word & mask] > v[before & mask])) break;
                *at = before;
                at -= SC_ORDER_LANES;
                patience--;
            }
            *at = word;
            if (patience < 0) return 0;
        }
    }
    return 1;
}

static inline int sc_order_bits(ptrdiff_t n)
{
    int bits = 0;
    while ((ptrdiff_t)1 << bits < n) bits++;
    return bits;
}

/* One list's keys into column j. */
static void sc_order_column(const uint64_t *key, ptrdiff_t n, int bits, uint32_t *column)
{
    for (ptrdiff_t i = 0; i < n; i++) column[SC_ORDER_LANES * i] = (uint32_t)key[i] << bits | (uint32_t)i;
}

/* ---- one long list ---------------------------------------------------------------------------------------------- */

/* Words key << 32 | index, sorted by keys of twice `digit` bits, into `to`. other: n words, and 2^(digit + 1) counts. */
static void sc_order_radix(const uint64_t *key, ptrdiff_t n, int digit, uint64_t *to, uint64_t *other)
{
    const ptrdiff_t digits = (ptrdiff_t)1 << digit;
    const uint64_t mask = (uint64_t)digits - 1;
    uint32_t *low = (uint32_t *)(void *)(other + n), *high = low + digits, low_sum = 0, high_sum = 0;
    memset(low, 0, (size_t)(2 * digits) * sizeof *low);
    for (ptrdiff_t i = 0; i < n; i++) {
        low[key[i] & mask]++;
        high[key[i] >> digit]++;
    }
    for (ptrdiff_t c = 0; c < digits; c++) {
        const uint32_t low_here = low[c], high_here = high[c];
        low[c] = low_sum;
        high[c] = high_sum;
        low_sum += low_here;
        high_sum += high_here;
    }
    for (ptrdiff_t i = 0; i < n; i++) other[low[key[i] & mask]++] = key[i] << 32 | (uint64_t)i;
    for (ptrdiff_t i = 0; i < n; i++) to[high[other[i] >> (32 + digit)]++] = other[i];
}

/* As sc_order_values. scratch: 2 items + 8 + 2048 doubles. */
static void sc_order_long(const double *value, ptrdiff_t items, ptrdiff_t k, double *scratch, int32_t *y)
{
    const int digit = items <= 2048 ? 9 : 11;
    uint64_t *word = (uint64_t *)(void *)scratch;
    ptrdiff_t patience = 64 * items;
    sc_order_keys(value, items, 2 * digit, word);
    sc_order_radix(word, items, digit, word, word + items + 8);
    for (ptrdiff_t i = 1; i < items; i++) {
        const uint64_t w = word[i];
        if ((w ^ word[i - 1]) >> 32) continue;
        ptrdiff_t at = i;
        while (at > 0 && word[at - 1] >> 32 == w >> 32 && value[(uint32_t)w] > value[(uint32_t)word[at - 1]]) {
            word[at] = word[at - 1];
            at--;
        }
        word[at] = w;
        patience -= i - at;
        if (patience < 0) {
            sc_order_values(value, items, k, scratch, y);
            return;
        }
    }
    for (ptrdiff_t i = 0; i < k; i++) y[i] = (int32_t)word[i];
}

#endif
