"""Explaining: which parts of two items make them near, and for pictures the same as heat maps over both.

A cell that makes two items more alike is red, one that makes them less alike blue, on one scale for both pictures.
"""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from semblance.app.server.answers import answer
from semblance.app.server.held import Held
from semblance.app.server.items import place_of
from semblance.app.server.problems import Problem, ProblemDetails
from semblance.app.server.spaces import Served
from semblance.app.server.state import ERRORS, Here, reading

router = APIRouter(tags=["analysis"])
SIDE, SHOWN = 256, 12
"""Pixels of a heat map's longer side; parts that are told of each item."""
MORE, LESS = (178, 24, 43), (33, 102, 172)
ONE_AT_A_TIME = threading.Lock()
"""An explanation is a hundred passes through the model: several at once would only take turns."""


class Pair(BaseModel):
    """Two items, and how to explain them; without a method, by the most telling one that the model allows."""

    a: str = Field(examples=["17"])
    b: str = Field(examples=["18"])
    method: str | None = Field(None, max_length=40, examples=["occlusion"])
    curve: bool = Field(True, description="Whether to measure that the similarity falls as the strongest parts go.")


class Part(BaseModel):
    """A part, and what it gives to the similarity."""

    name: str
    share: float


class Side(BaseModel):
    """The strongest parts of one item (of both, where `item` is empty); for cells of a picture a heat map."""

    item: str
    kind: str = Field(examples=["cells"])
    parts: list[Part]
    heat: str | None = Field(description="A PNG as a data: address.")
    grid: list[int] | None


class Sum(BaseModel):
    """Shares sum to the similarity less what is left without the parts; `gap` is what they miss it by."""

    item: str
    kind: str
    sum: float
    expected: float
    gap: float


class Explained(BaseModel):
    """Why two items are near."""

    items: list[str]
    similarity: float
    measure: str
    method: str
    without: str
    sides: list[Side]
    completeness: list[Sum]
    faithful: bool | None = Field(description="Whether it falls faster than in random order; null where not measured.")
    sentence: str
    notes: list[str]


def explains(held: Held) -> bool:
    """Whether there is a model that can be asked, of a domain that has parts."""
    from semblance.analysis.explain import DOMAINS

    return bool(held.manifest["model"]) and held.manifest["domain"] in DOMAINS


@router.post(
    "/api/spaces/{space}/explain",
    response_model=Explained,
    responses={**ERRORS, 501: {"model": ProblemDetails, "description": "Nothing here explains a pair."}},
)
async def explain(here: Here, asked: Pair) -> Response:
    """Why two items are near: what each part of either gives to their similarity."""

    def tell(held: Held) -> Response:
        for id in (asked.a, asked.b):
            place_of(held, id)
        here.check_one("an explanation")
        if not explains(held):
            lacking = "has no model" if not held.manifest["model"] else f"holds {held.manifest['domain']}"
            said = f"space {here.name!r} {lacking}, and nothing explains its pairs"
            raise Problem("not-built", said, "look at the neighbours' votes")
        return answer(explained(here, asked), held.headers)

    return await reading(here, tell)


def explained(here: Served, asked: Pair) -> dict[str, Any]:
    """The report, with pictures for a page."""
    from semblance.space.explain import explain as why

    with ONE_AT_A_TIME:
        found = why(here.space, asked.a, asked.b, method=asked.method, curve=asked.curve)
    cells = [side for side in found.parts if side.kind == "cells" and side.picture is not None]
    most = max((float(np.abs(side.share).max(initial=0)) for side in cells), default=0.0)
    sides = [
        {
            "item": side.item,
            "kind": side.kind,
            "parts": [{"name": side.names[i], "share": float(side.share[i])} for i in side.strongest(SHOWN)],
            "heat": heat(side.picture, side.share.reshape(side.grid), most) if side.picture is not None else None,
            "grid": None if side.grid is None else list(side.grid),
        }
        for side in found.parts
    ]
    told = {name: getattr(found, name) for name in ("similarity", "measure", "method", "without", "completeness")}
    faithful = None if found.curve is None else bool(found.curve.faithful)
    more = {"faithful": faithful, "sentence": str(found), "notes": list(found.notes)}
    return {"items": list(found.names), "sides": sides, **told, **more}


def heat(picture: np.ndarray, shares: np.ndarray, most: float) -> str:
    """[H, W] or [H, W, 3] in 0..1, shares [rows, columns] -> the picture in grey under its shares, a PNG as an address."""
    from PIL import Image

    grey = picture if picture.ndim == 2 else picture @ [0.299, 0.587, 0.114]
    scale = SIDE / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    # Neither black nor white, so that colours show on it everywhere, and never so covered that it is not seen.
    pale = np.asarray(Image.fromarray(np.uint8(255 * (0.12 + 0.8 * grey))).resize(size, Image.Resampling.NEAREST))
    strength = np.asarray(Image.fromarray(np.float32(shares / (most or 1.0))).resize(size, Image.Resampling.NEAREST))
    colour = np.where((strength > 0)[..., None], MORE, LESS)
    share = 0.6 * np.abs(strength)[..., None]
    held = io.BytesIO()
    Image.fromarray(np.uint8((1 - share) * pale[..., None] + share * colour)).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
