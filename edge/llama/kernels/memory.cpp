// Gives llama.cpp the products of products.h, as one more kind of memory for weights: see ggml-cpu/traits.h.

#include "products.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "traits.h"

#include <vector>

namespace edgewise {

#ifndef EDGEWISE_NO_KERNELS

// What llama.cpp asks of a kind of weight. A row of results is one token's.
template <typename Weights> class Kernel : public ggml::cpu::tensor_traits {
  public:
    static void pack(const ggml_tensor * tensor, const uint8_t * from) {
        const int64_t blocks = tensor->ne[0] / BLOCK;
        auto * group = (Weights *) tensor->data;
        for (int64_t row = 0; row < tensor->ne[1]; row++) {
            for (int64_t block = 0; block < blocks; block++, from += Weights::ROW_BYTES) {
                group[row / LANES * blocks + block].pack(row % LANES, from);
            }
        }
    }

  private:
    bool work_size(int, const ggml_tensor * op, size_t & size) override {
        size = ggml_nelements(op->src[1]) / BLOCK * sizeof(Inputs);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        if (op->op != GGML_OP_MUL_MAT) {
            return false;
        }
        quantise_all(params, op->src[1]);
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);
        multiply_groups(params, op);
        return true;
    }

    static void quantise_all(const ggml_compute_params * params, const ggml_tensor * source) {
        const int64_t blocks = source->ne[0] / BLOCK, all = blocks * ggml_nrows(source);
        for (int64_t i = all * params->ith / params->nth; i < all * (params->ith + 1) / params->nth; i++) {
            const auto * from = (const float *) row(source, i / blocks) + i % blocks * BLOCK;
            quantise(from, ((Inputs *) params->wdata)[i]);
        }
    }

    static void multiply_groups(const ggml_compute_params * params, const ggml_tensor * op) {
        const ggml_tensor * weights = op->src[0];
        const auto * inputs = (const Inputs *) params->wdata;
        const int64_t blocks = weights->ne[0] / BLOCK, groups = weights->ne[1] / LANES, tokens = op->ne[1];
        // Pieces that are small enough to balance threads of unequal speed, and too large for their counter to matter.
        const int64_t piece = std::max<int64_t>(1, groups / (4 * params->nth)), pieces = (groups + piece - 1) / piece;
        for (int64_t next = params->ith; next < pieces; next = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            for (int64_t group = next * piece; group < std::min(groups, (next + 1) * piece); group++) {
                for (int64_t first = 0; first < ggml_nrows(op); first += tokens) {
                    multiply_all((const Weights *) weights->data + group * blocks, (int) blocks, (int) tokens,
                                 inputs + first * blocks, blocks, (float *) row(op, first) + group * LANES,
                                 op->nb[1] / sizeof(float));
                }
            }
        }
    }

    static char * row(const ggml_tensor * tensor, int64_t index) {
        const int64_t i1 = index % tensor->ne[1], i2 = index / tensor->ne[1] % tensor->ne[2];
        const int64_t i3 = index / (tensor->ne[1] * tensor->ne[2]);
        return (char *) tensor->data + i1 * tensor->nb[1] + i2 * tensor->nb[2] + i3 * tensor->nb[3];
    }
};

static Kernel<Nibbles> nibbles;
static Kernel<Bytes> bytes;

static bool fits(const ggml_tensor * weights) {
    const bool known = weights->type == GGML_TYPE_Q4_1 || (HAS_BYTES && weights->type == GGML_TYPE_Q8_0);
    return known && ggml_n_dims(weights) == 2 && weights->ne[1] % LANES == 0;
}

static ggml_status init_tensor(ggml_backend_buffer_t, ggml_tensor * tensor) {
    static_assert(sizeof(Nibbles) == LANES * Nibbles::ROW_BYTES && sizeof(Bytes) == LANES * Bytes::ROW_BYTES,
                  "packed weights take the room that llama.cpp has reserved");
    tensor->extra = tensor->type == GGML_TYPE_Q4_1 ? (ggml::cpu::tensor_traits *) &nibbles : &bytes;
    return GGML_STATUS_SUCCESS;
}

static void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor));
    const auto * from = (const uint8_t *) data;
    tensor->type == GGML_TYPE_Q4_1 ? Kernel<Nibbles>::pack(tensor, from) : Kernel<Bytes>::pack(tensor, from);
}

static ggml_backend_buffer_type * buffer_type();

class Memory : public ggml::cpu::extra_buffer_type {
    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        const ggml_tensor * inputs = op->src[1];
        return op->op == GGML_OP_MUL_MAT && is_here(op->src[0]) && fits(op->src[0]) && inputs->type == GGML_TYPE_F32 &&
               (inputs->buffer == nullptr || ggml_backend_buft_is_host(inputs->buffer->buft));
    }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        const bool ours = op->op == GGML_OP_MUL_MAT && is_here(op->src[0]);
        return ours ? (ggml::cpu::tensor_traits *) op->src[0]->extra : nullptr;
    }

    static bool is_here(const ggml_tensor * tensor) {
        return tensor->buffer != nullptr && tensor->buffer->buft == buffer_type();
    }
};

static ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer != nullptr) {
        buffer->buft = type;
        buffer->iface.init_tensor = init_tensor;
        buffer->iface.set_tensor = set_tensor;
        buffer->iface.get_tensor = nullptr;  // nobody reads weights back, and they would be in another order
        buffer->iface.cpy_tensor = nullptr;
    }
    return buffer;
}

static ggml_backend_buffer_type * buffer_type() {
    static ggml_backend_buffer_type type = {
        {
            [](ggml_backend_buffer_type_t) { return "CPU_EDGEWISE"; },
            allocate,
            [](ggml_backend_buffer_type_t) -> size_t { return 64; },
            nullptr,  // no largest size
            nullptr,  // a tensor takes as much room as in the file
            nullptr,  // not for other code: the order of the weights is our own
        },
        ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
        new Memory(),
    };
    return &type;
}

#endif

}  // namespace edgewise

// Models that are loaded from now on use these kernels where llama.cpp has no special ones. False if this build has none.
// To be called before the first model is loaded: llama.cpp then makes its list of kinds of memory.
extern "C" {
GGML_BACKEND_API bool edgewise_use_kernels(void) {
#ifdef EDGEWISE_NO_KERNELS
    return false;
#else
    auto & types = ggml_backend_cpu_get_extra_buffer_types();
    if (std::find(types.begin(), types.end(), edgewise::buffer_type()) == types.end()) {
        types.push_back(edgewise::buffer_type());
    }
    return true;
#endif
}
}
