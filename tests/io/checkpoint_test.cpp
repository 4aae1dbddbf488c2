// Models, optimisers, schedules and averages in files.
#include "io/io_test.h"
#include "support/ops.h"
#include "weft/io/safetensors.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"

using namespace io_test;

namespace {

struct Checkpoint {
  nn::Sequential model{nn::Conv2d(2, 3, {.kernel_size = 3}), nn::BatchNorm2d(3)};
  optim::AdamW opt{model.parameters(), {.lr = 0.01}};
  optim::SequentialLR schedule{opt, {2}, optim::LinearLR(opt, 0.1, 1, 2), optim::CosineAnnealingLR(opt, 9)};
  optim::ExponentialMovingAverage ema{model.parameters(), {.decay = 0.9}};

  void train(int steps) {
    Generator g(3);
    for (int i = 0; i < steps; ++i) {
      opt.zero_grad();
      sum(square(model(randn({2, 2, 5, 5}, Dtype::f32, &g)))).backward();
      opt.step();
      schedule.step();
      ema.update();
    }
  }
};

/// What the error of f says; f must throw a ValueError.
template <class F> std::string complaint(const F& f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing was thrown";
}

}  // namespace

TEST_SUITE_BEGIN("checkpoint");

TEST_CASE("a training goes on from its files, bit by bit") {
  Folder folder;
  Checkpoint a, b;
  io::save(a.model, folder / "start");
  io::load(b.model, folder / "start");
  a.train(3);
  io::save(a.model, folder / "model");
  io::save(a.opt, folder / "opt");
  io::save(a.schedule, folder / "schedule");
  io::save(a.ema, folder / "ema");
  io::load(b.model, folder / "model");
  io::load(b.opt, folder / "opt");
  io::load(b.schedule, folder / "schedule");
  io::load(b.ema, folder / "ema");
  CHECK(folder.files() == 5);  // no temporary files are left
  a.train(4);
  b.train(4);
  CHECK(a.opt.lr() == b.opt.lr());
  auto scopes = std::pair(a.ema.average_parameters(), b.ema.average_parameters());
  for (const auto& [name, t] : a.model.state_dict())
    CHECK(t.to_vector<float>() == b.model.state_dict().at(name).to_vector<float>());
}

TEST_CASE("a strict load names every key that does not fit, and changes nothing") {
  Folder folder;
  Checkpoint a;
  StateDict dict = a.model.state_dict();
  dict.erase("0.bias");
  dict.erase("1.running_var");
  dict.set("0.weight", zeros({3, 2, 3, 4}));
  dict.insert("2.weight", zeros({1}));
  dict.set("1.weight", full({3}, 7.0));
  io::save(dict, folder / "bad");
  const std::string text = complaint([&] { io::load(a.model, folder / "bad"); });
  CHECK(text.starts_with(folder / "bad"));
  for (const char* words : {"size mismatch for 0.weight: the dict has [3, 2, 3, 4], the module [3, 2, 3, 3]",
                            "missing: 0.bias, 1.running_var", "unexpected: 2.weight"}) {
    CAPTURE(text);
    CHECK(text.find(words) != std::string::npos);
  }
  CHECK(a.model.get("1.weight").to_vector<float>() == std::vector<float>(3, 1));

  dict.erase("0.weight");
  io::save(dict, folder / "part");
  const nn::LoadResult rest = io::load(a.model, folder / "part", false);
  CHECK(rest.missing_keys == std::vector<std::string>{"0.weight", "0.bias", "1.running_var"});
  CHECK(rest.unexpected_keys == std::vector<std::string>{"2.weight"});
  CHECK(a.model.get("1.weight").to_vector<float>() == std::vector<float>(3, 7));
}

TEST_CASE("an optimiser's file that lacks entries is refused by name") {
  Folder folder;
  Checkpoint a;
  a.train(1);
  StateDict dict = a.opt.state_dict();
  dict.erase("state.0.exp_avg");
  dict.metadata["group.0.lr"] = "nan";
  io::save(dict, folder / "bad");
  const std::string text = complaint([&] { io::load(a.opt, folder / "bad"); });
  CHECK(text.find("state.0.exp_avg is missing") != std::string::npos);
  CHECK(text.find("group.0.lr is 'nan'") != std::string::npos);
}

TEST_SUITE_END();
