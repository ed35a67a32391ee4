/* units: layers of discrete units, drawn and relaxed, and the estimators of the gradient by their logits x.
 *
 *   bernoulli  y = [k < T(q)], q = sigmoid(x)     categorical  y one-hot, as a family's with the same logits
 *
 * Noise is addressed by (row, unit): element row * units + unit. Backwards, with w the weight of a sample (its cost J less
 * a baseline, over how many there are) and d the gradient of the cost by y:
 *   score      w (y - q), the score function (Williams 1992, eq. 4); d stops here, since y is no function of x
 *   disarm     1/2 (J - J') (y - y') max(q, 1 - q) for a row and its branch, drawn from the opposite noise (Dong, Mnih
 *              and Tucker 2020, eq. 6, and section 3.3 for several layers); 0 for other rows
 *   straight   d times the derivative of the mean by x (Bengio, Leonard and Courville 2013). Biased.
 * Where a row becomes several samples, their gradients add up in order.
 *
 * Promises: lane words only, sums in a fixed order; bits depend on the arguments alone.
 */
#ifndef SC_KERNELS_UNITS_H
#define SC_KERNELS_UNITS_H

#include "layers.h"
#include "ladders.h"

/* ---- forward: rows that go, [first, stop) ------------------------------------------------------------------------ */

/* The samples of one row: sites 0 .. l->outputs / classes. k has room for a number a site. */
static void sc_class_units(const sc_layer *l, const sc_stream *s, uint64_t e, const float *p, double *scratch, float *y)
{
    const ptrdiff_t C = l->classes, sites = l->outputs / C;
    double *own = scratch;
    uint64_t *thresholds = (uint64_t *)(void *)(scratch + C), *k = thresholds + C;
    sc_fill_k53(s, e, sites, k);
    for (ptrdiff_t i = 0; i < sites; i++, y += C) {
        ptrdiff_t c = 0;
        for (ptrdiff_t j = 0; j < C; j++) y[j] = 0.0f, own[j] = (double)p[i * C + j];
        sc_class_thresholds(C, own, thresholds);
        while (c < C - 1 && k[i] >= thresholds[c]) c++;
        y[c] = 1.0f;
    }
}

/* Softmax of a row's sites, in float64, rounded once. */
static void sc_softmax_row(ptrdiff_t sites, ptrdiff_t C, const float *x, double *scratch, float *p)
{
    double *logits = scratch, *own = scratch + C, *log_p = scratch + 2 * C;
    for (ptrdiff_t i = 0; i < sites; i++, x += C, p += C) {
        for (ptrdiff_t c = 0; c < C; c++) logits[c] = (double)x[c];
        sc_categorical_logits(1, C, logits, own, log_p);
        for (ptrdiff_t c = 0; c < C; c++) p[c] = (float)own[c];
    }
}

/* Probabilities of rows that come, [first, stop) times before, then samples. A branch of disarm that parts here takes
 * the opposite noise. */
static void sc_discrete_units(const sc_net *n, const sc_layer *l, uint64_t noise, ptrdiff_t first, ptrdiff_t stop,
                              double *scratch)
{
    const ptrdiff_t units = l->outputs, C = l->classes;
    const ptrdiff_t M = l->after / n->groups, m = l->before > 1 ? l->before / n->groups : 1;
    const int bits = l->kind == SC_LAYER_BERNOULLI;
    sc_stream opposite = l->noise;
    opposite.antithetic ^= 1;
    for (ptrdiff_t r = first * l->before; r < stop * l->before; r++) {
        const float *x = l->in + r * units;
        float *p = l->own + r * units;
        if (!bits) sc_softmax_row(units / C, C, x, scratch, p);
        for (ptrdiff_t j = 0; bits && j < units; j += 16)
            vf_store_part(p + j, sc_sigmoid32(vf_load_part(x + j, units - j, 0)), units - j);
    }
    for (ptrdiff_t r = first * l->after; r < stop * l->after; r++) {
        const float *p = l->own + sc_net_source(n, l->before, l->after, r) * units;
        const uint64_t e = sc_noise_row(n, noise, l->after, r) * (uint64_t)(units / C);
        float *y = l->out + r * units;
        if (bits) sc_bernoulli32(r % M < m ? &l->noise : &opposite, e, units, p, y);
        else sc_class_units(l, &l->noise, e, p, scratch, y);
    }
}

/* ---- backward: rows that came, [first, stop) --------------------------------------------------------------------- */

/* By the logits of units. */
static void sc_back_score(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    const float *weight = n->levels[l->unit].weight;
    for (ptrdiff_t r = first; r < stop; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const float *y = l->out + r * fan * units + j;
            const vf q = vf_load_part(l->own + r * units + j, units - j, 0);
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < fan; k++, y += units)
                sum = vf_fma(vf_set1(weight[r * fan + k]), vf_sub(vf_load_part(y, units - j, 0), q), sum);
            vf_store_part(l->delta_in + r * units + j, sum, units - j);
        }
}

/* Of a row that came the pairs are a trunk and the branch that parts here; there is one, or one in each group where no
 * layer before had noise. Other branches have none. */
static void sc_back_disarm(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, M = l->after / n->groups, m = l->before > 1 ? l->before / n->groups : 1;
    const ptrdiff_t pairs = l->before > 1 ? 1 : n->groups;
    const double *J = n->levels[l->unit].cost, scale = 0.5 / ((double)n->batch * (double)n->groups);
    for (ptrdiff_t r = first; r < stop; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const vf q = vf_load_part(l->own + r * units + j, units - j, 0);
            const vf likelier = vf_max(q, vf_sub(vf_set1(1), q));
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < pairs && r % m == 0; k++) {
                const ptrdiff_t trunk = (r / m * pairs + k) * M, branch = trunk + m;
                const vf gap = vf_sub(vf_load_part(l->out + trunk * units + j, units - j, 0),
                                      vf_load_part(l->out + branch * units + j, units - j, 0));
                sum = vf_fma(vf_set1((float)(scale * (J[trunk] - J[branch]))), vf_mul(gap, likelier), sum);
            }
            vf_store_part(l->delta_in + r * units + j, sum, units - j);
        }
}

static void sc_back_straight(const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before, C = l->classes;
    for (ptrdiff_t r = first; r < stop; r++) {
        const float *q = l->own + r * units;
        float *out = l->delta_in + r * units;
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const vf p = vf_load_part(q + j, units - j, 0);
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < fan; k++)
                sum = vf_add(sum, vf_load_part(l->delta_out + (r * fan + k) * units + j, units - j, 0));
            if (C == 1) sum = vf_mul(sum, vf_mul(p, vf_sub(vf_set1(1), p)));
            vf_store_part(out + j, sum, units - j);
        }
        for (ptrdiff_t i = 0; C > 1 && i < units; i += C) { /* by softmax: p (d - p . d) */
            double mean = 0.0;
            for (ptrdiff_t c = 0; c < C; c++) mean += (double)q[i + c] * (double)out[i + c];
            for (ptrdiff_t c = 0; c < C; c++) out[i + c] = (float)((double)q[i + c] * ((double)out[i + c] - mean));
        }
    }
}

#endif
