// SPDX-License-Identifier: GPL-2.0
/*
 * canary fill|verify|foreign FILE START COUNT ID [FIRST]: stamps over a range of a
 * block device, so that the host sees whether anybody wrote where he must not, and
 * where a guest's blocks really went.  All are sectors of 512 bytes; FIRST is the
 * place in the area of what is at START, 0 if not given.
 *
 * With "verify", each byte must be what "fill" (or liov_cycle's) wrote.  "foreign"
 * succeeds if no stamp of an area other than ID is there.  Exit code: 0 or 1.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/stamp.h"

#define SECTOR		512
#define CHUNK		(256 * 1024UL)

static int bad_usage(void)
{
	fprintf(stderr, "usage: canary fill|verify|foreign FILE START COUNT ID [FIRST]\n");
	return KSFT_FAIL;
}

/* @at: bytes from the start of the device, @pos: of the area. */
static int chunk(int fd, const char *verb, u64 at, u64 pos, size_t len, u16 id, void *buf)
{
	long bad;

	if (!strcmp(verb, "fill")) {
		stamp_fill(buf, len, id, pos);
		if (pwrite(fd, buf, len, at) == (ssize_t)len)
			return 0;
		diag("write at sector %llu: %s", at / SECTOR, strerror(errno));
		return -EIO;
	}
	if (pread(fd, buf, len, at) != (ssize_t)len) {
		diag("read at sector %llu: %s", at / SECTOR, strerror(errno));
		return -EIO;
	}
	if (!strcmp(verb, "foreign")) {
		if (!stamp_found(buf, len, id))
			return 0;
		diag("a stamp of another area between sectors %llu and %llu", at / SECTOR,
		     (at + len) / SECTOR);
		return -EILSEQ;
	}
	bad = stamp_check(buf, len, id, pos);
	if (bad < 0)
		return 0;
	diag("area %u: byte %llu (sector %llu of the device) reads %016llx %016llx", id,
	     pos + bad, (at + bad) / SECTOR, *(u64 *)(buf + bad),
	     *(u64 *)(buf + bad + 8));
	return -EILSEQ;
}

int main(int argc, char **argv)
{
	u64 start, len, first, off;
	const char *verb;
	int fd, rc = 0;
	void *buf;
	u16 id;

	if (argc != 6 && argc != 7)
		return bad_usage();
	verb = argv[1];
	if (strcmp(verb, "fill") && strcmp(verb, "verify") && strcmp(verb, "foreign"))
		return bad_usage();
	start = strtoull(argv[3], NULL, 0) * SECTOR;
	len = strtoull(argv[4], NULL, 0) * SECTOR;
	id = strtoul(argv[5], NULL, 0);
	first = argc > 6 ? strtoull(argv[6], NULL, 0) * SECTOR : 0;
	/* O_DIRECT: what the drive has, not what the page cache remembers. */
	fd = open(argv[2], (strcmp(verb, "fill") ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		diag("%s: %s", argv[2], strerror(errno));
		return KSFT_FAIL;
	}
	buf = aligned_alloc(SZ_4K, CHUNK);
	if (!buf)
		return KSFT_FAIL;
	for (off = 0; off < len && !rc; off += CHUNK)
		rc = chunk(fd, verb, start + off, first + off,
			   len - off < CHUNK ? len - off : CHUNK, id, buf);
	close(fd);
	return rc ? KSFT_FAIL : KSFT_PASS;
}
