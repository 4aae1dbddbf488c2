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

file(GLOB _examples CONFIGURE_DEPENDS LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/examples/*")
foreach(folder IN LISTS _examples)
  file(GLOB _sources CONFIGURE_DEPENDS "${folder}/*.cpp")
  if(_sources)
    cmake_path(GET folder FILENAME _name)
    weft_add_program(${_name} ${_sources})
    include("${folder}/example.cmake" OPTIONAL)
  endif()
endforeach()
