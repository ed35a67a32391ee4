/* Runs every word of csrc/lanes over hard inputs and prints `word hash` for each: FNV-1a over the bytes of all results,
 * every NaN replaced by one NaN. test_lanes.py compiles this once per instruction set and compares the lines.
 *
 * Inputs: every pair of special values (zeros, denormals, infinities, NaN, integer extremes, neighbours of powers of
 * two), then random bits, then ordinary numbers with a third operand that nearly cancels the product of the first two.
 * Every load and store is at the last bytes before a page that may not be touched, and once more one element lower,
 * so that a word which reads or writes too far ends the program, and one that writes too early changes its hash.
 */
#define _DEFAULT_SOURCE
#include "lanes/lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANES 8192 /* of each input; a multiple of 16 */
#define MARGIN 64 /* bytes before a store that must stay as they are */

static double d0[LANES], d1[LANES], d2[LANES];
static float f0[LANES], f1[LANES], f2[LANES];
static uint64_t l0[LANES], l1[LANES];
static uint32_t w0[LANES], w1[LANES];
static uint8_t *border; /* the first byte of the forbidden page */
static uint64_t hash, state = 1;

/* ---- results ---------------------------------------------------------------------------------------------------- */
#define APART static __attribute__((noinline)) /* a call, not a copy in each of its 200 places */

APART void take(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void take_f64(double x)
{
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (x == x) memcpy(&bits, &x, sizeof bits);
    take(&bits, sizeof bits);
}

static void take_f32(float x)
{
    uint32_t bits = UINT32_C(0x7fc00000);
    if (x == x) memcpy(&bits, &x, sizeof bits);
    take(&bits, sizeof bits);
}

APART void take_vd(vd a)
{
    double x[8];
    vd_store(x, a);
    for (int i = 0; i < 8; i++) take_f64(x[i]);
}

APART void take_vl(vl a)
{
    uint64_t x[8];
    vl_store(x, a);
    take(x, sizeof x);
}

APART void take_vf(vf a)
{
    float x[16];
    vf_store(x, a);
    for (int i = 0; i < 16; i++) take_f32(x[i]);
}

APART void take_vw(vw a)
{
    uint32_t x[16];
    vw_store(x, a);
    take(x, sizeof x);
}

APART void take_vm(vm m) { take_vd(vd_select(m, vd_set1(1.0), vd_set1(2.0))); }

APART void take_vn(vn m) { take_vw(vw_select(m, vw_set1(1), vw_set1(2))); }

APART void take_vb(vb m)
{
    const uint32_t bits = vb_bits(m);
    take(&bits, sizeof bits);
}

/* ---- inputs ----------------------------------------------------------------------------------------------------- */
static uint64_t random_bits(void) /* splitmix64 */
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* clang-format off */
static const uint64_t special_f64[] = {
    0, 1, UINT64_C(0xfffffffffffff), UINT64_C(0x10000000000000), UINT64_C(0x10000000000001), /* 0, denormals, least */
    UINT64_C(0x7fefffffffffffff), UINT64_C(0x7ff0000000000000), UINT64_C(0x7ff8000000000000), /* largest, inf, NaN */
    UINT64_C(0x3ff0000000000000), UINT64_C(0x3fefffffffffffff), UINT64_C(0x3ff0000000000001), /* 1 and its neighbours */
    UINT64_C(0x3fd5555555555555), UINT64_C(0x4000000000000000), UINT64_C(0x4008000000000000), /* 1/3, 2, 3 */
    UINT64_C(0x4330000000000000), UINT64_C(0x433fffffffffffff), UINT64_C(0x1e60000000000000), /* 2^52, 2^53 - 1, tiny */
    UINT64_C(0x5ff0000000000000), UINT64_C(0x41dfffffffc00000), UINT64_C(0x7ff4000000000001), /* huge, 2^31 - 1, sNaN */
};
static const uint32_t special_f32[] = { /* the same in float32 */
    0, 1, 0x7fffff, 0x800000, 0x800001, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x3f800000, 0x3f7fffff, 0x3f800001,
    0x3eaaaaab, 0x40000000, 0x40400000, 0x4b000000, 0x4b7fffff, 0x1f800000, 0x5f800000, 0x4effffff, 0x7fa00001,
};
static const uint64_t special_int[] = {
    0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0xffffff, 0x1000000, 0x1000001, 0x7ffffffe, 0x7fffffff,
    0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, UINT64_C(0x100000000), UINT64_C(0x100000001),
    UINT64_C(0x7fffffffffffffff), UINT64_C(0x8000000000000000), UINT64_C(0x8000000000000001),
    UINT64_C(0xffffffff00000000), UINT64_C(0xfffffffffffffffe), UINT64_C(0xffffffffffffffff),
};
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static double f64_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float f32_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double hard_f64(size_t i) /* the specials, then the specials negated */
{
    size_t n = COUNT(special_f64);
    return f64_of(special_f64[i % n] | (uint64_t)(i / n % 2) << 63);
}

static float hard_f32(size_t i)
{
    size_t n = COUNT(special_f32);
    return f32_of(special_f32[i % n] | (uint32_t)(i / n % 2) << 31);
}

static double ordinary(void) { return (double)(int64_t)random_bits() * 0x1p-60; } /* in [-8, 8) */

static void fill_inputs(void)
{
    size_t n = 2 * COUNT(special_f64), m = COUNT(special_int);
    for (size_t i = 0; i < LANES; i++) {
        uint64_t r = random_bits();
        l0[i] = i < m * m ? special_int[i / m] : random_bits();
        l1[i] = i < m * m ? special_int[i % m] : i % 5 == 0 ? l0[i] : random_bits();
        w0[i] = (uint32_t)(i < m * m ? l0[i] : l0[i] >> 32);
        w1[i] = (uint32_t)(i < m * m ? l1[i] : l1[i] >> 32);
        if (i < 2 * n * n) { /* all pairs of specials, twice, with other third operands */
            d0[i] = hard_f64(i / n), d1[i] = hard_f64(i), d2[i] = hard_f64((size_t)(r >> 32));
            f0[i] = hard_f32(i / n), f1[i] = hard_f32(i), f2[i] = hard_f32((size_t)(r >> 40));
        } else if (i % 2) {
            d0[i] = f64_of(random_bits()), d1[i] = f64_of(random_bits()), d2[i] = f64_of(random_bits());
            f0[i] = f32_of((uint32_t)r), f1[i] = f32_of((uint32_t)(r >> 32)), f2[i] = (float)d2[i];
        } else {
            d0[i] = ordinary(), d1[i] = i % 16 ? ordinary() : d0[i], d2[i] = -(d0[i] * d1[i]);
            f0[i] = (float)d0[i], f1[i] = (float)d1[i], f2[i] = -(f0[i] * f1[i]);
        }
    }
}

/* n bytes that end `back` bytes before the forbidden page, with a copy of p in them. */
APART void *before_border(const void *p, size_t n, size_t back)
{
    memcpy(border - back - n, p, n);
    return border - back - n;
}

static void open_border(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, page, PROT_NONE) != 0) {
        perror("mmap");
        exit(1);
    }
    border = p + page;
}

/* ---- one line for each word ------------------------------------------------------------------------------------- */
#define PROBE(word, each)                                                                                              \
    do {                                                                                                               \
        hash = UINT64_C(0xcbf29ce484222325);                                                                           \
        each;                                                                                                          \
        printf("%s %016llx\n", #word, (unsigned long long)hash);                                                       \
    } while (0)
#define OVER(step, body)                                                                                               \
    for (size_t i = 0; i < LANES; i += (step)) body

/* Arguments by letter, at lane i: D, L, F, W with 0, 1, 2; the result goes to take_v*. */
#define D(k) vd_load(d##k + i)
#define L(k) vl_load(l##k + i)
#define F(k) vf_load(f##k + i)
#define W(k) vw_load(w##k + i)
#define PROBE_8(word, out, ...) PROBE(word, OVER(8, out(word(__VA_ARGS__))))
#define PROBE_16(word, out, ...) PROBE(word, OVER(16, out(word(__VA_ARGS__))))

#define LOAD(word, out, input, type, n)                                                                                \
    PROBE(word, OVER(n, {                                                                                              \
              out(word(before_border(input + i, (n) * sizeof(type), 0)));                                              \
              out(word(before_border(input + i, (n) * sizeof(type), sizeof(type))));                                   \
          }))
/* `store` writes n elements of type at `at`; they, the bytes before and those up to the border are the result. */
#define STORED(type, n, store)                                                                                         \
    for (size_t back = 0; back <= sizeof(type); back += sizeof(type)) {                                                \
        type *at = (type *)(void *)(border - back - (n) * sizeof(type));                                               \
        uint8_t *start = (uint8_t *)at - MARGIN;                                                                       \
        memset(start, 0xA5, (size_t)(border - start));                                                                 \
        store;                                                                                                         \
        take(start, (size_t)(border - start));                                                                         \
    }
#define FOUR(word, out, a, n0, n1, n2, n3) out(word(a, n0)), out(word(a, n1)), out(word(a, n2)), out(word(a, n3))

static void probe_f64(void)
{
    PROBE_8(vd_set1, take_vd, d0[i]);
    LOAD(vd_load, take_vd, d0, double, 8);
    PROBE(vd_store, OVER(8, STORED(double, 8, vd_store(at, vd_load((double *)before_border(l0 + i, 64, 0))))));
    PROBE_8(vd_add, take_vd, D(0), D(1));
    PROBE_8(vd_sub, take_vd, D(0), D(1));
    PROBE_8(vd_mul, take_vd, D(0), D(1));
    PROBE_8(vd_div, take_vd, D(0), D(1));
    PROBE_8(vd_fma, take_vd, D(0), D(1), D(2));
    PROBE_8(vd_sqrt, take_vd, D(0));
    PROBE_8(vd_abs, take_vd, D(0));
    PROBE_8(vd_neg, take_vd, D(0));
    PROBE_8(vd_max, take_vd, D(0), D(1));
    PROBE_8(vd_min, take_vd, D(0), D(1));
    PROBE_8(vd_copysign, take_vd, D(0), D(1));
    PROBE_8(vd_lt, take_vm, D(0), D(1));
    PROBE_8(vd_le, take_vm, D(0), D(1));
    PROBE_8(vd_eq, take_vm, D(0), D(1));
    PROBE_8(vd_select, take_vd, vd_le(D(0), D(1)), D(1), D(2));
    LOAD(vd_load_u8, take_vd, (uint8_t *)l0, uint8_t, 8);
    LOAD(vd_load_i32, take_vd, (int32_t *)w0, int32_t, 8);
    LOAD(vd_load_f32, take_vd, f0, float, 8);
    PROBE_8(vd_sum, take_f64, D(0));
    PROBE(vd_load_part, OVER(8, for (size_t n = 0; n < 8; n++)
                                    take_vd(vd_load_part(before_border(d0 + i, n * 8, 0), (ptrdiff_t)n, d1[i]))));
    PROBE(vd_load_u8_part,
          OVER(8, for (size_t n = 0; n <= 8; n++) take_vd(vd_load_u8_part(before_border(l0 + i, n, 0), (ptrdiff_t)n))));
    PROBE(vd_store_part,
          OVER(8, for (size_t n = 0; n < 8; n++) STORED(double, n, vd_store_part(at, D(0), (ptrdiff_t)n))));
}

static void probe_vm(void) /* all masks of 8 lanes */
{
#define MASK(x) vd_lt(vd_load(x), vd_set1(0.0))
    double a[8], b[8];
#define OVER_MASKS(body)                                                                                               \
    for (int bits = 0; bits < 256; bits++) {                                                                           \
        for (int i = 0; i < 8; i++) a[i] = bits >> i & 1 ? -1.0 : 1.0, b[i] = bits * 0x9d >> i & 1 ? -1.0 : 1.0;       \
        body;                                                                                                          \
    }
    PROBE(vm_any, OVER_MASKS(int any = vm_any(MASK(a)) != 0; take(&any, sizeof any)));
    PROBE(vm_and, OVER_MASKS(take_vm(vm_and(MASK(a), MASK(b)))));
    PROBE(vm_or, OVER_MASKS(take_vm(vm_or(MASK(a), MASK(b)))));
}

static void transpose_bytes(size_t i)
{
    vl x[8];
    for (size_t r = 0; r < 8; r++) x[r] = vl_load(l0 + i + 8 * r);
    vl_transpose_bytes(x);
    for (int k = 0; k < 8; k++) take_vl(x[k]);
}

static void probe_u64(void)
{
    PROBE_8(vl_set1, take_vl, l0[i]);
    LOAD(vl_load, take_vl, l0, uint64_t, 8);
    PROBE(vl_store, OVER(8, STORED(uint64_t, 8, vl_store(at, L(0)))));
    LOAD(vl_load_bytes, take_vl, (uint8_t *)l0, uint8_t, 64);
    PROBE(vl_store_bytes, OVER(8, STORED(uint8_t, 64, vl_store_bytes(at, L(0)))));
    PROBE(vl_store_halves, OVER(8, STORED(uint8_t, 64, vl_store_halves(at + 32, at, L(0)))));
    PROBE(vl_transpose_bytes, OVER(64, transpose_bytes(i)));
    PROBE(vl_from_f64, OVER(8, take_f64(vl_to_f64(vl_from_f64(d0[i])))));
    PROBE(vl_to_f64, OVER(8, take_f64(vl_to_f64(l0[i]))));
    PROBE_8(vl_add, take_vl, L(0), L(1));
    PROBE_8(vl_sub, take_vl, L(0), L(1));
    PROBE_8(vl_and, take_vl, L(0), L(1));
    PROBE_8(vl_or, take_vl, L(0), L(1));
    PROBE_8(vl_xor, take_vl, L(0), L(1));
#define SHIFTS_64(word)                                                                                                \
    FOUR(word, take_vl, L(0), 0, 1, 11, 12), FOUR(word, take_vl, L(0), 21, 31, 32, 33),                                \
        FOUR(word, take_vl, L(0), 43, 52, 53, 63)
    PROBE(vl_shl, OVER(8, SHIFTS_64(vl_shl)));
    PROBE(vl_shr, OVER(8, SHIFTS_64(vl_shr)));
    PROBE_8(vl_from_bits, take_vl, D(0));
    PROBE(vd_from_bits, OVER(8, STORED(double, 8, vd_store(at, vd_from_bits(L(0)))))); /* to the bit, NaN or not */
}

static void probe_f32(void)
{
    PROBE_16(vf_set1, take_vf, f0[i]);
    LOAD(vf_load, take_vf, f0, float, 16);
    PROBE(vf_store, OVER(16, STORED(float, 16, vf_store(at, vf_load((float *)before_border(w0 + i, 64, 0))))));
    PROBE_16(vf_add, take_vf, F(0), F(1));
    PROBE_16(vf_sub, take_vf, F(0), F(1));
    PROBE_16(vf_mul, take_vf, F(0), F(1));
    PROBE_16(vf_div, take_vf, F(0), F(1));
    PROBE_16(vf_fma, take_vf, F(0), F(1), F(2));
    PROBE_16(vf_sqrt, take_vf, F(0));
    PROBE_16(vf_abs, take_vf, F(0));
    PROBE_16(vf_neg, take_vf, F(0));
    PROBE_16(vf_max, take_vf, F(0), F(1));
    PROBE_16(vf_min, take_vf, F(0), F(1));
    PROBE_16(vf_copysign, take_vf, F(0), F(1));
    PROBE_16(vf_lt, take_vn, F(0), F(1));
    PROBE_16(vf_le, take_vn, F(0), F(1));
    PROBE_16(vf_eq, take_vn, F(0), F(1));
    PROBE_16(vf_select, take_vf, vf_le(F(0), F(1)), F(1), F(2));
    LOAD(vf_load_u8, take_vf, (uint8_t *)l0, uint8_t, 16);
    PROBE_16(vf_lo_f64, take_vd, F(0));
    PROBE_16(vf_hi_f64, take_vd, F(0));
    PROBE_8(vf_narrow, take_vf, D(0), D(1));
    PROBE(vf_from_bits, OVER(16, STORED(float, 16, vf_store(at, vf_from_bits(W(0)))))); /* to the bit, NaN or not */
    PROBE_16(vw_from_bits, take_vw, F(0));
    PROBE(vf_load_part, OVER(16, for (size_t n = 0; n < 16; n++)
                                     take_vf(vf_load_part(before_border(f0 + i, n * 4, 0), (ptrdiff_t)n, f1[i]))));
    PROBE(vf_store_part,
          OVER(16, for (size_t n = 0; n < 16; n++) STORED(float, n, vf_store_part(at, F(0), (ptrdiff_t)n))));
}

/* Four bytes for each lane, their last row at the border; tables that overlap and end there too. */
static void look_up(size_t i)
{
    enum { STRIDE = 40, STEP = 48, LAST = 3 * STRIDE + 32 };
    uint8_t rows[LAST] = {0}, tables[8 * STEP];
    vw r[2];
    for (int k = 0; k < 4; k++) memcpy(rows + k * STRIDE, l0 + (i + (size_t)k * 16) % (LANES - 4), 32);
    for (size_t k = 0; k < sizeof tables; k++) tables[k] = (uint8_t)(w1[(i + k) % LANES] >> 8 & 63);
    const uint8_t *x = before_border(rows, sizeof rows, 0);
    for (int n = 0; n <= 4; n += 2) {
        vw_look_up(x, STRIDE, n, tables, STEP, r);
        take_vw(r[0]), take_vw(r[1]);
    }
    vw_look_up(rows, STRIDE, 4, before_border(tables, sizeof tables, 0), STEP, r);
    take_vw(r[0]), take_vw(r[1]);
}

/* The most that fits: 512 bytes of the largest numbers. */
static void look_up_most(void)
{
    uint8_t rows[512 + 32], tables[48];
    vw r[2];
    memset(rows, 0xff, sizeof rows), memset(tables, 63, sizeof tables);
    vw_look_up(rows, 1, 512, tables, 0, r);
    take_vw(r[0]), take_vw(r[1]);
}

static void probe_u32(void)
{
    PROBE_16(vw_set1, take_vw, w0[i]);
    LOAD(vw_load, take_vw, w0, uint32_t, 16);
    PROBE(vw_store, OVER(16, STORED(uint32_t, 16, vw_store(at, W(0)))));
    PROBE_16(vw_add, take_vw, W(0), W(1));
    PROBE_16(vw_sub, take_vw, W(0), W(1));
    PROBE_16(vw_and, take_vw, W(0), W(1));
    PROBE_16(vw_or, take_vw, W(0), W(1));
    PROBE_16(vw_xor, take_vw, W(0), W(1));
#define SHIFTS_32(word) FOUR(word, take_vw, W(0), 0, 1, 8, 9), FOUR(word, take_vw, W(0), 16, 23, 30, 31)
    PROBE(vw_shl, OVER(16, SHIFTS_32(vw_shl)));
    PROBE(vw_shr, OVER(16, SHIFTS_32(vw_shr)));
    PROBE_16(vw_min, take_vw, W(0), W(1));
    PROBE_16(vw_max, take_vw, W(0), W(1));
    PROBE_16(vw_ltu, take_vn, W(0), W(1));
    PROBE_16(vw_eq, take_vn, W(0), W(1));
    PROBE_16(vw_select, take_vw, vw_ltu(W(0), W(1)), W(0), W(1));
    PROBE_16(vw_to_f32, take_vf, W(0));
    PROBE_16(vf_to_i32, take_vw, vw_to_f32(vw_or(W(0), vw_set1(UINT32_C(1) << 31))));
    PROBE_16(vw_lo_f64, take_vd, W(0));
    PROBE_16(vw_hi_f64, take_vd, W(0));
    PROBE(vw_store_u8, OVER(16, STORED(uint8_t, 16, vw_store_u8(at, vw_shr(W(0), 24)))));
    PROBE(vw_look_up, OVER(16, look_up(i)); look_up_most());
    PROBE_16(vw_lo_u64, take_vl, W(0));
    PROBE_16(vw_hi_u64, take_vl, W(0));
}

static void probe_vn(void) /* all masks of 16 lanes */
{
    uint32_t a[16], b[16];
#define MASK_16(x) vw_eq(vw_load(x), vw_set1(1))
#define OVER_MASKS_16(body)                                                                                            \
    for (uint32_t bits = 0; bits < 65536; bits++) {                                                                    \
        for (int i = 0; i < 16; i++) a[i] = bits >> i & 1, b[i] = bits * 0x9e3d >> i & 1;                              \
        body;                                                                                                          \
    }
    PROBE(vn_and, OVER_MASKS_16(take_vn(vn_and(MASK_16(a), MASK_16(b)))));
    PROBE(vn_or, OVER_MASKS_16(take_vn(vn_or(MASK_16(a), MASK_16(b)))));
    PROBE(vn_bits, OVER_MASKS_16(uint32_t r = vn_bits(MASK_16(a)); take(&r, sizeof r)));
    PROBE(vn_store_u8, OVER_MASKS_16(STORED(uint8_t, 16, vn_store_u8(at, MASK_16(a)))));
}

/* thresholds that are far away, and near ones: of each of the 32 words, as they are dealt out, less than 4 away */
static void compare16(vw a, vw b, uint32_t far)
{
    static const int order[8] = {0, 8, 16, 24, 4, 12, 20, 28};
    uint32_t words[32];
    int16_t t[32], near[32];
    vb less, tied;
    vw_store(words, a), vw_store(words + 16, b);
    for (int i = 0; i < 32; i++) {
        const uint32_t word = words[order[i / 4] + i % 4] >> 16;
        t[i] = (int16_t)(far * (uint32_t)(i + 1) >> 16);
        near[i] = (int16_t)(word + (far >> i & 7) - 4);
    }
    vw_compare16(a, b, before_border(t, sizeof t, 0), &less, &tied);
    take_vb(less), take_vb(tied);
    vw_compare16(a, b, near, &less, &tied);
    take_vb(less), take_vb(tied);
}

/* up to three rows, the last of which ends at the border; counts have a margin that must stay as it is */
static void count16(vw a, vw b, uint32_t far)
{
    enum { STRIDE = 40, LAST = 2 * STRIDE + 32 };
    int16_t rows[LAST] = {0};
    int32_t count[34];
    vb tied;
    vw_store((uint32_t *)(void *)rows, a), vw_store((uint32_t *)(void *)(rows + STRIDE), b);
    for (int i = 0; i < 32; i++) rows[2 * STRIDE + i] = (int16_t)(far * (uint32_t)(i + 1) >> 16);
    const int16_t *t = before_border(rows, sizeof rows, 0);
    for (int n = 0; n <= 3; n++) {
        memset(count, 0xA5, sizeof count);
        vw_count16(a, b, t, n, STRIDE, count + 1, &tied);
        take(count, sizeof count), take_vb(tied);
    }
}

static void probe_vb(void)
{
    uint8_t a[32], b[32];
#define OVER_MASKS_32(body)                                                                                            \
    for (uint32_t n = 0; n < 4096; n++) {                                                                              \
        const uint32_t bits = n * UINT32_C(0x9e3779b9), more = bits * UINT32_C(0x85ebca6b);                            \
        for (int i = 0; i < 32; i++) a[i] = bits >> i & 1, b[i] = more >> i & 1;                                       \
        body;                                                                                                          \
    }
    PROBE(vb_bits, OVER_MASKS_32(uint32_t r = vb_bits(vb_or(vb_load_u8(a), vb_load_u8(b))); take(&r, sizeof r)));
    PROBE(vb_none, take_vb(vb_none()));
    PROBE(vb_load_u8, OVER_MASKS_32(take_vb(vb_load_u8(a))));
    PROBE(vb_or, OVER_MASKS_32(take_vb(vb_or(vb_load_u8(a), vb_load_u8(b)))));
    PROBE(vb_store_u8, OVER_MASKS_32(STORED(uint8_t, 32, vb_store_u8(at, vb_load_u8(a)))));
    PROBE(vw_count16, OVER(16, count16(W(0), W(1), w0[i] ^ w1[(i + 5) % LANES])));
    PROBE(vw_compare16, OVER(16, compare16(W(0), W(1), w0[i] ^ w1[(i + 5) % LANES])));
}

static void probe_groups(void)
{
    PROBE_16(vw_group, take_vw, w0[i], w0[i + 1], w1[i + 2], w1[i + 3]);
    PROBE_16(vw_mul_even, take_vw, W(0), W(1));
    PROBE_16(vw_reverse4, take_vw, W(0));
    PROBE_16(vw_odd_to_even, take_vw, W(0));
    PROBE(vw_count, OVER(1, for (uint64_t less = 0; less < 4; less++) take_vw(vw_count(l0[i] - less, w0[i], w1[i]))));
    PROBE_16(vw_add64, take_vw, W(0), W(1));
    PROBE_16(vw_aes, take_vw, W(0), W(1));
    PROBE_16(vw_aes_last, take_vw, W(0), W(1));
}

static void probe_pairs(void)
{
#define PAIR(word, type, out)                                                                                          \
    PROBE(word, OVER(16, {                                                                                             \
              type r[2];                                                                                               \
              word(W(0), W(1), r);                                                                                     \
              out(r[0]);                                                                                               \
              out(r[1]);                                                                                               \
          }))
    PAIR(vw_zip, vl, take_vl);
    PAIR(vw_u53, vd, take_vd);
    PAIR(vw_q53, vd, take_vd);
}

static void probe_rows(void) /* the last row ends at the border */
{
    enum { ROWS = 60 };
    double rows[8 * ROWS], fourth[8];
    float cubic[4 * ROWS];
    uint64_t at[8];
    uint32_t at32[16];
    for (size_t i = 0; i < COUNT(rows); i++) rows[i] = ordinary();
    for (size_t i = 0; i < COUNT(cubic); i++) cubic[i] = (float)ordinary();
    const double *table = before_border(rows, sizeof rows, 0);
    PROBE(vd_row_polynomial, OVER(8, {
              for (size_t j = 0; j < 8; j++) {
                  at[j] = 8 * (l0[i + j] % ROWS);
                  fourth[j] = d1[i + j];
              }
              take_vd(vd_row_polynomial(table, at, d0 + i, fourth));
          }));
    const float *table32 = before_border(cubic, sizeof cubic, 0);
    PROBE(vf_row_cubic, OVER(16, {
              for (size_t j = 0; j < 16; j++) at32[j] = 4 * (w0[i + j] % ROWS);
              take_vf(vf_row_cubic(table32, at32, F(0)));
          }));
}

int main(void)
{
    open_border();
    fill_inputs();
    probe_f64();
    probe_vm();
    probe_u64();
    probe_f32();
    probe_u32();
    probe_vn();
    probe_vb();
    probe_groups();
    probe_pairs();
    probe_rows();
    return 0;
}
