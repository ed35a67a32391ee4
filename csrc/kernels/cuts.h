/* cuts: quadratic forms of bits over few pairs of sites, for many samples at once.
 *
 *   J(y) = constant + b . y + sum_{i<j} q_ij y_i y_j
 *
 * Of bits, y_i y_j = (y_i + y_j - [y_i != y_j]) / 2, so that J is also a cut (Hammer, "Some network flow problems solved
 * with pseudo-Boolean programming", 1965) of a graph with one more node, whose bit is always 0:
 *
 *   J(y) = constant' + unit (sum over terms t of 2^p_t [y_i != y_j] - offset)
 *
 * where weights are whole multiples of a unit: each is a sum of few signed powers of two (its non-adjacent form), and
 * w [differ] = w - w [agree] turns the negative ones. A word holds one site of 64 samples; a term costs one XOR and, by
 * carry-save adders (Harley's and Seal's: Mula, Kurz and Lemire, 2018, fig. 4), five operations more: bit b of planes
 * 0, 1, 2, ... is the sum of sample b. The sums are exact, so the order of terms leaves no trace.
 *
 * Other weights: eight samples in lanes, neighbours in their order, one fused multiply-add each.
 *
 * Columns are where both begin: byte d of group g holds site d of samples 8g .. 8g + 7 (bits.h).
 */
#ifndef SC_KERNELS_CUTS_H
#define SC_KERNELS_CUTS_H

#include "../cancel.h"
#include "../job.h"
#include "bits.h"

/* ---- columns ----------------------------------------------------------------------------------------------------- */

/* Outcomes of a row as bytes; whether one is no bit. */
static int sc_row_bytes(int type, const void *row, ptrdiff_t n, uint8_t *out)
{
    int64_t seen = 0;
    for (ptrdiff_t d = 0; d < n; d++) {
        const int64_t y = type == SC_I32 ? ((const int32_t *)row)[d] : ((const int64_t *)row)[d];
        seen |= y;
        out[d] = (uint8_t)y;
    }
    return (seen & ~INT64_C(1)) != 0;
}

/* 64 sites of eight rows to one group; bytes of 0 and 1: nothing is carried from one to the next. */
SC_INLINE void sc_join_rows(const uint8_t *y, ptrdiff_t rows, ptrdiff_t stride, uint8_t *group, vl *seen)
{
    vl sum = vl_set1(0), all = *seen;
    for (ptrdiff_t r = rows - 1; r >= 0; r--) {
        const vl own = vl_load_bytes(y + r * stride);
        all = vl_or(all, own);
        sum = vl_add(vl_add(sum, sum), own);
    }
    vl_store_bytes(group, sum);
    *seen = all;
}

/* At most eight rows of bytes to one group. */
static inline vl sc_group_of_rows(const uint8_t *y, ptrdiff_t rows, ptrdiff_t sites, uint8_t *group, vl seen)
{
    ptrdiff_t d = 0;
    for (; rows == 8 && d + 64 <= sites; d += 64) sc_join_rows(y + d, 8, sites, group + d, &seen);
    for (; d < sites; d += 64) {
        uint8_t last[8][64] = {{0}};
        for (ptrdiff_t r = 0; r < rows; r++) memcpy(last[r], y + r * sites + d, (size_t)SC_MIN(64, sites - d));
        sc_join_rows(last[0], 8, 64, group + d, &seen);
    }
    return seen;
}

/* Rows of outcomes to columns; `spare` holds eight rows of bytes. Returns 1 where something is no bit. */
static int sc_columns_of_rows(int type, const void *y, ptrdiff_t rows, ptrdiff_t sites, uint8_t *spare,
                              uint8_t *columns)
{
    const ptrdiff_t size = type == SC_U8 ? 1 : type == SC_I32 ? 4 : 8;
    vl seen = vl_set1(0);
    int bad = 0;
    for (ptrdiff_t at = 0; at < rows; at += 8, columns += sites + SC_MARGIN) {
        const ptrdiff_t n = SC_MIN(8, rows - at);
        const char *from = (const char *)y + at * sites * size;
        if (type != SC_U8) {
            for (ptrdiff_t r = 0; r < n; r++)
                bad |= sc_row_bytes(type, from + r * sites * size, sites, spare + r * sites);
            from = (const char *)spare;
        }
        seen = sc_group_of_rows((const uint8_t *)from, n, sites, columns, seen);
    }
    uint64_t bits[8], all = 0;
    vl_store(bits, seen);
    for (int k = 0; k < 8; k++) all |= bits[k];
    return bad || (all & UINT64_C(0xfefefefefefefefe)) != 0;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Eight groups of 64 sites, the first n of them, to one word of 64 samples for each site. */
SC_INLINE void sc_words_of_groups(const uint8_t *columns, ptrdiff_t stride, ptrdiff_t n, int width, uint64_t *words)
{
    uint64_t own[8][8];
    vl x[8];
    for (int g = 0; g < 8; g++) x[g] = vl_load_bytes(columns + g * stride);
    vl_transpose_bytes(x);
    for (int k = 0; k < 8; k++) vl_store(own[k], x[k]); /* site 8l + k in lane l */
    if (n == 64)
        for (int l = 0; l < 8; l++, words += 8 * width)
            for (int k = 0; k < 8; k++) words[width * k] = own[k][l];
    else
        for (ptrdiff_t k = 0; k < n; k++) words[width * k] = own[k & 7][k >> 3];
}

/* Groups of columns to `whole` words for each site: words[width d + w]. */
static void sc_words_of_columns(const uint8_t *columns, ptrdiff_t sites, ptrdiff_t whole, int width, uint64_t *words)
{
    const ptrdiff_t stride = sites + SC_MARGIN;
    for (ptrdiff_t d = 0; d < sites; d += 64)
        for (ptrdiff_t w = 0; w < whole; w++) {
            const uint8_t *from = columns + 8 * w * stride + d;
            uint64_t *to = words + width * d + w;
            if (width == 8) sc_words_of_groups(from, stride, SC_MIN(64, sites - d), 8, to);
            else if (width == 1) sc_words_of_groups(from, stride, SC_MIN(64, sites - d), 1, to);
            else sc_words_of_groups(from, stride, SC_MIN(64, sites - d), width, to);
        }
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

enum { SC_CUT_TERMS = 512, SC_CUT_PLANES = 64 }; /* words that terms wait in: eight lanes of 64 */

/* Keeps a compiler from gathering words of several terms in one register, which takes longer. */
#define SC_APART(x) __asm__("" : "+r"(x))

/* *sum + a + b: the sum stays, what is carried is returned. */
SC_INLINE vl sc_add_carry(vl *sum, vl a, vl b)
{
    const vl u = vl_xor(*sum, a), carry = vl_or(vl_and(*sum, a), vl_and(u, b));
    *sum = vl_xor(u, b);
    return carry;
}

SC_INLINE vl sc_add_four(vl *planes, const uint64_t *x)
{
    const vl a = sc_add_carry(planes, vl_load(x), vl_load(x + 8));
    const vl b = sc_add_carry(planes, vl_load(x + 16), vl_load(x + 24));
    return sc_add_carry(planes + 1, a, b);
}

SC_INLINE vl sc_add_sixteen(vl *planes, const uint64_t *x)
{
    vl a = sc_add_four(planes, x), b = sc_add_four(planes, x + 32);
    const vl c = sc_add_carry(planes + 2, a, b);
    a = sc_add_four(planes, x + 64), b = sc_add_four(planes, x + 96);
    const vl d = sc_add_carry(planes + 2, a, b);
    return sc_add_carry(planes + 3, c, d);
}

static inline void sc_carry_on(uint64_t (*planes)[8], int from, int n_planes, vl carry)
{
    for (int p = from; p < n_planes; p++) {
        const vl own = vl_load(planes[p]);
        vl_store(planes[p], vl_xor(own, carry));
        carry = vl_and(own, carry);
    }
}

SC_INLINE void sc_differ(uint64_t pair, int turned, int width, const uint64_t *words, uint64_t *x)
{
    SC_APART(pair);
    const uint64_t *a = words + (ptrdiff_t)(pair & 0xffffffff) * width, *b = words + (ptrdiff_t)(pair >> 32) * width;
    for (int w = 0; w < width; w++) x[w] = turned ? ~(a[w] ^ b[w]) : a[w] ^ b[w];
}

/* A multiple of eight terms */
SC_INLINE void sc_differ_all(const uint64_t *pairs, ptrdiff_t n, int turned, int width, const uint64_t *words,
                             uint64_t *x)
{
    for (ptrdiff_t t = 0; t < n; t += 8, pairs += 8, x += 8 * width) {
        sc_differ(pairs[0], turned, width, words, x);
        sc_differ(pairs[1], turned, width, words, x + width);
        sc_differ(pairs[2], turned, width, words, x + 2 * width);
        sc_differ(pairs[3], turned, width, words, x + 3 * width);
        sc_differ(pairs[4], turned, width, words, x + 4 * width);
        sc_differ(pairs[5], turned, width, words, x + 5 * width);
        sc_differ(pairs[6], turned, width, words, x + 6 * width);
        sc_differ(pairs[7], turned, width, words, x + 7 * width);
    }
}

/* Terms of one power of two: planes[0] is theirs. */
SC_INLINE void sc_count_terms_n(const uint64_t *pairs, ptrdiff_t n, int turned, int width, const uint64_t *words,
                                uint64_t (*planes)[8], int n_planes)
{
    uint64_t x[SC_CUT_TERMS];
    const ptrdiff_t many = SC_CUT_TERMS / width, few = many / 4;
    vl p[6];
    for (int i = 0; i < 6; i++) p[i] = vl_load(planes[i]);
    for (; n >= many; n -= many, pairs += many) {
        if (turned) sc_differ_all(pairs, many, 1, width, words, x);
        else sc_differ_all(pairs, many, 0, width, words, x);
        vl a = sc_add_sixteen(p, x), b = sc_add_sixteen(p, x + 128);
        const vl c = sc_add_carry(p + 4, a, b);
        a = sc_add_sixteen(p, x + 256), b = sc_add_sixteen(p, x + 384);
        const vl d = sc_add_carry(p + 4, a, b);
        sc_carry_on(planes, 6, n_planes, sc_add_carry(p + 5, c, d));
    }
    for (int i = 0; i < 6; i++) vl_store(planes[i], p[i]);
    for (; n > 0; n -= few, pairs += few) {
        const ptrdiff_t own = SC_MIN(n, few);
        for (ptrdiff_t t = 0; t < own; t++) sc_differ(pairs[t], turned, width, words, x + t * width);
        memset(x + own * width, 0, (size_t)((few - own) * width) * sizeof *x);
        for (int i = 0; i < 4; i++) p[i] = vl_load(planes[i]);
        const vl carry = sc_add_sixteen(p, x);
        for (int i = 0; i < 4; i++) vl_store(planes[i], p[i]);
        sc_carry_on(planes, 4, n_planes, carry);
    }
}

#define SC_COUNT_TERMS(width)                                                                                          \
    static void sc_count_terms_##width(const uint64_t *pairs, ptrdiff_t n, int turned, const uint64_t *words,          \
                                       uint64_t (*planes)[8], int n_planes)                                            \
    {                                                                                                                  \
        sc_count_terms_n(pairs, n, turned, width, words, planes, n_planes);                                            \
    }
SC_COUNT_TERMS(1)
SC_COUNT_TERMS(2)
SC_COUNT_TERMS(4)
SC_COUNT_TERMS(8)

/* Lanes that count other terms of the same samples are added up: those of word w end in lane w. */
static void sc_add_lanes(uint64_t (*planes)[8], int n_planes, int width)
{
    for (int half = 4; half >= width; half >>= 1)
        for (int k = 0; k < half; k++) {
            uint64_t carry = 0;
            for (int p = 0; p < n_planes; p++) {
                const uint64_t a = planes[p][k], b = planes[p][k + half], u = a ^ b;
                planes[p][k] = u ^ carry;
                carry = (a & b) | (u & carry);
            }
        }
}

/* The sums of 64 samples from one lane of the planes. */
static void sc_read_planes(uint64_t (*planes)[8], int n_planes, int lane, uint64_t sum[64])
{
    memset(sum, 0, 64 * sizeof *sum);
    for (int first = 0; first < n_planes; first += 8) {
        uint8_t byte[8][8], total[64];
        uint64_t x[8];
        for (int p = 0; p < 8; p++) {
            uint8_t own[8];
            sc_put_u64(own, first + p < n_planes ? planes[first + p][lane] : 0);
            for (int k = 0; k < 8; k++) byte[k][p] = own[k];
        }
        for (int k = 0; k < 8; k++) x[k] = sc_get_u64(byte[k]);
        vl_store_bytes(total, sc_transpose_bits(vl_load(x)));
        for (int i = 0; i < 64; i++) sum[i] |= (uint64_t)total[i] << first;
    }
}

/* J of at most 64 width samples from their words. */
static int sc_cut_costs(const sc_form *form, const uint64_t *words, int width, ptrdiff_t rows, sc_cancel *cancel,
                        double *out)
{
    uint64_t planes[SC_CUT_PLANES][8], sum[64];
    memset(planes, 0, sizeof planes);
    for (ptrdiff_t g = 0; g < form->n_groups; g++) {
        const sc_cut_terms *own = form->groups + g;
        const int status = sc_cancelled(cancel);
        if (status) return status;
        const uint64_t *pairs = form->pairs + own->first;
        uint64_t (*at)[8] = planes + own->plane;
        const int turned = (int)own->turned, n_planes = (int)(form->n_planes - own->plane);
        if (width == 8) sc_count_terms_8(pairs, own->count, turned, words, at, n_planes);
        else if (width == 4) sc_count_terms_4(pairs, own->count, turned, words, at, n_planes);
        else if (width == 2) sc_count_terms_2(pairs, own->count, turned, words, at, n_planes);
        else sc_count_terms_1(pairs, own->count, turned, words, at, n_planes);
    }
    sc_add_lanes(planes, (int)form->n_planes, width);
    for (ptrdiff_t at = 0; at < rows; at += 64) {
        sc_read_planes(planes, (int)form->n_planes, (int)(at / 64), sum);
        for (ptrdiff_t i = 0; i < SC_MIN(64, rows - at); i++)
            out[at + i] = form->cut_constant + form->unit * (double)((int64_t)sum[i] - form->offset);
    }
    return SC_OK;
}

/* ---- weights of any size ----------------------------------------------------------------------------------------- */

/* The eight samples of a group in lanes. */
SC_INLINE vd sc_lanes_of_byte(uint8_t byte)
{
    const uint64_t each = UINT64_C(0x0101010101010101), x = byte * each & UINT64_C(0x8040201008040201);
    uint8_t bits[8];
    sc_put_u64(bits, (x + 0x7f * each) >> 7 & each);
    return vd_load_u8(bits);
}

/* J of the rows of one group; y is scratch of eight numbers a site. */
static void sc_sparse_costs(const sc_form *form, const double *linear, const uint8_t *group, ptrdiff_t rows,
                            ptrdiff_t sites, double *y, double *out)
{
    for (ptrdiff_t d = 0; d < sites; d++) vd_store(y + 8 * d, sc_lanes_of_byte(group[d]));
    vd total = vd_set1(form->constant);
    for (ptrdiff_t d = 0; d < sites; d++) {
        vd sum = vd_set1(linear[d]);
        for (ptrdiff_t k = form->upper[d]; k < form->start[d + 1]; k++)
            sum = vd_fma(vd_set1(form->weight[k]), vd_load(y + 8 * (ptrdiff_t)form->neighbour[k]), sum);
        total = vd_fma(sum, vd_load(y + 8 * d), total);
    }
    vd_store_part(out, total, rows);
}

/* J of rows of bits: outcomes y, or packed where y is NULL; `memory` as in sc_price_size. */
static int sc_form_rows(const sc_cost *cost, int type, const void *y, const sc_packed *bits, ptrdiff_t rows,
                        ptrdiff_t sites, double *memory, sc_cancel *cancel, double *out)
{
    const sc_form *form = &cost->form;
    const ptrdiff_t stride = sites + SC_MARGIN, size = type == SC_U8 ? 1 : type == SC_I32 ? 4 : 8;
    uint8_t *own = (uint8_t *)(memory + 8 * (sites + 1));
    uint64_t *words = (uint64_t *)memory;
    int bad = 0;
    for (ptrdiff_t at = 0; at < rows; at += SC_CUT_ROWS) {
        const ptrdiff_t n = SC_MIN(SC_CUT_ROWS, rows - at), whole = (n + 63) / 64;
        const uint8_t *columns = own;
        if (!y) {
            columns = bits->columns + at / 8 * stride;
        } else {
            const ptrdiff_t groups = (n + 7) / 8;
            memset(own + groups * stride, 0, (size_t)((8 * whole - groups) * stride));
            bad |= sc_columns_of_rows(type, (const char *)y + at * sites * size, n, sites, (uint8_t *)memory, own);
        }
        if (!form->n_planes) {
            for (ptrdiff_t i = 0; i < n; i += 8, columns += stride) {
                sc_sparse_costs(form, cost->linear, columns, SC_MIN(8, n - i), sites, memory, out + at + i);
                if (sc_cancelled(cancel)) return sc_cancelled(cancel);
            }
            continue;
        }
        const int width = sc_cut_width(n);
        memset(words + sites * width, 0, (size_t)width * sizeof *words); /* the node whose bit is 0 */
        if (whole < width) memset(words, 0, (size_t)(sites * width) * sizeof *words);
        sc_words_of_columns(columns, sites, whole, width, words);
        const int status = sc_cut_costs(form, words, width, n, cancel, out + at);
        if (status) return status;
    }
    return bad ? SC_COST_NOT_BITS : SC_OK;
}

#endif
