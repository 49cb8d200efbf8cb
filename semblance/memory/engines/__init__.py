"""Engines: the Index contract over databases that run elsewhere, for more vectors than one machine holds.

entering.py         what comes into an engine, checked and converted; and the way from and to a space folder
pgvector.py         a table of PostgreSQL with the extension pgvector
postgres_where.py   a condition as PostgreSQL reads it
qdrant.py           a collection of Qdrant, on a server, in a folder or in memory
qdrant_where.py     a condition as a filter of Qdrant, as far as its filters go
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {"PgVector": "pgvector", "Qdrant": "qdrant"})
