"""The cells in PyTorch: `torch.func` over stacked networks, with what the process of JAX has left for it.

It has a process of its own, after that of JAX has ended and freed the card. The settings are those that were the
fastest on CPU, the backward pass of the summed losses and a fused Adam.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (not in the development environment)
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.func import functional_call, vmap  # pyright: ignore[reportMissingImports]

from benchmarks.accelerator_child import Report
from benchmarks.accelerator_work import AGREEMENT, DIFFER, cells, largest_difference, network_of
from benchmarks.cases import CHECK_STEPS, Case
from benchmarks.handover import Group, load
from benchmarks.side_torch import adam, network


def measure(report: Report) -> None:
    """Measure all cells whose initial weights and losses are there."""
    torch.set_float32_matmul_precision("highest")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report.tell_about(torch=torch.__version__, torch_device=str(device))
    found = [case for case in cells(report.size).values() if _path(report, case).with_suffix(".json").exists()]
    report.plan(case.name for case in found)
    for case in found:
        report.do(case.name, lambda case=case: _measure_cell(report, case, device))


def _path(report: Report, case: Case) -> Path:
    return report.folder / network_of(case)


def _measure_cell(report: Report, case: Case, device: torch.device) -> None:
    path = _path(report, case)
    handover, reference = load(path.with_suffix(".npz"), case.widths), json.loads(path.with_suffix(".json").read_text())
    inputs = torch.from_numpy(handover.inputs).to(device)
    first = [_train(case, group, inputs, CHECK_STEPS)[1][: len(group.target)] for group in handover.groups]
    difference = largest_difference(first, reference)
    if not difference <= AGREEMENT:
        report.tell(case.name, failed=f"{DIFFER} by {difference:.2g} of these")
        return
    lanes, seconds, begun = case.lanes * len(case.widths), [], time.monotonic()
    while len(seconds) < report.size.repeats and time.monotonic() - begun < report.size.timing_seconds:
        seconds.append(sum(_train(case, group, inputs, case.steps())[0] for group in handover.groups))
        rates = [lanes * case.steps() / each for each in seconds]
        report.tell(case.name, lanes=lanes, seconds=seconds, lane_steps_per_second=rates, largest_difference=difference)


def _train(case: Case, group: Group, inputs: torch.Tensor, steps: int) -> tuple[float, np.ndarray]:
    """Train the lanes of one width together, its lanes repeated up to the number of the case."""
    base = network(case, group, 0).to(inputs.device)
    stacked, target = _stack(group, case.lanes, inputs.device)

    def loss(parameters: Any, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.mse_loss(functional_call(base, parameters, (inputs,)), y)

    losses_of = vmap(loss)
    _synchronize(inputs.device)
    begun = time.perf_counter()
    optimizer = adam(case, stacked.values(), "fused")
    for _ in range(steps):
        optimizer.zero_grad()
        losses_of(stacked, target).sum().backward()
        optimizer.step()
    with torch.no_grad():
        losses = losses_of(stacked, target).cpu().numpy()
    return time.perf_counter() - begun, losses


def _stack(group: Group, lanes: int, device: torch.device) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Put parameters, by the names of an `nn.Sequential`, and targets on the device."""
    times = -(-lanes // len(group.target))

    def repeat(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device).repeat(times, *(1,) * (array.ndim - 1))[:lanes].contiguous()

    stacked = {}
    for at, tree in enumerate(group.trees.values()):  # an activation follows each layer
        stacked[f"{2 * at}.weight"] = repeat(np.ascontiguousarray(tree["kernel"].swapaxes(1, 2))).requires_grad_()
        stacked[f"{2 * at}.bias"] = repeat(tree["bias"]).requires_grad_()
    return stacked, repeat(group.target)[:, :, None]


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
