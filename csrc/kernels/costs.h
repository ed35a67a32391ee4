/* costs: J(y) of the rows of a block, for costs that are built in.
 *
 * linear      J = w . y
 * quadratic   J = y' Q y + b . y
 *
 * Outcomes are uint8 (bits), int32 or int64 (classes and counts, the number itself) or float64. Sums run over eight
 * fixed lanes and one tree (lanes.h), so they have the same bits on every instruction set. A quadratic row costs D^2:
 * between its rows the flag is looked at, so that Ctrl-C does not wait for a block.
 */
#ifndef SC_KERNELS_COSTS_H
#define SC_KERNELS_COSTS_H

#include "../cancel.h"
#include "../family.h"
#include "../lanes/lanes.h"

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

/* J of `rows` samples, out[row * n_problems + problem]; `row_f64` is scratch of n_sites numbers. */
static int sc_cost_rows(const sc_family *f, const sc_cost *cost, const void *y, ptrdiff_t rows, double *row_f64,
                        sc_cancel *cancel, double *out)
{
    const ptrdiff_t sites = f->n_sites, width = sc_size(f->type);
    const char *row = y;
    for (ptrdiff_t i = 0; i < rows * f->n_problems; i++, row += sites * width) {
        ptrdiff_t problem = i % f->n_problems;
        const double *w = cost->linear + problem * cost->problem_stride;
        if (cost->kind == SC_COST_LINEAR && f->type == SC_U8) {
            out[i] = sc_dot_u8(w, (const uint8_t *)row, sites);
            continue;
        }
        sc_row_f64(f->type, row, sites, row_f64);
        if (cost->kind == SC_COST_LINEAR) {
            out[i] = sc_dot(w, row_f64, sites);
        } else {
            int status = sc_cancelled(cancel);
            if (status) return status;
            out[i] = sc_quadratic(cost, problem, row_f64, sites);
        }
    }
    return SC_OK;
}

#endif
