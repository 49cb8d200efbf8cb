"""Where representations live: stores and indexes, and the conditions they are asked under.

store.py        a SPACE folder: opened, changed by one commit at a time, closed
view.py         one version of it, for reading: ids, vectors, attributes, conditions
changes.py      what is done to its tables and segments inside a commit: append, bury, clear, compact
database.py     the tables of space.db, connections to it, the record of a version
segments.py     vectors in append-only files, mapped into memory
columns.py      attributes between Arrow and SQLite
where.py        conditions over attributes, compiled to SQL with bound parameters
model_file.py   a model's tensors in one safetensors file named by its hash
exact.py        search by looking at everything, in blocks; the Index contract over it
atomic.py       files that are replaced as a whole, the writer's lock, a full disk said in one line
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Store": "store",
        "View": "view",
        "Exact": "exact",
        "scan": "exact",
        "compile_where": "where",
    },
)
