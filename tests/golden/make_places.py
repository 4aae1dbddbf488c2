#!/usr/bin/env python3
"""Makes data/places: finding elements, writing by index, bags of rows, and small products, over all dtypes (SCHEMA.md).

  python3 make_places.py [OUT]      needs torch; deterministic
"""
import torch

from op_cases import ALL, INTEGERS, NUMBERS, case, inf, ints, make, nan, randn, random, refuse, save

random.manual_seed(36)
COUNTS = [[0, 1, 2], [3, 4, 5]]


def places():
    for word in ALL:
        for name in ("nonzero", "argwhere"):
            case(name, {"input": make([[0, 1], [2, 0]], word)}, label=word, first=False)
        case("where", {"condition": make([[0, 1], [2, 0]], word)}, label=word, first=False)
        case("take", {"input": make(COUNTS, word), "index": ints(5, 0, -1)}, label=word, first=False)
    case("where", {"condition": randn(2, 0)}, label="empty", first=False)
    case("where", {"condition": make([[[0, nan], [1, 0]]])}, label="rank-3", first=False)
    case("take", {"input": randn(3, 2).t(), "index": torch.tensor([[0, -1], [4, 0]])}, label="columns")
    case("take", {"input": randn(3), "index": torch.tensor(1)}, label="rank-0")
    case("take", {"input": randn(3), "index": ints()}, label="empty", first=False)
    refuse("take", [[0], [2]], label="empty", words=["f32", "i64"])
    for name in ("nonzero", "argwhere"):
        case(name, {"input": make([[nan, 0], [-0.0, inf]])}, label="odd", first=False)
        case(name, {"input": make(2.0)}, label="rank-0", first=False)
        case(name, {"input": make(0.0)}, label="rank-0-zero", first=False)
        case(name, {"input": randn(2, 0, 3)}, label="empty", first=False)
    for word in ALL:
        x, index = make(COUNTS, word), ints(2, 0)
        case("index_fill", {"input": x, "index": index}, {"dim": 1, "value": 1}, label=word, first=False,
             f=lambda x, i, dim, value: x.index_fill(dim, i, value))
        case("index_copy", {"input": x, "index": index, "source": make([[1, 0], [0, 1]], word)}, {"dim": 1}, label=word, first=False,
             f=lambda x, i, s, dim: x.index_copy(dim, i, s))
        if word != "bool":  # which weft does not add up
            case("index_add", {"input": x, "index": ints(2, 0, 2), "source": make([[1, 0, 1], [0, 1, 1]], word)}, {"dim": 1},
                 label=word, first=False, f=lambda x, i, s, dim: x.index_add(dim, i, s))
        case("put", {"input": x, "index": ints(-1, 0), "source": make([1, 1], word)}, label=word, first=False)
        case("masked_scatter", {"input": x, "mask": make([[1, 0, 1]], "bool"), "source": make([1, 0, 3, 1], word)}, label=word,
             first=False)
        case("scatter", {"input": x, "index": ints(1, 0).reshape(2, 1), "src": make([[1], [0]], word)}, {"dim": 1}, label=word,
             first=False, f=lambda x, i, s, dim: x.scatter(dim, i, s))
        if word != "bool":
            case("scatter_add", {"input": x, "index": ints(1, 1, 0, 0).reshape(2, 2), "src": make([[1, 2], [0, 1]], word)}, {"dim": 1},
                 label=word, first=False, f=lambda x, i, s, dim: x.scatter_add(dim, i, s))
        case("index_put", {"input": x, "i": ints(1, 0), "j": ints(2, 0), "values": make([1, 0], word)}, label=word, first=False,
             f=lambda x, i, j, v: x.index_put((i, j), v))
    x = randn(3, 4)
    for index in (ints(2, 0, 2), ints(-1), torch.tensor(1), ints()):
        n = index.numel()
        case("index_fill", {"input": x, "index": index}, {"dim": 1, "value": 2.5}, f=lambda x, i, dim, value: x.index_fill(dim, i, value))
        if n and (index >= 0).all():
            case("index_add", {"input": x, "index": index, "source": randn(3, n) if index.dim() else randn(3, 1)},
                 {"dim": 1, "alpha": -1.5}, f=lambda x, i, s, dim, alpha: x.index_add(dim, i, s, alpha=alpha))
    case("index_fill", {"input": x, "index": ints(1), "value": randn()}, {"dim": 0}, label="tensor",
         f=lambda x, i, v, dim: x.index_fill(dim, i, v))
    case("index_copy", {"input": x, "index": ints(2, 0), "source": randn(2, 4)}, {"dim": -2}, label="rows",
         f=lambda x, i, s, dim: x.index_copy(dim, i, s))
    case("index_copy", {"input": x, "index": ints(), "source": randn(0, 4)}, {"dim": 0}, label="empty", first=False,
         f=lambda x, i, s, dim: x.index_copy(dim, i, s))
    case("index_add", {"input": x.t(), "index": ints(0, 0), "source": randn(2, 3)}, {"dim": 0}, label="columns",
         f=lambda x, i, s, dim: x.index_add(dim, i, s))
    for name in ("index_copy", "index_add"):
        f = lambda x, i, s, dim: getattr(x, name)(dim, i, s)
        refuse(name, [[3, 2], [2], [3, 2]], {"dim": 0}, label="sizes", f=f, words=["f32", "i64", "f32"])
        refuse(name, [[3], [1], [1]], {"dim": 0}, label="dtypes", f=f, words=["f32", "i64", "f64"])
    case("put", {"input": randn(2, 3), "index": ints(0, 4, 0).reshape(1, 3), "source": randn(3)}, {"accumulate": True}, label="added")
    case("put", {"input": randn(2, 3), "index": ints(), "source": randn(0)}, label="empty", first=False)
    refuse("put", [[3], [2], [3]], label="sizes", words=["f32", "i64", "f32"])
    case("masked_scatter", {"input": randn(2, 3), "mask": make([[1], [0]], "bool"), "source": randn(2, 3)}, label="shapes")
    case("masked_scatter", {"input": randn(3), "mask": make([[1, 0, 1], [0, 1, 1]], "bool"), "source": randn(5)}, label="wider")
    case("masked_scatter", {"input": randn(3), "mask": make([0, 0, 0], "bool"), "source": randn(2)}, label="none")
    refuse("masked_scatter", [[3], [3], [3]], label="mask", words=["f32", "f32", "f32"])
    at = torch.tensor([[0, 2, 0], [1, 1, 0]])
    for word in NUMBERS:
        for reduce in ("sum", "prod", "mean", "amax", "amin"):
            for itself in (True, False):
                call = {"dim": 1, "reduce": reduce, "include_self": itself}
                case("scatter_reduce", {"input": make([[7, 2, 1], [3, 4, 0]], word), "index": at, "src": make([[2, 1, 4], [0, 5, 3]], word)},
                     call, label=f"{reduce}-{word}", first=False, native=word == "f16",
                     f=lambda x, i, s, dim, **k: x.scatter_reduce(dim, i, s, **k))
                if reduce != "sum":
                    case("index_reduce", {"input": make([[7, 2, 1], [3, 4, 0]], word), "index": ints(2, 0, 2),
                                          "source": make([[2, 1, 4], [0, 5, 3]], word)}, call, label=f"{reduce}-{word}", first=False,
                         native=word == "f16", f=lambda x, i, s, dim, **k: x.index_reduce(dim, i, s, **k))
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        call = {"dim": 0, "reduce": reduce, "include_self": False}
        case("scatter_reduce", {"input": make([1.0, 2, 3]), "index": ints(0, 0, 2, 2), "src": make([nan, 1, inf, -inf])}, call,
             label="odd-" + reduce, first=False, f=lambda x, i, s, dim, **k: x.scatter_reduce(dim, i, s, **k))
        case("scatter_reduce", {"input": make([2.0, 0, 3]), "index": ints(0, 0, 2, 1), "src": make([2.0, 0, 3, 5])},
             {**call, "include_self": True}, label="ties-" + reduce, second=False,
             f=lambda x, i, s, dim, **k: x.scatter_reduce(dim, i, s, **k))
        case("scatter_reduce", {"input": randn(3), "index": ints(), "src": randn(0)}, call, label="empty-" + reduce, first=False,
             f=lambda x, i, s, dim, **k: x.scatter_reduce(dim, i, s, **k))
    f = lambda x, i, s, dim, **k: x.scatter_reduce(dim, i, s, **k)
    refuse("scatter_reduce", [[3], [2], [1]], {"dim": 0, "reduce": "sum"}, label="sizes", f=f, words=["f32", "i64", "f32"])
    refuse("scatter_reduce", [[3], [2], [2]], {"dim": 0, "reduce": "sum"}, label="dtypes", f=f, words=["f32", "i64", "f64"])
    at = torch.tensor([[0, 2], [1, 0], [0, 1]])
    case("scatter", {"input": randn(3, 3), "index": at, "src": randn(3, 4)}, {"dim": 1}, label="wider", first=False,
         f=lambda x, i, s, dim: x.scatter(dim, i, s))
    case("scatter", {"input": randn(3, 2), "index": torch.tensor([[0, 2], [1, 0]]), "src": randn(2, 2)}, {"dim": 0},
         f=lambda x, i, s, dim: x.scatter(dim, i, s))
    case("scatter", {"input": randn(3, 3), "index": at}, {"dim": -1, "value": 2.5}, label="number",
         f=lambda x, i, dim, value: x.scatter(dim, i, value))
    case("scatter", {"input": randn(3), "index": ints(), "src": randn(0)}, {"dim": 0}, label="empty", first=False,
         f=lambda x, i, s, dim: x.scatter(dim, i, s))
    for accumulate in (False, True):
        call, index_put = {"accumulate": accumulate}, lambda x, *rest, accumulate: x.index_put(rest[:-1], rest[-1], accumulate)
        case("index_put", {"input": x, "i": ints(2, 0), "values": randn(2, 4)}, call, label="rows", f=index_put)
        case("index_put", {"input": x, "i": ints(-1, 0), "values": randn()}, call, label="one", f=index_put)
        case("index_put", {"input": x, "i": ints(2, 0).reshape(2, 1), "j": ints(1, -1, 0), "values": randn(2, 3)}, call, label="grid",
             f=index_put)
        case("index_put", {"input": x, "i": randn(3, 4) > 0, "values": randn(1)}, call, label="mask", f=index_put)
        case("index_put", {"input": x, "i": make([1, 0, 1], "bool"), "values": randn(2, 1)}, call, label="mask-rows", f=index_put)
    case("index_put", {"input": x, "i": ints(2, 2, 0), "j": ints(1, 1, 3), "values": randn(3)}, {"accumulate": True}, label="repeated",
         f=index_put)
    bag = lambda x, w, o, p=None, **k: torch.nn.functional.embedding_bag(x, w, o, per_sample_weights=p, **k)
    at, table = torch.tensor([[0, 2, 2], [1, 4, 0]]), randn(5, 3)
    for mode in ("sum", "mean", "max"):
        case("embedding_bag", {"input": at, "weight": table, "offsets": None}, {"mode": mode}, f=bag, second=False)
        for offsets, call in ((ints(0, 2, 2, 5), {}), (ints(0, 1, 6), {"include_last_offset": True}), (ints(0, 3), {"padding_idx": 2})):
            case("embedding_bag", {"input": at.flatten(), "weight": table, "offsets": offsets}, {"mode": mode, **call}, label="offsets",
                 f=bag, second=False)
    case("embedding_bag", {"input": at, "weight": table, "offsets": None, "per_sample_weights": randn(2, 3)}, {"mode": "sum"},
         label="weights", f=bag, second=False)
    case("embedding_bag", {"input": at, "weight": table, "offsets": None}, {"mode": "sum", "scale_grad_by_freq": True}, label="frequency",
         f=bag, second=False)
    for norm in (1.0, 2.0, inf):
        case("embedding_renorm_", {"weight": randn(5, 3), "input": at}, {"max_norm": 0.8, "norm_type": norm}, first=False,
             f=lambda w, i, max_norm, norm_type: torch.embedding_renorm_(w.clone(), i, max_norm, norm_type))
    case("embedding_bag", {"input": at, "weight": randn(5, 3, word="f32"), "offsets": None}, {"mode": "mean"}, label="f32", f=bag)


def products():
    for word in NUMBERS:
        a, b = make(COUNTS, word), make([2, 1, 3], word)
        case("mv", {"input": a, "vec": b}, label=word, first=False)
        case("dot", {"input": b, "other": b}, label=word, first=False)
        case("inner", {"input": a, "other": b}, label=word, first=False)
        case("kron", {"input": a, "other": b}, label=word, first=False)
        case("outer", {"input": b, "vec2": b}, label=word, first=False)
        case("cross", {"input": a, "other": a.flip(0)}, {"dim": 1}, label=word, first=False)
        case("mm", {"input": a, "mat2": a.t()}, label=word, first=False)
    for word in ("f32", *INTEGERS):
        a, b = make(COUNTS, word), make([2, 1, 3], word)
        scales = {"beta": 2, "alpha": 3}
        case("addmv", {"input": make([1, 5], word), "mat": a, "vec": b}, scales, label=word, first=False)
        case("addr", {"input": make([[1], [5]], word), "vec1": make([1, 2], word), "vec2": b}, scales, label=word, first=False)
        case("addbmm", {"input": make([[1]], word), "batch1": torch.stack([a, a]), "batch2": torch.stack([a.t(), a.t()])}, scales,
             label=word, first=False)
        case("baddbmm", {"input": make([[[1]]], word), "batch1": torch.stack([a, a]), "batch2": torch.stack([a.t(), a.t()])}, scales,
             label=word, first=False)
        case("tensordot", {"a": a, "b": a}, {"dims": 2}, label=word, first=False)
    case("mv", {"input": randn(2, 3), "vec": randn(3)})
    case("mv", {"input": randn(3, 2).t(), "vec": randn(3)}, label="columns")
    case("mv", {"input": randn(2, 0), "vec": randn(0)}, label="empty", first=False)
    case("dot", {"input": randn(4), "other": randn(4)})
    case("dot", {"input": randn(0), "other": randn(0)}, label="empty", first=False)
    for name in ("mv", "dot"):
        refuse(name, [[2, 3], [2]], label="shapes")
    for name in ("addmv", "addbmm", "baddbmm", "addr"):
        b = [torch.full((2,), nan), randn(2, 3), randn(3)] if name == "addmv" else (
            [torch.full((2, 3), nan, dtype=torch.float64), randn(2), randn(3)] if name == "addr" else
            [torch.full((2, 2), nan, dtype=torch.float64), randn(1, 2, 3), randn(1, 3, 2)])
        keys = {"addmv": ("input", "mat", "vec"), "addr": ("input", "vec1", "vec2")}.get(name, ("input", "batch1", "batch2"))
        case(name, dict(zip(keys, (t.double() for t in b))), {"beta": 0}, label="no-input", first=False)
    for dims in (0, 1, 2):
        case("tensordot", {"a": randn(2, 3, 2), "b": randn(3, 2, 2) if dims == 2 else randn(2, 3)}, {"dims": dims})
    case("kron", {"input": randn(2), "other": randn(2, 1, 2)}, label="ranks")
    case("kron", {"input": make([1, 2], "i32"), "other": make([0.5], "f32")}, label="i32-f32", first=False)
    case("kron", {"input": randn(), "other": randn(2)}, label="rank-0")
    case("inner", {"input": randn(), "other": randn(2, 3)}, label="rank-0")
    refuse("inner", [[2, 3], [4]], label="shapes")
    case("cross", {"input": randn(3, 1, 2), "other": randn(1, 3, 2).expand(3, 3, 2)}, {"dim": 0}, label="shapes")
    refuse("cross", [[2, 4], [2, 4]], label="size")


if __name__ == "__main__":
    for part in (places, products):
        part()
    save("places")
