// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of the controller registers (NVMe Base 2.0 section 3.1.3): what is read
 * only stays, what cannot be enabled ends in CSTS.CFS, and no access of any
 * size or place does more than its own harm.
 */
#include <string.h>

#include "abuse.h"

static void read_only_register(struct test *t, struct nvme *n)
{
	/* VS shares its 8 bytes with INTMS, which can be written. */
	u64 mask = t->arg == REG_VS ? 0xffffffff : ~0ULL;
	u64 before = nvme_get64(n, t->arg) & mask;

	nvme_put64(n, t->arg, ~before & mask);
	EXPECT(t, (nvme_get64(n, t->arg) & mask) == before, "64-bit write: %#llx became %#llx",
	       before, nvme_get64(n, t->arg));
	nvme_put32(n, t->arg, 0xffffffff);
	EXPECT(t, (nvme_get64(n, t->arg) & mask) == before, "32-bit write: %#llx became %#llx",
	       before, nvme_get64(n, t->arg));
}

static void csts_is_read_only(struct test *t, struct nvme *n)
{
	u32 before = nvme_get32(n, REG_CSTS);

	nvme_put32(n, REG_CSTS, 0);
	EXPECT(t, nvme_get32(n, REG_CSTS) == before, "0 made it %#x", nvme_get32(n, REG_CSTS));
	nvme_put32(n, REG_CSTS, 0xffffffff);
	EXPECT(t, nvme_get32(n, REG_CSTS) == before, "ones made it %#x",
	       nvme_get32(n, REG_CSTS));
}

static void unsupported_registers_read_zero(struct test *t, struct nvme *n)
{
	/* Reserved, NSSR, CMB, boot partition, CMB control, PMR. */
	const u32 regs[] = { 0x18, 0x20, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x50, 0x58, 0x5c,
			     0xe00, 0xe04, 0xe14, 0xffc };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		nvme_put32(n, regs[i], 0xa5a5a5a5);
		EXPECT(t, !nvme_get32(n, regs[i]), "%#x reads %#x", regs[i],
		       nvme_get32(n, regs[i]));
	}
}

/* Writes CC.EN = 1 with @cc and sees what becomes of it. */
static void expect_fatal(struct test *t, struct nvme *n, u32 cc)
{
	int rc;

	nvme_put32(n, REG_CC, cc | CC_EN);
	rc = nvme_wait_csts(n, CSTS_CFS, CSTS_CFS, n->timeout_ms);
	EXPECT(t, !rc, "CSTS %#x, not fatal", nvme_get32(n, REG_CSTS));
	EXPECT(t, !(nvme_get32(n, REG_CSTS) & CSTS_RDY), "it says it is ready");
}

static u32 good_cc(struct nvme *n)
{
	return CC_MPS(n->cap >> 48 & 0xf) | CC_IOSQES | CC_IOCQES;
}

/* Addresses and sizes of the admin queue as nvme_enable() left them. */
static bool disable(struct test *t, struct nvme *n)
{
	return EXPECT(t, !nvme_disable(n), "CC.EN = 0 does not clear CSTS.RDY");
}

static void bad_mps_is_fatal(struct test *t, struct nvme *n)
{
	u32 mpsmax = n->cap >> 52 & 0xf;

	if (mpsmax == 15)
		t->skipped = "every page size is supported";
	else if (disable(t, n))
		expect_fatal(t, n, (good_cc(n) & ~CC_MPS(15)) | CC_MPS(mpsmax + 1));
}

static void bad_css_is_fatal(struct test *t, struct nvme *n)
{
	if (disable(t, n))
		expect_fatal(t, n, good_cc(n) | CC_CSS(2));
}

static void bad_ams_is_fatal(struct test *t, struct nvme *n)
{
	if (disable(t, n))
		expect_fatal(t, n, good_cc(n) | CC_AMS(3));
}

static void bad_admin_queue_is_fatal(struct test *t, struct nvme *n)
{
	/* ASQ, ACQ, both; nowhere or zero. */
	static const struct {
		bool asq, acq;
		u64 addr;
	} c[] = {
		{ true, false, NOWHERE }, { false, true, NOWHERE },
		{ true, true, 0 }, { true, true, NOWHERE_HIGH },
	};

	if (!disable(t, n))
		return;
	if (c[t->arg].asq)
		nvme_put64(n, REG_ASQ, c[t->arg].addr);
	if (c[t->arg].acq)
		nvme_put64(n, REG_ACQ, c[t->arg].addr);
	expect_fatal(t, n, good_cc(n));
}

static void fatal_is_left_by_reset(struct test *t, struct nvme *n)
{
	if (!disable(t, n))
		return;
	nvme_put64(n, REG_ASQ, 0);
	expect_fatal(t, n, good_cc(n));
	EXPECT(t, !nvme_disable(n), "CC.EN = 0 does not help");
	EXPECT(t, !(nvme_get32(n, REG_CSTS) & CSTS_CFS), "CSTS.CFS stays");
	EXPECT(t, !nvme_enable(n), "and it cannot be enabled again");
	EXPECT(t, !nvme_identify(n), "and not be used");
}

static void settles(struct test *t, struct nvme *n)
{
	u64 end = now_ms() + n->timeout_ms;
	u32 csts, rdy = nvme_get32(n, REG_CC) & CC_EN ? CSTS_RDY : 0;

	do {
		csts = nvme_get32(n, REG_CSTS);
		if ((csts & CSTS_CFS) || (csts & CSTS_RDY) == rdy)
			return;
		sleep_us(1000);
	} while (now_ms() < end);
	EXPECT(t, false, "CC %#x, but CSTS %#x", nvme_get32(n, REG_CC), csts);
}

static void one_entry_admin_queue_settles(struct test *t, struct nvme *n)
{
	if (!disable(t, n))
		return;
	nvme_put32(n, REG_AQA, 0);
	nvme_put32(n, REG_CC, good_cc(n) | CC_EN);
	settles(t, n);
}

static void admin_queue_is_fixed_while_enabled(struct test *t, struct nvme *n)
{
	u32 aqa = nvme_get32(n, REG_AQA);
	unsigned int i;
	void *buf = nvme_alloc(n, 4096);

	nvme_put32(n, REG_AQA, 1 << 16 | 1);
	nvme_put64(n, REG_ASQ, NOWHERE);
	nvme_put64(n, REG_ACQ, NOWHERE);
	for (i = 0; i < 70; i++) {
		struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, buf));

		if (!EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_OK))
			break;
	}
	nvme_put32(n, REG_AQA, aqa);
}

static void reserved_cc_bits_do_no_harm(struct test *t, struct nvme *n)
{
	u32 cc = nvme_get32(n, REG_CC);

	nvme_put32(n, REG_CC, cc | 0xfe00000e);
	settles(t, n);
	EXPECT(t, nvme_get32(n, REG_CSTS) & CSTS_RDY, "no longer ready");
	nvme_put32(n, REG_CC, cc);
}

static void cc_changed_while_enabled_settles(struct test *t, struct nvme *n)
{
	nvme_put32(n, REG_CC, CC_EN | CC_MPS(7) | CC_CSS(7) | CC_AMS(7) | 3U << 16);
	settles(t, n);
}

static void accesses_of_any_size_and_place(struct test *t, struct nvme *n)
{
	u8 buf[64];
	u32 off, len;

	for (len = 1; len <= 16; len++)
		for (off = 0; off < 0x60; off++)
			vfio_read(&n->v, BAR0, off, buf, len);
	memset(buf, 0, sizeof(buf));
	/* CAP and VS only: elsewhere the bytes could mean something. */
	for (len = 1; len <= 8; len++)
		for (off = 0; off + len <= REG_INTMS; off++)
			vfio_write(&n->v, BAR0, off, buf, len);
	EXPECT(t, nvme_get64(n, REG_CAP) == n->cap, "CAP changed");
}

static void narrow_cc_writes_settle(struct test *t, struct nvme *n)
{
	vfio_put(&n->v, BAR0, REG_CC + 1, 1, 0xff);
	vfio_put(&n->v, BAR0, REG_CC + 3, 1, 0xff);
	vfio_put(&n->v, BAR0, REG_CC + 2, 2, 0xffff);
	settles(t, n);
}

static void misaligned_64bit_access(struct test *t, struct nvme *n)
{
	u64 asq = nvme_get64(n, REG_ASQ);
	u32 off;

	for (off = 1; off < 8; off++) {
		u64 val = 0;

		vfio_read(&n->v, BAR0, REG_ASQ + off, &val, 8);
		vfio_write(&n->v, BAR0, off, &val, 8);
	}
	EXPECT(t, nvme_get64(n, REG_ASQ) == asq, "ASQ changed");
}

static void beyond_the_bar(struct test *t, struct nvme *n)
{
	u64 size = n->v.region[BAR0].size;
	const u64 offs[] = { size, size + 1, size + 0x1000, size * 2, 1ULL << 39,
			     (1ULL << 40) - 4 };
	u64 val = 0x1234;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		EXPECT(t, vfio_read(&n->v, BAR0, offs[i], &val, 4) <= 0, "read at %#llx",
		       offs[i]);
		EXPECT(t, vfio_write(&n->v, BAR0, offs[i], &val, 4) <= 0, "write at %#llx",
		       offs[i]);
	}
	EXPECT(t, vfio_read(&n->v, BAR0, size - 2, &val, 4) <= 2, "read across the end");
	EXPECT(t, vfio_write(&n->v, BAR0, size - 2, &val, 4) <= 2, "write across the end");
}

static void interrupt_mask_is_no_effect_with_msix(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, nvme_alloc(n, 4096)));

	nvme_put32(n, REG_INTMS, 0xffffffff);
	vfio_irq_wait(&n->v, 0, 0);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_OK);
	EXPECT(t, vfio_irq_wait(&n->v, 0, WAIT_MS), "the interrupt is masked");
	nvme_put32(n, REG_INTMC, 0xffffffff);
}

static void subsystem_reset_is_ignored(struct test *t, struct nvme *n)
{
	if (n->cap >> 36 & 1) {
		t->skipped = "NSSR is supported";
		return;
	}
	nvme_put32(n, REG_NSSR, 0x4e564d65);	/* "NVMe" */
	EXPECT(t, nvme_get32(n, REG_CSTS) & CSTS_RDY, "CSTS %#x", nvme_get32(n, REG_CSTS));
}

static void enable_storm_settles(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		nvme_put32(n, REG_CC, good_cc(n));
		nvme_put32(n, REG_CC, good_cc(n) | CC_EN);
	}
	settles(t, n);
	nvme_put32(n, REG_CC, good_cc(n));
	settles(t, n);
}

static void disable_forgets_queues(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	struct nvme_sqe sqe;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, 0), "no pair") || !disable(t, n) ||
	    !EXPECT(t, !nvme_enable(n), "cannot be enabled"))
		return;
	sqe = cmd_delete(ADM_DELETE_SQ, 1);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete SQ of an earlier life", SC_QID_INVALID);
	sqe = cmd_create_sq(1, 8, nvme_dma(n, nvme_alloc(n, 4096)), 1);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create SQ on its CQ", SC_CQ_INVALID);
}

static void after_shutdown_nothing_hangs(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, nvme_alloc(n, 4096)));
	struct nvme_cqe cqe;
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, 0), "no pair");
	nvme_put32(n, REG_CC, nvme_get32(n, REG_CC) | CC_SHN(t->arg));
	EXPECT(t, !nvme_wait_csts(n, CSTS_SHST, CSTS_SHST_DONE, 3 * n->timeout_ms),
	       "CSTS %#x", nvme_get32(n, REG_CSTS));
	/* Undefined whether these are answered. */
	nvme_wait(n, &n->adm, nvme_submit(n, &n->adm, &sqe), &cqe, QUIET_MS);
	sqe = (struct nvme_sqe){ .opcode = IO_FLUSH, .nsid = n->nsid };
	nvme_wait(n, &q, nvme_submit(n, &q, &sqe), &cqe, QUIET_MS);
}

static struct test tests[] = {
	{ "cap_is_read_only", read_only_register, 0, REG_CAP },
	{ "vs_is_read_only", read_only_register, 0, REG_VS },
	{ "csts_is_read_only", csts_is_read_only },
	{ "unsupported_registers_read_zero", unsupported_registers_read_zero },
	{ "unsupported_page_size_is_fatal", bad_mps_is_fatal, TEST_RESETS },
	{ "unsupported_command_set_is_fatal", bad_css_is_fatal, TEST_RESETS },
	{ "unsupported_arbitration_is_fatal", bad_ams_is_fatal, TEST_RESETS },
	{ "unmapped_asq_is_fatal", bad_admin_queue_is_fatal, TEST_RESETS, 0 },
	{ "unmapped_acq_is_fatal", bad_admin_queue_is_fatal, TEST_RESETS, 1 },
	{ "zero_asq_and_acq_are_fatal", bad_admin_queue_is_fatal, TEST_RESETS, 2 },
	{ "asq_at_the_end_of_the_address_space_is_fatal", bad_admin_queue_is_fatal,
	  TEST_RESETS, 3 },
	{ "controller_reset_clears_fatal", fatal_is_left_by_reset, TEST_RESETS },
	{ "admin_queue_of_one_entry_settles", one_entry_admin_queue_settles, TEST_RESETS },
	{ "aqa_asq_acq_are_fixed_while_enabled", admin_queue_is_fixed_while_enabled,
	  TEST_RESETS },
	{ "reserved_cc_bits_do_no_harm", reserved_cc_bits_do_no_harm },
	{ "cc_changed_while_enabled_settles", cc_changed_while_enabled_settles, TEST_RESETS },
	{ "register_accesses_of_any_size_and_place", accesses_of_any_size_and_place },
	{ "narrow_cc_writes_settle", narrow_cc_writes_settle, TEST_RESETS },
	{ "misaligned_64bit_accesses", misaligned_64bit_access },
	{ "accesses_beyond_the_bar_are_refused", beyond_the_bar },
	{ "intms_has_no_effect_with_msix", interrupt_mask_is_no_effect_with_msix },
	{ "nssr_without_support_is_ignored", subsystem_reset_is_ignored },
	{ "fifty_fast_enables_and_disables_settle", enable_storm_settles, TEST_RESETS },
	{ "disable_forgets_queues", disable_forgets_queues, TEST_RESETS },
	{ "commands_after_normal_shutdown", after_shutdown_nothing_hangs, TEST_RESETS, 1 },
	{ "commands_after_abrupt_shutdown", after_shutdown_nothing_hangs, TEST_RESETS, 2 },
};

const struct suite suite_regs = { "regs", tests, ARRAY_SIZE(tests) };
