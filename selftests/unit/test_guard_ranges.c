// SPDX-License-Identifier: GPL-2.0
/* Dataset Management and Copy in the guard: guard.c */
#include "guard_fixture.h"

/* ---- Dataset Management ---- */

static void put_range(u64 where, u32 cattr, u32 nlb, u64 slba)
{
	world_poke64(where, cattr | (u64)nlb << 32);
	world_poke64(where + 8, slba);
}

static void start_dsm(unsigned int nr)
{
	start(nvme_cmd_dsm, 0, 1);
	c.dsm.nr = cpu_to_le32(nr - 1);
	c.dsm.attributes = cpu_to_le32(NVME_DSMGMT_AD);
	c.dsm.rsvd12[0] = 0;
}

TEST(dsm_ranges_are_copied_and_translated)
{
	start_dsm(3);
	put_range(BUF, 0, 10, 0);
	put_range(BUF + 16, 0, NLB, 0);
	put_range(BUF + 32, 0, 1, NLB - 1);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.dsm.dptr.prp1), HOST_BUS);
	EXPECT_EQ(OUT.dsm.dptr.prp2, 0);
	EXPECT_EQ(le32_to_cpu(OUT.dsm.nr), 2);
	EXPECT_EQ(le32_to_cpu(OUT.dsm.attributes), NVME_DSMGMT_AD);
	EXPECT_EQ(host64(1), FIRST);
	EXPECT_EQ(host64(3), FIRST);
	EXPECT_EQ(host64(5), FIRST + NLB - 1);
	EXPECT_EQ(host64(2), NLB << 32);
	EXPECT_EQ(world.out.io, LIOV_IO_DISCARD);
	EXPECT_EQ(world.out.bytes, (NLB + 11) * 512);
	EXPECT_EQ(world.nr_read_bytes, 48);
	/* the data are for us only: their pages need no bus address */
	EXPECT_EQ(world.nr_steps, 0);
}

TEST(dsm_range_outside_is_refused)
{
	static const struct {
		u32 nlb;
		u64 slba;
	} bad[] = {
		{ 1, NLB }, { 2, NLB - 1 }, { 0xffffffff, 0 }, { 1, ~0ULL }, { 8, 0 - 8ULL },
		{ 8, 0 - FIRST }, { NLB + 1, 0 },
	};
	static const u8 zeroes[5 * 16];
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (at = 0; at < 5; at++) {
			start_dsm(5);
			world_poke(BUF, zeroes, sizeof(zeroes));
			put_range(BUF + 16 * at, 0, bad[i].nlb, bad[i].slba);
			EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
		}
	}
}

TEST(dsm_range_of_no_blocks_is_legal)
{
	start_dsm(2);
	put_range(BUF, 0, 0, ~0ULL);
	put_range(BUF + 16, 0, 0, NLB + 5);
	EXPECT_EQ(check(), 0);
	/* nothing of the SLBA goes on */
	EXPECT_EQ(host64(1), FIRST);
	EXPECT_EQ(host64(3), FIRST);
	EXPECT_EQ(world.out.bytes, 0);
}

TEST(dsm_reserved_bits_are_dropped)
{
	start_dsm(1);
	c.dsm.nr |= cpu_to_le32(0xffffff00);
	c.dsm.attributes = cpu_to_le32(~0U);
	memset(c.dsm.rsvd12, 0xff, sizeof(c.dsm.rsvd12));
	memset(c.dsm.rsvd2, 0xff, sizeof(c.dsm.rsvd2));
	put_range(BUF, ~0U, 8, 8);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le32_to_cpu(OUT.dsm.nr), 0);
	EXPECT_EQ(le32_to_cpu(OUT.dsm.attributes), 7);
	EXPECT_EQ(host64(0), 8ULL << 32 | 0xff00073f);
	EXPECT(all_zero(OUT.dsm.rsvd12, sizeof(OUT.dsm.rsvd12)));
}

TEST(dsm_ranges_may_cross_into_prp2)
{
	unsigned int i;

	start_dsm(256);
	DPTR.prp1 = cpu_to_le64(BUF + 4092);
	DPTR.prp2 = cpu_to_le64(LISTS);
	for (i = 0; i < 256; i++) {
		/* the first dword is in the page of PRP1, all else in PRP2's */
		if (i)
			world_poke64(LISTS + 16 * i - 4, (u64)(i + 1) << 32);
		else
			world_poke64(BUF + 4088, 0);
		world_poke64(LISTS + 16 * i + 4, i);
		if (!i)
			world_poke(LISTS, &(u32){ 1 }, 4);
	}
	EXPECT_EQ(check(), 0);
	for (i = 0; i < 256; i++) {
		EXPECT_EQ(host64(2 * i), (u64)(i + 1) << 32);
		EXPECT_EQ(host64(2 * i + 1), FIRST + i);
	}
	EXPECT_EQ(world.nr_read_bytes, 4096);
}

TEST(dsm_prps_follow_the_rules)
{
	start_dsm(256);
	DPTR.prp1 = cpu_to_le64(BUF + 2);
	EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	start_dsm(256);
	DPTR.prp1 = cpu_to_le64(BUF + 4);
	DPTR.prp2 = cpu_to_le64(LISTS + 8);
	EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	start_dsm(1);
	DPTR.prp1 = cpu_to_le64(HOLE);
	EXPECT_EQ(check(), WORLD_HOLE);
	start_dsm(256);
	DPTR.prp1 = cpu_to_le64(BUF + 4);
	DPTR.prp2 = cpu_to_le64(HOLE);
	EXPECT_EQ(check(), WORLD_HOLE);
}

TEST(dsm_ranges_that_change_once_read_change_nothing)
{
	start_dsm(2);
	world.hostile = true;
	world.scramble = ~0ULL;
	put_range(BUF, 0, 8, 8);
	put_range(BUF + 16, 0, 16, 16);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(host64(1), FIRST + 8);
	EXPECT_EQ(host64(3), FIRST + 16);
}

static void shrink(u64 gpa, u32 len)
{
	g.nlb = 1;
}

TEST(a_resize_does_not_tear_a_command)
{
	/* both ranges were legal when the command began */
	start_dsm(2);
	world.after_read = shrink;
	put_range(BUF, 0, 8, 8);
	put_range(BUF + 16, 0, 16, 16);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(g.nlb, 1);
	EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
}

/* ---- Copy ---- */

static void put_source(unsigned int i, u64 slba, u32 n)
{
	world_poke64(BUF + 32 * i, ~0ULL);
	world_poke64(BUF + 32 * i + 8, slba);
	world_poke64(BUF + 32 * i + 16, (n - 1) | ~0ULL << 16);
	world_poke64(BUF + 32 * i + 24, ~0ULL);
}

static void start_copy(unsigned int nr, u64 to)
{
	start(COPY, to, 1);
	c.rw.length = cpu_to_le16(nr - 1);
}

TEST(copy_descriptors_are_copied_and_translated)
{
	start_copy(2, 1000);
	c.rw.control = cpu_to_le16(0xff0f);
	c.rw.length |= cpu_to_le16(0xf000);
	c.rw.dsmgmt = cpu_to_le32(~0U);
	c.rw.reftag = cpu_to_le32(~0U);
	put_source(0, 0, 8);
	put_source(1, NLB - 512, 512);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp1), HOST_BUS);
	EXPECT_EQ(le64_to_cpu(OUT.rw.slba), FIRST + 1000);
	EXPECT_EQ(le16_to_cpu(OUT.rw.length), 1);
	EXPECT_EQ(le16_to_cpu(OUT.rw.control), NVME_RW_LR | NVME_RW_FUA);
	EXPECT_EQ(OUT.rw.dsmgmt, 0);
	EXPECT_EQ(OUT.rw.reftag, 0);
	EXPECT_EQ(host64(0), 0);
	EXPECT_EQ(host64(1), FIRST);
	EXPECT_EQ(host64(2), 7);
	EXPECT_EQ(host64(3), 0);
	EXPECT_EQ(host64(5), FIRST + NLB - 512);
	EXPECT_EQ(host64(6), 511);
	EXPECT_EQ(world.out.io, LIOV_IO_WRITE);
	EXPECT_EQ(world.out.bytes, 520 * 512);
}

TEST(copy_from_outside_is_refused)
{
	static const u64 bad[] = { NLB - 7, NLB, ~0ULL, 0 - 8ULL, 0 - FIRST };
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (at = 0; at < 3; at++) {
			start_copy(3, 0);
			put_source(0, 0, 8);
			put_source(1, 8, 8);
			put_source(2, 16, 8);
			put_source(at, bad[i], 8);
			EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
		}
	}
}

TEST(copy_to_outside_is_refused)
{
	static const u64 bad[] = { NLB - 15, NLB, ~0ULL, 0 - 16ULL, 0 - FIRST };
	unsigned int i;

	/* its length is that of all sources */
	start_copy(2, NLB - 16);
	put_source(0, 0, 8);
	put_source(1, 8, 8);
	EXPECT_EQ(check(), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		c.rw.slba = cpu_to_le64(bad[i]);
		EXPECT_EQ(check(), DNR(NVME_SC_LBA_RANGE));
	}
}

TEST(copy_keeps_its_limits)
{
	unsigned int i;

	start_copy(1, 0);
	put_source(0, 0, 512);
	EXPECT_EQ(check(), 0);
	put_source(0, 0, 513);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));

	start_copy(9, 0);
	for (i = 0; i < 9; i++)
		put_source(i, 0, i < 8 ? 511 : 8);
	EXPECT_EQ(check(), 0);
	put_source(8, 0, 9);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));

	start_copy(8, 0);
	g.max_copy_ranges = 8;
	for (i = 0; i < 9; i++)
		put_source(i, 0, 1);
	EXPECT_EQ(check(), 0);
	c.rw.length = cpu_to_le16(8);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));
}

TEST(copy_takes_no_more_ranges_than_fit_its_page)
{
	unsigned int i;

	start_copy(128, 0);
	g.max_copy_ranges = 256;
	for (i = 0; i < 128; i++)
		put_source(i, i, 1);
	EXPECT_EQ(check(), 0);
	c.rw.length = cpu_to_le16(128);
	EXPECT_EQ(check(), DNR(NVME_SC_CMD_SIZE_LIM_EXCEEDED));
	EXPECT_EQ(world.nr_reads, 0);
}

TEST(copy_knows_descriptor_format_0_only)
{
	unsigned int format;

	for (format = 1; format < 16; format++) {
		start_copy(1, 0);
		put_source(0, 0, 8);
		c.rw.length |= cpu_to_le16(format << 8);
		EXPECT_EQ(check(), DNR(NVME_SC_INVALID_FIELD));
	}
}

TEST(copy_descriptors_that_change_once_read_change_nothing)
{
	start_copy(2, 100);
	world.hostile = true;
	world.scramble = ~0ULL;
	put_source(0, 0, 8);
	put_source(1, 8, 8);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(host64(1), FIRST);
	EXPECT_EQ(host64(5), FIRST + 8);
}
