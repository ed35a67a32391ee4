/* estimate: the nodes of the reduction tree, and their one operation.
 *
 * A node holds what is known of a run of samples, as float64:
 *   [0] samples   [1] groups
 *   per problem   mean of J, M2 = sum (J - mean)^2, smallest J, number of the sample that has it
 *   per parameter mean gradient g, between = sum over groups of n_group (g_group - g)^2, within = sum n_group^2 v_group
 * where v_group is the variance of a group's mean as estimated inside the group (estimators.h).
 *
 * A block of samples is one group and one node. Two neighbours merge by the pairwise update of Chan, Golub and LeVeque,
 * "Updating formulae and a pairwise algorithm for computing sample variances", 1979, eq. 2.1: all sums are centred, so
 * J + 1e8 costs no digits. The tree: blocks fold into a shard in order; shards merge as the dyadic intervals of their
 * numbers ([0,1) with [1,2), [0,2) with [2,4), ...), so that a result is a function of the run of samples alone,
 * however it was cut. Nothing here knows of threads.
 */
#ifndef SC_KERNELS_ESTIMATE_H
#define SC_KERNELS_ESTIMATE_H

#include "../core.h"
#include "../lanes/lanes.h"

enum { SC_NODE_HEAD = 2, SC_NODE_PROBLEM = 4, SC_NODE_PARAMETER = 3 };

static inline ptrdiff_t sc_node_size(ptrdiff_t problems, ptrdiff_t parameters)
{
    return SC_NODE_HEAD + SC_NODE_PROBLEM * problems + SC_NODE_PARAMETER * parameters;
}

static inline double *sc_node_problem(double *node, ptrdiff_t problem)
{
    return node + SC_NODE_HEAD + SC_NODE_PROBLEM * problem;
}

/* g, between, within: three arrays of `parameters` one after the other */
static inline double *sc_node_gradient(double *node, ptrdiff_t problems)
{
    return node + SC_NODE_HEAD + SC_NODE_PROBLEM * problems;
}

/* left := left and then right */
static void sc_merge(double *left, const double *right, ptrdiff_t problems, ptrdiff_t parameters)
{
    const double na = left[0], nb = right[0], n = na + nb, share = nb / n, harmonic = na * share;
    left[0] = n;
    left[1] += right[1];
    for (ptrdiff_t p = 0; p < problems; p++) {
        double *a = left + SC_NODE_HEAD + SC_NODE_PROBLEM * p;
        const double *b = right + SC_NODE_HEAD + SC_NODE_PROBLEM * p, delta = b[0] - a[0];
        a[0] += delta * share;
        a[1] += b[1] + delta * delta * harmonic;
        if (b[2] < a[2]) a[2] = b[2], a[3] = b[3];
    }
    double *g = sc_node_gradient(left, problems);
    const double *h = right + SC_NODE_HEAD + SC_NODE_PROBLEM * problems;
    const vd vshare = vd_set1(share), vharmonic = vd_set1(harmonic);
    for (ptrdiff_t i = 0; i < parameters; i += 8) {
        ptrdiff_t m = parameters - i;
        double *between = g + parameters + i, *within = g + 2 * parameters + i;
        vd a = vd_load_part(g + i, m, 0.0), delta = vd_sub(vd_load_part(h + i, m, 0.0), a);
        vd spread = vd_fma(vd_mul(delta, delta), vharmonic, vd_load_part(h + parameters + i, m, 0.0));
        vd_store_part(g + i, vd_fma(delta, vshare, a), m);
        vd_store_part(between, vd_add(vd_load_part(between, m, 0.0), spread), m);
        vd_store_part(within, vd_add(vd_load_part(within, m, 0.0), vd_load_part(h + 2 * parameters + i, m, 0.0)), m);
    }
}

/* A shard: its blocks in order, into the first. */
static void sc_fold(double *node, const double *blocks, ptrdiff_t count, ptrdiff_t problems, ptrdiff_t parameters)
{
    const ptrdiff_t size = sc_node_size(problems, parameters);
    for (ptrdiff_t i = 0; i < count; i++) sc_merge(node, blocks + i * size, problems, parameters);
}

#endif
