/* Resampling and its delay, equal to those of stillwave/inference in Python. */
#ifndef STILLWAVE_RESAMPLER_H
#define STILLWAVE_RESAMPLER_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* A resampler takes one sample and returns those that it completes (inference/streaming_resampler.py). */
enum { ZERO_CROSSINGS = 32, MOST_PHASES = 1024 };

typedef struct {
    int up, down, reach, width;
    float *filters; /* [up][width] */
    float *line;    /* the last `width` samples, twice, so that they are contiguous from any position */
    int at, phase, wait;
} Resampler;

static double bessel_i0(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 64; k++) sum += term *= (x / (2 * k)) * (x / (2 * k));
    return sum;
}

static int common_divisor(int a, int b) { return b ? common_divisor(b, a % b) : a; }

static void resampler_reset(Resampler *r) {
    memset(r->line, 0, 2 * r->width * sizeof(float));
    r->at = r->phase = 0;
    r->wait = r->width - r->reach; /* silence before the signal */
}

/* Return false without memory, or if the ratio needs too many filters. */
static bool resampler_open(Resampler *r, int from, int to) {
    const double cutoff = 0.96, beta = 8.96, lower = from > to ? (double)to / from : 1;
    int common = common_divisor(from, to);
    r->up = to / common, r->down = from / common;
    r->reach = from == to ? 0 : (int)ceil(ZERO_CROSSINGS / lower);
    r->width = 2 * r->reach + 1;
    if (r->up > MOST_PHASES || r->down > MOST_PHASES) return false;
    r->filters = calloc((size_t)r->up * r->width, sizeof(float));
    r->line = calloc(2 * (size_t)r->width, sizeof(float));
    double *taps = calloc(r->width, sizeof(double));
    for (int p = 0; taps && r->filters && p < r->up; p++) {
        double sum = 0;
        for (int k = 0; k < r->width; k++) {
            double x = (k - r->reach - (double)p / r->up) * lower, place = x / ZERO_CROSSINGS, angle = PI * cutoff * x;
            double sinc = angle == 0 ? 1 : sin(angle) / angle;
            double window = fabs(place) <= 1 ? bessel_i0(beta * sqrt(1 - place * place)) / bessel_i0(beta) : 0;
            sum += taps[k] = from == to ? 1 : sinc * window;
        }
        for (int k = 0; k < r->width; k++) r->filters[p * r->width + k] = (float)(taps[k] / sum);
    }
    bool opened = taps && r->filters && r->line;
    free(taps);
    if (opened) resampler_reset(r);
    return opened;
}

static void resampler_close(Resampler *r) {
    free(r->filters);
    free(r->line);
}

static void resampler_push(Resampler *r, float x) {
    r->line[r->at] = r->line[r->at + r->width] = x;
    r->at = (r->at + 1) % r->width;
    r->wait--;
}

static bool resampler_next(Resampler *r, float *y) {
    if (r->wait) return false;
    const float *x = r->line + r->at, *h = r->filters + r->phase * r->width;
    float sums[4] = {0}; /* a fixed order of the sum, four products at a time */
    int k = 0;
    for (; k + 4 <= r->width; k += 4)
        for (int i = 0; i < 4; i++) sums[i] += x[k + i] * h[k + i];
    for (; k < r->width; k++) sums[0] += x[k] * h[k];
    *y = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    r->phase += r->down;
    r->wait = r->phase / r->up;
    r->phase %= r->up;
    return true;
}

/* Number of inputs that complete `outputs` outputs (at least 1), and of outputs that `inputs` inputs complete. */
static int64_t resampler_needed(const Resampler *r, int64_t outputs) {
    return r->reach ? (outputs - 1) * r->down / r->up + r->reach + 1 : outputs;
}

static int64_t resampler_ready(const Resampler *r, int64_t inputs) {
    int64_t last = inputs - r->reach - 1;
    return !r->reach ? inputs : last < 0 ? 0 : (last * r->up + r->up - 1) / r->down + 1;
}

/* The least delay with which blocks of any size can be returned (`delay` in inference/stream.py). */
static int64_t least_delay(const Resampler *up, const Resampler *down, int hop) {
    int64_t most = 0, frames = up->up + 2LL * (up->reach + down->reach) / hop + 8;
    for (int64_t frame = 1; frame < frames; frame++) {
        int64_t before = resampler_needed(up, frame * hop) - 1;
        int64_t ready = resampler_ready(down, (frame > 2 ? frame - 2 : 0) * hop);
        if (before - ready > most) most = before - ready;
    }
    return most;
}

#endif
