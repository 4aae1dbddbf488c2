"""Tests of fastest.py, and of what it takes from compare.py, with programs that only say what they are told to."""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time
from contextlib import closing, contextmanager

import compare
import fastest
from testing import raises, run

# FAKE NAME LOG MS LOSSES MORE [option ...]: answers as a peer does; MORE: what else its first line has, or how it fails.
FAKE = """
import json, os, sys
name, log, ms, losses, more = sys.argv[1], sys.argv[2], float(sys.argv[3]), json.loads(sys.argv[4]), json.loads(sys.argv[5])
if more.get("fails") == "at once":
    sys.exit("no such thing")
if any(os.environ.get(k) != v for k, v in more.get("needs", {}).items()):
    sys.exit("needs " + str(more["needs"]))
line = {"peer": name + " 1.0", "losses": losses, **more,
        "env": {k: os.environ.get(k) for k in ("WEFT_MAX_ISA", "GLIBC_TUNABLES")}, "argv": sys.argv[6:]}
print(json.dumps(line))
if "--serve" in sys.argv:
    print("ready", flush=True)
    for asked in sys.stdin:
        if more.get("fails") == "later":
            sys.exit("gone")
        with open(log, "a") as f:
            f.write(name + " ")
        print(json.dumps([ms + i for i in range(int(asked))]), flush=True)
"""


@contextmanager
def folder():
    with tempfile.TemporaryDirectory() as f:
        f = pathlib.Path(f)
        (f / "fake.py").write_text(FAKE)
        yield f


def fake(f, name, ms, losses=(0.5, 0.4, 0.3), **more):
    return [str(f / "fake.py"), name, str(f / "log"), str(ms), json.dumps(losses), json.dumps(more)]


def test_disagreement():
    wanted = [2.0, 1.0, 0.5]

    def says(losses=wanted, dtype="f32", **more):
        return fastest.disagreement({"losses": losses, **more}, wanted, dtype)

    assert says() == says([2.0001, 1.0009, 0.4996]) == ""
    assert says([2.0003, 1.0, 0.5]) == "loss 1 off by 1.5e-04 (more than 0.0001)"
    assert says([2.0, 1.0, 0.51]) == "loss 3 off by 2.0e-02 (more than 0.001)"
    assert says([2.0003, 1.0, 0.51]).startswith("loss 3")  # the worse, by its tolerance
    assert says([2.0, float("nan"), 0.9]).startswith("loss 2 off by nan")
    assert says([2.01, 1.0, 0.504], "bf16") == "" and says([2.03, 1.0, 0.5], "bf16")
    assert says([2.0]) == "1 losses, not 3" and fastest.disagreement({}, wanted, "f32")
    assert says(precision="bf16") == "computes in bf16" and says(precision="f32") == ""
    assert says(output_error=9e-5, bf16_error=0) == ""
    assert says(output_error=2e-4, bf16_error=1e-3) == "output off by 2.0e-04 (more than 0.0001)"
    assert says(output_error=2e-3, bf16_error=0.12) == ""  # a network that makes much of a rounding
    assert says(output_error=0.12, bf16_error=0.12) and says(dtype="bf16", output_error=0.12, bf16_error=0.12) == ""


def test_peers():
    for dtype in fastest.TOLERANCES:
        for workload in fastest.ROWS:
            peers = fastest.peers_of(workload, dtype)
            names = [name for name, _, _ in peers]
            assert len(set(names)) == len(names) and names[0].startswith("eager") and (names[-1] == "jax") == (workload != "encoding")
            assert all((pathlib.Path(fastest.ROOT) / "bench" / script).exists() for _, _, (script, *_) in peers)
            assert any(n.startswith("frozen") for n in names) == workload.endswith("_infer")
            assert any(n.endswith("nchw") for n in names) == (workload in fastest.PICTURES)
    assert not any(name == "onnxruntime" for name, _, _ in fastest.peers_of("lstm_infer", "bf16"))


def test_turns():
    with folder() as f:
        command = [sys.executable, *fake(f, "a", 6)]
        with closing(compare.Server(command + ["--serve"])) as a, \
                closing(compare.Server([sys.executable, *fake(f, "b", 4), "--serve"])) as b:
            def stopped(server):
                return (pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().split(")")[1].split()[0]) == "T"

            got = compare.pair(a, b, 3, 2)
            assert got == {"ratio": 1.5, "q1": 1.5, "q3": 1.5, "weft_ms": 6, "peer_ms": 4}, got
            assert (f / "log").read_text().split() == ["a", "b"] + ["a", "b", "b", "a", "a", "b"]
            end = time.monotonic() + 30  # a signal takes its time
            while not (stopped(a) and stopped(b)):
                assert time.monotonic() < end, "a server that waits for its turn is not stopped"
        assert a.process.returncode == b.process.returncode == 0
        with raises(RuntimeError, "no such thing"):
            compare.Server([sys.executable, *fake(f, "c", 1, fails="at once")])
        with closing(compare.Server([sys.executable, *fake(f, "d", 1, fails="later"), "--serve"])) as d:
            for _ in range(2):  # once it has gone, too
                with raises(RuntimeError, "gone"):
                    d.run(1)


def row_of(f, peers, isa="", **weft):
    """measure() of a weft that takes 6 ms beside these peers, and who took part."""
    bench = f / "weft-bench"
    bench.write_text(f"#!/bin/sh\nexec {sys.executable} " + " ".join(f"'{w}'" for w in fake(f, "weft", 6, **weft)) + ' "$@"\n')
    bench.chmod(0o755)
    args = argparse.Namespace(bench=str(bench), python=sys.executable, threads=2, dtype="f32", isa=isa, rounds=2)
    versions, real = {}, fastest.peers_of
    fastest.peers_of = lambda workload, dtype: peers
    try:
        return fastest.measure("lstm", args, versions), list(versions)
    finally:
        fastest.peers_of = real


def test_row():
    with folder() as f:
        row, versions = row_of(f, [
            ("eager nhwc", ["json"], fake(f, "torch", 12)),
            ("eager nchw", ["json"], fake(f, "torch", 8)),
            ("jax", ["json"], fake(f, "jax", 4)),
            ("compiled", ["json"], fake(f, "torch", 24)),
            ("openvino", ["json"], fake(f, "openvino", 1, (0.5, 0.4, 0.6))),
            ("onnxruntime", ["json", "no_such_package"], fake(f, "onnxruntime", 1)),
            ("frozen", ["json"], fake(f, "torch", 1, fails="at once")),
            ("frozen pure", ["json"], fake(f, "torch", 1, fails="later"))])
        assert {name: r["ratio"] for name, r in row["results"].items()} == {
            "eager nhwc": 0.5, "eager nchw": 0.75, "jax": 1.5, "compiled": 0.25}
        out = row["out"]
        assert out["openvino"] == "loss 3 off by 1.0e+00 (more than 0.001)" and out["onnxruntime"] == "no no_such_package"
        assert out["frozen"] == "ended, no such thing" and out["frozen pure"] == "ended, gone"
        assert versions == ["weft 1.0", "torch 1.0", "jax 1.0", "openvino 1.0"], versions
        assert fastest.line_of({**row, "out": {"openvino": "a|b"}}) == (
            "| lstm | 6 | jax, 4 | **1.50** (1.50-1.50) | 0.75 (eager nchw) | eager nhwc 0.50, compiled 0.25 | openvino: a/b |")
        assert fastest.line_of({"workload": "lstm", "results": {}, "out": {"jax": "no jax"}}) == (
            "| lstm | - | - | - | - | - | jax: no jax |")
        with raises(RuntimeError, "no such thing"):
            row_of(f, [], fails="at once")
        with raises(RuntimeError, "weft-bench lstm --threads 2 --dtype f32 --captured --serve: gone"):
            row_of(f, [("jax", ["json"], fake(f, "jax", 4))], fails="later")


@contextmanager
def environment(**variables):
    """Of the variables that limit an instruction set, which whoever runs the tests may have set, these alone."""
    before = dict(os.environ)
    for name in fastest.LIMITS["avx2"]:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_limits():
    with environment(WEFT_MAX_ISA="v3"), raises(RuntimeError, "WEFT_MAX_ISA: would limit"):
        fastest.main(["addmul"])
    with folder() as f, environment():
        with raises(RuntimeError, "needs"):
            row_of(f, [], needs={"WEFT_MAX_ISA": "v3"})
        first = {}
        real = fastest.disagreement
        fastest.disagreement = lambda line, wanted, dtype: first.update(line) or "seen"
        try:
            row, _ = row_of(f, [("onnxruntime", ["json"], fake(f, "onnxruntime", 1)),
                                ("jax", ["json"], fake(f, "jax", 1))], "avx2",
                            needs={"WEFT_MAX_ISA": "v3"})
        finally:
            fastest.disagreement = real
        assert row["out"] == {"onnxruntime": "cannot be limited", "jax": "seen"}
        assert first["env"] == {"WEFT_MAX_ISA": "v3", "GLIBC_TUNABLES": compare.KEEP}
        assert first["argv"] == ["--threads", "2", "--dtype", "f32", "--serve"]


def test_table():
    with folder() as f:
        page = f / "page.md"
        page.write_text("before\n<!-- m -->\n<!-- end -->\nafter <!-- end -->\n")

        def write(note, **lines):
            compare.write_table(page, "m", note, ["| workload |", "|---|"], lines, ("a", "b", "c"))
            return page.read_text()

        with open(os.devnull, "w", encoding="utf-8") as sink:
            sys.stdout, real = sink, sys.stdout
            try:
                write("old", c="| c | 1 |", a="| a | 1 |")
                text = write("new", b="| b | 2 |", c="| c | 2 |")
            finally:
                sys.stdout = real
        assert text == ("before\n<!-- m -->\nnew\n\n| workload |\n|---|\n| a | 1 |\n| b | 2 |\n| c | 2 |\n<!-- end -->\n"
                        "after <!-- end -->\n"), text
        page.write_text("<!-- m -->\n")  # without an end the rest of the page would go
        for path, mark in ((page, "m"), (page, "other"), (f / "none.md", "m")):
            with raises(RuntimeError, path.name):
                compare.place_of(path, mark)
    docs = os.path.join(fastest.ROOT, "docs", "benchmarks.md")
    for mark in ("fastest f32", "fastest bf16", "fastest f32 avx2"):
        compare.place_of(docs, mark)


def test_arguments():
    with raises(RuntimeError, "no bf16 row for addmul"):
        fastest.main(["addmul", "--dtype", "bf16"])
    with raises(RuntimeError, "at least 2 rounds"):
        fastest.main(["--rounds", "1"])
    with raises(RuntimeError, "/no/python"):
        fastest.installed("/no/python", ["json"])


if __name__ == "__main__":
    run(globals())
