"""A figure with moving parts, as an animated GIF."""

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
from PIL import Image  # installed with matplotlib

from sweep.plots.drawing.style import settings

_DPI: Final = 100
_COLOURS: Final = 48
_FRAME, _LAST = 100, 1500  # milliseconds for which a frame, and the last frame, is shown


@dataclass(frozen=True)
class Film:
    """A figure with a few parts that are drawn again in each frame.

    Args:
        figure: with everything that does not move.
        frames: number of frames.
        draw: adds the moving parts to the figure, given the frame's number, and returns them, lowest first.
        colours: (colour, 3), from 0 to 1, the palette of all frames; by default 48 colours that suit the first and the
            last frame, which are enough for smooth edges of lines and make a small file.
    """

    figure: Figure
    frames: int
    draw: Callable[[int], Sequence[Artist]]
    colours: np.ndarray | None = None

    def images(self) -> list[Image.Image]:
        """Render the frames; what does not move is rendered only once, since it takes nearly all the time."""
        with matplotlib.rc_context(settings()):
            return list(self._render())

    def _render(self) -> Iterator[Image.Image]:
        self.figure.set_dpi(_DPI)
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        self.figure.set_layout_engine("none")  # else the panels would move a little from frame to frame
        still = canvas.copy_from_bbox(self.figure.bbox)
        for frame in range(self.frames):
            canvas.restore_region(still)
            for artist in self.draw(frame):
                artist.draw(canvas.get_renderer())
                artist.remove()
            yield Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB")

    def save(self, file: Path | BinaryIO) -> None:
        """Write an animated GIF that shows its last frame for a while and then begins again.

        Args:
            file: the file to write.
        """
        images = self.images()
        palette = _common_palette(images[0], images[-1]) if self.colours is None else _palette_of(self.colours)
        first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
        durations = [*repeat(_FRAME, len(rest)), _LAST]
        first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, comment=b"sweep")


def _common_palette(*images: Image.Image) -> Image.Image:
    both = Image.fromarray(np.concatenate([np.asarray(image) for image in images]))
    return both.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)  # this method keeps white white


def _palette_of(colours: np.ndarray) -> Image.Image:
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.round(255 * colours).astype(int).ravel().tolist())
    return palette
