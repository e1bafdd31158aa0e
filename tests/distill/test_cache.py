import errno
import json
from pathlib import Path

import pytest
import torch
from toys import Toy, pair

from stillwave.distill import Distiller, DistillError
from stillwave.distill.cache import CachedOutputs, TeacherCache, open_cache

TEACHER = "ab" * 32
NOISY = torch.randn(2, 48, generator=torch.Generator().manual_seed(1))


def opened(folder: Path, precision="float32", gigabytes=1.0) -> TeacherCache:
    return open_cache(folder, TEACHER, gigabytes, precision)


def answers(**features):
    """A teacher with these outputs that counts its calls."""
    asked = []

    def ask() -> CachedOutputs:
        asked.append(1)
        return CachedOutputs(dict(features), torch.arange(8.0).reshape(2, 4))

    return ask, asked


def awkward() -> dict[str, torch.Tensor]:
    """Memory layouts that networks give: channels last, permuted, a view of more, expanded, of size 1, half."""
    torch.manual_seed(0)
    block = torch.randn(2, 3, 4, 5)
    return {
        "plain": block,
        "last": block.contiguous(memory_format=torch.channels_last),
        "permuted": block.permute(0, 3, 1, 2),
        "part": torch.randn(2, 3, 9, 8)[:, :, 1:5, 2:7],
        "expanded": torch.randn(2, 1, 4, 5).expand(2, 3, 4, 5),
        "single": torch.randn(2, 1, 4, 1),
        "bfloat16": block.bfloat16(),
        "double": block.double(),
        "extremes": torch.tensor([float("inf"), float("nan"), -0.0, 1e-42]).reshape(1, 1, 2, 2),
    }


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    bits = torch.int16 if one.element_size() == 2 else torch.int32 if one.element_size() == 4 else torch.int64
    return one.dtype == other.dtype and torch.equal(
        one.contiguous().view(bits), other.contiguous().view(bits)
    )


def test_outputs_are_restored_exactly_in_the_same_layout(tmp_path):
    sentence = awkward()
    ask, asked = answers(**sentence)
    live = opened(tmp_path).outputs(NOISY, list(sentence), ask)
    kept = opened(tmp_path).outputs(NOISY, list(sentence), ask)
    assert len(asked) == 1
    assert same(live.estimate, kept.estimate)
    for name, feature in sentence.items():
        assert live.features[name] is feature, "a live answer is not touched"
        assert same(kept.features[name], feature), name
        if name != "expanded":
            assert kept.features[name].stride() == feature.stride(), name


def test_read_tensors_are_aligned(tmp_path):
    ask, _ = answers(odd=torch.randn(1, 1, 1, 3), even=torch.randn(1, 1, 1, 4))
    opened(tmp_path).outputs(NOISY, ["odd", "even"], ask)
    kept = opened(tmp_path).outputs(NOISY, ["odd", "even"], ask)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in [*kept.features.values(), kept.estimate])


@pytest.mark.parametrize(
    "other", [NOISY + 1e-7, NOISY[:1], NOISY.reshape(4, 24), NOISY.flip(0), NOISY.double()]
)
def test_each_input_has_its_own_entry(tmp_path, other):
    ask, asked = answers()
    cache = opened(tmp_path)
    cache.outputs(NOISY, [], ask)
    cache.outputs(other, [], ask)
    assert len(asked) == 2
    cache.outputs(NOISY.clone(), [], ask)
    assert len(asked) == 2


def test_autocast_and_precision_have_separate_entries(tmp_path):
    ask, asked = answers(a=torch.randn(1, 2, 3, 4))
    opened(tmp_path).outputs(NOISY, ["a"], ask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        opened(tmp_path).outputs(NOISY, ["a"], ask)
    opened(tmp_path, "float16").outputs(NOISY, ["a"], ask)
    assert len(asked) == 3


def test_an_entry_holds_the_taps_of_several_runs(tmp_path):
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 6)
    ask, asked = answers(a=a, b=b)
    cache = opened(tmp_path)
    cache.outputs(NOISY, [], ask)
    cache.outputs(NOISY, ["a"], ask)
    cache.outputs(NOISY, ["b"], ask)
    assert len(asked) == 3
    found = opened(tmp_path).outputs(NOISY, ["b", "a"], ask)
    cache.outputs(NOISY, [], ask)
    assert len(asked) == 3, "layer by layer it has come together"
    assert list(found.features) == ["b", "a"]
    assert torch.equal(found.features["a"], a)
    assert (cache.read, cache.computed, cache.added) == (1, 3, 3)
    assert "1 batches read, 3 computed, 3 added" in cache.summary()


def test_half_precision_halves_the_size_and_rounds_consistently(tmp_path):
    feature = 50 * torch.randn(2, 3, 40, 50)
    feature[0, 0, 0, 0] = 1e6  # beyond float16
    ask, asked = answers(a=feature)
    live = opened(tmp_path / "half", "float16").outputs(NOISY, ["a"], ask).features["a"]
    half = opened(tmp_path / "half", "float16")
    kept = half.outputs(NOISY, ["a"], ask).features["a"]
    nowhere = TeacherCache(None, "float16").outputs(NOISY, ["a"], ask).features["a"]
    assert len(asked) == 2
    assert torch.equal(live, kept)
    assert torch.equal(live, nowhere)
    assert live.dtype == torch.float32
    assert live[0, 0, 0, 0] == 65504
    rest = (slice(None), slice(1, None))
    assert ((live - feature)[rest].abs() <= 2**-11 * feature[rest].abs() + 1e-7).all()
    full = opened(tmp_path / "full")
    full.outputs(NOISY, ["a"], ask)
    assert half.files.total() < 0.55 * full.files.total()


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "bit":
        content[-3] ^= 1
    elif how == "zeros":
        content[-64:] = bytes(64)
    elif how == "short":
        del content[-5:]
    elif how == "empty":
        content = bytearray()
    elif how == "header":
        content[:8] = b"\xff" * 8
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["bit", "zeros", "short", "empty", "header"])
def test_a_damaged_entry_is_computed_again_and_replaced(tmp_path, how):
    feature = torch.randn(2, 3, 4, 5)
    ask, asked = answers(a=feature)
    opened(tmp_path).outputs(NOISY, ["a"], ask)
    (entry,) = tmp_path.glob("??/*.safetensors")
    damage(entry, how)
    again = opened(tmp_path).outputs(NOISY, ["a"], ask)
    assert len(asked) == 2
    assert torch.equal(again.features["a"], feature)
    opened(tmp_path).outputs(NOISY, ["a"], ask)
    assert len(asked) == 2, "now it is whole"


def test_the_limit_holds_and_the_rest_is_computed(tmp_path):
    ask, asked = answers(a=torch.randn(2, 3, 40, 50))  # 48 kB an entry
    cache = opened(tmp_path, gigabytes=110e-6)
    for step in range(4):
        cache.outputs(NOISY + step, ["a"], ask)
    assert (cache.added, len(asked)) == (2, 4)
    assert cache.files.total() <= 110_000
    again = opened(tmp_path, gigabytes=110e-6)
    for step in range(4):
        again.outputs(NOISY + step, ["a"], ask)
    assert (again.read, again.computed) == (2, 2)


def test_a_full_disk_is_reported_once_and_is_not_an_error(tmp_path, monkeypatch, capsys):
    ask, _ = answers(a=torch.randn(2, 3, 4, 5))
    cache = opened(tmp_path)
    cache.outputs(NOISY, ["a"], ask)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for step in range(1, 4):
        assert cache.outputs(NOISY + step, ["a"], ask).estimate.shape == (2, 4)
    text = capsys.readouterr().err
    assert text.count("No space left on device") == 1
    assert str(tmp_path) in text
    cache.outputs(NOISY, ["a"], ask)
    assert (cache.read, cache.added) == (1, 1), "what is there is still read"


def test_another_teachers_cache_is_refused(tmp_path):
    opened(tmp_path)
    with pytest.raises(DistillError, match=r"distill\.cache: .*teacher \(SHA-256 abab.*not cdcd"):
        open_cache(tmp_path, "cd" * 32, 1.0, "float32")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cache.json"),
        ("[]", "cache.json"),
        (json.dumps({"format": 99, "teacher": TEACHER}), r"distill\.cache: .*format 99"),
    ],
)
def test_an_invalid_manifest_is_refused(tmp_path, content, message):
    (tmp_path / "cache.json").write_text(content)
    with pytest.raises(DistillError, match=message):
        opened(tmp_path)


def test_a_folder_with_other_content_is_not_changed(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DistillError, match=r"distill\.cache: .*'thesis\.tex'"):
        opened(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"thesis.tex", ".lock"}
    with pytest.raises(DistillError, match=r"distill\.cache: .*thesis\.tex .*File exists"):
        opened(tmp_path / "thesis.tex")


def test_a_distiller_reads_entries_of_another_student(tmp_path):
    teacher, student = pair()
    teacher.eval()
    first = Distiller(teacher, student, "at", example=NOISY)
    first.cache = opened(tmp_path)
    _, live = first(NOISY)
    second = Distiller(teacher, Toy(3, 2), "at", example=NOISY)
    second.cache = opened(tmp_path)
    hook = teacher.register_forward_hook(lambda *_: pytest.fail("the teacher was called"))
    second(NOISY)
    hook.remove()
    third = Distiller(teacher, student, "at", example=NOISY)
    student.eval()
    _, alone = third(NOISY)
    third.cache = opened(tmp_path)
    _, read = third(NOISY)
    assert third.cache.read == 1
    assert all(torch.equal(alone[name], read[name]) for name in live)


def test_features_from_the_cache_require_no_gradient(tmp_path):
    ask, _ = answers(a=torch.randn(2, 3, 4, 5))
    for _ in range(2):
        found = opened(tmp_path).outputs(NOISY, ["a"], ask)
        assert not found.features["a"].requires_grad
