// Whether an object is still there, for those who keep its address.
#pragma once

#include <memory>

namespace weft::detail {

/// A member of the object, which a copy of it has anew.
class Alive {
 public:
  Alive() = default;
  Alive(const Alive&) {}
  Alive& operator=(const Alive&) { return *this; }
  /// Expires with the object.
  std::weak_ptr<const void> watch() const { return token_; }

 private:
  std::shared_ptr<const char> token_ = std::make_shared<const char>();
};

}  // namespace weft::detail
