#!/usr/bin/env python3
"""Data-parallel training on 1 to 1,024 ranks, on paper: docs/scaling.md says what is modelled and what came out.

  scaling.py fit LINES [--ranks 2 3]      constants from what `weft-bench-ranks all_reduce` printed, a line for each run
  scaling.py check LINES [--fit-on 2 3]   fits on some ranks and predicts the others; exit status 1 if too far off
  scaling.py table                        which algorithm wins where, and how efficient steps are, as Markdown
  scaling.py self-test

LINES: a file, or - for standard input. Lines of `weft-bench-ranks resnet18` and `resnet18 alone` may be among them:
check then predicts those steps, too.
"""
import argparse
import itertools
import json
import math
import os
import re
import sys

from collective_cost import Fabric, Link, fastest, piece_bytes, weft
from training_step import Rank, resnet, slowest_of, step, unet

# ---------------------------------------------------------------- measurements


def read_lines(path):
    """({(ranks, bytes): seconds}, {(ranks, alone): seconds of a step}), each the fastest of several runs."""
    times, steps = {}, {}

    def note(to, key, seconds):
        if not 0 < seconds < math.inf:
            raise ValueError(f"{seconds} s")
        to[key] = min(seconds, to.get(key, math.inf))

    with sys.stdin if path == "-" else open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = re.sub(r"^\[0\] ", "", line)  # weft-run's mark
            if not line.startswith("{"):
                continue  # the launcher's
            try:
                run = json.loads(line)
                for size, us in run.get("us", {}).items() if run["ranks"] > 1 else ():
                    note(times, (run["ranks"], int(size)), us * 1e-6)
                if "median_ms" in run:
                    note(steps, (run["ranks"], run["alone"]), run["median_ms"] * 1e-3)
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                raise ValueError(f"{path}:{number}: not a line of weft-bench-ranks ({e!r})") from None
    return times, steps


def of_ranks(times, ranks, path):
    there = sorted({p for p, _ in times})
    missing = sorted(set(ranks) - set(there))
    if missing or not ranks:
        raise ValueError(f"{path}: no all_reduce of {missing[0] if missing else 'any'} ranks, of {there} ranks only")
    return {(p, n): seconds for (p, n), seconds in times.items() if p in ranks}


def on_machine(n, p, constants, cores, overlaps=False):
    """weft's all_reduce on p ranks of one machine, constants (latency, alpha, beta, gamma). The ranks' own cores
    move the bytes, and an exchange ends with the core that has the most ranks."""
    link = Link(*constants[:3])
    return math.ceil(p / cores) * weft(n, p, Fabric(link, link, constants[3], p), piece=piece_bytes(p, overlaps))


# Above 4 KiB only 2 beta + gamma shows: adding a byte is taken to cost what moving it does.
UNITS = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1))
PULL = 0.05  # of the unknowns to 0, against measurements of weight 1


def fit(times, cores):
    """(latency, alpha, beta, gamma = beta), none negative: least squares of predicted / measured - 1. What the
    measurements cannot tell apart, as latency and alpha on 2 ranks, gets equal parts by a slight pull to 0."""
    columns = [[on_machine(n, p, unit, cores) / seconds for (p, n), seconds in times.items()] for unit in UNITS]
    scale = [math.hypot(*c) for c in columns]
    columns = [[a / s for a in c] for c, s in zip(columns, scale)]
    normal = [[sum(a * b for a, b in zip(c, d)) for d in columns] for c in columns]
    x = [0.0] * len(UNITS)
    for _ in range(10000):  # one unknown after the other, which the pull makes converge
        for i, c in enumerate(columns):
            others = sum(normal[i][j] * x[j] for j in range(len(x)) if j != i)
            x[i] = max(0.0, (sum(c) - others) / (1 + PULL**2))
    latency, alpha, beta = (value / s for value, s in zip(x, scale))
    return latency, alpha, beta, beta


def ratios(times, constants, cores):
    """{(ranks, bytes): predicted / measured}"""
    return {(p, n): on_machine(n, p, constants, cores) / seconds for (p, n), seconds in times.items()}


def mean_and_worst(values):
    """Geometric mean, and the factor by which the furthest is away from 1."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)), math.exp(max(map(abs, logs)))


def show(constants):
    latency, alpha, beta, gamma = constants
    print(f"latency {latency * 1e6:.2f} us, alpha {alpha * 1e6:.2f} us, beta = gamma {beta * 1e9:.4f} ns a byte\n"
          f"for `table`: --inside {latency:.3g} {alpha:.3g} {beta:.3g} --gamma {gamma:.3g}\n")


def show_table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def bytes_text(n):
    return f"{n >> 20} MiB" if n >= 1 << 20 else f"{n >> 10} KiB"


def run_fit(o):
    times, _ = read_lines(o.lines)
    times = of_ranks(times, o.ranks or sorted({p for p, _ in times}), o.lines)
    constants = fit(times, o.cores)
    show(constants)
    found = ratios(times, constants, o.cores)
    rows = []
    for p in sorted({p for p, _ in times}):
        of_p = {n: r for (q, n), r in sorted(found.items()) if q == p}
        mean, worst = mean_and_worst(of_p.values())
        by_size = ", ".join(f"{bytes_text(n)} {r:.2f}" for n, r in of_p.items())
        rows.append([p, f"{mean:.2f}", f"{worst:.2f}", by_size])
    show_table(["ranks", "fitted / measured (geometric mean)", "furthest", "by size"], rows)
    return 0


def run_check(o):
    times, steps = read_lines(o.lines)
    known = of_ranks(times, o.fit_on, o.lines)
    rest = {k: v for k, v in times.items() if k not in known}
    if not rest:
        raise ValueError(f"{o.lines}: nothing to predict, all runs are of {o.fit_on} ranks")
    constants = fit(known, o.cores)
    print(f"Fitted on {' and '.join(map(str, o.fit_on))} ranks, {o.cores} cores: ", end="")
    show(constants)
    found = ratios(rest, constants, o.cores)
    ranks = sorted({p for p, _ in rest})

    def cell(p, n):
        if (p, n) not in rest:
            return ""
        us = rest[p, n] * 1e6
        return f"{us:.1f}, {found[p, n] * us:.1f}, **{found[p, n]:.2f}**"

    show_table(["bytes"] + [f"{p} ranks: measured us, predicted us, ratio" for p in ranks],
               [[bytes_text(n)] + [cell(p, n) for p in ranks] for n in sorted({n for _, n in rest})])
    ok = True
    for p in ranks:
        mean, worst = mean_and_worst(r for (q, _), r in found.items() if q == p)
        good = max(mean, 1 / mean) <= o.bound and worst <= o.worst
        ok = ok and good
        print(f"{p} ranks: predicted / measured {mean:.2f} (geometric mean, bound {o.bound}), furthest by {worst:.2f} "
              f"(bound {o.worst}): {'ok' if good else 'too far off'}")
    for p in sorted(p for p, alone in steps if p > 1 and not alone and (p, True) in steps):
        network, batch, alone = resnet(18), 8, steps[p, True]
        # The benchmark's ranks have one thread each; an exchange takes the cores that they leave, then theirs.
        rank = Rank(batch * network.flop / alone, taken=min(1.0, max(0.0, 2 - o.cores / p)))
        s = step(network, batch, rank, 4, lambda n, p=p: on_machine(n, p, constants, o.cores, True))
        print(f"ResNet-18, {p} ranks: a step of {s.seconds * 1e3:.1f} ms is predicted from {alone * 1e3:.1f} ms "
              f"without exchange, {steps[p, False] * 1e3:.1f} ms is measured: {s.seconds / steps[p, False]:.3f}")
    return 0 if ok else 1


# ---------------------------------------------------------------- tables

# Seconds; docs/scaling.md says where they are from. The first two are what `fit` gave for 2 to 4 ranks.
INSIDE = Link(latency=4.0e-7, alpha=2.4e-6, beta=1.05e-10)
GAMMA = 1.05e-10
NETWORKS = {
    "10 GbE": Link(20e-6, 5e-6, 0.89e-9),
    "25 GbE": Link(15e-6, 5e-6, 0.356e-9),
    "100 Gb InfiniBand": Link(1e-6, 0.5e-6, 0.087e-9),
}
ACCELERATOR_INSIDE = Link(5e-6, 2e-6, 5e-12)
ACCELERATOR_GAMMA = 1e-12


def slower_from(factor, n, fabric, most):
    """The number of ranks, in whole machines, from which `weft` always takes so many times as long as the fastest."""
    first = None
    for p in range(most - most % fabric.per_machine, fabric.per_machine - 1, -fabric.per_machine):
        if weft(n, p, fabric) < factor * fastest(n, p, fabric)[1]:
            break
        first = p
    return first or "none"


def run_table(o):
    links = dict(o.network or NETWORKS)
    kinds = ((f"{o.cores} cores", Link(*o.inside), o.gamma,
              Rank(o.cores * o.core_gflops * 1e9, o.memory * 1e9, taken=1 / o.cores)),
             ("accelerator", Link(*o.accelerator_inside), ACCELERATOR_GAMMA,
              Rank(o.accelerator_tflops * 1e12, o.accelerator_memory * 1e9)))
    shown = [p for p in (2, 4, 8, 16, 64, 256, 1024) if p <= o.per_machine or p % o.per_machine == 0]

    print("The fastest, and how many times as long `weft` takes (ranks on CPUs):\n")
    sizes = 4096, 1 << 16, 1 << 20, 25 << 20
    settings = [(name, per_machine, Fabric(Link(*o.inside), link, o.gamma, per_machine))
                for name, link in links.items() for per_machine in sorted({1, o.per_machine})]
    rows = []
    for name, per_machine, fabric in settings:
        for n in sizes:
            row = [name, per_machine, bytes_text(n)]
            for p in shown:
                best, seconds = fastest(n, p, fabric)
                row.append(best if best == "weft" else f"{best} {weft(n, p, fabric) / seconds:.1f}")
            rows.append(row)
    show_table(["network", "ranks a machine", "bytes", *map(str, shown)], rows)

    print("From how many ranks on `weft` takes so many times as long as the fastest:\n")
    factors = (1.25, 2, 5)
    show_table(["network", "ranks a machine", "bytes", *(f"{f} times" for f in factors)],
               [[name, per_machine, bytes_text(n)] + [slower_from(f, n, fabric, 1024) for f in factors]
                for (name, per_machine, fabric), n in itertools.product(settings, sizes)])

    for network, batches in ((resnet(50), o.resnet_batch), (unet(), o.unet_batch)):
        print(f"{network.name}, {network.elements / 1e6:.1f} M parameters, {network.forward_flop / 1e9:.1f} GFLOP "
              f"forward, {o.per_machine} a machine: efficiency in % with `weft` / with the fastest for each bucket\n")
        rows = []
        for (name, inside, gamma, rank), batch in zip(kinds, batches):
            for (link_name, link), (dtype, itemsize) in itertools.product(links.items(), (("f32", 4), ("bf16", 2))):
                fabric = Fabric(inside, link, gamma, o.per_machine)
                cells = []
                for p in shown:
                    slowest, wider = slowest_of(p, o.uneven), 4 // itemsize  # sums are f32
                    both = [step(network, batch, rank, itemsize, all_reduce, o.bucket_mb, slowest) for all_reduce in (
                        lambda n, p=p: weft(n, p, fabric, wider, piece_bytes(p, True)), lambda n, p=p: fastest(n, p, fabric, wider)[1])]
                    cells.append(" / ".join(f"{s.efficiency * 100:.0f}" for s in both))
                rows.append([f"{name}, batch {batch}, {both[0].alone * 1e3:.0f} ms alone", link_name, dtype, *cells])
        show_table(["rank", "network", "gradients", *map(str, shown)], rows)

    print("Ranks of uneven speed: efficiency in % without any exchange, by the standard deviation of the logarithm of a\n"
          "rank's time:\n")
    show_table(["deviation", *map(str, shown)],
               [[d] + [f"{100 / slowest_of(p, d):.0f}" for p in shown] for d in (0.01, 0.05, 0.1)])
    return 0


def positive(kind):
    def read(text):
        value = kind(text)
        if not 0 < value < math.inf:
            raise ValueError
        return value

    read.__name__ = f"positive {kind.__name__}"  # in argparse's message
    return read


def named_link(text):
    name, _, constants = text.partition("=")
    values = tuple(map(float, constants.split(",")))
    if len(values) != 3:
        raise ValueError
    return name, Link(*values)


def run_self_test(_):
    import scaling_test
    return scaling_test.main()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, run):
        c = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        c.set_defaults(run=run)
        return c

    for name, run in (("fit", run_fit), ("check", run_check)):
        c = command(name, run)
        c.add_argument("lines")
        c.add_argument("--cores", type=positive(int), default=os.cpu_count(), help="of the benchmark's machine")
        if run is run_fit:
            c.add_argument("--ranks", type=int, nargs="+", help="numbers of ranks to fit; all by default")
        else:
            c.add_argument("--fit-on", type=int, nargs="+", default=[2], metavar="RANKS")
            c.add_argument("--bound", type=float, default=1.5, help="on the geometric mean of predicted / measured")
            c.add_argument("--worst", type=float, default=3.0, help="on the furthest of them")
    c = command("table", run_table)
    c.add_argument("--inside", type=float, nargs=3, default=INSIDE, metavar=("LATENCY", "ALPHA", "BETA"),
                   help="of CPU ranks in a machine; `fit` prints it")
    c.add_argument("--gamma", type=float, default=GAMMA, help="of CPU ranks; `fit` prints it")
    c.add_argument("--network", type=named_link, action="append", metavar="NAME=LATENCY,ALPHA,BETA",
                   help="between machines, instead of the three")
    c.add_argument("--per-machine", type=positive(int), default=8, help="ranks a machine")
    c.add_argument("--cores", type=positive(int), default=16, help="of a CPU rank")
    c.add_argument("--core-gflops", type=positive(float), default=200, help="GFLOP/s that a core reaches in training")
    c.add_argument("--memory", type=positive(float), default=40, help="GB/s of a CPU rank")
    c.add_argument("--accelerator-tflops", type=positive(float), default=40, help="TFLOP/s that it reaches in training")
    c.add_argument("--accelerator-memory", type=positive(float), default=1500, help="GB/s")
    c.add_argument("--accelerator-inside", type=float, nargs=3, default=ACCELERATOR_INSIDE,
                   metavar=("LATENCY", "ALPHA", "BETA"), help="between accelerators of a machine")
    c.add_argument("--resnet-batch", type=positive(int), nargs=2, default=[32, 128], metavar=("CPU", "ACCELERATOR"))
    c.add_argument("--unet-batch", type=positive(int), nargs=2, default=[4, 16], metavar=("CPU", "ACCELERATOR"))
    c.add_argument("--bucket-mb", type=positive(float), default=25, help="MiB of a bucket")
    c.add_argument("--uneven", type=float, default=0,
                   help="standard deviation of the logarithm of a rank's time: a step waits for the slowest")
    command("self-test", run_self_test)
    o = parser.parse_args(arguments)
    try:
        return o.run(o)
    except (ValueError, OSError) as e:
        print(f"scaling.py: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
