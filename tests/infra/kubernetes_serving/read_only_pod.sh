# Runs a script on a copy of this machine whose root file system is read-only, as a pod has it: PROGRAM ROOM SCRIPT FOLDER…
# Each FOLDER is a file system of its own in memory; the rest of the root cannot be written to. Wants root, and `unshare`.
set -eu
room=$1 script=$2
shift 2
mount -t tmpfs none "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$room/upper,workdir=$room/work" "$room/root"
for folder in "$@"; do mkdir -p "$room/root$folder"; done
mount --rbind /proc "$room/root/proc"
mount --rbind /dev "$room/root/dev"
for folder in "$@"; do mount -t tmpfs none "$room/root$folder"; done
mount -t tmpfs none "$room/root/dev/shm"
cp "$script" "$room/root/tmp/pod.sh"
mount -o remount,ro "$room/root"
exec setpriv --no-new-privs --inh-caps=-all chroot "$room/root" bash /tmp/pod.sh
