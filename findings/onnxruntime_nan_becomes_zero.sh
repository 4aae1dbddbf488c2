#!/usr/bin/env bash
# ONNX Runtime: ThresholdedRelu and Shrink turn NaN into 0.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; CPU execution provider, x86-64.
# Guess:    NaN passes, as it does through Relu, LeakyRelu, Elu, HardSwish and Clip of the same runtime.
# Seen:     both give 0 for NaN; PyTorch gives NaN for threshold and softshrink.
# Why it matters: a diverged network looks like one of zeros; tests for NaN belong before these nodes.
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


nan = np.array([np.nan], np.float32)
for op in ("Relu", "LeakyRelu", "Elu", "HardSwish"):
    assert np.isnan(run(op, nan)[0]), op
for op in ("ThresholdedRelu", "Shrink"):
    print(op, "of NaN:", run(op, nan)[0])
    assert run(op, nan)[0] == 0, op
PYTHON
