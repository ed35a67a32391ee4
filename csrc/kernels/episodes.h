/* episodes: actions in an environment that somebody else steps (Gymnasium's), and what they were worth.
 *
 * An environment is no program that a recorder could run: many of them go in step, and a policy acts on all. So an episode
 * happens twice. First it is played: a recorder that only draws (`learning`) gives each action from the address of
 * (sample, step), and what the policy saw and paid is written down. When all episodes of a block are over, each is run as a
 * program that reads this (`sc_replay`): it draws the same actions from the same addresses, and from there on all is as
 * with any program (recorder.h, simulators.h): scores, costs to go, baselines by stage, nodes. The environment takes no second
 * step, whatever the estimator; memory is for the features of the episodes that are not yet replayed. A run that only
 * learns what was paid by when draws nothing.
 */
#ifndef SC_KERNELS_EPISODES_H
#define SC_KERNELS_EPISODES_H

#include "draws.h"

static int64_t sc_act(sc_draw *d, const sc_policy *p, const double *features)
{
    if (p->hidden) return sc_draw_one_tanh_policy(d, 0, p->hidden, p->n_actions, features, p->n_features);
    return sc_draw_one_categorical(d, 0, p->n_actions, features, p->n_features);
}

/* A program whose x is a struct sc_episodes. */
static void sc_replay(sc_draw *d)
{
    const sc_recorder *r = sc_recorder_of(d);
    const sc_episodes *all = (const sc_episodes *)(const void *)d->x;
    const uint64_t away = r->sample - all->first;
    const uint64_t opposite = (r->stream.antithetic != 0) != (all->antithetic != 0);
    const uint64_t number = all->mirrored ? 2 * away + opposite : away;
    const sc_episode *own = all->ring + number % (uint64_t)all->n_ring;
    for (ptrdiff_t t = 0; t < own->n_steps; t++) {
        const double *seen = own->features + t * all->policy.n_features;
        sc_draw_one_state(d, seen, all->policy.n_features);
        if (!r->learning) sc_act(d, &all->policy, seen);
        sc_draw_one_cost(d, own->costs[t]);
        if (all->discount != 1.0) sc_draw_one_discount(d, all->discount);
    }
}

#endif
