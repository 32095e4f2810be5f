# The C++ packages that checkroom stands on. A missing one is one clear line that names what to
# install; with -DCHECKROOM_FETCH=ON it is fetched instead.
include(FetchContent)

function(checkroom_package name apt)
  cmake_parse_arguments(ARG "" "GIT;TAG" "" ${ARGN})
  find_package(${name} QUIET)
  if(${name}_FOUND)
    return()
  endif()
  if(CHECKROOM_FETCH AND ARG_GIT)
    string(TOLOWER ${name} lower)
    FetchContent_Declare(${lower} GIT_REPOSITORY ${ARG_GIT} GIT_TAG ${ARG_TAG} GIT_SHALLOW ON)
    FetchContent_MakeAvailable(${lower})
    return()
  endif()
  message(FATAL_ERROR "checkroom needs ${name}, which was not found. "
                      "On Debian or Ubuntu: apt-get install ${apt} (all that the build needs: "
                      "g++ libspdlog-dev libfmt-dev libdeflate-dev; for its tests also nlohmann-json3-dev "
                      "libgtest-dev)")
endfunction()

checkroom_package(fmt libfmt-dev GIT https://github.com/fmtlib/fmt TAG 9.1.0)
checkroom_package(spdlog libspdlog-dev GIT https://github.com/gabime/spdlog TAG v1.10.0)
checkroom_package(libdeflate libdeflate-dev GIT https://github.com/ebiggers/libdeflate TAG v1.19)
if(CHECKROOM_BUILD_TESTS)
  checkroom_package(nlohmann_json nlohmann-json3-dev GIT https://github.com/nlohmann/json TAG v3.11.2)
  checkroom_package(GTest libgtest-dev GIT https://github.com/google/googletest TAG v1.14.0)
endif()
find_package(Threads REQUIRED)

# Headers only, with fmt header-only too: Debian's spdlog target would make the wheel need
# libspdlog.so and libfmt.so on the user's machine.
add_library(checkroom_spdlog INTERFACE)
get_target_property(_spdlog_include spdlog::spdlog_header_only INTERFACE_INCLUDE_DIRECTORIES)
target_include_directories(checkroom_spdlog SYSTEM INTERFACE ${_spdlog_include})
target_compile_definitions(checkroom_spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(checkroom_spdlog INTERFACE fmt::fmt-header-only Threads::Threads)
