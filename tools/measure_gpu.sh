#!/usr/bin/env bash
# tools/measure_gpu.sh CRA [PYTHON]: all that a machine with an NVIDIA GPU can say of this program,
# in the order of what matters: is it right, is it clean, how fast is it. PYTHON is an interpreter
# with PyTorch; without it the comparison is left out. Output and figures go to
# results/bench/DEVICE/ beside what is there; a step that fails is told and does not stop the others.
set -uo pipefail

if (($# < 1 || $# > 2)); then
  echo "usage: tools/measure_gpu.sh CRA [PYTHON]" >&2
  exit 2
fi
cra=$(realpath "$1") python=${2-}
cd "$(dirname "$0")/.." || exit 1

device=$("$cra" doctor --json | sed -n 's/.*"gpus":"\([^",]*\).*/\1/p')
if [[ -z $device || $device == none ]]; then
  echo "measure_gpu: cra doctor sees no GPU here" >&2
  exit 2
fi
slug=$(tr '[:upper:]' '[:lower:]' <<<"$device" | sed -E 's/.*(h100|h200).*/\1/; s/[^a-z0-9]+/-/g')
folder=results/bench/$slug
mkdir -p "$folder"
failed=0

# step NAME COMMAND...: its output on the screen and in FOLDER/NAME.txt.
step() {
  local name=$1
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  if "$@" 2>&1 | tee "$folder/$name.txt"; then
    echo "-- $name: ok"
  else
    echo "-- $name: FAILED"
    failed=1
  fi
}

"$cra" doctor | tee "$folder/doctor.txt"
step check "$cra" gpu-check
if command -v compute-sanitizer >/dev/null; then
  # One small run of every kernel: the sanitizer slows them down a hundred times.
  for tool in memcheck racecheck initcheck synccheck; do
    step "$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 "$cra" gpu-check --brief
  done
else
  echo "measure_gpu: no compute-sanitizer on PATH: not run" | tee "$folder/sanitizer.txt"
fi
step verdict /usr/bin/env python3 tests/test_gpu.py "$cra" tests/cli/tiny.yaml
step kernels "$cra" bench cuda
step training "$cra" bench train --device cuda
step training_bf16 "$cra" bench train --device cuda --precision bf16
if [[ -n $python ]]; then
  # Minutes on tiny shapes, before PyTorch compiles for an hour.
  step pytorch_smoke "$python" tools/bench_cuda.py --smoke
  step pytorch "$python" tools/bench_cuda.py "$cra" --force
else
  echo "measure_gpu: no interpreter with PyTorch given: the comparison is left out"
fi
printf '\nall in %s; ' "$folder"
((failed)) && echo "some steps FAILED" || echo "all steps ok"
exit $failed
