"""Maps: a space in two dimensions as bytes, x then y. PCA comes at once and is kept; UMAP is made by a job."""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from semblance.app.server import derived, projection
from semblance.app.server.answers import answer, cached
from semblance.app.server.held import Held
from semblance.app.server.jobs import Job
from semblance.app.server.problems import Problem
from semblance.app.server.spaces import Served
from semblance.app.server.state import BINARY, Here, Server, Us, reading
from semblance.errors import SemblanceError

router = APIRouter(tags=["spaces"])
SEED = 0


def stored(served: Served, held: Held, kind: str) -> tuple[derived.Arrays, dict[str, Any]] | None:
    """What is kept of this version's vectors, in memory or beside the space."""
    if kind not in held.of_vectors:
        folders = (derived.folder_of(served.path, True), derived.folder_of(served.path, False))
        found = derived.read(folders, kind, held.content)
        if found is None:
            return None
        held.of_vectors[kind] = found
    result: tuple[derived.Arrays, dict[str, Any]] = held.of_vectors[kind]
    return result


def pca_of(served: Served, held: Held) -> tuple[derived.Arrays, dict[str, Any]]:
    """The map by PCA, computed and kept where it is not there yet."""
    found = stored(served, held, "pca")
    if found is None:
        xy, said = projection.pca(held.view.source, SEED)
        found = held.of_vectors["pca"] = {"x": xy[0], "y": xy[1]}, said
        derived.keep(derived.folder_of(served.path, not served.read_only), "pca", held.content, *found)
    return found


def made_by_a_job(us: Server, served: Served, held: Held, kind: str, title: str) -> Job:
    """The job that makes what is not there yet; one that failed is not tried again by itself."""
    served.check_one(title)
    last = us.jobs.last(kind, held.content)
    if last is not None and last.state == "failed":
        raise Problem("failed", f"{title} failed: {last.error}", "DELETE its job to try it again", job=last.id)
    folder = derived.folder_of(served.path, not served.read_only)
    spec = {"space": str(served.path), "folder": str(folder), "key": held.content, "seed": SEED}
    job = us.jobs.start(kind, f"{title} of {served.name}", spec, {"space": served.name}, held.content)
    job.space = served.name
    return job


def waiting(job: Job) -> Response:
    """202: the job that makes it."""
    return answer({"job": job.to_dict(), "href": f"/api/jobs/{job.id}"}, status=202)


@router.get("/api/spaces/{space}/map", responses={**BINARY, 202: {"description": "It is being made by a job."}})
async def map(request: Request, here: Here, us: Us, kind: Literal["pca", "umap"] = "pca") -> Response:
    """float32 x[n], then y[n], in row order, within [-1, 1]."""

    def tell(held: Held) -> Response:
        if kind == "pca" or not len(held):
            found: tuple[derived.Arrays, dict[str, Any]] | None = pca_of(here, held)
        else:
            if len(held) < projection.LEAST:
                raise SemblanceError(f"UMAP needs {projection.LEAST} items, and there are {len(held)}: take kind=pca")
            found = stored(here, held, "umap")
        if found is None:
            return waiting(made_by_a_job(us, here, held, "umap", "the map by UMAP"))
        arrays, said = found
        content = arrays["x"].astype("<f4").tobytes() + arrays["y"].astype("<f4").tobytes()
        headers = {**held.headers, "X-Map": json.dumps(said)}
        return cached(request, f'"{kind}-{held.content}"', content, headers=headers)

    return await reading(here, tell)
