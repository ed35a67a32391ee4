/* vw_look_up in registers of 256 bits, for AVX2 and AVX-512: a shuffle of bytes is sixteen look-ups, twice. The sums of
 * lanes 0-7, 8-15, 16-23, 24-31. */
#ifndef SC_LANES_LOOK_UP_H
#define SC_LANES_LOOK_UP_H

SC_WORD __m256i sc_look(const uint8_t *table, __m256i at)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), at);
}
/* Four numbers below 64 fit in a byte. Sums of 16 bits stand in lanes of 16, even ones beside odd ones; the even ones have
 * 256 times the odd ones on top of them until the end. */
SC_WORD void sc_look_up(const uint8_t *x, ptrdiff_t stride, ptrdiff_t n, const uint8_t *t, ptrdiff_t step,
                        __m256i sum[4])
{
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i even[3], odd[3];
    for (int p = 0; p < 3; p++) even[p] = odd[p] = _mm256_setzero_si256();
    for (ptrdiff_t k = 0; k < n; k += 2, x += 2 * stride, t += 4 * step) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)x), b = _mm256_loadu_si256((const __m256i *)(x + stride));
        const __m256i al = _mm256_and_si256(a, mask), ah = _mm256_and_si256(_mm256_srli_epi16(a, 4), mask);
        const __m256i bl = _mm256_and_si256(b, mask), bh = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
        for (int p = 0; p < 3; p++) {
            const uint8_t *own = t + 16 * p;
            const __m256i low = _mm256_add_epi8(sc_look(own, al), sc_look(own + step, ah));
            const __m256i high = _mm256_add_epi8(sc_look(own + 2 * step, bl), sc_look(own + 3 * step, bh));
            const __m256i four = _mm256_add_epi8(low, high);
            even[p] = _mm256_add_epi16(even[p], four);
            odd[p] = _mm256_add_epi16(odd[p], _mm256_srli_epi16(four, 8));
        }
    }
    for (int p = 2; p >= 0; p--) {
        const __m256i own = _mm256_sub_epi16(even[p], _mm256_slli_epi16(odd[p], 8));
        const __m256i low = _mm256_unpacklo_epi16(own, odd[p]), high = _mm256_unpackhi_epi16(own, odd[p]);
        const __m256i part[4] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(low)),
                                 _mm256_cvtepu16_epi32(_mm256_castsi256_si128(high)),
                                 _mm256_cvtepu16_epi32(_mm256_extracti128_si256(low, 1)),
                                 _mm256_cvtepu16_epi32(_mm256_extracti128_si256(high, 1))};
        for (int i = 0; i < 4; i++) sum[i] = p == 2 ? part[i] : _mm256_add_epi32(_mm256_slli_epi32(sum[i], 6), part[i]);
    }
}

#endif
