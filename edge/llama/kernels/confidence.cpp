// What a row of logits says about how sure the model is, in two passes over it.

#include "ggml-backend.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>

namespace edgewise {

constexpr int LANES = 16;

struct Confidence {
    int32_t top;
    float peak;
    float second;
    float total;     // of exp(logit - peak)
    float expected;  // of (logit - peak) * exp(logit - peak), not yet divided by the total
};

// Within 2e-7 of the exponential function, from -87 to 0. A series, so that the compiler can make vectors of it.
static inline float exponential(float x) {
    const float shifted = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to a whole number of twos
    const float twos = shifted - 12582912.0f;
    const float rest = (x - twos * 0.693359375f) + twos * 2.12194440e-4f;
    const float series =
        1 + rest * (1 + rest * (1 / 2.0f + rest * (1 / 6.0f + rest * (1 / 24.0f + rest * (1 / 120.0f + rest / 720)))));
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4b400000 + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return series * power;
}

// The two largest, which are equal if the largest is there twice.
static void two_largest(const float * row, int words, float & peak, float & second) {
    float firsts[LANES], seconds[LANES];
    std::fill(firsts, firsts + LANES, -std::numeric_limits<float>::infinity());
    std::fill(seconds, seconds + LANES, -std::numeric_limits<float>::infinity());
    int start = 0;
    for (; start + LANES <= words; start += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            const float value = row[start + lane];
            const float smaller = value < firsts[lane] ? value : firsts[lane];
            seconds[lane] = smaller > seconds[lane] ? smaller : seconds[lane];
            firsts[lane] = value > firsts[lane] ? value : firsts[lane];
        }
    }
    peak = second = -std::numeric_limits<float>::infinity();
    const auto meet = [&](float value) {
        second = std::max(second, std::min(peak, value));
        peak = std::max(peak, value);
    };
    std::for_each(firsts, firsts + LANES, meet);
    std::for_each(seconds, seconds + LANES, meet);
    std::for_each(row + start, row + words, meet);
}

static int first_index(const float * row, int words, float wanted) {
    constexpr int STRIDE = 1024;
    int start = 0;
    for (; start + STRIDE <= words; start += STRIDE) {
        int found = 0;
        for (int i = start; i < start + STRIDE; i++) {
            found |= row[i] == wanted;
        }
        if (found) {
            break;
        }
    }
    return (int) (std::find(row + start, row + words, wanted) - row);
}

}  // namespace edgewise

extern "C" {
GGML_BACKEND_API void edgewise_confidence(const float * row, int32_t words, edgewise::Confidence * to) {
    using edgewise::LANES;
    edgewise::two_largest(row, words, to->peak, to->second);
    to->top = edgewise::first_index(row, words, to->peak);
    float totals[LANES] = {}, expected[LANES] = {};
    const auto add = [&](int lane, float logit) {
        const float below = std::max(logit - to->peak, -87.0f);  // less than that is nothing, and no number of its own
        const float weight = edgewise::exponential(below);
        totals[lane] += weight;
        expected[lane] += weight * below;
    };
    int start = 0;
    for (; start + LANES <= words; start += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            add(lane, row[start + lane]);
        }
    }
    for (int lane = 0; start + lane < words; lane++) {
        add(lane, row[start + lane]);
    }
    to->total = std::accumulate(totals, totals + LANES, 0.0f);
    to->expected = std::accumulate(expected, expected + LANES, 0.0f);
}
}
