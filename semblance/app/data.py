"""`semblance data`: which named sets there are, what stands in them, where they come from, what views make of them."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Named data sets.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="A name from `semblance data list`.")]


@app.callback()
def data() -> None:
    pass
