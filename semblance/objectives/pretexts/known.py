"""Known: labels that cost nothing, since a program made the picture or reads them off it.

    moving     which pixels of this frame will move?                Pathak et al. 2017, arXiv:1612.06370
    edges      where does brightness change?                        Li et al. 2016, arXiv:1604.01827
    depth      how near is what is seen here?                       Ren & Lee 2018, arXiv:1711.09082: both from a renderer
    normals    which way does the surface look?

What moves is a blob of another picture (data/pasted.py); the rendered scene is spheres before the picture
(data/spheres.py), so that the pictures of any folder serve."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.data.pasted import pasted
from semblance.data.spheres import spheres
from semblance.objectives.pretexts.asked import Posed


def moving(x: Tensor) -> Posed:
    """[N, C, H, W] -> first frames, target [N, H, W] of 0 and 1."""
    found = pasted(x)
    return Posed(found.first, found.moved)


def edges(x: Tensor) -> Posed:
    """[N, C, H, W] -> the pictures, target [N, 1, H, W]: the length of the gradient of their brightness (Sobel 1968)."""
    grey = x.mean(1, keepdim=True)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(x) / 8
    filters = torch.stack([across, across.T])[:, None]
    change = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), filters)
    return Posed(x, change.square().sum(1, keepdim=True).sqrt())


def depth(x: Tensor) -> Posed:
    """[N, C, H, W] -> spheres before the pictures, target [N, 1, H, W] from 0 to 1."""
    scene = spheres(x)
    return Posed(scene.picture, scene.depth[:, None])


def normals(x: Tensor) -> Posed:
    """[N, C, H, W] -> spheres before the pictures, target [N, 3, H, W] of length 1."""
    scene = spheres(x)
    return Posed(scene.picture, scene.normals)
