// SPDX-License-Identifier: GPL-2.0
/*
 * hostile UUID [SECONDS [SEED]]: a guest that does all it can to reach what is not
 * its own, through VFIO; hostile --pci BDF [SECONDS [SEED]]: the same inside a
 * guest, on its NVMe function, which no driver may have.
 *
 * It keeps canaries on its own blocks and in its own memory; those of others are
 * for whoever starts it.  Blocks of others are recognised by their stamps (see
 * "canary") should they ever arrive.  The seed is printed; with the same seed the
 * same commands are made, though not at the same moments.  Further arguments:
 *
 *   resets      the host resets the controller meanwhile
 *   only=KEY    nothing but that, all the time (and what is not asked for is skipped):
 *               doorbells   dozens of threads that ring for one queue, with commands of
 *                           long lists in it
 *               scattered   large writes with each page in another 2 MiB of memory
 *               zeroes      Write Zeroes of as many blocks as may be
 *               admin       admin commands of all kinds
 *               memory      its memory is unmapped and mapped again under its queues
 *
 * OVERWRITES the instance's namespace.  For guarded mode only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hostile_memory.h"
#include "hostile_phases.h"
#include "lib/rng.h"
#include "lib/stamp.h"

#define SECONDS_DEFAULT	10
#define CHUNK		(256 * 1024U)
/* What is filled with stamps before it begins, if the namespace is no larger. */
#define FILL_MAX	(128 * SZ_1M)

static struct test blocks_intact = { "own_canaries_on_the_drive_are_intact" };
static struct test memory_intact = { "own_canaries_in_memory_are_intact" };
static struct test nothing_foreign = { "no_block_of_another_was_read" };
static struct test still_works = { "the_device_works_after_each_of_them" };

static bool blocks_canary(struct hostile *h, u64 slba, u64 end, bool fill)
{
	u8 *buf = page_at(h, H_DATA);
	u32 nlb;
	u64 at;

	for (at = slba; at < end; at += nlb) {
		long bad;
		int rc;

		nlb = end - at < CHUNK / h->n.lba ? end - at : CHUNK / h->n.lba;
		if (fill)
			stamp_fill(buf, nlb * h->n.lba, OWN_ID, at * h->n.lba);
		rc = nvme_io(&h->n, &h->q, fill ? IO_WRITE : IO_READ, at, nlb, buf);
		if (rc) {
			diag("canary at LBA %llu: status %x", at, rc);
			return false;
		}
		if (fill)
			continue;
		bad = stamp_check(buf, nlb * h->n.lba, OWN_ID, at * h->n.lba);
		if (bad >= 0) {
			diag("LBA %llu was written to", at + bad / h->n.lba);
			return false;
		}
	}
	return true;
}

static bool fill_blocks(struct hostile *h)
{
	if (h->n.nsze * h->n.lba <= FILL_MAX)
		return blocks_canary(h, 0, h->n.nsze, true);
	nothing_foreign.skipped = "the namespace is too large to be filled first";
	return blocks_canary(h, 0, B_CANARY, true) &&
	       blocks_canary(h, B_CANARY2, B_CANARY2 + B_CANARY, true);
}

static bool check_blocks(struct hostile *h)
{
	return blocks_canary(h, 0, B_CANARY, false) &&
	       blocks_canary(h, B_CANARY2, B_CANARY2 + B_CANARY, false);
}

/* The check of blocks uses pages of data contiguously: their canaries go. */
static void memory_fill(struct hostile *h)
{
	unsigned int i, j;

	for (i = 0; i < H_PAGES; i++) {
		u8 *page = page_at(h, i);

		if (is_canary(i))
			stamp_fill(page, SZ_4K, OWN_ID, (u64)i * SZ_4K);
		else if (i < H_RANGES)
			for (j = 0; j < SZ_4K / 8; j++)
				((u64 *)page)[j] = NOWHERE + (u64)j * SZ_4K;
		else if (i >= H_DATA)
			fill_pattern(page, SZ_4K, i);
	}
}

static void memory_check(struct hostile *h)
{
	unsigned int i;

	for (i = 0; i < H_PAGES; i++) {
		if (is_canary(i))
			EXPECT(&memory_intact,
			       stamp_check(page_at(h, i), SZ_4K, OWN_ID, (u64)i * SZ_4K) < 0,
			       "page %u was written to", i);
		else if (i >= H_DATA && !nothing_foreign.skipped)
			EXPECT(&nothing_foreign, !stamp_found(page_at(h, i), SZ_4K, OWN_ID),
			       "a block of another in page %u", i);
	}
}

/* Skips all phases but one; false if there is none of that key. */
static bool only(const char *key)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < nr_phases; i++) {
		if (phases[i].key && !strcmp(phases[i].key, key)) {
			found = true;
			continue;
		}
		phases[i].test.skipped = "not asked for";
		phases[i].weight = 0;
	}
	return found;
}

static struct phase *pick(struct hostile *h)
{
	unsigned int i, total = 0, at;

	for (i = 0; i < nr_phases; i++)
		total += phases[i].weight;
	at = rnd(&h->rng, total);
	for (i = 0; at >= phases[i].weight; i++)
		at -= phases[i].weight;
	return &phases[i];
}

static void limits(struct hostile *h)
{
	u8 *id = nvme_alloc(&h->n, SZ_4K);
	struct nvme_sqe sqe = cmd_identify(0, h->n.nsid, nvme_dma(&h->n, id));
	u16 mssrl;

	h->mdts = h->n.id[77] ? h->n.page << h->n.id[77] : SZ_1M;
	if (nvme_admin(&h->n, &sqe, NULL))
		return;
	memcpy(&mssrl, id + 74, sizeof(mssrl));
	h->copy_len = mssrl;
	memcpy(&h->copy_total, id + 76, sizeof(h->copy_total));
	h->copy_ranges = id[80] + 1;
}

static bool all_well(void)
{
	unsigned int i;

	for (i = 0; i < nr_phases; i++)
		if (phases[i].test.failed)
			return false;
	return !blocks_intact.failed && !memory_intact.failed && !nothing_foreign.failed;
}

static void run(struct hostile *h, unsigned int seconds)
{
	u64 start = now_ms(), end = start + seconds * 1000ULL, ms;
	unsigned int first = 0;

	/* Each of them once, however short the time. */
	while ((first < nr_phases || now_ms() < end) && all_well()) {
		struct phase *p = first < nr_phases ? &phases[first++] : pick(h);

		if (!p->weight)
			continue;
		if (p->vfio_only && h->n.v.phys) {
			p->test.skipped = "memory is not VFIO's here";
			continue;
		}
		h->rounds++;
		p->fn(&p->test, h);
		memory_check(h);
		if (!phase_recover(&still_works, h)) {
			diag("after: %s", p->test.name);
			break;
		}
		p->test.arg++;
	}
	ms = now_ms() - start;
	diag("%llu commands in %llu ms, %llu a second; %llu passed, %llu refused", h->sent, ms,
	     h->sent * 1000 / (ms ? ms : 1), h->passed, h->refused);
	diag("%llu times queues, controller or memory were taken away", h->toggles);
}

static int no_name(void)
{
	return test_skip_all("usage: hostile UUID | --pci BDF [SECONDS [SEED [resets|only=KEY]]]");
}

int main(int argc, char **argv)
{
	static struct hostile h;
	bool pci = argc > 1 && !strcmp(argv[1], "--pci");
	const char *name = test_uuid(argc - pci, argv + pci);
	unsigned int seconds = SECONDS_DEFAULT, i;

	if (!name)
		return no_name();
	if (argc - pci > 2)
		seconds = strtoul(argv[2 + pci], NULL, 0);
	h.seed = argc - pci > 3 ? strtoull(argv[3 + pci], NULL, 0) : (u64)time(NULL);
	h.rng = h.seed;
	h.resets = argc - pci > 4 && !strcmp(argv[4 + pci], "resets");
	if (argc - pci > 4 && !strncmp(argv[4 + pci], "only=", 5) && !only(argv[4 + pci] + 5))
		return no_name();
	if (pci ? nvme_open_pci(&h.n, name) : nvme_open(&h.n, name)) {
		printf("Bail out! cannot bring up %s\n", name);
		return KSFT_FAIL;
	}
	diag("%s: seed %llu, %u s, %u pairs, %llu blocks of %u, ONCS %#x", name, h.seed, seconds,
	     h.n.nr_pairs, h.n.nsze, h.n.lba, h.n.oncs);
	if (h.n.direct) {
		nvme_close(&h.n);
		return test_skip_all("direct mode trusts its guest");
	}
	if (h.n.nsze < B_MIN || h.n.page != SZ_4K || h.n.lba > SZ_4K) {
		nvme_close(&h.n);
		return test_skip_all("the namespace is too small, or its blocks too large");
	}
	limits(&h);
	h.mem = h.n.v.mem + h.n.v.mem_len - H_PAGES * SZ_4K;

	test_plan(nr_phases + 4);
	if (phase_recover(&still_works, &h) &&
	    EXPECT(&blocks_intact, fill_blocks(&h), "they cannot be written")) {
		memory_fill(&h);
		run(&h, seconds);
		if (!still_works.failed)
			EXPECT(&blocks_intact, check_blocks(&h), "they are not");
	}
	for (i = 0; i < nr_phases; i++) {
		struct test *t = &phases[i].test;

		if (!t->failed && !t->skipped && !t->arg)
			EXPECT(t, false, "its turn never came");
		test_report(t);
	}
	test_report(&blocks_intact);
	test_report(&memory_intact);
	test_report(&nothing_foreign);
	test_report(&still_works);
	nvme_close(&h.n);
	return test_done();
}
