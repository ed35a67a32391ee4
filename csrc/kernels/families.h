/* families: the sampler and the step function of any family, by its kind.
 *
 * Normal: y = centre + scale z, one rounding each. The rest: distributions.h, ladders.h, orders.h.
 */
#ifndef SC_KERNELS_FAMILIES_H
#define SC_KERNELS_FAMILIES_H

#include "ladders.h"

/* z may be y; n whole rows */
static void sc_step_normal(const sc_family *f, const double *z, ptrdiff_t rows, double *y)
{
    const ptrdiff_t width = f->n_elements;
    for (ptrdiff_t r = 0; r < rows; r++, y += width, z += width)
        for (ptrdiff_t d = 0; d < width; d++) y[d] = f->centre[d] + f->scale[d] * z[d];
}

/* Samples whose noise begins at element `first`. */
static void sc_sample(const sc_family *f, const sc_stream *s, uint64_t first, ptrdiff_t rows, double *scratch, void *y)
{
    switch (f->kind) {
    case SC_BERNOULLI: sc_sample_bernoulli(f, s, first, rows * f->n_elements, y); break;
    case SC_CATEGORICAL: sc_sample_few_classes(f, s, first, rows * f->n_elements, y); break;
    case SC_LADDERS: sc_sample_ladders(f, s, first, rows, y); break;
    case SC_CHAINS: sc_sample_chains(f, s, first, rows, y); break;
    case SC_NORMAL:
        sc_fill_normal64(s, first, rows * f->n_elements, y);
        sc_step_normal(f, y, rows, y);
        break;
    default: (void)scratch;
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
    default: (void)scratch;
    }
}

#endif
