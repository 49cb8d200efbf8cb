"""The HTTP server behind `semblance serve`: an interface for programs, and the files of the explorer's page.

answers.py         JSON and bytes as they go out, with what a cache needs to know
application.py     the parts put together
columns.py         what attributes are to a page, and their values as bytes
derived.py         what takes long to compute of a space's vectors, kept beside it
guard.py           what a request has to pass before anybody reads it, and what every answer carries
held.py            one version of a space in memory, in the order of its rows
hosts.py           by which names the server may be asked for, and from which pages
jobs.py            work that takes long, in processes of its own
listing.py         which spaces there are, and their rows in bytes: ids, columns, masks
login.py           a page that asks for the token, and the cookie for it
maps.py            a space in two dimensions as bytes
metrics.py         counts and times for Prometheus
page.py            the files of the explorer
problems.py        whatever goes wrong, as problem details (RFC 9457)
projection.py      PCA and UMAP of many vectors
running.py         a socket, the application behind it, and a clean end
spaces.py          the folders that are served, followed as they change
state.py           what the parts share, and how an address finds its space
tokens.py          who may ask, and how often a wrong token may be tried
work.py            the process of one job
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"application": "application", "serve": "running"})
