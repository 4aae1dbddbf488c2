#!/usr/bin/env python3
"""Microseconds of PyTorch's all_reduce over gloo by bytes, as `weft_test_ranks times` prints them:
peer_gloo.py RANKS"""
import json
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def rank_main(rank, ranks):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29577", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
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
    if rank == 0:
        print(json.dumps({"ranks": ranks, "us": times}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(rank_main, args=(int(sys.argv[1]),), nprocs=int(sys.argv[1]))
