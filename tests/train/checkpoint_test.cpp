// Checkpoints: what is in the files, which are kept, which are refused, and what a failure leaves behind.
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "io/io_test.h"
#include "support/child.h"
#include "support/throws.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/io/checksum.h"
#include "weft/io/safetensors.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/checkpoint.h"
#include "weft/train/early_stopping.h"
#include "weft/train/grad_scaler.h"
#include "weft/train/metrics.h"

using namespace io_test;
using support::message_of;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_in(const Folder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
using Names = std::vector<std::string>;

/// A part that is one tensor.
struct Vector {
  Tensor x;
  StateDict state_dict() const {
    StateDict dict;
    dict.insert("x", x);
    return dict;
  }
  void load_state_dict(const StateDict& dict) {
    WEFT_CHECK(dict.at("x").shape() == x.shape(), ValueError, "x has another shape");
    x = dict.at("x").clone();
  }
};
Vector filled(double value, int64_t size = 3) { return {full({size}, value, Dtype::f32)}; }
double first(const Vector& v) { return v.x[0].item<double>(); }

/// The refusals that resume tells.
struct Told {
  std::vector<std::string> reasons;
  training::CheckpointOptions options(training::CheckpointOptions o = {}) {
    o.on_refused = [this](const std::string& reason) { reasons.push_back(reason); };
    return o;
  }
};

/// Writes the checkpoints of steps 1, 2, ..., each with x = its step.
void fill(const Folder& folder, int64_t steps, const training::CheckpointOptions& o = {}) {
  Vector v = filled(0);
  training::Checkpoint c(folder.path.string(), o);
  c.add("v", v);
  for (int64_t i = 1; i <= steps; ++i) {
    v.x = full({3}, double(i), Dtype::f32);
    c.save(i);
  }
  c.wait();
}

}  // namespace

TEST_SUITE_BEGIN("checkpoint");

TEST_CASE("a file is safetensors, and its texts say what it is") {
  Folder folder;
  Vector v = filled(1.5);
  int64_t epoch = std::numeric_limits<int64_t>::min();
  double loss = std::numeric_limits<double>::quiet_NaN(), best = -0.0;
  Generator g(0xfedcba9876543210);
  g.reserve(5);
  {
    training::Checkpoint c(folder / "run");
    c.add("v", v).add("epoch", epoch).add("loss", loss).add("best-loss", best).add("g", g);
    c.save(1200, {.metric = 0.25});
  }
  const std::string path = folder / "run/step-00001200.safetensors";
  const StateDict dict = io::load(path);
  CHECK(identical(dict.at("v.x"), full({3}, 1.5, Dtype::f32)));
  CHECK(dict.metadata.at("weft.format") == "1");
  CHECK(dict.metadata.at("weft.step") == "1200");
  CHECK(dict.metadata.at("weft.parts") == "v epoch loss best-loss g");
  CHECK(dict.metadata.at("weft.metric") == "0.25");

  // The checksum, as a reader in any language takes it.
  std::string bytes = read_file(path);
  const std::string sum = dict.metadata.at("weft.crc32");
  const size_t at = bytes.find("\"weft.crc32\":\"" + sum);
  REQUIRE(at != std::string::npos);
  bytes.replace(at + 14, 8, "00000000");
  char expected[9];
  std::snprintf(expected, sizeof expected, "%08x", io::crc32(0, bytes.data(), bytes.size()));
  CHECK(sum == expected);

  v.x = zeros({3});
  epoch = 0, loss = 0, best = 1, g.seed(1);
  training::Checkpoint again(folder / "run");
  again.add("v", v).add("epoch", epoch).add("loss", loss).add("best-loss", best).add("g", g);
  CHECK(again.resume() == 1200);
  CHECK(first(v) == 1.5);
  CHECK(epoch == std::numeric_limits<int64_t>::min());
  CHECK(std::isnan(loss));
  CHECK(std::signbit(best));
  CHECK(g.state() == Generator::State{0xfedcba9876543210, 5});
  CHECK(again.best_metric() == 0.25);
}

TEST_CASE("checksums are those of the standards") {
  const std::string digits = "123456789";
  CHECK(io::crc32(0, digits.data(), 9) == 0xcbf43926u);
  CHECK(io::crc32c(0, digits.data(), 9) == 0xe3069283u);
  CHECK(io::crc32c(io::crc32c(0, digits.data(), 4), digits.data() + 4, 5) == 0xe3069283u);
  const std::string zeros(32, '\0');  // RFC 3720, B.4
  CHECK(io::crc32c(0, zeros.data(), 32) == 0x8a9136aau);
  CHECK(io::crc32c(0, nullptr, 0) == 0);
}

TEST_CASE("the last K files stay, and the best") {
  Folder folder;
  Vector v = filled(0);
  double metrics[] = {0.2, 0.9, 0.5, std::nan(""), 0.9, 0.3};
  {
    training::Checkpoint c(folder.path.string(), {.keep_last = 2});
    c.add("v", v);
    for (int64_t i = 1; i <= 6; ++i) {
      v.x = full({3}, double(i), Dtype::f32);
      c.save(i, {.metric = metrics[i - 1]});
    }
    c.wait();
    CHECK(c.best_metric() == 0.9);
    CHECK(c.best() == folder / "best.safetensors");
    CHECK(c.latest() == folder / "step-00000006.safetensors");
  }
  CHECK(names_in(folder) == Names{"best.safetensors", "step-00000005.safetensors", "step-00000006.safetensors"});
  CHECK(io::load(folder / "best.safetensors").metadata.at("weft.step") == "2");

  // A run that goes on knows the best of before.
  training::Checkpoint c(folder.path.string(), {.keep_last = 0});
  c.add("v", v);
  CHECK(c.resume() == 6);
  c.save(7, {.metric = 0.8});
  c.save(8, {.metric = 0.95});
  c.save(9);
  c.wait();
  CHECK(c.best_metric() == 0.95);
  CHECK(io::load(folder / "best.safetensors").metadata.at("weft.step") == "8");
  CHECK(folder.files() == 6);  // five steps and the best
}

TEST_CASE("a lower metric is better where it is a loss") {
  Folder folder;
  Vector v = filled(0);
  training::Checkpoint c(folder.path.string(), {.higher_is_better = false, .background = false});
  c.add("v", v);
  CHECK_FALSE(c.best().has_value());
  c.save(1, {.metric = 2.0});
  c.save(2, {.metric = 3.0});
  CHECK(c.best_metric() == 2.0);
  c.save(3, {.metric = 1.0});
  CHECK(io::load(*c.best()).metadata.at("weft.step") == "3");
}

TEST_CASE("a save is a copy of that moment") {
  Folder folder;
  Vector v = filled(1, 1 << 20);
  nn::Conv2d conv(3, 4, {.kernel_size = 3});
  {
    const NoGrad guard;
    for (Tensor p : conv.parameters()) p.fill_(1);
  }
  training::Checkpoint c(folder.path.string());
  c.add("v", v).add("conv", conv);
  c.save(1);
  const NoGrad guard;
  v.x.fill_(2);
  for (Tensor p : conv.parameters()) p.fill_(2);
  c.wait();
  const StateDict dict = io::load(*c.latest());
  CHECK(min(dict.at("v.x")).item<double>() == 1);
  CHECK(max(dict.at("v.x")).item<double>() == 1);
  CHECK(max(dict.at("conv.weight")).item<double>() == 1);
}

TEST_CASE("a cut-off, altered, newer or foreign file is refused with its reason, the one before it is found") {
  Folder folder;
  fill(folder, 3);
  const std::string newest = folder / "step-00000003.safetensors", whole = read_file(newest);
  const auto refusal_of = [&](const std::string& content) {
    write_file(newest, content);
    Told told;
    Vector v = filled(0);
    training::Checkpoint c(folder.path.string(), told.options());
    c.add("v", v);
    CHECK(c.resume() == 2);
    CHECK(first(v) == 2);
    REQUIRE(told.reasons.size() == 1);
    CHECK(told.reasons[0].starts_with(newest + ": "));
    return told.reasons[0].substr(newest.size() + 2);
  };
  for (const size_t size : {size_t{0}, size_t{5}, size_t{60}, whole.size() - 1}) {
    CAPTURE(size);
    CHECK(refusal_of(whole.substr(0, size)).size() > 10);
  }
  CHECK(refusal_of(whole.substr(0, whole.size() - 1)).find("bytes") != std::string::npos);
  // Every bit counts: of the data, of the texts, of the names, of the padding.
  int by_sum = 0;
  for (size_t at = 8; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    CAPTURE(at);
    by_sum += refusal_of(bytes).find("it was altered or damaged") != std::string::npos;
  }
  CHECK(by_sum > 10);
  std::string newer = whole;
  newer.replace(newer.find("\"weft.format\":\"1\""), 17, "\"weft.format\":\"7\"");
  CHECK(refusal_of(newer) == "is of checkpoint format 7, this weft reads up to 1; use a newer weft");
  StateDict weights;
  weights.insert("w", ones({2}));
  io::save(weights, folder / "weights");
  CHECK(refusal_of(read_file(folder / "weights")) == "is no checkpoint");

  // The run goes on, and its file takes the place of the refused one.
  Told told;
  Vector v = filled(0);
  training::Checkpoint c(folder.path.string(), told.options());
  c.add("v", v);
  CHECK(c.resume() == 2);
  c.save(3);
  c.wait();
  CHECK(c.resume() == 3);
  CHECK(told.reasons.size() == 1);
}

TEST_CASE("where no file is whole the run does not begin again in silence") {
  Folder folder;
  Vector v = filled(4);
  {
    training::Checkpoint c(folder.path.string(), {.keep_last = 1});
    c.add("v", v);
    c.save(1, {.metric = 1.0});
    v.x.fill_(5);
    c.save(2, {.metric = 0.5});
  }
  Told told;
  training::Checkpoint c(folder.path.string(), told.options());
  c.add("v", v);
  write_file(folder / "step-00000002.safetensors", "x");
  CHECK(c.resume() == 1);  // the best
  CHECK(first(v) == 4);
  write_file(folder / "best.safetensors", "");
  const std::string text = refusal([&] { c.resume(); });
  CHECK(text.starts_with(folder.path.string() + ": has no checkpoint that is whole\n  "));
  CHECK(text.find("step-00000002.safetensors: is no safetensors file: it has only 1 bytes") != std::string::npos);

  Folder empty;
  training::Checkpoint fresh(empty / "new/run");
  fresh.add("v", v);
  CHECK_FALSE(fresh.resume().has_value());
  CHECK_FALSE(fresh.latest().has_value());
}

TEST_CASE("all parts are loaded, or none") {
  Folder folder;
  Vector a = filled(1), b = filled(1);
  int64_t n = 1;
  {
    training::Checkpoint c(folder.path.string());
    c.add("a", a).add("n", n).add("b", b);
    c.save(5);
  }
  a = filled(2), b = filled(2, 4), n = 2;
  training::Checkpoint c(folder.path.string());
  c.add("a", a).add("n", n).add("b", b);
  CHECK(message_of<ValueError>([&] { c.resume(); }) ==
        folder / "step-00000005.safetensors" + ": part 'b': x has another shape");
  CHECK(first(a) == 2);
  CHECK(n == 2);
  training::Checkpoint other(folder.path.string());
  other.add("a", a).add("m", n);
  CHECK(message_of<ValueError>([&] { other.resume(); }) ==
        folder / "step-00000005.safetensors" + ": has the parts a, n, b, not a, m");
  for (const char* name : {"", "a.b", "a b", "weft", "a"}) CHECK_THROWS_AS(other.add(name, n), ValueError);
}

TEST_CASE("a folder with another run's checkpoints is not written to") {
  Folder folder;
  fill(folder, 2);
  Vector v = filled(0);
  training::Checkpoint c(folder.path.string());
  c.add("v", v);
  CHECK(message_of<ValueError>([&] { c.save(1); }) ==
        folder.path.string() +
            ": has the checkpoint of step 2, of another run; call resume() first, or take another "
            "folder");
  CHECK(names_in(folder) == Names{"step-00000001.safetensors", "step-00000002.safetensors"});
  CHECK_THROWS_AS(training::Checkpoint(folder / "step-00000001.safetensors"), IoError);
  CHECK_THROWS_AS(training::Checkpoint(folder.path.string(), {.keep_last = -1}), ValueError);
  CHECK_THROWS_AS(training::Checkpoint(folder / "x").save(1), ValueError);  // nothing to save
}

TEST_CASE("what killed runs leave goes at the next save") {
  Folder folder;
  fill(folder, 1);
  write_file(folder / ".next.safetensors", "half");
  write_file(folder / ".next-best.safetensors", "half");
  Vector v = filled(0);
  training::Checkpoint c(folder.path.string());
  c.add("v", v);
  CHECK(c.resume() == 1);
  c.save(2);
  c.wait();
  CHECK(names_in(folder) == Names{"step-00000001.safetensors", "step-00000002.safetensors"});
}

TEST_CASE("a write that fails in the thread reaches the loop, and the next save may succeed") {
  Folder folder;
  Vector v = filled(1);
  training::Checkpoint c(folder / "run");
  c.add("v", v);
  c.save(1, {.metric = 1.0});
  c.wait();
  fs::remove_all(folder / "run");
  c.save(2, {.metric = 2.0});
  const std::string text = refusal([&] { c.save(3); });
  CHECK(text.find("run/.next.safetensors: cannot be created: No such file or directory") != std::string::npos);
  CHECK(c.best_metric() == 1.0);  // that of step 2 is not on the disk
  fs::create_directory(folder / "run");
  c.save(3, {.metric = 1.5});
  c.wait();
  CHECK(c.best_metric() == 1.5);
  CHECK(*c.latest() == folder / "run/step-00000003.safetensors");
}

TEST_CASE("a full disk costs the new file only") {
  Folder folder;
  CHECK(support::in_child([&] {
          Vector v = filled(1, 100000);
          training::Checkpoint c(folder.path.string());
          c.add("v", v);
          c.save(1);
          c.wait();
          std::signal(SIGXFSZ, SIG_IGN);
          const rlimit limit{100000, 100000};  // bytes of a file
          setrlimit(RLIMIT_FSIZE, &limit);
          c.save(2);
          return refusal([&] { c.wait(); }).find("cannot be written") != std::string::npos ? 0 : 1;
        }) == 0);
  CHECK(names_in(folder) == Names{"step-00000001.safetensors"});
  Vector v = filled(0, 100000);
  training::Checkpoint c(folder.path.string());
  c.add("v", v);
  CHECK(c.resume() == 1);
}

TEST_CASE("weights alone load from a checkpoint") {
  Folder folder;
  nn::Linear model(3, 2), other(3, 2);
  optim::AdamW opt(model.parameters(), {.lr = 0.25});
  training::Checkpoint c(folder.path.string());
  c.add("model", model).add("opt", opt);
  c.save(1);
  c.wait();
  other.load_state_dict(training::read_part(*c.latest(), "model"));
  CHECK(identical(model.get("weight"), other.get("weight")));
  CHECK(training::read_part(*c.latest(), "opt").metadata.at("group.0.lr") == "0.25");
  CHECK(message_of<ValueError>([&] { (void)training::read_part(*c.latest(), "modle"); }) ==
        *c.latest() + ": has no part 'modle', but model, opt");
}

TEST_CASE("early stopping waits its patience, and goes on from a checkpoint") {
  training::EarlyStopping s({.patience = 2, .min_delta = 0.1});
  CHECK(std::isnan(s.best()));
  CHECK_FALSE(s.update(0.5));
  CHECK_FALSE(s.update(0.55));  // better, but by less than 0.1
  CHECK_FALSE(s.update(0.7));
  CHECK(s.best() == 0.7);
  CHECK_FALSE(s.update(std::nan("")));
  training::EarlyStopping t({.patience = 2, .min_delta = 0.1});
  t.load_state_dict(s.state_dict());
  CHECK(t.waited() == 1);
  CHECK(t.update(0.1));
  CHECK(t.stopped());
  training::EarlyStopping loss({.patience = 1, .higher_is_better = false});
  CHECK(loss.update(std::nan("")));
  CHECK_FALSE(loss.update(3));
  CHECK_FALSE(loss.update(2));
  CHECK(loss.update(2));
  CHECK_THROWS_AS(training::EarlyStopping({.patience = 0}), ValueError);
  CHECK_THROWS_AS(training::EarlyStopping({.min_delta = -1}), ValueError);
  CHECK_THROWS_AS(t.load_state_dict({}), ValueError);
}

TEST_SUITE_END();
