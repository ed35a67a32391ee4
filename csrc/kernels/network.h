/* network: one step of a network (network.h), cut into blocks of inputs and then into chunks of parameters.
 *
 * A block goes forward through all layers up to the costs of its rows (sc_net_forward), then backward
 * (sc_net_backward): the samples of an input are in one block, so the weights of their scores are known at once. Chunks
 * of parameters (sc_net_learn) then take their gradient over the whole batch, each by one product of matrices, and move
 * while it is in the cache. Nothing is folded, so the bits depend on the shapes and on BLAS, never on threads.
 *
 * A linear layer with a centre c takes 2 (x - c): out = 2 x W + offset with offset = b - 2 c W, and for the gradient d by
 * out, W += 2 (x - c)'d.
 *
 * Products are BLAS's sgemm on the calling thread. Our arrays go by rows, BLAS's by columns: what it calls A^T is A.
 */
#ifndef SC_KERNELS_NETWORK_H
#define SC_KERNELS_NETWORK_H

#include "ends.h"
#include "stein.h"
#include "units.h"

/* c = alpha a b + beta c, BLAS's way. */
static void sc_multiply(const sc_net *n, char ta, char tb, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t inner,
                        float alpha, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, float beta, float *c,
                        ptrdiff_t ldc)
{
    int m = (int)rows, k = (int)inner, w = (int)columns, la = (int)lda, lb = (int)ldb, lc = (int)ldc;
    /* BLAS was written before const; it does not write to a and b */
    n->sgemm(&ta, &tb, &m, &w, &k, &alpha, (float *)(uintptr_t)a, &la, (float *)(uintptr_t)b, &lb, &beta, c, &lc);
}

static float sc_factor(const sc_layer *l) { return l->centre ? 2.0f : 1.0f; }

/* What a step needs of the parameters alone. By the calling thread, before the blocks. */
static void sc_net_prepare(const sc_net *n)
{
    for (const sc_layer *l = n->layers; l < n->layers + n->n_layers; l++) {
        if (!l->centre) continue; /* it may have no weights at all */
        const float *W = n->parameters + l->weight, *b = l->bias < 0 ? NULL : n->parameters + l->bias;
        for (ptrdiff_t j = 0; j < l->outputs; j += 16) {
            const ptrdiff_t left = l->outputs - j;
            vf sum = b ? vf_load_part(b + j, left, 0) : vf_set1(0);
            for (ptrdiff_t i = 0; i < l->inputs; i++)
                sum = vf_fma(vf_set1(-2 * l->centre[i]), vf_load_part(W + i * l->outputs + j, left, 0), sum);
            vf_store_part(l->offset + j, sum, left);
        }
    }
}

static void sc_linear_rows(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t in = l->inputs, out = l->outputs;
    const float *start = sc_net_start(n, l);
    float *y = l->out + first * out;
    if (n->bits && l == n->layers) {
        sc_sparse_rows(n, l, first, stop);
        return;
    }
    if (l->bits) {
        sc_bit_rows(n, l, first, stop);
        return;
    }
    for (ptrdiff_t r = 0; start && r < stop - first; r++) memcpy(y + r * out, start, (size_t)out * sizeof *y);
    if (!in) return; /* numbers that learn, the same for all rows */
    sc_multiply(n, 'N', 'N', out, stop - first, in, sc_factor(l), n->parameters + l->weight, out, l->in + first * in,
                in, start != NULL, y, out);
}

static void sc_back_linear(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t in = l->inputs, out = l->outputs;
    if (!in) return;
    sc_multiply(n, 'T', 'N', in, stop - first, out, sc_factor(l), n->parameters + l->weight, out,
                l->delta_out + first * out, out, 0, l->delta_in + first * in, in);
}

/* Inputs first .. stop of the batch; input i is row at[i] of the data. Those that are drawn have the noise of the
 * batch's place among all. */
static void sc_net_inputs(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t first, ptrdiff_t stop)
{
    for (ptrdiff_t i = first; i < stop; i++) {
        const float *row = n->data + at[i] * n->width;
        float *x = n->x + i * n->width;
        const uint64_t number = noise / (uint64_t)n->stride + (uint64_t)i;
        if (n->binary) sc_bernoulli32(&n->pixels, number * (uint64_t)n->width, n->width, row, x);
        else memcpy(x, row, (size_t)n->width * sizeof(float));
        if (n->bits) sc_mark(n, i);
    }
}

/* Inputs first .. stop through all layers. */
static void sc_net_outputs(const sc_net *n, uint64_t noise, ptrdiff_t block, ptrdiff_t first, ptrdiff_t stop)
{
    double *scratch = n->scratch + block * n->scratch_each;
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
        default: sc_discrete_units(n, l, noise, first, stop, scratch);
        }
    }
}

/* One block, as far as the costs; those that are given come later. */
static void sc_net_forward(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, sc_cancel *cancel)
{
    const ptrdiff_t first = sc_net_first(n, block), stop = sc_net_first(n, block + 1);
    if (sc_cancelled(cancel)) return;
    sc_net_inputs(n, at, noise, first, stop);
    sc_net_outputs(n, noise, block, first, stop);
    for (const sc_level *l = n->levels; l < n->levels + n->n_levels; l++)
        memset(l->cost + first * l->rows, 0, (size_t)((stop - first) * l->rows) * sizeof(double));
    for (const sc_net_end *e = n->ends; e < n->ends + n->n_ends; e++)
        for (ptrdiff_t i = first; i < stop && e->kind != SC_END_GIVEN; i++)
            sc_net_tell(n, e, at, i, n->scratch + block * n->scratch_each);
}

/* The same block, all costs told, back to every linear layer's output. */
static void sc_net_backward(const sc_net *n, ptrdiff_t block, sc_cancel *cancel)
{
    const ptrdiff_t first = sc_net_first(n, block), stop = sc_net_first(n, block + 1);
    if (sc_cancelled(cancel)) return;
    for (ptrdiff_t i = first; i < stop; i++) {
        sc_net_gather(n, i);
        sc_net_weigh(n, i);
        if (n->rule == SC_NET_VIMCO) sc_net_shares(n, i);
    }
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
            if (n->rule != SC_NET_RODEO || l->unit < n->n_levels - 1)
                sc_back_units(n, l, first, stop, n->scratch + block * n->scratch_each);
            else
                for (ptrdiff_t i = first; i < stop; i++) sc_back_rodeo(n, l, i, n->scratch + block * n->scratch_each);
        }
    }
}

/* Both, where the cost is one of ours. */
static void sc_net_block(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, sc_cancel *cancel)
{
    sc_net_forward(n, at, noise, block, cancel);
    sc_net_backward(n, block, cancel);
}

/* Costs of a block's inputs when a network is only looked at. */
static void sc_net_look(const sc_net *n, const int64_t *at, uint64_t noise, ptrdiff_t block, sc_cancel *cancel)
{
    sc_net_forward(n, at, noise, block, cancel);
    for (ptrdiff_t i = sc_net_first(n, block); i < sc_net_first(n, block + 1); i++) sc_net_gather(n, i);
}

/* Between the loops, by the calling thread: the step's cost and its standard error over inputs (infinite for one), and
 * what chunks of weights with a centre share. Not 0: the step must not be taken. */
static int sc_net_summarise(const sc_net *n, sc_cancel *cancel, double *record)
{
    const double B = (double)n->batch;
    double sum = 0.0, squares = 0.0;
    int status = sc_cancelled(cancel);
    if (status) return status;
    for (ptrdiff_t i = 0; i < n->batch; i++) sum += n->mean[i];
    record[0] = sum / B;
    for (ptrdiff_t i = 0; i < n->batch; i++) squares += (n->mean[i] - record[0]) * (n->mean[i] - record[0]);
    record[1] = n->batch > 1 ? sqrt(squares / (B * (B - 1.0))) : HUGE_VAL;
    for (const sc_layer *l = n->layers; l < n->layers + n->n_layers; l++) {
        if (l->unit && l->bits) sc_turn_units(n, l);
        if (l->centre) sc_sum_rows(n->batch * l->after, l->outputs, l->delta_out, l->sum);
    }
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

/* Rows row .. row + rows of the weights have their gradient for a centre of 0: give them that of their own. */
static void sc_net_centre(const sc_net *n, const sc_layer *l, const sc_net_chunk *c)
{
    const ptrdiff_t out = l->outputs;
    for (ptrdiff_t r = c->row; r < c->row + c->rows; r++) {
        float *g = n->gradient + l->weight + r * out;
        const vf minus = vf_set1(-2 * l->centre[r]);
        for (ptrdiff_t j = c->column; j < c->column + c->columns; j += 16) {
            const ptrdiff_t left = c->column + c->columns - j;
            vf_store_part(g + j, vf_fma(minus, vf_load_part(l->sum + j, left, 0), vf_load_part(g + j, left, 0)), left);
        }
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
    else if (l->bits) sc_bit_gradient(n, l, c->column, c->column + c->columns);
    else
        sc_multiply(n, 'N', 'T', c->columns, c->rows, rows, sc_factor(l), l->delta_out + c->column, out, l->in + c->row,
                    l->inputs, 0, n->gradient + at, out);
    if (l->centre) sc_net_centre(n, l, c);
    if (c->columns == out) squares = sc_net_move(n, at, c->rows * out, kind, s, m, v);
    else
        for (ptrdiff_t r = 0; r < c->rows; r++) squares += sc_net_move(n, at + r * out, c->columns, kind, s, m, v);
    n->squares[chunk] = squares;
}

#endif
