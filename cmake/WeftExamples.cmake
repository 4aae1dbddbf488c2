# examples/<name>/*.cpp -> program <name>. A folder's own example.cmake says what it links, installs and tests.

# weft_test_example(name low high): ctest runs the program without arguments. Its last line must be the one that the
# head of main.cpp promises, but for the last number, which must be within [low, high].
function(weft_test_example name low high)
  if(WEFT_TESTS)
    add_test(NAME "examples: ${name}" COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:${name}>
      "-DSOURCE=${PROJECT_SOURCE_DIR}/examples/${name}/main.cpp" -DLOW=${low} -DHIGH=${high}
      -P "${PROJECT_SOURCE_DIR}/examples/test_example.cmake")
    set_tests_properties("examples: ${name}" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
  endif()
endfunction()

# weft_test_program(name label): ctest runs the folder's test.cmake, which gets the program and a folder WORK.
function(weft_test_program name label)
  if(WEFT_TESTS)
    add_test(NAME "examples: ${label}" COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:${name}>
      -DWORK=${PROJECT_BINARY_DIR}/${name}_test -P "${PROJECT_SOURCE_DIR}/examples/${name}/test.cmake")
    set_tests_properties("examples: ${label}" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
  endif()
endfunction()

# weft_test_parts(name label TESTS file... PARTS file...): a doctest program of tests/examples/TESTS and the folder's PARTS.
function(weft_test_parts name label)
  if(WEFT_TESTS)
    cmake_parse_arguments(PARSE_ARGV 2 _arg "" "" "TESTS;PARTS")
    list(TRANSFORM _arg_TESTS PREPEND "${PROJECT_SOURCE_DIR}/tests/examples/")
    list(TRANSFORM _arg_PARTS PREPEND "${PROJECT_SOURCE_DIR}/examples/${name}/")
    find_package(doctest 2.4 REQUIRED)
    weft_add_program(${name}_test ${_arg_TESTS} ${_arg_PARTS})
    target_link_libraries(${name}_test PRIVATE doctest::doctest)
    add_test(NAME "examples: ${label}" COMMAND ${name}_test)
    set_tests_properties("examples: ${label}" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 300
      ENVIRONMENT "OMP_NUM_THREADS=2;WEFT_GOLDEN_EXAMPLES=${PROJECT_SOURCE_DIR}/tests/examples")
  endif()
endfunction()

file(GLOB _examples CONFIGURE_DEPENDS LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/examples/*")
foreach(folder IN LISTS _examples)
  file(GLOB _sources CONFIGURE_DEPENDS "${folder}/*.cpp")
  if(_sources)
    cmake_path(GET folder FILENAME _name)
    weft_add_program(${_name} ${_sources})
    include("${folder}/example.cmake" OPTIONAL)
  endif()
endforeach()
