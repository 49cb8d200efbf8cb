"""The menu of pretexts as recipes: any of its tasks, alone or several on one trunk.

pretext          one task by its name
multi-task-ssl   several, each with its own head; blocks of the trunk mixed by task under a lasso
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Several, Views, two_crops
from semblance.encoders.vision.units import Units
from semblance.learning.backprop import Apart, Backprop
from semblance.learning.survey import Reviewed
from semblance.objectives.pretexts.asked import Trunk, trunk_of
from semblance.objectives.pretexts.colours import Shown
from semblance.objectives.pretexts.combined import Combined
from semblance.objectives.pretexts.table import Row, rows_of, suited
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe

FOUR = "relative-position,colourisation,exemplar,motion-segmentation"


def almost(item: tuple[int, ...]) -> Views:
    """The item almost as it is: moved by up to an eighth of its side, and mirrored where it has colours."""
    return Views(count=1, scale=None, flip=item[0] == 3, shift=min(item[1:]) / 8, jitter=0.0, grey=0.0)


def seen_by(rows: dict[str, Row]) -> Several:
    """The plain view, and as many strong ones as some task needs."""
    strong = max({"plain": 0, "strong": 1, "pair": 2}[row.sees] for row in rows.values())
    return Several((ByShape(almost, 1), *[two_crops(1)] * strong))


def measured(encoder: Callable[[Shape], nn.Module], shape: Shape) -> Trunk:
    """The trunk's widths and sides; nothing is computed and no random number drawn."""
    with torch.device("meta"):
        made = encoder(shape)
        trunk = trunk_of(made, shape.item)
    return trunk._replace(width=trunk.dim) if isinstance(made, Units) else trunk


def asking(
    rows: dict[str, Row],
    encoder: Callable[[Shape], nn.Module],
    rule: Backprop,
    batch: int,
    least: int,
    drop: bool = False,
    **how: object,
) -> Recipe:
    """The skeleton: these tasks on this encoder. `drop`: grey pictures are not asked for colours, and nobody minds."""

    def objective(shape: Shape) -> Combined:
        trunk, asked = measured(encoder, shape), suited(rows, shape.item[0]) if drop else rows
        made = {name: row.make(trunk, shape) for name, row in asked.items()}
        return Combined(made, {name: row.sees for name, row in asked.items()}, shown=Shown(shape), **how)  # type: ignore[arg-type]

    batches = Repeated(Shuffled(batch), least)
    stage = Stage(Reviewed(rule) if "clustering" in rows else rule, objective, batches, seen_by(rows))
    memory = "data" if any(row.keeps for row in rows.values()) else "batch"
    return Recipe(encoder=encoder, stages=(stage,), memory=memory)


@recipe(entry=None, paper="Jing & Tian 2020, arXiv:1902.06162", domains="images")
def pretext(
    task: str = "rotation",
    backbone: str = "small",
    width: int = 0,
    batch: int = 128,
    lr: float = 3e-3,
    epochs: int = 8,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe pretext --set task=jigsaw    # one of 22 tasks that pictures set themselves

    generation: colourisation, inpainting, super-resolution, adversarial, future-frame, copied-colours;
    context: relative-position, jigsaw, rotation, clustering, instance-discrimination, noise-targets, exemplar,
    order-verification, order-recognition; free labels: motion-segmentation, edges, depth, normals; cross-modal: sound,
    flow, ego-motion.
    """
    return asking(rows_of([task]), backbone_of(backbone, width), Backprop("adam", lr=lr, epochs=epochs), batch, least)


@recipe(entry="multi-task-ssl", paper="Doersch & Zisserman 2017, arXiv:1708.07860", domains="images")
def multi_task_ssl(
    tasks: str = "auto",
    backbone: str = "small",
    width: int = 0,
    how: str = "summed",
    balanced: bool = False,
    harmonised: str = "none",
    lasso: float = 0.0,
    batch: int = 128,
    lr: float = 3e-3,
    share_lr: float = 1e-2,
    epochs: int = 4,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe multi-task-ssl --set tasks=rotation,jigsaw,colourisation

    tasks        names of the menu (see `pretext`); auto: the paper's four, without colours where pictures have none
    how          summed: all tasks in every step; alternating: one a step
    balanced     true: losses count in units of their first values, instead of as they are
    harmonised   none, grey or dropped: what keeps the trunk from telling its tasks apart by colours
    lasso        above 0: every task reads its own mixture of all blocks, with this L1 penalty on its weights
    """
    # Paper: RMSProp and a rate for each task, one worker a task. Here one Adam, and a lasso that begins at the naive net:
    # begun at even weights, few came to 0 within so short a run.
    plain = backbone_of(backbone, width)
    rows = rows_of(FOUR if tasks == "auto" else tasks)
    apart = (Apart("network.encoder.share", share_lr),) if lasso else ()

    def mixed(shape: Shape) -> nn.Module:
        asked = suited(rows, shape.item[0]) if tasks == "auto" else rows
        return Units(plain(shape), len(asked), start="last")

    rule = Backprop("adam", lr=lr, epochs=epochs, apart=apart)
    return asking(
        rows,
        mixed if lasso else plain,
        rule,
        batch,
        least,
        drop=tasks == "auto",
        how=how,
        balanced=balanced,
        harmonised=harmonised,
        mixes=lasso > 0,
        lasso=lasso,
    )
