/* costs: J(y) of the rows of a block, for costs that are built in or compiled; and how J changes with one bit.
 *
 * linear      J = w . y
 * quadratic   J = y' Q y + b . y
 * table       J = sum_d T[d][y_d]
 * form        J = constant + b . y + sum_{i<j} q_ij y_i y_j over few pairs of bits (cuts.h)
 * compiled    J = +-function(y, n_sites, data)
 *
 * Outcomes are uint8 (bits), int32 or int64 (classes and counts, the number itself) or float64; a block of Bernoulli
 * samples may be packed bits alone. Sums run over eight fixed lanes and one tree (lanes.h), or by tables of partial sums
 * (buckets.h, digits.h), so they have the same bits on every instruction set. Where a row may take long, the flag is
 * looked at between rows, so that Ctrl-C does not wait for a block.
 */
#ifndef SC_KERNELS_COSTS_H
#define SC_KERNELS_COSTS_H

#include "../cancel.h"
#include "../family.h"
#include "../lanes/lanes.h"
#include "buckets.h"
#include "cuts.h"
#include "digits.h"

/* w . y over n sites */
static inline double sc_dot(const double *w, const double *y, ptrdiff_t n)
{
    vd sum = vd_set1(0.0);
    for (ptrdiff_t d = 0; d < n; d += 8)
        sum = vd_fma(vd_load_part(w + d, n - d, 0.0), vd_load_part(y + d, n - d, 0.0), sum);
    return vd_sum(sum);
}

/* w . y straight from bytes, two sums in flight */
static inline double sc_dot_u8(const double *w, const uint8_t *y, ptrdiff_t n)
{
    vd a = vd_set1(0.0), b = a;
    ptrdiff_t d = 0;
    for (; d + 16 <= n; d += 16) {
        a = vd_fma(vd_load(w + d), vd_load_u8(y + d), a);
        b = vd_fma(vd_load(w + d + 8), vd_load_u8(y + d + 8), b);
    }
    for (; d < n; d += 8) a = vd_fma(vd_load_part(w + d, n - d, 0.0), vd_load_u8_part(y + d, n - d), a);
    return vd_sum(vd_add(a, b));
}

static inline ptrdiff_t sc_size(int type) { return type == SC_U8 ? 1 : type == SC_I32 ? 4 : 8; }

/* One row of outcomes as float64. */
static void sc_row_f64(int type, const void *row, ptrdiff_t n, double *out)
{
    if (type == SC_U8)
        for (ptrdiff_t d = 0; d < n; d++) out[d] = ((const uint8_t *)row)[d];
    else if (type == SC_I32)
        for (ptrdiff_t d = 0; d < n; d++) out[d] = ((const int32_t *)row)[d];
    else if (type == SC_I64)
        for (ptrdiff_t d = 0; d < n; d++) out[d] = (double)((const int64_t *)row)[d];
    else memcpy(out, row, (size_t)n * sizeof *out);
}

static double sc_quadratic(const sc_cost *cost, ptrdiff_t problem, const double *y, ptrdiff_t n)
{
    const double *q = cost->quadratic + problem * cost->problem_stride * n;
    double lanes[8] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        if (y[i] != 0.0) lanes[i & 7] += y[i] * sc_dot(q + i * n, y, n);
    return vd_sum(vd_load(lanes)) + sc_dot(cost->linear + problem * cost->problem_stride, y, n);
}

/* Lane d mod 8 has the sites d, in their order. */
static double sc_table_cost(const double *table, ptrdiff_t classes, int type, const void *row, ptrdiff_t n)
{
    double lanes[8] = {0};
    if (type == SC_U8)
        for (ptrdiff_t d = 0; d < n; d++) lanes[d & 7] += table[classes * d + ((const uint8_t *)row)[d]];
    else if (type == SC_I32)
        for (ptrdiff_t d = 0; d < n; d++) lanes[d & 7] += table[classes * d + ((const int32_t *)row)[d]];
    else
        for (ptrdiff_t d = 0; d < n; d++) lanes[d & 7] += table[classes * d + ((const int64_t *)row)[d]];
    return vd_sum(vd_load(lanes));
}

/* One row of a linear, quadratic or tabled cost; scratch of n numbers. */
static double sc_row_cost(const sc_cost *cost, ptrdiff_t problem, int type, const void *row, ptrdiff_t n,
                          double *scratch)
{
    const ptrdiff_t at = problem * cost->problem_stride;
    if (cost->kind == SC_COST_TABLE)
        return sc_table_cost(cost->table + at * cost->n_classes, cost->n_classes, type, row, n);
    if (cost->kind == SC_COST_LINEAR && type == SC_U8) return sc_dot_u8(cost->linear + at, row, n);
    sc_row_f64(type, row, n, scratch);
    return cost->kind == SC_COST_LINEAR ? sc_dot(cost->linear + at, scratch, n)
                                        : sc_quadratic(cost, problem, scratch, n);
}

/* Rows of `each` bytes to a function that may take a nanosecond or a minute. */
static int sc_call_rows(const sc_cost *cost, const char *row, ptrdiff_t rows, ptrdiff_t sites, ptrdiff_t each,
                        sc_cancel *cancel, double *out)
{
    const sc_function function = cost->function;
    void *const data = cost->data;
    const double sign = cost->sign;
    sc_patience patience = {0, 0, 0};
    for (ptrdiff_t i = 0; i < rows; i++, row += each) {
        const int status = sc_cancelled_between(cancel, &patience);
        if (status) return status;
        out[i] = sign * function(row, sites, data);
    }
    return SC_OK;
}

/* J of `rows` rows of outcomes, out[row * n_problems + problem]; scratch as in sc_price_size. */
static int sc_cost_rows(const sc_family *f, const sc_cost *cost, const void *y, ptrdiff_t rows, double *scratch,
                        sc_cancel *cancel, double *out)
{
    const ptrdiff_t sites = f->n_sites, each = sites * sc_size(f->type);
    const char *row = y;
    if (cost->kind == SC_COST_FORM)
        return sc_form_rows(cost, f->type, y, NULL, rows * f->n_problems, sites, scratch, cancel, out);
    if (cost->kind == SC_COST_COMPILED) return sc_call_rows(cost, y, rows * f->n_problems, sites, each, cancel, out);
    for (ptrdiff_t i = 0; i < rows * f->n_problems; i++, row += each) {
        const int status = cost->kind == SC_COST_QUADRATIC ? sc_cancelled(cancel) : SC_OK;
        if (status) return status;
        out[i] = sc_row_cost(cost, i % f->n_problems, f->type, row, sites, scratch);
    }
    return SC_OK;
}

/* A row of packed bits as bytes; writes up to a multiple of 64 of them. */
static void sc_unpack_row(const sc_packed *b, ptrdiff_t row, ptrdiff_t sites, uint8_t *y)
{
    const uint64_t each = UINT64_C(0x0101010101010101), *word = b->words + row * sc_words(sites);
    for (ptrdiff_t d = 0; d < sites; d += 64, word++)
        for (int k = 0; k < 64; k += 8) {
            const uint64_t x = (*word >> k & 255) * each & UINT64_C(0x8040201008040201);
            sc_put_u64(y + d + k, (x + 0x7f * each) >> 7 & each);
        }
}

/* J of packed rows: of one problem. */
static int sc_cost_bits(const sc_cost *cost, const sc_packed *bits, ptrdiff_t rows, ptrdiff_t sites, double *scratch,
                        sc_cancel *cancel, double *out)
{
    if (cost->outcomes) {
        for (ptrdiff_t i = 0; i < rows; i++) out[i] = cost->outcomes[sc_outcome(bits, i, sites)];
        return SC_OK;
    }
    if (cost->kind == SC_COST_FORM) return sc_form_rows(cost, SC_U8, NULL, bits, rows, sites, scratch, cancel, out);
    if (cost->tables) {
        sc_word_costs(bits, rows, sites, cost->tables, out);
        return SC_OK;
    }
    if (cost->digits) {
        sc_digit_costs(bits, rows, sites, cost->digits, cost->unit, out);
        return SC_OK;
    }
    uint8_t *y = (uint8_t *)(scratch + sites);
    sc_patience patience = {0, 0, 0};
    for (ptrdiff_t i = 0; i < rows; i++) {
        const int status = sc_cancelled_between(cancel, &patience);
        if (status) return status;
        sc_unpack_row(bits, i, sites, y);
        if (cost->kind == SC_COST_COMPILED) out[i] = cost->sign * cost->function(y, sites, cost->data);
        else out[i] = sc_row_cost(cost, 0, SC_U8, y, sites, scratch);
    }
    return SC_OK;
}

/* J of a block's samples, into out[row * n_problems + problem]: of the outcomes y, or of the packed ones where y is
 * NULL; opposites have packs of their own. */
static int sc_price(const sc_job *job, const void *y, ptrdiff_t rows, const sc_scratch *scratch, sc_cancel *cancel,
                    double *out)
{
    const sc_family *f = &job->family;
    const ptrdiff_t halves = 1 + job->estimator.mirrored, each = rows / halves;
    if (y) return sc_cost_rows(f, &job->cost, y, rows, scratch->price, cancel, out);
    for (ptrdiff_t half = 0; half < halves; half++) {
        const sc_packed *bits = scratch->bits + half;
        const int status = sc_cost_bits(&job->cost, bits, each, f->n_sites, scratch->price, cancel, out + half * each);
        if (status) return status;
    }
    return SC_OK;
}

/* J(y with y_d = 1) - J(y with y_d = 0) for each of n bits, where the others are y: affine in these, so that at the mean
 * of many y it is the mean of theirs. Of linear, quadratic and tabled costs and of forms. */
static void sc_flip_row(const sc_cost *cost, ptrdiff_t problem, const double *y, ptrdiff_t n, double *delta)
{
    const ptrdiff_t at = problem * cost->problem_stride;
    const double *slope = cost->slope + at;
    const sc_form *form = &cost->form;
    if (cost->kind == SC_COST_QUADRATIC) {
        const double *row = cost->symmetric + at * n;
        for (ptrdiff_t d = 0; d < n; d++, row += n) delta[d] = slope[d] + sc_dot(row, y, n);
    } else if (cost->kind == SC_COST_FORM) {
        for (ptrdiff_t d = 0; d < n; d++) {
            double sum = slope[d];
            for (ptrdiff_t k = form->start[d]; k < form->start[d + 1]; k++)
                sum += form->weight[k] * y[form->neighbour[k]];
            delta[d] = sum;
        }
    } else {
        memcpy(delta, slope, (size_t)n * sizeof *delta);
    }
}

#endif
