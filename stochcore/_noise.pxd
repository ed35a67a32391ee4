from ._dispatch cimport sc_stream

cdef sc_stream stream_of(object stream) except *
