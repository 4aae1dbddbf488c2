// A slower network than there is, to see what it would cost. Must not know what the messages say.
#pragma once

#include <memory>

#include "weft/distributed/transport.h"

namespace weft::comm {

/// How long messages take. Those of one rank leave it one after the other.
struct Link {
  double seconds = 0;           ///< from a message's last byte leaving to its arrival
  double bytes_per_second = 0;  ///< that a rank sends; 0: no bound
};
/// The transport with messages that take at least as long. ValueError for negative times, or more than 1e6 s.
WEFT_API std::shared_ptr<Transport> slow_link(std::shared_ptr<Transport> transport, const Link& link);

}  // namespace weft::comm
