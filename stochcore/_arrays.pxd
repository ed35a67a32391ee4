cpdef bint plain(object value) noexcept
