/* network: one step of a stack of layers (network.h), cut into blocks of inputs and then into chunks of parameters.
 *
 * A block goes forward through all layers up to the costs of its rows (sc_net_forward), then backward
 * (sc_net_backward): the samples of an input are in one block, so the weights of their scores are known at once. Chunks
 * of parameters (sc_net_learn) then take their gradient over the whole batch, each by one product of matrices, and move
 * while it is in the cache. Nothing is folded, so the bits depend on the shapes and on BLAS, never on threads.
 *
 * Weights of the scores, for K samples of each of B inputs with costs J_k:
 *   constant        (J_k - baseline) / BK
 *   leave one out   (J_k - mean of the others) / BK = (J_k - mean) / B(K - 1)
 *
 * Products are BLAS's sgemm on the calling thread. Our arrays go by rows, BLAS's by columns: what it calls A^T is A.
 */
#ifndef SC_KERNELS_NETWORK_H
#define SC_KERNELS_NETWORK_H

#include "layers.h"

static void sc_multiply(const sc_net *n, char ta, char tb, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t inner,
                        const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, float beta, float *c,
                        ptrdiff_t ldc)
{
    int m = (int)rows, k = (int)inner, w = (int)columns, la = (int)lda, lb = (int)ldb, lc = (int)ldc;
    float one = 1.0f;
    /* BLAS was written before const; it does not write to a and b */
    n->sgemm(&ta, &tb, &m, &w, &k, &one, (float *)(uintptr_t)a, &la, (float *)(uintptr_t)b, &lb, &beta, c, &lc);
}

static void sc_linear_rows(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t in = l->inputs, out = l->outputs;
    const float *W = n->parameters + l->weight, *b = n->parameters + l->bias;
    float *y = l->out + first * out;
    if (n->bits && l == n->layers) {
        sc_sparse_rows(n, l, first, stop);
        return;
    }
    for (ptrdiff_t r = 0; l->bias >= 0 && r < stop - first; r++) memcpy(y + r * out, b, (size_t)out * sizeof *y);
    sc_multiply(n, 'N', 'N', out, stop - first, in, W, out, l->in + first * in, in, l->bias >= 0, y, out);
}

static void sc_back_linear(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t in = l->inputs, out = l->outputs;
    sc_multiply(n, 'T', 'N', in, stop - first, out, n->parameters + l->weight, out, l->delta_out + first * out, out, 0,
                l->delta_in + first * in, in);
}

/* Inputs first .. stop of the batch, up to the output; input i is row at[i] of the data. */
static void sc_net_outputs(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, ptrdiff_t first,
                           ptrdiff_t stop)
{
    double *scratch = n->scratch + block * n->scratch_each;
    for (ptrdiff_t i = first; i < stop; i++) {
        memcpy(n->x + i * n->width, n->data + at[i] * n->width, (size_t)n->width * sizeof(float));
        if (n->bits) sc_mark(n, i);
    }
    for (ptrdiff_t j = 0; j < n->n_layers; j++) {
        const sc_layer *l = n->layers + j;
        const ptrdiff_t from = first * l->after, to = stop * l->after;
        switch (l->kind) {
        case SC_LAYER_LINEAR: sc_linear_rows(n, l, from, to); break;
        case SC_LAYER_DROPOUT: sc_drop(n, l, noise, from, to, (float *)(void *)scratch); break;
        case SC_LAYER_NORMAL: sc_normal_units(n, l, noise, from, to); break;
        case SC_LAYER_LEAKY:
        case SC_LAYER_TANH:
            sc_activate(l, (to - from) * l->outputs, l->in + from * l->inputs, l->out + from * l->outputs);
            break;
        default: sc_discrete_units(n, l, noise, from, to, scratch);
        }
    }
}

/* Costs of the rows of an input, and their gradient by the output. */
static void sc_net_costs(const sc_net *n, const int64_t *at, ptrdiff_t i, double *scratch)
{
    const sc_layer *last = n->layers + n->n_layers - 1;
    const ptrdiff_t K = n->n_samples, m = last->outputs;
    const float scale = (float)(1.0 / ((double)n->batch * (double)K));
    for (ptrdiff_t r = i * K; r < (i + 1) * K; r++) {
        const float *o = last->out + r * m;
        float *delta = last->delta_out ? last->delta_out + r * m : NULL;
        if (n->end == SC_END_LABELS) n->cost[r] = sc_end_label(m, o, n->labels[at[i]], scale, scratch, delta);
        else n->cost[r] = sc_end_numbers(n->end, m, o, n->targets + at[i] * n->target_width, scale, delta);
    }
}

static void sc_net_weigh(const sc_net *n, ptrdiff_t i)
{
    const ptrdiff_t K = n->n_samples;
    const double *J = n->cost + i * K;
    double mean = 0.0, centre = n->baseline, scale = 1.0 / ((double)K * (double)n->batch);
    if (n->rule == SC_NET_LEAVE_ONE_OUT) {
        for (ptrdiff_t k = 0; k < K; k++) mean += (J[k] - J[0]) / (double)K;
        centre = J[0] + mean, scale = 1.0 / ((double)(K - 1) * (double)n->batch);
    }
    for (ptrdiff_t k = 0; k < K; k++) n->weight[i * K + k] = (float)(scale * (J[k] - centre));
}

/* One block, as far as the costs; those that are given come later. */
static void sc_net_forward(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, sc_cancel *cancel)
{
    const ptrdiff_t first = sc_net_first(n, block), stop = sc_net_first(n, block + 1);
    if (sc_cancelled(cancel)) return;
    sc_net_outputs(n, at, noise, block, first, stop);
    if (n->end == SC_END_GIVEN) return;
    for (ptrdiff_t i = first; i < stop; i++) sc_net_costs(n, at, i, n->scratch + block * n->scratch_each);
}

/* The same block back to every linear layer's output. */
static void sc_net_backward(const sc_net *n, ptrdiff_t block, sc_cancel *cancel)
{
    const ptrdiff_t first = sc_net_first(n, block), stop = sc_net_first(n, block + 1);
    if (sc_cancelled(cancel)) return;
    for (ptrdiff_t i = first; i < stop; i++) sc_net_weigh(n, i);
    for (ptrdiff_t j = n->n_layers - 1; j >= 0; j--) {
        const sc_layer *l = n->layers + j;
        const ptrdiff_t from = first * l->before, to = stop * l->before, at = from * l->outputs;
        if (!l->back) continue;
        switch (l->kind) {
        case SC_LAYER_LINEAR: sc_back_linear(n, l, from, to); break;
        case SC_LAYER_DROPOUT:
        case SC_LAYER_NORMAL: sc_back_noise(l, from, to); break;
        case SC_LAYER_LEAKY:
        case SC_LAYER_TANH:
            sc_deactivate(l, (to - from) * l->outputs, l->out + at, l->delta_out + at, l->delta_in + at);
            break;
        default:
            if (n->rule == SC_NET_DISARM) sc_back_disarm(n, l, from, to);
            else if (n->rule == SC_NET_STRAIGHT) sc_back_straight(l, from, to);
            else sc_back_score(n, l, from, to);
        }
    }
}

/* Both, where the cost is one of ours. */
static void sc_net_block(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, sc_cancel *cancel)
{
    sc_net_forward(n, at, noise, block, cancel);
    sc_net_backward(n, block, cancel);
}

/* Between the loops, by the calling thread: the step's cost and its standard error over inputs (infinite for one). Not
 * 0: the step must not be taken. */
static int sc_net_summarise(const sc_net *n, sc_cancel *cancel, double *record)
{
    const ptrdiff_t K = n->n_samples;
    const double B = (double)n->batch;
    double sum = 0.0, squares = 0.0;
    int status = sc_cancelled(cancel);
    if (status) return status;
    for (ptrdiff_t r = 0; r < n->batch * K; r++) sum += n->cost[r];
    record[0] = sum / (B * (double)K);
    for (ptrdiff_t i = 0; i < n->batch; i++) {
        double mean = 0.0;
        for (ptrdiff_t k = 0; k < K; k++) mean += (n->cost[i * K + k] - record[0]) / (double)K;
        squares += mean * mean;
    }
    record[1] = n->batch > 1 ? sqrt(squares / (B * (B - 1.0))) : HUGE_VAL;
    return isfinite(record[0]) ? SC_OK : SC_COST_NOT_FINITE;
}

/* ---- learning: a chunk of parameters ----------------------------------------------------------------------------- */

/* Parameters at .. at + count have their gradient: add up its squares, and move them. */
static double sc_net_move(const sc_net *n, ptrdiff_t at, ptrdiff_t count, int kind, const sc_step_scalars *s, float *m,
                          float *v)
{
    vd low = vd_set1(0), high = vd_set1(0);
    for (ptrdiff_t i = 0; i < count; i += 16) {
        vf g = vf_load_part(n->gradient + at + i, count - i, 0);
        low = vd_fma(vf_lo_f64(g), vf_lo_f64(g), low);
        high = vd_fma(vf_hi_f64(g), vf_hi_f64(g), high);
    }
    if (kind >= 0) sc_update32(kind, s, count, n->gradient + at, n->parameters + at, m + at, v + at);
    return vd_sum(vd_add(low, high));
}

/* Gradient of a bias: the sum of rows, in order. */
static void sc_sum_rows(ptrdiff_t rows, ptrdiff_t n, const float *x, float *out)
{
    for (ptrdiff_t j = 0; j < n; j += 16) {
        vf sum = vf_set1(0);
        for (ptrdiff_t r = 0; r < rows; r++) sum = vf_add(sum, vf_load_part(x + r * n + j, n - j, 0));
        vf_store_part(out + j, sum, n - j);
    }
}

/* One chunk: gradient, and the optimiser's step unless kind is below 0. */
static void sc_net_learn(const sc_net *n, ptrdiff_t chunk, int kind, const sc_step_scalars *s, float *m, float *v)
{
    const sc_net_chunk *c = n->chunks + chunk;
    const sc_layer *l = n->layers + c->layer;
    const ptrdiff_t rows = n->batch * l->after, out = l->outputs, at = l->weight + c->row * out + c->column;
    double squares = 0.0;
    if (!c->rows) {
        sc_sum_rows(rows, out, l->delta_out, n->gradient + l->bias);
        n->squares[chunk] = sc_net_move(n, l->bias, out, kind, s, m, v);
        return;
    }
    if (n->bits && !c->layer) sc_sparse_gradient(n, l, c->row, c->rows);
    else
        sc_multiply(n, 'N', 'T', c->columns, c->rows, rows, l->delta_out + c->column, out, l->in + c->row, l->inputs, 0,
                    n->gradient + at, out);
    if (c->columns == out) squares = sc_net_move(n, at, c->rows * out, kind, s, m, v);
    else
        for (ptrdiff_t r = 0; r < c->rows; r++) squares += sc_net_move(n, at + r * out, c->columns, kind, s, m, v);
    n->squares[chunk] = squares;
}

#endif
