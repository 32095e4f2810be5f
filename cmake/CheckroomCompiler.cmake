# How every target of ours is compiled. Warnings are errors; the standard is C++20 without extensions.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(checkroom_compiler INTERFACE)
target_compile_options(checkroom_compiler INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105651: a false alarm on every `"text" + std::string`, mended in GCC 13.
  target_compile_options(checkroom_compiler INTERFACE -Wno-restrict)
endif()
if(CHECKROOM_SANITIZE)
  # The sanitizers' own code confuses the analysis behind this warning; the plain build has it on.
  target_compile_options(checkroom_compiler INTERFACE -Wno-maybe-uninitialized
    -fsanitize=${CHECKROOM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -O0)
  target_link_options(checkroom_compiler INTERFACE -fsanitize=${CHECKROOM_SANITIZE})
endif()
