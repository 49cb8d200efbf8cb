"""Run the notebooks of this folder from the top and keep their outputs, without times, counters of progress or folders.

python docs/run_notebooks.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent / "notebooks"


def run(path: Path) -> None:
    """Execute one notebook in an empty folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place, record_timing=False).execute()
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            # A bar of progress that has gone leaves an output of nothing.
            cell.outputs = [output for output in cell.outputs if output.get("data", {}).get("text/html") != ""]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for found in [HERE / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        run(found)
        print(f"{found.name}: {found.stat().st_size:,} bytes")
