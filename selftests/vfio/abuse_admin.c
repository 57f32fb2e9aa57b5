// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of admin commands: what an instance does not offer is refused with the
 * status of the specification (NVMe Base 2.0 section 5), and nothing a guest
 * sets reaches the drive as a whole.
 */
#include <string.h>

#include "abuse.h"

#define FEAT_SAVE	BIT(31)

/* @arg: first opcode | last opcode << 8. */
static void opcode_is_refused(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	unsigned int op;

	for (op = t->arg & 0xff; op <= (unsigned int)t->arg >> 8; op++) {
		struct nvme_sqe sqe = {
			.opcode = op,
			.nsid = n->nsid,
			.prp1 = nvme_dma(n, buf),
		};
		int rc = nvme_admin(n, &sqe, NULL);

		if (!EXPECT(t, rc == SC_INVALID_OPCODE, "opcode %02x: status %x", op, rc))
			return;
	}
}

static void refused_for_all_namespaces_too(struct test *t, struct nvme *n)
{
	const u8 ops[] = { 0x80, 0x84, 0x86 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		struct nvme_sqe sqe = { .opcode = ops[i], .nsid = 0xffffffff, .cdw10 = 1 };

		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "NSID FFFFFFFFh", SC_INVALID_OPCODE);
	}
}

static int set_feature(struct nvme *n, u32 fid, u32 val)
{
	struct nvme_sqe sqe = {
		.opcode = ADM_SET_FEATURES,
		.prp1 = nvme_dma(n, nvme_alloc(n, 4096)),
		.cdw10 = fid,
		.cdw11 = val,
	};

	return nvme_admin(n, &sqe, NULL);
}

/* @arg: feature identifier. */
static void feature_is_refused(struct test *t, struct nvme *n)
{
	int rc = set_feature(n, t->arg, 1);

	EXPECT_SC(t, rc, "Set Features", SC_INVALID_FIELD, SC_NOT_CHANGEABLE, SC_INVALID_NS);
}

static void no_feature_is_saved(struct test *t, struct nvme *n)
{
	const u8 fids[] = { 0x01, 0x04, 0x07, 0x08, 0x0b };
	unsigned int i;

	for (i = 0; i < sizeof(fids); i++)
		EXPECT_SC(t, set_feature(n, FEAT_SAVE | fids[i], 0x00010001), "SV = 1",
			  SC_NOT_SAVEABLE, SC_INVALID_FIELD);
}

static void number_of_queues_after_create(struct test *t, struct nvme *n)
{
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, 0), "no pair");
	EXPECT_SC(t, set_feature(n, 7, 0), "Number of Queues", SC_SEQUENCE);
}

static void number_of_queues_ffff(struct test *t, struct nvme *n)
{
	EXPECT_SC(t, set_feature(n, 7, 0x0000ffff), "NSQR FFFFh", SC_INVALID_FIELD);
	EXPECT_SC(t, set_feature(n, 7, 0xffff0000), "NCQR FFFFh", SC_INVALID_FIELD);
}

static void irq_config_of_no_vector(struct test *t, struct nvme *n)
{
	EXPECT_SC(t, set_feature(n, 9, n->v.nr_vectors), "vector n", SC_INVALID_FIELD);
	EXPECT_SC(t, set_feature(n, 9, 0xffff), "vector FFFFh", SC_INVALID_FIELD);
}

static void get_unknown_feature(struct test *t, struct nvme *n)
{
	const u32 fids[] = { 0x00, 0x7f, 0xc0, 0xff, 0x701, 0x401 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fids); i++) {
		struct nvme_sqe sqe = { .opcode = ADM_GET_FEATURES, .cdw10 = fids[i] };
		int rc = nvme_admin(n, &sqe, NULL);

		EXPECT(t, rc == SC_INVALID_FIELD, "CDW10 %#x: status %x", fids[i], rc);
	}
}

static void features_of_a_foreign_namespace(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_SET_FEATURES, .nsid = 0xfffffff0, .cdw10 = 5 };

	/* Error Recovery belongs to namespaces. */
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Error Recovery", SC_ANY_ERROR);
	sqe.opcode = ADM_GET_FEATURES;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "its value", SC_ANY_ERROR);
}

/* @arg: log identifier. */
static void log_is_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_log(t->arg, 0xffffffff, nvme_dma(n, nvme_alloc(n, 4096)), 512);

	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Get Log Page", SC_LOG_INVALID, SC_INVALID_FIELD);
}

static void log_offset_beyond_end(struct test *t, struct nvme *n)
{
	const u64 offs[] = { 4, 512, 513, 1 << 20, 1ULL << 32, ~0ULL - 3, ~0ULL - 511 };
	u8 *buf = nvme_alloc(n, 4096);
	const u8 lids[] = { 1, 2, 3, 5 };
	unsigned int i, j;

	for (j = 0; j < sizeof(lids); j++) {
		for (i = 0; i < ARRAY_SIZE(offs); i++) {
			struct nvme_sqe sqe = cmd_log(lids[j], 0xffffffff, nvme_dma(n, buf), 512);
			int rc;

			sqe.cdw12 = (u32)offs[i];
			sqe.cdw13 = offs[i] >> 32;
			rc = nvme_admin(n, &sqe, NULL);
			EXPECT(t, rc > 0 || (!rc && offs[i] < SZ_4K),
			       "log %u at %#llx: status %x", lids[j], offs[i], rc);
		}
	}
}

static void log_of_every_length(struct test *t, struct nvme *n)
{
	const u32 lens[] = { 4, 8, 64, 508, 516, 4092, 4096 };
	u8 *buf = nvme_alloc(n, 3 * 4096);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		struct nvme_sqe sqe = cmd_log(2, 0xffffffff, nvme_dma(n, buf), lens[i]);

		memset(buf, 0x5a, 3 * 4096);
		EXPECT(t, nvme_admin(n, &sqe, NULL) >= 0, "%u bytes: no answer", lens[i]);
		EXPECT(t, buf[lens[i]] == 0x5a, "%u bytes: more was written", lens[i]);
	}
}

static void log_longer_than_any(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_log(2, 0xffffffff, nvme_dma(n, nvme_alloc(n, 4096)), 512);

	sqe.cdw10 |= 0xffff0000;
	sqe.cdw11 |= 0xffff;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "16 GiB of log", SC_ANY_ERROR);
}

/* @arg: CNS. */
static void cns_is_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_identify(t->arg, 0, nvme_dma(n, nvme_alloc(n, 4096)));

	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_INVALID_FIELD);
}

static void identify_of_no_namespace(struct test *t, struct nvme *n)
{
	const u32 nsids[] = { 0, 0xfffffffe, 0xffffffff, 0x7fffffff };
	void *buf = nvme_alloc(n, 4096);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nsids); i++) {
		struct nvme_sqe sqe = cmd_identify(0, nsids[i], nvme_dma(n, buf));

		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify Namespace", SC_INVALID_NS);
	}
}

static void other_namespaces_are_inactive(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 4096);
	u32 nn, nsid, i;

	memcpy(&nn, n->id + 516, sizeof(nn));
	for (nsid = 1; nsid <= nn && nsid <= 64; nsid++) {
		struct nvme_sqe sqe = cmd_identify(0, nsid, nvme_dma(n, buf));

		if (nsid == n->nsid)
			continue;
		memset(buf, 0xff, 4096);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify Namespace", SC_OK);
		for (i = 0; i < 4096 && !buf[i]; i++)
			;
		if (!EXPECT(t, i == 4096, "NSID %u tells something", nsid))
			return;
	}
}

static void namespace_list_beyond_end(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_sqe sqe = cmd_identify(2, 0xfffffffe, nvme_dma(n, buf));
	u32 first = ~0U;

	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "list after FFFFFFFEh", SC_INVALID_NS);
	sqe = cmd_identify(2, n->nsid, nvme_dma(n, buf));
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "list after the only one", SC_OK);
	memcpy(&first, buf, sizeof(first));
	EXPECT(t, !first, "NSID %u follows", first);
}

/* @arg: FUSE and PSDT. */
static void flags_are_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, nvme_alloc(n, 4096)));

	sqe.flags = t->arg;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_INVALID_FIELD);
}

static void abort_of_nothing(struct test *t, struct nvme *n)
{
	const u32 args[] = { 0x77770000, 0x00000001, 0x0000ffff, 0xffff0011 };
	unsigned int i;
	u32 result;

	for (i = 0; i < ARRAY_SIZE(args); i++) {
		struct nvme_sqe sqe = { .opcode = ADM_ABORT, .cdw10 = args[i] };
		int rc = nvme_admin(n, &sqe, &result);

		EXPECT(t, rc == SC_INVALID_FIELD || rc == SC_QID_INVALID ||
		       (!rc && (result & 1)), "CDW10 %#x: status %x, result %x", args[i], rc,
		       result);
	}
}

static void too_many_aers(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_AER };
	unsigned int i, aerl;
	struct nvme_cqe cqe;

	if (!EXPECT(t, !nvme_restart(n), "reset"))
		return;
	aerl = n->id[259];
	if (aerl + 2 >= n->adm.sq_depth) {
		t->skipped = "AERL is larger than our admin queue";
		return;
	}
	for (i = 0; i <= aerl; i++)
		nvme_submit(n, &n->adm, &sqe);
	EXPECT(t, !nvme_reap(n, &n->adm, &cqe), "one of the first AERL + 1 completed");
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "AERL + 2", SC_AER_LIMIT);
}

static void aers_with_one_cid(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_AER };
	struct nvme_cqe cqe;
	u16 cid = n->adm.next_cid;

	nvme_submit(n, &n->adm, &sqe);
	n->adm.next_cid = cid;
	nvme_submit(n, &n->adm, &sqe);
	if (!nvme_wait(n, &n->adm, cid, &cqe, QUIET_MS))
		EXPECT(t, nvme_status(&cqe) == SC_CID_CONFLICT, "status %x", nvme_status(&cqe));
	/* Whatever became of them, the other commands go on. */
	n->adm.next_cid = cid + 1;
}

static void full_admin_ring_of_rubbish(struct test *t, struct nvme *n)
{
	unsigned int i, round;
	struct nvme_cqe cqe;

	for (round = 0; round < 20; round++) {
		u16 cid = 0;

		for (i = 0; i < n->adm.sq_depth - 2; i++) {
			struct nvme_sqe sqe;

			fill_pattern(&sqe, sizeof(sqe), round * 100 + i);
			/* Nothing that a pattern could do by luck: not AER, not queues. */
			sqe.opcode = 0xc0 | (sqe.opcode & 0x3f);
			cid = nvme_queue_cmd(&n->adm, &sqe);
		}
		nvme_ring(n, &n->adm);
		if (!EXPECT(t, !nvme_wait(n, &n->adm, cid, &cqe, WAIT_MS), "round %u", round))
			return;
		n->adm.nr_seen = 0;
	}
}

#define OPS(a, b)	((a) | (b) << 8)

static struct test tests[] = {
	{ "reserved_opcodes_are_refused", opcode_is_refused, 0, OPS(0x0e, 0x0f) },
	{ "firmware_commit_and_download_are_refused", opcode_is_refused, 0, OPS(0x10, 0x11) },
	{ "namespace_management_is_refused", opcode_is_refused, 0, OPS(0x0d, 0x0d) },
	{ "namespace_attachment_is_refused", opcode_is_refused, 0, OPS(0x15, 0x15) },
	{ "device_self_test_is_refused", opcode_is_refused, 0, OPS(0x14, 0x14) },
	{ "keep_alive_is_refused", opcode_is_refused, 0, OPS(0x18, 0x18) },
	{ "directives_are_refused", opcode_is_refused, 0, OPS(0x19, 0x1a) },
	{ "virtualization_management_is_refused", opcode_is_refused, 0, OPS(0x1c, 0x1c) },
	{ "nvme_mi_is_refused", opcode_is_refused, 0, OPS(0x1d, 0x1e) },
	{ "capacity_management_and_lockdown_are_refused", opcode_is_refused, 0,
	  OPS(0x20, 0x24) },
	{ "doorbell_buffer_config_is_refused", opcode_is_refused, 0, OPS(0x7c, 0x7c) },
	{ "fabrics_commands_are_refused", opcode_is_refused, 0, OPS(0x7f, 0x7f) },
	{ "format_nvm_is_refused", opcode_is_refused, 0, OPS(0x80, 0x80) },
	{ "security_send_and_receive_are_refused", opcode_is_refused, 0, OPS(0x81, 0x82) },
	{ "sanitize_is_refused", opcode_is_refused, 0, OPS(0x84, 0x84) },
	{ "get_lba_status_is_refused", opcode_is_refused, 0, OPS(0x86, 0x86) },
	{ "vendor_commands_are_refused", opcode_is_refused, 0, OPS(0xc0, 0xff) },
	{ "format_and_sanitize_of_all_namespaces_are_refused", refused_for_all_namespaces_too },
	{ "set_reserved_feature_is_refused", feature_is_refused, 0, 0x00 },
	{ "set_host_memory_buffer_is_refused", feature_is_refused, 0, 0x0d },
	{ "set_keep_alive_timer_is_refused", feature_is_refused, 0, 0x0f },
	{ "set_thermal_management_is_refused", feature_is_refused, 0, 0x10 },
	{ "set_predictable_latency_is_refused", feature_is_refused, 0, 0x13 },
	{ "set_sanitize_config_is_refused", feature_is_refused, 0, 0x17 },
	{ "set_endurance_group_event_is_refused", feature_is_refused, 0, 0x18 },
	{ "set_namespace_write_protection_is_refused", feature_is_refused, 0, 0x84 },
	{ "set_vendor_feature_is_refused", feature_is_refused, 0, 0xc0 },
	{ "no_feature_can_be_saved", no_feature_is_saved },
	{ "number_of_queues_is_fixed_once_a_queue_exists", number_of_queues_after_create },
	{ "number_of_queues_ffff_is_refused", number_of_queues_ffff },
	{ "interrupt_config_of_no_vector_is_refused", irq_config_of_no_vector },
	{ "get_unknown_feature_is_refused", get_unknown_feature },
	{ "features_of_a_foreign_namespace_are_refused", features_of_a_foreign_namespace },
	{ "reserved_log_page_is_refused", log_is_refused, 0, 0x6f },
	{ "vendor_log_page_is_refused", log_is_refused, 0, 0xc0 },
	{ "telemetry_log_is_refused", log_is_refused, 0, 0x07 },
	{ "persistent_event_log_is_refused", log_is_refused, 0, 0x0d },
	{ "log_offset_beyond_the_end", log_offset_beyond_end },
	{ "log_of_every_length", log_of_every_length },
	{ "log_of_16_gib_is_refused", log_longer_than_any },
	{ "reserved_cns_is_refused", cns_is_refused, 0, 0xff },
	{ "allocated_namespace_list_is_refused", cns_is_refused, 0, 0x10 },
	{ "secondary_controller_list_is_refused", cns_is_refused, 0, 0x15 },
	{ "identify_of_no_namespace_is_refused", identify_of_no_namespace },
	{ "other_namespaces_are_inactive", other_namespaces_are_inactive },
	{ "namespace_list_ends", namespace_list_beyond_end },
	{ "fused_admin_command_is_refused", flags_are_refused, 0, 0x01 },
	{ "sgl_is_refused", flags_are_refused, 0, 0x40 },
	{ "reserved_psdt_is_refused", flags_are_refused, 0, 0xc0 },
	{ "abort_of_nothing_aborts_nothing", abort_of_nothing },
	{ "aer_beyond_the_limit_is_refused", too_many_aers, TEST_RESETS },
	{ "two_aers_with_one_cid", aers_with_one_cid, TEST_RESETS },
	{ "rings_full_of_rubbish", full_admin_ring_of_rubbish, TEST_RESETS },
};

const struct suite suite_admin = { "admin", tests, ARRAY_SIZE(tests) };
