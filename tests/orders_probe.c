/* Runs the kernels of csrc/kernels/orders.h and order_scores.h over raw numbers from the standard input.
 *
 *   orders_probe noise  ITEMS K LISTS ROWS SEED FIRST ENGINE                     > float64 of all lists
 *   orders_probe sample ITEMS K LISTS ROWS SEED FIRST ENGINE   < logits          > int32 of all lists
 *   orders_probe step   ITEMS K LISTS ROWS                     < logits, noise   > int32, by sc_step_orders
 *   orders_probe order  ITEMS K LISTS ROWS                     < logits, noise   > int32, by sc_order
 *   orders_probe long   ITEMS K LISTS ROWS                     < logits, noise   > int32, by sc_order_long
 *   orders_probe log_prob | score | set_log_prob | set_score  ITEMS K LISTS ROWS < logits, y  > float64 for each list
 *   far_log_prob, far_score: as if the logits were far apart
 *   orders_probe weigh | set_weigh  ITEMS K LISTS ROWS         < logits, y, weights           > float64, ITEMS
 *
 * ROWS rows of logits; list i takes row i mod ROWS, for log_prob and the others row 0. Buffers are exactly as long as
 * the functions ask for, so that a sanitizer sees more. test_orders.py compiles this for each instruction set. */
#include "kernels/order_scores.h"
#include "kernels/orders.h"
#include <stdio.h>
#include <stdlib.h>

static ptrdiff_t items, k, lists, rows;

static void *space(ptrdiff_t n, size_t size)
{
    void *p = calloc((size_t)n + (n == 0), size);
    if (!p) exit(3);
    return p;
}

static void *take(ptrdiff_t n, size_t size)
{
    void *p = space(n, size);
    if (fread(p, size, (size_t)n, stdin) != (size_t)n) exit(4);
    return p;
}

static void run_noise(const sc_stream *s, uint64_t first)
{
    double *noise = space(lists * items, sizeof *noise);
    sc_fill_gumbel64(s, first, lists * items, noise);
    fwrite(noise, sizeof *noise, (size_t)(lists * items), stdout);
    free(noise);
}

static void run_order(const char *name, const sc_stream *s, uint64_t first)
{
    double *logits = take(rows * items, sizeof *logits), *noise = take(s ? 0 : lists * items, sizeof *noise);
    double *scratch = space(sc_sample_orders_scratch(items), sizeof *scratch);
    double *plain = space(sc_order_step_scratch(items), sizeof *plain);
    int32_t *y = space(lists * k, sizeof *y);
    if (s) sc_sample_orders(logits, rows, items, k, s, first, lists, scratch, y);
    else if (strcmp(name, "step") == 0) sc_step_orders(logits, rows, items, k, noise, lists, scratch, y);
    for (ptrdiff_t i = 0; !s && strcmp(name, "step") != 0 && i < lists; i++) {
        const double *row = logits + i % rows * items, *g = noise + i * items;
        if (strcmp(name, "order") == 0) sc_order(row, g, items, k, plain, y + i * k);
        else {
            for (ptrdiff_t j = 0; j < items; j++) plain[j] = row[j] + g[j];
            sc_order_long(plain, items, k, scratch, y + i * k);
        }
    }
    fwrite(y, sizeof *y, (size_t)(lists * k), stdout);
    free(logits), free(noise), free(scratch), free(plain), free(y);
}

static void run_probability(const char *name)
{
    const int set = strncmp(name, "set_", 4) == 0, score = strstr(name, "score") != NULL;
    const int weigh = strstr(name, "weigh") != NULL;
    double *logits = take(rows * items, sizeof *logits);
    int32_t *y = take(lists * k, sizeof *y);
    double *weight = take(weigh ? lists : 0, sizeof *weight), *out = space(items, sizeof *out);
    const ptrdiff_t size = set ? sc_set_scratch(items, k) : sc_order_scratch(items, k);
    double *scratch = space(weigh ? sc_weigh_orders_scratch(items, k, !set) : size, sizeof *scratch);
    double *room = space(items, sizeof *room);
    const double *linear = strncmp(name, "far_", 4) == 0 ? NULL : sc_order_linear(logits, items, room);
    if (weigh) sc_weigh_orders(logits, items, k, !set, y, k, lists, weight, scratch, out);
    for (ptrdiff_t i = 0; i < lists && !weigh; i++) {
        const int32_t *at = y + i * k;
        if (set && score) sc_set_score(logits, items, k, at, scratch, out);
        else if (set) *out = sc_set_log_prob(logits, items, k, at, scratch);
        else if (score) sc_order_score(logits, linear, items, k, at, scratch, out);
        else *out = sc_order_log_prob(logits, linear, items, k, at, scratch);
        fwrite(out, sizeof *out, score ? (size_t)items : 1, stdout);
    }
    if (weigh) fwrite(out, sizeof *out, (size_t)items, stdout);
    free(logits), free(y), free(weight), free(out), free(room), free(scratch);
}

int main(int argc, char **argv)
{
    if (argc < 6) return 2;
    const char *name = argv[1];
    items = atoll(argv[2]), k = atoll(argv[3]), lists = atoll(argv[4]), rows = atoll(argv[5]);
    if (strcmp(name, "noise") == 0 || strcmp(name, "sample") == 0) {
        if (argc != 9) return 2;
        const sc_stream s = {.seed = strtoull(argv[6], NULL, 10), .engine = (uint32_t)atoi(argv[8])};
        const uint64_t first = strtoull(argv[7], NULL, 10);
        if (strcmp(name, "noise") == 0) run_noise(&s, first);
        else run_order(name, &s, first);
    } else if (strcmp(name, "step") == 0 || strcmp(name, "order") == 0 || strcmp(name, "long") == 0) {
        run_order(name, NULL, 0);
    } else {
        run_probability(name);
    }
    return 0;
}
