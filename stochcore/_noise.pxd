from . cimport sc_stream


cdef class Address:
    cdef sc_stream c
    cdef bint ended  # the offset is 2^64, which c.offset shows as 0

cdef sc_stream stream_of(Address stream) except *
