// SPDX-License-Identifier: GPL-2.0
/*
 * PRP1 and PRP2 of a command into a list of pieces (NVM Express Base 2.0 section
 * 4.1.1).
 *
 * Owns no state.  The guest can change its PRP lists at any time, so each entry is
 * read exactly once and only the value read is checked and used.  Called by admin.c.
 *
 * Context: the caller holds the instance lock around every call.
 */
#include "model/model.h"

#define LIOV_PRP_SIZE		8
/* Entries read at a time: as many as are no burden on the stack. */
#define LIOV_PRP_BATCH		16

/**
 * struct liov_prp_list - where in a chain of PRP lists we are
 * @rd:        reads guest memory
 * @ctx:       for @rd
 * @page_size: bytes
 * @next:      address of the next entry not read yet
 * @buf:       entries read
 * @pos:       next of @buf to be used
 * @n:         entries in @buf
 */
struct liov_prp_list {
	liov_prp_read_fn rd;
	void *ctx;
	u32 page_size;
	u64 next;
	__le64 buf[LIOV_PRP_BATCH];
	unsigned int pos, n;
};

/* Fetches entries, none behind the page's end and not more than @want. */
static u16 liov_prp_fill(struct liov_prp_list *l, u32 want)
{
	u32 in_page = (l->page_size - (l->next & (l->page_size - 1))) / LIOV_PRP_SIZE;
	u64 end;

	l->n = min3(want, in_page, (u32)LIOV_PRP_BATCH);
	l->pos = 0;
	if (check_add_overflow(l->next, (u64)l->n * LIOV_PRP_SIZE, &end) ||
	    l->rd(l->ctx, l->next, l->buf, l->n * LIOV_PRP_SIZE))
		return NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
	l->next = end;
	return NVME_SC_SUCCESS;
}

/*
 * The next data entry of @left that are still needed.  The last entry of a page is
 * the address of the next list if more than one is needed, and data otherwise.
 */
static u16 liov_prp_next(struct liov_prp_list *l, u32 left, u64 *entry)
{
	u32 mask = l->page_size - 1;
	bool last_in_page;
	u16 status;

	for (;;) {
		if (l->pos == l->n) {
			status = liov_prp_fill(l, left);
			if (status)
				return status;
		}
		*entry = le64_to_cpu(l->buf[l->pos++]);
		/* entries and all list addresses but the first have no offset */
		if (*entry & mask)
			return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		last_in_page = l->pos == l->n && !(l->next & mask);
		if (!last_in_page || left == 1)
			return NVME_SC_SUCCESS;
		l->next = *entry;
	}
}

/* A piece that ends at 2^64 would end at 0 for whoever adds: refused. */
static u16 liov_prp_add(struct liov_prp_seg *seg, unsigned int *n, unsigned int max,
			u64 addr, u32 len)
{
	u64 end;

	if (*n == max)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (check_add_overflow(addr, (u64)len, &end))
		return NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
	seg[*n].addr = addr;
	seg[*n].len = len;
	(*n)++;
	return NVME_SC_SUCCESS;
}

/**
 * liov_prp_walk() - turn PRP1 and PRP2 into pieces of memory
 * @prp1:      PRP Entry 1: the first byte, dword aligned
 * @prp2:      PRP Entry 2: not looked at if the data end in the first page; the second
 *             page if they end there; the address of a PRP list, qword aligned, if not
 * @len:       bytes of data; 0 gives no piece
 * @page_size: bytes of a memory page (CC.MPS), a power of two, at least 4096
 * @rd:        reads guest memory; called for PRP lists only, never across a page and
 *             never twice for one entry
 * @ctx:       for @rd
 * @seg:       out: the pieces, none across a page; not merged
 * @max:       room in @seg
 * @status:    out: 0, or with DNR: Invalid PRP Offset; Invalid Field (more than @max
 *             pieces); Data Transfer Error (a list cannot be read, or memory up to 2^64)
 *
 * Return: number of pieces; 0 if @status is not 0, or @len is.
 *
 * Context: caller holds the instance lock; may sleep if @rd does.
 */
unsigned int liov_prp_walk(u64 prp1, u64 prp2, u32 len, u32 page_size,
			   liov_prp_read_fn rd, void *ctx,
			   struct liov_prp_seg *seg, unsigned int max, u16 *status)
{
	struct liov_prp_list list = { .rd = rd, .ctx = ctx, .page_size = page_size };
	u32 offset = prp1 & (page_size - 1);
	unsigned int n = 0;
	u32 piece, left;
	u64 entry;

	*status = NVME_SC_SUCCESS;
	if (!len)
		return 0;

	if (prp1 & 3) {
		*status = NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		return 0;
	}
	piece = min(len, page_size - offset);
	*status = liov_prp_add(seg, &n, max, prp1, piece);
	if (*status)
		return 0;
	len -= piece;
	if (!len)
		return n;

	if (len <= page_size) {
		if (prp2 & (page_size - 1))
			*status = NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		else
			*status = liov_prp_add(seg, &n, max, prp2, len);
		return *status ? 0 : n;
	}

	if (prp2 & (LIOV_PRP_SIZE - 1)) {
		*status = NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		return 0;
	}
	list.next = prp2;
	for (left = (len - 1) / page_size + 1; left; left--) {
		*status = liov_prp_next(&list, left, &entry);
		if (*status)
			return 0;
		piece = min(len, page_size);
		*status = liov_prp_add(seg, &n, max, entry, piece);
		if (*status)
			return 0;
		len -= piece;
	}
	return n;
}
