"""An embedding in a process of its own, which says in a pipe how far it is, so that it can be killed at any moment.

words    a number of items done, after every batch; `adopting`, `adopted`, `done`
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ITEMS, BATCH = 90, 8


def data(folder: Path) -> Path:
    """Pictures in two class folders, one of which cannot be read."""
    for number in range(ITEMS):
        file = folder / "photos" / ("cat" if number % 2 else "dog") / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)).save(file)
    (folder / "photos" / "dog" / "033.png").write_text("no picture")
    return folder / "photos"


def model() -> Any:
    """Pixels as they are."""
    import torch

    import semblance as sb

    return sb.wrap(torch.nn.Flatten(), lambda x: x.float() / 255, item=(3, 6, 6))


def run(folder: str, out: str, pipe: int, address: str = "") -> None:
    """Embeds the pictures of `data`; with an address on that cluster."""
    import torch

    from semblance.space import embedding, gathered
    from semblance.space.model import Model

    torch.set_num_threads(1)

    def say(word: object) -> None:
        os.write(pipe, f"{word}\n".encode())

    def adopt(*given: Any) -> Any:
        say("adopting")
        found = gathered.adopt(*given)
        say("adopted")
        return found

    embedding.LEAST, embedding.adopt = 2, adopt  # parts of two batches
    Model.block = BATCH  # type: ignore[assignment,method-assign]  # a number, for these few items
    if address:
        os.environ["RAY_ADDRESS"] = address
    given: dict[str, Any] = {"on": "ray", "workers": 2} if address else {}
    embedding.embed(model(), Path(folder), out, progress=lambda done, total, text: say(done), **given).close()
    say("done")
