// regression: fits a noisy sine curve with a small network. The plainest training loop: model, optimiser, loss, steps.
//
// Data:    400 points made by the program: x in [-2, 2), y = sin(3 x) + noise with standard deviation 0.1.
// Run:     regression
// Prints:  a table of the curve, then as its last line
//          root mean square error against the true curve: 0.02
#include <weft/weft.h>

#include <cmath>
#include <cstdio>
#include <iostream>
using namespace weft;

/// The curve that the network has to find.
Tensor truth(const Tensor& x) { return sin(x * 3); }

int main() try {
  manual_seed(1);  // every random number below follows from this seed

  // Inputs and targets are columns: [points, 1].
  Tensor x = rand({400, 1}) * 4 - 2;
  Tensor y = truth(x) + randn({400, 1}) * 0.1;

  nn::Sequential model(nn::Linear(1, 32), nn::Tanh(), nn::Linear(32, 32), nn::Tanh(), nn::Linear(32, 1));
  std::cout << model << '\n';

  // AdamW changes the parameters by their gradients; the schedule lowers its rate to 0 over the steps.
  const int steps = 1000;
  optim::AdamW opt(model.parameters(), {.lr = 1e-2, .weight_decay = 1e-4});
  optim::CosineAnnealingLR schedule(opt, steps);

  for (int step = 0; step < steps; ++step) {
    Tensor loss = mse_loss(model(x), y);
    opt.zero_grad();  // gradients add up, so the last step's are forgotten first
    loss.backward();  // computes d(loss)/d(parameter) for every parameter
    opt.step();
    schedule.step();
    if (step % 100 == 0) std::printf("step %4d  loss %.4f  rate %.4f\n", step, loss.item<double>(), opt.lr());
  }

  // Nothing is recorded for gradients while the guard lives.
  model.eval();
  NoGrad guard;
  Tensor at = linspace(-2, 2, 9).unsqueeze(1), fitted = model(at);
  std::printf("\n     x   curve  fitted\n");
  for (int64_t i = 0; i < at.size(0); ++i)
    std::printf("%6.2f  %6.3f  %6.3f\n", at[i].item<double>(), truth(at[i]).item<double>(), fitted[i].item<double>());

  Tensor grid = linspace(-2, 2, 1000).unsqueeze(1);
  const double error = std::sqrt(mse_loss(model(grid), truth(grid)).item<double>());
  std::printf("root mean square error against the true curve: %.3f\n", error);
} catch (const Error& e) {
  std::fprintf(stderr, "regression: %s\n", e.what());
  return 1;
}
