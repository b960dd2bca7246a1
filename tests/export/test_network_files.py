"""Trained networks as safetensors files, read back with the library that users read them with."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import tiny

from sweep import Record, SweepError, grid, linear_spaced, run_sweep, trained
from sweep.cli.command import run_guarded
from sweep.export import __main__ as export
from sweep.export import networks

safetensors = pytest.importorskip("safetensors")

EXPERIMENT = tiny(axes=grid(seed=(0, 1), learning_rate=(1e-2, 1e30)), record=Record(("loss",), at=linear_spaced(2)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    run_sweep(EXPERIMENT, out=folder / "store")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_each_lane_is_a_file_with_its_tensors_and_knobs(capsys) -> None:
    export.main(["store", "--to", "safetensors"])
    files = sorted(Path("store-safetensors").glob("*.safetensors"))
    assert [file.name for file in files] == [f"lane-{lane}.safetensors" for lane in range(4)]
    assert "4 files, one for each lane that has ended" in capsys.readouterr().out
    for file in files:
        with safetensors.safe_open(file, "numpy") as opened:
            about, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (it is no dictionary)
        net = trained("store", seed=int(about["seed"]), learning_rate=float(about["learning_rate"]))
        paths = jax.tree_util.tree_flatten_with_path(net.parameters)[0]
        expected = {".".join(key.key for key in path): leaf for path, leaf in paths}
        assert {*tensors} == {*expected} == {f"layer_{n}.{part}" for n in range(3) for part in ("bias", "kernel")}
        for name, values in expected.items():
            assert tensors[name].dtype == np.float32
            assert tensors[name].shape == values.shape
            assert tensors[name].tobytes() == values.tobytes()
        assert about["status"] == net.status
        assert about["lane"] == file.stem.removeprefix("lane-")
        assert float(about["loss"]) == net.loss or net.status == "diverged"
        assert {"page", "fingerprint"} <= {*about}
    export.main(["store", "--to", "safetensors"])  # its own older output is replaced
    assert json.loads(Path("store-safetensors/sweep-export.json").read_text())["format"] == "safetensors"


def test_too_many_lanes_need_force(monkeypatch, capsys) -> None:
    monkeypatch.setattr(networks, "MOST_FILES", 3)
    assert run_guarded(export.main, ["store", "--to", "safetensors", "--out", "many"]) == 2
    assert "4 lanes would give as many files, more than 3: --force writes them all" in capsys.readouterr().err
    assert not Path("many").exists()
    export.main(["store", "--to", "safetensors", "--out", "many", "--force"])
    assert len([*Path("many").glob("*.safetensors")]) == 4


def test_what_is_not_possible_is_refused_in_one_line(capsys, tmp_path: Path) -> None:
    assert run_guarded(export.main, ["store", "--to", "safetensors", "--metric", "loss"]) == 2
    assert "--to safetensors writes networks and no metrics: leave out --metric" in capsys.readouterr().err
    bare = tiny(record=Record(("loss",), at=linear_spaced(2), keep="nothing"))
    run_sweep(bare, out=tmp_path / "bare")
    with pytest.raises(SweepError, match="does not keep the trained networks: run its page with Record"):
        export.main([str(tmp_path / "bare"), "--to", "safetensors"])
    (tmp_path / "mine").mkdir()
    assert run_guarded(export.main, ["store", "--to", "safetensors", "--out", str(tmp_path / "mine")]) == 2
    assert "holds something that this command did not write" in capsys.readouterr().err
