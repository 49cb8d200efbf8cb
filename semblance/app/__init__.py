"""The faces of the library: the command line and its pictures.

cli.py         the verbs
asking.py      a question on stderr, an answer from stdin
compact.py     the verb `compact`
data.py        the verbs of `semblance data`
export.py      the verb `export`
flags.py       what every verb shares: global flags, exit codes, one line for what goes wrong
label.py       the verb `label`: votes shown, accepted or corrected
label_cascade.py  `label --cascade`: a person answers about samples, a model does the rest
tables.py      tables on stdout
pictures.py    neighbours, losses and views as pictures
upgrade.py     the verb `upgrade`
vectors.py     what `embed` writes and `search` reads
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"main": "cli"})
