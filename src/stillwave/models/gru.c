/* Forward and backward pass of a GRU over many rows at once (a row: one sequence), for training on CPUs.
 *
 *   r = sigmoid(a_r + W_r h + b_r),  z = sigmoid(a_z + W_z h + b_z),
 *   m = W_n h + b_m,  n = tanh(a_n + b_n + r m),  h' = n + z (h - n)
 *
 * with a = W_i x computed before, as one matrix product over all steps. Rows are taken in blocks that stay in the
 * cache over all steps; the product with the recurrent weights, the gates and the state are one pass.
 *
 * Memory: element (row i, step t) of an array of width w begins at (first[i] + t * step) * w, so that sequences may
 * run along any axis, in either direction, without a copy. Rows are independent: results do not depend on how they
 * are shared among threads. Every width is a multiple of 8.
 */
#include "simd.h"

enum { ROWS = 48, MAX_HIDDEN = 256 };

/* gates: a in, (r, z, n) out, width ldg >= 3H. m and h: width ldh >= H. w: packed [H][3H].
 * bias: b_r, b_z, b_n, b_m. */
void gru_forward(float *gates, float *m, float *h, const float *w, const float *bias, const int64_t *first,
                 int64_t rows, int64_t steps, int64_t step, int H, int ldg, int ldh) {
    float state[ROWS * MAX_HIDDEN] __attribute__((aligned(64)));
    float hidden[ROWS * 3 * MAX_HIDDEN] __attribute__((aligned(64)));
    for (int64_t begin = 0; begin < rows; begin += ROWS) {
        int count = rows - begin < ROWS ? (int)(rows - begin) : ROWS;
        memset(state, 0, sizeof(float) * count * H);
        for (int64_t t = 0; t < steps; t++) {
            product(state, H, w, H, 0, H, 3 * H, hidden, count, 0);
            for (int i = 0; i < count; i++) {
                int64_t at = first[begin + i] + t * step;
                float *a = gates + at * ldg, *out = h + at * ldh, *keep = m + at * ldh, *s = state + i * H;
                const float *g = hidden + i * 3 * H;
                for (int j = 0; j < H; j += 8) {
                    v8 r = sigmoid(load(a + j) + load(bias + j) + load(g + j));
                    v8 z = sigmoid(load(a + H + j) + load(bias + H + j) + load(g + H + j));
                    v8 inner = load(g + 2 * H + j) + load(bias + 3 * H + j);
                    v8 n = hyperbolic(load(a + 2 * H + j) + load(bias + 2 * H + j) + r * inner);
                    v8 next = n + z * (load(s + j) - n);
                    store(a + j, r);
                    store(a + H + j, z);
                    store(a + 2 * H + j, n);
                    store(keep + j, inner);
                    store(s + j, next);
                    store(out + j, next);
                }
            }
        }
    }
}

/* d_gates: gradient of a, width ldg. grad: that of h; d_m: that of m; before: h of the step before; all of width ldh.
 * w: packed [3H][H]. */
void gru_backward(const float *gates, const float *m, const float *h, const float *grad, const float *w, float *d_gates,
                  float *d_m, float *before, const int64_t *first, int64_t rows, int64_t steps, int64_t step, int H,
                  int ldg, int ldh) {
    float d_state[ROWS * MAX_HIDDEN] __attribute__((aligned(64)));
    float d_hidden[ROWS * 3 * MAX_HIDDEN] __attribute__((aligned(64)));
    for (int64_t begin = 0; begin < rows; begin += ROWS) {
        int count = rows - begin < ROWS ? (int)(rows - begin) : ROWS;
        memset(d_state, 0, sizeof(float) * count * H);
        for (int64_t t = steps - 1; t >= 0; t--) {
            for (int i = 0; i < count; i++) {
                int64_t at = first[begin + i] + t * step;
                const float *a = gates + at * ldg, *g = grad + at * ldh, *keep = m + at * ldh;
                const float *earlier = h + (t ? at - step : at) * ldh;
                float *da = d_gates + at * ldg, *dm = d_m + at * ldh, *b = before + at * ldh;
                float *ds = d_state + i * H, *dh = d_hidden + i * 3 * H;
                for (int j = 0; j < H; j += 8) {
                    v8 r = load(a + j), z = load(a + H + j), n = load(a + 2 * H + j);
                    v8 past = t ? load(earlier + j) : all(0.0f);
                    v8 d = load(ds + j) + load(g + j);
                    v8 d_n = d * (1.0f - z) * (1.0f - n * n);
                    v8 d_r = d_n * load(keep + j) * r * (1.0f - r);
                    v8 d_z = d * (past - n) * z * (1.0f - z);
                    store(da + j, d_r);
                    store(da + H + j, d_z);
                    store(da + 2 * H + j, d_n);
                    store(dm + j, d_n * r);
                    store(dh + j, d_r);
                    store(dh + H + j, d_z);
                    store(dh + 2 * H + j, d_n * r);
                    store(ds + j, d * z);
                    store(b + j, past);
                }
            }
            if (t) product(d_hidden, 3 * H, w, 3 * H, 0, 3 * H, H, d_state, count, 1);
        }
    }
}
