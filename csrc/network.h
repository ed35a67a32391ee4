/* A network and the work of one batch: plain structs over memory that the host owns.
 *
 * Layers take what an earlier layer puts out, or the input. A batch has `batch` inputs. Layers before the first one with
 * noise see each input once, those after it once for each of its samples; rows of all arrays are as wide as the layer,
 * without padding. Inputs are cut into `blocks` of as even a size as can be; a block's rows go through all layers, so
 * that every product of matrices has a shape that depends on the network and the batch alone.
 *
 * Samples come in `groups` that share no noise. A group is one row, the trunk, until the first layer of units adds its
 * branches, the second one its own, and so on: one, which takes the opposite noise there (disarm, arm), or one for each
 * other outcome of each unit (local expectation); all share the trunk's noise elsewhere. Rows of a group are the trunk
 * and then its branches as they parted. So input i, group g, member j of m is row (i groups + g) m + j.
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
enum {
    SC_NET_CONSTANT = 0,
    SC_NET_LEAVE_ONE_OUT = 1,
    SC_NET_DISARM = 2,
    SC_NET_STRAIGHT = 3,
    SC_NET_VIMCO = 4, /* the cost is minus the logarithm of the mean of e^-J over an input's samples */
    SC_NET_NVIL = 5,
    SC_NET_ARM = 6,
    SC_NET_LOCAL = 7,
    SC_NET_GUMBEL = 8,
    SC_NET_DOUBLE = 9,
    SC_NET_RODEO = 10,
};
enum { SC_NET_MIX = 5, SC_NET_DOTS = 20 }; /* control variates of rodeo, and products of them */

/* BLAS: C = alpha op(A) op(B) + beta C, columns first. */
typedef void (*sc_sgemm)(char *ta, char *tb, int *m, int *n, int *k, float *alpha, float *a, int *lda, float *b,
                         int *ldb, float *beta, float *c, int *ldc);

typedef struct sc_layer {
    int kind;
    int back;                    /* is the gradient by its input wanted? */
    int unit;                    /* number among the layers of units, from 1: their level; 0: none */
    ptrdiff_t inputs, outputs;   /* width of a row that comes, and that goes */
    ptrdiff_t classes;           /* of a categorical site */
    ptrdiff_t before, after;     /* rows for each input of the network, that come and that go */
    double number;               /* slope, rate of dropout, or scale (0: the input holds its logarithm) */
    ptrdiff_t weight, bias;      /* where they stand among the parameters; bias -1: none */
    const float *centre;         /* [inputs] of a linear layer: it takes 2 (x - centre) for x; NULL: x */
    float *offset, *sum;         /* [outputs] with a centre: bias - 2 centre W, and the gradient by the bias */
    sc_stream noise;
    const float *in;             /* [rows][inputs] */
    float *out;                  /* [rows][outputs]; an activation after a linear layer works in place */
    float *own;                  /* probabilities [rows that come], or factor or noise [rows that go] */
    float *kept;                 /* [groups of the batch][outputs] uniforms of trunks less 1/2, for arm */
    float *delta_in, *delta_out; /* gradient by in and out; NULL: not wanted */
    /* What BernoulliUnits put out, once more in bits, and of a linear layer that takes it the same; NULL: by products. */
    uint32_t *bits; /* [outputs / 32][sc_net_lines(rows)]: bit j of plane i is unit 32 i + j of a row */
    uint32_t *columns; /* [outputs][sc_net_lines(rows) / 32]: the same by unit */
} sc_layer;

typedef struct sc_net_chunk { /* parameters whose gradient is one product of matrices */
    ptrdiff_t layer;
    ptrdiff_t row, rows, column, columns; /* of the weights; rows 0: the whole bias */
} sc_net_chunk;

/* Costs that layers of units are to blame for. Number 0 comes before the first of them. */
typedef struct sc_level {
    ptrdiff_t rows; /* for each input */
    double *cost; /* [batch * rows] told at this level; once gathered, at this level and those above */
    float *weight; /* [batch * rows] of the scores of its units */
    double baseline;
    /* With nvil a net foretells the cost, less the baseline, from the rows that came into the level. */
    ptrdiff_t seen; /* rows of that net for each input */
    const float *predicted; /* [batch * seen] its output */
    float *by_predicted; /* the gradient of half the squared error by that */
    double spread; /* the weights and that gradient are divided by it */
} sc_level;

typedef struct sc_net_end { /* a cost that is told to a level, row by row of that */
    int kind, level;
    double sign; /* 1; -1 for log q(y), minus a cost */
    ptrdiff_t width; /* of a row */
    ptrdiff_t outputs; /* rows of output for each input */
    ptrdiff_t targets; /* rows of target for each input; 0: rows of the data, as the batch says */
    const float *output, *target;
    const int64_t *labels;
    float *delta; /* gradient by the output, whose rows are those of the level; NULL: not wanted */
} sc_net_end;

typedef struct sc_net {
    sc_sgemm sgemm;
    ptrdiff_t n_layers, n_levels, n_ends, n_chunks;
    ptrdiff_t batch, blocks;
    ptrdiff_t groups; /* of samples of an input */
    ptrdiff_t stride; /* noise rows for each input */
    int rule;
    double factor; /* the temperature of relaxed units, the coefficient of a control variate, or the width of a bend */
    int binary; /* data are chances that an input is 1, and drawn for each step */
    ptrdiff_t width;
    sc_layer *layers;
    sc_level *levels;
    sc_net_end *ends;
    const sc_net_chunk *chunks;
    float *parameters, *gradient;
    const float *data; /* [..][width] */
    sc_stream pixels; /* draws binary inputs */
    float *x; /* [batch][width] */
    double *mean; /* [batch] costs */
    double *share; /* [batch * groups] of the samples in e^-cost, for vimco; two numbers an input for double */
    double *mix; /* [SC_NET_MIX] coefficients of rodeo's control variates; NULL: another rule */
    double *dots; /* [batch][SC_NET_DOTS] what those are learned from */
    double *squares; /* [n_chunks] */
    double *scratch; /* [blocks][scratch_each] */
    ptrdiff_t scratch_each;
    /* Of inputs that are mostly 0, which are not, so that a first linear layer skips those; NULL: it is a product. */
    uint32_t *bits; /* [planes][batch_stride]: bit j of plane i is number 32 i + j of a row */
    uint32_t *columns; /* [width][batch_stride / 32]: the same bits by number */
} sc_net;

static inline ptrdiff_t sc_net_planes(const sc_net *n) { return (n->width + 63) / 64 * 2; }
static inline ptrdiff_t sc_net_batch_stride(const sc_net *n) { return (n->batch + 63) / 64 * 64; }
static inline ptrdiff_t sc_net_lines(const sc_net *n, ptrdiff_t rows) { return (n->batch * rows + 63) / 64 * 64; }
static inline ptrdiff_t sc_net_first(const sc_net *n, ptrdiff_t block) { return block * n->batch / n->blocks; }

/* Which of the rows that come (`before` for each input) a row that goes (`after`) is made of. */
static inline ptrdiff_t sc_net_source(const sc_net *n, ptrdiff_t before, ptrdiff_t after, ptrdiff_t row)
{
    if (before == after) return row;
    if (before == 1) return row / after;
    const ptrdiff_t m = before / n->groups, M = after / n->groups;
    return row / M * m + (row % M < m ? row % M : 0);
}

/* One of so many rows of a level is a sample: with local expectation trunks are, and branches none. */
static inline ptrdiff_t sc_net_every(const sc_net *n, const sc_level *level)
{
    return n->rule == SC_NET_LOCAL ? level->rows / n->groups : 1;
}

#endif
