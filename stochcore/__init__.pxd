"""stochcore.h for Cython: ``from stochcore cimport sc_stream, sc_uniform``; compile with
``include_dirs=[stochcore.get_include()]``. docs/c-api.md has a complete example."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "stochcore.h" nogil:
    enum:
        STOCHCORE_ABI_VERSION
        SC_ENGINE_PHILOX
        SC_ENGINE_ARS
        SC_ENGINE_ARS10
        SC_PURPOSE_ARRAYS
        SC_PURPOSE_SIMULATORS
        SC_PURPOSE_BATCHING
        SC_PURPOSE_BINARISING
        SC_PURPOSE_EVALUATION
        SC_PURPOSE_INITIALISING
        SC_PURPOSE_SPAWNING
        SC_PURPOSE_LAYERS

    const char *STOCHCORE_NOISE

    ctypedef struct sc_stream:
        uint64_t seed
        uint64_t offset
        uint32_t stream
        uint32_t purpose
        uint32_t engine
        uint32_t antithetic

    uint32_t sc_counter3(uint32_t purpose, uint32_t attempt, uint32_t plane)
    void sc_philox4x32_10(const uint32_t *counter, const uint32_t *key, uint32_t *out)
    void sc_ars4x32(int rounds, const uint32_t *counter, const uint32_t *key, uint32_t *out)
    void sc_block(const sc_stream *s, const uint32_t *counter, uint32_t *out)
    uint32_t sc_word(const sc_stream *s, uint64_t element, uint32_t plane, uint32_t attempt)
    uint64_t sc_bits(const sc_stream *s, uint64_t element, uint32_t attempt)
    uint64_t sc_k(const sc_stream *s, uint64_t element)
    double sc_uniform(const sc_stream *s, uint64_t element)

    ctypedef struct sc_noise:
        uint32_t version
        uint32_t size
        void (*bits32)(const sc_stream *, uint64_t, ptrdiff_t, uint32_t *) noexcept nogil
        void (*bits64)(const sc_stream *, uint64_t, ptrdiff_t, uint64_t *) noexcept nogil
        void (*k53)(const sc_stream *, uint64_t, ptrdiff_t, uint64_t *) noexcept nogil
        void (*uniform64)(const sc_stream *, uint64_t, ptrdiff_t, double *) noexcept nogil
        void (*uniform32)(const sc_stream *, uint64_t, ptrdiff_t, float *) noexcept nogil
        void (*normal64)(const sc_stream *, uint64_t, ptrdiff_t, double *) noexcept nogil
        void (*normal32)(const sc_stream *, uint64_t, ptrdiff_t, float *) noexcept nogil
        void (*logistic64)(const sc_stream *, uint64_t, ptrdiff_t, double *) noexcept nogil
        void (*logistic32)(const sc_stream *, uint64_t, ptrdiff_t, float *) noexcept nogil
        void (*exponential64)(const sc_stream *, uint64_t, ptrdiff_t, double *) noexcept nogil
        void (*exponential32)(const sc_stream *, uint64_t, ptrdiff_t, float *) noexcept nogil
        void (*gumbel64)(const sc_stream *, uint64_t, ptrdiff_t, double *) noexcept nogil
        void (*gumbel32)(const sc_stream *, uint64_t, ptrdiff_t, float *) noexcept nogil
        void (*integers64)(const sc_stream *, uint64_t, ptrdiff_t, uint64_t, uint64_t, uint64_t *) noexcept nogil
        void (*integers32)(const sc_stream *, uint64_t, ptrdiff_t, uint32_t, uint64_t, uint32_t *) noexcept nogil
        void (*mask)(const sc_stream *, uint64_t, ptrdiff_t, uint64_t, uint8_t *) noexcept nogil

    enum:
        STOCHCORE_DRAW_VERSION

    ctypedef struct sc_draw:
        const sc_draw_table *table
        const double *theta
        ptrdiff_t n_theta
        const double *x
        ptrdiff_t n_x

    ctypedef void (*sc_simulator)(sc_draw *) noexcept nogil

    ctypedef struct sc_draw_table:
        uint32_t version
        uint32_t size
        int64_t (*bernoulli)(sc_draw *, ptrdiff_t, const double *, ptrdiff_t) noexcept nogil
        int64_t (*bernoulli_p)(sc_draw *, double) noexcept nogil
        int64_t (*categorical)(sc_draw *, ptrdiff_t, ptrdiff_t, const double *, ptrdiff_t) noexcept nogil
        int64_t (*categorical_p)(sc_draw *, const double *, ptrdiff_t) noexcept nogil
        int64_t (*tanh_policy)(sc_draw *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const double *, ptrdiff_t) noexcept nogil
        int64_t (*binomial)(sc_draw *, ptrdiff_t, int64_t, const double *, ptrdiff_t) noexcept nogil
        int64_t (*poisson)(sc_draw *, ptrdiff_t, const double *, ptrdiff_t) noexcept nogil
        int64_t (*geometric)(sc_draw *, ptrdiff_t, const double *, ptrdiff_t) noexcept nogil
        double (*exponential)(sc_draw *, ptrdiff_t, int) noexcept nogil
        double (*normal)(sc_draw *, ptrdiff_t, double, const double *, ptrdiff_t) noexcept nogil
        double (*uniform)(sc_draw *) noexcept nogil
        double (*standard_normal)(sc_draw *) noexcept nogil
        void (*cost)(sc_draw *, double) noexcept nogil
        void (*discount)(sc_draw *, double) noexcept nogil
        void (*add_score)(sc_draw *, ptrdiff_t, double) noexcept nogil
        void (*add_grad)(sc_draw *, ptrdiff_t, double) noexcept nogil
        double (*exp)(double) noexcept nogil
        double (*log)(double) noexcept nogil
        double (*sin)(double) noexcept nogil
        double (*cos)(double) noexcept nogil
        void (*fail)(sc_draw *) noexcept nogil
        void (*state)(sc_draw *, const double *, ptrdiff_t) noexcept nogil

    int64_t sc_draw_bernoulli(sc_draw *, ptrdiff_t i)
    int64_t sc_draw_bernoulli_linear(sc_draw *, ptrdiff_t i, const double *features, ptrdiff_t n)
    int64_t sc_draw_bernoulli_p(sc_draw *, double p)
    int64_t sc_draw_categorical(sc_draw *, ptrdiff_t i, ptrdiff_t k)
    int64_t sc_draw_categorical_linear(sc_draw *, ptrdiff_t i, ptrdiff_t k, const double *features, ptrdiff_t n)
    int64_t sc_draw_categorical_p(sc_draw *, const double *p, ptrdiff_t k)
    int64_t sc_draw_tanh_policy(sc_draw *, ptrdiff_t i, ptrdiff_t hidden, ptrdiff_t k, const double *features,
                                ptrdiff_t n)
    int64_t sc_draw_binomial(sc_draw *, ptrdiff_t i, int64_t trials)
    int64_t sc_draw_poisson(sc_draw *, ptrdiff_t i)
    int64_t sc_draw_geometric(sc_draw *, ptrdiff_t i)
    double sc_draw_exponential(sc_draw *, ptrdiff_t i, int log)
    double sc_draw_normal(sc_draw *, ptrdiff_t i, double scale)
    double sc_draw_uniform(sc_draw *)
    double sc_draw_standard_normal(sc_draw *)
    void sc_draw_cost(sc_draw *, double c)
    void sc_draw_discount(sc_draw *, double factor)
    void sc_draw_add_score(sc_draw *, ptrdiff_t i, double value)
    void sc_draw_add_grad(sc_draw *, ptrdiff_t i, double value)
    void sc_draw_state(sc_draw *, const double *features, ptrdiff_t n)


cdef extern from "stochcore.h":
    const sc_noise *sc_import_noise() except NULL
