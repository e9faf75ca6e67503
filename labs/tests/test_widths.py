"""Narrow networks cost what is counted and compute what the masked network does; the table is what it says."""

import itertools

import pytest
import torch

from labkit.checkpoints import load_checkpoint
from labkit.cost import count_macs
from labkit.widths import FULL, LAYERS, cnn_macs, load_width_table, narrow

VECTORS = [FULL, (10, 20, 40, 80), (1, 1, 1, 1), (4, 32, 17, 5)]


@pytest.mark.parametrize("widths", VECTORS)
def test_the_formula_counts_what_the_network_does(widths):
    assert cnn_macs(widths) == count_macs(narrow(load_checkpoint("cnn", 0), widths), (1, 28, 28))


@pytest.mark.parametrize("widths", VECTORS)
def test_a_narrow_network_computes_what_the_masked_one_does(widths):
    model = load_checkpoint("cnn", 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = narrow(model, widths)
    handles = []
    for place, (name, count) in enumerate(zip(LAYERS, widths, strict=True)):
        norms = getattr(model, name).weight.detach().abs().flatten(1).sum(dim=1)
        mask = torch.zeros(len(norms))
        mask[norms.topk(count).indices] = 1
        relu = getattr(model, f"relu{place + 1}")
        handles.append(
            relu.register_forward_hook(
                lambda module, inputs, output, mask=mask: output * mask.view(-1, *[1] * (output.dim() - 2))
            )
        )
    images = torch.randn(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(new(images), model(images), atol=1e-4)
    assert not new.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not {v.data_ptr() for v in model.state_dict().values()} & {
        v.data_ptr() for v in new.state_dict().values()
    }


@pytest.mark.parametrize("widths", [(16, 32, 64), (0, 32, 64, 128), (17, 32, 64, 128), (16, 32, 64, 129)])
def test_widths_that_make_no_sense_are_refused(widths):
    with pytest.raises(ValueError, match="four whole numbers"):
        cnn_macs(widths)
    with pytest.raises(ValueError, match="four whole numbers"):
        narrow(load_checkpoint("cnn", 0), widths)


def test_the_table_holds_every_vector_of_its_window():
    table = load_width_table()
    low, high = table.window
    assert table.widths == [w for w in itertools.product(*table.levels) if low <= cnn_macs(w) <= high]
    for name, values in table.accuracy.items():
        assert values.shape == (len(table.widths), 3)
        known = values[~values.isnan()]
        assert ((known > 0) & (known < 1)).all()
        assert name.startswith("tuned") or len(known) == values.numel()
    tuned = ~table.accuracy["tuned_test"].isnan()
    assert 30 <= int(tuned.all(dim=1).sum()) < len(table.widths)
    assert tuned[table.widths.index((10, 20, 40, 80))].all()
