"""The menu of pretexts: family, kind, what a task sees, and the objective it is. A new task is a line here.

Families after Jing & Tian 2020, arXiv:1902.06162: what is generated, what the context tells, labels that cost nothing, and
what another sense says. Films are courses of a camera over a picture, sounds scans of it, scenes spheres before it, so that
every row can be asked of any folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError, unknown
from semblance.geometry.groups import Turns
from semblance.objectives.bank import InstanceDiscrimination
from semblance.objectives.pretext import Acted, Pretext
from semblance.objectives.pretexts import known, matched, pieces, pixels
from semblance.objectives.pretexts.asked import (
    Asked,
    PerPlace,
    Several,
    Together,
    ToPixels,
    Trunk,
    how_far,
    towards,
    which,
    yes_or_no,
)
from semblance.objectives.pretexts.both_ways import BothWays
from semblance.objectives.pretexts.colours import ColourBins, Uncoloured
from semblance.objectives.pretexts.copied import CopiedColours
from semblance.objectives.pretexts.moments import Next, Sorted, Verified, Went
from semblance.objectives.reassigned import Reassigned
from semblance.objectives.targets import NoiseTargets
from semblance.objectives.triplets import Triplets, cosine, gap_named

PIECE, FRAME = 2, 4  # places a side at which heads read pieces and whole pictures where it matters what lies where
BINS = 32
LARGE = 48  # pixels of the shorter side from which nine pieces are told apart rather than four


@dataclass(frozen=True)
class Row:
    """sees: plain (the item almost as it is), strong (one strong view) or pair (two). colour: whether three channels are
    needed. keeps: whether memory grows with the data."""

    family: str
    kind: str
    make: Callable[[Trunk, Shape], nn.Module]
    paper: str
    sees: str = "plain"
    colour: bool = False
    keeps: bool = False


def colourisation(trunk: Trunk, shape: Shape) -> Asked:
    """Colours of places, as bins."""
    return Asked(Uncoloured(shape, trunk.grid), PerPlace(trunk.width, BINS), ColourBins(BINS), "map")


def inpainting(trunk: Trunk, shape: Shape) -> Asked:
    """What stood in the middle."""
    return Asked(pixels.Hidden(), painted(trunk, shape), how_far, "map")


def super_resolution(trunk: Trunk, shape: Shape) -> Asked:
    """The picture from a sixteenth of its pixels."""
    return Asked(pixels.Shrunk(), painted(trunk, shape), how_far, "map")


def adversarial(trunk: Trunk, shape: Shape) -> BothWays:
    """Codes of pictures and pictures of codes."""
    return BothWays(trunk.dim, (shape.item[0], shape.item[1], shape.item[2]))


def future_frame(trunk: Trunk, shape: Shape) -> Asked:
    """The third moment of a film from two."""
    return Asked(Next(), painted(trunk, shape, parts=2), how_far, "map")


def copied_colours(trunk: Trunk, shape: Shape) -> CopiedColours:
    """Colours pointed at in an earlier moment."""
    return CopiedColours(shape, nn.Conv2d(trunk.width, 64, 1))


def relative_position(trunk: Trunk, shape: Shape) -> Asked:
    """Which neighbour of the middle piece this is."""
    return Asked(pieces.Beside(), Together(trunk.width, 2, 8, side=PIECE), which, "map")


def jigsaw(trunk: Trunk, shape: Shape) -> Asked:
    """In which order the pieces were put."""
    cells, count = (2, 24) if min(shape.item[1:]) < LARGE else (3, 100)
    pose = pieces.Ordered(cells, count)
    return Asked(pose, Together(trunk.width, cells * cells, pose.answers, side=PIECE), which, "map")


def rotation(trunk: Trunk, shape: Shape) -> Pretext:
    """Which quarter turn; all four of every picture, as in the paper."""
    return Pretext(Acted(Turns(4)), nn.Linear(trunk.dim, 4))


def clustering(trunk: Trunk, shape: Shape) -> Reassigned:
    """Which cluster of the net's own features, found anew before every epoch."""
    parts = max(2, min(100, shape.units // 20))
    return Reassigned(shape.units, trunk.dim, turns=1, groups=1, parts=parts, every=1)


def instances(trunk: Trunk, shape: Shape) -> InstanceDiscrimination:
    """Which picture of all."""
    return InstanceDiscrimination(shape.units, 128, projector=nn.Linear(trunk.dim, 128))


def noise_targets(trunk: Trunk, shape: Shape) -> NoiseTargets:
    """Which point of the sphere, of those that the pictures of a batch own together."""
    return NoiseTargets(shape.units, 64, nn.Linear(trunk.dim, 64))


def exemplar(trunk: Trunk, shape: Shape) -> Triplets:
    """Two views of a picture nearer than another picture, by half a cosine."""
    return Triplets(gap_named("hinge", 0.5), cosine, from_views=True)


def order_verification(trunk: Trunk, shape: Shape) -> Asked:
    """Are three moments in order?"""
    return Asked(Verified(), Together(trunk.width, 3, 1, side=FRAME), yes_or_no, "map")


def order_recognition(trunk: Trunk, shape: Shape) -> Asked:
    """In which order are four moments?"""
    pose = Sorted()
    return Asked(pose, Together(trunk.width, 4, len(pose.orders), side=FRAME), which, "map")


def motion_segmentation(trunk: Trunk, shape: Shape) -> Asked:
    """Which pixels will move?"""
    return Asked(known.moving, painted(trunk, shape, channels=1), yes_or_no, "map")


def edges(trunk: Trunk, shape: Shape) -> Asked:
    """Where does brightness change?"""
    return Asked(known.edges, painted(trunk, shape, channels=1), how_far, "map")


def depth(trunk: Trunk, shape: Shape) -> Asked:
    """How near are the spheres?"""
    return Asked(known.depth, painted(trunk, shape, channels=1), how_far, "map")


def normals(trunk: Trunk, shape: Shape) -> Asked:
    """Which way do the spheres look?"""
    return Asked(known.normals, painted(trunk, shape, channels=3), towards, "map")


def sound(trunk: Trunk, shape: Shape) -> matched.Matched:
    """Does this picture sound so?"""
    return matched.Matched(matched.sound, 1, trunk.width)


def flow(trunk: Trunk, shape: Shape) -> matched.Matched:
    """Do this picture's pixels go so?"""
    return matched.Matched(matched.flow, 2, trunk.width)


def ego_motion(trunk: Trunk, shape: Shape) -> Asked:
    """How did the camera move between two looks?"""
    return Asked(Went(), Together(trunk.width, 2, sum(Went.factors), side=FRAME), Several(Went.factors), "map")


def painted(trunk: Trunk, shape: Shape, channels: int = 0, parts: int = 1) -> ToPixels:
    """The decoder to pictures of the data's size, of as many channels where none are said."""
    size = (shape.item[1], shape.item[2])
    return ToPixels(parts * trunk.width, channels or shape.item[0], trunk.grid, size)


GENERATION, CONTEXT, FREE, SENSES = "generation", "context", "free labels", "cross-modal"
TABLE: dict[str, Row] = {
    "colourisation": Row(GENERATION, "image", colourisation, "Zhang et al. 2016, arXiv:1603.08511", colour=True),
    "inpainting": Row(GENERATION, "image", inpainting, "Pathak et al. 2016, arXiv:1604.07379"),
    "super-resolution": Row(GENERATION, "image", super_resolution, "Ledig et al. 2017, arXiv:1609.04802"),
    "adversarial": Row(GENERATION, "image", adversarial, "Donahue et al. 2017, arXiv:1605.09782"),
    "future-frame": Row(GENERATION, "video", future_frame, "Srivastava et al. 2015, arXiv:1502.04681"),
    "copied-colours": Row(GENERATION, "video", copied_colours, "Vondrick et al. 2018, arXiv:1806.09594"),
    "relative-position": Row(CONTEXT, "spatial", relative_position, "Doersch et al. 2015, arXiv:1505.05192"),
    "jigsaw": Row(CONTEXT, "spatial", jigsaw, "Noroozi & Favaro 2016, arXiv:1603.09246"),
    "rotation": Row(CONTEXT, "spatial", rotation, "Gidaris et al. 2018, arXiv:1803.07728"),
    "clustering": Row(
        CONTEXT, "similarity", clustering, "Caron et al. 2018, arXiv:1807.05520", sees="strong", keeps=True
    ),
    "instance-discrimination": Row(
        CONTEXT, "similarity", instances, "Wu et al. 2018, arXiv:1805.01978", sees="strong", keeps=True
    ),
    "noise-targets": Row(
        CONTEXT, "similarity", noise_targets, "Bojanowski & Joulin 2017, arXiv:1704.05310", sees="strong", keeps=True
    ),
    "exemplar": Row(CONTEXT, "similarity", exemplar, "Dosovitskiy et al. 2014, arXiv:1406.6909", sees="pair"),
    "order-verification": Row(CONTEXT, "temporal", order_verification, "Misra et al. 2016, arXiv:1603.08561"),
    "order-recognition": Row(CONTEXT, "temporal", order_recognition, "Lee et al. 2017, arXiv:1708.01246"),
    "motion-segmentation": Row(FREE, "video", motion_segmentation, "Pathak et al. 2017, arXiv:1612.06370"),
    "edges": Row(FREE, "image", edges, "Li et al. 2016, arXiv:1604.01827"),
    "depth": Row(FREE, "renderer", depth, "Ren & Lee 2018, arXiv:1711.09082"),
    "normals": Row(FREE, "renderer", normals, "Ren & Lee 2018, arXiv:1711.09082"),
    "sound": Row(SENSES, "sound", sound, "Arandjelovic & Zisserman 2017, arXiv:1705.08168"),
    "flow": Row(SENSES, "flow", flow, "Sayed et al. 2018, arXiv:1807.00230"),
    "ego-motion": Row(SENSES, "camera", ego_motion, "Agrawal et al. 2015, arXiv:1505.01596"),
}


def rows_of(names: str | Sequence[str]) -> dict[str, Row]:
    """The rows of these tasks, given as a list or with commas between them."""
    listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    if not listed or not all(listed):
        raise SemblanceError(f"tasks is {names!r}: name one or more, such as {', '.join(list(TABLE)[:3])}")
    for name in listed:
        if name not in TABLE:
            raise unknown("task", name, TABLE)
    if len(set(listed)) < len(listed):
        raise SemblanceError(f"tasks is {names!r}, which names one twice: name each once")
    return {name: TABLE[name] for name in listed}


def suited(rows: dict[str, Row], channels: int) -> dict[str, Row]:
    """Those that pictures of so many channels can be asked."""
    return {name: row for name, row in rows.items() if channels == 3 or not row.colour}
