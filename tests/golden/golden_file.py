"""Writes the safetensors files of the golden sets."""
import json
import struct

import torch

WORDS = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def save(path, tensors, separators=(",", ":")):
    """name -> tensor; plain enough to write by hand."""
    header, data = {}, b""
    for name, t in tensors.items():
        bits = t.view(torch.int16) if t.dtype == torch.bfloat16 else t  # numpy has no bfloat16
        raw = bits.contiguous().numpy(force=True).tobytes()
        header[name] = {"dtype": WORDS[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=separators).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
