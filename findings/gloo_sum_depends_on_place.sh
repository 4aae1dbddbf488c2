#!/usr/bin/env bash
# PyTorch's all_reduce over gloo: equal numbers have unequal sums, by their place in the tensor.
# Versions: torch 2.15.0 (gloo backend, 3 processes on one machine).
# Guess:    where every rank has a constant tensor, the sum is a constant tensor.
# Seen:     gloo sums a third of the elements in each of three orders. Ranks with 1e8, -1e8 and 0.3: two thirds of the
#           f32 elements are 0, a third is 0.3. Ranks with 256, 1 and 1 in bf16: two thirds are 256, a third is 258, for
#           each addition is rounded to bf16. The sum of one element depends on how many others go round with it.
# Why it matters: gradients that are cut into other buckets, or carry one tensor more, change in their last bits (in bf16
#           by a percent), so runs with another bucket size or another layer cannot be compared bit for bit.
# Exits with 0 while this holds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6
cat > "$work/ranks.py" <<'PYTHON'
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def values(numbers, n, dtype):
    """The distinct elements of a sum of constant tensors, and how many of each there are."""
    x = torch.full((n,), numbers[dist.get_rank()], dtype=dtype)
    dist.all_reduce(x)
    found, counts = x.unique(return_counts=True)
    return dict(zip([round(v, 4) for v in found.tolist()], counts.tolist()))


def rank_main(rank):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29613"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=3)
    for n in (1, 9, 1000):
        f32, bf16 = values((1e8, -1e8, 0.3), n, torch.float32), values((256.0, 1.0, 1.0), n, torch.bfloat16)
        if rank == 0:
            print(n, "elements: f32", f32, "bf16", bf16, flush=True)
            assert (len(f32), len(bf16)) == ((1, 1) if n == 1 else (2, 2))
            assert set(f32) <= {0.0, 0.3} and set(bf16) <= {256.0, 258.0}
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(rank_main, nprocs=3)
PYTHON
"$work/venv/bin/python" "$work/ranks.py"
