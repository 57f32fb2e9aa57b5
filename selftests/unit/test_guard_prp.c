// SPDX-License-Identifier: GPL-2.0
/* PRPs and PRP lists in the guard, and memory that is not as it should be: guard.c */
#include "guard_fixture.h"

/* Data pages of the lists below: mapped, none next to another. */
static u64 data_page(unsigned int i)
{
	return 3 * STEP + (i * 4 % 512) * PAGE + (i * 4 % 32 == 0 ? PAGE : 0);
}

/* @n entries in one go, from @where on, which have to fit the page. */
static void put_list(u64 where, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		world_poke64(where + 8 * i, data_page(i));
	DPTR.prp2 = cpu_to_le64(where);
}

/* ---- PRP1 and PRP2 ---- */

TEST(data_in_one_page_need_prp1_alone)
{
	start(nvme_cmd_read, 0, 8);
	DPTR.prp2 = cpu_to_le64(~0ULL);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp1), world_bus_ok(BUF));
	EXPECT_EQ(OUT.rw.dptr.prp2, 0);
	DPTR.prp1 = cpu_to_le64(BUF + 512);
	c.rw.length = cpu_to_le16(6);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp1), world_bus_ok(BUF) + 512);
	EXPECT_EQ(world.nr_pages, 0);
}

TEST(prp1_offset_is_in_dwords)
{
	unsigned int i;

	for (i = 1; i < 4; i++) {
		start(nvme_cmd_read, 0, 1);
		DPTR.prp1 = cpu_to_le64(BUF + i);
		EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
		DPTR.prp1 = cpu_to_le64(BUF + 4 * i);
		EXPECT_EQ(check(), 0);
	}
}

TEST(prp2_is_the_second_page)
{
	start(nvme_cmd_read, 0, 16);
	DPTR.prp2 = cpu_to_le64(LISTS);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp2), world_bus_ok(LISTS));
	EXPECT_EQ(world.nr_reads, 0);
	/* an offset makes a second page of less */
	c.rw.length = cpu_to_le16(7);
	DPTR.prp1 = cpu_to_le64(BUF + 4);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp2), world_bus_ok(LISTS));
	EXPECT_EQ(world.nr_reads, 0);
}

TEST(prp2_page_has_no_offset)
{
	unsigned int shift;

	for (shift = 0; shift < 12; shift++) {
		start(nvme_cmd_read, 0, 16);
		DPTR.prp2 = cpu_to_le64(LISTS + (1 << shift));
		EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	}
}

/* As a guest's own IOMMU has it for data that go to the drive. */
TEST(memory_that_is_read_only_is_read_only)
{
	const u64 ro = 3 * STEP + 22 * PAGE;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		/* in PRP1, in PRP2, in a list */
		start(nvme_cmd_write, 0, i == 2 ? 24 : 16);
		if (i == 2) {
			put_list(LISTS, 2);
			world_poke64(LISTS + 8, ro);
		} else {
			DPTR.prp1 = cpu_to_le64(i ? BUF : ro);
			DPTR.prp2 = cpu_to_le64(i ? ro : BUF);
		}
		EXPECT_EQ(check(), 0);
		c.common.opcode = nvme_cmd_read;
		EXPECT_EQ(check(), DNR(NVME_SC_DATA_XFER_ERROR));
		c.common.opcode = nvme_cmd_compare;
		EXPECT_EQ(check(), 0);
		if (!i)
			EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp1), world_bus_ok(ro));
	}
}

TEST(memory_that_is_none_is_refused)
{
	static const u64 bad[] = { HOLE, NOWHERE, 1ULL << 62, 0 - STEP - PAGE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		start(nvme_cmd_read, 0, 8);
		DPTR.prp1 = cpu_to_le64(bad[i]);
		EXPECT_EQ(check(), WORLD_HOLE);
		start(nvme_cmd_read, 0, 16);
		DPTR.prp2 = cpu_to_le64(bad[i]);
		EXPECT_EQ(check(), WORLD_HOLE);
		start(nvme_cmd_read, 0, 32);
		DPTR.prp2 = cpu_to_le64(bad[i]);
		EXPECT_EQ(check(), WORLD_HOLE);
		start(nvme_cmd_read, 0, 32);
		put_list(LISTS, 3);
		world_poke64(LISTS + 16, bad[i]);
		EXPECT_EQ(check(), WORLD_HOLE);
	}
}

TEST(memory_that_cannot_be_pinned_says_why)
{
	start(nvme_cmd_read, 0, 8);
	DPTR.prp1 = cpu_to_le64(UNPINNED);
	EXPECT_EQ(check(), WORLD_UNPINNED);
	start(nvme_cmd_read, 0, 32);
	put_list(LISTS, 3);
	world_poke64(LISTS, UNPINNED);
	EXPECT_EQ(check(), WORLD_UNPINNED);
}

TEST(the_highest_page_is_memory_like_any_other)
{
	start(nvme_cmd_read, 0, 16);
	DPTR.prp1 = cpu_to_le64(0 - 16 * PAGE);
	DPTR.prp2 = cpu_to_le64(0 - 15 * PAGE);
	EXPECT_EQ(check(), 0);
	/* its list ends with the address space; the next page would be page 0 */
	start(nvme_cmd_read, 0, 24);
	put_list(0 - 16 * PAGE + PAGE - 16, 2);
	EXPECT_EQ(check(), 0);
}

/* ---- PRP lists ---- */

TEST(list_is_copied_and_translated)
{
	unsigned int i;

	start(nvme_cmd_write, 0, 256);
	put_list(LISTS, 31);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp2), HOST_BUS);
	for (i = 0; i < 31; i++)
		EXPECT_EQ(host64(i), world_bus_ok(data_page(i)));
	EXPECT_EQ(host64(31), 0xa5a5a5a5a5a5a5a5ULL);
	EXPECT_EQ(world.nr_reads, 1);
	EXPECT_EQ(world.nr_read_bytes, 31 * 8);
}

TEST(list_may_begin_at_any_qword)
{
	unsigned int i;

	for (i = 0; i < 512 - 31; i += 13) {
		start(nvme_cmd_write, 0, 256);
		put_list(LISTS + 8 * i, 31);
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(host64(30), world_bus_ok(data_page(30)));
	}
	for (i = 1; i < 8; i++) {
		start(nvme_cmd_write, 0, 256);
		put_list(LISTS, 32);
		DPTR.prp2 = cpu_to_le64(LISTS + i);
		EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	}
}

TEST(list_entries_have_no_offset)
{
	unsigned int i, shift;

	for (i = 0; i < 31; i++) {
		for (shift = 0; shift < 12; shift++) {
			start(nvme_cmd_write, 0, 256);
			put_list(LISTS, 31);
			world_poke64(LISTS + 8 * i, data_page(i) | 1 << shift);
			EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
		}
	}
}

TEST(entries_behind_the_data_are_not_read)
{
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS, 31);
	world_poke64(LISTS + 8 * 31, 1);
	EXPECT_EQ(check(), 0);
	/* the last needed entry is the page's last: data, whatever it looks like */
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS + PAGE - 8 * 31, 31);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_reads, 1);
}

/* Who may do little at a time decides by that; the world sees that no more comes. */
TEST(a_list_is_announced_with_its_entries)
{
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS, 31);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.page_entries, 31);
	EXPECT_EQ(world.page_reads, 0);
}

TEST(list_that_fills_its_page_goes_on_in_the_next)
{
	unsigned int room, i;

	for (room = 1; room <= 31; room++) {
		start(nvme_cmd_read, 0, 256);
		for (i = 0; i < 31; i++) {
			if (i < room - 1)
				world_poke64(LISTS + PAGE - 8 * room + 8 * i, data_page(i));
			else
				world_poke64(LISTS + 4 * PAGE + 8 * (i - room + 1),
					     data_page(i));
		}
		world_poke64(LISTS + PAGE - 8, room < 31 ? LISTS + 4 * PAGE : data_page(30));
		DPTR.prp2 = cpu_to_le64(LISTS + PAGE - 8 * room);
		EXPECT_EQ(check(), 0);
		for (i = 0; i < 31; i++)
			EXPECT_EQ(host64(i), world_bus_ok(data_page(i)));
		EXPECT_EQ(world.nr_reads, room < 31 ? 2 : 1);
	}
}

TEST(address_of_the_next_list_has_no_offset)
{
	unsigned int shift;

	for (shift = 0; shift < 12; shift++) {
		start(nvme_cmd_read, 0, 256);
		put_list(LISTS + PAGE - 16, 2);
		world_poke64(LISTS + PAGE - 8, (LISTS + 4 * PAGE) | 1 << shift);
		EXPECT_EQ(check(), DNR(NVME_SC_PRP_INVALID_OFFSET));
	}
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS + PAGE - 16, 2);
	world_poke64(LISTS + PAGE - 8, HOLE);
	EXPECT_EQ(check(), WORLD_HOLE);
}

TEST(the_longest_command_fits_its_page)
{
	unsigned int i, at;

	/* an offset, so 512 entries; and as much chain as there can be */
	for (at = 0; at < 512; at += 511) {
		start(nvme_cmd_write, 0, 4096);
		DPTR.prp1 = cpu_to_le64(BUF + 4);
		for (i = 0; i < 512; i++)
			world_poke64((at ? LISTS + PAGE : LISTS) + 8 * i, data_page(i % 100));
		if (at)
			world_poke64(LISTS + 8 * 511, LISTS + PAGE);
		DPTR.prp2 = cpu_to_le64(LISTS + 8 * at);
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(host64(511), world_bus_ok(data_page(11)));
	}
}

TEST(mdts_beyond_the_page_is_not_believed)
{
	struct liov_guarded out;

	start(nvme_cmd_write, 0, 4104);
	g.max_bytes = 4 * LIOV_GUARD_MAX_BYTES;
	EXPECT_EQ(liov_guard_check(&g, world.env, &c, &out), DNR(NVME_SC_INVALID_FIELD));
}

TEST(list_that_points_to_itself_ends)
{
	start(nvme_cmd_read, 0, 4096);
	put_list(LISTS, 511);
	world_poke64(LISTS + 8 * 511, LISTS);
	DPTR.prp2 = cpu_to_le64(LISTS + 8);
	DPTR.prp1 = cpu_to_le64(BUF + 512);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(host64(509), world_bus_ok(data_page(510)));
	EXPECT_EQ(host64(510), world_bus_ok(data_page(0)));
	EXPECT_EQ(host64(511), world_bus_ok(data_page(1)));
}

TEST(list_that_changes_once_read_changes_nothing)
{
	static const u64 scramble[] = { 1, 0xfff, 0x1000, 0xffff000, ~0ULL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(scramble); i++) {
		start(nvme_cmd_read, 0, 256);
		world.hostile = true;
		world.scramble = scramble[i];
		put_list(LISTS + PAGE - 8 * 20, 20);
		world_poke64(LISTS + PAGE - 8, LISTS + 4 * PAGE);
		put_list(LISTS + 4 * PAGE, 12);
		DPTR.prp2 = cpu_to_le64(LISTS + PAGE - 8 * 20);
		EXPECT_EQ(check(), 0);
		EXPECT_EQ(host64(0), world_bus_ok(data_page(0)));
		EXPECT_EQ(host64(19), world_bus_ok(data_page(0)));
		EXPECT_EQ(world.nr_reads, 2);
	}
}

TEST(pages_of_one_step_are_looked_up_together)
{
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS, 31);
	EXPECT_EQ(check(), 0);
	/* one of PRP1, one of the list's pages, which are all in one step */
	EXPECT_EQ(world.nr_steps, 2);
	DPTR.prp1 = cpu_to_le64(data_page(31));
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_steps, 1);
}

/* A step without an array: every page of it, also those that others lack. */
TEST(pages_of_a_linear_step_follow_its_base)
{
	u64 base = WORLD_LINEAR * STEP, bus = world_bus_ok(base);
	unsigned int i;

	start(nvme_cmd_read, 0, 512 * 8);
	DPTR.prp1 = cpu_to_le64(base);
	for (i = 1; i < 512; i++)
		world_poke64(LISTS + 8 * i, base + i * PAGE);
	DPTR.prp2 = cpu_to_le64(LISTS + 8);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_steps, 1);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp1), bus);
	for (i = 1; i < 512; i++)
		EXPECT_EQ(host64(i - 1), bus + i * PAGE);
	/* From there into one with an array, and back. */
	start(nvme_cmd_read, 0, 24);
	DPTR.prp1 = cpu_to_le64(base + 511 * PAGE);
	world_poke64(LISTS, BUF);
	world_poke64(LISTS + 8, base);
	DPTR.prp2 = cpu_to_le64(LISTS);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_steps, 3);
	EXPECT_EQ(host64(0), world_bus_ok(BUF));
	EXPECT_EQ(host64(1), bus);
	/* The page behind it is another step's, or nobody's. */
	start(nvme_cmd_read, 0, 16);
	DPTR.prp1 = cpu_to_le64(base);
	DPTR.prp2 = cpu_to_le64(base + STEP);
	EXPECT_EQ(check(), DNR(NVME_SC_DATA_XFER_ERROR));
}

TEST(page_not_mapped_yet_is_asked_for)
{
	start(nvme_cmd_read, 0, 16);
	DPTR.prp2 = cpu_to_le64(LAZY);
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_steps, 2);
	EXPECT_EQ(le64_to_cpu(OUT.rw.dptr.prp2), world_bus_ok(LAZY));
	EXPECT_EQ(check(), 0);
	EXPECT_EQ(world.nr_steps, 1);
}

TEST(no_host_memory_can_be_tried_again)
{
	start(nvme_cmd_read, 0, 256);
	put_list(LISTS, 31);
	world.has_page = false;
	EXPECT_EQ(check(), NVME_SC_INTERNAL);
	c.rw.length = cpu_to_le16(15);
	DPTR.prp2 = cpu_to_le64(BUF + PAGE);
	EXPECT_EQ(check(), 0);
	start(nvme_cmd_dsm, 0, 1);
	world.has_page = false;
	EXPECT_EQ(check(), NVME_SC_INTERNAL);
	start(COPY, 0, 1);
	world.has_page = false;
	EXPECT_EQ(check(), NVME_SC_INTERNAL);
}

static struct liov_step_map silent_step(void *ctx, u64 gpa, u16 *status)
{
	return (struct liov_step_map){ .base = LIOV_NO_DMA };
}

static struct liov_step_map unmapped_step(void *ctx, u64 gpa, u16 *status)
{
	static u64 step[LIOV_STEP_PAGES];

	memset(step, 0xff, sizeof(step));
	*status = 0;
	return (struct liov_step_map){ .bus = step };
}

TEST(a_look_up_without_result_or_reason_is_no_success)
{
	struct liov_guard_env env;
	struct liov_guarded out;

	start(nvme_cmd_read, 0, 8);
	env = *world.env;
	env.step = silent_step;
	EXPECT_EQ(liov_guard_check(&g, &env, &c, &out), DNR(NVME_SC_DATA_XFER_ERROR));
	env.step = unmapped_step;
	EXPECT_EQ(liov_guard_check(&g, &env, &c, &out), DNR(NVME_SC_DATA_XFER_ERROR));
}
