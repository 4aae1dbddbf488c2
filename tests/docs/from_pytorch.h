// What stands before every row of docs/from-pytorch.md: the variables that the page names at its top, new for each row.
#pragma once

#include <weft/weft.h>

#include <cmath>
#include <iostream>
#include <sstream>

#include "page.h"

// A row may be an expression whose value nobody takes, or name what it does not use.
#pragma GCC diagnostic ignored "-Wunused"
#pragma GCC diagnostic ignored "-Wunused-value"
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#ifdef __clang__
#pragma clang diagnostic ignored "-Wunused-comparison"
#endif

using namespace weft;

struct Vars {
  Tensor x = randn({3, 4}), y = randn({3, 4});
  Tensor w = randn({4, 5}).set_requires_grad();
  Tensor a = eye(3) * 4 + 1;  // symmetric, positive definite
  Tensor n = tensor({2, 0, 1});
  Tensor mask = gt(x, 0);
  Tensor image = randn({2, 3, 8, 8});
  Tensor target = tensor({1, 4, 0});
  nn::Sequential net = nn::Sequential(nn::Linear(4, 8), nn::ReLU(), nn::Linear(8, 5));
  std::vector<Tensor> params = net.parameters();
  optim::SGD opt = optim::SGD(params, {.lr = 0.1});
  Tensor scores = net(x);
  Tensor loss = cross_entropy(scores, target);
  Device device = "cpu";
};
