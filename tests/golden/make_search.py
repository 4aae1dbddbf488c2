#!/usr/bin/env python3
"""Makes data/search: places in sorted sequences, membership, counting, and statistics of samples, over all dtypes (SCHEMA.md).

  python3 make_search.py [OUT]      needs torch; deterministic
"""
import torch

from op_cases import ALL, HALVES, INTEGERS, NUMBERS, case, inf, ints, make, nan, randn, random, refuse, save

random.manual_seed(35)
# Rows without ties, with ties, and with what is no number.
APART = [[3, 1, 4, 0, 5], [9, 2, 6, 8, 7], [5, 0, 11, 2, 10]]
TIES = [[3, 1, 3, 1, 5], [2, 2, 2, 2, 2], [5, 0, 0, 5, 0]]
ODD = [[1, nan, 2, -inf, inf], [nan, nan, nan, nan, nan], [inf, 3, inf, -1, 0], [4, 1, -2, 3, nan]]


def searching():
    line = [1, 3, 3, 5, 8]
    probes = [0, 1, 2, 3, 5, 8, 9]
    calls = [{}, {"right": True}, {"out_int32": True}, {"out_int32": True, "right": True}]
    for word in NUMBERS:
        for call in calls[:2]:
            case("searchsorted", {"sorted_sequence": make(line, word), "input": make(probes, word)}, call, label=word, first=False)
            case("bucketize", {"input": make([probes], word), "boundaries": make(line, word)}, call, label=word, first=False)
    for call in calls:
        rows = {"sorted_sequence": make([line, [0, 0, 2, 4, 4]]), "input": make([[3, 9, 0], [4, -1, 2]])}
        case("searchsorted", rows, call, label="rows", first=False)
        for number in (3, 4.5, inf):
            case("searchsorted", {"sorted_sequence": make(line)}, {"input": number, **call}, label="number", first=False,
                 f=lambda s, input, **k: torch.searchsorted(s, input, **k))
            case("bucketize", {"input": None, "boundaries": make(line)}, {"input": number, **call}, label="number", first=False,
                 f=lambda _, b, input, **k: torch.bucketize(input, b, **k))
    # No NaN in the sequence: PyTorch then puts numbers behind the NaN, weft before it.
    odd = {"sorted_sequence": make([-inf, 0, 1, inf]), "input": make([nan, inf, -inf, 0.0, -0.0, 2])}
    case("searchsorted", odd, label="odd", first=False)
    case("searchsorted", odd, {"right": True}, label="odd", first=False)
    mixed = make([[5, 1, 3], [2, 0, 9]])
    case("searchsorted", {"sorted_sequence": mixed, "input": make([[3, 4], [0, 10]]), "sorter": torch.argsort(mixed)}, label="sorter",
         first=False, f=lambda s, x, sorter: torch.searchsorted(s, x, sorter=sorter))
    case("searchsorted", {"sorted_sequence": make([]), "input": make([1.0, 2.0])}, label="empty-sequence", first=False)
    case("searchsorted", {"sorted_sequence": make(line), "input": randn(0, 2)}, label="empty-values", first=False)
    case("searchsorted", {"sorted_sequence": make(line), "input": make(3.0)}, label="rank-0", first=False)
    case("searchsorted", {"sorted_sequence": make([line, line]).t().contiguous().t(), "input": make([[3], [4]])}, label="columns",
         first=False)
    refuse("searchsorted", [[2, 3], [3, 1]], label="shapes")
    refuse("searchsorted", [[], [3]], label="rank")
    refuse("bucketize", [[3], [2, 2]], label="rank")
    for word in NUMBERS:
        few = {"elements": make([[0, 1, 2], [3, 1, 7]], word), "test_elements": make([1, 7, 7], word)}
        case("isin", few, label=word, first=False)
        case("isin", few, {"invert": True}, label=word, first=False)
    case("isin", {"elements": make([1, 2, 3, 4]), "test_elements": make([4, 2])}, {"assume_unique": True}, label="unique", first=False)
    case("isin", {"elements": make([nan, 0.0, inf]), "test_elements": make([nan, -0.0, inf])}, label="odd", first=False)
    case("isin", {"elements": make([[1, 2]]), "test_elements": make([])}, label="none", first=False)
    case("isin", {"elements": make([[1, 2]]), "test_elements": make([])}, {"invert": True}, label="none", first=False)
    case("isin", {"elements": make([]), "test_elements": make([1])}, label="empty", first=False)
    case("isin", {"elements": make([1, 2, 300], "i64"), "test_elements": make([2, 44], "u8")}, label="i64-u8")
    for invert in (False, True):
        case("isin", {"elements": make([1, 2, 2])}, {"test_elements": 2, "invert": invert}, label="number", first=False,
             f=lambda x, test_elements, invert: torch.isin(x, test_elements, invert=invert))
        case("isin", {"elements": None, "test_elements": make([1, 2, 2], "i64")}, {"elements": 3, "invert": invert}, label="left",
             f=lambda _, t, elements, invert: torch.isin(elements, t, invert=invert))


def counting():
    for name in ("unique", "unique_consecutive"):
        f = getattr(torch, name)
        for word in ALL:
            case(name, {"input": make([[2, 2, 1], [1, 1, 3]], word)}, {"return_inverse": True, "return_counts": True}, label=word,
                 first=False)
        for call in ({}, {"return_inverse": True}, {"return_counts": True}):
            case(name, {"input": make([3, 3, 1, 3, 1, 1])}, call, first=False)
        rows = make([[1, 2, 1], [1, 2, 1], [0, 2, 0], [1, 2, 1]])
        for dim in (0, 1, -1):
            case(name, {"input": rows}, {"return_inverse": True, "return_counts": True, "dim": dim}, label=f"dim{dim % 2}", first=False)
        case(name, {"input": torch.stack([rows, rows, rows + 1])}, {"return_inverse": True, "return_counts": True, "dim": 0},
             label="slices", first=False)
        case(name, {"input": make([1, nan, nan, inf, inf, -0.0, 0.0])}, {"return_counts": True}, label="odd", first=False)
        case(name, {"input": make(2.5)}, {"return_inverse": True, "return_counts": True}, label="rank-0", first=False)
        case(name, {"input": make([])}, {"return_inverse": True, "return_counts": True}, label="empty", first=False)
        case(name, {"input": make([[1, 2], [1, 1]]).t()}, {"return_inverse": True}, label="columns", first=False)
    for word in INTEGERS:
        case("bincount", {"input": make([3, 1, 1, 0, 6], word)}, label=word)
        case("bincount", {"input": make([3, 1, 1], word)}, {"minlength": 6}, label=word)
        for weight in ALL:
            if word in ("i64", "u8"):
                case("bincount", {"input": make([3, 1, 1, 0], word), "weights": make([2, 1, 4, 3], weight)}, label=f"{word}-{weight}",
                     first=False)
    case("bincount", {"input": make([], "i64")}, label="empty")
    case("bincount", {"input": make([], "i64")}, {"minlength": 3}, label="empty")  # with weights PyTorch's is i64, weft's f64
    refuse("bincount", [[2]], label="float")
    refuse("bincount", [[2, 2]], label="rank", words=["i64"])
    refuse("bincount", [[2]], {"minlength": -1}, label="minlength", words=["i64"])
    refuse("bincount", [[2], [3]], label="weights", words=["i64", "f32"])
    for word in ("f64", "f32"):
        for call in ({"bins": 4, "min": 0, "max": 4}, {"bins": 4}, {"bins": 3, "min": -1, "max": 0.5}, {"bins": 1, "min": 2, "max": 3}, {}):
            case("histc", {"input": make([0, 1, 1, 2.5, 4, -3, 4, 0.5], word)}, call, label=word, native=True, first=False)
    case("histc", {"input": make([2, 2, 2])}, {"bins": 3}, label="equal", first=False)
    case("histc", {"input": make([2, nan, inf, 1, -inf])}, {"bins": 3, "min": 0, "max": 3}, label="odd", first=False)
    case("histc", {"input": make([])}, {"bins": 3}, label="empty", first=False)
    case("histc", {"input": randn(2, 3, 4)}, {"bins": 5, "min": -1, "max": 1}, label="rank-3", first=False)
    refuse("histc", [[2]], {"bins": 0}, label="bins")
    refuse("histc", [[2]], {"bins": 3, "min": 2, "max": 1}, label="range")
    for word in ALL:
        case("count_nonzero", {"input": make([[0, 1, 2], [0, 0, 3]], word)}, label=word)
        case("count_nonzero", {"input": make([[0, 1, 2], [0, 0, 3]], word)}, {"dim": 1}, label=word)
    case("count_nonzero", {"input": make([[0, nan], [-0.0, inf]])}, {"dim": [0, 1]}, label="odd", first=False)
    case("count_nonzero", {"input": randn(2, 0)}, {"dim": 1}, label="empty", first=False)


def statistics():
    x = randn(3, 4, 2)
    for name in ("std_mean", "var_mean"):
        for call in ({}, {"correction": 0}, {"correction": 2, "dim": 1}, {"dim": [0, 2], "keepdim": True}, {"dim": -1, "correction": 0.5}):
            f = lambda x, dim=None, **k: getattr(torch, name)(x, dim, **k)
            case(name, {"input": x}, call, f=f)
        for word in ("f32", *HALVES):
            case(name, {"input": make(APART, word)}, {"dim": 1}, label=word, f=f, second=False)
        # no row with an infinity: PyTorch gives NaN for its mean here, and inf in torch.mean, as weft in both
        case(name, {"input": make([[1, nan, 2], [3, 3, 3]])}, {"dim": 1}, label="odd", f=f, first=False)
        case(name, {"input": randn(2, 0)}, {"dim": 1}, label="empty", f=f, first=False)
        case(name, {"input": randn(2, 1)}, {"dim": 1}, label="one", f=f, first=False)
        refuse(name, [[3]], {"dim": 0}, label="integers", words=["i64"])
    for call in ({}, {"dim": 0}, {"dim": 1, "keepdim": True}, {"keepdim": True}):
        case("aminmax", {"input": randn(3, 4)}, call)
        case("aminmax", {"input": make(TIES)}, call, label="ties")
        case("aminmax", {"input": make(ODD)}, call, label="odd", second=False)
    for word in ("f32", *HALVES, *INTEGERS, "bool"):
        case("aminmax", {"input": make(TIES, word)}, {"dim": 1}, label=word)
    case("aminmax", {"input": make(1.5)}, {"dim": 0}, label="rank-0")
    case("aminmax", {"input": randn(0, 3)}, {"dim": 1}, label="empty", first=False)
    refuse("aminmax", [[0]], label="empty")

    def cov(input, fweights=None, aweights=None, **call):
        return torch.cov(input, fweights=fweights, aweights=aweights, **call)

    for correction in (0, 1, 2):
        case("cov", {"input": randn(3, 5)}, {"correction": correction}, f=cov)
        case("cov", {"input": randn(3, 5), "fweights": ints(1, 0, 2, 1, 3), "aweights": randn(5).abs()}, {"correction": correction},
             label="weights", f=cov)
    case("cov", {"input": randn(6)}, label="vector")
    case("cov", {"input": make(2.5)}, {"correction": 0}, label="rank-0")
    case("cov", {"input": make([[1, 2, 4], [3, 1, 0]], "i64")}, label="i64")
    case("cov", {"input": make([[1, 2, 4], [3, 1, 0]], "f32")}, label="f32")
    case("cov", {"input": make([[1, nan, 4], [3, 1, 0]])}, label="nan", first=False)
    case("cov", {"input": make([[1, inf, 4], [3, 1, 0]])}, label="inf", first=False)
    case("cov", {"input": randn(5), "fweights": None, "aweights": make([0, 1, 0.5, 2, 1])}, label="aweights", f=cov)
    refuse("cov", [[2, 2, 2]], label="rank")
    refuse("cov", [[2, 2]], label="bool", words=["bool"])
    case("corrcoef", {"input": randn(5)}, label="vector", second=False)
    case("corrcoef", {"input": make([[1, 2, 4], [2, 4, 8], [-1, -2, -4]])}, label="bounds", first=False)
    case("corrcoef", {"input": make([[1, 2, 4], [3, 3, 3]])}, label="constant", first=False)
    case("corrcoef", {"input": make([[1, 2, 4], [3, 1, 0]], "i32")}, label="i32")
    case("corrcoef", {"input": make([[1, 2, 4], [3, 1, 0]], "f32")}, label="f32", second=False)

    def diff(input, prepend=None, append=None, **call):
        return torch.diff(input, prepend=prepend, append=append, **call)

    for n in range(4):
        case("diff", {"input": randn(2, 3)}, {"n": n}, label=f"n{n}", first=n < 3)
    for word in ("f32", *HALVES, *INTEGERS, "bool"):
        case("diff", {"input": make([[1, 4, 2, 2], [0, 0, 1, 3]], word)}, {"dim": 1}, label=word)
        case("diff", {"input": make([[1, 4, 2, 2], [0, 0, 1, 3]], word)}, {"dim": 0}, label="columns-" + word)
    case("diff", {"input": make([[1, 0, 0], [0, 1, 1]], "bool")}, {"n": 2}, label="bool-n2")
    case("diff", {"input": randn(3, 2), "prepend": randn(1, 2), "append": randn(2, 2)}, {"dim": 0, "n": 2}, label="ends", f=diff)
    case("diff", {"input": make([1, 2], "i32"), "prepend": None, "append": make([4], "i32")}, label="append", f=diff)
    case("diff", {"input": randn(2, 0)}, label="empty", first=False)
    refuse("diff", [[]], label="rank")
    for call in ({}, {"dx": 0.5}, {"dx": 2, "dim": 0}):
        case("trapezoid", {"values": randn(3, 4)}, call, f=torch.trapezoid)
    case("trapezoid", {"values": randn(3, 4), "x": randn(3)}, {"dim": 0}, label="x", f=torch.trapezoid)
    case("trapezoid", {"values": randn(3, 4), "x": randn(3, 4)}, label="x-full", f=torch.trapezoid)
    case("trapezoid", {"values": randn(1, 4), "x": randn(3, 4)}, label="x-wider", f=torch.trapezoid)
    for word in ("f32", *HALVES, *INTEGERS):
        case("trapezoid", {"values": make([[1, 4, 2, 2], [0, 0, 1, 3]], word)}, label=word, f=torch.trapezoid)
        case("trapezoid", {"values": make([[1, 4, 2, 2]], word), "x": make([0, 1, 3, 4], word)}, label="x-" + word, f=torch.trapezoid,
             second=False)
    case("trapezoid", {"values": randn(3, 1)}, label="one", f=torch.trapezoid, first=False)
    case("trapezoid", {"values": randn(3, 0)}, label="empty", f=torch.trapezoid, first=False)
    refuse("trapezoid", [[3]], label="bool", f=torch.trapezoid, words=["bool"])
    refuse("trapezoid", [[3], [4]], label="x", f=torch.trapezoid)
    rows = make([[3, 4, 0], [0.3, 0.4, 0], [0, 0, 0], [1, 1, 1]])
    for p in (0.5, 1, 2, 3.0, inf):
        case("renorm", {"input": rows}, {"p": p, "dim": 0, "maxnorm": 1.0}, first=False)
    case("renorm", {"input": randn(2, 3, 4)}, {"p": 2, "dim": -1, "maxnorm": 0.5}, label="last")
    case("renorm", {"input": randn(2, 3)}, {"p": 2, "dim": 0, "maxnorm": 0.0}, label="zero", first=False)
    case("renorm", {"input": make(APART, "f32")}, {"p": 1, "dim": 1, "maxnorm": 3.0}, label="f32", second=False)
    for word in HALVES:
        case("renorm", {"input": make(APART, word)}, {"p": 2, "dim": 0, "maxnorm": 4.0}, label=word)
    refuse("renorm", [[3]], {"p": 2, "dim": 0, "maxnorm": 1.0}, label="rank")
    refuse("renorm", [[3, 3]], {"p": 0, "dim": 0, "maxnorm": 1.0}, label="p")
    refuse("renorm", [[3, 3]], {"p": 2, "dim": 0, "maxnorm": -1.0}, label="maxnorm")


if __name__ == "__main__":
    for part in (searching, counting, statistics):
        part()
    save("search")
