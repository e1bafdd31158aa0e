"""Exported graphs compute what their network computes: any block sizes, any number of streams, any length."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_networks import network

from stillwave.checkpoint import Card
from stillwave.errors import StateError
from stillwave.exporting import graphs, verify
from stillwave.exporting.export import describe
from stillwave.stft import Stft

CAUSAL = ("bsrnn", "dpdcrn", "running", "microphones")


@functools.cache
def streaming(kind: str):
    """A network, the metadata of its file, and the file in ONNX Runtime."""
    model = network(kind)
    meta = describe(model, Card(model=model.config), offline=False)
    return model, meta, verify.onnx_runner(graphs.serialise(graphs.stream_graph(model), meta))


def noise(streams: int, microphones: int, samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((streams, microphones, samples)).astype(
        np.float32
    )


@pytest.mark.parametrize("kind", CAUSAL)
@given(
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    streams=st.integers(1, 4),
    samples=st.integers(1, 3000),
    seed=st.integers(0, 99),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_streamed_in_any_blocks_it_is_the_offline_network(kind, blocks, streams, samples, seed) -> None:
    model, meta, run = streaming(kind)
    noisy = noise(streams, meta.microphones, samples, seed)
    found = verify.enhance(run, meta, noisy, blocks)
    np.testing.assert_allclose(found, verify.reference(model, noisy), atol=1e-5)


@pytest.mark.parametrize("kind", CAUSAL)
def test_every_state_is_named_in_and_out_and_matters(kind) -> None:
    model, meta, run = streaming(kind)
    assert list(meta.states) == [name for name, _ in model.named_modules() if name.endswith("memory")]
    spectrum = verify.spectra(meta, noise(2, meta.microphones, 2000))
    states = [np.zeros((2, *shape), np.float32) for shape in meta.states.values()]
    estimate, *after = run([spectrum, *states])
    assert [state.shape for state in after] == [state.shape for state in states]
    again, *_ = run([spectrum, *after])
    assert np.abs(again - estimate).max() > 1e-4
    for index in range(len(states)):
        one = [a if i == index else s for i, (s, a) in enumerate(zip(states, after, strict=True))]
        assert np.abs(run([spectrum, *one])[0] - estimate).max() > 0, list(meta.states)[index]


def test_names_and_axes_of_the_file() -> None:
    model = network("dpdcrn")
    graph = graphs.stream_graph(model).graph
    names = list(graphs.state_shapes(model))
    assert [entry.name for entry in graph.input] == ["spectrum", *(f"state.{name}" for name in names)]
    assert [entry.name for entry in graph.output] == ["estimate", *(f"next.{name}" for name in names)]
    axes = [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["streams", 2, "frames", 257]
    for entry in graph.input[1:]:
        assert entry.type.tensor_type.shape.dim[0].dim_param == "streams"


@pytest.mark.parametrize("kind", ["bsrnn", "microphones", "whole"])
def test_the_offline_graph_holds_its_stft(kind) -> None:
    model = network(kind)
    meta = describe(model, Card(model=model.config), offline=True)
    run = verify.onnx_runner(graphs.serialise(graphs.offline_graph(model), meta))
    for samples in (1, 255, 256, 257, 5000):
        noisy = noise(3, model.microphones, samples)
        found = verify.enhance(run, meta, noisy)
        assert found.shape == (3, samples)
        np.testing.assert_allclose(found, verify.reference(model, noisy), atol=3e-5)


def test_exporting_does_not_change_the_network() -> None:
    model = network("dpdcrn").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graphs.stream_graph(model)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    noisy = torch.from_numpy(noise(1, 1, 1000)[:, 0])
    assert torch.equal(model.eval()(noisy), network("dpdcrn")(noisy))


def test_a_non_causal_network_has_no_streaming_graph() -> None:
    with pytest.raises(StateError, match="causal"):
        graphs.stream_graph(network("whole"))


def test_the_bases_are_those_of_the_transform() -> None:
    frame = torch.randn(1, 256, generator=torch.Generator().manual_seed(0))
    analysis, synthesis = graphs.fourier_bases(512)
    spectrum = Stft().analyse(frame)[0, 0]  # the frame before the first sample holds it in its second half
    halves = torch.cat([torch.zeros(256), frame[0]])
    expected = torch.cat([spectrum.real, spectrum.imag])
    torch.testing.assert_close(analysis @ halves, expected, atol=1e-5, rtol=0)
    window = Stft().window.float()
    torch.testing.assert_close((analysis @ halves) @ synthesis, halves * window**2, atol=5e-6, rtol=0)
