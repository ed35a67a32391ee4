/* families: the sampler and the step function of any family, by its kind.
 *
 * Normal: y = centre + scale z, one rounding each. The rest: distributions.h, ladders.h, orders.h; their scores:
 * scores.h.
 */
#ifndef SC_KERNELS_FAMILIES_H
#define SC_KERNELS_FAMILIES_H

#include "geometric.h"
#include "ladders.h"
#include "orders.h"

/* z may be y; n whole rows */
static void sc_step_normal(const sc_family *f, const double *z, ptrdiff_t rows, double *y)
{
    const ptrdiff_t width = f->n_elements;
    for (ptrdiff_t r = 0; r < rows; r++, y += width, z += width)
        for (ptrdiff_t d = 0; d < width; d++) y[d] = f->centre[d] + f->scale[d] * z[d];
}

/* Sets have their items in increasing order. */
static void sc_sort_sets(const sc_family *f, ptrdiff_t lists, int32_t *y)
{
    const ptrdiff_t k = f->n_taken;
    for (ptrdiff_t i = 0; i < lists && f->unordered; i++, y += k)
        for (ptrdiff_t gap = k / 2; gap > 0; gap = gap == 2 ? 1 : (gap * 5 - 1) / 11) /* Shell's sort */
            for (ptrdiff_t a = gap; a < k; a++) {
                const int32_t item = y[a];
                ptrdiff_t b = a;
                for (; b >= gap && y[b - gap] > item; b -= gap) y[b] = y[b - gap];
                y[b] = item;
            }
}

static void sc_orders(const sc_family *f, const sc_stream *s, uint64_t first, const double *noise, ptrdiff_t rows,
                      double *scratch, int32_t *y)
{
    const ptrdiff_t items = f->n_classes, lists = f->n_elements / items;
    if (noise) sc_step_orders(f->logits, lists, items, f->n_taken, noise, rows * lists, scratch, y);
    else sc_sample_orders(f->logits, lists, items, f->n_taken, s, first, rows * lists, scratch, y);
    sc_sort_sets(f, rows * lists, y);
}

/* Samples whose noise begins at element `first`. */
static void sc_sample(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, double *scratch, void *y)
{
    switch (f->kind) {
    case SC_BERNOULLI: sc_sample_bernoulli(f, s, first, rows * f->n_elements, y); break;
    case SC_CATEGORICAL: sc_sample_few_classes(f, s, first, rows * f->n_elements, y); break;
    case SC_LADDERS: sc_sample_sites(f, s, first, rows, 0, f->n_elements, y); break;
    case SC_CHAINS: sc_sample_chains(f, s, first, rows, y); break;
    case SC_NORMAL:
        sc_fill_normal64(s, first, rows * f->n_elements, y);
        sc_step_normal(f, y, rows, y);
        break;
    case SC_ORDERS: sc_orders(f, s, first, NULL, rows, scratch, y); break;
    case SC_TRIALS: sc_sample_trials(f, s, first, rows, y); break;
    default: break;
    }
}

/* Outcomes of given noise, whole rows of it: k, or the variates themselves. */
static void sc_step(const sc_family *f, const void *z, ptrdiff_t rows, double *scratch, void *y)
{
    switch (f->kind) {
    case SC_BERNOULLI: sc_step_bernoulli(f, z, rows * f->n_elements, y); break;
    case SC_CATEGORICAL: sc_step_few_classes(f, z, rows * f->n_elements, y); break;
    case SC_LADDERS: sc_step_ladders(f, z, rows, y); break;
    case SC_CHAINS: sc_step_chains(f, z, rows, y); break;
    case SC_NORMAL: sc_step_normal(f, z, rows, y); break;
    case SC_ORDERS: sc_orders(f, NULL, 0, z, rows, scratch, y); break;
    case SC_TRIALS: sc_step_trials(f, z, rows, y); break;
    default: break;
    }
}

#endif
