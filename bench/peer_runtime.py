#!/usr/bin/env python3
"""peer_runtime.py WORKLOAD --engine onnxruntime|openvino [--threads 2] [--dtype f32|bf16] [--iters N] [--seconds S] [--serve]

peer_torch.py's inference in an engine: squeezenet_infer, resnet18_infer, msgnet_infer, lstm_infer, and the ops matmul4096
and addmul. The JSON line is peer_torch.py's with
  output_error  |y - t| / |t| (root mean squares) of the whole output y beside PyTorch's t in f32
  bf16_error    the same of PyTorch's output in f32 where inputs and parameters are rounded to bf16
  precision     what the engine computes in

PyTorch writes the model as ONNX, in a process of its own, so that its memory and threads are not the engine's; that takes
torch, onnx and onnxscript. Both engines may rewrite the graph as they like. onnxruntime has no bf16 on CPUs.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

import peer_common


def model_of(workload):
    """(Module that gives the loss and the whole output, its inputs)."""
    import torch
    import torch_models as m

    class Lossy(torch.nn.Module):
        def __init__(self, run, loss):
            super().__init__()
            self.run, self.loss = run, loss

        def forward(self, *inputs):
            y = self.run(*inputs)
            return self.loss(y), y

    class First(torch.nn.Module):
        def __init__(self, lstm):
            super().__init__()
            self.lstm = lstm

        def forward(self, x):
            return self.lstm(x)[0]

    mean = torch.Tensor.mean
    if workload == "squeezenet_infer":
        return Lossy(m.init(m.SqueezeNet()), mean), [m.fill((1, 3, 224, 224), 1)]
    if workload == "resnet18_infer":
        return Lossy(m.init(m.ResNet18()), mean), [m.fill((8, 3, 224, 224), 1)]
    if workload == "msgnet_infer":
        net = m.init(m.MSG(128))
        with torch.no_grad():
            net.target(m.fill((1, 3, 512, 512), 3, 100.0))
        return Lossy(net, mean), [m.fill((1, 3, 512, 512), 1, 100.0)]
    if workload == "lstm_infer":
        return Lossy(First(m.init(torch.nn.LSTM(256, 256))), mean), [m.fill((64, 16, 256), 1)]
    if workload == "matmul4096":
        return Lossy(torch.matmul, lambda y: y[0, 0]), [m.fill((4096, 4096), 1), m.fill((4096, 4096), 2)]
    if workload == "addmul":
        return Lossy(lambda x, y: x * y + y, lambda z: z[0]), [m.fill((16 << 20,), 1), m.fill((16 << 20,), 2)]
    sys.exit(f"peer_runtime: {workload} is no inference workload")


def export(workload, threads, folder):
    """model.onnx, and tensors.npz with its inputs x0, x1, ... PyTorch's output, and that of parameters and inputs
    rounded to bf16."""
    import torch

    torch.set_num_threads(threads)
    model, inputs = model_of(workload)
    model.eval()
    with torch.no_grad():
        output = model(*inputs)[1].numpy()
        # lstm: the older exporter has a node for it, the newer one unrolls the steps
        torch.onnx.export(model, tuple(inputs), os.path.join(folder, "model.onnx"), dynamo=workload != "lstm_infer",
                          external_data=False, input_names=[f"x{i}" for i in range(len(inputs))],
                          output_names=["loss", "output"])
        for p in model.parameters():
            p.copy_(p.bfloat16())
        rounded = model(*(x.bfloat16().float() for x in inputs))[1].numpy()
    np.savez(os.path.join(folder, "tensors.npz"), output=output, rounded=rounded,
             **{f"x{i}": x.numpy() for i, x in enumerate(inputs)})


def onnxruntime(path, inputs, args):
    """(step, whole output of one step, what the JSON line says)."""
    import onnxruntime as ort

    if args.dtype != "f32":
        sys.exit("peer_runtime: onnxruntime computes in f32 on CPUs")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    output = session.run(["output"], inputs)[0]
    bound = session.io_binding()
    for name, x in inputs.items():
        bound.bind_cpu_input(name, x)
    bound.bind_output("loss", "cpu")

    def step():
        session.run_with_iobinding(bound)
        return bound.get_outputs()[0].numpy()

    return step, output, {"peer": "onnxruntime " + ort.__version__, "precision": "f32"}


def openvino(path, inputs, args):
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": args.threads,
        "INFERENCE_PRECISION_HINT": args.dtype})
    request = compiled.create_infer_request()
    for name, x in inputs.items():
        request.set_tensor(name, ov.Tensor(x, shared_memory=True))

    def step():
        request.infer()
        return request.get_output_tensor(0).data

    step()
    return step, request.get_output_tensor(1).data.copy(), {
        "peer": "openvino " + ov.__version__.split("-")[0],
        "precision": compiled.get_property("INFERENCE_PRECISION_HINT").to_string()}


def difference(y, t):
    return float(f"{np.linalg.norm(y.ravel() - t.ravel()) / np.linalg.norm(t):.3g}")


def main():
    p = peer_common.parser(__doc__)
    p.add_argument("--engine", default="openvino", choices=("onnxruntime", "openvino"))
    p.add_argument("--export", metavar="FOLDER", help="only write the model there")
    args = p.parse_args()
    if args.export:
        return export(args.workload, args.threads, args.export)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, args.workload, "--threads", str(args.threads), "--export", folder]
        if subprocess.run(command, stdout=sys.stderr).returncode:
            sys.exit(1)  # it has said why
        with np.load(os.path.join(folder, "tensors.npz")) as tensors:
            inputs = dict(tensors)
        wanted, rounded = inputs.pop("output"), inputs.pop("rounded")
        engine = {"onnxruntime": onnxruntime, "openvino": openvino}[args.engine]
        step, output, info = engine(os.path.join(folder, "model.onnx"), inputs, args)
    info |= {"output_error": difference(output, wanted), "bf16_error": difference(rounded, wanted)}
    peer_common.measure(step, args, **info)


if __name__ == "__main__":
    main()
