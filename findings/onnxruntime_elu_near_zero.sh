#!/usr/bin/env bash
# ONNX Runtime: elu, selu and celu of small negative f32 are made by exp(x) - 1.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; CPU execution provider, x86-64.
# Guess:    elu(x) is x to rounding for |x| < 1e-7, as expm1 gives it.
# Seen:     elu(-1e-8) is 0, elu(-1e-7) is -1.19e-7, elu(-1e-6) is 1.3 % off: multiples of 2^-23 and 2^-24.
# Why it matters: activations near 0 lose their digits on one side; comparisons need an absolute tolerance.
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


x = -np.array([1e-8, 1e-7, 1e-6], np.float32)
for op in ("Elu", "Celu"):
    y = run(op, x)
    print(op, y)
    assert y[0] == 0 and abs(y[1] / x[1] - 1) > 0.15 and abs(y[2] / x[2] - 1) > 0.01
assert run("Selu", x)[0] == 0
PYTHON
