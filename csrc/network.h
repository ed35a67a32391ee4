/* A stack of layers and the work of one batch: plain structs over memory that the host owns.
 *
 * A batch has `batch` inputs. Layers before the first one with noise see each input once, those after it `n_samples`
 * times: row i * n_samples + k is sample k of input i. Rows of all arrays are as wide as the layer, without padding.
 * Inputs are cut into `blocks` of as even a size as can be; a block's rows go through all layers, so that every product
 * of matrices has a shape that depends on the network and the batch alone.
 */
#ifndef SC_NETWORK_H
#define SC_NETWORK_H

#include "core.h"
#include "optimizer.h"

enum {
    SC_LAYER_LINEAR = 0,
    SC_LAYER_LEAKY = 1,
    SC_LAYER_TANH = 2,
    SC_LAYER_DROPOUT = 3,
    SC_LAYER_BERNOULLI = 4,
    SC_LAYER_CATEGORICAL = 5,
    SC_LAYER_NORMAL = 6,
};
enum { SC_END_GIVEN = 0, SC_END_SQUARED = 1, SC_END_LIKELIHOOD = 2, SC_END_LABELS = 3 };
enum { SC_NET_CONSTANT = 0, SC_NET_LEAVE_ONE_OUT = 1, SC_NET_DISARM = 2, SC_NET_STRAIGHT = 3 };

/* BLAS: C = alpha op(A) op(B) + beta C, columns first. */
typedef void (*sc_sgemm)(char *ta, char *tb, int *m, int *n, int *k, float *alpha, float *a, int *lda, float *b,
                         int *ldb, float *beta, float *c, int *ldc);

typedef struct sc_layer {
    int kind;
    int back;                    /* is the gradient by its input wanted? */
    int unit;                    /* number among the layers of units, from 1; 0: none */
    ptrdiff_t inputs, outputs;   /* width of a row that comes, and that goes */
    ptrdiff_t classes;           /* of a categorical site */
    ptrdiff_t before, after;     /* rows for each input of the network, that come and that go: 1 or n_samples */
    double number;               /* slope, rate of dropout, or scale (0: the input holds its logarithm) */
    ptrdiff_t weight, bias;      /* where they stand among the parameters; bias -1: none */
    sc_stream noise;
    const float *in;             /* [rows][inputs] */
    float *out;                  /* [rows][outputs]; an activation after a linear layer works in place */
    float *own;                  /* probabilities [rows that come], or factor or noise [rows that go] */
    float *delta_in, *delta_out; /* gradient by in and out; NULL: not wanted */
} sc_layer;

typedef struct sc_net_chunk { /* parameters whose gradient is one product of matrices */
    ptrdiff_t layer;
    ptrdiff_t row, rows, column, columns; /* of the weights; rows 0: the whole bias */
} sc_net_chunk;

typedef struct sc_net {
    sc_sgemm sgemm;
    ptrdiff_t n_layers, batch, n_samples, blocks, n_chunks;
    ptrdiff_t group;    /* rows that share their noise: 1, or a trunk and a branch for each layer of units */
    ptrdiff_t stride;   /* noise rows for each input */
    int rule, end;
    double baseline;
    ptrdiff_t width, target_width;
    sc_layer *layers;
    const sc_net_chunk *chunks;
    float *parameters, *gradient;
    const float *data;     /* [..][width] */
    const float *targets;  /* [..][target_width] */
    const int64_t *labels; /* [..] */
    float *x;              /* [batch][width] */
    double *cost;          /* [batch * n_samples] */
    float *weight;         /* [batch * n_samples] of the scores */
    double *squares;       /* [n_chunks] */
    double *scratch;       /* [blocks][scratch_each] */
    ptrdiff_t scratch_each;
    /* Of inputs that are mostly 0, which are not, so that a first linear layer skips those; NULL: it is a product. */
    uint32_t *bits; /* [planes][batch_stride]: bit j of plane i is number 32 i + j of a row */
    uint32_t *columns; /* [width][batch_stride / 32]: the same bits by number */
} sc_net;

static inline ptrdiff_t sc_net_planes(const sc_net *n) { return (n->width + 63) / 64 * 2; }
static inline ptrdiff_t sc_net_batch_stride(const sc_net *n) { return (n->batch + 63) / 64 * 64; }
static inline ptrdiff_t sc_net_first(const sc_net *n, ptrdiff_t block) { return block * n->batch / n->blocks; }

#endif
