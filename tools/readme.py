"""Make README.md from nbs/index.ipynb: `python tools/readme.py`, or with `--check` say whether it is in step.

Outputs are taken as they are stored in the notebook. Figures go to index_files/ beside the README;
players, which no README can show, are left out, and what stands in a comment `<!-- README ... -->` is said in their place;
names of the package in backticks link to the notebook that explains them.
`--check` compares text, not pictures. (nbdev-readme does the like with Quarto, which this project does without.)"""
import difflib, importlib.util, re, shutil, sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent
pictures = "index_files"


def notebook_of():
    "Where each exported name is explained: {name: path of its notebook}."
    spec = importlib.util.spec_from_file_location("_modidx", root / "gp_speech" / "_modidx.py")
    index = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(index)
    found = {}
    for path in sorted((root / "nbs").glob("[0-9]*.ipynb")):
        module = re.search(r"#\| default_exp (\w+)", path.read_text(encoding="utf-8"))
        for name in index.d["syms"].get(f"gp_speech.{module[1]}", {}) if module else ():
            found.setdefault(name.split(".", 2)[2], f"nbs/{path.name}")
    return found


def shown(nb):
    "The notebook's cells as a reader should see them: no hidden cells, no directives, no players."
    cells = []
    for cell in nb.cells:
        directives = re.findall(r"^#\| *(\S+)", cell.source, flags=re.M)
        if "hide" in directives: continue
        if cell.cell_type == "code":
            if "echo:" in directives: cell.metadata["transient"] = {"remove_source": True}  # (`echo: false` is its only use)
            cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip()
            cell.outputs = [o for o in cell.outputs
                            if "data:audio" not in str(o.get("data", {}).get("text/html", "")) and o.get("name") != "stderr"]
        else: cell.source = re.sub(r"<!-- README\s(.*?)-->", r"\1", cell.source, flags=re.S)
        cells.append(cell)
    nb.cells = cells
    nb.metadata.language_info = {"name": "python"}
    return nb


def make():
    "The README's text, and its pictures as {file name: bytes}."
    nb = shown(nbformat.read(root / "nbs" / "index.ipynb", 4))
    text, resources = MarkdownExporter().from_notebook_node(nb)
    where = notebook_of()
    link = lambda m: f"[`{m[1]}`]({where[m[1]]})" if m[1] in where else m[0]
    fences = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    text = "".join(part if part.startswith("```") else re.sub(r"(?<!\[)`([\w.]+)`", link, part) for part in fences)
    made = {f"figure-{k}{Path(name).suffix}": data for k, (name, data) in enumerate(resources.get("outputs", {}).items())}
    for new, old in zip(made, resources.get("outputs", {})):
        text = re.sub(rf"!\[[^\]]*\]\({re.escape(old)}\)", f"![figure]({pictures}/{new})", text)
    text = re.sub(r"\]\((?=[\w-]+\.ipynb)", "](nbs/", text).replace("](../", "](")  # links, as seen from the top
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.M)).strip() + "\n"
    return "<!-- made from nbs/index.ipynb by tools/readme.py: edit the notebook -->\n\n" + text, made


def main():
    text, made = make()
    readme = root / "README.md"
    if "--check" in sys.argv[1:]:
        old = readme.read_text(encoding="utf-8") if readme.exists() else ""
        missing = [name for name in made if not (root / pictures / name).exists()]
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), "README.md", "from nbs/index.ipynb"))
        if missing: print(f"missing in {pictures}/: {', '.join(missing)}")
        if old != text or missing: sys.exit("README.md is not in step with nbs/index.ipynb: run `make readme`")
        return
    readme.write_text(text, encoding="utf-8")
    shutil.rmtree(root / pictures, ignore_errors=True)
    for name, data in made.items():
        (root / pictures).mkdir(exist_ok=True)
        (root / pictures / name).write_bytes(data)


if __name__ == "__main__": main()
