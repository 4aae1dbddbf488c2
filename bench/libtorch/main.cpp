// The eager-overhead workloads in PyTorch's C++ frontend: the peer of weft-bench for add1, add1_ag and mlp.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace {

uint32_t hashed(uint32_t i, uint32_t seed) {
  uint32_t x = i * 2654435761u + seed * 40503u + 12345u;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  x ^= x >> 16;
  return x >> 8;
}

torch::Tensor fill(at::IntArrayRef shape, uint32_t seed, double bound) {
  torch::Tensor t = torch::empty(shape);
  float* p = t.data_ptr<float>();
  for (int64_t i = 0; i < t.numel(); ++i)
    p[i] = static_cast<float>((hashed(static_cast<uint32_t>(i), seed) * 0x1p-24 * 2 - 1) * bound);
  return t;
}

using Step = std::function<double()>;

Step add1() {
  torch::Tensor a = torch::ones({1}), b = torch::ones({1});
  return [=] {
    torch::NoGradGuard no_grad;
    torch::Tensor c;
    for (int i = 0; i < 10000; ++i) c = a + b;
    return c.sum().item<double>();
  };
}

Step add1_ag() {
  torch::Tensor a = torch::ones({1}, torch::requires_grad()), b = torch::ones({1});
  return [=]() mutable {
    torch::Tensor c;
    for (int i = 0; i < 2000; ++i) {
      a.mutable_grad() = torch::Tensor();
      c = a + b;
      c.backward();
    }
    return c.detach().sum().item<double>();
  };
}

Step mlp() {
  torch::nn::Sequential m(torch::nn::Linear(784, 128), torch::nn::ReLU(), torch::nn::Linear(128, 10));
  {
    torch::NoGradGuard no_grad;
    uint32_t k = 1000;
    for (torch::Tensor& p : m->parameters()) {
      if (p.dim() > 1) p.copy_(fill(p.sizes(), k, std::sqrt(3.0 / static_cast<double>(p.numel() / p.size(0)))));
      else p.zero_();
      ++k;
    }
  }
  torch::Tensor x = fill({32, 784}, 1, 1), y = torch::empty({32}, torch::kLong);
  for (int64_t i = 0; i < 32; ++i) y.data_ptr<int64_t>()[i] = hashed(static_cast<uint32_t>(i), 2) % 10;
  auto opt = std::make_shared<torch::optim::SGD>(m->parameters(), torch::optim::SGDOptions(0.1));
  return [=]() mutable {
    torch::Tensor loss;
    for (int i = 0; i < 200; ++i) {
      opt->zero_grad();
      loss = torch::nn::functional::cross_entropy(m->forward(x), y);
      loss.backward();
      opt->step();
    }
    return loss.item<double>();
  };
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = argc > 1 ? argv[1] : "";
  int threads = 2;
  bool serve = false;
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--serve") serve = true;
    if (std::string(argv[i]) == "--threads" && i + 1 < argc) threads = std::stoi(argv[++i]);
  }
  torch::set_num_threads(threads);
  Step step;
  if (name == "add1") step = add1();
  if (name == "add1_ag") step = add1_ag();
  if (name == "mlp") step = mlp();
  if (!step) {
    std::cerr << "usage: weft-bench-torch add1|add1_ag|mlp [--threads N] [--serve]\n";
    return 1;
  }
  double losses[3];
  for (double& l : losses) l = step();
  auto timed = [&] {
    auto t = std::chrono::steady_clock::now();
    step();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - t).count();
  };
  std::vector<double> times;
  if (serve) {
    std::cout << "ready" << std::endl;
    for (int n; std::cin >> n;) {
      std::cout << '[';
      for (int i = 0; i < n; ++i) std::cout << (i ? ", " : "") << timed();
      std::cout << ']' << std::endl;
    }
    return 0;
  }
  for (int i = 0; i < 30; ++i) times.push_back(timed());
  std::sort(times.begin(), times.end());
  std::cout << "{\"workload\": \"" << name << "\", \"peer\": \"libtorch " << TORCH_VERSION
            << "\", \"median_ms\": " << times[15] << ", \"min_ms\": " << times[0] << ", \"losses\": [" << losses[0]
            << ", " << losses[1] << ", " << losses[2] << "]}\n";
}
