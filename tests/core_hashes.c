/* The hash file of the C core: runs every kernel of one instruction set's table over fixed inputs, without Python, and
 * prints `name hash` for each (FNV-1a, 64 bits, over the bytes of all results).
 *
 *     core_hashes          the instruction sets that are built in and that this CPU can run, one a line
 *     core_hashes NAME     the hashes of that one: always those of core_hashes.txt
 *
 * Linked from csrc/kernels.c, once for each instruction set, and csrc/dispatch.c (test_core_hashes.py). Inputs come of
 * integers and exact conversions, so nothing here depends on a libm. Noise is filled from starts and over lengths that
 * meet every border: odd elements, short ends, the carry into a counter's second word, the end of a stream.
 */
#include "dispatch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TAKE(array) take(array, sizeof(array))

static const sc_table *t;
static uint64_t hash = UINT64_C(0xcbf29ce484222325), state;
static int failed; /* a kernel said so */

static void take(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vprintf(format, words);
    va_end(words);
    printf(" %016llx\n", (unsigned long long)hash);
    hash = UINT64_C(0xcbf29ce484222325);
}

static uint64_t random_bits(void) /* splitmix64 */
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void fill64(double *x, ptrdiff_t n, double scale) /* in [-scale, scale) */
{
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (double)((int64_t)random_bits() >> 11) * 0x1p-52 * scale;
}

static void fill32(float *x, ptrdiff_t n, double scale, double centre)
{
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (float)((double)((int64_t)random_bits() >> 11) * 0x1p-52 * scale + centre);
}

/* ---- noise ------------------------------------------------------------------------------------------------------ */
enum { LONG = 3000 };
static const struct {
    sc_stream stream; /* but for the engine */
    uint64_t first;
    ptrdiff_t n;
} fills[] = {
    {{.seed = 0}, 0, LONG},
    {{.seed = UINT64_MAX, .stream = UINT32_MAX, .purpose = SC_PURPOSE_EVALUATION}, 1, 1},
    {{.seed = 42, .offset = 3}, 6, LONG - 7},
    {{.seed = UINT64_C(1) << 63, .stream = 7}, 2, 2}, /* inside one block */
    {{.seed = UINT64_C(0x0123456789abcdef)}, UINT64_C(4) * 0xfffffffb + 1, 777}, /* into the second word */
    {{.seed = UINT64_C(0xfedcba98), .offset = UINT64_C(4) * 0xffffffff}, 0, 333},
    {{.seed = 1, .purpose = SC_PURPOSE_LAYERS}, UINT64_MAX - 1000, 1001}, /* up to the last element of all */
};

/* Every fill, and then lengths 0 .. 199, each from a start of its own; `call` speaks of s, first, n and out. */
#define NOISE(type, call)                                                                                              \
    do {                                                                                                               \
        type out[LONG] = {0};                                                                                          \
        for (size_t i = 0; i < COUNT(fills) + 200; i++) {                                                              \
            const ptrdiff_t extra = (ptrdiff_t)(i - COUNT(fills)), n = extra < 0 ? fills[i].n : extra;                 \
            const uint64_t first = extra < 0 ? fills[i].first : (uint64_t)(extra * extra);                             \
            sc_stream s = extra < 0 ? fills[i].stream : (sc_stream){.seed = 5, .stream = 6};                           \
            s.engine = engine;                                                                                         \
            call;                                                                                                      \
            take(out, (size_t)SC_MIN(n + 1, LONG) * sizeof(type)); /* and one that must stay as it was */              \
        }                                                                                                              \
    } while (0)
#define NOISE_OF(kind, type)                                                                                           \
    do {                                                                                                               \
        NOISE(type, t->noise.kind(&s, first, n, out));                                                                 \
        print("%s_%s", name, #kind);                                                                                   \
    } while (0)

static void noise(const char *name, uint32_t engine)
{
    static const uint64_t ranges[] = {1, 2, 6, 1000, UINT64_C(0x80000001), UINT64_C(0xc0000000), UINT64_C(1) << 32};
    static const uint64_t wide[] = {UINT64_C(0x8000000000000001), UINT64_C(0xc000000000000000), UINT64_MAX, 0};
    static const uint64_t thresholds[] = {0, 1, UINT64_C(0x1999999999999a), UINT64_C(1) << 52, UINT64_C(1) << 53};
    NOISE_OF(bits32, uint32_t);
    NOISE_OF(bits64, uint64_t);
    NOISE_OF(k53, uint64_t);
    NOISE_OF(uniform64, double);
    NOISE_OF(uniform32, float);
    NOISE_OF(normal64, double);
    NOISE_OF(normal32, float);
    NOISE_OF(logistic64, double);
    NOISE_OF(logistic32, float);
    NOISE_OF(exponential64, double);
    NOISE_OF(exponential32, float);
    NOISE_OF(gumbel64, double);
    NOISE_OF(gumbel32, float);
    for (size_t j = 0; j < COUNT(ranges); j++)
        NOISE(uint32_t, t->noise.integers32(&s, first, n, UINT32_MAX - 3, ranges[j], out));
    print("%s_integers32", name);
    for (size_t j = 0; j < COUNT(ranges); j++)
        NOISE(uint64_t, t->noise.integers64(&s, first, n, UINT64_MAX - 3, ranges[j], out));
    for (size_t j = 0; j < COUNT(wide); j++) NOISE(uint64_t, t->noise.integers64(&s, first, n, 3, wide[j], out));
    print("%s_integers64", name);
    for (size_t j = 0; j < COUNT(thresholds); j++) NOISE(uint8_t, t->noise.mask(&s, first, n, thresholds[j], out));
    print("%s_mask", name);
}

/* ---- distributions, costs, estimates ---------------------------------------------------------------------------- */
enum { MOST = 1024, ROWS = 101 }; /* parameters or thresholds of a model; samples */

static sc_family f;
static double logits[MOST], p[MOST], log_p[MOST], log_q[MOST], weights[4 * MOST];
static uint64_t thresholds[MOST], row[MOST];
static int16_t top[MOST];
static double scratch[64 * MOST];
static int32_t y[MOST * ROWS];
static const sc_stream samples = {.seed = 8, .offset = 17, .stream = 1};

static void tables(void)
{
    for (int scale = 1; scale <= 900; scale *= 30) {
        fill64(logits, MOST, scale);
        t->bernoulli_logits(MOST - 1, logits, p, log_p, log_q);
        TAKE(p), TAKE(log_p), TAKE(log_q);
    }
    p[0] = 0.0, p[1] = 1.0;
    t->bernoulli_probs(MOST - 1, p, log_p, log_q);
    TAKE(log_p), TAKE(log_q);
    print("bernoulli_tables");
    for (ptrdiff_t classes = 2; classes < 100; classes = classes * 3 - 1) {
        t->categorical_logits(MOST / classes, classes, logits, p, log_p);
        for (ptrdiff_t i = 0; i + classes <= MOST; i += classes) t->class_thresholds(classes, p + i, row + i);
        t->categorical_probs(MOST / classes * classes, p, log_q);
        TAKE(p), TAKE(log_p), TAKE(row), TAKE(log_q);
    }
    print("categorical_tables");
}

/* The ladders of n sites, from their thresholds. */
static void ladders_of(ptrdiff_t n, int64_t first, ptrdiff_t count, const uint64_t *own)
{
    static uint32_t highs[2 * MOST];
    static uint8_t cells[64 * MOST];
    static sc_ladder ladders[MOST];
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t *mine = own + i * (count + 1);
        t->ladder_high(count, mine, highs + i * (count + 2));
        t->ladder_cells(count, mine, 6, 1, cells + 64 * i);
        ladders[i] = (sc_ladder){highs + i * (count + 2), cells + 64 * i, mine, first, (uint32_t)count, 26, 1};
    }
    f.ladders = ladders;
}

/* The first bits of rows of thresholds, and 64 more of each. */
static void first_bits(ptrdiff_t rows)
{
    const ptrdiff_t n = f.period;
    f.top = top;
    for (ptrdiff_t i = 0; i < rows * (n + 64); i++) {
        const uint64_t first = thresholds[i / (n + 64) * n + i % (n + 64) % n] >> 37;
        top[i] = (int16_t)((int)SC_MIN(first, 65535) - 32768);
    }
}

/* A model; rows of thresholds repeated up to `period` elements and then to 64 or more, with ties of the 32 high bits at
 * some elements. Over 24 classes: a ladder for each site. */
static void build(int kind, ptrdiff_t problems, ptrdiff_t sites, ptrdiff_t classes, ptrdiff_t period)
{
    static double q[MOST];
    const ptrdiff_t n = problems * sites, rows = kind == SC_BERNOULLI ? 1 : classes - 1;
    const int many = classes > 24;
    const ptrdiff_t every = many ? period : (63 + period) / period * period;
    f = (sc_family){.n_problems = problems, .n_sites = sites, .n_classes = classes, .n_elements = n, .period = every};
    f.kind = many ? SC_LADDERS : kind, f.type = kind == SC_BERNOULLI ? SC_U8 : SC_I32, f.map.plain = 1;
    f.n_scores = sites * (kind == SC_BERNOULLI ? 1 : classes);
    f.thresholds = thresholds, f.probs = p, f.slope = q;
    fill64(logits, MOST, 3.0), fill64(weights, 4 * MOST, 1.0);
    if (kind == SC_BERNOULLI) {
        t->bernoulli_logits(n, logits, p, log_p, log_q);
        for (ptrdiff_t i = 0; i < n; i++) row[i] = (uint64_t)(p[i] * 0x1p53), q[i] = 1.0 - p[i];
    } else {
        t->categorical_logits(n, classes, logits, p, log_p);
        for (ptrdiff_t i = 0; i < n; i++) t->class_thresholds(classes, p + i * classes, row + i * classes);
    }
    for (ptrdiff_t i = 0; i < MOST; i++) thresholds[i] = UINT64_C(1) << 53;
    for (ptrdiff_t i = 0; i < rows * every; i++) {
        const uint64_t e = (uint64_t)(i % every % period);
        const uint64_t tie = e % 4 == 3 ? UINT64_C(1) << 53 : sc_k(&samples, e) + (e & 1);
        const ptrdiff_t site = i % every % period, c = i / every,
                        from = kind == SC_BERNOULLI ? site % n : site % n * classes + c;
        thresholds[many ? site * classes + c : i] = e % 9 == 2 ? tie : row[from];
    }
    if (!many) first_bits(rows);
    if (many) ladders_of(n, 0, classes - 1, thresholds);
}

static void outcomes(const char *name)
{
    static uint64_t k[MOST * ROWS];
    const ptrdiff_t width = f.n_problems * f.n_sites, n = width * ROWS;
    memset(y, 0, sizeof y);
    t->noise.k53(&samples, 0, n, k);
    t->step(&f, k, ROWS, scratch, y);
    TAKE(y);
    print("step_%s", name);
    t->sample(&f, &samples, 0, ROWS, scratch, y);
    TAKE(y);
    print("sample_%s", name);
    for (ptrdiff_t i = 0; i < n; i += f.n_sites) {
        const ptrdiff_t at = i % width, each = f.n_classes;
        double x;
        if (f.kind != SC_BERNOULLI) x = t->log_prob_categorical(log_p + at * each, y + i, f.n_sites, each);
        else x = t->log_prob_bernoulli(log_p + at, log_q + at, (const uint8_t *)y + i, f.n_sites);
        take(&x, sizeof x);
    }
    print("log_prob_%s", name);
}

/* Costs of all rows, and the tree over three blocks of them: by both estimators, plain and with all that they take. */
static void estimates(const char *name, int kind)
{
    static double costs[4 * ROWS], site[MOST], nodes[3][4 * MOST], memory[64 * MOST];
    const ptrdiff_t problems = f.n_problems, n = problems * f.n_scores;
    sc_scratch own;
    const char *cost = kind == SC_COST_LINEAR ? "linear" : "quadratic";
    sc_job job = {.family = f, .stream = samples, .n_parameters = n, .block_rows = ROWS};
    job.cost = (sc_cost){.kind = kind, .problem_stride = f.n_sites, .linear = weights, .quadratic = weights + 64};
    sc_cancel cancel;
    int64_t bad;
    if (sc_place_scratch(&job, memory, &own) > (ptrdiff_t)COUNT(memory)) failed = 1;
    sc_cancel_begin(&cancel, NULL);
    t->cost_rows(&f, &job.cost, y, ROWS, site, &cancel, costs);
    TAKE(costs);
    print("cost_%s_%s", cost, name);
    for (int way = 0; way < 8; way++) {
        job.family.by_probs = way & 1;
        job.estimator =
            (sc_estimator){.kind = way & 2 ? SC_LEAVE_ONE_OUT : SC_SCORE_FUNCTION, .unit = 1, .baseline = weights};
        if (way & 4) {
            job.estimator.within = 1;
            job.estimator.sample_baseline = weights + 7;
            job.estimator.parameter_baseline = weights + 50;
        }
        for (int b = 0; b < 3; b++)
            failed |= t->estimate_block(&job, 33 * b, b < 2 ? 33 : 35, NULL, NULL, &own, &cancel, nodes[b], &bad);
        TAKE(nodes);
        t->fold(nodes[0], nodes[1], 1, problems, n);
        t->merge(nodes[0], nodes[2], problems, n);
        TAKE(nodes[0]);
    }
    print("estimate_%s_%s", cost, name);
}

static void model(const char *name, int kind, ptrdiff_t problems, ptrdiff_t sites, ptrdiff_t classes, ptrdiff_t period)
{
    build(kind, problems, sites, classes, period);
    outcomes(name);
    estimates(name, SC_COST_LINEAR);
    estimates(name, SC_COST_QUADRATIC);
}

/* What packed samples are priced by. */
static void set_tables(sc_cost *cost, ptrdiff_t sites, const double *numbers, double *tables, uint8_t *digits)
{
    if (sites <= SC_BUCKET_ROW) {
        t->word_tables(sites, numbers, tables);
        take(tables, (size_t)(256 * ((sites + 7) / 8)) * sizeof *tables);
        cost->tables = tables, cost->outcomes = sites > 8 ? NULL : tables;
    } else {
        cost->unit = t->digit_tables(sites, numbers, digits), cost->digits = digits;
        take(digits, (size_t)sc_digits_size(sites)), take(&cost->unit, sizeof cost->unit);
    }
}

/* Bits that are never stored as bytes, beside those that are; `tie`: an element that its first bits do not decide. */
static void packed(ptrdiff_t sites, ptrdiff_t period, ptrdiff_t tie)
{
    static double memory[64 * MOST], numbers[2 * MOST], tables[2048], nodes[2][4 * MOST];
    static uint8_t digits[288 * MOST / 8];
    const sc_stream aligned = {.seed = 8, .offset = 16};
    sc_scratch own;
    sc_cancel cancel;
    int64_t bad;
    build(SC_BERNOULLI, 1, sites, 0, period);
    for (ptrdiff_t i = 0; i < period; i++) thresholds[i] = row[i % sites];
    if (tie >= 0) thresholds[tie] = sc_k(&aligned, (uint64_t)(33 * sites + tie)) + 1;
    first_bits(1);
    for (ptrdiff_t d = 0; d < sites; d++) numbers[2 * d] = d % 3 ? 0.0 : 0.25, numbers[2 * d + 1] = weights[d];
    sc_job job = {.family = f, .stream = aligned, .n_parameters = sites, .block_rows = ROWS};
    job.cost = (sc_cost){.kind = SC_COST_TABLE, .n_classes = 2, .table = numbers};
    set_tables(&job.cost, sites, numbers, tables, digits);
    if (sc_place_scratch(&job, memory, &own) > (ptrdiff_t)COUNT(memory)) failed = 1;
    sc_cancel_begin(&cancel, NULL);
    for (int way = 0; way < 6; way++) {
        const ptrdiff_t rows = way < 4 ? ROWS : 40;
        const double *by_sample = way == 3 ? weights + 7 : NULL;
        job.estimator = (sc_estimator){.kind = way & 1 ? SC_LEAVE_ONE_OUT : SC_SCORE_FUNCTION,
                                       .within = way & 2,
                                       .unit = 1,
                                       .baseline = weights,
                                       .sample_baseline = by_sample,
                                       .first_sample = 33,
                                       .parameter_baseline = way & 4 ? weights + 50 : NULL};
        t->sample(&f, &aligned, (uint64_t)(33 * sites), rows, scratch, y);
        failed |= t->estimate_block(&job, 33, rows, NULL, NULL, &own, &cancel, nodes[0], &bad);
        failed |= t->estimate_block(&job, 33, rows, y, NULL, &own, &cancel, nodes[1], &bad);
        failed |= memcmp(nodes[0], nodes[1], (size_t)(6 + 3 * sites) * sizeof nodes[0][0]) != 0;
        take(nodes[0], (size_t)(6 + 3 * sites) * sizeof nodes[0][0]);
    }
    if (tie >= 0) print("packed_%d_tied", (int)sites);
    else print("packed_%d", (int)sites);
}

/* ---- costs of packed bits, and flips ------------------------------------------------------------------------------ */
static double weighed(const void *row_of_bits, ptrdiff_t sites, void *data)
{
    double sum = 0.0;
    for (ptrdiff_t d = 0; d < sites; d++) sum += ((const uint8_t *)row_of_bits)[d] * ((const double *)data)[d % 7];
    return sum;
}

/* J of 600 rows of bytes, and of the rows of an estimate; how it changes with each bit. */
static void priced(const char *name, const sc_cost *cost, ptrdiff_t sites)
{
    static uint8_t bytes[600 * 300];
    static double memory[64 * MOST], out[600], node[4 * MOST], at[300], delta[300];
    sc_scratch own;
    sc_cancel cancel;
    int64_t bad;
    sc_job job = {.family = f, .cost = *cost, .stream = {.seed = 8}, .n_parameters = sites, .block_rows = ROWS};
    job.estimator = (sc_estimator){.kind = SC_LEAVE_ONE_OUT, .unit = 1};
    for (ptrdiff_t i = 0; i < 600 * sites; i++) bytes[i] = (uint8_t)(random_bits() >> 63);
    if (sc_place_scratch(&job, memory, &own) > (ptrdiff_t)COUNT(memory)) failed = 1;
    if (sc_price_size(cost->kind, sites, 600) > (ptrdiff_t)COUNT(memory)) failed = 1;
    sc_cancel_begin(&cancel, NULL);
    for (ptrdiff_t rows = 600; rows > 0; rows = rows * 2 / 5) {
        failed |= t->cost_rows(&f, cost, bytes, rows, memory, &cancel, out);
        take(out, (size_t)rows * sizeof *out);
    }
    for (int half = 0; half < 2; half++, job.estimator.kind = SC_ANTITHETIC, job.estimator.unit = 2) {
        job.estimator.mirrored = half;
        if (sc_place_scratch(&job, memory, &own) > (ptrdiff_t)COUNT(memory)) failed = 1;
        failed |= t->estimate_block(&job, 0, 100, NULL, NULL, &own, &cancel, node, &bad);
        take(node, (size_t)(6 + 3 * sites) * sizeof *node);
    }
    fill64(at, sites, 1.0);
    if (cost->slope) t->flip_row(cost, 0, at, sites, delta), take(delta, (size_t)sites * sizeof *delta);
    print("price_%s_%d", name, (int)sites);
}

static void prices(ptrdiff_t sites, ptrdiff_t period)
{
    static double symmetric[300 * 300], q[300 * 300], around[1200], table[600], tables[2048];
    static uint8_t digits[288 * 38];
    static int64_t start[301], upper[300];
    static int32_t neighbour[1200];
    static uint64_t pairs[2000];
    ptrdiff_t n = 0, each = 0;
    build(SC_BERNOULLI, 1, sites, 0, period);
    for (ptrdiff_t i = 0; i < period; i++) thresholds[i] = row[i % sites];
    first_bits(1);
    fill64(q, sites * sites, 1.0), fill64(symmetric, sites * sites, 1.0), fill64(table, 2 * sites, 1.0);
    for (ptrdiff_t i = 0; i < sites; i++) {
        start[i] = n, upper[i] = n;
        for (ptrdiff_t j = 0; j < sites; j++) {
            const ptrdiff_t gap = i < j ? j - i : i - j;
            if (gap != 1 && gap != 5) continue;
            around[n] = q[i < j ? i * sites + j : j * sites + i], neighbour[n] = (int32_t)j, n++;
            if (j < i) upper[i] = n;
            else pairs[each++] = (uint64_t)j << 32 | (uint64_t)i;
        }
    }
    start[sites] = n;
    const ptrdiff_t both = each;
    for (ptrdiff_t i = 0; i < sites; i++) pairs[each++] = (uint64_t)sites << 32 | (uint64_t)i;
    const sc_cut_terms groups[3] = {{0, both, 0, 0}, {both / 3, both / 2, 2, 1}, {both, sites, 3, 1}};
    sc_cost cost = {.kind = SC_COST_FORM, .linear = weights, .slope = weights};
    cost.form = (sc_form){.constant = 0.3, .start = start, .upper = upper, .neighbour = neighbour, .weight = around};
    priced("form", &cost, sites);
    cost.form.groups = groups, cost.form.pairs = pairs, cost.form.n_groups = 3, cost.form.n_planes = 16;
    cost.form.cut_constant = 0.7, cost.form.unit = 0.25, cost.form.offset = 4 * both / 2 + 8 * sites;
    priced("cut", &cost, sites);
    cost = (sc_cost){.kind = SC_COST_QUADRATIC, .linear = weights, .quadratic = q, .slope = table};
    cost.symmetric = symmetric;
    priced("quadratic", &cost, sites);
    cost = (sc_cost){.kind = SC_COST_TABLE, .table = table, .n_classes = 2, .slope = weights};
    set_tables(&cost, sites, table, tables, digits);
    priced("table", &cost, sites);
    cost = (sc_cost){.kind = SC_COST_COMPILED, .function = weighed, .data = weights, .sign = -1.0};
    priced("compiled", &cost, sites);
}

/* ---- other families --------------------------------------------------------------------------------------------- */
enum { SITES = 12 }; /* of each; outcomes of 21 rows */

/* Samples, steps, scores, their weighted sum, and an estimate with all that it takes. */
static void family(const char *name, const double *noise)
{
    static double out[21 * SITES], scores[MOST], theta[MOST], costs[2 * 21], memory[128 * MOST], node[4 * MOST];
    static uint64_t k[21 * 64];
    const ptrdiff_t n = 21 * f.n_elements, each = f.n_scores * f.n_problems;
    const double baseline[4] = {0.5, 0.25};
    sc_job job = {.family = f, .stream = samples, .n_parameters = each, .block_rows = 21};
    job.estimator = (sc_estimator){.kind = SC_LEAVE_ONE_OUT, .within = 1, .unit = 1, .baseline = baseline};
    sc_scratch own;
    sc_cancel cancel;
    int64_t bad;
    sc_cancel_begin(&cancel, NULL);
    t->noise.k53(&samples, 0, n, k);
    memset(out, 0, sizeof out);
    t->step(&f, noise ? (const void *)noise : k, 21, scratch, out);
    TAKE(out);
    print("step_%s", name);
    t->sample(&f, &samples, 0, 21, scratch, out);
    TAKE(out);
    print("sample_%s", name);
    fill64(costs, 21, 1.0), fill64(weights, 4 * MOST, 1.0);
    for (ptrdiff_t i = 0; i < 21; i++) costs[21 + i] = 1.0 - costs[i]; /* for a second problem */
    t->score_row(&f, 0, out, scratch, scores);
    take(scores, (size_t)f.n_scores * sizeof *scores);
    t->weigh_scores(&f, 0, out, 21, weights, scratch, scores);
    take(scores, (size_t)f.n_scores * sizeof *scores);
    t->pull(&f.map, each, scores, scratch, each, theta);
    take(theta, (size_t)each * sizeof *theta);
    print("scores_%s", name);
    if (sc_place_scratch(&job, memory, &own) > (ptrdiff_t)COUNT(memory)) failed = 1;
    for (int way = 0; way < 4; way++) {
        job.estimator.kind = way & 1 ? SC_LEAVE_ONE_OUT : SC_SCORE_FUNCTION;
        job.estimator.parameter_baseline = way & 2 ? weights : NULL;
        failed |= t->estimate_block(&job, 0, 21, NULL, costs, &own, &cancel, node, &bad);
        take(node, (size_t)(6 + 3 * each) * sizeof *node);
    }
    print("estimate_%s", name);
}

/* Site i has a count of the Panjer class; slopes, centres and tables of no meaning. */
static void counts(void)
{
    static const double abc[][3] = {{3.5, 0, 1}, {40, -1, 0.5}, {2.5, 1, 0.25}, {0.01, 0, 1}, {30, 0, 1}, {1, 1, 0.5}};
    static double mass[MOST];
    static uint64_t own[SITES * 128];
    static uint32_t highs[SITES * 130];
    static uint8_t cells[SITES * 256];
    static sc_ladder ladders[SITES];
    static int64_t rows[SITES];
    for (ptrdiff_t i = 0; i < SITES; i++) {
        int64_t first;
        const ptrdiff_t n = t->count_range(abc[i % 6], 128, &first);
        if (!n) failed = 1;
        t->count_masses(abc[i % 6], first, n, mass);
        take(mass, (size_t)n * sizeof *mass);
        t->ladder_thresholds(n, mass, own + 128 * i);
        take(own + 128 * i, (size_t)n * sizeof *own);
        t->ladder_high(n - 1, own + 128 * i, highs + 130 * i);
        t->ladder_cells(n - 1, own + 128 * i, 8, 1, cells + 256 * i);
        ladders[i] = (sc_ladder){highs + 130 * i, cells + 256 * i, own + 128 * i, first, (uint32_t)(n - 1), 24, 1};
        rows[i] = 2 * (128 * i - first);
    }
    print("count_tables");
    fill64(p, MOST, 2.0), fill64(logits, MOST, 1.0);
    static double table[2 * SITES * 128];
    fill64(table, COUNT(table), 1.0);
    f = (sc_family){.kind = SC_LADDERS, .type = SC_I32, .score = SC_AFFINE, .n_problems = 1, .n_sites = SITES};
    f.n_elements = f.n_scores = SITES, f.ladders = ladders, f.centre = p, f.slope = logits, f.map.plain = 1;
    family("counts", NULL);
    f.type = SC_I64, f.n_problems = 2, f.n_sites = f.n_scores = SITES / 2;
    family("counts_wide", NULL);
    f.type = SC_I32, f.score = SC_TABLED, f.n_scores = SITES, f.table = table, f.rows = rows, f.n_each = 2;
    family("tabled", NULL);
    int64_t index[2 * SITES];
    for (int i = 0; i < 2 * SITES; i++) index[i] = i * 5 % SITES;
    f.map = (sc_map){.index = index, .n_arguments = 2};
    f.map.argument[0] = (sc_argument){.n = 8, .rows = 4, .inputs = 3, .x = weights, .bias = 1};
    f.map.argument[1] = (sc_argument){.n = 4, .theta = 8};
    family("mapped", NULL);
}

static void others(void)
{
    static double noise[21 * SITES], scale[SITES], taken[SITES];
    static uint64_t own[9 * 4 * 3];
    fill64(logits, MOST, 2.0), fill64(noise, COUNT(noise), 3.0), fill64(scale, SITES, 1.0), fill64(taken, SITES, 1.0);
    f = (sc_family){.kind = SC_NORMAL, .type = SC_F64, .score = SC_GAUSSIAN, .n_problems = 1, .n_sites = SITES};
    f.n_elements = SITES, f.n_scores = 2 * SITES, f.centre = logits, f.slope = taken, f.scale = scale, f.table = scale;
    f.map.plain = 1;
    family("normal", noise);
    static double rates[48], inverses[48];
    static float few[48];
    for (int i = 0; i < 48; i++) {
        rates[i] = 0x1p-10 * (1 + i % 12 * (i % 12) * 20), inverses[i] = 1.0 / rates[i], few[i] = (float)inverses[i];
    }
    f = (sc_family){.kind = SC_TRIALS, .type = SC_I32, .score = SC_AFFINE, .n_problems = 1, .n_sites = SITES};
    f.n_elements = f.n_scores = SITES, f.period = 48, f.centre = logits, f.slope = taken, f.map.plain = 1;
    f.table = rates, f.scale = inverses, f.inverse = few;
    family("trials", NULL);
    f.inverse = NULL, f.type = SC_I64;
    family("trials_wide", NULL);
    t->categorical_logits(9 * 3, 3, logits, p, log_p);
    for (ptrdiff_t per_step = 0; per_step < 2; per_step++) {
        const ptrdiff_t ladders = per_step ? 1 + 3 * 3 : 1 + 3;
        f = (sc_family){.kind = SC_CHAINS, .type = SC_I32, .score = SC_PATHS, .n_problems = 1, .n_classes = 3};
        f.n_steps = 4, f.per_step = (int)per_step, f.n_sites = f.n_elements = 2 * 4, f.n_ladders = ladders;
        f.n_scores = 2 * ladders * 3, f.probs = p, f.map.plain = 1;
        for (ptrdiff_t i = 0; i < 2 * ladders; i++) t->class_thresholds(3, p + 3 * i, own + 3 * i);
        ladders_of(2 * ladders, 0, 2, own);
        family(per_step ? "chains_per_step" : "chains", NULL);
    }
    for (int way = 0; way < 3; way++) {
        f = (sc_family){.kind = SC_ORDERS, .type = SC_I32, .score = SC_RANKS, .n_problems = 1, .n_classes = 6};
        f.n_taken = way ? 3 : 6, f.unordered = way == 2, f.logits = logits, f.n_sites = 2 * f.n_taken;
        f.n_elements = f.n_scores = 12, f.n_scratch = t->ranks_scratch(6, f.n_taken, way < 2), f.map.plain = 1;
        if (f.n_scratch > (ptrdiff_t)COUNT(scratch)) failed = 1;
        family(way == 0 ? "orders" : way == 1 ? "first_of_order" : "sets", noise);
        static const int32_t lists[12] = {0, 2, 4, 1, 3, 5};
        double x[2];
        t->log_prob_ranks(&f, f.n_taken == 6 ? 1 : 2, lists, scratch, x);
        take(x, (f.n_taken == 6 ? 1 : 2) * sizeof *x);
        print("log_prob_%s", way == 0 ? "orders" : way == 1 ? "first_of_order" : "sets");
    }
}

/* Elementary functions of one and of several arguments. */
static void functions(void)
{
    static double a[MOST], b[MOST], out[3][MOST];
    fill64(a, MOST, 30.0), fill64(b, MOST, 5.0);
    for (int i = 0; i < MOST; i++) b[i] = b[i] < 0 ? a[i] - b[i] + 0x1p-20 : a[i] + b[i] + 0x1p-20;
    t->functions.ndtr(MOST, a, out[0]), t->functions.log_ndtr(MOST, a, out[1]), t->functions.expm1(MOST, a, out[2]);
    TAKE(out);
    t->functions.normal_interval(MOST, a, b, out[0], out[1], out[2]);
    TAKE(out);
    t->functions.logistic_interval(MOST, a, b, out[0], out[1], out[2]);
    TAKE(out);
    print("functions");
}

/* ---- optimisers, the network ------------------------------------------------------------------------------------ */
static const sc_step_scalars scalars = {0.01, 0.9, 0.99, 10.0, 100.0, 1e-8};

static void optimizer(const char *name, int kind)
{
    double g[53], a[53], m[53] = {0}, v[53] = {0};
    float g32[53], a32[53], m32[53] = {0}, v32[53] = {0};
    fill64(a, 53, 1.0), fill32(a32, 53, 1.0, 0.0);
    for (int step = 0; step < 3; step++) {
        fill64(g, 53, 1.0), fill32(g32, 53, 1.0, 0.0);
        t->update64(kind, &scalars, 53, g, a, m, v);
        t->update32(kind, &scalars, 53, g32, a32, m32, v32);
    }
    TAKE(a), TAKE(m), TAKE(v), TAKE(a32), TAKE(m32), TAKE(v32);
    print("update_%s", name);
}

enum { D = 40, DS = 48, H = 21, HS = 32, IMAGES = 20 }; /* pixels, units, and the lengths of their rows */

/* Three steps of Adam with three samples, and the bound. */
static void network(const char *name, int kind, ptrdiff_t samples_each)
{
    enum { SIZE = D * HS + HS + H * DS + DS + HS };
    static _Alignas(64) char memory[1 << 18];
    static float a[SIZE], m[SIZE], v[SIZE], mean[DS], data[IMAGES * DS];
    int64_t rows[IMAGES];
    double record[2], bound[IMAGES] = {0}, squares[IMAGES] = {0};
    sc_vae_work w = {.vae = {D, H, DS, HS, a, mean}, .batch = IMAGES, .n_samples = samples_each, .kind = kind};
    sc_cancel cancel;
    sc_cancel_begin(&cancel, NULL);
    failed |=
        sc_vae_size(&w.vae) != SIZE || sc_vae_place(&w, memset(memory, 0, sizeof memory)) > (ptrdiff_t)sizeof memory;
    w.baseline = -10.0, w.data = data;
    w.pixels = (sc_stream){.seed = 3, .purpose = SC_PURPOSE_BINARISING};
    w.latents = (sc_stream){.seed = 3, .purpose = SC_PURPOSE_LAYERS, .engine = SC_ENGINE_ARS};
    fill32(a, SIZE, 0.5, 0.0), fill32(mean, D, 0.25, 0.5), fill32(data, IMAGES * DS, 0.5, 0.5);
    memset(m, 0, sizeof m), memset(v, 0, sizeof v);
    for (int i = 0; i < IMAGES; i++) rows[i] = (7 * i + 3) % IMAGES;
    for (int h = H; h < HS; h++) a[sc_vae_b(&w.vae) + h] = a[sc_vae_prior(&w.vae) + h] = SC_VAE_NEVER;
    for (int d = D; d < DS; d++) a[sc_vae_c(&w.vae) + d] = SC_VAE_NEVER;
    for (uint64_t step = 0; step < 3; step++) {
        t->vae_prepare(&w, step == 0);
        for (ptrdiff_t b = 0; b < sc_vae_blocks(&w); b++) t->vae_forward(&w, rows, step * IMAGES, b, &cancel);
        t->vae_turn(&w);
        for (ptrdiff_t j = 0; j < sc_vae_tiles(&w.vae); j++) t->vae_decode(&w, j, &cancel);
        failed |= t->vae_summarise(&w, &cancel, record);
        for (ptrdiff_t c = 0; c < sc_vae_chunks(&w.vae); c++) t->vae_learn(&w, c, SC_ADAM, &scalars, m, v);
        TAKE(record), take(w.bound, sizeof(double) * (size_t)(IMAGES * samples_each));
    }
    TAKE(a), TAKE(m), TAKE(v);
    print("vae_step_%s", name);
    w.n_samples = 1;
    sc_vae_place(&w, memset(memory, 0, sizeof memory)); /* other strides: bits that are left would be read */
    t->vae_prepare(&w, 1);
    failed |= t->vae_bound(&w, rows, IMAGES, 3, IMAGES - 3, 5, &cancel, bound, squares);
    TAKE(bound), TAKE(squares);
    print("vae_bound_%s", name);
}

static void layers(void)
{
    float x[5 * 11], matrix[11 * 32], bias[32], out[5 * 32], q[1500], z[1500];
    fill32(x, COUNT(x), 3.0, 0.0), fill32(matrix, COUNT(matrix), 1.0, 0.0), fill32(bias, COUNT(bias), 1.0, 0.0);
    for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
        t->affine32(5, 11, 32, x, matrix, bias, sigmoid, out);
        TAKE(out);
    }
    print("affine32");
    fill32(q, COUNT(q), 0.5, 0.5);
    t->bernoulli32(&samples, 1, 1500, q, z);
    TAKE(z);
    print("bernoulli32");
}

int main(int argc, char **argv)
{
    const char *names[SC_N_TABLES];
    int known, runnable = sc_runnable(names);
    if (argc < 2) {
        for (int i = 0; i < runnable; i++) puts(names[i]);
        return 0;
    }
    t = sc_choose_table(argv[1], &known);
    if (!t) return fprintf(stderr, "core_hashes: \"%s\" is not one that runs here\n", argv[1]), 2;
    noise("philox", SC_ENGINE_PHILOX);
    noise("ars", SC_ENGINE_ARS);
    noise("ars10", SC_ENGINE_ARS10);
    tables();
    model("bits", SC_BERNOULLI, 1, 47, 0, 47);
    model("bits_batch", SC_BERNOULLI, 2, 15, 0, 240);
    model("classes", SC_CATEGORICAL, 1, 33, 5, 33);
    model("classes_batch", SC_CATEGORICAL, 2, 10, 4, 80);
    model("many_classes", SC_CATEGORICAL, 1, 9, 30, 9);
    optimizer("sgd", SC_SGD);
    optimizer("momentum", SC_MOMENTUM);
    optimizer("rmsprop", SC_RMSPROP);
    optimizer("adam", SC_ADAM);
    network("leave_one_out", SC_VAE_LEAVE_ONE_OUT, 3);
    network("score_function", SC_VAE_SCORE_FUNCTION, 3);
    network("disarm", SC_VAE_DISARM, 4);
    layers();
    counts();
    others();
    functions();
    packed(1, 64, -1);
    packed(7, 112, -1), packed(7, 112, 3);
    packed(68, 68, -1), packed(68, 68, 60);
    packed(48, 96, -1), packed(49, 98, -1), packed(64, 64, -1);
    packed(300, 300, -1), packed(300, 300, 299);
    prices(20, 80), prices(300, 300);
    return failed;
}
