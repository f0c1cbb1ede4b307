// Runs one of the kernels on the processor, for tests without a card: each thread of a block is a thread here, and
// blocks follow one another. Usage: KERNEL BLOCKS THREADS_X THREADS_Y, with the arguments on the standard input, each
// after a letter for what it is. The tensors that the kernel overwrites go to the standard output.
//
// This file is compiled together with kernels.cu.

#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct float4 {
    float x, y, z, w;
};

static unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}

struct Index {
    unsigned x, y;
};
static thread_local Index threadIdx, blockIdx;
static Index blockDim;

struct Warp {
    std::barrier<> all{32};
    float values[32];
};
static std::vector<std::unique_ptr<Warp>> warps;
static std::unique_ptr<std::barrier<>> block;

static float __shfl_xor_sync(unsigned, float value, int other) {
    Warp &warp = *warps[threadIdx.y];
    warp.values[threadIdx.x] = value;
    warp.all.arrive_and_wait();
    float found = warp.values[threadIdx.x ^ other];
    warp.all.arrive_and_wait();
    return found;
}

static void __syncthreads() {
    block->arrive_and_wait();
}

#include KERNELS

// Words behind each tensor that no kernel may change.
static const unsigned BEHIND = 64;
static const unsigned UNTOUCHED = 0xabcdabcd;

struct Tensor {
    std::vector<unsigned> words;
    bool written;
};
static std::vector<std::unique_ptr<Tensor>> tensors;

static void fail(const char *reason) {
    fprintf(stderr, "%s\n", reason);
    exit(1);
}

static unsigned word() {
    unsigned value;
    if (fread(&value, 4, 1, stdin) != 1) {
        fail("an argument is missing");
    }
    return value;
}

template <typename T> struct Taken;

template <typename T> struct Taken<T *> {
    static T *take() {
        unsigned letter = word();
        if (letter == 'n') {
            return nullptr;
        }
        if (letter != 'r' && letter != 'w') {
            fail("a tensor was expected");
        }
        if (letter == 'w' && std::is_const<T>::value) {
            fail("a parameter that is only read was to be overwritten");
        }
        if (letter == 'r' && !std::is_const<T>::value) {
            fail("a parameter that is overwritten was to be read");
        }
        unsigned count = word();
        auto tensor = std::make_unique<Tensor>();
        tensor->written = letter == 'w';
        tensor->words.assign(count + BEHIND, UNTOUCHED);
        if (!tensor->written && fread(tensor->words.data(), 4, count, stdin) != count) {
            fail("values are missing");
        }
        T *values = (T *)tensor->words.data();
        tensors.push_back(std::move(tensor));
        return values;
    }
};

template <> struct Taken<unsigned> {
    static unsigned take() {
        if (word() != 'c') {
            fail("a count was expected");
        }
        return word();
    }
};

template <> struct Taken<float> {
    static float take() {
        if (word() != 'f') {
            fail("a number was expected");
        }
        unsigned bits = word();
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
};

template <typename... Parameters> static void run(void (*kernel)(Parameters...), unsigned blocks) {
    std::tuple<Parameters...> arguments{Taken<Parameters>::take()...};
    for (unsigned index = 0; index < blocks; index += 1) {
        warps.clear();
        for (unsigned warp = 0; warp < blockDim.y; warp += 1) {
            warps.push_back(std::make_unique<Warp>());
        }
        block = std::make_unique<std::barrier<>>(blockDim.x * blockDim.y);
        std::vector<std::thread> threads;
        for (unsigned y = 0; y < blockDim.y; y += 1) {
            for (unsigned x = 0; x < blockDim.x; x += 1) {
                threads.emplace_back([=] {
                    threadIdx = {x, y};
                    blockIdx = {index, 0};
                    std::apply(kernel, arguments);
                });
            }
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
    }
    for (auto &tensor : tensors) {
        size_t count = tensor->words.size() - BEHIND;
        for (size_t i = count; i < tensor->words.size(); i += 1) {
            if (tensor->words[i] != UNTOUCHED) {
                fail("a kernel wrote behind a tensor");
            }
        }
        if (tensor->written) {
            fwrite(tensor->words.data(), 4, count, stdout);
        }
    }
}

int main(int, char **words) {
    blockDim = {(unsigned)atoi(words[3]), (unsigned)atoi(words[4])};
    unsigned blocks = atoi(words[2]);
#define KERNEL(name)                                                                                                  \
    if (strcmp(words[1], #name) == 0) {                                                                               \
        run(name, blocks);                                                                                            \
        return 0;                                                                                                     \
    }
    KERNEL(norm_forward)
    KERNEL(norm_backward)
    KERNEL(softmax_forward)
    KERNEL(softmax_backward)
    KERNEL(activate)
    KERNEL(activation_backward)
    KERNEL(round_to_bf16)
    KERNEL(add_blocks)
    KERNEL(add_bias)
    KERNEL(sums_of_examples)
    KERNEL(split_heads)
    KERNEL(merge_heads)
    KERNEL(norms_of_models)
    KERNEL(adamw)
    fail("there is no such kernel");
}
