// SPDX-License-Identifier: GPL-2.0
/* Controller registers: regs.c */
#include "harness.h"
#include "model/model.h"

static const struct liov_regs_cfg cfg = {
	.mqes = 1023, .mps = 0, .to = 15, .vs = NVME_VS(1, 4, 0), .nvm_css = true,
};

#define CC_GOOD (NVME_CC_ENABLE | NVME_CC_IOSQES | NVME_CC_IOCQES)

static struct liov_regs init(void)
{
	struct liov_regs r;

	memset(&r, 0xa5, sizeof(r));
	liov_regs_init(&r, &cfg);
	return r;
}

static void w32(struct liov_regs *r, u32 off, u32 val)
{
	EXPECT_EQ(liov_regs_write(r, off, val, 4), LIOV_REGS_NONE);
}

static u32 r32(const struct liov_regs *r, u32 off)
{
	return liov_regs_read(r, off, 4);
}

static struct liov_regs with_admin_queue(void)
{
	struct liov_regs r = init();

	w32(&r, NVME_REG_AQA, 31 << 16 | 31);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_ASQ, 0x10000, 8), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_ACQ, 0x20000, 8), LIOV_REGS_NONE);
	return r;
}

static struct liov_regs enabled(void)
{
	struct liov_regs r = with_admin_queue();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
	liov_regs_set_ready(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY);
	return r;
}

static void expect_refused(struct liov_regs *r, u32 cc)
{
	EXPECT_EQ(liov_regs_write(r, NVME_REG_CC, cc, 4), LIOV_REGS_NONE);
	EXPECT_EQ(r32(r, NVME_REG_CSTS), NVME_CSTS_CFS);
	/* and the way out of it */
	EXPECT_EQ(liov_regs_write(r, NVME_REG_CC, 0, 4), LIOV_REGS_DISABLE);
	liov_regs_set_disabled(r);
	EXPECT_EQ(r32(r, NVME_REG_CSTS), 0);
}

TEST(cap_says_what_is_configured_and_nothing_else)
{
	struct liov_regs r = init();
	u64 cap = liov_regs_read(&r, NVME_REG_CAP, 8);

	EXPECT_EQ(cap, 1023ULL | 1ULL << 16 | 15ULL << 24 | 10ULL << 32 | 1ULL << 37);
	EXPECT_EQ(NVME_CAP_STRIDE(cap), 10);
	EXPECT_EQ(NVME_CAP_NSSRC(cap), 0);
	EXPECT_EQ(NVME_CAP_CMBS(cap), 0);
	EXPECT_EQ(r32(&r, NVME_REG_VS), NVME_VS(1, 4, 0));
	EXPECT_EQ(r32(&r, NVME_REG_CRTO), 0);
}

TEST(cap_offers_one_memory_page_size)
{
	struct liov_regs_cfg c = cfg;
	struct liov_regs r;

	c.mps = 2;
	liov_regs_init(&r, &c);
	EXPECT_EQ(NVME_CAP_MPSMIN(r.cap), 2);
	EXPECT_EQ(NVME_CAP_MPSMAX(r.cap), 2);
}

TEST(version_2_reports_ready_timeout_in_crto)
{
	struct liov_regs_cfg c = cfg;
	struct liov_regs r;

	c.vs = NVME_VS(2, 0, 0);
	liov_regs_init(&r, &c);
	EXPECT(r.cap & NVME_CAP_CRMS_CRWMS);
	EXPECT(!(r.cap & NVME_CAP_CRMS_CRIMS));
	EXPECT_EQ(r32(&r, NVME_REG_CRTO), 15);
}

TEST(reads_of_any_size_and_alignment_give_the_bytes)
{
	struct liov_regs r = init();

	r.asq = 0x1122334455667000;
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ, 1), 0x00);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ + 1, 1), 0x70);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ + 1, 2), 0x6670);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ + 3, 4), 0x22334455);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ + 4, 4), 0x11223344);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ, 8), 0x1122334455667000);
	/* VS from half of an 8-byte access that began in CAP */
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_CAP + 4, 8) >> 32, NVME_VS(1, 4, 0));
}

TEST(reads_beyond_the_registers_give_zero)
{
	struct liov_regs r = init();

	EXPECT_EQ(liov_regs_read(&r, 0x40, 8), 0);
	EXPECT_EQ(liov_regs_read(&r, LIOV_DB_BASE - 4, 8), 0);
	EXPECT_EQ(liov_regs_read(&r, LIOV_DB_BASE, 4), 0);
	EXPECT_EQ(liov_regs_read(&r, 0xffffffff, 8), 0);
	EXPECT_EQ(liov_regs_read(&r, 0, 9), 0);
	EXPECT_EQ(liov_regs_read(&r, 0, 0), 0);
}

TEST(read_only_registers_do_not_change)
{
	struct liov_regs r = init(), before = r;

	w32(&r, NVME_REG_CAP, ~0U);
	w32(&r, NVME_REG_CAP + 4, ~0U);
	w32(&r, NVME_REG_VS, ~0U);
	w32(&r, NVME_REG_CSTS, ~0U);
	w32(&r, NVME_REG_CMBLOC, ~0U);
	w32(&r, NVME_REG_CRTO, ~0U);
	w32(&r, LIOV_DB_BASE, ~0U);
	w32(&r, 0xfffffffc, ~0U);
	EXPECT_MEM(&r, &before, sizeof(r));
}

TEST(subsystem_reset_is_not_offered)
{
	struct liov_regs r = enabled(), before = r;

	w32(&r, NVME_REG_NSSR, NVME_SUBSYS_RESET);
	EXPECT_MEM(&r, &before, sizeof(r));
	EXPECT_EQ(r32(&r, NVME_REG_NSSR), 0);
}

TEST(odd_and_unaligned_writes_are_ignored)
{
	struct liov_regs r = with_admin_queue(), before = r;

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 1), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 2), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC + 1, CC_GOOD, 4), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 8), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 3), LIOV_REGS_NONE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 0), LIOV_REGS_NONE);
	EXPECT_MEM(&r, &before, sizeof(r));
}

TEST(asq_and_acq_take_halves_and_whole)
{
	struct liov_regs r = init();

	w32(&r, NVME_REG_ASQ + 4, 0x12);
	w32(&r, NVME_REG_ASQ, 0x34567000);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ, 8), 0x1234567000);
	w32(&r, NVME_REG_ASQ, 0x1000);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ, 8), 0x1200001000);
	liov_regs_write(&r, NVME_REG_ACQ, 0xabcdef0000, 8);
	EXPECT_EQ(r32(&r, NVME_REG_ACQ), 0xcdef0000);
	EXPECT_EQ(r32(&r, NVME_REG_ACQ + 4), 0xab);
}

TEST(reserved_bits_of_admin_queue_registers_read_zero)
{
	struct liov_regs r = init();

	w32(&r, NVME_REG_AQA, ~0U);
	EXPECT_EQ(r32(&r, NVME_REG_AQA), 0x0fff0fff);
	liov_regs_write(&r, NVME_REG_ASQ, ~0ULL, 8);
	EXPECT_EQ(liov_regs_read(&r, NVME_REG_ASQ, 8), ~0xfffULL);
	w32(&r, NVME_REG_ACQ, 0xfff);
	EXPECT_EQ(r32(&r, NVME_REG_ACQ), 0);
}

TEST(admin_queue_registers_are_locked_while_enabled)
{
	struct liov_regs r = enabled();

	w32(&r, NVME_REG_AQA, 0x00010001);
	w32(&r, NVME_REG_ASQ, 0x99000);
	w32(&r, NVME_REG_ASQ + 4, 1);
	w32(&r, NVME_REG_ACQ, 0x99000);
	w32(&r, NVME_REG_ACQ + 4, 1);
	EXPECT_EQ(r.aqa, 31 << 16 | 31);
	EXPECT_EQ(r.asq, 0x10000);
	EXPECT_EQ(r.acq, 0x20000);
}

TEST(interrupt_mask_sets_and_clears)
{
	struct liov_regs r = init();

	w32(&r, NVME_REG_INTMS, 0xf0);
	w32(&r, NVME_REG_INTMS, 0x0f);
	w32(&r, NVME_REG_INTMC, 0x11);
	EXPECT_EQ(r32(&r, NVME_REG_INTMS), 0xee);
	EXPECT_EQ(r32(&r, NVME_REG_INTMC), 0xee);
}

TEST(cc_reserved_bits_read_zero)
{
	struct liov_regs r = init();

	w32(&r, NVME_REG_CC, ~(u32)NVME_CC_ENABLE & ~(3U << 14));
	EXPECT_EQ(r32(&r, NVME_REG_CC), 0x00ff3ff0);
}

TEST(enable_needs_the_offered_page_size)
{
	struct liov_regs r = with_admin_queue();

	expect_refused(&r, CC_GOOD | 1 << NVME_CC_MPS_SHIFT);
}

TEST(enable_needs_the_nvm_command_set)
{
	struct liov_regs r = with_admin_queue();

	expect_refused(&r, CC_GOOD | NVME_CC_CSS_CSI);
	expect_refused(&r, CC_GOOD | 7 << NVME_CC_CSS_SHIFT);
	r.cap &= ~(1ULL << 37);
	expect_refused(&r, CC_GOOD);
}

TEST(enable_needs_round_robin)
{
	struct liov_regs r = with_admin_queue();

	expect_refused(&r, CC_GOOD | NVME_CC_AMS_WRRU);
}

TEST(enable_needs_entry_sizes_of_the_nvm_command_set_or_none_yet)
{
	struct liov_regs r = with_admin_queue();

	expect_refused(&r, NVME_CC_ENABLE | 7 << NVME_CC_IOSQES_SHIFT | NVME_CC_IOCQES);
	expect_refused(&r, NVME_CC_ENABLE | NVME_CC_IOSQES | 5 << NVME_CC_IOCQES_SHIFT);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, NVME_CC_ENABLE, 4), LIOV_REGS_ENABLE);
}

TEST(reserved_bits_do_not_prevent_enable)
{
	struct liov_regs r = with_admin_queue();

	/* CRIME and the rest of bits 31:24, bits 3:1 */
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD | 0xff00000e, 4), LIOV_REGS_ENABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CC), CC_GOOD);
}

TEST(enable_needs_admin_queues_of_two_entries)
{
	struct liov_regs r = with_admin_queue();

	w32(&r, NVME_REG_AQA, 31 << 16);
	expect_refused(&r, CC_GOOD);
	w32(&r, NVME_REG_AQA, 31);
	expect_refused(&r, CC_GOOD);
	w32(&r, NVME_REG_AQA, 1 << 16 | 1);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
}

TEST(enable_accepts_the_largest_admin_queues)
{
	struct liov_regs r = with_admin_queue();

	w32(&r, NVME_REG_AQA, 4095 << 16 | 4095);
	w32(&r, NVME_REG_ACQ, 0x10000 + 4096 * 64);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
}

TEST(enable_refuses_admin_queues_that_overlap)
{
	struct liov_regs r = with_admin_queue();

	w32(&r, NVME_REG_ACQ, 0x10000);
	expect_refused(&r, CC_GOOD);
	/* the last byte of a 4096-entry ASQ */
	w32(&r, NVME_REG_AQA, 31 << 16 | 4095);
	w32(&r, NVME_REG_ACQ, 0x10000 + 4096 * 64 - 4096);
	expect_refused(&r, CC_GOOD);
	w32(&r, NVME_REG_ASQ, 0);
	w32(&r, NVME_REG_ACQ, 0);
	expect_refused(&r, CC_GOOD);
}

TEST(enable_refuses_admin_queues_beyond_the_address_space)
{
	struct liov_regs r = with_admin_queue();

	liov_regs_write(&r, NVME_REG_ASQ, ~0xfffULL, 8);
	w32(&r, NVME_REG_AQA, 31 << 16 | 4095);
	expect_refused(&r, CC_GOOD);
}

TEST(enable_refuses_admin_queues_off_a_larger_page)
{
	struct liov_regs_cfg c = cfg;
	struct liov_regs r;

	c.mps = 1;
	liov_regs_init(&r, &c);
	w32(&r, NVME_REG_AQA, 31 << 16 | 31);
	w32(&r, NVME_REG_ASQ, 0x11000);
	w32(&r, NVME_REG_ACQ, 0x20000);
	expect_refused(&r, CC_GOOD | 1 << NVME_CC_MPS_SHIFT);
	w32(&r, NVME_REG_ASQ, 0x12000);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD | 1 << NVME_CC_MPS_SHIFT, 4),
		  LIOV_REGS_ENABLE);
}

TEST(fields_of_cc_are_fixed_while_enabled)
{
	struct liov_regs r = enabled();

	w32(&r, NVME_REG_CC, CC_GOOD | 3 << NVME_CC_MPS_SHIFT | NVME_CC_AMS_WRRU |
	    NVME_CC_CSS_CSI);
	EXPECT_EQ(r32(&r, NVME_REG_CC), CC_GOOD);
}

TEST(entry_sizes_may_follow_after_enable)
{
	struct liov_regs r = with_admin_queue();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, NVME_CC_ENABLE, 4), LIOV_REGS_ENABLE);
	liov_regs_set_ready(&r);
	EXPECT(!liov_regs_entry_sizes_ok(&r));
	w32(&r, NVME_REG_CC, CC_GOOD);
	EXPECT(liov_regs_entry_sizes_ok(&r));
	w32(&r, NVME_REG_CC, NVME_CC_ENABLE | 7 << NVME_CC_IOSQES_SHIFT | NVME_CC_IOCQES);
	EXPECT(!liov_regs_entry_sizes_ok(&r));
}

TEST(disable_keeps_the_admin_queue_and_clears_the_rest)
{
	struct liov_regs r = enabled();

	w32(&r, NVME_REG_INTMS, 1);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD & ~NVME_CC_ENABLE, 4),
		  LIOV_REGS_DISABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CC), 0);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY);
	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
	EXPECT_EQ(r32(&r, NVME_REG_INTMS), 0);
	EXPECT_EQ(r.aqa, 31 << 16 | 31);
	EXPECT_EQ(r.asq, 0x10000);
	EXPECT_EQ(r.acq, 0x20000);
}

TEST(a_second_enable_of_the_enabled_is_nothing)
{
	struct liov_regs r = enabled(), before = r;

	w32(&r, NVME_REG_CC, CC_GOOD);
	EXPECT_MEM(&r, &before, sizeof(r));
}

TEST(enable_waits_for_the_end_of_a_reset)
{
	struct liov_regs r = enabled();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, 0, 4), LIOV_REGS_DISABLE);
	w32(&r, NVME_REG_CC, CC_GOOD);
	EXPECT_EQ(r32(&r, NVME_REG_CC) & NVME_CC_ENABLE, 0);
	/* the old admin queue may still be in use */
	w32(&r, NVME_REG_ASQ, 0x50000);
	EXPECT_EQ(r.asq, 0x10000);
	liov_regs_set_disabled(&r);
	w32(&r, NVME_REG_ASQ, 0x50000);
	EXPECT_EQ(r.asq, 0x50000);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
}

TEST(a_reset_before_ready_is_seen_to_take_time)
{
	struct liov_regs r = with_admin_queue();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, 0, 4), LIOV_REGS_DISABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY);
	w32(&r, NVME_REG_CC, CC_GOOD);
	/* the late answer to the enable, then that to the reset */
	liov_regs_set_ready(&r);
	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
}

TEST(ready_is_not_set_when_disabled_or_failed)
{
	struct liov_regs r = with_admin_queue();

	liov_regs_set_ready(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
	liov_regs_set_fatal(&r);
	liov_regs_set_ready(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_CFS);
}

TEST(disabled_answer_is_void_while_enabled)
{
	struct liov_regs r = enabled();

	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY);
}

TEST(fatal_stays_until_a_reset)
{
	struct liov_regs r = enabled();

	liov_regs_set_fatal(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_CFS);
	w32(&r, NVME_REG_CC, CC_GOOD);
	EXPECT(r32(&r, NVME_REG_CSTS) & NVME_CSTS_CFS);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, 0, 4), LIOV_REGS_DISABLE);
	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
}

TEST(fatal_while_disabled_prevents_enable)
{
	struct liov_regs r = with_admin_queue();

	liov_regs_set_fatal(&r);
	expect_refused(&r, CC_GOOD);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
}

TEST(shutdown_is_in_progress_until_it_is_done)
{
	u32 shn[] = { NVME_CC_SHN_NORMAL, NVME_CC_SHN_ABRUPT };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shn); i++) {
		struct liov_regs r = enabled();

		EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD | shn[i], 4),
			  LIOV_REGS_SHUTDOWN);
		EXPECT_EQ(r32(&r, NVME_REG_CC), CC_GOOD | shn[i]);
		EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_OCCUR);
		/* once only */
		w32(&r, NVME_REG_CC, CC_GOOD | NVME_CC_SHN_ABRUPT);
		liov_regs_set_shutdown_done(&r);
		EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_CMPLT);
		w32(&r, NVME_REG_CC, CC_GOOD | NVME_CC_SHN_NORMAL);
		EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_CMPLT);
	}
}

TEST(shutdown_status_ends_with_a_reset)
{
	struct liov_regs r = enabled();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD | NVME_CC_SHN_NORMAL, 4),
		  LIOV_REGS_SHUTDOWN);
	liov_regs_set_shutdown_done(&r);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, 0, 4), LIOV_REGS_DISABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS) & NVME_CSTS_SHST_MASK, 0);
	/* a late answer changes nothing */
	liov_regs_set_shutdown_done(&r);
	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
}

TEST(reserved_shutdown_value_is_no_shutdown)
{
	struct liov_regs r = enabled();

	w32(&r, NVME_REG_CC, CC_GOOD | 3 << NVME_CC_SHN_SHIFT);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY);
	EXPECT_EQ(r32(&r, NVME_REG_CC), CC_GOOD);
}

TEST(shutdown_of_the_disabled_completes_at_once)
{
	struct liov_regs r = with_admin_queue();

	w32(&r, NVME_REG_CC, NVME_CC_SHN_NORMAL);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_SHST_CMPLT);
	w32(&r, NVME_REG_CC, 0);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
	w32(&r, NVME_REG_CC, NVME_CC_SHN_NORMAL);
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, CC_GOOD, 4), LIOV_REGS_ENABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), 0);
}

TEST(shutdown_together_with_disable_completes_with_the_reset)
{
	struct liov_regs r = enabled();

	EXPECT_EQ(liov_regs_write(&r, NVME_REG_CC, NVME_CC_SHN_NORMAL, 4), LIOV_REGS_DISABLE);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_OCCUR);
	liov_regs_set_disabled(&r);
	EXPECT_EQ(r32(&r, NVME_REG_CSTS), NVME_CSTS_SHST_CMPLT);
}

TEST(eight_byte_write_reaches_both_registers)
{
	struct liov_regs r = with_admin_queue();

	/* INTMC and CC */
	r.intm = 3;
	EXPECT_EQ(liov_regs_write(&r, NVME_REG_INTMC, (u64)CC_GOOD << 32 | 1, 8),
		  LIOV_REGS_ENABLE);
	EXPECT_EQ(r.intm, 2);
	EXPECT_EQ(r.cc, CC_GOOD);
}

TEST(function_reset_clears_the_admin_queue_too)
{
	struct liov_regs r = enabled(), fresh = init();

	liov_regs_set_fatal(&r);
	w32(&r, NVME_REG_INTMS, 1);
	liov_regs_function_reset(&r);
	EXPECT_MEM(&r, &fresh, sizeof(r));
}
