#!/usr/bin/env python3
"""growth.py [OP ...] [--quick] [--write [FILE]] [--redraw] [--build build/release] [--python PYTHON_WITH_TORCH]

Time and memory over sizes, weft beside eager PyTorch (bench/peer_growth.py) and the roofline: curves, and their cliffs. Both
programs stay alive through all points; at each the checksums of their results must agree, then they alternate, and the medians
of the rounds' median times are drawn, with quartiles in the JSON. Memory is what an iteration takes at most beside its inputs,
by the allocators' accounts.

roofline  max(flop / peak, bytes / bandwidth). flop: of the plain algorithm (Winograd needs fewer), forward and backward. bytes:
          each array once in each of the two. Peak and bandwidth are measured first, of the faster program: a product of 2048 x
          2048 in f32, forward and backward, and a copy of 64 Mi f32. Caches are faster than that bandwidth.
cliff     between neighbours of a curve: the larger one takes twice the time or more per unit of work (over its roofline), or
          the smaller one does and is slower outright; less is what any iteration costs at least.

--write replaces FILE's section (docs/benchmarks.md), the pictures and growth.json in the folder `growth` beside it, of the OPs
that were measured; the other OPs' stay. --redraw writes them from growth.json without measuring.
"""
import argparse
import json
import os
import statistics
import sys
import time
from contextlib import closing
from datetime import date
from typing import NamedTuple

from compare import Ended, KEEP, ROOT, Server, place_of, processor
from growth_draw import picture

TURN_MS = 25       # a turn has as many iterations
LONG_MS = 500      # a point of longer turns has the fewest rounds
ROUNDS = (5, 3)
TOLERANCE = 1e-4   # of checksums, relative; seen: 3e-6
CLIFF = 2

CHANNELS = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
MAPS = (7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 512)
POWERS = tuple(2**i for i in range(13))
BATCHES, SEQUENCES = POWERS[:7], POWERS[4:]


class Curve(NamedTuple):
    """Points of an op along an axis. workload: with {} for the size."""
    op: str
    axis: str
    workload: str
    sizes: tuple


CURVES = [
    Curve("conv", "channels", "conv@c={},m=28,n=2", CHANNELS),
    Curve("conv", "map", "conv@c=64,m={},n=1", MAPS),
    Curve("conv", "batch", "conv@c=64,m=28,n={}", BATCHES),
    Curve("product", "size", "product@r={0},c={0}", CHANNELS + (1536, 2048)),
    Curve("product", "rows", "product@r={},c=1024", POWERS[:11]),
    Curve("batch_norm", "channels", "batch_norm@c={},m=28,n=2", CHANNELS),
    Curve("batch_norm", "map", "batch_norm@c=64,m={},n=1", MAPS),
    Curve("batch_norm", "batch", "batch_norm@c=64,m=28,n={}", BATCHES),
    Curve("layer_norm", "features", "layer_norm@r=1024,c={}", CHANNELS + (1536, 2048, 4096)),
    Curve("attention", "sequence", "attention@t={},n=1,h=8,d=64", SEQUENCES),
    Curve("attention", "batch", "attention@t=128,n={},h=8,d=64", BATCHES),
    Curve("lstm", "channels", "lstm@t=32,n=16,c={}", CHANNELS),
    Curve("lstm", "sequence", "lstm@t={},n=4,c=128", SEQUENCES),
    Curve("lstm", "batch", "lstm@t=32,n={},c=256", BATCHES),
    Curve("encoding", "channels", "encoding@c={},m=28,n=2,k=32", CHANNELS),
    Curve("encoding", "map", "encoding@c=64,m={},n=1,k=32", MAPS),
    Curve("encoding", "batch", "encoding@c=128,m=28,n={},k=32", BATCHES),
    Curve("adam", "parameters", "adam@p={}", tuple(k * 10**e for e in range(3, 10) for k in (1, 3))[:13]),
    Curve("loader", "batch, 2 workers", "loader@s=256,m=64,n={},w=2", BATCHES),
    Curve("loader", "map, 2 workers", "loader@s=128,m={},n=16,w=2", MAPS),
    Curve("loader", "map, no workers", "loader@s=128,m={},n=16,w=0", MAPS),
]
OPS = list(dict.fromkeys(c.op for c in CURVES))
# (flop, f32s moved) of an iteration.
WORK = {
    "conv": lambda c, m, n: (54 * n * m * m * c * c, 5 * n * c * m * m + 27 * c * c),
    "product": lambda r, c: (6 * r * c * c, 5 * r * c + 3 * c * c),
    "batch_norm": lambda c, m, n: (0, 5 * n * c * m * m),
    "layer_norm": lambda r, c: (0, 5 * r * c),
    "attention": lambda t, n, h, d: (12 * n * h * t * t * d, 11 * n * h * t * d),
    "lstm": lambda t, n, c: (48 * t * n * c * c, 15 * t * n * c + 24 * c * c),
    "encoding": lambda c, m, n, k: (12 * n * m * m * c * k, 3 * n * m * m * c),
    "adam": lambda p: (0, 7 * p),
    "loader": lambda s, m, n, w: (0, 15 / 4 * s * m * m),  # bytes in, f32s out
    "copy": lambda p: (0, 2 * p),
}
PEAK, BANDWIDTH = "product@r=2048,c=2048", f"copy@p={64 << 20}"


def work(name):
    """(flop, bytes) of a workload."""
    op, _, sizes = name.partition("@")
    flop, floats = WORK[op](**{key: int(size) for key, size in (word.split("=") for word in sizes.split(","))})
    return flop, 4 * floats


def roof_ms(name, peak, bandwidth):
    flop, moved = work(name)
    return 1e3 * max(flop / peak, moved / bandwidth)


def caches():
    """Bytes of this processor's caches, L2 and up."""
    sizes = []
    for index in (2, 3):
        try:
            with open(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size", encoding="utf-8") as f:
                sizes.append(int(f.read().strip().removesuffix("K")) << 10)
        except (OSError, ValueError):
            break
    return sizes


def available():
    """Bytes that programs may still take."""
    with open("/proc/meminfo", encoding="utf-8") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("MemAvailable"))


def fits(name):
    """Parameters, gradients and two moments, in both programs, leave 40 % of the free memory."""
    return not name.startswith("adam") or 2 * 16 * int(name.partition("=")[2]) < 0.6 * available()


def disagreement(mine, theirs):
    """What is wrong with the peer's checksums, or ""."""
    if len(mine) != len(theirs):
        return f"{len(theirs)} results, not {len(mine)}"
    for i, (a, b) in enumerate(zip(mine, theirs)):
        error = abs(a - b) / max(abs(a), 1e-30)
        if not error <= TOLERANCE:  # NaN is wrong
            return f"result {i + 1} off by {error:.1e}"
    return ""


def loaded(server, name):
    answer = server.ask(name)
    if "failed" in answer:
        raise RuntimeError(server.said())
    return answer


def turns(servers, rounds=ROUNDS):
    """Median and quartiles, over the rounds, of each server's median ms."""
    first = [s.run(2)[-1] for s in servers]
    counts = [max(1, round(TURN_MS / max(ms, 1e-6))) for ms in first]
    medians = [[] for _ in servers]
    for r in range(rounds[sum(max(ms, TURN_MS) for ms in first) > LONG_MS]):
        for i in (0, 1)[::1 - r % 2 * 2]:
            medians[i].append(statistics.median(servers[i].run(counts[i])))
    return [dict(zip(("q1", "ms", "q3"), statistics.quantiles(m, n=4, method="inclusive"))) for m in medians]


def point(servers, name, rounds=ROUNDS):
    """{"weft", "peer": each {ms, q1, q3, bytes}} or {"out": why there is nothing}."""
    try:
        rows = [loaded(s, name) for s in servers]
    except RuntimeError as e:
        if isinstance(e, Ended):
            raise
        return {"out": str(e)}
    if wrong := disagreement(rows[0]["sums"], rows[1]["sums"]):
        return {"out": wrong}
    sides = [dict(times, bytes=row["bytes"]) for times, row in zip(turns(servers, rounds), rows)]
    return {"weft": sides[0], "peer": sides[1] | {"how": rows[1].get("how", "")}}


def cliffs(points, side):
    """(The smaller point, the larger one, the larger one's time per unit of work over the smaller one's)."""
    found = []
    for a, b in zip(points, points[1:]):
        step = (b[side]["ms"] / b["roof_ms"]) / (a[side]["ms"] / a["roof_ms"])
        if step >= CLIFF or 1 / step >= CLIFF and a[side]["ms"] > b[side]["ms"]:
            found.append((a, b, step))
    return found


def cliff_lines(key, curve):
    """Rows of the table of weft's cliffs, with what is to be seen of their causes."""
    good = [p for p in curve["points"] if "out" not in p]
    theirs = {a["size"]: step for a, _, step in cliffs(good, "peer")}
    for a, b, step in cliffs(good, "weft"):
        shared = theirs.get(a["size"])
        causes = ["PyTorch's has it too"] if shared else []
        causes += [f"outgrows L{level}" for level, size in enumerate(curve["caches"], 2) if a["bytes"] <= size < b["bytes"]]
        yield (f"| {key} | {a['size']} to {b['size']} | {step:.2g} | {format(shared, '.2g') if shared else '-'} | "
               f"{a['bytes'] / 1e6:.3g} to {b['bytes'] / 1e6:.3g} | {'; '.join(causes) or 'not explained'} |")


def span(values, form):
    return f"{min(values):{form}} to {max(values):{form}}"


def verdict(op, curves):
    """A line on all points of an op."""
    good = [p for c in curves.values() for p in c["points"] if "out" not in p]
    if not good:
        return f"{op}: no points."
    ratio = {p["name"]: p["weft"]["ms"] / p["peer"]["ms"] for p in good}
    least, most = min(ratio, key=ratio.get), max(ratio, key=ratio.get)
    text = (f"**{statistics.geometric_mean(ratio.values()):.2f}** of PyTorch's time (geometric mean; {ratio[least]:.2f} at `{least}` to "
            f"{ratio[most]:.2f} at `{most}`), {span([p['weft']['ms'] / p['roof_ms'] for p in good], '.2g')} times the roofline")
    memory = [p["weft"]["bytes"] / p["peer"]["bytes"] for p in good if p["weft"]["bytes"] and p["peer"]["bytes"]]
    if memory:
        text += f", {statistics.geometric_mean(memory):.2f} of its memory ({span(memory, '.2f')})"
    return f"{op}: {text}."


def write(path, data):
    """The page's section, the pictures and growth.json."""
    before, _, after = place_of(path, "growth")
    folder = os.path.join(os.path.dirname(path), "growth")
    os.makedirs(folder, exist_ok=True)
    lines, rows, notes = [], [], {}
    for op in OPS:
        curves = {key: c for key, c in data.items() if c["op"] == op}
        if not curves:
            continue
        notes.setdefault(next(iter(curves.values()))["note"], []).append(op)
        with open(os.path.join(folder, f"{op}.svg"), "w", encoding="utf-8") as f:
            f.write(picture(op, curves))
        lines += [verdict(op, curves), "", f"![{op}: time and memory over sizes](growth/{op}.svg)", ""]
        for key, curve in curves.items():
            rows += cliff_lines(key, curve)
            lines += [f"Left out: `{p['name']}`, {p['out']}.\n" for p in curve["points"] if "out" in p]
    head = [f"{note} ({', '.join(ops)})" if len(notes) > 1 else note for note, ops in notes.items()]
    table = ["| curve | from, to | time per unit of work, the larger's over the smaller's | PyTorch's, if a cliff | MB moved | seen of its cause |",
             "|---|---|---|---|---|---|", *rows] if rows else ["No cliffs."]
    with open(os.path.join(folder, "growth.json"), "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + "\n".join(["\n\n".join(head), "", *lines, *table]) + "\n" + after)


def measure(servers, args):
    """Yields this sitting's curves as growth.json has them: "op, axis" -> {op, axis, note, caches, points}."""
    rounds = (2, 2) if args.quick else ROUNDS
    constants = {}
    for name in (PEAK, BANDWIDTH):
        best = point(servers, name, rounds)
        if "out" in best:
            raise RuntimeError(f"{name}: {best['out']}")
        flop, moved = work(name)
        constants[name] = 1e3 * (flop or moved) / min(best[side]["ms"] for side in ("weft", "peer"))
    peak, bandwidth = constants.values()
    versions = ", ".join(loaded(s, "copy@p=1")["peer"] for s in servers)
    note = (f"{date.today()}, {processor()}, {args.threads} threads, f32; {versions}; roofline: {peak / 1e9:.0f} GFLOP/s, "
            f"{bandwidth / 1e9:.1f} GB/s.")
    print(note, flush=True)
    for c in CURVES:
        if args.ops and c.op not in args.ops:
            continue
        points = []
        for size in (c.sizes[0], c.sizes[len(c.sizes) // 2]) if args.quick else c.sizes:
            name = c.workload.format(size)
            if not fits(name):
                continue
            p = point(servers, name, rounds)
            p |= {"name": name, "size": size, "bytes": work(name)[1], "roof_ms": roof_ms(name, peak, bandwidth)}
            points.append(p)
            print(f"{name}: {p['out']}" if "out" in p else
                  f"{name}: weft {p['weft']['ms']:.3g} ms, peer {p['peer']['ms']:.3g} ms, ratio {p['weft']['ms'] / p['peer']['ms']:.2f}, "
                  f"{p['weft']['ms'] / p['roof_ms']:.2g} times the roofline", flush=True)
        yield {f"{c.op}, {c.axis}": {"op": c.op, "axis": c.axis, "note": note, "caches": caches(), "points": points}}


def stored(path):
    """growth.json beside that page, or nothing."""
    try:
        with open(os.path.join(os.path.dirname(path), "growth", "growth.json"), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def main(arguments=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("ops", nargs="*", metavar="OP", help=", ".join(OPS))
    p.add_argument("--quick", action="store_true", help="two points of each curve and two rounds: do both programs agree?")
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    p.add_argument("--python", default=os.path.join(ROOT, ".venv", "bin", "python"))
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--write", nargs="?", const=os.path.join(ROOT, "docs", "benchmarks.md"), metavar="FILE")
    p.add_argument("--redraw", nargs="?", const=os.path.join(ROOT, "docs", "benchmarks.md"), metavar="FILE")
    args = p.parse_args(arguments)
    if unknown := set(args.ops) - set(OPS):
        raise RuntimeError(f"no curves of {', '.join(sorted(unknown))}; there are {', '.join(OPS)}")
    if args.quick and args.write:
        raise RuntimeError("--quick measures too little to be written")
    if page := args.redraw or args.write:
        place_of(page, "growth")
    if args.redraw:
        if not (data := stored(page)):
            raise RuntimeError(f"no growth/growth.json beside {page}")
        write(page, data)
        return
    begin = time.monotonic()
    threads = ["--threads", str(args.threads)]
    with closing(Server([os.path.join(args.build, "bin", "weft-bench"), "--serve", *threads])) as weft, \
            closing(Server([args.python, os.path.join(ROOT, "bench", "peer_growth.py"), *threads], {"GLIBC_TUNABLES": KEEP})) as peer:
        for curve in measure((weft, peer), args):
            if page:  # at once: a later curve may end a program
                write(page, stored(page) | curve)
    print(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError) as e:
        sys.exit(f"growth: {e}")
