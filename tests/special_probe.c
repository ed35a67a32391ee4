/* Runs one function of csrc/kernels/special.h over raw float64: `special_probe NAME < columns > columns`. A function of
 * several arguments reads them one column after the other, and writes its results so. */
#include "kernels/special.h"
#include <stdio.h>
#include <stdlib.h>

typedef void (*function1)(ptrdiff_t, const double *, double *);
typedef void (*function2)(ptrdiff_t, const double *, const double *, double *);
typedef void (*function4)(ptrdiff_t, const double *, const double *, const double *, const double *, double *);
typedef void (*interval)(ptrdiff_t, const double *, const double *, double *, double *, double *);

static const struct {
    const char *name;
    function1 f1;
    function2 f2;
    function4 f4;
    interval f3;
} table[] = {
    {.name = "exp", .f1 = sc_array_exp},
    {.name = "expm1", .f1 = sc_array_expm1},
    {.name = "log", .f1 = sc_array_log},
    {.name = "log1p", .f1 = sc_array_log1p},
    {.name = "sigmoid", .f1 = sc_array_sigmoid},
    {.name = "softplus", .f1 = sc_array_softplus},
    {.name = "erfcx", .f1 = sc_array_erfcx},
    {.name = "ndtr", .f1 = sc_array_ndtr},
    {.name = "log_ndtr", .f1 = sc_array_log_ndtr},
    {.name = "stirling", .f1 = sc_array_stirling},
    {.name = "deviance", .f2 = sc_array_deviance},
    {.name = "log_poisson", .f2 = sc_array_log_poisson},
    {.name = "log_binomial", .f4 = sc_array_log_binomial},
    {.name = "log_negative_binomial", .f4 = sc_array_log_negative_binomial},
    {.name = "normal_interval", .f3 = sc_array_normal_interval},
    {.name = "logistic_interval", .f3 = sc_array_logistic_interval},
};

static size_t read_all(double **numbers)
{
    size_t n = 0, room = 0;
    do {
        room = 2 * room + 4096;
        *numbers = realloc(*numbers, room * sizeof(double));
        if (*numbers == NULL) abort();
        n += fread(*numbers + n, sizeof(double), room - n, stdin);
    } while (n == room);
    return n;
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : "";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(name, table[i].name) != 0) continue;
        double *x = NULL;
        size_t inputs = table[i].f1 ? 1 : table[i].f4 ? 4 : 2, results = table[i].f3 ? 3 : 1;
        size_t n = read_all(&x) / inputs;
        double *y = malloc((results * n + 1) * sizeof(double));
        if (y == NULL) abort();
        if (table[i].f1) table[i].f1((ptrdiff_t)n, x, y);
        if (table[i].f2) table[i].f2((ptrdiff_t)n, x, x + n, y);
        if (table[i].f4) table[i].f4((ptrdiff_t)n, x, x + n, x + 2 * n, x + 3 * n, y);
        if (table[i].f3) table[i].f3((ptrdiff_t)n, x, x + n, y, y + n, y + 2 * n);
        fwrite(y, sizeof(double), results * n, stdout);
        free(x);
        free(y);
        return 0;
    }
    fprintf(stderr, "special_probe: no function \"%s\" on %s lanes\n", name, SC_ISA_NAME);
    return 2;
}
