// What a benchmark workload is, and the initial values that weft and its PyTorch peer share.
// Must not know how time is measured.
#pragma once

#include <weft/weft.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bench {

using namespace weft;

struct Config {
  std::string workload;
  int threads = 2;
  Dtype dtype = Dtype::f32;  ///< bf16: the forward runs under autocast
  int64_t batch = 0;         ///< 0: the workload's own
  bool captured = false;     ///< run captured
};

/// Where the tensors of this run are: set once, before a workload is made.
inline Device& device() {
  static Device d;
  return d;
}
/// A module there.
template <class M> M placed(M model) {
  model.to(device());
  return model;
}

/// One iteration; returns its loss (rank 0, or anything with one element).
using Step = std::function<Tensor()>;
/// Makes the step of a workload. Its state lives in the step.
struct Workload {
  const char* name;
  const char* what;
  Step (*make)(const Config&);
};
const std::vector<Workload>& micro_workloads();
const std::vector<Workload>& network_workloads();
const std::vector<Workload>& vision_workloads();

/// One iteration of a sized workload; returns the output and what else a peer must agree on.
using Results = std::function<std::vector<Tensor>()>;
using Sizes = std::map<std::string, int64_t>;
/// Makes the iteration of a workload OP@KEY=SIZE,... of the sizes that `keys` name.
struct SizedWorkload {
  const char* name;
  const char* what;
  std::vector<std::string> keys;
  Results (*make)(const Sizes&);
};
const std::vector<SizedWorkload>& sized_workloads();
/// "conv@c=SIZE,m=SIZE,n=SIZE"
std::string form_of(const SizedWorkload& w);
bool is_sized(const std::string& name);
/// ValueError for an unknown op, and for sizes that are not its own, each once, from 1 (workers: 0) to
/// 2^31 - 1.
Results sized_workload(const std::string& name);
/// sum_i w_i max(x_i, -x_i / 2), w the product over axes of 1 + (place along the axis) / (its size): it sees values,
/// signs and places, and no terms cancel. In f64.
double checksum(const Tensor& x);

/// Word i of the hash that fills tensors: 24 random bits.
inline uint32_t hashed(uint32_t i, uint32_t seed) {
  uint32_t x = i * 2654435761u + seed * 40503u + 12345u;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  x ^= x >> 16;
  return x >> 8;
}

/// U[-bound, bound) by hash: the same in every framework.
inline Tensor fill(const Shape& shape, uint32_t seed, double bound = 1.0) {
  Tensor t = empty(shape);
  float* p = t.mut_data<float>();
  for (int64_t i = 0; i < t.numel(); ++i)
    p[i] = static_cast<float>((hashed(static_cast<uint32_t>(i), seed) * 0x1p-24 * 2 - 1) * bound);
  return t.to(device());
}

inline Tensor labels(const Shape& shape, uint32_t classes, uint32_t seed = 2) {
  Tensor t = empty(shape, Dtype::i64);
  int64_t* p = t.mut_data<int64_t>();
  for (int64_t i = 0; i < t.numel(); ++i) p[i] = hashed(static_cast<uint32_t>(i), seed) % classes;
  return t.to(device());
}

/// Fills the parameters of a model, in order: matrices and filters by hash with bound sqrt(3 / fan_in), scales and
/// gains 1, biases 0. Parameters whose name contains one of `transposed` count fan_in along axis 0 only.
template <class M> M init(M model, const std::vector<std::string>& transposed = {}, uint32_t base = 1000) {
  NoGrad no_grad;
  model.to(device());
  uint32_t k = base;
  for (auto& [name, p] : model.named_parameters()) {
    Tensor t = p;
    if (t.rank() > 1) {
      bool along0 = false;
      for (const std::string& s : transposed) along0 = along0 || name.find(s) != std::string::npos;
      double fan = static_cast<double>(along0 ? t.size(0) : t.numel() / t.size(0));
      t.copy_(fill(t.shape(), k, std::sqrt(3.0 / fan)));
    } else {
      t.fill_(name.ends_with("weight") || name.ends_with("gain") ? 1 : 0);
    }
    ++k;
  }
  return model;
}

/// f(x) without gradients; f gives one tensor.
inline Step evaluation(const Config& c, std::function<Tensor(const std::vector<Tensor>&)> f, std::vector<Tensor> x) {
  const Dtype dtype = c.dtype;
  if (c.captured) {
    Autocast cast(Dtype::bf16, device(), dtype == Dtype::bf16);
    nn::Captured captured(
        nullptr, [f](const std::vector<Tensor>& in) { return std::vector<Tensor>{f(in)}; }, x);
    return [=] { return captured(x)[0]; };
  }
  return [=] {
    NoGrad no_grad;
    Autocast cast(Dtype::bf16, device(), dtype == Dtype::bf16);
    return f(x);
  };
}

/// A step of training, which changes parameters and gradients: captured if that was asked for.
inline Step training(const Config& c, Step step) {
  if (!c.captured) return step;
  nn::Captured captured(nullptr, [step](const std::vector<Tensor>&) { return std::vector<Tensor>{step()}; }, {},
                        {.training = true});
  return [=] { return captured(std::vector<Tensor>())[0]; };
}

/// forward, backward, step: the loop body of every training workload.
template <class Optimizer, class Loss>
Step trainer(std::shared_ptr<Optimizer> optimizer, const Config& c, Loss loss_of) {
  const Dtype dtype = c.dtype;
  return training(c, [=]() mutable {
    optimizer->zero_grad();
    Tensor loss;
    {
      Autocast cast(Dtype::bf16, device(), dtype == Dtype::bf16);
      loss = loss_of();
    }
    loss.backward();
    optimizer->step();
    return loss.detach();
  });
}

}  // namespace bench
