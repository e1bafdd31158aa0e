"""The `data` section of a recipe: sources of recordings, and how mixtures are made from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from stillwave.schema.base import Count, Fraction, Frozen, Positive, Range, renamed

MIXING_KEYS = {"computed": "synthetic_noise"}
"""Keys of `MixingConfig` in recipes of earlier versions, and their names now."""


class MixingConfig(Frozen):
    """How a noisy example is made from speech, noise and rooms (`data/mixing.py`)."""

    snr_db: Range = Range(low=-5, high=20)
    level_dbfs: Range = Range(low=-35, high=-15)
    noises: Annotated[int, Field(ge=1, le=8)] = 2
    """Largest number of noises in an example; the number is drawn from 1 to this."""
    babble: Fraction = 0.1
    """Share of examples whose noise includes several other speakers at once."""
    reverberation: Fraction = 0.3
    early_ms: Positive = 50.0
    """The target keeps the direct sound and reflections up to this long after it."""
    clipping: Fraction = 0.05
    band_limit: Fraction = 0.1
    band_limit_hz: Range = Range(low=3000, high=7500)
    """Edges of the band, between which one is drawn."""
    codec: Fraction = 0.0
    """Share of examples whose noisy signal passes a lossy codec."""
    gain_db: Range = Range(low=-6, high=6)
    """Gain of each noise against the others, before the sum is set to the drawn SNR."""
    synthetic_noise: Fraction = 0.0
    """Share of examples with one synthetic noise (`data/synthetic_noise.py`): coloured or modulated noise, hum, clicks,
    beeps. Formerly `computed`."""
    equaliser: Fraction = 0.0
    """Share of examples whose speech passes a smooth random equaliser; likewise for their noise."""
    equaliser_db: Positive = 9.0
    """Greatest gain and attenuation of the equaliser, in dB."""
    speed: Fraction = 0.0
    """Share of examples whose speech is played faster or slower, by a factor of `speed_range`, pitch included."""
    speed_range: Range = Range(low=0.85, high=1.15)
    noise_speed: Fraction = 0.0
    """Share of the noise recordings that are played faster or slower, by a factor of `noise_speed_range`, pitch
    included."""
    noise_speed_range: Range = Range(low=0.6, high=1.6)
    level_change: Fraction = 0.0
    """Share of examples whose level changes within the example, in noisy signal and target alike."""
    level_change_db: Positive = 12.0
    """Greatest change of level, in dB."""
    joined: Fraction = 0.0
    """Share of segments that change to another speaker, room and noise within the segment."""
    clean: Fraction = 0.0
    """Share of examples with an SNR of 40 to 60 dB."""
    noise_only: Fraction = 0.0
    """Share of training segments without speech, whose target is silence."""
    silence: Fraction = 0.0
    """Share of training segments with zeros as noisy signal and target."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, section: Any) -> Any:
        return renamed(section, MIXING_KEYS) if isinstance(section, dict) else section

    @model_validator(mode="after")
    def _playable(self) -> MixingConfig:
        for name in ("speed_range", "noise_speed_range"):
            given: Range = getattr(self, name)
            if not 0.5 <= given.low <= given.high <= 2:
                raise ValueError(f"{name} must lie within 0.5 and 2; 1 leaves the speed as it is")
        return self


class WeightedSource(Frozen):
    """One of several sources, and its weight.

    The utterance (or noise, or room) of an example comes from it with the probability weight / sum of weights.
    """

    path: str
    """A manifest (JSON lines) or a folder."""
    weight: Positive = 1.0

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


Several = Annotated[tuple[WeightedSource, ...], Field(min_length=1)]


class Sources(Frozen):
    """Manifests (JSON lines) or folders of recordings: one of each kind, or a list of several.

    speech: [{path: a.jsonl, weight: 3}, {path: b.jsonl, weight: 1}]
    """

    speech: str | Several
    noise: str | Several
    rooms: str | Several | None = None

    def of(self, kind: str) -> tuple[WeightedSource, ...]:
        """Return the sources of `speech`, `noise` or `rooms`."""
        value = getattr(self, kind)
        if value is None:
            return ()
        return (WeightedSource(path=value),) if isinstance(value, str) else tuple(value)


class Pairs(Frozen):
    """A corpus of mixtures: noisy recordings of one or several microphones, with clean references."""

    pairs: str
    """A manifest of pairs (`stillwave data scan --corpus l3das23`) or a folder in a known layout."""


def _kind_of_training(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    return "pairs" if "pairs" in keys else "sources"


class DataConfig(Frozen):
    """Sources of recordings, and how examples are cut from them."""

    train: Annotated[
        Annotated[Sources, Tag("sources")] | Annotated[Pairs, Tag("pairs")], Discriminator(_kind_of_training)
    ]
    """Sources that are mixed during training (`mixing`), or `pairs`, from which segments are cut."""
    development: str | Sources
    """A folder or manifest of fixed mixtures, or sources that are mixed with a fixed seed."""
    development_items: Count = 24
    segment_seconds: Positive = 2.0
    mixing: MixingConfig = MixingConfig()
    cache: str | None = None
    """Folder for decoded audio; by default in the cache folder of the user."""
    workers: Annotated[int, Field(ge=0)] = 2
