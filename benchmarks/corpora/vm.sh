#!/bin/bash
# Three disk images: an ext4 file system filled by debootstrap (base.img), the same one after
# packages were installed and removed in it (updated.img), and the files of the second copied into
# a fresh file system (rebuilt.img).
#
# usage: vm.sh FOLDER MIB MIRROR      needs root; run it by `unshare --mount --pid --fork`, so that
# mounts and daemons end with it. UUIDs and hash seeds are fixed; what the packages hold is what
# the mirror has that day.
set -euo pipefail
folder=$1 mib=$2 mirror=$3
suite=bookworm
uuid=5ca1ab1e-0000-4000-8000-000000000001
export DEBIAN_FRONTEND=noninteractive LC_ALL=C SOURCE_DATE_EPOCH=1735689600
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH

filled=(openssh-server vim-nox less rsync curl git perl python3)
installed=(nginx-light tmux)
removed=(vim-nox vim-runtime)
if [ "$mib" -ge 2048 ]; then
  filled+=(systemd-sysv linux-image-cloud-amd64 build-essential cmake gdb python3-dev python3-numpy
    ghostscript emacs-nox)
  installed+=(mariadb-server php-cli ruby)
  removed+=(gdb cmake cmake-data emacs-nox emacs-common emacs-el emacs-bin-common ghostscript)
fi

mounted=$folder/mounted
mkdir -p "$mounted"
mount --make-rprivate /

enter() {
  mount -o loop "$1" "$mounted"
  mkdir -p "$mounted/proc" "$mounted/dev"
}

open_root() {
  mount -t proc proc "$mounted/proc"
  cp /etc/resolv.conf "$mounted/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' > "$mounted/usr/sbin/policy-rc.d"
  chmod 755 "$mounted/usr/sbin/policy-rc.d"
}

apt() { chroot "$mounted" apt-get -q -y -o Dpkg::Options::=--force-unsafe-io "$@"; }

leave() {
  apt clean
  rm -rf "$mounted"/var/lib/apt/lists/* "$mounted/usr/sbin/policy-rc.d"
  umount "$mounted/proc"
  sync -f "$mounted"
  fstrim "$mounted"
  umount "$mounted"
}

fresh=(-q -F -U "$uuid" -E "hash_seed=$uuid,lazy_itable_init=0,nodiscard" -L root)

if [ ! -e "$folder/base.img" ]; then
  truncate -s "${mib}M" "$folder/base.part"
  mkfs.ext4 "${fresh[@]}" "$folder/base.part"
  enter "$folder/base.part"
  debootstrap --variant=minbase "$suite" "$mounted" "$mirror"
  open_root
  apt install --no-install-recommends "${filled[@]}"
  leave
  mv "$folder/base.part" "$folder/base.img"
fi

if [ ! -e "$folder/updated.img" ]; then
  cp --sparse=always "$folder/base.img" "$folder/updated.part"
  enter "$folder/updated.part"
  open_root
  apt update
  apt purge "${removed[@]}"
  apt autoremove --purge
  apt install --no-install-recommends "${installed[@]}"
  leave
  mv "$folder/updated.part" "$folder/updated.img"
fi

if [ ! -e "$folder/rebuilt.img" ]; then
  truncate -s "${mib}M" "$folder/rebuilt.part"
  mount -o loop,ro,noload "$folder/updated.img" "$mounted"
  mkfs.ext4 "${fresh[@]}" -d "$mounted" "$folder/rebuilt.part"
  umount "$mounted"
  mv "$folder/rebuilt.part" "$folder/rebuilt.img"
fi
rmdir "$mounted"
