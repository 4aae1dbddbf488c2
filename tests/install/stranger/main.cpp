#include <weft/weft.h>

#include <cstdio>

using namespace weft;

// One step of training: headers, library and backend as an installation has them.
int main() try {
  manual_seed(1);
  nn::Sequential model(nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), nn::ReLU(),
                       nn::Conv2d(8, 2, {.kernel_size = 1}));
  optim::AdamW opt(model.parameters(), {.lr = 1e-2});
  const Tensor x = randn({2, 3, 8, 8}), y = randint(0, 2, {2, 8, 8});
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    const Tensor loss = cross_entropy(model(x), y);
    opt.zero_grad();
    loss.backward();
    opt.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  std::printf("weft %s: loss %.4f -> %.4f\n", version(), first, last);
  return last < first ? 0 : 1;
} catch (const Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
