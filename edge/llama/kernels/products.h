// Products of quantised weights with many tokens at once, for types where llama.cpp takes one token after the other
// (Q4_1) or a few (Q8_0).
//
// Weights lie in groups of as many rows as a vector has lanes: 32-bit words of 4 or 8 inputs stand beside the same words
// of the group's other rows, so one load brings a word of every row, and it is unpacked once for all tokens. An input is
// the same signed byte for all rows: it is broadcast, and nothing is ever summed across lanes. What comes out for a token
// does not depend on the tokens beside it.

#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgewise {

constexpr int BLOCK = 32;  // weights of a row that share a scale
constexpr int WORDS = 8;   // words of 4 inputs in a block

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)

constexpr bool HAS_BYTES = true;
constexpr int LANES = 16;
constexpr int TOKENS = 12;  // at once: their sums, the unpacked weights and what is in between fill the 32 registers
using Ints = __m512i;
using Floats = __m512;

inline Ints load(const uint8_t * from) { return _mm512_loadu_si512(from); }
inline Floats load_halves(const uint16_t * from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) from)); }
inline void store(float * to, Floats values) { _mm512_storeu_ps(to, values); }
inline Ints low_nibbles(Ints bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }
inline Ints high_nibbles(Ints bytes) { return low_nibbles(_mm512_srli_epi16(bytes, 4)); }
inline Floats zero() { return _mm512_setzero_ps(); }
inline Floats all(float value) { return _mm512_set1_ps(value); }
inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats times_plus(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

inline Floats dot(const Ints * weights, const int32_t * words) {
    Ints even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
    for (int i = 0; i < WORDS; i += 2) {
        even = _mm512_dpbusd_epi32(even, weights[i], _mm512_set1_epi32(words[i]));
        odd = _mm512_dpbusd_epi32(odd, weights[i + 1], _mm512_set1_epi32(words[i + 1]));
    }
    return _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

constexpr bool HAS_BYTES = false;  // a pair of products with weights above 127 does not fit the 16 bits of maddubs
constexpr int LANES = 8;
constexpr int TOKENS = 4;
using Ints = __m256i;
using Floats = __m256;

inline Ints load(const uint8_t * from) { return _mm256_loadu_si256((const __m256i *) from); }
inline Floats load_halves(const uint16_t * from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) from)); }
inline void store(float * to, Floats values) { _mm256_storeu_ps(to, values); }
inline Ints low_nibbles(Ints bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
inline Ints high_nibbles(Ints bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }
inline Floats zero() { return _mm256_setzero_ps(); }
inline Floats all(float value) { return _mm256_set1_ps(value); }
inline Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats times_plus(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

inline Floats dot(const Ints * weights, const int32_t * words) {
    Ints pairs = _mm256_setzero_si256();  // at most 8 * 2 * 15 * 127 = 30,480: a block of nibbles fits 16 bits
    for (int i = 0; i < WORDS; i++) {
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[i], _mm256_set1_epi32(words[i])));
    }
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#else
#define EDGEWISE_NO_KERNELS  // llama.cpp's own are used
#endif

// 32 inputs of one token, as signed bytes.
struct Inputs {
    int32_t words[WORDS];
    float scale;
    float sum;  // of the 32, as they are after rounding
};

inline void quantise(const float * from, Inputs & to) {
    uint32_t peak_bits = 0;  // of the absolute values: like the numbers themselves, their bits are in order
    for (int i = 0; i < BLOCK; i++) {
        uint32_t bits;
        std::memcpy(&bits, from + i, sizeof bits);
        peak_bits = std::max(peak_bits, bits & 0x7fffffffu);
    }
    float peak;
    std::memcpy(&peak, &peak_bits, sizeof peak);
    to.scale = peak / 127;
    const float inverse = to.scale > 1e-30f ? 1 / to.scale : 0;  // of less, the inverse need not be a number
    int8_t bytes[BLOCK];
    int32_t sum = 0;
    for (int i = 0; i < BLOCK; i++) {
        const float shifted = from[i] * inverse + 12582912.0f;  // 1.5 * 2^23, from where on a step is 1: this rounds
        int32_t rounded;
        std::memcpy(&rounded, &shifted, sizeof rounded);
        rounded -= 0x4b400000;
        bytes[i] = (int8_t) rounded;
        sum += bytes[i];
    }
    std::memcpy(to.words, bytes, sizeof bytes);
    to.sum = to.scale * (float) sum;
}

#ifndef EDGEWISE_NO_KERNELS

// Weights of 4 bits: scale * nibble + offset (llama.cpp's Q4_1), one block of each row of a group.
struct Nibbles {
    uint16_t scales[LANES];   // half precision
    uint16_t offsets[LANES];  // half precision
    uint8_t words[WORDS / 2][LANES][4];  // the low nibbles are inputs 0 to 15, the high ones 16 to 31

    static constexpr size_t ROW_BYTES = 20;  // of a block in llama.cpp: scale, offset, the words one after the other

    void pack(int lane, const uint8_t * block) {
        std::memcpy(&scales[lane], block, 2);
        std::memcpy(&offsets[lane], block + 2, 2);
        for (int i = 0; i < WORDS / 2; i++) {
            std::memcpy(words[i][lane], block + 4 + 4 * i, 4);
        }
    }

    void unpack(Ints * weights, Floats & scale, Floats & offset) const {
        scale = load_halves(scales);
        offset = load_halves(offsets);
        for (int i = 0; i < WORDS / 2; i++) {
            const Ints both = load(words[i][0]);
            weights[i] = low_nibbles(both);
            weights[i + WORDS / 2] = high_nibbles(both);
        }
    }
};

// Weights of 8 bits: scale * signed byte (llama.cpp's Q8_0), kept as bytes without sign and an offset of -128 * scale.
struct Bytes {
    uint16_t scales[LANES];  // half precision
    uint8_t words[WORDS][LANES][4];

    static constexpr size_t ROW_BYTES = 34;

    void pack(int lane, const uint8_t * block) {
        std::memcpy(&scales[lane], block, 2);
        for (int i = 0; i < BLOCK; i++) {
            words[i / 4][lane][i % 4] = block[2 + i] ^ 0x80;
        }
    }

    void unpack(Ints * weights, Floats & scale, Floats & offset) const {
        scale = load_halves(scales);
        offset = times(scale, all(-128));
        for (int i = 0; i < WORDS; i++) {
            weights[i] = load(words[i][0]);
        }
    }
};

// out[token][lane]: what a group of rows makes of up to TOKENS tokens. Strides in elements.
template <typename Weights, int tokens>
void multiply(const Weights * group, int blocks, const Inputs * inputs, size_t stride, float * out, size_t out_stride) {
    Floats sums[tokens];
    for (Floats & sum : sums) {
        sum = zero();
    }
    for (int block = 0; block < blocks; block++) {
        Ints weights[WORDS];
        Floats scale, offset;
        group[block].unpack(weights, scale, offset);
        for (int token = 0; token < tokens; token++) {
            const Inputs & input = inputs[token * stride + block];
            sums[token] = times_plus(dot(weights, input.words), times(scale, all(input.scale)), sums[token]);
            sums[token] = times_plus(offset, all(input.sum), sums[token]);
        }
    }
    for (int token = 0; token < tokens; token++) {
        store(out + token * out_stride, sums[token]);
    }
}

// The same for any number of tokens.
template <typename Weights, int tokens = TOKENS>
void multiply_all(const Weights * group, int blocks, int count, const Inputs * inputs, size_t stride, float * out,
                  size_t out_stride) {
    for (; count >= tokens; count -= tokens) {
        multiply<Weights, tokens>(group, blocks, inputs, stride, out, out_stride);
        inputs += tokens * stride;
        out += tokens * out_stride;
    }
    if constexpr (tokens > 1) {
        multiply_all<Weights, tokens - 1>(group, blocks, count, inputs, stride, out, out_stride);
    }
}

#endif

}  // namespace edgewise
