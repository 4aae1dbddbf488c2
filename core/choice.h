// A mode of an op, given as an enumerator or as text. An enum that may be given as text has its words beside it:
//     constexpr auto mode_words(Approximate) { return make_words("gelu: approximate", "none", "tanh"); }
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "weft/core/export.h"

namespace weft {

/// The words of an enum: one for each enumerator, in their order from 0; `what` begins the error for another one.
template <size_t N> struct Words {
  std::string_view what;                 ///< "OP: ARGUMENT", for errors
  std::array<std::string_view, N> list;  ///< in the order of the enumerators
};
/// Words of an enum, in the order of its enumerators.
template <class... Text> constexpr Words<sizeof...(Text)> make_words(std::string_view what, Text... list) {
  return {what, {std::string_view(list)...}};
}

namespace detail {
/// As std::convertible_to, without its class template for each pair of types: these cost programs compile time.
template <class From, class To>
concept ConvertsTo = requires(const From& from, void (&take)(To)) {
  take(from);
};

/// Text, and a null pointer as an empty one.
template <class Text> std::string_view word_of(const Text& text) {
  if constexpr (std::is_pointer_v<Text>)
    if (!text) return {};
  return text;
}

/// The position of `text` among `count` words. ValueError that lists them, in the name of `what`.
WEFT_API size_t word_index(std::string_view what, const std::string_view* words, size_t count, std::string_view text);
}  // namespace detail

/// `.reduction = Reduction::sum` or `.reduction = "sum"`: reads as the enumerator, compares with both.
/// ValueError for another word: "loss: reduction 'average' is unknown; expected 'none', 'mean', 'sum' or 'batchmean'".
template <class E> class Choice {
 public:
  constexpr Choice(E value) : value_(value) {}
  template <detail::ConvertsTo<std::string_view> Text> Choice(const Text& text) : value_(from(detail::word_of(text))) {}
  template <std::same_as<std::nullptr_t> N> Choice(N) = delete;  // and not of 0

  /// The enumerator.
  constexpr operator E() const { return value_; }
  /// Its word.
  constexpr std::string_view text() const { return mode_words(value_).list[static_cast<size_t>(value_)]; }

  friend constexpr bool operator==(Choice a, Choice b) { return a.value_ == b.value_; }
  friend constexpr bool operator==(Choice a, E b) { return a.value_ == b; }
  template <detail::ConvertsTo<std::string_view> Text> friend bool operator==(Choice a, const Text& b) {
    return a.text() == std::string_view(b);
  }

 private:
  static E from(std::string_view text) {
    constexpr auto words = mode_words(E{});
    return static_cast<E>(detail::word_index(words.what, words.list.data(), words.list.size(), text));
  }
  E value_;
};

namespace detail {
/// A class that stands for a T, as an element of std::vector<bool> does for a bool: nothing is lost on the way.
template <class C, class T>
concept StandsFor = std::is_class_v<C> && ConvertsTo<C, T> && requires(const C& c) {
  T{c};
};
}  // namespace detail

/// Taken by value if numbers, by reference if classes: some cannot be copied, and a reference to a number would ask for
/// a definition of every `static const int`.
template <class T>
concept ByValue = std::is_scalar_v<T>;

/// bool, and classes that stand for one.
template <class T>
concept Boolean = std::same_as<T, bool> || detail::StandsFor<T, bool>;
/// Whole numbers: the types of integers but bool, enumerators that count as integers, classes that stand for one.
template <class T>
concept Integer = !Boolean<T> && (std::integral<T> || (std::is_enum_v<T> && detail::ConvertsTo<T, int64_t>) ||
                                  detail::StandsFor<T, int64_t>);

/// A number or bool of which nothing is lost: a bool is made of a bool only (no text, no number), an integer of an
/// integer only (no fraction), a real number of any number. `{}` does not make one: it stays the options of the
/// overload beside it.
template <class T> class Only {
  template <class U>
  static constexpr bool kTakes = std::same_as<T, bool> ? Boolean<U>
                                 : std::integral<T>    ? Integer<U>
                                                    : (std::is_arithmetic_v<U> || detail::StandsFor<U, T>)&&!Boolean<U>;

 public:
  template <class U>
  requires(kTakes<U>&& ByValue<U>) constexpr Only(U value) : value_(static_cast<T>(value)) {}
  template <class U>
  requires(kTakes<U>&& std::is_class_v<U>) constexpr Only(const U& value) : value_(static_cast<T>(value)) {}
  /// The value.
  constexpr operator T() const { return value_; }
  template <class Stream> friend Stream& operator<<(Stream& s, Only x) { return s << x.value_, s; }

 private:
  T value_;
};
/// A parameter that is an axis, a size or a count.
using Int = Only<int64_t>;

}  // namespace weft
