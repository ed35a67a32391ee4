/* stein: leave-one-out with control variates by a discrete Stein operator (Shi, Zhou, Hwang, Titsias and Mackey,
 * "Gradient estimation with discrete Stein operators", NeurIPS 2022), for the last layer of bernoulli units.
 *
 * Of K samples y_k with means q_k, s_k = y_k - q_k and gradients of the cost d_k, the operator is that of Gibbs,
 *   (A h)(y) = sum_i P(unit i turns) (h(y with unit i turned) - h(y)), P = q where y is 0 and 1 - q where it is 1,
 * so E[A h] = 0 for every h that does not depend on y. What sample k takes for h knows the others alone: means over
 * j != k of t_j(y) = d_j . (y - y_j) and of sqrt(a^2 + t_j(y)^2). The gradient is that of leave one out plus c_m h_m,
 *   h_0, h_3   -(mean over j != k of (A h)(y_j)) s_k, by the mean of t and by that of the root
 *   h_1, h_2   (A h s)(y_k), by the mean of d_j . (y - q_k), and by that of d_j . (q_k - y_j), a number
 *   h_4        (A h s)(y_k), by the mean of the root
 * averaged over k. Of a linear h, with g the mean of the others' d and b = g . s: A h = -b, and
 * A (h s) = -2 b s + g (s^2 + q (1 - q)). Of a number e: A (e s) = -e s.
 *
 * Promises: lane words only, sums in a fixed order; bits depend on the arguments alone.
 */
#ifndef SC_KERNELS_STEIN_H
#define SC_KERNELS_STEIN_H

#include "units.h"

/* What an input's samples say: numbers for each, and rows of units. */
typedef struct sc_stein {
    double *line, *number, *root;            /* b, e and A root, [K] */
    float (*weight)[4];                      /* of s in h_0 .. h_3, [K] */
    float *total;                            /* the sum of all gradients, a row */
    float *turned;                           /* the others' roots with a unit turned, a row */
    float *by_root;                          /* h_4, [rows that came][units] */
} sc_stein;

static sc_stein sc_stein_in(const sc_layer *l, double *scratch)
{
    const ptrdiff_t K = l->after;
    float *floats = (float *)(void *)(scratch + 3 * K);
    sc_stein z = {scratch, scratch + K, scratch + 2 * K, (float (*)[4])(void *)floats, NULL, NULL, NULL};
    z.total = floats + 4 * K;
    z.turned = z.total + l->outputs;
    z.by_root = z.turned + l->outputs;
    return z;
}

static double sc_stein_dot(ptrdiff_t n, const float *d, const float *a, const float *b)
{
    vd sum = vd_set1(0);
    for (ptrdiff_t j = 0; j < n; j += 16) {
        const vf away = vf_sub(vf_load_part(a + j, n - j, 0), vf_load_part(b + j, n - j, 0));
        const vf product = vf_mul(vf_load_part(d + j, n - j, 0), away);
        sum = vd_add(sum, vd_add(vf_lo_f64(product), vf_hi_f64(product)));
    }
    return vd_sum(sum);
}

/* Sample k of input i by the others' roots: A root, and A (root s) added to its row of h_4. */
static void sc_stein_roots(const sc_net *n, const sc_layer *l, ptrdiff_t i, ptrdiff_t k, const sc_stein *z)
{
    const ptrdiff_t units = l->outputs, K = l->after, row = k * l->before / K;
    const double whole = (double)n->batch * (double)K, share = 1.0 / (double)(K - 1);
    const float *q = l->own + (i * l->before + row) * units, *y = l->out + (i * K + k) * units;
    const vf a2 = vf_set1((float)(n->factor * n->factor)), scale = vf_set1((float)whole);
    vf here = vf_set1(0);
    vd sum = vd_set1(0);
    memset(z->turned, 0, (size_t)units * sizeof *z->turned);
    for (ptrdiff_t j = 0; j < K; j++) {
        const float *d = l->delta_out + (i * K + j) * units;
        if (j == k) continue;
        const vf t = vf_set1((float)(whole * sc_stein_dot(units, d, y, l->out + (i * K + j) * units)));
        here = vf_add(vf_sqrt(vf_fma(t, t, a2)), here);
        for (ptrdiff_t u = 0; u < units; u += 16) {
            const vf turn = vf_fma(vf_set1(-2), vf_load_part(y + u, units - u, 0), vf_set1(1));
            const vf by = vf_mul(scale, vf_load_part(d + u, units - u, 0)), there = vf_fma(by, turn, t);
            const vf root = vf_sqrt(vf_fma(there, there, a2));
            vf_store_part(z->turned + u, vf_add(root, vf_load_part(z->turned + u, units - u, 0)), units - u);
        }
    }
    for (ptrdiff_t u = 0; u < units; u += 16) {
        const vf p = vf_load_part(q + u, units - u, 0), on = vf_load_part(y + u, units - u, 0);
        const vf chance = vf_select(vf_eq(on, vf_set1(1)), vf_sub(vf_set1(1), p), p);
        const vf gap = vf_mul(chance, vf_sub(vf_load_part(z->turned + u, units - u, 0), here));
        sum = vd_add(sum, vd_add(vf_lo_f64(gap), vf_hi_f64(gap)));
    }
    z->root[k] = share * vd_sum(sum);
    const vf all = vf_set1((float)(z->root[k] / whole)), each = vf_set1((float)(share / whole));
    for (ptrdiff_t u = 0; u < units; u += 16) {
        float *by = z->by_root + row * units + u;
        const vf p = vf_load_part(q + u, units - u, 0), on = vf_load_part(y + u, units - u, 0);
        const vn one = vf_eq(on, vf_set1(1));
        const vf chance = vf_select(one, vf_sub(p, vf_set1(1)), p); /* with the sign of the turn */
        const vf part = vf_mul(each, vf_mul(chance, vf_load_part(z->turned + u, units - u, 0)));
        const vf h = vf_add(part, vf_fma(all, vf_sub(on, p), vf_load_part(by, units - u, 0)));
        vf_store_part(by, h, units - u);
    }
}

/* d_j . (q - y_j) of sample j, by the means of row r that came of input i. */
static double sc_stein_number(const sc_layer *l, ptrdiff_t i, ptrdiff_t r, ptrdiff_t j)
{
    const ptrdiff_t units = l->outputs, at = (i * l->after + j) * units;
    return sc_stein_dot(units, l->delta_out + at, l->own + (i * l->before + r) * units, l->out + at);
}

/* Numbers of all samples of input i, and the weights of their scores. */
static void sc_stein_numbers(const sc_net *n, const sc_layer *l, ptrdiff_t i, const sc_stein *z)
{
    const ptrdiff_t units = l->outputs, K = l->after;
    const double whole = (double)n->batch * (double)K, share = 1.0 / (double)(K - 1);
    double lines = 0.0, roots = 0.0, all = 0.0;
    /* where all share their means, a number each; `root` keeps them until it is its turn */
    for (ptrdiff_t j = 0; l->before == 1 && j < K; j++) z->root[j] = sc_stein_number(l, i, 0, j), all += z->root[j];
    for (ptrdiff_t k = 0; k < K; k++) {
        const ptrdiff_t row = k * l->before / K, at = (i * K + k) * units;
        const float *q = l->own + (i * l->before + row) * units, *y = l->out + at;
        double sum = 0.0;
        if (l->before == 1) sum = all - z->root[k];
        else
            for (ptrdiff_t j = 0; j < K; j++)
                if (j != k) sum += sc_stein_number(l, i, row, j);
        z->number[k] = share * whole * sum;
        z->line[k] =
            share * whole * (sc_stein_dot(units, z->total, y, q) - sc_stein_dot(units, l->delta_out + at, y, q));
        sc_stein_roots(n, l, i, k, z);
        lines += z->line[k], roots += z->root[k];
    }
    for (ptrdiff_t k = 0; k < K; k++) {
        z->weight[k][0] = (float)(share * (lines - z->line[k]) / whole);
        z->weight[k][1] = (float)(-2.0 * z->line[k] / whole);
        z->weight[k][2] = (float)(-z->number[k] / whole);
        z->weight[k][3] = (float)(-share * (roots - z->root[k]) / whole);
    }
}

/* Units u .. u + 16 of row r that came of input i: h_0 .. h_4. */
static void sc_stein_variates(const sc_layer *l, ptrdiff_t i, ptrdiff_t r, ptrdiff_t u, const sc_stein *z, vf *h)
{
    const ptrdiff_t units = l->outputs, K = l->after, fan = K / l->before, left = units - u;
    const vf q = vf_load_part(l->own + (i * l->before + r) * units + u, left, 0);
    const vf spread = vf_mul(q, vf_sub(vf_set1(1), q)), share = vf_set1((float)(1.0 / (double)(K - 1)));
    const vf all = vf_load_part(z->total + u, left, 0);
    for (int m = 0; m < 4; m++) h[m] = vf_set1(0);
    h[4] = vf_load_part(z->by_root + r * units + u, left, 0);
    for (ptrdiff_t k = r * fan; k < (r + 1) * fan; k++) {
        const ptrdiff_t at = (i * K + k) * units + u;
        const vf s = vf_sub(vf_load_part(l->out + at, left, 0), q);
        const vf g = vf_mul(share, vf_sub(all, vf_load_part(l->delta_out + at, left, 0)));
        for (int m = 0; m < 4; m++) h[m] = vf_fma(vf_set1(z->weight[k][m]), s, h[m]);
        h[1] = vf_fma(g, vf_fma(s, s, spread), h[1]);
    }
}

static vd sc_stein_product(vf a, vf b, vd sum)
{
    const vf product = vf_mul(a, b);
    return vd_add(sum, vd_add(vf_lo_f64(product), vf_hi_f64(product)));
}

/* The last layer of units, input i: g + c . h. c is best where E[g . h_m] + sum_n c_n E[h_m . h_n] = 0, for which these
 * products go to `dots`: of g with each h_m, then of h_m with h_0 .. h_m. */
static void sc_back_rodeo(const sc_net *n, const sc_layer *l, ptrdiff_t i, double *scratch)
{
    const ptrdiff_t units = l->outputs, before = l->before;
    const sc_stein z = sc_stein_in(l, scratch);
    vd dots[SC_NET_DOTS];
    for (int m = 0; m < SC_NET_DOTS; m++) dots[m] = vd_set1(0);
    sc_back_score(n, l, i * before, (i + 1) * before);
    sc_add_by_target(n, l, i);
    sc_sum_rows(l->after, units, l->delta_out + i * l->after * units, z.total);
    memset(z.by_root, 0, (size_t)(before * units) * sizeof *z.by_root);
    sc_stein_numbers(n, l, i, &z);
    for (ptrdiff_t r = 0; r < before; r++)
        for (ptrdiff_t u = 0; u < units; u += 16) {
            float *by = l->delta_in + (i * before + r) * units + u;
            const vf g = vf_load_part(by, units - u, 0);
            vf h[SC_NET_MIX], sum = g;
            sc_stein_variates(l, i, r, u, &z, h);
            for (int m = 0, at = SC_NET_MIX; m < SC_NET_MIX; m++) {
                dots[m] = sc_stein_product(g, h[m], dots[m]);
                for (int o = 0; o <= m; o++, at++) dots[at] = sc_stein_product(h[m], h[o], dots[at]);
                sum = vf_fma(vf_set1((float)n->mix[m]), h[m], sum);
            }
            vf_store_part(by, sum, units - u);
        }
    for (int m = 0; m < SC_NET_DOTS; m++) n->dots[i * SC_NET_DOTS + m] = vd_sum(dots[m]);
}

#endif
