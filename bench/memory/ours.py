"""Semblance's index for the harness of the vector-search anchors: `--ours ours:build`."""

import numpy as np
import pyarrow as pa

from semblance.memory import Filtered

WHERE = {(False, False): None, (True, False): "label between ? and ?", (False, True): "category = ?",
         (True, True): "label between ? and ? and category = ?"}  # fmt: skip


class Ours:
    def __init__(self, vectors, labels, categories):
        self.index = Filtered(vectors.shape[1])
        attributes = pa.table({"label": labels, "category": categories})
        self.index.add([str(row) for row in range(len(vectors))], vectors, attributes)
        self.index.build()

    def settings(self, selectivity):
        return [0.95, 0.97, 0.98, 0.99, 0.995, 1.0]

    def configure(self, recall):
        self.near = {key: self.index.prepare(where, recall) for key, where in WHERE.items()}

    def search(self, query, k, low, high, category=None):
        window = low > -np.inf
        values = ((low, high) if window else ()) + (() if category is None else (int(category),))
        return self.near[window, category is not None](query, k, *values)[0]


build = Ours
