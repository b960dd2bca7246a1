"""What the fused kernel takes of an H100, by compiling it without one: `python -m benchmarks.fused_resources`.

Pallas lowers it to Triton's language on any machine; the compiler of the package `triton` (no dependency of ours; 3.8.0
was used), which brings NVIDIA's assembler, does the rest. XLA on a GPU has a Triton of its own, so that its numbers may
differ a little. Instructions are counted in the machine code, where the loop over parts of the points is the innermost
one: an estimate of a step's time from below, in which nothing waits for anything.
"""

import re
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from jax._src.interpreters import mlir
from jax._src.lib import triton as dialect
from jax._src.lib.mlir import ir  # type: ignore[attr-defined]

from benchmarks import limit
from benchmarks.cases import Case
from benchmarks.fused_kernel import Kernel, lower_for_h100
from benchmarks.fused_timing import KERNELS

LANES: Final = 8
REGISTERS, SHARED, WARPS = 65536, 227 * 1024, 64  # of a multiprocessor
SCHEDULERS: Final = 4  # each issues an instruction of a warp in a cycle
FUSED_ADDITIONS: Final = 128  # of a multiprocessor in a cycle


class Resources(NamedTuple):
    """What a compiled kernel takes.

    Args:
        registers: of each thread.
        spilled: bytes of each thread for values that do not fit into its registers.
        shared: bytes of shared memory of a block.
        blocks: that fit on a multiprocessor together.
        cycles: in which a multiprocessor could issue all instructions of a step.
        share: cycles that the products need at full rate, of these.
    """

    registers: int
    spilled: int
    shared: int
    blocks: int
    cycles: float
    share: float


def language(lowered: Any) -> str:
    """Take the kernel out of a lowered program, in Triton's language."""
    found = [
        operation.operation.attributes["mhlo.backend_config"]["ir"]
        for operation in _operations(lowered.compiler_ir("stablehlo").operation)
        if operation.operation.name == "stablehlo.custom_call"
    ]
    context = mlir.make_ir_context()
    dialect.dialect.register_dialect(context)  # type: ignore[attr-defined]
    with context:
        return str(ir.Module.parse(ir.StringAttr(found[0]).value_bytes).operation.get_asm(enable_debug_info=False))


def _operations(operation: Any) -> Any:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner
                yield from _operations(inner.operation)


def compile_for_an_h100(text: str, warps: int) -> tuple[Any, str, str]:
    """Compile; give Triton's own description, the resources as printed, and the machine code."""
    triton: Any = import_module("triton")
    target = import_module("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "kernel.ttir", Path(folder) / "kernel.cubin"
        source.write_text(text)
        options = {"num_warps": warps, "num_stages": 1}
        compiled = triton.compile(str(source), target=target, options=options)
        binary.write_bytes(compiled.asm["cubin"])
        printed = [
            subprocess.run([tools / tool, option, binary], capture_output=True, text=True, check=True).stdout
            for tool, option in (("cuobjdump", "-res-usage"), ("nvdisasm", "-c"))
        ]
    return compiled.metadata, printed[0], printed[1]


def loops(code: str) -> list[int]:
    """Give the numbers of instructions in the loops of machine code, innermost first, without the short ones."""
    labels: dict[str, int] = {}
    found, at = [], 0
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = at
        elif instruction := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*);", line):
            jump = re.search(r"\bBRA\b.*?(\.L_x_\d+)", instruction[1])
            if jump and jump[1] in labels and at - labels[jump[1]] > 40:
                found.append(at - labels[jump[1]] + 1)
            at += 1
    return sorted(found)


def resources(case: Case, kernel: Kernel) -> Resources:
    """Compile a kernel and give what it takes."""
    sizes = (1, *case.widths * case.depth, 1)
    lowered = lower_for_h100(sizes, case.points, LANES, kernel)
    metadata, usage, code = compile_for_an_h100(language(lowered), kernel.warps)
    registers, spilled = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK"))  # type: ignore[index]
    inner, outer = loops(code)[0], loops(code)[-1]
    instructions = outer + (case.points // kernel.points - 1) * inner
    threads = 32 * kernel.warps
    blocks = min(
        REGISTERS // (-(-registers // 8) * 8 * threads), SHARED // (metadata.shared + 1024), WARPS // kernel.warps
    )
    cycles = instructions * kernel.warps / SCHEDULERS
    products = limit.count(case, case.widths[0])["products"] / 2 / FUSED_ADDITIONS
    return Resources(registers, spilled, metadata.shared, blocks, cycles, products / cycles)


def main() -> None:
    """Print the resources of the kernels that are timed."""
    print("width  products  points  warps  registers  spilled  shared  blocks  cycles  products' share")
    for width, kernels in KERNELS.items():
        for kernel in kernels:
            r = resources(Case("fused", "", (width,), lanes=LANES, epochs=1), kernel)
            print(
                f"{width:5d}  {kernel.products:8s}  {kernel.points:6d}  {kernel.warps:5d}  {r.registers:9d}  "
                f"{r.spilled:7d}  {r.shared:6d}  {r.blocks:6d}  {r.cycles:6.0f}  {r.share:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
