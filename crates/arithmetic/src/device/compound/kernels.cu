// What consists of several operations of tensors, each as one kernel. Formulas and names are those of the compositions
// in composition.rs.
//
// A row is processed by one warp: a block has 32 x WARPS threads, and threadIdx.y is the row within the block. Other
// kernels have a thread for each value of their result, or for each vector of four. Pointers that may be null are marked.
//
// What the next product multiplies in bf16 is written to `rounded` in place of `result`, of which one is null.

typedef unsigned int u32;
typedef unsigned short bf16;

// The nearest number of bf16, to even where two are as near.
static __device__ bf16 rounded_to_bf16(float value) {
    u32 bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (bf16)(bits >> 16 | 0x40u);
    }
    return (bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static __device__ void write(float value, size_t place, float *result, bf16 *rounded) {
    if (rounded) {
        rounded[place] = rounded_to_bf16(value);
    } else {
        result[place] = value;
    }
}

static __device__ float sum_of_warp(float value) {
    for (int other = 16; other > 0; other /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, other);
    }
    return value;
}

static __device__ float largest_of_warp(float value) {
    for (int other = 16; other > 0; other /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, other));
    }
    return value;
}

static __device__ u32 row_of_warp() {
    return blockIdx.x * blockDim.y + threadIdx.y;
}

static __device__ u32 value_of_thread() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ float gelu_of(float x, float *slope) {
    float distribution = 0.5f * erff(x * 0.70710678f) + 0.5f;
    *slope = distribution + x * (expf(-0.5f * x * x) * 0.39894228f);
    return x * distribution;
}

// Layer norm. Without factors and summands `weight`, `bias` and `result` are null.
extern "C" __global__ void norm_forward(
    const float *x, const float *weight, const float *bias, float epsilon, u32 rows, u32 width, float *result,
    float *normalized, float *inverse_deviation) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * width;
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        sum += x[begin + i];
    }
    float mean = sum_of_warp(sum) / width;
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float centred = x[begin + i] - mean;
        squares += centred * centred;
    }
    float inverse = 1.0f / sqrtf(sum_of_warp(squares) / width + epsilon);
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float value = (x[begin + i] - mean) * inverse;
        normalized[begin + i] = value;
        if (result) {
            result[begin + i] = value * weight[i] + bias[i];
        }
    }
    if (threadIdx.x == 0) {
        inverse_deviation[row] = inverse;
    }
}

// The gradient with respect to a layer norm's input, plus `to`. `weight` and `to` may be null.
extern "C" __global__ void norm_backward(
    const float *gradient, const float *weight, const float *normalized, const float *inverse_deviation,
    const float *to, u32 rows, u32 width, float *result) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * width;
    float sum = 0.0f;
    float along = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float weighted = gradient[begin + i] * (weight ? weight[i] : 1.0f);
        sum += weighted;
        along += weighted * normalized[begin + i];
    }
    float mean = sum_of_warp(sum) / width;
    float projection = sum_of_warp(along) / width;
    float inverse = inverse_deviation[row];
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float weighted = gradient[begin + i] * (weight ? weight[i] : 1.0f);
        float towards = (weighted - mean - normalized[begin + i] * projection) * inverse;
        result[begin + i] = to ? to[begin + i] + towards : towards;
    }
}

// The softmax of scale x scores over the first `lengths[example]` places of each row of `tokens`. The others become 0.
extern "C" __global__ void softmax_forward(
    const float *scores, const u32 *lengths, float scale, u32 rows, u32 rows_of_example, u32 tokens, float *weights) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * tokens;
    u32 length = lengths[row / rows_of_example];
    float largest = -3.402823466e38f;
    for (u32 i = threadIdx.x; i < length; i += 32) {
        largest = fmaxf(largest, scale * scores[begin + i]);
    }
    largest = largest_of_warp(largest);
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < length; i += 32) {
        float share = expf(scale * scores[begin + i] - largest);
        weights[begin + i] = share;
        sum += share;
    }
    sum = sum_of_warp(sum);
    for (u32 i = threadIdx.x; i < tokens; i += 32) {
        weights[begin + i] = i < length ? weights[begin + i] / sum : 0.0f;
    }
}

// The gradient with respect to the scores from the one with respect to the weights.
extern "C" __global__ void softmax_backward(
    const float *towards_weights, const float *weights, float scale, u32 rows, u32 tokens, float *towards_scores) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * tokens;
    float along = 0.0f;
    for (u32 i = threadIdx.x; i < tokens; i += 32) {
        along += towards_weights[begin + i] * weights[begin + i];
    }
    along = sum_of_warp(along);
    for (u32 i = threadIdx.x; i < tokens; i += 32) {
        towards_scores[begin + i] = scale * weights[begin + i] * (towards_weights[begin + i] - along);
    }
}

// The place of a value's bias, if blocks of `rows` rows of `width` values have a bias each.
static __device__ u32 place_of_bias(u32 i, u32 rows, u32 width) {
    return i / (rows * width) * width + i % width;
}

// gelu(x + bias) and its slope. `slope` may be null.
extern "C" __global__ void gelu(
    const float *x, const float *bias, u32 count, u32 rows, u32 width, float *result, bf16 *rounded, float *slope) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    float derivative;
    write(gelu_of(x[i] + bias[place_of_bias(i, rows, width)], &derivative), i, result, rounded);
    if (slope) {
        slope[i] = derivative;
    }
}

// x times factors.
extern "C" __global__ void multiply(const float *x, const float *factors, u32 count, float *result, bf16 *rounded) {
    u32 i = value_of_thread();
    if (i < count) {
        write(x[i] * factors[i], i, result, rounded);
    }
}

extern "C" __global__ void round_to_bf16(const float *x, u32 count, bf16 *rounded) {
    u32 i = value_of_thread();
    if (i < count) {
        rounded[i] = rounded_to_bf16(x[i]);
    }
}

// to + from, of which block number places[b] is added to block b of `to`, all with `length` values. Nothing is added
// where the number is not below `blocks`.
extern "C" __global__ void add_blocks(
    const float *to, const float *from, const u32 *places, u32 count, u32 length, u32 blocks, float *result) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 place = places[i / length];
    result[i] = to[i] + (place < blocks ? from[(size_t)place * length + i % length] : 0.0f);
}

// x + bias + to, which may be null.
extern "C" __global__ void add_bias(
    const float *x, const float *bias, const float *to, u32 count, u32 rows, u32 width, float *result) {
    u32 i = value_of_thread();
    if (i < count) {
        result[i] = x[i] + bias[place_of_bias(i, rows, width)] + (to ? to[i] : 0.0f);
    }
}

// The sum of the rows of every example.
extern "C" __global__ void sums_of_examples(
    const float *rows, const u32 *first, const u32 *lengths, u32 count, u32 width, float *sums) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 example = i / width;
    const float *own = rows + (size_t)first[example] * width + i % width;
    float sum = 0.0f;
    for (u32 row = 0; row < lengths[example]; row += 1) {
        sum += own[(size_t)row * width];
    }
    sums[i] = sum;
}

// From rows (tokens of all examples, parts x heads x head_width) to a table (parts, examples, heads, tokens,
// head_width), with zeros behind the last token of an example. A thread copies a vector of 4 values if `vectors` is 4, or
// a value if it is 1; `count` and `head_width` are numbers of vectors.
extern "C" __global__ void split_heads(
    const float *from, const u32 *first, const u32 *lengths, u32 count, u32 parts, u32 examples, u32 heads,
    u32 tokens, u32 head_width, u32 vectors, float *to) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 column = i % head_width;
    u32 rest = i / head_width;
    u32 token = rest % tokens;
    rest /= tokens;
    u32 head = rest % heads;
    rest /= heads;
    u32 example = rest % examples;
    u32 part = rest / examples;
    size_t row = (size_t)first[example] + token;
    size_t place = (row * parts + part) * heads * head_width + head * head_width + column;
    bool real = token < lengths[example];
    if (vectors == 4) {
        float4 zeros = {0.0f, 0.0f, 0.0f, 0.0f};
        ((float4 *)to)[i] = real ? ((const float4 *)from)[place] : zeros;
    } else {
        to[i] = real ? from[place] : 0.0f;
    }
}

// The way back, from a table for each part. The second and the third are null if there is one part.
extern "C" __global__ void merge_heads(
    const float *part0, const float *part1, const float *part2, const u32 *first, const u32 *example_of_row,
    u32 count, u32 parts, u32 heads, u32 tokens, u32 head_width, u32 vectors, float *result, bf16 *rounded) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 column = i % head_width;
    u32 rest = i / head_width;
    u32 head = rest % heads;
    rest /= heads;
    u32 part = rest % parts;
    u32 row = rest / parts;
    u32 example = example_of_row[row];
    u32 token = row - first[example];
    const float *from = part == 0 ? part0 : part == 1 ? part1 : part2;
    size_t place = (((size_t)example * heads + head) * tokens + token) * head_width + column;
    if (vectors == 4) {
        float4 values = ((const float4 *)from)[place];
        if (rounded) {
            u32 *pairs = (u32 *)rounded + (size_t)i * 2;
            pairs[0] = rounded_to_bf16(values.x) | (u32)rounded_to_bf16(values.y) << 16;
            pairs[1] = rounded_to_bf16(values.z) | (u32)rounded_to_bf16(values.w) << 16;
        } else {
            ((float4 *)result)[i] = values;
        }
    } else {
        write(from[place], i, result, rounded);
    }
}

// The norm of each model's gradients, whose positions are `values`, (models, most). Positions from `count` on do not
// count. A model has a block of 32 x WARPS threads.
extern "C" __global__ void norms_of_models(
    const float *gradients, const u32 *values, u32 count, u32 most, float *norms) {
    __shared__ float sums[32];
    u32 thread = threadIdx.y * 32 + threadIdx.x;
    const u32 *own = values + (size_t)blockIdx.x * most;
    float sum = 0.0f;
    for (u32 place = thread; place < most; place += 32 * blockDim.y) {
        if (own[place] < count) {
            float gradient = gradients[own[place]];
            sum += gradient * gradient;
        }
    }
    sum = sum_of_warp(sum);
    if (threadIdx.x == 0) {
        sums[threadIdx.y] = sum;
    }
    __syncthreads();
    if (thread == 0) {
        float all = 0.0f;
        for (u32 warp = 0; warp < blockDim.y; warp += 1) {
            all += sums[warp];
        }
        norms[blockIdx.x] = sqrtf(all);
    }
}

// One step of AdamW on gradients that are shortened to the norm `clip`. `means_now` and `squares_now` replace the
// moments, and `result` the values.
extern "C" __global__ void adamw(
    const float *values, const float *gradients, const float *means, const float *squares, const float *rates,
    const u32 *model_of_value, const float *norms, float clip, float factor, float weight_decay, float mean_decay,
    float mean_share, float square_decay, float square_share, float mean_scale, float square_scale, float epsilon,
    u32 count, float *result, float *means_now, float *squares_now) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    float gradient = gradients[i] * fminf(clip / norms[model_of_value[i]], 1.0f);
    float mean = means[i] * mean_decay + gradient * mean_share;
    float square = squares[i] * square_decay + gradient * gradient * square_share;
    float rate = rates[i] * factor;
    float update = mean * mean_scale / (sqrtf(square * square_scale) + epsilon);
    result[i] = values[i] * (1.0f - rate * weight_decay) - rate * update;
    means_now[i] = mean;
    squares_now[i] = square;
}
