/* networks: one step of a network with a layer of Bernoulli units (sc.BernoulliVAE), and its bound.
 *
 * An image x is binarised, x_d = [k_d < T(p_d)]. Units z_h ~ q = sigmoid(l), l = 2 (x - mean) W + b; decoder logits
 * o = z V + c; prior logits phi. With softplus(a) = log(1 + e^a), the bound of a sample, in nats, is
 *   f = sum_d (x_d o_d - softplus(o_d)) + sum_h z_h (phi_h - l_h) + sum_h (softplus(l_h) - softplus(phi_h))
 *     = log p(x|z) + log p(z) - log q(z|x).
 * Gradients of the cost -f, averaged over a batch of B images with K samples each:
 *   V += z (sigmoid(o) - x) / BK        c += (sigmoid(o) - x) / BK        phi += (sigmoid(phi) - z) / BK
 *   l += -sum_k w_k (z_k - q) / B,      W += 2 (x - mean) l's,  b += l's     (score function: Williams 1992, eq. 4)
 *   w_k = (f_k - mean f) / (K - 1): the mean of the other samples as baseline; or (f_k - baseline) / K.
 * DisARM takes pairs z, z' of opposite noise instead: l += -sum_pairs (f - f')/2 (z - z') max(q, 1 - q) / (B K/2)
 * (Dong, Mnih and Tucker 2020, eq. 6).
 * The direct derivative of -log q(z|x) by l has expectation zero and is left out.
 *
 * x and z are bits, so every product of matrices is a sum of the rows whose bit is set: no multiplications, and no work
 * for a pixel or unit that is off. Such sums run over samples in order, in float32; those of the bound are in float64.
 * A step is three loops. Blocks of images (sc_vae_forward) draw, and leave bits behind; tiles of pixels (sc_vae_decode)
 * find the whole batch's errors there, and what V gets of them; chunks of parameters (sc_vae_learn) sum what W gets of
 * the scores, and move parameters. What is folded between the loops has a share for each tile or chunk, in order, so the
 * bits depend neither on threads nor on how the batch was cut.
 */
#ifndef SC_KERNELS_NETWORKS_H
#define SC_KERNELS_NETWORKS_H

#include "../cancel.h"
#include "../vae.h"
#include "distributions.h"
#include "optimize.h"
#include "sums.h"

/* ---- forward: a block of images ---------------------------------------------------------------------------------- */

/* p = sigmoid(l); returns the sum of softplus(l) = max(l, 0) + log(1 + e^-|l|), with one logarithm for up to 32 lanes'
 * product of factors that are at most 2. */
static double sc_sigmoids(ptrdiff_t n, const float *l, float *p)
{
    const vf zero = vf_set1(0), one = vf_set1(1);
    vd sum = vd_set1(0);
    for (ptrdiff_t i = 0; i < n;) {
        vf product = one;
        for (ptrdiff_t stop = SC_MIN(n, i + 16 * 32); i < stop; i += 16) {
            vf x = vf_load(l + i), t = sc_exp_minus_abs32(x), above = vf_add(one, t), top = vf_max(x, zero);
            product = vf_mul(product, above);
            vf_store(p + i, vf_div(vf_select(vf_lt(x, zero), t, one), above));
            sum = vd_add(sum, vd_add(vf_lo_f64(top), vf_hi_f64(top)));
        }
        product = sc_log32(product);
        sum = vd_add(sum, vd_add(vf_lo_f64(product), vf_hi_f64(product)));
    }
    return vd_sum(sum);
}

enum { SC_VAE_RUN = 1024 }; /* parameters that are moved together */

/* The share of minus mean W that `count` rows of W from d on have. */
static void sc_vae_offset(const sc_vae_work *w, ptrdiff_t d, ptrdiff_t count)
{
    const ptrdiff_t hs = w->vae.latent_stride;
    const float *mean = w->vae.mean + d, *rows = w->vae.parameters + d * hs;
    for (ptrdiff_t h = 0; h < hs; h += 16) {
        vf sum = vf_set1(0);
        for (ptrdiff_t u = 0; u < count; u++) sum = vf_fma(vf_set1(-mean[u]), vf_load(rows + u * hs + h), sum);
        vf_store(w->offsets + d / SC_VAE_ROWS * hs + h, sum);
    }
}

/* What a step needs of the parameters alone, by the calling thread, before the blocks. sc_vae_learn leaves the shares of
 * the offset behind: they are worked out where somebody else may have moved the parameters. */
static void sc_vae_prepare(sc_vae_work *w, int moved)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t hs = v->latent_stride, chunks = sc_vae_W_chunks(v);
    for (ptrdiff_t d = 0; moved && d < v->n_visible; d += SC_VAE_ROWS)
        sc_vae_offset(w, d, SC_MIN(SC_VAE_ROWS, v->n_visible - d));
    for (ptrdiff_t h = 0; h < hs; h += 16) {
        vf sum = vf_set1(0);
        for (ptrdiff_t k = 0; k < chunks; k++) sum = vf_add(sum, vf_load(w->offsets + k * hs + h));
        vf_store(w->offset + h, sum);
    }
    w->prior_softplus = sc_sigmoids(hs, v->parameters + sc_vae_prior(v), w->prior);
}

/* Images first .. first + n of the batch: pixels to bits. Image i is row rows[i] of the data and has number + i as its
 * number among all images ever drawn, which addresses its noise. */
static void sc_vae_binarise(const sc_vae_work *w, const int64_t *rows, uint64_t number, ptrdiff_t first, ptrdiff_t n)
{
    const ptrdiff_t D = w->vae.n_visible, ds = w->vae.visible_stride, bs = sc_vae_batch_stride(w);
    const uint64_t element = (number + (uint64_t)first) * (uint64_t)D;
    uint32_t *words = w->words + first * sc_vae_words(w);
    for (ptrdiff_t i = first; i < first + n; i++) /* rows at random: have them come while the noise is made */
        for (ptrdiff_t d = 0; d < ds; d += 16) __builtin_prefetch(w->data + rows[i] * ds + d);
    sc_fill_bits32(&w->pixels, element, n * D, words);
    for (ptrdiff_t i = 0; i < n; i++) {
        const float *p = w->data + rows[first + i] * ds;
        for (ptrdiff_t d = 0; d < ds; d += 16) {
            uint64_t e = element + (uint64_t)(i * D + d);
            uint32_t bits = sc_below32(vw_load(words + i * D + d), p + d, &w->pixels, e);
            sc_put_bits(w->x_bits + d / 32 * bs + first + i, d, bits);
        }
    }
}

static void sc_vae_encode(const sc_vae_work *w, ptrdiff_t first, ptrdiff_t n)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t hs = v->latent_stride, bs = sc_vae_batch_stride(w);
    const float *b = v->parameters + sc_vae_b(v);
    sc_list *on = w->on + first * w->n_samples; /* of the block's samples, which come later */
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t *list = w->words + (first + i) * sc_vae_words(w); /* the pixels' noise has been used */
        on[i] = (sc_list){list, sc_list_bits(w->x_bits + first + i, bs, sc_vae_x_planes(v), list)};
    }
    sc_add_lists(n, on, hs, v->parameters, hs, w->offset, 0, w->logits + first * hs, hs);
    for (float *l = w->logits + first * hs; l < w->logits + (first + n) * hs; l += hs)
        for (ptrdiff_t h = 0; h < hs; h += 16) vf_store(l + h, vf_fma(vf_set1(2), vf_load(l + h), vf_load(b + h)));
}

/* Units to bits, and what they contribute to the bound. */
static void sc_vae_draw(const sc_vae_work *w, uint64_t number, ptrdiff_t first, ptrdiff_t n)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t H = v->n_latents, hs = v->latent_stride, K = w->n_samples, rs = sc_vae_row_stride(w);
    const float *phi = v->parameters + sc_vae_prior(v);
    const uint64_t element = (number + (uint64_t)first) * (uint64_t)(K * H);
    uint32_t *words = w->words + first * sc_vae_words(w);
    sc_stream own = w->latents;
    sc_fill_bits32(&w->latents, element, n * K * H, words);
    for (ptrdiff_t r = 0, i = first; i < first + n; i++) {
        const float *l = w->logits + i * hs;
        float *q = w->q + i * hs;
        const double constant = sc_sigmoids(hs, l, q) - w->prior_softplus;
        for (ptrdiff_t k = 0; k < K; k++, r++) {
            vd sum = vd_set1(0);
            const int mirrored = w->kind == SC_VAE_DISARM && k & 1; /* the opposite of the sample before */
            const vw flip = vw_set1(mirrored ? UINT32_MAX : 0);
            own.antithetic = w->latents.antithetic ^ (uint32_t)mirrored;
            for (ptrdiff_t h = 0; h < hs; h += 16) {
                const ptrdiff_t at = (r - mirrored) * H + h;
                uint32_t bits = sc_below32(vw_xor(vw_load(words + at), flip), q + h, &own, element + (uint64_t)at);
                vf gap = vf_select(sc_lanes_of(bits), vf_sub(vf_load(phi + h), vf_load(l + h)), vf_set1(0));
                sum = vd_add(sum, vd_add(vf_lo_f64(gap), vf_hi_f64(gap)));
                sc_put_bits(w->z_bits + h / 32 * rs + first * K + r, h, bits);
            }
            w->bound[first * K + r] = constant + vd_sum(sum);
        }
    }
}

/* Images first .. first + n, up to the bits of their units. */
static void sc_vae_images(const sc_vae_work *w, const int64_t *rows, uint64_t number, ptrdiff_t first, ptrdiff_t n)
{
    sc_vae_binarise(w, rows, number, first, n);
    sc_vae_encode(w, first, n);
    sc_vae_draw(w, number, first, n);
}

/* One block of the batch. */
static void sc_vae_forward(const sc_vae_work *w, const int64_t *rows, uint64_t number, ptrdiff_t block,
                           sc_cancel *cancel)
{
    const ptrdiff_t blocks = sc_vae_blocks(w), first = block * w->batch / blocks;
    if (sc_cancelled(cancel)) return;
    sc_vae_images(w, rows, number, first, (block + 1) * w->batch / blocks - first);
}

/* ---- decode: a tile of pixels ------------------------------------------------------------------------------------ */

/* A tile of decoder logits o becomes (sigmoid(o) - x) scale; returns its share of log p(x|z) = sum_d log sigmoid(a_d),
 * where a = o for a pixel that is on, -o for one that is off: min(a, 0) - log(1 + e^-|o|), and sigmoid(o) - x is
 * sigmoid(-a) with the sign of off minus on. The tile's sums are per lane, of up to 4. */
SC_INLINE double sc_vae_pixels(ptrdiff_t lanes, uint64_t x_bits, float scale, float *o)
{
    const vf zero = vf_set1(0), one = vf_set1(1), size = vf_set1(scale);
    const vw top = vw_set1(UINT32_C(1) << 31), none = vw_set1(0);
    vf product = one, sum = zero;
    for (ptrdiff_t j = 0; j < lanes; j++, x_bits >>= 16, o += 16) {
        const vn on = sc_lanes_of((uint32_t)x_bits);
        const vw minus = vw_select(on, top, none);
        vf x = vf_load(o), t = sc_exp_minus_abs32(x), above = vf_add(one, t);
        vf a = vf_from_bits(vw_xor(vw_from_bits(vf_neg(x)), minus));
        product = vf_mul(product, above);
        sum = vf_add(sum, vf_min(a, zero));
        vf miss = vf_div(vf_select(vf_lt(zero, a), t, one), above);
        vf_store(o, vf_mul(vf_from_bits(vw_xor(vw_from_bits(miss), minus)), size));
    }
    sum = vf_sub(sum, sc_log32(product));
    return vd_sum(vd_add(vf_lo_f64(sum), vf_hi_f64(sum)));
}

/* A tile of the images' errors, and what each sample's bound has of it. */
static void sc_vae_errors(const sc_vae_work *w, ptrdiff_t tile, ptrdiff_t images)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t ds = v->visible_stride, rows = sc_vae_rows(w), d = tile * SC_VAE_TILE, bs = sc_vae_batch_stride(w);
    const ptrdiff_t n = SC_MIN(SC_VAE_TILE, ds - d), K = w->n_samples;
    const uint32_t *x_bits = w->x_bits + 2 * tile * bs;
    const float *V = v->parameters + sc_vae_V(v) + d, *c = v->parameters + sc_vae_c(v) + d;
    const float scale = (float)(1.0 / (double)rows);
    float *o = w->delta + d * rows;
    double *share = w->shares + tile * rows;
    for (ptrdiff_t j = 0; j < n; j += SC_NEAR)
        sc_add_bits((n - j) / 16, v->n_latents, V + j, ds, images * K, w->z_bits, sc_vae_row_stride(w), 1, c + j, o + j,
                    SC_VAE_TILE);
    for (ptrdiff_t i = 0; i < images; i++)
        for (ptrdiff_t k = 0; k < K; k++, o += SC_VAE_TILE) {
            const uint64_t on = x_bits[i] | (uint64_t)x_bits[bs + i] << 32;
            *share++ = n == SC_VAE_TILE ? sc_vae_pixels(4, on, scale, o) : sc_vae_pixels(n / 16, on, scale, o);
        }
}

/* Gradient of a tile of V and c. */
static void sc_vae_V_tile(const sc_vae_work *w, ptrdiff_t tile)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t ds = v->visible_stride, rows = sc_vae_rows(w), words = sc_vae_row_stride(w) / 32;
    const ptrdiff_t d = tile * SC_VAE_TILE, n = SC_MIN(SC_VAE_TILE, ds - d);
    const float *delta = w->delta + d * rows, zeros[SC_NEAR] = {0};
    float *V = w->gradient + sc_vae_V(v) + d, *c = w->gradient + sc_vae_c(v) + d;
    for (ptrdiff_t j = 0; j < n; j += SC_NEAR)
        sc_add_bits((n - j) / 16, rows, delta + j, SC_VAE_TILE, v->n_latents, w->z_columns, 1, words, zeros, V + j, ds);
    for (ptrdiff_t j = 0; j < n; j += 16) {
        vf sum = vf_set1(0);
        for (ptrdiff_t r = 0; r < rows; r++) sum = vf_add(sum, vf_load(delta + r * SC_VAE_TILE + j));
        vf_store(c + j, sum);
    }
}

/* The bits of the units turned to rows by unit. Between the first two loops, by the calling thread. */
static void sc_vae_turn(const sc_vae_work *w)
{
    const ptrdiff_t H = w->vae.n_latents, rs = sc_vae_row_stride(w);
    for (ptrdiff_t h = 0; h < H; h += 32)
        sc_columns(w->z_bits + h / 32 * rs, 0, SC_MIN(32, H - h), rs, w->z_columns + h * (rs / 32));
}

/* A tile of the batch: errors, and the gradients of V and c that they make. */
static void sc_vae_decode(const sc_vae_work *w, ptrdiff_t tile, sc_cancel *cancel)
{
    if (sc_cancelled(cancel)) return;
    sc_vae_errors(w, tile, w->batch);
    sc_vae_V_tile(w, tile);
}

/* The shares of n samples' bounds are added up. */
static void sc_vae_fold(const sc_vae_work *w, ptrdiff_t n)
{
    const double *share = w->shares;
    for (ptrdiff_t tile = 0; tile < sc_vae_tiles(&w->vae); tile++, share += sc_vae_rows(w))
        for (ptrdiff_t r = 0; r < n; r++) w->bound[r] += share[r];
}

/* ---- between: scores --------------------------------------------------------------------------------------------- */

/* The gradient of the cost of image i by the logits of the units, from pairs. */
static void sc_vae_weigh_pairs(const sc_vae_work *w, ptrdiff_t i)
{
    const ptrdiff_t hs = w->vae.latent_stride, K = w->n_samples, rs = sc_vae_row_stride(w);
    const double *f = w->bound + i * K, scale = -1.0 / ((double)K * (double)w->batch);
    const vf zero = vf_set1(0);
    for (ptrdiff_t h = 0; h < hs; h += 16) {
        const uint32_t *bits = w->z_bits + h / 32 * rs + i * K;
        const vf q = vf_load(w->q + i * hs + h);
        vf sum = zero;
        for (ptrdiff_t k = 0; k < K; k += 2) {
            const uint32_t a = sc_get_bits(bits[k], h), b = sc_get_bits(bits[k + 1], h);
            const vf weight = vf_set1((float)(scale * (f[k] - f[k + 1])));
            sum = vf_add(sum, vf_select(sc_lanes_of(a & ~b), weight, zero));
            sum = vf_sub(sum, vf_select(sc_lanes_of(b & ~a), weight, zero));
        }
        vf_store(w->score + i * hs + h, vf_mul(sum, vf_max(q, vf_sub(vf_set1(1), q))));
    }
}

/* The cost of image i and its gradient by the logits of the units. */
static void sc_vae_weigh(const sc_vae_work *w, ptrdiff_t i)
{
    const ptrdiff_t hs = w->vae.latent_stride, K = w->n_samples, rs = sc_vae_row_stride(w);
    const double *f = w->bound + i * K;
    double mean = 0.0, total = 0.0;
    for (ptrdiff_t k = 0; k < K; k++) mean += f[k] / (double)K;
    w->cost[i] = -mean;
    if (w->kind == SC_VAE_DISARM) {
        sc_vae_weigh_pairs(w, i);
        return;
    }
    const int others = w->kind == SC_VAE_LEAVE_ONE_OUT;
    const double centre = others ? mean : -w->baseline;
    const double scale = -1.0 / ((double)(others ? K - 1 : K) * (double)w->batch);
    if (!others) total = scale * (mean - centre) * (double)K; /* leave-one-out weights sum to zero */
    for (ptrdiff_t h = 0; h < hs; h += 16) {
        vf sum = vf_mul(vf_set1((float)-total), vf_load(w->q + i * hs + h));
        for (ptrdiff_t k = 0; k < K; k++) {
            vn on = sc_lanes_of(sc_get_bits(w->z_bits[h / 32 * rs + i * K + k], h));
            sum = vf_add(sum, vf_select(on, vf_set1((float)(scale * (f[k] - centre))), vf_set1(0)));
        }
        vf_store(w->score + i * hs + h, sum);
    }
}

/* Between the loops, by the calling thread: the samples' bounds, the step's cost, its standard error over images
 * (infinite for a single one, of which nothing can be known), the scores, and their sum. Not 0: the step must not be taken. */
static int sc_vae_summarise(const sc_vae_work *w, sc_cancel *cancel, double *record)
{
    const ptrdiff_t hs = w->vae.latent_stride;
    const double n = (double)w->batch;
    double sum = 0.0, squares = 0.0;
    int status = sc_cancelled(cancel);
    if (status) return status;
    sc_vae_fold(w, sc_vae_rows(w));
    for (ptrdiff_t i = 0; i < w->batch; i++) {
        sc_vae_weigh(w, i);
        sum += w->cost[i];
    }
    for (ptrdiff_t i = 0; i < w->batch; i++) squares += (w->cost[i] - sum / n) * (w->cost[i] - sum / n);
    record[0] = sum / n;
    record[1] = w->batch > 1 ? sqrt(squares / (n * (n - 1.0))) : HUGE_VAL;
    if (!isfinite(record[0])) return SC_COST_NOT_FINITE;
    for (ptrdiff_t h = 0; h < hs; h += 16) {
        vf total = vf_set1(0);
        for (ptrdiff_t i = 0; i < w->batch; i++) total = vf_add(total, vf_load(w->score + i * hs + h));
        vf_store(w->score_sum + h, total);
    }
    return SC_OK;
}

/* ---- learning: a chunk of parameters ----------------------------------------------------------------------------- */

/* Parameters at .. at + n have their gradient: add up its squares, and move them. In runs that stay near between the
 * two. */
static void sc_vae_move(const sc_vae_work *w, ptrdiff_t at, ptrdiff_t n, int kind, const sc_step_scalars *s, float *m,
                        float *v, double *squares)
{
    vd low = vd_set1(0), high = vd_set1(0);
    for (ptrdiff_t stop = at + n, run; at < stop; at += run) {
        run = SC_MIN(SC_VAE_RUN, stop - at);
        for (ptrdiff_t i = at; i < at + run; i += 16) {
            vf g = vf_load(w->gradient + i);
            low = vd_fma(vf_lo_f64(g), vf_lo_f64(g), low);
            high = vd_fma(vf_hi_f64(g), vf_hi_f64(g), high);
        }
        if (kind != SC_VAE_NO_UPDATE)
            sc_update32(kind, s, run, w->gradient + at, w->vae.parameters + at, m ? m + at : NULL, v ? v + at : NULL);
    }
    *squares += vd_sum(vd_add(low, high));
}

/* Gradient of `count` rows of W from pixel d on: sum_i 2 (x_i - mean) score_i. */
static void sc_vae_W_rows(const sc_vae_work *w, ptrdiff_t d, ptrdiff_t count)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t hs = v->latent_stride, bs = sc_vae_batch_stride(w), words = bs / 32;
    uint32_t *columns = w->x_columns + d * words;
    float *out = w->gradient + d * hs;
    sc_columns(w->x_bits + d / 32 * bs, 0, count, bs, columns);
    sc_add_columns(count, columns, words, hs, w->score, hs, w->zeros, out);
    for (ptrdiff_t u = 0; u < count; u++, out += hs)
        for (ptrdiff_t h = 0; h < hs; h += 16) {
            const vf own = vf_fma(vf_set1(-v->mean[d + u]), vf_load(w->score_sum + h), vf_load(out + h));
            vf_store(out + h, vf_add(own, own));
        }
}

/* Gradients of b and the prior. */
static void sc_vae_units(const sc_vae_work *w)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t words = sc_vae_row_stride(w) / 32;
    const double rows = (double)sc_vae_rows(w);
    float *prior = w->gradient + sc_vae_prior(v);
    memcpy(w->gradient + sc_vae_b(v), w->score_sum, (size_t)v->latent_stride * sizeof(float));
    for (ptrdiff_t h = 0; h < v->n_latents; h++) {
        int on = 0;
        for (ptrdiff_t k = 0; k < words; k++) on += __builtin_popcount(w->z_columns[h * words + k]);
        prior[h] = w->prior[h] - (float)(on / rows);
    }
}

/* One chunk: gradient, and the optimiser's step unless kind is SC_VAE_NO_UPDATE. */
static void sc_vae_learn(const sc_vae_work *w, ptrdiff_t chunk, int kind, const sc_step_scalars *s, float *m, float *v)
{
    const sc_vae *a = &w->vae;
    const ptrdiff_t V_chunks = sc_vae_V_chunks(a), W_chunks = sc_vae_W_chunks(a);
    double *squares = w->squares + chunk;
    *squares = 0.0;
    if (chunk < V_chunks) {
        const ptrdiff_t h = chunk * SC_VAE_ROWS, count = SC_MIN(SC_VAE_ROWS, a->n_latents - h);
        sc_vae_move(w, sc_vae_V(a) + h * a->visible_stride, count * a->visible_stride, kind, s, m, v, squares);
    } else if (chunk < V_chunks + W_chunks) {
        const ptrdiff_t d = (chunk - V_chunks) * SC_VAE_ROWS, count = SC_MIN(SC_VAE_ROWS, a->n_visible - d);
        sc_vae_W_rows(w, d, count);
        sc_vae_move(w, d * a->latent_stride, count * a->latent_stride, kind, s, m, v, squares);
        sc_vae_offset(w, d, count);
    } else {
        sc_vae_units(w);
        sc_vae_move(w, sc_vae_b(a), a->latent_stride, kind, s, m, v, squares);
        sc_vae_move(w, sc_vae_c(a), a->visible_stride, kind, s, m, v, squares);
        sc_vae_move(w, sc_vae_prior(a), a->latent_stride, kind, s, m, v, squares);
    }
}

/* ---- looking at a model ------------------------------------------------------------------------------------------ */

/* n images from `first` of `images`, n_draws times, one sample each: mean and sum of squared deviations of each image's
 * bound (Welford 1962). `w` is scratch for that many images. */
static int sc_vae_bound(const sc_vae_work *w, const int64_t *rows, ptrdiff_t images, ptrdiff_t first, ptrdiff_t n,
                        ptrdiff_t n_draws, sc_cancel *cancel, double *mean, double *squares)
{
    for (ptrdiff_t i = first; i < first + n; i++) mean[i] = squares[i] = 0.0;
    for (ptrdiff_t draw = 0; draw < n_draws; draw++) {
        int status = sc_cancelled(cancel);
        if (status) return status;
        sc_vae_images(w, rows + first, (uint64_t)draw * (uint64_t)images + (uint64_t)first, 0, n);
        for (ptrdiff_t tile = 0; tile < sc_vae_tiles(&w->vae); tile++) sc_vae_errors(w, tile, n);
        sc_vae_fold(w, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double gap = w->bound[i] - mean[first + i];
            mean[first + i] += gap / (double)(draw + 1);
            squares[first + i] += gap * (w->bound[i] - mean[first + i]);
        }
    }
    return SC_OK;
}

/* out = x matrix + bias, or its sigmoid, for any x; rows of matrix and out are `stride` apart, a multiple of 16. */
static void sc_affine32(ptrdiff_t rows, ptrdiff_t inner, ptrdiff_t stride, const float *x, const float *matrix,
                        const float *bias, int sigmoid, float *out)
{
    for (ptrdiff_t r = 0; r < rows; r++, x += inner, out += stride)
        for (ptrdiff_t j = 0; j < stride; j += 16) {
            vf sum = vf_load(bias + j);
            for (ptrdiff_t i = 0; i < inner; i++) sum = vf_fma(vf_set1(x[i]), vf_load(matrix + i * stride + j), sum);
            vf_store(out + j, sigmoid ? sc_sigmoid32(sum) : sum);
        }
}

/* Elements first .. first + n: 1 where k < T(p), else 0. */
static void sc_bernoulli32(const sc_stream *s, uint64_t first, ptrdiff_t n, const float *p, float *out)
{
    uint32_t words[SC_RUN + 16] = {0};
    for (ptrdiff_t done = 0; done < n; done += SC_RUN) {
        const ptrdiff_t run = SC_MIN(SC_RUN, n - done);
        sc_fill_bits32(s, first + (uint64_t)done, run, words);
        for (ptrdiff_t i = 0; i < run; i += 16) {
            float at[16] = {0};
            memcpy(at, p + done + i, (size_t)SC_MIN(16, run - i) * sizeof(float));
            uint32_t bits = sc_below32(vw_load(words + i), at, s, first + (uint64_t)(done + i));
            vf_store_part(out + done + i, vf_select(sc_lanes_of(bits), vf_set1(1), vf_set1(0)), run - i);
        }
    }
}

#endif
