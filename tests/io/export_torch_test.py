#!/usr/bin/env python3
"""Test of scripts/export_torch.py. Exits with 77, "skipped", where there is no PyTorch; WEFT_TORCH_PYTHON may name a Python that has it."""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    other = os.environ.pop("WEFT_TORCH_PYTHON", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print("no PyTorch: skipped")
    sys.exit(77)

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "export_torch.py")
WORDS = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}


def export(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True)


def read(path):
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    assert (8 + size) % 64 == 0
    out, used = {}, 0
    for name, e in json.loads(raw[8:8 + size]).items():
        begin, end = e["data_offsets"]
        data = raw[8 + size + begin:8 + size + end]
        dtype = WORDS[e["dtype"]]
        out[name] = (torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)).reshape(e["shape"])
        assert begin % out[name].element_size() == 0
        used += end - begin
    assert used == len(raw) - 8 - size
    return out


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())


def main():
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "model.pth"), os.path.join(folder, "model.safetensors")
        shared = torch.randn(3, 4)
        state = {"a.weight": shared, "b.weight": shared, "half": torch.randn(5).half(), "bf": torch.randn(2, 2).bfloat16(),
                 "f64": torch.randn((), dtype=torch.float64), "count": torch.tensor(7), "mask": torch.tensor([True, False]),
                 "u8": torch.arange(3, dtype=torch.uint8), "i32": torch.arange(3, dtype=torch.int32),
                 "slice": torch.randn(6, 8)[:, 2:5], "transposed": torch.randn(2, 3).t(), "empty": torch.empty(0, 3)}

        for checkpoint, args in ((state, ()), ({"state_dict": state, "epoch": 3}, ()), ({"weights": state}, ("--key", "weights")),
                                 ({"module." + k: v for k, v in state.items()}, ("--strip-module",))):
            torch.save(checkpoint, path)
            result = export(path, out, *args)
            assert result.returncode == 0, result.stderr
            got = read(out)
            assert list(got) == list(state), list(got)
            for name, t in state.items():
                assert same(got[name], t), name
        assert sorted(os.listdir(folder)) == ["model.pth", "model.safetensors"]

        torch.save({"a": torch.ones(1), "note": "text"}, path)
        result = export(path, out)
        assert result.returncode == 0 and "'note' is a str" in result.stderr
        assert list(read(out)) == ["a"]
        torch.save({"a": torch.ones(1, dtype=torch.complex64)}, path)
        result = export(path, out)
        assert result.returncode != 0 and "complex64" in result.stderr
        assert list(read(out)) == ["a"]   # the old file is kept
        torch.save([1, 2], path)
        assert "holds a list" in export(path, out).stderr
        torch.save(state, path)
        assert "no dict under 'other'" in export(path, out, "--key", "other").stderr
    print("passed")


if __name__ == "__main__":
    main()
