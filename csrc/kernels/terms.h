/* terms: a block whose terms of the gradient are made elsewhere becomes a node of the reduction tree.
 *
 * The gradient is the mean of the units' terms, and its variance inside the block is their sample variance: units are
 * independent of each other. Costs that a unit has several of depend on each other: M2 is that of their means.
 */
#ifndef SC_KERNELS_TERMS_H
#define SC_KERNELS_TERMS_H

#include "scores.h"
#include "weights.h"

static void sc_terms_costs(const sc_terms *t, double *j, double *node)
{
    const ptrdiff_t rows = t->units * t->each;
    const sc_estimator plain = {.unit = 1};
    for (ptrdiff_t p = 0; p < t->problems; p++) {
        double *stats = sc_node_problem(node, p), squares = 0.0;
        for (ptrdiff_t i = 0; i < rows; i++) j[i] = t->costs[i * t->problems + p];
        const double mean = sc_cost_moments(&plain, j, rows, t->first, stats);
        if (t->each == 1) continue;
        for (ptrdiff_t u = 0; u < rows; u += t->each) {
            double sum = 0.0;
            for (ptrdiff_t i = u; i < u + t->each; i++) sum += j[i] - mean;
            squares += sum * sum;
        }
        stats[1] = squares / (double)t->each;
    }
}

static void sc_by_theta(const sc_map *map, const sc_terms *t, const double *term, double *flat, ptrdiff_t n,
                        double *out)
{
    if (t->mapped) memcpy(out, term, (size_t)n * sizeof *out);
    else sc_pull(map, t->width, term, flat, n, out);
}

static void sc_terms_block(const sc_map *map, const sc_terms *t, ptrdiff_t n, double *scratch, double *node)
{
    const double units = (double)t->units, rows = units * (double)t->each;
    double *j = scratch, *sum = j + t->units * t->each, *theta = sum + t->width, *flat = theta + n;
    memset(node, 0, (size_t)sc_node_size(t->problems, n) * sizeof *node);
    node[0] = rows;
    node[1] = 1.0;
    sc_terms_costs(t, j, node);
    double *g = sc_node_gradient(node, t->problems), *within = g + 2 * n;
    memset(sum, 0, (size_t)t->width * sizeof *sum);
    for (ptrdiff_t u = 0; u < t->units; u++)
        for (ptrdiff_t k = 0; k < t->width; k++) sum[k] += t->terms[u * t->width + k];
    sc_by_theta(map, t, sum, flat, n, g);
    for (ptrdiff_t k = 0; k < n; k++) g[k] /= units;
    if (!t->within) return;
    for (ptrdiff_t u = 0; u < t->units; u++) {
        sc_by_theta(map, t, t->terms + u * t->width, flat, n, theta);
        for (ptrdiff_t k = 0; k < n; k++) within[k] += (theta[k] - g[k]) * (theta[k] - g[k]);
    }
    for (ptrdiff_t k = 0; k < n; k++)
        within[k] = units > 1.0 ? rows * rows / (units * (units - 1.0)) * within[k] : INFINITY;
}

#endif
