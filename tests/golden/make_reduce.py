#!/usr/bin/env python3
"""Makes data/reduce: order statistics, scans, sorting and sums over all dtypes (SCHEMA.md).

  python3 make_reduce.py [OUT]      needs torch; deterministic

Where elements tie, PyTorch does not say which position it gives: those cases ask for `"only": "values"`.
"""
import torch

from op_cases import ALL, HALVES, INTEGERS, NUMBERS, case, inf, make, nan, randn, random, refuse, save

random.manual_seed(33)
# Rows without ties, with ties, and with what is no number.
APART = [[3, 1, 4, 0, 5], [9, 2, 6, 8, 7], [5, 0, 11, 2, 10]]
TIES = [[3, 1, 3, 1, 5], [2, 2, 2, 2, 2], [5, 0, 0, 5, 0]]
ODD = [[1, nan, 2, -inf, inf], [nan, nan, nan, nan, nan], [inf, 3, inf, -1, 0], [4, 1, -2, 3, nan]]


def values(f):
    return lambda *x, only, **call: f(*x, **call)[0]


def order_statistics():
    both = [("median", {}), ("nanmedian", {}), ("kthvalue", {"k": 2}), ("mode", {})]
    for name, k in both:
        f = getattr(torch, name)
        if name == "mode":  # of all-different elements the smallest
            x = make([[3, 1, 3, 0, 5], [9, 2, 6, 6, 2], [5, 0, 11, 0, 0]])
        else:
            x = randn(3, 5, 4)
        for dim in range(-1, x.dim() - 1):
            case(name, {"input": x}, {**k, "dim": dim}, label=f"dim{dim % x.dim()}")
        case(name, {"input": x}, {**k, "dim": 1, "keepdim": True}, label="keepdim")
        case(name, {"input": x.transpose(0, 1)}, {**k, "dim": 0}, label="columns")
        for word in ("f32", *HALVES, *INTEGERS):
            case(name, {"input": make(APART, word)}, {**k, "dim": 1}, label=word)
        case(name, {"input": make(TIES)}, {**k, "dim": 1, "only": "values"}, label="ties", f=values(f), first=False)
        case(name, {"input": make(TIES, "u8")}, {**k, "dim": 0, "only": "values"}, label="ties-u8", f=values(f))
        case(name, {"input": make(7.5)}, {"k": 1, "dim": 0} if k else {"dim": 0}, label="rank-0")
        case(name, {"input": randn(0, 3)}, {**k, "dim": 1}, label="empty")
        refuse(name, [[2, 0]], {**k, "dim": 1}, label="empty-axis")
        refuse(name, [[2, 3]], {**k, "dim": 2}, label="dim")
    for row in ODD:
        for name in ("median", "nanmedian"):
            f = getattr(torch, name)
            case(name, {"input": make([row])}, {"dim": 1, "only": "values"}, label="odd", f=values(f), first=False)
            case(name, {"input": make(row)}, label="odd-all", second=False)
    case("median", {"input": make([[1, nan, 2], [2, 1, 0]])}, {"dim": 1}, label="first-nan")
    case("nanmedian", {"input": make([[1, nan, 2], [2, 1, 0]])}, {"dim": 1}, label="first-nan")
    for name in ("median", "nanmedian"):
        case(name, {"input": make(TIES)}, label="all-ties")
        case(name, {"input": randn(2, 0)}, label="all-empty", first=False)
        for word in ("f32", *HALVES, *INTEGERS):
            case(name, {"input": make(TIES, word)}, label="all-" + word)
    case("kthvalue", {"input": make(ODD)}, {"k": 4, "dim": 1, "only": "values"}, label="odd", f=values(torch.kthvalue), first=False)
    case("mode", {"input": make([[inf, -inf, inf, 3], [nan, 1, 1, nan]])}, {"dim": 1}, label="odd")
    case("mode", {"input": make([[1, 0], [0, 1]], "bool")}, {"dim": 1, "only": "values"}, label="bool", f=values(torch.mode))
    for k in (0, 4):
        refuse("kthvalue", [[3]], {"k": k}, label=f"k{k}")
    hows = ("linear", "lower", "higher", "midpoint", "nearest")
    for name in ("quantile", "nanquantile"):
        for how in hows:
            for q in (0.0, 0.3, 0.5, 1.0):
                case(name, {"input": make(APART)}, {"q": q, "dim": 1, "interpolation": how}, label=how)
            case(name, {"input": make(ODD)}, {"q": 0.4, "dim": 1, "interpolation": how}, label="odd-" + how, first=False)
            case(name, {"input": make(ODD)}, {"q": 0.4, "dim": 0, "interpolation": how}, label="odd-columns-" + how, first=False)
        case(name, {"input": randn(2, 3, 4)}, {"q": 0.7}, label="all")
        case(name, {"input": randn(2, 3, 4)}, {"q": 0.7, "keepdim": True}, label="all-keepdim")
        case(name, {"input": randn(2, 3, 4)}, {"q": 0.1, "dim": -2, "keepdim": True}, label="keepdim")
        case(name, {"input": randn(2, 6, word="f32"), "q": make([0.2, 0.9], "f32")}, {"dim": 1}, label="f32", fixed=("q",))
        case(name, {"input": randn(2, 6), "q": make(0.25)}, {"dim": 0, "keepdim": True}, label="q-rank-0", fixed=("q",))
        case(name, {"input": randn(5), "q": make([])}, label="q-empty", fixed=("q",), first=False)
        case(name, {"input": make(2.5)}, {"q": 0.5}, label="rank-0")
        refuse(name, [[3]], {"q": 1.5}, label="q")
        refuse(name, [[0]], {"q": 0.5}, label="empty")
        refuse(name, [[3]], {"q": 0.5}, label="dtype", words=["f16"])


def scans():
    for name in ("cummax", "cummin"):
        x = randn(3, 4, 2)
        for dim in (0, 1, -1):
            case(name, {"input": x}, {"dim": dim}, label=f"dim{dim % 3}")
        case(name, {"input": x.transpose(0, 2)}, {"dim": 1}, label="columns")
        case(name, {"input": make(ODD)}, {"dim": 1}, label="odd", second=False)
        case(name, {"input": make(ODD)}, {"dim": 0}, label="odd-columns", second=False)
        for word in ALL:
            case(name, {"input": make(TIES, word)}, {"dim": 1}, label="ties-" + word)
        case(name, {"input": make(1.5)}, {"dim": 0}, label="rank-0")
        case(name, {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)
        refuse(name, [[2]], {"dim": 1}, label="dim")
    rows = [[1, 2, 3], [-inf, -inf, 1], [inf, 1, 2], [-inf, inf, 0], [nan, 1, 2], [1, nan, 2], [1e3, -1e3, 1e3], [-800, -800, -800]]
    case("logcumsumexp", {"input": make(rows)}, {"dim": 1}, label="special", first=False)
    for dim in (0, 1, -1):
        case("logcumsumexp", {"input": randn(3, 4, 2)}, {"dim": dim}, label=f"dim{dim % 3}")
    for word in ("f32", *HALVES):
        case("logcumsumexp", {"input": make([[0.5, 1, -2, 4]], word)}, {"dim": 1}, label=word)
    case("logcumsumexp", {"input": make(1.5)}, {"dim": 0}, label="rank-0")
    case("logcumsumexp", {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)
    for name in ("cumsum", "cumprod"):
        for word in ALL:
            case(name, {"input": make([[3, 1, 2], [0, 1, 3]], word)}, {"dim": 1}, label=word)
            if word != "f64":
                case(name, {"input": make([[3, 1, 2], [0, 1, 3]], word)}, {"dim": 0, "dtype": "f64"}, label="f64-" + word, first=False)
        case(name, {"input": make([[100, 100], [100, 3]], "f64")}, {"dim": 0, "dtype": "i32"}, label="i32", first=False)
        case(name, {"input": make([3.5])[0]}, {"dim": 0}, label="rank-0")
        case(name, {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)


def sorting():
    for word in ALL:
        for name in ("sort", "argsort"):
            for call in ({"dim": -1, "stable": True}, {"dim": 0, "descending": True, "stable": True}):
                case(name, {"input": make(TIES, word)}, call, label=word, first=False)
    for name in ("sort", "argsort"):
        case(name, {"input": make(ODD)}, {"dim": 1, "stable": True}, label="odd", first=False)
        case(name, {"input": make(ODD)}, {"dim": 1, "descending": True, "stable": True}, label="odd-down", first=False)
        case(name, {"input": make(2.5)}, {"dim": 0, "stable": True}, label="rank-0", first=False)
        case(name, {"input": randn(2, 0)}, {"dim": 1, "stable": True}, label="empty", first=False)
    for word in NUMBERS:
        for largest in (True, False):
            case("topk", {"input": make(APART, word)}, {"k": 2, "dim": 1, "largest": largest}, label=word)
    case("topk", {"input": make([[1, nan, 2, -inf, inf]])}, {"k": 3}, label="odd", first=False)
    case("topk", {"input": randn(2, 3)}, {"k": 0}, label="none", first=False)
    refuse("topk", [[3]], {"k": 4}, label="k")


def sums():
    x = make(ODD)
    case("nansum", {"input": x}, label="all", second=False)
    for call in ({"dim": 1}, {"dim": [0, 1]}, {"dim": 0, "keepdim": True}):
        case("nansum", {"input": make([[1, nan, 2], [nan, nan, nan], [0, -3, 1]])}, call, label="odd")
    for call in ({}, {"dim": 1}, {"dim": [0, 1], "keepdim": True}):
        case("nanmean", {"input": make([[1, nan, 2], [0, -3, 1]])}, call)
    case("nanmean", {"input": make([[1, nan], [nan, nan], [inf, 2]])}, {"dim": 1}, label="odd", first=False)
    case("nanmean", {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)
    for word in ("f32", *HALVES):
        case("nanmean", {"input": make([[1, nan, 2]], word)}, {"dim": 1}, label=word)
    case("nanmean", {"input": make([[1, nan, 2]], "f32")}, {"dtype": "f64"}, label="f64", first=False)
    refuse("nanmean", [[3]], label="integers", words=["i64"])
    for word in ALL:
        case("nansum", {"input": make([[1, 2, 3], [0, 1, 0]], word)}, {"dim": 1}, label=word)
        for name in ("sum", "prod"):
            case(name, {"input": make([[1, 2, 3], [0, 1, 4]], word)}, {"dim": 1}, label=word, first=False)
            case(name, {"input": make([[1, 2, 3], [0, 1, 4]], word)}, {"dim": 0, "dtype": "f64"}, label="f64-" + word, first=False)
        for name in ("amax", "amin") if word == "bool" else ("amax", "amin", "argmax", "argmin"):
            case(name, {"input": make([[1, 2, 3], [4, 1, 0]] if word != "bool" else [[0, 1], [1, 0]], word)}, {"dim": 1}, label=word,
                 first=False)
        if word != "u8":  # of u8 PyTorch's are u8, weft's bool
            for name in ("any", "all"):
                case(name, {"input": make([[1, 2, 0], [0, 0, 0], [3, 1, 1]], word)}, {"dim": 1}, label=word, first=False)
    case("nansum", {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)
    case("nansum", {"input": make([[1, nan]], "f32")}, {"dim": 1, "dtype": "f64"}, label="f64", first=False)
    case("mean", {"input": make([[1, 2, 4]], "i64")}, {"dim": 1, "dtype": "f32"}, label="i64")


if __name__ == "__main__":
    for part in (order_statistics, scans, sorting, sums):
        part()
    save("reduce")
