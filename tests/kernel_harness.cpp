// Lets tests/real/test_kernels.py call the products with plain arrays, compiled for whichever vectors it asks for.

#include "products.h"

#include <vector>

namespace {

template <typename Weights>
void multiply_plain(const uint8_t * rows, int row_count, int columns, const float * inputs, int tokens, float * out) {
    const int blocks = columns / edgewise::BLOCK;
    std::vector<Weights> group(blocks);
    std::vector<edgewise::Inputs> quantised(tokens * blocks);
    for (int i = 0; i < tokens * blocks; i++) {
        edgewise::quantise(inputs + i * edgewise::BLOCK, quantised[i]);
    }
    for (int first = 0; first < row_count; first += edgewise::LANES) {
        for (int i = 0; i < edgewise::LANES * blocks; i++) {
            const uint8_t * from = rows + (first * blocks + i) * Weights::ROW_BYTES;
            group[i % blocks].pack(i / blocks, from);
        }
        edgewise::multiply_all(group.data(), blocks, tokens, quantised.data(), blocks, out + first, row_count);
    }
}

}  // namespace

extern "C" {

int lanes() { return edgewise::LANES; }

int has_bytes() { return edgewise::HAS_BYTES; }

// Rows of Q4_1 or Q8_0 as in a GGUF; out is [tokens, rows].
void multiply_nibbles(const uint8_t * rows, int count, int columns, const float * inputs, int tokens, float * out) {
    multiply_plain<edgewise::Nibbles>(rows, count, columns, inputs, tokens, out);
}

void multiply_bytes(const uint8_t * rows, int count, int columns, const float * inputs, int tokens, float * out) {
    if constexpr (edgewise::HAS_BYTES) {
        multiply_plain<edgewise::Bytes>(rows, count, columns, inputs, tokens, out);
    }
}
}
