#!/usr/bin/env python3
"""fastest.py [WORKLOAD ...] [--dtype f32|bf16] [--isa avx2] [--build build/release] [--python PYTHON] [--write [FILE]]

weft beside the fastest of PyTorch compiled (torch.compile of model and loss), frozen (weights as constants, too) and eager,
ONNX Runtime, OpenVINO and JAX: those that PYTHON has (`.venv/bin/pip install -r bench/peers.req.txt`). Each peer in turn:
its first losses, and an engine's whole output beside PyTorch's in f32, must agree with weft's, or it is out of the row;
then weft and the peer alternate as compare.py does. A ratio is weft's time over the peer's; the fastest peer has the
largest. All get the same threads, inter-op 1; peers get a malloc that keeps its memory (compare.py's KEEP).

weft runs captured (nn::capture).
nhwc, nchw  the layout of the pictures
pure        PyTorch in bf16 throughout, weights too; else bf16 is autocast, as weft's is
"""
import argparse
import json
import math
import os
import subprocess
import sys
from contextlib import closing
from datetime import date

from compare import Ended, ITERS, KEEP, ROOT, Server, one_line, pair, place_of, processor, write_table

PICTURES = ("squeezenet_infer", "resnet18_infer", "msgnet_infer", "resnet18", "unet2d")
F32_ONLY = ("gelu_chain", "addmul", "encoding")
ENGINES = ("squeezenet_infer", "resnet18_infer", "lstm_infer", "msgnet_infer", "matmul4096", "addmul")
ROWS = ("squeezenet_infer", "resnet18_infer", "lstm_infer", "msgnet_infer", "matmul4096", "resnet18", "unet2d", "lstm",
        "gelu_chain", "addmul", "mlp1k", "encoding")
# Relative, of the first loss and of the later ones, where differences have grown. Seen of peers that are right: 2e-5 and
# 2e-4 in f32, 5e-3 in bf16. Computing in bf16 changes the losses of inference by 1e-3.
TOLERANCES = {"f32": (1e-4, 1e-3), "bf16": (1e-2, 1e-2)}
# An engine's whole output may be as far off as the first loss, or this many times what rounding inputs and parameters to
# bf16 changes, for MSG-Net with random weights makes much of a rounding: bf16_error 0.06, OpenVINO 0.0016 off in f32 and
# 0.10 in bf16; the other networks 0.005, 5e-7 and 0.005.
OF_BF16 = {"f32": 1 / 16, "bf16": 4}
LIMITS = {"": {}, "avx2": {
    "WEFT_MAX_ISA": "v3", "OPENBLAS_CORETYPE": "Haswell",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # weft, PyTorch, OpenVINO
    "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}}
UNLIMITED = ("onnxruntime",)  # which no setting keeps from AVX-512


def peers_of(workload, dtype):
    """(Name, Python packages, script and its arguments) of each peer."""
    inference = workload.endswith("_infer")
    modes = [("eager", []), ("compiled", ["--compile"])]
    if inference:
        modes.append(("frozen", ["--compile", "--freeze"]))
        if dtype == "bf16":
            modes.append(("frozen pure", ["--compile", "--freeze", "--pure"]))
    layouts = [(" nhwc", []), (" nchw", ["--nchw"])] if workload in PICTURES else [("", ["--nchw"])]
    peers = [(mode + layout, ["torch"], ["peer_torch.py", workload, "--tuned", *how, *where])
             for mode, how in modes for layout, where in layouts]
    for engine in ("onnxruntime", "openvino") if workload in ENGINES else ():
        # In bf16 onnxruntime has nothing on CPUs, and openvino would round the matrices of matmul4096 in every step.
        if dtype == "f32" or engine == "openvino" and inference:
            peers.append((engine, [engine, "torch", "onnx", "onnxscript"], ["peer_runtime.py", workload, "--engine", engine]))
    return peers + ([("jax", ["jax"], ["peer_jax.py", workload])] if workload != "encoding" else [])


def disagreement(first, wanted, dtype):
    """What is wrong with a peer's JSON line beside weft's losses, or ""."""
    losses = first.get("losses", [])
    if len(losses) != len(wanted):
        return f"{len(losses)} losses, not {len(wanted)}"
    if first.get("precision", dtype) != dtype:
        return f"computes in {first['precision']}"
    tolerance = TOLERANCES[dtype]
    checks = [(f"loss {i + 1}", abs(a - b) / max(abs(b), 1e-6), tolerance[i > 0]) for i, (a, b) in enumerate(zip(losses, wanted))]
    if "output_error" in first:
        checks.append(("output", first["output_error"], max(tolerance[0], first["bf16_error"] * OF_BF16[dtype])))
    wrong = [(what, error, most) for what, error, most in checks if not error <= most]  # NaN is wrong
    if not wrong:
        return ""
    what, error, most = max(wrong, key=lambda w: math.inf if math.isnan(w[1]) else w[1] / w[2])
    return f"{what} off by {error:.1e} (more than {most:.2g})"


def installed(python, packages):
    code = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    try:
        return subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError) as e:
        raise RuntimeError(f"{python}: {e}; make it as docs/benchmarks.md says, or pass --python") from None


def against(weft, wanted, command, n, args):
    """(What pair() says or why there is nothing, the peer's name and version)."""
    env = {**LIMITS[args.isa], "GLIBC_TUNABLES": KEEP}
    options = ["--threads", str(args.threads), "--dtype", args.dtype, "--serve"]
    with closing(Server([args.python, os.path.join(ROOT, "bench", command[0]), *command[1:], *options], env)) as peer:
        return disagreement(peer.first, wanted, args.dtype) or pair(weft, peer, args.rounds, n), peer.first.get("peer")


def measure(workload, args, versions):
    """{"results": peer -> what pair() says, "out": peer -> why it is not there}. versions: gets what took part."""
    command = [args.bench, workload, "--threads", str(args.threads), "--dtype", args.dtype, "--captured"]
    mine = one_line(command + ["--iters", "1"], LIMITS[args.isa])
    versions[mine["peer"]] = True
    peers = peers_of(workload, args.dtype)
    there = installed(args.python, {p for _, packages, _ in peers for p in packages})
    row = {"workload": workload, "results": {}, "out": {}}
    with closing(Server(command + ["--serve"], LIMITS[args.isa])) as weft:
        for name, packages, script in peers:
            missing = [p for p in packages if p not in there]
            if missing:
                row["out"][name] = f"no {missing[0]}"
            elif args.isa and name in UNLIMITED:
                row["out"][name] = "cannot be limited"
            else:
                try:
                    result, version = against(weft, mine["losses"], script, ITERS.get(workload, 5), args)
                except Ended as e:
                    if weft.process.poll() is not None:
                        raise
                    result, version = f"ended, {e.said}", None
                row["out" if isinstance(result, str) else "results"][name] = result
                versions.update({version: True} if version else {})
    return row


HEAD = ["| workload | weft ms | fastest peer, ms | weft over the fastest (quartiles) | over eager | over the others | out of the row |",
        "|---|---|---|---|---|---|---|"]


def line_of(row):
    results = sorted(row["results"].items(), key=lambda item: -item[1]["ratio"])
    out = "; ".join(f"{name}: {why}" for name, why in row["out"].items()).replace("|", "/") or "-"
    if not results:
        return f"| {row['workload']} | - | - | - | - | - | {out} |"
    fastest, best = results[0]
    eager = next((name for name, _ in results if name.startswith("eager")), None)
    over_eager = f"{row['results'][eager]['ratio']:.2f} ({eager})" if eager else "-"
    others = ", ".join(f"{name} {r['ratio']:.2f}" for name, r in results[1:] if name != eager) or "-"
    return (f"| {row['workload']} | {best['weft_ms']:.3g} | {fastest}, {best['peer_ms']:.3g} | "
            f"**{best['ratio']:.2f}** ({best['q1']:.2f}-{best['q3']:.2f}) | {over_eager} | {others} | {out} |")


def main(arguments=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(ROWS))
    p.add_argument("--dtype", default="f32", choices=TOLERANCES)
    p.add_argument("--isa", default="", choices=LIMITS, help="limits all of them to an instruction set")
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    p.add_argument("--python", default=os.path.join(ROOT, ".venv", "bin", "python"))
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--json", default="", help="append every result to this file")
    p.add_argument("--write", nargs="?", const=os.path.join(ROOT, "docs", "benchmarks.md"), metavar="FILE",
                   help="replace the rows in this file (docs/benchmarks.md)")
    args = p.parse_args(arguments)
    rows = [w for w in ROWS if args.dtype == "f32" or w not in F32_ONLY]
    if unknown := set(args.workloads) - set(rows):
        raise RuntimeError(f"no {args.dtype} row for {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    if args.rounds < 2:
        raise RuntimeError("quartiles take at least 2 rounds")
    if not args.isa and (limits := [k for k in LIMITS["avx2"] if k in os.environ]):
        raise RuntimeError(f"{', '.join(limits)}: would limit what is measured, and no note would say so; unset, or --isa avx2")
    args.bench = os.path.join(args.build, "bin", "weft-bench")
    mark = f"fastest {args.dtype} {args.isa}".strip()
    if args.write:
        place_of(args.write, mark)
    lines, versions = {}, {}
    print(*HEAD, sep="\n", flush=True)
    for workload in args.workloads or rows:
        row = measure(workload, args, versions)
        lines[workload] = line_of(row)
        print(lines[workload], flush=True)
        if args.json:
            with open(args.json, "a", encoding="utf-8") as f:
                f.write(json.dumps(row) + "\n")
    limit = f"{args.isa.upper()} at most, " if args.isa else ""
    note = (f"{date.today()}, {processor()}, {limit}{args.threads} threads, inter-op 1, {args.dtype}; {', '.join(versions)}; "
            f"first losses agree to {TOLERANCES[args.dtype][0]:g}, later ones to {TOLERANCES[args.dtype][1]:g}.")
    if args.write:
        write_table(args.write, mark, note, HEAD, lines, ROWS)
    else:
        print(note)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as e:
        sys.exit(f"fastest: {e}")
