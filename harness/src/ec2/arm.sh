#!/bin/sh
# Ends this machine MINUTES minutes from now, whatever else becomes of it.
# (After a reboot the time is counted anew; the fleet's own end is not moved by that.)
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
minutes=MINUTES
ttl=$((minutes * 60))

# The boot waits for us. A timer with its usual dependencies waits for the boot, and an old systemd-run for its timer.
by_systemd() {
  command -v systemd-run >/dev/null 2>&1 || return 1
  limit=
  ! command -v timeout >/dev/null 2>&1 || limit='timeout 20'
  $limit systemd-run --quiet --no-block --unit=gpu-harness-ttl --on-active="${ttl}s" \
    --timer-property=DefaultDependencies=no --timer-property=AccuracySec=1s \
    systemctl --no-block poweroff </dev/null >/dev/null 2>&1
}

# Where systemd runs and its login manager cannot be asked yet, an old `shutdown +N` powers off at once.
# Where systemd does not run, it may stay in the foreground until its time has come.
by_shutdown() {
  command -v shutdown >/dev/null 2>&1 || return 1
  [ ! -d /run/systemd/system ] || [ -S /run/dbus/system_bus_socket ] || return 1
  shutdown -P "+$minutes" </dev/null >/dev/null 2>&1 &
  asked=$!
  sleep 1
  kill -0 "$asked" 2>/dev/null || wait "$asked"
}

by_sleep() {
  detach=
  for program in nohup setsid; do
    ! command -v "$program" >/dev/null 2>&1 || detach=$program
  done
  $detach sh -c "sleep $ttl; shutdown -P now || poweroff || poweroff -f || echo o >/proc/sysrq-trigger" \
    </dev/null >/dev/null 2>&1 &
}

if by_systemd; then
  way=systemd-run
elif by_shutdown; then
  way=shutdown
else
  by_sleep
  way="sleep"
fi
echo "$way $minutes" >/run/gpu-harness-armed
