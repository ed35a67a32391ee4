/* simulators: samples of a program become a node of the reduction tree.
 *
 * Sample i has the cost J_i and the vectors S_i and R_i of its recorder (recorder.h), so that J_i S_i + R_i estimates the
 * gradient. With the weights w_i that an estimator makes of the costs (weights.h),
 *
 *     g = 1/divisor sum_i w_i S_i + 1/n sum_i R_i
 *
 * The variance inside the block comes from the terms w_i S_i + R_i of its units; where all are compared, from
 * d_i (S_i - Sbar) + R_i with d_i = J_i - Jbar.
 */
#ifndef SC_KERNELS_SIMULATORS_H
#define SC_KERNELS_SIMULATORS_H

#include "draws.h"
#include "weights.h"

static void sc_recorder_begin(sc_recorder *r, const sc_program *p, const sc_stream *s, uint64_t sample, double *score,
                              double *rest)
{
    r->draw.theta = p->theta, r->draw.n_theta = p->n_theta, r->draw.x = p->x, r->draw.n_x = p->n_x;
    r->stream = *s;
    r->sample = s->offset + sample;
    r->score = score, r->rest = rest;
    r->cost = 0.0, r->weight = 1.0;
    r->blame = p->blame, r->stage = 0;
    r->value = p->value, r->n_value = p->n_value, r->by_time = p->by_time;
    r->less = p->value && p->by_time ? -p->value[0] : 0.0;
    if (r->seen) memset(r->seen, 0, (size_t)p->n_value * sizeof *r->seen);
    r->drawn = 0, r->limit = p->max_draws, r->at = SC_DRAWS_AHEAD, r->bordered = 0;
    r->waiting.count = 0, r->waiting.mixed = 0;
    r->status = 0, r->got = 0.0;
    r->depth = 0, r->chance = 1.0;
    memset(score, 0, (size_t)p->n_theta * sizeof *score);
    memset(rest, 0, (size_t)p->n_theta * sizeof *rest);
}

/* The program has come to its end. */
static void sc_recorder_end(sc_recorder *r)
{
    if (r->waiting.count) sc_blame_waiting(r);
    if (!r->learning) sc_value_end(r);
}

/* Runs a compiled program once; returns its status. */
static int sc_run_program(const sc_program *p, sc_recorder *r)
{
    jmp_buf leave;
    r->leave = &leave;
    if (setjmp(leave) == 0) {
        p->run(&r->draw);
        sc_recorder_end(r);
    }
    r->leave = NULL;
    return r->status;
}

/* Samples first .. first + rows of a compiled program: costs, scores and rests [rows][n_theta]. The second half of a
 * mirrored block are the opposites of the first. `stages`: 2 SC_MOST_STAGES numbers, for SC_BLAME_STAGE, which runs all
 * samples twice. Returns a status; *bad is the sample that broke a rule. */
static int sc_simulate_rows(const sc_program *p, const sc_stream *s, ptrdiff_t first, ptrdiff_t rows, int mirrored,
                            sc_recorder *r, sc_cancel *cancel, double *stages, double *j, double *score, double *rest,
                            int64_t *bad)
{
    const ptrdiff_t half = mirrored ? rows / 2 : rows, base = mirrored ? first / 2 : first;
    const int by_stage = p->blame == SC_BLAME_STAGE;
    sc_stream own = *s;
    r->cancel = cancel;
    r->sum = by_stage ? stages : NULL, r->count = stages + SC_MOST_STAGES;
    if (by_stage) memset(stages, 0, 2 * SC_MOST_STAGES * sizeof *stages);
    for (r->learning = by_stage; r->learning >= 0; r->learning--)
        for (ptrdiff_t i = 0; i < rows; i++) {
            own.antithetic = s->antithetic ^ (i >= half);
            const ptrdiff_t number = base + (i < half ? i : i - half);
            sc_recorder_begin(r, p, &own, (uint64_t)number, score + i * p->n_theta, rest + i * p->n_theta);
            const int status = sc_run_program(p, r);
            if (status) {
                *bad = !mirrored ? first + i : 2 * number + (i >= half);
                return status;
            }
            j[i] = r->cost;
        }
    return sc_cancelled(cancel);
}

/* Rows that have been run, to a node; scratch: 2 n_theta + 3 (rows + SC_ROWS_PAD) numbers. */
static int sc_simulated_node(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const double *j, const double *score,
                             const double *rest, double *scratch, double *node, int64_t *bad)
{
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t n = job->n_parameters, unit = e->unit, apart = e->mirrored ? rows / 2 : 1;
    const ptrdiff_t next = e->mirrored ? 1 : unit;
    const int compares = sc_compares(e->kind);
    double *w = scratch, *term = w + rows + SC_ROWS_PAD, *mean = term + n, *g = sc_node_gradient(node, 1);
    double *between = g + n, *within = between + n;
    sc_totals t = sc_totals_of(e, rows);
    memset(node, 0, (size_t)sc_node_size(1, n) * sizeof *node);
    node[0] = (double)rows, node[1] = 1.0;
    if (!sc_all_finite(j, rows)) {
        ptrdiff_t i = 0;
        while (isfinite(j[i])) i++;
        *bad = first + (!e->mirrored ? i : i < apart ? 2 * i : 2 * (i - apart) + 1);
        return SC_COST_NOT_FINITE;
    }
    sc_weights(job, 0, first, rows, j, node, w, &t);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t k = 0; k < n; k++) {
            g[k] += w[i] * score[i * n + k];
            between[k] += rest[i * n + k];
        }
    for (ptrdiff_t k = 0; k < n; k++) {
        g[k] = g[k] / t.divisor + between[k] / (double)rows;
        between[k] = 0.0;
    }
    if (!e->within) return SC_OK;
    const double middle = sc_node_problem(node, 0)[0];
    memset(mean, 0, (size_t)n * sizeof *mean);
    for (ptrdiff_t i = 0; compares && i < rows; i++)
        for (ptrdiff_t k = 0; k < n; k++) mean[k] += score[i * n + k] / (double)rows;
    for (ptrdiff_t u = 0; u < rows / unit; u++) { /* sums in `between`, squares in `within` */
        memset(term, 0, (size_t)n * sizeof *term);
        for (ptrdiff_t m = 0, i = u * next; m < unit; m++, i += apart) {
            const double own = compares ? j[i] - middle : w[i];
            for (ptrdiff_t k = 0; k < n; k++) term[k] += own * (score[i * n + k] - mean[k]) + rest[i * n + k];
        }
        for (ptrdiff_t k = 0; k < n; k++) between[k] += term[k], within[k] += term[k] * term[k];
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        within[k] = sc_unit_variance(&t, between[k], within[k]);
        between[k] = 0.0;
    }
    return SC_OK;
}

#endif
