"""What the peers of weft-bench share: first values, command line, and how a step is timed.

Only numpy is imported, so that a peer's memory is its own.
"""
import argparse
import functools
import json
import resource
import sys
import time

import numpy as np


def hashed(n, seed):
    """workload.h's words 0 to n - 1: 24 random bits each."""
    with np.errstate(over="ignore"):
        x = np.arange(n, dtype=np.uint32) * np.uint32(2654435761) + np.uint32((seed * 40503 + 12345) & 0xffffffff)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85ebca6b)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xc2b2ae35)
        x ^= x >> np.uint32(16)
    return x >> np.uint32(8)


def fill(shape, seed, bound=1.0):
    words = hashed(int(np.prod(shape)), seed).astype(np.float64) * 2.0**-24
    return ((words * 2 - 1) * bound).astype(np.float32).reshape(shape)


def labels(shape, classes, seed=2):
    return (hashed(int(np.prod(shape)), seed) % np.uint32(classes)).astype(np.int64).reshape(shape)


def parser(doc):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", nargs="?", default="")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--dtype", default="f32", choices=("f32", "tf32", "bf16"))
    p.add_argument("--iters", type=int, default=0, help="iterations; 0: as many as --seconds allows")
    p.add_argument("--warmup", type=int, default=3, help="iterations before, at least 3 (their losses are printed)")
    p.add_argument("--seconds", type=float, default=4.0)
    p.add_argument("--serve", action="store_true",
                   help="print the first losses, then read numbers from standard input, run so many iterations, print their times")
    return p


def status_mb(field):
    """A field of the kernel's account of this process."""
    with open("/proc/self/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(field))


def many(args, one):
    """one() for each line of standard input, `NAME DTYPE BATCH`, with args saying so. What fails is named and passed over."""
    global fill
    remembered = functools.lru_cache(maxsize=4)(fill)     # large first values take longer to make than to use
    fill = lambda shape, seed, bound=1.0: remembered(tuple(shape), seed, bound).copy()
    for line in sys.stdin:
        try:
            args.workload, args.dtype, batch = line.split()
            args.batch = int(batch)
            one()
        except (Exception, SystemExit) as e:
            print(f"{line.strip()}: {e}", file=sys.stderr)
            print(json.dumps(dict(failed=line.strip())), flush=True)
        sys.stdout.flush()


def measure(step, args, sync=lambda: None, **peer):
    """Times step(), which runs an iteration and returns its loss, as args say. peer: what else the JSON line has."""
    def number(loss):
        return 0.0 if loss is None else float(f"{float(loss):.8g}")

    def run(n):
        times, loss, end = [], None, time.perf_counter() + args.seconds
        while len(times) < n if n else len(times) < 5 or time.perf_counter() < end and len(times) < 2000:
            begin = time.perf_counter()
            loss = step()
            sync()
            times.append((time.perf_counter() - begin) * 1e3)
        return times, loss

    begin = time.perf_counter()
    losses = [number(step()) for _ in range(max(args.warmup, 3))]
    row = dict(workload=args.workload, threads=args.threads, dtype=args.dtype, batch=getattr(args, "batch", 0), **peer, losses=losses[:3],
               warm_s=round(time.perf_counter() - begin, 2))
    if args.serve:
        print(json.dumps(row) + "\nready", flush=True)
        for line in sys.stdin:
            print(json.dumps(run(int(line))[0]), flush=True)
        return
    before = resource.getrusage(resource.RUSAGE_SELF)
    times, loss = run(args.iters)
    after = resource.getrusage(resource.RUSAGE_SELF)
    times.sort()
    n = len(times)
    print(json.dumps(dict(row, iters=n, median_ms=round(times[n // 2], 4), min_ms=round(times[0], 4),
                          peak_rss_mb=round(status_mb("VmHWM"), 1), final=number(loss),
                          minflt_per_iter=round((after.ru_minflt - before.ru_minflt) / n, 1),
                          sys_ms_per_iter=round((after.ru_stime - before.ru_stime) * 1e3 / n, 3))))
