# What the tests of programs share: `cmake -DPROGRAM=... -DWORK=folder -P test.cmake` begins with an empty folder.
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
set(HERE "${WORK}")      # where the program runs: a test may set a folder inside
cmake_path(GET PROGRAM FILENAME NAME)

# run(status argument...): `out` has all that the program said.
function(run expect)
  execute_process(COMMAND "${PROGRAM}" ${ARGN} WORKING_DIRECTORY "${HERE}" OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE rc)
  if(NOT rc EQUAL expect)
    message(FATAL_ERROR "${NAME} ${ARGN}: exit status ${rc}, expected ${expect}\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

function(expect_files)
  foreach(name IN LISTS ARGN)
    if(NOT EXISTS "${HERE}/${name}")
      message(FATAL_ERROR "${name} was not written")
    endif()
  endforeach()
endfunction()
