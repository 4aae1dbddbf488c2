#!/usr/bin/env python3
"""Makes data/elementwise: bits, comparisons, quotients and special functions over all dtypes and at special values (SCHEMA.md).

  python3 make_elementwise.py [OUT]      needs torch; deterministic
"""
import itertools

import torch

from op_cases import ALL, FLOATS, HALVES, INTEGERS, case, inf, make, nan, randn, random, refuse, save

random.manual_seed(31)
FEW = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.5]
A, B = zip(*itertools.product(FEW, FEW))
WHOLE = [[-128, -3, -1, 0], [1, 5, 100, 127]]


def left(op):
    """With a number on the left: x is the tensor on the right."""
    return lambda x, other, input: op(input, other)


def bits():
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        op = getattr(torch, name)
        for word in (*INTEGERS, "bool"):
            case(name, {"input": make(WHOLE, word), "other": make([7, -2, 64, 0], word)}, label=word)
        for a, b in [("i8", "u8"), ("i32", "i64"), ("bool", "i16"), ("u8", "bool"), ("u8", "i16")]:
            case(name, {"input": make(WHOLE, a), "other": make([[9], [6]], b)}, label=f"{a}-{b}")
        for word in ("i64", "u8", "bool"):
            case(name, {"input": make(WHOLE, word)}, {"other": 5}, label="number-" + word)
            case(name, {"input": None, "other": make(WHOLE, word)}, {"input": 3}, label="left-" + word, f=left(op))
        case(name, {"input": make(WHOLE, "i8"), "other": make(77, "i64")}, label="rank-0")
        case(name, {"input": make(WHOLE, "i32").t(), "other": make([[3], [1], [-7], [8]], "i32")}, label="columns")
        case(name, {"input": make([[]], "i64"), "other": make([[], []], "i64")}, label="empty")
        refuse(name, [[2], [2]], label="float", words=["f32", "i64"])
        refuse(name, [[2], [3]], label="shapes", words=["i64", "i64"])
    for word in (*INTEGERS, "bool"):
        case("bitwise_not", {"input": make(WHOLE, word)}, label=word)
    case("bitwise_not", {"input": make([], "u8")}, label="empty")
    refuse("bitwise_not", [[2]], label="float")
    amounts = [-1, 0, 1, 3, 7, 8, 15, 16, 31, 32, 63, 64, 100]
    for name in ("bitwise_left_shift", "bitwise_right_shift"):
        op = getattr(torch, name)
        for word in INTEGERS:
            x = make([[-128], [-3], [0], [1], [5], [100]], word)
            case(name, {"input": x, "other": make(amounts, word)}, label=word)
            case(name, {"input": x}, {"other": 2}, label="number-" + word)
            case(name, {"input": None, "other": make([0, 1, 4], word)}, {"input": 5}, label="left-" + word, f=left(op))
        case(name, {"input": make([-9, 9], "i8"), "other": make([[1], [9]], "i16")}, label="i8-i16")
        case(name, {"input": make([-9, 9], "i8"), "other": make([[1], [9]], "u8")}, label="i8-u8")
        case(name, {"input": make([], "i64"), "other": make([3], "i64")}, label="empty")


def comparisons():
    for word in ALL:
        values = [nan, inf, -inf, 0, -0.0, 1, -2.5, 1e-3] if word in FLOATS else [0, 0, 1, 3, 2, 1, 0, 5]
        case("heaviside", {"input": make(values, word), "values": make(0.5 if word in FLOATS else 1, word)}, label=word, first=False)
    case("heaviside", {"input": make([[0.0], [1], [0]]), "values": make([nan, 2, -inf])}, label="each", first=False)
    case("heaviside", {"input": make([]), "values": make([2])}, label="empty", first=False)
    refuse("heaviside", [[2], [2]], label="dtypes", words=["f32", "f64"])
    x = [1.0, 1.0, 1.0, 1.0, 0.0, 100.0, inf, inf, -inf, nan, 1.0, nan]
    y = [1.0, 1.000005, 1.0001, -1.0, 1e-9, 100.01, inf, -inf, -inf, nan, inf, 1.0]
    for word in ("f64", "f32"):
        for call in ({}, {"equal_nan": True}, {"rtol": 1e-3}, {"rtol": 0.0, "atol": 2e-4}, {"rtol": 0.0, "atol": 0.0},
                     {"rtol": 1e-6, "atol": 0.0, "equal_nan": True}):
            case("isclose", {"input": make(x, word), "other": make(y, word)}, call, label=word)
        case("isclose", {"input": make(x, word).reshape(3, 1, 4), "other": make(y, word).reshape(3, 4)}, label="shapes-" + word)
    for word in HALVES:
        case("isclose", {"input": make(x, word), "other": make(y, word)}, {"rtol": 0.05}, label=word)
    for word in INTEGERS:
        case("isclose", {"input": make([0, 1, 100, 100, 7], word), "other": make([0, 2, 100, 101, 7], word)},
             {"rtol": 0.0, "atol": 1.0}, label=word)
        case("isclose", {"input": make([0, 1, 100, 100, 7], word), "other": make([0, 2, 100, 101, 7], word)}, label="default-" + word)
    case("isclose", {"input": make([0, 1, 0, 1], "bool"), "other": make([0, 1, 1, 0], "bool")}, label="bool")
    case("isclose", {"input": make([]), "other": make([1])}, label="empty")
    refuse("isclose", [[2], [2]], label="dtypes", words=["f32", "f64"])
    refuse("isclose", [[2], [2]], {"rtol": -1.0}, label="rtol")
    whether = lambda op: lambda *x, **call: torch.tensor(op(*x, **call))
    for other in ([1.0, 2.0, nan], [1.0, 2.00001, nan], [1.0, 2.1, nan], [1.0, nan, nan]):
        for call in ({}, {"equal_nan": True}, {"equal_nan": True, "atol": 0.2, "rtol": 0.0}):
            case("allclose", {"input": make([1.0, 2.0, nan]), "other": make(other)}, call, f=whether(torch.allclose))
    case("allclose", {"input": make([[1.0], [2.0]]), "other": make(1.0)}, {"atol": 1.0}, label="shapes", f=whether(torch.allclose))
    case("allclose", {"input": make([], "i64"), "other": make([], "i64")}, label="empty", f=whether(torch.allclose))
    for a, b in [([1, 2], [1, 2]), ([1, 2], [1, 3]), ([[1, 2]], [1, 2]), ([], [])]:
        for word in ("f64", "i64", "bf16", "bool"):
            case("equal", {"input": make(a, word), "other": make(b, word)}, label=word, f=whether(torch.equal))
    case("equal", {"input": make([nan]), "other": make([nan])}, label="nan", f=whether(torch.equal))
    for name in ("fmax", "fmin"):
        case(name, {"input": make(A), "other": make(B)}, label="special")
        case(name, {"input": randn(3, 1, 4), "other": randn(2, 1)}, label="shapes")
        for word in ("f32", *HALVES, *INTEGERS, "bool"):
            case(name, {"input": make([[3, 0, -7]], word), "other": make([[1], [0]], word)}, label=word)
        case(name, {"input": make([1, 5], "i32"), "other": make([2.5], "bf16")}, label="i32-bf16")
        case(name, {"input": make([1, 5], "u8"), "other": make([-3], "i8")}, label="u8-i8")
        case(name, {"input": make([]), "other": make([1.0])}, label="empty")


def quotients():
    a, b = [[-7, -1, 0, 1, 7, 120]], [[-3], [2], [7]]
    # The divisor is not 0 in integers.
    for word in INTEGERS:
        case("floor_divide", {"input": make(a, word), "other": make(b, word)}, label=word)
        case("floor_divide", {"input": make(a, word)}, {"other": 3}, label="number-" + word)
    for word in FLOATS:
        case("floor_divide", {"input": make(a, word), "other": make(b, word)}, label=word, first=False)
    case("floor_divide", {"input": make(A), "other": make(B)}, label="special", first=False)
    case("floor_divide", {"input": make(a, "i32"), "other": make(b, "f32")}, label="i32-f32", first=False)
    case("floor_divide", {"input": make(a, "i32")}, {"other": 2.5}, label="i32-number")
    case("floor_divide", {"input": make([[]]), "other": make(b)}, label="empty", first=False)
    refuse("floor_divide", [[2], [2]], label="zero", words=["i64", "i64"])
    for mode in ("trunc", "floor"):
        for word in (*INTEGERS, *FLOATS):
            case("div", {"input": make(a, word), "other": make(b, word)}, {"rounding_mode": mode}, label=f"{mode}-{word}", first=False)
    for name in ("fmod", "remainder"):
        for word in INTEGERS:
            case(name, {"input": make(a, word), "other": make(b, word)}, label=word)
    for number in (7, -7):
        case("remainder", {"input": None, "other": make([-3, 2, 5], "i32")}, {"input": number}, label="left", f=left(torch.remainder))
        case("remainder", {"input": None, "other": make([-3, 2.5, inf, nan])}, {"input": number}, label="left",
             f=left(torch.remainder), first=False)
    for word in INTEGERS:
        case("pow", {"input": make([[-3, -1, 0, 1, 2]], word), "exponent": make([[0], [1], [2], [3]], word)}, label=word)
        case("pow", {"input": make([-3, -1, 0, 1, 2], word)}, {"exponent": 3}, label="number-" + word)
        case("pow", {"input": make([-3, -1, 0, 1, 2], word)}, {"exponent": 0.5}, label="root-" + word)


def special():
    for name in ("logaddexp", "logaddexp2", "hypot", "copysign", "xlogy"):
        case(name, {"input": make(A), "other": make(B)}, label="special", second=False)
        for word in ("f32", *HALVES):
            case(name, {"input": make([[0.5, 1, 4]], word), "other": make([[2.0], [0.25]], word)}, label=word)
        case(name, {"input": make([0.5, 1.5], "bf16"), "other": make([2.0], "f32")}, label="bf16-f32")
        case(name, {"input": make([[]]), "other": make([[2.0], [0.25]])}, label="empty")
    for name in ("copysign", "xlogy"):
        for word in (*INTEGERS, "bool"):
            case(name, {"input": make([0, 1, 3], word), "other": make([[1], [4]], word)}, label=word)
        for other in (-0.0, 0.0, 2.0, 3):  # PyTorch's second derivative of copysign at 0 is NaN, of 0 / 0; weft's is 0
            case(name, {"input": make([0.0, -1.5, 2])}, {"other": other}, label="number", second=name == "xlogy")
        case(name, {"input": make([0, 1, 3], "i64")}, {"other": 2.5}, label="i64-number")
    for number in (0.0, 2.0, -1.5):
        case("xlogy", {"input": None, "other": make([0.0, 0.5, 2, inf])}, {"input": number}, label="left", f=left(torch.xlogy))
    # digamma at -1: its slope is infinite; PyTorch's is the inverse of a rounding error.
    case("digamma", {"input": make([-1.0, -3])}, label="poles", first=False)
    for name, x in [("lgamma", [0.0, -0.0, -1, -2.5, -20.25, 0.5, 1, 2, 3, 1e-8, 50, 170.5, inf, nan]),
                    ("digamma", [0.0, -0.0, -2.5, -20.25, 0.5, 1, 2, 3, 1e-8, 50, 1e6, inf, nan]),
                    ("erfinv", [0.0, -0.0, 1, -1, 1.5, 0.999999, -0.5, 1e-12, nan]),
                    ("sinc", [0.0, -0.0, 1, -2, 0.5, 1e-5, 1e-12, 30.25, nan]),
                    ("asinh", [0.0, -0.0, 1, -2.5, 1e-12, 1e200, inf, -inf, nan]), ("acosh", [1.0, 1.5, 0.5, 30, 1e200, inf, nan]),
                    ("atanh", [0.0, -0.0, 0.5, -0.99, 1e-12, 1, -1, 1.5, nan])]:
        case(name, {"input": make(x)}, label="special", second=False)
        for word in HALVES:
            case(name, {"input": make([0.25, 0.5, 0.75, 0.125] if name != "acosh" else [1, 1.5, 4], word)}, label=word)
        for word in (*INTEGERS, "bool"):
            case(name, {"input": make([1, 1, 0 if name not in ("digamma", "acosh") else 1], word)}, label=word)
        if name.startswith("a"):
            case(name, {"input": make([0.25, 0.5, -0.75] if name != "acosh" else [1.5, 4])})
            case(name, {"input": make([0.25, 0.5, -0.75] if name != "acosh" else [1.5, 4], "f32")}, label="f32")
        case(name, {"input": make([[]])}, label="empty")
    for n in range(5):
        f = lambda x, n: torch.polygamma(n, x)
        case("polygamma", {"input": make([0.1, 0.5, 1, 2.5, 7, 30, 1e3])}, {"n": n}, f=f)
        case("polygamma", {"input": make([0.1, 0.5, 1, 2.5, 7, 30], "f32")}, {"n": n}, label="f32", f=f)
        case("polygamma", {"input": make([1, 2, 9], "i32")}, {"n": n}, label="i32", f=f)
        case("polygamma", {"input": make([0.5, 2.5], "bf16")}, {"n": n}, label="bf16", f=f)
        if n < 2:
            case("polygamma", {"input": make([-0.5, -2.25, -7.75])}, {"n": n}, label="negative", f=f, second=False)
    case("polygamma", {"input": make([])}, {"n": 1}, label="empty", f=lambda x, n: torch.polygamma(n, x))
    refuse("polygamma", [[2]], {"n": -1}, label="negative", f=lambda x, n: torch.polygamma(n, x))
    x = [nan, inf, -inf, 0.0, 1.0, -2.5]
    for word in FLOATS:
        for call in ({}, {"nan": 1.0}, {"posinf": 5.0}, {"nan": -3.0, "posinf": 2.0, "neginf": -7.0}):
            case("nan_to_num", {"input": make(x, word)}, call, label=word, native=True)
    for word in (*INTEGERS, "bool"):
        case("nan_to_num", {"input": make([0, 1, 5], word)}, {"nan": 2.0}, label=word)
    case("nan_to_num", {"input": make([])}, label="empty")
    x = [-0.5, 0.0, 0.05, 0.3, 0.5, 0.95, 1.0, 1.5]
    for call in ({}, {"eps": 0.1}, {"eps": 0.0}, {"eps": 0.5}):
        case("logit", {"input": make(x)}, call, label="special", second=False)
        # The slope at NaN is NaN in PyTorch's plain loops, and 0 in its vectorised ones.
        case("logit", {"input": make([nan])}, call, label="nan", first=False)
    for word in ("f32", *HALVES):
        case("logit", {"input": make([0.25, 0.5, 0.625], word)}, label=word)
    for word in ("u8", "bool"):
        case("logit", {"input": make([0, 1], word)}, {"eps": 0.25}, label=word)


if __name__ == "__main__":
    for part in (bits, comparisons, quotients, special):
        part()
    save("elementwise")
