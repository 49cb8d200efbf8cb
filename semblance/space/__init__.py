"""What the user holds: a model, a space, and the verbs that join the rooms.

align.py       two spaces brought together: pairs, method, judgement
aligned.py     what two aligned spaces answer: one query, the items of both
by_blocks.py   whole graphs whose rows go by blocks, as tasks of a cluster
card.py        the README.md in a space's folder
choose.py      which recipe, and does it suit the data: asked once, before anything is trained
cluster.py     fits and rankings on a Ray cluster: how it is joined, and the same code on several workers
columns.py     what a dataset's targets and splits become in a space: columns that can be filtered by
compare.py     what two spaces, arrays or layers of modules share
embedding.py   data larger than memory in, a space of its embeddings by a ready model out
embedding_on.py  its parts made by the workers of a cluster, by Ray Data
explain.py     which parts of two items make them near
embedder.py    a recipe as a scikit-learn estimator
export.py      a space's items or its model as files that other programs read
fit.py         data in, a searchable space out
gathered.py    what the parts of an embedding are together, and how they become a space
joined.py      what several shards found, as the answer of one space
kept.py        which of several checkpoints is the furthest, by what they say and never by a clock
label.py       the neighbours' votes for an item, and labels that are corrected
methods.py     what is done with a whole space by name: a report on it, an index over its items
model.py       a trained network with what it takes to feed it
needs.py       what a method learns from beside the items, and whether the data has it
part_files.py  what one worker makes of one part of the data, and what is read of it again
picture.py     a space in two dimensions
plan.py        what a fit would take, found by a few real steps on the real data
progress.py    a bar where a person looks on: a terminal, a notebook
rank.py        which published method suits this data
selections.py  sets of items with a name, kept beside a space
sides.py       what a comparison may have on a side, and its layers by name
shard_file.py  which spaces are shards of one, what made them, and one space made into several
shards.py      spaces that answer a search as one, and say who is lost
show.py        spaces, answers, evaluations and rankings as notebooks show them
space.py       a folder of embeddings that is searched, added to and judged
tables.py      a space as an Arrow table or a data frame
tasks.py       what a method is asked when methods are ranked: labels, few shots, views, links, items
told.py        what the workers of a fit tell the process that waits for them
training.py    a dataset and a recipe in, a model out
views.py       what a recipe's views make of some items, as a picture
vigil.py       the waiting for a cluster, which ends when the cluster does
workers.py     what each process of a fit on a cluster does
wrap.py        a network of the user's own, trained elsewhere, as a Semblance model
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "fit": "fit",
        "refit": "fit",
        "plan": "plan",
        "Space": "space",
        "Results": "space",
        "load": "space",
        "Model": "model",
        "report": "methods",
        "index": "methods",
        "wrap": "wrap",
        "Embedder": "embedder",
        "rank": "rank",
        "compare": "compare",
        "embed": "embedding",
        "explain": "explain",
        "align": "align",
        "Aligned": "aligned",
        "shards": "shards",
        "Shards": "shards",
        "split": "shard_file",
        "Ranking": "rank",
        "train": "training",
    },
)
