#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian 13's kernel image 6.12.118-1 (bzImage, zstd): the payload that the boot header names
# is not a zstd file; `zstd -d FILE` fails and leaves no output.
#
# Guess it contradicts: payload_offset and payload_length of the setup header frame exactly
# the compressed kernel, so that the bytes cut out there can be given to zstd.
# Seen: payload_length counts four more bytes, the length of the uncompressed kernel. zstd
# writes the whole kernel and only then says "unsupported format" and exits 1, so with -o
# or a file name it removes what it has written, with -c the output is complete. Without
# the last four bytes it exits 0.
# Who meets it: tools that take a vmlinux out of a vmlinuz, for a debugger or for a PVH
# boot of a small guest, and check the exit status or use the file.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/k" "linux-image-6.12.118+deb13-amd64=6.12.118-1" zstd=1.5.7+dfsg-1+deb13u1
cd "$T" || exit 2
z() {
	"$T/k/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$T/k/usr/lib/x86_64-linux-gnu" "$T/k/usr/bin/zstd" -q "$@" 2>> err
}
image=k/boot/vmlinuz-6.12.118+deb13-amd64
word() { od -A n -t u4 -j "$1" -N 4 "$2" | tr -d ' '; }
sects=$(od -A n -t u1 -j 497 -N 1 "$image" | tr -d ' ')
offset=$(((sects + 1) * 512 + $(word 584 "$image")))
length=$(word 588 "$image")
tail -c "+$((offset + 1))" "$image" | head -c "$length" > payload.zst
z -d payload.zst -o kernel
whole=$?
z -dc payload.zst > piped
piped=$?
head -c -4 payload.zst | z -dc > front
front=$?
size=$(word $((length - 4)) payload.zst)
echo "header: offset $offset, length $length; last word $size; $(tail -n 1 err)"
expect "the file: exit 1, nothing left" "$whole $([ -e kernel ] && echo kernel)" "1 "
expect "the message" "$(cat err)" "*unsupported format*"
expect "piped: exit 1, but complete" "$piped $(stat -c %s piped)" "1 $size"
expect "without four bytes: exit 0, the same kernel" \
	"$front $(cmp piped front && head -c 4 front | tail -c 3)" "0 ELF"
exit "$FAILED"
