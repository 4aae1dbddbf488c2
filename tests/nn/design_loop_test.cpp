// The training loop of docs/design.md, section 6, as it stands there but for sizes: the batches are made once, so that
// it can be asked whether they were learnt.
#include <doctest/doctest.h>
#include <weft/weft.h>

#include <filesystem>
#include <utility>
#include <vector>

using namespace weft;

namespace {

/// conv-bn-relu twice with a skip.
struct Residual : nn::Module {
  explicit Residual(int64_t channels) : c(channels) {}
  int64_t c;  // declared first: the initialisers below use it
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(c, c, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d bn1 = add("bn1", nn::BatchNorm2d(c));
  nn::WSConv2d conv2 = add("conv2", nn::WSConv2d(c, c, {.kernel_size = 3, .padding = 1}));
  nn::Parameter gain = param("gain", zeros({1, c, 1, 1}));

  Tensor operator()(const Tensor& x) { return relu(x + gain * conv2(relu(bn1(conv1(x))))); }
};

/// Images whose class at each pixel is which of three colours is strongest.
struct Batches {
  std::vector<std::pair<Tensor, Tensor>> items;
  Batches(int64_t count, int64_t batch_size) {
    for (int64_t i = 0; i < count; ++i) {
      Tensor image = rand({batch_size, 3, 12, 16});
      items.emplace_back(image, argmax(image, 1));
    }
  }
  auto begin() const { return items.begin(); }
  auto end() const { return items.end(); }
  float batches() const { return static_cast<float>(items.size()); }
};

}  // namespace

TEST_SUITE_BEGIN("design");

TEST_CASE("the training loop of the design learns") {
  const Device device = default_device();  // cuda:0 if present, else cpu
  manual_seed(0);
  nn::Sequential model(nn::Conv2d(3, 32, {.kernel_size = 3, .padding = 1}), Residual(32),
                       nn::Conv2d(32, 12, {.kernel_size = 1}));
  model.to(device);

  optim::AdamW opt(model.parameters(), {.lr = 1e-2, .weight_decay = 1e-2});
  Batches loader(6, 4);

  std::vector<float> losses;
  for (int epoch = 0; epoch < 4; ++epoch) {
    model.train();
    Tensor total = zeros({}, device);
    for (auto [image, label] : loader) {
      Autocast cast(Dtype::bf16, device);
      Tensor loss = cross_entropy(model(image.to(device)), label.to(device), {.ignore_index = 255});
      opt.zero_grad();
      loss.backward();
      optim::clip_grad_norm(model.parameters(), 1.0);
      opt.step();
      total = total + loss.detach();  // no host sync inside the loop
    }
    losses.push_back(total.item<float>() / loader.batches());
  }
  CHECK(losses.front() < 2.6f);  // log 12 = 2.48 at first
  CHECK(losses.back() < 0.6f * losses.front());

  std::string path = (std::filesystem::temp_directory_path() / "weft_design_loop.safetensors").string();
  io::save(model.state_dict(), path);
  nn::Sequential other(nn::Conv2d(3, 32, {.kernel_size = 3, .padding = 1}), Residual(32),
                       nn::Conv2d(32, 12, {.kernel_size = 1}));
  io::load(other, path);
  std::filesystem::remove(path);
  model.eval();
  other.eval();
  NoGrad guard;
  Tensor x = loader.items[0].first;
  CHECK(model(x).to_vector<float>() == other(x).to_vector<float>());
}

TEST_CASE("the gradient penalty of the design") {
  manual_seed(1);
  nn::Sequential critic(nn::Linear(6, 16), nn::Tanh(), nn::Linear(16, 1));
  Tensor x = randn({4, 6}).set_requires_grad();
  Tensor score = sum(critic(x)), loss = mean(score);
  Tensor g = grad(score, {x}, {.create_graph = true})[0];
  (loss + 10 * square(norm(g) - 1)).backward();
  CHECK(critic.get("0.weight").grad().defined());
  CHECK(norm(critic.get("0.weight").grad()).item<float>() > 0);
  CHECK(x.grad().defined());
}

TEST_SUITE_END();
