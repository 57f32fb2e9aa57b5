// SPDX-License-Identifier: GPL-2.0
/* Limits of commands without data: limits.c makes and tells them, guard.c keeps them. */
#include "guard_fixture.h"

#define MIB	1048576U
#define GIB	(1024ULL * MIB)

static struct nvme_id_ctrl_nvm nvm;

static void make(unsigned int page_shift)
{
	g.max_copy = ~0U;
	g.max_copy_range = 0xffff;
	liov_limits_make(&g, &nvm, page_shift);
}

static void start_limits(u8 opcode, u8 lba_shift)
{
	start(opcode, 0, 1);
	g.lba_shift = lba_shift;
	g.nlb = 1ULL << 40;
	memset(&nvm, 0, sizeof(nvm));
	make(12);
}

static u16 check_bytes(u64 bytes)
{
	c.rw.length = cpu_to_le16((bytes >> g.lba_shift) - 1);
	return check();
}

TEST(drive_without_limits_gets_ours)
{
	start_limits(nvme_cmd_write_zeroes, 9);
	EXPECT_EQ(g.max_verify, 8 * MIB);
	EXPECT_EQ(g.max_zeroes, 8 * MIB);
	EXPECT_EQ(g.max_uncor, 8 * MIB);
	EXPECT_EQ(g.max_dsm_ranges, 256);
	EXPECT_EQ(g.max_dsm, 32 * GIB / 512);
	EXPECT_EQ(g.max_dsm_range, 32 * GIB / 512);
	EXPECT_EQ(g.max_copy, 8 * MIB / 512);
	EXPECT_EQ(g.max_copy_range, 8 * MIB / 512);
}

TEST(limits_are_bytes_whatever_a_block_is)
{
	start_limits(nvme_cmd_write_zeroes, 12);
	EXPECT_EQ(g.max_zeroes, 8 * MIB);
	EXPECT_EQ(g.max_dsm, 32 * GIB / 4096);
	EXPECT_EQ(g.max_copy, 8 * MIB / 4096);
	start_limits(nvme_cmd_write_zeroes, 16);
	EXPECT_EQ(g.max_dsm_range, 32 * GIB / 65536);
	EXPECT_EQ(g.max_copy_range, 128);
	EXPECT_EQ(check_bytes(8 * MIB), 0);
	EXPECT_EQ(check_bytes(8 * MIB + 65536), DNR(NVME_SC_INVALID_FIELD));
}

TEST(smaller_limits_of_the_drive_count)
{
	start_limits(nvme_cmd_verify, 9);
	nvm.vsl = 7;
	nvm.wzsl = 1;
	nvm.wusl = 200;
	nvm.dmrl = 4;
	nvm.dmrsl = cpu_to_le32(1000);
	nvm.dmsl = cpu_to_le64(3000);
	make(12);
	EXPECT_EQ(g.max_verify, MIB / 2);
	EXPECT_EQ(g.max_zeroes, 8192);
	EXPECT_EQ(g.max_uncor, 8 * MIB);
	EXPECT_EQ(g.max_dsm_ranges, 4);
	EXPECT_EQ(g.max_dsm_range, 1000);
	EXPECT_EQ(g.max_dsm, 3000);
	/* its pages may be larger than the guest's */
	make(16);
	EXPECT_EQ(g.max_zeroes, 131072);
	/* one range is not more than all */
	nvm.dmrsl = 0;
	make(12);
	EXPECT_EQ(g.max_dsm_range, 3000);
}

TEST(smaller_copy_limits_stay)
{
	start_limits(COPY, 9);
	g.max_copy = 100;
	g.max_copy_range = 10;
	liov_limits_make(&g, &nvm, 12);
	EXPECT_EQ(g.max_copy, 100);
	EXPECT_EQ(g.max_copy_range, 10);
}

TEST(commands_without_data_keep_their_own_limits)
{
	static const struct {
		u8 opcode;
		u32 bytes;
	} ops[] = {
		{ nvme_cmd_write_zeroes, MIB }, { nvme_cmd_verify, 2 * MIB },
		{ nvme_cmd_write_uncor, 4 * MIB },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start_limits(ops[i].opcode, 9);
		g.max_zeroes = MIB;
		g.max_verify = 2 * MIB;
		g.max_uncor = 4 * MIB;
		EXPECT_EQ(check_bytes(ops[i].bytes), 0);
		EXPECT_EQ(world.out.load, ops[i].bytes);
		EXPECT_EQ(check_bytes(ops[i].bytes + 512), DNR(NVME_SC_INVALID_FIELD));
		EXPECT_EQ(check_bytes(32 * MIB), DNR(NVME_SC_INVALID_FIELD));
	}
}

/* They do not ask for limits and send Write Zeroes as long as their writes. */
TEST(write_zeroes_of_linux_before_5_11_passes)
{
	start_limits(nvme_cmd_write_zeroes, 9);
	EXPECT_EQ(check_bytes(LIOV_GUARD_MAX_BYTES), 0);
	start_limits(nvme_cmd_write_zeroes, 12);
	EXPECT_EQ(check_bytes(LIOV_GUARD_MAX_BYTES), 0);
}

static void put_range(unsigned int i, u32 nlb, u64 slba)
{
	world_poke64(BUF + 16 * i, (u64)nlb << 32);
	world_poke64(BUF + 16 * i + 8, slba);
}

static void start_dsm(unsigned int nr)
{
	unsigned int i;

	start_limits(nvme_cmd_dsm, 9);
	c.dsm.nr = cpu_to_le32(nr - 1);
	c.dsm.attributes = cpu_to_le32(NVME_DSMGMT_AD);
	for (i = 0; i < nr; i++)
		put_range(i, 1, i);
}

TEST(dsm_keeps_its_limits)
{
	start_dsm(1);
	/* mkfs of e2fsprogs, and the most that Linux discards by one command */
	put_range(0, 2 * GIB / 512, 5);
	EXPECT_EQ(check(), 0);
	put_range(0, 4 * GIB / 512 - 1, 5);
	EXPECT_EQ(check(), 0);
	put_range(0, 32 * GIB / 512, 5);
	EXPECT_EQ(check(), 0);
	put_range(0, 32 * GIB / 512 + 1, 5);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));

	start_dsm(3);
	put_range(0, 16 * GIB / 512, 0);
	put_range(1, 16 * GIB / 512 - 1, 0);
	EXPECT_EQ(check(), 0);
	put_range(2, 2, 0);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));

	start_dsm(5);
	g.max_dsm_ranges = 4;
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));
	EXPECT_EQ(world.nr_reads, 0);
	c.dsm.nr = cpu_to_le32(3);
	EXPECT_EQ(check(), 0);
}

TEST(loads_are_told)
{
	start_limits(nvme_cmd_read, 9);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.load, 0);
	start_limits(nvme_cmd_write, 9);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.load, 0);
	start_limits(nvme_cmd_compare, 9);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.load, 0);
	start_limits(nvme_cmd_flush, 9);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.load, LIOV_LOAD_FLUSH);
	start_dsm(1);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.out.load, LIOV_LOAD_DSM);
}

/* Whatever the limits, one command alone is less than all that may be there. */
TEST(no_command_is_a_load_of_its_own)
{
	start_limits(nvme_cmd_write_zeroes, 16);
	EXPECT_EQ(check_bytes(8 * MIB), 0);
	EXPECT(world.out.load * 8 <= LIOV_LOAD_MAX);
	EXPECT(LIOV_LOAD_DSM && LIOV_LOAD_FLUSH);
}

static void told(struct liov_guard *guard)
{
	struct liov_ident id = { .guard = guard };

	memset(&nvm, 0xff, sizeof(nvm));
	liov_identify_cs_ctrl(&nvm, &id);
}

TEST(limits_kept_are_limits_told)
{
	start_limits(nvme_cmd_write_zeroes, 9);
	g.oncs = 0x1ff;
	told(&g);
	EXPECT_EQ(nvm.vsl, 11);
	EXPECT_EQ(nvm.wzsl, 11);
	EXPECT_EQ(nvm.wusl, 11);
	EXPECT_EQ(nvm.dmrl, 0);
	EXPECT_EQ(le32_to_cpu(nvm.dmrsl), 32 * GIB / 512);
	EXPECT_EQ(le64_to_cpu(nvm.dmsl), 32 * GIB / 512);
	EXPECT(all_zero((u8 *)&nvm + 16, 4080));
	g.max_verify = MIB / 2;
	g.max_dsm_ranges = 255;
	told(&g);
	EXPECT_EQ(nvm.vsl, 7);
	EXPECT_EQ(nvm.dmrl, 255);
}

TEST(limits_of_commands_not_offered_are_zero)
{
	start_limits(nvme_cmd_write_zeroes, 9);
	g.oncs = 0;
	told(&g);
	EXPECT(all_zero(&nvm, sizeof(nvm)));
	g.oncs = NVME_CTRL_ONCS_DSM;
	told(&g);
	EXPECT(!nvm.vsl && !nvm.wzsl && !nvm.wusl && nvm.dmsl);
}

TEST(direct_guest_is_told_the_drives_limits_and_no_more)
{
	told(NULL);
	EXPECT_EQ(nvm.vsl, 0xff);
	EXPECT_EQ(le64_to_cpu(nvm.dmsl), ~0ULL);
	EXPECT(all_zero((u8 *)&nvm + 16, 4080));
}

TEST(direct_guest_is_told_extended_formats_and_no_more)
{
	u8 data[4096];

	memset(data, 0xff, sizeof(data));
	liov_identify_cs_ns(data);
	EXPECT_EQ(data[7], 0xff);
	EXPECT_EQ(data[8], 0xff);
	EXPECT(all_zero(data + 9, 3));
	EXPECT_EQ(data[12], 0xff);
	EXPECT_EQ(data[267], 0xff);
	EXPECT(all_zero(data + 268, 4096 - 268));
}
