/* Eight floats at a time, exponentials, and small matrix products: what the kernels of this folder share.
 *
 * Vectors are a GNU C extension, which GCC and Clang lower to whatever the processor has.
 */
#ifndef STILLWAVE_SIMD_H
#define STILLWAVE_SIMD_H

#include <stdint.h>
#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int i8 __attribute__((vector_size(32), aligned(4), may_alias));

enum { TILE = 6 };
#define INLINE static inline __attribute__((always_inline))

INLINE v8 load(const float *p) { return *(const v8 *)p; }
INLINE void store(float *p, v8 x) { *(v8 *)p = x; }
INLINE v8 all(float x) { return (v8){x, x, x, x, x, x, x, x}; }

/* exp(x) for |x| <= 87, to 2 ulp: x = k ln 2 + f, e^f by a polynomial (Cephes), 2^k by its exponent bits.
 * Comparisons are written so that NaN passes: a network that diverged must not look as if it had not. */
INLINE v8 exponential(v8 x) {
    i8 low = x < all(-87.0f), high = x > all(87.0f);
    x = (v8)((low & (i8)all(-87.0f)) | (high & (i8)all(87.0f)) | (~(low | high) & (i8)x));
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
    for (; rows >= TILE; rows -= TILE, x += TILE * ldx, out += TILE * ldo)
        tile(x, ldx, panel, inner, width, out, ldo, TILE, accumulate);
    switch (rows) { /* constants keep the sums in registers */
        case 5: tile(x, ldx, panel, inner, width, out, ldo, 5, accumulate); break;
        case 4: tile(x, ldx, panel, inner, width, out, ldo, 4, accumulate); break;
        case 3: tile(x, ldx, panel, inner, width, out, ldo, 3, accumulate); break;
        case 2: tile(x, ldx, panel, inner, width, out, ldo, 2, accumulate); break;
        case 1: tile(x, ldx, panel, inner, width, out, ldo, 1, accumulate); break;
    }
}

/* out[rows][outer] (+)= x[rows][inner] * w[inner][outer], rows of x `ldx` apart. w is packed: [whole][outer] in panels
 * of 16 columns and, last, of 8, of which the rows from `from` on are used. */
INLINE void product(const float *x, int ldx, const float *w, int whole, int from, int inner, int outer, float *out,
                    int rows, int accumulate) {
    int j = 0;
    for (; j + 16 <= outer; j += 16)
        tiles(x, ldx, w + j * whole + 16 * from, inner, 16, out + j, outer, rows, accumulate);
    if (j < outer) tiles(x, ldx, w + j * whole + 8 * from, inner, 8, out + j, outer, rows, accumulate);
}

#endif
