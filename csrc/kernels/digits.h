/* digits: sums of numbers over packed bits (bits.h).
 *
 *   costs     J_i = sum_d w_d y_id          by slices: 32 rows at once
 *   weights   h_d = sum_i a_i y_id          by columns: 32 sites at once
 *
 * The numbers become whole multiples of a unit, a power of two: 2^-50 or 2^-46 times the next power of two above the
 * largest. So sums over a run of 512 are exact, in any order; and they go by tables (the method of four Russians:
 * Arlazarov, Dinic, Kronrod and Faradzhev, 1970): for each four numbers the sums of all 16 subsets. Such a sum has three
 * digits of 18 bits, and each digit three bytes of 6 bits, so that one instruction looks up a byte for 32 rows or sites
 * at their four bits, and four bytes are added before they need more room (the tables of Andre, Kermarrec and Le
 * Scouarnec, "Cache locality is not enough: high-performance nearest neighbor search with product quantization fast scan",
 * VLDB 2015).
 *
 * Four numbers have 144 bytes: for each digit three rows of 16, which vw_look_up knows. The topmost digits have 2^17 on
 * top of them, so that none is negative.
 */
#ifndef SC_KERNELS_DIGITS_H
#define SC_KERNELS_DIGITS_H

#include "bits.h"

enum {
    SC_DIGIT_BYTES = 48,
    SC_FOUR_BYTES = 3 * SC_DIGIT_BYTES,
    SC_RUN_BYTES = 64
}; /* bytes of a digit, of four numbers; bytes looked up at once */

/* 2^k for k = -1074 .. 1023 */
static inline double sc_power(int k)
{
    return vl_to_f64(k < -1022 ? UINT64_C(1) << (k + 1074) : (uint64_t)(k + 1023) << 52);
}

/* Numbers below 2^e get the unit 2^(e - n), but no smaller one than 2^-1074; what they are multiplied by has two factors,
 * for it can be too large for one. */
typedef struct sc_scale {
    double first, second, unit;
} sc_scale;

static sc_scale sc_digit_scale(double most, int n)
{
    const int e = (int)(vl_from_f64(most) >> 52) - 1022, k = SC_MIN(n - e, 1074), half = k > 1000 ? 1000 : k;
    return (sc_scale){sc_power(half), sc_power(k - half), sc_power(-k)};
}

/* A whole number of units, below 2^51; ties to even */
static inline int64_t sc_units(double x, const sc_scale *scale)
{
    return (int64_t)(vl_from_f64(x * scale->first * scale->second + 0x1.8p52) - vl_from_f64(0x1.8p52));
}

/* Tables of a cost with a number for each of a site's two outcomes, t[2 d + y]; returns the unit. */
static double sc_digit_tables(ptrdiff_t sites, const double *t, uint8_t *tables)
{
    double most = 0.0;
    for (ptrdiff_t i = 0; i < 2 * sites; i++) most = SC_MAX(most, fabs(t[i]));
    const sc_scale scale = sc_digit_scale(most, 50);
    for (ptrdiff_t d = 0; d < 8 * sc_slices(sites); d += 4, tables += SC_FOUR_BYTES)
        for (ptrdiff_t s = 0; s < 16; s++) {
            uint64_t sum = UINT64_C(1) << 53;
            for (ptrdiff_t k = 0; k < SC_MIN(4, sites - d); k++)
                sum += (uint64_t)sc_units(t[2 * (d + k) + (s >> k & 1)], &scale);
            for (int p = 0; p < 9; p++) tables[16 * p + s] = (uint8_t)(sum >> 6 * p & 63);
        }
    return scale.unit;
}

/* Which of sixteen subsets have number k */
static const uint32_t sc_subsets[4][16] = {
#define SC_ALL UINT32_MAX
    {0, SC_ALL, 0, SC_ALL, 0, SC_ALL, 0, SC_ALL, 0, SC_ALL, 0, SC_ALL, 0, SC_ALL, 0, SC_ALL},
    {0, 0, SC_ALL, SC_ALL, 0, 0, SC_ALL, SC_ALL, 0, 0, SC_ALL, SC_ALL, 0, 0, SC_ALL, SC_ALL},
    {0, 0, 0, 0, SC_ALL, SC_ALL, SC_ALL, SC_ALL, 0, 0, 0, 0, SC_ALL, SC_ALL, SC_ALL, SC_ALL},
    {0, 0, 0, 0, 0, 0, 0, 0, SC_ALL, SC_ALL, SC_ALL, SC_ALL, SC_ALL, SC_ALL, SC_ALL, SC_ALL},
#undef SC_ALL
};

/* One digit of the sums of four numbers, of which a has that digit. */
SC_INLINE void sc_digit_of_four(const uint64_t a[4], uint32_t start, uint8_t *t)
{
    const vw six = vw_set1(63);
    vw sum = vw_set1(start);
    for (int k = 0; k < 4; k++) sum = vw_add(sum, vw_and(vw_set1((uint32_t)a[k]), vw_load(sc_subsets[k])));
    vw_store_u8(t, vw_and(sum, six));
    vw_store_u8(t + 16, vw_and(vw_shr(sum, 6), six));
    vw_store_u8(t + 32, vw_and(vw_shr(sum, 12), six));
}

/* Tables of n weights, a multiple of 8. Their digits are of 16 bits here, so that a sum of four has no carry. */
static void sc_weight_tables(const double *w, ptrdiff_t n, const sc_scale *scale, uint8_t *t)
{
    const vd one = vd_set1(0x1.8p52);
    const vl zero = vl_from_bits(one), low = vl_set1(0xffff);
    for (ptrdiff_t i = 0; i < n; i += 8, t += 2 * SC_FOUR_BYTES) {
        const vd scaled = vd_mul(vd_mul(vd_load(w + i), vd_set1(scale->first)), vd_set1(scale->second));
        const vl x = vl_sub(vl_from_bits(vd_add(scaled, one)), zero);
        uint64_t a[3][8];
        vl_store(a[0], vl_and(x, low));
        vl_store(a[1], vl_and(vl_shr(x, 16), low));
        vl_store(a[2], vl_shr(x, 32));
        for (int k = 0; k < 2; k++)
            for (int p = 0; p < 3; p++)
                sc_digit_of_four(a[p] + 4 * k, p == 2 ? UINT32_C(1) << 17 : 0,
                                 t + k * SC_FOUR_BYTES + p * SC_DIGIT_BYTES);
    }
}

/* Sums of 32 lanes over n bytes each, with digits of that base. */
SC_INLINE void sc_digit_sums(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *tables, double base,
                             double unit, vd sums[4])
{
    const vd first = vd_set1(base), second = vd_set1(base * base), once = vd_set1(unit);
    const vd extra = vd_set1((double)(2 * n) * 0x1p17);
    vw c[3][2];
    for (int p = 0; p < 3; p++) vw_look_up(x, stride, n, tables + p * SC_DIGIT_BYTES, SC_FOUR_BYTES, c[p]);
    for (int q = 0; q < 4; q++) { /* all but the last sum is exact */
        const vd d0 = q & 1 ? vw_hi_f64(c[0][q / 2]) : vw_lo_f64(c[0][q / 2]);
        const vd d1 = q & 1 ? vw_hi_f64(c[1][q / 2]) : vw_lo_f64(c[1][q / 2]);
        const vd d2 = q & 1 ? vw_hi_f64(c[2][q / 2]) : vw_lo_f64(c[2][q / 2]);
        const vd low = vd_add(vd_mul(d1, first), d0);
        sums[q] = vd_mul(vd_add(vd_mul(vd_sub(d2, extra), second), low), once);
    }
}

/* What of 32 sums belongs to the n numbers from p on; later runs are added. */
SC_INLINE void sc_put_sums(const vd sums[4], ptrdiff_t n, int add, double *p)
{
    for (ptrdiff_t q = 0; q < 4 && 8 * q < n; q++) {
        const vd own = add ? vd_add(vd_load_part(p + 8 * q, n - 8 * q, 0.0), sums[q]) : sums[q];
        vd_store_part(p + 8 * q, own, n - 8 * q);
    }
}

/* J of each row, from slices. What is in them beyond a row's last site meets numbers of zero. */
static void sc_digit_costs(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const uint8_t *tables, double unit,
                           double *j)
{
    const ptrdiff_t slices = sc_slices(sites);
    for (ptrdiff_t k = 0; k < slices; k += SC_RUN_BYTES)
        for (ptrdiff_t i = 0; i < rows; i += 32) {
            vd sums[4];
            sc_digit_sums(b->slices + i * slices + 32 * k, 32, SC_MIN(SC_RUN_BYTES, slices - k),
                          tables + 2 * k * SC_FOUR_BYTES, 0x1p18, unit, sums);
            sc_put_sums(sums, rows - i, k > 0, j + i);
        }
}

/* h[d] = sum over rows of w[row] y[row][d]; w has SC_ROWS_PAD zeros after its last row. NaN where one is not finite. */
static void sc_weigh_columns(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *w, uint8_t *tables,
                             double *h)
{
    const ptrdiff_t stride = sites + SC_MARGIN;
    vd most = vd_set1(0.0), none = most;
    for (ptrdiff_t i = 0; i < rows; i += 8) {
        const vd x = vd_load(w + i);
        most = vd_max(vd_abs(x), most), none = vd_fma(x, vd_set1(0.0), none);
    }
    double lanes[8], largest = 0.0;
    vd_store(lanes, most);
    for (int k = 0; k < 8; k++) largest = SC_MAX(largest, lanes[k]);
    const double nothing = vd_sum(none);
    if (largest == 0.0 || nothing != 0.0) {
        for (ptrdiff_t d = 0; d < sites; d++) h[d] = nothing;
        return;
    }
    const sc_scale scale = sc_digit_scale(largest, 46);
    for (ptrdiff_t i = 0; i < rows; i += 8 * SC_RUN_BYTES) {
        const ptrdiff_t n = SC_MIN(8 * SC_RUN_BYTES, (rows - i + 15) / 16 * 16);
        sc_weight_tables(w + i, n, &scale, tables);
        for (ptrdiff_t d = 0; d < sites; d += 32) {
            vd sums[4];
            sc_digit_sums(b->columns + i / 8 * stride + d, stride, n / 8, tables, 0x1p16, scale.unit, sums);
            sc_put_sums(sums, sites - d, i > 0, h + d);
        }
    }
}

#endif
