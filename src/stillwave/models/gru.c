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
#include <stdint.h>
#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int i8 __attribute__((vector_size(32), aligned(4), may_alias));

enum { ROWS = 48, TILE = 6, MAX_HIDDEN = 256 };
#define INLINE static inline __attribute__((always_inline))

INLINE v8 load(const float *p) { return *(const v8 *)p; }
INLINE void store(float *p, v8 x) { *(v8 *)p = x; }
INLINE v8 all(float x) { return (v8){x, x, x, x, x, x, x, x}; }

/* exp(x) for |x| <= 87, to 2 ulp: x = k ln 2 + f, e^f by a polynomial (Cephes), 2^k by its exponent bits. */
INLINE v8 exponential(v8 x) {
    x = (v8)((x > all(-87.0f)) & (i8)x) + (v8)(~(x > all(-87.0f)) & (i8)all(-87.0f));
    x = (v8)((x < all(87.0f)) & (i8)x) + (v8)(~(x < all(87.0f)) & (i8)all(87.0f));
    v8 shifted = x * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    i8 k = (i8)shifted - 0x4B400000;
    v8 whole = shifted - 12582912.0f;
    v8 f = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    v8 p = all(1.9875691500e-4f);
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * f * f + f + 1.0f;
    return p * (v8)((k + 127) << 23);
}

INLINE v8 sigmoid(v8 x) { return 1.0f / (1.0f + exponential(-x)); }
INLINE v8 hyperbolic(v8 x) { return 2.0f / (1.0f + exponential(-2.0f * x)) - 1.0f; }

/* out[rows][ldo] (+)= x[rows][inner] * panel[inner][width], width 16 or 8. */
INLINE void tile(const float *x, int ldx, const float *panel, int inner, int width, float *out, int ldo, int rows,
                 int accumulate) {
    v8 sum[TILE][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width / 8; j++) sum[i][j] = accumulate ? load(out + i * ldo + 8 * j) : all(0.0f);
    for (int k = 0; k < inner; k++) {
        v8 w0 = load(panel + k * width), w1 = width == 16 ? load(panel + k * width + 8) : all(0.0f);
        for (int i = 0; i < rows; i++) {
            v8 broadcast = all(x[i * ldx + k]);
            sum[i][0] += broadcast * w0;
            if (width == 16) sum[i][1] += broadcast * w1;
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width / 8; j++) store(out + i * ldo + 8 * j, sum[i][j]);
}

INLINE void tiles(const float *x, int ldx, const float *panel, int inner, int width, float *out, int ldo, int rows,
                  int accumulate) {
    int i = 0;
    for (; i + TILE <= rows; i += TILE)
        tile(x + i * ldx, ldx, panel, inner, width, out + i * ldo, ldo, TILE, accumulate);
    for (; i < rows; i++) tile(x + i * ldx, ldx, panel, inner, width, out + i * ldo, ldo, 1, accumulate);
}

/* out[rows][outer] (+)= x[rows][inner] * w[inner][outer], w packed in panels of 16 columns and, last, of 8. */
static void product(const float *x, const float *w, int inner, int outer, float *out, int rows, int accumulate) {
    int j = 0;
    for (; j + 16 <= outer; j += 16) tiles(x, inner, w + j * inner, inner, 16, out + j, outer, rows, accumulate);
    if (j < outer) tiles(x, inner, w + j * inner, inner, 8, out + j, outer, rows, accumulate);
}

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
            product(state, w, H, 3 * H, hidden, count, 0);
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
            if (t) product(d_hidden, w, 3 * H, H, d_state, count, 1);
        }
    }
}
