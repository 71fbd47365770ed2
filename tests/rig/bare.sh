# A root of its own for a node that has nothing: this machine's programs and libraries, and none of its caches, homes,
# Python packages or settings. Run in a mount namespace: $1 is an empty folder, $2 one that the node sees too, and the rest
# is started in the new root.
set -eu
root=$1 shared=$2
shift 2
mount -t tmpfs -o mode=0755 bare "$root"
cd "$root"
mkdir usr etc proc dev tmp run var root home
chmod 1777 tmp
mount --bind /usr usr
mount -o remount,bind,ro usr
for link in bin sbin lib lib32 lib64; do
    [ ! -L "/$link" ] || cp -P "/$link" .
done
for hidden in usr/local usr/lib/python3*; do
    mount -t tmpfs -o mode=0755 hidden "$hidden"
done
for hidden in usr/bin/python3*; do
    [ -L "$hidden" ] || mount --bind /dev/null "$hidden"
done
mount --rbind /proc proc
mount --rbind /dev dev
# No password is right, and no account is locked, for which sshd takes one that has no shadow.
sed 's/:.*/:*:20000:0:99999:7:::/' /etc/passwd > etc/shadow
for file in passwd group nsswitch.conf ld.so.cache hosts; do
    cp "/etc/$file" etc
done
mkdir -p ".$shared" run/sshd
mount --bind "$shared" ".$shared"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . "$@"
