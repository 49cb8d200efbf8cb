"""Explaining a nearness: the table by which a domain joins, and what every domain's explainer is asked.

A domain is one file, `explain_DOMAIN.py`, with `explain(asked) -> Explanation`, its methods in `METHODS` (the first is
taken where none is named) and one line in `DOMAINS`. What a user named (paths, ids) has become a batch of two units by
then, read and prepared as the space's model reads its data.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.analysis.explanation import Explanation
from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown

DOMAINS = {"images": "explain_images", "vectors": "explain_vectors", "graph": "explain_graph", "text": "explain_text"}
STEPS = 50


@dataclass(frozen=True)
class Asked:
    """What an explainer is asked.

    encoder: a module with `embed(batch)`; it is in eval mode. batch: two units (pictures [2, C, H, W]; a graph with two
    `nodes`). names: what the user calls them. stored: the two units as they are stored (bytes of pictures, strings of
    texts), to be shown. neutral: what a unit holds that says nothing, in the encoder's scale. known: further facts of the
    domain (ids of nodes, names of features). steps: of integrals.
    """

    encoder: Any
    batch: Batch
    names: tuple[str, str]
    method: str | None = None
    stored: Any = None
    neutral: Tensor | float = 0.0
    known: Mapping[str, Any] = field(default_factory=dict)
    curve: bool = True
    steps: int = STEPS
    seed: int = 0
    notes: tuple[str, ...] = ()


Explainer = Callable[[Asked], Explanation]


def explain(domain: str, asked: Asked) -> Explanation:
    """The explanation by the domain's own explainer; a method it has not is answered with those it has."""
    module = explainer(domain)
    if asked.method is not None and asked.method not in module.METHODS:
        raise unknown(f"method for {domain}", asked.method, module.METHODS)
    found: Explanation = module.explain(asked)
    return found


def explainer(domain: str) -> Any:
    """The module of this domain."""
    if domain not in DOMAINS:
        raise SemblanceError(f"{domain} cannot be explained yet: explain {', '.join(DOMAINS)}")
    return importlib.import_module(f"semblance.analysis.{DOMAINS[domain]}")


def cosine(z: Tensor, other: Tensor) -> Tensor:
    """[N, d], [N, d] -> [N]; 0 where either is zero."""
    return F.cosine_similarity(z, other, dim=-1, eps=float(torch.finfo(z.dtype).tiny))


def refuse_without_gradients(value: Tensor, method: str, works: str) -> None:
    """An error where no gradient flows from the value to the input."""
    if not value.requires_grad:
        raise SemblanceError(
            f"the method {method} needs gradients and this model has none (it looks things up, or runs outside torch): "
            f"use method {works}"
        )
