#!/bin/sh
# build.sh OUTPUT: assembles the guest into a firmware image of 64 KiB.
set -eu
source=$(dirname "$0")/counter.S
object=$(mktemp)
trap 'rm -f "$object"' EXIT
as --32 -o "$object" "$source"
objcopy -O binary -j .text "$object" "$1"
