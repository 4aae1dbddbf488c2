#!/usr/bin/env python3
"""Makes data/special: values and first gradients of the op table in f64 at NaN, the infinities, zeros of both signs, ties, and the
ends of clamps and of hard functions, as PyTorch has them (SCHEMA.md).

  python3 make_special.py [OUT]      needs torch; deterministic

Where PyTorch is wrong, the case holds what is right, and its `note` says why (`mend`).
"""
import itertools
import json
import math
import os
import sys

import torch
import torch.nn.functional as F

import golden_file
from module_cases import TOLERANCES

TENSORS = "special.safetensors"
tensors, cases = {}, []
nan, inf = math.nan, math.inf
# The points of functions of one argument, and those whose pairs functions of two arguments see.
POINTS = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 6.0, -6.0, 20.0, -20.0, 40.0, -40.0, 710.0, -750.0,
          1e300, -1e300, 5e-324, -5e-324]
FEW = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.5]
# Rows of reductions.
ROWS = [[1, nan, 2, nan], [nan, nan, nan, nan], [inf, 1, inf, 0], [-inf, 1, -inf, 0], [inf, -inf, 0, 1], [-inf, -inf, -inf, -inf],
        [inf, inf, inf, inf], [0, -0.0, 0, -0.0], [3, 3, 3, 3], [2, 1, 2, 1], [0, 1, 0, 2], [0, 1, 3, 2], [nan, inf, -inf, 1], [nan, 0, 0, 1]]


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


def find(function):
    for place in (F, torch, torch.special, torch.linalg):
        if hasattr(place, function):
            return getattr(place, function)
    raise KeyError(function)


def upstream(t):
    """Gradients of the outputs: exact, not 0, and not the same for neighbours."""
    steps = f64([1, 2, 0.5, -3, 4])
    return steps.repeat((t.numel() + 4) // 5)[:t.numel()].reshape(t.shape)


def differentiate(f, inputs, fixed, gys, call):
    """Outputs, and gradients by local name (0 where there is none)."""
    x = {k: None if t is None else t.detach().clone() for k, t in inputs.items()}
    sources = {k: t.requires_grad_() for k, t in x.items() if t is not None and t.is_floating_point() and k not in fixed}
    y = f(*x.values(), **call)
    ys = [y] if isinstance(y, torch.Tensor) else list(y)
    recorded = [i for i, t in enumerate(ys) if t.requires_grad]
    if not recorded or not sources:
        return ys, {}
    gys = gys([t.detach() for t in ys])
    g = torch.autograd.grad([ys[i] for i in recorded], list(sources.values()), [gys[i] for i in recorded], allow_unused=True)
    return ys, {k: torch.zeros_like(t) if v is None else v for (k, t), v in zip(sources.items(), g)}


def alone(f, inputs, fixed, gys, call):
    """The same of elementwise functions, element by element: PyTorch's vectorised loops differ from its plain ones, and so the
    result at NaN depends on where in a tensor the element stands. The plain ones are taken."""
    n = max(t.numel() for t in inputs.values() if t is not None)
    whole, _ = differentiate(f, inputs, fixed, lambda ys: [torch.ones_like(y) for y in ys], call)
    upstreams = gys(whole)
    parts = [differentiate(f, {k: None if t is None else t[i:i + 1] for k, t in inputs.items()}, fixed,
                           lambda ys: [g[i:i + 1] for g in upstreams], call) for i in range(n)]
    return [torch.cat(y) for y in zip(*(ys for ys, _ in parts))], {k: torch.cat([g[k] for _, g in parts]) for k in parts[0][1]}


def case(name, function, inputs, call=None, f=None, fixed=(), gy=None, mend=None, note=None, each=False):
    """`inputs`: local name -> tensor; floating ones that are not in `fixed` get a gradient. `mend`: local name -> what is right,
    as a function of PyTorch's tensor. `each`: element by element."""
    item = {"name": name, "kind": "function", "module": "F." + function, "dtype": "f64", "tensors_file": TENSORS,
            "rtol": TOLERANCES["f64"][0], "atol": TOLERANCES["f64"][1]}
    if call:
        item["call"] = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in call.items()}
    if note:
        item["note"] = note

    def put(local, t):
        if mend and local in mend:
            t = mend[local](t.detach().clone())
        tensors[name + "." + local] = t.detach()
        return name + "." + local

    item["inputs"] = [None if t is None else put(k, t) for k, t in inputs.items()]
    gys = lambda ys: [upstream(t) if gy is None else torch.full_like(t, gy) for t in ys]
    ys, g = (alone if each else differentiate)(f or find(function), inputs, fixed, gys, call or {})
    if each:
        whole = differentiate(f or find(function), inputs, fixed, gys, call or {})
        for word, a, b in [*(("y", *p) for p in zip(ys, whole[0])), *((k, v, whole[1][k]) for k, v in g.items())]:
            if not torch.allclose(a, b, rtol=1e-12, equal_nan=True) and "-v" in sys.argv:
                print(f"note {name} {word}: PyTorch's vectorised loop gives something else")
    item["outputs"] = [put("y" + str(i), t) for i, t in enumerate(ys)]
    words = [next(w for w, d in (("f64", torch.float64), ("i64", torch.int64), ("bool", torch.bool)) if t.dtype == d) for t in ys]
    if words != ["f64"]:
        item["out_dtype"] = words
    if g:
        item["grad_outputs"] = [put(f"gy{i}", u) if t.is_floating_point() else None for i, (t, u) in enumerate(zip(ys, gys(ys)))]
        item["grads"] = {k: put("grad_" + k, v) for k, v in g.items()}
        # Only the first gradients: the driver computes them once more under create_graph, by the formulas made of ops.
        s = sum((tensors[f"{name}.grad_{k}"] ** 2).sum() for k in g)
        item["double_backward"] = {"of": list(g), "value": put("s", s), "grads": {}}
    cases.append(item)


# What PyTorch gets wrong in functions of one argument: of the points and the upstream gradients.
MENDS = {
    "hardsigmoid": lambda x, g: {"mend": {"grad_input": lambda _: torch.where((x > -3) & (x < 3), g / 6, 0.0)},
                                 "note": "PyTorch's 1/6 is a float"},
    "softsign": lambda x, g: {"mend": {"grad_input": lambda _: g / (1 + x.abs()) ** 2},
                              "note": "PyTorch composes it, so that its gradient at infinity is inf / inf"},
}


def unary():
    x = f64(POINTS)
    plain = """abs neg sign square sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh
        erf erfc floor ceil trunc frac round isnan isinf isfinite logical_not relu relu6 selu sigmoid logsigmoid hardsigmoid hardswish
        silu mish softsign tanhshrink gelu elu celu leaky_relu hardtanh softplus hardshrink softshrink rrelu""".split()
    for name in plain:
        points = x
        if name in ("sin", "cos", "tan"):  # of huge arguments every library has its own digits
            points = x[x.isnan() | x.isinf() | (x.abs() < 1e6)]
        case(name, name, {"input": points}, each=True, **MENDS.get(name, lambda x, g: {})(points, upstream(points)))
    for name in ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "relu", "hardtanh", "elu", "silu", "gelu", "mish", "softplus", "sigmoid",
                 "tanh", "hardswish", "softsign", "square", "abs"):
        points = f64([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0])
        for word, g in (("0", 0.0), ("nan", nan), ("inf", inf)):
            case(f"{name}-g{word}", name, {"input": points}, gy=g, each=True,
                 **MENDS.get(name, lambda x, g: {})(points, torch.full_like(points, g)))
    for i, (name, call) in enumerate([
            ("gelu", {"approximate": "tanh"}), ("leaky_relu", {"negative_slope": -0.5}), ("leaky_relu", {"negative_slope": 0.0}),
            ("elu", {"alpha": 0.5}), ("elu", {"alpha": -1.5}), ("celu", {"alpha": 0.5}), ("hardtanh", {"min_val": -2.0, "max_val": 0.5}),
            ("hardtanh", {"min_val": 0.0, "max_val": 1.0}), ("softplus", {"beta": 2.0, "threshold": 3.0}),
            ("softplus", {"beta": 1.0, "threshold": 0.0}), ("hardshrink", {"lambd": 0.0}), ("hardshrink", {"lambd": 1.0}),
            ("softshrink", {"lambd": 0.0}), ("softshrink", {"lambd": 1.0}), ("threshold", {"threshold": 0.0, "value": 7.0}),
            ("threshold", {"threshold": -1.0, "value": 0.0}), ("round", {"decimals": 1}), ("clamp", {"min": 0.0}), ("clamp", {"max": 0.0}),
            ("clamp", {"min": -1.0, "max": 2.0}), ("clamp", {"min": 1.0, "max": 1.0}), ("clamp", {"min": 2.0, "max": -1.0}),
            ("clamp", {"min": -inf, "max": inf}), ("clamp", {"min": inf}), ("clamp", {"max": -inf}), ("clamp", {"min": nan}),
            ("clamp", {"max": nan}), ("clamp", {"min": nan, "max": 1.0}), ("clamp", {"min": 0.0, "max": nan})]):
        case(f"{name}-a{i}", name, {"input": x}, call, each=True)
    pairs = list(itertools.product(FEW, FEW))
    case("glu", "glu", {"input": f64([[a, b] for a, b in pairs])}, {"dim": 1})
    case("prelu", "prelu", {"input": x, "weight": f64([0.25])})
    case("prelu-channels", "prelu", {"input": f64(FEW).reshape(1, -1).repeat(len(FEW), 1), "weight": f64(FEW)})
    for power in (0.0, 1.0, 2.0, 3.0, 0.5, 1.5, -1.0, -0.5, -2.0, inf, -inf, nan):
        case(f"pow-x-{len(cases)}", "pow", {"input": x}, {"exponent": power}, fixed=(), each=True)
    for base in (0.0, 1.0, 2.0, -1.0, inf, -inf, nan):
        case(f"pow-base-{len(cases)}", "pow", {"exponent": f64(FEW)}, {"input": base}, f=lambda e, input: torch.pow(input, e), each=True)
        cases[-1]["inputs"].insert(0, None)


def binary():
    a, b = (f64(v) for v in zip(*itertools.product(FEW, FEW)))
    for name in "add sub mul div fmod remainder maximum minimum atan2 eq ne lt le gt ge logical_and logical_or logical_xor".split():
        case(f"{name}-pairs", name, {"input": a, "other": b}, each=True)
    case("max-pairs", "max", {"input": a, "other": b}, each=True)
    case("min-pairs", "min", {"input": a, "other": b}, each=True)
    case("pow-pairs", "pow", {"input": a, "exponent": b}, each=True)
    for mode in ("trunc", "floor"):
        case(f"div-{mode}", "div", {"input": a, "other": b}, {"rounding_mode": mode}, each=True)
    for other in (0.0, inf, nan, -1.0):
        for name in ("mul", "div", "fmod", "remainder"):
            case(f"{name}-number-{len(cases)}", name, {"input": f64(POINTS)}, {"other": other}, each=True)
    triples = [f64(v) for v in zip(*itertools.product([nan, inf, -inf, 0.0, -1.0, 2.0], repeat=3))]
    case("lerp-triples", "lerp", dict(zip(("input", "end", "weight"), triples)), each=True)
    case("addcmul-triples", "addcmul", dict(zip(("input", "tensor1", "tensor2"), triples)), {"value": 0.5}, each=True)
    case("addcdiv-triples", "addcdiv", dict(zip(("input", "tensor1", "tensor2"), triples)), {"value": 0.5}, each=True)
    case("clamp-triples", "clamp", dict(zip(("input", "min", "max"), triples)), each=True)
    case("clamp-min", "clamp", {"input": a, "min": b}, each=True)
    case("clamp-max", "clamp", {"input": a, "min": None, "max": b}, each=True)
    case("clamp-broadcast", "clamp", {"input": a.reshape(8, 8), "min": f64(FEW), "max": f64([[2.0]])})
    mask = torch.arange(64) % 3 == 0
    case("where-pairs", "where", {"condition": mask, "input": a, "other": b}, each=True)
    case("masked_fill-inf", "masked_fill", {"input": a, "mask": mask}, {"value": -inf}, f=lambda x, m, value: x.masked_fill(m, value), each=True)


def reductions():
    x = f64(ROWS)
    for name in ("sum", "mean", "prod", "var", "std", "amax", "amin", "max", "min", "argmax", "argmin", "logsumexp", "cumsum", "softmax",
                 "log_softmax", "softmin"):
        case(f"{name}-rows", name, {"input": x}, {"dim": 1})
    case("cumprod-rows", "cumprod", {"input": x[[0, 1, 7, 8, 9, 10, 11]]}, {"dim": 1})  # infinity times 0 is anybody's
    for name in ("any", "all"):
        case(f"{name}-rows", name, {"input": x}, {"dim": 1})
    for name in ("amax", "amin", "std", "logsumexp"):
        case(f"{name}-keep", name, {"input": x}, {"dim": 1, "keepdim": True})
    for i, row in enumerate(ROWS):
        for name in ("max", "min", "amax", "amin", "argmax", "argmin"):
            case(f"{name}-all-{i}", name, {"input": f64(row)})
        # beside a row of zeros PyTorch multiplies the others; elsewhere it divides by infinities, or takes 0 for all at two zeros
        case(f"prod-all-{i}", "prod", {"input": f64(row)}, f=lambda x: torch.stack([x, torch.zeros_like(x)]).prod(1)[0])
    case("amax-axes", "amax", {"input": x.reshape(2, 7, 2, 2)}, {"dim": [1, 3]})
    case("amin-axes", "amin", {"input": x.reshape(2, 7, 2, 2)}, {"dim": [0, 2]})
    for p in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, inf, -inf, -1.0):
        case(f"vector_norm-{len(cases)}", "vector_norm", {"input": x}, {"ord": p, "dim": 1})
    for p in (1.0, 2.0, 3.0, inf):  # beside infinities PyTorch's gradient of the norm of order infinity is NaN times 0
        case(f"normalize-{len(cases)}", "normalize", {"input": x if p < inf else x[[0, 1, 7, 8, 9, 10, 11]]}, {"p": p, "dim": 1})
    distinct = f64([[1, nan, 2, 0], [inf, 1, -inf, 0], [3, -inf, 2, inf], [0, 1, inf, nan]])
    case("sort-rows", "sort", {"input": distinct}, {"dim": 1})
    case("sort-down", "sort", {"input": distinct}, {"dim": 1, "descending": True})
    case("sort-ties", "sort", {"input": x}, {"dim": 1, "stable": True}, f=lambda x, dim, stable: torch.sort(x, dim=dim, stable=stable))
    case("topk-rows", "topk", {"input": distinct}, {"k": 2, "dim": 1})
    case("topk-least", "topk", {"input": distinct}, {"k": 2, "dim": 1, "largest": False})


def pools():
    line = f64([1, nan, 2, 2, inf, inf, -inf, -inf, -inf, 0, -0.0, 5]).reshape(1, 1, 12)
    square, cube = line.reshape(1, 1, 3, 4), line.reshape(1, 1, 3, 2, 2)
    for d, x in ((1, line), (2, square), (3, cube)):
        small = 2 if d < 3 else [2, 1, 2]
        case(f"max_pool{d}d", f"max_pool{d}d", {"input": x}, {"kernel_size": small, "stride": 1, "return_indices": True})
        case(f"max_pool{d}d-pad", f"max_pool{d}d", {"input": x}, {"kernel_size": 2, "stride": 2, "padding": 1})
        case(f"avg_pool{d}d", f"avg_pool{d}d", {"input": x}, {"kernel_size": small, "stride": 1})
        case(f"adaptive_max_pool{d}d", f"adaptive_max_pool{d}d", {"input": x}, {"output_size": 2, "return_indices": True})
        case(f"adaptive_avg_pool{d}d", f"adaptive_avg_pool{d}d", {"input": x}, {"output_size": 2})
    powers = f64([[0, 0, 0, 0, 1, -2, nan, 1, inf, 1, -inf, 1]])
    for p in (2.0, 3.0):
        case(f"lp_pool1d-{len(cases)}", "lp_pool1d", {"input": powers}, {"norm_type": p, "kernel_size": 2})
    case("lp_pool2d", "lp_pool2d", {"input": powers.reshape(1, 1, 6, 2)}, {"norm_type": 2.0, "kernel_size": 2})
    for mode in ("nearest", "bicubic"):  # bilinear: PyTorch reads neighbours that weigh 0
        call = {"size": [3, 5], "mode": mode}
        case(f"interpolate-{mode}", "interpolate", {"input": f64([[1, nan, 2], [inf, 0, -inf], [3, 1, 1]]).reshape(1, 1, 3, 3)}, call)


def products():
    a, b = f64([[0, 1], [inf, 1], [nan, 2], [1, -inf]]), f64([[inf, 0, 1], [0, nan, 1]])
    case("matmul", "matmul", {"input": a, "other": b})
    case("linear", "linear", {"input": a, "weight": b.T.contiguous(), "bias": f64([0, inf, nan])})
    case("outer", "outer", {"input": f64(FEW), "vec2": f64(FEW)})
    q, k, v = f64([[[[1, 0], [0, 1], [inf, 0], [nan, 1]]]]), f64([[[[1, 2], [0, 1], [2, 0]]]]), f64([[[[1, 0], [inf, 1], [2, 3]]]])
    plain = lambda q, k, v, attn_mask=None: torch.softmax(
        q @ k.transpose(-1, -2) / math.sqrt(2) + (0 if attn_mask is None else attn_mask), -1) @ v
    case("scaled_dot_product_attention", "scaled_dot_product_attention", {"query": q, "key": k, "value": v}, f=plain)
    mask = f64([[0, -inf, 0], [-inf, 0, -inf], [0, 0, 0], [0, -inf, 0]])
    case("scaled_dot_product_attention-mask", "scaled_dot_product_attention",
         {"query": q[:, :, :2], "key": k, "value": v[..., 1:], "attn_mask": mask[:2]}, f=plain, fixed=("attn_mask",))
    rows = f64([[3, 3, 3, 3], [0, 0, 0, 0], [1, nan, 2, 3], [1, inf, 2, 3], [1, 2, 3, 4]])
    case("layer_norm", "layer_norm", {"input": rows, "weight": f64([1, 2, 0, 1]), "bias": f64([0, 1, 0, 2])},
         f=lambda x, w, b, normalized_shape: F.layer_norm(x, normalized_shape, w, b), call={"normalized_shape": [4]})
    case("rms_norm", "rms_norm", {"input": rows, "weight": f64([1, 2, 0, 1])},
         f=lambda x, w, normalized_shape: F.rms_norm(x, normalized_shape, w), call={"normalized_shape": [4]})
    case("group_norm", "group_norm", {"input": rows[:, :, None]}, {"num_groups": 2})
    case("batch_norm", "batch_norm", {"input": rows.T.contiguous(), "running_mean": f64([0] * 5), "running_var": f64([1] * 5)},
         {"training": True}, fixed=("running_mean", "running_var"))
    case("batch_norm-eval", "batch_norm", {"input": rows[[0, 1, 4, 1, 4]].T.contiguous(), "running_mean": f64([0, 1, 2, 1, 2]), "running_var": f64([1, 0, 1, inf, nan])},
         fixed=("running_mean", "running_var"))
    case("instance_norm", "instance_norm", {"input": rows[None]}, f=lambda x: F.instance_norm(x))
    case("local_response_norm", "local_response_norm", {"input": rows[:, :, None]}, {"size": 2})


def losses():
    a, b = (f64(v) for v in zip(*itertools.product(FEW, FEW)))
    finite = [nan, inf, -inf, 0.0, 1.0, -1.0, 0.5, 2.0]
    sides = [f64(v) for v in zip(*itertools.product(finite, [1.0, -1.0]))]
    # PyTorch's gradients of targets at 0: 0 / 0 of xlogy, and of a masked logarithm. The derivative is log t + 1 - x.
    entropy = {"mend": {"grad_target": lambda g: torch.where(b == 0, -upstream(a) * a, g)}, "note": "the gradient of t log t is taken as 0 at 0"}
    for name, call in [("mse_loss", {}), ("l1_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.0}), ("huber_loss", {}),
                       ("kl_div", {}), ("kl_div", {"log_target": True}), ("poisson_nll_loss", {}), ("poisson_nll_loss", {"log_input": False}),
                       ("poisson_nll_loss", {"full": True}), ("binary_cross_entropy_with_logits", {})]:
        for reduction in ("none", "sum"):
            more = entropy if name == "kl_div" and not call else {"fixed": ("target",)} if call.get("full") else {}
            if more is entropy and reduction == "sum":
                continue
            case(f"{name}-{len(cases)}", name, {"input": a, "target": b}, {**call, "reduction": reduction}, **more)
    p, t = (f64(v) for v in zip(*itertools.product([0.0, 1.0, 0.5, 5e-324], [0.0, 1.0, 0.5])))
    case("binary_cross_entropy", "binary_cross_entropy", {"input": p, "target": t}, {"reduction": "none"}, fixed=("target",),
         mend={"grad_input": lambda _: upstream(p) * (p - t) / ((1 - p) * p).clamp(min=1e-12)}, note="PyTorch's 1e-12 is a float")
    for name, call in [("hinge_embedding_loss", {}), ("hinge_embedding_loss", {"margin": 0.0}), ("soft_margin_loss", {})]:
        x, y = sides
        stable = {"mend": {"grad_input": lambda _: -upstream(x) * y * torch.sigmoid(-y * x)}, "note": "PyTorch's overflows to inf / inf"}
        case(f"{name}-{len(cases)}", name, {"input": x, "target": y}, {**call, "reduction": "none"}, fixed=("target",),
             **(stable if name == "soft_margin_loss" else {}))
    case("margin_ranking_loss", "margin_ranking_loss",
         {"input1": a, "input2": b, "target": torch.where(torch.arange(64) % 2 == 0, f64(1), f64(-1))}, {"reduction": "none"},
         fixed=("target",))
    case("gaussian_nll_loss", "gaussian_nll_loss", {"input": a, "target": b, "var": f64([1.0, 0.0, inf, nan] * 16)},
         {"reduction": "none"})
    rows = f64([[1, nan, 2], [inf, 1, 0], [-inf, 1, 0], [-inf, -inf, -inf], [inf, inf, 0], [0, 0, 0], [2, 1, 0], [1, 2, 1]])
    target = torch.tensor([0, 0, 0, 1, 2, 0, 1, 2])
    for reduction in ("none", "mean"):
        case(f"cross_entropy-{reduction}", "cross_entropy", {"input": rows, "target": target}, {"reduction": reduction})
        case(f"nll_loss-{reduction}", "nll_loss", {"input": rows, "target": target}, {"reduction": reduction})
    case("cross_entropy-smooth", "cross_entropy", {"input": rows, "target": target}, {"reduction": "none", "label_smoothing": 0.1})
    case("cross_entropy-ignored", "cross_entropy", {"input": rows, "target": torch.full((8,), 1)}, {"ignore_index": 1})
    case("cross_entropy-ignored-sum", "cross_entropy", {"input": rows, "target": torch.full((8,), 1)}, {"ignore_index": 1, "reduction": "sum"})
    case("cross_entropy-some", "cross_entropy", {"input": rows, "target": torch.tensor([1, 1, 1, 1, 1, 0, 1, 2])},
         {"ignore_index": 1, "reduction": "sum"})
    case("cross_entropy-soft", "cross_entropy", {"input": rows, "target": f64([[1, 0, 0], [0.5, 0.5, 0]] * 4)}, {"reduction": "none"}, fixed=("target",))
    # without rows whose differences are NaN: PyTorch leaves those out of the sum
    some = [1, 2, 4, 5, 6, 7]
    for p in (1, 2):
        case(f"multi_margin_loss-{p}", "multi_margin_loss", {"input": rows[some], "target": target[some]}, {"p": p, "reduction": "none"})
    case("multilabel_margin_loss", "multilabel_margin_loss",
         {"input": rows[5:], "target": torch.tensor([[0, -1, 1], [1, 0, -1], [2, 0, 1]])}, {"reduction": "none"})
    case("multilabel_soft_margin_loss", "multilabel_soft_margin_loss",
         {"input": rows, "target": f64([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]] * 2)}, {"reduction": "none"}, fixed=("target",))
    v = f64([[0, 0, 0], [1, 0, 0], [nan, 0, 1], [inf, 1, 0], [1, 2, 3]])
    i, j = zip(*itertools.product(range(5), range(5)))
    left, right = v[list(i)], v[list(j)]
    case("cosine_similarity", "cosine_similarity", {"x1": left, "x2": right}, {"dim": 1})
    for p in (1.0, 2.0, inf):
        case(f"pairwise_distance-{len(cases)}", "pairwise_distance", {"x1": left, "x2": right}, {"p": p, "eps": 0.0})
    # without differences that are NaN: of those PyTorch's largest is the largest number, and its gradients differ from norm's
    near = v[[0, 1, 4, 1]]
    for p in (0.0, 1.0, 1.5, 2.0, 3.0, inf):
        far = near if p == inf else torch.cat([near, f64([[1, inf, 0]])])
        case(f"cdist-{len(cases)}", "cdist", {"x1": far, "x2": near}, {"p": p})
        case(f"pdist-{len(cases)}", "pdist", {"input": near}, {"p": p})
    case("cosine_embedding_loss", "cosine_embedding_loss",
         {"input1": left, "input2": right, "target": torch.where(torch.arange(25) % 2 == 0, f64(1), f64(-1))}, {"reduction": "none"},
         fixed=("target",), note="PyTorch's 1e-12 is a float")
    cases[-1]["rtol"] = 1e-8
    case("triplet_margin_loss", "triplet_margin_loss", {"anchor": left, "positive": right, "negative": v.repeat(5, 1)},
         {"reduction": "none"})
    case("triplet_margin_loss-swap", "triplet_margin_loss", {"anchor": left, "positive": right, "negative": v.repeat(5, 1)},
         {"reduction": "none", "swap": True})


def ctc():
    values = torch.sin(torch.arange(36, dtype=torch.float64)).reshape(4, 3, 3).log_softmax(2)
    never = torch.tensor([[1, 1, 1], [1, 2, 1], [2, 1, 0]])
    for zero in (False, True):
        for reduction in ("none", "sum", "mean"):
            for i, steps in enumerate(([4, 4, 4], [4, 2, 4], [4, 3, 0])):
                for j, lengths in enumerate(([3, 3, 2], [3, 3, 0])):
                    case(f"ctc_loss-{int(zero)}-{reduction}-{i}{j}", "ctc_loss",
                         {"log_probs": values, "targets": never, "input_lengths": torch.tensor(steps), "target_lengths": torch.tensor(lengths)},
                         {"reduction": reduction, "zero_infinity": zero})
    odd = values.clone()
    odd[1, 0, 1], odd[2, 1, 0], odd[0, 2, :] = nan, -inf, -inf
    for zero in (False, True):
        case(f"ctc_loss-odd-{int(zero)}", "ctc_loss",
             {"log_probs": odd, "targets": torch.tensor([[1, 2], [2, 1], [1, 1]]), "input_lengths": torch.tensor([4, 4, 4]),
              "target_lengths": torch.tensor([2, 2, 1])}, {"reduction": "none", "zero_infinity": zero},
             mend={"grad_log_probs": lambda g: torch.where((torch.arange(36) == 21).reshape(4, 3, 3), 0.0, g)},
             note="PyTorch's gradient at a probability of 0 is that of -inf - -inf")


def sampled(name, x, grid, call):
    """PyTorch reads past the image at points that are not finite, or calls them 0, by mode and rank: right is an output of NaN, and
    that nothing of the input gets a gradient from there. So it is asked about the others only; the grid's gradient at the
    points that are not finite is not compared: it is none or NaN."""
    odd = ~grid.isfinite().all(-1)
    safe = torch.where(odd.unsqueeze(-1), 0.0, grid)
    case(name, "grid_sample", {"input": x, "grid": grid}, call, fixed=("grid",),
         f=lambda x, grid, **call: torch.where(odd.unsqueeze(1), nan, F.grid_sample(x, safe, **call)),
         note="points that are not finite: see make_special.py")
    case(name + "-finite", "grid_sample", {"input": x, "grid": grid[~odd].reshape(1, *[1] * (grid.dim() - 3), -1, grid.shape[-1])}, call)


def samples():
    x = torch.arange(1, 13, dtype=torch.float64).reshape(1, 1, 3, 4)
    some = [nan, inf, -inf, 0.0, 1.0, -1.0, 0.3, -3.0, 2.6]
    grid = f64([[a, b] for a, b in itertools.product(some, some)]).reshape(1, 9, 9, 2)
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for align in (False, True):
                call = {"mode": mode, "padding_mode": padding, "align_corners": align}
                sampled(f"grid_sample-{mode}-{padding}-{int(align)}", x, grid, call)
    # Here PyTorch's gradient of the grid is worth comparing.
    case("grid_sample-zeros", "grid_sample", {"input": x, "grid": grid}, {"align_corners": False})
    case("grid_sample-far", "grid_sample", {"input": x, "grid": f64([[1e30, 0], [0, -1e30], [1e300, 1e300]]).reshape(1, 1, 3, 2)},
         {"align_corners": False})
    cube = torch.arange(1, 9, dtype=torch.float64).reshape(1, 1, 2, 2, 2)
    where = f64(list(itertools.product([nan, inf, -inf, 0.0, 1.0], repeat=3))).reshape(1, 5, 5, 5, 3)
    for mode in ("bilinear", "nearest"):
        for padding in ("zeros", "border", "reflection"):
            sampled(f"grid_sample-3d-{mode}-{padding}", cube, where, {"mode": mode, "padding_mode": padding, "align_corners": False})


def save(path):
    golden_file.save(os.path.join(path, TENSORS), tensors)
    with open(os.path.join(path, "manifest.json"), "w") as f:
        f.write('{\n"version": 1,\n"family": "special",\n"set": "own",\n"generator": ')
        f.write(json.dumps({"script": "make_special.py", "torch": torch.__version__.split("+")[0]}))
        f.write(',\n"cases": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n}\n")


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "special")
    os.makedirs(out, exist_ok=True)
    for family in (unary, binary, reductions, pools, products, losses, ctc, samples):
        family()
    save(out)
    print(len(cases), "cases")
