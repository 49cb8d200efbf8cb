"""A matplotlib figure that notebooks show by itself: one made without pyplot keeps no window, and would show its name only.

Imported where a picture is drawn, since matplotlib takes its time.
"""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Drawn(Figure):
    """A figure, and a PNG where it is looked at."""

    def _repr_png_(self) -> bytes:
        held = io.BytesIO()
        self.savefig(held, format="png", dpi=100)
        return held.getvalue()
