"""A figure of which a part moves, as an animated GIF."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image  # matplotlib brings it along

_DPI: Final = 100
_COLOURS: Final = 48  # of all frames together: enough for smooth edges, and a small file
_FRAME, _LAST = 100, 1500  # milliseconds for which a frame stays


@dataclass(frozen=True)
class Film:
    """A figure with a few parts that are drawn anew in each frame.

    Args:
        figure: with everything that stands still.
        frames: how many there are.
        draw: adds what moves to the figure, given the frame's number, and gives it, lowest first.
    """

    figure: Figure
    frames: int
    draw: Callable[[int], Sequence[Artist]]

    def images(self) -> list[Image.Image]:
        """Render the frames: what stands still once, which takes nearly all the time of a frame."""
        self.figure.set_dpi(_DPI)
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        self.figure.set_layout_engine("none")  # settled, or panels would twitch
        still = canvas.copy_from_bbox(self.figure.bbox)
        images = []
        for frame in range(self.frames):
            canvas.restore_region(still)
            for artist in self.draw(frame):
                artist.draw(canvas.get_renderer())
                artist.remove()
            images.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB"))
        return images

    def save(self, path: Path) -> None:
        """Write an animated GIF that stays a while on its last frame and then begins again.

        Args:
            path: where to.
        """
        images = self.images()
        ends = np.concatenate([np.asarray(images[0]), np.asarray(images[-1])])
        palette = Image.fromarray(ends).quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)  # which keeps white white
        first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
        stay = [*repeat(_FRAME, len(rest)), _LAST]
        first.save(path, save_all=True, append_images=rest, duration=stay, loop=0)
