// SPDX-License-Identifier: GPL-2.0
/* See stamp.h.  No state. */
#include <string.h>

#include "stamp.h"

struct stamp {
	u64 magic;
	u64 place;
};

static struct stamp stamp_at(u16 id, u64 pos)
{
	return (struct stamp){ STAMP_MAGIC, (u64)id << 48 | pos / STAMP_UNIT };
}

void stamp_fill(void *buf, size_t len, u16 id, u64 pos)
{
	size_t off;

	for (off = 0; off + STAMP_UNIT <= len; off += STAMP_UNIT) {
		struct stamp s = stamp_at(id, pos + off);

		memcpy(buf + off, &s, sizeof(s));
	}
}

long stamp_check(const void *buf, size_t len, u16 id, u64 pos)
{
	size_t off;

	for (off = 0; off + STAMP_UNIT <= len; off += STAMP_UNIT) {
		struct stamp s = stamp_at(id, pos + off);

		if (memcmp(buf + off, &s, sizeof(s)))
			return off;
	}
	return -1;
}

/* Two units in a row: one may be the rest of a block that was overwritten in part. */
bool stamp_found(const void *buf, size_t len, u16 own)
{
	struct stamp s[2];
	size_t off;

	for (off = 0; off + sizeof(s) <= len; off += 4) {
		if (*(u32 *)(buf + off) != (u32)STAMP_MAGIC)
			continue;
		memcpy(s, buf + off, sizeof(s));
		if (s[0].magic == STAMP_MAGIC && s[1].magic == STAMP_MAGIC &&
		    s[1].place == s[0].place + 1 && s[0].place >> 48 != own)
			return true;
	}
	return false;
}
