/* Every kernel, for one instruction set. The build compiles this file once with each SC_ISA_* (setup.py); all that
 * differs is the vocabulary in lanes/. */
#include "dispatch.h"
#include "kernels/distributions.h"
#include "kernels/estimators.h"
#include "kernels/networks.h"
#include "kernels/noise.h"
#include "kernels/optimize.h"
#include "kernels/special.h"

static void sc_step(const sc_family *f, const uint64_t *k, ptrdiff_t n, void *y)
{
    if (f->kind == SC_BERNOULLI) sc_step_bernoulli(f, k, n, y);
    else sc_step_categorical(f, k, n, y);
}

#if defined(SC_ISA_AVX512) && defined(__VAES__)
#define SC_TABLE sc_table_avx512_vaes
#elif defined(SC_ISA_AVX512)
#define SC_TABLE sc_table_avx512
#elif defined(SC_ISA_AVX2) && defined(__VAES__)
#define SC_TABLE sc_table_avx2_vaes
#elif defined(SC_ISA_AVX2)
#define SC_TABLE sc_table_avx2
#elif defined(SC_ISA_NEON)
#define SC_TABLE sc_table_neon
#else
#define SC_TABLE sc_table_scalar
#endif

extern const sc_table SC_TABLE;
const sc_table SC_TABLE = {
    .isa = SC_ISA_NAME,
    .noise = SC_NOISE_TABLE,
    .bernoulli_logits = sc_bernoulli_logits,
    .bernoulli_probs = sc_bernoulli_probs,
    .categorical_logits = sc_categorical_logits,
    .categorical_probs = sc_categorical_probs,
    .categorical_thresholds = sc_categorical_thresholds,
    .categorical_guide = sc_categorical_guide,
    .sample = sc_sample,
    .step = sc_step,
    .log_prob_bernoulli = sc_log_prob_bernoulli,
    .log_prob_categorical = sc_log_prob_categorical,
    .cost_rows = sc_cost_rows,
    .merge = sc_merge,
    .fold = sc_fold,
    .estimate_block = sc_estimate_block,
    .update64 = sc_update64,
    .update32 = sc_update32,
    .vae_prepare = sc_vae_prepare,
    .vae_forward = sc_vae_forward,
    .vae_summarise = sc_vae_summarise,
    .vae_learn = sc_vae_learn,
    .vae_bound = sc_vae_bound,
    .affine32 = sc_affine32,
    .bernoulli32 = sc_bernoulli32,
    .functions = SC_FUNCTIONS_TABLE,
};
