#include <weft/core/version.h>

#include <cstdio>

int main() { return std::printf("weft %s\n", weft::version()) > 0 ? 0 : 1; }
