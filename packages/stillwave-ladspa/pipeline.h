/* The steps of a stream, sample by sample, so that no block size matters: resample, frame, network, keep clean sound,
 * overlap-add, resample, band above the network's (inference/pipeline.py and upper_band.py). Memory is allocated when it
 * is opened only.
 */
#ifndef STILLWAVE_PIPELINE_H
#define STILLWAVE_PIPELINE_H

#include "keep_clean.h"
#include "model.h"
#include "resampler.h"

enum { RATE = MODEL_RATE, HOP = MODEL_HOP, BINS = MODEL_BINS, GAINS = 64 };

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

/* Real parts, then imaginary parts. */
typedef float Spectrum[2 * BINS];

typedef struct {
    model_state network;
    Resampler up, down;
    History noisy, clean;
    int64_t delay, frames;
    float block[HOP]; /* the next of the network */
    int filled;
    KeepClean levels;
    bool keep_clean, upper_band;
    float gains[GAINS]; /* by the number of the frame */
    int64_t gain_step, gain_length;
} Pipeline;

static void pipeline_reset(Pipeline *p) {
    model_reset(&p->network);
    keep_clean_reset(&p->levels, HOP);
    resampler_reset(&p->up);
    resampler_reset(&p->down);
    history_reset(&p->noisy);
    history_reset(&p->clean);
    p->filled = 0;
    p->frames = 0;
}

/* Return false without memory, or if the rates need too many filters. */
static bool pipeline_open(Pipeline *p, int rate) {
    if (!resampler_open(&p->up, rate, RATE) || !resampler_open(&p->down, RATE, rate)) return false;
    keep_clean_open(&p->levels, (double)HOP / RATE);
    p->delay = least_delay(&p->up, &p->down, HOP);
    p->upper_band = rate > RATE;
    int common = common_divisor(RATE, rate * HOP % RATE);
    p->gain_step = RATE / common, p->gain_length = (int64_t)rate * HOP / common;
    return history_open(&p->noisy, p->delay + 2) && history_open(&p->clean, p->delay + 2);
}

static void pipeline_close(Pipeline *p) {
    resampler_close(&p->up);
    resampler_close(&p->down);
    free(p->noisy.samples);
    free(p->clean.samples);
}

static void spectrum_read(Pipeline *p, Spectrum s) {
    for (int part = 0; part < 2; part++) memcpy(s + part * BINS, model_spectrum(&p->network, part), BINS * sizeof(float));
}

static void spectrum_write(Pipeline *p, const Spectrum s) {
    for (int part = 0; part < 2; part++) memcpy(model_spectrum(&p->network, part), s + part * BINS, BINS * sizeof(float));
}

/* estimate += share (noisy - estimate) */
static void keep(const Spectrum noisy, Spectrum estimate, float share) {
    for (int k = 0; k < 2 * BINS; k++) estimate[k] += share * (noisy[k] - estimate[k]);
}

/* Return the power of the bins that give the gain of the upper band. */
static double upper_power(const Spectrum s) {
    double power = 0;
    for (int k = HOP * 5 / 8; k < HOP * 15 / 16; k++)
        power += (double)s[k] * s[k] + (double)s[BINS + k] * s[BINS + k];
    return power;
}

/* Return the gain of the upper band, 0 ... 1, from the spectra of a frame; subtract it times the input from the estimate. */
static float separate_upper_band(const Spectrum noisy, Spectrum estimate) {
    double before = upper_power(noisy), after = upper_power(estimate);
    float gain = before > 0 ? (float)sqrt(fmin(after / before, 1)) : 0;
    for (int k = 0; k < 2 * BINS; k++) estimate[k] -= gain * noisy[k];
    return gain;
}

/* Return the factor of a sample's upper band: gains of two frames, joined by the squared window. */
static float upper_gain(const Pipeline *p, int64_t number) {
    int64_t place = number * p->gain_step, frame = place / p->gain_length, rest = place % p->gain_length;
    float before = p->gains[frame % GAINS], after = p->gains[(frame + 1) % GAINS];
    double rising = sin(rest * (0.5 * PI / p->gain_length));
    return before + (float)(rising * rising) * (after - before);
}

/* Replace the block by the estimate of the block before. */
static void estimate_block(Pipeline *p) {
    Spectrum noisy, estimate;
    model_analyse(&p->network, p->block);
    spectrum_read(p, noisy);
    model_estimate(&p->network);
    spectrum_read(p, estimate);
    float share = keep_clean_share(&p->levels, noisy, estimate, 2 * BINS);
    if (p->keep_clean) keep(noisy, estimate, share);
    if (p->upper_band) p->gains[p->frames % GAINS] = separate_upper_band(noisy, estimate);
    spectrum_write(p, estimate);
    model_synthesise(&p->network, p->block);
}

static void process_block(Pipeline *p) {
    float y;
    estimate_block(p);
    if (p->frames++ == 0) return; /* before the signal */
    for (int i = 0; i < HOP; i++)
        for (resampler_push(&p->down, p->block[i]); resampler_next(&p->down, &y);) {
            int64_t number = p->clean.count;
            history_push(&p->clean, p->upper_band ? y + upper_gain(p, number) * history_at(&p->noisy, number) : y);
        }
}

/* Return a sample, or silence for NaN, infinity and values that are no audio in any scaling (audio/contract.py). */
static float audible(float x) { return fabsf(x) <= 4294967296.0f ? x : 0; }

/* Take the next sample; return the estimate and, in `dry`, the input of `delay` samples before. */
static float pipeline_next(Pipeline *p, float x, float *dry) {
    float y;
    x = audible(x);
    history_push(&p->noisy, x);
    for (resampler_push(&p->up, x); resampler_next(&p->up, &y);) {
        p->block[p->filled++] = y;
        if (p->filled < HOP) continue;
        process_block(p);
        p->filled = 0;
    }
    int64_t number = p->noisy.count - 1 - p->delay;
    *dry = history_at(&p->noisy, number);
    return history_at(&p->clean, number);
}

#endif
