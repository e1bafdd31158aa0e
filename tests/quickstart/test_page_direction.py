"""The page's sentences for a metric of which less is better."""

from __future__ import annotations

from types import SimpleNamespace

from stillwave.evaluate import Interval
from stillwave.quickstart import page

LESS, MORE = Interval(-0.1, -0.15, -0.05, 36), Interval(0.1, 0.05, 0.15, 36)


def test_fewer_errors_help_and_more_do_harm():
    assert page.verdict({"wer": LESS}).startswith("Distillation helped: WER")
    assert page.verdict({"wer": MORE}).startswith("Distillation did not help here, it did harm: WER")
    assert page.verdict({"si_sdr": MORE, "wer": MORE}).startswith("Distillation helped in part: SI-SDR")


def test_the_lowest_rate_is_the_best_and_above_the_noisy_one_is_warned_of():
    def of(wer):
        return {"wer": Interval(wer, wer, wer, 9), "si_sdr": Interval(-wer, 0, 0, 9)}

    facts = SimpleNamespace(metrics=("wer", "si_sdr"), scores={"noisy": of(0.3), "distilled": of(0.2)})
    assert page._best(facts) == {"wer": "distilled", "si_sdr": "distilled"}
    assert page.warning(facts) == ""
    facts.scores["distilled"] = of(0.4)
    assert page._best(facts) == {"wer": "noisy", "si_sdr": "noisy"}
    assert "WER and SI-SDR" in page.warning(facts)
