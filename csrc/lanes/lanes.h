/* Which lanes this translation unit is compiled for. SC_ISA_* comes from the build: kernels.c is compiled once with
 * each, and once more with VAES. The vocabulary and its promises stand in scalar.h; below are the words that are built
 * from it. */
#ifndef SC_LANES_H
#define SC_LANES_H

#include <stddef.h>

#if defined(SC_ISA_AVX512)
#include "avx512.h"
#ifdef __VAES__
#define SC_ISA_NAME "avx512_vaes"
#else
#define SC_ISA_NAME "avx512"
#endif
#elif defined(SC_ISA_AVX2)
#include "avx2.h"
#ifdef __VAES__
#define SC_ISA_NAME "avx2_vaes"
#else
#define SC_ISA_NAME "avx2"
#endif
#elif defined(SC_ISA_NEON)
#include "neon.h"
#define SC_ISA_NAME "neon"
#else
#include "scalar.h"
#define SC_ISA_NAME "scalar"
#endif

/* What the next loads find in memory: without this a compiler takes lanes out of registers, by slower instructions. */
#define SC_IN_MEMORY(array) __asm__("" : "+m"(array))

/* One number's bits. */
static inline uint64_t vl_from_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double vl_to_f64(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The sum over lanes, always by the same tree: i with i + 4, then i with i + 2, then the last two. */
static inline double vd_sum(vd a)
{
    double x[8];
    vd_store(x, a);
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* The first n lanes from memory and the rest from `fill`: the end of an array. With n >= width, all lanes. */
static inline vd vd_load_part(const double *p, ptrdiff_t n, double fill)
{
    if (n >= 8) return vd_load(p);
    double x[8] = {fill, fill, fill, fill, fill, fill, fill, fill};
    memcpy(x, p, (size_t)n * sizeof(double));
    return vd_load(x);
}

static inline void vd_store_part(double *p, vd a, ptrdiff_t n)
{
    if (n >= 8) {
        vd_store(p, a);
        return;
    }
    double x[8];
    vd_store(x, a);
    memcpy(p, x, (size_t)n * sizeof(double));
}

static inline vf vf_load_part(const float *p, ptrdiff_t n, float fill)
{
    if (n >= 16) return vf_load(p);
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = fill;
    memcpy(x, p, (size_t)n * sizeof(float));
    return vf_load(x);
}

static inline void vf_store_part(float *p, vf a, ptrdiff_t n)
{
    if (n >= 16) {
        vf_store(p, a);
        return;
    }
    float x[16];
    vf_store(x, a);
    memcpy(p, x, (size_t)n * sizeof(float));
}

/* Eight bytes as numbers; those past n are 0. */
static inline vd vd_load_u8_part(const uint8_t *p, ptrdiff_t n)
{
    if (n >= 8) return vd_load_u8(p);
    uint8_t x[8] = {0};
    memcpy(x, p, (size_t)n);
    return vd_load_u8(x);
}

#endif
