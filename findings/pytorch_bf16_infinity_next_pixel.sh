#!/usr/bin/env bash
# PyTorch on a CPU with AVX-512 bf16: an infinite pixel turns its neighbour's result of a 1x1 convolution into NaN, where
# bf16 channels-last images have an odd number of channels.
# Versions: torch 2.15.0 (its oneDNN), numpy 2.4.6; x86-64 with avx512_bf16, without AMX (Zen 5).
# Guess:    a 1x1 convolution is a product per pixel: one infinite pixel gives one infinite pixel, as in f32.
# Seen:     conv2d and conv_transpose2d with 1, 3, 5, 17 channels: two pixels are lost, the one before in memory as well
#           (its sum takes the next pixel's first channel with weight 0). Even numbers of channels and the contiguous
#           layout are right.
# Why it matters: masks and logits hold infinities, and the last layer of most networks has an odd number of classes.
# Exits with 0 while this holds, with 2 on a CPU without avx512_bf16.
set -euo pipefail
grep -qw avx512_bf16 /proc/cpuinfo || { echo "needs a CPU with avx512_bf16" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch

torch.set_num_threads(1)


def lost(channels, dtype, layout, transposed):
    """The pixels that are not finite after a 1x1 convolution of an image with one infinite element."""
    x = torch.full((1, channels, 21, 22), 0.5)
    x[0, 0, 8, 10] = float("inf")
    x = x.to(dtype).to(memory_format=layout)
    f = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    w = torch.full((channels, 5, 1, 1) if transposed else (5, channels, 1, 1), 0.5, dtype=dtype)
    return int((~torch.isfinite(f(x, w))).any(1).sum())


for transposed in (False, True):
    for channels in (1, 3, 4, 5, 16, 17):
        seen = lost(channels, torch.bfloat16, torch.channels_last, transposed)
        print("transposed" if transposed else "forward", channels, "channels:", seen, "pixels lost")
        assert seen == 1 + channels % 2, channels
        assert lost(channels, torch.float32, torch.channels_last, transposed) == 1
        assert lost(channels, torch.bfloat16, torch.contiguous_format, transposed) == 1
PYTHON
