"""Networks that recipes of tests name as `python:toy_modules:NAME`."""

from torch import nn


class Filter(nn.Module):
    """A network of one layer, from [B, N] to [B, N]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.layer.weight, 0.3)

    def forward(self, noisy):
        return self.layer(noisy[:, None])[:, 0]


FILTER = Filter()
