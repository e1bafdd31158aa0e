import pytest
import torch
from torch import nn

from stillwave.distill import DistillError, Layer, Taps


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.shared = nn.Conv2d(3, 3, 1)
        self.gru = nn.GRU(12, 5, batch_first=True)
        self.unused = nn.Linear(2, 2)
        self.spectrum = nn.Identity()
        self.nothing = nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):  # [B, 1, T, 4]
        y = self.relu(self.conv(x))
        y = self.shared(self.shared(y))
        self.spectrum(torch.complex(y, 2 * y))
        self.nothing("a word")
        out, _ = self.gru(self.dropout(y).transpose(1, 2).flatten(2))
        return out


def recorded(*names, net=None, x=None):
    net = net or Net()
    taps = Taps(net, names, "student")
    with taps.record() as found:
        net(torch.randn(2, 1, 6, 4) if x is None else x)
    return found


def test_records_outputs_of_layers():
    net, x = Net(), torch.randn(2, 1, 6, 4)
    first, second = (recorded(f"shared@{k}", net=net, x=x)[f"shared@{k}"] for k in (1, 2))
    torch.testing.assert_close(first, net.shared(net.relu(net.conv(x))))
    torch.testing.assert_close(second, net.shared(first))
    assert second.requires_grad


def test_layouts():
    found = recorded("relu", "gru:btc")
    assert found["relu"].shape == (2, 3, 6, 4)
    assert found["gru:btc"].shape == (2, 5, 6, 1)
    x = torch.arange(24.0).view(2, 3, 4)
    net = nn.Sequential(nn.Identity())
    for layout, shape in (
        ("btc", (2, 4, 3, 1)),
        ("bct", (2, 3, 4, 1)),
        ("btd", (2, 1, 3, 4)),
        ("tbd", (3, 1, 2, 4)),
    ):
        taps = Taps(net, [f"0:{layout}"])
        with taps.record() as out:
            net(x)
        assert out[f"0:{layout}"].shape == shape
    four = Taps(net, ["0:bcdt", "0:btcd"])
    with four.record() as out:
        net(x[None])
    torch.testing.assert_close(out["0:bcdt"], x[None].transpose(2, 3))
    torch.testing.assert_close(out["0:btcd"], x[None].transpose(1, 2))


def test_complex_features_become_real_channels():
    found = recorded("spectrum")["spectrum"]
    assert found.shape == (2, 6, 6, 4)
    torch.testing.assert_close(found[:, 3:], 2 * found[:, :3])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unused", "student's layer 'unused' .*called"),
        ("shared", "'shared' .*2 times .*'shared@1' to 'shared@2'"),
        ("shared@3", "'shared' .*2 times.*'shared@3'"),
        ("gru", r"'gru' .*3 axes \(2×6×5\).*'gru:btc'"),
        ("relu:btc", "4 axes .*'btc' .*3"),
        ("conv", "'conv' .*in place"),
        ("nothing", "'nothing' .*tensor"),
    ],
)
def test_layers_that_cannot_be_tapped_are_refused(name, message):
    with pytest.raises(DistillError, match=message):
        recorded(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shred", "student .*'shred'.*'shared'"),
        ("gru:bxc", "'bxc' .*b and t"),
        ("gru:bc", "'bc' .*b and t"),
        ("gru:btt", "'btt' .*once"),
        ("shared@0", "k from 1"),
        ("", "is invalid"),
        ("gru:", "is invalid"),
    ],
)
def test_invalid_taps_are_refused(name, message):
    with pytest.raises(DistillError, match=message):
        Taps(Net(), [name], "student")


def hooks(net):
    return sum(len(m._forward_hooks) for m in net.modules())


def test_hooks_are_always_removed():
    net = Net()
    taps = Taps(net, ["relu", "gru:btc"])
    with taps.record():
        assert hooks(net) == 2
        net(torch.randn(2, 1, 6, 4))
    assert hooks(net) == 0
    with pytest.raises(RuntimeError), taps.record():  # the network's own error comes through
        net(torch.randn(2, 9, 6, 4))
    assert hooks(net) == 0
    with pytest.raises(DistillError), Taps(net, ["unused"]).record():
        net(torch.randn(2, 1, 6, 4))
    assert hooks(net) == 0


def test_a_dry_run_has_no_side_effects():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), AlwaysRandom())
    net[1].eval()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    shapes = Taps(net, ["0", "2"]).shapes(torch.randn(2, 1, 6, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.rand(3), expected)
    assert [m.training for m in net] == [True, False, True]
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in state.items())
    assert shapes == {"0": Layer("0", 3, 6, 4, 6), "2": Layer("2", 3, 6, 4, 0)}


def test_a_layout_with_a_wrong_batch_axis_is_refused():
    net = nn.Sequential(nn.GRU(4, 5))  # frames first
    with pytest.raises(DistillError, match=r"'0\.net\.0:btc' .*6 examples for 2"):
        Taps(nn.Sequential(Transposed(net)), ["0.net.0:btc"]).shapes(torch.randn(2, 6, 4))
    found = Taps(nn.Sequential(Transposed(net)), ["0.net.0:tbc"]).shapes(torch.randn(2, 6, 4))
    assert found["0.net.0:tbc"].frames == 6


class AlwaysRandom(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Transposed(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.transpose(0, 1))[0]


def test_dicts_and_nested_tuples_are_searched():
    class Odd(nn.Module):
        def forward(self, x):
            return {"state": None, "maps": (None, x)}

    net = nn.Sequential(Odd())
    with Taps(net, ["0"]).record() as found:
        net(torch.ones(1, 2, 3, 4))
    assert found["0"].shape == (1, 2, 3, 4)
