"""Networks over x: the film of a developing fit, and the ends of the training range."""

import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, legend, mesh_of, texts
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image
from synthetic import ended, results

from sweep.base import labels
from sweep.page.specs.figure import Figure
from sweep.plots.drawing.film import Film
from sweep.plots.gallery import draw_figures
from sweep.plots.registry import FIGURES, FILMS


def snapshots(count, **axes):
    """Results with `count` snapshots; at the n-th the output is n hundredths of the target."""
    ds = results({"seed": range(7), **axes}, epochs=np.arange(4.0)).drop_vars(["prediction", "snapshot_epoch"])
    moments = xr.DataArray(np.arange(float(count)), dims="snapshot_epoch", coords={"snapshot_epoch": np.arange(count)})
    growing = ds["target"] * (moments + 1) / 100 + 0.01 * ds["seed"]
    return ds.assign(prediction=growing.transpose(*ds["status"].dims, "snapshot_epoch", "x"))


def beyond(low, high):
    ds = results({"seed": range(3), "width": [16.0, 64.0]}, points=40)
    ds["x"].attrs.update(train_low=low, train_high=high)
    return ds


def dashed(axes, along):
    """The positions of the dashed lines of an axes."""
    lines = [line for line in axes.lines if line.is_dashed()]
    return [float((line.get_xdata() if along == "x" else line.get_ydata())[0]) for line in lines]


# The film


def test_each_frame_shows_the_outputs_of_its_snapshot_and_says_when():
    ds = snapshots(12)
    film = FILMS["growth"](ds)
    assert film.frames == 12
    for frame in (0, 7, 11):
        artists = film.draw(frame)
        (line,) = (artist for artist in artists if isinstance(artist, Line2D))
        np.testing.assert_allclose(line.get_ydata(), ds["prediction"].values[0, frame])
        (text,) = (artist for artist in artists if isinstance(artist, Text))
        assert text.get_text() == f"epoch {frame}"
        band = artists[0].get_paths()[0].vertices[:, 1]
        low, high = np.quantile(ds["prediction"].values[:, frame], [0.05, 0.95], axis=0)
        np.testing.assert_allclose([band.min(), band.max()], [low.min(), high.max()])


def test_a_frame_keeps_nothing_of_the_one_before():
    film = FILMS["growth"](snapshots(5))
    alone = Film(film.figure, 1, lambda _: film.draw(4))
    np.testing.assert_array_equal(film.images()[4], alone.images()[0])


def test_at_most_sixty_frames_are_kept_the_last_among_them():
    film = FILMS["growth"](snapshots(100))
    assert film.frames == 60
    assert film.draw(59)[-1].get_text() == "epoch 99"
    assert "60 of 100 values of snapshot epoch are shown" in texts(film.figure)


def test_growth_is_saved_as_one_small_gif_whose_frames_differ(tmp_path):
    (path,) = draw_figures(snapshots(60, width=[16.0, 64.0]), [Figure("growth")], tmp_path)
    assert path == tmp_path / "growth.gif"
    assert path.stat().st_size < 500_000
    with Image.open(path) as film:
        assert film.n_frames == 60
        frames, stay = [], []
        for frame in range(0, 60):
            film.seek(frame)
            frames.append(np.asarray(film.convert("L"), dtype=int))
            stay.append(film.info["duration"])
    assert stay == [100] * 59 + [1500]
    moved = np.any([frame != frames[0] for frame in frames[1:]], axis=0)
    assert 0.01 < moved.mean() < 0.5, "panels move, the words around them don't"
    assert (frames[0] != frames[59])[: frames[0].shape[0] // 10].sum() == 0, "the title stands still"
    assert frames[0][2, -3] == 255, "on white"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "ds",
    [
        snapshots(1).isel(seed=0, drop=True),
        ended(snapshots(3), labels.DIVERGED, True),
        ended(snapshots(3, width=[16.0, 64.0]), labels.NOT_RUN, xr.DataArray([True, False], dims="width")),
        ended(snapshots(3), labels.NOT_RUN, True),
    ],
    ids=["one lane", "all diverged", "half not run", "nothing run"],
)
def test_awkward_stores_make_films_too(ds):
    film = FILMS["growth"](ds)
    assert len(film.images()) == film.frames
    words = [artist.get_text() for artist in film.draw(0) if isinstance(artist, Text)]
    lost = {"diverged", "not run"} & {labels.STATUS[code].replace("_", " ") for code in np.unique(ds["status"])}
    assert lost <= {*words}


# The training range


def test_the_ends_of_the_training_range_are_marked_where_x_goes_on():
    ds = beyond(0.2, 0.7)
    for name, along in (("fits", "x"), ("space_epoch", "y")):
        figure = FIGURES[name](ds)
        for axes in axes_of(figure):
            assert dashed(axes, along) == [0.2, 0.7]
        assert "end of the training range" in legend(figure)
    film = FILMS["growth"](ds)
    assert dashed(film.figure.axes[0], "x") == [0.2, 0.7]
    assert "end of the training range" in legend(film.figure)


@pytest.mark.parametrize(("low", "high", "marked"), [(0.0, 0.5, [0.5]), (0.5, 1.0, [0.5]), (0.0, 1.0, [])])
def test_an_end_beyond_which_nothing_is_shown_is_not_marked(low, high, marked):
    figure = FIGURES["fits"](beyond(low, high))
    assert dashed(axes_of(figure)[0], "x") == marked
    assert ("end of the training range" in legend(figure)) == bool(marked)


def test_the_title_of_fits_has_the_errors_inside_and_beyond_the_range():
    ds = beyond(0.0, 0.5).isel(width=[0])
    last = ds["target"] + xr.where(ds["x"] > 0.5, 3.0, 0.25)
    ds["prediction"] = (ds["prediction"] * 0 + last).transpose(*ds["prediction"].dims)
    told = texts(FIGURES["fits"](ds))
    assert "0.25 at epoch 0, 0.25 at epoch 1000, at width 16; beyond the training range 3" in told
    assert "training range" not in texts(FIGURES["fits"](results({"seed": [0]})))


def test_the_limits_of_fits_are_the_targets():
    ds = beyond(0.0, 0.5)
    wild = ds.assign(prediction=ds["prediction"] * 1e6)
    assert axes_of(FIGURES["fits"](wild))[0].get_ylim() == axes_of(FIGURES["fits"](ds))[0].get_ylim()


def test_results_without_a_training_range_have_no_marks():
    figure = FIGURES["space_epoch"](results({"seed": [0]}))
    assert not any(line.is_dashed() for line in axes_of(figure)[0].lines)
    assert legend(figure) == []
    assert mesh_of(axes_of(figure)[0]).get_array().size
