// Workloads of any size, OP@KEY=SIZE,..., for curves over sizes: forward and backward, steps of Adam, epochs of a
// loader. bench/peer_growth.py has the same in PyTorch, from the same initial values.
#include <algorithm>
#include <charconv>

#include "workload.h"

namespace bench {
namespace {

/// fill(), whose first 2^20 values repeat: large inputs are made quickly.
Tensor tiled(const Shape& shape, uint32_t seed, double bound = 1.0) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  const int64_t period = std::min<int64_t>(n, 1 << 20), times = (n + period - 1) / period;
  return fill({period}, seed, bound).expand({times, period}).reshape({-1}).narrow(0, 0, n).reshape(shape);
}

Tensor features(const Tensor& x) { return x.contiguous(MemoryFormat::channels_last); }

/// Forward and backward of `op` for the output's gradient g: the output, then the leaves' gradients.
Results passes(std::vector<Tensor> leaves, std::function<Tensor()> op, const Tensor& g) {
  for (Tensor& t : leaves) t.set_requires_grad();
  return [=]() mutable {
    for (Tensor& t : leaves) t.zero_grad();
    Tensor y = op();
    y.backward(g);
    std::vector<Tensor> results{y.detach()};
    for (const Tensor& t : leaves) results.push_back(t.grad());
    return results;
  };
}

/// The same of a module without its parameters' initial values.
template <class M> Results layer(M m, const Tensor& x, const Tensor& g) {
  std::vector<Tensor> leaves{x};
  for (const Tensor& p : m.parameters()) leaves.push_back(p);
  return passes(
      leaves, [m, x]() mutable { return m(x); }, g);
}

Results conv(const Sizes& s) {
  const Shape shape{s.at("n"), s.at("c"), s.at("m"), s.at("m")};
  return layer(init(nn::Conv2d(s.at("c"), s.at("c"), {.kernel_size = 3, .padding = 1})), features(tiled(shape, 1)),
               features(tiled(shape, 9)));
}

Results product(const Sizes& s) {
  const int64_t c = s.at("c");
  const Tensor x = tiled({s.at("r"), c}, 1), w = tiled({c, c}, 2);
  return passes(
      {x, w}, [=] { return matmul(x, w); }, tiled(x.shape(), 9));
}

Results batch_norm(const Sizes& s) {
  const Shape shape{s.at("n"), s.at("c"), s.at("m"), s.at("m")};
  return layer(placed(nn::BatchNorm2d(s.at("c"))), features(tiled(shape, 1)), features(tiled(shape, 9)));
}

Results layer_norm(const Sizes& s) {
  const Shape shape{s.at("r"), s.at("c")};
  return layer(placed(nn::LayerNorm(s.at("c"))), tiled(shape, 1), tiled(shape, 9));
}

Results attention(const Sizes& s) {
  const Shape shape{s.at("n"), s.at("h"), s.at("t"), s.at("d")};
  const Tensor q = tiled(shape, 1), k = tiled(shape, 2), v = tiled(shape, 3);
  return passes(
      {q, k, v}, [=] { return scaled_dot_product_attention(q, k, v); }, tiled(shape, 9));
}

Results lstm(const Sizes& s) {
  const Shape shape{s.at("t"), s.at("n"), s.at("c")};
  nn::LSTM m = init(nn::LSTM(s.at("c"), s.at("c")));
  const Tensor x = tiled(shape, 1);
  std::vector<Tensor> leaves{x};
  for (const Tensor& p : m.parameters()) leaves.push_back(p);
  return passes(
      leaves, [m, x]() mutable { return m(x).output; }, tiled(shape, 9));
}

Results encoding(const Sizes& s) {
  const int64_t c = s.at("c"), codewords = s.at("k");
  const Tensor x = tiled({s.at("n"), s.at("m") * s.at("m"), c}, 1), w = fill({codewords, c}, 2, 0.3),
               scale = fill({codewords}, 3, 0.5) - 0.5;
  return passes(
      {x, w, scale}, [=] { return encode(x, w, scale); }, fill({s.at("n"), codewords, c}, 9));
}

/// p parameters in tensors of a million at most.
Results adam(const Sizes& s) {
  const Tensor first = fill({1'000'000}, 1), gradient = fill({1'000'000}, 2, 0.01);
  std::vector<Tensor> parameters;
  for (int64_t left = s.at("p"); left > 0; left -= first.numel()) {
    const int64_t size = std::min(left, first.numel());
    Tensor p = first.narrow(0, 0, size).clone();
    p.set_requires_grad();
    p.set_grad(gradient.narrow(0, 0, size).clone());
    parameters.push_back(p);
  }
  const auto optimizer = std::make_shared<optim::Adam>(parameters, optim::AdamOptions{.lr = 1e-3});
  return [=] {
    optimizer->step();
    return std::vector<Tensor>{parameters.front().detach(), parameters.back().detach()};
  };
}

/// An epoch of s pictures of bytes, in batches of n: to floats, and normalised, by w workers.
Results loader(const Sizes& s) {
  const Tensor pictures = (tiled({s.at("s"), 3, s.at("m"), s.at("m")}, 1) * 127 + 128).to(Dtype::u8);
  const auto dataset = data::map(data::TensorDataset(pictures),
                                 data::Compose(data::ToFloat{}, data::Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.4}}));
  using Dataset = std::remove_const_t<decltype(dataset)>;
  const auto batches = std::make_shared<data::Loader<Dataset>>(
      dataset, data::LoaderOptions{.batch_size = s.at("n"), .workers = static_cast<int>(s.at("w")), .seed = 0});
  return [=] {
    Tensor last;
    for (const auto& batch : *batches) last = batch.data;
    return std::vector<Tensor>{last};
  };
}

Results copy(const Sizes& s) {
  const Tensor x = tiled({s.at("p")}, 1);
  Tensor y = tiled({s.at("p")}, 2);
  return [=]() mutable {
    y.copy_(x);
    return std::vector<Tensor>{y};
  };
}

}  // namespace

const std::vector<SizedWorkload>& sized_workloads() {
  static const std::vector<SizedWorkload> list = {
      {"conv", "Conv2d c to c, 3 x 3, of n x c x m x m", {"c", "m", "n"}, conv},
      {"product", "r x c times c x c", {"r", "c"}, product},
      {"batch_norm", "BatchNorm2d of n x c x m x m", {"c", "m", "n"}, batch_norm},
      {"layer_norm", "LayerNorm of r x c", {"r", "c"}, layer_norm},
      {"attention", "scaled_dot_product_attention of n x h x t x d", {"t", "n", "h", "d"}, attention},
      {"lstm", "LSTM(c, c) over t steps of n samples", {"t", "n", "c"}, lstm},
      {"encoding", "residual encoding of n x m^2 x c by k codewords", {"c", "m", "n", "k"}, encoding},
      {"adam", "a step of p parameters", {"p"}, adam},
      {"loader",
       "an epoch of s pictures 3 x m x m, normalised, in batches of n, by w workers",
       {"s", "m", "n", "w"},
       loader},
      {"copy", "a copy of p f32", {"p"}, copy},
  };
  return list;
}

std::string form_of(const SizedWorkload& w) {
  std::string form = w.name;
  for (const std::string& key : w.keys) form += (key == w.keys[0] ? '@' : ',') + key + "=SIZE";
  return form;
}

bool is_sized(const std::string& name) { return name.find('@') != std::string::npos; }

Results sized_workload(const std::string& name) {
  const std::string op = name.substr(0, name.find('@'));
  const auto& list = sized_workloads();
  const auto found = std::find_if(list.begin(), list.end(), [&](const SizedWorkload& w) { return op == w.name; });
  if (found == list.end()) throw ValueError("weft-bench: no sized workload " + op + "; --list shows them");
  const auto refuse = [&] { throw ValueError("weft-bench: " + name + " is not of the form " + form_of(*found)); };
  Sizes sizes;
  std::istringstream words(name.substr(std::min(name.size(), op.size() + 1)));
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string key = word.substr(0, equals);
    const char *begin = word.data() + std::min(equals + 1, word.size()), *end = word.data() + word.size();
    int64_t size = 0;
    const auto [stop, error] = std::from_chars(begin, end, size);
    if (error != std::errc() || stop != end || size < (key == "w" ? 0 : 1) || size > INT32_MAX) refuse();
    if (std::count(found->keys.begin(), found->keys.end(), key) == 0 || !sizes.emplace(key, size).second) refuse();
  }
  if (sizes.size() != found->keys.size()) refuse();
  return found->make(sizes);
}

double checksum(const Tensor& t) {
  const NoGrad no_grad;
  Tensor x = maximum(t, t * -0.5).to(Dtype::f64);
  while (x.rank() > 0) {
    const int64_t n = x.size(-1);
    x = matmul(x, arange(n).to(Dtype::f64).to(device()) / static_cast<double>(n) + 1);
  }
  return x.item<double>();
}

}  // namespace bench
