import pytest
import yaml
from recipe_errors import BASE, fault

from stillwave.recipe import differences, dump, loads
from stillwave.schema import PRESETS, Recipe


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
        (
            "distill: {teacher: t, teacher_command: c}",
            "recipe.yaml: distill: distill.teacher and distill.teacher_command are both set; remove one",
        ),
        (
            "distill: {teachers: [t]}",
            "recipe.yaml: distill: distill.teachers names one teacher; name several, or use distill.teacher",
        ),
        (
            "distill: {teachers: [t, u, t]}",
            "recipe.yaml: distill: distill.teachers names t twice; name each once",
        ),
        ("distill: {teachers: 5}", "recipe.yaml: distill.teachers is 5; it must be a list"),
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
