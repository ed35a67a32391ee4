/* Which instruction sets this machine has, and the one chosen; and the calling thread's half of cancellation. This file
 * is compiled for the baseline CPU: nothing here may use AVX or AES. */
#define _GNU_SOURCE /* CLOCK_MONOTONIC_COARSE */
#include "dispatch.h"

#include <string.h>
#include <time.h>

/* __builtin_cpu_supports asks the operating system too (XGETBV): a CPU whose AVX registers are not saved has none. */
static int sc_always(void) { return 1; }
#if defined(SC_HAVE_AVX2) || defined(SC_HAVE_AVX2_VAES)
#include <cpuid.h>

static int sc_has_aes(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_AES;
}
static int sc_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && sc_has_aes(); }
#endif
#ifdef SC_HAVE_AVX2_VAES
static int sc_has_vaes(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & (1u << 9);
}
static int sc_has_avx2_vaes(void) { return sc_has_avx2() && sc_has_vaes(); }
#endif
#if defined(SC_HAVE_AVX512) && !defined(SC_EMULATE_AVX512)
static int sc_has_avx512(void)
{
    return sc_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#ifdef SC_HAVE_AVX512_VAES
static int sc_has_avx512_vaes(void) { return sc_has_avx512() && sc_has_vaes(); }
#endif
#ifdef SC_HAVE_NEON
#ifdef __linux__
#include <sys/auxv.h>

static int sc_has_neon(void)
{
    const unsigned long features = getauxval(AT_HWCAP);
    return (features & HWCAP_ASIMD) && (features & HWCAP_AES);
}
#else /* Apple, whose 64-bit CPUs all have both */
static int sc_has_neon(void) { return 1; }
#endif
#endif

extern const sc_table sc_table_scalar, sc_table_avx2, sc_table_avx2_vaes, sc_table_avx512, sc_table_avx512_vaes;
extern const sc_table sc_table_neon;

/* Best first. */
static const struct {
    const sc_table *table;
    int (*runs)(void);
} sc_tables[] = {
#ifdef SC_HAVE_AVX512_VAES
    {&sc_table_avx512_vaes, sc_has_avx512_vaes},
#endif
#if defined(SC_HAVE_AVX512) && !defined(SC_EMULATE_AVX512)
    {&sc_table_avx512, sc_has_avx512},
#endif
#ifdef SC_HAVE_AVX2_VAES
    {&sc_table_avx2_vaes, sc_has_avx2_vaes},
#endif
#ifdef SC_HAVE_AVX2
    {&sc_table_avx2, sc_has_avx2},
#endif
#ifdef SC_HAVE_NEON
    {&sc_table_neon, sc_has_neon},
#endif
    {&sc_table_scalar, sc_always},
#ifdef SC_EMULATE_AVX512
    {&sc_table_avx512, sc_has_avx2}, /* on C stand-ins for the instructions: never the best, but it can be asked for */
#endif
};

enum { SC_BUILT = sizeof sc_tables / sizeof *sc_tables };

const sc_table *sc_choose_table(const char *name, int *known)
{
    *known = 0;
    for (size_t i = 0; i < SC_BUILT; i++) {
        const sc_table *table = sc_tables[i].table;
        if (name && *name && strcmp(name, table->isa) != 0) continue;
        *known = 1;
        if (sc_tables[i].runs()) return table;
    }
    return NULL;
}

int sc_runnable(const char *names[SC_N_TABLES])
{
    int count = 0;
    for (size_t i = 0; i < SC_BUILT; i++)
        if (sc_tables[i].runs()) names[count++] = sc_tables[i].table->isa;
    return count;
}

static _Thread_local char sc_this_thread; /* its address tells threads apart */

enum { SC_POLL_EVERY_NS = 10 * 1000 * 1000, SC_SHORT_NS = 1000 * 1000, SC_MOST_CALLS = 16 };

/* In nanoseconds; ticks of a few milliseconds will do, and are read in a third of the time. */
static int64_t sc_now(void)
{
    struct timespec t;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
#else
    timespec_get(&t, TIME_UTC);
#endif
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sc_cancel_begin(sc_cancel *cancel, int (*poll)(void))
{
    atomic_init(&cancel->status, 0);
    cancel->poll = poll;
    cancel->caller = &sc_this_thread;
    cancel->next_poll = sc_now() + SC_POLL_EVERY_NS;
}

int sc_cancel_poll(sc_cancel *cancel)
{
    if (cancel->caller == &sc_this_thread && sc_now() >= cancel->next_poll) {
        if (cancel->poll()) sc_cancel_raise(cancel, SC_CANCELLED);
        cancel->next_poll = sc_now() + SC_POLL_EVERY_NS;
    }
    return atomic_load(&cancel->status);
}

int sc_cancel_look(sc_cancel *cancel, sc_patience *patience)
{
    const int64_t now = sc_now();
    const int brief = patience->calls && now - patience->since < SC_SHORT_NS;
    patience->calls = !brief ? 1 : SC_MIN(2 * patience->calls, SC_MOST_CALLS);
    patience->left = patience->calls;
    patience->since = now;
    return sc_cancelled(cancel);
}
