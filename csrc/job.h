/* What one estimate is, for the kernels: model, cost, estimator, noise; and the scratch of one thread. */
#ifndef SC_JOB_H
#define SC_JOB_H

#include "family.h"

/* How costs become weights of scores (estimators.h). */
enum {
    SC_SCORE_FUNCTION = 0,   /* the cost less a baseline */
    SC_LEAVE_ONE_OUT = 1,    /* less the mean of the others of the block */
    SC_GROUPS = 2,           /* less the mean of the others of a group of `unit` samples */
    SC_ANTITHETIC = 3,       /* less the mean of the other pairs of the block */
    SC_DISARM = 4,           /* half of what it exceeds its opposite by, times a factor for each score */
    SC_OPTIMAL_BASELINE = 5, /* less a baseline for each parameter, from the other half of the block */
    SC_LOCAL = 6,            /* bits are summed out one by one, by their flips; times a factor for each score */
};

enum { SC_LEAST = 8 }; /* a last block of fewer samples joins the one before it */

/* Packed samples (bits.h): columns have margins, weights have zeros behind the last row. Short rows are one
 * word; up to SC_BUCKET_ROW sites have tables and buckets (buckets.h), more of them digits (digits.h). */
enum { SC_MARGIN = 64, SC_ROWS_PAD = 64, SC_SHORT_ROW = 64, SC_BUCKET_ROW = 48, SC_WEIGHT_TABLES = 128 * 144 };

typedef struct sc_packed {
    uint8_t *stream, *columns, *slices;
    uint64_t *words;
} sc_packed;

/* Words of a row; slices of eight sites, an even number; bytes of tables of all sites. */
static inline ptrdiff_t sc_words(ptrdiff_t sites) { return (sites + 63) / 64; }
static inline ptrdiff_t sc_slices(ptrdiff_t sites) { return (sites + 15) / 16 * 2; }
static inline ptrdiff_t sc_digits_size(ptrdiff_t sites) { return sc_slices(sites) * 288; }

static inline ptrdiff_t sc_columns_size(ptrdiff_t sites, ptrdiff_t rows)
{
    return (rows + 63) / 64 * 8 * (sites + SC_MARGIN) + SC_MARGIN;
}

/* Forms of bits (cuts.h): samples in one go, and words of 64 that they are kept in for each site. */
enum { SC_CUT_ROWS = 512 };

static inline int sc_cut_width(ptrdiff_t rows) { return rows > 256 ? 8 : rows > 128 ? 4 : rows > 64 ? 2 : 1; }

/* How many numbers the cost of `rows` rows wants as scratch. */
static inline ptrdiff_t sc_price_size(int kind, ptrdiff_t sites, ptrdiff_t rows)
{
    if (kind != SC_COST_FORM) return sites + (sites + 63) / 64 * 8; /* a row of numbers, one of bytes */
    const ptrdiff_t words = (SC_MIN(rows, SC_CUT_ROWS) + 63) / 64;
    return 8 * (sites + 1) + words * (sites + SC_MARGIN); /* words or lanes; columns */
}

typedef struct sc_estimator {
    int kind;
    int within;                       /* also estimate the variance inside each group */
    int mirrored; /* the second half of a block are the opposites of the first: sample 2i, 2i + 1 */
    ptrdiff_t unit; /* so many samples together are independent of the others */
    const double *factor; /* [n_problems][n_scores], or NULL */
    const double *baseline; /* [n_problems] */
    const double *sample_baseline; /* [n_samples][n_problems], or NULL */
    ptrdiff_t first_sample; /* the sample that sample_baseline begins with */
    const double *parameter_baseline; /* [n_parameters], beyond `baseline`, or NULL */
} sc_estimator;

/* What somebody else has made of a block: for each of `units` units, `each` costs of every problem and the unit's term of
 * the gradient. */
typedef struct sc_terms {
    ptrdiff_t units, each, problems;
    ptrdiff_t width; /* numbers in a term: scores of all problems, or derivatives by theta */
    ptrdiff_t first; /* sample */
    int mapped; /* they are by theta already */
    int within;
    const double *costs; /* [units][each][problems] */
    const double *terms; /* [units][width] */
} sc_terms;

static inline ptrdiff_t sc_terms_scratch(const sc_map *map, const sc_terms *t, ptrdiff_t parameters)
{
    ptrdiff_t n = t->units * t->each + t->width + parameters + 1;
    for (ptrdiff_t i = 0; i < map->n_arguments; i++) n += map->argument[i].n;
    return n;
}

typedef struct sc_job {
    sc_family family;
    sc_cost cost;
    sc_estimator estimator;
    sc_stream stream;
    ptrdiff_t n_parameters;
    ptrdiff_t block_rows;
} sc_job;

/* Memory of one thread; NumPy's. */
typedef struct sc_scratch {
    double *costs; /* of block_rows + SC_LEAST samples, [rows][n_problems] */
    double *j; /* those of one problem */
    double *weight; /* three numbers a row; where scores are mapped, n_problems */
    double *histogram; /* three for each score of a problem; where scores are mapped, of all problems */
    double *price; /* the cost's (sc_price_size) */
    double *row; /* n_sites */
    double *theta; /* where scores are mapped, four for each parameter */
    double *flat; /* and one for each argument */
    double *own; /* the family's */
    void *y; /* the samples */
    double *tables; /* of weights or their buckets, for packed samples */
    sc_packed bits[2]; /* packed samples; and their opposites */
} sc_scratch;

/* Are scores summed by what the classes weigh, or mapped (estimators.h)? */
static inline int sc_is_plain(const sc_family *f) { return f->score == SC_BY_CLASS && f->map.plain; }

/* Are samples packed? */
static inline int sc_is_packed(const sc_family *f)
{
    return f->kind == SC_BERNOULLI && sc_is_plain(f) && f->n_problems == 1;
}

/* Has each parameter's score one value where its class was drawn, and another elsewhere? (Of plain scores.) */
static inline int sc_has_indicators(const sc_family *f) { return f->kind == SC_BERNOULLI || !f->by_probs; }

/* Does the error bar inside a group want the terms of each unit? Otherwise histograms have it. */
static inline int sc_wants_terms(const sc_job *job)
{
    const int kind = job->estimator.kind, by_class = kind == SC_SCORE_FUNCTION || kind == SC_LEAVE_ONE_OUT;
    return job->estimator.within && !(by_class && sc_is_plain(&job->family));
}

/* Are scores of single samples wanted? */
static inline int sc_wants_rows(const sc_job *job)
{
    const int indicators = sc_is_plain(&job->family) && sc_has_indicators(&job->family);
    if (job->estimator.kind == SC_LOCAL && job->cost.kind == SC_COST_COMPILED) return 1;
    return sc_wants_terms(job) || (job->estimator.kind == SC_OPTIMAL_BASELINE && !indicators);
}

/* Are packed samples turned? */
static inline int sc_wants_columns(const sc_job *job)
{
    return job->family.n_sites > SC_BUCKET_ROW || job->cost.kind == SC_COST_FORM;
}

/* Where everything stands in memory that begins at `base`; returns how many float64 it takes. */
static inline ptrdiff_t sc_place_scratch(const sc_job *job, double *base, sc_scratch *s)
{
    const sc_family *f = &job->family;
    const ptrdiff_t rows = job->block_rows + SC_LEAST, problems = f->n_problems, plain = sc_is_plain(f);
    const ptrdiff_t packed = sc_is_packed(f), apart = sc_wants_rows(job);
    const ptrdiff_t stream = f->n_sites <= SC_SHORT_ROW ? rows * f->n_sites / 64 + 3 : 0;
    const ptrdiff_t words = rows * sc_words(f->n_sites) + 2;
    const ptrdiff_t columns = sc_wants_columns(job) ? (sc_columns_size(f->n_sites, rows) + 7) / 8 : 0;
    const ptrdiff_t slices = job->cost.digits ? (rows + 31) / 32 * sc_slices(f->n_sites) * 4 : 0;
    ptrdiff_t at = 0, arguments = 0;
    for (ptrdiff_t i = 0; i < f->map.n_arguments; i++) arguments += f->map.argument[i].n;
    s->costs = base + at, at += rows * problems;
    s->j = base + at, at += rows;
    s->weight = base + at, at += (rows + SC_ROWS_PAD) * (problems < 3 ? 3 : plain && !apart ? 3 : problems);
    s->histogram = base + at,
    at += 4 * f->n_scores * (plain && !apart && job->estimator.kind != SC_LOCAL ? 1 : problems);
    s->row = base + at, at += f->n_sites;
    s->price = base + at, at += sc_price_size(job->cost.kind, f->n_sites, rows * problems);
    s->theta = base + at, at += apart ? 10 * job->n_parameters : plain ? 0 : 4 * job->n_parameters;
    s->flat = base + at, at += arguments;
    s->own = base + at, at += f->n_scratch;
    s->y = base + at, at += (rows * problems * f->n_sites * (f->type == SC_U8 ? 1 : 8) + 7) / 8;
    s->tables = base + at, at += packed ? SC_WEIGHT_TABLES / 8 : 0;
    for (int half = 0; packed && half <= job->estimator.mirrored; half++) {
        s->bits[half].stream = (uint8_t *)(base + at), at += stream;
        s->bits[half].columns = (uint8_t *)(base + at), at += columns;
        s->bits[half].slices = (uint8_t *)(base + at), at += slices;
        s->bits[half].words = (uint64_t *)(void *)(base + at), at += words;
    }
    return at;
}

#endif
