"""Classes known by description: a code for each class (attributes, a vector of its name, its place in a tree) and items of
the seen classes are all that is given, and classes without items are to be answered.

    answer = fit_described("eszsl", x, y, codes)        items [N, d], labels [N] in 0..S-1, codes [S, m] of the seen
    scores = answer(items, other_codes)                 [n, d], [K, m] of any classes -> [n, K]

    name          how                                                                            file
    dap, iap      attributes are recognised, alone or by way of the seen classes                 attribute_votes.py
    conse         a mixture of the codes of likely seen classes                                  attribute_votes.py
    eszsl         x' W c in closed form                                                          compatible.py
    devise, ale, sje   x' W c by ranking: all, weighed by rank, the worst                        compatible.py
    synthesised   classifiers mixed from those of the seen classes                               compatible.py
    regression    least squares, forward or reverse                                              projected.py
    sae           a semantic autoencoder, forward or reverse                                     projected.py
    exemplars     class means foretold from codes                                                projected.py
    prototypes    the few-shot head's map of descriptions                                        projected.py

Hubs among the answers are looked after in `hubs`, the shift from seen to unseen classes in `transductive`.
After the taxonomy of Fu et al. 2018, "Recent Advances in Zero-shot Recognition", arXiv:1710.04837.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.heads.prototypes.attribute_votes import direct, indirect, mixed
from semblance.heads.prototypes.compatible import Answer, ranked, squared, synthesised
from semblance.heads.prototypes.projected import autoencoded, exemplars, prototypes, regressed

MODELS: Mapping[str, Callable[..., Answer]] = {
    "dap": direct,
    "iap": indirect,
    "conse": mixed,
    "eszsl": squared,
    "devise": partial(ranked, count="all"),
    "ale": partial(ranked, count="rank"),
    "sje": partial(ranked, count="worst"),
    "synthesised": synthesised,
    "regression": regressed,
    "sae": autoencoded,
    "exemplars": exemplars,
    "prototypes": prototypes,
}


def fit_described(model: str, x: Tensor, y: Tensor, codes: Tensor, **settings: Any) -> Answer:
    """Items [N, d], labels [N] in 0..S-1 and codes [S, m] of the seen classes -> their answer, in double precision.
    `settings` are keywords of the model, `direction` among them where it has two."""
    if model not in MODELS:
        raise unknown("zero-shot model", model, MODELS)
    allowed = settings_of(model)
    for key in settings:
        if key not in allowed:
            raise unknown(f"setting of {model}", key, allowed)
    if x.ndim != 2 or len(x) != len(y) or codes.ndim != 2:
        raise SemblanceError(
            f"items {list(x.shape)}, labels {list(y.shape)} and codes {list(codes.shape)} do not fit: "
            "give [N, d], [N], [S, m]"
        )
    if not len(y) or int(y.min()) < 0 or int(y.max()) >= len(codes):
        raise SemblanceError(
            f"labels of the {len(y)} items are not all among the {len(codes)} classes that have a code"
        )
    missing = int((torch.bincount(y, minlength=len(codes)) == 0).sum())
    if missing:
        raise SemblanceError(
            f"{missing} of the {len(codes)} classes with a code have no item: give codes of the seen classes only"
        )
    fitted = MODELS[model](x.double(), y, codes.double(), **settings)
    return lambda items, others: fitted(items.double(), others.double())


def settings_of(model: str) -> tuple[str, ...]:
    """The keywords of a model."""
    fit = MODELS[model]
    fixed = set(fit.keywords) if isinstance(fit, partial) else set()
    return tuple(name for name in inspect.signature(fit).parameters if name not in {"x", "y", "codes"} | fixed)


def directions_of(model: str) -> tuple[str, ...]:
    """`forward` and `reverse` for a model that has both, else nothing."""
    return ("forward", "reverse") if "direction" in settings_of(model) else ()
