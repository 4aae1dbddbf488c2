// What libweft and its NCCL plugin say to each other.
#pragma once

#include <memory>

#include "weft/core/device.h"
#include "weft/distributed/rendezvous.h"

namespace weft::comm::nccl {

constexpr int kAbi = 1;
constexpr const char* kConnectName = "weft_nccl_connect";

/// Joins the ranks that met there, this one with the memory of `card`. False where the plugin is another version's.
/// CommError where it does not come about in so many seconds, which are the group's timeout then.
using Connect = bool (*)(int abi, const std::shared_ptr<Rendezvous>& ranks, Device card, double seconds,
                         std::shared_ptr<Communicator>& made);

}  // namespace weft::comm::nccl
