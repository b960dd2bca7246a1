"""A figure of which a part moves, as an animated GIF."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, Final

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image  # matplotlib brings it along

from sweep.plots.drawing.style import settings

_DPI: Final = 100
_COLOURS: Final = 48
_FRAME, _LAST = 100, 1500  # milliseconds for which a frame stays


@dataclass(frozen=True)
class Film:
    """A figure with a few parts that are drawn anew in each frame.

    Args:
        figure: with everything that stands still.
        frames: how many there are.
        draw: adds what moves to the figure, given the frame's number, and gives it, lowest first.
        colours: (colour, 3), from 0 to 1, those of all frames together; by default 48 that suit the first and the
            last, which are enough for smooth edges of lines and make a small file.
    """

    figure: Figure
    frames: int
    draw: Callable[[int], Sequence[Artist]]
    colours: np.ndarray | None = None

    def images(self) -> list[Image.Image]:
        """Render the frames: what stands still once, which takes nearly all the time of a frame."""
        with matplotlib.rc_context(settings()):
            return list(self._render())

    def _render(self) -> Iterator[Image.Image]:
        self.figure.set_dpi(_DPI)
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        self.figure.set_layout_engine("none")  # settled, or panels would twitch
        still = canvas.copy_from_bbox(self.figure.bbox)
        for frame in range(self.frames):
            canvas.restore_region(still)
            for artist in self.draw(frame):
                artist.draw(canvas.get_renderer())
                artist.remove()
            yield Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB")

    def save(self, file: Path | BinaryIO) -> None:
        """Write an animated GIF that stays a while on its last frame and then begins again.

        Args:
            file: where to.
        """
        images = self.images()
        palette = _suitable(images[0], images[-1]) if self.colours is None else _of(self.colours)
        first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
        stay = [*repeat(_FRAME, len(rest)), _LAST]
        first.save(file, "GIF", save_all=True, append_images=rest, duration=stay, loop=0, comment=b"sweep")


def _suitable(*images: Image.Image) -> Image.Image:
    both = Image.fromarray(np.concatenate([np.asarray(image) for image in images]))
    return both.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)  # which keeps white white


def _of(colours: np.ndarray) -> Image.Image:
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.round(255 * colours).astype(int).ravel().tolist())
    return palette
