from __future__ import annotations

import numpy as np

from semblance.data.assemble import assemble


def from_array(x, labels=None, seed=0):
    targets, classes = {}, ()
    if labels is not None:
        targets = {"labels": np.asarray(labels).astype(np.int64)}
        classes = tuple(map(str, range(int(targets["labels"].max()) + 1)))
    if x.dtype == np.uint8:
        x = x[:, None] if x.ndim == 3 else (x if x.shape[1] in (1, 3) else np.moveaxis(x, 3, 1))
        return assemble("images", np.ascontiguousarray(x), targets=targets, classes=classes, seed=seed)
    return assemble("vectors", np.ascontiguousarray(x, np.float32), targets=targets, classes=classes, seed=seed)
