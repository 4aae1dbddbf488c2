// Captured models on cards that are made up: what becomes one launch, and that it computes the same bits.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#undef WEFT_CUDA_EMULATOR
#define WEFT_CUDA_EMULATOR "support/fake_card/launch.h"
#include "cuda_host/queued_kernels.h"
#include "support/difference.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/rnn.cuh"
#include "weft/backends/cuda/runtime.h"
#include "weft/core/backend.h"
#include "weft/core/kernels/rnn.h"
#include "weft/core/stream.h"
#include "weft/nn/capture.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/profiler.h"

using namespace weft;
using fake_card::calls;
using support::largest_difference;
using support::message_of;

namespace {

using Tensors = std::vector<Tensor>;

}  // namespace

/// A product of f32, as one kernel.
void weft::cuda::gemm(const Gemm& g) {
  fake_card::launch(static_cast<cudaStream_t>(stream()), [g] {
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        float sum = 0;
        for (int64_t k = 0; k < g.k; ++k)
          sum += static_cast<const float*>(g.a)[i * g.a_row + k * g.a_col] *
                 static_cast<const float*>(g.b)[k * g.b_row + j * g.b_col];
        static_cast<float*>(g.out)[i * g.out_row + j] = sum;
      }
  });
}

namespace {

/// Card 0 with kernels. What it keeps of before is given back.
Device card() {
  static const char* missing = cuda::register_services();
  REQUIRE(missing == nullptr);
  static const bool lent = [] {
    queued::lend_kernels();
    kernels::rnn.set(DeviceType::cuda, cuda::rnn);
    kernels::rnn_backward.set(DeviceType::cuda, cuda::rnn_backward);
    return true;
  }();
  REQUIRE(lent);
  (void)backend(DeviceType::cpu);  // whose kernels are lent
  fake_card::reset(2);
  const Device d{DeviceType::cuda, 0};
  (void)full({1}, 0.0, d);  // what a card's first kernel takes stays
  backend(DeviceType::cuda).empty_cache(0);
  return d;
}

/// What one call of f asks of the driver.
struct Counts {
  int graphs, kernels, copies, waits;
};
template <class F> Counts counts_of(const F& f) {
  const auto now = [] {
    return Counts{calls("cudaGraphLaunch"), calls("launch"), calls("cudaMemcpyAsync"),
                  calls("cudaStreamSynchronize") + calls("cudaDeviceSynchronize") + calls("cudaEventSynchronize")};
  };
  const Counts before = now();
  f();
  const Counts after = now();
  return {after.graphs - before.graphs, after.kernels - before.kernels, after.copies - before.copies,
          after.waits - before.waits};
}

struct Block : nn::Module {
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d bn1 = add("bn1", nn::BatchNorm2d(8));
  nn::Conv2d conv2 = add("conv2", nn::Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d bn2 = add("bn2", nn::BatchNorm2d(8));
  Tensor operator()(const Tensor& x) const { return relu(bn2(conv2(relu(bn1(conv1(x))))) + x); }
};
struct Net : nn::Module {
  nn::Conv2d stem = add("stem", nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}));
  Block first = add("first", Block()), second = add("second", Block());
  nn::Dropout drop = add("drop", nn::Dropout(0.2));
  nn::Linear fc = add("fc", nn::Linear(8, 5));
  Tensor operator()(const Tensor& x) const {
    return fc(drop(adaptive_avg_pool2d(second(first(relu(stem(x)))), 1).flatten(1)));
  }
};

/// A network on the card, the same one every time.
Net network(Device d) {
  manual_seed(3);
  Net net;
  net.to(d);
  return net;
}
Tensor pictures(Device d) { return randn({2, 3, 8, 8}).to(d); }
Tensor on_host(const Tensor& x) { return x.to(Device()); }

/// A network, its optimiser, and what a step of both is.
struct Trainee {
  Net net;
  std::unique_ptr<optim::Optimizer> opt;
  Trainee(Device d, bool adam) : net(network(d)) {
    if (adam) opt = std::make_unique<optim::AdamW>(net.parameters(), optim::AdamWOptions{.lr = 0.01});
    else opt = std::make_unique<optim::SGD>(net.parameters(), optim::SGDOptions{.lr = 0.1, .momentum = 0.9});
  }
  Tensors step(const Tensors& in) {
    opt->zero_grad();
    const Tensor loss = cross_entropy(net(in[0]), in[1]);
    loss.backward();
    opt->step();
    return {loss};
  }
  nn::Captured captured(const Tensors& example) {
    return nn::capture([this](const Tensors& in) { return step(in); }, example, {.training = true});
  }
};
Tensors batch(Device d) { return {pictures(d), randint(0, 5, {2}, Dtype::i64).to(d)}; }

void check_same(const Trainee& a, const Trainee& b) {
  const auto of_a = a.net.state_dict(), of_b = b.net.state_dict();
  for (const auto& entry : of_a) {
    CAPTURE(entry.first);
    CHECK(largest_difference(on_host(entry.second), on_host(of_b.at(entry.first))) == 0);
  }
  for (size_t i = 0; i < a.net.parameters().size(); ++i)
    CHECK(largest_difference(on_host(a.net.parameters()[i].grad()), on_host(b.net.parameters()[i].grad())) == 0);
}

/// What the kernels give when nobody joins them: a first call does not.
Tensor plainly(const Net& net, const Tensor& x) { return on_host(nn::capture(net, x)(x)); }

}  // namespace

TEST_SUITE_BEGIN("cuda graphs");

TEST_CASE("a captured model is one launch from its third call on, and its results are the kernels'") {
  const Device d = card();
  Net net = network(d);
  net.eval();
  const nn::Captured fast = nn::capture(net, pictures(d));
  Tensors inputs, results;
  for (int i = 0; i < 6; ++i) {
    inputs.push_back(pictures(d));
    backend(DeviceType::cuda).activate(1);  // another one's
    const Counts n = counts_of([&] { results.push_back(fast(inputs.back())); });
    CHECK(n.waits == 0);
    CHECK(n.graphs == (i > 0));
    CHECK(n.copies == (i > 0 ? 2 : 0));  // into the graph and out of it
    if (i != 1) CHECK((n.kernels > 0) == (i == 0));
  }
  CHECK(calls("cudaGraphInstantiate") == 1);
  for (size_t i = 0; i < inputs.size(); ++i)  // none was written over by the next
    CHECK(largest_difference(on_host(results[i]), plainly(net, inputs[i])) == 0);
}

TEST_CASE("a captured step is a few launches, and gives the step's bits whoever meddles between two") {
  for (const bool adam : {false, true}) {
    const Device d = card();
    Trainee a(d, adam), b(d, adam);
    const nn::Captured step = b.captured(batch(d));
    for (int i = 0; i < 10; ++i) {
      CAPTURE(i);
      const Tensors in = batch(d);
      manual_seed(i);
      const float want = a.step(in)[0].item<float>();
      manual_seed(i);
      Tensor loss;
      const Counts n = counts_of([&] { loss = step(in)[0]; });
      CHECK(loss.item<float>() == want);
      check_same(a, b);
      if (i == 3 || i == 9) {
        CHECK(n.graphs == 3);   // around the numbers of the dropout, which backward draws again
        CHECK(n.kernels == 3);  // those, and the optimiser's
        CHECK(n.copies == 3);   // pictures and labels in, the loss out
        CHECK(n.waits == 0);
      }
      if (i == 4) a.opt->set_lr(0.003, 0), b.opt->set_lr(0.003, 0);
      for (Trainee* t : {&a, &b}) {
        NoGrad off;
        if (i == 5) t->net.fc.weight.mul_(0.5);
        if (i == 6) t->net.to(Device()), t->net.to(d);  // parameters lie elsewhere, and the old places are nobody's
      }
      if (i == 6) backend(DeviceType::cuda).empty_cache(0);
    }
  }
}

TEST_CASE("what a graph cannot hold stays a call, between two graphs") {
  const Device d = card();
  const auto f = [](const Tensors& in) {
    Tensor x = in[0];
    for (int i = 0; i < 3; ++i) x = x * 2 + 1;
    x = cat({x, x}, 0);
    for (int i = 0; i < 3; ++i) x = x * 2 + 1;
    return Tensors{x};
  };
  using Fn = void (*)(const MutTensorRef&, const TensorRef*, int, int);
  static Fn before = nullptr;
  before = kernels::cat.get(DeviceType::cuda);
  const auto with = [&](Fn cat) {
    kernels::cat.set(DeviceType::cuda, cat);
    const nn::Captured g = nn::capture(f, {pictures(d)});
    Tensor x, y;
    Counts n{};
    for (int i = 0; i < 3; ++i) {
      x = pictures(d);
      n = counts_of([&] { y = g({x})[0]; });
    }
    kernels::cat.set(DeviceType::cuda, before);
    CHECK(largest_difference(on_host(y), f({on_host(x)})[0]) == 0);
    return n;
  };
  CHECK(with(before).graphs == 1);
  const Counts refused = with([](const MutTensorRef& y, const TensorRef* x, int n, int dim) {
    before(y, x, n, dim);  // a part of it may have been taken down by then
    cuda::refuse_capture("what the host decides");
  });
  CHECK(refused.graphs == 2);
  CHECK(refused.kernels == 1);
  const Counts spoilt = with([](const MutTensorRef& y, const TensorRef* x, int n, int dim) {
    cuda::check(cudaStreamSynchronize(static_cast<cudaStream_t>(cuda::stream())), "cudaStreamSynchronize");
    before(y, x, n, dim);
  });
  CHECK(spoilt.graphs == 2);
  CHECK(spoilt.kernels == 1);
}

TEST_CASE("all steps of a recurrent layer are one launch") {
  const Device d = card();
  const size_t before = fake_card::taken(0);
  manual_seed(4);
  {
    nn::LSTM lstm(3, 5, {.num_layers = 2, .bidirectional = true});
    lstm.to(d);
    constexpr int kSteps = 7;
    const auto f = [&](const Tensors& in) { return Tensors{lstm(in[0]).output}; };
    const auto sequence = [&] { return randn({kSteps, 2, 3}).to(d); };
    const nn::Captured fast = nn::capture(f, {sequence()});
    for (int i = 0; i < 4; ++i) {
      const Tensor x = sequence();
      Tensor y;
      const Counts n = counts_of([&] { y = fast(x); });
      CHECK(n.graphs == (i > 0));
      if (i == 0) CHECK(n.kernels > 4 * 2 * kSteps);
      if (i > 1) CHECK(n.kernels == 0);
      CHECK(largest_difference(on_host(y), on_host(f({x})[0])) == 0);
    }
    // and a step of training, whose scratch memory nobody else gets while the graph lives
    nn::LSTM eager = nn::clone(lstm);
    const auto step = [](nn::LSTM& net, optim::SGD& opt, const Tensor& x) {
      opt.zero_grad();
      Tensor loss = square(net(x).output).mean();
      loss.backward();
      opt.step();
      return Tensors{loss};
    };
    optim::SGD opt(lstm.parameters(), {.lr = 0.5, .momentum = 0.9}),
        eager_opt(eager.parameters(), {.lr = 0.5, .momentum = 0.9});
    const nn::Captured trained = nn::capture([&](const Tensors& in) { return step(lstm, opt, in[0]); }, {sequence()},
                                             {.training = true});
    Tensors others;
    for (int i = 0; i < 5; ++i) {
      const Tensor x = sequence(), want = step(eager, eager_opt, x)[0];
      Tensor loss;
      const Counts n = counts_of([&] { loss = trained(x); });
      CHECK(n.graphs == (i > 0));
      if (i > 1) CHECK(n.kernels == 1);  // the optimiser's
      CHECK(on_host(loss).item<float>() == on_host(want).item<float>());
      for (int64_t n = 1; n < 200; n += 2) others.push_back(full({n}, 9.0, d));
    }
    for (const Tensor& t : others) CHECK(largest_difference(on_host(t), full(t.shape(), 9.0)) == 0);
  }
  backend(DeviceType::cuda).empty_cache(0);
  CHECK(fake_card::taken(0) == before);
}

TEST_CASE("a step may begin with what is no kernel, and a profiler sees its kernels") {
  const Device d = card();
  Trainee t(d, false);
  optim::StepLR schedule(*t.opt, 2, 0.5);
  const nn::Captured step = nn::capture(
      [&](const Tensors& in) {
        schedule.step();
        return t.step(in);
      },
      batch(d), {.training = true});
  for (int i = 0; i < 3; ++i) CHECK(counts_of([&] { (void)step(batch(d)); }).graphs == (i > 0 ? 3 : 0));
  const Tensors in = batch(d);
  training::Profiler seen;
  const Counts n = counts_of([&] { (void)step(in); });
  CHECK(n.graphs == 0);
  CHECK(n.kernels > 30);
}

TEST_CASE("whoever watches what a graph writes sees it") {
  const Device d = card();
  const Tensor state = zeros({2, 3, 8, 8}, d);
  const nn::Captured step = nn::capture(
      [state](const Tensors& in) {
        NoGrad off;
        Tensor(state).copy_(cat({in[0], in[0]}, 0).sum(0, true) + state);
        return Tensors{};
      },
      {pictures(d)}, {.training = true});
  Tensor want = zeros({2, 3, 8, 8});
  for (int i = 0; i < 4; ++i) {
    const Tensor x = pictures(d);
    const uint32_t version = state.impl()->storage->version();
    CHECK(counts_of([&] { (void)step({x}); }).graphs == (i > 0));
    CHECK(state.impl()->storage->version() > version);
    want = cat({on_host(x), on_host(x)}, 0).sum(0, true) + want;
    CHECK(largest_difference(on_host(state), want) == 0);
  }
}

TEST_CASE("few kernels over large inputs are not worth the copies, two kernels not a graph") {
  const Device d = card();
  const nn::Captured large = nn::capture(
      [](const Tensors& in) {
        return Tensors{cat({exp(in[0]), in[0]}, 0) * 2};
      },
      {zeros({1 << 20}, d)});
  const nn::Captured short_one = nn::capture([](const Tensors& in) { return Tensors{exp(in[0]) * 2}; },
                                             {zeros({100}, d)});
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({1 << 20}).to(d), few = randn({100}).to(d);
    Tensor y;
    Counts n = counts_of([&] { y = large({x})[0]; });
    CHECK(n.graphs + n.copies == 0);
    CHECK(on_host(y)[5].item<float>() == on_host(exp(x) * 2)[5].item<float>());
    n = counts_of([&] { y = short_one({few})[0]; });
    CHECK(n.graphs + n.copies == 0);
    CHECK(largest_difference(on_host(y), on_host(exp(few) * 2)) == 0);
  }
}

TEST_CASE("without memory for a graph the kernels run, other errors are told, and the next call tries again") {
  for (const std::string broken :
       {"cudaGraphInstantiate", "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphLaunch"}) {
    CAPTURE(broken);
    const Device d = card();
    Net net = network(d);
    net.eval();
    const nn::Captured fast = nn::capture(net, pictures(d));
    const Tensor x = pictures(d), want = plainly(net, x);
    (void)fast(x);
    fake_card::fail(broken, cudaErrorNotSupported);
    CHECK(message_of<DeviceError>([&] { (void)fast(x); }) == "cuda: " + broken + ": operation not supported");
    const Counts n = counts_of([&] { CHECK(largest_difference(on_host(fast(x)), want) == 0); });
    CHECK(n.graphs == 1);
    CHECK(cudaGetLastError() == cudaSuccess);
  }
  const Device d = card();
  Net net = network(d);
  net.eval();
  const nn::Captured fast = nn::capture(net, pictures(d));
  fake_card::fail("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  for (int i = 0; i < 4; ++i) {
    const Tensor x = pictures(d);
    Tensor y;
    CHECK(counts_of([&] { y = fast(x); }).graphs == 0);
    CHECK(largest_difference(on_host(y), plainly(net, x)) == 0);
  }
}

TEST_CASE("while the user captures the stream, kernels go into his graph") {
  const Device d = card();
  const Stream s(d);
  const StreamGuard in(s);
  Net net = network(d);
  net.eval();
  const nn::Captured fast = nn::capture(net, pictures(d)), fresh = nn::capture(net, pictures(d));
  const Tensor x = pictures(d);
  (void)fresh(x);
  for (int i = 0; i < 3; ++i) (void)fast(x);
  fake_card::begin_capture(static_cast<cudaStream_t>(s.handle()));
  for (const nn::Captured& g : {fast, fresh}) {
    Tensor y;
    const Counts n = counts_of([&] { y = g(x); });
    CHECK(n.graphs == 0);
    CHECK(n.kernels > 5);
  }
  CHECK(fake_card::end_capture(static_cast<cudaStream_t>(s.handle())));
  for (const nn::Captured& g : {fast, fresh}) {
    Tensor y;
    CHECK(counts_of([&] { y = g(x); }).graphs == 1);
    CHECK(largest_difference(on_host(y), plainly(net, x)) == 0);
  }
}

TEST_CASE("one thread makes a graph while another makes and runs its own") {
  const Device d = card();
  Net net = network(d);
  net.eval();
  const nn::Captured fast = nn::capture(net, pictures(d));
  const Tensor x = pictures(d), other = pictures(d), want = plainly(net, x), want_other = plainly(net, other);
  (void)fast(x);
  static std::function<void()> meanwhile;
  using Fn = void (*)(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&);
  static Fn matmul = nullptr;
  matmul = kernels::matmul.get(DeviceType::cuda);
  kernels::matmul.set(DeviceType::cuda,
                      [](const MutTensorRef& y, const TensorRef& a, const TensorRef& b, const TensorRef& bias) {
                        if (auto f = std::exchange(meanwhile, nullptr)) f();
                        matmul(y, a, b, bias);
                      });
  meanwhile = [&] {
    std::thread([&] {
      for (int i = 0; i < 4; ++i) CHECK(largest_difference(on_host(fast(other)), want_other) == 0);
      void* host = backend(DeviceType::cuda).allocate_pinned(3 << 20);  // and asks the driver for what it likes
      backend(DeviceType::cuda).deallocate_pinned(host, 3 << 20);
    }).join();
  };
  Tensor y;
  const Counts n = counts_of([&] { y = fast(x); });
  kernels::matmul.set(DeviceType::cuda, matmul);
  CHECK_FALSE(meanwhile);
  CHECK(n.graphs == 3 + 1);
  CHECK(calls("cudaGraphInstantiate") == 2);
  CHECK(largest_difference(on_host(y), want) == 0);
}

TEST_CASE("while one thread makes a graph another may wait for the device, and several run at once") {
  const Device d = card();
  Net net = network(d);
  net.eval();
  const Tensor x = pictures(d), want = plainly(net, x);
  static std::atomic<bool> comes;
  static std::thread waiting;
  using Fn = void (*)(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&);
  static Fn matmul = nullptr;
  matmul = kernels::matmul.get(DeviceType::cuda);
  kernels::matmul.set(DeviceType::cuda,
                      [](const MutTensorRef& y, const TensorRef& a, const TensorRef& b, const TensorRef& bias) {
                        if (cuda::capture_of(static_cast<cudaStream_t>(cuda::stream())) && !waiting.joinable()) {
                          comes = false;
                          waiting = std::thread([] {
                            comes = true;
                            synchronize({DeviceType::cuda, 0});
                          });
                          while (!comes) std::this_thread::yield();
                          for (int i = 0; i < 1000; ++i) std::this_thread::yield();
                        }
                        matmul(y, a, b, bias);
                      });
  for (int round = 0; round < 5; ++round) {
    const nn::Captured fast = nn::capture(net, x);
    (void)fast(x);
    CHECK(largest_difference(on_host(fast(x)), want) == 0);
    waiting.join();
  }
  kernels::matmul.set(DeviceType::cuda, matmul);

  const nn::Captured fast = nn::capture(net, x);
  synchronize(d);  // the threads' streams do not wait for this one's
  std::atomic<int> wrong = 0;
  const auto work = [&] {
    const NoGrad off;
    const Stream own(d);
    const StreamGuard in(own);
    for (int i = 0; i < 20; ++i) wrong += largest_difference(on_host(fast(x)), want) != 0;
  };
  std::thread a(work), b(work);
  a.join(), b.join();
  CHECK(wrong == 0);
}

TEST_CASE("a graph ends with the captured model, on its device, when the card is through with it") {
  const Device d = card();
  const size_t before = fake_card::taken(0);
  {
    Net net = network(d);
    net.eval();
    const nn::Captured fast = nn::capture(net, pictures(d));
    Tensor y;
    for (int i = 0; i < 3; ++i) y = fast(pictures(d));
    backend(DeviceType::cuda).activate(1);
    const Tensor want = y;
    NoGrad off;
    net.fc.weight.mul_(2);
    const Counts n = counts_of([&] { (void)fast(pictures(d)); });  // captured anew: the old graph has gone
    CHECK(n.waits == 1);
    CHECK(calls("cudaGraphExecDestroy") == 1);
    for (int i = 0; i < 3; ++i) y = fast(pictures(d));
    backend(DeviceType::cuda).activate(1);
  }
  CHECK(calls("cudaGraphExecDestroy") == calls("cudaGraphInstantiate"));
  CHECK(calls("cudaGraphDestroy") == calls("cudaGraphInstantiate"));
  CHECK(cuda::device() == 1);
  backend(DeviceType::cuda).empty_cache(0);
  CHECK(fake_card::taken(0) == before);
}

TEST_CASE("WEFT_CUDA_GRAPHS is 0 or 1") {
  (void)card();
  REQUIRE(setenv("WEFT_CUDA_GRAPHS", "yes", 1) == 0);
  const char* why = cuda::register_services();
  REQUIRE(unsetenv("WEFT_CUDA_GRAPHS") == 0);
  REQUIRE(why != nullptr);
  CHECK(std::string(why) == "WEFT_CUDA_GRAPHS is \"yes\"; expected 0 or 1");
}

TEST_SUITE_END();
