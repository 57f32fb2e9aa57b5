// SPDX-License-Identifier: GPL-2.0
/*
 * The pure part of admin mediation: queues.c, identify.c, features.c, log.c, used in
 * the order in which admin.c uses them, on any commands and any data of the hardware.
 */
#include "fuzz.h"

#define DATA_SIZE	4096
#define MDTS		(128U << 10)

static struct liov_queues queues;
static struct liov_features features;
static struct liov_log_state log_state;
static struct liov_ident ident;
static struct liov_guard guard;

/* The counts and the lists tell the same story. */
static void check_queues(void)
{
	unsigned int i, j, n;

	for (i = 1; i <= LIOV_MAX_PAIRS; i++) {
		if (i > queues.nr_pairs)
			MUST(!queues.cq[i].valid && !queues.sq[i].valid);
		MUST(!queues.cq[i].valid || queues.cq[i].vector < queues.nr_vectors);
		MUST(!queues.sq[i].valid || queues.cq[queues.sq[i].cqid].valid);
		for (j = 1, n = 0; j <= LIOV_MAX_PAIRS; j++)
			n += queues.sq[j].valid && queues.sq[j].cqid == i;
		MUST(queues.cq[i].nr_sqs == n);
	}
	MUST(!queues.cq[0].valid && !queues.sq[0].valid);
}

static void queue_command(struct dice *d)
{
	struct nvme_command c;
	u16 status = 0;

	any_command(d, &c);
	if (dice_roll(d, 4)) {
		/* likely to pass */
		c.create_cq.prp1 = cpu_to_le64(dice_any(d, 4) * DATA_SIZE);
		c.create_cq.cqid = cpu_to_le16(dice_roll(d, 18));
		c.create_cq.qsize = cpu_to_le16(1 + dice_roll(d, 64));
		c.create_cq.cq_flags |= cpu_to_le16(1);
		c.create_cq.irq_vector = cpu_to_le16(dice_roll(d, 18));
	}
	switch (dice_roll(d, 5)) {
	case 0:
		status = liov_check_create_cq(&queues, &c);
		if (!status)
			liov_queues_add_cq(&queues, &c);
		break;
	case 1:
		status = liov_check_create_sq(&queues, &c);
		if (!status)
			liov_queues_add_sq(&queues, &c);
		break;
	case 2:
		status = liov_check_delete_cq(&queues, &c);
		if (!status)
			liov_queues_del_cq(&queues, le16_to_cpu(c.delete_queue.qid));
		break;
	case 3:
		status = liov_check_delete_sq(&queues, &c);
		if (!status)
			liov_queues_del_sq(&queues, le16_to_cpu(c.delete_queue.qid));
		break;
	default:
		if (one_in(d, 16))
			liov_queues_clear(&queues);
	}
	MUST(!status || status & NVME_STATUS_DNR);
	check_queues();
}

/* The hardware's data: junk, with what the fuzzer cares for anywhere in it. */
static void hardware_data(struct dice *d, u8 *data, u32 size)
{
	u32 n;

	memset(data, dice_any(d, 1), size);
	for (n = dice_roll(d, 16); n; n--)
		data[dice_roll(d, size)] = dice_any(d, 1);
}

static void check_ctrl(const struct nvme_id_ctrl *id)
{
	MUST(le32_to_cpu(id->nn) == max(ident.nsid, 1U));
	MUST(!id->cmic && !id->oacs && !id->fuses && !id->sgls);
	if (!ident.guard)
		return;
	/* what is offered passes, and the other way round */
	MUST((le16_to_cpu(id->oncs) & ~(1 << 6) & ~guard.oncs) == 0);
	MUST(!id->mdts || (4096ULL << id->mdts) <= guard.max_bytes);
}

static void check_ns(const struct nvme_id_ns *ns)
{
	MUST(!ns->nmic);
	if (!ident.guard)
		return;
	MUST(le64_to_cpu(ns->nsze) == guard.nlb && le64_to_cpu(ns->ncap) == guard.nlb);
	MUST(!ns->flbas && !ns->dps && ns->lbaf[0].ds == guard.lba_shift && !ns->lbaf[0].ms);
}

/* What is told is what passes, and there is a limit to everything offered. */
static void check_cs_ctrl(const struct nvme_id_ctrl_nvm *nvm)
{
	if (!ident.guard)
		return;
	MUST(nvm->vsl ? (4096ULL << nvm->vsl) <= guard.max_verify : !(guard.oncs & 1 << 7));
	MUST(nvm->wzsl ? (4096ULL << nvm->wzsl) <= guard.max_zeroes : !(guard.oncs & 1 << 3));
	MUST(nvm->wusl ? (4096ULL << nvm->wusl) <= guard.max_uncor : !(guard.oncs & 1 << 1));
	MUST(!(guard.oncs & 1 << 2) == !nvm->dmsl && nvm->dmrsl <= nvm->dmsl);
	MUST(max(max(guard.max_verify, guard.max_zeroes), guard.max_uncor) <= 8U << 20);
	MUST((u64)guard.max_copy << guard.lba_shift <= 8U << 20);
	MUST(guard.max_dsm << guard.lba_shift <= 32ULL << 30);
}

/* The instance's guard is made of what the hardware says. */
static void make_guard(struct dice *d)
{
	u8 *data = malloc(DATA_SIZE);

	memset(&guard, 0, sizeof(guard));
	guard.nsid = ident.nsid;
	guard.nlb = dice_any(d, 4) + 1;
	guard.first = dice_any(d, 5);
	guard.lba_shift = dice_roll(d, 2) ? 9 : 12;
	/* a drive's MDTS is 8 KiB at least, or none */
	guard.max_bytes = 8192U << dice_roll(d, 9);
	hardware_data(d, data, DATA_SIZE);
	guard.oncs = liov_identify_oncs((void *)data, true);
	liov_identify_copy((void *)data, &guard.max_copy, &guard.max_copy_range,
			   &guard.max_copy_ranges);
	MUST(guard.max_copy_ranges && guard.max_copy_ranges <= 256);
	hardware_data(d, data, DATA_SIZE);
	liov_limits_make(&guard, (void *)data, 12 + dice_roll(d, 16));
	free(data);
}

static void identify_command(struct dice *d)
{
	static const u8 known[] = { 0, 1, 2, 3, 5, 6, 7, 8, 0x1c };
	enum liov_identify_src src;
	u8 *data = malloc(DATA_SIZE);
	struct nvme_command c;
	u16 status = 0;
	u32 i, v;

	any_command(d, &c);
	if (dice_roll(d, 8))
		c.identify.cns = known[dice_roll(d, ARRAY_SIZE(known))];
	if (dice_roll(d, 4))
		c.identify.nsid = cpu_to_le32(dice_roll(d, 2) ? ident.nsid : dice_roll(d, 4));
	if (dice_roll(d, 4))
		c.identify.csi = 0;
	src = liov_identify_route(&c, &ident, &status);
	MUST((src == LIOV_IDENTIFY_REFUSE) == !!status);
	MUST(!status || status & NVME_STATUS_DNR);
	hardware_data(d, data, DATA_SIZE);
	switch (src) {
	case LIOV_IDENTIFY_CTRL:
		liov_identify_ctrl(data, &ident);
		check_ctrl((void *)data);
		break;
	case LIOV_IDENTIFY_NS:
		liov_identify_ns(data, &ident);
		check_ns((void *)data);
		break;
	case LIOV_IDENTIFY_CS_CTRL:
		liov_identify_cs_ctrl(data, &ident);
		check_cs_ctrl((void *)data);
		break;
	case LIOV_IDENTIFY_CS_NS:
		liov_identify_cs_ns(data);
		break;
	case LIOV_IDENTIFY_NS_INDEP:
		liov_identify_ns_indep(data);
		break;
	case LIOV_IDENTIFY_NS_LIST:
		memset(data, 0, DATA_SIZE);
		liov_identify_ns_list(data, &ident, le32_to_cpu(c.identify.nsid));
		for (i = 0; i < DATA_SIZE; i += 4) {
			memcpy(&v, data + i, 4);
			MUST(!v || (!i && v == ident.nsid));
		}
		break;
	case LIOV_IDENTIFY_NS_DESC:
		memset(data, 0, DATA_SIZE);
		liov_identify_ns_desc(data, &ident, dice_roll(d, 2));
		break;
	default:
		break;
	}
	free(data);
}

static void check_features(void)
{
	MUST(features.nr_pairs == ident.nr_pairs && features.nsid == ident.nsid);
	MUST(features.volatile_wc <= 1);
	MUST(features.timestamp >> 48 == 0);
}

static void feature_command(struct dice *d)
{
	struct nvme_command c;
	u32 result = 0, again = 0, len;
	u64 now = dice_any(d, 6);
	bool set = dice_roll(d, 2), exist = dice_roll(d, 2);
	u8 *data;
	u16 status;

	any_command(d, &c);
	if (dice_roll(d, 4))
		c.features.fid = cpu_to_le32(dice_roll(d, 0x20) |
					     (dice_roll(d, 8) ? 0 : dice_any(d, 4)));
	if (dice_roll(d, 4))
		c.features.nsid = cpu_to_le32(dice_roll(d, 2) ? 0 : ident.nsid);
	len = liov_features_data_len(&features, &c);
	MUST(len <= DATA_SIZE);
	/* exactly what the command moves, and none if there is none */
	data = len ? malloc(len) : NULL;
	for (u32 i = 0; i < len; i++)
		data[i] = dice_any(d, 1);
	if (set) {
		status = liov_set_features(&features, &c, data, exist, now, &result);
		/* what was taken can be asked for */
		if (!status)
			MUST(!liov_get_features(&features, &c, data, now, &again) ||
			     le32_to_cpu(c.features.fid) & 0x700 ||
			     le32_to_cpu(c.features.nsid) == NVME_NSID_ALL ||
			     (le32_to_cpu(c.features.fid) & 0xff) == NVME_FEAT_TEMP_THRESH);
	} else {
		status = liov_get_features(&features, &c, data, now, &result);
	}
	MUST(!status || status & NVME_STATUS_DNR);
	MUST(!status || !result);
	free(data);
	check_features();
}

static void log_command(struct dice *d)
{
	static const u8 lids[] = { 0, 1, 2, 3, 4, 5, 0x70 };
	struct liov_log_req req = { };
	enum liov_log_src src;
	struct nvme_command c;
	u16 status = 0;
	u32 size;
	u8 *data;

	any_command(d, &c);
	if (dice_roll(d, 8))
		c.get_log_page.lid = lids[dice_roll(d, ARRAY_SIZE(lids))];
	if (dice_roll(d, 4)) {
		c.get_log_page.numdu = 0;
		c.get_log_page.lpo = cpu_to_le64(dice_roll(d, 1100) * 4);
		c.get_log_page.nsid = cpu_to_le32(dice_roll(d, 2) ? 0 : NVME_NSID_ALL);
		c.get_log_page.csi = 0;
		memset(c.get_log_page.rsvd14, 0, sizeof(c.get_log_page.rsvd14));
	}
	src = liov_log_route(&c, &ident, MDTS, &req, &status);
	MUST((src == LIOV_LOG_REFUSE) == !!status);
	MUST(!status || status & NVME_STATUS_DNR);
	if (src == LIOV_LOG_REFUSE)
		return;

	MUST(req.len && req.len <= MDTS && req.len % 4 == 0);
	MUST(req.size && req.offset <= req.size);
	/* as admin.c has it: the page, and zeroes behind it */
	size = max_t(u64, req.size, req.offset + req.len);
	MUST(size <= MDTS + DATA_SIZE);
	/* one byte more than the page, and it is seen */
	data = malloc(req.size);
	hardware_data(d, data, req.size);
	if (src == LIOV_LOG_PASS)
		liov_log_filter(&req, data);
	else
		liov_log_build(&req, &log_state, data);
	free(data);
}

int fuzz_one_input(const u8 *data, size_t size)
{
	struct dice d = { .data = data, .size = size };
	u8 *id_ctrl = malloc(DATA_SIZE);
	unsigned int i;

	memset(&queues, 0, sizeof(queues));
	memset(&log_state, 0, sizeof(log_state));
	memset(&ident, 0, sizeof(ident));
	queues.nr_pairs = 1 + dice_roll(&d, LIOV_MAX_PAIRS);
	queues.nr_vectors = 1 + dice_roll(&d, queues.nr_pairs + 1);
	queues.mqes = dice_any(&d, 2) | 1;
	queues.page_size = 4096;
	for (i = 0; i < sizeof(ident.uuid); i++)
		ident.uuid.b[i] = dice_any(&d, 1);
	ident.nsid = dice_roll(&d, 4);
	ident.nr_pairs = queues.nr_pairs;
	ident.vs = dice_roll(&d, 2) ? 0x20000 : 0x10300;
	ident.cntlid = 1;
	make_guard(&d);
	if (ident.nsid && dice_roll(&d, 2))
		ident.guard = &guard;
	hardware_data(&d, id_ctrl, DATA_SIZE);
	liov_features_init(&features, queues.nr_pairs, ident.nsid, dice_roll(&d, 2),
			   (void *)id_ctrl);
	check_features();

	while (d.size) {
		switch (dice_roll(&d, 8)) {
		case 0:
		case 1:
		case 2:
			queue_command(&d);
			break;
		case 3:
			identify_command(&d);
			break;
		case 4:
		case 5:
			feature_command(&d);
			break;
		case 6:
			log_command(&d);
			break;
		default:
			if (one_in(&d, 8))
				liov_features_reset(&features);
			liov_log_record_error(&log_state, dice_any(&d, 2), dice_any(&d, 2),
					      dice_any(&d, 2), dice_any(&d, 4));
			log_state.changed_ns = dice_roll(&d, 2);
		}
	}
	free(id_ctrl);
	return 0;
}
