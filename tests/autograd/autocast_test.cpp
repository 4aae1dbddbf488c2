// Autocast: which ops compute in the half, what comes out, and that gradients come back in the parameters' dtype.
#include <cmath>

#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"

using namespace weft;

TEST_SUITE("autocast") {
  DEVICE_TEST_CASE("products compute in the half, losses and softmax in f32, the rest as it comes") {
    for (const Dtype half : {Dtype::bf16, Dtype::f16}) {
      const Autocast cast(half, support::device());
      const Tensor a = here::ones({2, 3}), b = here::ones({3, 2});
      CHECK(matmul(a, b).dtype() == half);
      CHECK(linear(a, here::ones({4, 3}), here::ones({4})).dtype() == half);
      CHECK((a + a).dtype() == Dtype::f32);
      CHECK((matmul(a, b) * matmul(a, b)).dtype() == half);
      CHECK(softmax(matmul(a, b), 1).dtype() == Dtype::f32);
      CHECK(mse_loss(matmul(a, b), here::ones({2, 2})).dtype() == Dtype::f32);
      CHECK(sum(matmul(a, b)).dtype() == Dtype::f32);
      CHECK(cat({matmul(a, b), here::ones({2, 2})}, 0).dtype() == Dtype::f32);
    }
    CHECK(matmul(here::ones({2, 3}), here::ones({3, 2})).dtype() == Dtype::f32);
  }

  DEVICE_TEST_CASE("gradients arrive in the leaf's dtype, through the recorded casts") {
    Tensor w = here::full({3, 2}, 0.5).set_requires_grad(), x = here::ones({2, 3}).set_requires_grad();
    {
      const Autocast cast(Dtype::bf16, support::device());
      mse_loss(matmul(x, w), here::zeros({2, 2})).backward();
    }
    CHECK(w.grad().dtype() == Dtype::f32);
    CHECK(x.grad().dtype() == Dtype::f32);
    // y = 1.5, d = 2 * 1.5 / 4 = 0.75, all exact in bf16.
    CHECK(w.grad().to_vector<double>() == std::vector<double>(6, 1.5));
    CHECK(x.grad().to_vector<double>() == std::vector<double>(6, 0.75));
  }

  DEVICE_TEST_CASE("formulas run without autocast even where backward is called inside it") {
    Tensor w = here::full({3, 2}, 1.0 + 0x1p-12).set_requires_grad();  // not a bf16 number
    const Autocast cast(Dtype::bf16, support::device());
    const Tensor y = sum(w * w);
    const Tensor g = grad(y, {w})[0];
    CHECK(g.dtype() == Dtype::f32);
    CHECK(g.to_vector<double>()[0] == 2 * (1.0 + 0x1p-12));
  }

  DEVICE_TEST_CASE("it nests, can be switched off inside, and ends with the scope") {
    const Tensor a = here::ones({2, 2});
    {
      const Autocast outer(Dtype::bf16, support::device());
      {
        const Autocast inner(Dtype::f16, support::device());
        CHECK(matmul(a, a).dtype() == Dtype::f16);
      }
      {
        const Autocast off(Dtype::bf16, support::device(), false);
        CHECK(matmul(a, a).dtype() == Dtype::f32);
        CHECK_NOTHROW((void)Autocast(Dtype::f32, support::device(), false));  // as a program's --dtype f32 says it
      }
      CHECK(matmul(a, a).dtype() == Dtype::bf16);
    }
    CHECK(matmul(a, a).dtype() == Dtype::f32);
    CHECK_THROWS_AS((void)Autocast(Dtype::f64), DtypeError);
  }

  DEVICE_TEST_CASE("a parameter's half values are kept until it changes, however it does") {
    nn::Linear l(8, 4);
    l.to(support::device());
    const Tensor x = here::ones({2, 8});
    const auto run = [&](bool inference, Dtype half) {
      const Autocast cast(half, support::device());
      if (!inference) return l(x).to(Dtype::f32).detach();
      const NoGrad off;
      return l(x).to(Dtype::f32);
    };
    const auto want = [&](Dtype half) {  // the products of the casts
      const NoGrad off;
      return linear(x.to(half), l.weight.to(half), l.bias.to(half)).to(Dtype::f32);
    };
    const auto right = [&] {
      bool all = true;
      for (const Dtype half : {Dtype::bf16, Dtype::f16})
        for (const bool inference : {true, false, false, true, true})
          all = all && run(inference, half).to_vector<float>() == want(half).to_vector<float>();
      return all;
    };
    CHECK(right());
    {
      const NoGrad off;
      Tensor w = l.weight.tensor();
      w.mul_(2);  // in place
    }
    CHECK(right());
    l.load_state_dict(nn::Linear(8, 4).state_dict());
    CHECK(right());
    optim::SGD opt(l.parameters(), {.lr = 0.5});
    {
      const Autocast cast(Dtype::bf16, support::device());
      sum(square(l(x).to(Dtype::f32))).backward();
    }
    opt.step();
    CHECK(right());
    {
      const NoGrad off;
      Tensor w = l.weight.tensor();
      w.copy_(here::full({4, 8}, 0.25));
    }
    CHECK(right());
    // gradients go through the kept values, twice in one graph
    opt.zero_grad();
    {
      const Autocast cast(Dtype::bf16, support::device());
      (sum(l(x).to(Dtype::f32)) + sum(l(x * 2).to(Dtype::f32))).backward();
    }
    CHECK(l.weight.grad().to_vector<double>() == std::vector<double>(32, 6));
    CHECK(l.bias.grad().to_vector<double>() == std::vector<double>(4, 4));
  }

  DEVICE_TEST_CASE("f64 is left alone") {
    const Autocast cast(Dtype::bf16, support::device());
    CHECK(matmul(here::ones({2, 2}, Dtype::f64), here::ones({2, 2}, Dtype::f64)).dtype() == Dtype::f64);
  }
}
