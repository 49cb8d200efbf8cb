"""Where representations live: stores that survive a kill, and indexes that find the near ones.

adoption.py        vectors in finished files become those of a space, without being copied, at once
anchored.py        an encoder that answers with codes relative to training items
anchors.py         relative codes: an item is said by its similarities to anchors
associative.py     patterns with blanks as Hebbian couplings: several retrieved at once
atomic.py          changes to files that neither a kill, a full disk nor a second writer can leave half done
base_indexes.py    exact, inverted lists and graphs of faiss behind one face, counting distance evaluations
by_name.py         indexes by name: ours, and those of other packages
changes.py         what one commit does to the tables and segments of a space
check.py           what of a space's folder cannot be trusted, and which items that costs
checksums.py       a CRC-32 of every MiB of an append-only file
classifier.py      labelled items are stored, their votes are the answer, and editing the memory is all the learning
columns.py         attributes between an Arrow table and the columns of an SQLite table
conditions.py      what a condition means: a tree that can be compared, printed and written as SQL
creation.py        a folder becomes an empty space at once
database.py        the tables of `space.db`, connections to it, and the record that says what the space is
decision.py        what the neighbours voted, neighbour by neighbour, and which answer that makes
engines/           the index contract over Qdrant and PostgreSQL with pgvector
exact.py           the nearest items by looking at all of them, in blocks
filter_graph.py    a walk over a neighbour graph that measures only what passes a filter
filter_methods.py  six orders of work for filtered search, and which sorts of filters each answers
filter_protocol.py filters by sort and selectivity, curves of cost over recall, and a planner that learns from them
filtered.py        nearest neighbours inside a condition, at the recall that is asked for
filters.py         the sorts of filters, what passes them, and what a method says of itself
fused/             filtered search in one compiled call: codes scanned in place, in the order of an attribute
housekeeping.py    what a writer does after a change and when it opens a space
indexed.py         filtered search over the versions of a space, by parts that lie in its folder
masks.py           attributes in memory, and the rows for which a condition is true, without SQL
model_file.py      tensors and what they are, in one safetensors file named by the hash of its content
reading.py         what can be asked of a space, of its newest version or of an older one
segments.py        float32 vectors in append-only files, whose named length is the truth
shards.py          several memories that answer as one: asked at once, merged, split, and who is lost is named
side_by_side.py    several runs of a small network as one
store.py           a SPACE folder, of which `space.db` is the truth and which changes by one commit at a time
translate.py       two stores of vectors brought into one space: by anchors, by a turn, by a learned map
unpaired.py        a translator between two sets of vectors of which no pair is known
usefulness.py      which stored items vote wrongly; they are removed, or heard less
values.py          what a user compares a column with, as the column stores it
upgrade.py     a space of an older format, as a copy in today's
view.py            one version of a space, for reading
where.py           a small language of conditions over attributes, read into checked trees, with question marks
window.py          nearest neighbours in a window of a number: six ways to ask a tree of indexes, and overlapping buckets
window_index.py    the Index contract over it
window_rule.py     which of the six ways, measured for every width
window_tree.py     a tree over sorted items, a base index for every node
words.py           the distinct texts of a column in order, and those that match a pattern
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Store": "store",
        "Relative": "anchors",
        "choose_anchors": "anchors",
        "Translation": "translate",
        "Exact": "exact",
        "Filtered": "filtered",
        "scan": "exact",
        "compile_where": "where",
        "parse_where": "where",
        "bind": "where",
        "Column": "masks",
        "true_rows": "masks",
        "span": "masks",
        "VoteMemory": "classifier",
        "Decision": "decision",
        "agreed": "decision",
        "Sharded": "shards",
        "usefulness": "usefulness",
        "prune": "usefulness",
        "soften": "usefulness",
        "base_index": "base_indexes",
        "index_named": "by_name",
        "Window": "window",
        "WindowTree": "window_tree",
        "WindowIndex": "window_index",
        "measured_rule": "window_rule",
    },
)
