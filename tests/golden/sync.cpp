// Batch norms over ranks: their constructors, and the cases of kind "sync" on a group of threads.
#include <mutex>

#include "golden/folder.h"
#include "golden/modules.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/distributed/thread_group.h"
#include "weft/nn/sync_batch_norm.h"

namespace golden {
namespace {

using namespace weft;

/// What the modules that this thread builds belong to.
ProcessGroup& group_of_thread() {
  thread_local ProcessGroup group;
  return group;
}

/// weft::ValueError for a word that is no activation, as a library that took words would say it.
Activation activation(const std::string& word) {
  if (word == "none") return Activation::none;
  if (word == "relu") return Activation::relu;
  if (word == "leaky_relu") return Activation::leaky_relu;
  throw ValueError("activation: unknown word " + word);
}

template <class M> void add_sync_norm(Modules& m, const std::string& name) {
  m.add(name, [](const Args& a) -> Built {
    nn::SyncBatchNormOptions o;
    o.eps = a.number("eps", o.eps);
    if (a.given("momentum")) o.momentum = a.opt_number("momentum");
    o.sync = a.boolean("sync", o.sync);
    o.activation = activation(a.word("activation", "none"));
    o.slope = a.number("slope", o.slope);
    o.inplace = a.boolean("inplace", o.inplace);
    o.biased_running_var = a.boolean("biased_running_var", o.biased_running_var);
    (void)a.given("process_group");  // null: the group of the case
    o.group = group_of_thread();
    const M layer(a.integer("num_features"), o);
    // a leaf is never overwritten: the in-place path needs the result of an op
    const bool inplace = o.inplace && o.activation != Activation::none;
    return {layer, [layer, inplace](const std::vector<Tensor>& x, const Args&) {
              return std::vector<Tensor>{layer(inplace ? mul(x.at(0), 1) : x.at(0))};
            }};
  });
}

/// One rank's replica, and what came of it.
struct Rank {
  Tensor x, gy, y;
  std::map<std::string, Tensor> gradients;
  StateDict state;
};

}  // namespace

void add_sync_modules(Modules& m) {
  add_sync_norm<nn::SyncBatchNorm>(m, "encoding.SyncBatchNorm");
  add_sync_norm<nn::DistSyncBatchNorm>(m, "encoding.DistSyncBatchNorm");
  for (const char* d : {"1d", "2d", "3d"}) add_sync_norm<nn::SyncBatchNorm>(m, std::string("encoding.BatchNorm") + d);
}

void run_sync(const Folder& folder, const Value& item, Failures& failures) {
  const auto ranks = static_cast<size_t>(item["ranks"].as_int());
  StateDict given;
  for (const char* section : {"params", "buffers"})
    for (const auto& [name, key] : item[section].members) given.set(name, folder.tensor(item, key.as_string()));
  const std::vector<Tensor> inputs = folder.inputs(item);
  std::vector<Rank> rank(ranks);
  for (size_t r = 0; r < ranks; ++r) {
    rank[r].x = inputs.at(r);
    rank[r].x.set_requires_grad(item["grads"].has("x" + std::to_string(r)));
    if (item.has("grad_outputs")) rank[r].gy = folder.tensor(item, item["grad_outputs"].list.at(r).as_string());
  }

  const Args args = folder.args(item, "args"), call = folder.args(item, "call");
  const Value& mode = item["train"];
  std::mutex building;  // arguments are looked up in shared tables
  run_threads(static_cast<int>(ranks), [&](const ProcessGroup& group) {
    Rank& mine = rank[static_cast<size_t>(group.rank())];
    const Built built = [&] {
      const std::lock_guard lock(building);
      group_of_thread() = group;
      Built b = modules().build(item["module"].as_string(), args);
      b.module.to(Folder::dtype(item));
      b.module.load_state_dict(given, false);
      b.module.train(mode.is_null() || mode.as_bool());
      return b;
    }();
    mine.y = built.forward({mine.x}, call).at(0);
    for (const auto& [name, t] : built.module.state_dict()) mine.state.set(name, t.clone());
    if (mine.gy.defined()) backward({mine.y}, {mine.gy.to(mine.y.dtype())});
    for (const auto& [name, p] : built.module.named_parameters()) mine.gradients[name] = p.grad();
  });

  for (size_t r = 0; r < ranks; ++r) {
    const std::string at = " of rank " + std::to_string(r);
    if (rank[r].y.dtype() != Folder::dtype(item)) failures.add("output" + at, weft::str("dtype ", rank[r].y.dtype()));
    failures.add("output" + at, difference(rank[r].y, folder.tensor(item, item["outputs"].list.at(r).as_string()),
                                           Folder::tolerance(item, "outputs")));
    const std::string x = "x" + std::to_string(r);
    if (const Value& key = item["grads"][x]; !key.is_null())
      failures.add("grad " + x, difference(rank[r].x.grad(), folder.tensor(item, key.as_string()),
                                           Folder::tolerance(item, "grads", x)));
    if (item.has("rank_param_grads"))
      for (const auto& [name, key] : item["rank_param_grads"].list.at(r).members)
        failures.add("grad " + name + at, difference(rank[r].gradients.at(name), folder.tensor(item, key.as_string()),
                                                     Folder::tolerance(item, "grads", name)));
    for (const auto& [name, key] : item["after"].members)
      failures.add("after " + name + at, difference(*rank[r].state.find(name), folder.tensor(item, key.as_string()),
                                                    Folder::tolerance(item, "after", name)));
  }
}

}  // namespace golden
