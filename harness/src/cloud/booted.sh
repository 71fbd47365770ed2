#!/bin/sh
# The boot is over: whoever made this machine has LEASE_SECONDS seconds left to come for it, unless somebody has come.
[ -e /run/gpu-harness/lease ] || exit 0
read -r said </run/gpu-harness/lease
read -r boot </run/gpu-harness/boot
read -r up rest </proc/uptime
until=$((${up%%.*} + LEASE_SECONDS))
if [ "$said" = "$boot" ] && [ "$until" -lt "$boot" ]; then
  printf '%010d\n' "$until" 1<>/run/gpu-harness/lease
fi
