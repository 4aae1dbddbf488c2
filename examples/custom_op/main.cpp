// custom_op: two differentiable functions of one's own.
//
// log_cosh is computed by a C++ loop and has the exact gradient, which gradcheck proves. round_through has a gradient
// that is chosen instead of derived, as training with rounded weights needs.
//
// Data:    made by the program: 200 points of a linear function whose weights are whole numbers.
// Run:     custom_op
// Prints:  the checks and the weights, then as its last line
//          largest error of a weight: 0
#include <weft/weft.h>

#include <cmath>
#include <iostream>
using namespace weft;

/// log(cosh(x)), element by element: x^2 / 2 near 0, |x| - log 2 far away. Any shape, f32 and f64.
Tensor log_cosh(const Tensor& in) {
  // The loop below reads elements in row-major order. Both calls are recorded where a gradient is asked for.
  Tensor x = in.contiguous();
  Tensor y = empty(x.shape(), x.options());
  const auto loop = [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = y.mut_data<T>();
    parallel_for(x.numel(), kSerialBelow, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T a = std::abs(from[i]);
        to[i] = a + std::log1p(std::exp(-2 * a)) - std::log(T(2));  // cosh itself would overflow
      }
    });
  };
  if (x.dtype() == Dtype::f64) loop(double());
  else loop(float());  // data<float>() refuses every other dtype

  // The tape keeps the name, the inputs and the formula of the gradient. Saved keeps x for the formula and notices when
  // x was overwritten. The formula is made of ops, so that it can be differentiated again.
  return record("log_cosh", y, {x}, [x = Saved(x)](BackwardCtx& c) -> Grads { return {c.grad() * tanh(c.get(x))}; });
}

/// x rounded to whole numbers; the gradient passes as if nothing had been rounded ("straight through").
Tensor round_through(const Tensor& x) {
  Tensor y = [&] {
    NoGrad guard;  // round has a gradient of its own, 0, which must not be recorded
    return round(x);
  }();
  return record("round_through", y, {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
}

int main() try {
  manual_seed(3);

  // Gradients are checked in f64, against finite differences: first and second order. Both throw where they differ.
  Tensor x = linspace(-3, 3, 7, Dtype::f64).set_requires_grad();
  const auto checked = [](const std::vector<Tensor>& in) { return log_cosh(in[0]); };
  gradcheck(checked, {x});
  gradgradcheck(checked, {x});
  std::cout << "log_cosh of\n" << x.detach() << "\nis\n" << log_cosh(x.detach()) << '\n';
  std::cout << "gradcheck and gradgradcheck of log_cosh passed\n";

  // round_through is no derivative, and the check says so.
  const auto rounded = [](const std::vector<Tensor>& in) { return round_through(in[0]); };
  const bool exact = gradcheck(rounded, {x}, {.raise = false});
  std::cout << "gradcheck of round_through " << (exact ? "passed" : "failed, as it should") << "\n\n";

  // Both at work: weights that are rounded in the forward pass learn whole numbers.
  Tensor truth = tensor({3.0, -2.0, 1.0, 5.0}), points = randn({200, 4});
  Tensor target = matmul(points, truth) + randn({200}) * 0.1;
  Tensor w = zeros({4}).set_requires_grad();
  optim::Adam opt({w}, {.lr = 0.05});
  for (int step = 0; step < 400; ++step) {
    Tensor loss = mean(log_cosh(matmul(points, round_through(w)) - target));
    opt.zero_grad();
    loss.backward();
    opt.step();
    if (step % 100 == 0) std::cout << "step " << step << " loss " << loss.item<float>() << '\n';
  }
  Tensor found = round_through(w.detach());
  std::cout << "weights\n" << found << '\n';
  std::cout << "largest error of a weight: " << max(abs(found - truth)).item<float>() << '\n';
} catch (const Error& e) {
  std::cerr << "custom_op: " << e.what() << '\n';
  return 1;
}
