"""The HTTP server behind `semblance serve`: an interface for programs, and the files of the explorer's page.

answers.py         JSON and bytes as they go out, with what a cache needs to know
application.py     the parts put together
columns.py         what attributes are to a page, and their values as bytes
comparing.py       how far two spaces of the same items agree
decoding.py        a file that somebody sent, read by a process that has little
derived.py         what takes long to compute of a space's vectors, kept beside it
explaining.py      why two items are near, with heat maps over pictures
facets.py          how many items have which value
guard.py           what a request has to pass before anybody reads it, and what every answer carries
held.py            one version of a space in memory, in the order of its rows
hosts.py           by which names the server may be asked for, and from which pages
items.py           one item, some, and their pictures
jobs.py            work that takes long, in processes of its own
joining.py         shards as one space, their rows one after another
labelling.py       labels given, and each change undone once
listing.py         which spaces there are, and their rows in bytes: ids, columns, masks
login.py           a page that asks for the token, and the cookie for it
maps.py            a space in two dimensions as bytes
metrics.py         counts and times for Prometheus
neighbourhoods.py  everybody's nearest, and what they say of an item
page.py            the files of the explorer
problems.py        whatever goes wrong, as problem details (RFC 9457)
projection.py      PCA and UMAP of many vectors
rankings.py        what rank and fit left in files
running.py         a socket, the application behind it, and a clean end
searching.py       the nearest to an item, a vector or a file, and their votes
selecting.py       sets of items with a name, as ids, conditions and files
spaces.py          the folders that are served, followed as they change
state.py           what the parts share, and how an address finds its space
tokens.py          who may ask, and how often a wrong token may be tried
views.py           duplicates, outliers and suspects, with the pairs at the border
work.py            the process of one job
working.py         jobs started, watched and stopped over HTTP
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"application": "application", "serve": "running"})
