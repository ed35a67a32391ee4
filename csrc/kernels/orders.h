/* orders: rankings of items, and the first k of them; their probabilities and scores stand in order_scores.h.
 *
 * With logits l and Gumbel noise g, y_0, y_1, ... are the items by decreasing l_i + g_i (one addition; ties: the smaller
 * index first): Yellott, J. Math. Psychology 15 (1977); the first k: Kool, van Hoof and Welling, ICML 2019.
 *
 * sc_order (order_sort.h) is that definition for one list. sc_step_orders does many lists, sixteen side by side, and
 * sc_sample_orders makes the noise as it goes. For few of many it throws out first, by an integer comparison of each
 * item's bits, what is surely below a level that somewhat more than k items exceed on average: only the others get a
 * Gumbel variate. A list with fewer than k above the level is drawn again in full.
 *
 * Promises: the result is the definition's, whatever the path, so it is the same on every instruction set. Logits are
 * finite. Scratch memory is the caller's, in doubles: the functions *_scratch say how many.
 */
#ifndef SC_KERNELS_ORDERS_H
#define SC_KERNELS_ORDERS_H

#include "noise.h"
#include "order_sort.h"

enum { SC_ORDER_TILED = 256 }; /* so many items, whose logits are repeated for sixteen lists */

/* ---- fused ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const double *logits;
    const sc_stream *stream; /* or, where that is NULL, noise */
    const double *noise;
    ptrdiff_t n_lists, items, k;
    uint64_t first;
    int32_t *y;
    double *scratch;
} sc_order_job;

static inline const double *sc_order_row(const sc_order_job *job, ptrdiff_t list)
{
    return job->logits + list % job->n_lists * job->items;
}

/* The noise of n lists, if need be in `space`. */
static const double *sc_order_noise(const sc_order_job *job, ptrdiff_t list, ptrdiff_t n, double *space)
{
    if (!job->stream) return job->noise + list * job->items;
    sc_fill_gumbel64(job->stream, job->first + (uint64_t)(list * job->items), n * job->items, space);
    return space;
}

/* One list as it comes. scratch: 3 items + 2100 doubles. */
static void sc_order_one(const sc_order_job *job, ptrdiff_t list, double *scratch)
{
    const double *row = sc_order_row(job, list), *noise = sc_order_noise(job, list, 1, scratch);
    int32_t *y = job->y + list * job->k;
    for (ptrdiff_t i = 0; i < job->items; i++) scratch[i] = row[i] + noise[i];
    if (job->items <= SC_ORDER_COLUMNS || sc_order_is_few(job->items, job->k))
        sc_order_values(scratch, job->items, job->k, scratch + job->items, y);
    else sc_order_long(scratch, job->items, job->k, scratch + job->items, y);
}

/* The first k rows of n lanes. */
static void sc_order_write(const uint32_t *rows, uint32_t mask, ptrdiff_t n, ptrdiff_t k, int32_t *y)
{
    for (ptrdiff_t j = 0; j < n; j++, y += k, rows++)
        for (ptrdiff_t i = 0; i < k; i++) y[i] = (int32_t)(rows[SC_ORDER_LANES * i] & mask);
}

/* Lists list .. list + n, at most sixteen: whole columns. `tile`: their logits one after another, or NULL. */
static void sc_order_group(const sc_order_job *job, ptrdiff_t list, ptrdiff_t n, const double *tile, double *scratch)
{
    const ptrdiff_t items = job->items, all = n * items;
    const int bits = sc_order_bits(items), key_bits = SC_MIN(31 - bits, 30);
    double *value = scratch;
    uint64_t *key = (uint64_t *)(void *)(value + SC_ORDER_LANES * items + 8);
    uint32_t *rows = (uint32_t *)(void *)(key + SC_ORDER_LANES * SC_MIN(items, SC_ORDER_TILED) + SC_ORDER_COLUMNS + 8);
    const double *noise = sc_order_noise(job, list, n, value);
    if (n < SC_ORDER_LANES) memset(rows, 0, (size_t)(SC_ORDER_LANES * items) * sizeof *rows);
    if (tile) {
        for (ptrdiff_t i = 0; i < all; i++) value[i] = tile[i] + noise[i];
        sc_order_keys(value, all, key_bits, key);
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        double *v = value + j * items;
        const double *row = sc_order_row(job, list + j);
        for (ptrdiff_t i = 0; !tile && i < items; i++) v[i] = row[i] + noise[j * items + i];
        if (!tile) sc_order_keys(v, items, key_bits, key);
        sc_order_column(tile ? key + j * items : key, items, bits, rows + j);
    }
    sc_order_columns(rows, items);
    if (sc_order_settle(rows, items, n, bits, value, items))
        sc_order_write(rows, (UINT32_C(1) << bits) - 1, n, job->k, job->y + list * job->k);
    else
        for (ptrdiff_t j = 0; j < n; j++)
            sc_order_values(value + j * items, items, job->k, (double *)(void *)key, job->y + (list + j) * job->k);
}

/* ---- fused: few of many ----------------------------------------------------------------------------------------- */

/* An item whose 64 bits are less than least[i] is surely below the level. Up to `most` candidates of a list are
 * looked at, by `bits` bits; lane j's stand at j << bits. */
typedef struct {
    double level;
    ptrdiff_t most;
    int bits;
    uint64_t *least;
} sc_order_level;

enum { SC_ORDER_CHUNK = 512, SC_ORDER_MOST = 1024 };

static inline double sc_order_expected(ptrdiff_t k)
{
    double x;
    vd_store_part(&x, vd_sqrt(vd_set1((double)k)), 1);
    return (double)k + 3.5 * x + 3;
}

/* P(l + g < level), of eight logits. */
SC_INLINE vd sc_order_below(vd logits, double level) { return sc_exp(vd_neg(sc_exp(vd_sub(logits, vd_set1(level))))); }

static double sc_order_above(const double *logits, ptrdiff_t items, double level)
{
    vd sum = vd_set1(0), one = vd_set1(1);
    for (ptrdiff_t i = 0; i < items; i += 8)
        sum = vd_add(sum, vd_sub(one, sc_order_below(vd_load_part(logits + i, items - i, -HUGE_VAL), level)));
    return vd_sum(sum);
}

/* Finds the level and the bounds. Returns 0 where it does not pay or where rounding of l + g might matter. */
static int sc_order_find_level(const double *logits, ptrdiff_t items, ptrdiff_t k, sc_order_level *found)
{
    const double wanted = sc_order_expected(k);
    double high = logits[0], low = logits[0], shift;
    if (items < 32 || k > SC_ORDER_MOST / 8 || 2 * wanted > (double)items) return 0;
    for (ptrdiff_t i = 0; i < items; i++) {
        high = logits[i] > high ? logits[i] : high;
        low = logits[i] < low ? logits[i] : low;
    }
    if (!(high < 0x1p+20 && low > -0x1p+20)) return 0;
    vd_store_part(&shift, sc_log(vd_set1((double)items / wanted)), 1);
    high += shift;
    low += shift - 2;
    for (int step = 0; step < 40 && high - low > 0x1p-6; step++) {
        const double middle = 0.5 * (low + high);
        if (sc_order_above(logits, items, middle) > wanted) low = middle;
        else high = middle;
    }
    found->level = low;
    found->most = SC_MIN((ptrdiff_t)(3 * wanted), items);
    found->bits = sc_order_bits(found->most);
    /* Two units of 2^-32 hold the rounding of l - level, of l + g and of the functions: each is less than 2^-32. */
    for (ptrdiff_t i = 0; i < items; i++) {
        double p[8];
        if (i % 8 == 0) vd_store(p, sc_order_below(vd_load_part(logits + i, items - i, 0), low));
        const double t = p[i % 8] * 0x1p+32 - 2;
        found->least[i] = t > 0 ? (uint64_t)t << 32 : 0;
    }
    return 1;
}

/* The candidates of one list and their bits, in order; returns how many, or more than level->most. */
static ptrdiff_t sc_order_candidates(const sc_order_job *job, ptrdiff_t list, const sc_order_level *level,
                                     int32_t *item, uint64_t *kept)
{
    uint64_t bits[SC_ORDER_CHUNK];
    ptrdiff_t n = 0;
    for (ptrdiff_t from = 0; from < job->items && n <= level->most; from += SC_ORDER_CHUNK) {
        const ptrdiff_t run = SC_MIN(SC_ORDER_CHUNK, job->items - from);
        const uint64_t *least = level->least + from;
        sc_fill_bits64(job->stream, job->first + (uint64_t)(list * job->items + from), run, bits);
        for (ptrdiff_t i = 0; i < run; i++) {
            item[n] = (int32_t)(from + i);
            kept[n] = bits[i];
            n += bits[i] >= least[i];
        }
    }
    return n;
}

/* l + g of n candidates; returns how many reach the level. */
static ptrdiff_t sc_order_candidate_values(const double *logits, ptrdiff_t n, const int32_t *item, const uint64_t *bits,
                                           double level, double *value)
{
    ptrdiff_t reached = 0;
    for (ptrdiff_t from = 0; from < n; from += 32) {
        const ptrdiff_t run = SC_MIN(32, n - from);
        double q[32];
        for (ptrdiff_t i = 0; i < 32; i++)
            q[i] = i < run ? (double)((int64_t)(bits[from + i] >> 11 << 1 | 1) - (INT64_C(1) << 53)) * 0x1p-54 : 0.25;
        sc_apply_gumbel64(q, 1);
        for (ptrdiff_t i = 0; i < run; i++) {
            value[from + i] = logits[item[from + i]] + q[i];
            reached += value[from + i] >= level;
        }
    }
    return reached;
}

/* Doubles for candidates: sixteen lanes of values and items, columns, keys, and those of one list. */
enum { SC_ORDER_FEW_SCRATCH = SC_ORDER_MOST * (16 + 8 + 8 + 1) + 8 + 2 * (SC_ORDER_MOST + SC_ORDER_CHUNK) };

/* n <= 16 lists: list, list + n_lists, ... `whole`: scratch of sc_order_one. */
static void sc_order_few_group(const sc_order_job *job, ptrdiff_t list, ptrdiff_t n, const sc_order_level *level,
                               double *scratch, double *whole)
{
    const int bits = level->bits;
    const ptrdiff_t stride = (ptrdiff_t)1 << bits;
    double *value = scratch;
    uint64_t *key = (uint64_t *)(void *)(value + SC_ORDER_LANES * SC_ORDER_MOST), *kept = key + SC_ORDER_MOST + 8;
    int32_t *found = (int32_t *)(void *)(kept + SC_ORDER_MOST + SC_ORDER_CHUNK);
    int32_t *item = found + SC_ORDER_MOST + SC_ORDER_CHUNK;
    uint32_t *rows = (uint32_t *)(void *)(item + SC_ORDER_LANES * SC_ORDER_MOST);
    ptrdiff_t longest = job->k, counts[SC_ORDER_LANES];
    const vw none = vw_set1(INT32_MAX); /* behind every key: these have a bit less */
    for (ptrdiff_t i = 0; i < stride; i++) vw_store(rows + SC_ORDER_LANES * i, none);
    for (ptrdiff_t j = 0; j < n; j++) {
        double *v = value + j * stride;
        ptrdiff_t at = list + j * job->n_lists, count = sc_order_candidates(job, at, level, found, kept);
        counts[j] = 0;
        if (count > level->most) continue;
        if (sc_order_candidate_values(sc_order_row(job, list), count, found, kept, level->level, v) < job->k) continue;
        counts[j] = count;
        longest = count > longest ? count : longest;
        memcpy(item + j * stride, found, (size_t)count * sizeof *item);
        sc_order_keys(v, count, SC_MIN(30 - bits, 29), key);
        sc_order_column(key, count, bits, rows + j);
    }
    sc_order_columns(rows, longest);
    const int settled = sc_order_settle(rows, longest, n, bits, value, stride);
    for (ptrdiff_t j = 0; j < n; j++) {
        const ptrdiff_t at = list + j * job->n_lists;
        int32_t *y = job->y + at * job->k;
        if (counts[j] == 0 || !settled) sc_order_one(job, at, whole);
        else sc_order_write(rows + j, (UINT32_C(1) << bits) - 1, 1, job->k, y);
        for (ptrdiff_t i = 0; counts[j] && settled && i < job->k; i++) y[i] = item[j * stride + y[i]];
    }
}

/* ---- fused: all ------------------------------------------------------------------------------------------------- */

/* Doubles that sc_sample_orders needs. */
static inline ptrdiff_t sc_sample_orders_scratch(ptrdiff_t items)
{
    const ptrdiff_t columns = SC_MIN(items, SC_ORDER_COLUMNS);
    ptrdiff_t group = SC_ORDER_LANES * columns * 2 + SC_ORDER_COLUMNS + 16 + SC_ORDER_LANES / 2 * columns;
    return 4 * items + 2100 + group + SC_ORDER_LANES * SC_MIN(items, SC_ORDER_TILED) + SC_ORDER_FEW_SCRATCH;
}

/* The lists of logits row `list`, if few of many are wanted. */
static int sc_order_few_of_many(const sc_order_job *job, ptrdiff_t list, ptrdiff_t lists)
{
    double *whole = job->scratch, *rest = whole + 3 * job->items + 2100;
    sc_order_level level = {.least = (uint64_t *)(void *)rest};
    if (!sc_order_find_level(sc_order_row(job, list), job->items, job->k, &level)) return 0;
    while (list < lists) {
        const ptrdiff_t n = SC_MIN(SC_ORDER_LANES, (lists - list + job->n_lists - 1) / job->n_lists);
        sc_order_few_group(job, list, n, &level, rest + job->items, whole);
        list += n * job->n_lists;
    }
    return 1;
}

static void sc_order_run(const sc_order_job *job, ptrdiff_t lists)
{
    const ptrdiff_t items = job->items;
    if (items > SC_ORDER_COLUMNS || (job->noise && sc_order_is_few(items, job->k))) {
        for (ptrdiff_t i = 0; i < lists; i++) sc_order_one(job, i, job->scratch);
        return;
    }
    double *tile = job->n_lists == 1 && items <= SC_ORDER_TILED ? job->scratch : NULL;
    double *rest = job->scratch + SC_ORDER_LANES * SC_MIN(items, SC_ORDER_TILED);
    for (ptrdiff_t j = 0; tile && j < SC_ORDER_LANES; j++)
        memcpy(tile + j * items, job->logits, (size_t)items * sizeof *tile);
    for (ptrdiff_t i = 0; i < lists; i += SC_ORDER_LANES)
        sc_order_group(job, i, SC_MIN(SC_ORDER_LANES, lists - i), tile, rest);
}

/* `lists` lists from their Gumbel noise: y[i] from noise + i * items and the logits row i mod n_lists; as sc_order.
 * scratch: sc_sample_orders_scratch(items) doubles, as for the next. */
static void sc_step_orders(const double *logits, ptrdiff_t n_lists, ptrdiff_t items, ptrdiff_t k, const double *noise,
                           ptrdiff_t lists, double *scratch, int32_t *y)
{
    const sc_order_job job = {logits, NULL, noise, n_lists, items, k, 0, y, scratch};
    sc_order_run(&job, lists);
}

/* The same with the noise of a stream's elements first + i * items on. */
static void sc_sample_orders(const double *logits, ptrdiff_t n_lists, ptrdiff_t items, ptrdiff_t k, const sc_stream *s,
                             uint64_t first, ptrdiff_t lists, double *scratch, int32_t *y)
{
    const sc_order_job job = {logits, s, NULL, n_lists, items, k, first, y, scratch};
    ptrdiff_t done = 0;
    while (lists >= 32 * n_lists && done < n_lists && sc_order_few_of_many(&job, done, lists)) done++;
    if (done < n_lists) sc_order_run(&job, lists);
}

#endif
