#!/bin/sh
# log_ptxas.sh COMPILER ARGUMENT...: compiles; what ptxas says of every kernel's registers goes to
# OBJECT.ptxas, where tests/test_ptxas.py reads it, and not to the screen.
object=
previous=
for word; do
  [ "$previous" = -o ] && object=$word
  previous=$word
done
log=${object:-/dev/null}.ptxas
[ -n "$object" ] || log=/dev/null
messages=$("$@" 2>&1)
code=$?
printf '%s\n' "$messages" | grep -E '^ptxas info|bytes stack frame' >"$log"
printf '%s' "$messages" | grep -vE '^ptxas info|bytes stack frame' >&2
exit $code
