#!/usr/bin/env python3
"""What the benchmarks should take on a card, and why, before anybody has seen one.

  bench/gpu_predict.py [--card h200|h100]      the table of docs/gpu.md
  bench/gpu_predict.py --check FILE            fails unless FILE has that table

Every workload is a list of kernels: bytes that it reads and writes, operations, and how many launches. Three lists: what no
program can do without (the floor: each operand once in the forward, once in the backward), weft's and PyTorch's kernels
as their sources say. A kernel takes

    max(bytes / memory rate, operations / rate of its unit, 2 us),

a step the sum over its kernels, or launches x 5 us where the host is slower than the card. Rates: what a copy and a product of
matrices reach on the card (Card). Products run at PEAK of the unit's rate: cuBLAS and cuDNN 0.8, weft's convolution by mma.sync
0.55 on Hopper, whose full rate needs wgmma; its f32 convolution of 3 channels 0.58, by the instructions that multiply. What
the second-level cache keeps from one kernel to the next is left out.
"""
import argparse
import pathlib
import sys
from typing import NamedTuple

MI = 1 << 20
LAUNCH_US, HOST_US = 2.0, 5.0
PEAK = {"floor": 1.0, "library": 0.8, "own": 0.55, "narrow": 0.58}


class Card(NamedTuple):
    """Bytes and operations per second. h200: a copy and a bf16 product as measured; the rest is the data sheet's."""
    bytes: float
    f32: float
    tf32: float
    bf16: float


CARDS = {"h200": Card(4.3e12, 60e12, 400e12, 790e12), "h100": Card(3.0e12, 60e12, 400e12, 750e12)}


class Kernel(NamedTuple):
    bytes: float
    flop: float = 0
    unit: str = "f32"
    peak: str = "library"
    launches: int = 1


def seconds(kernels, card):
    device = sum(max(k.bytes / card.bytes, k.flop / (getattr(card, k.unit) * PEAK[k.peak]), k.launches * LAUNCH_US * 1e-6)
                 for k in kernels)
    return max(device, sum(k.launches for k in kernels) * HOST_US * 1e-6)


def passes(elements, *counts, size=4):
    """A kernel for each count: so often are `elements` elements read or written."""
    return [Kernel(elements * c * size) for c in counts]


def simple():
    """Workload -> (floor, weft, PyTorch): passes over n elements of f32."""
    n, rows, bn, inn, pool, ce = 64 * MI, 4 * MI, 8 * 64 * 112 * 112, 64 * 256 * 256, 8 * 64 * 112 * 112, 4 * 21 * 256 * 256
    small = pool // 4
    chain = 16 * MI
    adam = 25_031_680
    table = {
        "copy64m": (passes(n, 2),) * 3,
        "add64m": (passes(n, 3),) * 3,
        "addmul": (passes(chain, 3), passes(chain, 3, 3), passes(chain, 3, 3)),
        # weft: x 1.5, + 0.5, gelu, product, mean; backward: two products with a broadcast, gelu's, x 1.5, the sum of both
        "gelu_chain": (passes(chain, 1, 2), passes(chain, 2, 2, 2, 3, 1, 2, 2, 3, 2, 3), passes(chain, 2, 2, 2, 3, 1, 1, 3, 3, 3, 2, 3)),
        "sum64m": (passes(n, 1), passes(n, 1, 0), passes(n, 1)),
        "sum64m_rows": (passes(n, 1),) * 3,
        "sum64m_columns": (passes(n, 1), passes(n, 1, 0), passes(n, 1)),
        "softmax": (passes(rows, 2, 3),) * 3,
        "layernorm": (passes(rows, 2, 3), passes(rows, 2, 3, 2, 0), passes(rows, 2, 3, 2)),
        # forward: statistics, then values; backward: sums, then values
        "bnrelu": (passes(bn, 1, 2, 2, 3), passes(bn, 1, 0, 2, 2, 0, 3), passes(bn, 1, 0, 2, 2, 3, 2, 0, 3)),
        "inrelu": (passes(inn, 1, 2, 2, 3), passes(inn, 1, 0, 2, 2, 0, 3), passes(inn, 1, 0, 2, 2, 3, 2, 0, 3)),
        # the forward writes one byte of each winner, PyTorch eight; the backward writes every element
        "maxpool": ([Kernel(pool * 4 + small * 4), Kernel(pool * 4 + small * 4)],
                    [Kernel(pool * 4 + small * 5), Kernel(pool * 4 + small * 5)],
                    [Kernel(pool * 4 + small * 12), Kernel(pool * 4 + small * 12)]),
        "ce2d": (passes(ce, 1, 2), passes(ce, 1, 0, 2), passes(ce, 2, 1, 3, 0)),
        # p, m and v read and written, the gradient read
        "adam25m": (passes(adam, 7),) * 3,
        "sgd25m": (passes(adam, 5),) * 3,
    }
    table = {(name, "f32", 0): lists for name, lists in table.items()}
    table["bnrelu", "bf16", 0] = tuple([k._replace(bytes=k.bytes / 2) for k in kernels] for kernels in table["bnrelu", "f32", 0])
    return table


def product(m, n, k, dtype, peak="library"):
    size = 2 if dtype == "bf16" else 4
    return Kernel((m * k + k * n + m * n) * size, 2.0 * m * n * k, dtype, peak)


def products():
    table = {}
    for dtype in ("f32", "tf32", "bf16"):
        p = product(4096, 4096, 4096, dtype)
        table["matmul4096", dtype, 0] = ([p._replace(peak="floor")], [p], [p])
    # 784-1024-1024-10 at 128: 3 products forward, 5 backward; Adam over 1.87 M parameters; small kernels around them
    mlp = [product(128, n, k, "f32") for n, k in ((1024, 784), (1024, 1024), (10, 1024))]
    back = mlp + mlp[1:]
    adam = Kernel(1_863_690 * 28)
    table["mlp1k", "f32", 0] = ([k._replace(peak="floor") for k in mlp + back] + [adam],
                                mlp + back + [adam] + passes(0, *[1] * 14), mlp + back + [adam] + passes(0, *[1] * 22))
    return table


class Conv(NamedTuple):
    """A convolution over pictures; `norm`: batch norm and ReLU follow."""
    c: int
    size: int       # of the input
    out: int
    kernel: int
    stride: int
    first: bool = False     # no gradient of the input

    def kernels(self, batch, dtype, peak, norm=True, fused=False, first_peak=None):
        size = 2 if dtype == "bf16" else 4
        side = self.size // self.stride
        x, y = batch * self.c * self.size**2, batch * self.out * side**2
        flop = 2.0 * y * self.c * self.kernel**2
        w = self.c * self.out * self.kernel**2
        def conv(read, peak=peak):
            return Kernel((read + w) * size, flop, dtype, peak)
        extra = y if fused else 0       # what is normalised while it is loaded is read twice
        forward = conv(x + y, first_peak if self.first and first_peak else peak)
        k = [forward] + ([] if self.first else [conv(x + y + extra)]) + [conv(x + y + extra)]
        if norm:
            k += passes(y, 2, 2, size=size) if fused else passes(y, 1, 0, 2, 2, 0, 3, size=size)
        return k


def resnet18():
    layers = [Conv(3, 224, 64, 7, 2, True)]
    channels, side = 64, 56
    for out, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        layers += [Conv(channels, side, out, 3, stride)] + ([Conv(channels, side, out, 1, stride)] if stride > 1 else [])
        side //= stride
        layers += [Conv(out, side, out, 3, 1)]
        channels = out
    return layers


def networks():
    table = {}
    for batch, dtype in ((8, "f32"), (8, "bf16"), (64, "f32"), (64, "tf32"), (64, "bf16")):
        size = 2 if dtype == "bf16" else 4
        top = batch * 64 * 112**2
        def rest(launches, batch=batch, size=size, top=top):
            """Max pooling, the 8 sums with a skip, the last product and SGD with momentum over 11.7 M parameters."""
            skips = sum(2 * batch * c * s * s for c, s in ((64, 56), (128, 28), (256, 14), (512, 7)))
            return [Kernel(top * 1.3 * size), Kernel(top * 1.3 * size), Kernel(skips * 3 * size), Kernel(11_689_512 * 20)] + passes(0, *[1] * launches)
        def convs(peak, fused=False, first_peak=None, batch=batch, dtype=dtype):
            return [k for layer in resnet18() for k in layer.kernels(batch, dtype, peak, fused=fused, first_peak=first_peak)]
        weft = convs("library", first_peak="narrow") if dtype == "f32" else convs("own")
        table["resnet18", dtype, 0 if batch == 8 else batch] = (
            convs("floor", fused=True) + rest(0), weft + rest(40), convs("library") + rest(60))
    for dtype in ("f32", "bf16"):
        c = Conv(64, 112, 64, 3, 1)
        table["conv33", dtype, 0] = (c.kernels(4, dtype, "floor", norm=False),
                                     c.kernels(4, dtype, "own" if dtype != "f32" else "library", norm=False) + passes(4 * 64 * 112**2, 1),
                                     c.kernels(4, dtype, "library", norm=False) + passes(4 * 64 * 112**2, 1))
    return table


def workloads():
    """(workload, dtype, batch) -> (floor, weft, PyTorch), in the order of the report. Batch 0: the workload's own."""
    return simple() | products() | networks()


def predicted(card="h200"):
    """The same keys -> milliseconds of (floor, weft, PyTorch)."""
    return {key: tuple(seconds(kernels, CARDS[card]) * 1e3 for kernels in lists) for key, lists in workloads().items()}


def table(card):
    lines = ["| workload | floor: MB, GFLOP | weft: MB, launches | PyTorch: MB, launches | floor ms | weft ms | PyTorch ms | bound by |",
             "|---|---|---|---|---|---|---|---|"]
    for (name, dtype, batch), lists in workloads().items():
        floor, weft, torch = lists
        ms = [seconds(kernels, CARDS[card]) * 1e3 for kernels in lists]
        def moved(kernels):
            return sum(k.bytes for k in kernels) / 1e6
        def launches(kernels):
            return sum(k.launches for k in kernels)
        flop = sum(k.flop for k in floor)
        rate = CARDS[card]
        by_flop = sum(k.flop / (getattr(rate, k.unit) * PEAK[k.peak]) for k in weft)
        by_host = launches(weft) * HOST_US * 1e-6
        by_bytes = sum(k.bytes for k in weft) / rate.bytes
        bound = max((by_bytes, "bytes"), (by_flop, "FLOP"), (by_host, "host"))[1]
        label = f"{name} {dtype}" + (f" batch {batch}" if batch else "")
        lines.append(f"| {label} | {moved(floor):.0f}, {flop / 1e9:.0f} | {moved(weft):.0f}, {launches(weft)} | "
                     f"{moved(torch):.0f}, {launches(torch)} | {ms[0]:.3f} | {ms[1]:.3f} | {ms[2]:.3f} | {bound} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", default="h200", choices=CARDS)
    parser.add_argument("--check", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.check:
        print(table(arguments.card))
    elif table(arguments.card) not in pathlib.Path(arguments.check).read_text():
        sys.exit(f"{arguments.check} has another table; put there what bench/gpu_predict.py prints")
