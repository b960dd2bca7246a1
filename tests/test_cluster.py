"""The scripts of docs/cluster.md, with commands in place of Slurm's and of Python's that say how they were called."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sweep.cli.command import parse_known
from sweep.results.store import Part
from sweep.run import PROG, Options

TEXT = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()
ALL_SCRIPTS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
SCRIPTS = [script for script in ALL_SCRIPTS if "--part" in script]
(ON_RAY,) = (script for script in ALL_SCRIPTS if "--on ray" in script)
(KUBERNETES,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
# The fields that KubeRay's API reference documents, of what the page uses; and those of Kubernetes' pods.
FIELDS = {
    "RayJob": {"apiVersion", "kind", "metadata", "spec"},
    "RayJobSpec": {
        "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata",
        "clusterSelector", "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId",
        "submissionMode", "entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished",
        "shutdownAfterJobFinishes", "suspend",
    },
    "RayClusterSpec": {
        "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
        "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
    },
    "HeadGroupSpec": {"template", "headService", "enableIngress", "rayStartParams", "serviceType"},
    "WorkerGroupSpec": {
        "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "rayStartParams",
        "template", "scaleStrategy", "numOfHosts",
    },
    "PodSpec": {"containers", "volumes"},
    "Container": {"name", "image", "resources", "volumeMounts", "env", "command", "args"},
}  # fmt: skip
STUBS = {
    "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    "ssh": 'shift; eval "$1"',
    "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "scontrol $*" >> "$LOG"; fi',
    "ray": 'while [ "$1" != -- ]; do own="$own $1"; shift; done; echo "ray$own" >> "$LOG"; shift; exec "$@"',
    "python": 'echo "GPU=$CUDA_VISIBLE_DEVICES $*" >> "$LOG"\n'
    'while [ $# -gt 1 ]; do if [ "$1" = --out ]; then mkdir -p "$2"; echo more >> "$2/held"; fi; shift; done\n'
    "exit $CODE",
}


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    for name, text in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def called(script: str, *args: str, code: int = 0) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        env = {
            **os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "LOG": str(log), "CODE": str(code),
            "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "77", "TMPDIR": str(tmp_path / "local"),
            "CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NNODES": "2",
            "SLURM_CPUS_PER_TASK": "16",
        }  # fmt: skip
        done = subprocess.run(["bash", "-c", script, "script", *args], cwd=tmp_path, env=env, check=False)
        return done.returncode, sorted(log.read_text().splitlines())

    return called


def parts_of(lines: list[str]) -> list[Part]:
    found = []
    for line in lines:
        options, rest = parse_known(Options, shlex.split(line.partition("sweep.run ")[2]), PROG)
        assert not rest
        assert options.page == Path("experiments/page.py")
        found.append(Part.parse(options.part or ""))
    return found


def test_loops_start_each_part_once(run) -> None:
    code, lines = run(SCRIPTS[0])
    assert code == 0
    assert parts_of(lines) == [Part(number, 4) for number in (1, 2, 3, 4)]
    assert [line.split()[0] for line in lines] == ["GPU=0", "GPU=1", "GPU=2", "GPU=3"]
    assert parts_of(run(SCRIPTS[3])[1]) == [Part(number, 3) for number in (1, 2, 3)]


@pytest.mark.parametrize("script", SCRIPTS[1:3])
def test_a_task_trains_its_part_and_is_queued_again_when_its_time_is_over(run, script: str, tmp_path: Path) -> None:
    for code, queued in ((0, []), (138, ["scontrol requeue 77"]), (143, []), (2, [])):
        ended, lines = run(script, "16", "experiments/page.py", code=code)
        assert ended == code
        assert parts_of(lines[:1]) == [Part(3, 16)]
        assert lines[1:] == queued
    if "results/parts" in script:  # each start went on with the copy of the one before
        assert (tmp_path / "results" / "parts" / "3" / "held").read_text() == "more\n" * 4
        assert not list((tmp_path / "local").glob("*"))


def test_the_job_on_ray_runs_the_page_on_all_nodes_of_the_job(run) -> None:
    code, lines = run(ON_RAY, "experiments/page.py", "--epochs", "5")
    assert code == 0
    assert "ray symmetric-run --address n1:10077 --min-nodes 2 --num-cpus 16" in lines
    (line,) = (line for line in lines if "sweep.run" in line)
    options, rest = parse_known(Options, shlex.split(line.partition("sweep.run ")[2]), PROG)
    assert (options.on, options.address, options.resume, rest) == ("ray", "auto", True, ["--epochs", "5"])


def test_options_that_the_job_gives_to_ray_exist() -> None:
    symmetric = pytest.importorskip("ray.scripts.symmetric_run")
    start = pytest.importorskip("ray.scripts.scripts").start
    known = {name for command in (symmetric.symmetric_run, start) for each in command.params for name in each.opts}
    assert {"--address", "--min-nodes", "--num-cpus"} <= known
    assert {*re.findall(r"--[a-z-]+(?=[ =])", "".join(re.findall(r"ray start (.*)", TEXT)) + " ")} <= known


def test_the_job_on_kubernetes_has_only_fields_that_there_are() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(KUBERNETES)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert job.keys() <= FIELDS["RayJob"]
    assert job["spec"].keys() <= FIELDS["RayJobSpec"]
    assert cluster.keys() <= FIELDS["RayClusterSpec"]
    assert pods[0].keys() <= FIELDS["HeadGroupSpec"]
    assert all(pod.keys() <= FIELDS["WorkerGroupSpec"] for pod in pods[1:])
    for pod in pods:
        assert all(isinstance(value, str) for value in pod["rayStartParams"].values())
        spec = pod["template"]["spec"]
        assert spec.keys() <= FIELDS["PodSpec"]
        for container in spec["containers"]:
            assert container.keys() <= FIELDS["Container"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= {each["name"] for each in spec["volumes"]}
    command = shlex.split(shlex.split(job["spec"]["entrypoint"])[2].partition("sweep.run ")[2])
    options, rest = parse_known(Options, command, PROG)
    assert (options.on, options.address, options.resume, rest) == ("ray", "auto", True, [])
