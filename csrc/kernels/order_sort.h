/* order_sort: indices by decreasing value, of ties the smaller index first; what orders.h is made of.
 *
 *   sc_order          the definition: l + g, then insertion for the first few, merging for all
 *   sc_order_columns  sixteen lists side by side, one in each lane of a vw: merge exchange (Knuth, TAOCP 3, 5.2.2 M) with
 *                     signed minima and maxima, the same for all lanes and without a branch
 *   sc_order_long     one long list by radix
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
    SC_ORDER_COLUMNS = 1024, /* longer lists are sorted alone */
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
static void sc_order(const double *logits, const double *noise, ptrdiff_t items, ptrdiff_t k, double *scratch,
                     int32_t *y)
{
    double *value = scratch;
    for (ptrdiff_t i = 0; i < items; i++) value[i] = logits[i] + noise[i];
    sc_order_values(value, items, k, scratch + items, y);
}

/* ---- sixteen lists side by side --------------------------------------------------------------------------------- */

SC_INLINE void sc_order_exchange(uint32_t *a, uint32_t *b)
{
    vw x = vw_load(a), y = vw_load(b);
    vw_store(a, vw_min(x, y));
    vw_store(b, vw_max(x, y));
}

/* Each column of n rows ascends, as signed numbers. */
static void sc_order_columns(uint32_t *rows, ptrdiff_t n)
{
    ptrdiff_t top = 1;
    while (2 * top < n) top *= 2;
    for (ptrdiff_t p = top; p > 0 && n > 1; p /= 2) {
        for (ptrdiff_t q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
            for (ptrdiff_t run = r; run < n - d; run += 2 * p) {
                uint32_t *a = rows + SC_ORDER_LANES * run, *end = a + SC_ORDER_LANES * SC_MIN(p, n - d - run);
                for (; a < end; a += SC_ORDER_LANES) sc_order_exchange(a, a + SC_ORDER_LANES * d);
            }
            if (q == p) break;
        }
    }
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

/* Sorts n words by their high halves, three times by eleven bits. scratch: n words and 3 * 2048 counts. */
static uint64_t *sc_order_radix(uint64_t *a, ptrdiff_t n, uint64_t *scratch)
{
    enum { DIGITS = 2048 };
    uint64_t *b = scratch;
    uint32_t *count = (uint32_t *)(void *)(scratch + n);
    memset(count, 0, 3 * DIGITS * sizeof *count);
    for (ptrdiff_t i = 0; i < n; i++) {
        count[a[i] >> 32 & (DIGITS - 1)]++;
        count[DIGITS + (a[i] >> 43 & (DIGITS - 1))]++;
        count[2 * DIGITS + (a[i] >> 54)]++;
    }
    for (int pass = 0, shift = 32; pass < 3; pass++, shift += 11, count += DIGITS) {
        uint32_t sum = 0;
        for (int c = 0; c < DIGITS; c++) {
            const uint32_t here = count[c];
            count[c] = sum;
            sum += here;
        }
        for (ptrdiff_t i = 0; i < n; i++) b[count[a[i] >> shift & (DIGITS - 1)]++] = a[i];
        uint64_t *other = a;
        a = b;
        b = other;
    }
    return a;
}

/* As sc_order_values. scratch: 2 items + 8 + 3072 doubles. */
static void sc_order_long(const double *value, ptrdiff_t items, ptrdiff_t k, double *scratch, int32_t *y)
{
    uint64_t *word = (uint64_t *)(void *)scratch;
    sc_order_keys(value, items, 32, word);
    for (ptrdiff_t i = 0; i < items; i++) word[i] = word[i] << 32 | (uint64_t)i;
    word = sc_order_radix(word, items, word + items + 8);
    ptrdiff_t patience = 64 * items;
    for (ptrdiff_t i = 1; i < items && patience >= 0; i++) {
        const uint64_t w = word[i];
        ptrdiff_t at = i;
        while (at > 0 && word[at - 1] >> 32 == w >> 32 && value[(uint32_t)w] > value[(uint32_t)word[at - 1]]) {
            word[at] = word[at - 1];
            at--;
            patience--;
        }
        word[at] = w;
    }
    if (patience < 0) {
        sc_order_values(value, items, k, scratch, y);
        return;
    }
    for (ptrdiff_t i = 0; i < k; i++) y[i] = (int32_t)word[i];
}

#endif
