# What scripts/test and scripts/demo share: Debian packages, the virtual environment, the build.
# Sourced, not run. Every function can be called again: what is there already is left alone.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
release=$root/build/release
constraints=$root/constraints.txt
python_command=${PYTHON:-python3}

# The build needs the first list, the tests both.
build_packages=(g++ libspdlog-dev libfmt-dev libdeflate-dev)
test_packages=(nlohmann-json3-dev libgtest-dev binutils util-linux mount e2fsprogs xfsprogs
  btrfs-progs git strace)

export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# A compiler cache is used where there is one; paths relative to the root let two clones share it.
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$root
fi

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# step TITLE COMMAND...: a header, the command, how long it took; returns the command's status.
step() {
  local title=$1 started=$SECONDS status=0
  shift
  printf '\n==> %s\n' "$title"
  "$@" || status=$?
  printf '    %s: %s in %d s\n' "$title" "$([ "$status" -eq 0 ] && echo done || echo FAILED)" \
    "$((SECONDS - started))"
  return "$status"
}

# The packages among the arguments that are not installed, one a line.
missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      echo "$package"
  done
}

# What Python lacks for a virtual environment and for compiling an extension module, as packages.
missing_python_packages() {
  if ! command -v "$python_command" >/dev/null; then
    printf 'python3\npython3-venv\npython3-dev\n'
    return
  fi
  "$python_command" - <<'PYTHON'
import os, sys, sysconfig
version = "python%d.%d" % sys.version_info[:2]
try:
    import ensurepip, venv
except ImportError:
    print(version + "-venv")
if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    print(version + "-dev")
PYTHON
}

# system_packages PACKAGE...: installs those that are missing, as root or with sudo.
system_packages() {
  local missing as_root=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "No apt here: taking the packages for granted ($*)."
    return
  fi
  mapfile -t missing < <(missing_packages "$@"; missing_python_packages)
  if [ "${#missing[@]}" -eq 0 ]; then
    echo "All of them are there."
    return
  fi
  echo "Missing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    # With no terminal to ask for a password on, only a sudo that asks for none will do.
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
      as_root=(sudo)
    else
      fail "installing packages needs root. Run: sudo apt-get install -y ${missing[*]}"
    fi
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  # One source that does not answer need not be the one that has the packages.
  "${apt[@]}" update </dev/null || echo "apt-get update had errors; going on with what it has."
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null ||
    fail "apt-get could not install: ${missing[*]}"
}

install() {
  "$venv/bin/python" -m pip install -qq --no-compile -c "$constraints" "$@" </dev/null
}

# virtual_environment: .venv with torch and what builds the package, at constraints.txt's versions.
# A stamp makes the second call free.
virtual_environment() {
  local stamp=$venv/.checkroom-stamp want
  "$python_command" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "checkroom needs Python 3.10 or newer; $python_command is $("$python_command" -V 2>&1)." \
      "Name another with PYTHON=/path/to/python3."
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python_command" -m venv --clear "$venv" || return 1
  fi
  want=$("$venv/bin/python" -V; cat "$constraints")
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    # The distribution's pip may be too old to hand settings to a build.
    # torch alone: nothing that comes after it may then choose another build of it.
    install --upgrade pip && install torch && install scikit-build-core pybind11 cmake ninja || return 1
    printf '%s\n' "$want" >"$stamp"
  fi
  echo "$("$venv/bin/python" -V) in $venv"
}

# package EXTRAS [CMAKE_DEFINE...]: builds the extension module in build/release and installs the
# package with what the extras ask for. Not isolated: the build directory is kept, so that only
# what changed is compiled again.
package() {
  local extras=$1 define settings=(-C "build-dir=$release")
  shift
  for define in "$@"; do
    settings+=(-C "cmake.define.$define")
  done
  (cd "$root" && PATH=$venv/bin:$PATH install --no-build-isolation "${settings[@]}" ".[$extras]")
}
