# checkroom_room(NAME USES room... SOURCES file...)
#
# A room is a static library that links, and can include, only the rooms named in USES. Headers
# are included as "room/file.h"; each room has an include root of its own (a link to its folder),
# so that an include across a wall does not compile.
function(checkroom_room name)
  cmake_parse_arguments(ARG "" "" "USES;SOURCES" ${ARGN})
  set(root "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${root}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/cpp/${name}" "${root}/${name}" SYMBOLIC)
  add_library(checkroom_${name} STATIC ${ARG_SOURCES})
  target_include_directories(checkroom_${name} PUBLIC "${root}")
  target_link_libraries(checkroom_${name} PRIVATE checkroom_compiler)
  foreach(room IN LISTS ARG_USES)
    target_link_libraries(checkroom_${name} PUBLIC checkroom_${room})
  endforeach()
endfunction()
