"""What the golden vectors of torch.nn's modules are made with: cases, printed forms, state and errors (SCHEMA.md)."""
import json
import os

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import golden_file

DTYPES = {"f64": torch.float64, "f32": torch.float32}
TOLERANCES = {"f64": (1e-9, 1e-10), "f32": (2e-5, 1e-5)}
NO_SECOND = {"nn.Hardsigmoid"}  # which PyTorch does not differentiate twice

tensors, cases, errors, reprs, states, inits = {}, [], [], [], [], []
random = torch.Generator().manual_seed(20)


def randn(*shape, scale=1.0):
    return torch.randn(shape, generator=random, dtype=torch.float64) * scale


def build(module, args):
    def value(k, v):
        if isinstance(v, dict):
            return build(v["$module"], v["args"])
        return torch.tensor(v, dtype=torch.float64) if k.endswith("weight") or k == "_random_samples" else v

    return getattr(nn, module.split(".")[1])(**{k: value(k, v) for k, v in args.items()})


def as_list(y):
    """The tensors of nested results, in order."""
    if isinstance(y, torch.Tensor):
        return [y]
    return [t for part in y for t in as_list(part)] if y is not None else []


def packed(m, x, *state, lengths, enforce_sorted=True):
    """A recurrent layer on the first `lengths` steps of a padded batch, padded again."""
    p = pack_padded_sequence(x, torch.tensor(lengths), m.batch_first, enforce_sorted)
    y, last = m(p, *state)
    return pad_packed_sequence(y, m.batch_first)[0], last


def case(name, module, args=None, inputs=None, call=None, train=True, dtype="f64", second=True, fixed=(), nest=None,
         first=True):
    """`inputs`: local name -> tensor; those in `fixed` get no gradient. `nest`: how the module takes them."""
    args, call, torch_dtype = args or {}, call or {}, DTYPES[dtype]
    m = build(module, args).double()
    with torch.no_grad():
        for p in m.parameters():
            p.copy_(randn(*p.shape, scale=0.6).to(torch_dtype))
    m.train(train)
    item = {"name": name, "kind": "module", "module": module, "args": args, "dtype": dtype, "train": train,
            "tensors_file": "modules.safetensors"}

    def put(local, t):
        key = name + "." + local
        tensors[key] = t.detach().to(torch_dtype) if t.is_floating_point() else t.detach()
        return key

    x = {}
    for local, t in inputs.items():
        if t is None:
            x[local] = None
            continue
        x[local] = t.to(torch_dtype).double() if t.is_floating_point() else t
        if t.is_floating_point() and local not in fixed:
            x[local].requires_grad_()
    item["inputs"] = [None if t is None else put(local, t) for local, t in x.items()]
    item["params"] = {n: put(n, p) for n, p in m.named_parameters()}
    named = {}
    torch_call = {}
    for k, v in call.items():
        if isinstance(v, torch.Tensor):
            named[k] = {"$tensor": put(k, v)}
            torch_call[k] = v.double() if v.is_floating_point() else v
        else:
            named[k] = torch_call[k] = v
    if named:
        item["call"] = named
    positional = nest(*x.values()) if nest else list(x.values())
    call_of = getattr(m, torch_call.pop("method", "forward")) if module.startswith("nn.Adaptive") else m
    if "lengths" in call:
        call_of = lambda *x, **k: packed(m, *x, **k)
    ys = as_list(call_of(*positional, **torch_call))
    item["outputs"] = [put("y" + str(i), y) for i, y in enumerate(ys)]
    item["out_dtype"] = [dtype if y.is_floating_point() else "i64" for y in ys]
    sources = {**{k: t for k, t in x.items() if t is not None and t.requires_grad}, **dict(m.named_parameters())}
    if sources and first:
        gys = [randn(*y.shape).to(torch_dtype).double().requires_grad_() if y.requires_grad else None for y in ys]
        item["grad_outputs"] = [None if g is None else put("gy" + str(i), g) for i, g in enumerate(gys)]
        on = [(y, g) for y, g in zip(ys, gys) if g is not None]
        g = torch.autograd.grad([y for y, _ in on], list(sources.values()), [g for _, g in on], create_graph=second,
                                allow_unused=True)
        item["grads"] = {k: put("grad_" + k, v) for k, v in zip(sources, g) if v is not None}
        if second and module not in NO_SECOND:
            s = sum((v * v).sum() for v in g if v is not None)
            wanted = {**sources, **{"gy" if i == 0 else f"gy{i + 1}": t for i, t in enumerate(gys) if t is not None}}
            d = torch.autograd.grad(s, list(wanted.values()), allow_unused=True)
            zero = [torch.zeros_like(t) if v is None else v for v, t in zip(d, wanted.values())]
            item["double_backward"] = {"of": [k for k, v in zip(sources, g) if v is not None], "value": put("s", s),
                                       "grads": {k: put("dd_" + k, v) for k, v in zip(wanted, zero)}}
    item["rtol"], item["atol"] = TOLERANCES[dtype]
    if module == "nn.Hardsigmoid":  # PyTorch has 1/6 in f32
        item["tol"] = {"grads": [1e-7, 1e-7]}
    if second and dtype == "f32":  # two more products of rounded numbers
        item["tol"] = {"double_backward": [5e-4, 5e-4]}
    cases.append(item)


def show(module, args=None):
    args = args or {}
    m = build(module, args)
    name = f"{module[3:].lower()}-{len(reprs)}"
    reprs.append({"name": "repr-" + name, "module": module, "args": args, "repr": repr(m)})
    own = dict(m.named_parameters())
    states.append({"name": "state-" + name, "module": module, "args": args,
                   "entries": [{"key": k, "kind": "param" if k in own else "buffer", "shape": list(v.shape)}
                               for k, v in m.state_dict().items()]})


def refuse(name, module, args=None, shapes=None, call=None, stage="forward", about=(), dtypes=None):
    item = {"name": "error-" + name, "kind": "module", "module": module, "args": args or {}, "stage": stage,
            "error": "value_error" if stage == "construct" else "runtime_error", "about": list(about)}
    if shapes is not None:
        item["input_shapes"] = shapes
    if dtypes:
        item["input_dtypes"] = dtypes
    if call:
        item["call"] = call
    try:
        m = build(module, args or {})
        if stage == "construct":
            raise AssertionError(name + " was accepted")
        kinds = dtypes or [None] * len(shapes)
        x = [torch.zeros(s, dtype=torch.int64 if k == "i64" else torch.float32) for s, k in zip(shapes, kinds)]
        if module in ("nn.LSTM", "nn.LSTMCell") and len(x) == 3:
            x = [x[0], (x[1], x[2])]
        m(*x, **(call or {}))
    except AssertionError as e:
        if "was accepted" in str(e):
            raise
    except Exception:
        pass
    else:
        raise RuntimeError(name + " was accepted")
    errors.append(item)


def save(path):
    golden_file.save(os.path.join(path, "modules.safetensors"), tensors)
    manifest = {"version": 1, "family": "modules", "set": "own",
                "generator": {"script": "make_modules.py", "seed": 20, "torch": torch.__version__},
                "cases": cases, "errors": errors, "init": inits, "repr": reprs, "state": states}
    with open(os.path.join(path, "manifest.json"), "w") as f:
        f.write("{\n")
        for i, (k, v) in enumerate(manifest.items()):
            end = ",\n" if i + 1 < len(manifest) else "\n"
            if isinstance(v, list):
                f.write(json.dumps(k) + ": [\n" + ",\n".join(json.dumps(e, separators=(",", ":")) for e in v) + "\n]" + end)
            else:
                f.write(json.dumps(k) + ": " + json.dumps(v) + end)
        f.write("}\n")
    print(len(cases), "cases,", len(errors), "errors,", len(reprs), "printed forms,", len(inits), "initialisations")
