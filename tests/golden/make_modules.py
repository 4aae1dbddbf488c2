#!/usr/bin/env python3
"""Makes data/modules: values, first and second derivatives, printed forms and state of torch.nn's modules (SCHEMA.md).

  python3 make_modules.py [OUT]      needs torch; deterministic
"""
import os
import sys

import torch
from torch import nn

import module_cases
import module_families
from module_cases import build, case, cases, inits, randn, refuse, show


def activations():
    x = randn(3, 4, 5)
    for name, args in [("CELU", {}), ("CELU", {"alpha": 0.5}), ("Hardshrink", {}), ("Hardshrink", {"lambd": 0.2}),
                       ("Tanhshrink", {}), ("Threshold", {"threshold": 0.1, "value": 20.0}), ("Softmin", {"dim": 1}),
                       ("Softmax2d", {}), ("RReLU", {}), ("RReLU", {"lower": 0.1, "upper": 0.4}), ("SELU", {}),
                       ("Mish", {}), ("LogSigmoid", {}), ("Hardsigmoid", {}), ("Hardswish", {}), ("Softsign", {}),
                       ("Softshrink", {"lambd": 0.3}), ("GELU", {"approximate": "tanh"})]:
        case(f"{name.lower()}-{len(cases)}", "nn." + name, args, {"x": x}, train=name != "RReLU")
        show("nn." + name, args)
    for dim, shape in [(-1, (3, 6)), (1, (2, 4, 3)), (0, (4,))]:
        case(f"glu-{len(cases)}", "nn.GLU", {"dim": dim}, {"x": randn(*shape)})
        show("nn.GLU", {"dim": dim})
    case("rrelu-same", "nn.RReLU", {"lower": 0.2, "upper": 0.2}, {"x": x})
    case("softmax2d-batch", "nn.Softmax2d", {}, {"x": randn(2, 3, 2, 3)})
    refuse("glu", "nn.GLU", {}, [[3]], about=["even"])
    refuse("softmax2d", "nn.Softmax2d", {}, [[3, 3]], about=["3D"])


def norms_and_dropouts():
    for i, (size, shape, args) in enumerate([(2, (2, 5, 3), {}), (3, (2, 4, 3, 2), {"alpha": 0.5, "beta": 0.6, "k": 2}),
                                             (5, (1, 3, 2, 2, 2), {"alpha": 1.5})]):
        case(f"lrn-{i}", "nn.LocalResponseNorm", {"size": size, **args}, {"x": randn(*shape)})
    show("nn.LocalResponseNorm", {"size": 2})
    refuse("lrn", "nn.LocalResponseNorm", {"size": 2}, [[3, 3]], about=["3"])
    for name in ["AlphaDropout", "FeatureAlphaDropout", "Dropout1d", "Dropout3d"]:
        shape = (2, 3, 4) if name == "Dropout1d" else (2, 3, 2, 2, 2)
        case(f"{name.lower()}-eval", "nn." + name, {"p": 0.4}, {"x": randn(*shape)}, train=False)
        case(f"{name.lower()}-p0", "nn." + name, {"p": 0.0}, {"x": randn(*shape)})
        show("nn." + name, {"p": 0.4})
        refuse(name.lower(), "nn." + name, {"p": 1.5}, stage="construct", about=["probability"])


def pools():
    for d, spatial in [(1, (9,)), (2, (7, 6)), (3, (5, 4, 6))]:
        x = randn(2, 3, *spatial)
        for i, args in enumerate([{"norm_type": 2, "kernel_size": 2}, {"norm_type": 3, "kernel_size": 3, "stride": 2},
                                  {"norm_type": 2, "kernel_size": 3, "stride": 2, "ceil_mode": True}]):
            value = x.abs() + 0.1 if args["norm_type"] == 3 else x
            case(f"lppool{d}d-{i}", f"nn.LPPool{d}d", args, {"x": value})
            show(f"nn.LPPool{d}d", args)
        case(f"lppool{d}d-unbatched", f"nn.LPPool{d}d", {"norm_type": 1.5, "kernel_size": 2},
             {"x": randn(3, *spatial).abs() + 0.1})
        case(f"lppool{d}d-zero", f"nn.LPPool{d}d", {"norm_type": 2, "kernel_size": 2}, {"x": torch.zeros(1, 1, *spatial)},
             second=False)
        for i, args in enumerate([{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}]):
            pool = getattr(nn, f"MaxPool{d}d")(return_indices=True, **args)
            y, at = pool(x)
            case(f"maxunpool{d}d-{i}", f"nn.MaxUnpool{d}d", args, {"x": randn(*y.shape), "indices": at},
                 call={"output_size": list(spatial)}, second=i == 0)
            show(f"nn.MaxUnpool{d}d", args)
            case(f"maxpool{d}d-indices-{i}", f"nn.MaxPool{d}d", {"return_indices": True, **args}, {"x": x}, second=False)
        y, at = getattr(nn, f"MaxPool{d}d")(2, return_indices=True)(x[0])
        case(f"maxunpool{d}d-unbatched", f"nn.MaxUnpool{d}d", {"kernel_size": 2}, {"x": y, "indices": at}, second=False)
        case(f"adaptivemaxpool{d}d-indices", f"nn.AdaptiveMaxPool{d}d", {"output_size": 3, "return_indices": True},
             {"x": x}, second=False)
        refuse(f"maxunpool{d}d", f"nn.MaxUnpool{d}d", {"kernel_size": 2}, [[1, 1] + [2] * d, [1, 1] + [2] * d],
               {"output_size": [7] * d}, about=["output_size", "between"], dtypes=[None, "i64"])


def folds_and_resampling():
    case("unfold-0", "nn.Unfold", {"kernel_size": [2, 3]}, {"x": randn(2, 3, 5, 6)})
    case("unfold-1", "nn.Unfold", {"kernel_size": 2, "dilation": 2, "padding": 1, "stride": 2}, {"x": randn(1, 2, 6, 5)})
    case("fold-0", "nn.Fold", {"output_size": [4, 5], "kernel_size": 2}, {"x": randn(2, 12, 12)})
    case("fold-1", "nn.Fold", {"output_size": 5, "kernel_size": [2, 3], "padding": 1, "stride": 2}, {"x": randn(2, 12, 9)})
    case("fold-unbatched", "nn.Fold", {"output_size": [4, 5], "kernel_size": 2}, {"x": randn(12, 12)})
    show("nn.Unfold", {"kernel_size": 2, "padding": 1})
    show("nn.Fold", {"output_size": 5, "kernel_size": 2, "stride": 2})
    refuse("unfold", "nn.Unfold", {"kernel_size": 3}, [[1, 2, 2, 2]])
    refuse("fold", "nn.Fold", {"output_size": 4, "kernel_size": 2}, [[1, 7, 9]], about=["divisible"])
    for i, args in enumerate([{"scale_factor": 2}, {"size": [7, 5]}]):
        case(f"upsamplingnearest2d-{i}", "nn.UpsamplingNearest2d", args, {"x": randn(2, 2, 3, 4)})
        case(f"upsamplingbilinear2d-{i}", "nn.UpsamplingBilinear2d", args, {"x": randn(2, 2, 3, 4)})
    for name in ["UpsamplingNearest2d", "UpsamplingBilinear2d"]:
        show("nn." + name, {"scale_factor": 2})
    for groups, shape in [(2, (2, 6, 3, 2)), (3, (2, 6, 4))]:
        case(f"channelshuffle-{groups}", "nn.ChannelShuffle", {"groups": groups}, {"x": randn(*shape)})
    show("nn.ChannelShuffle", {"groups": 2})
    refuse("channelshuffle", "nn.ChannelShuffle", {"groups": 2}, [[1, 3, 2, 2]], about=["divisible", "groups"])


def distances():
    a, b = randn(4, 5, 3), randn(4, 5, 3)
    for dim in (1, -1):
        case(f"cosinesimilarity{dim}", "nn.CosineSimilarity", {"dim": dim}, {"x": a, "x2": b})
    case("cosinesimilarity-eps", "nn.CosineSimilarity", {"eps": 5.0}, {"x": a, "x2": b}, second=False)
    for i, args in enumerate([{}, {"p": 1.0, "keepdim": True}, {"p": 3.0, "eps": 0.1}]):
        case(f"pairwisedistance-{i}", "nn.PairwiseDistance", args, {"x": a, "x2": b})
    show("nn.CosineSimilarity")
    show("nn.PairwiseDistance")


def losses():
    sign = torch.tensor([1.0, -1, -1, 1, 1, -1], dtype=torch.float64)
    x, x2, x3 = randn(6, 4), randn(6, 4), randn(6, 4)
    classes, weight = torch.tensor([0, 3, 1, 1, 2, 0]), [0.5, 1.0, 2.0, 0.25]
    labels = torch.tensor([[3, 0, -1, 1], [-1, 2, 1, 0], [0, 1, 2, 3], [2, -1, -1, -1], [1, 1, -1, 0], [3, 2, 1, -1]])
    zero_one = (randn(6, 4) > 0).double()
    for r in ("mean", "sum", "none"):
        a = {"reduction": r}
        case("marginranking-" + r, "nn.MarginRankingLoss", {"margin": 0.3, **a}, {"x": x[:, 0], "x2": x2[:, 0], "y": sign},
             fixed=["y"])
        case("hingeembedding-" + r, "nn.HingeEmbeddingLoss", {"margin": 0.7, **a}, {"x": x[:, 1], "y": sign}, fixed=["y"])
        case("cosineembedding-" + r, "nn.CosineEmbeddingLoss", {"margin": 0.1, **a}, {"x": x, "x2": x2, "y": sign},
             fixed=["y"])
        case("softmargin-" + r, "nn.SoftMarginLoss", a, {"x": x[:, 0], "y": sign}, fixed=["y"])
        case("multimargin-" + r, "nn.MultiMarginLoss", a, {"x": x, "target": classes}, second=False)
        case("multimargin-p2-" + r, "nn.MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": weight, **a},
             {"x": x, "target": classes}, second=False)
        case("multilabelmargin-" + r, "nn.MultiLabelMarginLoss", a, {"x": x, "target": labels}, second=False)
        case("multilabelsoftmargin-" + r, "nn.MultiLabelSoftMarginLoss", a, {"x": x, "target": zero_one}, fixed=["target"])
        case("multilabelsoftmargin-w-" + r, "nn.MultiLabelSoftMarginLoss", {"weight": weight, **a},
             {"x": x, "target": zero_one}, fixed=["target"])
        three = {"x": x, "x2": x2, "x3": x3}
        case("tripletmargin-" + r, "nn.TripletMarginLoss", a, three)
        case("tripletmargin-swap-" + r, "nn.TripletMarginLoss", {"margin": 2.0, "p": 3.0, "swap": True, **a}, three)
        case("tripletdistance-" + r, "nn.TripletMarginWithDistanceLoss", {"margin": 2.0, "swap": True, **a}, three)
        case("poissonnll-" + r, "nn.PoissonNLLLoss", a, {"x": x, "target": zero_one * 3}, fixed=["target"])
        case("poissonnll-full-" + r, "nn.PoissonNLLLoss", {"log_input": False, "full": True, **a},
             {"x": x.abs() + 0.1, "target": zero_one * 3}, fixed=["target"])
        var = {"x": x, "target": x2, "var": x3.abs() + 0.1}
        case("gaussiannll-" + r, "nn.GaussianNLLLoss", {"full": True, **a}, var)
        case("gaussiannll-row-" + r, "nn.GaussianNLLLoss", a, {**var, "var": var["var"][:, :1]})
        case("kldiv-" + r, "nn.KLDivLoss", a, {"x": x.log_softmax(1), "target": x2.softmax(1)})
        case("huber-" + r, "nn.HuberLoss", {"delta": 0.7, **a}, {"x": x, "target": x2})
    case("kldiv-log-batchmean", "nn.KLDivLoss", {"reduction": "batchmean", "log_target": True},
         {"x": x.log_softmax(1), "target": x2.log_softmax(1)})
    case("multimargin-1d", "nn.MultiMarginLoss", {}, {"x": x[0], "target": classes[1]}, second=False)
    case("multilabelmargin-1d", "nn.MultiLabelMarginLoss", {"reduction": "none"}, {"x": x[0], "target": labels[0]},
         second=False)
    for name in ["MarginRankingLoss", "HingeEmbeddingLoss", "CosineEmbeddingLoss", "SoftMarginLoss", "MultiMarginLoss",
                 "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",
                 "PoissonNLLLoss", "GaussianNLLLoss", "KLDivLoss", "HuberLoss"]:
        show("nn." + name)
    show("nn.MultiMarginLoss", {"weight": weight})
    refuse("multimargin-p", "nn.MultiMarginLoss", {"p": 3}, stage="construct", about=["p"])
    refuse("multimargin", "nn.MultiMarginLoss", {}, [[2, 3], [3]], dtypes=[None, "i64"], about=["target"])
    refuse("multilabelmargin", "nn.MultiLabelMarginLoss", {}, [[2, 3], [2, 4]], dtypes=[None, "i64"], about=["target"])
    refuse("tripletmargin", "nn.TripletMarginLoss", {"margin": 0}, stage="construct", about=["margin", "greater than 0"])
    refuse("softmargin", "nn.SoftMarginLoss", {}, [[2, 3], [2, 4]])


def recurrent():
    def states(kind, *sizes):
        return {"h0": randn(*sizes[0]), **({"c0": randn(*sizes[-1])} if kind.startswith("LSTM") else {})}

    def nest_for(kind):
        return (lambda x, h, c: (x, (h, c))) if kind.startswith("LSTM") else None

    for kind in ("RNN", "GRU", "LSTM"):
        extra = {"nonlinearity": "relu"} if kind == "RNN" else {"proj_size": 2} if kind == "LSTM" else {"bias": False}
        low, module, base = kind.lower(), "nn." + kind, {"input_size": 3, "hidden_size": 4}
        case(low + "-plain", module, base, {"x": randn(5, 2, 3)})
        case(low + "-states", module, base, {"x": randn(4, 2, 3), **states(kind, (1, 2, 4))}, nest=nest_for(kind))
        case(low + "-f32", module, base, {"x": randn(6, 3, 3)}, dtype="f32")
        out = 2 if kind == "LSTM" else 4
        case(low + "-stacked", module, {**base, "num_layers": 2, "bidirectional": True, "batch_first": True, **extra},
             {"x": randn(2, 4, 3), **states(kind, (4, 2, out), (4, 2, 4))}, nest=nest_for(kind))
        case(low + "-both", module, {**base, "bidirectional": True}, {"x": randn(3, 2, 3)})
        case(low + "-unbatched", module, {**base, "num_layers": 2}, {"x": randn(4, 3), **states(kind, (2, 4))},
             nest=nest_for(kind))
        case(low + "-one-step", module, {**base, "bias": False, "dropout": 0.5, "num_layers": 2}, {"x": randn(1, 1, 3)},
             train=False)
        show(module, base)
        show(module, {**base, "num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True})
        bound = {n: {"shape": list(p.shape), "dist": "uniform", "bound": 0.25}
                 for n, p in build(module, {"input_size": 20, "hidden_size": 16}).named_parameters()}
        inits.append({"name": "init-" + low, "module": module, "args": {"input_size": 20, "hidden_size": 16},
                      "params": bound})
        refuse(low + "-hidden", module, {**base, "hidden_size": 0}, stage="construct", about=["hidden_size", "greater"])
        refuse(low + "-layers", module, {**base, "num_layers": 0}, stage="construct", about=["num_layers", "greater"])
        refuse(low + "-dropout", module, {**base, "dropout": 1.5}, stage="construct", about=["dropout", "[0, 1]"])
        refuse(low + "-rank", module, base, [[2, 3, 3, 3]], about=["2D or 3D"])
        refuse(low + "-features", module, base, [[2, 3, 5]], about=["input_size", "5"])
        refuse(low + "-empty", module, base, [[0, 2, 3]])
        refuse(low + "-state", module, base, [[2, 3, 3]] + [[1, 2, 4]] * (2 if kind == "LSTM" else 1), about=["expected"])

        cell, module = low + "cell", module + "Cell"
        case(cell, module, base, {"x": randn(3, 3), **states(kind, (3, 4))}, nest=nest_for(kind))
        case(cell + "-first", module, {**base, "bias": False}, {"x": randn(2, 3)})
        case(cell + "-unbatched", module, base, {"x": randn(3), **states(kind, (4,))}, nest=nest_for(kind))
        case(cell + "-f32", module, base, {"x": randn(3, 3)}, dtype="f32")
        show(module, base)
        show(module, {**base, "bias": False})
        refuse(cell + "-rank", module, base, [[2, 3, 3]], about=["1D or 2D"])
        refuse(cell + "-features", module, base, [[2, 5]], about=["5"])
        refuse(cell + "-state", module, base, [[2, 3]] + [[3, 4]] * (2 if kind == "LSTM" else 1))
    case("rnncell-relu", "nn.RNNCell", {"input_size": 3, "hidden_size": 4, "nonlinearity": "relu"},
         {"x": randn(2, 3), "h0": randn(2, 4)})
    case("lstm-proj", "nn.LSTM", {"input_size": 3, "hidden_size": 4, "proj_size": 2}, {"x": randn(3, 2, 3)})
    show("nn.RNNCell", {"input_size": 3, "hidden_size": 4, "nonlinearity": "relu"})
    show("nn.LSTM", {"input_size": 3, "hidden_size": 4, "proj_size": 2})
    refuse("lstm-proj", "nn.LSTM", {"input_size": 3, "hidden_size": 4, "proj_size": 4}, stage="construct",
           about=["proj_size", "hidden_size"])


def attention():
    module, base = "nn.MultiheadAttention", {"embed_dim": 6, "num_heads": 2}
    padding = torch.tensor([[False, False, True, True, False], [False, True, False, False, False]])
    mask = torch.tensor([[False, True, False, False, True], [False, False, True, False, False],
                         [True, False, False, False, True], [False, False, False, True, False]])
    each = randn(4, 4, 5)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    q, k, v = (lambda n: randn(n, 2, 6)), None, None
    for need in (True, False):
        tag = "weights" if need else "lean"

        def run(name, args, inputs, **call):
            case(f"mha-{name}-{tag}", module, {**base, **args}, inputs, call={"need_weights": need, **call})

        three = lambda: {"x": randn(4, 2, 6), "x2": randn(5, 2, 6), "x3": randn(5, 2, 6)}
        run("plain", {}, three())
        run("f", {"bias": False}, three())
        run("padding", {}, three(), key_padding_mask=padding)
        run("mask", {}, three(), attn_mask=mask)
        run("both", {}, three(), attn_mask=randn(4, 5), key_padding_mask=padding)
        run("each", {}, three(), attn_mask=each)
        run("extra", {"add_bias_kv": True, "add_zero_attn": True}, three(), attn_mask=mask, key_padding_mask=padding)
        run("dims", {"kdim": 3, "vdim": 4, "batch_first": True},
            {"x": randn(2, 4, 6), "x2": randn(2, 5, 3), "x3": randn(2, 5, 4)}, key_padding_mask=padding)
        run("unbatched", {}, {"x": randn(4, 6), "x2": randn(5, 6), "x3": randn(5, 6)}, key_padding_mask=padding[0])
        run("causal", {}, {"x": randn(4, 2, 6), "x2": randn(4, 2, 6), "x3": randn(4, 2, 6)}, attn_mask=causal,
            is_causal=True)
        run("causal-padding", {}, {"x": randn(4, 2, 6), "x2": randn(4, 2, 6), "x3": randn(4, 2, 6)}, attn_mask=causal,
            key_padding_mask=torch.tensor([[False, True, True, False]] * 2), is_causal=True)
        if need:
            run("heads", {"num_heads": 3}, three(), average_attn_weights=False)
            case("mha-f32", module, base, three(), dtype="f32")
        else:
            blind = mask.clone()
            blind[1] = True
            run("blind", {}, three(), attn_mask=blind)
    show(module, base)
    show(module, {**base, "bias": False})
    show(module, {**base, "kdim": 3, "vdim": 4, "add_bias_kv": True})
    big = {"embed_dim": 24, "num_heads": 4}
    edge = (6 / (3 * 24 + 24)) ** 0.5
    inits.append({"name": "init-mha", "module": module, "args": big, "params": {
        "in_proj_weight": {"shape": [72, 24], "dist": "uniform", "bound": edge},
        "in_proj_bias": {"shape": [72], "dist": "constant", "value": 0.0},
        "out_proj.bias": {"shape": [24], "dist": "constant", "value": 0.0}}})
    refuse("mha-heads", module, {"embed_dim": 5, "num_heads": 2}, stage="construct", about=["divisible"])
    refuse("mha-zero", module, {"embed_dim": 0, "num_heads": 2}, stage="construct", about=["greater than 0"])
    refuse("mha-features", module, base, [[3, 1, 5], [3, 1, 6], [3, 1, 6]], about=["embedding dimension"])
    refuse("mha-lengths", module, base, [[3, 1, 6], [2, 1, 6], [3, 1, 6]])
    refuse("mha-rank", module, base, [[3, 1, 6], [3, 6], [3, 1, 6]], about=["3"])
    refuse("mha-causal", module, base, [[3, 1, 6]] * 3, {"is_causal": True}, about=["attn_mask"])


def transformers():
    layer = {"d_model": 4, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0}
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    src = lambda: {"x": randn(3, 2, 4)}
    both = lambda: {"x": randn(3, 2, 4), "memory": randn(2, 2, 4)}
    case("encoderlayer", "nn.TransformerEncoderLayer", layer, src())
    case("encoderlayer-first", "nn.TransformerEncoderLayer",
         {**layer, "norm_first": True, "activation": "gelu", "batch_first": True, "bias": False}, {"x": randn(2, 3, 4)},
         call={"src_key_padding_mask": padding})
    case("encoderlayer-causal", "nn.TransformerEncoderLayer", layer, src(), call={"src_mask": causal, "is_causal": True})
    case("decoderlayer", "nn.TransformerDecoderLayer", layer, both(), second=False)
    case("decoderlayer-masks", "nn.TransformerDecoderLayer", {**layer, "norm_first": True}, both(), second=False,
         call={"tgt_mask": causal, "tgt_is_causal": True, "memory_mask": randn(3, 2)})
    inner = lambda kind: {"$module": f"nn.Transformer{kind}Layer", "args": layer}
    norm = {"$module": "nn.LayerNorm", "args": {"normalized_shape": 4}}
    case("encoder", "nn.TransformerEncoder", {"encoder_layer": inner("Encoder"), "num_layers": 2, "norm": norm}, src(),
         call={"src_key_padding_mask": padding}, second=False)
    case("decoder", "nn.TransformerDecoder", {"decoder_layer": inner("Decoder"), "num_layers": 1}, both(), second=False)
    show("nn.TransformerEncoderLayer", {"d_model": 4, "nhead": 2})
    show("nn.TransformerDecoderLayer", layer)
    show("nn.TransformerEncoder", {"encoder_layer": inner("Encoder"), "num_layers": 2, "norm": norm})


def bags_and_ctc():
    index, flat = torch.tensor([[1, 3, 0], [2, 2, 4]]), torch.tensor([1, 3, 0, 2, 2, 4, 1])
    offsets = torch.tensor([0, 2, 2, 5])
    base = {"num_embeddings": 5, "embedding_dim": 3}
    for mode in ("sum", "mean", "max"):
        a = {**base, "mode": mode}
        case(f"embeddingbag-{mode}", "nn.EmbeddingBag", a, {"x": index}, second=False)
        case(f"embeddingbag-{mode}-offsets", "nn.EmbeddingBag", {**a, "padding_idx": 1}, {"x": flat, "offsets": offsets},
             second=False)
        show("nn.EmbeddingBag", a)
    case("embeddingbag-last", "nn.EmbeddingBag", {**base, "include_last_offset": True, "scale_grad_by_freq": True},
         {"x": flat, "offsets": torch.tensor([0, 2, 7])}, second=False)
    case("embeddingbag-weights", "nn.EmbeddingBag", {**base, "mode": "sum"}, {"x": index, "offsets": None, "w": randn(2, 3)},
         second=False)
    show("nn.EmbeddingBag", {**base, "padding_idx": -1, "max_norm": 1.0})
    refuse("embeddingbag-offsets", "nn.EmbeddingBag", base, [[4]], dtypes=["i64"], about=["offsets"])

    logits, targets = randn(6, 3, 4), torch.tensor([[1, 2, 2], [3, 1, 0], [2, 0, 0]])
    steps, lengths = torch.tensor([6, 5, 4]), torch.tensor([3, 2, 1])
    given = lambda t: {"x": logits.log_softmax(2), "target": t, "steps": steps, "lengths": lengths}
    for r in ("mean", "sum", "none"):
        case("ctc-" + r, "nn.CTCLoss", {"reduction": r}, given(targets), second=False)
    case("ctc-joined", "nn.CTCLoss", {"blank": 3}, given(torch.tensor([1, 2, 2, 0, 1, 2])), second=False)
    case("ctc-never", "nn.CTCLoss", {"zero_infinity": True}, {**given(targets), "steps": torch.tensor([3, 5, 4])},
         second=False)
    case("ctc-unbatched", "nn.CTCLoss", {}, {"x": logits[:, 0].log_softmax(1), "target": targets[0],
                                             "steps": steps[0], "lengths": lengths[0]}, second=False)
    show("nn.CTCLoss")
    refuse("ctc-steps", "nn.CTCLoss", {}, [[4, 2, 3], [2, 3], [3], [2]], dtypes=[None, "i64", "i64", "i64"],
           about=["input_lengths"])


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "modules")
    os.makedirs(out, exist_ok=True)
    # the plain formula of attention: the fused one has no second derivative
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for family in (activations, norms_and_dropouts, pools, folds_and_resampling, distances, losses, recurrent, attention,
                       transformers, bags_and_ctc, *module_families.ALL):
            family()
    module_cases.save(out)
