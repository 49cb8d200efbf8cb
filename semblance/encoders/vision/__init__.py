"""Encoders of images.

blocks.py        a few convolutions and the way around them
convert.py       pretrained ResNets of torchvision and timm as stage nets
fused_norm.py    the compiled passes behind `norm.py` for bfloat16 activations
gradients.py     a network that sees changes of brightness, and no colours
mirror.py        a stage net backwards, from its read-out to pictures
norm.py          batch norm with an optional shortcut and an optional ReLU
patches.py       a picture as a row of small squares, each a token of a transformer
rows.py          every classical backbone as one row of a table, read by `stagenet`
stagenet.py      a stem, stages of equal blocks that halve the image and widen the channels, and a read-out
unplaced.py      tokens after a map that takes their place in the picture out
units.py         every task reads its own mixture of a trunk's blocks
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Gradients": "gradients",
        "Mirror": "mirror",
        "Patches": "patches",
        "StageNet": "stagenet",
        "stage_net": "stagenet",
        "on_images": "stagenet",
        "pretrained": "convert",
    },
)
