#!/usr/bin/env bash
# ONNX Runtime: sigmoid of f32 has no tail.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; CPU execution provider, x86-64.
# Guess:    sigmoid(-18) is exp(-18) = 1.5e-8 to a few steps of f32; f32 holds sigmoid down to x = -87.
# Seen:     sigmoid(-15) is 17 % too large, sigmoid(-16) half of what it should be, from -18 on all are exactly 0.
# Why it matters: log(sigmoid(x)) is -inf for scores that are common in training; export log-sigmoid or softplus.
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


x = np.array([-15, -16, -18, -20, -30], np.float32)
y, right = run("Sigmoid", x), 1 / (1 + np.exp(-x.astype(np.float64)))
for a, b, c in zip(x, y, right):
    print(f"sigmoid({a:g}) = {b:.3g}, right {c:.3g}")
assert y[0] > 1.1 * right[0] and y[1] < 0.6 * right[1] and (y[2:] == 0).all()
PYTHON
