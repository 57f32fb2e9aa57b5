// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the device, taken from the one buffer that struct vfio has, and what the
 * device calls it.  Who opened the device is the only caller.
 */
#include <string.h>

#include "dma.h"

void *nvme_alloc(struct nvme *n, size_t len)
{
	void *p = n->v.mem + n->brk;

	len = (len + n->page - 1) & ~(size_t)(n->page - 1);
	/* Whoever asks for more than a page wants it contiguous. */
	if (n->v.phys && (n->brk & (PIECE_LEN - 1)) + len > PIECE_LEN) {
		n->brk = (n->brk + PIECE_LEN - 1) & ~(PIECE_LEN - 1);
		p = n->v.mem + n->brk;
	}
	if (n->brk > n->v.mem_len || len > n->v.mem_len - n->brk) {
		diag("out of device memory");
		return NULL;
	}
	n->brk += len;
	memset(p, 0, len);
	return p;
}

void nvme_free_all(struct nvme *n)
{
	n->brk = n->base;
}

u64 nvme_dma(struct nvme *n, const void *p)
{
	size_t off = p - n->v.mem;

	if (n->v.phys)
		return n->v.phys[off >> PIECE_SHIFT] + (off & (PIECE_LEN - 1));
	return n->dma_base + off;
}

void *nvme_ptr(struct nvme *n, u64 addr)
{
	size_t i;

	if (!n->v.phys)
		return addr - n->dma_base < n->v.mem_len ? n->v.mem + (addr - n->dma_base) : NULL;
	for (i = 0; i < n->v.mem_len >> PIECE_SHIFT; i++)
		if (addr - n->v.phys[i] < PIECE_LEN)
			return n->v.mem + (i << PIECE_SHIFT) + (addr - n->v.phys[i]);
	return NULL;
}
