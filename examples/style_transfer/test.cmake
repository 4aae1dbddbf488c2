# Runs the program as its README line does, and reads what it says and writes.
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")

function(run expect)
  execute_process(COMMAND "${PROGRAM}" ${ARGN} WORKING_DIRECTORY "${WORK}" OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE rc)
  if(NOT rc EQUAL expect)
    message(FATAL_ERROR "style_transfer ${ARGN}: exit status ${rc}, expected ${expect}\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

function(expect_files)
  foreach(name IN LISTS ARGN)
    if(NOT EXISTS "${WORK}/${name}")
      message(FATAL_ERROR "${name} was not written")
    endif()
  endforeach()
endfunction()

# The losses at the start and at the end, in thousandths.
function(losses first last)
  if(NOT out MATCHES "loss ([0-9.]+) -> ([0-9.]+)")
    message(FATAL_ERROR "no losses in: ${out}")
  endif()
  foreach(pair IN ITEMS "${first};${CMAKE_MATCH_1}" "${last};${CMAKE_MATCH_2}")
    list(GET pair 0 name)
    list(GET pair 1 value)
    string(REGEX MATCH "^[0-9]+" whole "${value}")
    string(REGEX REPLACE "^[0-9]+\\.?" "" part "${value}000")
    string(SUBSTRING "${part}000" 0 3 part)
    math(EXPR thousandths "${whole} * 1000 + 1${part} - 1000")
    set(${name} ${thousandths} PARENT_SCOPE)
  endforeach()
endfunction()

run(0 styles --out . --size 96)
expect_files(woven.png mosaic.png waves.png)
foreach(input IN ITEMS bgr-mean rgb-imagenet)
  run(0 random-features --features-input ${input} --out ${input}.safetensors)
endforeach()
set(pictures --content mosaic.png --style waves.png --size 48 --threads 2)

# Adam descends, and writes all that was asked for.
run(0 optimise ${pictures} --features bgr-mean.safetensors --steps 6 --every 3 --tv-weight 1 --triptych t.png --curve c.svg --out a.png)
expect_files(a.png a-0003.png a-0006.png t.png c.svg)
losses(first last)
if(NOT last LESS first)
  message(FATAL_ERROR "Adam did not descend: ${out}")
endif()

# L-BFGS descends.
run(0 optimise ${pictures} --features random --steps 8 --optimizer lbfgs --out b.jpg)
expect_files(b.jpg)
losses(first last)
if(NOT last LESS first)
  message(FATAL_ERROR "L-BFGS did not descend: ${out}")
endif()

# The same network in both conventions gives the same loss (their mean colours differ by 0.4 %); a wrong one does not.
foreach(case IN ITEMS "a;--features;bgr-mean.safetensors" "b;--features;rgb-imagenet.safetensors"
                      "c;--features;bgr-mean.safetensors;--features-input;rgb-imagenet")
  list(POP_FRONT case name)
  run(0 optimise ${pictures} ${case} --steps 1 --out x.png)
  losses(${name} ignored)
endforeach()
math(EXPR same "100 * (${a} - ${b}) / ${a}")
math(EXPR wrong "100 * (${a} - ${c}) / ${a}")
if(same LESS -2 OR same GREATER 2 OR (wrong GREATER -5 AND wrong LESS 5))
  message(FATAL_ERROR "loss ${a} with bgr-mean, ${b} with rgb-imagenet, ${c} with the wrong one (thousandths)")
endif()

# What cannot work is said in a line.
run(1 optimise ${pictures} --features none.safetensors --out x.png)
if(NOT out MATCHES "^style_transfer: none.safetensors: cannot be opened")
  message(FATAL_ERROR "unclear: ${out}")
endif()
