#!/usr/bin/env python3
"""Makes data/matrices: the results of torch.linalg that have no gradient, its norms, and matrices that are empty or singular
(SCHEMA.md).

  python3 make_matrices.py [OUT]      needs torch; deterministic
"""
import torch
import torch.linalg as L

from op_cases import case, inf, make, nan, randn, random, refuse, save

random.manual_seed(37)
SINGULAR = [[[1, 2], [2, 4]], [[2, 0], [1, 3]], [[0, 0], [0, 0]]]
# Ranks 3, 2, 1, 0.
RANKS = torch.stack([torch.diag(make(d)) for d in ([3, 2, 1], [3, 0, 1e-3], [0, 2, 0], [0, 0, 0])])


def square(*shape):
    return randn(*shape) + 3 * torch.eye(shape[-1], dtype=torch.float64)


def only_info(f):
    return lambda A, only, **call: f(A, **call).info


def whole(f):
    return lambda *x, whole, **call: tuple(f(*x, **call))


def results():
    case("linalg.inv_ex", {"A": square(2, 3, 3)})
    case("linalg.inv_ex", {"A": make(SINGULAR)}, {"only": "info"}, label="singular", f=only_info(L.inv_ex))
    case("linalg.inv_ex", {"A": randn(0, 2, 2)}, label="empty", first=False)
    A = square(2, 3, 3)
    for upper in (False, True):
        case("linalg.cholesky_ex", {"A": A @ A.mT}, {"upper": upper}, first=False)
        case("linalg.cholesky_ex", {"A": make([[[1, 0], [0, -1]], [[-1, 0], [0, 1]], [[2, 1], [1, 2]]])}, {"only": "info", "upper": upper},
             label="info", f=only_info(L.cholesky_ex), first=False)
    for call in ({}, {"atol": 0.1}, {"rtol": 0.5}, {"atol": 1.5, "rtol": 0.1}, {"hermitian": True}, {"hermitian": True, "atol": 2.5}):
        case("linalg.matrix_rank", {"A": RANKS}, call)
    case("linalg.matrix_rank", {"A": randn(2, 4, 3)}, label="tall")
    case("linalg.matrix_rank", {"A": randn(3, 4, word="f32")}, label="f32")
    case("linalg.matrix_rank", {"A": randn(2, 0, 3)}, label="empty")
    for word in ("f64", "f32"):
        case("linalg.slogdet", {"A": make(SINGULAR, word)}, {"whole": True}, label="singular-" + word, f=whole(L.slogdet), first=False)
        case("linalg.slogdet", {"A": randn(3, 4, 4, word=word)}, {"whole": True}, label=word, f=whole(L.slogdet), first=False)
    for shape in ((3, 3), (4, 2), (2, 2, 4), (0, 3), (2, 0, 2)):
        case("linalg.lu", {"A": randn(*shape)}, {"whole": True}, f=whole(L.lu), first=False)
    case("linalg.lu", {"A": make(SINGULAR)}, {"whole": True}, label="singular", f=whole(L.lu), first=False)
    for driver in ("gels", "gelsy", "gelsd", "gelss"):
        call = {"whole": True, "driver": driver}
        for name, (m, n) in {"tall": (4, 2), "wide": (2, 4), "square": (3, 3)}.items():
            case("linalg.lstsq", {"A": randn(m, n), "B": randn(m, 2)}, call, label=f"{name}-{driver}", f=whole(L.lstsq), first=False)
        case("linalg.lstsq", {"A": randn(2, 4, 2), "B": randn(2, 4, 1)}, call, label="batch-" + driver, f=whole(L.lstsq), first=False)
        if driver != "gels":  # which takes matrices of full rank only
            case("linalg.lstsq", {"A": make([[1, 2], [2, 4], [3, 6]]), "B": make([[1], [0], [2]])}, call, label="rank-" + driver,
                 f=whole(L.lstsq), first=False)
            case("linalg.lstsq", {"A": make([[3, 0], [0, 1], [0, 0]]), "B": make([[1], [4], [2]])}, {**call, "rcond": 0.5},
                 label="rcond-" + driver, f=lambda A, B, whole, rcond, driver: tuple(L.lstsq(A, B, rcond=rcond, driver=driver)),
                 first=False)


def norms():
    for ord in (None, 0, 1, 2, 3, -1, 0.5, inf, -inf):
        call = {} if ord is None else {"ord": ord}
        for dim in (0, -1):
            case("linalg.norm", {"A": randn(3, 4)}, {**call, "dim": dim}, label="vectors")
        case("linalg.norm", {"A": randn(4)}, {**call, "keepdim": True}, label="vector")
    for ord in (None, "fro", "nuc", 1, -1, 2, -2, inf, -inf):
        call = {} if ord is None else {"ord": ord}
        case("linalg.norm", {"A": square(3, 3)}, call, label="matrix")
        case("linalg.norm", {"A": randn(2, 3, 4)}, {**call, "dim": [0, 2], "keepdim": True}, label="matrices")
    case("linalg.norm", {"A": randn(2, 3, 4)}, label="all")
    case("linalg.norm", {"A": randn(2, 3, word="f32")}, {"dtype": "f64"}, label="f64", first=False)
    case("linalg.norm", {"A": make([[1, nan], [2, 0]])}, {"ord": "fro"}, label="nan", first=False)
    case("linalg.norm", {"A": randn(0, 3)}, label="empty", first=False)
    case("linalg.norm", {"A": randn(2, 0)}, {"dim": 1}, label="empty-rows", first=False)
    refuse("linalg.norm", [[2, 2]], {"ord": "nuc", "dim": 0}, label="nuc")
    refuse("linalg.norm", [[2, 2, 2]], {"ord": 2}, label="rank")
    refuse("linalg.matrix_norm", [[2, 2]], {"ord": 3}, label="ord")
    refuse("linalg.matrix_norm", [[2, 2]], {"dim": [0, 0]}, label="dims")


def edges():
    for name in ("inv", "det", "svdvals", "matrix_exp"):
        case("linalg." + name, {"A": randn(0, 0)}, label="empty", first=False)
        case("linalg." + name, {"A": randn(0, 2, 2)}, label="no-batch", first=False)
    case("linalg.svdvals", {"A": randn(3, 0)}, label="narrow", first=False)
    case("linalg.solve", {"A": randn(0, 0), "B": randn(0, 2)}, label="empty", first=False)
    case("linalg.solve", {"A": square(2, 2), "B": randn(2, 0)}, label="no-columns", first=False)
    case("linalg.pinv", {"A": randn(0, 3)}, label="empty", first=False)
    case("linalg.pinv", {"A": make([[1, 2], [2, 4], [0, 0]])}, label="rank", first=False)
    case("linalg.matrix_power", {"A": square(2, 2, 2)}, {"n": 0}, label="none", first=False)
    # PyTorch's gradient of a singular matrix is 0, the cofactors are not: from the formula.
    triple = lambda A: (torch.cross(A[0], A[1], dim=0) * A[2]).sum()
    case("linalg.det", {"A": make([[1, 2, 3], [2, 4, 6], [1, 0, 1]])}, label="singular", f=triple, second=False)
    cross = lambda A: A[..., 0, 0] * A[..., 1, 1] - A[..., 0, 1] * A[..., 1, 0]
    case("linalg.det", {"A": make([[[1, 2], [2, 4]], [[3, 1], [0, 2]]])}, label="singular-batch", f=cross, second=False)
    for name in ("inv", "lu_factor"):
        refuse("linalg." + name, [[2, 2]], label="singular")
    refuse("linalg.solve", [[2, 2], [2, 1]], label="singular")
    refuse("linalg.matrix_power", [[2, 2]], {"n": -1}, label="singular")
    for name in ("inv", "det", "slogdet", "matrix_exp"):
        refuse("linalg." + name, [[2, 3]], label="square")
        if name != "matrix_exp":  # of which PyTorch takes halves
            refuse("linalg." + name, [[2, 2]], label="dtype", words=["f16"])
    refuse("linalg.solve", [[2, 2], [3, 1]], label="shapes")
    refuse("linalg.svdvals", [[2]], label="rank")
    refuse("linalg.lstsq", [[2, 2], [2, 1]], {"driver": "gesv"}, label="driver")


if __name__ == "__main__":
    for part in (results, norms, edges):
        part()
    save("matrices")
