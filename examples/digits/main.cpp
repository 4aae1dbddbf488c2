// digits: a small convolutional network learns to read digits.
//
// Data:    drawn by the program: a 5 x 7 font at a random place in 16 x 16 pixels, with random brightness and noise.
// Run:     digits
// Prints:  the accuracy after every epoch and some pictures, then as its last line
//          accuracy on 1000 new pictures: 0.98
#include <weft/weft.h>

#include <algorithm>
#include <cstdio>
#include <string>
using namespace weft;

/// Each digit is seven rows of five pixels, '#' is ink.
const char* const kFont[10] = {".###.#...##..###.#.###..##...#.###.", "..#...##....#....#....#....#...###.",
                               ".###.#...#....#...#...#...#...#####", ".###.#...#....#..##.....##...#.###.",
                               "...#...##..#.#.#..#.#####...#....#.", "######....####.....#....##...#.###.",
                               ".###.#....#....####.#...##...#.###.", "#####....#...#...#...#....#....#...",
                               ".###.#...##...#.###.#...##...#.###.", ".###.#...##...#.####....#....#.###."};
constexpr int64_t kSize = 16;

struct Batch {
  Tensor image;  // [N, 1, 16, 16]
  Tensor label;  // [N], i64
};

/// `count` digits, all different: place, brightness and noise are random.
Batch draw(int64_t count) {
  Tensor label = randint(0, 10, {count});
  Tensor image = zeros({count, 1, kSize, kSize});
  Generator& random = default_generator();
  const std::vector<int64_t> digits = label.to_vector<int64_t>();
  float* pixels = image.mut_data<float>();
  for (int64_t n = 0; n < count; ++n) {
    const int64_t top = random.below(kSize - 7 + 1), left = random.below(kSize - 5 + 1);
    const float ink = static_cast<float>(0.5 + 0.5 * random.uniform());
    for (int64_t i = 0; i < 35; ++i)
      if (kFont[digits[n]][i] == '#') pixels[(n * kSize + top + i / 5) * kSize + left + i % 5] = ink;
  }
  return {image + randn(image.shape()) * 0.2, label};
}

/// Three convolutions; the greatest value of each channel, wherever it stands, goes to a linear layer.
/// [N, 1, 16, 16] -> [N, 10].
struct Net : nn::Module {
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(1, 16, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d norm1 = add("norm1", nn::BatchNorm2d(16));
  nn::Conv2d conv2 = add("conv2", nn::Conv2d(16, 32, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d norm2 = add("norm2", nn::BatchNorm2d(32));
  nn::Conv2d conv3 = add("conv3", nn::Conv2d(32, 64, {.kernel_size = 3, .padding = 1}));
  nn::Dropout drop = add("drop", nn::Dropout(0.1));
  nn::Linear out = add("out", nn::Linear(64, 10));

  Tensor operator()(const Tensor& x) {
    Tensor h = max_pool2d(relu(norm1(conv1(x))), {.kernel_size = 2});
    h = max_pool2d(relu(norm2(conv2(h))), {.kernel_size = 2});
    return out(drop(amax(relu(conv3(h)), {2, 3})));
  }
};

/// The share of digits that the model reads rightly.
double accuracy(Net& model, const Batch& batch) {
  NoGrad guard;
  model.eval();  // norms use their running statistics, dropout does nothing
  Tensor right = eq(argmax(model(batch.image), 1), batch.label);
  model.train();
  return mean(right.to(Dtype::f32)).item<double>();
}

int main() try {
  manual_seed(7);
  const Batch training = draw(4000), test = draw(1000);

  Net model;
  const int epochs = 6;
  const int64_t size = 50;
  optim::AdamW opt(model.parameters());
  optim::OneCycleLR schedule(opt, {.max_lr = 5e-3, .total_steps = epochs * training.label.size(0) / size});

  for (int epoch = 1; epoch <= epochs; ++epoch) {
    double total = 0;
    const std::vector<Tensor> batches = randperm(training.label.size(0)).split(size);  // a new order in every epoch
    for (const Tensor& index : batches) {
      Tensor image = index_select(training.image, 0, index), label = index_select(training.label, 0, index);
      Tensor loss = cross_entropy(model(image), label);
      opt.zero_grad();
      loss.backward();
      opt.step();
      schedule.step();
      total += loss.item<double>();
    }
    std::printf("epoch %d  loss %.3f  accuracy %.3f\n", epoch, total / static_cast<double>(batches.size()),
                accuracy(model, test));
  }

  // Three pictures as text, with what the model takes them for.
  model.eval();
  NoGrad guard;
  const std::vector<int64_t> guess = argmax(model(test.image), 1).to_vector<int64_t>();
  for (int64_t n = 0; n < 3; ++n) {
    std::printf("\nread as %d:\n", static_cast<int>(guess[static_cast<size_t>(n)]));
    const std::vector<float> pixels = test.image[n].to_vector<float>();
    for (int64_t i = 0; i < kSize; ++i) {
      std::string row;
      for (int64_t j = 0; j < kSize; ++j) row += " .:*#"[std::clamp(static_cast<int>(pixels[i * kSize + j] * 5), 0, 4)];
      std::printf("  |%s|\n", row.c_str());
    }
  }
  std::printf("accuracy on 1000 new pictures: %.3f\n", accuracy(model, test));
} catch (const Error& e) {
  std::fprintf(stderr, "digits: %s\n", e.what());
  return 1;
}
