#!/usr/bin/env python3
"""compare.py [WORKLOAD ...] [--build build/release] [--python PYTHON_WITH_TORCH]

Runs weft-bench beside PyTorch, in turns in one sitting, and writes the table of docs/benchmarks.md.
PyTorch: `python3 -m venv .venv && .venv/bin/pip install torch numpy`. The C++ peer is built with
`cmake --preset release -DWEFT_TORCH=.venv/lib/python3.N/site-packages/torch`.

Both programs stay alive and only one runs at a time; the order alternates A B, B A; a round's ratio is min(weft) / min(peer).
Reported: the median of the rounds' ratios with its quartiles. Differences below 3 % are noise. Peers of a workload:
  default     PyTorch as it comes
  tuned       channels-last, fused optimisers, malloc told to keep its memory
  tuned nchw  the same in the contiguous layout
  C++         PyTorch's C++ frontend, for the workloads that are all overhead
The target is held against the fastest of them. Memory is the process's peak less what it held after a first op of one element.
"""
import argparse
import contextlib
import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
from datetime import date

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGETS = {
    "add1": 0.3, "add1_ag": 0.15, "mlp": 0.5, "mlp1k": 0.6, "addmul": None, "gelu_chain": None, "softmax": None,
    "layernorm": None, "bnrelu": 0.5, "inrelu": None, "maxpool": 0.6, "bilinear": None, "ce2d": None, "conv33": 1.0,
    "gram": 0.4, "encoding": 0.1, "encoding_mm": None, "lstm": 1.0, "lstm_infer": 1.0, "adam25m": 1.1, "sgd25m": None, "resnet18": 1.0,
    "resnet18_infer": None, "unet3d": 1.0, "abn": None, "msgnet_train": 0.8, "msgnet_infer": 0.7, "unet2d": None,
    "squeezenet_infer": None, "ws_unet3d": 0.8,
}
ONLY_CPP = ("add1", "add1_ag")  # Python's own overhead would flatter weft
ITERS = {"resnet18": 2, "unet3d": 1, "resnet18_infer": 3, "abn": 2, "encoding": 2, "msgnet_train": 1, "msgnet_infer": 1, "unet2d": 1,
         "matmul4096": 2}
KEEP = ("glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184:glibc.malloc.hugetlb=1")


class Ended(RuntimeError):
    """A program ended too early. said: the last line of its errors."""

    def __init__(self, command, said):
        super().__init__(f"{shlex.join(command)}: {said}")
        self.said = said


class Server:
    """A benchmark program that runs N iterations when asked and answers with their times. Between its turns it is stopped.

    first: the JSON line ahead of "ready", empty if there is none. Ended if the program ends.
    """

    def __init__(self, command, env=None):
        self.command, self.first, self.errors = command, {}, tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        bufsize=1, env={**os.environ, **(env or {})})
        while (line := self.answer()) != "ready":
            if line.startswith("{"):
                self.first = json.loads(line)
        self.process.send_signal(signal.SIGSTOP)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise Ended(self.command, self.said() or f"exit status {self.process.returncode}")
        return line.strip()

    def said(self):
        """The last line of its errors, or ""."""
        self.errors.seek(0)
        return self.errors.read().strip().rpartition("\n")[2]

    def ask(self, word):
        self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended: answer() says so
            self.process.stdin.write(f"{word}\n")
            self.process.stdin.flush()
        answer = json.loads(self.answer())
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def run(self, n):
        return self.ask(n)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def pair(a, b, rounds, n):
    times, ratios = ([], []), []
    for server in (a, b):
        server.run(n)
    for r in range(rounds):
        least = [0, 0]
        for i in ((0, 1), (1, 0))[r % 2]:
            t = (a, b)[i].run(n)
            times[i].extend(t)
            least[i] = min(t)
        ratios.append(least[0] / least[1])
    q = statistics.quantiles(ratios, n=4)
    return {"ratio": statistics.median(ratios), "q1": q[0], "q3": q[2], "weft_ms": min(times[0]), "peer_ms": min(times[1])}


def one_line(command, env=None):
    """The JSON line of a benchmark program."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode:
        raise Ended(command, done.stderr.strip())
    return json.loads(done.stdout.strip().splitlines()[-1])


def losses(command):
    row = one_line(command)
    return row["losses"], row.get("peak_rss_mb", 0) - row.get("start_rss_mb", 0)


def peers_of(workload, args):
    torch = [args.python, os.path.join(ROOT, "bench", "peer_torch.py"), workload, "--threads", str(args.threads)]
    if args.dtype != "f32":
        torch += ["--dtype", args.dtype]
    peers = []
    if args.torch_bench and workload in ONLY_CPP + ("mlp",):
        peers.append(("C++", [args.torch_bench, workload, "--threads", str(args.threads)], False))
    if workload not in ONLY_CPP:
        peers += [("default", torch, False), ("tuned", torch + ["--tuned"], True), ("tuned nchw", torch + ["--tuned", "--nchw"], True)]
    return peers


HEAD = ["| workload | weft ms | fastest PyTorch ms | ratio (quartiles) | target | against default | peak MB without the start, weft and PyTorch | losses differ by |",
        "|---|---|---|---|---|---|---|---|"]


def line_of(row):
    b = row["results"][row["best"]]
    target = TARGETS.get(row["workload"])
    default = row["results"].get("default")
    theirs = format(row["peer_rss"], ".0f") if row["peer_rss"] else "-"
    return (f"| {row['workload']} | {b['weft_ms']:.3g} | {b['peer_ms']:.3g} ({row['best']}) | **{b['ratio']:.2f}** ({b['q1']:.2f}-{b['q3']:.2f}) | "
            f"{target or '-'} | {format(default['ratio'], '.2f') if default else '-'} | {row['rss']:.0f}, {theirs} | {row['loss_error']:.1e} |")


def processor():
    with open("/proc/cpuinfo") as f:
        text = f.read()
    model = next((l.split(":")[1].strip() for l in text.splitlines() if l.startswith("model name")), platform.machine())
    extra = [n for n, flag in (("AVX-512", "avx512f"), ("bf16", "avx512_bf16"), ("AMX", "amx_bf16")) if flag in text]
    return f"{model} ({', '.join(extra) or 'no AVX-512'})"


def place_of(path, mark):
    """The text before a table, the table, and the text after it: between <!-- mark --> and <!-- end -->."""
    begin, end = f"<!-- {mark} -->\n", "<!-- end -->"
    try:
        with open(path, encoding="utf-8") as f:
            before, begins, rest = f.read().partition(begin)
    except OSError as e:
        raise RuntimeError(str(e)) from None
    table, ends, after = rest.partition(end)
    if not begins or not ends:
        raise RuntimeError(f"{path} has no {begin.strip()} ... {end}")
    return before + begin, table, end + after


def write_table(path, mark, note, head, lines, order):
    """lines: workload -> row; the rows of other workloads stay."""
    before, old, after = place_of(path, mark)
    table = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| ")} | lines
    text = "\n".join([note, "", *head, *(table[w] for w in order if w in table)]) + "\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + text + after)
    print(text)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workloads", nargs="*")
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    p.add_argument("--python", default=os.path.join(ROOT, ".venv", "bin", "python"))
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--dtype", default="f32")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--json", default="", help="append every result to this file")
    p.add_argument("--out", default=os.path.join(ROOT, "docs", "benchmarks.md"), help="the file whose table is replaced")
    args = p.parse_args()
    place_of(args.out, f"table {args.dtype}")
    args.bench = os.path.join(args.build, "bin", "weft-bench")
    args.torch_bench = os.path.join(args.build, "bin", "weft-bench-torch")
    if not os.path.exists(args.torch_bench):
        args.torch_bench = ""
    if not os.path.exists(args.python):
        sys.exit(f"compare: no {args.python}; make it with `python3 -m venv .venv && .venv/bin/pip install torch numpy`, or pass --python")
    rows = []
    for w in args.workloads or TARGETS:
        n = ITERS.get(w, 5)
        command = [args.bench, w, "--threads", str(args.threads), "--dtype", args.dtype]
        mine, rss = losses(command + ["--iters", "1"])
        results = {}
        for label, peer, tuned in peers_of(w, args):
            env = {"GLIBC_TUNABLES": KEEP} if tuned else None
            with contextlib.closing(Server(command + ["--serve"])) as a, contextlib.closing(Server(peer + ["--serve"], env)) as b:
                results[label] = pair(a, b, args.rounds, n)
        if not results:
            continue
        theirs, peer_rss = losses(peers_of(w, args)[0][1] + ([] if w in ONLY_CPP or args.torch_bench and w == "mlp" else ["--iters", "1"]))
        error = max((abs(a - b) / max(abs(b), 1e-6) for a, b in zip(mine, theirs)), default=0)
        best = max(results, key=lambda k: results[k]["ratio"])
        row = {"workload": w, "best": best, "results": results, "loss_error": error, "rss": rss, "peer_rss": peer_rss}
        rows.append(row)
        print(json.dumps(row), flush=True)
        if args.json:
            with open(args.json, "a") as f:
                f.write(json.dumps(row) + "\n")
    write_table(args.out, f"table {args.dtype}", f"{date.today()}, {processor()}, {args.threads} threads, {args.dtype}.", HEAD,
                {r["workload"]: line_of(r) for r in rows}, TARGETS)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as e:
        sys.exit(f"compare: {e}")
