"""The benchmarks' machinery, and that the README shows what they found. (They themselves run with `make bench`.)"""
import json, re, subprocess, sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parent.parent
benchmarks = root / "benchmarks"
scripts = sorted(path.stem for path in benchmarks.glob("*.py"))
sys.path.insert(0, str(benchmarks))
import install, measure, report, run  # noqa: E402

results = json.loads((benchmarks / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", scripts)
def test_importing_a_script_needs_no_peer(name):
    heavy = {*install.PEERS, "psutil", "matplotlib", "numpy", "scipy", "gp_speech"}
    code = f"import sys; sys.path.insert(0, {str(benchmarks)!r}); import {name}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_each_method_is_a_function_and_its_peer_is_installed_somewhere():
    for name in report.PARTS:
        for method in report.part(name).METHODS:
            assert callable(getattr(report.part(name), method.function)) and (method.peer in install.PEERS or not method.peer), method


def test_the_readme_shows_these_results():
    assert report.markdown(results) in (root / "README.md").read_text(encoding="utf-8"), "run nbs/index.ipynb anew and `make readme`"


def test_results_tell_nothing_of_places():
    text = json.dumps(results)
    assert not re.search(r"\w+://", text) and run.impersonal(text) == text
    assert run.impersonal("no file /home/someone/x.py, see https://example.org/x (1/2)") == "no file ..., see ... (1/2)"


def test_stored_bars_are_those_of_the_records():
    assert [tuple(bar.values()) for bar in results["bars"]] == report.bars(results)


def test_every_measurement_is_in_the_table_and_every_bar_has_a_line():
    table = report.table(results)
    assert len(table) == 1 + sum(len(found["records"]) for found in results["parts"].values())
    assert all(line.endswith((": met", ": NOT met", ": not measured")) for line in report.bar_lines(results))


CASES = '''
import os, sys, time
def quick(n): return lambda: sum(range(n)), lambda result: dict(result=result)
def memory(n): return lambda: bytearray(n*2**20), lambda result: {}
def raising(): return lambda: 1/0, lambda result: {}
def endless(): return lambda: time.sleep(60), lambda result: {}
def greedy(): return lambda: (bytearray(2**29).count(1), time.sleep(60)), lambda result: {}
def dying(): return lambda: (print("last words", file=sys.stderr), os._exit(3)), lambda result: {}
def crashing(): return lambda: os.kill(os.getpid(), 11), lambda result: {}
def claiming(): raise MemoryError("Unable to allocate 74.5 GiB")
'''


@pytest.fixture
def case(tmp_path, monkeypatch):
    "A function that measures one of these cases."
    (tmp_path / "cases_of_the_test.py").write_text(CASES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda function, **limits: measure.measure(sys.executable, "cases_of_the_test", function, limits.pop("arguments", {}), **limits)


def test_a_measurement_tells_time_and_memory(case):
    found = case("quick", arguments=dict(n=1000))
    assert found["status"] == "ok" and found["result"] == 499500 and 0 < found["seconds"] < 1 and found["calls"] > 3
    assert 95 < case("memory", arguments=dict(n=100))["mb"] < 110


@pytest.mark.parametrize("function, limits, status, why", [
    ("raising", {}, "failed", "ZeroDivisionError: division by zero"),
    ("dying", {}, "failed", "exit code 3: last words"),
    ("crashing", {}, "failed", "ended by SIGSEGV"),
    ("claiming", {}, "out of memory", "MemoryError: Unable to allocate 74.5 GiB"),
    ("endless", dict(seconds=1), "out of time", "ended after 1 s"),
    ("greedy", dict(gigabytes=.25), "out of memory", "ended at 0.25 GB of resident memory")])
def test_a_measurement_tells_how_it_failed(case, function, limits, status, why):
    assert case(function, **limits) == dict(status=status, why=why)
