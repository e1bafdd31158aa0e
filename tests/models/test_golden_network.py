"""Agreement with the authors' released program, on whatever files the golden folder holds."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest
import torch
from released_names import to_ours

from stillwave.models import DPDCRN
from stillwave.schema import ModelConfig

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=golden.network_paths(), ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> golden.Golden:
    return golden.read(request.param)


def network(example: golden.Golden) -> DPDCRN:
    sizes = example.sizes
    config = ModelConfig(
        channels=sizes["channels"],
        blocks=sizes["blocks"],
        microphones=sizes["in_channels"] // 2,
        output="mask",
    )
    model = DPDCRN(config).eval()
    model.load_state_dict(to_ours(example.group("weight")), strict=True)
    return model


def run(example: golden.Golden) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model = network(example)
    features: dict[str, torch.Tensor] = {}
    modules = dict(model.named_modules())
    for kind, names in model.default_taps().items():
        for i, name in enumerate(names):
            key = f"{kind}.{i}"
            modules[name].register_forward_hook(lambda _m, _i, out, key=key: features.update({key: out}))
    with torch.enable_grad():  # the path that training takes
        return model.estimate(example.tensors["input"]), features


def test_golden_folder_contains_a_network() -> None:
    assert golden.network_paths(), f"no network_*.safetensors in {golden.FOLDER}"


def test_golden_features(example: golden.Golden) -> None:
    _, features = run(example)
    expected = example.group("feature")
    assert features.keys() == expected.keys()
    for name, value in expected.items():
        assert golden.difference(features[name], value) < TOLERANCE, name


def test_golden_output(example: golden.Golden) -> None:
    if "output.real" not in example.tensors:
        pytest.skip("no output in this file: its mask is among the features")
    estimate, _ = run(example)
    expected = torch.stack([example.tensors["output.real"], example.tensors["output.imag"]], dim=1)
    assert golden.difference(estimate, expected) < TOLERANCE


def test_golden_without_gradients_agrees_with_the_training_path(example: golden.Golden) -> None:
    model = network(example)
    with torch.inference_mode():
        plain = model.estimate(example.tensors["input"])
    assert golden.difference(model.estimate(example.tensors["input"]).detach(), plain) < TOLERANCE


def test_golden_files_elsewhere_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    assert golden.network_paths() == []
