// Single layers, chains of ops, optimiser steps, and the cost of an eager op.
#include "workload.h"

namespace bench {
namespace {

/// forward and backward of `op` on x with a given dense gradient.
Step layer(Tensor x, std::function<Tensor(const Tensor&)> op, std::vector<Tensor> params = {}) {
  x.set_requires_grad();
  Tensor g;
  {
    NoGrad no_grad;
    const Tensor y = op(x);
    g = fill(y.shape(), 9).to(y.dtype());
  }
  if (g.rank() >= 4) g = g.contiguous(MemoryFormat::channels_last);
  return [=]() mutable {
    x.zero_grad();
    for (Tensor& p : params) p.zero_grad();
    Tensor y = op(x);
    y.backward(g);
    // the first element in row-major order, as the peer reports
    Tensor first = y.detach();
    while (first.rank() > 0) first = first.select(0, 0);
    return first;
  };
}

Tensor features(const Shape& shape) { return fill(shape, 1).contiguous(MemoryFormat::channels_last); }

Step add1(const Config&) {
  Tensor a = ones({1}, device()), b = ones({1}, device());
  return [=] {
    NoGrad no_grad;
    Tensor c;
    for (int i = 0; i < 10000; ++i) c = a + b;
    return sum(c);
  };
}

/// What a profiler costs: the difference to add1, for an addition with its block of memory.
Step add1_profiled(const Config& c) {
  return [step = add1(c)] {
    const training::Profiler profiler;
    return step();
  };
}

Step add1_ag(const Config&) {
  Tensor a = ones({1}, device()), b = ones({1}, device());
  a.set_requires_grad();
  return [=]() mutable {
    Tensor c;
    for (int i = 0; i < 2000; ++i) {
      a.zero_grad();
      c = a + b;
      c.backward();
    }
    return sum(c.detach());
  };
}

Step addmul(const Config& c) {
  Tensor x = fill({16 << 20}, 1), y = fill({16 << 20}, 2);
  return evaluation(c, [](const std::vector<Tensor>& in) { return (in[0] * in[1] + in[1])[0]; }, {x, y});
}

// What a card's memory and product units can do, as a yardstick for the rest.
Step copy64m(const Config&) {
  Tensor x = fill({64 << 20}, 1), y = empty_like(x);
  return [=]() mutable {
    NoGrad no_grad;
    y.copy_(x);
    return y[0];
  };
}

Step add64m(const Config&) {
  Tensor x = fill({64 << 20}, 1), y = fill({64 << 20}, 2);
  return [=] {
    NoGrad no_grad;
    return (x + y)[0];
  };
}

/// dim: the axis of 8192 x 8192 that goes; -1: both.
template <int dim> Step sum64m(const Config&) {
  Tensor x = fill({8192, 8192}, 1);
  return [=] {
    NoGrad no_grad;
    return dim < 0 ? sum(x) : sum(x, dim)[0];
  };
}

Step matmul4096(const Config& c) {
  const Dtype dtype = c.dtype == Dtype::bf16 ? Dtype::bf16 : Dtype::f32;
  Tensor a = fill({4096, 4096}, 1).to(dtype), b = fill({4096, 4096}, 2).to(dtype);
  return [=] {
    NoGrad no_grad;
    return matmul(a, b)[0][0].to(Dtype::f32);
  };
}

Step gelu_chain(const Config& c) {
  Tensor x = fill({16 << 20}, 1);
  x.set_requires_grad();
  return training(c, [=]() mutable {
    x.zero_grad();
    Tensor loss = mean(gelu(x * 1.5 + 0.5) * x);
    loss.backward();
    return loss.detach();
  });
}

Step softmax_step(const Config&) {
  return layer(fill({4096, 1024}, 1), [](const Tensor& x) { return softmax(x, 1); });
}

Step layernorm(const Config&) {
  nn::LayerNorm m = placed(nn::LayerNorm(Shape{1024}));
  return layer(
      fill({4096, 1024}, 1), [m](const Tensor& x) mutable { return m(x); }, m.parameters());
}

Step bnrelu(const Config& c) {
  nn::BatchNorm2d m = placed(nn::BatchNorm2d(64, {.activation = Activation::relu}));
  return layer(
      features({8, 64, 112, 112}).to(c.dtype), [m](const Tensor& x) mutable { return m(x); }, m.parameters());
}

Step inrelu(const Config&) {
  nn::InstanceNorm2d m(64, {.activation = Activation::relu});
  return layer(features({1, 64, 256, 256}), [m](const Tensor& x) mutable { return m(x); });
}

Step maxpool(const Config&) {
  return layer(features({8, 64, 112, 112}),
               [](const Tensor& x) { return max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1}); });
}

Step bilinear(const Config&) {
  return layer(features({4, 64, 64, 64}), [](const Tensor& x) {
    return interpolate(x, {.scale_factor = {2.0}, .mode = InterpolateMode::bilinear});
  });
}

Step ce2d(const Config&) {
  Tensor x = features({4, 21, 256, 256}), y = labels({4, 256, 256}, 21);
  x.set_requires_grad();
  return [=]() mutable {
    x.zero_grad();
    Tensor loss = cross_entropy(x, y);
    loss.backward();
    return loss.detach();
  };
}

Step conv33(const Config&) {
  nn::Conv2d m = init(nn::Conv2d(64, 64, {.kernel_size = 3, .padding = 1}));
  return layer(
      features({4, 64, 112, 112}), [m](const Tensor& x) mutable { return m(x); }, m.parameters());
}

Step encoding(const Config&) {
  Tensor x = fill({4, 3600, 128}, 1), c = fill({32, 128}, 2, 0.3), s = fill({32}, 3, 0.5) - 0.5;
  for (Tensor* t : {&x, &c, &s}) t->set_requires_grad();
  return [=]() mutable {
    for (Tensor* t : {&x, &c, &s}) t->zero_grad();
    Tensor loss = mean(square(encode(x, c, s)));
    loss.backward();
    return loss.detach();
  };
}

Step gram(const Config&) {
  Tensor x = features({1, 64, 256, 256});
  x.set_requires_grad();
  nn::GramMatrix m;
  return [=]() mutable {
    x.zero_grad();
    Tensor loss = mean(square(m(x)));
    loss.backward();
    return loss.detach();
  };
}

constexpr int64_t kLstmSteps = 64, kLstmBatch = 16, kLstmSize = 256;

Step lstm(const Config& c) {
  nn::LSTM m = init(nn::LSTM(kLstmSize, kLstmSize));
  Tensor x = fill({kLstmSteps, c.batch ? c.batch : kLstmBatch, kLstmSize}, 1);
  return trainer(std::make_shared<optim::SGD>(m.parameters(), optim::SGDOptions{.lr = 0.1}), c,
                 [=]() mutable { return mean(square(m(x).output.to(Dtype::f32))); });
}

Step lstm_infer(const Config& c) {
  nn::LSTM m = init(nn::LSTM(kLstmSize, kLstmSize));
  Tensor x = fill({kLstmSteps, c.batch ? c.batch : kLstmBatch, kLstmSize}, 1);
  m.eval();
  return evaluation(c, [m](const std::vector<Tensor>& in) { return mean(m(in[0]).output.to(Dtype::f32)); }, {x});
}

std::vector<Tensor> many_tensors() {
  std::vector<Tensor> ps;
  auto add = [&](const Shape& shape) {
    uint32_t i = static_cast<uint32_t>(ps.size());
    Tensor p = fill(shape, 100 + i, 0.05);
    p.set_requires_grad();
    p.set_grad(fill(shape, 500 + i, 0.01));
    ps.push_back(p);
  };
  for (int i = 0; i < 60; ++i) add({256});
  for (int i = 0; i < 60; ++i) add({256, 256});
  for (int i = 0; i < 40; ++i) add({512, 1028});
  return ps;
}

template <class Optimizer> Step optimizer_step(const std::vector<Tensor>& ps, std::shared_ptr<Optimizer> opt) {
  return [ps, opt] {
    opt->step();
    return ps.back().detach()[0][0];
  };
}

Step adam25m(const Config&) {
  std::vector<Tensor> ps = many_tensors();
  return optimizer_step(ps, std::make_shared<optim::Adam>(ps, optim::AdamOptions{.lr = 1e-3}));
}

Step sgd25m(const Config&) {
  std::vector<Tensor> ps = many_tensors();
  return optimizer_step(
      ps, std::make_shared<optim::SGD>(ps, optim::SGDOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4}));
}

}  // namespace

const std::vector<Workload>& micro_workloads() {
  static const std::vector<Workload> list = {
      {"add1", "10000 additions of one-element tensors, no grad", add1},
      {"add1_profiled", "the same while a profiler records", add1_profiled},
      {"add1_ag", "2000 times an addition and its backward", add1_ag},
      {"addmul", "x * y + y over 16 Mi elements, no grad", addmul},
      {"copy64m", "a copy of 64 Mi f32: 512 MiB read and written", copy64m},
      {"add64m", "x + y over 64 Mi elements, no grad", add64m},
      {"sum64m", "sum of 8192 x 8192, no grad", sum64m<-1>},
      {"sum64m_rows", "sum of 8192 x 8192 along rows, no grad", sum64m<1>},
      {"sum64m_columns", "sum of 8192 x 8192 along columns, no grad", sum64m<0>},
      {"matmul4096", "product of 4096 x 4096 matrices, no grad", matmul4096},
      {"gelu_chain", "mean(gelu(1.5 x + 0.5) x) over 16 Mi elements, forward and backward", gelu_chain},
      {"softmax", "softmax of 4096 x 1024, forward and backward", softmax_step},
      {"layernorm", "LayerNorm(1024) of 4096 x 1024, forward and backward", layernorm},
      {"bnrelu", "BatchNorm2d + ReLU of 8 x 64 x 112 x 112, forward and backward", bnrelu},
      {"inrelu", "InstanceNorm2d + ReLU of 1 x 64 x 256 x 256, forward and backward", inrelu},
      {"maxpool", "max pool 3, stride 2, of 8 x 64 x 112 x 112, forward and backward", maxpool},
      {"bilinear", "4 x 64 x 64 x 64 to 128 x 128, forward and backward", bilinear},
      {"ce2d", "cross-entropy of 4 x 21 x 256 x 256, forward and backward", ce2d},
      {"conv33", "Conv2d 64 to 64, 3 x 3, at 4 x 64 x 112 x 112, forward and backward", conv33},
      {"encoding", "residual encoding of 4 x 3600 x 128 by 32 codewords, forward and backward", encoding},
      {"encoding_mm", "the same, for the peer that is written with matrix products", encoding},
      {"gram", "Gram matrix of 1 x 64 x 256 x 256, forward and backward", gram},
      {"lstm", "LSTM(256, 256) over 64 steps of 16 samples, mean square, SGD", lstm},
      {"lstm_infer", "the same layer, forward", lstm_infer},
      {"adam25m", "Adam step over 25 M parameters", adam25m},
      {"sgd25m", "SGD step with momentum over 25 M parameters", sgd25m},
  };
  return list;
}

}  // namespace bench
