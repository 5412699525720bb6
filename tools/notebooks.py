"""Run every notebook in place and keep its outputs: `python tools/notebooks.py [NAMES]`.

What is printed to stderr (progress bars, the chatter of libraries) is not kept."""
import os, sys, time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

root = Path(__file__).resolve().parent.parent
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not one of the user's


def execute(path, timeout):
    "Run a notebook in its own folder; returns it with its outputs and the seconds it took, raises what a cell raised."
    nb, start = nbformat.read(path, 4), time.perf_counter()
    NotebookClient(nb, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    return nb, time.perf_counter() - start


def main():
    for path in [root / "nbs" / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(root.glob("nbs/*.ipynb")):
        nb, seconds = execute(path, timeout=900)
        for cell in nb.cells:
            if cell.cell_type == "code": cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        nbformat.write(nb, path)
        print(f"  {path.name:28} {seconds:6.1f} s", flush=True)


if __name__ == "__main__": main()
