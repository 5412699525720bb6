"""Metadata comes from settings.ini, so that it is written once."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
extras = ("stan", "neural", "notebooks", "dev")
minor = lambda version: int(version.split(".")[1])
readme = here / "README.md"


def requirements(key):
    "The lines of a multi-line value of settings.ini."
    return cfg[key].strip().splitlines()


setup(
    name=cfg["name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else cfg["description"],
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"].split(),
    license=cfg["license"],
    author=cfg["author"],
    classifiers=[
        "Development Status :: " + cfg["status"],
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ] + [f"Programming Language :: Python :: 3.{v}" for v in range(minor(cfg["min_python"]), minor(cfg["max_python"]))],
    python_requires=f">={cfg['min_python']},<{cfg['max_python']}",
    packages=["gp_speech"],
    package_data={"gp_speech": ["data/*", "*.stan"]},
    include_package_data=False,  # what package_data names, in the sdist too
    install_requires=requirements("requirements"),
    extras_require={extra: requirements(f"{extra}_requirements") for extra in extras},
    entry_points={
        "console_scripts": ["gp-speech=gp_speech.cli:main"],
        "nbdev": ["gp_speech=gp_speech._modidx:d"],
    },
    zip_safe=False,
)
