/* environments.cartpole in C: the same operations in the same order, so the same bits (of -ffp-contract=off). */
#include <math.h>

#include "stochcore.h"

void cartpole(sc_draw *draw);

void cartpole(sc_draw *draw)
{
    const sc_draw_table *t = draw->table;
    const int most = (int)draw->x[0];
    double state[4];
    for (int i = 0; i < 4; i++) state[i] = 0.1 * sc_draw_uniform(draw) - 0.05;
    for (int step = 0; step < most; step++) {
        const int64_t right = sc_draw_bernoulli_linear(draw, 0, state, 4);
        const double position = state[0], speed = state[1], angle = state[2], spin = state[3];
        const double force = 20.0 * (double)right - 10.0, sine = t->sin(angle), cosine = t->cos(angle);
        const double pull = (force + 0.05 * spin * spin * sine) / 1.1;
        const double twist = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1));
        const double push = pull - 0.05 * twist * cosine / 1.1;
        state[0] = position + 0.02 * speed;
        state[1] = speed + 0.02 * push;
        state[2] = angle + 0.02 * spin;
        state[3] = spin + 0.02 * twist;
        sc_draw_cost(draw, -1.0);
        if (fabs(state[0]) > 2.4 || fabs(state[2]) > 0.20943951023931953) return;
    }
}
