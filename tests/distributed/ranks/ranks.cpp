// A program that mpirun starts; tests/distributed/ranks/run.py says with which arguments, and what must come out.
//   weft_test_ranks collectives            every collective, and batch norm, against its definition; prints "ok"
//   weft_test_ranks fail HOW CALL          the last rank fails before call 3 of CALL: kill, stop, throw, exit, skip,
//                                          other, size; the others print what they heard
//   weft_test_ranks start HOW              the last rank fails before it joins the others: stop, skip
//   weft_test_ranks end                    rank 0 returns 4 s after the others, which wait that long; prints "ok"
//   weft_test_ranks unread                 rank 0 sends what nobody receives
//   weft_test_ranks loop                   calls all_reduce until it fails
//   weft_test_ranks threads                prints each rank's threads and cores
//   weft_test_ranks straggle               10,000 steps of training while ranks come late at random; prints "ok"
//   weft_test_ranks nccl                   what NCCL says where there is no card
//   weft_test_ranks cards FILE             every collective between cards; RANK and WORLD_SIZE in the environment
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "weft/weft.h"

using namespace weft;

namespace {

/// A line in one piece: ranks share the output.
void say(const std::string& line) { (void)!write(1, (line + '\n').data(), line.size() + 1); }

int wrong = 0;
void expect(bool right, const std::string& what) {
  if (right) return;
  ++wrong;
  say("wrong: " + what);
}

/// Element i of rank r's tensor number `seed`: small integers, exact in every dtype.
double value(int r, int64_t i, int seed) { return static_cast<double>((7 * r + 3 * i + seed) % 5 + 1); }

Device device;  // of what is exchanged

Tensor of_rank(int r, int64_t n, int seed, Dtype d) {
  std::vector<double> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[static_cast<size_t>(i)] = value(r, i, seed);
  return tensor(v).to(d).to(device);
}

double reduced(ReduceOp op, int ranks, int64_t i, int seed) {
  double all = value(0, i, seed);
  for (int r = 1; r < ranks; ++r) {
    const double v = value(r, i, seed);
    all = op == ReduceOp::min       ? std::fmin(all, v)
          : op == ReduceOp::max     ? std::fmax(all, v)
          : op == ReduceOp::product ? all * v
                                    : all + v;
  }
  return op == ReduceOp::mean ? all / ranks : all;
}

void collectives(const ProcessGroup& g) {
  const int R = g.size(), me = g.rank();
  int seed = 0;
  for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i64, Dtype::i32, Dtype::i16, Dtype::u8})
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{5}, int64_t{1024}, int64_t{8193}, int64_t{1500000}}) {
      if (n > 10000 && d != Dtype::f32 && d != Dtype::bf16) continue;
      if (d == Dtype::i16 && device.type != DeviceType::cpu) continue;  // NCCL adds none
      const std::string what = str(d, " of ", n);
      for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::min, ReduceOp::max, ReduceOp::product}) {
        if (op == ReduceOp::mean && !is_floating(d)) continue;
        const Tensor y = g.all_reduce(of_rank(me, n, ++seed, d), op);
        std::vector<double> want(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i) want[static_cast<size_t>(i)] = reduced(op, R, i, seed);
        expect(y.to_vector<double>() == tensor(want).to(d).to_vector<double>(),
               str("all_reduce ", static_cast<int>(op), " ", what));
      }
      const Tensor x = of_rank(me, n, ++seed, d), all = g.all_gather(x);
      for (int r = 0; r < R; ++r)
        expect(all.select(0, r).to_vector<double>() == of_rank(r, n, seed, d).to_vector<double>(),
               "all_gather " + what);
      for (int root = 0; root < R; ++root)
        expect(g.broadcast(x, root).to_vector<double>() == of_rank(root, n, seed, d).to_vector<double>(),
               "broadcast " + what);
      const Tensor parts = of_rank(me, n * R, ++seed, d).reshape({R, n}), part = g.reduce_scatter(parts),
                   turned = g.all_to_all(parts);
      for (int r = 0; r < R; ++r) {
        const Tensor theirs = of_rank(r, n * R, seed, d).reshape({R, n});
        expect(turned.select(0, r).to_vector<double>() == theirs.select(0, me).to_vector<double>(),
               "all_to_all " + what);
      }
      std::vector<double> want(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) want[static_cast<size_t>(i)] = reduced(ReduceOp::sum, R, me * n + i, seed);
      expect(part.to_vector<double>() == tensor(want).to(d).to_vector<double>(), "reduce_scatter " + what);
      if (R > 1) {
        Tensor got = zeros({n}, {d, device});
        const int next = (me + 1) % R, before = (me + R - 1) % R;
        if (me % 2 == 0) g.send(x, next, 3), g.recv_(got, before, 3);
        else g.recv_(got, before, 3), g.send(x, next, 3);
        expect(got.to_vector<double>() == of_rank(before, n, seed - 1, d).to_vector<double>(), "send " + what);
      }
    }
  const Tensor rows = g.all_gather_cat(full({me, 2}, me));
  expect(rows.shape() == Shape{R * (R - 1) / 2, 2}, "all_gather_cat");
  const std::vector<std::string> texts = g.all_gather(std::string(static_cast<size_t>(me) * 5000, 'x') + str(me));
  for (int r = 0; r < R; ++r)
    expect(texts[static_cast<size_t>(r)] == std::string(static_cast<size_t>(r) * 5000, 'x') + str(r), "texts");
  expect(g.broadcast(me == R - 1 ? "from the last" : "", R - 1) == "from the last", "text");
  // groups of a group: odd and even ranks, in falling order
  const ProcessGroup half = g.split(me % 2, -me);
  expect(half.size() == (R + 1 - me % 2) / 2, "split size");
  Tensor mine = full({3}, me).to(device);
  half.all_reduce_(mine);
  double sum = 0;
  for (int r = me % 2; r < R; r += 2) sum += r;
  expect(mine.to_vector<double>() == std::vector<double>(3, sum), "all_reduce of a split");
  expect(half.all_gather(tensor({me}))[0].item<int64_t>() == (R - 1 - (R - 1 - me) % 2), "order of a split");
  // calls that were started, beside calls of another group
  Tensor a = ones({300000}, {Dtype::f32, device}), b = ones({5}, {Dtype::f32, device});
  const auto first = g.start_all_reduce_(a), second = g.start_all_reduce_(b);
  half.barrier();
  first->wait(), second->wait();
  expect(a.to_vector<float>() == std::vector<float>(300000, static_cast<float>(R)), "started");
  expect(b.to_vector<float>() == std::vector<float>(5, static_cast<float>(R)), "started second");
  g.barrier();
}

/// Batch norm over uneven and empty batches, and its first and second derivatives, against the whole batch on one rank.
void batch_norm(const ProcessGroup& g) {
  Generator gen(3);
  std::vector<Tensor> batches;
  for (int r = 0; r < g.size(); ++r) batches.push_back(randn({r == 1 ? 0 : r + 1, 3, 4}, Dtype::f64, &gen));
  const Tensor w = randn({3}, Dtype::f64, &gen) + 2, b = randn({3}, Dtype::f64, &gen);
  const auto of = [&](const Tensor& batch, const ProcessGroup& group, bool inplace) {
    Tensor x = batch.clone().set_requires_grad(), w_leaf = w.clone().set_requires_grad();
    const Tensor y = sync_batch_norm(
        x * 1, {}, {}, w_leaf, b,
        {.training = true, .activation = Activation::leaky_relu, .slope = 0.2, .inplace = inplace, .group = group});
    const Tensor dx = grad(sum(sin(y)), {x}, {.create_graph = true})[0];
    return std::vector<Tensor>{y.detach(), dx.detach(), grad(sum(dx * dx * dx), {x})[0]};
  };
  const std::vector<Tensor> whole = of(cat(batches), {}, false);
  const Tensor& mine = batches[static_cast<size_t>(g.rank())];
  int64_t at = 0;
  for (int r = 0; r < g.rank(); ++r) at += batches[static_cast<size_t>(r)].size(0);
  for (const bool inplace : {false, true}) {
    const std::vector<Tensor> got = of(mine, g, inplace);
    for (size_t i = 0; i < got.size(); ++i)  // sums of some hundred terms of 1 to 10
      expect(allclose(got[i], whole[i].narrow(0, at, mine.size(0)), 1e-12, 1e-12),
             str("sync_batch_norm, in place ", inplace, ", derivative ", i));
  }
}

void call(const ProcessGroup& g, const std::string& what, int64_t n = 5000) {
  Tensor x = ones({n});
  if (what == "all_reduce") g.all_reduce_(x);
  else if (what == "all_gather") (void)g.all_gather(x);
  else if (what == "broadcast") g.broadcast_(x, 0);
  else if (what == "reduce_scatter") (void)g.reduce_scatter(ones({g.size(), n}));
  else if (what == "all_to_all") (void)g.all_to_all(ones({g.size(), n}));
  else if (what == "send" && g.rank() == g.size() - 1)
    for (int r = 0; r + 1 < g.size(); ++r) g.send(x, r);
  else if (what == "send") g.recv_(x, g.size() - 1);
  else if (what == "split") (void)g.split(0);
  else if (what == "backward") {
    static nn::Linear model(4, 4);
    static training::DistributedDataParallel parallel(model, {.group = g});
    sum(model(ones({2, 4}))).backward();
  } else g.barrier();
}

void fail(const ProcessGroup& g, const std::string& how, const std::string& what) {
  const bool last = g.rank() == g.size() - 1;
  for (int i = 1; i <= 4; ++i) {
    if (last && i == 3) {
      say(str("rank ", g.rank(), ": ", how));
      if (how == "kill") raise(SIGKILL);
      if (how == "stop") raise(SIGSTOP);
      if (how == "exit") _exit(7);
      if (how == "throw") throw ValueError("the data of this rank are bad");
      if (how == "skip") return;
      if (how == "other") g.barrier();
      if (how == "size") call(g, what, 4999);
    }
    try {
      call(g, what);
    } catch (const CommError& e) {
      say(str("rank ", g.rank(), " heard: ", e.what()));
      throw;
    }
  }
}

/// Before MPI has begun: the launchers say who is the last rank.
void fail_at_start(const std::string& how) {
  for (const auto& [rank, size] : {std::pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), {"PMI_RANK", "PMI_SIZE"}})
    if (std::getenv(rank) && std::atoi(std::getenv(rank)) + 1 == std::atoi(std::getenv(size))) {
      if (how == "stop") raise(SIGSTOP);
      std::exit(0);
    }
}

/// Calls until something breaks, for half a minute at most.
void loop(const ProcessGroup& g) {
  for (int i = 0; i < 3000; ++i) {
    usleep(10000);
    try {
      call(g, "all_reduce");
    } catch (const CommError& e) {
      say(str("rank ", g.rank(), " heard: ", e.what()));
      throw;
    }
  }
}

/// Trains on all ranks; rank 0 compares with the whole batch on one.
void straggle(const ProcessGroup& g) {
  const auto net = [] {
    manual_seed(4);
    nn::Sequential n(nn::Linear(8, 16), nn::Tanh(), nn::Linear(16, 1));
    n.to(Dtype::f64);
    return n;
  };
  constexpr int64_t kBatch = 2;
  nn::Sequential mine = net(), whole = net();
  training::DistributedDataParallel parallel(mine, {.group = g, .bucket_mb = 5e-4});
  optim::SGD opt(mine.parameters(), {.lr = 0.05, .momentum = 0.5}),
      plain(whole.parameters(), {.lr = 0.05, .momentum = 0.5});
  Generator late(static_cast<uint64_t>(90 + g.rank()));
  const auto step = [](const nn::Sequential& n, optim::SGD& o, const Tensor& x) {
    o.zero_grad();
    mse_loss(n(x), sin(x.sum(1, true))).backward();
    o.step();
  };
  for (int i = 0; i < 10000; ++i) {
    Generator data(static_cast<uint64_t>(i));
    const Tensor x = randn({kBatch * g.size(), 8}, Dtype::f64, &data);
    const double draw = rand({1}, Dtype::f64, &late).item<double>();
    if (draw < 0.02) usleep(static_cast<useconds_t>(draw * 1e5));  // up to 2 ms
    step(mine, opt, x.narrow(0, kBatch * g.rank(), kBatch));
    if (g.rank() == 0 && i < 1000) step(whole, plain, x);
    if (i == 999 && g.rank() == 0)
      for (size_t p = 0; p < whole.parameters().size(); ++p)  // 1000 roundings of 1e-16
        expect(max(abs(mine.parameters()[p] - whole.parameters()[p])).item<double>() < 1e-10, "as one process");
    if (i % 1000 != 0) continue;
    Tensor buffer = full({70000}, static_cast<float>(g.rank()));
    g.start_all_reduce_(buffer, "max")->wait();
    expect(buffer.to_vector<float>() == std::vector<float>(70000, static_cast<float>(g.size() - 1)), str("step ", i));
  }
  for (const Tensor& p : mine.parameters()) {
    const Tensor all = g.all_gather(p.detach());
    for (int r = 1; r < g.size(); ++r)
      expect(all.select(0, r).to_vector<double>() == all.select(0, 0).to_vector<double>(), "the same weights");
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "nccl") {
    (void)init_process_group({.backend = "nccl"});
    return 0;
  }
  if (what == "start" && argc == 3) fail_at_start(argv[2]);
  const char* timeout = std::getenv("WEFT_TEST_TIMEOUT");
  const bool cards = what == "cards" && argc == 3;
  const ProcessGroup g = init_process_group(
      {.backend = cards ? "nccl" : "auto", .timeout = timeout ? std::atof(timeout) : 60, .file = cards ? argv[2] : ""});
  if (cards) device = Device(DeviceType::cuda, g.local_rank());
  if (what == "collectives") collectives(g), batch_norm(g);
  else if (cards) collectives(g);
  else if (what == "fail" && argc == 4) fail(g, argv[2], argv[3]);
  else if (what == "loop") loop(g);
  else if (what == "unread") {
    if (g.rank() == 0) g.send(ones({3}), 1);
  } else if (what == "end") {
    g.set_timeout(30);
    g.barrier();
    if (g.rank() == 0) sleep(4);
  } else if (what == "threads") say(describe(g));
  else if (what == "straggle") straggle(g);
  else
    throw ValueError(
        "usage: weft_test_ranks collectives | fail HOW CALL | start HOW | end | unread | loop | threads | straggle | "
        "nccl | "
        "cards "
        "FILE");
  if (wrong == 0 && g.rank() == 0 && (what == "collectives" || what == "straggle" || what == "end" || cards))
    say(str("ok, ", g.size(), " ranks"));
  return wrong == 0 ? 0 : 1;
} catch (const std::exception& e) {
  say(e.what());
  return 1;
}
