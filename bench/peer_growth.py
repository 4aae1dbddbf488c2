#!/usr/bin/env python3
"""peer_growth.py [--threads 2]: the sized workloads of bench/growth.cpp in eager PyTorch, as `weft-bench --serve` serves them.

For each word of standard input a JSON line: of OP@KEY=SIZE,... the checksums of its first results and the most bytes that an
iteration took beside its inputs (the profiler's account of the CPU's allocator; null for a loader, whose workers are processes
of their own), of a number the times of so many iterations. Of two layouts the faster one of a first try is served, and named as
`how`.
"""
import argparse
import functools
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile

import torch_models
from torch_models import fill

PERIOD = 1 << 20


@functools.lru_cache(maxsize=8)
def period(n, seed, bound):
    return fill((n,), seed, bound)


def tiled(shape, seed, bound=1.0):
    """fill(), whose first 2^20 values repeat."""
    n = math.prod(shape)
    once = period(min(n, PERIOD), seed, bound)
    return once.expand(-(-n // len(once)), -1).reshape(-1)[:n].clone().reshape(shape)


def passes(leaves, op, g):
    """Forward and backward of op for the output's gradient g: the output, then the leaves' gradients."""
    for t in leaves:
        t.requires_grad_()

    def step():
        for t in leaves:
            t.grad = None
        y = op()
        y.backward(g)
        return [y.detach(), *(t.grad for t in leaves)]
    return step


def layer(m, x, g, output=lambda y: y):
    return passes([x, *m.parameters()], lambda: output(m(x)), g)


def pictures(make, shape):
    """The layer in both layouts."""
    def of(layout):
        def made():
            m = make().to(memory_format=layout)
            return layer(m, *(tiled(shape, seed).contiguous(memory_format=layout) for seed in (1, 9)))
        return made
    return {"channels-last": of(torch.channels_last), "contiguous": of(torch.contiguous_format)}


def conv(c, m, n):
    return pictures(lambda: torch_models.init(nn.Conv2d(c, c, 3, padding=1)), (n, c, m, m))


def product(r, c):
    def made():
        x, w = tiled((r, c), 1), tiled((c, c), 2)
        return passes([x, w], lambda: x @ w, tiled((r, c), 9))
    return {"": made}


def batch_norm(c, m, n):
    return pictures(lambda: nn.BatchNorm2d(c), (n, c, m, m))


def layer_norm(r, c):
    return {"": lambda: layer(nn.LayerNorm(c), tiled((r, c), 1), tiled((r, c), 9))}


def attention(t, n, h, d):
    def made():
        q, k, v, g = (tiled((n, h, t, d), seed) for seed in (1, 2, 3, 9))
        return passes([q, k, v], lambda: F.scaled_dot_product_attention(q, k, v), g)
    return {"": made}


def lstm(t, n, c):
    return {"": lambda: layer(torch_models.init(nn.LSTM(c, c)), tiled((t, n, c), 1), tiled((t, n, c), 9), lambda y: y[0])}


def encoding(c, m, n, k):
    """By matrix products, as encoding_mm of peer_torch.py."""
    def made():
        x, w, s = tiled((n, m * m, c), 1), fill((k, c), 2, 0.3), fill((k,), 3, 0.5) - 0.5

        def encode():
            a = torch.softmax(s * (x.pow(2).sum(2, keepdim=True) - 2 * x @ w.t() + w.pow(2).sum(1)), 2)
            return a.transpose(1, 2) @ x - a.sum(1).unsqueeze(2) * w
        return passes([x, w, s], encode, fill((n, k, c), 9))
    return {"": made}


def adam(p):
    def made():
        first, gradient = fill((1_000_000,), 1), fill((1_000_000,), 2, 0.01)
        parameters = []
        for begin in range(0, p, 1_000_000):
            size = min(p - begin, 1_000_000)
            parameters.append(nn.Parameter(first[:size].clone()))
            parameters[-1].grad = gradient[:size].clone()
        optimizer = torch.optim.Adam(parameters, 1e-3, fused=True)

        def step():
            optimizer.step()
            return [parameters[0].detach(), parameters[-1].detach()]
        return step
    return {"": made}


class Pictures(torch.utils.data.Dataset):
    def __init__(self, s, m):
        self.data = (tiled((s, 3, m, m), 1) * 127 + 128).to(torch.uint8)
        self.mean, self.std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return self.data[i].float().div_(255).sub_(self.mean).div_(self.std)


def loader(s, m, n, w):
    def made():
        batches = torch.utils.data.DataLoader(Pictures(s, m), n, num_workers=w, persistent_workers=w > 0)

        def step():
            for batch in batches:
                pass
            return [batch]
        return step
    return {"": made}


def copy(p):
    def made():
        x, y = tiled((p,), 1), tiled((p,), 2)
        return lambda: [y.copy_(x)]
    return {"": made}


OPS = dict(conv=conv, product=product, batch_norm=batch_norm, layer_norm=layer_norm, attention=attention, lstm=lstm,
           encoding=encoding, adam=adam, loader=loader, copy=copy)


def checksum(x):
    """As bench::checksum of workload.h."""
    with torch.no_grad():
        x = torch.maximum(x, x * -0.5).double()
        while x.dim():
            x = x @ (torch.arange(x.shape[-1], dtype=torch.float64) / x.shape[-1] + 1)
        return x.item()


def account(step):
    """(Results of an iteration, the most bytes that the CPU's allocator gave it.)"""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
        results = step()
    events, nodes = [], list(p.profiler.kineto_results.experimental_event_tree())
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.tag == _EventType.Allocation:
            events.append((node.start_time_ns, node.extra_fields.ptr, node.extra_fields.alloc_size))
    blocks, held, peak = {}, 0, 0
    for _, place, size in sorted(events, key=lambda e: e[0]):
        if size > 0:
            blocks[place] = size
            held += size
            peak = max(peak, held)
        else:  # of what was there before, the profiler knows no size, or that of an earlier block
            held -= blocks.pop(place, 0)
    return results, peak


def faster(choices):
    """(The faster choice's name, its iteration.)"""
    if len(choices) == 1:  # unused: an optimiser's first step makes its state
        return next((how, made()) for how, made in choices.items())
    best = (math.inf, None, None)
    for how, made in choices.items():
        step, times = made(), []
        for _ in range(3):
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        best = min(best, (min(times[1:]), how, step), key=lambda b: b[0])
    return best[1:]


def load(name):
    """(The JSON line of a sized workload, its iteration.)"""
    op, _, sizes = name.partition("@")
    how, step = faster(OPS[op](**{key: int(size) for key, size in (word.split("=") for word in sizes.split(","))}))
    results, peak = (step(), None) if op == "loader" else account(step)
    return dict(workload=name, peer="torch " + torch.__version__, how=how, bytes=peak, sums=[checksum(t) for t in results]), step


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(p.parse_args().threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    account(lambda: torch.ones(1) + 1)  # the profiler's own start
    print("ready", flush=True)
    step = None
    for line in sys.stdin:
        word = line.strip()
        try:
            if "@" in word:
                step = None
                answer, step = load(word)
            else:
                answer = []
                for _ in range(int(word)):
                    begin = time.perf_counter()
                    step()
                    answer.append((time.perf_counter() - begin) * 1e3)
            print(json.dumps(answer), flush=True)
        except Exception as e:  # the next word may do better
            print(f"{word}: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
            print(json.dumps({"failed": word}), flush=True)


if __name__ == "__main__":
    main()
