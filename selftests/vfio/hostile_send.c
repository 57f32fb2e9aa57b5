// SPDX-License-Identifier: GPL-2.0
/*
 * Sends commands and takes completions, each against its verdict where one is sure.  One
 * pair and SLOTS commands at a time, in struct hostile.
 */
#include <string.h>

#include "hostile_model.h"
#include "hostile_send.h"

#define SLICE_MS	400

u64 slice_end(void)
{
	return now_ms() + SLICE_MS;
}

/* Sleep and PAUSE cost exits inside a guest. */
void relax(struct hostile *h)
{
	unsigned int i;

	if (!h->n.v.phys)
		sleep_us(50);
	for (i = 0; h->n.v.phys && i < 5000; i++)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

bool fresh_pair(struct test *t, struct hostile *h, u16 qid, u32 sq, u32 cq)
{
	int rc;

	nvme_free_all(&h->n);
	rc = nvme_delete_all(&h->n);
	if (!EXPECT(t, !rc, "queues cannot be deleted (%x)", rc))
		return false;
	rc = nvme_create_pair(&h->n, &h->q, qid, sq, cq, qid % 2);
	memset(h->shot, 0, sizeof(h->shot));
	h->outstanding = 0;
	return EXPECT(t, !rc, "no pair %u of %u and %u entries (%x)", qid, sq, cq, rc);
}

static void count(struct hostile *h, int status)
{
	if (status)
		h->refused++;
	else
		h->passed++;
}

static void judge(struct test *t, struct hostile *h, const struct nvme_cqe *cqe)
{
	int status = nvme_status(cqe);
	struct shot *s;
	const u32 *dw;

	count(h, status);
	if (!EXPECT(t, cqe->cid < SLOTS && h->shot[cqe->cid].busy && cqe->sqid == h->q.qid,
		    "a completion of CID %x, SQID %u", cqe->cid, cqe->sqid))
		return;
	s = &h->shot[cqe->cid];
	s->busy = false;
	h->outstanding--;
	if (model_allows(s->verdict, status))
		return;
	if (h->resets && s->sqe.opcode == IO_COPY && status == SC_NS_NOT_READY)
		return;
	dw = (u32 *)&s->sqe;
	EXPECT(t, false, "status %03x, verdict %03x, now %03x", status, s->verdict,
	       model_verdict(h, &s->sqe, cqe->cid));
	diag("%08x %08x prp %08x%08x %08x%08x cdw10 %08x %08x %08x", dw[0], dw[1], dw[7], dw[6],
	     dw[9], dw[8], dw[10], dw[11], dw[12]);
}

unsigned int reap_shots(struct test *t, struct hostile *h, bool judged)
{
	struct nvme_cqe cqe;
	unsigned int nr = 0;

	while (nvme_reap(&h->n, &h->q, &cqe)) {
		nr++;
		if (judged) {
			judge(t, h, &cqe);
		} else {
			count(h, nvme_status(&cqe));
			h->outstanding--;
		}
	}
	return nr;
}

bool drain_shots(struct test *t, struct hostile *h, bool judged)
{
	u64 end = now_ms() + WAIT_MS;

	while (h->outstanding && now_ms() < end)
		if (!reap_shots(t, h, judged))
			relax(h);
	return EXPECT(t, !h->outstanding, "%u commands of a ring of %u/%u do not come back",
		      h->outstanding, h->q.sq_depth, h->q.cq_depth);
}

void send_shots(struct hostile *h, gen_fn gen, bool judged)
{
	unsigned int slot, room = h->q.sq_depth - 1 - h->outstanding, nr = 0;

	for (slot = 0; slot < SLOTS && nr < room; slot++) {
		struct shot *s = &h->shot[slot];

		if (judged && s->busy)
			continue;
		gen(h, &s->sqe, slot);
		s->verdict = judged ? model_verdict(h, &s->sqe, slot) : 0;
		s->busy = true;
		h->q.next_cid = slot;
		nvme_queue_cmd(&h->q, &s->sqe);
		nr++;
	}
	h->outstanding += nr;
	h->sent += nr;
	if (nr)
		nvme_ring(&h->n, &h->q);
}
