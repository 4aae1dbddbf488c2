"""Families of make_modules.py: packed sequences, whole transformers, fractional pools, softmax over many classes, old norms."""
import torch
from torch import nn

from module_cases import case, inits, randn, random, refuse, show


def packed_sequences():
    def states(kind, *sizes):
        return {"h0": randn(*sizes[0]), **({"c0": randn(*sizes[-1])} if kind == "LSTM" else {})}

    for kind in ("RNN", "GRU", "LSTM"):
        extra = {"nonlinearity": "relu"} if kind == "RNN" else {"proj_size": 2} if kind == "LSTM" else {"bias": False}
        low, module, base = kind.lower(), "nn." + kind, {"input_size": 3, "hidden_size": 4}
        out = 2 if kind == "LSTM" else 4
        nest = (lambda x, h, c: (x, (h, c))) if kind == "LSTM" else None

        def on_packed(name, args, lengths, shape, **more):
            x = shape if isinstance(shape, dict) else {"x": randn(*shape)}
            case(f"{low}-packed-{name}", module, {**base, **args}, x, call={"lengths": lengths, **more},
                 nest=nest if len(x) > 1 else None, second=name != "dropout", train=name != "dropout")

        on_packed("plain", {}, [4, 2, 2, 1], (5, 4, 3))
        on_packed("equal", {}, [3, 3], (3, 2, 3))
        on_packed("one", {"batch_first": True}, [2], (1, 3, 3))
        on_packed("unsorted", {"bidirectional": True}, [1, 4, 3], (4, 3, 3), enforce_sorted=False)
        on_packed("stacked", {"num_layers": 2, "bidirectional": True, "batch_first": True, **extra}, [2, 4, 1],
                  {"x": randn(3, 4, 3), **states(kind, (4, 3, out), (4, 3, 4))}, enforce_sorted=False)
        on_packed("states", {"bias": False}, [3, 2], {"x": randn(3, 2, 3), **states(kind, (1, 2, 4))})
        on_packed("dropout", {"num_layers": 2, "dropout": 0.5}, [3, 1], (3, 2, 3))


def whole_transformers():
    layer = {"d_model": 4, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0}
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    whole = {**layer, "num_encoder_layers": 1, "num_decoder_layers": 1}
    two = lambda: {"x": randn(3, 2, 4), "tgt": randn(2, 2, 4)}
    case("transformer", "nn.Transformer", whole, two())
    case("transformer-deep", "nn.Transformer",
         {**whole, "num_encoder_layers": 2, "num_decoder_layers": 2, "norm_first": True, "activation": "gelu",
          "batch_first": True, "bias": False, "layer_norm_eps": 1e-3}, {"x": randn(2, 3, 4), "tgt": randn(2, 4, 4)},
         call={"src_key_padding_mask": padding, "memory_key_padding_mask": padding}, second=False)
    future = nn.Transformer.generate_square_subsequent_mask(2, dtype=torch.float64)
    case("transformer-masks", "nn.Transformer", whole, two(), second=False,
         call={"src_mask": causal, "tgt_mask": future, "memory_mask": randn(2, 3),
               "tgt_key_padding_mask": torch.tensor([[0.0, -torch.inf], [0.0, 0.0]], dtype=torch.float64)})
    case("transformer-causal", "nn.Transformer", whole, {"x": randn(3, 2, 4), "tgt": randn(3, 2, 4)}, second=False,
         call={"src_mask": causal, "tgt_mask": causal, "memory_mask": causal, "src_is_causal": True, "tgt_is_causal": True,
               "memory_is_causal": True})
    case("transformer-unbatched", "nn.Transformer", whole, {"x": randn(3, 4), "tgt": randn(2, 4)}, second=False, train=False,
         call={"tgt_mask": future})
    case("transformer-f32", "nn.Transformer", whole, two(), dtype="f32", second=False)
    show("nn.Transformer", {**layer, "num_encoder_layers": 2, "num_decoder_layers": 1})
    edge = lambda a, b: {"shape": [a, b], "dist": "uniform", "bound": (6 / (a + b)) ** 0.5}
    inits.append({"name": "init-transformer", "module": "nn.Transformer",
                  "args": {"d_model": 16, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 40},
                  "params": {"encoder.layers.0.self_attn.in_proj_weight": edge(48, 16),
                             "encoder.layers.0.self_attn.out_proj.weight": edge(16, 16),
                             "decoder.layers.0.linear1.weight": edge(40, 16),
                             "decoder.layers.0.linear1.bias": {"shape": [40], "dist": "uniform", "bound": 0.25},
                             "decoder.norm.weight": {"shape": [16], "dist": "constant", "value": 1.0}}})
    refuse("transformer-batch", "nn.Transformer", whole, [[3, 2, 4], [3, 1, 4]], about=["batch number", "equal"])
    refuse("transformer-features", "nn.Transformer", whole, [[3, 2, 5], [3, 2, 4]], about=["feature number", "d_model"])
    refuse("transformer-causal", "nn.Transformer", whole, [[3, 2, 4], [3, 2, 4]], {"src_is_causal": True}, about=["attn_mask"])
    refuse("transformer-heads", "nn.Transformer", {**whole, "nhead": 3}, stage="construct", about=["divisible"])


def fractional_pools():
    for d, spatial in [(2, (7, 6)), (3, (6, 7, 8))]:
        module, x, low = f"nn.FractionalMaxPool{d}d", randn(2, 3, *spatial), f"fractional{d}d"
        u = torch.rand(2, 3, d, generator=random, dtype=torch.float64)
        for i, args in enumerate([{"kernel_size": 2, "output_size": 3}, {"kernel_size": 3, "output_ratio": 0.5},
                                  {"kernel_size": [2, 1, 3][:d], "output_size": [4, 1, 5][:d]},
                                  {"kernel_size": 1, "output_ratio": [0.9, 0.5, 0.7][:d]},
                                  {"kernel_size": [4, 2, 2][:d], "output_size": [spatial[0] - d - 1, 5, 6][:d]}]):
            given = {**args, "_random_samples": u.tolist()}
            case(f"{low}-{i}", module, given, {"x": x})
            case(f"{low}-indices-{i}", module, {**given, "return_indices": True}, {"x": x}, second=False)
        case(low + "-unbatched", module, {"kernel_size": 2, "output_size": 3, "_random_samples": u.tolist()},
             {"x": randn(3, *spatial)})
        case(low + "-f32", module, {"kernel_size": 2, "output_size": 4, "_random_samples": [[[0.25, 0.5, 0.8125][:d]] * 3] * 2},
             {"x": x}, dtype="f32")
        ties = torch.zeros(2, 3, *spatial, dtype=torch.float64)
        ties[0, 1], ties[1, 2, 2, 3] = -torch.inf, torch.nan
        case(low + "-ties", module, {"kernel_size": 3, "output_size": 3, "return_indices": True, "_random_samples": u.tolist()},
             {"x": ties}, second=False)
        show(module, {"kernel_size": 2, "output_size": 3})
        shape = [1, 2, *spatial]
        refuse(low + "-neither", module, {"kernel_size": 2}, stage="construct", about=["output_size", "output_ratio"])
        refuse(low + "-both", module, {"kernel_size": 2, "output_size": 2, "output_ratio": 0.5}, stage="construct",
               about=["only one", "output_size", "output_ratio"])
        refuse(low + "-ratio", module, {"kernel_size": 2, "output_ratio": 1.5}, stage="construct", about=["between 0 and 1", "1.5"])
        refuse(low + "-large", module, {"kernel_size": 4, "output_size": 5}, [shape], about=["too large", "4"])
        refuse(low + "-rank", module, {"kernel_size": 2, "output_size": 2}, [shape[2:]], about=["expected"])
        refuse(low + "-empty", module, {"kernel_size": 2, "output_size": 2}, [[1, 0, *spatial]])
        refuse(low + "-samples", module, {"kernel_size": 2, "output_size": 2, "_random_samples": [[[0.5] * d]]}, [shape],
               about=["samples"])


def legacy_norms():
    for i, (channels, args) in enumerate([(7, {"size": 3}), (6, {"size": 4, "alpha": 0.7, "beta": 0.6, "k": 2.0}),
                                          (2, {"size": 5, "alpha": 1.5}), (4, {"size": 1}), (5, {"size": 2, "alpha": 1.0})]):
        case(f"crossmaplrn2d-{i}", "nn.CrossMapLRN2d", args, {"x": randn(2, channels, 3, 2)}, first=False)
    show("nn.CrossMapLRN2d", {"size": 2})
    show("nn.CrossMapLRN2d", {"size": 5, "alpha": 0.001, "beta": 0.5, "k": 2.0})
    refuse("crossmaplrn2d", "nn.CrossMapLRN2d", {"size": 2}, [[2, 3, 4]], about=["4D"])


def class_losses():
    module, base = "nn.AdaptiveLogSoftmaxWithLoss", {"in_features": 8, "n_classes": 12, "cutoffs": [4, 7]}
    target = torch.tensor([0, 11, 4, 3, 6, 7, 8])
    for i, args in enumerate([{}, {"div_value": 2.0, "head_bias": True}, {"cutoffs": [1, 2, 11], "div_value": 1.5}]):
        a = {**base, **args}
        case(f"adaptive-{i}", module, a, {"x": randn(7, 8), "target": target})
        case(f"adaptive-log-prob-{i}", module, a, {"x": randn(5, 8)}, call={"method": "log_prob"})
        case(f"adaptive-predict-{i}", module, a, {"x": randn(9, 8)}, call={"method": "predict"}, first=False)
        show(module, a)
    case("adaptive-head", module, base, {"x": randn(3, 8), "target": torch.tensor([2, 0, 3])})
    case("adaptive-one-cluster", module, base, {"x": randn(2, 8), "target": torch.tensor([11, 7])}, dtype="f32")
    case("adaptive-unbatched", module, base, {"x": randn(8), "target": torch.tensor(5)})
    for name, cutoffs in [("empty", []), ("falling", [7, 4]), ("equal", [4, 4]), ("zero", [0, 4]), ("last", [4, 12])]:
        refuse("adaptive-" + name, module, {**base, "cutoffs": cutoffs}, stage="construct", about=["cutoffs"])
    refuse("adaptive-batch", module, base, [[3, 8], [2]], dtypes=[None, "i64"], about=["same size", "batch"])
    refuse("adaptive-rank", module, base, [[8], [1]], dtypes=[None, "i64"], about=["target", "input"])
    refuse("adaptive-targets", module, base, [[3, 8], [3, 1]], dtypes=[None, "i64"], about=["target"])
    refuse("adaptive-features", module, base, [[3, 7], [3]], dtypes=[None, "i64"], about=["8", "7"])

    module, base = "nn.LinearCrossEntropyLoss", {"in_features": 4, "num_classes": 3}
    classes, weight = torch.tensor([0, 2, 1, 2, 0]), [0.5, 1.0, 2.0]
    for r in ("mean", "sum", "none"):
        case("linearce-" + r, module, {**base, "reduction": r}, {"x": randn(5, 4), "target": classes})
        case("linearce-weighted-" + r, module,
             {**base, "reduction": r, "bias": True, "weight": weight, "ignore_index": 1, "label_smoothing": 0.2},
             {"x": randn(5, 4), "target": classes})
    case("linearce-wide", module, {**base, "out_features": [2, 2], "bias": True},
         {"x": randn(3, 4), "target": torch.tensor([[[0, 1], [2, 0]], [[1, 1], [0, 2]], [[2, 2], [1, 0]]])})
    case("linearce-shares", module, base, {"x": randn(5, 4), "target": randn(5, 3).softmax(1)}, fixed=["target"])
    case("linearce-unbatched", module, base, {"x": randn(4), "target": torch.tensor(2)})
    show(module, base)
    show(module, {**base, "bias": True, "reduction": "sum", "ignore_index": 1, "label_smoothing": 0.2})
    refuse("linearce-smoothing", module, {**base, "label_smoothing": 1.5}, stage="construct", about=["label_smoothing", "1.5"])
    refuse("linearce-weight", module, {**base, "weight": [1.0, 2.0]}, stage="construct", about=["weight", "3", "2"])
    refuse("linearce-features", module, base, [[2, 5], [2]], dtypes=[None, "i64"], about=["5", "4"])


ALL = (packed_sequences, whole_transformers, fractional_pools, legacy_norms, class_losses)
