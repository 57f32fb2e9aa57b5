// SPDX-License-Identifier: GPL-2.0
/* See prps.h.  Pages of 4 KiB only; no state. */
#include <string.h>

#include "dma.h"
#include "prps.h"

#define ENTRIES		(SZ_4K / 8)

unsigned int prps_pages(const struct prps *p)
{
	return (p->off + p->len + SZ_4K - 1) / SZ_4K;
}

int prps_set(struct nvme *n, struct nvme_sqe *sqe, const struct prps *p)
{
	unsigned int pages = prps_pages(p), i = 1, slot = p->list_off / 8;
	int lists = 1;
	u64 *list;

	sqe->prp1 = nvme_dma(n, p->page[0]) + p->off;
	sqe->prp2 = 0;
	if (pages == 1)
		return 0;
	if (pages == 2) {
		sqe->prp2 = nvme_dma(n, p->page[1]);
		return 0;
	}
	list = p->list[0];
	sqe->prp2 = nvme_dma(n, list) + p->list_off;
	while (i < pages) {
		if (slot == ENTRIES - 1 && i + 1 < pages) {
			if (lists == PRPS_MAX_LISTS || !p->list[lists])
				return -1;
			list[slot] = nvme_dma(n, p->list[lists]);
			list = p->list[lists++];
			slot = 0;
			continue;
		}
		list[slot++] = nvme_dma(n, p->page[i++]);
	}
	return lists;
}

static void copy(const struct prps *p, u8 *flat, bool in)
{
	u32 pos = 0, off = p->off, i;

	for (i = 0; pos < p->len; i++) {
		u32 len = SZ_4K - off;

		if (len > p->len - pos)
			len = p->len - pos;
		if (in)
			memcpy(p->page[i] + off, flat + pos, len);
		else
			memcpy(flat + pos, p->page[i] + off, len);
		pos += len;
		off = 0;
	}
}

void prps_copy_in(const struct prps *p, const void *from)
{
	copy(p, (u8 *)from, true);
}

void prps_copy_out(const struct prps *p, void *to)
{
	copy(p, to, false);
}
