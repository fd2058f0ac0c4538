# tools/setup.sh: sourced by tools/quickstart and tools/test, never run by itself.
# Installs what is missing on Debian and its relatives; elsewhere says what is needed.
# shellcheck shell=bash

# What it takes to build and run cra. Names of Debian 12.
# shellcheck disable=SC2034  # read by the scripts that source this file
build_packages=(cmake ninja-build g++ libeigen3-dev libyaml-cpp-dev libhdf5-dev
  libboost-program-options-dev librandom123-dev nlohmann-json3-dev)

# need_packages NAME...: installs those of the packages that are missing, in one go.
# Where that is impossible it names them and returns: CMake has the last word, because the
# libraries may be there without a package.
need_packages() {
  local missing=() name as_root=() log=build/apt.log
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: no apt here; needed, by their Debian names: $*" >&2
    echo "setup: going on with what is installed" >&2
    return 0
  fi
  for name in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
      missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "setup: not root and no sudo; please have these packages installed: ${missing[*]}" >&2
      echo "setup: going on with what is installed" >&2
      return 0
    fi
    as_root=(sudo)
  fi
  echo "setup: installing ${#missing[@]} packages with ${as_root[*]:+sudo }apt-get (log: $log):" \
    "${missing[*]}"
  mkdir -p build
  if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y \
      --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed; the whole log is $log" >&2
    return 1
  fi
}
