/* Leave clean sound as it is: inference/keep_clean.py, which explains the levels and their constants. */
#ifndef STILLWAVE_KEEP_CLEAN_H
#define STILLWAVE_KEEP_CLEAN_H

#include <math.h>
#include <stdbool.h>

static const double NOISY_DB = 20, CLEAN_DB = 30, START_DB = -26, START_FRAMES = 20;
static const double RISE_SECONDS = 0.1, FALL_SECONDS = 1, SPEECH_SECONDS = 1.5, START_SECONDS = 1.5, PAUSE_SECONDS = 10;

typedef struct {
    double rise, fall, speech, start, pause; /* factors for each frame */
    double total, weight, mean, level;
    bool begun;
} KeepClean;

static void keep_clean_open(KeepClean *k, double frame_seconds) {
    k->rise = exp(-frame_seconds / RISE_SECONDS), k->fall = exp(-frame_seconds / FALL_SECONDS);
    k->speech = exp(-frame_seconds / SPEECH_SECONDS);
    k->start = exp(-frame_seconds / START_SECONDS), k->pause = exp(-frame_seconds / PAUSE_SECONDS);
}

static void keep_clean_reset(KeepClean *k, int hop) {
    k->total = (double)hop * hop * pow(10, START_DB / 10) * START_FRAMES;
    k->weight = START_FRAMES;
    k->mean = k->level = 0;
    k->begun = false;
}

/* Return the share of the input, 0 ... 1, for the levels (powers) of the speech and of what is removed. */
static float share_of_input(double speech, double removed) {
    if (speech <= 0) return 0;
    if (removed <= 0) return 1;
    double ratio_db = 10 * (log10(speech) - log10(removed));
    return (float)fmin(1, fmax(0, (ratio_db - NOISY_DB) / (CLEAN_DB - NOISY_DB)));
}

/* Take the next frame, `count` numbers of input and estimate; return the share of the input in its output. */
static float keep_clean_share(KeepClean *k, const float *noisy, const float *estimate, int count) {
    double common = 0, kept = 0, removed = 0;
    for (int i = 0; i < count; i++) {
        common += (double)noisy[i] * estimate[i];
        kept += (double)estimate[i] * estimate[i];
    }
    double factor = kept > 0 ? fmin(pow(10, 1 / 20.0), fmax(1, common / kept)) : 1;
    for (int i = 0; i < count; i++) {
        double rest = noisy[i] - factor * estimate[i];
        removed += rest * rest;
    }
    if (kept * k->weight >= pow(10, -1.5) * k->total) {
        k->total = k->speech * k->total + kept;
        k->weight = k->speech * k->weight + 1;
        k->begun = true;
    } else {
        k->total *= k->begun ? k->pause : k->start;
    }
    k->mean = k->rise * k->mean + (1 - k->rise) * removed;
    k->level = fmax(k->mean, k->fall * k->level + (1 - k->fall) * k->mean);
    return share_of_input(k->total / k->weight, k->level);
}

#endif
