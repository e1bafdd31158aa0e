"""Two networks that are not part of the package, as in the documentation."""

import torch
from torch import nn

from stillwave.distill import Distiller


def network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, width, 16, stride=8), nn.PReLU(),
        nn.Conv1d(width, width, 3, padding=1), nn.PReLU(),
        nn.ConvTranspose1d(width, 1, 16, stride=8),
    )  # fmt: skip


def test_own_networks():
    teacher, student, noisy, clean = network(32), network(8), torch.randn(4, 1, 800), torch.randn(4, 1, 800)

    taps = {"encoder": (["1:bct"], ["1:bct"]), "middle": (["3:bct"], ["3:bct"])}
    distiller = Distiller(teacher, student, "i2srf_tfckd", taps, example=noisy)
    optimiser = torch.optim.AdamW([*student.parameters(), *distiller.connectors()])

    estimate, losses = distiller(noisy)
    loss = (estimate - clean).abs().mean() + sum(losses.values())
    loss.backward()
    optimiser.step()

    assert list(losses) == ["encoder", "middle", "inter"]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


def test_recurrent_networks():
    class Recurrent(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.gru = nn.GRU(40, width, batch_first=True)
            self.out = nn.Linear(width, 40)

        def forward(self, noisy: torch.Tensor) -> torch.Tensor:
            return self.out(self.gru(noisy.unflatten(1, (-1, 40)))[0]).flatten(1)

    noisy = torch.randn(3, 400)
    taps = {"memory": (["gru:btc"], ["gru:btc"])}
    distiller = Distiller(Recurrent(24), Recurrent(6), taps=taps, example=noisy)
    _, losses = distiller(noisy)
    sum(losses.values()).backward()
    assert distiller.student.gru.weight_hh_l0.grad.abs().max() > 0
