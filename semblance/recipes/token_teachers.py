"""Teachers of tokens as a recipe: a transformer on patches whose slow copy sees whole pictures.

franca   nested levels of codes, rolled blocks, Sinkhorn's codes; after training, tokens lose their place in the picture
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.encoders.vision.patches import patches_of
from semblance.encoders.vision.unplaced import unplaced
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.learning.positions import RemovePositions
from semblance.objectives.branches import Copied
from semblance.objectives.codes import Balanced, Centred
from semblance.objectives.nested import Nested, PerLevel, halvings
from semblance.objectives.token_teachers import AllTokens, TokenHeads, TokenTeachers
from semblance.recipes.backbones import LEAST
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.teachers import crops

CODES = ("balanced", "centred")


@recipe(entry="franca", paper="Venkataramanan et al. 2025, arXiv:2507.14137", domains="images")
def franca(
    patch: int = 0,
    width: int = 64,
    blocks: int = 4,
    heads: int = 4,
    levels: int = 4,
    codes: int = 256,
    assignment: str = "balanced",
    hidden: int = 128,
    bottleneck: int = 64,
    shared: bool = False,
    temperature: float = 0.1,
    teacher: float = 0.06,
    momentum: float = 0.99,
    mask: str = "rolled",
    ratio: float = 0.4,
    share: float = 0.5,
    patches: float = 1.0,
    apart: float = 0.1,
    rounds: int = 0,
    small: int = 2,
    batch: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.04,
    epochs: int = 12,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe franca    # any prefix of the embedding serves: `semblance report SPACE prefixes`

    levels 1, assignment centred, mask block and apart 0 leave iBOT, patches 0 as well DINO; rounds 8 takes the place in
    the picture out of the tokens after training (`apart` and `patches` are weights).
    """
    if assignment not in CODES:
        raise unknown("assignment", assignment, CODES)
    plain = patches_of(patch, width=width, blocks=blocks, heads=heads, readout="class")
    encoder = unplaced(plain) if rounds else plain

    def head() -> Nested:
        return Nested(halvings(width, levels), codes, hidden, bottleneck)

    def both() -> TokenHeads:
        return TokenHeads(head(), None if shared else head())

    def compared() -> PerLevel:
        widths = head().widths
        if assignment == "balanced":
            return PerLevel(lambda _: Balanced(temperature, teacher), widths)
        return PerLevel(lambda width: Centred(width, temperature, teacher), widths)

    def objective(shape: Shape) -> TokenTeachers:
        copied = Copied(AllTokens(plain(shape)), both(), momentum)
        return TokenTeachers(
            width,
            both(),
            copied,
            compared(),
            compared(),
            patch=patches,
            apart=apart,
            ratio=ratio,
            share=share,
            mask=mask,
        )

    rule = Backprop("adamw", lr=lr, weight_decay=weight_decay, warmup_epochs=1.0, epochs=epochs)
    stages = [Stage(rule, objective, Repeated(Shuffled(batch), least), crops(small))]
    if rounds:
        stages.append(Stage(RemovePositions(rounds), batches=Shuffled(256)))
    return Recipe(encoder=encoder, stages=tuple(stages))
