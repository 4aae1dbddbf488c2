// Batch norm over ranks against batch norm of the whole batch.
// The suite's name makes the thread sanitizer build and run it.
#include "weft/distributed/sync_batch_norm.h"

#include <doctest/doctest.h>

#include <cstring>

#include "support/ops.h"
#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/core/generator.h"
#include "weft/distributed/thread_group.h"
#include "weft/nn/containers.h"
#include "weft/nn/conv.h"
#include "weft/nn/sync_batch_norm.h"

using namespace weft;
using support::message_of;
using Group = ProcessGroup;

namespace {

/// x [N, C, ...] as rows of channels [N S, C].
Tensor as_rows(const Tensor& x) {
  const int64_t C = x.size(1), n = x.numel() / C;
  Shape order{0};
  for (int i = 2; i < x.rank(); ++i) order.push_back(i);
  order.push_back(1);
  return x.permute(order).reshape({n, C});
}
Tensor leaf_of(const Tensor& x) { return x.detach().clone().set_requires_grad(); }

/// What a rank has after one step.
struct Step {
  Tensor y, dx, dw, db, mean, var;
};
struct Batches {
  std::vector<Tensor> x, gy;
  Tensor w, b, mean, var;
  Batches(const std::vector<Shape>& shapes, Dtype d, double offset = 0) {
    manual_seed(11);
    const int64_t C = shapes[0][1];
    for (const Shape& s : shapes) {
      x.push_back((randn(s, Dtype::f64) * 2 + offset).to(d));
      gy.push_back(randn(s, d));
    }
    w = randn({C}, d) + 0.3;
    b = randn({C}, d);
    mean = randn({C}, d);
    var = rand({C}, d) + 0.5;
  }
};

Step one_step(const Tensor& x_in, const Tensor& gy, const Batches& in, SyncBatchNormOptions o) {
  const Tensor x = leaf_of(x_in), w = leaf_of(in.w), b = leaf_of(in.b);
  Step s{.mean = in.mean.clone(), .var = in.var.clone()};
  // an op's result, so that the in-place mode may write over it
  s.y = sync_batch_norm(o.inplace ? mul(x, 1) : x, s.mean, s.var, w, b, o);
  s.y.backward(gy);
  s.dx = x.grad(), s.dw = w.grad(), s.db = b.grad(), s.y = s.y.detach();
  return s;
}

std::vector<Step> over_ranks(const Batches& in, const SyncBatchNormOptions& o) {
  std::vector<Step> steps(in.x.size());
  run_threads(static_cast<int>(in.x.size()), [&](const Group& g) {
    const auto r = static_cast<size_t>(g.rank());
    SyncBatchNormOptions mine = o;
    mine.group = g;
    steps[r] = one_step(in.x[r], in.gy[r], in, mine);
  });
  return steps;
}

/// The same for all rows as one batch of batch_norm.
Step at_once(const Batches& in, const SyncBatchNormOptions& o) {
  std::vector<Tensor> x, gy;
  for (size_t r = 0; r < in.x.size(); ++r) x.push_back(as_rows(in.x[r])), gy.push_back(as_rows(in.gy[r]));
  Tensor all = leaf_of(cat(x)), w = leaf_of(in.w), b = leaf_of(in.b);
  Step s{.mean = in.mean.clone(), .var = in.var.clone()};
  s.y = batch_norm(all, s.mean, s.var, w, b,
                   {.training = o.training,
                    .momentum = o.momentum,
                    .eps = o.eps,
                    .activation = o.activation,
                    .slope = o.slope,
                    .biased_running_var = o.biased_running_var});
  s.y.backward(cat(gy));
  s.dx = all.grad(), s.dw = w.grad(), s.db = b.grad(), s.y = s.y.detach();
  return s;
}

void check_ranks(const Batches& in, const SyncBatchNormOptions& o, double tolerance) {
  const std::vector<Step> steps = over_ranks(in, o);
  const Step want = at_once(in, o);
  std::vector<Tensor> y, dx;
  Tensor dw = zeros_like(in.w), db = zeros_like(in.b);
  for (const Step& s : steps) {
    y.push_back(as_rows(s.y)), dx.push_back(as_rows(s.dx));
    dw = dw + s.dw, db = db + s.db;
    CHECK(support::same_bits(s.mean, steps[0].mean));
    CHECK(support::same_bits(s.var, steps[0].var));
  }
  CHECK(allclose(cat(y), want.y, tolerance, tolerance));
  CHECK(allclose(cat(dx), want.dx, tolerance, tolerance));
  CHECK(allclose(dw, want.dw, tolerance, tolerance));
  CHECK(allclose(db, want.db, tolerance, tolerance));
  CHECK(allclose(steps[0].mean, want.mean, tolerance, tolerance));
  CHECK(allclose(steps[0].var, want.var, tolerance, tolerance));
}

const std::vector<std::vector<Shape>> kSplits = {
    {{2, 3, 4, 5}, {2, 3, 4, 5}},
    {{1, 3, 2, 7}, {4, 3, 5, 3}},
    {{2, 3, 4, 4}, {1, 3, 1, 1}, {3, 3, 6, 2}},
    {{2, 3, 4, 4}, {0, 3, 4, 4}, {1, 3, 2, 2}},  // a rank without data
    {{1, 5}, {1, 5}, {4, 5}},                    // one value of its own is enough
    {{2, 2, 3, 2, 2}, {1, 2, 2, 2, 3}},
    {{3, 3, 4, 4}},
    {{1, 3, 2, 7}, {0, 3, 1, 1}, {2, 3, 5, 3}, {1, 3, 4, 4}},
    {{1, 3, 2, 2}, {2, 3, 5, 3}, {0, 3, 4, 4}, {3, 3, 1, 1}, {1, 3, 4, 4}},
};

/// A group of two whose other rank has an empty batch, in this thread; it notes what it is asked for.
class WithNobody final : public comm::Communicator {
 public:
  WithNobody() : Communicator(0, 2) {}
  std::shared_ptr<Communicator> split(int, int) override { return nullptr; }
  std::shared_ptr<comm::Work> start(comm::Call) override { return nullptr; }
  std::vector<comm::Call> asked;

  void run(const comm::Call& c) override {
    asked.push_back(c);
    const size_t bytes = static_cast<size_t>(c.count) * itemsize(c.dtype);
    if (c.kind != comm::Collective::all_gather) return;
    std::memcpy(c.out, c.in, bytes);
    auto* theirs = reinterpret_cast<double*>(static_cast<char*>(c.out) + bytes);
    std::fill_n(theirs, c.count, 0.0);
    theirs[c.count - 1] = 1;  // an empty batch may be folded
  }
};

}  // namespace

TEST_SUITE("distributed threads sync batch norm") {
  TEST_CASE("ranks together do what one does with the whole batch") {
    for (const auto& shapes : kSplits) {
      CAPTURE(shapes.size());
      CAPTURE(shapes[0]);
      const Batches in(shapes, Dtype::f64);
      check_ranks(in, {.training = true}, 1e-12);
      check_ranks(in, {.training = true, .momentum = 0.3, .eps = 1e-3, .biased_running_var = true}, 1e-12);
      check_ranks(in, {.training = true, .activation = Activation::leaky_relu, .slope = 0.2}, 1e-12);
      check_ranks(in, {.training = true, .activation = Activation::relu}, 1e-12);
      check_ranks(in, {.training = true, .activation = Activation::leaky_relu, .slope = 0.2, .inplace = true}, 1e-12);
      check_ranks(in, {.training = false, .activation = Activation::leaky_relu}, 1e-12);
    }
  }

  TEST_CASE("channels-last and scattered inputs") {
    Batches in({{2, 3, 4, 5}, {1, 3, 6, 2}}, Dtype::f64);
    for (Tensor& x : in.x) x = support::channels_last(x);
    check_ranks(in, {.training = true, .activation = Activation::leaky_relu}, 1e-12);
    check_ranks(in, {.training = true, .activation = Activation::leaky_relu, .inplace = true}, 1e-12);
    for (Tensor& x : in.x) x = support::scattered(x);
    check_ranks(in, {.training = true}, 1e-12);
  }

  TEST_CASE("a mean far from 0 costs no digits of the variance") {
    const Batches in({{3, 4, 6, 7}, {5, 4, 3, 3}}, Dtype::f32, 1e4);
    const std::vector<Step> steps = over_ranks(in, {.training = true, .momentum = 1});
    Batches wide = in;
    for (Tensor* t : {&wide.x[0], &wide.x[1], &wide.gy[0], &wide.gy[1], &wide.w, &wide.b, &wide.mean, &wide.var})
      *t = t->to(Dtype::f64);
    const Step want = at_once(wide, {.training = true, .momentum = 1});
    // Means of f32 planes are good to half an ulp, 5e-4; with the means' distance, some 0.3, that moves the variance 4
    // by 2 * 0.3 * 5e-4. E[x^2] - E[x]^2 would be off by 8.
    CHECK(allclose(steps[0].var.to(Dtype::f64), want.var, 2e-4, 0));
    CHECK(allclose(steps[0].mean.to(Dtype::f64), want.mean, 1e-7, 0));
    // the kernels take the mean in f32: half an ulp at 1e4 is 5e-4, the weights are below 3
    CHECK(allclose(cat({as_rows(steps[0].y), as_rows(steps[1].y)}).to(Dtype::f64), want.y, 0, 2e-3));
  }

  TEST_CASE("one message forward, one backward, none in evaluation") {
    const Batches in({{2, 3, 4, 5}}, Dtype::f64);
    for (const bool inplace : {false, true}) {
      const auto nobody = std::make_shared<WithNobody>();
      SyncBatchNormOptions o{.training = true, .activation = Activation::leaky_relu, .inplace = inplace};
      const Step want = at_once(in, o);
      o.group = ProcessGroup(nobody);
      const Step got = one_step(in.x[0], in.gy[0], in, o);
      CHECK(allclose(as_rows(got.dx), want.dx, 1e-12, 1e-12));
      REQUIRE(nobody->asked.size() == 2);
      CHECK(nobody->asked[0].kind == comm::Collective::all_gather);
      CHECK(nobody->asked[0].count == 2 * 3 + 2);
      CHECK(nobody->asked[1].kind == comm::Collective::all_reduce);
      CHECK(nobody->asked[1].count == 2 * 3);
      CHECK(nobody->asked[1].dtype == Dtype::f64);
      o.training = false;
      (void)one_step(in.x[0], in.gy[0], in, o);
      CHECK(nobody->asked.size() == 2);
      o.group = ProcessGroup();  // a group of one is no group
      o.training = true;
      CHECK(allclose(one_step(in.x[0], in.gy[0], in, o).y, got.y, 1e-12, 1e-12));
    }
  }

  TEST_CASE("a rank that needs no gradient of its input takes part") {
    const Batches in({{2, 3, 4}, {3, 3, 4}}, Dtype::f64);
    std::vector<Tensor> dw(2);
    run_threads(2, [&](const Group& g) {
      const auto r = static_cast<size_t>(g.rank());
      Tensor x = in.x[r].clone(), w = leaf_of(in.w), b = leaf_of(in.b);
      if (r == 0) x.set_requires_grad();
      sync_batch_norm(x, {}, {}, w, b, {.training = true, .group = g}).backward(in.gy[r]);
      dw[r] = w.grad();
    });
    CHECK(allclose(dw[0] + dw[1], at_once(in, {.training = true}).dw, 1e-12, 1e-12));
  }

  TEST_CASE("values per channel are counted over all ranks") {
    const auto run = [](const std::vector<Shape>& shapes, Tensor& mean) {
      run_threads(static_cast<int>(shapes.size()), [&](const Group& g) {
        const Tensor x = ones(shapes[static_cast<size_t>(g.rank())]);
        Tensor m = zeros({3}), v = ones({3});
        const Tensor y = sync_batch_norm(x, m, v, ones({3}), zeros({3}), {.training = true, .group = g});
        if (y.shape() != x.shape()) throw Error("shape");
        if (g.rank() == 0) mean = m;
      });
    };
    Tensor mean;
    CHECK(message_of<ValueError>([&] {
            run({{1, 3, 1, 1}, {0, 3, 2, 2}}, mean);
          }).find("more than 1 value per channel") != std::string::npos);
    run({{1, 3}, {1, 3}}, mean);
    CHECK(mean.to_vector<float>() == std::vector<float>(3, 0.1f));
    run({{0, 3, 2}, {0, 3, 5}}, mean);  // nothing anywhere changes nothing
    CHECK(mean.to_vector<float>() == std::vector<float>(3, 0.0f));
  }

  TEST_CASE("an error on one rank, and what does not fit together") {
    std::string heard;
    const std::string seen = message_of<ShapeError>([&] {
      run_threads(2, [&](const Group& g) {
        const Tensor x = ones({2, g.rank() == 0 ? 3 : 4, 2});
        try {
          (void)sync_batch_norm(x, {}, {}, ones({3}), zeros({3}), {.training = true, .group = g});
        } catch (const CommError& e) {
          heard = e.what();
          throw;
        }
      });
    });
    CHECK(seen.find("weight [3] does not fit input [2, 4, 2]") != std::string::npos);
    CHECK(heard.find("rank 1 failed: sync_batch_norm: weight [3]") != std::string::npos);
    CHECK(message_of<CommError>([&] {
            run_threads(2, [&](const Group& g) {
              const int64_t C = g.rank() + 2;
              (void)sync_batch_norm(ones({2, C, 2}), {}, {}, ones({C}), zeros({C}), {.training = true, .group = g});
            });
          }).find("rank 0 calls all_gather of 6 f64 but rank 1 all_gather of 8 f64") != std::string::npos);
  }

  TEST_CASE("second derivatives: ranks together do what one does with the whole batch") {
    for (const auto& shapes : kSplits) {
      const Batches in(shapes, Dtype::f64);
      const size_t R = shapes.size();
      for (const Activation act : {Activation::none, Activation::relu, Activation::leaky_relu})
        for (const bool inplace : {false, true}) {
          CAPTURE(shapes[0]);
          CAPTURE(inplace);
          SyncBatchNormOptions o{.training = true, .activation = act, .slope = 0.2, .inplace = inplace};
          // gradients of sum(dx * gy) with respect to x, weight and bias, dx being the gradient of sum(y * gy)
          const auto twice = [&](const Tensor& x0, const Tensor& gy, const SyncBatchNormOptions& options) {
            Tensor x = leaf_of(x0), w = leaf_of(in.w), b = leaf_of(in.b);
            const Tensor y = sync_batch_norm(x * 1.0, {}, {}, w, b, options);
            const Tensor dx = grad({y}, {x}, {.create_graph = true, .grad_outputs = {gy}})[0];
            return grad({sum(dx * gy)}, {x, w, b}, {.allow_unused = true});
          };
          std::vector<Tensor> rows, grads;
          for (size_t r = 0; r < R; ++r) rows.push_back(as_rows(in.x[r])), grads.push_back(as_rows(in.gy[r]));
          SyncBatchNormOptions plain = o;
          plain.inplace = false;
          const std::vector<Tensor> want = twice(cat(rows), cat(grads), plain);
          std::vector<std::vector<Tensor>> got(R);
          run_threads(static_cast<int>(R), [&](const Group& g) {
            SyncBatchNormOptions mine = o;
            mine.group = g;
            const auto r = static_cast<size_t>(g.rank());
            got[r] = twice(in.x[r], in.gy[r], mine);
          });
          std::vector<Tensor> dx;
          Tensor dw = zeros_like(in.w);
          for (const auto& one : got) dx.push_back(as_rows(one[0])), dw = dw + one[1];
          CHECK(allclose(cat(dx), want[0], 1e-12, 1e-12));
          CHECK(allclose(dw, want[1], 1e-12, 1e-12));
        }
    }
  }

  TEST_CASE("a network of modules with two branches: ranks' gradients add up to the whole batch's") {
    struct Net : nn::Module {
      explicit Net(const Group& g)
          : a(add("a", nn::Sequential(nn::Conv2d(2, 4, {.kernel_size = 3, .padding = 1}),
                                      nn::SyncBatchNorm(4, {.activation = Activation::leaky_relu, .group = g}),
                                      nn::Conv2d(4, 4, {.kernel_size = 1}), nn::DistSyncBatchNorm(4, {.group = g})))),
            b(add("b", nn::Sequential(nn::Conv2d(2, 4, {.kernel_size = 1}),
                                      nn::SyncBatchNorm(4, {.momentum = std::nullopt, .group = g})))) {}
      nn::Sequential a, b;
      Tensor operator()(const Tensor& x) const { return a(x) * b(x); }
    };
    manual_seed(5);
    Net alone(Group{});
    alone.to(Dtype::f64);
    const StateDict start = clone(alone).state_dict();
    const Tensor x = randn({5, 2, 6, 6}, Dtype::f64), g = randn({5, 4, 6, 6}, Dtype::f64);
    const std::vector<Tensor> xs = x.split(Shape{3, 0, 2}), gs = g.split(Shape{3, 0, 2});
    for (int step = 0; step < 2; ++step) alone(x).backward(g);
    std::vector<std::vector<nn::NamedTensor>> gradients(3);
    std::vector<StateDict> ends(3);
    run_threads(3, [&](const Group& group) {
      const auto r = static_cast<size_t>(group.rank());
      Net net(group);
      net.to(Dtype::f64);
      net.load_state_dict(start);
      for (int step = 0; step < 2; ++step) net(xs[r]).backward(gs[r]);
      for (const auto& [name, p] : net.named_parameters()) gradients[r].emplace_back(name, p.grad());
      ends[r] = net.state_dict();
    });
    const auto parameters = alone.named_parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      CAPTURE(parameters[i].first);
      Tensor total = zeros_like(parameters[i].second);
      for (const auto& of_rank : gradients)
        if (of_rank[i].second.defined()) total = total + of_rank[i].second;
      CHECK(allclose(total, parameters[i].second.grad(), 1e-10, 1e-10));
    }
    for (const auto& entry : alone.named_buffers()) {
      const std::string& name = entry.first;
      CAPTURE(name);
      for (const StateDict& end : ends) CHECK(allclose(*end.find(name), entry.second, 1e-12, 1e-12));
      CHECK(support::same_bits(*ends[0].find(name), *ends[2].find(name)));
    }
  }
}
