"""The two comparisons of docs/compare.md, run anew: what they print, and their pictures into this folder.

python docs/compare/pictures.py [FOLDER]        # spaces into FOLDER, default: a temporary one; MNIST and Cora; minutes
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import semblance as sb

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Fit what is not there yet, compare, draw."""
    one, two = (digits(folder, seed) for seed in (0, 1))
    shown(sb.compare(one, two, names=("seed 0", "seed 1")), "seeds")
    shown(sb.compare(one, two, layers="encoder.stages.?", names=("seed 0", "seed 1")), "layers")
    shown(sb.compare(one, two, units=True, names=("seed 0", "seed 1")), "units")

    gcn, walks = (cora(folder, recipe) for recipe in ("gcn", "node2vec"))
    shown(sb.compare(gcn, walks), "cora")


def digits(folder: Path, seed: int) -> Path:
    """A space of MNIST by the supervised net of this seed."""
    place = folder / f"seed-{seed}.space"
    if not place.exists():
        sb.fit("mnist", recipe="supervised", backbone="half", epochs=1, seed=seed, out=place).close()
    return place


def cora(folder: Path, recipe: str) -> Path:
    """A space of the papers of Cora."""
    place = folder / f"cora-{recipe}.space"
    if not place.exists():
        sb.fit("cora", recipe=recipe, out=place).close()
    return place


def shown(found: object, name: str) -> None:
    """The report's sentence, notes and table, and its picture as a file."""
    print(f"{name}: {found}")
    print("\n".join(found.notes))
    for row in found.rows():
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    found.plot().savefig(HERE / f"{name}.png", dpi=110)


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
