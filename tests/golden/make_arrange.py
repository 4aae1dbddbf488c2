#!/usr/bin/env python3
"""Makes data/arrange: sequences, and joining, cutting, turning and repeating tensors, and diagonals, over all dtypes (SCHEMA.md).

  python3 make_arrange.py [OUT]      needs torch; deterministic
"""
import torch

from op_cases import ALL, FLOATS, NUMBERS, case, inf, ints, make, nan, randn, random, refuse, save

random.manual_seed(34)
COUNTS = [[0, 1, 2], [3, 4, 5]]


def listed(op):
    """An op of a list of tensors."""
    return lambda *x, **call: op(x, **call)


def tensors(*parts):
    return {chr(ord("a") + i): t for i, t in enumerate(parts)}


def factories():
    for call in ({"end": 5}, {"end": 2.5}, {"start": 1, "end": 4}, {"start": 1, "end": 8, "step": 3}, {"start": 5, "end": -1, "step": -2},
                 {"start": 0.5, "end": 2, "step": 0.5}, {"start": 1, "end": 1}, {"start": 0, "end": 1, "step": 0.1}):
        case("arange", call=call, f=lambda start=0, end=0, step=1, **k: torch.arange(start, end, step, **k))
        for word in NUMBERS:
            if word in FLOATS or not any(isinstance(v, float) for v in call.values()):
                if not (word == "u8" and call.get("step", 1) < 0):
                    case("arange", call={**call, "dtype": word}, label=word, native=word == "f32",
                         f=lambda start=0, end=0, step=1, **k: torch.arange(start, end, step, **k))
    refuse("arange", [], {"end": 3, "step": 0}, label="step", f=lambda start=0, end=0, step=1: torch.arange(start, end, step))
    refuse("arange", [], {"end": 3, "step": -1}, label="sign", f=lambda start=0, end=0, step=1: torch.arange(start, end, step))
    for ends in ((0, 1), (-3, 10), (2.5, -1.25), (1e6, 1e6 + 1), (3, 3)):
        for steps in (0, 1, 4, 5):
            case("linspace", call={"start": ends[0], "end": ends[1], "steps": steps})
            case("logspace", call={"start": min(ends[0], 3), "end": min(ends[1], 4), "steps": steps})
    for word in NUMBERS:
        for steps in (4, 5):
            case("linspace", call={"start": 0, "end": 10, "steps": steps, "dtype": word}, label=word)
            case("logspace", call={"start": 0, "end": 3, "steps": steps, "base": 2.0, "dtype": word}, label=word)
    case("linspace", call={"start": 7, "end": -7, "steps": 6, "dtype": "i32"}, label="down")
    case("logspace", call={"start": -1, "end": 1, "steps": 3, "base": 0.5, "dtype": "f64"}, label="base")
    case("logspace", call={"start": 0, "end": 3, "steps": 4, "base": -2.0, "dtype": "f64"}, label="negative")
    case("logspace", call={"start": 0, "end": 3, "steps": 4, "base": 0.0, "dtype": "f64"}, label="zero")
    refuse("linspace", [], {"start": 0, "end": 1, "steps": -1}, label="steps")
    refuse("logspace", [], {"start": 0, "end": 1, "steps": -1}, label="steps")
    for name in ("tril_indices", "triu_indices"):
        for size in ((3, 3), (2, 4), (4, 2), (0, 3), (3, 0)):
            for offset in (-3, -1, 0, 1, 5):
                if min(size) or offset == 0:
                    case(name, call={"row": size[0], "col": size[1], "offset": offset})
        case(name, call={"row": 3, "col": 2, "offset": 1, "dtype": "i32"}, label="i32")
        refuse(name, [], {"row": -1, "col": 2}, label="size")
    for word in ALL:
        case("eye", call={"n": 2, "m": 3, "dtype": word}, label=word)
        for name in ("zeros", "ones"):
            case(name, call={"size": [2, 1], "dtype": word}, label=word)
        case("full", call={"size": [2, 1], "fill_value": 1, "dtype": word}, label=word)
        for name in ("zeros_like", "ones_like"):
            case(name, {"input": make(COUNTS, word)}, label=word, first=False)
        case("full_like", {"input": make(COUNTS, word)}, {"fill_value": 1}, label=word, first=False)
    case("eye", call={"n": 3})
    case("eye", call={"n": 0, "m": 2})
    for size, value in (([2], 3), ([0, 2], 1.5), ([], True), ([2], inf), ([1], nan)):
        case("full", call={"size": size, "fill_value": value})


def joining():
    pieces = tensors(make(COUNTS), make([[7.0], [8.0]]))
    case("cat", pieces, {"dim": 1}, f=listed(torch.cat))
    for a, b in [("i64", "f32"), ("u8", "i8"), ("bool", "i16"), ("bf16", "f16"), ("i32", "bf16")]:
        for name in ("cat", "stack", "hstack", "vstack", "dstack", "block_diag"):
            op = getattr(torch, name)
            case(name, tensors(make([[0, 1]], a), make([[1, 3]], b)), label=f"{a}-{b}", f=op if name == "block_diag" else listed(op),
                 first=False)
    case("cat", tensors(make([]), randn(2, 3)), {"dim": 1}, label="empty", f=listed(torch.cat))
    for word in ALL:
        case("cat", tensors(make(COUNTS, word), make([[1, 0, 1]], word)), label=word, f=listed(torch.cat), first=False)
        case("stack", tensors(make(COUNTS, word), make(COUNTS, word)), {"dim": -1}, label=word, f=listed(torch.stack), first=False)
    for name in ("vstack", "hstack", "dstack"):
        op = listed(getattr(torch, name))
        case(name, tensors(randn(), randn()), label="rank-0", f=op)
        case(name, tensors(randn(3), randn(3)), label="vectors", f=op)
        case(name, tensors(randn(2, 3, 1), randn(2, 3, 1)), label="rank-3", f=op)
        case(name, tensors(randn(0, 2), randn(0, 2)), label="empty", f=op, first=False)
        refuse(name, [[2, 3], [3, 4]], label="shapes", f=op)
    case("column_stack", tensors(randn(3), randn(3, 2), randn(3)), f=listed(torch.column_stack))
    case("column_stack", tensors(randn(), randn()), label="rank-0", f=listed(torch.column_stack))
    case("column_stack", tensors(make([1, 2], "i32"), make([0.5, 1], "f32")), label="i32-f32", f=listed(torch.column_stack), first=False)
    case("block_diag", tensors(randn(2, 0), randn(1, 2)), label="empty", f=torch.block_diag)
    case("block_diag", tensors(randn()), label="rank-0", f=torch.block_diag)
    refuse("block_diag", [[2, 2, 2]], label="rank", f=torch.block_diag)
    for indexing in ("ij", "xy"):
        grid = lambda *x, indexing: torch.meshgrid(*x, indexing=indexing)
        case("meshgrid", tensors(randn(2), randn(3)), {"indexing": indexing}, f=grid)
        case("meshgrid", tensors(randn(2), randn(3), randn(2)), {"indexing": indexing}, label="three", f=grid)
        case("meshgrid", tensors(randn(2)), {"indexing": indexing}, label="one", f=grid)
        case("meshgrid", tensors(randn(), randn(2)), {"indexing": indexing}, label="rank-0", f=grid)
        case("meshgrid", tensors(randn(2), randn(0)), {"indexing": indexing}, label="empty", f=grid, first=False)
        for word in ALL if indexing == "xy" else ():
            case("meshgrid", tensors(make([0, 1], word), make([1, 2, 3], word)), {"indexing": indexing}, label=word, f=grid, first=False)
    refuse("meshgrid", [[2, 2], [2]], {"indexing": "ij"}, label="rank", f=grid)
    for word in ALL:
        case("cartesian_prod", tensors(make([0, 1], word), make([1, 2, 3], word)), label=word, first=False)
        case("combinations", {"input": make([3, 1, 2], word)}, label=word, first=False)
    case("cartesian_prod", tensors(randn(3)), label="one")
    case("cartesian_prod", tensors(randn(2), randn(0)), label="empty", first=False)
    refuse("cartesian_prod", [[2, 2]], label="rank")
    for r in range(5):
        for again in (False, True):
            if r < 4 or again:
                case("combinations", {"input": make([4, 7, 1])}, {"r": r, "with_replacement": again}, first=0 < r < 4)
    case("combinations", {"input": make([])}, label="empty", first=False)
    refuse("combinations", [[3]], {"r": -1}, label="r")
    refuse("combinations", [[3, 3]], label="rank")


def cutting():
    x = randn(5, 2)
    for how in (3, 1, 7, [1, 4], [0, 2, 2], [-2], [4, 1], [9], []):
        key = "sections" if isinstance(how, int) else "indices"
        case("tensor_split", {"input": x}, {key: how}, f=lambda x, dim=0, **k: torch.tensor_split(x, how, dim))
    for dim in (1, -1):
        case("tensor_split", {"input": randn(2, 4, 3)}, {"sections": 2, "dim": dim}, label="dim",
             f=lambda x, sections, dim: torch.tensor_split(x, sections, dim))
    for how in (ints(1, 3), torch.tensor(2), ints()):
        case("tensor_split", {"input": randn(4), "tensor_indices_or_sections": how}, label="tensor", f=torch.tensor_split)
    for word in ALL:
        case("tensor_split", {"input": make([1, 0, 2], word)}, {"sections": 2}, label=word, first=False,
             f=lambda x, sections: torch.tensor_split(x, sections))
        case("unbind", {"input": make(COUNTS, word)}, {"dim": 1}, label=word, first=False)
    case("tensor_split", {"input": randn(0, 2)}, {"sections": 2}, label="empty", f=lambda x, sections: torch.tensor_split(x, sections),
         first=False)
    refuse("tensor_split", [[3]], {"sections": 0}, label="sections", f=lambda x, sections: torch.tensor_split(x, sections))
    for name, x in (("hsplit", randn(2, 4)), ("hsplit", randn(4)), ("vsplit", randn(4, 2)), ("dsplit", randn(1, 2, 4))):
        for how in (2, [1, 3], [0, 2, 9]):
            op = getattr(torch, name)
            case(name, {"input": x}, {"sections" if how == 2 else "indices": how}, f=lambda x, **k: op(x, how))
        refuse(name, [[5, 5, 5]], {"sections": 2}, label=f"sections-{x.dim()}", f=lambda x, sections: op(x, sections))
        refuse(name, [[]], {"sections": 1}, label=f"rank-{x.dim()}", f=lambda x, sections: op(x, sections))
    case("unbind", {"input": randn(2, 3)})
    case("unbind", {"input": randn(2, 3).t()}, {"dim": -1}, label="columns")
    for dim, sizes in ((0, [2, 3]), (0, [-1, 2]), (-1, [1, -1, 1]), (1, [4])):
        case("unflatten", {"input": randn(6, 4)}, {"dim": dim, "sizes": sizes})
    refuse("unflatten", [[6]], {"dim": 0, "sizes": [4, 2]}, label="sizes")


def padding():
    def pad_backward(g, shape, pads, mode):
        x = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
        return torch.autograd.grad(torch.nn.functional.pad(x, pads, mode), x, g, create_graph=True)[0]

    for mode in ("constant", "reflect", "replicate", "circular"):
        for pads in ([1, 2], [0, 0, 2, 1], [2, 0, 1, 1]):
            shape = [1, 2, 4, 3]
            sizes = [1, 2, 4 + sum(pads[2:]), 3 + sum(pads[:2])]
            if len(pads) == 2 and mode != "constant":
                shape, sizes = shape[1:], sizes[1:]
            case("pad_backward", {"g": randn(*sizes)}, {"shape": shape, "pads": pads, "mode": mode}, label=mode, f=pad_backward)
    case("pad_backward", {"g": randn(1, 3)}, {"shape": [2, 3], "pads": [1, -1, -1, 0], "mode": "constant"}, label="crop", f=pad_backward)


def turning():
    for name, x in [("flipud", randn(3, 2)), ("flipud", randn(4)), ("fliplr", randn(2, 3)), ("fliplr", randn(2, 3, 2)),
                    ("flipud", randn(2, 3, 2).transpose(0, 2))]:
        case(name, {"input": x})
    for word in ALL:
        case("flipud", {"input": make(COUNTS, word)}, label=word, first=False)
        case("fliplr", {"input": make(COUNTS, word)}, label=word, first=False)
        case("rot90", {"input": make(COUNTS, word)}, {"k": 1, "dims": [0, 1]}, label=word, first=False)
        case("roll", {"input": make(COUNTS, word)}, {"shifts": 2, "dims": 1}, label=word, first=False)
    case("fliplr", {"input": randn(2, 0)}, label="empty", first=False)
    refuse("fliplr", [[3]], label="rank")
    refuse("flipud", [[]], label="rank")
    for k in (-5, 0, 2, 7):
        case("rot90", {"input": randn(2, 3)}, {"k": k, "dims": [0, 1]})
    case("rot90", {"input": randn(2, 3, 2)}, {"k": 1, "dims": [-1, 1]}, label="negative")
    case("rot90", {"input": randn(2, 0)}, {"k": 1, "dims": [1, 0]}, label="empty", first=False)
    refuse("rot90", [[2, 2]], {"k": 1, "dims": [0, 0]}, label="dims")
    refuse("rot90", [[2]], {"k": 1, "dims": [0, 1]}, label="rank")
    for size in ([2, 3], [4, 2, 3], [2, -1], [0, 2, 3]):
        case("broadcast_to", {"input": randn(1, 3)}, {"size": size},
             first=0 not in size)
    case("broadcast_to", {"input": randn()}, {"size": [2]}, label="rank-0")
    refuse("broadcast_to", [[3]], {"size": [2]}, label="sizes")
    case("broadcast_tensors", tensors(randn(3, 1), randn(2), randn()))
    case("broadcast_tensors", tensors(make([[1], [2]], "i32"), make([0, 1, 1], "bool")), label="dtypes")
    case("broadcast_tensors", tensors(randn(1), randn(0)), label="empty", first=False)
    refuse("broadcast_tensors", [[2], [3]], label="shapes")
    for word in ALL:
        case("repeat_interleave", {"input": make(COUNTS, word)}, {"repeats": 2, "dim": 1}, label=word, first=False)
    case("repeat_interleave", {"input": randn(2, 3)}, {"repeats": 2}, label="all")
    case("repeat_interleave", {"input": randn(2, 3)}, {"repeats": 0, "dim": 0}, label="none", first=False)
    case("repeat_interleave", {"input": randn(2, 3)}, {"repeats": 3, "dim": -1}, label="last")
    for word in ("i64", "i32"):
        case("repeat_interleave", {"input": randn(3, 2), "repeats": ints(2, 0, 1, word=word)}, {"dim": 0}, label="each-" + word)
    refuse("repeat_interleave", [[3], [2]], {"dim": 0}, label="repeats", words=["f32", "i64"])


def diagonals():
    for word in ALL:
        case("diag", {"input": make([1, 0, 2], word)}, {"diagonal": 1}, label=word, first=False)
        case("diag_embed", {"input": make([1, 0, 2], word)}, label=word, first=False)
        if word != "bool":
            case("trace", {"input": make(COUNTS, word)}, label=word, first=False)
        case("block_diag", tensors(make([[1, 0]], word), make(3, word)), label=word, first=False)
        for name in ("tril", "triu"):
            case(name, {"input": make(COUNTS, word)}, {"diagonal": 1 if name == "triu" else -1}, label=word, first=False)
    for diagonal in (-4, -1, 0, 2, 5):
        case("diag", {"input": randn(3, 4)}, {"diagonal": diagonal}, label="matrix", first=-3 < diagonal < 4)
    case("diag", {"input": randn(0)}, {"diagonal": 1}, label="empty", first=False)
    refuse("diag", [[2, 2, 2]], label="rank")
    for call in ({}, {"offset": 1}, {"offset": -2}, {"dim1": 0, "dim2": 2}, {"offset": 1, "dim1": -1, "dim2": 0}):
        case("diag_embed", {"input": randn(2, 3)}, call)
    case("diag_embed", {"input": randn(2, 0)}, {"offset": 1}, label="empty", first=False)
    refuse("diag_embed", [[2]], {"dim1": 1, "dim2": 1}, label="dims")
    case("trace", {"input": randn(0, 3)}, label="empty", first=False)
    case("trace", {"input": randn(2, 3).t()}, label="columns")
    refuse("trace", [[2]], label="rank")
    case("as_strided", {"input": randn(3, 4)}, {"size": [2, 2], "stride": [0, 1]}, label="expanded")
    case("as_strided", {"input": randn(3, 4)}, {"size": [5, 3], "stride": [2, 1]}, label="overlap")
    case("as_strided", {"input": randn(3, 4)}, {"size": [], "stride": [], "storage_offset": 5}, label="rank-0")
    case("as_strided", {"input": randn(3, 4)}, {"size": [0, 2], "stride": [1, 1]}, label="empty", first=False)
    for word in ALL:
        case("as_strided", {"input": make(COUNTS, word)}, {"size": [3], "stride": [2]}, label=word, first=False)
    refuse("as_strided", [[3]], {"size": [4], "stride": [1]}, label="beyond")
    refuse("as_strided", [[3]], {"size": [2], "stride": [-1]}, label="stride")
    refuse("as_strided", [[3]], {"size": [2], "stride": [1, 1]}, label="rank")


if __name__ == "__main__":
    for part in (factories, joining, cutting, padding, turning, diagonals):
        part()
    save("arrange")
