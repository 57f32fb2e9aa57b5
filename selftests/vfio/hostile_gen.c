// SPDX-License-Identifier: GPL-2.0
/*
 * Commands as a hostile guest makes them: good ones, good ones with something
 * wrong, good ones with flipped bits, and noise.  All from the seed.
 */
#include <string.h>

#include "hostile_gen.h"
#include "hostile_memory.h"
#include "hostile_model.h"
#include "lib/prps.h"
#include "lib/rng.h"

static void set_lbas(struct nvme_sqe *sqe, u64 slba, u32 nlb)
{
	sqe->cdw10 = (u32)slba;
	sqe->cdw11 = slba >> 32;
	sqe->cdw12 = nlb - 1;
}

/* A place that is meant to be written. */
static u64 data_lba(u64 *rng)
{
	return B_CANARY + rnd(rng, B_DATA);
}

/* Where there is no memory, or only registers. */
u64 gen_bad_address(struct hostile *h, u64 *rng)
{
	switch (rnd(rng, 8)) {
	case 0:
		return NOWHERE_HIGH;
	case 1:
		return h->n.bar[0];
	case 2:
		/* A doorbell: RAM of the host that guests may map. */
		return h->n.bar[0] + nvme_sq_db(&h->n, 1 + rnd(rng, 2));
	case 3:
		return h->n.bar[0] + nvme_cq_db(&h->n, 1 + rnd(rng, 2));
	case 4:
		return h->n.bar[1];
	case 5:
		return h->n.v.phys ? NOWHERE : h->n.v.iova + h->n.v.mem_len;
	case 6:
		return 1ULL << (44 + rnd(rng, 20));
	default:
		return NOWHERE + rnd(rng, 1 << 20) * SZ_4K;
	}
}

static void scatter(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot, u32 len)
{
	struct prps p = {
		.len = len,
		.off = rnd(&h->rng, 3) ? 0 : rnd(&h->rng, SZ_4K / 4) * 4,
		.list = { (u64 *)page_at(h, H_LIST + slot), (u64 *)page_at(h, H_LIST2 + slot) },
		.list_off = rnd(&h->rng, 3) ? 0 : rnd(&h->rng, 512) * 8,
	};
	unsigned int i;

	for (i = 0; i < prps_pages(&p); i++)
		p.page[i] = data_page(h, &h->rng);
	prps_set(&h->n, sqe, &p);
}

static void good_dsm(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	struct nvme_dsm *r = (void *)page_at(h, H_RANGES + slot);
	u32 nr = 1 + rnd(&h->rng, 8), i;

	for (i = 0; i < 64; i++)
		r[i] = (struct nvme_dsm){ 0, rnd(&h->rng, 32), data_lba(&h->rng) };
	sqe->prp1 = nvme_dma(&h->n, r);
	sqe->cdw10 = nr - 1;
	sqe->cdw11 = DSM_AD;
}

static void good_copy(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	struct nvme_copy *d = (void *)page_at(h, H_RANGES + slot);
	u32 nr = 1 + rnd(&h->rng, 4), i;

	memset(d, 0, SZ_4K);
	for (i = 0; i < nr; i++) {
		d[i].slba = rnd(&h->rng, h->n.nsze - 8);
		d[i].nlb = rnd(&h->rng, 8);
	}
	sqe->prp1 = nvme_dma(&h->n, d);
	set_lbas(sqe, data_lba(&h->rng), nr);
}

static void good_rw(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	u32 max = h->mdts / h->n.lba, nlb;
	bool write = sqe->opcode != IO_READ && sqe->opcode != IO_COMPARE;

	if (max > B_SLACK)
		max = B_SLACK;
	nlb = 1 + rnd(&h->rng, rnd(&h->rng, 20) ? 32 : max);
	set_lbas(sqe, write ? data_lba(&h->rng) : rnd(&h->rng, h->n.nsze - nlb), nlb);
	if (sqe->opcode != IO_WRITE_ZEROES)
		scatter(h, sqe, slot, nlb * h->n.lba);
}

void gen_good(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	static const u8 ops[] = { IO_READ, IO_READ, IO_READ, IO_WRITE, IO_WRITE, IO_FLUSH,
				  IO_COMPARE, IO_WRITE_ZEROES, IO_DSM, IO_COPY };

	memset(sqe, 0, sizeof(*sqe));
	do
		sqe->opcode = ops[rnd(&h->rng, ARRAY_SIZE(ops))];
	while (!model_offers(h, sqe->opcode));
	sqe->nsid = h->n.nsid;
	switch (sqe->opcode) {
	case IO_FLUSH:
		break;
	case IO_DSM:
		good_dsm(h, sqe, slot);
		break;
	case IO_COPY:
		good_copy(h, sqe, slot);
		break;
	default:
		good_rw(h, sqe, slot);
	}
}

static u64 bad_lba_of(struct hostile *h, u64 *rng, u32 nlb)
{
	u64 nsze = h->n.nsze;

	switch (rnd(rng, 8)) {
	case 0:
		return nsze;
	case 1:
		/* Its last block is the first that is not there. */
		return nsze - nlb + 1;
	case 2:
		return nsze + rnd(rng, 1 << 20);
	case 3:
		/* Around the wrap, to the blocks before the range and into it. */
		return -(u64)(1 + rnd(rng, nlb));
	case 4:
		return ~0ULL - nlb;
	case 5:
		return 1ULL << (32 + rnd(rng, 32));
	case 6:
		return 0x8000000000000000ULL - 1;
	default:
		return rnd64(rng) | 1ULL << 40;
	}
}

static u64 bad_lba(struct hostile *h, u32 nlb)
{
	return bad_lba_of(h, &h->rng, nlb);
}

/* An entry of the list, or a pointer in it, that leads astray. */
static void spoil_list(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	u64 *list = (u64 *)page_at(h, H_LIST + slot);
	u32 len = (8 + rnd(&h->rng, 32)) * SZ_4K, nlb, i;

	if (len > h->mdts)
		len = h->mdts;
	nlb = len / h->n.lba;
	sqe->opcode = rnd(&h->rng, 2) ? IO_READ : IO_WRITE;
	set_lbas(sqe, data_lba(&h->rng), nlb);
	scatter(h, sqe, slot, len);
	i = (sqe->prp2 & (SZ_4K - 1)) / 8;
	switch (rnd(&h->rng, 7)) {
	case 0:
		list[i] = gen_bad_address(h, &h->rng);
		break;
	case 1:
		list[i] += 4 << rnd(&h->rng, 10);
		break;
	case 2:
		sqe->prp2 = gen_bad_address(h, &h->rng);
		break;
	case 3:
		sqe->prp2 |= 1 + rnd(&h->rng, 7);
		break;
	case 4:
		/* A list that is only a pointer, to itself. */
		sqe->prp2 = nvme_dma(&h->n, list) + SZ_4K - 8;
		list[511] = sqe->prp2;
		break;
	case 5:
		/* A pointer to nowhere. */
		sqe->prp2 = nvme_dma(&h->n, list) + SZ_4K - 8;
		list[511] = gen_bad_address(h, &h->rng);
		break;
	default:
		/* A pointer into the middle of a page. */
		sqe->prp2 = nvme_dma(&h->n, list) + SZ_4K - 8;
		list[511] = nvme_dma(&h->n, page_at(h, H_LIST2 + slot)) + 64;
	}
}

static void spoil_ranges(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	void *page = page_at(h, H_RANGES + slot);
	u32 i;

	if (model_offers(h, IO_DSM) && rnd(&h->rng, 2)) {
		struct nvme_dsm *r = page;

		sqe->opcode = IO_DSM;
		good_dsm(h, sqe, slot);
		i = rnd(&h->rng, sqe->cdw10 + 1);
		r[i].nlb = 1 + rnd(&h->rng, 100);
		r[i].slba = bad_lba(h, r[i].nlb);
	} else if (model_offers(h, IO_COPY)) {
		struct nvme_copy *d = page;

		sqe->opcode = IO_COPY;
		good_copy(h, sqe, slot);
		i = rnd(&h->rng, sqe->cdw12 + 1);
		switch (rnd(&h->rng, 3)) {
		case 0:
			d[i].slba = bad_lba(h, d[i].nlb + 1);
			break;
		case 1:
			sqe->cdw12 |= (1 + rnd(&h->rng, 15)) << 8;
			break;
		default:
			set_lbas(sqe, bad_lba(h, 1), sqe->cdw12 + 1);
		}
	}
}

static void gen_bad(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	static const u8 flags[] = { 0x01, 0x02, 0x03, 0x40, 0x80, 0xc0, 0x41 };
	static const u32 nsids[] = { 0, 2, 3, 0xffffffff, 0xfffffffe, 0x80000001, 0x10001 };

	switch (rnd(&h->rng, 9)) {
	case 0:
		sqe->opcode = rnd(&h->rng, 256);
		break;
	case 1:
		sqe->flags = flags[rnd(&h->rng, ARRAY_SIZE(flags))];
		break;
	case 2:
		sqe->nsid = nsids[rnd(&h->rng, ARRAY_SIZE(nsids))];
		break;
	case 3:
	case 4:
		sqe->opcode = rnd(&h->rng, 2) ? IO_READ : IO_WRITE;
		good_rw(h, sqe, slot);
		set_lbas(sqe, bad_lba(h, sqe->cdw12 + 1), sqe->cdw12 + 1);
		break;
	case 5:
		sqe->opcode = rnd(&h->rng, 2) ? IO_READ : IO_WRITE;
		good_rw(h, sqe, slot);
		sqe->prp1 = rnd(&h->rng, 2) ? gen_bad_address(h, &h->rng) :
					      sqe->prp1 | (1 + rnd(&h->rng, 3));
		break;
	case 6:
		spoil_list(h, sqe, slot);
		break;
	case 7:
		spoil_ranges(h, sqe, slot);
		break;
	default:
		/* More than MDTS, inside the range. */
		sqe->opcode = IO_READ;
		set_lbas(sqe, 0, h->mdts / h->n.lba + 1 + rnd(&h->rng, 100));
	}
}

static void flip(struct hostile *h, struct nvme_sqe *sqe)
{
	u32 *dw = (u32 *)sqe;
	unsigned int i, nr = 1 + rnd(&h->rng, 3);

	for (i = 0; i < nr; i++) {
		unsigned int w = rnd(&h->rng, 16), bit = rnd(&h->rng, 32);

		/* In a guest the lower half of an address is its other memory. */
		if (h->n.v.phys && (w == 6 || w == 8) && bit >= 12)
			continue;
		dw[w] ^= BIT(bit);
	}
}

static void noise(struct hostile *h, struct nvme_sqe *sqe)
{
	u64 *qw = (u64 *)sqe;
	unsigned int i;

	for (i = 0; i < sizeof(*sqe) / 8; i++)
		qw[i] = rnd64(&h->rng);
	/* Addresses where a guest cannot have memory. */
	sqe->prp1 |= 1ULL << 45;
	sqe->prp2 |= 1ULL << 45;
	if (rnd(&h->rng, 2))
		sqe->nsid = h->n.nsid;
	if (rnd(&h->rng, 2))
		sqe->flags = 0;
}

void gen_any(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	unsigned int tries = 0;

	do {
		gen_good(h, sqe, slot);
		if (tries++ > 20)
			continue;
		switch (rnd(&h->rng, 8)) {
		case 0:
		case 1:
			break;
		case 2:
		case 3:
			flip(h, sqe);
			break;
		case 4:
			noise(h, sqe);
			break;
		default:
			gen_bad(h, sqe, slot);
		}
	} while (!model_spares_canaries(h, sqe, slot));
}

static u64 racing_address(struct hostile *h, u64 *rng)
{
	switch (rnd(rng, 8)) {
	case 0:
		return gen_bad_address(h, rng);
	case 1:
		return nvme_dma(&h->n, data_page(h, rng)) + rnd(rng, SZ_4K);
	case 2:
		return nvme_dma(&h->n, page_at(h, H_LIST + rnd(rng, 2 * SLOTS))) +
		       rnd(rng, 512) * 8;
	default:
		return nvme_dma(&h->n, data_page(h, rng));
	}
}

static void scribble_sqe(struct hostile *h, u64 *rng, struct nvme_sqe *sqe)
{
	static const u8 ops[] = { IO_READ, IO_READ, IO_WRITE, IO_WRITE, IO_COMPARE, IO_FLUSH,
				  IO_VERIFY, 0x7f, 0x0d };

	switch (rnd(rng, 9)) {
	case 0:
		WRITE_ONCE(sqe->opcode, ops[rnd(rng, ARRAY_SIZE(ops))]);
		break;
	case 1:
		WRITE_ONCE(sqe->flags, rnd(rng, 4) ? 0 : rnd(rng, 256));
		break;
	case 2:
		WRITE_ONCE(sqe->cid, rnd(rng, 0x10000));
		break;
	case 3:
		WRITE_ONCE(sqe->nsid, rnd(rng, 3) ? h->n.nsid : rnd(rng, 4));
		break;
	case 4:
		/* Only ever data: a read of one page comes here. */
		WRITE_ONCE(sqe->prp1, nvme_dma(&h->n, data_page(h, rng)) + rnd(rng, 2) * 512);
		break;
	case 5:
		WRITE_ONCE(sqe->prp2, racing_address(h, rng));
		break;
	case 6:
		WRITE_ONCE(sqe->cdw10, rnd(rng, 2) ? data_lba(rng) : h->n.nsze + rnd(rng, 1000));
		break;
	case 7:
		WRITE_ONCE(sqe->cdw11, rnd(rng, 3) ? 0 : rnd64(rng) | 1);
		break;
	default:
		WRITE_ONCE(sqe->cdw12, rnd(rng, B_SLACK));
	}
}

void gen_scribble(struct hostile *h, u64 *rng)
{
	u64 *list;

	if (rnd(rng, 2)) {
		scribble_sqe(h, rng, &h->q.sq[rnd(rng, h->q.sq_depth)]);
		return;
	}
	list = (u64 *)page_at(h, H_LIST + rnd(rng, 2 * SLOTS));
	WRITE_ONCE(list[rnd(rng, 4) ? rnd(rng, 16) : rnd(rng, 512)], racing_address(h, rng));
}

void gen_racing(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->nsid = h->n.nsid;
	sqe->opcode = rnd(&h->rng, 3) ? IO_READ : IO_WRITE;
	good_rw(h, sqe, slot);
	/* Whatever the opcode becomes, the blocks are those that may be written. */
	set_lbas(sqe, data_lba(&h->rng), sqe->cdw12 + 1);
}

void gen_racing_ranges(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
	bool dsm = slot & 1;

	gen_racing(h, sqe, slot);
	if (!model_offers(h, dsm ? IO_DSM : IO_COPY))
		return;
	sqe->opcode = dsm ? IO_DSM : IO_COPY;
	sqe->cdw12 = 0;
	if (dsm)
		good_dsm(h, sqe, slot);
	else
		good_copy(h, sqe, slot);
}

/* Any mix of old and new values spares what must be spared. */
void gen_scribble_ranges(struct hostile *h, u64 *rng)
{
	unsigned int slot = rnd(rng, SLOTS), i = rnd(rng, 8);
	u64 slba = rnd(rng, 3) ? data_lba(rng) : bad_lba_of(h, rng, 4);
	void *page = page_at(h, H_RANGES + slot);

	if (slot & 1) {
		struct nvme_dsm *r = page;

		if (rnd(rng, 2))
			WRITE_ONCE(r[i].nlb, rnd(rng, 64));
		else
			WRITE_ONCE(r[i].slba, slba);
	} else {
		struct nvme_copy *d = page;

		if (rnd(rng, 2))
			WRITE_ONCE(d[i].nlb, rnd(rng, 200));
		else
			WRITE_ONCE(d[i].slba, slba);
	}
}
