/* Runs one function of csrc/kernels/functions.h over raw numbers: `functions_probe NAME < numbers > results`.
 * float64 functions read and write float64; names ending in 32 read and write float32; sigmoid_softplus32 writes both
 * results of each number, one after the other in blocks of 16. The last lanes of an input that is no multiple of the
 * width are padded with its last number. */
#include "kernels/functions.h"
#include <stdio.h>

typedef vd (*function64)(vd);
typedef vf (*function32)(vf);

#define WRAP64(name)                                                                                                   \
    static vd call_##name(vd x) { return sc_##name(x); }
#define WRAP32(name)                                                                                                   \
    static vf call_##name(vf x) { return sc_##name(x); }
WRAP64(exp)
WRAP64(log)
WRAP64(log1p)
WRAP64(sigmoid)
WRAP64(softplus)
WRAP32(exp32)
WRAP32(log32)
WRAP32(log1p32)
WRAP32(sigmoid32)
WRAP32(softplus32)

static const struct {
    const char *name;
    function64 f;
} table64[] = {{"exp", call_exp},
               {"log", call_log},
               {"log1p", call_log1p},
               {"sigmoid", call_sigmoid},
               {"softplus", call_softplus}};
static const struct {
    const char *name;
    function32 f;
} table32[] = {{"exp32", call_exp32},
               {"log32", call_log32},
               {"log1p32", call_log1p32},
               {"sigmoid32", call_sigmoid32},
               {"softplus32", call_softplus32}};

static void run64(function64 f)
{
    double x[8];
    size_t n;
    while ((n = fread(x, sizeof *x, 8, stdin)) > 0) {
        for (size_t i = n; i < 8; i++) x[i] = x[n - 1];
        vd_store(x, f(vd_load(x)));
        fwrite(x, sizeof *x, n, stdout);
    }
}

static void run32(function32 f)
{
    float x[16];
    size_t n;
    while ((n = fread(x, sizeof *x, 16, stdin)) > 0) {
        for (size_t i = n; i < 16; i++) x[i] = x[n - 1];
        vf_store(x, f(vf_load(x)));
        fwrite(x, sizeof *x, n, stdout);
    }
}

static void run_both(void)
{
    float x[16];
    while (fread(x, sizeof *x, 16, stdin) == 16) {
        vf second, first = sc_sigmoid_softplus32(vf_load(x), &second);
        vf_store(x, first);
        fwrite(x, sizeof *x, 16, stdout);
        vf_store(x, second);
        fwrite(x, sizeof *x, 16, stdout);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : "";
    if (strcmp(name, "sigmoid_softplus32") == 0) return run_both(), 0;
    for (size_t i = 0; i < sizeof table64 / sizeof *table64; i++)
        if (strcmp(name, table64[i].name) == 0) return run64(table64[i].f), 0;
    for (size_t i = 0; i < sizeof table32 / sizeof *table32; i++)
        if (strcmp(name, table32[i].name) == 0) return run32(table32[i].f), 0;
    fprintf(stderr, "functions_probe: no function \"%s\" on %s lanes\n", name, SC_ISA_NAME);
    return 2;
}
