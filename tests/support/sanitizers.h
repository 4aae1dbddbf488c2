// Which sanitizers this is compiled with: gcc and clang say it in two ways.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEFT_WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_WITH_TSAN 1
#endif

// Code that runs on every fiber and is not itself under test: its variables would look like races.
#if defined(WEFT_WITH_TSAN)
#define WEFT_NOT_TRACED __attribute__((no_sanitize("thread"), noinline))
#define WEFT_NOT_TRACED_INLINE __attribute__((no_sanitize("thread"), always_inline)) inline
#else
#define WEFT_NOT_TRACED
#define WEFT_NOT_TRACED_INLINE inline
#endif
