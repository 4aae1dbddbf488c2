// Arguments of which something would be lost do not compile: text or a number where a bool is meant, a fraction where
// an integer is. Each row says a call with `v` in the place of one argument.
#include <doctest/doctest.h>

#include "weft/weft.h"

using namespace weft;

// A call takes a bool, and neither text nor a number in its place.
#define TAKES_BOOL(...)                                                                                                \
  {                                                                                                                    \
    constexpr auto takes = []<class V>(V) {                                                                            \
      return requires(Tensor & x, nn::ReLU & m, optim::SGD & opt, const StateDict& dict, const V& v) { __VA_ARGS__; }; \
    };                                                                                                                 \
    static_assert(takes(true), #__VA_ARGS__);                                                                          \
    static_assert(!takes("yes") && !takes(1) && !takes(0.5) && !takes(nullptr), #__VA_ARGS__);                         \
  }
// A call takes integers of all widths, and neither a fraction nor a bool nor text in their place.
#define TAKES_INT(...)                                                                                  \
  {                                                                                                     \
    constexpr auto takes = []<class V>(V) {                                                             \
      return requires(Tensor & x, const V& v) { __VA_ARGS__; };                                         \
    };                                                                                                  \
    static_assert(takes(1) && takes(int64_t{1}) && takes(size_t{1}) && takes(int8_t{1}), #__VA_ARGS__); \
    static_assert(!takes(1.5) && !takes(1.5F) && !takes(true) && !takes("1"), #__VA_ARGS__);            \
  }

TEST_SUITE("arguments") {
  TEST_CASE("a bool is made of a bool") {
    TAKES_BOOL(x.sum(1, v));
    TAKES_BOOL(x.nansum(1, v));
    TAKES_BOOL(x.mean(1, v));
    TAKES_BOOL(x.nanmean(1, v));
    TAKES_BOOL(x.prod(1, v));
    TAKES_BOOL(x.var(1, v));
    TAKES_BOOL(x.var(1, true, v));
    TAKES_BOOL(x.std(1, v));
    TAKES_BOOL(x.std(1, true, v));
    TAKES_BOOL(x.amax(1, v));
    TAKES_BOOL(x.amin(1, v));
    TAKES_BOOL(x.max(1, v));
    TAKES_BOOL(x.min(1, v));
    TAKES_BOOL(x.argmax(1, v));
    TAKES_BOOL(x.argmin(1, v));
    TAKES_BOOL(x.norm(2, 1, v));
    TAKES_BOOL(x.logsumexp(1, v));
    TAKES_BOOL(x.any(1, v));
    TAKES_BOOL(x.all(1, v));
    TAKES_BOOL(x.median(1, v));
    TAKES_BOOL(x.quantile(0.5, 1, v));
    TAKES_BOOL(x.quantile(x, 1, v));
    TAKES_BOOL(x.kthvalue(1, 1, v));
    TAKES_BOOL(x.mode(1, v));
    TAKES_BOOL(x.sort(1, v));
    TAKES_BOOL(x.argsort(1, v));
    TAKES_BOOL(x.topk(1, 1, v));
    TAKES_BOOL(x.topk(1, 1, true, v));
    TAKES_BOOL(x.multinomial(1, v));
    TAKES_BOOL(x.allclose(x, 1e-5, 1e-8, v));
    TAKES_BOOL(x.isclose(x, 1e-5, 1e-8, v));
    TAKES_BOOL(x.index_put({1}, x, v));
    TAKES_BOOL(x.index_put_({1}, x, v));
    TAKES_BOOL(x.to(Device(), v));
    TAKES_BOOL(x.to(Device(), Dtype::f32, v));
    TAKES_BOOL(x.set_requires_grad(v));
    TAKES_BOOL(x.requires_grad_(v));
    TAKES_BOOL(x.backward(x, v));
    TAKES_BOOL(x.backward(x, true, v));
    TAKES_BOOL(x.backward({}, {.retain_graph = v}));
    TAKES_BOOL(TensorOptions().requires_grad(v));
    TAKES_BOOL(sum(x, 1, v));
    TAKES_BOOL(nansum(x, 1, v));
    TAKES_BOOL(mean(x, 1, v));
    TAKES_BOOL(nanmean(x, 1, v));
    TAKES_BOOL(prod(x, 1, v));
    TAKES_BOOL(var(x, 1, v));
    TAKES_BOOL(weft::std(x, 1, true, v));
    TAKES_BOOL(amax(x, 1, v));
    TAKES_BOOL(max(x, 1, v));
    TAKES_BOOL(argmax(x, 1, v));
    TAKES_BOOL(aminmax(x, 1, v));
    TAKES_BOOL(vector_norm(x, 2, 1, v));
    TAKES_BOOL(norm(x, 2, 1, v));
    TAKES_BOOL(norm(x, "fro", 1, v));
    TAKES_BOOL(logsumexp(x, 1, v));
    TAKES_BOOL(any(x, 1, v));
    TAKES_BOOL(all(x, 1, v));
    TAKES_BOOL(nanmedian(x, 1, v));
    TAKES_BOOL(nanquantile(x, 0.5, 1, v));
    TAKES_BOOL(sort(x, 1, v));
    TAKES_BOOL(dropout(x, 0.5, v));
    TAKES_BOOL(dropout1d(x, 0.5, v));
    TAKES_BOOL(dropout2d(x, 0.5, v));
    TAKES_BOOL(dropout3d(x, 0.5, v));
    TAKES_BOOL(alpha_dropout(x, 0.5, v));
    TAKES_BOOL(feature_alpha_dropout(x, 0.5, v));
    TAKES_BOOL(rrelu(x, 0.1, 0.3, v));
    TAKES_BOOL(gumbel_softmax(x, 1, v));
    TAKES_BOOL(multinomial(x, 1, v));
    TAKES_BOOL(put(x, x, x, v));
    TAKES_BOOL(scatter_reduce(x, 1, x, x, "sum", v));
    TAKES_BOOL(index_reduce(x, 1, x, x, "prod", v));
    TAKES_BOOL(combinations(x, 2, v));
    TAKES_BOOL(affine_grid(x, {1, 1, 2, 2}, v));
    TAKES_BOOL(interpolate(x, {.align_corners = v}));
    TAKES_BOOL(linalg::solve(x, x, v));
    TAKES_BOOL(linalg::cholesky(x, v));
    TAKES_BOOL(linalg::svd(x, v));
    TAKES_BOOL(linalg::norm(x, {}, {}, v));
    TAKES_BOOL(linalg::matrix_norm(x, "fro", {0, 1}, v));
    TAKES_BOOL(GradMode{v});
    TAKES_BOOL(AnomalyMode{v});
    TAKES_BOOL(Autocast(Dtype::bf16, Device(), v));
    TAKES_BOOL(m.train(v));
    TAKES_BOOL(m.requires_grad(v));
    TAKES_BOOL(m.requires_grad_(v));
    TAKES_BOOL(m.zero_grad(v));
    TAKES_BOOL(m.load_state_dict(dict, v));
    TAKES_BOOL(nn::Sum(1, v));
    TAKES_BOOL(nn::Mean(1, v));
    TAKES_BOOL(nn::Embedding::from_pretrained(x, v));
    TAKES_BOOL(nn::EmbeddingBag::from_pretrained(x, v));
    TAKES_BOOL(nn::pack_sequence({x}, v));
    TAKES_BOOL(nn::unpad_sequence(x, x, v));
    TAKES_BOOL(opt.zero_grad(v));
    TAKES_BOOL(optim::clip_grad_norm_({x}, 1, 2, v));
    TAKES_BOOL(io::save_npz(dict, "x.npz", v));
    TAKES_BOOL(io::load(m, "x.safetensors", v));
    TAKES_BOOL(data::MNIST(".", v));
    TAKES_BOOL(data::CIFAR10(".", v));
    // what stands for a bool is one
    std::vector<bool> keep{true};
    CHECK(ones({2, 3}).sum(1, keep[0]).shape() == Shape{2, 1});
    CHECK(sum(ones({2, 3}), 1, true).shape() == Shape{2, 1});
  }

  TEST_CASE("an integer is made of an integer") {
    TAKES_INT(x.sum(v));
    TAKES_INT(x.softmax(v));
    TAKES_INT(x.cumsum(v));
    TAKES_INT(x.max(v));
    TAKES_INT(x.argmax(v));
    TAKES_INT(x.size(v));
    TAKES_INT(x.stride(v));
    TAKES_INT(x[v]);
    TAKES_INT(x.select(0, v));
    TAKES_INT(x.narrow(0, v, 1));
    TAKES_INT(x.narrow(0, 0, v));
    TAKES_INT(x.slice(0, v));
    TAKES_INT(x.slice(0, 0, v));
    TAKES_INT(x.slice(0, 0, 1, v));
    TAKES_INT(Slice(v));
    TAKES_INT(x.transpose(0, v));
    TAKES_INT(x.squeeze(v));
    TAKES_INT(x.unsqueeze(v));
    TAKES_INT(x.flatten(v));
    TAKES_INT(x.movedim(0, v));
    TAKES_INT(x.split(v));
    TAKES_INT(x.split(1, v));
    TAKES_INT(x.chunk(v));
    TAKES_INT(x.unfold(0, v, 1));
    TAKES_INT(x.diagonal(v));
    TAKES_INT(x.unbind(v));
    TAKES_INT(x.view(v));
    TAKES_INT(x.reshape(v));
    TAKES_INT(x.expand(v));
    TAKES_INT(x.permute(0, v));
    TAKES_INT(x.repeat(v));
    TAKES_INT(x.roll(v));
    TAKES_INT(x.roll(v, 0));
    TAKES_INT(x.flip(v));
    TAKES_INT(x.tril(v));
    TAKES_INT(x.diag(v));
    TAKES_INT(x.topk(v));
    TAKES_INT(x.kthvalue(v));
    TAKES_INT(x.diff(v));
    TAKES_INT(x.round(v));
    TAKES_INT(x.index_select(v, x));
    TAKES_INT(x.index_add(v, x, x));
    TAKES_INT(x.gather(v, x));
    TAKES_INT(x.scatter_(v, x, x));
    TAKES_INT(x.multinomial(v));
    TAKES_INT(x.repeat_interleave(v));
    TAKES_INT(x.random_(0, v));
    TAKES_INT(roll(x, v));
    TAKES_INT(cat({x}, v));
    TAKES_INT(stack({x}, v));
    TAKES_INT(split(x, v));
    TAKES_INT(tensor_split(x, v));
    TAKES_INT(hsplit(x, v));
    TAKES_INT(one_hot(x, v));
    TAKES_INT(glu(x, v));
    TAKES_INT(group_norm(x, v));
    TAKES_INT(cross(x, x, v));
    TAKES_INT(tensordot(x, x, v));
    TAKES_INT(pixel_shuffle(x, v));
    TAKES_INT(unique(x, {.dim = v}));
    TAKES_INT(linalg::matrix_power(x, v));
    TAKES_INT(max_pool2d(x, v));
    TAKES_INT(max_pool2d(x, {v, 2}));
    TAKES_INT(max_pool2d(x, 2, v));
    TAKES_INT(adaptive_avg_pool2d(x, v));
    TAKES_INT(conv2d(x, x, {}, {.stride = v}));
    TAKES_INT(Padding<2>(v, 1));
    TAKES_INT(zeros(v));
    TAKES_INT(eye(v));
    TAKES_INT(linspace(0, 1, v));
    TAKES_INT(randperm(v));
    TAKES_INT(tril_indices(v, 2));
    CHECK(cat({ones({1}), ones({1})}, size_t{0}).shape() == Shape{2});
    CHECK(split(arange(4), 2).size() == 2);
    CHECK(split(arange(4), {1, 3}).size() == 2);
    // as in PyTorch, braces are indices and a number counts
    CHECK(tensor_split(arange(4), {2})[1].shape() == Shape{2});
    CHECK(tensor_split(arange(4), 3)[0].shape() == Shape{2});
  }
}
