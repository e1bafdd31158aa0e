import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stillwave import recipe as recipes
from stillwave.errors import RecipeError
from stillwave.recipe import differences, dump, load, loads, locate, shipped
from stillwave.schema import PRESETS, Recipe
from stillwave.schema.methods import METHOD_CONFIGS, VARIANTS

BASE = "data: {train: {speech: a, noise: b}, development: d}\n"


def fault(text, *overrides, **options):
    with pytest.raises(RecipeError) as caught:
        loads(text, overrides, name="recipe.yaml", **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: {stepz: 3}", "recipe.yaml: train.stepz is not a key; did you mean 'steps'?"),
        ("sead: 3", "recipe.yaml: sead is not a key; did you mean 'seed'?"),
        ("train: {steps: many}", 'recipe.yaml: train.steps is "many"; it must be a whole number'),
        ("train: {steps: 1.5}", "recipe.yaml: train.steps is 1.5; it must be a whole number"),
        ("train: {steps: true}", "recipe.yaml: train.steps is true; it must be a whole number"),
        ("train: {steps: 0}", "recipe.yaml: train.steps is 0; it must be greater than or equal to 1"),
        ("train: {ema: .nan}", "recipe.yaml: train.ema is NaN; it must be a finite number"),
        ("train: {tensorboard: 7}", "recipe.yaml: train.tensorboard is 7; it must be true or false"),
        ("train: {precision: fp8}", "it must be 'fp32', 'bf16' or 'fp16'"),
        ("loss: [1]", "recipe.yaml: loss is [1]; it must be a section"),
        ("optimiser: {betas: [1, 2, 3]}", "optimiser.betas is [1, 2, 3]; it must be a list of 2"),
        ("distill: {}", "recipe.yaml: distill.teacher is missing"),
        ("distill: {teacher: 5}", "recipe.yaml: distill.teacher is 5; it must be text"),
        ("distill: {teacher: a, weight: big}", "it must be a number or 'balanced'"),
        (
            "distill: {teacher: a, taps: {e: {student: [a], teachr: [b]}}}",
            "distill.taps.e.teachr is not a key",
        ),
        ("loss: {compressed: 0, si_sdr: 0}", "recipe.yaml: loss: all enhancement losses have weight 0"),
        ("data.train: 1", "data.train is not a key"),
        ("1: 2", "recipe.yaml: 1 is not a key; known: data, distill"),
        ("model: dpdcrn-techer", "model: 'dpdcrn-techer' is not a preset; did you mean 'dpdcrn-teacher'"),
    ],
)
def test_faults_name_file_key_and_remedy(text, sentence):
    assert sentence in fault(BASE + text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "data: {train: {speech: a}}",
            "recipe.yaml: data.train.noise is missing\nrecipe.yaml: data.development is missing",
        ),
        (
            "data: {train: {speech: a, noise: b}, development: {speech: 3}}",
            "data.development.speech is 3; it must be text",
        ),
        ("seed: 1\n", "recipe.yaml: data is missing"),
        ("- a", "recipe.yaml: is a list; a recipe is a mapping with a 'data' section"),
        ("", "recipe.yaml: is empty"),
        ("hello", "recipe.yaml: is plain text"),
        ("seed: 1\nseed: 2", "recipe.yaml, line 2: 'seed' is given twice"),
        ("a:\n  b: {c: 1\n", "recipe.yaml, line 3: "),
        ("a: b: c", "recipe.yaml, line 1: "),
        ("a: \x00", "recipe.yaml: is not YAML"),
        ("[" * 1500, "recipe.yaml: is not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "recipe.yaml, line 1: could not determine a constructor"),
    ],
)
def test_faults_of_whole_documents(text, sentence):
    assert sentence in fault(text)


def test_all_faults_are_reported_together():
    assert len(fault(BASE + "train: {stepz: 3}\nloss: {si_sdrr: 1}").splitlines()) == 2


def test_overrides_set_into_absent_sections_and_are_parsed_as_yaml():
    recipe = loads(
        BASE, ["train.steps=7", "optimiser.lr=1e-4", "loss.si_sdr=0", "name=a b", "data.train.rooms=r"]
    )
    assert (recipe.train.steps, recipe.optimiser.lr, recipe.loss.si_sdr) == (7, 1e-4, 0)
    assert (recipe.name, recipe.data.train.rooms) == ("a b", "r")
    later = loads(BASE, ["train.steps=7", "train.steps=8"])
    assert later.train.steps == 8, "the last one counts"


def test_overrides_reach_through_a_value_that_may_be_a_section():
    recipe = loads(BASE, ["data.development.speech=x", "data.development.noise=y"])
    assert recipe.data.development.speech == "x"
    assert loads(
        BASE, ["distill.teacher=t", "distill.method.set_weights.encoder=2"]
    ).distill.method.set_weights == {"encoder": 2}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.stepz=3", "--set train.stepz: train.stepz is not a key; did you mean 'steps'?"),
        ("trian.steps=3", "trian is not a key; did you mean 'train'?"),
        ("train.steps", "write KEY=VALUE, as in --set train.steps=200"),
        ("=3", "write KEY=VALUE"),
        ("name=[", "the value is not YAML"),
        ("train.steps.x=1", 'train.steps is {"x": 1}; it must be a whole number'),
    ],
)
def test_faults_of_overrides(override, sentence):
    assert sentence in fault(BASE, override)


def test_a_preset_selects_a_model_and_can_be_overridden():
    assert loads(BASE + "model: dpdcrn-teacher").model == PRESETS["dpdcrn-teacher"]
    assert loads(BASE, ["model=dpdcrn-student"]).model == PRESETS["dpdcrn-student"]
    changed = loads(BASE + "model: dpdcrn-teacher", ["model.channels=16"]).model
    assert (changed.channels, changed.blocks) == (16, 4)


def test_a_preset_with_several_microphones_uses_filters():
    changed = loads(BASE + "model: dpdcrn-student", ["model.microphones=8"]).model
    assert changed == PRESETS["dpdcrn-student-8ch"]
    kept = loads(BASE + "model: dpdcrn-student", ["model.microphones=8", "model.output=mask"]).model
    assert kept.output == "mask"


def test_an_empty_section_has_its_defaults():
    assert (
        loads(BASE + "train:\n  # steps: 3\n").train.steps
        == Recipe.model_validate(yaml.safe_load(BASE)).train.steps
    )
    assert loads(BASE + "distill:\n").distill is None


def test_a_teacher_needs_a_distill_section():
    assert loads(BASE + "distill: {}", teacher="runs/1").distill.teacher == "runs/1"
    assert "has no 'distill' section" in fault(BASE, teacher="runs/1")


def test_dump_is_the_inverse_of_loads():
    recipe = loads(
        BASE + "model: dpdcrn-teacher\ndistill: {teacher: 'no'}", ["optimiser.lr=1e-7", 'name="ünï: x"']
    )
    assert loads(dump(recipe)) == recipe
    assert set(yaml.safe_load(dump(recipe))) == set(Recipe.model_fields), "nothing is left to defaults"


def test_differences_name_keys_but_not_where_a_run_is_computed():
    one = loads(BASE)
    assert differences(one, loads(BASE, ["train.steps=7", "loss.si_sdr=0"])) == ["loss.si_sdr", "train.steps"]
    assert differences(one, loads(BASE, ["data.workers=0", "train.device=cpu"])) == []
    assert "distill.teacher" in differences(one, loads(BASE, ["distill.teacher=t"]))


def test_files_that_cannot_be_used(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, words in [
        (tmp_path, "is a folder"),
        (binary, "is not UTF-8"),
        (tmp_path / "absent.yaml", "no such file, nor a shipped recipe"),
        ("distil-student", "did you mean 'distill-student'"),
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
    with pytest.raises(RecipeError, match=r"distill\.method\.powr is not a key"):
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
