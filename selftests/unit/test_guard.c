// SPDX-License-Identifier: GPL-2.0
/* What the guard lets pass, where to, and how it looks there: guard.c */
#include "guard_fixture.h"

static const u8 lba_opcodes[] = {
	nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare, nvme_cmd_write_uncor,
	nvme_cmd_write_zeroes, nvme_cmd_verify
};

/* ---- where it goes ---- */

TEST(lbas_and_nsid_become_the_hardwares)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lba_opcodes); i++) {
		start(lba_opcodes[i], 77, 8);
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(OUT.rw.opcode, lba_opcodes[i]);
		EXPECT_EQ(le64_to_cpu(OUT.rw.slba), FIRST + 77);
		EXPECT_EQ(le16_to_cpu(OUT.rw.length), 7);
		EXPECT_EQ(le32_to_cpu(OUT.rw.nsid), 5);
	}
}

TEST(read_up_to_the_last_lba_passes)
{
	start(nvme_cmd_read, NLB - 1, 1);
	EXPECT_EQ(check(), 0);
	start(nvme_cmd_read, NLB - 8, 8);
	EXPECT_EQ(check(), 0);
}

TEST(read_past_the_end_is_refused)
{
	start(nvme_cmd_read, NLB, 1);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	start(nvme_cmd_read, NLB - 8, 9);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	start(nvme_cmd_read, NLB + 1, 1);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
}

TEST(every_command_with_lbas_is_bounded)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lba_opcodes); i++) {
		start(lba_opcodes[i], NLB - 7, 8);
		EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
		start(lba_opcodes[i], NLB - 8, 8);
		EXPECT_EQ(check(), 0);
	}
}

TEST(lbas_that_wrap_around_are_refused)
{
	static const u64 slba[] = { ~0ULL, 0 - 7ULL, 0 - 8ULL, 0 - FIRST, 0 - FIRST - 8,
				    1ULL << 63 };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(lba_opcodes); i++) {
		for (j = 0; j < ARRAY_SIZE(slba); j++) {
			start(lba_opcodes[i], slba[j], 8);
			EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
		}
	}
}

TEST(backing_at_the_end_of_all_lbas_is_bounded)
{
	start(nvme_cmd_read, 9, 1);
	g.nlb = 10;
	g.first = ~0ULL - 9;
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.slba), ~0ULL);
	c.rw.slba = cpu_to_le64(10);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
}

TEST(backing_smaller_than_the_command_is_bounded)
{
	start(nvme_cmd_read, 0, 8);
	g.nlb = 7;
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	g.nlb = 0;
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
}

TEST(a_resize_binds_the_next_command)
{
	start(nvme_cmd_read, NLB, 8);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	g.nlb = NLB + 8;
	EXPECT_EQ(check(), 0);
	g.nlb = NLB;
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
}

/* ---- what may go there ---- */

TEST(opcodes_not_known_are_refused)
{
	unsigned int op;

	for (op = 0; op < 256; op++) {
		if (op <= nvme_cmd_verify && (0x1337 >> op & 1))
			continue;
		if (op == COPY)
			continue;
		start(op, 0, 8);
		g.oncs = 0xffff;
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_OPCODE));
	}
}

TEST(optional_commands_need_their_oncs_bit)
{
	static const struct {
		u8 opcode, bit;
	} ops[] = {
		{ nvme_cmd_compare, 0 }, { nvme_cmd_write_uncor, 1 }, { nvme_cmd_dsm, 2 },
		{ nvme_cmd_write_zeroes, 3 }, { nvme_cmd_verify, 7 }, { COPY, 8 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start(ops[i].opcode, 0, 1);
		g.oncs = ~(1U << ops[i].bit);
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_OPCODE));
		g.oncs = 1U << ops[i].bit;
		EXPECT(check() != DNR(NVME_SC_INVALID_OPCODE));
	}
	start(nvme_cmd_read, 0, 1);
	g.oncs = 0;
	EXPECT_EQ(check(), 0);
	c.rw.opcode = nvme_cmd_write;
	EXPECT_EQ(check(), 0);
	c.rw.opcode = nvme_cmd_flush;
	EXPECT_EQ(check(), 0);
}

TEST(fused_commands_are_refused)
{
	unsigned int fuse;

	for (fuse = 1; fuse < 4; fuse++) {
		start(nvme_cmd_compare, 0, 8);
		c.rw.flags = fuse;
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	}
}

TEST(sgls_are_refused)
{
	unsigned int psdt;

	for (psdt = 1; psdt < 4; psdt++) {
		start(nvme_cmd_read, 0, 8);
		c.rw.flags = psdt << 6;
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
		c.rw.opcode = nvme_cmd_flush;
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	}
}

TEST(other_nsids_are_refused)
{
	static const u32 nsid[] = { 0, 2, 5, 0x80000000, 0xfffffffe, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nsid); i++) {
		start(nvme_cmd_write, 0, 8);
		c.rw.nsid = cpu_to_le32(nsid[i]);
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_NS));
	}
}

TEST(broadcast_flush_is_refused)
{
	start(nvme_cmd_flush, 0, 1);
	c.rw.nsid = cpu_to_le32(NVME_NSID_ALL);
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_NS));
}

TEST(nsids_below_the_only_one_are_valid_but_inactive)
{
	start(nvme_cmd_read, 0, 8);
	g.nsid = 3;
	c.rw.nsid = cpu_to_le32(2);
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	c.rw.nsid = 0;
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_NS));
	c.rw.nsid = cpu_to_le32(4);
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_NS));
}

TEST(checks_come_in_the_order_of_the_specification)
{
	start(0x55, NLB, 8);
	c.rw.flags = 1;
	c.rw.nsid = cpu_to_le32(9);
	c.rw.control = cpu_to_le16(0x10);
	DPTR.prp1 = cpu_to_le64(1);
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_OPCODE));
	c.rw.opcode = nvme_cmd_write;
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	c.rw.flags = 0;
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_NS));
	c.rw.nsid = cpu_to_le32(1);
	EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	c.rw.control = 0;
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	c.rw.slba = 0;
	EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	DPTR.prp1 = cpu_to_le64(BUF);
	EXPECT_EQ(check(), 0);
}

/* ---- what of it goes on ---- */

/* All ones but what would be refused. */
static void start_junk(u8 opcode)
{
	start(opcode, 8, 8);
	c.rw.flags = 0x3c;
	c.rw.command_id = 0xffff;
	c.rw.cdw2 = cpu_to_le32(~0U);
	c.rw.cdw3 = cpu_to_le32(~0U);
	c.rw.metadata = cpu_to_le64(~0ULL);
	c.rw.control = cpu_to_le16(0xffff & ~0x00f0);
	c.rw.dsmgmt = cpu_to_le32(~0U);
	c.rw.reftag = cpu_to_le32(~0U);
	c.rw.lbat = cpu_to_le16(0xffff);
	c.rw.lbatm = cpu_to_le16(0xffff);
}

TEST(what_nobody_checked_is_zero)
{
	static const struct {
		u8 opcode;
		u16 control;
		u32 dsmgmt;
	} ops[] = {
		{ nvme_cmd_read, 0xc000, 0xff }, { nvme_cmd_write, 0xc000, 0xff },
		{ nvme_cmd_compare, 0xc000, 0 }, { nvme_cmd_verify, 0xc000, 0 },
		{ nvme_cmd_write_zeroes, 0xc200, 0 }, { nvme_cmd_write_uncor, 0, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start_junk(ops[i].opcode);
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(OUT.rw.flags, 0);
		EXPECT_EQ(OUT.rw.command_id, 0);
		EXPECT_EQ(OUT.rw.cdw2, 0);
		EXPECT_EQ(OUT.rw.cdw3, 0);
		EXPECT_EQ(OUT.rw.metadata, 0);
		EXPECT_EQ(le16_to_cpu(OUT.rw.control), ops[i].control);
		EXPECT_EQ(le32_to_cpu(OUT.rw.dsmgmt), ops[i].dsmgmt);
		EXPECT_EQ(OUT.rw.reftag, 0);
		EXPECT_EQ(OUT.rw.lbat, 0);
		EXPECT_EQ(OUT.rw.lbatm, 0);
	}
}

TEST(flush_is_nothing_but_opcode_and_nsid)
{
	start_junk(nvme_cmd_flush);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(OUT.common.opcode, nvme_cmd_flush);
	EXPECT_EQ(le32_to_cpu(OUT.common.nsid), 5);
	OUT.common.nsid = 0;
	EXPECT(all_zero(&OUT, sizeof(OUT)));
	EXPECT_EQ(world.nr_steps, 0);
}

TEST(protection_information_bits_are_dropped)
{
	start(nvme_cmd_write, 0, 8);
	c.rw.control = cpu_to_le16(NVME_RW_PRINFO_PRACT | NVME_RW_PRINFO_PRCHK_GUARD |
				   NVME_RW_PRINFO_PRCHK_APP | NVME_RW_PRINFO_PRCHK_REF |
				   NVME_RW_FUA);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le16_to_cpu(OUT.rw.control), NVME_RW_FUA);
}

TEST(directives_are_refused)
{
	static const u8 ops[] = { nvme_cmd_write, nvme_cmd_write_zeroes, nvme_cmd_write_uncor,
				  COPY };
	unsigned int i, type;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (type = 1; type < 16; type++) {
			start(ops[i], 0, 1);
			c.rw.control = cpu_to_le16(type << 4);
			EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
		}
	}
}

TEST(directive_bits_are_reserved_where_nothing_is_written)
{
	start(nvme_cmd_read, 0, 8);
	c.rw.control = cpu_to_le16(0xf0);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(OUT.rw.control, 0);
}

TEST(more_data_than_mdts_is_refused)
{
	static const u8 ops[] = { nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start(ops[i], 0, 16);
		g.max_bytes = 8192;
		EXPECT_EQ(check(), 0);
		c.rw.length = cpu_to_le16(16);
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
		c.rw.length = cpu_to_le16(0xffff);
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	}
}

TEST(mdts_does_not_bind_commands_without_data)
{
	static const u8 ops[] = { nvme_cmd_verify, nvme_cmd_write_zeroes, nvme_cmd_write_uncor };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start(ops[i], 0, 65536);
		g.max_bytes = 4096;
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(le16_to_cpu(OUT.rw.length), 0xffff);
		EXPECT_EQ(OUT.rw.dptr.prp1, 0);
		EXPECT_EQ(world.nr_steps, 0);
	}
}

TEST(kinds_and_bytes_are_counted)
{
	static const struct {
		u8 opcode, io;
	} ops[] = {
		{ nvme_cmd_read, LIOV_IO_READ }, { nvme_cmd_compare, LIOV_IO_READ },
		{ nvme_cmd_verify, LIOV_IO_READ }, { nvme_cmd_write, LIOV_IO_WRITE },
		{ nvme_cmd_write_uncor, LIOV_IO_WRITE },
		{ nvme_cmd_write_zeroes, LIOV_IO_DISCARD },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start(ops[i].opcode, 0, 2);
		g.lba_shift = 12;
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(world.out.io, ops[i].io);
		EXPECT_EQ(world.out.bytes, 8192);
	}
	start(nvme_cmd_flush, 0, 1);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.io, LIOV_IO_FLUSH);
	EXPECT_EQ(world.out.bytes, 0);
}

TEST(refusals_are_told_apart)
{
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_INVALID_OPCODE)), LIOV_REFUSED_OPCODE);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_INVALID_FIELD)), LIOV_REFUSED_FIELD);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED)), LIOV_REFUSED_FIELD);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_INVALID_NS)), LIOV_REFUSED_NSID);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_LBA_RANGE)), LIOV_REFUSED_LBA);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_PRP_INVALID_OFFSET)), LIOV_REFUSED_PRP);
	EXPECT_EQ(liov_guard_refusal(DNR(NVME_SC_DATA_XFER_ERROR)), LIOV_REFUSED_MEMORY);
	EXPECT_EQ(liov_guard_refusal(NVME_SC_DATA_XFER_ERROR), LIOV_REFUSED_MEMORY);
	EXPECT_EQ(liov_guard_refusal(NVME_SC_INTERNAL), LIOV_REFUSED_OTHER);
}
