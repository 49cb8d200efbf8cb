"""PecanPy with gensim on an edge list, in an environment of its own: it needs numpy below 2, we need it above.

    python -m venv DIR && DIR/bin/pip install pecanpy==2.0.9 gensim numpy==1.26.4
    DIR/bin/python pecanpy_peer.py EDGES.npy VECTORS.npy P Q SEED [--walks-only]

Prints one JSON object: seconds and processor seconds of walks and of training. Compiling is warmed up on a small graph; the
tables of its PreComp mode count as walks, and the faster of its two sparse modes is taken.
"""

import json
import sys
import time

import numpy as np
from gensim.models import Word2Vec
from pecanpy import pecanpy
from scipy import sparse

WALKS, LENGTH, DIM, WINDOW = 10, 80, 128, 10


def graph_of(mode, ends, nodes, p, q, seed):
    """A PecanPy graph of undirected edges [2, E]."""
    a = sparse.coo_matrix((np.ones(ends.shape[1], np.float32), (ends[0], ends[1])), shape=(nodes, nodes)).tocsr()
    a = ((a + a.T) > 0).astype(np.float32).tocsr()
    a.sort_indices()
    graph = mode(p=p, q=q, workers=1, verbose=False, random_state=seed)
    graph.indptr, graph.indices, graph.data = a.indptr.astype(np.uint32), a.indices.astype(np.uint32), a.data
    graph.set_node_ids([str(i) for i in range(nodes)])
    return graph


def walked(mode, ends, nodes, p, q, seed, length=LENGTH):
    """Walks, and the seconds and processor seconds they took."""
    graph = graph_of(mode, ends, nodes, p, q, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    graph.preprocess_transition_probs()
    walks = graph.simulate_walks(num_walks=WALKS, walk_length=length)
    return walks, time.perf_counter() - wall, time.process_time() - cpu


def main():
    """One measurement."""
    source, target, p, q, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    ends = np.load(source)
    nodes = int(ends.max()) + 1
    ring = np.stack([np.arange(60), (np.arange(60) + 1) % 60])
    found = []
    for mode in (pecanpy.SparseOTF, pecanpy.PreComp):
        walked(mode, ring, 60, p, q, seed, 5)
        found.append((*walked(mode, ends, nodes, p, q, seed), mode.__name__))
    walks, wall, cpu, mode = min(found, key=lambda f: f[2])
    told = {"walks": wall, "walks_cpu": cpu, "mode": mode}
    if "--walks-only" not in sys.argv:
        wall, cpu = time.perf_counter(), time.process_time()
        model = Word2Vec(walks, vector_size=DIM, window=WINDOW, sg=1, min_count=0, workers=1, epochs=1, seed=seed)
        told |= {"training": time.perf_counter() - wall, "training_cpu": time.process_time() - cpu}
        missing = np.zeros(DIM, np.float32)
        np.save(
            target, np.stack([model.wv[str(i)] if model.wv.has_index_for(str(i)) else missing for i in range(nodes)])
        )
    print(json.dumps(told))


main()
