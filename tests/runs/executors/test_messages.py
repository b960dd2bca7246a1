"""What is sent to workers and back: nothing more of the environment than they need, and no news twice or lost."""

import pickle
import threading

import pytest

from sweep.base.errors import SweepError
from sweep.runs.events import Advanced, Compiled, Ended, Executed, Saved
from sweep.runs.executors.on_ray.capacity import Capacity, Node, share_out
from sweep.runs.executors.on_ray.mailbox import Mailbox, condense
from sweep.runs.executors.on_ray.messages import Given, Ray, Task, sent_environment


def test_only_settings_of_jax_and_xla_are_sent() -> None:
    found = sent_environment(
        {
            "HOME": "/home/me",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "WANDB_API_KEY": "secret",
            "PATH": "/bin",
            "JAX_PLATFORMS": "cuda",
            "JAX_COMPILATION_CACHE_DIR": "/home/me/.cache",
            "JAX_NUM_CPU_DEVICES": "8",
            "XLA_FLAGS": "--xla_gpu_autotune_level=0",
            "NVIDIA_TF32_OVERRIDE": "0",
        }
    )
    assert found == {"JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--xla_gpu_autotune_level=0", "NVIDIA_TF32_OVERRIDE": "0"}


def test_a_task_is_small() -> None:
    task = Task(Given(None), "f" * 64, "/a/long/path/to/a/store", "a" * 16, "b" * 16, 1024, 2**34, 4)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(task)) == task
    assert len(pickle.dumps(task)) < 500


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2", 10**9])
def test_a_number_of_workers_that_there_cannot_be_is_refused(workers: object) -> None:
    with pytest.raises(SweepError, match=r"workers must be a whole number from 1 to 100,000, got"):
        Ray(workers=workers)  # type: ignore[arg-type]


def test_news_are_taken_once_and_as_soon_as_there_are_some() -> None:
    box = Mailbox()
    box.put(Compiled(1.0))
    assert box.take(60.0) == [Compiled(1.0)]
    assert box.take(0.0) == []
    timer = threading.Timer(0.05, box.put, [Ended(0, 10)])
    timer.start()
    assert box.take(60.0) == [Ended(0, 10)]
    timer.join()


def test_short_waves_are_summarised_without_changing_the_order_of_what_counts() -> None:
    news = [
        Executed(0, 5, 0.5), Advanced(0, 5, {}), Executed(0, 7, 0.25), Advanced(0, 12, {3: 1}), Saved(0, 12),
        Executed(0, 1, 0.0), Ended(0, 13), Advanced(0, 13, {}), Executed(1, 2, 1.0), Advanced(1, 2, {}),
        Executed(1, 3, 1.0), Advanced(1, 5, {}),
    ]  # fmt: skip
    assert list(condense(news)) == [
        Executed(0, 12, 0.75), Advanced(0, 12, {3: 1}), Saved(0, 12), Executed(0, 1, 0.0), Ended(0, 13),
        Advanced(0, 13, {}), Executed(1, 5, 2.0), Advanced(1, 5, {}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "workers", "devices", "expected"),
    [
        ([Node(2, 0)], None, None, Capacity(1, 1, 2, 0)),  # one machine, all of its cores
        ([Node(2, 0)], 2, None, Capacity(2, 2, 1, 0)),
        ([Node(16, 0)], 3, None, Capacity(3, 3, 5, 0)),
        ([Node(16, 0), Node(16, 0)], None, None, Capacity(2, 2, 16, 0)),
        ([Node(4, 0), Node(64, 0)], None, None, Capacity(17, 17, 4, 0)),  # no core is idle
        ([Node(16, 0)], None, 2, Capacity(8, 8, 2, 0)),
        ([Node(2, 0)], 8, None, Capacity(8, 2, 1, 0)),  # six wait for machines that join
        ([Node(8, 4), Node(8, 4), Node(64, 0)], None, None, Capacity(8, 8, 1, 1)),  # a GPU each, none on the third
        ([Node(8, 4)], None, 2, Capacity(2, 2, 1, 2)),
        ([Node(8, 4)], 2, None, Capacity(2, 4, 1, 1)),
        ([], None, None, Capacity(0, 0, 1, 0)),
    ],
)
def test_what_each_worker_takes_of_a_cluster(nodes, workers, devices, expected) -> None:
    assert share_out(nodes, workers, devices) == expected
