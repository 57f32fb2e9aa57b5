// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile guest does, a slice of time after another: each phase begins with
 * a controller that is up and ends in any state.  Between two of them
 * phase_recover() shows that the device works.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hostile_floods.h"
#include "hostile_gen.h"
#include "hostile_memory.h"
#include "hostile_phases.h"
#include "hostile_send.h"
#include "lib/rng.h"

/* ---- the second thread ---- */

static void *racer(void *arg)
{
	struct hostile *h = arg;
	u64 rng = h->seed ^ h->rounds;

	while (!__atomic_load_n(&h->stop, __ATOMIC_RELAXED))
		h->race(h, &rng);
	return NULL;
}

static void race_start(struct hostile *h, void (*race)(struct hostile *h, u64 *rng))
{
	h->race = race;
	h->stop = false;
	if (pthread_create(&h->racer, NULL, racer, h))
		abort();
}

static void race_stop(struct hostile *h)
{
	__atomic_store_n(&h->stop, true, __ATOMIC_RELAXED);
	pthread_join(h->racer, NULL);
}

/* ---- phases ---- */

/* Everything at once, and each command gets the status it must. */
static void storm(struct test *t, struct hostile *h)
{
	static const u32 depths[] = { 2, 5, 33, 65, 128 };
	u64 end = slice_end();

	if (!fresh_pair(t, h, 1, depths[rnd(&h->rng, ARRAY_SIZE(depths))],
			depths[rnd(&h->rng, ARRAY_SIZE(depths))]))
		return;
	while (now_ms() < end && !t->failed) {
		send_shots(h, gen_any, true);
		if (!reap_shots(t, h, true))
			relax(h);
	}
	drain_shots(t, h, true);
}

static void racing(struct test *t, struct hostile *h, gen_fn gen,
		   void (*race)(struct hostile *h, u64 *rng))
{
	u64 end = slice_end();

	if (!fresh_pair(t, h, 1, 65, 65))
		return;
	race_start(h, race);
	while (now_ms() < end) {
		send_shots(h, gen, false);
		if (!reap_shots(t, h, false))
			relax(h);
	}
	race_stop(h);
	/* One completion for each, whatever was read. */
	drain_shots(t, h, false);
	sleep_us(2000);
	EXPECT(t, !reap_shots(t, h, false), "more completions than commands");
}

static void rewritten(struct test *t, struct hostile *h)
{
	racing(t, h, gen_racing, gen_scribble);
}

static void rewritten_ranges(struct test *t, struct hostile *h)
{
	racing(t, h, gen_racing_ranges, gen_scribble_ranges);
}

static void ring_any(struct hostile *h, u64 *rng)
{
	u16 qid = rnd(rng, 4) ? h->q.qid : rnd(rng, h->n.nr_pairs + 2);
	u64 db = rnd(rng, 3) ? nvme_sq_db(&h->n, qid) : nvme_cq_db(&h->n, qid);
	u32 val = rnd(rng, 8) ? rnd(rng, h->q.sq_depth + 2) : rnd64(rng);

	if (qid && db + 8 <= h->n.v.region[BAR0].size)
		vfio_put(&h->n.v, BAR0, db, 4, val);
}

/* Reads in the whole ring, and doorbells that say anything. */
static void doorbells(struct test *t, struct hostile *h)
{
	u64 end = slice_end();
	unsigned int i;
	int rc;

	if (!fresh_pair(t, h, 1, 32, 32))
		return;
	for (i = 0; i < 32; i++) {
		gen_racing(h, &h->shot[i].sqe, i);
		h->shot[i].sqe.opcode = IO_READ;
		nvme_queue_cmd(&h->q, &h->shot[i].sqe);
	}
	race_start(h, ring_any);
	while (now_ms() < end) {
		h->sent++;
		ring_any(h, &h->rng);
		if (!rnd(&h->rng, 4))
			reap_shots(t, h, false);
	}
	race_stop(h);
	h->outstanding = 0;
	rc = nvme_delete_pair(&h->n, &h->q);
	EXPECT(t, !rc, "the pair cannot be deleted (%x)", rc);
}

static unsigned int first_lap(const struct nvme_queue *q)
{
	unsigned int i, nr = 0;

	for (i = 0; i < q->cq_depth; i++)
		nr += __atomic_load_n(&q->cq[i].status, __ATOMIC_ACQUIRE) & 1;
	return nr;
}

static void never_acknowledged(struct test *t, struct hostile *h)
{
	static const u32 depths[] = { 2, 3, 4, 8, 16 };
	u32 cq = depths[rnd(&h->rng, ARRAY_SIZE(depths))];
	int rc;

	if (!fresh_pair(t, h, 1, 64, cq))
		return;
	send_shots(h, gen_racing, false);
	sleep_us(rnd(&h->rng, 200) * 1000);
	EXPECT(t, first_lap(&h->q) < cq, "%u completions in a ring of %u", first_lap(&h->q), cq);
	switch (rnd(&h->rng, 3)) {
	case 0:
		drain_shots(t, h, false);
		break;
	case 1:
		rc = nvme_delete_pair(&h->n, &h->q);
		EXPECT(t, !rc, "the pair cannot be deleted (%x)", rc);
		break;
	default:
		rc = nvme_start(&h->n);
		EXPECT(t, !rc, "CC.EN (%d)", rc);
	}
	h->outstanding = 0;
}

/* Queues come and go with commands in them and doorbells from elsewhere. */
static void churn(struct test *t, struct hostile *h)
{
	u64 end = slice_end();
	struct nvme_sqe sqe;
	int rc;

	if (!fresh_pair(t, h, 1, 16, 16))
		return;
	race_start(h, ring_any);
	while (now_ms() < end && !t->failed) {
		u16 qid = 1 + rnd(&h->rng, h->n.nr_pairs);

		if (!fresh_pair(t, h, qid, 2 + rnd(&h->rng, 64), 2 + rnd(&h->rng, 64)))
			break;
		send_shots(h, gen_any, false);
		if (rnd(&h->rng, 2))
			sleep_us(rnd(&h->rng, 3000));
		sqe = cmd_delete(ADM_DELETE_CQ, qid);
		rc = nvme_admin(&h->n, &sqe, NULL);
		EXPECT(t, rc == SC_QUEUE_DELETION, "Delete CQ before its SQ: %x", rc);
		h->toggles++;
	}
	race_stop(h);
	h->outstanding = 0;
}

static void controller_toggles(struct test *t, struct hostile *h)
{
	u64 end = slice_end();
	int rc = 0;

	if (!fresh_pair(t, h, 1, 65, 16))
		return;
	race_start(h, ring_any);
	while (now_ms() < end && !rc && !t->failed) {
		send_shots(h, gen_any, false);
		sleep_us(rnd(&h->rng, 2000));
		rc = nvme_disable(&h->n);
		if (!rc)
			rc = nvme_enable(&h->n);
		EXPECT(t, !rc, "it does not come up again (%d)", rc);
		if (!rc)
			fresh_pair(t, h, 1, 65, 2 + rnd(&h->rng, 64));
		h->toggles++;
	}
	race_stop(h);
	h->outstanding = 0;
}

static void resets(struct test *t, struct hostile *h)
{
	int rc;

	if (!fresh_pair(t, h, 1, 65, 65))
		return;
	send_shots(h, gen_any, false);
	sleep_us(rnd(&h->rng, 2000));
	if (h->n.v.phys || rnd(&h->rng, 2))
		rc = nvme_flr(&h->n);
	else
		rc = vfio_reset(&h->n.v);
	EXPECT(t, !rc, "reset (%d)", rc);
	if (!rc)
		rc = nvme_start(&h->n);
	EXPECT(t, !rc, "it does not come up again (%d)", rc);
	h->outstanding = 0;
	h->toggles++;
}

/* Memory that commands are about to write to goes away. */
static void memory_goes(struct test *t, struct hostile *h)
{
	const size_t len = (1 + rnd(&h->rng, 1024)) * SZ_4K;
	u64 iova = 0x400000000ULL + rnd(&h->rng, 4096) * SZ_4K;
	u64 end = slice_end();
	unsigned int i;
	u8 *va;

	va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!EXPECT(t, va != MAP_FAILED, "mmap") || !fresh_pair(t, h, 1, 65, 65))
		return;
	while (now_ms() < end && !t->failed) {
		int rc = vfio_dma_map(&h->n.v, va, iova, len);

		if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA (%d)", rc))
			break;
		for (i = 0; i < SLOTS; i++) {
			struct shot *s = &h->shot[i];

			gen_racing(h, &s->sqe, i);
			s->sqe.opcode = IO_READ;
			s->sqe.cdw12 = 4096 / h->n.lba - 1;
			s->sqe.prp1 = iova + rnd(&h->rng, len / SZ_4K) * SZ_4K;
			nvme_queue_cmd(&h->q, &s->sqe);
		}
		h->outstanding += SLOTS;
		h->sent += SLOTS;
		nvme_ring(&h->n, &h->q);
		sleep_us(rnd(&h->rng, 3000));
		rc = vfio_dma_unmap(&h->n.v, iova, len);
		if (!EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc))
			break;
		memset(va, 0x77, len);
		drain_shots(t, h, false);
		EXPECT(t, va[0] == 0x77 && !memcmp(va, va + 1, len - 1),
		       "written to after the unmap");
		h->toggles++;
	}
	munmap(va, len);
}

static void admin_rubbish(struct test *t, struct hostile *h)
{
	static const u8 likely[] = { ADM_IDENTIFY, ADM_GET_LOG, ADM_SET_FEATURES,
				     ADM_GET_FEATURES, ADM_CREATE_CQ, ADM_CREATE_SQ,
				     ADM_DELETE_SQ, ADM_DELETE_CQ, ADM_ABORT };
	u64 end = slice_end();
	unsigned int i;
	int rc = 0;

	if (!fresh_pair(t, h, 1, 65, 65))
		return;
	send_shots(h, gen_any, false);
	while (now_ms() < end && rc >= 0) {
		struct nvme_sqe sqe;

		for (i = 0; i < sizeof(sqe) / 8; i++)
			((u64 *)&sqe)[i] = rnd64(&h->rng);
		if (rnd(&h->rng, 4))
			sqe.opcode = likely[rnd(&h->rng, ARRAY_SIZE(likely))];
		if (sqe.opcode == ADM_AER)
			continue;
		if (rnd(&h->rng, 4))
			sqe.flags = 0;
		if (rnd(&h->rng, 3))
			sqe.cdw10 &= 0xff0007;
		if (rnd(&h->rng, 3))
			sqe.cdw11 &= 0x30007;
		sqe.prp1 = rnd(&h->rng, 3) ? nvme_dma(&h->n, data_page(h, &h->rng)) :
					     gen_bad_address(h, &h->rng);
		sqe.prp2 = rnd(&h->rng, 3) ? nvme_dma(&h->n, data_page(h, &h->rng)) :
					     gen_bad_address(h, &h->rng);
		h->n.adm.nr_seen = 0;
		rc = nvme_admin(&h->n, &sqe, NULL);
		EXPECT(t, rc >= 0, "opcode %02x cdw10 %08x: no answer", sqe.opcode, sqe.cdw10);
		h->sent++;
	}
	/* Whatever queues it made lie in pages of data. */
	rc = nvme_start(&h->n);
	EXPECT(t, !rc, "it does not come up again (%d)", rc);
	h->outstanding = 0;
}

struct phase phases[] = {
	{ { "commands_get_the_status_of_the_specification" }, storm, 8 },
	{ { "commands_and_lists_rewritten_while_read_do_no_harm" }, rewritten, 4 },
	{ { "ranges_rewritten_while_read_do_no_harm" }, rewritten_ranges, 2 },
	{ { "doorbells_that_say_anything_do_no_harm" }, doorbells, 2 },
	{ { "a_cq_never_acknowledged_is_not_overrun" }, never_acknowledged, 2 },
	{ { "queues_come_and_go_under_load" }, churn, 2 },
	{ { "the_controller_goes_off_and_on_under_load" }, controller_toggles, 2 },
	{ { "function_resets_under_load" }, resets, 1 },
	{ { "memory_goes_under_load" }, memory_goes, 2, true, "memory" },
	{ { "admin_rubbish_does_no_harm" }, admin_rubbish, 1, false, "admin" },
	{ { "a_store_ends_while_others_ring" }, flood_of_doorbells, 1, false, "doorbells" },
	{ { "lists_all_over_memory" }, scattered_lists, 2, false, "scattered" },
	{ { "zeroes_without_end" }, zeroes_without_end, 1, false, "zeroes" },
};

const unsigned int nr_phases = ARRAY_SIZE(phases);

bool phase_recover(struct test *t, struct hostile *h)
{
	u32 csts = nvme_get32(&h->n, REG_CSTS), nlb = SZ_4K / h->n.lba;
	u64 slba = B_CANARY + rnd(&h->rng, B_DATA);
	u8 *buf = page_at(h, H_DATA);
	int rc = 0;

	if ((csts & (CSTS_RDY | CSTS_CFS)) != CSTS_RDY)
		rc = nvme_restart(&h->n);
	if (!EXPECT(t, !rc, "it cannot be brought up, CSTS was %#x", csts) ||
	    !fresh_pair(t, h, 1, 16, 16))
		return false;
	fill_pattern(buf, SZ_4K, (u32)slba);
	rc = nvme_io(&h->n, &h->q, IO_WRITE, slba, nlb, buf);
	EXPECT(t, !rc, "a good write afterwards: %x", rc);
	memset(buf, 0, SZ_4K);
	rc = nvme_io(&h->n, &h->q, IO_READ, slba, nlb, buf);
	EXPECT(t, !rc, "a good read afterwards: %x", rc);
	return EXPECT(t, check_pattern(buf, SZ_4K, (u32)slba), "other data were read");
}
