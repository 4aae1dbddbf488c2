#!/usr/bin/env python3
"""Makes data/functions: functions of torch.nn.functional that the other sets lack, and second derivatives of modules that they
have the first ones of (SCHEMA.md).

  python3 make_functions.py [OUT]      needs torch; deterministic
"""
import json
import os
import sys

import torch
import torch.nn.functional as F

import golden_file
import module_cases as modules

tensors, cases, errors = modules.tensors, modules.cases, []
random = torch.Generator().manual_seed(21)


def randn(*shape, scale=1.0):
    return torch.randn(shape, generator=random, dtype=torch.float64) * scale


def case(name, function, inputs, call=None, dtype="f64", second=True, f=None, fixed=()):
    """`inputs`: local name -> tensor; floating ones that are not in `fixed` get a gradient."""
    call, torch_dtype = call or {}, modules.DTYPES[dtype]
    rtol, atol = modules.TOLERANCES[dtype]
    item = {"name": name, "kind": "function", "module": "F." + function, "dtype": dtype, "tensors_file": "",
            "rtol": rtol, "atol": atol}
    if call:
        item["call"] = call

    def put(local, t):
        tensors[name + "." + local] = t.detach().to(torch_dtype) if t.is_floating_point() else t.detach()
        return name + "." + local

    x = {k: None if t is None else t.to(torch_dtype).double() if t.is_floating_point() else t for k, t in inputs.items()}
    item["inputs"] = [None if t is None else put(k, t) for k, t in x.items()]
    sources = {k: t.requires_grad_() for k, t in x.items() if t is not None and t.is_floating_point() and k not in fixed}
    y = (f or getattr(F, function))(*x.values(), **call)
    item["outputs"] = [put("y", y)]
    gy = randn(*y.shape).to(torch_dtype).double().requires_grad_()
    item["grad_outputs"] = [put("gy", gy)]
    g = torch.autograd.grad(y, list(sources.values()), gy, create_graph=second)
    item["grads"] = {k: put("grad_" + k, v) for k, v in zip(sources, g)}
    if second:
        s = sum((v * v).sum() for v in g)
        wanted = {**sources, "gy": gy}
        d = torch.autograd.grad(s, list(wanted.values()), allow_unused=True)
        item["double_backward"] = {
            "of": list(sources), "value": put("s", s),
            "grads": {k: put("dd_" + k, torch.zeros_like(t) if v is None else v) for (k, t), v in zip(wanted.items(), d)}}
    cases.append(item)


def functions():
    for align in (False, True):
        for size in ([2, 3, 4, 5], [1, 1, 1, 3], [2, 1, 2, 3, 4], [1, 2, 3, 1, 1]):
            d = len(size) - 2
            case(f"affine_grid-{'x'.join(map(str, size))}-{int(align)}", "affine_grid", {"theta": randn(size[0], d, d + 1)},
                 {"size": size, "align_corners": align})
    case("affine_grid-f32", "affine_grid", {"theta": randn(2, 2, 3)}, {"size": [2, 3, 3, 4]}, dtype="f32")
    # PyTorch has no second derivative of pdist; its own are those of the norms of differences.
    for p in (1.0, 1.5, 2.0, 3.0, float("inf")):
        word = "inf" if p == float("inf") else p

        def norms(x, p):
            i, j = torch.triu_indices(len(x), len(x), 1)
            return (x[i] - x[j]).norm(float(p), dim=-1)

        case(f"pdist-{word}".replace(".", "_"), "pdist", {"input": randn(5, 4)}, {"p": word}, f=norms)
    case("pdist-default", "pdist", {"input": randn(4, 3)}, second=False)
    case("pdist-pair", "pdist", {"input": randn(2, 3)}, second=False)
    case("pdist-f32", "pdist", {"input": randn(6, 9)}, dtype="f32", second=False)
    case("bilinear", "bilinear", {"input1": randn(3, 4), "input2": randn(3, 5), "weight": randn(2, 4, 5), "bias": randn(2)})
    case("bilinear-plain", "bilinear", {"input1": randn(2, 3, 4), "input2": randn(2, 3, 1), "weight": randn(1, 4, 1)})
    case("bilinear-row", "bilinear", {"input1": randn(4), "input2": randn(5), "weight": randn(2, 4, 5), "bias": randn(2)})
    case("bilinear-f32", "bilinear", {"input1": randn(3, 7), "input2": randn(3, 5), "weight": randn(9, 7, 5), "bias": randn(9)},
         dtype="f32", second=False)
    x = randn(2, 3, 4)
    for training in (True, False):
        case(f"dropout-{int(training)}", "dropout", {"input": x}, {"p": 0.0, "training": training})
    for name, shape in [("dropout1d", (2, 3, 4)), ("dropout2d", (2, 3, 2, 2)), ("dropout3d", (1, 2, 2, 2, 2)),
                        ("alpha_dropout", (2, 3)), ("feature_alpha_dropout", (2, 3, 4))]:
        case(name + "-eval", name, {"input": randn(*shape)}, {"p": 0.4, "training": False})
    case("softmax-default", "softmax", {"input": x})
    case("log_softmax-default", "log_softmax", {"input": randn(3, 4)})


def second_derivatives():
    """Modules of which the other sets have first derivatives only."""
    x = randn(2, 4, 5, 4)
    each = [("PReLU", {"num_parameters": 4}, x), ("ELU", {"alpha": 0.7}, x), ("Softplus", {"beta": 2, "threshold": 3}, x),
            ("Hardtanh", {"min_val": -0.5, "max_val": 1.5}, x), ("SiLU", {}, x), ("Sigmoid", {}, x), ("Tanh", {}, x),
            ("LogSoftmax", {"dim": 1}, x), ("Softmax", {"dim": -1}, x), ("GroupNorm", {"num_groups": 2, "num_channels": 4}, x),
            ("InstanceNorm2d", {"num_features": 4, "affine": True}, x), ("InstanceNorm1d", {"num_features": 4}, randn(2, 4, 6)),
            ("BatchNorm3d", {"num_features": 2}, randn(2, 2, 2, 3, 2)), ("LayerNorm", {"normalized_shape": [5, 4]}, x),
            ("RMSNorm", {"normalized_shape": [4]}, x), ("MaxPool2d", {"kernel_size": 2, "padding": 1}, x),
            ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, x),
            ("AdaptiveAvgPool2d", {"output_size": [3, 2]}, x), ("AdaptiveMaxPool2d", {"output_size": [3, 2]}, x),
            ("AvgPool3d", {"kernel_size": 2}, randn(1, 2, 4, 3, 4)), ("MaxPool3d", {"kernel_size": 2}, randn(1, 2, 4, 3, 4)),
            ("ReflectionPad2d", {"padding": [1, 2, 0, 3]}, x), ("ReplicationPad3d", {"padding": 1}, randn(1, 1, 2, 3, 2)),
            ("CircularPad1d", {"padding": [2, 1]}, randn(2, 2, 4)), ("ConstantPad2d", {"padding": [1, -1, 2, 0], "value": 2.0}, x),
            ("Upsample", {"scale_factor": 2, "mode": "bicubic", "align_corners": True}, randn(1, 2, 3, 3)),
            ("Upsample", {"size": [3, 7], "mode": "bilinear"}, x), ("PixelShuffle", {"upscale_factor": 2}, x),
            ("PixelUnshuffle", {"downscale_factor": 2}, randn(1, 2, 4, 6)), ("Linear", {"in_features": 4, "out_features": 3}, x),
            ("Conv1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 2, "groups": 2},
             randn(2, 4, 7)),
            ("Conv3d", {"in_channels": 2, "out_channels": 3, "kernel_size": [1, 2, 3], "padding": "same"}, randn(1, 2, 2, 3, 4)),
            ("ConvTranspose1d", {"in_channels": 3, "out_channels": 2, "kernel_size": 4, "stride": 3, "output_padding": 2},
             randn(2, 3, 4)),
            ("ConvTranspose3d", {"in_channels": 2, "out_channels": 2, "kernel_size": 2, "stride": 2, "groups": 2},
             randn(1, 2, 2, 2, 1))]
    for i, (name, args, value) in enumerate(each):
        modules.case(f"second-{i}-{name.lower()}", "nn." + name, args, {"x": value})
    modules.case("second-bilinear", "nn.Bilinear", {"in1_features": 3, "in2_features": 2, "out_features": 4},
                 {"x": randn(5, 3), "x2": randn(5, 2)})
    logits = randn(6, 4)
    for reduction in ("mean", "sum", "none"):
        a = {"reduction": reduction}
        modules.case("second-crossentropy-" + reduction, "nn.CrossEntropyLoss",
                     {"weight": [0.5, 1.0, 2.0, 0.25], "label_smoothing": 0.1, "ignore_index": 1, **a},
                     {"x": logits, "target": torch.tensor([0, 3, 1, 1, 2, 0])})
        modules.case("second-bcelogits-" + reduction, "nn.BCEWithLogitsLoss", {"pos_weight": [0.5, 1.0, 2.0, 0.25], **a},
                     {"x": logits, "target": randn(6, 4).sigmoid()})
        modules.case("second-smoothl1-" + reduction, "nn.SmoothL1Loss", {"beta": 0.7, **a}, {"x": logits, "x2": randn(6, 4)})
        modules.case("second-mse-" + reduction, "nn.MSELoss", a, {"x": logits, "x2": randn(6, 4)})


def special():
    """Functions of mathematics and order statistics, in torch itself."""

    def add(name, function, inputs, call=None, **more):
        case(name, function, inputs, call, f=getattr(torch, function), **more)

    def within(low, high, *shape):
        return low + (high - low) * torch.rand(shape, generator=random, dtype=torch.float64)

    for name, x in [("lgamma", within(-4.9, 9, 3, 5)), ("digamma", within(-3.9, 9, 3, 5)), ("erfinv", within(-0.99, 0.99, 3, 5)),
                    ("sinc", randn(3, 5))]:
        add(name, name, {"input": x})
        add(name + "-f32", name, {"input": x}, dtype="f32", second=False)
    for name in ("logaddexp", "logaddexp2", "hypot", "copysign"):
        add(name, name, {"input": randn(3, 1, 4), "other": randn(2, 4)})
    add("xlogy", "xlogy", {"input": randn(3, 4), "other": within(0.2, 3, 4)})
    add("logit", "logit", {"input": within(0.05, 0.95, 3, 4)})
    add("logit-eps", "logit", {"input": within(-0.2, 1.2, 3, 4)}, {"eps": 0.1})
    x = randn(4, 5)
    add("median", "median", {"input": x})
    odd = x.clone()
    odd[1, 2] = odd[3, 0] = float("nan")
    add("nan_to_num", "nan_to_num", {"input": odd}, {"nan": 0.5})
    add("nanmedian", "nanmedian", {"input": odd})
    q = torch.tensor([0.0, 0.2, 0.55, 1.0], dtype=torch.float64)
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        add("quantile-" + how, "quantile", {"input": x, "q": q}, {"dim": 1, "interpolation": how}, fixed=("q",))
        add("nanquantile-" + how, "nanquantile", {"input": odd, "q": q}, {"dim": 0, "keepdim": True, "interpolation": how},
            fixed=("q",))
    add("quantile-all", "quantile", {"input": x, "q": q}, fixed=("q",))
    add("logcumsumexp", "logcumsumexp", {"input": x}, {"dim": 1})


def antialiased():
    x = randn(2, 3, 9, 7)
    for mode in ("bilinear", "bicubic"):
        for word, call in [("down", {"size": [4, 3]}), ("mixed", {"size": [2, 12], "align_corners": True}),
                           ("factor", {"scale_factor": [0.3, 0.6]}), ("one", {"size": 1})]:
            case(f"interpolate-antialias-{mode}-{word}", "interpolate", {"input": x}, {**call, "mode": mode, "antialias": True})
        case(f"interpolate-antialias-{mode}-f32", "interpolate", {"input": randn(1, 2, 40, 31)},
             {"size": [7, 10], "mode": mode, "antialias": True}, dtype="f32", second=False)


def save(path, family="functions", seed=21):
    """The cases so far, as a family of their own."""
    file = family + ".safetensors"
    for item in cases:
        item["tensors_file"] = file
    golden_file.save(os.path.join(path, file), tensors)
    with open(os.path.join(path, "manifest.json"), "w") as f:
        f.write(f'{{\n"version": 1,\n"family": "{family}",\n"set": "own",\n"generator": ')
        f.write(json.dumps({"script": f"make_{family}.py", "seed": seed, "torch": torch.__version__}))
        f.write(',\n"cases": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n}\n")


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "functions")
    os.makedirs(out, exist_ok=True)
    functions()
    second_derivatives()
    special()
    antialiased()
    save(out)
    print(len(cases), "cases")
