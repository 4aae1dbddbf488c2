# Includes are spelled "weft/core/tensor.h": the build tree gets include/weft with one link per top-level folder,
# and install() (WeftInstall.cmake) copies the same shape.
set(WEFT_INCLUDE_DIR "${PROJECT_BINARY_DIR}/include")
set(WEFT_HEADER_FOLDERS core autograd nn optim io data distributed)
file(MAKE_DIRECTORY "${WEFT_INCLUDE_DIR}/weft")
foreach(entry IN ITEMS ${WEFT_HEADER_FOLDERS} backends weft.h)
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${entry}" "${WEFT_INCLUDE_DIR}/weft/${entry}" SYMBOLIC)
endforeach()
