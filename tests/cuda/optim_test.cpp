// Multi-tensor kernels: one launch for lists of tensors of many sizes and dtypes.
#include "weft/backends/cuda/optim.cuh"
#include "cuda/against_cpu.h"

namespace {

using namespace weft;
using namespace support;

/// Sizes around a warp, a pack and a chunk; an empty tensor; 1: not aligned to a pack in memory.
constexpr int64_t kSizes[] = {1, 31, 0, 33, 1023, 1025, cuda::kListChunk, 2 * cuda::kListChunk + 3};

/// A list of parameters, gradients and states of all floating dtypes.
struct Parameters {
  std::vector<Tensor> param, grad, master, state;  // three states each
  std::vector<fn::StepEntry> table;

  explicit Parameters(int hypers) {
    Generator g(5);
    int count = 0;
    for (const Dtype d : kFloats)
      for (const int64_t n : kSizes) {
        const Dtype c = compute_dtype(d);
        const int64_t offset = count % 2;  // every second one begins off any alignment
        const auto part = [&](Tensor x) { return x.slice(0, offset, offset + n); };
        Tensor p = part(randn({n + 1}, d, &g));
        param.push_back(p);
        master.push_back(c == d ? p : part(randn({n + 1}, c, &g)));
        grad.push_back(part(randn({n + 1}, d, &g)));
        fn::StepEntry e;
        e.param = param.back().mut_raw_data();
        e.grad = grad.back().raw_data();
        e.master = master.back().mut_raw_data();
        for (void*& s : e.state) {
          state.push_back(part(rand({n + 1}, c, &g)));  // not negative: there is a root of it
          s = state.back().mut_raw_data();
        }
        e.numel = n;
        e.scale[0] = 0.01 * (1 + count % 5);
        e.scale[1] = 1.5;
        e.scale[2] = 0.7;
        e.hyper = count++ % hypers;
        e.dtype = d;
        table.push_back(e);
      }
  }
  bool same(const Parameters& o) const {
    const auto all = [](const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
      for (size_t i = 0; i < a.size(); ++i)
        if (!same_bits(a[i], b[i])) return false;
      return true;
    };
    return all(param, o.param) && all(master, o.master) && all(grad, o.grad) && all(state, o.state);
  }
};

template <class F> std::vector<F> hypers();
fn::Adam adam(bool maximize) {
  return {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.01, .keep = 0.999, .maximize = maximize};
}
template <> std::vector<fn::Sgd> hypers() { return {{0.1, 0, 0, false, false}, {0.2, 0, 0.01, false, true}}; }
template <> std::vector<fn::SgdMomentum> hypers() {
  return {{{0.1, 0.9, 0, false, false}}, {{0.2, 0.8, 0.01, true, true}}};
}
template <> std::vector<fn::Adam> hypers() { return {adam(false), adam(true)}; }
template <> std::vector<fn::AdamAmsgrad> hypers() { return {{adam(false)}, {adam(true)}}; }
template <> std::vector<fn::RAdam> hypers() { return {{adam(false)}, {adam(true)}}; }
template <> std::vector<fn::NAdam> hypers() { return {{adam(false)}, {adam(true)}}; }
template <> std::vector<fn::Adamax> hypers() { return {{0.9, 0.99, 1e-8, 0, false}, {0.8, 0.9, 1e-3, 0.01, true}}; }
template <bool C, bool M> std::vector<fn::RmsProp<C, M>> rms() {
  return {{0.01, 0.99, 1e-8, 0, 0.9, false}, {0.02, 0.9, 1, 0.01, 0.8, true}};
}
template <> std::vector<fn::RmsProp<false, false>> hypers() { return rms<false, false>(); }
template <> std::vector<fn::RmsProp<true, false>> hypers() { return rms<true, false>(); }
template <> std::vector<fn::RmsProp<false, true>> hypers() { return rms<false, true>(); }
template <> std::vector<fn::RmsProp<true, true>> hypers() { return rms<true, true>(); }
template <> std::vector<fn::Adagrad> hypers() { return {{1e-10, 0, false}, {1e-5, 0.01, true}}; }
template <> std::vector<fn::Adadelta> hypers() { return {{1, 0.9, 1e-6, 0, false}, {0.1, 0.5, 1e-3, 0.01, true}}; }
template <> std::vector<fn::Ema> hypers() { return {{}, {}}; }

struct Flat {
  std::vector<Tensor> x;
  std::vector<fn::FlatEntry> table;
  explicit Flat(bool empty = false) {
    Generator g(7);
    int count = 0;
    for (const Dtype d : kFloats)
      for (const int64_t n : kSizes) {
        const int64_t offset = count++ % 2, m = empty ? 0 : n;
        x.push_back(randn({n + 1}, d, &g).slice(0, offset, offset + m));
        table.push_back({x.back().mut_raw_data(), m, d});
      }
  }
  bool same(const Flat& o) const {
    for (size_t i = 0; i < x.size(); ++i)
      if (!same_bits(x[i], o.x[i])) return false;
    return true;
  }
};

constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_SUITE("cuda optim") {
  TEST_CASE("every step has the CPU's bits, in one launch") {
    fn::OptimOps::for_each([]<class F> {
      CAPTURE(F::name);
      const std::vector<F> h = hypers<F>();
      Parameters a(static_cast<int>(h.size())), b(static_cast<int>(h.size()));
      const int64_t before = cuda_emulator::launches();
      cuda::step<F>(a.table, h.data());
      CHECK(cuda_emulator::launches() == before + 1);
      kernels::optim_step.of<F>()(DeviceType::cpu, b.table, h.data());
      // NaN bits would be equal and prove nothing
      CHECK(difference(a.state[0], a.state[0]) == 0);
      CHECK(a.same(b));
    });
  }

  TEST_CASE("the norm of a list is that of the CPU, the same under any schedule") {
    for (const double p : {1.0, 2.0, 0.5, 3.0, kInf})
      for (const Dtype d : {Dtype::f32, Dtype::f64}) {
        CAPTURE(p);
        Flat list;
        Tensor scratch = unwritten({16}, Dtype::f64), expected = unwritten({}, d), first;
        kernels::multi_norm(DeviceType::cpu, mut_ref(expected), mut_ref(scratch), list.table, p);
        cuda_emulator::for_each_schedule([&] {
          Tensor norm = unwritten({}, d);
          cuda::multi_norm(mut_ref(norm), mut_ref(scratch), list.table, p);
          if (!first.defined()) first = norm;
          CHECK(same_bits(norm, first));
        });
        // threads and the CPU's runs add f32 numbers in different orders, at most 32 and 1024 of them
        CHECK(difference(first, expected, 0) <= 1e-5);
      }
  }

  TEST_CASE("a NaN makes the norm NaN, an empty list has norm 0") {
    for (const double p : {1.0, 2.0, 3.0, kInf}) {
      Flat list, empty(true);
      Tensor scratch = unwritten({16}, Dtype::f64), norm = unwritten({}, Dtype::f64);
      list.x[7].mut_data<float>()[300] = std::numeric_limits<float>::quiet_NaN();
      cuda::multi_norm(mut_ref(norm), mut_ref(scratch), list.table, p);
      CHECK(std::isnan(norm.item<double>()));
      cuda::multi_norm(mut_ref(norm), mut_ref(scratch), empty.table, p);
      CHECK(norm.item<double>() == 0);
      cuda::multi_norm(mut_ref(norm), mut_ref(scratch), {}, p);
      CHECK(norm.item<double>() == 0);
    }
  }

  TEST_CASE("clip and clamp have the CPU's bits") {
    for (const Dtype d : {Dtype::f32, Dtype::f64})
      for (const double max_norm : {0.5, 1e9}) {
        Flat a, b;
        const Tensor norm = full({}, 123.25, d);
        cuda::multi_clip(a.table, ref(norm), max_norm);
        kernels::multi_clip(DeviceType::cpu, b.table, ref(norm), max_norm);
        CHECK(a.same(b));
      }
    Flat a, b;
    cuda::multi_clamp(a.table, 0.3);
    kernels::multi_clamp(DeviceType::cpu, b.table, 0.3);
    CHECK(a.same(b));
    const Flat empty(true);
    cuda::multi_clamp(empty.table, 1);
    cuda::multi_clip(empty.table, ref(full({}, 1.0)), 0.5);
  }
}
