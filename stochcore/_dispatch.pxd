"""The C core as the other extensions see it: structs, and one table of kernels."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


from . cimport sc_draw, sc_draw_table, sc_noise, sc_simulator, sc_stream

cdef extern from "dispatch.h" nogil:
    enum:
        SC_N_TABLES
        SC_OK
        SC_CANCELLED
        SC_COST_NOT_FINITE
        SC_COST_NOT_BITS
        SC_BERNOULLI
        SC_CATEGORICAL
        SC_LADDERS
        SC_CHAINS
        SC_ORDERS
        SC_NORMAL
        SC_TRIALS
        SC_GIVEN
        SC_U8
        SC_I32
        SC_I64
        SC_F64
        SC_BY_CLASS
        SC_AFFINE
        SC_TABLED
        SC_GAUSSIAN
        SC_PATHS
        SC_RANKS
        SC_ROWS
        SC_COST_GIVEN
        SC_COST_LINEAR
        SC_COST_QUADRATIC
        SC_COST_TABLE
        SC_COST_FORM
        SC_COST_COMPILED
        SC_CUT_ROWS
        SC_SCORE_FUNCTION
        SC_LEAVE_ONE_OUT
        SC_GROUPS
        SC_ANTITHETIC
        SC_DISARM
        SC_OPTIMAL_BASELINE
        SC_LOCAL
        SC_LEAST
        SC_ROWS_PAD
        SC_DRAW_INDEX
        SC_DRAW_PROBABILITY
        SC_DRAW_PARAMETER
        SC_DRAW_NOT_FINITE
        SC_DRAW_LIMIT
        SC_DRAW_CONTINUOUS
        SC_DRAW_FAILED
        SC_DRAW_STATE
        SC_DRAW_STOPPED
        SC_BLAME_WHOLE
        SC_BLAME_LATER
        SC_BLAME_STAGE
        SC_MOST_STAGES
        SC_SGD
        SC_MOMENTUM
        SC_RMSPROP
        SC_ADAM

    ctypedef struct sc_cancel:
        pass

    ctypedef struct sc_ladder:
        const uint32_t *high
        const void *cells
        const uint64_t *thresholds
        int64_t first
        uint32_t count
        uint16_t shift
        uint16_t size

    ctypedef struct sc_argument:
        ptrdiff_t n
        ptrdiff_t theta
        ptrdiff_t rows
        ptrdiff_t inputs
        const double *x
        int bias

    ctypedef struct sc_map:
        int plain
        const int64_t *index
        ptrdiff_t n_arguments
        sc_argument argument[3]

    ctypedef struct sc_family:
        int kind
        int type
        int score
        int by_probs
        ptrdiff_t n_problems
        ptrdiff_t n_sites
        ptrdiff_t n_classes
        ptrdiff_t n_elements
        ptrdiff_t n_scores
        ptrdiff_t n_scratch
        ptrdiff_t period
        const int16_t *top
        const uint64_t *thresholds
        const sc_ladder *ladders
        ptrdiff_t n_ladders
        ptrdiff_t n_steps
        int per_step
        ptrdiff_t n_taken
        int unordered
        const double *logits
        const double *probs
        const double *centre
        const double *slope
        const double *scale
        const float *inverse
        const double *table
        const int64_t *rows
        ptrdiff_t n_each
        sc_map map

    ctypedef struct sc_cut_terms:
        int64_t first
        int64_t count
        int64_t plane
        int64_t turned

    ctypedef struct sc_form:
        double constant
        const int64_t *start
        const int64_t *upper
        const int32_t *neighbour
        const double *weight
        ptrdiff_t n_groups
        ptrdiff_t n_planes
        const sc_cut_terms *groups
        const uint64_t *pairs
        double cut_constant
        double unit
        int64_t offset

    ctypedef double (*sc_function)(const void *, ptrdiff_t, void *) noexcept nogil

    ctypedef struct sc_cost:
        int kind
        ptrdiff_t problem_stride
        const double *linear
        const double *quadratic
        const double *outcomes
        const double *tables
        const uint8_t *digits
        double unit
        const double *table
        ptrdiff_t n_classes
        sc_form form
        sc_function function
        void *data
        double sign
        const double *slope
        const double *symmetric

    ctypedef struct sc_estimator:
        int kind
        int within
        int mirrored
        ptrdiff_t unit
        const double *factor
        const double *baseline
        const double *sample_baseline
        ptrdiff_t first_sample
        const double *parameter_baseline

    ctypedef struct sc_terms:
        ptrdiff_t units
        ptrdiff_t each
        ptrdiff_t problems
        ptrdiff_t width
        ptrdiff_t first
        int mapped
        int within
        const double *costs
        const double *terms

    ptrdiff_t sc_terms_scratch(const sc_map *, const sc_terms *, ptrdiff_t)

    ctypedef struct sc_job:
        sc_family family
        sc_cost cost
        sc_estimator estimator
        sc_stream stream
        ptrdiff_t n_parameters
        ptrdiff_t block_rows

    ctypedef struct sc_scratch:
        pass

    ptrdiff_t sc_place_scratch(const sc_job *, double *, sc_scratch *)
    enum:
        SC_BUCKET_ROW
    ptrdiff_t sc_digits_size(ptrdiff_t)
    ptrdiff_t sc_price_size(int, ptrdiff_t, ptrdiff_t)

    ctypedef struct sc_step_scalars:
        double rate
        double decay1
        double decay2
        double correction1
        double correction2
        double epsilon

    enum:
        SC_VAE_IMAGES
        SC_VAE_NO_UPDATE

    ctypedef struct sc_vae:
        ptrdiff_t n_visible
        ptrdiff_t n_latents
        ptrdiff_t visible_stride
        ptrdiff_t latent_stride
        float *parameters
        const float *mean

    ctypedef struct sc_vae_work:
        sc_vae vae
        ptrdiff_t batch
        ptrdiff_t n_samples
        int kind
        double baseline
        const float *data
        sc_stream pixels
        sc_stream latents
        float *offset
        float *gradient
        double *squares

    ptrdiff_t sc_vae_size(const sc_vae *)
    ptrdiff_t sc_vae_blocks(const sc_vae_work *)
    ptrdiff_t sc_vae_tiles(const sc_vae *)
    ptrdiff_t sc_vae_chunks(const sc_vae *)
    ptrdiff_t sc_vae_place(sc_vae_work *, char *)

    enum:
        SC_NET_CONSTANT
        SC_NET_MIX
        SC_NET_DOTS
        SC_END_GIVEN

    ctypedef void (*sc_sgemm)(char *, char *, int *, int *, int *, float *, float *, int *, float *, int *, float *,
                              float *, int *) noexcept nogil

    ctypedef struct sc_layer:
        int kind
        int back
        int unit
        ptrdiff_t inputs
        ptrdiff_t outputs
        ptrdiff_t classes
        ptrdiff_t before
        ptrdiff_t after
        double number
        ptrdiff_t weight
        ptrdiff_t bias
        const float *centre
        float *offset
        float *sum
        sc_stream noise
        const float *in_ "in"
        float *out
        float *own
        float *kept
        float *delta_in
        float *delta_out
        uint32_t *bits
        uint32_t *columns

    ctypedef struct sc_net_chunk:
        ptrdiff_t layer
        ptrdiff_t row
        ptrdiff_t rows
        ptrdiff_t column
        ptrdiff_t columns

    ctypedef struct sc_level:
        ptrdiff_t rows
        double *cost
        float *weight
        double baseline
        ptrdiff_t seen
        const float *predicted
        float *by_predicted
        double spread

    ctypedef struct sc_net_end:
        int kind
        int level
        double sign
        ptrdiff_t width
        ptrdiff_t outputs
        ptrdiff_t targets
        const float *output
        const float *target
        const int64_t *labels
        float *delta

    ctypedef struct sc_net:
        sc_sgemm sgemm
        ptrdiff_t n_layers
        ptrdiff_t n_levels
        ptrdiff_t n_ends
        ptrdiff_t n_chunks
        ptrdiff_t batch
        ptrdiff_t blocks
        ptrdiff_t groups
        ptrdiff_t stride
        int rule
        double factor
        int binary
        ptrdiff_t width
        sc_layer *layers
        sc_level *levels
        sc_net_end *ends
        const sc_net_chunk *chunks
        float *parameters
        float *gradient
        const float *data
        sc_stream pixels
        float *x
        double *mean
        double *share
        double *mix
        double *dots
        double *squares
        double *scratch
        ptrdiff_t scratch_each
        uint32_t *bits
        uint32_t *columns

    ptrdiff_t sc_net_planes(const sc_net *)
    ptrdiff_t sc_net_batch_stride(const sc_net *)
    ptrdiff_t sc_net_every(const sc_net *, const sc_level *)
    ptrdiff_t sc_net_lines(const sc_net *, ptrdiff_t)
    ptrdiff_t sc_net_source(const sc_net *, ptrdiff_t before, ptrdiff_t after, ptrdiff_t row)

    ctypedef struct sc_functions:
        void (*exp)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*expm1)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*log)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*log1p)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*sigmoid)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*softplus)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*erfcx)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*ndtr)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*log_ndtr)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*stirling)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*deviance)(ptrdiff_t, const double *, const double *, double *) noexcept nogil
        void (*log_poisson)(ptrdiff_t, const double *, const double *, double *) noexcept nogil
        void (*log_binomial)(ptrdiff_t, const double *, const double *, const double *, const double *,
                             double *) noexcept nogil
        void (*log_negative_binomial)(ptrdiff_t, const double *, const double *, const double *, const double *,
                                      double *) noexcept nogil
        void (*normal_interval)(ptrdiff_t, const double *, const double *, double *, double *,
                                double *) noexcept nogil
        void (*logistic_interval)(ptrdiff_t, const double *, const double *, double *, double *,
                                  double *) noexcept nogil

    ctypedef struct sc_recorder:
        sc_draw draw
        double cost
        double weight
        double *sum
        double *count
        int learning
        double *learned
        double *seen
        int64_t drawn
        int status
        double got
        sc_cancel *cancel
        int32_t *script
        int32_t *width
        ptrdiff_t n_script
        ptrdiff_t depth
        ptrdiff_t most_depth
        double chance

    ctypedef struct sc_program:
        sc_simulator run
        const double *theta
        const double *x
        ptrdiff_t n_theta
        ptrdiff_t n_x
        int blame
        const double *value
        ptrdiff_t n_value
        int by_time
        int64_t max_draws

    ctypedef struct sc_policy:
        ptrdiff_t hidden
        ptrdiff_t n_actions
        ptrdiff_t n_features

    ctypedef struct sc_episode:
        double *features
        double *costs
        ptrdiff_t n_steps
        ptrdiff_t room

    ctypedef struct sc_episodes:
        sc_policy policy
        double discount
        uint64_t first
        int mirrored
        int antithetic
        sc_episode *ring
        ptrdiff_t n_ring

    ctypedef struct sc_table:
        const char *isa
        sc_noise noise
        void (*bernoulli_logits)(ptrdiff_t, const double *, double *, double *, double *) noexcept nogil
        void (*bernoulli_probs)(ptrdiff_t, const double *, double *, double *) noexcept nogil
        void (*bernoulli_means)(ptrdiff_t, const double *, double *, double *) noexcept nogil
        void (*bernoulli_thresholds)(ptrdiff_t, const double *, ptrdiff_t, uint64_t *, int16_t *) noexcept nogil
        void (*categorical_logits)(ptrdiff_t, ptrdiff_t, const double *, double *, double *) noexcept nogil
        void (*categorical_probs)(ptrdiff_t, const double *, double *) noexcept nogil
        void (*class_thresholds)(ptrdiff_t, const double *, uint64_t *) noexcept nogil
        ptrdiff_t (*count_range)(const double *, ptrdiff_t, int64_t *) noexcept nogil
        void (*count_masses)(const double *, int64_t, ptrdiff_t, double *) noexcept nogil
        void (*ladder_thresholds)(ptrdiff_t, const double *, uint64_t *) noexcept nogil
        void (*ladder_high)(ptrdiff_t, const uint64_t *, uint32_t *) noexcept nogil
        void (*ladder_cells)(ptrdiff_t, const uint64_t *, int, int, void *) noexcept nogil
        void (*sample)(const sc_family *, const sc_stream *, uint64_t, ptrdiff_t, double *, void *) noexcept nogil
        void (*sample_sites)(const sc_family *, const sc_stream *, uint64_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                             void *) noexcept nogil
        void (*step)(const sc_family *, const void *, ptrdiff_t, double *, void *) noexcept nogil
        void (*log_prob_ranks)(const sc_family *, ptrdiff_t, const int32_t *, double *, double *) noexcept nogil
        ptrdiff_t (*ranks_scratch)(ptrdiff_t, ptrdiff_t, int) noexcept nogil
        void (*score_row)(const sc_family *, ptrdiff_t, const void *, double *, double *) noexcept nogil
        void (*weigh_scores)(const sc_family *, ptrdiff_t, const void *, ptrdiff_t, const double *, double *,
                             double *) noexcept nogil
        void (*pull)(const sc_map *, ptrdiff_t, const double *, double *, ptrdiff_t, double *) noexcept nogil
        double (*log_prob_bernoulli)(const double *, const double *, const uint8_t *, ptrdiff_t) noexcept nogil
        double (*log_prob_categorical)(const double *, const int32_t *, ptrdiff_t, ptrdiff_t) noexcept nogil
        int (*cost_rows)(const sc_family *, const sc_cost *, const void *, ptrdiff_t, double *, sc_cancel *,
                         double *) noexcept nogil
        void (*flip_row)(const sc_cost *, ptrdiff_t, const double *, ptrdiff_t, double *) noexcept nogil
        void (*word_tables)(ptrdiff_t, const double *, double *) noexcept nogil
        double (*digit_tables)(ptrdiff_t, const double *, uint8_t *) noexcept nogil
        void (*merge)(double *, const double *, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*fold)(double *, const double *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*terms_block)(const sc_map *, const sc_terms *, ptrdiff_t, double *, double *) noexcept nogil
        int (*estimate_block)(const sc_job *, ptrdiff_t, ptrdiff_t, const void *, const double *,
                              const sc_scratch *, sc_cancel *, double *, int64_t *) noexcept nogil
        sc_draw_table draw
        void (*recorder_begin)(sc_recorder *, const sc_program *, const sc_stream *, uint64_t, double *,
                               double *) noexcept nogil
        void (*recorder_end)(sc_recorder *) noexcept nogil
        int (*run_program)(const sc_program *, sc_recorder *) noexcept nogil
        int (*simulate_rows)(const sc_program *, const sc_stream *, ptrdiff_t, ptrdiff_t, int, sc_recorder *,
                             sc_cancel *, double *, double *, double *, double *, int64_t *) noexcept nogil
        int (*simulated_node)(const sc_job *, ptrdiff_t, ptrdiff_t, const double *, const double *, const double *,
                              double *, double *, int64_t *) noexcept nogil
        int64_t (*act)(sc_draw *, const sc_policy *, const double *) noexcept nogil
        sc_simulator replay
        void (*update64)(int, const sc_step_scalars *, ptrdiff_t, const double *, double *, double *,
                         double *) noexcept nogil
        void (*update32)(int, const sc_step_scalars *, ptrdiff_t, const float *, float *, float *,
                         float *) noexcept nogil
        void (*vae_prepare)(sc_vae_work *, int) noexcept nogil
        void (*vae_forward)(const sc_vae_work *, const int64_t *, uint64_t, ptrdiff_t, sc_cancel *) noexcept nogil
        void (*vae_turn)(const sc_vae_work *) noexcept nogil
        void (*vae_decode)(const sc_vae_work *, ptrdiff_t, sc_cancel *) noexcept nogil
        int (*vae_summarise)(const sc_vae_work *, sc_cancel *, double *) noexcept nogil
        void (*vae_learn)(const sc_vae_work *, ptrdiff_t, int, const sc_step_scalars *, float *, float *) noexcept nogil
        int (*vae_bound)(const sc_vae_work *, const int64_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                         sc_cancel *, double *, double *) noexcept nogil
        void (*affine32)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, const float *, const float *, int,
                         float *) noexcept nogil
        void (*bernoulli32)(const sc_stream *, uint64_t, ptrdiff_t, const float *, float *) noexcept nogil
        void (*net_prepare)(const sc_net *) noexcept nogil
        void (*net_block)(const sc_net *, const int64_t *, uint64_t, ptrdiff_t, sc_cancel *) noexcept nogil
        void (*net_forward)(const sc_net *, const int64_t *, uint64_t, ptrdiff_t, sc_cancel *) noexcept nogil
        void (*net_backward)(const sc_net *, ptrdiff_t, sc_cancel *) noexcept nogil
        void (*net_look)(const sc_net *, const int64_t *, uint64_t, ptrdiff_t, sc_cancel *) noexcept nogil
        int (*net_summarise)(const sc_net *, sc_cancel *, double *) noexcept nogil
        void (*net_learn)(const sc_net *, ptrdiff_t, int, const sc_step_scalars *, float *, float *) noexcept nogil
        sc_functions functions


cdef const sc_table *kernels() except NULL
cdef int begin(sc_cancel *cancel) except -1
cdef int finish(sc_cancel *cancel) except? -1
cdef int stopped(sc_cancel *cancel) noexcept nogil
cdef void stop(sc_cancel *cancel, int status) noexcept nogil
cdef int team(object n_threads, Py_ssize_t work) except -1
