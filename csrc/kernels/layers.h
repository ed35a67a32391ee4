/* layers: what a row of a network goes through besides products of matrices and discrete units (units.h), and back.
 *
 *   leaky      y = x, or slope x below 0          tanh       y = tanh x, error at most 4 ulp
 *   dropout    y = x m, m = [k < T(1-p)] / (1-p)
 *   normal     y = mean + scale e, e the normal noise of the unit's address
 *
 * Noise is addressed by (row, unit): element row * units + unit. Backwards, with d the gradient of the cost by y, normal
 * units have d by the mean, d scale e by the logarithm of the scale: pathwise. Where a row becomes several samples, their
 * gradients add up in order.
 *
 * Promises: lane words only, sums in a fixed order; bits depend on the arguments alone.
 */
#ifndef SC_KERNELS_LAYERS_H
#define SC_KERNELS_LAYERS_H

#include "../network.h"
#include "networks.h"

/* Number of a row's noise: that of its group. */
SC_INLINE uint64_t sc_noise_row(const sc_net *n, uint64_t first, ptrdiff_t per_input, ptrdiff_t row)
{
    return first + (uint64_t)(row / per_input * n->stride + row % per_input / (per_input / n->groups));
}

/* tanh: (1 - t)/(1 + t), t = e^-2|x|; near 0 by its series, whose next term is below 2^-26 of it. */
SC_INLINE vf sc_tanh32(vf x)
{
    const vf one = vf_set1(1), t = sc_exp_minus_abs32(vf_add(x, x)), s = vf_mul(x, x);
    vf far = vf_copysign(vf_div(vf_sub(one, t), vf_add(one, t)), x);
    vf p = vf_fma(s, vf_set1(62.0f / 2835), vf_set1(-17.0f / 315));
    p = vf_fma(p, s, vf_set1(2.0f / 15)), p = vf_fma(p, s, vf_set1(-1.0f / 3));
    return vf_select(vf_lt(vf_abs(x), vf_set1(0.25f)), vf_fma(vf_mul(p, s), x, x), far);
}

/* n numbers at once: rows of activations lie one after the other. */
static void sc_activate(const sc_layer *l, ptrdiff_t n, const float *x, float *y)
{
    const vf zero = vf_set1(0), slope = vf_set1((float)l->number);
    for (ptrdiff_t j = 0; j < n; j += 16) {
        vf a = vf_load_part(x + j, n - j, 0);
        vf_store_part(y + j, l->kind == SC_LAYER_TANH ? sc_tanh32(a) : vf_select(vf_lt(a, zero), vf_mul(slope, a), a),
                      n - j);
    }
}

/* By y, which has the sign of x and tells tanh's derivative. At 0 a leaky unit has that of its lower side: with slope 0
 * all x below have y = 0. */
static void sc_deactivate(const sc_layer *l, ptrdiff_t n, const float *y, const float *delta, float *by_x)
{
    const vf zero = vf_set1(0), one = vf_set1(1), slope = vf_set1((float)l->number);
    for (ptrdiff_t j = 0; j < n; j += 16) {
        vf d = vf_load_part(delta + j, n - j, 0), a = vf_load_part(y + j, n - j, 0);
        vf leaky = vf_select(vf_le(a, zero), vf_mul(slope, d), d);
        vf_store_part(by_x + j, l->kind == SC_LAYER_TANH ? vf_mul(d, vf_sub(one, vf_mul(a, a))) : leaky, n - j);
    }
}

/* ---- inputs that are mostly 0 ------------------------------------------------------------------------------------- */

static void sc_mark(const sc_net *n, ptrdiff_t i)
{
    const float *x = n->x + i * n->width;
    for (ptrdiff_t d = 0; d < n->width; d += 16) {
        const uint32_t zero = vn_bits(vf_eq(vf_load_part(x + d, n->width - d, 0), vf_set1(0)));
        sc_put_bits(n->bits + d / 32 * sc_net_batch_stride(n) + i, d, zero ^ 0xffff);
    }
}

/* out = start (or 0) + the sum of scale x[b x_step] times row b, in order, over the bits b that are set; lanes (1 to 4, a
 * constant) times sixteen columns. Words of bits come in pairs, `step` apart. */
SC_INLINE void sc_add_scaled_n(int lanes, const float *start, const uint32_t *bits, ptrdiff_t step, ptrdiff_t words,
                               float scale, const float *x, ptrdiff_t x_step, const float *rows, ptrdiff_t stride,
                               float *out)
{
    const vf zero = vf_set1(0);
    vf a = start ? vf_load(start) : zero, b = start && lanes > 1 ? vf_load(start + 16) : zero;
    vf c = start && lanes > 2 ? vf_load(start + 32) : zero, d = start && lanes > 3 ? vf_load(start + 48) : zero;
    for (ptrdiff_t k = 0; k < words; k += 2, rows += 64 * stride, x += 64 * x_step) {
        uint64_t left = bits[k * step] | (uint64_t)bits[(k + 1) * step] << 32;
        for (; left; left &= left - 1) {
            const ptrdiff_t at = __builtin_ctzll(left);
            const float *row = rows + at * stride;
            const vf value = vf_set1(scale * x[at * x_step]);
            a = vf_fma(value, vf_load(row), a);
            if (lanes > 1) b = vf_fma(value, vf_load(row + 16), b);
            if (lanes > 2) c = vf_fma(value, vf_load(row + 32), c);
            if (lanes > 3) d = vf_fma(value, vf_load(row + 48), d);
        }
    }
    vf_store(out, a);
    if (lanes > 1) vf_store(out + 16, b);
    if (lanes > 2) vf_store(out + 32, c);
    if (lanes > 3) vf_store(out + 48, d);
}

static void sc_add_scaled(ptrdiff_t lanes, const float *start, const uint32_t *bits, ptrdiff_t step, ptrdiff_t words,
                          float scale, const float *x, ptrdiff_t x_step, const float *rows, ptrdiff_t stride,
                          float *out)
{
    switch (lanes) {
    case 4: sc_add_scaled_n(4, start, bits, step, words, scale, x, x_step, rows, stride, out); break;
    case 3: sc_add_scaled_n(3, start, bits, step, words, scale, x, x_step, rows, stride, out); break;
    case 2: sc_add_scaled_n(2, start, bits, step, words, scale, x, x_step, rows, stride, out); break;
    default: sc_add_scaled_n(1, start, bits, step, words, scale, x, x_step, rows, stride, out);
    }
}

/* Where a tile begins and how many lanes it has: the last one of a width that is no multiple of 16 begins earlier, and
 * does a few columns again, to the same bits. */
static ptrdiff_t sc_tile_of(ptrdiff_t width, ptrdiff_t *at)
{
    const ptrdiff_t lanes = SC_MIN(SC_TILE, width - *at) / 16;
    if (lanes) return lanes;
    *at = width - 16;
    return 1;
}

/* What the rows of a linear layer begin with; NULL: 0. */
static const float *sc_net_start(const sc_net *n, const sc_layer *l)
{
    if (l->centre) return l->offset;
    return l->bias < 0 ? NULL : n->parameters + l->bias;
}

/* The first linear layer's rows first .. stop. */
static void sc_sparse_rows(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t out = l->outputs, bs = sc_net_batch_stride(n);
    const float *W = n->parameters + l->weight, *b = sc_net_start(n, l);
    for (ptrdiff_t j = 0, lanes; j < out; j += 16 * lanes) {
        lanes = sc_tile_of(out, &j);
        for (ptrdiff_t i = first; i < stop; i++)
            sc_add_scaled(lanes, b ? b + j : NULL, n->bits + i, bs, sc_net_planes(n), l->centre ? 2.0f : 1.0f,
                          n->x + i * n->width, 1, W + j, out, l->out + i * out + j);
    }
}

/* Rows `row` .. `row + rows` of its weights' gradient. */
static void sc_sparse_gradient(const sc_net *n, const sc_layer *l, ptrdiff_t row, ptrdiff_t rows)
{
    const ptrdiff_t out = l->outputs, bs = sc_net_batch_stride(n), words = bs / 32;
    for (ptrdiff_t d = row, count; d < row + rows; d += count) {
        count = SC_MIN(32 - d % 32, row + rows - d);
        sc_columns(n->bits + d / 32 * bs, (int)(d % 32), count, bs, n->columns + d * words);
    }
    for (ptrdiff_t j = 0, lanes; j < out; j += 16 * lanes) {
        lanes = sc_tile_of(out, &j);
        for (ptrdiff_t d = row; d < row + rows; d++)
            sc_add_scaled(lanes, NULL, n->columns + d * words, 1, words, l->centre ? 2.0f : 1.0f, n->x + d, n->width,
                          l->delta_out + j, out, n->gradient + l->weight + d * out + j);
    }
}

/* ---- inputs that are units' bits ---------------------------------------------------------------------------------- */

/* out = start + the sum of the rows of a matrix that bits name, for n (1 or 2) times sixteen columns from j on and `count`
 * rows; with a centre of 1/2 twice that, for a start of half. A start of NULL is 0. */
static void sc_bit_tile(ptrdiff_t n, int twice, ptrdiff_t inner, const float *matrix, ptrdiff_t stride, ptrdiff_t count,
                        const uint32_t *bits, ptrdiff_t word_step, ptrdiff_t step, const float *start, float *out)
{
    const float half = twice ? 0.5f : 1.0f;
    float from[SC_NEAR] = {0};
    for (ptrdiff_t k = 0; start && k < 16 * n; k++) from[k] = half * start[k];
    sc_add_bits(n, inner, matrix, stride, count, bits, word_step, step, from, out, stride);
    for (ptrdiff_t i = 0; twice && i < count; i++)
        for (ptrdiff_t k = 0; k < 16 * n; k += 16) {
            const vf sum = vf_load(out + i * stride + k);
            vf_store(out + i * stride + k, vf_add(sum, sum));
        }
}

/* Where a tile of the columns first .. stop begins and how many lanes it has, at most as many as stay near. */
static ptrdiff_t sc_near_tile(ptrdiff_t stop, ptrdiff_t *at)
{
    const ptrdiff_t lanes = SC_MIN(SC_NEAR, stop - *at) / 16;
    if (lanes) return lanes;
    *at = stop - 16;
    return 1;
}

/* Rows first .. stop of a linear layer. */
static void sc_bit_rows(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t out = l->outputs, lines = sc_net_lines(n, l->before);
    const float *W = n->parameters + l->weight, *start = sc_net_start(n, l);
    for (ptrdiff_t j = 0, lanes; j < out; j += 16 * lanes) {
        lanes = sc_near_tile(out, &j);
        sc_bit_tile(lanes, l->centre != NULL, l->inputs, W + j, out, stop - first, l->bits + first, lines, 1,
                    start ? start + j : NULL, l->out + first * out + j);
    }
}

/* Columns first .. stop of its weights' gradient. */
static void sc_bit_gradient(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t out = l->outputs, words = sc_net_lines(n, l->before) / 32;
    float *g = n->gradient + l->weight;
    for (ptrdiff_t j = first, lanes; j < stop; j += 16 * lanes) {
        lanes = sc_near_tile(stop, &j);
        sc_bit_tile(lanes, l->centre != NULL, n->batch * l->after, l->delta_out + j, out, l->inputs, l->columns, 1,
                    words, NULL, g + j);
    }
}

/* The bits of the units' outputs, by unit. Between the loops, by the calling thread. */
static void sc_turn_units(const sc_net *n, const sc_layer *l)
{
    const ptrdiff_t lines = sc_net_lines(n, l->after);
    for (ptrdiff_t h = 0; h < l->outputs; h += 32)
        sc_columns(l->bits + h / 32 * lines, 0, SC_MIN(32, l->outputs - h), lines, l->columns + h * (lines / 32));
}

/* ---- forward: rows that go, [first, stop) ------------------------------------------------------------------------ */

static void sc_drop(const sc_net *n, const sc_layer *l, uint64_t noise, ptrdiff_t first, ptrdiff_t stop, float *keep)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    const vf scale = vf_set1((float)(1.0 / (1.0 - l->number)));
    for (ptrdiff_t j = 0; j < units; j++) keep[j] = (float)(1.0 - l->number);
    for (ptrdiff_t r = first; r < stop; r++) {
        const float *x = l->in + r / fan * units;
        float *m = l->own + r * units;
        sc_bernoulli32(&l->noise, sc_noise_row(n, noise, l->after, r) * (uint64_t)units, units, keep, m);
        for (ptrdiff_t j = 0; j < units; j += 16) {
            vf factor = vf_mul(vf_load_part(m + j, units - j, 0), scale);
            vf_store_part(m + j, factor, units - j);
            vf_store_part(l->out + r * units + j, vf_mul(vf_load_part(x + j, units - j, 0), factor), units - j);
        }
    }
}

static void sc_normal_units(const sc_net *n, const sc_layer *l, uint64_t noise, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    for (ptrdiff_t r = first; r < stop; r++) {
        const float *mean = l->in + r / fan * l->inputs;
        float *own = l->own + r * units;
        sc_fill_normal32(&l->noise, sc_noise_row(n, noise, l->after, r) * (uint64_t)units, units, own);
        for (ptrdiff_t j = 0; j < units; j += 16) {
            vf scale = vf_set1((float)l->number);
            if (l->number == 0.0) scale = sc_exp32(vf_load_part(mean + units + j, units - j, 0));
            scale = vf_mul(scale, vf_load_part(own + j, units - j, 0));
            vf_store_part(own + j, scale, units - j);
            vf_store_part(l->out + r * units + j, vf_add(vf_load_part(mean + j, units - j, 0), scale), units - j);
        }
    }
}

/* ---- backward: rows that came, [first, stop) --------------------------------------------------------------------- */

/* By the input of dropout and of normal units. */
static void sc_back_noise(const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    const int drop = l->kind == SC_LAYER_DROPOUT, learned = !drop && l->number == 0.0;
    for (ptrdiff_t r = first; r < stop; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const float *d = l->delta_out + r * fan * units + j, *own = l->own + r * fan * units + j;
            float *out = l->delta_in + r * l->inputs + j;
            vf sum = vf_set1(0), scaled = vf_set1(0);
            for (ptrdiff_t k = 0; k < fan; k++, d += units, own += units) {
                vf by_y = vf_load_part(d, units - j, 0);
                sum = vf_add(sum, by_y);
                scaled = vf_fma(by_y, vf_load_part(own, units - j, 0), scaled);
            }
            vf_store_part(out, drop ? scaled : sum, units - j);
            if (learned) vf_store_part(out + units, scaled, units - j);
        }
}

#endif
