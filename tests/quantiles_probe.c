/* Runs the quantile functions of csrc/kernels/quantiles.h over raw integers, and measures their errors.
 *
 *   quantiles_probe NAME        < uint64 k > float64          the function at k, 0 <= k < 2^53
 *   quantiles_probe NAME32      < uint32 w > float32          the function at the word w
 *   quantiles_probe NAME exact  < uint64 k > float64 pairs    near and rest: the true value is near + rest, by libm in
 *                                                             long double (normal: a step of Halley's method)
 *   quantiles_probe NAME32 scan FIRST COUNT                   the words FIRST .. FIRST + COUNT against the float64
 *                                                             function; COUNT is a multiple of 64. Prints
 *       worst U     largest error in ulp of the true value, where it is above 2^-32
 *       absolute A  largest error of the others, in units of 2^-32
 *       back B      largest step backwards from one word to the next in ulp, where it is above 2^-32
 *       least, most, odd  the smallest and the largest result; how many break f(~w) = -f(w)
 *
 * NAME is normal, logistic, exponential or gumbel. test_quantiles.py compiles this for each instruction set.
 */
#include "kernels/quantiles.h"
#include <stdio.h>
#include <stdlib.h>

typedef void (*function64)(double x[32]); /* in place, at q = P - 1/2 */
typedef void (*function32)(const uint32_t words[64], float out[64]);
typedef long double (*function_exact)(uint64_t k, double z);

static long double upper(uint64_t k) { return (long double)(2 * ((UINT64_C(1) << 53) - k) - 1) * 0x1p-54L; } /* 1 - P */
static long double lower(uint64_t k) { return (long double)(2 * k + 1) * 0x1p-54L; } /* P */

static long double exact_logistic(uint64_t k, double z)
{
    long double twice_q = lower(k) - upper(k);
    (void)z;
    return fabsl(twice_q) < 0.5L ? 2 * atanhl(twice_q) : logl(lower(k)) - logl(upper(k));
}

static long double minus_log(long double p, long double rest) { return p < 0.5L ? -logl(p) : -log1pl(-rest); }

static long double exact_exponential(uint64_t k, double z)
{
    (void)z;
    return minus_log(upper(k), lower(k));
}

static long double exact_gumbel(uint64_t k, double z)
{
    (void)z;
    return -logl(minus_log(lower(k), upper(k)));
}

/* From the nearby z: Phi(-|z|) - p over the density, with Halley's correction. */
static long double exact_normal(uint64_t k, double z)
{
    const long double root = sqrtl(0.5L), scale = sqrtl(8 * atanl(1));
    long double q = (lower(k) - upper(k)) / 2, y = fabsl((long double)z), miss;
    if (y < 0.5L) miss = fabsl(q) - erfl(y * root) / 2;
    else miss = erfcl(y * root) / 2 - (q < 0 ? lower(k) : upper(k));
    long double step = miss * scale * expl(y * y / 2);
    y += step * (1 + y * step / 2);
    return q < 0 ? -y : y;
}

static const struct {
    const char *name;
    function64 f64;
    function32 f32;
    function_exact exact;
    int antisymmetric;
} table[] = {
    {"normal", sc_normal_quantile, sc_normal_quantile32, exact_normal, 1},
    {"logistic", sc_logistic_quantile, sc_logistic_quantile32, exact_logistic, 1},
    {"exponential", sc_exponential_quantile, sc_exponential_quantile32, exact_exponential, 0},
    {"gumbel", sc_gumbel_quantile, sc_gumbel_quantile32, exact_gumbel, 0},
};

static void run64(function64 f, function_exact exact)
{
    uint64_t k[32] = {0};
    size_t n;
    while ((n = fread(k, sizeof *k, 32, stdin)) > 0) {
        double x[32];
        for (int i = 0; i < 32; i++) x[i] = (double)((int64_t)(2 * k[i] + 1) - (INT64_C(1) << 53)) * 0x1p-54;
        f(x);
        if (exact == NULL) fwrite(x, sizeof *x, n, stdout);
        for (size_t i = 0; exact != NULL && i < n; i++) {
            long double t = exact(k[i], x[i]);
            double pair[2] = {(double)t, (double)(t - (double)t)};
            fwrite(pair, sizeof pair, 1, stdout);
        }
    }
}

static void run32(function32 f)
{
    uint32_t w[64] = {0};
    size_t n;
    while ((n = fread(w, sizeof *w, 64, stdin)) > 0) {
        float z[64];
        f(w, z);
        fwrite(z, sizeof *z, n, stdout);
    }
}

static double one_over_ulp32(double x) /* for a result of normal float32 range */
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (UINT64_C(2069) - (bits >> 52 & 0x7ff)) << 52; /* 2 1023 + 23 */
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double larger(double a, double b) { return a > b ? a : b; }

static void scan(size_t which, uint64_t first, uint64_t count)
{
    const double unit = 0x1p-32;
    double worst[64] = {0}, absolute[64] = {0}, back[64] = {0}, least[64] = {0}, most[64] = {0}, before = -HUGE_VAL;
    uint64_t odd = 0;
    for (uint64_t start = first; start < first + count; start += 64) {
        uint32_t w[64];
        float z[64], mirrored[64];
        double x[64], previous[64];
        for (uint32_t i = 0; i < 64; i++) w[i] = (uint32_t)start + i;
        for (int i = 0; i < 64; i++) x[i] = (double)w[i] * 0x1p-32 + (0x1p-33 - 0.5);
        table[which].f32(w, z);
        table[which].f64(x);
        table[which].f64(x + 32);
        previous[0] = before;
        for (int i = 1; i < 64; i++) previous[i] = (double)z[i - 1];
        before = (double)z[63];
        for (int i = 0; i < 64; i++) {
            double error = fabs((double)z[i] - x[i]), down = previous[i] - (double)z[i], per_ulp = one_over_ulp32(x[i]);
            if (!(error < 64)) error = HUGE_VAL; /* a NaN too */
            worst[i] = larger(worst[i], error > unit ? error * per_ulp : 0);
            absolute[i] = larger(absolute[i], error > unit ? 0 : error);
            back[i] = larger(back[i], down > unit ? down * per_ulp : 0);
            least[i] = larger(least[i], -(double)z[i]);
            most[i] = larger(most[i], (double)z[i]);
        }
        if (start == first)
            for (int i = 0; i < 64; i++) least[i] = -(double)z[i], most[i] = (double)z[i];
        if (!table[which].antisymmetric) continue;
        for (int i = 0; i < 64; i++) w[i] = ~w[i];
        table[which].f32(w, mirrored);
        for (int i = 0; i < 64; i++) mirrored[i] = -mirrored[i];
        if (memcmp(mirrored, z, sizeof z) != 0) odd++;
    }
    for (int i = 1; i < 64; i++) {
        worst[0] = larger(worst[0], worst[i]);
        absolute[0] = larger(absolute[0], absolute[i]);
        back[0] = larger(back[0], back[i]);
        least[0] = larger(least[0], least[i]);
        most[0] = larger(most[0], most[i]);
    }
    printf("worst %.6g\nabsolute %.6g\nback %.6g\nleast %.9g\nmost %.9g\nodd %llu\n", worst[0], absolute[0] / unit,
           back[0], -least[0], most[0], (unsigned long long)odd);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const size_t length = strcspn(name, "3");
    const int single = strcmp(name + length, "32") == 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strlen(table[i].name) != length || strncmp(name, table[i].name, length) != 0) continue;
        if (argc == 5 && single) return scan(i, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10)), 0;
        if (single) return run32(table[i].f32), 0;
        return run64(table[i].f64, argc == 3 ? table[i].exact : NULL), 0;
    }
    fprintf(stderr, "quantiles_probe: no function \"%s\" on %s lanes\n", name, SC_ISA_NAME);
    return 2;
}
