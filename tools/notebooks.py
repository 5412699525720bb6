"""Run every notebook in place and keep its outputs: `python tools/notebooks.py [NAMES]`.

Figures are drawn with two pixels where a page shows one, and stored with at most 256 colours to save bytes.
What is printed to stderr (progress bars, the chatter of libraries) is not kept."""
import base64, io, os, sys, time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

root = Path(__file__).resolve().parent.parent
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not one of the user's


def execute(path, timeout):
    "Run a notebook in its own folder; returns it with its outputs and the seconds it took, raises what a cell raised."
    nb, start = nbformat.read(path, 4), time.perf_counter()
    NotebookClient(nb, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
                   extra_arguments=["--InlineBackend.figure_formats=retina"]).execute()
    return nb, time.perf_counter() - start


def smaller(png):
    "A PNG picture (base64) with a palette of 256 colours, or the same if that is no smaller."
    made = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(made, "png", optimize=True)
    return min(png, base64.b64encode(made.getvalue()).decode() + "\n", key=len)


def main():
    for path in [root / "nbs" / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(root.glob("nbs/*.ipynb")):
        nb, seconds = execute(path, timeout=900)
        for cell in nb.cells:
            if cell.cell_type == "code": cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for data in (o["data"] for o in cell.get("outputs", []) if "image/png" in o.get("data", {})): data["image/png"] = smaller(data["image/png"])
        nbformat.write(nb, path)
        print(f"  {path.name:28} {seconds:6.1f} s", flush=True)


if __name__ == "__main__": main()
