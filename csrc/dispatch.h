/* dispatch: one table of kernels per instruction set, chosen once.
 *
 * kernels.c is compiled once for each instruction set and defines sc_table_<isa>. sc_choose_table looks at the CPU and
 * at what the operating system saves, or obeys a name (STOCHCORE_ISA). Everything above calls through the table.
 */
#ifndef SC_DISPATCH_H
#define SC_DISPATCH_H

#include "cancel.h"
#include "draw.h"
#include "job.h"
#include "network.h"
#include "optimizer.h"
#include "vae.h"

/* Functions of arrays (kernels/special.h): out[i] = f(x[i]), for any n. */
typedef struct sc_functions {
    void (*exp)(ptrdiff_t n, const double *x, double *out);
    void (*expm1)(ptrdiff_t n, const double *x, double *out);
    void (*log)(ptrdiff_t n, const double *x, double *out);
    void (*log1p)(ptrdiff_t n, const double *x, double *out);
    void (*sigmoid)(ptrdiff_t n, const double *x, double *out);
    void (*softplus)(ptrdiff_t n, const double *x, double *out);
    void (*erfcx)(ptrdiff_t n, const double *x, double *out);
    void (*ndtr)(ptrdiff_t n, const double *x, double *out);
    void (*log_ndtr)(ptrdiff_t n, const double *x, double *out);
    void (*stirling)(ptrdiff_t n, const double *x, double *out);
    void (*deviance)(ptrdiff_t n, const double *x, const double *m, double *out);
    void (*log_poisson)(ptrdiff_t n, const double *y, const double *rate, double *out);
    void (*log_binomial)(ptrdiff_t n, const double *y, const double *size, const double *p, const double *q,
                         double *out);
    void (*log_negative_binomial)(ptrdiff_t n, const double *y, const double *r, const double *p, const double *q,
                                  double *out);
    void (*normal_interval)(ptrdiff_t n, const double *a, const double *b, double *log_p, double *m1, double *m2);
    void (*logistic_interval)(ptrdiff_t n, const double *a, const double *b, double *log_p, double *da, double *db);
} sc_functions;

typedef struct sc_table {
    const char *isa;

    sc_noise noise; /* public: stochcore.h */

    /* distributions */
    void (*bernoulli_logits)(ptrdiff_t n, const double *logits, double *p, double *log_p, double *log_q);
    void (*bernoulli_probs)(ptrdiff_t n, const double *p, double *log_p, double *log_q);
    void (*bernoulli_means)(ptrdiff_t n, const double *logits, double *p, double *q);
    void (*bernoulli_thresholds)(ptrdiff_t n, const double *p, ptrdiff_t period, uint64_t *thresholds, int16_t *top);
    void (*categorical_logits)(ptrdiff_t sites, ptrdiff_t classes, const double *logits, double *p, double *log_p);
    void (*categorical_probs)(ptrdiff_t n, const double *p, double *log_p);
    void (*class_thresholds)(ptrdiff_t n, const double *p, uint64_t *thresholds);
    ptrdiff_t (*count_range)(const double abc[3], ptrdiff_t limit, int64_t *first);
    void (*count_masses)(const double abc[3], int64_t first, ptrdiff_t n, double *mass);
    void (*ladder_thresholds)(ptrdiff_t n, const double *mass, uint64_t *thresholds);
    void (*ladder_high)(ptrdiff_t count, const uint64_t *thresholds, uint32_t *high);
    void (*ladder_cells)(ptrdiff_t count, const uint64_t *thresholds, int bits, int size, void *cells);
    void (*sample)(const sc_family *, const sc_stream *, uint64_t first, ptrdiff_t rows, double *scratch, void *y);
    void (*sample_sites)(const sc_family *, const sc_stream *, uint64_t first, ptrdiff_t rows, ptrdiff_t site,
                         ptrdiff_t sites, void *y);
    void (*step)(const sc_family *, const void *noise, ptrdiff_t rows, double *scratch, void *y);
    void (*log_prob_ranks)(const sc_family *, ptrdiff_t lists, const int32_t *y, double *scratch, double *out);
    ptrdiff_t (*ranks_scratch)(ptrdiff_t items, ptrdiff_t k, int ordered);
    void (*score_row)(const sc_family *, ptrdiff_t problem, const void *y, double *scratch, double *score);
    void (*weigh_scores)(const sc_family *, ptrdiff_t problem, const void *y, ptrdiff_t rows, const double *weight,
                         double *scratch, double *out);
    void (*pull)(const sc_map *, ptrdiff_t n, const double *scores, double *flat, ptrdiff_t n_theta, double *theta);
    double (*log_prob_bernoulli)(const double *log_p, const double *log_q, const uint8_t *y, ptrdiff_t sites);
    double (*log_prob_categorical)(const double *log_p, const int32_t *y, ptrdiff_t sites, ptrdiff_t classes);

    /* costs */
    int (*cost_rows)(const sc_family *, const sc_cost *, const void *y, ptrdiff_t rows, double *scratch, sc_cancel *,
                     double *out);
    void (*flip_row)(const sc_cost *, ptrdiff_t problem, const double *y, ptrdiff_t n_sites, double *delta);
    void (*word_tables)(ptrdiff_t sites, const double *table, double *tables);
    double (*digit_tables)(ptrdiff_t sites, const double *table, uint8_t *tables);

    /* estimate, estimators */
    void (*merge)(double *left, const double *right, ptrdiff_t problems, ptrdiff_t parameters);
    void (*fold)(double *node, const double *blocks, ptrdiff_t count, ptrdiff_t problems, ptrdiff_t parameters);
    void (*terms_block)(const sc_map *, const sc_terms *, ptrdiff_t parameters, double *scratch, double *node);
    int (*estimate_block)(const sc_job *, ptrdiff_t first, ptrdiff_t rows, const void *y, const double *j,
                          const sc_scratch *, sc_cancel *, double *node, int64_t *bad_sample);

    /* simulators */
    sc_draw_table draw;
    void (*recorder_begin)(sc_recorder *, const sc_program *, const sc_stream *, uint64_t sample, double *score,
                           double *rest);
    void (*recorder_end)(sc_recorder *);
    int (*run_program)(const sc_program *, sc_recorder *);
    int (*simulate_rows)(const sc_program *, const sc_stream *, ptrdiff_t first, ptrdiff_t rows, int mirrored,
                         sc_recorder *, sc_cancel *, double *stages, double *j, double *score, double *rest,
                         int64_t *bad);
    int (*simulated_node)(const sc_job *, ptrdiff_t first, ptrdiff_t rows, const double *j, const double *score,
                          const double *rest, double *scratch, double *node, int64_t *bad);

    /* episodes */
    int64_t (*act)(sc_draw *, const sc_policy *, const double *features);
    sc_simulator replay;

    /* optimize: one step on n parameters (optimizer.h) */
    void (*update64)(int kind, const sc_step_scalars *, ptrdiff_t n, const double *grad, double *param, double *m,
                     double *v);
    void (*update32)(int kind, const sc_step_scalars *, ptrdiff_t n, const float *grad, float *param, float *m,
                     float *v);

    /* networks: a step is prepare, forward for each block, summarise, learn for each chunk */
    void (*vae_prepare)(sc_vae_work *, int moved);
    void (*vae_forward)(const sc_vae_work *, const int64_t *rows, uint64_t number, ptrdiff_t block, sc_cancel *);
    void (*vae_turn)(const sc_vae_work *);
    void (*vae_decode)(const sc_vae_work *, ptrdiff_t tile, sc_cancel *);
    int (*vae_summarise)(const sc_vae_work *, sc_cancel *, double *record);
    void (*vae_learn)(const sc_vae_work *, ptrdiff_t chunk, int kind, const sc_step_scalars *, float *m, float *v);
    int (*vae_bound)(const sc_vae_work *, const int64_t *rows, ptrdiff_t images, ptrdiff_t first, ptrdiff_t n,
                     ptrdiff_t n_draws, sc_cancel *, double *mean, double *squares);
    void (*affine32)(ptrdiff_t rows, ptrdiff_t inner, ptrdiff_t stride, const float *x, const float *matrix,
                     const float *bias, int sigmoid, float *out);
    void (*bernoulli32)(const sc_stream *, uint64_t first, ptrdiff_t n, const float *p, float *out);

    /* network: a step is prepare, block (forward and backward) for each block, summarise, learn for each chunk */
    void (*net_prepare)(const sc_net *);
    void (*net_block)(const sc_net *, const int64_t *rows, uint64_t noise, ptrdiff_t block, sc_cancel *);
    void (*net_forward)(const sc_net *, const int64_t *rows, uint64_t noise, ptrdiff_t block, sc_cancel *);
    void (*net_backward)(const sc_net *, ptrdiff_t block, sc_cancel *);
    void (*net_look)(const sc_net *, const int64_t *rows, uint64_t noise, ptrdiff_t block, sc_cancel *);
    int (*net_summarise)(const sc_net *, sc_cancel *, double *record);
    void (*net_learn)(const sc_net *, ptrdiff_t chunk, int kind, const sc_step_scalars *, float *m, float *v);

    sc_functions functions;
} sc_table;

enum { SC_N_TABLES = 5 };

/* The table of that name, or the best for this machine where `name` is NULL or empty. NULL: no such name was built in,
 * or this machine cannot run it (then *known is 1). */
const sc_table *sc_choose_table(const char *name, int *known);

/* Names that this machine can run, best first; returns how many. */
int sc_runnable(const char *names[SC_N_TABLES]);

#endif
