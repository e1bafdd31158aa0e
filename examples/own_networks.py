"""Distil two networks that are not part of stillwave.

    python examples/own_networks.py --speech SPEECH --noise NOISE [--student gru|wave] [--steps 300]

SPEECH and NOISE are folders of recordings or manifests. The teacher is a convolutional U-Net with a 1024/256 STFT. The
student is a GRU mask estimator with a 512/256 STFT (the flagship compares layers of both networks) or a time-domain
network (the estimates are compared). The student is also trained without a teacher, from the same weights and on the
same mixtures, and all are scored on held-out speakers and noises.

Requirement for your own networks: noisy waveforms [B, N] in, estimates [B, N] out.
"""

from __future__ import annotations

import argparse
import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stillwave import Distiller
from stillwave.console import err, track
from stillwave.data.dataset import batches
from stillwave.data.sources import build_mixer, development_pairs
from stillwave.distill import Balance
from stillwave.evaluation.metrics import score
from stillwave.losses import EnhancementLoss
from stillwave.schema import DataConfig, LossConfig, MixingConfig, Sources


class Spectra(nn.Module):
    """Base class of networks that mask spectra: `mask(parts [B, 2, T, F])` returns a complex mask [B, 2, T, F]."""

    def __init__(self, window: int, hop: int = 256) -> None:
        super().__init__()
        self.n_fft, self.hop = window, hop
        self.register_buffer("window", torch.hann_window(window).sqrt(), persistent=False)

    def mask(self, parts: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, noisy: Tensor) -> Tensor:
        stft = {"n_fft": self.n_fft, "hop_length": self.hop, "window": self.window}
        padded = F.pad(noisy, (0, -noisy.shape[1] % self.hop))
        spectrum = torch.stft(padded, **stft, pad_mode="constant", return_complex=True).mT
        real, imaginary = self.mask(torch.stack([spectrum.real, spectrum.imag], 1)).unbind(1)
        estimate = spectrum * torch.complex(real, imaginary)
        return torch.istft(estimate.mT, **stft, length=padded.shape[1])[:, : noisy.shape[1]]


def compressed(parts: Tensor) -> Tensor:
    """Return spectra with magnitudes to the power of 0.3."""
    return parts * (parts.square().sum(1, keepdim=True) + 1e-8) ** ((0.3 - 1) / 2)


class ConvUNet(Spectra):
    """The teacher: strided along frequency, with skip connections."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(1024)
        self.down = nn.ModuleList([_conv(2, width), _conv(width, 2 * width), _conv(2 * width, 2 * width)])
        self.middle = _conv(2 * width, 2 * width)
        self.up = nn.ModuleList([_conv(4 * width, 2 * width), _conv(4 * width, width)])
        self.out = nn.Conv2d(2 * width, 2, 1)

    def mask(self, parts: Tensor) -> Tensor:
        x, skips = compressed(parts), []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
            x = F.avg_pool2d(x, (1, 4), ceil_mode=True)
        x = self.middle(x)
        for layer in [*self.up, self.out]:
            skip = skips.pop()
            x = layer(torch.cat([F.interpolate(x, skip.shape[2:]), skip], 1))
        return x


def _conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, (3, 5), padding=(1, 2)), nn.PReLU())


class GruMask(Spectra):
    """A student: a GRU along time over all bins predicts the mask."""

    def __init__(self, width: int = 48) -> None:
        super().__init__(512)
        self.input = nn.Linear(257, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 2 * 257)

    def mask(self, parts: Tensor) -> Tensor:
        magnitude = compressed(parts).square().sum(1).sqrt()
        states, _ = self.gru(torch.relu(self.input(magnitude)))
        return self.out(states).unflatten(2, (2, 257)).transpose(1, 2)


class Wave(nn.Module):
    """A time-domain student: strided convolutions and a mask on their output."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, width, 32, stride=16, padding=16, bias=False)
        self.masks = nn.Sequential(
            *(
                layer
                for dilation in (1, 2, 4, 8)
                for layer in (nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation), nn.PReLU())
            ),
            nn.Conv1d(width, width, 1),
        )
        self.decoder = nn.ConvTranspose1d(width, 1, 32, stride=16, padding=16, bias=False)

    def forward(self, noisy: Tensor) -> Tensor:
        samples = noisy.shape[1]
        found = self.encoder(F.pad(noisy, (0, 16 + -samples % 16))[:, None])
        return self.decoder(found * torch.sigmoid(self.masks(torch.relu(found))))[:, 0, :samples]


TAPS = {"early": (["input:btc"], ["down.1", "down.2"]), "late": (["gru:btc"], ["middle", "up.0"])}
"""Tap sets of the GRU student; `btc` names the axes: batch, frame, channel (default `bctd`)."""


def train(model: nn.Module, data: DataConfig, steps: int, *, teacher: nn.Module | None = None) -> nn.Module:
    """Train on mixtures generated during training; with a teacher, distil."""
    criterion = EnhancementLoss(LossConfig())
    distiller, balance = None, Balance(rho=0.3, steps=20)
    if teacher is not None:
        example = torch.zeros(4, round(data.segment_seconds * 16_000))
        how = ("i2srf_tfckd", TAPS) if isinstance(model, GruMask) else ("output", None)
        distiller = Distiller(teacher, model, *how, example=example)
        err.print(distiller.table())
    connectors = [] if distiller is None else list(distiller.connectors())
    optimiser = torch.optim.AdamW([*model.parameters(), *connectors], lr=2e-3)
    source = build_mixer(data)
    for batch in track(batches(source, 4, first=0, last=steps), "distil" if teacher else "train", steps):
        if distiller is None:
            loss = criterion(model(batch.noisy), batch.clean)["total"]
        else:
            estimate, losses = distiller(batch.noisy, clean=batch.clean)
            loss, distance = criterion(estimate, batch.clean)["total"], torch.stack([*losses.values()]).sum()
            loss = loss + balance.weight(loss, distance, model.parameters()) * distance
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    return model


@torch.no_grad()
def si_sdr(model: nn.Module, data: DataConfig) -> float:
    """Return the mean SI-SDR over the development mixtures, in dB."""
    model.eval()
    values = []
    for item in development_pairs(data):
        estimate = model(torch.from_numpy(item.noisy)[None])[0].numpy()
        values.append(score(item.clean, estimate, ["si_sdr"])["si_sdr"].value)
    model.train()
    scored = [value for value in values if value is not None]
    return sum(scored) / len(scored)


def main() -> None:
    options = _options()
    sources = Sources(speech=options.speech, noise=options.noise)
    mixing = MixingConfig(reverberation=0, babble=0)
    data = DataConfig(train=sources, development=sources, segment_seconds=1.5, mixing=mixing, workers=0)
    torch.manual_seed(0)
    teacher = ConvUNet()
    baseline = GruMask() if options.student == "gru" else Wave()
    student = copy.deepcopy(baseline)
    train(teacher, data, options.steps)
    train(baseline, data, options.steps)
    train(student, data, options.steps, teacher=teacher)
    rows = {"noisy": nn.Identity(), "teacher": teacher, "baseline": baseline, "student": student}
    for name, model in rows.items():
        size = sum(p.numel() for p in model.parameters())
        print(f"{name:18} {size:8,} parameters   SI-SDR {si_sdr(model, data):6.2f} dB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Distil two networks that are not part of stillwave.")
    parser.add_argument("--speech", required=True, help="folder of speech, or its manifest")
    parser.add_argument("--noise", required=True, help="folder of noise, or its manifest")
    parser.add_argument("--student", choices=("gru", "wave"), default="gru")
    parser.add_argument("--steps", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    main()
