// SPDX-License-Identifier: GPL-2.0
/*
 * What must become of an I/O command, from the specifications alone (NVM Command
 * Set 1.0 section 3.2, NVMe Base 2.0 sections 3.3.3.1 and 4.1.1).  The order of
 * the checks is left open: all that is wrong with a command is collected, and any
 * of it is a good reason to refuse it.
 *
 * Only memory that does not change while the command is outstanding is looked at.
 */
#include <string.h>

#include "hostile_memory.h"
#include "hostile_model.h"

/* Opcode, FUSE and PSDT. */
#define FLAGS_BAD	0xc3
/* CDW12: Directive Type of commands that write. */
#define DTYPE		0x00f00000

static bool ours(struct hostile *h, u64 addr)
{
	return nvme_ptr(&h->n, addr);
}

/* The pages of the command's own slot change only before it is sent. */
static void *stable(struct hostile *h, u64 addr)
{
	u8 *p = nvme_ptr(&h->n, addr);
	unsigned int nr = (p - h->mem) / SZ_4K;

	return p && p >= h->mem && nr < H_RANGES + SLOTS && nr % SLOTS == h->slot ? p : NULL;
}

bool model_offers(struct hostile *h, u8 opcode)
{
	switch (opcode) {
	case IO_FLUSH:
	case IO_WRITE:
	case IO_READ:
		return true;
	case IO_WRITE_UNC:
		return h->n.oncs & ONCS_WRITE_UNC;
	case IO_COMPARE:
		return h->n.oncs & ONCS_COMPARE;
	case IO_WRITE_ZEROES:
		return h->n.oncs & ONCS_WRITE_ZEROES;
	case IO_DSM:
		return h->n.oncs & ONCS_DSM;
	case IO_VERIFY:
		return h->n.oncs & ONCS_VERIFY;
	case IO_COPY:
		return h->n.oncs & ONCS_COPY;
	default:
		return false;
	}
}

/* A place for data to come to, or none at all. */
static bool harmless(struct hostile *h, u64 addr)
{
	return !ours(h, addr) || is_data_page(h, addr);
}

/* In a guest there is memory at 0 too, which its kernel leaves to the firmware. */
static u32 memory_verdict(struct hostile *h, u64 addr)
{
	if (ours(h, addr))
		return 0;
	return h->n.v.phys && addr < SZ_1M ? V_UNSURE : V_MEMORY;
}

static u32 page_verdict(struct hostile *h, u64 addr)
{
	return (addr & (SZ_4K - 1) ? V_OFFSET : 0) | memory_verdict(h, addr);
}

/* @spares: cleared if data could come to where none should. */
static u32 list_verdict(struct hostile *h, u64 addr, unsigned int pages, bool *spares)
{
	u32 v = addr & 7 ? V_OFFSET : 0;
	bool first = true;

	while (pages) {
		u32 room = (SZ_4K - (addr & (SZ_4K - 1))) / 8, i;
		u64 *list;

		if (!first)
			v |= page_verdict(h, addr);
		if (!ours(h, addr))
			return v | memory_verdict(h, addr);
		if (v & V_OFFSET)
			return v;
		list = stable(h, addr);
		if (!list)
			return v | V_UNSURE;
		for (i = 0; i < room && pages; i++) {
			if (i + 1 == room && pages > 1)
				break;
			v |= page_verdict(h, list[i]);
			*spares &= harmless(h, list[i]);
			pages--;
		}
		addr = list[room - 1];
		/* Two lists in a loop get nowhere when each holds a pointer only. */
		if (room == 1 && !first)
			return v | V_OFFSET;
		first = false;
	}
	return v;
}

static u32 data_verdict(struct hostile *h, const struct nvme_sqe *sqe, u64 len,
			bool *spares)
{
	u32 off = sqe->prp1 & (SZ_4K - 1);
	u32 v = (sqe->prp1 & 3 ? V_OFFSET : 0) | memory_verdict(h, sqe->prp1);
	unsigned int pages = (off + len + SZ_4K - 1) / SZ_4K;

	*spares = harmless(h, sqe->prp1);
	if (pages == 1)
		return v;
	if (pages == 2) {
		*spares &= harmless(h, sqe->prp2);
		return v | page_verdict(h, sqe->prp2);
	}
	return v | list_verdict(h, sqe->prp2, pages - 1, spares);
}

static bool in_range(struct hostile *h, u64 slba, u64 nlb)
{
	return slba <= h->n.nsze && nlb <= h->n.nsze - slba;
}

static u64 slba_of(const struct nvme_sqe *sqe)
{
	return sqe->cdw10 | (u64)sqe->cdw11 << 32;
}

static u32 rw_verdict(struct hostile *h, const struct nvme_sqe *sqe)
{
	u64 nlb = (sqe->cdw12 & 0xffff) + 1ULL, len = nlb * h->n.lba;
	bool data = sqe->opcode == IO_READ || sqe->opcode == IO_WRITE ||
		    sqe->opcode == IO_COMPARE;
	bool writes = sqe->opcode == IO_WRITE || sqe->opcode == IO_WRITE_UNC ||
		      sqe->opcode == IO_WRITE_ZEROES;
	u32 v = in_range(h, slba_of(sqe), nlb) ? 0 : V_LBA;
	bool spares;

	if (writes && (sqe->cdw12 & DTYPE))
		v |= V_FIELD;
	if (sqe->opcode == IO_COMPARE)
		v |= V_MISCOMPARE;
	/* Verify and Write Zeroes have limits of their own, if they want. */
	if (!data)
		return v | (len > h->mdts ? V_UNSURE : 0);
	if (len > h->mdts)
		return v | V_FIELD;
	return v | data_verdict(h, sqe, len, &spares);
}

/* Ranges or descriptors: a page at most, in two pieces. */
static u32 fetch_verdict(struct hostile *h, const struct nvme_sqe *sqe, u32 len, u8 *to)
{
	u32 first = SZ_4K - (sqe->prp1 & (SZ_4K - 1)), v;
	bool spares;
	void *p;

	if (first > len)
		first = len;
	v = data_verdict(h, sqe, len, &spares);
	if (v)
		return v;
	p = stable(h, sqe->prp1);
	if (!p)
		return V_UNSURE;
	memcpy(to, p, first);
	if (first < len) {
		p = stable(h, sqe->prp2);
		if (!p)
			return V_UNSURE;
		memcpy(to + first, p, len - first);
	}
	return 0;
}

static u32 dsm_verdict(struct hostile *h, const struct nvme_sqe *sqe)
{
	u32 nr = (sqe->cdw10 & 0xff) + 1, i, v;
	struct nvme_dsm r[256];

	v = fetch_verdict(h, sqe, nr * sizeof(*r), (u8 *)r);
	for (i = 0; !v && i < nr; i++)
		if (r[i].nlb && !in_range(h, r[i].slba, r[i].nlb))
			v = V_LBA;
	return v;
}

static u32 copy_verdict(struct hostile *h, const struct nvme_sqe *sqe)
{
	u32 nr = (sqe->cdw12 & 0xff) + 1, total = 0, i, v = 0, f;
	struct nvme_copy d[256];

	if (sqe->cdw12 & (DTYPE | 0xf00))
		v |= V_FIELD;
	if (nr > h->copy_ranges || nr * sizeof(*d) > SZ_4K)
		return v | V_LIMIT;
	f = fetch_verdict(h, sqe, nr * sizeof(*d), (u8 *)d);
	v |= f;
	for (i = 0; !f && i < nr; i++) {
		u32 nlb = d[i].nlb + 1U;

		total += nlb;
		if (nlb > h->copy_len || total > h->copy_total)
			v |= V_LIMIT;
		if (!in_range(h, d[i].slba, nlb))
			v |= V_LBA;
		/* A copy onto its own source may be an error. */
		if (d[i].slba < slba_of(sqe) + h->copy_total &&
		    slba_of(sqe) < d[i].slba + nlb)
			v |= V_UNSURE;
	}
	return v | (in_range(h, slba_of(sqe), total) ? 0 : V_LBA);
}

u32 model_verdict(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot)
{
	u32 v = sqe->flags & FLAGS_BAD ? V_FIELD : 0;

	h->slot = slot;
	if (sqe->nsid != h->n.nsid)
		v |= V_NSID;
	if (!model_offers(h, sqe->opcode))
		return v | V_OPCODE;
	switch (sqe->opcode) {
	case IO_FLUSH:
		return v;
	case IO_DSM:
		return v | dsm_verdict(h, sqe);
	case IO_COPY:
		return v | copy_verdict(h, sqe);
	default:
		return v | rw_verdict(h, sqe);
	}
}

bool model_allows(u32 v, int status)
{
	u32 wrong = v & ~(V_MISCOMPARE | V_UNSURE);

	switch (status) {
	case SC_OK:
		return !wrong;
	case SC_INVALID_OPCODE:
		return v & V_OPCODE;
	case SC_INVALID_FIELD:
		return v & (V_FIELD | V_UNSURE);
	case SC_INVALID_NS:
		return v & V_NSID;
	case SC_LBA_RANGE:
		return v & (V_LBA | V_UNSURE);
	case SC_BAD_PRP_OFFSET:
		return v & (V_OFFSET | V_UNSURE);
	case SC_DATA_TRANSFER:
		return v & (V_MEMORY | V_UNSURE);
	case SC_SIZE_LIMIT:
		return v & (V_LIMIT | V_UNSURE);
	case SC_COMPARE:
		return v & V_MISCOMPARE && !wrong;
	default:
		return v & V_UNSURE;
	}
}

static bool hits(u64 slba, u64 nlb, u64 first, u64 len)
{
	u64 end;

	if (__builtin_add_overflow(slba, nlb, &end))
		end = ~0ULL;
	return slba < first + len && end > first;
}

static bool spared(u64 slba, u64 nlb)
{
	return !hits(slba, nlb, 0, B_CANARY) &&
	       !hits(slba, nlb, B_CANARY2, B_CANARY);
}

bool model_spares_canaries(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot)
{
	u64 nlb = (sqe->cdw12 & 0xffff) + 1ULL;
	struct nvme_dsm *r;
	bool spares = true;
	unsigned int i;
	u32 v;

	h->slot = slot;
	switch (sqe->opcode) {
	case IO_READ:
		v = data_verdict(h, sqe, nlb * h->n.lba, &spares);
		/* A list in pages of data: who knows what it says. */
		return spares && !(v & V_UNSURE);
	case IO_WRITE:
	case IO_WRITE_ZEROES:
		return spared(slba_of(sqe), nlb);
	case IO_WRITE_UNC:
		return !model_offers(h, IO_WRITE_UNC);
	case IO_COPY:
		return spared(slba_of(sqe), h->copy_total);
	case IO_DSM:
		if (!ours(h, sqe->prp1))
			return true;
		r = stable(h, sqe->prp1);
		if (!r || (sqe->prp1 & 3) || (sqe->prp1 & (SZ_4K - 1)) > SZ_4K - 1024)
			return false;
		for (i = 0; i <= (sqe->cdw10 & 0xff) && i < 64; i++)
			if (r[i].nlb && !spared(r[i].slba, r[i].nlb))
				return false;
		return (sqe->cdw10 & 0xff) < 64;
	default:
		return true;
	}
}
