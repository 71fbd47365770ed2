#!/bin/sh
# Ends this machine MINUTES minutes from now, whatever else becomes of it.
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
minutes=MINUTES
ttl=$((minutes * 60))

# The timer must not wait for the boot, nor we for the timer: the boot waits for us.
by_systemd() {
  systemd-run --quiet --no-block --unit=gpu-harness-ttl --on-active="${ttl}s" \
    --timer-property=AccuracySec=1s --timer-property=DefaultDependencies=no \
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
  for way in setsid nohup; do
    if command -v "$way" >/dev/null 2>&1; then detach=$way && break; fi
  done
  $detach sh -c "sleep $ttl; shutdown -P now || poweroff || poweroff -f || echo o >/proc/sysrq-trigger" \
    </dev/null >/dev/null 2>&1 &
}

way=none
if by_systemd; then way=systemd-run
elif by_shutdown; then way=shutdown
elif by_sleep; then way=sleep
fi
echo "$way $minutes" >/run/gpu-harness-armed
exit 0
