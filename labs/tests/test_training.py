"""Accuracy counts, and training is reproducible and leaves no trace but the weights."""

import pytest
import torch
from torch import nn

from labkit.models import CNN, MLP
from labkit.training import accuracy, train


@pytest.fixture
def examples():
    """Return 50 random images and labels."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(50, 1, 28, 28, generator=random), torch.randint(10, (50,), generator=random)


def fresh(build=MLP, seed=0):
    torch.manual_seed(seed)
    return build()


class PixelsAsLogits(nn.Module):
    """Takes the first ten pixels for logits; has no parameters, and counts its calls."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        return images.flatten(1)[:, :10]


def test_accuracy_is_the_fraction_of_right_answers():
    images = torch.zeros(8, 1, 28, 28)
    images[:, 0, 0, 3] = 1.0  # every answer is 3
    labels = torch.tensor([3, 3, 3, 0, 1, 2, 3, 9])
    assert accuracy(PixelsAsLogits(), images, labels) == 0.5


@pytest.mark.parametrize("batch_size", [1, 7, 50, 200])
def test_accuracy_does_not_depend_on_the_batch_size(examples, batch_size):
    model = PixelsAsLogits()
    expected = (examples[0].flatten(1)[:, :10].argmax(1) == examples[1]).double().mean().item()
    assert accuracy(model, *examples, batch_size=batch_size) == pytest.approx(expected)
    assert model.calls == -(-50 // batch_size)


def test_accuracy_leaves_modes_gradients_and_statistics_as_they_were(examples):
    model = fresh(CNN).train()
    model.bn2.eval()
    model(examples[0]).sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    accuracy(model, *examples)
    assert model.training
    assert not model.bn2.training
    assert all(map(torch.equal, gradients, (parameter.grad for parameter in model.parameters())))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("images", "labels", "batch_size", "message"),
    [
        (torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64), 200, "at least one image"),
        (torch.zeros(4, 1, 28, 28), torch.zeros(3, dtype=torch.int64), 200, "one label for each"),
        (torch.zeros(4, 1, 28, 28), torch.zeros(4), 200, "torch.int64"),
        (torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64), 0, "batch_size"),
    ],
)
def test_bad_examples_are_refused(images, labels, batch_size, message):
    with pytest.raises(ValueError, match=message):
        accuracy(MLP(), images, labels, batch_size=batch_size)
    with pytest.raises(ValueError, match=message):
        train(MLP(), images, labels, lr=1e-3, steps=1, batch_size=batch_size)


def run(examples, seed=0, **options):
    model = fresh(CNN)
    losses = train(model, *examples, lr=1e-2, steps=4, batch_size=16, seed=seed, progress=False, **options)
    return model, losses


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(examples):
    (first, losses), (second, same_losses), (other, _) = run(examples), run(examples), run(examples, seed=1)
    assert losses == same_losses
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_each_step_is_one_of_adamw_under_one_cycle(examples):
    """Replay the visited mini-batches in a loop written out here, with gradients from torch.autograd.grad."""
    batches = []
    model, replayed = fresh(), fresh()
    hook = model.register_forward_pre_hook(lambda layer, inputs: batches.append(inputs[0].clone()))
    images, sevens = examples[0], torch.full((50,), 7)
    train(model, images, sevens, lr=1e-2, steps=5, batch_size=16, weight_decay=0.1, progress=False)
    hook.remove()

    parameters = list(replayed.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=5)
    for batch in batches:
        loss = -replayed(batch).log_softmax(dim=1)[:, 7].mean()
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
    assert len(batches) == 5
    for trained, expected in zip(model.parameters(), parameters, strict=True):
        torch.testing.assert_close(trained, expected)


def test_the_global_random_state_is_left_as_it_was(examples):
    torch.manual_seed(7)
    expected = torch.rand(3)
    model = fresh()
    torch.manual_seed(7)
    train(model, *examples, lr=1e-3, steps=2, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_training_fits_what_can_be_fitted(examples):
    model = fresh()
    before = accuracy(model, *examples)
    losses = train(model, *examples, lr=2e-3, epochs=30, batch_size=25, progress=False)
    assert len(losses) == 60
    assert losses[-1] < losses[0]
    assert accuracy(model, *examples) > before
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("batch_size", "expected"), [(16, 6), (50, 2), (64, 2)])
def test_an_epoch_leaves_out_the_last_incomplete_batch(examples, batch_size, expected):
    assert (
        len(train(fresh(), *examples, lr=1e-3, epochs=2, batch_size=batch_size, progress=False)) == expected
    )


def test_no_image_comes_twice_within_an_epoch():
    images = torch.arange(48.0).view(48, 1, 1, 1).expand(48, 1, 28, 28).contiguous()
    seen = []
    model = fresh()
    model.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][:, 0, 0, 0]))
    train(model, images, torch.zeros(48, dtype=torch.int64), lr=1e-3, epochs=2, batch_size=16, progress=False)
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(48))
    assert not torch.equal(first, second)


def test_after_step_sees_every_update_and_may_apply_masks_again(examples):
    mask = torch.rand(16, 1, 3, 3, generator=torch.Generator().manual_seed(1)) > 0.5
    steps = []

    def apply_mask(model, step):
        steps.append((step, bool((model.conv1.weight[~mask] != 0).any())))
        with torch.no_grad():
            model.conv1.weight.mul_(mask)

    model, _ = run(examples, after_step=apply_mask)
    assert steps == [(step, True) for step in range(4)]  # each update revives some masked weight
    assert not model.conv1.weight[~mask].any()
    assert model.conv1.weight[mask].all()


def test_the_progress_bar_can_be_switched_off(examples, capsys):
    run(examples)
    assert capsys.readouterr().err == ""
    train(fresh(), *examples, lr=1e-3, steps=1)
    assert "training" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epochs": 1, "steps": 1},
        {"epochs": 0},
        {"steps": -1},
        {"steps": 1, "lr": 0.0},
        {"steps": 1, "lr": float("nan")},
    ],
)
def test_bad_lengths_and_rates_are_refused(examples, options):
    model = fresh()
    before = model.fc1.weight.clone()
    with pytest.raises(ValueError, match=r"epochs|lr"):
        train(model, *examples, **({"lr": 1e-3} | options))
    assert torch.equal(model.fc1.weight, before)
