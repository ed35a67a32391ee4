/* The network with one layer of Bernoulli units and the work of one batch: plain structs over memory that NumPy owns.
 *
 * D pixels, H units. A row of V has `visible_stride` numbers (D rounded up to 16), a row of W has `latent_stride`
 * (H rounded up to 16). Padding weights are 0 and padding biases SC_VAE_NEVER: a padding unit is never on, at no cost
 * and with a gradient of exactly 0, so kernels work in whole lanes and no step moves the padding.
 */
#ifndef SC_VAE_H
#define SC_VAE_H

#include "core.h"

#define SC_VAE_NEVER (-200.0f) /* sigmoid and softplus of it are 0 in float32 */

enum {
    SC_VAE_IMAGES = 32, /* images in a block of a batch */
    SC_VAE_ROWS = 32,   /* rows of V or W in a chunk of parameters */
    SC_VAE_TILE = 64,   /* pixels in a tile: columns of V, two planes of bits */
    SC_VAE_NO_UPDATE = -1,
};

/* What weighs the score of a sample. */
enum { SC_VAE_SCORE_FUNCTION = 0, SC_VAE_LEAVE_ONE_OUT = 1, SC_VAE_DISARM = 2 };

typedef struct sc_vae {
    ptrdiff_t n_visible, n_latents, visible_stride, latent_stride;
    float *parameters; /* W [D][latent_stride], b [latent_stride], V [H][visible_stride], c [..], prior [..] */
    const float *mean; /* [visible_stride], 0 in the padding */
} sc_vae;

static inline ptrdiff_t sc_vae_b(const sc_vae *v) { return v->n_visible * v->latent_stride; }
static inline ptrdiff_t sc_vae_V(const sc_vae *v) { return sc_vae_b(v) + v->latent_stride; }
static inline ptrdiff_t sc_vae_c(const sc_vae *v) { return sc_vae_V(v) + v->n_latents * v->visible_stride; }
static inline ptrdiff_t sc_vae_prior(const sc_vae *v) { return sc_vae_c(v) + v->visible_stride; }
static inline ptrdiff_t sc_vae_size(const sc_vae *v) { return sc_vae_prior(v) + v->latent_stride; }

/* The rows of a matrix that a list names. */
typedef struct sc_list {
    const uint32_t *rows;
    ptrdiff_t count;
} sc_list;

/* One step on a batch of `batch` images with `n_samples` samples each; row r = image * n_samples + sample. */
typedef struct sc_vae_work {
    sc_vae vae;
    ptrdiff_t batch, n_samples;
    int kind;                  /* SC_VAE_SCORE_FUNCTION .. */
    double baseline;           /* subtracted from the cost by SC_VAE_SCORE_FUNCTION */
    const float *data;         /* [images][visible_stride]: probabilities that a pixel is on */
    sc_stream pixels, latents; /* whose noise binarises, whose noise draws the units */

    /* scratch, placed by sc_vae_place */
    float *zeros;            /* [latent_stride] */
    float *offsets;          /* [chunks of W][latent_stride] minus mean W, each chunk's share */
    float *offset;           /* [latent_stride] their sum */
    float *prior;            /* [latent_stride] sigmoid of the prior's logits */
    float *logits, *q;       /* [batch][latent_stride] of the units, and their sigmoids */
    float *score;            /* [batch][latent_stride] gradient of the cost by the logits */
    float *score_sum;        /* [latent_stride] */
    float *delta;            /* [tiles][rows][SC_VAE_TILE] (sigmoid(decoder logits) - x) / rows */
    float *gradient;         /* as the parameters */
    uint32_t *words;         /* [batch][most words an image needs] */
    uint32_t *x_bits;        /* [D / 32][batch_stride]: bit j of plane i is pixel 32 i + j */
    uint32_t *z_bits;        /* [H / 32][row_stride] */
    uint32_t *x_columns;     /* [D][batch_stride / 32]: the same bits by pixel */
    uint32_t *z_columns;     /* [H][row_stride / 32] */
    sc_list *on;             /* [rows] the pixels, then the units that are on */
    double *shares;          /* [tiles][rows] of log p(x | z) */
    double *bound;           /* [rows] log p(x | z) + log p(z) - log q(z | x) */
    double *cost;            /* [batch] minus their mean */
    double *squares;         /* [chunks] sum of the squares of a chunk's gradient */
    double prior_softplus;   /* sum of the softplus of the prior's logits */
} sc_vae_work;

static inline ptrdiff_t sc_round_up(ptrdiff_t n, ptrdiff_t to) { return (n + to - 1) / to * to; }

static inline ptrdiff_t sc_vae_rows(const sc_vae_work *w) { return w->batch * w->n_samples; }
static inline ptrdiff_t sc_vae_batch_stride(const sc_vae_work *w) { return sc_round_up(w->batch, 64); }
static inline ptrdiff_t sc_vae_row_stride(const sc_vae_work *w) { return sc_round_up(sc_vae_rows(w), 64); }
static inline ptrdiff_t sc_vae_x_planes(const sc_vae *v) { return sc_round_up(v->n_visible, 64) / 32; } /* even */
static inline ptrdiff_t sc_vae_z_planes(const sc_vae *v) { return sc_round_up(v->n_latents, 64) / 32; }

/* Words that an image needs: its pixels' and then its units', read in whole lanes. */
static inline ptrdiff_t sc_vae_words(const sc_vae_work *w)
{
    ptrdiff_t pixels = w->vae.visible_stride, units = w->n_samples * w->vae.latent_stride;
    return pixels > units ? pixels : units;
}

/* Blocks of images, as even as can be, and of several a multiple of four, which most numbers of threads share fairly. */
static inline ptrdiff_t sc_vae_blocks(const sc_vae_work *w)
{
    const ptrdiff_t blocks = (w->batch + SC_VAE_IMAGES - 1) / SC_VAE_IMAGES;
    return blocks < 3 ? blocks : sc_round_up(blocks, 4);
}

/* Tiles of pixels; and chunks of parameters: rows of V, rows of W, and one for b, c and the prior. */
static inline ptrdiff_t sc_vae_tiles(const sc_vae *v) { return (v->visible_stride + SC_VAE_TILE - 1) / SC_VAE_TILE; }
static inline ptrdiff_t sc_vae_V_chunks(const sc_vae *v) { return (v->n_latents + SC_VAE_ROWS - 1) / SC_VAE_ROWS; }
static inline ptrdiff_t sc_vae_W_chunks(const sc_vae *v) { return (v->n_visible + SC_VAE_ROWS - 1) / SC_VAE_ROWS; }
static inline ptrdiff_t sc_vae_chunks(const sc_vae *v) { return sc_vae_V_chunks(v) + sc_vae_W_chunks(v) + 1; }

/* Cuts the scratch out of `memory` (aligned to 64 bytes, zeros) and returns its size in bytes; with NULL only that. */
static inline ptrdiff_t sc_vae_place(sc_vae_work *w, char *memory)
{
    const sc_vae *v = &w->vae;
    const ptrdiff_t rows = sc_vae_rows(w), hs = v->latent_stride, tiles = sc_vae_tiles(v);
    const ptrdiff_t bs = sc_vae_batch_stride(w), rs = sc_vae_row_stride(w);
    ptrdiff_t used = 0;
#define SC_TAKE(field, type, count)                                                                                    \
    do {                                                                                                               \
        w->field = memory ? (type *)(void *)(memory + used) : NULL;                                                    \
        used += sc_round_up((count) * (ptrdiff_t)sizeof(type), 64);                                                    \
    } while (0)
    SC_TAKE(zeros, float, hs);
    SC_TAKE(offsets, float, sc_vae_W_chunks(v) * hs);
    SC_TAKE(offset, float, hs);
    SC_TAKE(prior, float, hs);
    SC_TAKE(logits, float, w->batch *hs);
    SC_TAKE(q, float, w->batch *hs);
    SC_TAKE(score, float, w->batch *hs);
    SC_TAKE(score_sum, float, hs);
    SC_TAKE(delta, float, tiles *rows *SC_VAE_TILE);
    SC_TAKE(gradient, float, sc_vae_size(v));
    SC_TAKE(words, uint32_t, w->batch *sc_vae_words(w));
    SC_TAKE(x_bits, uint32_t, sc_vae_x_planes(v) * bs);
    SC_TAKE(z_bits, uint32_t, sc_vae_z_planes(v) * rs);
    SC_TAKE(x_columns, uint32_t, v->n_visible *(bs / 32));
    SC_TAKE(z_columns, uint32_t, v->n_latents *(rs / 32));
    SC_TAKE(on, sc_list, rows);
    SC_TAKE(shares, double, tiles *rows);
    SC_TAKE(bound, double, rows);
    SC_TAKE(cost, double, w->batch);
    SC_TAKE(squares, double, sc_vae_chunks(v));
#undef SC_TAKE
    return used;
}

#endif
