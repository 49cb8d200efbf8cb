"""The faces of the library: the command line and its pictures.

cli.py         the verbs
asking.py      a question on stderr, an answer from stdin
complete.py    what the shell offers after a word is begun
compact.py     the verb `compact`
compare.py     the verb `compare`
explain.py     the verb `explain`
data.py        the verbs of `semblance data`
doctor.py      the verb `doctor`: versions, extras, what was chosen for this machine and why, folders
embed.py       the verb `embed`: a file of vectors, or a space of data of any size
export.py      the verb `export`
flags.py       what every verb shares: global flags, exit codes, one line for what goes wrong
label.py       the verb `label`: votes shown, accepted or corrected
label_cascade.py  `label --cascade`: a person answers about samples, a model does the rest
logs.py        what the library logs, as lines on stderr
measure.py     what `doctor --measure` times and proposes
page/          the explorer's page as it is built from `explorer/`
report.py      the verb `report`
reproduce.py   the verb `reproduce`: one claim, or many as a queue
survey.py      the verb `survey`
scorers.py     who scores a pool for `data filter`
serve.py       the verb `serve`
shards.py      the verb `shard`, and what `search` opens
server/        what answers it: an HTTP interface, and the page's files
tables.py      tables on stdout
pictures.py    neighbours, losses and views as pictures
upgrade.py     the verb `upgrade`
vectors.py     what `embed` writes and `search` reads
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"main": "cli"})
