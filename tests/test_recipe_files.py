"""Recipe files, shipped recipes, methods and keys of earlier versions."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from recipe_errors import BASE, fault

from stillwave import recipe as recipes
from stillwave.errors import RecipeError
from stillwave.recipe import differences, dump, load, loads, locate, shipped
from stillwave.schema.methods import METHOD_CONFIGS, VARIANTS


def test_files_that_cannot_be_used(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, words in [
        (tmp_path, "is a folder"),
        (binary, "binary.yaml: .*UTF-8"),
        (tmp_path / "absent.yaml", "absent.yaml: .*known: denoiser-student"),
        ("distil-student", "distil-student: .*'distill-student'"),
    ]:
        with pytest.raises(RecipeError, match=words):
            load(path)


def test_a_shipped_recipe_is_loaded_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("train-teacher") == shipped()["train-teacher"]
    mine = tmp_path / "train-teacher"
    mine.write_text(BASE)
    assert locate("train-teacher").resolve() == mine, "a file of that name comes first"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipe(name):
    file = shipped()[name]
    recipe = load(file)
    assert recipe.name == name
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    verb = "distill" if recipe.distill else "train"
    assert recipes.summary(file)
    assert any(f"stillwave {verb} {name}" in line for line in header), "the header holds the command"
    score = [line for line in header if "score" in line.lower()]
    assert score, "the header says what score to expect, or that none was measured"


@given(st.text(max_size=60))
def test_any_text_is_a_recipe_or_a_recipe_error(text):
    try:
        loads(text)
    except RecipeError as error:
        assert str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "train", "model", "distill", "speech", "taps", "method", "steps", "x"]
                ),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_any_yaml_is_a_recipe_or_a_recipe_error(value):
    try:
        loads(yaml.safe_dump(value))
    except RecipeError as error:
        assert str(error).startswith("recipe")


METHOD = "data: {train: {speech: a, noise: b}, development: c}\ndistill: {teacher: t, method: METHOD}\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("at", {"name": "at"}),
        ("rkd-frames", {"name": "rkd", "relation": "frames"}),
        ("{name: at, power: 1}", {"name": "at", "power": 1.0}),
        ("{fusion_channels: 16}", {"name": "i2srf_tfckd", "fusion_channels": 16}),
        ("null", {"name": "i2srf_tfckd"}),
    ],
)
def test_a_method_is_its_name_a_variants_name_or_a_section(written, meant):
    recipe = loads(METHOD.replace("METHOD", written))
    assert {key: getattr(recipe.distill.method, key) for key in meant} == meant
    assert loads(dump(recipe)) == recipe


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "i2srf_tfckd-crss",
            "distill.method: 'i2srf_tfckd-crss' is not a method; did you mean 'i2srf_tfckd-cross'",
        ),
        ("{name: at, pwer: 1}", "distill.method.pwer is not a key; did you mean 'power'?"),
        ("{name: at, power: -1}", "distill.method.power is -1; it must be greater than"),
        ("{name: sp, power: 1}", "distill.method.power is not a key; known: centre, name"),
        ("[at]", 'distill.method is ["at"]; it must be'),
    ],
)
def test_an_unknown_method_names_the_nearest_one(written, message):
    with pytest.raises(RecipeError) as caught:
        loads(METHOD.replace("METHOD", written))
    assert message in str(caught.value)


def test_overrides_reach_the_options_of_any_method():
    assert loads(METHOD.replace("METHOD", "at"), ["distill.method.power=3"]).distill.method.power == 3
    assert loads(METHOD.replace("METHOD", "at"), ["distill.method=sp"]).distill.method.name == "sp"
    with pytest.raises(RecipeError, match=r"distill\.method\.powr .*'power'"):
        loads(METHOD.replace("METHOD", "at"), ["distill.method.powr=3"])


def test_an_option_can_be_set_of_a_variant_that_is_set():
    sets = ["distill.method=rkd-frames", "distill.method.frames=9"]
    method = loads(METHOD.replace("METHOD", "at"), sets).distill.method
    assert (method.name, method.relation, method.frames) == ("rkd", "frames", 9)


def test_every_variant_is_a_method_with_other_options():
    for name, section in VARIANTS.items():
        config = METHOD_CONFIGS[section["name"]](**section)
        assert config != METHOD_CONFIGS[section["name"]](), name


ABLATIONS = {
    "no-intra": {"intra"},
    "no-inter": {"inter"},
    "mean-fusion": {"fusion"},
    "time-only": {"batch"},
    "batch-only": {"time"},
    "frequency-only": {"time", "batch", "frequency"},
    "uniform": {"calibration"},
    "one-to-one": {"pairs"},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_only_the_options_that_it_ablates(name):
    whole = load("small-student")
    ablated = load("small-student", [f"distill.method=i2srf_tfckd-{name}"])
    assert set(differences(whole, ablated)) == {f"distill.method.{option}" for option in ABLATIONS[name]}


def test_mixing_key_of_an_earlier_version_is_read():
    section = "data: {train: {speech: s, noise: n}, development: d, mixing: {%s: 0.25}}"
    wanted = loads(section % "synthetic_noise")
    assert wanted.data.mixing.synthetic_noise == 0.25
    assert loads(section % "computed") == wanted
    assert loads(section % "computed", ["data.mixing.synthetic_noise=0.5"]).data.mixing.synthetic_noise == 0.5
    assert loads(section % "clean", ["data.mixing.clean=0", "data.mixing.computed=0.25"]) == wanted
    assert (
        type(wanted).model_validate(yaml.safe_load(dump(wanted).replace("synthetic_noise", "computed")))
        == wanted
    )
    assert "computed" not in dump(wanted)


def test_model_key_of_an_earlier_version_is_read():
    wanted = loads(BASE + "model: {causal: true, norm: batch, level_normalized: true}")
    assert loads(BASE + "model: {causal: true, norm: batch, levelled: true}") == wanted
    plain = BASE + "model: {causal: true, norm: batch}"
    assert loads(plain, ["model.levelled=true"]) == wanted
    assert loads(plain, ["model={causal: true, norm: batch, levelled: true}"]) == wanted
    assert loads(dump(wanted).replace("level_normalized", "levelled")) == wanted
    assert "levelled" not in dump(wanted)
    assert "levelled is not a key" in fault(BASE + "model: {levelled: true, level_normalized: true}")
