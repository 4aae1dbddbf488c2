# Each fuzzer once over its seeds: a regression test in the sanitizer builds (the release build reads them in tests/io).
if(WEFT_FUZZ)
  foreach(source IN LISTS _fuzz)
    cmake_path(GET source STEM _name)
    file(GLOB _seeds CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${_name}/*")
    add_test(NAME "fuzz: seeds of ${_name}" COMMAND fuzz_${_name} -rss_limit_mb=2048 ${_seeds})
    set_tests_properties("fuzz: seeds of ${_name}" PROPERTIES LABELS fuzz TIMEOUT 120)
  endforeach()
endif()
