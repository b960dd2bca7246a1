"""Compiling what a plan needs, in threads, and telling when its memory is not enough."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import jax

from sweep.base.cores import count_cores
from sweep.engine.blocks import Program
from sweep.engine.cost import size_words
from sweep.engine.numerics import standard_settings
from sweep.engine.plan import Plan
from sweep.engine.program import compile_beginning, compile_sharing, compile_training

WAIT_SECONDS: Final = 0.1  # how often a wait for the compiler looks whether it should stop


class OutOfMemoryError(Exception):
    """A wave does not fit into the memory of its devices, or takes more than its budget."""


@contextmanager
def translate_out_of_memory() -> Iterator[None]:
    """Raise `OutOfMemoryError` for what JAX raises where a device has too little memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemoryError("out of memory on the device") from error


def settings_of(plan: Plan) -> AbstractContextManager[None]:
    """Give the settings of JAX under which a plan is computed, as a context."""
    return standard_settings(plan.experiment.precision)


def prepare(plan: Plan, obey: Callable[[], None] = lambda: None) -> None:
    """Compile what a plan needs, once in a process.

    Programs are compiled beside each other, the large ones that train first, and `obey` is called meanwhile.

    Args:
        plan: what is compiled.
        obey: raises to stop waiting.

    Raises:
        OutOfMemoryError: if the compiled program takes more than the plan's budget.
    """
    jobs: SimpleQueue[Callable[[], Any]] = SimpleQueue()
    for compile_part in (training_program, beginning_programs, sharing_programs):
        for program in plan.programs:
            jobs.put(partial(compile_part, program, plan))
    errors: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                job = jobs.get_nowait()
            except Empty:
                return
            try:
                with translate_out_of_memory(), settings_of(plan):  # each thread has settings of its own
                    job()
            except BaseException as error:
                errors.append(error)
                ended.set()

    # Not of a pool, whose threads Python would wait for after Ctrl-C.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(jobs.qsize(), _threads()))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(WAIT_SECONDS)
                obey()
    finally:
        ended.set()  # if `obey` raised: nothing more is begun
    for error in errors:
        raise error
    taken = max(program_bytes(program, plan) for program in plan.programs)
    if taken > plan.memory:
        raise OutOfMemoryError(f"the program takes {size_words(taken)}, which is more than {size_words(plan.memory)}")


def _threads() -> int:
    """Give the number of compilations at a time: one for each core, and two in any case, as parts of one are serial."""
    return max(2, count_cores())


def program_bytes(program: Program, plan: Plan) -> int:
    """Count the bytes that a program takes on all devices, as the compiler says; 0 where it does not say."""
    analysis = training_program(program, plan).memory_analysis()
    if analysis is None:
        return 0
    fixed = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return (fixed + analysis.temp_size_in_bytes) * plan.devices.count


def names_of(program: Program) -> tuple[tuple[str, ...], ...]:
    """Name the traced numbers of each block."""
    return tuple(tuple(numbers) for numbers in program.numbers)


def training_program(program: Program, plan: Plan) -> Any:
    """Give the compiled program that trains."""
    return compile_training(program.blocks, names_of(program), plan.devices.live())


def beginning_programs(program: Program, plan: Plan) -> list[Any]:
    """Give the compiled programs that begin lanes, block by block."""
    named = zip(program.blocks, names_of(program), strict=True)
    return [compile_beginning(block, names, plan.devices.live()) for block, names in named]


def sharing_programs(program: Program, plan: Plan) -> dict[Hashable, Any]:
    """Give the compiled programs that make what lanes of one or several blocks share, by `Training.shared_by`."""
    first: dict[Hashable, Any] = {}
    for block, names in zip(program.blocks, names_of(program), strict=True):
        key = block.training.shared_by
        if key is not None and key not in first:
            first[key] = compile_sharing(block, names, plan.devices.live())
    return first
