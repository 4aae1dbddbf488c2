// A communicator that waits for its calls: what was started is carried out by a thread of its own.
// Owns that thread; must not know how messages travel.
#pragma once

#include <memory>

#include "weft/distributed/communicator.h"

namespace weft::comm {

class Queued : public Communicator {
 public:
  Queued(int rank, int size);
  ~Queued() override;
  void run(const Call& c) final;
  std::shared_ptr<Work> start(Call c) final;

 protected:
  virtual void perform(const Call& c) = 0;
  /// Ends the thread; a class whose `perform` needs its members calls it when it ends.
  void stop();

 private:
  struct Queue;
  void work();
  std::unique_ptr<Queue> queue_;
};

}  // namespace weft::comm
