#!/usr/bin/env python3
"""Writes the tensors of a PyTorch checkpoint as safetensors, for weft::io::load.

  python3 scripts/export_torch.py model.pth model.safetensors [--strip-module] [--key model]

Takes a state dict, or a dict that holds one under --key (default: `state_dict`, then `model_state_dict`, `model`). Dtypes are kept;
tensors that share memory are written one by one, so that each entry has its own data. --strip-module removes the prefix `module.` that
(Distributed)DataParallel adds. What is no tensor is left out, and said so. Needs PyTorch only; a checkpoint is read with
weights_only=True, which runs no code of the file.
"""
import argparse
import ctypes
import json
import os
import struct
import sys
import tempfile

import torch

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
          torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
ALIGNMENT = 64


def state_dict_of(checkpoint, key):
    """The state dict in what torch.load gave."""
    for name in [key] if key else ["state_dict", "model_state_dict", "model"]:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(name), dict):
            return checkpoint[name]
    if key:
        raise SystemExit(f"export_torch: there is no dict under '{key}'")
    if not isinstance(checkpoint, dict):
        raise SystemExit(f"export_torch: the file holds a {type(checkpoint).__name__}, not a state dict")
    return checkpoint


def tensors_of(state, strip_module):
    """Ordered names and dense CPU tensors; complains on stderr of what it leaves out."""
    out = {}
    for name, value in state.items():
        if strip_module and name.startswith("module."):
            name = name[len("module."):]
        if not isinstance(value, torch.Tensor):
            print(f"export_torch: '{name}' is a {type(value).__name__}, not a tensor: left out", file=sys.stderr)
            continue
        if name in out:
            raise SystemExit(f"export_torch: two entries are named '{name}'")
        if value.dtype not in DTYPES:
            raise SystemExit(f"export_torch: '{name}' is {value.dtype}, which weft does not offer")
        out[name] = value.detach().cpu().contiguous()
    if not out:
        raise SystemExit("export_torch: the file holds no tensors")
    return out


def save(tensors, path):
    """The file appears complete or not at all. Wider elements come first, so that all lie aligned."""
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    offsets, at = {}, 0
    for name in order:
        size = tensors[name].numel() * tensors[name].element_size()
        offsets[name] = [at, at + size]
        at += size
    header = {name: {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": offsets[name]}
              for name, t in tensors.items()}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile(dir=folder, prefix=os.path.basename(path) + ".part-", delete=False) as f:
        try:
            f.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                t = tensors[name]
                f.write(ctypes.string_at(t.data_ptr(), t.numel() * t.element_size()))   # numpy may not be there
            f.flush()
            os.fsync(f.fileno())
            os.chmod(f.name, 0o666 & ~umask())
            os.replace(f.name, path)
        except BaseException:
            os.unlink(f.name)
            raise


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("output")
    parser.add_argument("--strip-module", action="store_true", help="remove the prefix 'module.' of every name")
    parser.add_argument("--key", help="entry of the checkpoint that holds the state dict")
    args = parser.parse_args()
    checkpoint = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    tensors = tensors_of(state_dict_of(checkpoint, args.key), args.strip_module)
    save(tensors, args.output)
    print(f"{args.output}: {len(tensors)} tensors, {os.path.getsize(args.output):,} bytes")


if __name__ == "__main__":
    main()
