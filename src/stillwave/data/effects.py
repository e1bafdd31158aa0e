"""Signal processing on mono samples `[N]`, float32, full scale ±1.

`level` is the mean power of all samples. `active_level` is the mean power of those frames of 16 ms that are within
30 dB of the loudest, so that pauses do not count; it approximates the active speech level of ITU-T P.56 without its
hangover. An SNR is the active level of the speech over the level of
the noise, as in VoiceBank+DEMAND.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from stillwave.audio import Samples

FRAME = 256
ACTIVE_RANGE_DB = 30.0
PEAK = 0.99
"""Largest peak of noisy signal and target."""


def level(samples: Samples) -> float:
    """Return the mean power, full scale 1."""
    return float(np.dot(samples, samples)) / max(1, len(samples))


def active_level(samples: Samples) -> float:
    """Return the mean power of the active frames; of all samples if they are shorter than a frame."""
    whole = len(samples) // FRAME * FRAME
    if whole == 0:
        return level(samples)
    rows = samples[:whole].reshape(-1, FRAME)
    power = np.einsum("ij,ij->i", rows, rows) / FRAME
    return float(power[power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)].mean(dtype=np.float64))


def decibels(power: float) -> float:
    """Convert a power ratio to dB; −200 for 0.

    Examples:
        >>> decibels(100.0)
        20.0

    """
    return 10 * float(np.log10(max(power, 1e-20)))


def amplitude(db: float) -> np.float32:
    """Convert a gain in dB to a factor on samples."""
    return np.float32(10 ** (db / 20))


def snr_db(speech: Samples, noise: Samples) -> float:
    """Return the active level of the speech over the level of the noise, in dB."""
    return decibels(active_level(speech)) - decibels(level(noise))


def at_snr(speech: Samples, noise: Samples, wanted_db: float) -> Samples:
    """Scale `noise` so that `snr_db(speech, noise)` is `wanted_db`. Neither may be silent."""
    return noise * amplitude(snr_db(speech, noise) - wanted_db)


@functools.lru_cache(maxsize=256)
def fast_length(length: int) -> int:
    """Return the least 2^a·3^b·5^c ≥ `length`, for fast FFTs.

    Examples:
        >>> fast_length(1021), fast_length(70001)
        (1024, 72000)

    """
    best = 1 << (length - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            ratio = -(-length // three)
            best = min(best, three << (ratio - 1).bit_length())
            three *= 3
        five *= 5
    return best


def convolve(samples: Samples, responses: Samples) -> Samples:
    """Convolve `samples` [N] with responses `[n]` or `[k, n]`; return the first N samples, [N] or [k, N]."""
    responses = responses[..., : len(samples)]
    points = fast_length(len(samples) + responses.shape[-1] - 1)
    product = np.fft.rfft(samples, points) * np.fft.rfft(responses, points)
    return np.fft.irfft(product, points)[..., : len(samples)].astype(np.float32, copy=False)


def direct_sound(response: Samples, rate: int) -> int:
    """Return the index of the direct sound: the peak after the first sample at half the largest magnitude.

    The largest sample may be a strong early reflection.
    """
    magnitude = np.abs(response)
    first = int(np.argmax(magnitude >= magnitude.max() / 2))
    return first + int(np.argmax(magnitude[first : first + max(1, rate // 1000)]))


def split_response(response: Samples, rate: int, early_ms: float) -> tuple[Samples, Samples]:
    """Split an impulse response into an early and a late part, `[n]` each, from the direct sound on.

    Sample 0 is the direct sound, so that convolved signals stay aligned; earlier samples (delay, noise) are dropped.
    The early part ends `early_ms` after the direct sound.
    """
    start = direct_sound(response, rate)
    reverberant = response[start:]
    edge = 1 + round(early_ms * rate / 1000)
    early, late = reverberant.copy(), reverberant.copy()
    early[edge:] = 0
    late[:edge] = 0
    return early, late


def reverberate(samples: Samples, response: Samples, rate: int, early_ms: float) -> tuple[Samples, Samples]:
    """Return reverberant speech, and the target with reflections up to `early_ms` after the direct sound; [N] each."""
    early, late = split_response(response, rate, early_ms)
    target, tail = convolve(samples, np.stack([early, late]))
    return target + tail, target


def band_limit(samples: Samples, edge_hz: float, rate: int) -> Samples:
    """Low-pass filter at `edge_hz` without delay (linear phase); the transition is the 10 % below it."""
    points = fast_length(len(samples) + 2048)
    frequency = np.fft.rfftfreq(points, 1 / rate)
    slope = np.clip((edge_hz - frequency) / (0.1 * edge_hz), 0, 1)
    gain = (0.5 - 0.5 * np.cos(np.pi * slope)).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(samples, points) * gain, points)[: len(samples)].astype(
        np.float32, copy=False
    )


def clip(samples: Samples, threshold: float) -> Samples:
    """Clip at ±`threshold`, as an overdriven converter does."""
    return np.clip(samples, -np.float32(threshold), np.float32(threshold))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Change the speed by `factor`: 1/factor of the length, all frequencies times `factor`."""
    return np.asarray(soxr.resample(samples, factor, 1.0, quality="MQ"), np.float32)


def level_curve(frames: int, before_db: float, after_db: float, centre: float, width: float) -> Samples:
    """Return gains `[frames]` with a smooth transition between levels, `width` samples around `centre`."""
    place = np.clip((np.arange(frames) - centre) / max(width, 1.0) + 0.5, 0, 1)
    smooth = 0.5 - 0.5 * np.cos(np.pi * place)
    return np.asarray(10 ** ((before_db + (after_db - before_db) * smooth) / 20), np.float32)


def join(first: Samples, second: Samples, at: int, overlap: int) -> Samples:
    """Join `first` up to sample `at` with `second` from there, `[N]` each, with a linear cross-fade of `overlap`."""
    weight = np.clip((np.arange(len(first)) - at) / max(overlap, 1) + 0.5, 0, 1).astype(np.float32)
    return first + (second - first) * weight


def fade(samples: Samples, frames: int) -> Samples:
    """Return a copy with its first and last `frames` (at most half) faded, so that joins do not click."""
    frames = min(frames, len(samples) // 2)
    faded = samples.copy()
    if frames:
        ramp = _ramp(frames)
        faded[:frames] *= ramp
        faded[-frames:] *= ramp[::-1]
    return faded


def loop(samples: Samples, frames: int, overlap: int) -> Samples:
    """Repeat to `[frames]`, each repetition cross-faded over `overlap` samples (a quarter of it at most).

    The fades are complementary in power: steady noise keeps its level across the joins.
    """
    overlap = min(overlap, len(samples) // 4)
    if len(samples) >= frames or overlap == 0:
        return np.resize(samples, frames).astype(np.float32, copy=False)
    ramp = _ramp(overlap)
    period = samples[: len(samples) - overlap].copy()
    period[:overlap] = period[:overlap] * ramp + samples[-overlap:] * ramp[::-1]
    looped = np.resize(period, frames)
    looped[:overlap] = samples[:overlap]
    return looped


@functools.lru_cache(maxsize=32)
def _ramp(frames: int) -> Samples:
    """Return a quarter of a sine, whose square and that of its mirror image sum to one."""
    ramp = np.sin(np.pi / 2 * (np.arange(frames) + 0.5) / frames).astype(np.float32)
    ramp.flags.writeable = False
    return ramp


_KNOTS_HZ = np.array([60.0, 180.0, 540.0, 1600.0, 4000.0, 8000.0])
"""Frequencies at which gains are drawn, about 1.5 octaves apart; the curve is constant outside them."""
_RING = 1024
"""Padding in samples against circular wrap-around of the response."""


def draw_curve(rng: np.random.Generator, most_db: float) -> npt.NDArray[np.float64]:
    """Draw gains in dB at the knots, within ±`most_db` and with a mean near 0."""
    gains = rng.uniform(-most_db, most_db, len(_KNOTS_HZ)) * rng.uniform(0.3, 1)
    return np.asarray(np.clip(gains - gains.mean(), -most_db, most_db))


def gain_db(curve: npt.NDArray[np.float64], hertz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Interpolate the curve at any frequencies, by a cosine over the logarithm of frequency."""
    before, smooth = _places(hertz)
    return np.asarray(curve[before] + (curve[before + 1] - curve[before]) * smooth)


def equalise(samples: Samples, curve: npt.NDArray[np.float64], rate: int) -> Samples:
    """Filter signals `[..., N]` by a curve of gains in dB, which are real, so that there is no delay."""
    frames = samples.shape[-1]
    points = fast_length(frames + _RING)
    before, smooth = _places_of_bins(points, rate)
    nepers = (curve * (np.log(10) / 20)).astype(np.float32)
    gain = np.exp(nepers[before] + np.diff(nepers)[before] * smooth)
    coloured = np.fft.irfft(np.fft.rfft(samples, points) * gain, points)
    return coloured[..., :frames].astype(np.float32, copy=False)


@functools.lru_cache(maxsize=16)
def _places_of_bins(points: int, rate: int) -> tuple[npt.NDArray[np.int64], Samples]:
    before, smooth = _places(np.fft.rfftfreq(points, 1 / rate))
    return before, smooth.astype(np.float32)


def _places(hertz: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the index of the knot below each frequency, and the weight of the next knot."""
    places = np.interp(np.log(np.maximum(hertz, 1.0)), np.log(_KNOTS_HZ), np.arange(len(_KNOTS_HZ)))
    before = np.minimum(places.astype(np.int64), len(_KNOTS_HZ) - 2)
    return before, 0.5 - 0.5 * np.cos(np.pi * (places - before))


@dataclass(frozen=True)
class Codec:
    """A format that libsndfile writes; `level` is its compression level, 1 the strongest."""

    name: str
    format: str
    subtype: str
    level: float | None = None


# Only codecs that libsndfile decodes without delay: a shift would be learnt (mp3 at a constant bit rate, and the lowest
# rates of Opus, have one).
CODECS = (
    Codec("µ-law", "WAV", "ULAW"),
    Codec("A-law", "WAV", "ALAW"),
    Codec("IMA ADPCM", "WAV", "IMA_ADPCM"),
    Codec("GSM 6.10", "WAV", "GSM610"),
    Codec("Vorbis 28 kbit/s", "OGG", "VORBIS", 1.0),
    Codec("mp3 21 kbit/s", "MP3", "MPEG_LAYER_III", 0.8),
)
"""Codecs at the bit rates of speech at 16 kHz."""


def through(codec: Codec, samples: Samples, rate: int) -> Samples:
    """Encode `[N]` and decode it, aligned and of the same length; values beyond full scale are clipped."""
    if not len(samples):
        return samples
    file = io.BytesIO()
    settings = {} if codec.level is None else {"compression_level": codec.level}
    soundfile.write(
        file, np.clip(samples, -1, 1), rate, format=codec.format, subtype=codec.subtype, **settings
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.pad(decoded[: len(samples)], (0, max(0, len(samples) - len(decoded))))
