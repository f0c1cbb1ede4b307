// What consists of several operations of tensors, each as one kernel. Formulas and names are those of the compositions
// in composition.rs.
//
// A row is processed by one warp: a block has 32 x WARPS threads, and threadIdx.y is the row within the block. Other
// kernels have a thread for each value of their result, or for each four of them if `vectors` is 4 and not 1; then `count`,
// `width` and `length` are numbers of fours. Pointers that may be null are marked.
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

// Neighbouring values, which one thread reads and writes at once.
template <u32 count> struct Values {
    float each[count];
};

template <u32 count> static __device__ Values<count> read(const float *from, size_t place) {
    Values<count> values;
    if (count == 4) {
        float4 found = ((const float4 *)from)[place];
        values.each[0] = found.x;
        values.each[1 % count] = found.y;
        values.each[2 % count] = found.z;
        values.each[3 % count] = found.w;
    } else {
        values.each[0] = from[place];
    }
    return values;
}

template <u32 count> static __device__ void write(Values<count> values, size_t place, float *result, bf16 *rounded) {
    const float *each = values.each;
    if (count == 4 && rounded) {
        u32 *pairs = (u32 *)rounded + place * 2;
        pairs[0] = rounded_to_bf16(each[0]) | (u32)rounded_to_bf16(each[1 % count]) << 16;
        pairs[1] = rounded_to_bf16(each[2 % count]) | (u32)rounded_to_bf16(each[3 % count]) << 16;
    } else if (count == 4) {
        ((float4 *)result)[place] = {each[0], each[1 % count], each[2 % count], each[3 % count]};
    } else if (rounded) {
        rounded[place] = rounded_to_bf16(each[0]);
    } else {
        result[place] = each[0];
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

// The activations by their numbers: the exact gelu, gelu by tanh, quick gelu and silu.
static __device__ float activated(u32 activation, float x, float *slope) {
    if (activation == 0) {
        float distribution = 0.5f * erff(x * 0.70710678f) + 0.5f;
        *slope = distribution + x * (expf(-0.5f * x * x) * 0.39894228f);
        return x * distribution;
    }
    // The others are x times the logistic function of u.
    float steepness = activation == 1 ? 1.5957691f : activation == 2 ? 1.702f : 1.0f;
    float cubic = activation == 1 ? 0.044715f : 0.0f;
    float u = steepness * x * (1.0f + cubic * x * x);
    float share = 1.0f / (1.0f + expf(-u));
    *slope = share + x * share * (1.0f - share) * (steepness * (1.0f + 3.0f * cubic * x * x));
    return x * share;
}

// Layer norm, or RMS norm if `centred` is 0. Without factors and summands `weight` and `bias` are null, and so are `result`
// and `rounded`. `normalized` and `means` may be null.
extern "C" __global__ void norm_forward(
    const float *__restrict__ x, const float *__restrict__ weight, const float *__restrict__ bias, u32 centred,
    float epsilon, u32 rows, u32 width, float *__restrict__ result, bf16 *__restrict__ rounded, float *__restrict__ normalized,
    float *__restrict__ means, float *__restrict__ inverse_deviation) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * width;
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        sum += x[begin + i];
    }
    float mean = centred ? sum_of_warp(sum) / width : 0.0f;
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float centred = x[begin + i] - mean;
        squares += centred * centred;
    }
    float inverse = 1.0f / sqrtf(sum_of_warp(squares) / width + epsilon);
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float value = (x[begin + i] - mean) * inverse;
        if (normalized) {
            normalized[begin + i] = value;
        }
        if (result) {
            result[begin + i] = value * weight[i] + bias[i];
        } else if (rounded) {
            rounded[begin + i] = rounded_to_bf16(value * weight[i] + bias[i]);
        }
    }
    if (threadIdx.x == 0) {
        inverse_deviation[row] = inverse;
        if (means) {
            means[row] = mean;
        }
    }
}

// The gradient with respect to a norm's input, plus `to`. With `means`, `normalized` is that input. `weight`,
// `means` and `to` may be null.
extern "C" __global__ void norm_backward(
    const float *__restrict__ gradient, const float *__restrict__ weight, const float *__restrict__ normalized,
    const float *__restrict__ means, const float *__restrict__ inverse_deviation, const float *__restrict__ to, u32 centred,
    u32 rows, u32 width, float *__restrict__ result) {
    u32 row = row_of_warp();
    if (row >= rows) {
        return;
    }
    size_t begin = (size_t)row * width;
    float inverse = inverse_deviation[row];
    float shift = means ? means[row] : 0.0f;
    float factor = means ? inverse : 1.0f;
    float sum = 0.0f;
    float along = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float weighted = gradient[begin + i] * (weight ? weight[i] : 1.0f);
        sum += weighted;
        along += weighted * ((normalized[begin + i] - shift) * factor);
    }
    float mean = centred ? sum_of_warp(sum) / width : 0.0f;
    float projection = sum_of_warp(along) / width;
    for (u32 i = threadIdx.x; i < width; i += 32) {
        float weighted = gradient[begin + i] * (weight ? weight[i] : 1.0f);
        float value = (normalized[begin + i] - shift) * factor;
        float towards = (weighted - mean - value * projection) * inverse;
        result[begin + i] = to ? to[begin + i] + towards : towards;
    }
}

// The softmax of scale x scores over the first `lengths[example]` places of each row of `tokens`. The others become 0.
extern "C" __global__ void softmax_forward(
    const float *__restrict__ scores, const u32 *__restrict__ lengths, float scale, u32 rows, u32 rows_of_example, u32 tokens, float *__restrict__ weights) {
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
        sum += expf(scale * scores[begin + i] - largest);
    }
    sum = sum_of_warp(sum);
    for (u32 i = threadIdx.x; i < tokens; i += 32) {
        weights[begin + i] = i < length ? expf(scale * scores[begin + i] - largest) / sum : 0.0f;
    }
}

// The gradient with respect to the scores from the one with respect to the weights.
extern "C" __global__ void softmax_backward(
    const float *__restrict__ towards_weights, const float *__restrict__ weights, float scale, u32 rows, u32 tokens, float *__restrict__ towards_scores) {
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

template <u32 vectors>
static __device__ void activate_values(
    const float *x, const float *bias, u32 i, u32 rows, u32 width, u32 activation, float *result, bf16 *rounded,
    float *slope) {
    Values<vectors> values = read<vectors>(x, i);
    Values<vectors> biases = read<vectors>(bias, place_of_bias(i, rows, width));
    Values<vectors> slopes;
    for (u32 k = 0; k < vectors; k += 1) {
        values.each[k] = activated(activation, values.each[k] + biases.each[k], &slopes.each[k]);
    }
    write(values, i, result, rounded);
    if (slope) {
        write(slopes, i, slope, (bf16 *)0);
    }
}

// f(x + bias) and its slope, with an activation f. `slope` may be null.
extern "C" __global__ void activate(
    const float *__restrict__ x, const float *__restrict__ bias, u32 count, u32 rows, u32 width, u32 vectors,
    u32 activation, float *__restrict__ result, bf16 *__restrict__ rounded, float *__restrict__ slope) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    if (vectors == 4) {
        activate_values<4>(x, bias, i, rows, width, activation, result, rounded, slope);
    } else {
        activate_values<1>(x, bias, i, rows, width, activation, result, rounded, slope);
    }
}

template <u32 vectors>
static __device__ void activation_backward_of_values(
    const float *gradient, const float *x, const float *bias, u32 i, u32 rows, u32 width, u32 activation,
    float *result, bf16 *rounded) {
    Values<vectors> gradients = read<vectors>(gradient, i);
    Values<vectors> values = read<vectors>(x, i);
    Values<vectors> biases = read<vectors>(bias, place_of_bias(i, rows, width));
    for (u32 k = 0; k < vectors; k += 1) {
        float slope;
        activated(activation, values.each[k] + biases.each[k], &slope);
        gradients.each[k] *= slope;
    }
    write(gradients, i, result, rounded);
}

// The gradient with respect to x + bias from the one with respect to f(x + bias).
extern "C" __global__ void activation_backward(
    const float *__restrict__ gradient, const float *__restrict__ x, const float *__restrict__ bias, u32 count, u32 rows,
    u32 width, u32 vectors, u32 activation, float *__restrict__ result, bf16 *__restrict__ rounded) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    if (vectors == 4) {
        activation_backward_of_values<4>(gradient, x, bias, i, rows, width, activation, result, rounded);
    } else {
        activation_backward_of_values<1>(gradient, x, bias, i, rows, width, activation, result, rounded);
    }
}

extern "C" __global__ void round_to_bf16(
    const float *__restrict__ x, u32 count, u32 vectors, bf16 *__restrict__ rounded) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    if (vectors == 4) {
        write(read<4>(x, i), i, (float *)0, rounded);
    } else {
        write(read<1>(x, i), i, (float *)0, rounded);
    }
}

template <u32 vectors>
static __device__ void add_bias_to_values(
    const float *x, const float *bias, const float *to, u32 i, u32 rows, u32 width, float *result) {
    Values<vectors> values = read<vectors>(x, i);
    Values<vectors> biases = read<vectors>(bias, place_of_bias(i, rows, width));
    for (u32 k = 0; k < vectors; k += 1) {
        values.each[k] += biases.each[k];
    }
    if (to) {
        Values<vectors> before = read<vectors>(to, i);
        for (u32 k = 0; k < vectors; k += 1) {
            values.each[k] += before.each[k];
        }
    }
    write(values, i, result, (bf16 *)0);
}

// x + bias + to, which may be null.
extern "C" __global__ void add_bias(
    const float *__restrict__ x, const float *__restrict__ bias, const float *__restrict__ to, u32 count, u32 rows,
    u32 width, u32 vectors, float *__restrict__ result) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    if (vectors == 4) {
        add_bias_to_values<4>(x, bias, to, i, rows, width, result);
    } else {
        add_bias_to_values<1>(x, bias, to, i, rows, width, result);
    }
}

template <u32 vectors>
static __device__ void add_block_to_values(
    const float *to, const float *from, const u32 *places, u32 i, u32 length, u32 blocks, float *result) {
    Values<vectors> values = read<vectors>(to, i);
    u32 place = places[i / length];
    if (place < blocks) {
        Values<vectors> added = read<vectors>(from, (size_t)place * length + i % length);
        for (u32 k = 0; k < vectors; k += 1) {
            values.each[k] += added.each[k];
        }
    }
    write(values, i, result, (bf16 *)0);
}

// to + from, of which block number places[b] is added to block b of `to`, all with `length` values. Nothing is added
// where the number is not below `blocks`.
extern "C" __global__ void add_blocks(
    const float *__restrict__ to, const float *__restrict__ from, const u32 *__restrict__ places, u32 count, u32 length,
    u32 blocks, u32 vectors, float *__restrict__ result) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    if (vectors == 4) {
        add_block_to_values<4>(to, from, places, i, length, blocks, result);
    } else {
        add_block_to_values<1>(to, from, places, i, length, blocks, result);
    }
}

// The sum of the rows of every example.
extern "C" __global__ void sums_of_examples(
    const float *__restrict__ rows, const u32 *__restrict__ first, const u32 *__restrict__ lengths, u32 count, u32 width, float *__restrict__ sums) {
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

template <u32 vectors>
static __device__ void split_values(
    const float *from, const float *bias, u32 i, size_t row, u32 column, bool real, u32 row_width, float *to) {
    Values<vectors> values = {};
    if (real) {
        values = read<vectors>(from, row * row_width + column);
        if (bias) {
            Values<vectors> biases = read<vectors>(bias, column);
            for (u32 k = 0; k < vectors; k += 1) {
                values.each[k] += biases.each[k];
            }
        }
    }
    write(values, i, to, (bf16 *)0);
}

// From rows (tokens of all examples, parts x heads x width) plus a bias, which may be null, to a table (parts, examples,
// heads, tokens, width), with zeros behind the last token of an example.
extern "C" __global__ void split_heads(
    const float *__restrict__ from, const float *__restrict__ bias, const u32 *__restrict__ first,
    const u32 *__restrict__ lengths, u32 count, u32 parts, u32 examples, u32 heads, u32 tokens, u32 width, u32 vectors,
    float *__restrict__ to) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 column = i % width;
    u32 rest = i / width;
    u32 token = rest % tokens;
    rest /= tokens;
    u32 head = rest % heads;
    rest /= heads;
    u32 example = rest % examples;
    u32 part = rest / examples;
    size_t row = (size_t)first[example] + token;
    column += (part * heads + head) * width;
    bool real = token < lengths[example];
    if (vectors == 4) {
        split_values<4>(from, bias, i, row, column, real, parts * heads * width, to);
    } else {
        split_values<1>(from, bias, i, row, column, real, parts * heads * width, to);
    }
}

// The way back, from a table for each part. The second and the third are null if there is one part.
extern "C" __global__ void merge_heads(
    const float *__restrict__ part0, const float *__restrict__ part1, const float *__restrict__ part2,
    const u32 *__restrict__ first, const u32 *__restrict__ example_of_row, u32 count, u32 parts, u32 heads, u32 tokens,
    u32 width, u32 vectors, float *__restrict__ result, bf16 *__restrict__ rounded) {
    u32 i = value_of_thread();
    if (i >= count) {
        return;
    }
    u32 column = i % width;
    u32 rest = i / width;
    u32 head = rest % heads;
    rest /= heads;
    u32 part = rest % parts;
    u32 row = rest / parts;
    u32 example = example_of_row[row];
    u32 token = row - first[example];
    const float *from = part == 0 ? part0 : part == 1 ? part1 : part2;
    size_t place = (((size_t)example * heads + head) * tokens + token) * width + column;
    if (vectors == 4) {
        write(read<4>(from, place), i, result, rounded);
    } else {
        write(read<1>(from, place), i, result, rounded);
    }
}

// The norm of each model's gradients, whose positions are `values`, (models, most). Positions from `count` on do not
// count. A model has a block of 32 x WARPS threads.
extern "C" __global__ void norms_of_models(
    const float *__restrict__ gradients, const u32 *__restrict__ values, u32 count, u32 most, float *__restrict__ norms) {
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
    const float *__restrict__ values, const float *__restrict__ gradients, const float *__restrict__ means, const float *__restrict__ squares, const float *__restrict__ rates,
    const u32 *__restrict__ model_of_value, const float *__restrict__ norms, float clip, float factor, float weight_decay, float mean_decay,
    float mean_share, float square_decay, float square_share, float mean_scale, float square_scale, float epsilon,
    u32 count, float *__restrict__ result, float *__restrict__ means_now, float *__restrict__ squares_now) {
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
