/* Removes noise from speech: the functions of DENOISER_SOURCE. */
#ifndef DENOISER_H
#define DENOISER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DENOISER_RATE = 16000, /* Hz */
    DENOISER_HOP = 256,    /* samples of a block */
    DENOISER_DELAY = 256,  /* output[n] is the estimate of input[n - 256]: 32 ms with the duration of a block */
    DENOISER_BINS = 257,   /* of a spectrum */
};

/* The state of one signal, about which nothing else is assumed: copy it, move it, keep it anywhere. */
typedef struct {
    float values[DENOISER_STATE];
} denoiser_state;

/* Return sizeof(denoiser_state), for callers in other languages. */
size_t denoiser_state_bytes(void);

/* Begin a signal. */
void denoiser_reset(denoiser_state *state);

/* Estimate the speech of the next block of a signal: DENOISER_HOP samples at DENOISER_RATE, full scale 1.
 * `output` may be `input`. The samples of the first block precede the signal and are zero. Samples that are not finite,
 * beyond 2^32 or below -300 dB are taken as silence. Nothing is allocated, and the time is the same for any input: an
 * audio callback may call it. Signals are independent: one state each, in any threads. */
void denoiser_process(denoiser_state *state, const float *input, float *output);

/* The parts of denoiser_process, for programs that use or change the spectra in between. denoiser_spectrum returns part 0
 * (real) or 1 (imaginary) of the spectrum of a frame, DENOISER_BINS numbers: of the input after denoiser_analyse, of the
 * estimate after denoiser_estimate. */
void denoiser_analyse(denoiser_state *state, const float *input);
void denoiser_estimate(denoiser_state *state);
void denoiser_synthesise(denoiser_state *state, float *output);
float *denoiser_spectrum(denoiser_state *state, int part);

#ifdef __cplusplus
}
#endif

#endif
