"""Write a band-split network as C: one source file with its weights, and a header. It needs nothing but libm.

`c/denoiser.c` processes a block, with the vectors and products of `models/simd.h`. Written here are the sizes and the
weights that it uses, in the order in which it reads them: matrices as `[inputs, outputs]`, padded with zeros to
multiples of 8, those of `layer` packed in panels (`kernels.packed`). A network always gives the same text.
"""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import stillwave
from stillwave.card import Card
from stillwave.errors import StillwaveError
from stillwave.models import BSRNN, Denoiser, kernels
from stillwave.models.bsrnn import BandBlock
from stillwave.models.norms import LEVEL_FRAMES

TEMPLATES = Path(__file__).with_name("c")
VECTORS = Path(kernels.__file__).with_name("simd.h")
LINE = 118
"""Characters of a line of the comment at the top."""
NUMBERS = 8
"""Weights in a line."""


class CSource(NamedTuple):
    """The text of the two files, the name that their functions begin with, and the bytes of the state of one signal."""

    name: str
    header: str
    source: str
    state_bytes: int


class Sizes(NamedTuple):
    """Constants of a network, as denoiser.c names them."""

    channels: int
    blocks: int
    bands: int
    bins: int

    @property
    def hidden(self) -> int:
        """Return the hidden units of a GRU along the bands in one direction, with their padding."""
        return padded(self.channels // 2)

    @property
    def state_floats(self) -> int:
        """Return the floats of `State` in denoiser.c, which asserts that they are as many."""
        hop, rows, pair = self.bins - 1, padded(self.bins), 2 * self.hidden
        frames = 4 + (2 + 4 * 2) * hop + (2 + 3 + 3) * rows
        maps = (1 + 1 + 3) * self.channels + pair + 3 * max(self.channels, pair)
        return frames + self.bands * (self.blocks * self.channels + maps)


def c_source(model: Denoiser, card: Card, stem: str) -> CSource:
    """Return the C source of a network for the files `stem`.c and `stem`.h.

    Raises StillwaveError if the network is not a causal `bsrnn` with finite weights, or if no C function can be named
    as the file.
    """
    if type(model) is not BSRNN or not model.causal:
        kind = f"{'' if model.causal else 'non-causal '}'{model.config.name}'"
        raise StillwaveError(f"C can be written for a causal 'bsrnn' network, not for a {kind}")
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise StillwaveError("has weights that are not finite; train it again")
    sizes = Sizes(model.config.channels, len(model.blocks), model.split.bands, model.stft.bins)
    name, title = identifier(stem), _title(card, stem)
    header = (TEMPLATES / "denoiser.h").read_text(encoding="utf-8")
    parts = [
        title,
        '#ifndef __GNUC__\n#error "needs the vectors of GCC or Clang"\n#endif\n'
        '#pragma GCC diagnostic ignored "-Wpsabi" /* all functions with vectors are inlined */\n\n'
        f'#include "{stem}.h"\n\n#include <math.h>\n',
        VECTORS.read_text(encoding="utf-8"),
        _sizes(model, sizes),
        _weights(model, sizes),
        (TEMPLATES / "denoiser.c").read_text(encoding="utf-8"),
    ]
    header = header.replace("DENOISER_STATE", str(sizes.state_floats)).replace("DENOISER_SOURCE", f"{stem}.c")
    return CSource(name, _renamed(header, name), _renamed("\n".join(parts), name), 4 * sizes.state_floats)


def identifier(stem: str) -> str:
    """Return the name of the functions in a file. Raises StillwaveError if it does not begin with a letter."""
    name = re.sub(r"[^0-9A-Za-z]", "_", stem)
    if not re.match("[A-Za-z]", name):
        raise StillwaveError("functions in C are named as the file; begin its name with a letter")
    return name


def padded(size: int) -> int:
    """Return `size` or the next multiple of 8."""
    return -(-size // 8) * 8


def _title(card: Card, stem: str) -> str:
    model = card.model
    data = f"Training data: {card.data}".replace("*/", "* /") if card.data else ""
    lines = [
        f"{stem}.c: removes noise from speech. Written by `stillwave export`; do not edit it.",
        "",
        "Compile it with full optimisation and for the processor that runs it, and link with -lm:",
        f"    cc -O3 -march=native -c {stem}.c    (-mcpu=... on Arm; not -ffast-math, which lets NaN through)",
        "",
        f"Network: {model.name}, {model.channels} channels, {model.blocks} blocks, {card.parameters:,} parameters,",
        f"weights {card.sha256}.",
        f"Code: stillwave {stillwave.__version__}, Apache-2.0.",
        *textwrap.wrap(data, LINE - 4),
    ]
    return "/* " + "\n * ".join(lines).replace(" * \n", " *\n") + "\n */\n"


def _renamed(text: str, name: str) -> str:
    """Return a template with `name` in place of `denoiser`."""
    return re.sub(r"\bDENOISER(?=_)", name.upper(), re.sub(r"\bdenoiser(?=_)", name, text))


def _sizes(model: BSRNN, sizes: Sizes) -> str:
    config = model.config
    constants = {
        "CHANNELS": sizes.channels,
        "HIDDEN": sizes.hidden,
        "BLOCKS": sizes.blocks,
        "BANDS": sizes.bands,
        "LEVEL_NORMALIZED": int(config.level_normalized),
    }
    widths = [width // 2 for width in _parts(model)]
    return (
        f"enum {{ {', '.join(f'{key} = {value}' for key, value in constants.items())} }};\n"
        f"#define COMPRESSION {_number(config.compression)}\n"
        f"#define LEVEL_DECAY {_number(math.exp(-1 / LEVEL_FRAMES))}\n"
        f"static const short WIDTHS[BANDS] = {{{', '.join(map(str, widths))}}};\n"
    )


def _weights(model: BSRNN, sizes: Sizes) -> str:
    blocks = [_block(block, sizes.hidden) for block in model.blocks]  # type: ignore[arg-type]
    members = ",\n          ".join(f"{name}[{part.numel()}]" for name, part in blocks[0].items())
    weights = ",\n".join(f"{{{','.join(_braced(part) for part in block.values())}}}" for block in blocks)
    masks = list(
        zip(*(torch.split(part, _parts(model)) for part in (model.mask.weight, model.mask.bias)), strict=True)
    )
    sines = torch.sin(torch.arange(3 * (sizes.bins - 1), dtype=torch.float64) * (math.pi / model.stft.n_fft))
    arrays = {
        "SPLIT": model.split.weight,
        "SPLIT_BIAS": model.split.bias,
        "MASK_NORM": _norm(model.mask_norm),
        "MASK_HIDDEN": kernels.packed(model.mask_hidden.weight.T),
        "MASK_HIDDEN_BIAS": model.mask_hidden.bias,
        "MASK": torch.cat([_pad(w.T, sizes.channels, padded(len(w))).flatten() for w, _ in masks]),
        "MASK_BIAS": torch.cat([_pad(bias, padded(len(bias))) for _, bias in masks]),
        "SINES": sines,  # sin(pi n / FFT): the window, and the roots of one
    }
    return (
        f"typedef struct {{\n    float {members};\n}} Block;\n\n"
        f"static const Block WEIGHTS[BLOCKS] = {{\n{weights}}};\n\n"
        + "\n".join(f"static const float {name}[] = {_braced(values)};\n" for name, values in arrays.items())
    )


def _parts(model: BSRNN) -> list[int]:
    """Return the outputs of the mask layer in each band, two a bin."""
    counts = torch.bincount(model.mask.slots // model.mask.widest, minlength=model.mask.bands)
    return [int(count) for count in counts]


def _block(block: BandBlock, hidden: int) -> dict[str, Tensor]:
    """Return the weights of a block by the names in denoiser.c; `hidden` is that of `Sizes`."""
    channels, half = block.time.hidden_size, block.band.hidden_size
    time = _gru(block.time, "", channels)
    up, down = _gru(block.band, "", hidden), _gru(block.band, "_reverse", hidden)
    outputs = [_pad(part, hidden, channels) for part in torch.split(block.band_out.weight.T, half)]
    return {
        "time_norm": _norm(block.time_norm),
        "time_input": kernels.packed(time.input),
        "time_hidden": kernels.packed(time.hidden),
        "time_bias": time.bias,
        "time_output": kernels.packed(block.time_out.weight.T),
        "time_output_bias": block.time_out.bias,
        "band_norm": _norm(block.band_norm),
        "band_input": kernels.packed(torch.cat([up.input, down.input], dim=1)),
        "up_hidden": up.hidden,
        "up_bias": up.bias,
        "down_hidden": down.hidden,
        "down_bias": down.bias,
        "band_output": kernels.packed(torch.cat(outputs)),
        "band_output_bias": block.band_out.bias,
    }


class _Gru(NamedTuple):
    input: Tensor  # [inputs, 3 * hidden]
    hidden: Tensor  # [hidden, 3 * hidden]
    bias: Tensor  # [4, hidden]: b_r and b_z of inputs and hidden units together, b_n, b_m (see gru.c)


def _gru(gru: nn.GRU, direction: str, hidden: int) -> _Gru:
    """Return the weights of one direction, padded to `hidden` units."""
    parts = (
        getattr(gru, f"{part}_l0{direction}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    of_input, of_hidden, b, c = (part.reshape(3, gru.hidden_size, -1) for part in parts)
    biases = torch.cat([b[:2] + c[:2], b[2:], c[2:]])
    return _Gru(
        _pad(of_input, 3, hidden, gru.input_size).permute(2, 0, 1).reshape(gru.input_size, -1),
        _pad(of_hidden, 3, hidden, hidden).permute(2, 0, 1).reshape(hidden, -1),
        _pad(biases[..., 0], 4, hidden),
    )


def _norm(norm: nn.LayerNorm) -> Tensor:
    return torch.stack([norm.weight, norm.bias])


def _pad(tensor: Tensor, *shape: int) -> Tensor:
    """Return the tensor with zeros after it along each axis."""
    result = tensor.new_zeros(shape)
    result[tuple(slice(size) for size in tensor.shape)] = tensor
    return result


def _braced(values: Tensor) -> str:
    """Return a list of numbers in C."""
    numbers = [_number(value) for value in values.flatten().tolist()]
    lines = (", ".join(numbers[first : first + NUMBERS]) for first in range(0, len(numbers), NUMBERS))
    return "{\n" + ",\n".join(lines) + "}"


def _number(value: float) -> str:
    """Return a C constant that reads as the same float32."""
    text = f"{value:.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")
