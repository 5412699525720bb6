"""Install gp_speech and its peers, each peer by itself, so that one that cannot be installed does not stop the others.

`python benchmarks/install.py`, run by the Python of a fresh virtual environment, installs into that environment, and into
a second one inside it for peers that need NumPy 1. `python benchmarks/install.py quality` installs what `make quality` asks instead.
What came of it (version, or the error's last line) is in `peers.json` in the environment's folder, and `make bench` or `make quality` prints it."""
import json, os, subprocess, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent

# peer: (environment: "" or a folder in it, what to give to pip: if the first fails, the second is tried...)
PEERS = {
    "celerite2": ("", ["celerite2"]),
    "gstools": ("", ["gstools"]),
    "fbm": ("", ["fbm"]),
    "stochastic": ("numpy1", ["stochastic"]),                       # requires numpy<2
    "torch": ("", ["torch==2.13.0", "torch"]),     # for the next two; only its CPU half is used
    "gpytorch": ("", ["gpytorch"]),
    "mogptk": ("", ["mogptk", "--no-binary=mogptk mogptk"]),
    "tensorflow": ("", ["tensorflow>=2.20"]),      # the seed's recipe
}
QUALITY = {
    "pyworld": ("", ["pyworld setuptools<81", "pyworld"]),  # imports pkg_resources
    "librosa": ("", ["librosa"]),                  # Griffin-Lim
    "pesq": ("", ["pesq", "--no-build-isolation pesq"]),
    "pystoi": ("", ["pystoi"]),
    "speechmos": ("", ["speechmos onnxruntime"]),  # DNSMOS, with its networks
    "pocketsphinx": ("", ["pocketsphinx"]),        # with its English model
    "G722": ("", ["G722"]),                        # decodes the asterisk package's recordings
}


def python_of(environment): return Path(sys.prefix, environment, "bin", "python")


def last_line(text): return ([line.strip() for line in text.splitlines() if line.strip()] or ["no message"])[-1]


def pip(environment, requirement):
    "None if pip could install it, or the last line of what it said."
    done = subprocess.run([python_of(environment), "-m", "pip", "install", "--quiet", *requirement.split()], capture_output=True, text=True, cwd=root)
    return last_line(done.stderr) if done.returncode else None


def install(peer):
    "What came of installing and importing a peer: {environment, version, note} or {environment, error}."
    environment, requirements = (PEERS | QUALITY)[peer]
    refused = []
    for requirement in requirements:
        if (error := pip(environment, requirement)) is None: break
        refused.append(f"`pip install {requirement}`: {error}")
    else: return dict(environment=environment, error="; ".join(refused))
    code = f"import {peer}, importlib.metadata; print(importlib.metadata.version({peer!r}))"
    done = subprocess.run([python_of(environment), "-c", code], capture_output=True, text=True, env=os.environ | {"MPLBACKEND": "Agg"})
    if done.returncode: return dict(environment=environment, error=f"`import {peer}`: {last_line(done.stderr)}")
    return dict(environment=environment, version=last_line(done.stdout), note="; ".join(refused))


def main():
    peers = QUALITY if sys.argv[1:] == ["quality"] else PEERS
    environments = {environment for environment, _ in peers.values()}
    if "numpy1" in environments: subprocess.run([sys.executable, "-m", "venv", Path(sys.prefix, "numpy1")], check=True)
    for environment, extra in [("", []), ("numpy1", ["numpy<2"])][:len(environments)]:
        subprocess.run([python_of(environment), "-m", "pip", "install", "--quiet", *extra, "-e", ".", "psutil"], cwd=root, check=True)
    found = {}
    for peer in peers:
        print(f"  {peer:13}", end="", flush=True)
        found[peer] = install(peer)
        print(found[peer].get("version") or found[peer]["error"], flush=True)
    Path(sys.prefix, "peers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__": main()
