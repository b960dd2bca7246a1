"""The PyTorch code of two questions, except for the initial weights."""

from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]  (not in the development environment)
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks import service
from benchmarks.handover import Group, load


def train_001a(x: torch.Tensor, y: torch.Tensor, group: Group, steps: int) -> list[float]:
    """Train 001a: two hidden layers of 200 with ReLU, SGD at 2e-3, the mean squared error of all points."""
    model = nn.Sequential(nn.Linear(1, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 1))
    with torch.no_grad():
        for layer, tree in zip(model[::2], group.trees.values(), strict=True):
            layer.weight.copy_(torch.from_numpy(tree["kernel"][0].T))
            layer.bias.copy_(torch.from_numpy(tree["bias"][0]))
    criterion, optimizer = nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(steps):
        loss = criterion(model(x), y)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return [*losses, criterion(model(x), y).item()]


def train_002a(x: torch.Tensor, y: torch.Tensor, group: Group, steps: int) -> list[float]:
    """Train 002a: two matrices, tanh after both, the sum of squares, gradient descent by hand at 4e-7."""
    w1, w2 = (torch.from_numpy(tree["kernel"][0]).requires_grad_() for tree in group.trees.values())
    losses = []
    for _ in range(steps):
        loss = ((x.mm(w1).tanh().mm(w2).tanh() - y) ** 2).sum()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for w in (w1, w2):
                w -= 4e-7 * w.grad
                w.grad.zero_()
    return [*losses, ((x.mm(w1).tanh().mm(w2).tanh() - y) ** 2).sum().item()]


SYSTEMS = {"001a": (train_001a, 200), "002a": (train_002a, 128)}


def train(system: str, path: str, steps: int) -> dict[str, Any]:
    """Train one of the systems.

    Args:
        system: its name.
        path: the file of data and initial weights.
        steps: the number of steps.

    Returns:
        The losses before the first step and after each.
    """
    run, width = SYSTEMS[system]
    handover = load(Path(path), (width,))
    (group,) = handover.groups
    assert all(leaf.shape[0] == 1 for tree in group.trees.values() for leaf in tree.values())
    x, y = torch.from_numpy(handover.inputs.copy()), torch.from_numpy(group.target[0][:, None].copy())
    return {"losses": run(x, y, group, steps)}


if __name__ == "__main__":
    service.serve({}, {"train": train})
