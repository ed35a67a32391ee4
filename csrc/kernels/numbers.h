/* numbers: elementary functions of one number, for programs that make one decision at a time. exp and log have the bits of
 * functions.h; sin and cos are within 1.5 ulp up to 2^30, and NaN beyond.
 */
#ifndef SC_KERNELS_NUMBERS_H
#define SC_KERNELS_NUMBERS_H

#include "functions.h"

static inline double sc_first(vd x)
{
    double lanes[8];
    vd_store(lanes, x);
    return lanes[0];
}

/* sc_exp and its polynomial, operation by operation */
static double sc_exp_one(double x)
{
    x = x < -746.0 ? -746.0 : x > 710.0 ? 710.0 : x;
    const double shift = x < 0.0 ? 512.0 : -512.0, magic = SC_ROUND + 1023.0 + shift,
                 back = x < 0.0 ? 0x1p-512 : 0x1p512;
    const double t = fma(x, SC_LOG2E, magic), n = t - magic, high = fma(n, -SC_LN2_HIGH, x);
    const double r = fma(n, -SC_LN2_LOW, high), rest = fma(n, -SC_LN2_LOW, high - r), square = r * r;
    const double s = 1.0 + r, lost = (1.0 - s) + r, *c = sc_exp_c;
    const double odd = fma(fma(fma(fma(c[9], square, c[7]), square, c[5]), square, c[3]), square, c[1]);
    const double even = fma(fma(fma(fma(c[8], square, c[6]), square, c[4]), square, c[2]), square, c[0]);
    const double p = fma(square, fma(odd, r, even), rest);
    return (s + (lost + p)) * vl_to_f64(vl_from_f64(t) << 52) * back;
}

static double sc_log_one(double x) { return sc_first(sc_log(vd_set1(x))); }

/* sin and cos of |r| <= pi/4: the polynomials of fdlibm (Sun Microsystems, 1993), below one ulp */
static inline double sc_sin_near(double r)
{
    const double z = r * r, v = z * r;
    const double p =
        fma(z,
            fma(z, fma(z, fma(z, 1.58969099521155010221e-10, -2.50507602534068634195e-08), 2.75573137070700676789e-06),
                -1.98412698298579493134e-04),
            8.33333333332248946124e-03);
    return fma(v, fma(z, p, -1.66666666666666324348e-01), r);
}

static inline double sc_cos_near(double r)
{
    const double z = r * r, h = 0.5 * z, w = 1.0 - h;
    const double p =
        fma(z,
            fma(z, fma(z, fma(z, -1.13596475577881948265e-11, 2.08757232129817482790e-09), -2.75573143513906633035e-07),
                2.48015872894767294178e-05),
            -1.38888888888741095749e-03);
    return w + (((1.0 - w) - h) + z * z * fma(z, p, 4.16666666666666019037e-02));
}

/* sin(x + turn pi/2). Exact reduction as far as three parts of pi/2 reach, |x| < 2^30; NaN beyond. */
static double sc_sin_turned(double x, int turn)
{
    if (!(fabs(x) < 0x1p30)) return x - x + (isfinite(x) ? NAN : 0.0);
    const double shifted = x * 0x1.45f306dc9c883p-1 + 0x1.8p52, n = shifted - 0x1.8p52;
    double r = fma(n, -0x1.921fb54442d18p0, x);
    r = fma(n, -0x1.1a62633145c07p-54, r);
    r = fma(n, 0x1.f1976b7ed8fbcp-110, r);
    const uint64_t quarter = vl_from_f64(shifted) + (uint64_t)turn;
    const double y = quarter & 1 ? sc_cos_near(r) : sc_sin_near(r);
    return quarter & 2 ? -y : y;
}

static double sc_sin_one(double x) { return sc_sin_turned(x, 0); }
static double sc_cos_one(double x) { return sc_sin_turned(x, 1); }

#endif
