#!/usr/bin/env python3
"""PyTorch's ranks over gloo, as weft-bench-ranks prints them: peer_gloo.py RANKS all_reduce|resnet18 [alone]"""
import json
import os
import pathlib
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from torch_models import ResNet18, fill, init, labels  # the other benchmark's


def all_reduce(ranks):
    times = {}
    n = 256
    while n <= 64 << 20:
        x = torch.ones(n)
        repeats = 200 if n <= 65536 else 20 if n <= 4 << 20 else 5
        best = 1e9
        for _ in range(5):
            dist.barrier()
            begin = time.perf_counter()
            for _ in range(repeats):
                dist.all_reduce(x)
            best = min(best, (time.perf_counter() - begin) / repeats * 1e6)
        times[n * 4] = best
        n *= 4
    return {"ranks": ranks, "us": times}


def resnet18(rank, ranks, alone):
    model = init(ResNet18()).to(memory_format=torch.channels_last).train()
    if not alone:
        model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    x = fill((8, 3, 224, 224), 1 + rank).contiguous(memory_format=torch.channels_last)
    y = labels((8,), 1000)
    opt = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    ms, losses = [], []
    for i in range(25):
        dist.barrier()
        begin = time.perf_counter()
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if i >= 5:
            ms.append((time.perf_counter() - begin) * 1e3)
        if i < 3:
            mean = loss.detach().clone()
            dist.all_reduce(mean)
            losses.append(mean.item() / ranks)
    return {"ranks": ranks, "alone": alone, "median_ms": statistics.median(ms), "min_ms": min(ms), "losses": losses}


def rank_main(rank, ranks, what, alone):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29577", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    result = all_reduce(ranks) if what == "all_reduce" else resnet18(rank, ranks, alone)
    if rank == 0:
        print(json.dumps(result), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(rank_main, args=(int(sys.argv[1]), sys.argv[2], "alone" in sys.argv), nprocs=int(sys.argv[1]))
