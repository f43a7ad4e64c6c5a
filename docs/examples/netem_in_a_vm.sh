#!/bin/sh
# What `livemig run --netns` does with netem, where the kernel at hand has none: tests, or a command of your own, in a
# virtual machine with a Debian kernel. It is emulated, without KVM, and has neither disk nor network.
#
#   docs/examples/netem_in_a_vm.sh
#   docs/examples/netem_in_a_vm.sh 'python3 -m livemig run configs/darwin-g3beige.toml --clock wall --netns'
#
# Its clock counts instructions, one a nanosecond, and leaps to the next timer where there is nothing to do. So a busy
# host makes nothing late, and what is measured in it is what its kernel does.
#
# Needs root, a Debian host on amd64, its packages qemu-system-x86, debootstrap, cpio and kmod, and a Python with pip.
# The first time takes some minutes and 1 GB in build/netem (DIR=… for another place).
set -eu
command=${1:-python3 -m pytest -p no:cacheprovider -rs tests/launch/test_netem.py tests/launch/test_netns.py}
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "$0: only root may make a root file system" >&2; exit 2; }
for tool in qemu-system-x86_64 debootstrap cpio depmod; do
    PATH=$PATH:/usr/sbin command -v $tool >/dev/null || { echo "$tool is missing; see the top of $0" >&2; exit 2; }
done
dir=${DIR:-build/netem}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

root_file_system() {
    rm -rf "$dir/root"
    nice -n 19 debootstrap --variant=minbase --include=python3,iproute2,kmod bookworm "$dir/root"
    rm -rf "$dir"/root/usr/share/doc "$dir"/root/usr/share/locale "$dir"/root/usr/share/man
    rm -rf "$dir"/root/var/cache/apt "$dir"/root/var/lib/apt/lists
}

kernel() {
    rm -rf "$dir/kernel" "$dir"/linux-image-*.deb
    image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$dir" && apt-get download "$image")
    dpkg-deb -x "$dir"/linux-image-*.deb "$dir/kernel"
    version=$(ls "$dir/kernel/lib/modules")
    modules=lib/modules/$version
    depmod -b "$dir/kernel" "$version"
    mkdir -p "$dir/root/$modules"
    (
        cd "$dir/kernel/$modules"
        cp modules.* "$dir/root/$modules"
        cp --parents kernel/net/sched/sch_netem.ko kernel/net/sched/sch_tbf.ko kernel/drivers/net/veth.ko \
            "$dir/root/$modules"
    )
}

packages() {
    version=$(chroot "$dir/root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    needs=$(python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"])')
    rm -rf "$dir/root/site"
    # shellcheck disable=SC2086
    nice -n 19 python3 -m pip install --quiet --no-warn-conflicts --root-user-action ignore \
        --target "$dir/root/site" --python-version "$version" --only-binary :all: $needs pytest hypothesis cryptography
}

first_process() {
    cat >"$dir/root/init" <<'END'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin PYTHONPATH=/livemig:/site PYTHONDONTWRITEBYTECODE=1 HOME=/root LC_ALL=C.UTF-8
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
modprobe -a veth sch_netem sch_tbf
ip link set lo up
cd /livemig
echo "Linux $(uname -r), $(ip -V)"
bash /command 2>&1
echo "exit code $?"
echo o >/proc/sysrq-trigger
sleep 60
END
    chmod +x "$dir/root/init"
}

archive() { (cd "$1" && find . | cpio -o -H newc --quiet); }

if [ ! -e "$dir/root.cpio" ]; then
    root_file_system
    kernel
    packages
    first_process
    archive "$dir/root" >"$dir/root.part"
    mv "$dir/root.part" "$dir/root.cpio"
fi

rm -rf "$dir/own"
mkdir -p "$dir/own/livemig"
cp -r livemig tests configs docs pyproject.toml "$dir/own/livemig"
echo "$command" >"$dir/own/command"
{ cat "$dir/root.cpio"; archive "$dir/own"; } >"$dir/all.cpio"

# QEMU 7.2 computes some of what numpy does with AVX2 wrongly: a CPU without it.
timeout --foreground "${SECONDS_AT_MOST:-3600}" nice -n 19 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
    -accel tcg -icount shift=0,sleep=off -cpu Nehalem -smp 1 -m 2048 \
    -kernel "$(echo "$dir"/kernel/boot/vmlinuz-*)" -initrd "$dir/all.cpio" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off" -serial stdio </dev/null | tee "$dir/console"
status=$(sed -n 's/^exit code \([0-9]*\).*/\1/p' "$dir/console")
exit "${status:-1}"
