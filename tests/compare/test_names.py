import pytest
import yaml

from stillwave.compare import names
from stillwave.errors import StillwaveError
from stillwave.schema import PRESETS, DistillConfig, ModelConfig
from stillwave.schema.methods import METHOD_CONFIGS, VARIANTS

BASE = DistillConfig.model_validate({"teacher": "t", "method": {"name": "i2srf_tfckd", "fusion_channels": 8}})


def test_the_student_alone_is_always_first():
    assert list(names.parse_methods("at,none,at", BASE)) == ["none", "at"]
    assert list(names.parse_methods("", BASE)) == ["none"]


def test_all_and_ablations_are_expanded():
    assert list(names.parse_methods("all", BASE)) == list(METHOD_CONFIGS)
    ablations = list(names.parse_methods("ablations", BASE))
    assert ablations[:2] == ["none", "i2srf_tfckd"]
    assert set(ablations[2:]) == {n for n, s in VARIANTS.items() if s["name"] == "i2srf_tfckd"}


def test_options_of_the_recipe_apply_to_its_method_and_variants_only():
    found = names.parse_methods("at,i2srf_tfckd,i2srf_tfckd-uniform", BASE)
    assert found["at"] == {"method": {"name": "at"}}
    assert found["i2srf_tfckd"]["method"] == {"name": "i2srf_tfckd", "fusion_channels": 8}
    assert found["i2srf_tfckd-uniform"]["method"]["fusion_channels"] == 8
    assert found["i2srf_tfckd-uniform"]["method"]["calibration"] is False


def test_custom_variants():
    found = names.parse_methods("at", BASE, ["strong={name: at, power: 4, rho: 1.0}"])
    assert found["strong"] == {"rho": 1.0, "method": {"name": "at", "power": 4}}
    assert names.display("strong", found["strong"]["method"]) == "strong (AT)"


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        ("strong", "LABEL={name: METHOD"),
        ("strong={power: 4}", "LABEL={name: METHOD"),
        ("strong={name: [", "LABEL={name: METHOD"),
        ("at={name: at}", "'at' is not"),
        ("a/b={name: at}", "'a/b' is not"),
    ],
)
def test_invalid_variants_are_refused(variant, sentence):
    with pytest.raises(StillwaveError, match=sentence):
        names.parse_methods("at", BASE, [variant])


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(StillwaveError, match=r"--methods: .*'fitnet'.*'fitnets'"):
        names.parse_methods("fitnet", BASE)


def test_seeds_and_students():
    assert names.parse_seeds("3, 0-2,1") == (3, 0, 1, 2)
    assert names.parse_students("8x1,16×2", ModelConfig(microphones=1)) == {
        "8x1": ModelConfig(channels=8, blocks=1),
        "16x2": ModelConfig(channels=16, blocks=2),
    }
    assert names.parse_students(None, ModelConfig()) == {"64x1": ModelConfig()}
    for text in ("", "a", "2-1", "-1", str(2**32)):
        with pytest.raises(StillwaveError, match="--seeds"):
            names.parse_seeds(text)
    for text in ("", "9x1", "8", "8x0", "0x1"):
        with pytest.raises(StillwaveError, match="--students"):
            names.parse_students(text, ModelConfig())


def test_students_may_be_presets_with_an_option():
    found = names.parse_students("bsrnn-xs, dpdcrn-xs:norm=running", ModelConfig())
    assert list(found) == ["bsrnn-xs", "dpdcrn-xs-norm-running"]
    assert found["bsrnn-xs"] == PRESETS["bsrnn-xs"]
    assert found["dpdcrn-xs-norm-running"] == PRESETS["dpdcrn-xs"].model_copy(update={"norm": "running"})
    for text, message in (
        ("bsrn-xs", "bsrn-xs: .*'bsrnn-xs'"),
        ("bsrnn-xs:norm=best", "norm: "),
        ("bsrnn-xs:nrom=batch", "nrom: "),
        (
            "dpdcrn-xs:norm=instance",
            "instance: .*norm 'instance'.*'batch'",
        ),
    ):
        with pytest.raises(StillwaveError, match=message):
            names.parse_students(text, ModelConfig())


def test_every_method_and_variant_has_a_name_in_tables_and_reconstructed_ones_say_so():
    assert set(names.DISPLAY) == {*METHOD_CONFIGS, *VARIANTS}
    for name in ("clskd", "abckd", "subband", "dfkd", "cosine", "dispatch-mssp", "two_step"):
        assert names.DISPLAY[name].endswith("-style")
    custom = yaml.safe_load("{name: dfkd, high: 3}")
    assert names.display("mine", custom) == "mine (DFKD-style)"
