# libdeflate, as a static library: Debian 12's package has no CMake configuration of its own.
# Defines libdeflate::libdeflate_static, the name that libdeflate's own configuration uses.
find_package(libdeflate CONFIG QUIET)
if(NOT TARGET libdeflate::libdeflate_static)
  # The archive by its file name: a shared library would have to be on the user's machine.
  find_library(libdeflate_LIBRARY NAMES libdeflate.a)
  find_path(libdeflate_INCLUDE_DIR NAMES libdeflate.h)
  mark_as_advanced(libdeflate_LIBRARY libdeflate_INCLUDE_DIR)
  if(libdeflate_LIBRARY AND libdeflate_INCLUDE_DIR)
    add_library(libdeflate::libdeflate_static STATIC IMPORTED)
    set_target_properties(libdeflate::libdeflate_static PROPERTIES
      IMPORTED_LOCATION "${libdeflate_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${libdeflate_INCLUDE_DIR}")
  endif()
endif()
if(TARGET libdeflate::libdeflate_static)
  set(libdeflate_FOUND TRUE)
endif()
