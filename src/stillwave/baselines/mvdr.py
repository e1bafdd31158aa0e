"""An adaptive beam: MVDR with masks that are estimated from the recording.

1. *Initial mask* of the speech in time and frequency: a Wiener gain from the energy of the first channel and a low
   quantile of the energy at each frequency.
2. *Masks*: a mixture of two complex angular central Gaussians for each frequency (Ito, Araki & Nakatani, EUSIPCO 2016),
   fitted by expectation maximisation from the initial mask, so that the first class is speech at every frequency.
3. *Beam*: w = Φₙ⁻¹ Φₛ u / tr(Φₙ⁻¹ Φₛ) (Souden, Benesty & Affes, 2010, eq. 14), u: the first channel.

Implemented here because no maintained library on PyPI provides it without PyTorch (pb_bss is not on PyPI).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stillwave.schema import SAMPLE_RATE

Array = npt.NDArray[Any]

WINDOW, HOP = 1024, 256
_ITERATIONS = 10
_QUANTILE = 0.5
_OVER_DB = 8.0
"""Energy that exceeds the quantile by less is more likely noise than speech."""
_LOADING = 1e-3
_TINY = 1e-10


def mvdr(noisy: Array, iterations: int = _ITERATIONS) -> Array:
    """Return the beam `[N]` of `[M, N]`, aligned with channel 0; without iterations from the initial mask."""
    from scipy.signal import istft, stft

    settings = {"fs": SAMPLE_RATE, "nperseg": WINDOW, "noverlap": WINDOW - HOP}
    observed = np.moveaxis(stft(noisy, **settings)[2], 0, -1)  # [F, T, M]
    mask = masks(observed, iterations)
    weights = souden(covariance(observed, mask), covariance(observed, 1 - mask))
    estimate = np.einsum("fm,ftm->ft", weights.conj(), observed)
    samples = istft(estimate, **settings)[1][: noisy.shape[-1]]
    return np.asarray(samples, noisy.dtype)


def initial_mask(observed: Array) -> Array:
    """Return the share of speech `[F, T]` in the energy of the first channel."""
    power = np.abs(observed[..., 0]) ** 2
    noise = np.quantile(power, _QUANTILE, axis=1, keepdims=True) * 10 ** (_OVER_DB / 10) + _TINY
    share: Array = power / (power + noise)
    return share


def masks(observed: Array, iterations: int) -> Array:
    """Return the probability of speech `[F, T]` of a spectrum `[F, T, M]`."""
    initial = initial_mask(observed)
    unit = observed / (np.linalg.norm(observed, axis=-1, keepdims=True) + _TINY)
    share = np.stack([initial, 1 - initial])  # [2, F, T]
    forms = np.ones_like(share)
    for _ in range(iterations):
        shapes = [_shape(unit, part / form) for part, form in zip(share, forms, strict=True)]
        prior = share.mean(axis=2, keepdims=True)
        forms = np.stack([_form(unit, shape) for shape in shapes])
        size = np.stack([np.linalg.slogdet(shape)[1] for shape in shapes])[..., None]
        score = np.log(prior + _TINY) - size - unit.shape[-1] * np.log(forms)
        score -= score.max(axis=0)
        share = np.exp(score)
        share /= share.sum(axis=0)
    return np.asarray(share[0])


def covariance(observed: Array, mask: Array) -> Array:
    """Return the mean outer product `[F, M, M]` of a spectrum `[F, T, M]`, weighted by `[F, T]`."""
    weighted = observed * (mask / (mask.sum(axis=1, keepdims=True) + _TINY))[..., None]
    return np.asarray(np.swapaxes(weighted, 1, 2) @ observed.conj())


def souden(speech: Array, noise: Array) -> Array:
    """Return the weights `[F, M]` of covariances `[F, M, M]` that do not distort the speech of channel 0."""
    size = noise.shape[-1]
    load = _LOADING * np.trace(noise, axis1=1, axis2=2).real / size + _TINY
    ratio = np.linalg.solve(noise + load[:, None, None] * np.eye(size), speech)
    trace = np.trace(ratio, axis1=1, axis2=2)
    return np.asarray(ratio[..., 0] / (trace[:, None] + _TINY))


def _shape(unit: Array, weight: Array) -> Array:
    """Return the matrix of a class `[F, M, M]`, with trace M."""
    matrix = covariance(unit, weight)
    size = matrix.shape[-1]
    trace = np.trace(matrix, axis1=1, axis2=2).real[:, None, None]
    return np.asarray(matrix * (size / (trace + _TINY)) + _LOADING * np.eye(size))


def _form(unit: Array, shape: Array) -> Array:
    """Return zᴴ B⁻¹ z, `[F, T]`."""
    solved = np.linalg.solve(shape, np.swapaxes(unit, 1, 2))
    return np.asarray(np.maximum(np.einsum("ftm,fmt->ft", unit.conj(), solved).real, _TINY))
