// What a transform is, and how several become one. Knows the generator; no transform in particular.
#pragma once

#include <array>
#include <concepts>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/core/generator.h"
#include "weft/data/dataset.h"

namespace weft::data {

/// What a transform sees: a picture [C, H, W] of u8 or floats (a volume: [C, D, H, W]), a mask [H, W] ([D, H, W]) of
/// integers and boxes [n, 4] f32 (x0, y0, x1, y1 in pixels). Undefined ones are left alone.
struct View {
  Tensor image, mask = {}, boxes = {};  ///< undefined where there is none
};

/// Anything with `void operator()(View&, Generator&) const` and `std::string str() const`. It may have `void check()
/// const`, which throws for parameters that make no sense; a pipeline calls it when it is made.
template <class T>
concept Transform = requires(const T& t, View& v, Generator& g) {
  t(v, g);
  { t.str() } -> std::convertible_to<std::string>;
};

/// A number is drawn uniformly from [low, high). One number s: from -s to s, or 1 - s to 1 + s where 1 changes nothing
/// (never below 0).
struct Range {
  double low = 0, high = 0;  ///< bounds
  bool around = true;        ///< of one number
  Range(double spread = 0) : low(-spread), high(spread) {}
  Range(double low, double high) : low(low), high(high), around(false) {}
  /// The same around 1, and not below 0, if it is of one number.
  Range about_one() const { return around ? Range(1 - high > 0 ? 1 - high : 0, 1 + high) : *this; }
  /// A number of the range.
  double draw(Generator& g) const { return low + (high - low) * g.uniform(); }
};

/// A transform or a function of any type: `void(View&, Generator&)`, `void(View&)` or `Tensor(Tensor)`, which is for
/// the image. Copies share it.
class WEFT_API AnyTransform {
 public:
  template <class F>
  requires(!std::is_base_of_v<AnyTransform, std::remove_cvref_t<F>>) AnyTransform(F f)
      : AnyTransform("function", std::move(f)) {}
  /// A function with a name for the pipeline in words.
  template <class F> AnyTransform(std::string name, F f) {
    if constexpr (requires { f.check(); }) f.check();
    held_ = std::make_shared<const Held<F>>(std::move(name), std::move(f));
  }

  /// Applies it.
  void operator()(View& v, Generator& g) const { held_->apply(v, g); }
  /// The transform in words; of a function its name.
  std::string str() const { return held_->str(); }
  /// What it was made of, if that is a T; else null.
  template <class T> const T* as() const {
    const auto* held = dynamic_cast<const Held<T>*>(held_.get());
    return held ? &held->f : nullptr;
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void apply(View& v, Generator& g) const = 0;
    virtual std::string str() const = 0;
  };
  template <class F> struct Held final : Base {
    Held(std::string n, F f) : name(std::move(n)), f(std::move(f)) {}
    void apply(View& v, Generator& g) const override {
      if constexpr (std::is_invocable_v<const F&, View&, Generator&>) f(v, g);
      else if constexpr (std::is_invocable_v<const F&, View&>) f(v);
      else {
        static_assert(std::is_invocable_r_v<Tensor, const F&, const Tensor&>,
                      "a transform is void(View&, Generator&), void(View&) or Tensor(Tensor), and const");
        if (v.image.defined()) v.image = f(v.image);
      }
    }
    std::string str() const override {
      if constexpr (Transform<F>) return f.str();
      else return name;
    }
    std::string name;
    F f;
  };
  std::shared_ptr<const Base> held_;
};

/// One after the other. Also a function of examples, for `data::map`: the target is the mask if it is of integers and
/// of the picture's rank - 1, the boxes if it is [n, 4] of f32, and left alone otherwise.
class WEFT_API Compose {
 public:
  explicit Compose(std::vector<AnyTransform> transforms) : transforms_(std::move(transforms)) {}
  template <class... T>
  requires(sizeof...(T) > 0 &&
           !(sizeof...(T) == 1 && (std::is_same_v<std::remove_cvref_t<T>, Compose> && ...))) explicit Compose(T... t)
      : transforms_{AnyTransform(std::move(t))...} {}

  void operator()(View& v, Generator& g) const;
  /// Errors say the example's name.
  Example operator()(Example e, Generator& g) const;
  /// The parts, in their order.
  const std::vector<AnyTransform>& transforms() const { return transforms_; }
  /// "Compose(\n  RandomCrop(size=[112, 144]),\n  ...\n)".
  std::string str() const;

 private:
  std::vector<AnyTransform> transforms_;
};

/// The transform with probability p.
struct WEFT_API RandomApply {
  AnyTransform transform;  ///< what is applied
  double p = 0.5;          ///< how often
  RandomApply(AnyTransform transform, double p = 0.5);
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// One of the transforms, with probabilities in proportion to `weights` (none: all alike).
struct WEFT_API RandomChoice {
  std::vector<AnyTransform> transforms;  ///< to choose from
  std::vector<double> weights;           ///< of each, not negative; empty: all alike
  explicit RandomChoice(std::vector<AnyTransform> transforms, std::vector<double> weights = {});
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// All of them in an order that is drawn.
struct WEFT_API RandomOrder {
  std::vector<AnyTransform> transforms;  ///< all of them
  explicit RandomOrder(std::vector<AnyTransform> transforms);
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// A pipeline in words.
template <Transform T> std::ostream& operator<<(std::ostream& s, const T& t) { return s << t.str(); }

}  // namespace weft::data
