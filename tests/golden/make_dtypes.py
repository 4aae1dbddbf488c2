#!/usr/bin/env python3
"""Makes data/dtypes: which dtype a result has, for all pairs of dtypes and for numbers, and the usual functions of integers and of
halves (SCHEMA.md).

  python3 make_dtypes.py [OUT]      needs torch; deterministic
"""
import itertools

from op_cases import ALL, FLOATS, case, make, random, save

random.manual_seed(32)


def pairs():
    """Of tensors, of a tensor and one of rank 0, of a tensor and a number."""
    for a, b in itertools.product(ALL, ALL):
        case("mul", {"input": make([2, {"bool": 1, "u8": 3}.get(a, -3)], a), "other": make([1, 0], b)}, label=f"{a}-{b}", first=False)
        case("add", {"input": make([1, 0], a), "other": make(1, b)}, label=f"{a}-rank0-{b}", first=False)
    for word in ALL:
        for number in (3, 0.5):
            for name in ("add", "mul", "div"):
                case(name, {"input": make([1, 0, 2], word)}, {"other": number}, label="number-" + word, first=False)
            case("where", {"condition": make([1, 0, 1], "bool"), "input": make([1, 0, 2], word)}, {"other": number},
                 label="number-" + word, first=False)


def functions():
    """What PyTorch refuses is left out."""
    for word in ALL:
        for name in ("eq", "lt", "ge", "logical_and", "logical_xor", "minimum", "maximum"):
            case(name, {"input": make([1, 0, 2, 0], word), "other": make([1, 1, 0, 0], word)}, label=word, first=False)
        for name in ("logical_not", "isnan", "isinf", "isfinite"):
            case(name, {"input": make([1, 0, 2], word)}, label=word)
        x = make([1, 0, 2] if word in ("u8", "bool") else [1, 0, -2], word)
        if word != "bool":
            for name in ("abs", "neg", "floor", "ceil", "trunc", "round", "relu"):
                case(name, {"input": x}, label=word, first=False)
        for name in ("sign", "square"):
            case(name, {"input": x}, label=word, first=False)
        if word in ("f64", "f32"):
            continue
        for name in """sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh erf erfc
                    sigmoid""".split():
            case(name, {"input": make([0.25, 1, 0.5] if word in FLOATS else [1, 1, 1], word)}, label=word, first=False)


if __name__ == "__main__":
    pairs()
    functions()
    save("dtypes")
