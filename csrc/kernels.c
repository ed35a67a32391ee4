/* Every kernel, for one instruction set. The build compiles this file once with each SC_ISA_* (setup.py); all that
 * differs is the vocabulary in lanes/. */
#include "dispatch.h"
#include "kernels/episodes.h"
#include "kernels/estimators.h"
#include "kernels/terms.h"
#include "kernels/families.h"
#include "kernels/network.h"
#include "kernels/networks.h"
#include "kernels/noise.h"
#include "kernels/optimize.h"
#include "kernels/simulators.h"
#include "kernels/special.h"

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
    .bernoulli_means = sc_bernoulli_means,
    .bernoulli_thresholds = sc_bernoulli_thresholds,
    .categorical_logits = sc_categorical_logits,
    .categorical_probs = sc_categorical_probs,
    .class_thresholds = sc_class_thresholds,
    .count_range = sc_count_range,
    .count_masses = sc_count_masses,
    .ladder_thresholds = sc_ladder_thresholds,
    .ladder_high = sc_ladder_high,
    .ladder_cells = sc_ladder_cells,
    .sample = sc_sample,
    .sample_sites = sc_sample_sites,
    .step = sc_step,
    .log_prob_ranks = sc_log_prob_ranks,
    .ranks_scratch = sc_ranks_scratch,
    .score_row = sc_score_row,
    .weigh_scores = sc_weigh_scores,
    .pull = sc_pull,
    .log_prob_bernoulli = sc_log_prob_bernoulli,
    .log_prob_categorical = sc_log_prob_categorical,
    .cost_rows = sc_cost_rows,
    .flip_row = sc_flip_row,
    .word_tables = sc_word_tables,
    .digit_tables = sc_digit_tables,
    .merge = sc_merge,
    .fold = sc_fold,
    .terms_block = sc_terms_block,
    .estimate_block = sc_estimate_block,
    .draw = SC_DRAW_TABLE,
    .recorder_begin = sc_recorder_begin,
    .recorder_end = sc_recorder_end,
    .run_program = sc_run_program,
    .simulate_rows = sc_simulate_rows,
    .simulated_node = sc_simulated_node,
    .act = sc_act,
    .replay = sc_replay,
    .update64 = sc_update64,
    .update32 = sc_update32,
    .vae_prepare = sc_vae_prepare,
    .vae_forward = sc_vae_forward,
    .vae_turn = sc_vae_turn,
    .vae_decode = sc_vae_decode,
    .vae_summarise = sc_vae_summarise,
    .vae_learn = sc_vae_learn,
    .vae_bound = sc_vae_bound,
    .affine32 = sc_affine32,
    .bernoulli32 = sc_bernoulli32,
    .net_prepare = sc_net_prepare,
    .net_block = sc_net_block,
    .net_forward = sc_net_forward,
    .net_backward = sc_net_backward,
    .net_look = sc_net_look,
    .net_summarise = sc_net_summarise,
    .net_learn = sc_net_learn,
    .functions = SC_FUNCTIONS_TABLE,
};
