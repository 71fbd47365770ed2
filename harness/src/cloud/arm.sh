#!/bin/sh
# Ends this machine MINUTES minutes from now, whatever else becomes of it, and sooner where nobody asks for it to live on.
# (After a reboot both times are counted anew; the fleet's own end is not moved by that.)
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
minutes=MINUTES
boot=BOOT_SECONDS
ttl=$((minutes * 60))
limit=
! command -v timeout >/dev/null 2>&1 || limit='timeout 20'
detach=
for program in nohup setsid; do
  ! command -v "$program" >/dev/null 2>&1 || detach=$program
done

# The boot waits for us. A timer with its usual dependencies waits for the boot, and an old systemd-run for its timer.
by_systemd() {
  command -v systemd-run >/dev/null 2>&1 || return 1
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

# The lease: seconds of uptime at which the machine ends, in ten digits, so that a new number takes the old one's place at
# once. Uptime goes on where the clock is set. Whoever logs in may put the end off; the time to live stands in any case.
folder=/run/gpu-harness
mkdir -p "$folder"
read -r up rest </proc/uptime
until=$((${up%%.*} + boot))
# shellcheck disable=SC2016 # It is for the other shell.
printf '%s\n' 'until=$1
end() {
  for way in "shutdown -P now" poweroff "poweroff -f"; do
    $way </dev/null >/dev/null 2>&1 &
    sleep 20
  done
}
while [ -d /run/gpu-harness ]; do
  said=
  read -r said </run/gpu-harness/lease || :
  case $said in
    "" | *[!0-9]* | ???????????*) ;;
    *) until=$said ;;
  esac
  read -r up rest </proc/uptime
  if [ "${up%%.*}" -ge "$until" ]; then end; fi
  sleep 1
done' >"$folder/watch"
(umask 0 && printf '%010d\n' "$until" >"$folder/lease")
printf '%010d\n' "$until" >"$folder/boot"

lease_by_systemd() {
  command -v systemd-run >/dev/null 2>&1 || return 1
  $limit systemd-run --quiet --no-block --unit=gpu-harness-lease --property=DefaultDependencies=no \
    --property=Restart=always --property=OOMScoreAdjust=-1000 \
    /bin/sh "$folder/watch" "$until" </dev/null >/dev/null 2>&1
}

if lease_by_systemd; then
  watch=systemd-run
else
  $detach sh "$folder/watch" "$until" </dev/null >/dev/null 2>&1 &
  watch='sh'
fi
echo "$way $minutes $watch" >/run/gpu-harness-armed
