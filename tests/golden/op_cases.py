"""What the golden vectors of single functions are made with: cases over dtypes, and calls that must be refused (SCHEMA.md)."""
import json
import math
import os

import torch

import golden_file

DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "i64": torch.int64,
          "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool}
WORDS = {t: w for w, t in DTYPES.items()}
FLOATS, HALVES, SIGNED = ("f64", "f32", "bf16", "f16"), ("bf16", "f16"), ("i64", "i32", "i16", "i8")
INTEGERS = (*SIGNED, "u8")
NUMBERS, ALL = (*FLOATS, *INTEGERS), (*FLOATS, *INTEGERS, "bool")
# Halves are rounded once, from f32: half a unit in the last place, and a little for f32's own error.
TOLERANCES = {"f64": (1e-9, 1e-10), "f32": (2e-5, 1e-5), "bf16": (2 ** -8, 1e-6), "f16": (2 ** -10, 1e-6)}
nan, inf = math.nan, math.inf

tensors, cases, errors = {}, [], []
random = torch.Generator()


def randn(*shape, word="f64", scale=1.0):
    return (torch.randn(shape, generator=random, dtype=torch.float64) * scale).to(DTYPES[word])


def make(values, word="f64"):
    """Numbers as a tensor; integers that the dtype does not hold wrap around."""
    t = torch.tensor(values, dtype=torch.float64)
    return t.to(DTYPES[word]) if word in FLOATS or word == "bool" else t.to(torch.int64).to(DTYPES[word])


def ints(*values, word="i64"):
    return torch.tensor(values, dtype=DTYPES[word])


def plain(v):
    """A value of `call` as JSON has it."""
    if isinstance(v, float) and not math.isfinite(v):
        return str(v)
    return [plain(e) for e in v] if isinstance(v, (list, tuple)) else v


def as_list(y):
    return [y] if isinstance(y, torch.Tensor) else [t for t in y if t is not None]


def find(function):
    if function.startswith("linalg."):
        return getattr(torch.linalg, function[7:])
    for place in (torch, torch.nn.functional, torch.Tensor):
        if hasattr(place, function):
            return getattr(place, function)
    raise KeyError(function)


def torch_call(call, wide=False):
    """`call` as PyTorch takes it: dtypes for words, f64 for the floating ones if `wide`."""
    dtype = DTYPES.get(call.get("dtype"))
    if dtype is None:
        return call
    return {**call, "dtype": torch.float64 if wide and dtype.is_floating_point else dtype}


def plain_name(function):
    return function.lower().replace("_", "-").replace(".", "-")


def module(function):
    return function if "." in function else "F." + function


def named(function, label):
    name = "-".join(w for w in (plain_name(function), label) if w)
    same = sum(c["name"] == name or c["name"].startswith(name + "--") for c in cases)
    return f"{name}--{same}" if same else name


def case(function, inputs=None, call=None, label="", f=None, fixed=(), first=True, second=True, native=False, tol=None):
    """`inputs`: local name -> tensor, whose dtypes are the case's; `f` takes them in order, and `call` by name. f64 and f32 get
    gradients (not those in `fixed`), f64 second ones too (`first`, `second`). Floating results of smaller dtypes are made in f64,
    unless `native`: then they are PyTorch's own of that dtype, where rounding decides."""
    inputs, call, f = inputs or {}, call or {}, f or find(function)
    name = named(function, label)
    ys = as_list(f(*[None if t is None else t.clone() for t in inputs.values()], **torch_call(call)))
    given = [t.dtype for t in inputs.values() if t is not None] or [ys[0].dtype]
    word = WORDS[next((d for d in given if d.is_floating_point), given[0])]
    item = {"name": name, "kind": "function", "module": module(function), "dtype": word, "tensors_file": ""}
    results = [WORDS[y.dtype] for y in ys]
    floats = [w for w in results if w in FLOATS]
    item["rtol"], item["atol"] = tol or TOLERANCES.get(max(floats, key=FLOATS.index, default=""), (0, 0))
    if call:
        item["call"] = {k: plain(v) for k, v in call.items()}

    def put(local, t):
        tensors[name + "." + local] = t.detach()
        return name + "." + local

    item["inputs"] = [None if t is None else put(k, t) for k, t in inputs.items()]
    layout = {k: {"strides": list(t.stride())} for k, t in inputs.items() if t is not None and not t.is_contiguous()}
    if layout:
        item["layout"] = layout
    wide = not native and any(w != "f64" for w in floats)
    x = {k: None if t is None else t.double() if wide and t.is_floating_point() else t.detach().clone() for k, t in inputs.items()}
    first = first and word in ("f64", "f32") and not (native and word != "f64")
    sources = {k: t.requires_grad_() for k, t in x.items()
               if first and t is not None and inputs[k].dtype == DTYPES[word] and t.is_floating_point() and k not in fixed}
    exact = ys
    if wide or sources:
        exact = as_list(f(*x.values(), **torch_call(call, wide)))
    item["outputs"] = []
    for i, (y, e) in enumerate(zip(ys, exact)):
        if y.is_floating_point():
            y = e.to(torch.float64 if results[i] == "f64" else torch.float32)
        item["outputs"].append(put(f"y{i}", y))
    if any(w != word for w in results):
        item["out_dtype"] = results
    on = [i for i, e in enumerate(exact) if e.requires_grad]
    if sources and on:
        gys = [randn(*e.shape).to(DTYPES[results[i]]).double().requires_grad_() if i in on else None for i, e in enumerate(exact)]
        item["grad_outputs"] = [None if g is None else put(f"gy{i}", g.to(ys[i].dtype)) for i, g in enumerate(gys)]
        second = second and word == "f64"
        g = torch.autograd.grad([exact[i] for i in on], list(sources.values()), [gys[i] for i in on], create_graph=second,
                                allow_unused=True)
        g = {k: torch.zeros_like(t) if v is None else v for (k, t), v in zip(sources.items(), g)}
        item["grads"] = {k: put("grad_" + k, v.to(DTYPES[word])) for k, v in g.items()}
        s = sum((v * v).sum() for v in g.values())
        if second and s.requires_grad:
            wanted = {**sources, **{"gy" if i == 0 else f"gy{i + 1}": gys[i] for i in on}}
            d = torch.autograd.grad(s, list(wanted.values()), allow_unused=True)
            item["double_backward"] = {
                "of": list(g), "value": put("s", s),
                "grads": {k: put("dd_" + k, torch.zeros_like(t) if v is None else v) for (k, t), v in zip(wanted.items(), d)}}
    cases.append(item)


def refuse(function, shapes, call=None, label="", f=None, words=None):
    """A call with zeros of these shapes (f32, unless `words`) that PyTorch refuses."""
    call, f = call or {}, f or find(function)
    words = words or ["f32"] * len(shapes)
    x = [torch.zeros(s, dtype=DTYPES[w]) for s, w in zip(shapes, words)]
    try:
        f(*x, **torch_call(call))
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError, ZeroDivisionError) as e:
        note = str(e).split("\n")[0][:90]
    else:
        raise AssertionError(f"{function} {call} was accepted")
    name = "-".join(w for w in ("error", plain_name(function), label or str(len(errors))) if w)
    item = {"name": name, "kind": "function", "module": module(function), "input_shapes": shapes, "input_dtypes": words,
            "stage": "forward", "error": "runtime_error", "about": [], "note": note}
    if call:
        item["call"] = {k: plain(v) for k, v in call.items()}
    errors.append(item)


def save(family):
    """The cases so far, as a family of their own, in data/ or in the folder that the command names."""
    import sys
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", family)
    os.makedirs(path, exist_ok=True)
    assert len({c["name"] for c in cases}) == len(cases)
    for item in cases:
        item["tensors_file"] = family + ".safetensors"
    golden_file.save(os.path.join(path, family + ".safetensors"), tensors)
    rows = lambda items: "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in items) + "\n]"
    with open(os.path.join(path, "manifest.json"), "w") as out:
        out.write(f'{{\n"version": 1,\n"family": "{family}",\n"set": "own",\n"generator": ')
        out.write(json.dumps({"script": f"make_{family}.py", "seed": random.initial_seed(), "torch": torch.__version__}))
        out.write(f',\n"cases": {rows(cases)},\n"errors": {rows(errors)}\n}}\n')
    print(len(cases), "cases,", len(errors), "errors")
