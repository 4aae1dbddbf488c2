#!/bin/sh
# Runs a compiler and keeps what ptxas says about kernels (registers, stack, spills) beside the object, in FILE.o.ptxas, for
# scripts/check_kernels.py. All else that the compiler says goes where it went.
#   keep_report.sh COMPILER ARGUMENT...
object='' before=''
for argument in "$@"; do
  [ "$before" != -o ] || object=$argument
  before=$argument
done
[ -n "$object" ] || exec "$@"
"$@" 2> "$object.said"
status=$?
kernels='^ptxas info|^ +[0-9]+ bytes stack frame'
grep -E "$kernels" "$object.said" > "$object.ptxas"
grep -vE "$kernels" "$object.said" >&2
rm -f "$object.said"
exit $status
