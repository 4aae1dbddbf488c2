"""Tests of growth.py, with programs that only say what they are told to."""
import json
import os
import pathlib
import sys
import tempfile
import xml.dom.minidom
from contextlib import contextmanager

import growth
import growth_draw
from testing import raises, run

# FAKE FACTOR LOG MORE [option ...]: every iteration takes FACTOR times a ms for each 1e6 flop or bytes, three times that of the
# workloads in "slow"; "wrong", "fails" and "ends": what it answers wrongly, cannot make and dies of.
FAKE = """
import json, sys
sys.path.insert(0, BENCH)
import growth
factor, log, more = float(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    with open(log, "a") as f:
        f.write(f"{factor:g}:{word} ")
    if word in more.get("ends", []):
        sys.exit("gone")
    if word in more.get("fails", []):
        print(word + ": no memory", file=sys.stderr, flush=True)
        answer = {"failed": word}
    elif "@" in word:
        ms = factor * 1e-6 * max(growth.work(word)) * (3 if word in more.get("slow", []) else 1)
        answer = {"peer": f"fake {factor:g}" + more.get("version", ""), "bytes": int(4e3 * factor), "sums": [1.0, float("nan") if word in more.get("wrong", []) else 2.0]}
    else:
        answer = [ms] * int(word)
    print(json.dumps(answer), flush=True)
"""


@contextmanager
def folder():
    with tempfile.TemporaryDirectory() as f:
        f = pathlib.Path(f)
        (f / "fake.py").write_text(FAKE.replace("BENCH", repr(os.path.join(growth.ROOT, "bench"))))
        (f / "page.md").write_text("before\n<!-- growth -->\nold\n<!-- end -->\nafter\n")
        yield f


def measured(f, *arguments, weft=None, peer=None):
    """What main() does with a weft of factor 1 and a peer of factor 2, and what both were asked."""
    programs = [(1, weft or {}), (2, peer or {})]

    def server(command, env=None):
        factor, more = programs["peer_growth.py" in command[1]]
        return real([sys.executable, str(f / "fake.py"), str(factor), str(f / "log"), json.dumps(more)], env)

    real, growth.Server = growth.Server, server
    sys.stdout, screen = open(os.devnull, "w", encoding="utf-8"), sys.stdout
    try:
        growth.main([*arguments])
    finally:
        growth.Server = real
        sys.stdout.close()
        sys.stdout = screen
    return (f / "log").read_text().split()


def test_points():
    with folder() as f:
        asked = measured(f, "layer_norm", "--write", str(f / "page.md"), weft={"slow": ["layer_norm@r=1024,c=64"]},
                         peer={"wrong": ["layer_norm@r=1024,c=16"], "fails": ["layer_norm@r=1024,c=32"]})
        data = json.loads((f / "growth" / "growth.json").read_text())
        points = {p["size"]: p for p in data["layer_norm, features"]["points"]}
        assert points[16]["out"] == "result 2 off by nan" and points[32]["out"] == "layer_norm@r=1024,c=32: no memory"
        # The faster program is the roofline's: its product gives 1 flop and its copy 1 byte in a nanosecond.
        eight = points[8]
        assert abs(eight["roof_ms"] - 5 * 4 * 1024 * 8 * 1e-6) < 1e-12 and eight["bytes"] == 5 * 4 * 1024 * 8
        assert all(abs(eight["weft"][q] / eight["roof_ms"] - 1) < 1e-9 for q in ("q1", "ms", "q3"))
        assert abs(eight["peer"]["ms"] / eight["roof_ms"] - 2) < 1e-9 and eight["peer"]["bytes"] == 8000
        assert abs(points[64]["weft"]["ms"] / points[64]["roof_ms"] - 3) < 1e-9
        begin = asked.index("1:layer_norm@r=1024,c=8")
        n, k = (round(growth.TURN_MS / eight[side]["ms"]) for side in ("weft", "peer"))
        assert asked[begin:begin + 14] == ["1:layer_norm@r=1024,c=8", "2:layer_norm@r=1024,c=8", "1:2", "2:2"] + [
            f"1:{n}", f"2:{k}", f"2:{k}", f"1:{n}"] * 2 + [f"1:{n}", f"2:{k}"], asked[begin:begin + 14]
        page = (f / "page.md").read_text()
        assert page.startswith("before\n<!-- growth -->\n") and page.endswith("\n<!-- end -->\nafter\n") and "old" not in page
        assert "fake 1, fake 2; roofline: 1 GFLOP/s, 1.0 GB/s.\n" in page
        assert "Left out: `layer_norm@r=1024,c=16`, result 2 off by nan." in page
        assert "layer_norm: **0.54** of PyTorch's time (geometric mean; 0.50 at" in page and "1.50 at `layer_norm@r=1024,c=64`" in page
        assert "1 to 3 times the roofline, 0.50 of its memory" in page
        assert "\n| layer_norm, features | 48 to 64 | 3 | - | 0.983 to 1.31 | " in page
        assert "\n| layer_norm, features | 64 to 96 | 0.33 | - | 1.31 to 1.97 | " in page
        assert page.count("\n| layer_norm, features") == 2


def test_other_curves_stay():
    with folder() as f:
        page = f / "page.md"
        measured(f, "adam", "--write", str(page))
        measured(f, "product", "--write", str(page))
        text = page.read_text()
        assert text.index("product: **0.50**") < text.index("adam: **0.50**") and "No cliffs." in text
        (f / "growth" / "adam.svg").unlink()
        page.write_text(text.replace("adam", "Adam"))
        (f / "log").unlink()
        growth.main(["--redraw", str(page)])
        assert page.read_text() == text and (f / "growth" / "adam.svg").exists() and not (f / "log").exists()
        measured(f, "adam", "--write", str(page), peer={"version": ".1"})  # another sitting
        text = page.read_text()
        assert "fake 1, fake 2; roofline: 1 GFLOP/s, 1.0 GB/s. (product)\n\n" in text
        assert "fake 1, fake 2.1; roofline: 1 GFLOP/s, 1.0 GB/s. (adam)\n\n" in text
        (f / "growth" / "growth.json").unlink()
        with raises(RuntimeError, "no growth/growth.json beside"):
            growth.main(["--redraw", str(page)])


def test_all():
    with folder() as f:
        measured(f, "--write", str(f / "page.md"))
        for op in growth.OPS:
            assert f"(growth/{op}.svg)" in (f / "page.md").read_text()
            xml.dom.minidom.parse(str(f / "growth" / f"{op}.svg"))
        data = json.loads((f / "growth" / "growth.json").read_text())
        for c in growth.CURVES:  # each size once, in order; only parameters may exceed the memory
            sizes = [p["size"] for p in data[f"{c.op}, {c.axis}"]["points"]]
            assert list(c.sizes[:len(sizes)]) == sizes and sorted(set(c.sizes)) == list(c.sizes)
            assert len(sizes) == len(c.sizes) or c.op == "adam"


def test_cliffs():
    def steps(*times, roof=(1, 2, 4, 8)):
        points = [{"size": r, "weft": {"ms": t}, "roof_ms": r} for r, t in zip(roof, times)]
        return [(a["size"], b["size"], step) for a, b, step in growth.cliffs(points, "weft")]

    assert steps(1, 2, 4, 8) == [] and steps(1, 3.9, 7, 14) == []
    assert steps(1, 4, 8, 16) == [(1, 2, 2)]
    assert steps(10, 10, 10, 10) == []  # what any iteration costs
    assert steps(2, 3, 9, 8) == [(4, 8, 8 / 18)] and steps(1, 2, 12, 11) == [(2, 4, 3), (4, 8, 11 / 24)]

    def row(levels, peer):
        points = [{"size": s, "roof_ms": s, "bytes": s * 1e6, "weft": {"ms": w}, "peer": {"ms": p}} for s, w, p in ((1, 1, 1), (2, 6, peer))]
        return list(growth.cliff_lines("op, axis", {"points": points, "caches": levels}))

    assert row([1e6, 8e6], 2) == ["| op, axis | 1 to 2 | 3 | - | 1 to 2 | outgrows L2 |"]
    assert row([5e5, 1.5e6], 8) == ["| op, axis | 1 to 2 | 3 | 4 | 1 to 2 | PyTorch's has it too; outgrows L3 |"]
    assert row([], 2)[0].endswith("| not explained |")


def test_picture():
    def point(size, weft, peer):
        return {"size": size, "roof_ms": 1, "weft": {"ms": weft, "bytes": 0}, "peer": {"ms": peer, "bytes": None}}

    curve = {"op": "conv", "axis": "a < b", "points": [point(1, 1, 10), point(100, 10, 10), {"size": 10, "out": "why"}]}
    for curves in ({"k": curve}, {"k": curve, "none": dict(curve, points=[{"out": "why"}]), "one": dict(curve, points=[point(3, 1, 1)])}):
        text = growth_draw.picture("conv", curves)
        xml.dom.minidom.parseString(text)
        assert 'a &lt; b' in text and "10 ms" in text and "MB" not in text.split("</style>")[1]
    left, right = growth_draw.LEFT + 6, growth_draw.LEFT + growth_draw.PANEL - 6
    bottom, top = growth_draw.TOP + growth_draw.HEIGHTS["ms"], growth_draw.TOP
    text = growth_draw.picture("conv", {"k": curve})
    assert f'<polyline class="weft" points="{left:.1f},{bottom:.1f} {right:.1f},{top:.1f}"/>' in text
    assert [growth_draw.short(x) for x in (0.01, 10, 1024, 1e4, 3e6, 1e9)] == ["0.01", "10", "1024", "10k", "3M", "1G"]


def test_errors():
    with raises(RuntimeError, "no curves of pool; there are conv, "):
        growth.main(["pool"])
    with raises(RuntimeError, "too little to be written"):
        growth.main(["--quick", "--write"])
    with folder() as f:
        with raises(RuntimeError, "gone"):
            measured(f, "product", "adam", "--write", str(f / "page.md"), weft={"ends": ["adam@p=1000"]})
        assert "\nproduct: **0.50**" in (f / "page.md").read_text()  # what was measured before
        with raises(RuntimeError, f"{growth.PEAK}: result 2 off"):
            measured(f, "adam", peer={"wrong": [growth.PEAK]})
        (f / "page.md").write_text("no marks")
        with raises(RuntimeError, "page.md has no <!-- growth -->"):
            measured(f, "adam", "--write", str(f / "page.md"))
        asked = measured(f, "adam", "--quick")
        assert len([a for a in asked if a.startswith("2:adam")]) == 2
    assert growth.disagreement([1.0, 2.0], [1.0, 2.0001]) == "" and growth.disagreement([1.0], [1.0, 2.0]) == "2 results, not 1"
    assert growth.disagreement([1.0, 2.0], [1.0, 2.001]) == "result 2 off by 5.0e-04"
    growth.place_of(os.path.join(growth.ROOT, "docs", "benchmarks.md"), "growth")


if __name__ == "__main__":
    run(globals())
