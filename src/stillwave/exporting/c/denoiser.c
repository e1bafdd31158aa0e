/* One frame: STFT, features, bands, blocks, masks, inverse STFT, as in stillwave/models/bsrnn.py and stillwave/stft.py.
 *
 * The channels are a multiple of 8, the width of a vector. The hidden units of the GRUs along the bands are padded to
 * HIDDEN, their next multiple; padded weights and biases are 0, and so these units stay 0.
 */
enum {
    FFT = 2 * DENOISER_HOP,
    BINS = DENOISER_BINS,
    ROWS = (BINS + 7) / 8 * 8,
    PAIR = 2 * HIDDEN, /* of both directions */
};

typedef struct {
    float history[DENOISER_HOP], overlap[DENOISER_HOP]; /* last input, last half frame of the output */
    float begun, sound;                                 /* 1 after the first frame; 1 if the frame is not silent */
    float level[2];                                     /* sums of RunningLevel */
    float memory[BLOCKS][BANDS][CHANNELS];              /* hidden units of the GRUs along time */
    /* What follows is written before it is read in every call. */
    float spectrum[2][ROWS], features[3][ROWS], wave[4][FFT];
    float x[BANDS][CHANNELS], normed[BANDS][CHANNELS], hidden[BANDS][3 * CHANNELS], pairs[BANDS][PAIR];
    float inner[BANDS][3 * CHANNELS > 3 * PAIR ? 3 * CHANNELS : 3 * PAIR];
    float row[3 * ROWS];
} State;

_Static_assert(sizeof(State) == sizeof(denoiser_state), "the header is that of another network");

/* y[BANDS][outer] (+)= x[BANDS][inner] w, with w packed (see `product`). */
INLINE void layer(const float *x, int inner, const float *w, int outer, float *y, int accumulate) {
    product(x, inner, w, inner, 0, inner, outer, y, BANDS, accumulate);
}

/* Columns of `row`, whose number `some` is a constant, so that the sums stay in registers. */
INLINE void columns(const float *x, int inner, const float *w, int outer, const float *bias, float *y, int some) {
    v8 sum[8];
    for (int j = 0; j < some / 8; j++) sum[j] = bias ? load(bias + 8 * j) : all(0.0f);
    for (int k = 0; k < inner; k++)
        for (int j = 0; j < some / 8; j++) sum[j] += all(x[k]) * load(w + k * outer + 8 * j);
    for (int j = 0; j < some / 8; j++) store(y + 8 * j, sum[j]);
}

/* y[outer] = bias + x[inner] w[inner][outer]; no bias is 0. */
INLINE void row(const float *x, int inner, const float *w, int outer, const float *bias, float *y) {
    int j = 0;
    for (; j + 64 <= outer; j += 64) columns(x, inner, w + j, outer, bias ? bias + j : bias, y + j, 64);
    for (; j + 32 <= outer; j += 32) columns(x, inner, w + j, outer, bias ? bias + j : bias, y + j, 32);
    for (; j + 16 <= outer; j += 16) columns(x, inner, w + j, outer, bias ? bias + j : bias, y + j, 16);
    for (; j < outer; j += 8) columns(x, inner, w + j, outer, bias ? bias + j : bias, y + j, 8);
}

INLINE float total(v8 x) { return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])); }

/* y = layer norm of each row of x */
static void normalize(const float *x, const float *norm, float *y) {
    for (int i = 0; i < BANDS * CHANNELS; i += CHANNELS) {
        v8 sum = all(0.0f), squares = all(0.0f);
        for (int j = 0; j < CHANNELS; j += 8) sum += load(x + i + j);
        float mean = total(sum) / CHANNELS;
        for (int j = 0; j < CHANNELS; j += 8) squares += (load(x + i + j) - mean) * (load(x + i + j) - mean);
        float scale = 1.0f / sqrtf(total(squares) / CHANNELS + 1e-5f);
        for (int j = 0; j < CHANNELS; j += 8)
            store(y + i + j, (load(x + i + j) - mean) * scale * load(norm + j) + load(norm + CHANNELS + j));
    }
}

/* next = GRU(a, before), with a = W_i x and m = W_h before, each [3][size], and bias: b_r, b_z, b_n, b_m (see gru.c). */
INLINE void gates(const float *a, const float *m, const float *bias, int size, const float *before, float *next) {
    for (int j = 0; j < size; j += 8) {
        v8 r = sigmoid(load(a + j) + load(m + j) + load(bias + j));
        v8 z = sigmoid(load(a + size + j) + load(m + size + j) + load(bias + size + j));
        v8 inner = load(m + 2 * size + j) + load(bias + 3 * size + j);
        v8 n = hyperbolic(load(a + 2 * size + j) + load(bias + 2 * size + j) + r * inner);
        store(next + j, n + z * (load(before + j) - n));
    }
}

/* x += bias + y w */
INLINE void add_layer(float *x, const float *y, int inner, const float *w, const float *bias) {
    for (int i = 0; i < BANDS * CHANNELS; i += 8) store(x + i, load(x + i) + load(bias + i % CHANNELS));
    layer(y, inner, w, CHANNELS, x, 1);
}

static void along_time(State *s, const Block *b, float *memory) {
    normalize(s->x[0], b->time_norm, s->normed[0]);
    layer(s->normed[0], CHANNELS, b->time_input, 3 * CHANNELS, s->inner[0], 0);
    layer(memory, CHANNELS, b->time_hidden, 3 * CHANNELS, s->hidden[0], 0);
    const float *inner = s->inner[0];
    for (int k = 0; k < BANDS; k++, memory += CHANNELS)
        gates(inner + k * 3 * CHANNELS, s->hidden[k], b->time_bias, CHANNELS, memory, memory);
    add_layer(s->x[0], memory - BANDS * CHANNELS, CHANNELS, b->time_output, b->time_output_bias);
}

/* Both directions in turn, which do not wait for each other. */
static void along_bands(State *s, const Block *b) {
    static const float zeros[HIDDEN];
    normalize(s->x[0], b->band_norm, s->normed[0]);
    layer(s->normed[0], CHANNELS, b->band_input, 3 * PAIR, s->inner[0], 0);
    for (int i = 0; i < BANDS; i++) {
        int up = i, down = BANDS - 1 - i;
        const float *below = i ? s->pairs[up - 1] : zeros, *above = i ? s->pairs[down + 1] + HIDDEN : zeros;
        float products[2][3 * HIDDEN];
        row(below, HIDDEN, b->up_hidden, 3 * HIDDEN, NULL, products[0]);
        row(above, HIDDEN, b->down_hidden, 3 * HIDDEN, NULL, products[1]);
        const float *inner = s->inner[0];
        gates(inner + up * 3 * PAIR, products[0], b->up_bias, HIDDEN, below, s->pairs[up]);
        gates(inner + down * 3 * PAIR + 3 * HIDDEN, products[1], b->down_bias, HIDDEN, above, s->pairs[down] + HIDDEN);
    }
    add_layer(s->x[0], s->pairs[0], PAIR, b->band_output, b->band_output_bias);
}

/* Compress the spectrum and normalise its level: real parts, imaginary parts and magnitudes. */
static void preprocess(State *s) {
    float *a = s->features[0], *b = s->features[1], *magnitude = s->features[2], mean = 0, scale = 1;
    for (int k = 0; k < BINS; k++) {
        float re = s->spectrum[0][k], im = s->spectrum[1][k], floor = LEVEL_NORMALIZED ? 1e-14f : 1e-8f;
        float gain = COMPRESSION == 1 ? 1 : powf(re * re + im * im + floor, (COMPRESSION - 1) / 2);
        a[k] = re * gain, b[k] = im * gain;
        mean += sqrtf(a[k] * a[k] + b[k] * b[k] + 1e-20f) / BINS;
    }
    if (LEVEL_NORMALIZED) {
        s->level[0] = s->level[0] * LEVEL_DECAY + mean * mean;
        s->level[1] = s->level[1] * LEVEL_DECAY + mean;
        scale = (s->level[1] + 1e-8f) / (s->level[0] + 1e-8f);
    }
    for (int k = 0; k < BINS; k++) {
        a[k] *= scale, b[k] *= scale;
        magnitude[k] = sqrtf(a[k] * a[k] + b[k] * b[k] + 1e-8f);
    }
}

static void split(State *s) {
    const float *w = SPLIT;
    for (int k = 0, low = 0; k < BANDS; low += WIDTHS[k++]) {
        int width = WIDTHS[k];
        for (int part = 0; part < 3; part++)
            memcpy(s->row + part * width, s->features[part] + low, width * sizeof(float));
        row(s->row, 3 * width, w, CHANNELS, SPLIT_BIAS + k * CHANNELS, s->x[k]);
        w += 3 * width * CHANNELS;
    }
}

/* Leave the complex masks in `features`. */
static void masks(State *s) {
    normalize(s->x[0], MASK_NORM, s->normed[0]);
    memset(s->x, 0, sizeof s->x);
    add_layer(s->x[0], s->normed[0], CHANNELS, MASK_HIDDEN, MASK_HIDDEN_BIAS);
    float *x = s->x[0];
    for (int i = 0; i < BANDS * CHANNELS; i += 8) store(x + i, load(x + i) * sigmoid(load(x + i)));
    const float *w = MASK, *bias = MASK_BIAS;
    for (int k = 0, low = 0; k < BANDS; low += WIDTHS[k++]) {
        int width = WIDTHS[k], outer = (2 * width + 7) / 8 * 8;
        row(s->x[k], CHANNELS, w, outer, bias, s->row);
        memcpy(s->features[0] + low, s->row, width * sizeof(float));
        memcpy(s->features[1] + low, s->row + width, width * sizeof(float));
        w += CHANNELS * outer, bias += outer;
    }
}

/* Multiply the spectrum by tanh|m|/|m| m; return whether the product is finite. */
static int apply_masks(State *s) {
    float *a = s->features[0], *b = s->features[1], *scale = s->features[2], *c = s->spectrum[0], *d = s->spectrum[1];
    for (int k = 0; k < BINS; k++) scale[k] = sqrtf(fmaxf(a[k] * a[k] + b[k] * b[k], 1e-12f));
    for (int k = 0; k < ROWS; k += 8) store(scale + k, hyperbolic(load(scale + k)) / load(scale + k));
    float most = 0;
    for (int k = 0; k < BINS; k++) {
        float x = scale[k] * (a[k] * c[k] - b[k] * d[k]), y = scale[k] * (a[k] * d[k] + b[k] * c[k]);
        c[k] = x, d[k] = y;
        most += fabsf(x) + fabsf(y);
    }
    return most <= 1e20f;
}

/* Transform `wave`, complex, in place (Stockham, radix 2): bin k becomes sum_n x[n] e^(-2 pi i k n / FFT). */
static void fourier(State *s) {
    float *re = s->wave[0], *im = s->wave[1], *to_re = s->wave[2], *to_im = s->wave[3], *swap;
    for (int half = FFT / 2, stride = 1; half >= 1; half /= 2, stride *= 2) {
        for (int p = 0; p < half; p++) {
            float c = SINES[2 * p * stride + FFT / 2], d = SINES[2 * p * stride];
            for (int q = 0; q < stride; q++) {
                int low = q + stride * p, high = low + stride * half, to = q + 2 * stride * p;
                float x = re[low] - re[high], y = im[low] - im[high];
                to_re[to] = re[low] + re[high], to_im[to] = im[low] + im[high];
                to_re[to + stride] = x * c + y * d, to_im[to + stride] = y * c - x * d;
            }
        }
        swap = re, re = to_re, to_re = swap;
        swap = im, im = to_im, to_im = swap;
    }
    if (re != s->wave[0]) memcpy(s->wave[0], s->wave[2], 2 * sizeof s->wave[0]);
}

size_t denoiser_state_bytes(void) { return sizeof(State); }

void denoiser_reset(denoiser_state *state) { memset(state, 0, sizeof *state); }

float *denoiser_spectrum(denoiser_state *state, int part) { return ((State *)state)->spectrum[part]; }

/* Append a block to the signal and transform its frame. */
void denoiser_analyse(denoiser_state *state, const float *input) {
    State *s = (State *)state;
    s->sound = 0;
    for (int n = 0; n < FFT; n++) {
        int last = n >= DENOISER_HOP;
        float x = last ? input[n - DENOISER_HOP] : s->history[n];
        if (!(fabsf(x) <= 4294967296.0f)) x = 0; /* no audio in any scaling */
        if (fabsf(x) < 1e-15f) x = 0;            /* -300 dB, above the numbers with which processors are slow */
        if (x != 0) s->sound = 1;
        if (last) s->history[n - DENOISER_HOP] = x;
        s->wave[0][n] = x * SINES[n], s->wave[1][n] = 0;
    }
    fourier(s);
    for (int part = 0; part < 2; part++) memcpy(s->spectrum[part], s->wave[part], BINS * sizeof(float));
}

/* Silence stays silence. An estimate that is not finite is silenced, and the network begins again. */
void denoiser_estimate(denoiser_state *state) {
    State *s = (State *)state;
    preprocess(s);
    split(s);
    for (int i = 0; i < BLOCKS; i++) {
        along_time(s, &WEIGHTS[i], s->memory[i][0]);
        along_bands(s, &WEIGHTS[i]);
    }
    masks(s);
    int finite = apply_masks(s);
    if (!finite) memset(s->memory, 0, sizeof s->memory), memset(s->level, 0, sizeof s->level);
    if (!finite || !s->sound) memset(s->spectrum, 0, sizeof s->spectrum);
}

/* Transform the spectrum back, as the real part of twice the sum over its bins, and add the frames. */
void denoiser_synthesise(denoiser_state *state, float *output) {
    State *s = (State *)state;
    memset(s->wave, 0, sizeof s->wave);
    for (int k = 0; k < BINS; k++) {
        float twice = k == 0 || k == BINS - 1 ? 1.0f / FFT : 2.0f / FFT;
        s->wave[0][k] = s->spectrum[0][k] * twice;
        s->wave[1][k] = k == 0 || k == BINS - 1 ? 0 : -s->spectrum[1][k] * twice; /* conjugate: the inverse transform */
    }
    fourier(s);
    for (int n = 0; n < DENOISER_HOP; n++) {
        output[n] = s->begun * (s->overlap[n] + s->wave[0][n] * SINES[n]);
        s->overlap[n] = s->wave[0][n + DENOISER_HOP] * SINES[n + DENOISER_HOP];
    }
    s->begun = 1;
}

void denoiser_process(denoiser_state *state, const float *input, float *output) {
    denoiser_analyse(state, input);
    denoiser_estimate(state);
    denoiser_synthesise(state, output);
}
