"""stochcore.h for Cython: ``from stochcore cimport sc_stream, sc_uniform``; compile with
``include_dirs=[stochcore.get_include()]``. docs/c-api.md has a complete example."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


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


cdef extern from "stochcore.h":
    const sc_noise *sc_import_noise() except NULL
