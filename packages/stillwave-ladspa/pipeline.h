/* The steps of a stream, sample by sample, so that no block size matters: resample, frame, network, keep clean sound,
 * overlap-add, resample, band above the network's (inference/pipeline.py and upper_band.py). Memory is allocated when it
 * is opened only.
 */
#ifndef STILLWAVE_PIPELINE_H
#define STILLWAVE_PIPELINE_H

#include <stdatomic.h>

#include "dsp.h"
#include "keep_clean.h"
#include "network.h"

enum { GAINS = 64 };

/* The last samples of a signal by their number; numbers below 0 are silence. */
typedef struct {
    float *samples;
    int64_t mask, count;
} History;

static bool history_open(History *h, int64_t length) {
    int64_t size = 1;
    while (size < length) size *= 2;
    h->samples = calloc(size, sizeof(float));
    h->mask = size - 1;
    return h->samples;
}

static void history_reset(History *h) {
    memset(h->samples, 0, (h->mask + 1) * sizeof(float));
    h->count = 0;
}

static void history_push(History *h, float x) { h->samples[h->count++ & h->mask] = x; }
static float history_at(const History *h, int64_t number) { return number < 0 ? 0 : h->samples[number & h->mask]; }

typedef struct {
    Network network;
    Resampler up, down;
    History noisy, clean;
    int64_t delay;
    double complex *wave, *bins;           /* [2 hop] */
    double complex *roots, *inverse;       /* [2 hop]: roots of one, and their conjugates */
    float *window, *frame, *overlap;       /* [2 hop], [2 hop], [hop] */
    int filled;
    int64_t frames;
    KeepClean levels;
    atomic_bool keep_clean;                /* set by the callback */
    bool upper_band;
    float gains[GAINS];                    /* by the number of the frame */
    int64_t gain_frame, gain_rest, gain_step, gain_length;
} Pipeline;

static void pipeline_reset(Pipeline *p) {
    int hop = p->network.hop;
    network_reset(&p->network);
    keep_clean_reset(&p->levels, hop);
    resampler_reset(&p->up);
    resampler_reset(&p->down);
    history_reset(&p->noisy);
    history_reset(&p->clean);
    memset(p->frame, 0, 2 * hop * sizeof(float));
    memset(p->overlap, 0, hop * sizeof(float));
    p->filled = 0;
    p->frames = p->gain_frame = p->gain_rest = 0;
}

static bool pipeline_open(Pipeline *p, int rate, const char *model, const char *folder) {
    Network *n = &p->network;
    if (!network_open(n, model, folder)) return false;
    int hop = n->hop, size = 2 * hop;
    if (largest_factor(size) > MOST_FACTOR) return network_fail(n, "its frames have a length that is not supported");
    if (rate < 1000 || !resampler_open(&p->up, rate, n->rate) || !resampler_open(&p->down, n->rate, rate)) {
        snprintf(n->why, sizeof n->why, "cannot convert between %d Hz and the model's %d Hz; use 48000 Hz", rate, n->rate);
        return false;
    }
    keep_clean_open(&p->levels, (double)hop / n->rate);
    p->delay = least_delay(&p->up, &p->down, hop);
    p->upper_band = rate > n->rate;
    int64_t common = common_divisor(n->rate, rate * (int64_t)hop % n->rate);
    p->gain_step = n->rate / common, p->gain_length = (int64_t)rate * hop / common;
    double complex **each[] = {&p->wave, &p->bins, &p->roots, &p->inverse};
    for (int i = 0; i < 4; i++)
        if (!(*each[i] = calloc(size, sizeof **each[i]))) return network_fail(n, "there is no memory left");
    p->window = calloc(size, sizeof(float)), p->frame = calloc(size, sizeof(float));
    p->overlap = calloc(hop, sizeof(float));
    if (!p->window || !p->frame || !p->overlap || !history_open(&p->noisy, p->delay + 2) ||
        !history_open(&p->clean, p->delay + 2))
        return network_fail(n, "there is no memory left");
    for (int i = 0; i < size; i++) {
        p->window[i] = (float)sin(PI * i / size);
        p->roots[i] = cexp(-2 * PI * I * i / size);
        p->inverse[i] = conj(p->roots[i]);
    }
    pipeline_reset(p);
    return true;
}

static void pipeline_close(Pipeline *p) {
    network_close(&p->network);
    resampler_close(&p->up);
    resampler_close(&p->down);
    free(p->noisy.samples);
    free(p->clean.samples);
    free(p->wave);
    free(p->bins);
    free(p->roots);
    free(p->inverse);
    free(p->window);
    free(p->frame);
    free(p->overlap);
}

/* Return the gain of the upper band, 0 ... 1, from the spectra of a frame; subtract it times the input from the estimate. */
static float separate_upper_band(Network *n) {
    int first = (int)rint(0.625 * n->hop), last = (int)rint(0.9375 * n->hop), bins = n->bins;
    double before = 0, after = 0;
    for (int k = first; k < last; k++) {
        before += (double)n->spectrum[k] * n->spectrum[k] + (double)n->spectrum[bins + k] * n->spectrum[bins + k];
        after += (double)n->estimate[k] * n->estimate[k] + (double)n->estimate[bins + k] * n->estimate[bins + k];
    }
    float gain = before > 0 ? (float)sqrt(fmin(after / before, 1)) : 0;
    for (int k = 0; k < 2 * bins; k++) n->estimate[k] -= gain * n->spectrum[k];
    return gain;
}

/* Transform the frame, run the network, and leave the windowed estimate of the frame in `wave`. */
static void estimate_frame(Pipeline *p) {
    Network *n = &p->network;
    int size = 2 * n->hop, bins = n->bins;
    bool active = false;
    for (int i = 0; i < size; i++) {
        active = active || p->frame[i] != 0;
        p->wave[i] = p->frame[i] * p->window[i];
    }
    fourier(p->wave, 1, p->bins, size, p->roots, size);
    for (int k = 0; k < bins; k++)
        n->spectrum[k] = (float)creal(p->bins[k]), n->spectrum[bins + k] = (float)cimag(p->bins[k]);
    if (!network_step(n) || !active) memset(n->estimate, 0, 2 * bins * sizeof(float));
    float share = keep_clean_share(&p->levels, n->spectrum, n->estimate, 2 * bins);
    if (!atomic_load(&p->keep_clean)) share = 0;
    for (int k = 0; k < 2 * bins && share > 0; k++) n->estimate[k] += share * (n->spectrum[k] - n->estimate[k]);
    if (p->upper_band) p->gains[p->frames % GAINS] = separate_upper_band(n);
    for (int k = 0; k < bins; k++) {
        double imaginary = k == 0 || k == bins - 1 ? 0 : n->estimate[bins + k];
        p->bins[k] = n->estimate[k] + I * imaginary;
        if (k) p->bins[size - k] = conj(p->bins[k]);
    }
    fourier(p->bins, 1, p->wave, size, p->inverse, size);
    for (int i = 0; i < size; i++) p->wave[i] = (float)(creal(p->wave[i]) / size) * p->window[i];
}

/* Return the factor of the next sample's upper band: gains of two frames, joined by the squared window. */
static float next_gain(Pipeline *p) {
    float before = p->gains[p->gain_frame % GAINS], after = p->gains[(p->gain_frame + 1) % GAINS];
    double rising = sin(p->gain_rest * (0.5 * PI / p->gain_length));
    p->gain_rest += p->gain_step;
    p->gain_frame += p->gain_rest / p->gain_length;
    p->gain_rest %= p->gain_length;
    return before + (float)(rising * rising) * (after - before);
}

static void process_frame(Pipeline *p) {
    int hop = p->network.hop;
    estimate_frame(p);
    for (int i = 0; i < hop; i++) {
        float y, sample = (float)creal(p->wave[i]) + p->overlap[i];
        p->overlap[i] = (float)creal(p->wave[hop + i]);
        if (!p->frames) continue; /* before the signal */
        for (resampler_push(&p->down, sample); resampler_next(&p->down, &y);)
            history_push(&p->clean, p->upper_band ? y + next_gain(p) * history_at(&p->noisy, p->clean.count) : y);
    }
    p->frames++;
}

/* Return a sample, or silence for NaN, infinity and values that are no audio in any scaling (audio/contract.py). */
static float audible(float x) { return fabsf(x) <= 4294967296.0f ? x : 0; }

/* Take the next sample, which is audible; return the estimate and, in `dry`, the input of `delay` samples before. */
static float pipeline_next(Pipeline *p, float x, float *dry) {
    float y;
    int hop = p->network.hop;
    history_push(&p->noisy, x);
    for (resampler_push(&p->up, x); resampler_next(&p->up, &y);) {
        p->frame[hop + p->filled++] = y;
        if (p->filled < hop) continue;
        process_frame(p);
        memcpy(p->frame, p->frame + hop, hop * sizeof(float));
        p->filled = 0;
    }
    int64_t number = p->noisy.count - 1 - p->delay;
    *dry = history_at(&p->noisy, number);
    return history_at(&p->clean, number);
}

#endif
