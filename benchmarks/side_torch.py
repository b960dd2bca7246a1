"""The PyTorch sides: one Adam loop for each training, or `torch.func` over stacked networks."""

import time
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (not in the development environment)
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.func import functional_call, grad, stack_module_state, vmap  # pyright: ignore[reportMissingImports]

from benchmarks import service
from benchmarks.cases import Case
from benchmarks.handover import Group, Handover
from benchmarks.service import Choice, Trained

ADAM = {"for loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


class Sine(nn.Module):
    """sin as a module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the sine of the input."""
        return torch.sin(x)


ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sine": Sine}


def network(case: Case, group: Group, lane: int) -> nn.Sequential:
    """Build a lane's network with its initial weights from the handover."""
    modules: list[nn.Module] = []
    for name, (inputs, outputs) in zip(group.trees, case.layers(group.width), strict=True):
        layer = nn.Linear(inputs, outputs)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(group.trees[name]["kernel"][lane].T))
            layer.bias.copy_(torch.from_numpy(group.trees[name]["bias"][lane]))
        modules += [layer, ACTIVATIONS[case.activation]()]
    return nn.Sequential(*modules[:-1])


def adam(case: Case, parameters: Any, form: str) -> torch.optim.Optimizer:
    """Make Adam in one of the implementations of PyTorch."""
    return torch.optim.Adam(parameters, lr=case.learning_rate, eps=case.epsilon, **ADAM[form])


def given_orders(group: Group, check: bool) -> torch.Tensor | None:
    """Give the orders of the points in the handover, (lanes, epochs, points); None without a check."""
    return torch.from_numpy(group.orders).long() if check and group.orders is not None else None


class Loop:
    """One training after another, as in a tutorial."""

    def __init__(self, case: Case, handover: Handover) -> None:
        self._case, self._x = case, torch.from_numpy(handover.inputs)
        self.choices = {"adam": list(ADAM), "threads": [1, torch.get_num_threads()]}

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train one lane after another."""
        torch.set_num_threads(choice["threads"])
        seconds, losses = 0.0, []
        for group in groups:
            models = [network(self._case, group, lane) for lane in range(len(group.target))]
            targets = torch.from_numpy(group.target)[:, :, None]
            orders = given_orders(group, check)
            begun = time.perf_counter()
            lane_losses = []
            for lane, model in enumerate(models):
                optimizer = adam(self._case, model.parameters(), choice["adam"])
                order = None if orders is None else orders[lane]
                lane_losses.append(self._train_one(model, optimizer, targets[lane], steps, order))
            seconds += time.perf_counter() - begun
            losses.append(np.array(lane_losses))
        return Trained(seconds, losses)

    def _train_one(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        y: torch.Tensor,
        steps: int,
        orders: torch.Tensor | None,
    ) -> float:
        case, x, loss_function = self._case, self._x, nn.MSELoss()

        def step(x: torch.Tensor, y: torch.Tensor) -> None:
            optimizer.zero_grad()
            loss_function(model(x), y).backward()
            optimizer.step()

        for epoch in range(steps // case.steps_per_epoch()):
            if case.batch_size is None:
                step(x, y)
                continue
            order = torch.randperm(case.points) if orders is None else orders[epoch]
            for batch in order.split(case.batch_size):
                step(x[batch], y[batch])
        with torch.no_grad():
            return loss_function(model(x), y).item()


class Vmap:
    """Networks stacked with `stack_module_state`, `vmap` over them, Adam on the stacked parameters."""

    def __init__(self, case: Case, handover: Handover) -> None:
        self._case, self._x = case, torch.from_numpy(handover.inputs)
        self.choices = {
            "lanes": sorted({min(size, case.lanes) for size in (16, 64, case.lanes)}, reverse=True),
            "gradient": ["backward of the sum", "vmap of grad"],
            "adam": ["fused", "foreach"],
            "threads": [torch.get_num_threads(), 1],
        }

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train `choice["lanes"]` lanes of one width together, one part after another."""
        torch.set_num_threads(choice["threads"])
        seconds, losses = 0.0, []
        for group in groups:
            part_losses = []
            for start in range(0, len(group.target), choice["lanes"]):
                part = group.part(start, start + choice["lanes"])
                part_seconds, loss = self._train_part(part, steps, choice, check)
                seconds += part_seconds
                part_losses.append(loss)
            losses.append(np.concatenate(part_losses))
        return Trained(seconds, losses)

    def _train_part(self, group: Group, steps: int, choice: Choice, check: bool) -> tuple[float, np.ndarray]:
        case, x = self._case, self._x
        models = [network(case, group, lane) for lane in range(len(group.target))]
        stacked, _ = stack_module_state(models)  # type: ignore[arg-type]
        base, y = models[0], torch.from_numpy(group.target)[:, :, None]
        orders = given_orders(group, check)

        def loss(parameters: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return nn.functional.mse_loss(functional_call(base, parameters, (x,)), y)

        x_dim = None if case.batch_size is None else 0  # each lane has its own batches
        losses_of, gradient_of = vmap(loss, in_dims=(0, x_dim, 0)), vmap(grad(loss), in_dims=(0, x_dim, 0))
        begun = time.perf_counter()
        optimizer = adam(case, stacked.values(), choice["adam"])

        def step(x: torch.Tensor, y: torch.Tensor) -> None:
            optimizer.zero_grad()
            if choice["gradient"] == "vmap of grad":
                found = gradient_of({name: leaf.detach() for name, leaf in stacked.items()}, x, y)
                for name, leaf in stacked.items():
                    leaf.grad = found[name]
            else:
                losses_of(stacked, x, y).sum().backward()
            optimizer.step()

        for epoch in range(steps // case.steps_per_epoch()):
            if case.batch_size is None:
                step(x, y)
                continue
            # One random order for each lane; sorting random numbers draws them all at once.
            order = torch.rand(len(models), case.points).argsort(1) if orders is None else orders[:, epoch]
            for batch in order.split(case.batch_size, dim=1):
                step(x[batch], y.gather(1, batch[:, :, None]))
        with torch.no_grad():
            losses = vmap(loss, in_dims=(0, None, 0))(stacked, x, y).numpy()
        return time.perf_counter() - begun, losses


if __name__ == "__main__":
    service.serve({"torch_loop": Loop, "torch_vmap": Vmap})
