#!/usr/bin/env python3
"""Makes data/linalg: functions of torch.linalg with first and second derivatives (SCHEMA.md).

  python3 make_linalg.py [OUT]      needs torch; deterministic

Results with free signs (svd, eigh) are made free of them, and matrices are made symmetric or positive inside of the
function, both as functions_linalg.cpp does.
"""
import json
import os
import sys

import torch
import torch.linalg as L

import golden_file
from module_cases import DTYPES, TOLERANCES

TENSORS = "linalg.safetensors"
tensors, cases = {}, []
random = torch.Generator().manual_seed(33)


def randn(*shape):
    return torch.randn(shape, generator=random, dtype=torch.float64)


def regular(*shape):
    """Singular values apart and far from 0."""
    return randn(*shape) * 0.5 + torch.eye(*shape[-2:], dtype=torch.float64) * torch.arange(2.0, 2.0 + shape[-1])


def symmetric(a):
    return (a + a.mT) * 0.5


def positive(a):
    return a @ a.mT + torch.eye(a.shape[-2], dtype=a.dtype)


def triangle(a, upper):
    return a.triu() if upper else a.tril()


def svd(A):
    U, S, Vh = L.svd(A, full_matrices=False)
    return S, U @ Vh, U.square(), Vh.square()


def eigh(A):
    w, V = L.eigh(symmetric(A))
    return w, V.square(), (V * torch.arange(1.0, 1.0 + w.shape[-1])) @ V.mT


def lu_solve(LU, B, left, adjoint):
    pivots = torch.tensor([3, 2, 3], dtype=torch.int32)
    return L.lu_solve(LU, pivots, B, left=left, adjoint=adjoint)


def cond(A, p=None):
    """PyTorch's own fails in backward for these p: it fills the inverse in place."""
    return L.cond(A) if p is None else L.matrix_norm(A, p) * L.matrix_norm(L.inv(A), p)


# name -> the function, where it is not L's own
FUNCTIONS = {
    "cond": cond, "slogdet": lambda A: L.slogdet(A).logabsdet, "svd": svd, "eigh": eigh, "lu_solve": lu_solve,
    "cholesky": lambda A, upper=False: L.cholesky(positive(A), upper=upper),
    "eigvalsh": lambda A, UPLO="L": L.eigvalsh(symmetric(A), UPLO),
    "qr": lambda A, mode="reduced": tuple(L.qr(A, mode)), "lu": lambda A: tuple(L.lu(A))[1:],
    "lu_factor": lambda A: L.lu_factor(A).LU,
    "lstsq": lambda A, B, driver="gelsy": L.lstsq(A, B, driver=driver).solution,
    "multi_dot": lambda *t: L.multi_dot(t),
    "pinv": lambda A, hermitian=False, **k: L.pinv(symmetric(A) if hermitian else A, hermitian=hermitian, **k),
    # torch gives gradients to the triangle that is not read, too
    "cholesky_solve": lambda B, L, upper=False: torch.cholesky_solve(B, triangle(L, upper), upper=upper),
    "cholesky_inverse": lambda L, upper=False: torch.cholesky_inverse(triangle(L, upper), upper=upper),
}


def plain(v):
    return float(v) if v in ("inf", "-inf") else tuple(v) if isinstance(v, list) else v


def case(name, inputs, call=None, dtype="f64", second=True, word=""):
    """`inputs`: local name -> tensor; all of them get a gradient."""
    call, torch_dtype = call or {}, DTYPES[dtype]
    rtol, atol = TOLERANCES[dtype]
    label = f"{name}-{len(cases)}" + (f"-{word}" if word else "")
    item = {"name": label, "kind": "function", "module": "linalg." + name, "dtype": dtype, "tensors_file": TENSORS,
            "rtol": rtol, "atol": atol}
    if call:
        item["call"] = call

    def put(local, t):
        tensors[label + "." + local] = t.detach().to(torch_dtype) if t.is_floating_point() else t.detach()
        return label + "." + local

    x = {k: t.to(torch_dtype).double().requires_grad_() for k, t in inputs.items()}
    item["inputs"] = [put(k, t) for k, t in x.items()]
    y = (FUNCTIONS.get(name) or getattr(L, name))(*x.values(), **{k: plain(v) for k, v in call.items()})
    y = y if isinstance(y, tuple) else (y,)
    item["outputs"] = [put(f"y{i}", t) for i, t in enumerate(y)]
    gy = [randn(*t.shape).to(torch_dtype).double().requires_grad_() for t in y]
    item["grad_outputs"] = [put(f"gy{i}", t) for i, t in enumerate(gy)]
    g = torch.autograd.grad(y, list(x.values()), gy, create_graph=second)
    item["grads"] = {k: put("grad_" + k, v) for k, v in zip(x, g)}
    if second and len(y) == 1:
        s = sum((v * v).sum() for v in g)
        wanted = {**x, "gy": gy[0]}
        d = torch.autograd.grad(s, list(wanted.values()), allow_unused=True)
        item["double_backward"] = {
            "of": list(x), "value": put("s", s),
            "grads": {k: put("dd_" + k, torch.zeros_like(wanted[k]) if v is None else v) for k, v in zip(wanted, d)}}
    cases.append(item)


def functions():
    for shape in ((1, 1), (4, 4), (2, 3, 3), (2, 1, 2, 2)):
        for name in ("inv", "det", "slogdet", "eigvalsh", "cholesky", "matrix_exp", "lu_factor", "eigh", "svd", "qr",
                     "pinv"):
            case(name, {"A": regular(*shape)})
        case("matrix_power", {"A": regular(*shape)}, {"n": 3})
        case("matrix_power", {"A": regular(*shape)}, {"n": -2})
        case("cholesky", {"A": regular(*shape)}, {"upper": True})
        case("eigvalsh", {"A": regular(*shape)}, {"UPLO": "U"})
        case("pinv", {"A": regular(*shape)}, {"hermitian": True})
        case("solve", {"A": regular(*shape), "B": randn(*shape[:-1], 2)})
        case("solve", {"A": regular(*shape), "B": randn(*shape)}, {"left": False})
    for shape in ((5, 3), (3, 5), (2, 4, 2)):
        for name in ("svd", "qr", "pinv", "svdvals", "lu", "lu_factor"):
            case(name, {"A": regular(*shape)})
        for driver in ("gelsy", "gelsd"):
            case("lstsq", {"A": regular(*shape), "B": randn(*shape[:-1], 2)}, {"driver": driver})
        for ord in ("fro", "nuc", 1, -1, 2, -2, "inf", "-inf"):
            case("matrix_norm", {"A": regular(*shape)}, {"ord": ord})
    case("solve", {"A": regular(4, 1, 3, 3), "B": randn(2, 3, 2)}, word="broadcast")
    case("solve", {"A": regular(2, 3, 3), "B": randn(2, 3)}, word="vectors")
    case("solve", {"A": regular(3, 3), "B": randn(3)}, word="vector")
    case("matrix_norm", {"A": randn(3, 4, 2)}, {"ord": "nuc", "dim": [0, 2], "keepdim": True})
    case("matrix_norm", {"A": randn(3, 4, 2)}, {"ord": 1, "dim": [2, 0]})
    case("cond", {"A": regular(3, 3)})
    case("cond", {"A": regular(3, 3)}, {"p": "fro"})
    case("cond", {"A": regular(2, 3, 3)}, {"p": 1})
    case("matrix_exp", {"A": randn(2, 4, 4) * torch.tensor([0.01, 3.0]).reshape(2, 1, 1)}, word="scaled")
    case("pinv", {"A": regular(4, 3)}, {"atol": 2.5, "rtol": 0.0}, second=False)
    for upper in (False, True):
        for left in (False, True):
            for unit in (False, True):
                case("solve_triangular", {"A": regular(2, 3, 3), "B": randn(3, 3)},
                     {"upper": upper, "left": left, "unitriangular": unit})
        case("cholesky_solve", {"B": randn(3, 2), "L": regular(3, 3)}, {"upper": upper})
        case("cholesky_inverse", {"L": regular(3, 3)}, {"upper": upper})
    for left in (False, True):
        for adjoint in (False, True):
            case("lu_solve", {"LU": regular(3, 3), "B": randn(3, 3)}, {"left": left, "adjoint": adjoint})
    case("multi_dot", {"a": randn(3, 5), "b": randn(5, 2), "c": randn(2, 6)})
    case("multi_dot", {"a": randn(5), "b": randn(5, 2), "c": randn(2)})
    for name in ("inv", "det", "svd", "eigh", "qr", "cholesky", "matrix_exp"):
        case(name, {"A": regular(4, 4)}, dtype="f32", second=False)


def save(path):
    golden_file.save(os.path.join(path, TENSORS), tensors)
    with open(os.path.join(path, "manifest.json"), "w") as f:
        f.write('{\n"version": 1,\n"family": "linalg",\n"set": "own",\n"generator": ')
        f.write(json.dumps({"script": "make_linalg.py", "seed": 33, "torch": torch.__version__}))
        f.write(',\n"cases": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n}\n")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "data", "linalg")
    os.makedirs(out, exist_ok=True)
    functions()
    save(out)
    print(len(cases), "cases")
