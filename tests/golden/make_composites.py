#!/usr/bin/env python3
"""Makes data/composites: torch functions that weft makes of others, values and both orders of derivatives (SCHEMA.md).

  python3 make_composites.py [OUT]      needs torch; deterministic
"""
import os
import sys

import torch

import make_functions as functions
from make_functions import case, cases, randn

functions.random.manual_seed(22)


def ints(*values):
    return torch.tensor(values)


def own(name, inputs, call=None, label="", f=None, **options):
    case(name + (label and "-" + label), name, inputs, call, f=f or getattr(torch, name), **options)


def matrices():
    own("diag", {"input": randn(4)}, {"diagonal": -2}, "vector")
    own("diag", {"input": randn(3, 5)}, {"diagonal": 1}, "matrix")
    own("diag_embed", {"input": randn(2, 3, 4)}, {"offset": -2, "dim1": 3, "dim2": 1})
    own("trace", {"input": randn(4, 3)})
    for name, shapes in [("block_diag", [(2, 3), (4,), (), (1, 2)]), ("vstack", [(3,), (2, 3), (3,)]), ("hstack", [(2, 3), (2, 1)]),
                         ("dstack", [(3,), (1, 3, 2)]), ("cartesian_prod", [(2,), (3,), (2,)])]:
        f = getattr(torch, name)
        own(name, {chr(ord("a") + i): randn(*s) for i, s in enumerate(shapes)},
            f=f if name in ("block_diag", "cartesian_prod") else lambda *x, f=f: f(x))
    for k in range(-1, 3):
        own("rot90", {"input": randn(2, 3, 4)}, {"k": k, "dims": [2, 0]}, str(k))
    own("fliplr", {"input": randn(2, 3, 2)})
    own("combinations", {"input": randn(5)}, {"r": 3})
    own("combinations", {"input": randn(3)}, {"r": 3, "with_replacement": True}, "again")
    own("inner", {"input": randn(2, 3, 4), "other": randn(5, 4)})
    own("kron", {"input": randn(2, 1, 3), "other": randn(4, 2)})
    own("tensordot", {"a": randn(3, 4, 5), "b": randn(5, 3, 2)}, {"dims": [[0, 2], [1, 0]]})
    scales = {"beta": 0.7, "alpha": -1.3}
    own("addmv", {"input": randn(3), "mat": randn(3, 4), "vec": randn(4)}, scales)
    own("addr", {"input": randn(3, 1), "vec1": randn(3), "vec2": randn(4)}, scales)
    own("addbmm", {"input": randn(3, 2), "batch1": randn(4, 3, 5), "batch2": randn(4, 5, 2)}, scales)
    own("baddbmm", {"input": randn(3, 1), "batch1": randn(4, 3, 5), "batch2": randn(4, 5, 2)}, scales)
    own("cross", {"input": randn(2, 3, 4), "other": randn(2, 3, 4)})
    own("cross", {"input": randn(1, 3), "other": randn(4, 3)}, {"dim": -1}, "rows")


def statistics():
    weights = {"fweights": ints(1, 3, 2, 1, 2), "aweights": randn(5).abs()}

    def cov(input, fweights=None, aweights=None, **call):
        return torch.cov(input, fweights=fweights, aweights=aweights, **call)

    own("cov", {"input": randn(3, 5)})
    own("cov", {"input": randn(3, 5), **weights}, {"correction": 0}, "weights", f=cov)
    own("cov", {"input": randn(5), "fweights": weights["fweights"]}, label="counts", f=cov)
    own("corrcoef", {"input": randn(3, 6)})
    own("diff", {"input": randn(3, 5)}, {"n": 2, "dim": 0})
    own("diff", {"input": randn(3, 5), "prepend": randn(3, 1), "append": randn(3, 2)}, label="ends",
        f=lambda x, a, b: torch.diff(x, prepend=a, append=b))
    # not "y": the outputs have that name
    own("trapezoid", {"values": randn(3, 5)}, {"dx": 0.3, "dim": 0}, f=torch.trapezoid)
    own("trapezoid", {"values": randn(3, 5), "x": randn(5)}, label="places", f=torch.trapezoid)
    for p in (1.0, 2.0, 3.5):
        own("renorm", {"input": randn(3, 4, 2)}, {"p": p, "dim": 1, "maxnorm": 2.0}, str(p).replace(".", "_"))


def writes():
    x, index = randn(3, 4), ints(2, 0)
    own("index_fill", {"input": x, "index": index, "value": randn()}, {"dim": 1}, f=lambda x, i, v, dim: x.index_fill(dim, i, v))
    own("index_copy", {"input": x, "index": index, "source": randn(3, 2)}, {"dim": 1},
        f=lambda x, i, s, dim: x.index_copy(dim, i, s))
    own("masked_scatter", {"input": x, "mask": randn(4) > 0, "source": randn(13)})
    own("put", {"input": x, "index": ints(-1, 3, 5), "source": randn(3)})
    own("put", {"input": x, "index": ints(7, 2, 7), "source": randn(3)}, {"accumulate": True}, "added")
    at = torch.tensor([[0, 2, 2, 0, 2, 2], [1, 1, 1, 1, 1, 1]])
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for itself in (True, False):
            call, label = {"dim": 1, "reduce": reduce, "include_self": itself}, f"{reduce}-{int(itself)}"
            own("scatter_reduce", {"input": randn(2, 3), "index": at, "src": randn(2, 6)}, call, label,
                f=lambda x, i, s, dim, reduce, include_self: x.scatter_reduce(dim, i, s, reduce, include_self=include_self))
            if reduce != "sum":
                own("index_reduce", {"input": randn(4, 2), "index": ints(3, 0, 3, 3, 0), "source": randn(5, 2)}, {**call, "dim": 0},
                    label, f=lambda x, i, s, dim, reduce, include_self: x.index_reduce(dim, i, s, reduce, include_self=include_self))
    own("as_strided", {"input": randn(3, 4)}, {"size": [3, 3], "stride": [2, 3], "storage_offset": 1})


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "composites")
    os.makedirs(out, exist_ok=True)
    matrices()
    statistics()
    writes()
    functions.save(out, "composites", 22)
    print(len(cases), "cases")
