#!/usr/bin/env bash
# ONNX Runtime: tanh of f32 is greater than 1.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; CPU execution provider, x86-64.
# Guess:    |tanh(x)| <= 1, as in every C library and in PyTorch.
# Seen:     for x between 8.3 and 9.0 some results are 1.0000002, one step of f32 above 1.
# Why it matters: atanh, acos, log(1 - y) and sqrt(1 - y^2) of such a result are NaN; clamp before them.
# Exits with 0 while this holds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(op, x):
    """One node of f32 through the runtime."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, list(x.shape))
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "one", [value("x")], [value("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


x = np.linspace(0, 20, 200001, dtype=np.float32)
y = run("Tanh", x)
beyond = x[y > 1]
print(f"largest {y.max()!r}, beyond 1 at {len(beyond)} of {len(x)} points, from {beyond.min()} to {beyond.max()}")
assert y.max() == np.float32(1.0000002) and 8 < beyond.min() and beyond.max() < 9.1
assert np.isnan(np.arctanh(y.max()))
PYTHON
