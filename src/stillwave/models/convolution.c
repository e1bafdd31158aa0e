/* Convolutions along frequency, batch norm and SiLU of maps [rows][channels], for training on CPUs.
 *
 * The window of a position is a stretch of memory, so that a convolution is a matrix product whose rows overlap:
 * nothing is unfolded, and each value is read and written once. Channels that come out are multiples of 8.
 */
#include "simd.h"

/* y[frame][d] (+)= sum over i < taps of x[frame][d - left + i] * w[i], zeros outside; w packed: [taps * C][O]. */
void convolve(const float *x, const float *w, float *y, int64_t frames, int in, int out, int C, int O, int taps, int left,
              int accumulate) {
    int first = left, last = in - taps + left; /* windows that lie inside */
    if (last >= out) last = out - 1;
    for (int64_t f = 0; f < frames; f++) {
        const float *a = x + f * in * C;
        float *b = y + f * out * O;
        for (int d = 0; d < out; d++) {
            if (d == first && last >= first) {
                product(a, C, w, taps * C, 0, taps * C, O, b + d * O, last - first + 1, accumulate);
                d = last;
                continue;
            }
            int begin = d - left < 0 ? left - d : 0;
            int end = d - left + taps > in ? in - d + left : taps;
            product(a + (d - left + begin) * C, C, w, taps * C, begin * C, (end - begin) * C, O, b + d * O, 1, accumulate);
        }
    }
}

/* sums[0][C] = sum of x, sums[1][C] = sum of x^2, over the rows. */
void moments(const float *x, double *sums, int64_t rows, int C) {
    for (int j = 0; j < C; j += 8) {
        double total[2][8] = {{0}};
        for (int64_t begin = 0; begin < rows; begin += 64) {
            int64_t end = begin + 64 < rows ? begin + 64 : rows;
            v8 one = all(0.0f), two = all(0.0f);
            for (int64_t r = begin; r < end; r++) {
                v8 value = load(x + r * C + j);
                one += value;
                two += value * value;
            }
            for (int i = 0; i < 8; i++) total[0][i] += one[i], total[1][i] += two[i];
        }
        for (int i = 0; i < 8; i++) sums[j + i] = total[0][i], sums[C + j + i] = total[1][i];
    }
}

/* y = (x +) silu(scale * c + shift). */
void norm_silu(const float *c, const float *x, const float *scale, const float *shift, float *y, int64_t rows, int C) {
    for (int64_t r = 0; r < rows; r++)
        for (int j = 0; j < C; j += 8) {
            v8 u = load(c + r * C + j) * load(scale + j) + load(shift + j);
            v8 value = u * sigmoid(u);
            if (x) value += load(x + r * C + j);
            store(y + r * C + j, value);
        }
}

INLINE v8 slope(v8 u) {
    v8 s = sigmoid(u);
    return s * (1.0f + u * (1.0f - s));
}

/* With d = grad * silu'(scale * c + shift): sums[0][C] = sum of d, sums[1][C] = sum of d * c, over the rows. */
void norm_silu_sums(const float *c, const float *grad, const float *scale, const float *shift, double *sums,
                    int64_t rows, int C) {
    for (int j = 0; j < C; j += 8) {
        double total[2][8] = {{0}};
        for (int64_t begin = 0; begin < rows; begin += 64) {
            int64_t end = begin + 64 < rows ? begin + 64 : rows;
            v8 one = all(0.0f), two = all(0.0f);
            for (int64_t r = begin; r < end; r++) {
                v8 value = load(c + r * C + j);
                v8 d = load(grad + r * C + j) * slope(value * load(scale + j) + load(shift + j));
                one += d;
                two += d * value;
            }
            for (int i = 0; i < 8; i++) total[0][i] += one[i], total[1][i] += two[i];
        }
        for (int i = 0; i < 8; i++) sums[j + i] = total[0][i], sums[C + j + i] = total[1][i];
    }
}

/* d_c = scale * d + a * c + b: the gradient of c, with d as above and what the statistics add. */
void norm_silu_gradient(const float *c, const float *grad, const float *scale, const float *shift, const float *a,
                        const float *b, float *d_c, int64_t rows, int C) {
    for (int64_t r = 0; r < rows; r++)
        for (int j = 0; j < C; j += 8) {
            v8 value = load(c + r * C + j);
            v8 d = load(grad + r * C + j) * slope(value * load(scale + j) + load(shift + j));
            store(d_c + r * C + j, load(scale + j) * d + load(a + j) * value + load(b + j));
        }
}
